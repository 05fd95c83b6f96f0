# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The cooperative loop: calls the `tick(now)` of each job in turn; a job that fails does not stop the others.

The watchdog is fed only when the critical job, polling the BMS, has run: a loop without it is of no use. On a slow
chip the other jobs get the time in which nothing is expected on the line: the next request should not wait for a message or the
screen.
"""

import gc
import time

from adafruit_ticks import ticks_add

from .log import a

# The back-off of a job that failed, twice as long after each failure in a row


  # in a row: 1 + 2 + 4 + 8 + 16 s without the critical job, then the chip is restarted
# Between two passes, for the chip's own tasks. A byte takes a millisecond on the line, and less is busy waiting on the chip.

  # interval of the garbage collection, at one known point
  # of feeding the watchdog
  # the longest that a job waits for the line
  # of the ticks



class c:
    """One job. `tick(now)` does a bounded piece of work, and returns for how many ms it need not be called; None: call it
    in the next pass."""

    def __init__(a, name, b, c):
        a.name = name
        a.g = c()  # when it is called next
        a.h = 0  # the longest that a call took of late
        a.e = 0  # in a row
        a.d = b
        a.r = c

    def c(a, b):
        """Call it at the tick `now`; returns the tick afterwards."""
        c = a.d(b)
        a.e = 0
        d = a.r()
        e = (d - b) & 536870911
        if e < a.h:
            e = 3 * a.h // 4  # the next calls are seldom as long as the longest
        a.h = e
        a.g = ticks_add(b, c) if c else b
        return d

    def f(a):
        """It failed: leave it alone, twice as long as the time before."""
        a.g = ticks_add(a.r(), min(60000, 1000 << min(a.e, 10)))
        a.e += 1


class d:
    """Calls the jobs for ever. `clock()` returns ticks in ms, `feed()` feeds the watchdog.

    `critical`: the name of the job without which the watchdog is not fed; None: it is always fed. `free_ms(now)`: how long
    nothing is expected on the line; None: there is no line.
    """

    def __init__(a, b, c=None, d=None, f=None):
        a.r = b
        a.l: list = []  # all but the critical one
        a.h = d
        a.g = None
        a.i = c
        a.k = f
        a.j = b()
        a.e = 0
        a.m = None  # "job: exception", the latest; None: there was none
        a.u = 0  # longest pass since the last reset_longest()
        a.add("memory", e)

    def add(a, name, b):
        """One more job, called after those added before it."""
        d = c(name, b, a.r)
        if name == a.h:
            a.g = d
        else:
            a.l.append(d)

    def c(a):
        """Run for ever. Raises RuntimeError when the critical job keeps failing."""
        while True:
            # while a response is about to be whole nobody waits: the next request goes out at once
            time.sleep(0.001 if a.step() else 0)

    def step(a):
        """One pass over the jobs. Returns whether there is time for a pause."""
        b = c = a.r()
        d = a.g
        e = 100
        if d is not None:
            if (c - d.g) & 536870911 < 268435456:
                c = a.f(d, c)
            if a.k is not None:
                e = a.k(c)
            if e <= 1:
                a.d(b, c)
                return False
        for f in a.l:
            g = (c - f.g) & 536870911  # as ticks_diff, which would take longer than some jobs
            if g < 268435456 and (f.h < e or g >= 100):
                h = a.f(f, c)
                e -= (h - c) & 536870911
                c = h
        if a.i is not None and (c - a.j) & 536870911 < 268435456 and (d is None or not d.e):
            a.j = ticks_add(c, 500)
            a.i()
        a.d(b, c)
        return e > 1

    def d(a, b, c):
        d = (c - b) & 536870911
        if d > a.u:
            a.u = d

    def n(a):
        """Start measuring the longest pass again."""
        a.u = 0

    def f(c, d, e):
        """Call a job; returns the tick afterwards."""
        try:
            return d.c(e)
        except Exception as f:  # a bug in one job: print it, back off, go on with the others
            c.e += 1
            c.m = b(d.name, f)
            a(f)
            d.f()
            if d is c.g and d.e > 5:
                raise RuntimeError(c.m) from None
            return c.r()


def e(a):
    gc.collect()
    return 5000


def b(name, a):
    """A failure in at most 80 characters."""
    return f"{name}: {type(a).__name__} {a}"[:80]
