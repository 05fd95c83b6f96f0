# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Wakes a sleeping BMS by its wake line, if the settings allow it and the battery is above its limits. No I/O, no clock.

A BMS that is woken again and again can discharge a pack completely (Daly2MQTT#81). So every pulse needs: the BMS has worked
and is asleep now, its last known readings are above the limits, and the last pulse is long enough ago.
"""

from adafruit_ticks import ticks_add, ticks_diff

  # as Daly2MQTT pulses its wake line
  # between two calls



class a:
    """Decides about pulses. `drive(active)` sets the pin; `every_min`, `min_soc` (%), `min_cell_mv`: the limits."""

    def __init__(a, b, c, d, e, f):
        a.l = b
        a.h = c
        a.f = d
        a.k = 10 * e
        a.j = f
        a.q = None
        a.d = None
        a.m = None
        a.o = None
        a.i = 0
        a.n = None
        a.r = 0
        c(False)

    def c(a, b):
        """Remember what the battery last said, end a pulse, begin one where the policy allows it. Returns the ms until
        it should be called again."""
        a.p()
        a.e(b)
        if a.o is not None:
            if ticks_diff(b, a.o) >= 0:
                a.o = None
                a.h(False)
        elif a.g():
            a.o = ticks_add(b, 250)
            a.i = a.f
            a.n = ticks_add(b, 60000)  # whole minutes from here on
            a.r += 1
            a.h(True)
        return 50

    def p(a):
        c = a.l.pack
        d = c.raw("soc")
        a.q = a.q if d is None else d
        if c.f != a.m:  # 48 cells are not looked at in every pass
            a.m = c.f
            e = b(c.raw("min_cell_voltage"), c.Z()[1])
            a.d = a.d if e is None else e

    def e(a, b):
        if a.n is None:
            a.n = ticks_add(b, 60000)
        elif ticks_diff(b, a.n) >= 0:
            a.n = ticks_add(a.n, 60000)
            a.i = max(0, a.i - 1)

    def g(a):
        if a.i or not a.l.bE.I:
            return False
        if a.q is None or a.d is None:
            return False  # a battery of which nothing is known is left in peace
        return a.q >= a.k and a.d >= a.j


def b(a, b):
    """The lower one of two numbers, of which either may be None; not every board says which cell is the lowest."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)
