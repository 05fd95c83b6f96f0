# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads the rule of an output: what a person has written becomes a Rule, or a sentence on the first mistake with its column.

    [Name:] PIN on when TEST [and|or TEST]... [off when TEST [and|or TEST]...] [, OPTION]...

Loaded at the start and forgotten afterwards: what remains are the objects of output.py and values.py.
"""

from daly.core import c, j

from outputs.core import r, u
from outputs.core import g, l, n, o, t, w, q, x, p



















  # in one condition

  # of a thermometer, as sensors/ds18b20.py has it
  # on and off for at least

f = "IO5 on when soc > 80 off when soc < 60"

z = (">", ">=", "<", "<=", "=", "!=", "is")

k = {"==": "=", "=>": ">=", "=<": "<=", "<>": "!=", "≥": ">=", "≤": "<=", "≠": "!="}
A = {"s": 1, "min": 60, "h": 3600}
m = {"on": 1, "off": 2, "keep": 3, "ignore": 4}
# what a value of a sensor begins with -> key of its source, setting that there must be
b = {
    "ds18b20": ("temperatures", "DS18B20_PIN"),
    "vedirect1": ("vedirect1", "VEDIRECT_1_RX"),
    "vedirect2": ("vedirect2", "VEDIRECT_2_RX"),
    "supply": ("supply", "SUPPLY_PIN"),
}


class h:
    """Finds what a rule names.

    `batteries`: their keys, "bms1" first; `sources`: the sensors; `unit_of(row)`: the unit of a reading, None for none;
    `nearest(name, names)`: the name that is most like another one, None where none is; `values_of(source)`: the names of the
    values that a sensor may have, besides the numbers of thermometers; None: nobody knows them beforehand.
    """

    def __init__(a, b, sources, c, d, e=None):
        a.e = b
        a.l = sources
        a.k = c
        a.i = d
        a.c = e
        a.m: dict = {}  # the same value in several rules is one object: it looks at the cells once

    def find(a, name):
        """The Value. Raises ValueError with the end of a sentence where there is none."""
        if name not in a.m:
            a.m[name] = a.s(name)
        return a.m[name]

    def n(a, name):
        """Whether a rule has named this value."""
        return name in a.m

    def s(a, name):
        c, d, e = name.partition(".")
        if name == "time":
            return q()
        if not d or not c:
            return a.p(name, a.e[0], name)
        if c in b:
            return a.j(name, b[c], e)
        if c == "bank":
            return a.h(name, e)
        if c in a.e:
            return a.p(name, c, e)
        f = a.e + (["bank"] if len(a.e) > 1 else []) + sorted(b)
        raise ValueError(f"there is no {c}, only {', '.join(f)}")

    def p(a, name, b, key):
        c, e = y(key)
        if c is None:
            raise ValueError(f"there is no reading {key or name}; {a.d(key, d() + ['time'])}")
        a.f(name, c)
        f = a.k(c) or ""
        return l(name, b, c, f) if key in g else t(name, b, c, e, f)

    def h(a, name, key):
        if len(a.e) < 2:
            raise ValueError(f"there is only one battery, so no bank; write {key or 'soc'}")
        from battery.bank import b  # which is there already

        d = [e for e in b if e in c and c[e].e in (0, 1)]
        if key not in d:
            raise ValueError(f"the bank has no {key}; {a.d(key, d)}")
        return n(name, c[key], a.k(c[key]) or "")

    def j(a, name, b, key):
        for c in a.l:
            if c.key == b[0]:
                if not key:
                    raise ValueError(f"write which of its values, as {name.strip('.')}.{s(c)}")
                a.g(c, name, key)
                return o(name, c, key)
        raise ValueError(f"{name.partition('.')[0]} is not there without {b[1]}; write its pin")

    def g(a, b, name, key):
        c = a.c(b) if a.c is not None else None
        if c is not None:
            c = [p(f) for f in c]
        if c is None or key in c or (b.key == "temperatures" and v(key)):
            return
        d = a.i(key, c) if c else None
        e = (
            f"write its number of {14} digits, or a name of DS18B20_NAMES"
            if b.key == "temperatures"
            else ", ".join(c)
        )
        raise ValueError(f"there is no {name}; {'did you mean ' + d if d else e}")

    def f(a, name, b):
        if b.e not in (0, 1, 2):
            c = "problem" if b.key == "active_alarms" else "soc"
            raise ValueError(f"{name} is a text and cannot be compared; take another reading, such as {c}")

    def d(a, name, b):
        c = a.i(name, b)
        return f"did you mean {c}" if c else "docs/MQTT.md lists them"


def d():
    """The keys of all readings that can be compared, with 1 for the numbers of cells and sensors."""
    return [a.key.replace("{}", "1") for a in j if a.e in (0, 1, 2)]


def y(key):
    """(row, index) of a reading, (None, 0) where there is none: cell_3_voltage is the third one of its row."""
    if key in c and c[key].n == 1:
        return c[key], 0
    for b in j:
        d, e, f = b.key.partition("{}")
        if e and b.e != 5 and key.startswith(d) and key.endswith(f):
            g = key[len(d) : len(key) - len(f)]
            if a(g) and g[0] != "0" and len(g) < 3 and int(g) <= b.n:
                return b, int(g) - 1
    return None, 0


def a(a):
    """Whether there are digits only; Python on a PC takes "²" for one, too."""
    return len(a) > 0 and not [b for b in a if b not in '0123456789']


def v(key):
    """Whether it is the number of a thermometer: its family and serial in hex."""
    return len(key) == 14 and not [a for a in key if a not in '0123456789' + "abcdef"]


def s(a):
    return a.k[0].key if len(a.k) else "name"


def e(a):
    """(name of the pin, whether it is active low) of a rule, as far as they can be read; "" for none."""
    b = B(a, E(a))
    c = [f.lower() for f in b.words]
    d = len([g for g in range(len(c) - 1) if c[g] == "active" and c[g + 1] == "low"]) > 0
    e = b.words[0] if len(b.words) else ""
    return ("" if e.lower() in ("on", "off", ",") else e), d


def i(a, b):
    """(Rule, None), or (None, a sentence on the first mistake, as "column 14: there is no reading sco; did you mean soc")."""
    try:
        return _(a, b).z(), None
    except ValueError as c:
        d, e = c.args
        return None, f"column {d}: {e}"


def E(b):
    """Where the text goes on after the name: there is none where the first colon is that of a time, or comes after a test."""
    c = b.find(":")
    for d in "<>=":
        if 0 <= b.find(d) < c:
            return 0
    e = 0 < c < len(b) - 1 and a(b[c - 1]) and a(b[c + 1])
    return 0 if e else c + 1


class B:
    """The words of a text from the index `start` on, each with its column; commas and signs are words, too."""

    def __init__(a, b, c):
        a.words: list = []
        a.c: list = []
        d = e = 0
        for f in range(c, len(b) + 1):
            g = D(b[f]) if f < len(b) else 0
            if g != e or g == 2:  # each comma is a word
                if e:
                    a.words.append(b[d:f])
                    a.c.append(d + 1)
                d = f
                e = g


def D(a):
    """0: a space, 1: of a word, 2: a comma, 3: of a sign."""
    if a in " \t\xa0":  # the last one: a space that does not break, of telephones and word processors
        return 0
    return 2 if a == "," else 3 if a in "<>=!≥≤≠" else 1


class _:
    def __init__(a, b, c):
        d = E(b)
        e = B(b, d)
        a.o = b[: max(0, d - 1)].strip()
        a.s = d > 0
        a.c = e.words + [""]
        a.h = e.c + [len(b) + 1]
        a.t = 0
        a.g = c

    def z(a):
        """The Rule. Raises ValueError(column from 1 on, a sentence without its full stop)."""
        if a.s and not a.o:
            a.e("before the colon there is no name; write one, or remove the colon")
        if len(a.o) > 40:
            raise ValueError(1, f"a name has {40} letters at most; shorten it")
        b = a.c[0]
        if a.f() in ("", ",", "on", "off"):
            a.e(f"the name of a pin is missing; write, for example, {f}")
        a.t = 1
        a.r(("on", "when"), f'after the pin {b} comes "on when"')
        c = a.q()
        d = None
        if a.f() == "off":
            a.r(("off", "when"), 'after "off" comes "when", or a comma before "off for at least"')
            d = a.q()
        e = a.i()
        return u(
            a.o,
            b,
            e.get("active", False),
            c,
            d,
            e.get("on", 10),
            e.get("off", 10),
            e.get("unknown", 2),
            e.get("grace", 60),
            e.get("alarm", 2),
        )

    # words

    def f(a, b=0):
        return a.c[min(a.t + b, len(a.c) - 1)].lower()

    def e(a, b, c=None):
        raise ValueError(a.h[a.t if c is None else c], b)

    def m(a):
        return f'not "{a.c[a.t]}"' if a.f() else "and here it ends"

    def r(a, b, c):
        for d in b:
            if a.f() != d:
                a.e(f"{c}, {a.m()}")
            a.t += 1

    # conditions

    def q(a):
        b = [a._test()]
        c = ""
        while a.f() in ("and", "or"):
            if c and a.f() != c:
                a.e(f'"and" and "or" cannot be mixed in one condition; write "{c}", or use two outputs')
            if len(b) == 4:
                a.e(f"a condition has {4} tests at most; remove one")
            c = a.f()
            a.t += 1
            b.append(a._test())
        if a.f() not in ("", ",", "off"):
            a.e(f'"and", "or", "off when", a comma or the end is expected, {a.m()}')
        return r(tuple(b), c == "or")

    def _test(a):
        b = a.t
        c = a.f()
        if c in ("", ",", "and", "or", "on", "off", "when", "not") or D(c[0]) == 3:
            a.e(f"the name of a value is expected, such as soc, {a.m()}")
        d = None
        e = ""
        try:
            d = a.g.find(c)
        except ValueError as f:
            e = str(f)
        if d is None:
            a.e(e)
        a.t += 1
        g = a.l(c)
        if a.f() == "not" and g == 4:
            a.e('write != for "is not"')
        if a.f() in ("", ",", "and", "or", "when") or D(a.f()[0]) == 3:
            a.e(f"what {c} is compared with is missing")
        h = a.n(d, g)
        if not h.k():
            a.e(a.w(d), b)
        return h

    def l(a, name):
        b = a.f()
        if b in z:
            a.t += 1
            return (0, 1, 2, 3, 4, 5, 4)[z.index(b)]
        c = k.get(b)
        if c:
            a.e(f"write {c} for {b}")
        return a.e(f"after {name} comes one of > >= < <= = != is, {a.m()}")

    def n(a, b, c):
        """The Test of a value with the number or word that comes next."""
        d = a.t
        if b.e == 6:
            return w(b, c, (a.j(), 0), "", a.c[d])
        if b.e == 0 or (b.e is None and C(a.c[d])):
            e, f, g = a.d()
            if b.e == 0 and f and x(b.t, f) is None:
                a.e(f"{b.name} is {'in ' + b.t if b.t else 'without a unit'}, not in {f}", d)
            if b.e == 0 and f == "" and b.t:
                g += " " + b.t
            return w(b, c, e, f, g)
        if c not in (4, 5):
            a.e(f"{b.name} has words, no numbers; compare it with = or !=", d - 1)
        h = a.c[d]
        a.t += 1
        if isinstance(b, o):  # those of a sensor may be several
            while a.f() not in ("", ",", "and", "or", "off"):
                h += " " + a.c[a.t]
                a.t += 1
        if b.e in (1, 2) and b._(h) is None:
            a.e(f"{b.name} is one of {', '.join(b.words())}, not {h}", d)
        return w(b, c, None, "", h)

    def w(a, b):
        if b.e != 0:
            return f"{b.name} cannot be compared with that"
        c = f"{b.d} decimal{'' if b.d == 1 else 's'}"
        return f"{b.name} has only {c}, so it never is that; compare it with > or <"

    def j(b):
        c = b.c[b.t]
        d, e, f = c.partition(":")
        if not (e and a(d) and a(f) and len(d) < 3 and len(f) == 2):
            b.e(f"a time is written as 08:00, not {c}")
        if int(d) > 23 or int(f) > 59:
            b.e(f"{c} is no time of the day; the last one is 23:59")
        b.t += 1
        return 60 * int(d) + int(f)

    def d(b):
        """((digits, decimals), unit, as written) of the number that comes next."""
        c = b.c[b.t]
        d = 1 if c[0] in "+-" else 0
        while d < len(c) and c[d] in '0123456789' + ".":
            d += 1
        e = -1 if c[0] == "-" else 1
        f, g, h = c[:d].lstrip("+-").partition(".")
        if not a(f) or (g and not a(h)) or len(f) > 9 or len(h) > 6:
            b.e(f"a number is expected, as 80 or 3.45, not {c}")
        i = c[d:]
        j = b.h[b.t] + len(c)
        b.t += 1
        k = b.f() == "," and b.h[b.t] == j and b.h[b.t + 1] == j + 1
        if k and a(b.f(1)[:1]):
            b.e("decimals are written with a point, as 3.45")
        if not i and b.u(b.c[b.t]):
            i = b.c[b.t]
            b.t += 1
        l = c[:d] + (" " + i if i else "")
        return (e * int(f + h), len(h)), i, l

    def u(a, b):
        return b.lower() not in ("", ",", "and", "or", "off", "on") and D(b[0]) == 1

    # options

    def i(a):
        b: dict = {}
        while a.f():
            if a.f() != ",":
                a.e(f"a comma or the end is expected, {a.m()}")
            a.t += 1
            c = a.t
            d = a.f()
            if d == "active":
                a.r(("active", "low"), 'after "active" comes "low"')
                a.p(b, d, True, c)
            elif d in ("on", "off"):
                a.r((d, "for", "at", "least"), f'an option is written as "{d} for at least 30 s"')
                a.p(b, d, a.v(), c)
            elif d in ("unknown", "alarm"):
                a.k(b, d, c)
            else:
                a.e(
                    'an option is expected: "active low", "on for at least 5 min", "off for at least 30 s", '
                    f'"unknown = off after 60 s" or "alarm = off", {a.m()}'
                )
        return b

    def k(a, options, key, b):
        """What is done with unknown readings, and after which time, or at an alarm."""
        a.r((key, "="), f"after {key} comes =")
        c = ("off", "on", "keep") if key == "unknown" else ("off", "on", "keep", "ignore")
        if a.f() not in c:
            a.e(f"{key} is one of {', '.join(c)}, {a.m()}")
        a.p(options, key, m[a.f()], b)
        a.t += 1
        if key == "unknown" and a.f() == "after":
            a.t += 1
            options["grace"] = a.v()

    def p(a, options, key, b, c):
        if key in options:
            a.e("this option stands here for the second time; remove it", c)
        options[key] = b

    def v(a):
        b = a.t
        if not C(a.c[b]):
            a.e(f"a time is expected, as 30 s, 5 min or 2 h, {a.m()}")
        (c, d), e, f = a.d()
        if e.lower() not in A or d or c < 0:
            a.e(f"a time is a whole number with its unit, as 30 s, 5 min or 2 h, not {f}", b)
        g = c * A[e.lower()]
        if g > 604800:
            a.e(f"{f} is too long; 7 days, which are 168 h, are the most", b)
        return g


def C(b):
    c = b.lstrip("+-")
    return a(c[:1])
