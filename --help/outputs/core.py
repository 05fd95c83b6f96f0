# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a rule can name, each with its value now: a reading of a battery or the bank, a value of a sensor, the time of day; and
the tests that compare them.
"""

from daly.core import s, c
from daly.core import m

  # minutes since midnight
CELLS = c["cell_{}_voltage"]
z = c["temperature_{}"]
# Published are the extremes of the cells and sensors themselves, so these are what a rule means: key -> (those, sign); 1: the
# highest, -1: the lowest, 0: the difference of both
g = {
    "max_cell_voltage": (CELLS, 1),
    "min_cell_voltage": (CELLS, -1),
    "cell_voltage_delta": (CELLS, 0),
    "max_temperature": (z, 1),
    "min_temperature": (z, -1),
}
  # each 1000 of the one before it


def x(a, c):
    """By how many decimals more a number with the unit `written` has when it is in `unit`: 3 for mV where V is meant.

    None: it is another unit, or there is none. Letters may be large or small, and ° may be left out.
    """
    a = b(a)
    c = b(c)
    if c == a:
        return 0
    for d, e in (('mV', 'V'), ('mA', 'A'), ('W', 'kW'), ('Wh', 'kWh'), ('mAh', 'Ah')):
        if (c, a) == (d.lower(), e.lower()):
            return 3
        if (c, a) == (e.lower(), d.lower()):
            return -3
    return None


def b(a):
    return (a or "").replace("°", "").lower()


def p(name):
    """A name as it is written in a rule, where it is one word: "Hot water" is hot_water."""
    return name.strip().lower().replace(" ", "_")


class f:
    """`name`: as the rule has it. `kind`: NUMBER, BINARY, ENUM or TEXT of battery/readings.py, or TIME; `decimals`: the value
    is raw / 10**decimals; `unit`: "" for none. All three are None while a sensor has not named the value yet.
    """

    def __init__(a, name, b=None, d=None, c=None):
        a.name = name
        a.e = b
        a.d = d
        a.t = c

    def bind(a, b, c, d):
        """The parts that it comes from have been made: the Battery tuples, their Bank (None: there is one battery), and a
        function that returns the minutes since midnight, or None.
        """

    def raw(a):
        """The value now: an integer, or a str for the words of a sensor; None: it is not known. Allocates next to nothing."""

    def z(a):
        """False: this BMS has no such reading, or no sensor has named the value yet."""
        return True

    def words(a):
        """Those of a BINARY or an ENUM, by their raw values."""
        return ("off", "on")

    def _(a, b):
        """The raw value that a word in a rule means, in large or small letters; None: there is none."""
        c = [d.lower() for d in a.words()]
        return c.index(b.lower()) if b.lower() in c else None

    def text(a, b):
        """A raw value as it stands in a sentence: "42.0 %", "charging", "07:12"."""
        if a.e == 6:
            return f"{b // 60:02d}:{b % 60:02d}"
        if a.e == 0:
            return m(b, a.d) + (" " + a.t if a.t else "")
        return b if isinstance(b, str) else a.words()[b]


class t(f):
    """A reading of the battery with the key `battery` ("bms1"): `row` of battery/readings.py, `index` of the cell or sensor."""

    def __init__(a, name, b, c, d, e):
        f.__init__(a, name, c.e, c.d, e)
        a.k = b
        a.q = c
        a._index = d
        a.l = a.f = None
        # What is calculated is so only after a change: 48 cells, or all alarms, are not looked at for nothing
        a.w = c.l is not None
        a.m = a.h = None

    def bind(a, b, c, d):
        """See Value."""
        a.m = None
        for e in b:
            if e.key == a.k:
                a.l = e.g
                a.f = e.pack

    def raw(a):
        """See Value."""
        b = a.f
        if b is None or not a.l.online:
            return None
        if not a.w:
            return b.at(a.q, a._index)
        if b.f != a.m:
            a.m = b.f
            a.h = a.v()
        return a.h

    def z(a):
        """See Value."""
        b = a.f
        if b is None or b.R is None:
            return True  # the BMS has not responded yet
        c = b.count(a.q)
        return b.k(a.q) and (not c or a._index < c)

    def words(a):
        """See Value."""
        return s[a.q.key] if a.e == 2 else ("off", "on")

    def v(a):
        return a.f.at(a.q)


class l(t):
    """The highest or lowest cell or sensor, or the difference: of them all while each is known, else as the BMS reports it."""

    def __init__(a, name, b, c, d):
        t.__init__(a, name, b, c, 0, d)
        a.c, a.g = g[c.key]
        a.w = True

    def z(a):
        """See Value."""
        return t.z(a) or a.f.k(a.c)

    def v(a):
        b = a.f
        c = a.c
        d = e = None
        for f in range(c.g, c.g + (b.count(c) or 0)):
            g = b.ad(f)
            if g is None:
                return b.at(a.q)
            if d is None or g > d:
                d = g
            if e is None or g < e:
                e = g
        if d is None or (a.g == 0 and not b.af(c)):  # as no battery may ever have been
            return b.at(a.q)
        if a.g == 0:
            return d - e
        return d if a.g > 0 else e


class n(f):
    """A value of all batteries together: `row` of a reading that is in KEYS of battery/bank.py, too."""

    def __init__(a, name, b, c):
        f.__init__(a, name, b.e, b.d, c)
        a.k = b.key
        a._bank = None

    def bind(a, b, c, d):
        """See Value."""
        a._bank = c

    def raw(a):
        """See Value."""
        return None if a._bank is None else a._bank.raw(a.k)


class q(f):
    """The time of day, in minutes."""

    def __init__(a):
        f.__init__(a, "time", 6, 0, "")
        a.j = None

    def bind(a, b, c, d):
        """See Value."""
        a.j = d

    def raw(a):
        """See Value."""
        return None if a.j is None else a.j()


class o(f):
    """A value of a source (battery/sources.py) whose row has this key or name; it may be found long after the start."""

    def __init__(a, name, b, key):
        f.__init__(a, name)
        a.p = b
        a.k = key.lower()
        a.q = None
        a.i = 0  # how many have been looked at
        a.s()

    def raw(a):
        """See Value."""
        if a.q is None and len(a.p.k) != a.i:
            a.s()
        return None if a.q is None else a.p.raw(a.q.key)

    def z(a):
        """See Value."""
        return a.q is not None

    def words(a):
        """See Value."""
        return a.q.options if a.e == 2 else ("off", "on")

    def _(a, b):
        """See Value."""
        if a.e == 3:
            return b
        c = f._(a, b)
        return c if c is None or a.e == 1 else a.words()[c]

    def s(a):
        b = a.p.k
        a.i = len(b)
        for c in b:
            if a.k in (c.key.lower(), p(c.name)):
                a.q = c
                a.e = c.e
                a.d = c.d
                a.t = c.t
                return


# How a test compares










class w:
    """A value compared with a number or a word.

    `how`: one of the above; `number`: (digits, decimals) with the unit `unit`, or None; `word`: as written, of a number, too.
    """

    def __init__(a, b, c, d, e, f):
        a.value = b
        a.j = None  # the raw value of the last holds()
        a.l = c
        a.d = d
        a.f = e
        a.h = f
        a.e = None  # as `_how`, of raw values: never AT_LEAST or AT_MOST; None: not calculated yet
        a.g = None

    def c(a):
        """Whether it is so now; None: the value is not known. Allocates nothing."""
        b = a.value.raw()
        a.j = b
        if b is None:
            return None
        c = a.e
        if c is None:
            c = a.i()
        d = a.g
        if d is None:
            return None  # of a sensor: it turned out to be no such number or word
        if c == 0:
            return b > d
        if c == 2:
            return b < d
        return (b == d) == (c == 4)

    def k(a):
        """Whether a value that is known already can be compared with this at all."""
        if a.value.e is not None:
            a.i()
        return a.value.e is None or a.g is not None

    def text(a, b):
        """It in words, as holds() found it: "soc 42.0 % is below 60"; `result`: what that was."""
        c = a.value
        if b is None and a.j is not None:
            return f"{c.name} cannot be compared with {a.h}"  # of a sensor: it turned out to be something else
        if b is None:
            return c.name + " is unknown" if c.z() else "there is no " + c.name
        d = (('above ', 'at least ', 'below ', 'at most ', '', 'not ') if b else ('not above ', 'below ', 'not below ', 'above ', 'not ', ''))[a.l]
        if c.e != 0 and c.e != 6:  # what it is says all
            return c.name + " is " + c.text(a.j)
        if c.e == 6:
            return (
                "time is " + d.replace("above", "after").replace("below", "before") + a.h
            )  # it changes all the time
        return f"{c.name} {c.text(a.j)} is {d}{a.h}"

    def i(a):
        """Calculate what raw values are compared with, now that the value's kind and decimals are known."""
        b = a.value
        c = a.l
        a.g = None
        if b.e != 0 and b.e != 6:
            if c in (4, 5):
                a.g = b._(a.h)
        elif a.d is not None:
            d, e = a.d
            f = x(b.t, a.f) if a.f else 0
            if f is not None:
                c, a.g = B(c, d, b.d - e - f)
        a.e = c
        return c


def B(a, b, c):
    """(how, limit) for integers of a number of `digits`, moved by so many decimal places; limit None: it is never equal."""
    if c >= 0:
        d = b * 10**c
        e = True
    else:
        f = 10**-c
        d = b // f  # the next integer below
        e = d * f == b
    if a == 0 or (a == 1 and not e):
        return 0, d
    if a == 1:
        return 0, d - 1
    if a == 3 or (a == 2 and not e):
        return 2, d + 1
    if a == 2:
        return 2, d
    return a, (d if e else None)
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Switches pins by rules, alarms and a person, never more often than the minimum times allow, and says why. No I/O, no clock.

Who decides, the first that has something to say: an alarm, a person, the rule, and while its readings are not known what it
says about that. Alarms, unknown readings and a person switch off at once; whatever switches on waits until the output has been
off for its minimum time, which begins anew at the start. Off wins where the conditions for on and off both hold.

Times are counted in whole seconds, since ticks wrap. A count may begin anywhere within a second, so one more is waited for.
"""

from collections import namedtuple

from adafruit_ticks import ticks_add, ticks_diff

from daly.core import h, active
from daly.core import a

from battery.sources import d, enum, text



  # between two looks at all outputs

  # how long a number in a reason may be another one than that of now

# who decides, or what is done



e = ("auto", "on", "off")



# pin: its name; on, off: Conditions, off None: as soon as `on` does not hold; on_s, off_s: for how long at least; unknown,
# alarm: ON, OFF or KEEP, of alarm also IGNORE; grace_s: how long readings are unknown before that is done
u = namedtuple("u", ("name", "pin", "a", "on", "off", "d", "c", "unknown", "b", "alarm"))

# reasons







i = ""
j = "alarms are unknown"
_ = c["alarm_bits_{}"]


class r:
    """Tests, joined by `and`, or by `or` where `is_or`. `decider`: the one that decided last; None: all of them together."""

    def __init__(a, b, c):
        a.f = b
        a.e = None
        a.d = c

    def c(a):
        """True, False, or None while it depends on a value that is not known. Allocates nothing."""
        b = a.d
        c = None
        for d in a.f:
            e = d.c()
            if e is None:
                c = c or d
            elif e == b:
                a.e = d
                return e
        a.e = c
        return None if c else not b

    def j(a):
        """The raw value that decided last, or the first one of several."""
        return (a.e or a.f[0]).j

    def text(a, b):
        """Why holds() returned `result` the last time."""
        if a.e is not None:
            return a.e.text(b)
        return " and ".join([c.text(b) for c in a.f])


class k:
    """One pin and its rule. `drive(active)` sets the pin; `is_on`: how it is set; `mode`: AUTO, or what a person has decided.

    `override_min`: for how many minutes that counts; 0: for ever. `changes` counts those of level, mode and reason.
    """

    def __init__(a, b, c, d):
        a.v = b
        a.h = c
        a.t = 60 * d
        a.name = b.name
        a.B = False
        a.mode = 0
        a.f = 0
        a.w = False  # what the rule has decided: between its conditions for on and off it stays so
        a.k = 0  # when the level changed last
        a.u = 0
        a._ = None  # None: it is known what the rule decides
        a.g = a.G = None  # the Condition (or text) that decides now, and what it returned
        # Why: one of the reasons, the same as it was then, which test of it, a time in s or minutes, and the number in its text
        a._reason = 0
        a.l = a.j = a.r = a.p = a.d = None
        a.z = 0
        a.e = None  # made when it is asked for
        c(False)

    def bind(a, b, c, d):
        """The same of all values in the rule: see Value in values.py."""
        for e in (a.v.on, a.v.off):
            for f in e.f if e else ():
                f.value.bind(b, c, d)

    def C(a, b):
        """Whether a value of this kind is in the rule."""
        for c in (a.v.on, a.v.off):
            for d in c.f if c else ():
                if d.value.e == b:
                    return True
        return False

    def D(a, b, c):
        """A person has decided: ON, OFF or AUTO."""
        a.mode = b
        a.u = c
        a.f += 1

    def A(a, b, c):
        """Decide and switch. `alarm`: NO_ALARM, NOT_KNOWN, or a text that names it. Allocates nothing while nothing changes."""
        if a.mode != 0 and a.t and b - a.u > a.t:
            a.D(0, b)
        d = 1
        e = None
        f = a.o(c)
        if f is None:
            d = 2
            f = a.q(b)
            e = A(b - a._)
            if a._reason == 0 and b - a._ <= a.v.b:
                d = 0
        else:
            a._ = None
        if a.mode != 0:
            d = 4
            f = a.mode == 1
            e = a.i(b)
        if a.s(c):
            d = 3
            a.g = c
            f = a.m(b)
        if f != a.B:
            g = a.v.c if f else a.v.d if d == 1 else 0
            h = b - a.k
            if g and h <= g:
                d = 5
                e = A(max(1, g - h), 10)
            else:
                a.B = f
                a.k = b
                a.e = None
                a.f += 1
                a.h(f)
        a.n(d, e, b)

    def reason(b):
        """Why it is on or off, in words: "off: soc 42.0 % is below 60"."""
        if b.e is None:
            b.e = a(b.c())
        return b.e

    # who decides

    def o(a, b):
        """What the rule decides; None: it depends on what is not known."""
        c = a.v.off
        a.g = a.v.on
        a.G = d = a.v.on.c()
        if c is not None:
            e = c.c()
            if e or (e is None and (d is not False or a.w)):
                a.g = c
                a.G = e
                d = None if e is None else False
            elif d is not True and a.w:
                a.g = c
                a.G = False
                d = True
        if d and b is j and a.v.alarm == 2:
            a.g = b
            d = None
        if d is not None:
            a.w = d
        return d

    def q(a, b):
        if a._ is None:
            a._ = b
        if b - a._ <= a.v.b or a.v.unknown == 3:
            return a.B and (a.w or a._reason != 4)  # what a person has switched on is not kept for ever
        a.w = a.v.unknown == 1
        return a.w

    def s(a, b):
        """Whether an alarm decides: a person may silence a siren, but not overrule a protection."""
        c = a.v.alarm
        if not b or b is j or c == 4:
            return False
        return c == 2 or (c == 1 and a.mode != 2) or a.mode == 0

    def m(a, b):
        if a.v.alarm == 3:
            return a.B
        if a.v.alarm == 2 and a.mode == 1:
            a.D(0, b)  # else it would go on and off for as long as its load causes the alarm
        a.w = a.v.alarm == 1
        return a.w

    def i(a, b):
        """Of the override, as many as have begun; None: it does not end."""
        c = a.t - b + a.u
        return max(1, (c + 59) // 60) if a.t else None

    # why

    def n(a, b, c, d):
        """Whether something else has to be said from now on. A number that is another one is not said anew all the time."""
        e = f = g = h = None
        if b == 1 or b == 2 or b == 3:
            e = a.g
        if isinstance(e, r):
            f = e.e
            g = a.G
            h = e.j()
        if (
            b == a._reason
            and e is a.l
            and f is a.r
            and g == a.j
            and c == a.p
            and (h == a.d or d - a.z < 30)
        ):
            return
        a._reason = b
        a.l = e
        a.r = f
        a.j = g
        a.p = c
        a.d = h
        a.z = d
        a.e = None
        a.f += 1

    def c(a):
        b = "on" if a.B else "off"
        c = a._reason
        d = a.p
        if c == 0:
            return "off at the start"
        if c == 5:
            return f"waits: {b} for up to {v(d)} more"
        if c == 4:
            e = "" if d is None else f" for {d} more minute{'' if d == 1 else 's'}"
            return f"{b}: switched by hand{e}"
        f = a.l
        g = f if isinstance(f, str) else f.text(a.j)
        if c == 2 and d:
            g += " for " + v(d)
        return f"{b}: {g}"


class y:
    """All outputs, a source as in battery/sources.py. `outputs`: number -> Output; `sources`: the others that rules name.

    `is_allowed`: a person may switch them over MQTT.
    """

    key = "outputs"
    device = None
    u = ""

    def __init__(a, b, sources, c):
        a.n = sorted(b)
        a.d = [b[l] for l in a.n]
        a.l = sources
        a.e: list = []
        a.g = i
        a.q = [0] * (5 + 1)  # of the battery whose alarm that is, and which one it is
        a.p = 0  # since the first tick
        a.o = None  # tick of the last of them
        a._index = 0  # of the output that is evaluated next
        a.i = None  # counters of all that it depends on, and the second, of the last round
        a.f = 0
        a.k: list = []
        for f in range(1, max(a.n) + 1):
            g = f"output_{f}"
            if f not in b:  # or the entities of those behind it would move to another message
                a.k += [d(g, None), enum(g + "_mode", None, e), text(g + "_reason", None)]
                continue
            h = b[f].name or f"Output {f}"
            j = f"/outputs/{f}/set" if c else None
            a.k.append(d(g, h, i="electric-switch"))
            k = 0 if c else 1
            a.k.append(enum(g + "_mode", h + " mode", e, "cog-outline", k, j))
            a.k.append(text(g + "_reason", h + " reason", "comment-question-outline", 1))

    def bind(a, b, c, d):
        """What the rules look at: see Value in values.py."""
        a.e = b
        for e in a.d:
            e.bind(b, c, d)

    def s(a):
        """Whether a rule names the time of day."""
        for b in a.d:
            if b.C(6):
                return True
        return False

    def t(a):
        """Those of the outputs, in their order."""
        return a.n

    def v(a, b):
        """The Output."""
        return a.d[a.n.index(b)]

    def command(a, b, c):
        """A person's word, of MODES, for an output."""
        a.v(b).D(e.index(c), a.p)
        a.f += 1
        a.i = None

    def raw(a, key):
        """As of every source."""
        b, c, d = key[7:].partition("_")
        f = a.v(int(b))
        if d == "mode":
            return e[f.mode]
        return f.reason() if d else int(f.B)

    def c(a, b):
        """Evaluate one output, if anything that its rule looks at may have changed. Returns as a job's tick does."""
        a.h(b)  # in each tick: the loop may have stood still since the output before
        if a._index == 0:
            c = a.p
            for d in a.e:
                c += d.pack.f
            for e in a.l:
                c += e.f
            if c == a.i:
                return 200
            a.i = c
            a.j()
        f = a.d[a._index]
        a._index = (a._index + 1) % len(a.d)  # first: one that fails must not stop the others
        g = f.f
        f.A(a.p, a.g)
        a.f += f.f - g
        return None if a._index else 200

    def h(a, b):
        if a.o is None:
            a.o = b
        c = ticks_diff(b, a.o) // 1000
        if c > 0:
            a.p += c
            a.o = ticks_add(a.o, c * 1000)

    def j(a):
        """Whether a protection or a fault of a battery is active. Of one that is offline none is known, which is no alarm."""
        b = True
        for c in range(len(a.e)):
            d = a.e[c]
            if not d.g.online or not d.pack.k(_):
                continue
            if d.pack.at(_, 2 - 1) is None:
                b = False
            elif a.r(c, d):
                return
        a.g = i if b else j

    def r(a, b, c):
        d = a.q
        e = False
        f = a.g is i or a.g is j or d[0] != b
        for g in range(2, 5 + 1):
            h = c.pack.at(_, g - 1) or 0
            e = e or h != 0
            f = f or h != d[g]
        if e and f:
            a.m(b, c)
        return e

    def m(a, b, c):
        a.q[0] = b
        for d in range(2, 5 + 1):
            a.q[d] = c.pack.at(_, d - 1) or 0
        e = active(c.pack)  # None: the warnings are not known
        f = f"{e[0][0]} ({h[e[0][1]]})" if e else "of level 2 or higher"
        a.g = f"alarm {f}" + (f" of {c.a}" if c.a else "")


def A(a, step=15):
    """A time in steps that grow with it, so that a text with it does not change all the time; up for one that is left."""
    b = step == 10
    if a > 7200:
        step = 3600
    elif a > 600:
        step = 60 if b else 600
    elif a > 120:
        step = 60
    return (a + step - 1 if b else a) // step * step


def v(a):
    if a >= 7200:
        return f"{a // 3600} h"
    return f"{a // 60} min" if a > 120 else f"{a} s"
