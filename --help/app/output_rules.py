# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads the rules of the settings: on the board at its start, and on a PC to check a file. Forgotten afterwards."""

from app.early import f
from mqtt.entities import a
from outputs.rules import b, h, i, e




def d(a, b, d):
    """(number, Rule, name of its pin, whether it is active low) of each output; Rule None, with one more problem: a mistake.

    `sensors`: sources that there will be.
    """

    def k(g):
        return c(a, g.key)

    m = h([f"bms{w.number}" for w in a.boards], b, j, l, k)
    n = []
    for o in range(1, 8 + 1):
        p = f"OUTPUT_{o}"
        q = a.value(p)
        if q:
            r, s = i(q, m)
            if s is not None:
                d.append(f"{a.m(p)}, {s}; until then it stays off.")
            t, u = e(q)
            n.append((o, r, t, u))
    if m.n("time") and not a.NTP_SERVER:
        d.append("NTP_SERVER is empty, so the time that an output names is never known; write a server.")
    for v in ("outputs.rules", "mqtt.entities", "app.advice"):
        f(v)
    return n


def c(a, key):
    """The names of the values of a source."""
    if key == "supply":
        return ["voltage"]
    if key != "temperatures":
        from sensors.vedirect_tables import e as b  # which device it is, is known when it has sent something

        c = [g.key for d in (False, True) for e, g, e in b(d)]
        f("sensors.vedirect_tables")
        return c + ["problem"]
    return [h.partition("=")[2] for h in a.value("DS18B20_NAMES").split(",") if "=" in h] + ["problem"]


def g(a):
    """The keys of the sources that these settings name."""
    return [c for c, d in b.values() if a.value(d)]


def j(b):
    """The unit of a reading; None: it has none."""
    return a(b).t


def l(name, a):
    """The one of these names that may be meant with a mistyped one; None: none is like it."""
    from . import advice as b  # only for a mistake

    return b.l(name, a)
