# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The crash handler: an exception that nothing else catches is printed, stored, and restarts the chip with back-off."""

import sys
import time

import microcontroller
from adafruit_ticks import ticks_ms

from app.early import f

from .log import d, a
from .loop import b
from app.early import j
from app.early import g


  # a bridge that cannot start tries every five minutes


def run_with_restart(a):
    """Call `start()` and run the Loop it returns; when that ends or fails, restart the chip. Ctrl-C ends at the prompt."""
    d()
    b = 300
    try:
        b = t(c(a))
    except Exception as e:  # no memory left even for that
        print("The crash handler failed:", e)
    for f in range(b):
        time.sleep(1)
        g()
    microcontroller.reset()


def c(c):
    """Call `start()` and run the Loop it returns, None: nothing. Returns in at most 80 characters why it ended."""
    try:
        d = c()
        e()
        if d is not None:
            d.c()
    except Exception as f:
        a(f)
        return b("main", f)
    return "the program ended"


def e():
    """Unload app.main, of which nothing is used any more, and empty it.

    A board's garbage collection takes any word in memory that looks like a pointer for one: a single one to a function would
    keep the whole module. One did, 4.4 KB of 32-bit words.
    """
    a = sys.modules.get("app.main")
    f("app.main")
    for b in dir(a):
        if not b.startswith("__"):
            delattr(a, b)


def t(a):
    """Store the failure. Returns the seconds to wait before the restart: twice as many after each failed boot in a row."""
    b = j(microcontroller.nvm, ticks_ms())
    if a != b.failure:
        b.K(a)
        b.k()
    c = max(1, b.B)
    d = min(300, 2 << min(c - 1, 10))
    print(f"Failed ({a}), {c} times in a row; restarting in {d} s")
    return d
