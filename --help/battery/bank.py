# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""All batteries together: sums, extremes and what is missing, by integers. Loaded only where there are several batteries.

A value exists only when every battery that it is made of is online and knows its part now. Performs no I/O and has no clock.
"""

from daly.core import F
from daly.core import c

  # values written in one step

# Every key, in the order of the JSON; a new one stands behind the others, as its entity must not move to another message. Those
# that are readings of a battery, too, have its unit and decimals.
b = (
    "current",
    "power",
    "energy_charged",
    "energy_discharged",
    "capacity_charged",
    "capacity_discharged",
    "remaining_capacity",
    "rated_capacity",
    "soc",
    "pack_voltage",
    "max_cell_voltage",
    "max_voltage_cell",
    "max_cell_battery",
    "min_cell_voltage",
    "min_voltage_cell",
    "min_cell_battery",
    "cell_voltage_delta",
    "max_temperature",
    "max_temperature_battery",
    "problem",
    "batteries_online",
    "battery_count",
    "missing",
)
# the readings of each battery that these are made of
g = b[:11] + ("min_cell_voltage", "max_temperature", "problem")
# in series the same charge flows through all batteries, and the weakest one ends it
e = b[4:9]


class d:
    """The bank of several batteries (`Battery` of pack.py) as they are now. `is_series`: wired in series, else parallel.

    `count`: how many batteries there are.
    """

    def __init__(a, b, c=False):
        a.e = b
        a.E = c
        a.count = len(b)
        a.l: list = [0] * a.count  # of the value that is calculated

    def values(a, b):
        """The readings of a battery; None: it is offline."""
        c = a.e[b]
        return c.pack if c.g.online else None

    @property
    def online(a):
        """How many batteries are online."""
        return sum([a.values(b) is not None for b in range(a.count)])

    def raw(a, key):
        """The raw value of one of KEYS, of a reading as that of Pack.raw; a str for labels and words. None: not known now."""
        if key == "problem":
            return a.q()
        if key == "battery_count":
            return a.count
        if key == "batteries_online":
            return f"{a.online} of {a.count}"
        if key == "missing":
            return a._()
        if key == "cell_voltage_delta":
            b = a.raw("max_cell_voltage")
            c = a.raw("min_cell_voltage")
            return None if b is None or c is None else b - c
        if key[:4] in ("max_", "min_"):
            return a.w(key)
        return a._total(key)

    def j(a, key):
        """Read the parts of a value; False: one of them is not known."""
        for b in range(a.count):
            c = a.values(b)
            d = None if c is None else c.raw(key)
            if d is None:
                return False
            a.l[b] = d
        return True

    def _total(a, key):
        if not a.j(key):
            return None
        b = a.l
        if key in e and a.E:
            return min(b)
        if key == "soc":
            return a.D(b)
        c = sum(b)
        d = key == ("current" if a.E else "pack_voltage")
        return f(c, a.count) if d else c

    def D(a, b):
        """The mean of the parts, each weighted by the battery's rated capacity."""
        c = d = 0
        for e in range(a.count):
            g = a.values(e).raw("rated_capacity")
            if not g:
                return None
            c += b[e] * g
            d += g
        return f(c, d)

    def w(a, key):
        """The highest (lowest) cell or temperature, its number in its battery, or the label of that."""
        b = "max_temperature" if "temperature" in key else key[:4] + "cell_voltage"
        if not a.j(b):
            return None
        c = max(a.l) if key[:4] == "max_" else min(a.l)
        if key == b:
            return c
        d = a.l.index(c)
        return a.e[d].a if key.endswith("_battery") else a.values(d).raw(key)

    def q(a):
        """1 while any battery has an alarm, whatever is known of the others; 0 only while none of them has."""
        b = a.j("problem")
        for c in range(a.count):
            d = a.values(c)
            if d is not None and d.raw("problem"):
                return 1
        return 0 if b else None

    def _(a):
        """Which batteries or readings are missing, and why; "none"."""
        b = []
        for c in range(a.count):
            d = a.e[c]
            e = a.values(c)
            if e is None:
                f = d.g.online  # but some readings, or their state, are still to come
                h = "being read" if f else d.g.bE.text.partition(":")[0]  # the remedy is its own
                b.append(d.a + ": " + h.rstrip(".") + ".")
                continue
            i = [j for j in g if e.raw(j) is None]
            if i:
                b.append(d.a + ": no " + ", ".join(i) + ".")
        return F(b)


def a(g, a):
    """Write a bank's raw values, in the order of KEYS, as one JSON object: a generator, a few in each step; yields False."""
    for d in range(len(b)):
        if not d % 3:
            yield False
        e = b[d]
        f = a[d]
        g.r(b',"' if d else b'{"').r(e).r(b'":')
        if f is None:
            g.r(b"null")
        elif e == "problem":
            g.r(b'"ON"' if f else b'"OFF"')
        elif isinstance(f, str):
            g.h(f)
        else:
            g.f(f, c[e].d if e in c else 0)
    g.r(b"}")


def f(a, b):
    """total / count as an integer, halves away from zero."""
    c = (2 * abs(a) + b) // (2 * b)
    return c if a >= 0 else -c
