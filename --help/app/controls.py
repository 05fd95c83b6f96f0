# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What ALLOW_CONTROL names: each control with the function that carries it out. Loaded only if it names something."""

import microcontroller

from battery.controls import f, b, h, j
from daly.core import o

from app.core import e


def d(a, d, e, g, h, j, k):
    """Add what the settings allow to `commands`. The functions return None or the code of a refusal.

    Each battery has topics of its own, and what comes on them goes to it alone. `battery_commands`, and the stores in
    `energy_stores`, are in the order of `batteries`.
    """

    def n(l, m):
        for t in h:
            if t.r() is not None:  # its result has to be published first
                return t.r()
        k.k()
        microcontroller.reset()
        return None

    for o, p in enumerate(g):
        q = c(e, p, h[o], j, k.n[o])
        for r in b:
            if r.key in d.allowed and r.key in q:
                s = d.base_topic + r.topic.replace("{}", p.key)
                a.add(s, r.a, i(q[r.key], r.a), name=(r.c, p))
    r = f["restart_bridge"]
    if r.key in d.allowed:
        s = d.base_topic + r.topic
        a.add(s, r.a, i(n, r.a), name=(r.c, None))


def i(a, b):
    return lambda c, d: j(a(c, d), b, c)


def c(a, b, c, d, e):
    """Key of a control -> what carries it out, of one battery."""

    def s(g, i):
        u = k(g)
        if u is None:
            return "not_understood"
        v = c.s()
        if v is None:
            w = d.now() if c.h else None  # NTP waits up to a second
            v = c.t(u, w, i)
        return v

    def t(j, l):
        x = e.q(j)
        if x is None:
            a.l(l, b)
            a.report(f"{f['energy'].c}: {h['done']}", b)
        return x

    return {
        "charge_mosfet": lambda m, n: c.switch("charge_mosfet", m == "ON", n),
        "discharge_mosfet": lambda o, p: c.switch("discharge_mosfet", o == "ON", p),
        "soc": s,
        "restart_bms": lambda q, r: c.restart(r),
        "energy": t,
    }


def k(a):
    """ "57.3" is 573; None for anything but digits with at most one decimal, 0 to 100."""
    b, c, d = a.partition(".")
    if not b.isdigit() or len(b) > 3 or (c and not (d.isdigit() and len(d) <= 1)):
        return None
    e = 10 * int(b) + int(d or 0)
    return e if e <= 1000 else None


def g(b, c):
    """The totals after "reset" or "energy_charged=1234.567"; None: it is not understood."""
    if c == "reset":
        return (0, 0, 0, 0)
    d, f, g = c.partition("=")
    h, i, j = g.partition(".")
    if d not in o or not a(h) or len(h) > 9 or (i and not a(j)):
        return None
    k = o.index(d)
    l = 1000 * int(h) + int((j + "000")[:3])
    if len(j) > 3 or l > e[k]:
        return None
    return b[:k] + (l,) + b[k + 1 :]


def a(a):
    for b in a:
        if not "0" <= b <= "9":
            return False
    return len(a) > 0
