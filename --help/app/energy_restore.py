# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the energy counters of a battery continue from after a start. Loaded until chip and broker have been asked."""

from daly.core import o

from app.core import e

# What can have been counted since the record, which is up to an hour old: two hours at 300 V and 1500 A



class a:
    """Restores the counters of one battery. `topics`: where the broker may retain them; `owner`: the bridge as a number.

    `record`: what is stored, `stored`: the totals in it; None: the chip's memory has not been read. `missing`: the topics whose
    retained state has not arrived.
    """

    def __init__(a, b, c, d, j, e):
        a._battery = c
        a.e = b
        a.h = c.pack.energy
        a.n = j
        a.m = e
        a.c = [0, 0, 0, 0]  # the totals at the start
        a.p = [0, 0, 0, 0]
        a.o = ""
        a.i = a.stored = None
        a.missing = list(d)
        a.l = False
        a.d()

    def d(a):
        """Restore from the chip's memory, as soon as it has been read."""
        if a.i is None and a.e.I:
            a.i = a.e.i(a._battery.number)
            a.stored = a.i.f or (0, 0, 0, 0)
            if a.i.j in (0, a.n):
                a.c = list(a.stored)
                a.k(a.c)

    def k(a, b):
        """Restore the totals `before` the start; what has been counted since is added."""
        a.h.load((0, 0, 0, 0))
        a.h.load([c + d for c, d in zip(b, a.h.f())])

    def f(a, d, e):
        """Restore from `state`, the payload retained on one of the topics: JSON or its beginning. It may be forged."""
        if d in a.missing:
            a.missing.remove(d)
        for f, g in enumerate(o):
            h = c(e, g)
            if h is not None and h <= a.g(f):
                a.p[f] = max(a.p[f], h)
            elif h is not None:
                i = b(a.c[f])
                a.o = f"the broker has {g} {b(h)}, this board {i}"

    def g(a, b):
        """The largest plausible total: what can have been counted since the record; without one, by a battery in its life."""
        c = a.i
        if c is not None and c.f is not None and c.j == a.n:
            return c.f[b] + (900000, 900000, 3000000, 3000000)[b]
        return e[b]

    def j(a):
        """Nothing more is retained."""
        a.l = True

    def q(a):
        """Restore the larger ones, once everything has been asked. Returns whether that is done."""
        a.d()
        if not a.l or a.i is None:
            return False
        b = a.i.j
        c = a.h.f()
        if b not in (0, a.n) and not any(a.p):
            a.k(a.stored)  # nothing else is known: it is the same battery under another identity
        elif c is None:
            a.k(a.p)
        else:
            d = [f - g for f, g in zip(c, a.c)]
            a.h.load([max(h, i) + j for h, i, j in zip(a.p, a.c, d)])
        if b != a.n:
            a.e.set(a.i, j=a.n)
        if a.o:
            e = f"Energy counters: implausible, {a.o}; see energy in ALLOW_CONTROL"
            print(f"{a._battery.a}: {e}" if a._battery.a else e)
            if a.m is not None:
                a.m(e, a._battery)
        return True


def b(a):
    return f"{a // 1000}.{a % 1000:03d}"


def c(a, key):
    """The number with three decimals after `"key":` in JSON as bytes, as an integer of thousandths; None: there is none."""
    b = b'"' + key.encode() + b'":'
    c = a.find(b)
    if c < 0:
        return None
    d = 0
    e = None
    for f in a[c + len(b) :]:
        if 48 <= f <= 57 and e != 3:
            d = 10 * d + f - 48
            e = None if e is None else e + 1
        elif f == 46 and e is None:  # "."
            e = 0
        else:
            break
    return d if e == 3 else None
