# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on a source (battery/sources.py), and when. Loaded only where there is one."""

from adafruit_ticks import ticks_add, ticks_diff


from battery.sources import c




  # how often a source that has changed is compared with what was published
  # values compared in one step


class a:
    """The messages on a source: its state, on <base>/<key>/state, and its discovery.

    `shared`: the Publisher; `first_part`: number of its first discovery message; `fast_ms`: the least time between two states,
    unless a BINARY or an ENUM has changed, or a value is not known any more. `is_published`: since `begin` or `republish`.
    """

    def __init__(a, b, c, d, e):
        a.i = b
        a.p = c
        a.e = b.ad + "/" + c.key + "/state"
        a.r = d
        a.g = e
        a.k: list = []  # raw values of the rows
        a.l = 0  # when numbers and texts may be published next
        a.c(0)

    def c(a, b):
        """A new connection: publish everything again."""
        a.m()
        a.o(b)

    def m(a):
        """Publish discovery again."""
        a.j = 0  # rows in the discovery messages
        a.q = None  # when the last of them was sent; None: long enough ago

    def o(a, b):
        """Publish the state again, changed or not."""
        a.u = False
        a.f = a.h = b  # when it is compared next, and published whatever has changed
        a.K = None  # `changes` of the source of then

    def state(a, b):
        """The state, when it is due."""
        c = ticks_diff(b, a.h) >= 0
        if not c and (a.p.f == a.K or ticks_diff(b, a.f) < 0):
            return None
        a.K = a.p.f
        a.f = ticks_add(b, 200)
        return a.i.write(a.d(b, c), a.e, a.i.retain)

    def d(a, b, d):
        """Compare all values, and if one has changed, or `must`, write them."""
        e = a.p.k
        f = []
        g = d
        h = False
        for i in range(len(e)):
            if i and not i % 4:
                yield False
            j = e[i]
            k = None if j.name is None else a.p.raw(j.key)
            f.append(k)
            l = a.k[i] if i < len(a.k) else None
            if k == l:
                continue
            if j.e in (1, 2) or k is None or l is None:
                g = True
            elif j.e != 0 or abs(k - l) >= j.f:
                h = True
        if h and not g:
            g = ticks_diff(b, a.l) >= 0
            if not g:
                a.K = None  # look again
        if not g:
            yield None
        a.l = ticks_add(b, a.g)
        a.h = ticks_add(b, 10000)
        a.k = f
        a.u = True
        yield from c(a.i.g.clear(), e, f)
        yield True

    def t(a):
        """Whether each of its sensors has a value, and subscribers know of all that is known."""
        if not a.p.i() or len(a.k) != len(a.p.k):
            return False
        for b, c in zip(a.p.k, a.k):
            if b.name is not None and (a.p.raw(b.key) is None) != (c is None):
                return False
        return True

    def s(a):
        """Whether all discovery messages have been sent."""
        return a.j >= len(a.p.k)

    def n(a, b):
        """The next discovery message; rows that have come since are announced with the message they belong to."""
        if a.q is not None and ticks_diff(b, a.q) >= 6000:
            a.q = None  # soon: days later it could not be compared any more
        if a.s():
            return None
        c = len(a.p.k)
        if a.j % 5 and a.q is not None:
            return None  # Home Assistant applies only part of the same message when it comes again too soon
        d = a.j // 5
        a.j = min(c, (d + 1) * 5)
        a.q = b
        a.i.an(b)
        return a.i.k(a.r + d, b)
