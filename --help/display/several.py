# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The screen of several batteries: which page has its turn, and those that one battery does not have. Loaded only with several.

The trouble of each battery comes first, with its label; of the readings, those of the bank first. `label`: a battery's name;
`bank` has raw(key) like a Pack, and `online` and `count`, how many of its batteries are online and how many there are.
"""

from daly.core import h, active
from daly.core import c
from daly.core import m

from display import core as t
from display.core import UNKNOWN, d, f, g, e

  # batteries whose cells are shown, too: with more it would take a minute until a page is there again













  # characters of a label that is not alone in its line


class b:
    """The pages of these Battery tuples and of their bank. `screen`: turns them, and has those of the network."""

    def __init__(b, c, d, e, f, g):
        b.h = c
        b.e = d
        b._bank = a(e)
        b.i = f
        b.g = g
        b.j = False  # the page made last is an alarm's

    def r(a, b):
        """Make the page that has its turn: yields None after each piece of a millisecond or two, and then the page.

        `trouble`: the network's, in words.
        """
        c = a.h
        d: list = []
        e = []
        f = []
        g = []
        for h in a.e:
            j = active(h.pack) or []
            k = h.g.bE.short
            d.append((j, k[:1], h.pack.raw("mode")))
            e += [(h, u) for u in j if u[1] >= 2]
            if k:
                f.append((h, k))
            else:
                g.append((h, j))
            yield None
        c.T(d)
        a.j = len(e) > 0
        if e:
            l = c.R(len(e))
            h, m = e[l]
            n = f"{l + 1}/{len(e)}" if len(e) > 1 else ""
            yield alarm(h.pack, m, n, a.i, h.a)
            return
        o = c.U(b)
        a._bank.c()
        yield None
        p = len(f) + len(o)
        q = a.f(len(g))
        l = c.R(p + q + c.Q())
        if l < len(f):
            h, k = f[l]
            yield i(k, b, a.i, h.a)
        elif l < p:
            yield o[l - len(f)]
        elif l >= p + q:
            yield c.more(l - p - q)
        else:
            l -= p
            r = a.c(l, q)
            for s in r:
                a._bank.d(s)
                yield None
            yield a.p(l, q, g, t.q(b))

    def f(a, b):
        """How many pages of readings there are."""
        if not b:
            return 0
        if not a.g:
            return 1
        return 2 * a.d() + b * (2 if len(a.e) <= 3 else 1)

    def d(a):
        """How many pages come before those of the batteries, and how many after: a bank that lacks one has no sums to show."""
        return 2 if a._bank.online == a._bank.count else 1

    def c(a, b, c):
        """What this page says of the bank."""
        if b == 0:
            return ('soc', 'pack_voltage', 'current', 'power', 'remaining_capacity', 'rated_capacity')
        if a.d() == 1 or 1 < b != c - 2:
            return ()
        return ('max_cell_voltage', 'max_voltage_cell', 'max_cell_battery', 'min_cell_voltage', 'min_voltage_cell', 'min_cell_battery', 'cell_voltage_delta', 'max_temperature', 'max_temperature_battery') if b == 1 else ('energy_charged', 'energy_discharged', 'remaining_capacity')

    def p(b, c, d, e, a):
        """The bank, its cells, each battery that is online, with its warnings, the energy of all, and the network."""
        f = b.d()
        g = c - f
        if 0 <= g < d - 2 * f:
            h, i = e[g % len(e)]
            a = t.warning(i) or a
            if g < len(e):
                return j(h.pack, b.i, a, h.a)
            return cells(h.pack, b.i, a, h.a)
        if c and c == d - 1:
            return b.h.S(a)
        for h, i in e:
            if i:
                a = warning(i, h.a)
                break
        if c == 0:
            return s(b._bank, b.i, a)
        return (q if c == 1 else r)(b._bank, b.i, a)


class a:
    """What is known of the bank: each of its values takes a look at all batteries, so only one is taken at a time."""

    def __init__(a, b):
        a._bank = b
        a.s: dict = {}
        a.count = b.count
        a.online = 0

    def c(a):
        """Look how many batteries are online."""
        a.online = a._bank.online

    def d(a, key):
        """Look at one value."""
        a.s[key] = a._bank.raw(key)

    def raw(a, key):
        """It, as it was then."""
        return a.s[key]


# One of the batteries


def i(a, b, c, d):
    """Why this one has no data: `link` is the reason in two lines, `trouble` that of the network; "": none."""
    f = [e(d), a[0]]
    if a[1]:
        f.append(a[1])
    if len(f) < c:
        f += [""] * (c - 1 - len(f)) + [t.q(b)]
    return t._(f, c)


def alarm(b, c, i, j, a):
    """An active protection or fault: its name, whose it is, and charge, voltage and current where there is room for them.

    `fault` is (name, level), `which` is "1/2" when there are several, else "".
    """
    k, l = c
    a = e(a)
    m = ["  " + n for n in t.k(k, 21 - 2)[:2]]
    if j == 3 and len(m) > 1:
        m.append(o(a, i))
    elif j == 3:
        m += ["  " + a, f(t.v(b) + " " + t.short(b, "current", "A"), i)]
    else:
        m += [""] * (2 - len(m)) + [a, h[l] + " " + i]
        m += [f(t.v(b), t.short(b, "pack_voltage", "V"))]
        m += [f(t.A(b), t.short(b, "current", "A"))]
    return d(g(m, j), "!", None, b"")


def warning(a, b):
    """Its most severe warning in the last line of a page that is not its own."""
    c = f" +{len(a) - 1}" if len(a) > 1 else ""
    return (e(b)[:8] + ": " + a[0][0])[: 21 - len(c)] + c


def j(a, b, c, h):
    """As that of the only battery, with the label in the second line; on the small screen the power takes the bar's place."""
    i = [f('        ' + t.short(a, "pack_voltage", "V"), t.short(a, "current", "A"))]
    i.append('        ' + e(h))
    if b == 3:
        i.append(c or f(t.A(a), t.y(a, "mode")))
    else:
        i += ["", f(t.A(a), t.B(a, "remaining_capacity", 1, "Ah"))]
        i += [f(t.w(a, "temperature", "C"), t.delta(a)), c or t.x(a)]
    return d(g(i, b), t.v(a), a.raw("soc") if b == 6 else None, b"")


def cells(a, b, c, f):
    """As those of the only battery, with label and delta in the first line; the small screen has no room for cells' numbers."""
    h = [o(e(f), t.s(a))]
    if b == 6:
        h += [t.p(a, "max"), t.p(a, "min"), "", "", c]
    else:
        i = t.y(a, "min_cell_voltage")
        h += [i and i + " to " + t.y(a, "max_cell_voltage") + " V", c]
    j = t.n(a, t.b[b]) if b == 6 or not c else b""
    return d(g(h, b), "", None, j)


# The bank


def s(a, b, c):
    """State of charge, voltage, current and power of all batteries together, and how many of them are online."""
    e = [
        f('        ' + t.short(a, "pack_voltage", "V"), t.short(a, "current", "A")),
        f('        ' + f"{a.online} of {a.count}", p(a)),
        c if b == 3 else "",
    ]
    if b == 6:
        e += [f("left", k(a, "remaining_capacity", "Ah"))]
        e += [f("of", k(a, "rated_capacity", "Ah")), c]
    return d(g(e, b), t.v(a), a.raw("soc") if b == 6 or not c else None, b"")


def q(a, b, c):
    """The highest and the lowest cell of all batteries and whose they are, their delta, and the highest temperature."""
    h = a.raw("cell_voltage_delta")
    i = UNKNOWN if h is None else f"{h} mV"
    j = [l(a, "max"), l(a, "min")]
    if b == 6:
        k = a.raw("max_temperature")
        m = e(a.raw("max_temperature_battery") or "")
        j += [f("delta", i), "", n(f"max {UNKNOWN if k is None else k} C", m), c]
    else:
        j.append(c or f("delta", i))
    return d(g(j, b), "", None, b"")


def r(a, b, c):
    """Energy charged and discharged of all batteries, and how much is left."""
    e = [f("in", k(a, "energy_charged", "kWh")), f("out", k(a, "energy_discharged", "kWh"))]
    h = f("left", k(a, "remaining_capacity", "Ah"))
    e += [h, "", "", c] if b == 6 else [c or h]
    return d(g(e, b), "", None, b"")


def o(a, b):
    """A label, as much of it as there is room for, and a text at the end of the line."""
    return f(a[: 21 - 1 - len(b)], b)


def n(a, b):
    """A text at the beginning of the line, and as much of a label as there is room for at its end."""
    return f(a, b[: 21 - 1 - len(a)])


def k(a, key, b):
    """A value with one decimal."""
    d = a.raw(key)
    return UNKNOWN if d is None else m(d // 10 ** (c[key].d - 1), 1) + " " + b


def p(a):
    """The power in at most 6 characters: in kilowatts where watts are longer."""
    b = a.raw("power")  # in hundredths of a watt
    if b is None:
        return UNKNOWN
    c = m((b + 50) // 100, 0) + " W"
    if len(c) > 6:
        c = m((b + 5000) // 10000, 1) + "kW"
    return c if len(c) <= 6 else m((b + 50000) // 100000, 0) + "kW"


def l(a, b):
    """The voltage of the highest ("max") or lowest ("min") cell, its battery and its number there."""
    c = a.raw(b + "_cell_voltage")
    if c is None:
        return b + " " + UNKNOWN
    d = f" #{a.raw(b + '_voltage_cell')}"
    g = e(a.raw(b + "_cell_battery") or "")[: 21 - 10 - len(d)]
    return f(f"{b} {m(c, 3)}", g + d)
