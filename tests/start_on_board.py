# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Runs inside MicroPython, not here: code.py up to the loop, with stand-ins for the chip that do nothing; what stays loaded.

`micropython start_on_board.py [FREE]` prints "live" with the bytes of heap in use before and after the start, and the modules.
FREE: what gc.mem_free() returns, instead of the truth.
"""

import gc
import sys
import time

import micropython

CHIP = ("bitmaptools", "board", "busdisplay", "busio", "digitalio", "displayio", "fourwire", "i2cdisplaybus", "microcontroller",
        "rtc", "socketpool", "ssl", "supervisor", "terminalio", "traceback", "usb_cdc", "watchdog", "wifi")  # fmt: skip
LATER = ("binascii", "builtins", "collections", "errno", "json", "micropython", "os", "random", "struct")
TYPES = ("typing", "types", "circuitpython_typing", "circuitpython_typing.socket")


class Anything:
    """Has every attribute, takes every argument, and does nothing."""

    def __init__(self, *_arguments, **_named):
        pass

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything

    def __getitem__(self, index):
        return 0

    def __setitem__(self, index, value):
        pass


class Stop(BaseException):
    """The loop would begin now, or the time is over."""


for name in CHIP + TYPES:
    sys.modules[name] = Anything()
for name in LATER:
    __import__(name)
sys.modules["supervisor"].ticks_ms = lambda: time.ticks_ms() & 0x1FFFFFFF
sys.modules["usb_cdc"].console = None
chip = sys.modules["microcontroller"]
chip.cpu = Anything()
chip.cpu.uid = b"\xc0\xff\xee"
chip.nvm = bytearray(8192)
chip.watchdog = Anything()
board = sys.modules["board"]
board.board_id = "none"
board.TX = board.RX = board.SDA = board.SCL = Anything()
board.IO1 = Anything()
board.IO2 = Anything()
chip.Pin = Anything
sys.modules["wifi"].radio = Anything()
sys.modules["terminalio"].FONT = Anything()
sys.modules["terminalio"].FONT.bitmap = Anything()
sys.modules["watchdog"].WatchDogMode = Anything()
sys.modules["watchdog"].WatchDogTimeout = OSError
waited = [0]


def sleep(seconds):
    waited[0] += seconds
    if waited[0] > 90:
        raise Stop


def run(self):
    raise Stop


import adafruit_ticks  # noqa: F401, E402

gc.collect()
free_at_start = gc.mem_free()
before = gc.mem_alloc()
import app.crash as crash  # noqa: E402

crash.time = Anything()
crash.time.sleep = sleep
import app.memory as memory  # noqa: E402

memory.time = crash.time
if len(sys.argv) > 1:
    memory.gc = Anything()
    memory.gc.collect = gc.collect
    memory.gc.mem_free = lambda: int(sys.argv[1])
del memory
import app.loop as loop  # noqa: E402

loop.Loop.run = run


def start():
    from app.main import main

    return main()


try:
    crash.restart(crash.run(start))
except Stop:
    pass
gc.collect()
print("live", before, gc.mem_alloc(), free_at_start)
print("modules", " ".join(sorted(sys.modules)))
micropython.qstr_info()
