"""Runs inside MicroPython, not here: the chip's modules as thin as can be, then modules are loaded and weighed.

`micropython vm.py NAME ...` imports them one after the other and prints each with the bytes of heap that came to stay. What the
stand-ins take is there before the first look. `-X heapsize` finds out how little heap it can be done with.
"""

import gc
import sys
import time

# what CircuitPython has in its flash
CHIP = ("bitmaptools", "board", "busdisplay", "busio", "digitalio", "displayio", "fourwire", "i2cdisplaybus", "microcontroller",
        "rtc", "socketpool", "ssl", "supervisor", "terminalio", "traceback", "usb_cdc", "watchdog", "wifi")  # fmt: skip
BUILT_IN = ("binascii", "builtins", "collections", "errno", "json", "micropython", "os", "random", "struct")
# what the libraries ask for where they are not on a board
TYPES = ("typing", "types", "circuitpython_typing", "circuitpython_typing.socket")


class Module:
    """A module in which every name stands for something."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Module


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
