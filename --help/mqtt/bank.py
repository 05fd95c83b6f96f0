# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on the bank of several batteries, and when: their sum as they were published. Loaded only with several."""

from adafruit_ticks import ticks_add, ticks_diff

from battery.bank import b, d, a



  # values calculated in one step


class c(d):
    """The bank's messages: its state, on <base>/bank/state, and its discovery.

    It is calculated from the values that subscribers have: the exact sum of the batteries' states before it. `shared`: the
    Publisher, `publishers` its batteries; `parts`: the range of the discovery messages on the bank; `fast_ms`: the least time
    between two states, unless an alarm, or which batteries are online, has changed.
    """

    def __init__(a, c, d, e, f, g):
        super().__init__([h.battery for h in d], g)
        a.i = c
        a.A = d
        a.v = e
        a.g = f
        a.k: list = [None] * len(b)

    def values(a, b):
        """The published readings of a battery; None: it is offline for subscribers."""
        c = a.A[b]
        return c.d if c.phase == 4 else None

    def c(a, b):
        """A new connection: publish everything again."""
        a.m()
        a.o(b)

    def m(a):
        """Publish discovery again."""
        a.p = a.v[0]

    def o(a, b):
        """Publish the state again, changed or not."""
        a.u = False  # since then
        a.B = None  # how many states of batteries had been published when it was calculated
        a.z = None  # `_urgency` of then
        a.f = a.h = b

    def n(a, b):
        """The next discovery message."""
        if a.s():
            return None
        a.p += 1
        a.i.an(b)
        return a.i.k(a.p - 1, b)

    def s(a):
        """Whether all discovery messages have been sent."""
        return a.p >= a.v[1]

    def state(a, b):
        """The state, when the published state of a battery has changed it."""
        c = 0
        for d in a.A:
            e = d.phase
            if e == 0 or e == 3 or (e == 2 and d.g.r):
                return None  # its first state in this connection, or its status online, comes in a moment
            c += d.ac
        f = ticks_diff(b, a.h) >= 0
        if not f:
            if c == a.B:
                return None
            if ticks_diff(b, a.f) < 0 and a.z == a.C():
                return None
        a.B = c
        a.f = ticks_add(b, a.g)
        return a.i.write(a.d(b, f), a.i.ad + "/bank/state", a.i.retain)

    def C(a):
        """How many batteries are online, and whether there is an alarm: told at once when it changes."""
        return 2 * a.online + (a.raw("problem") or 0)

    def d(c, d, e):
        """Calculate all values, and if one has changed, or `must`, write them; nothing is published meanwhile."""
        f = c.k
        g = e
        for h in range(len(b)):
            if not h % 3 or b[h] == "missing":
                yield False
            i = c.raw(b[h])
            g = g or i != f[h]
            f[h] = i
        c.z = c.C()
        if not g:
            yield None
        c.h = ticks_add(d, 10000)
        yield from a(c.i.g.clear(), f)
        c.u = True
        yield True
