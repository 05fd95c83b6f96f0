# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Runs inside MicroPython, not here: the chip's modules as thin as can be, then modules are loaded and their memory measured.

`micropython vm.py NAME ...` imports them one after the other and prints each with the bytes of heap that it keeps, and what
all names take by then. The stand-ins are loaded before. `-X heapsize` limits the heap.
"""

import gc
import sys
import time

import micropython

# what CircuitPython has in its flash
CHIP = ("adafruit_pixelbuf", "alarm", "analogio", "bitmaptools", "board", "busdisplay", "busio", "digitalio", "displayio",
        "fourwire", "i2cdisplaybus", "microcontroller", "neopixel_write", "onewireio", "pwmio", "rtc", "socketpool", "ssl",
        "supervisor", "terminalio", "traceback", "usb_cdc", "watchdog", "wifi")  # fmt: skip
BUILT_IN = ("binascii", "builtins", "collections", "errno", "json", "micropython", "os", "random", "struct")
# what the libraries import when they are not on a board
TYPES = ("typing", "types", "circuitpython_typing", "circuitpython_typing.socket")


class Module:
    """A module in which every name exists."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Module


def nothing(*_, **__):
    """Does nothing."""


def stand_in():
    """Put a Module in the place of every module that MicroPython does not have."""
    for name in CHIP + TYPES:
        sys.modules[name] = Module()
    sys.modules["supervisor"].ticks_ms = lambda: time.ticks_ms() & 0x1FFFFFFF
    for name in BUILT_IN:
        __import__(name)


def weigh(name):
    """Import a module; the bytes of heap it keeps, with all that was not loaded before."""
    gc.collect()
    before = gc.mem_alloc()
    __import__(name)
    gc.collect()
    return gc.mem_alloc() - before


stand_in()
for name in sys.argv[1:] if __name__ == "__main__" else ():
    print(name, weigh(name))
    micropython.qstr_info()
