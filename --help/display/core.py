# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The contents of the screen: pure functions that return a Page. A number that is not known is not shown, and of a reading that
does not exist there is not even a name.

A screen has 3 lines of 21 characters (128x32 pixels) or 6 (128x64): `rows`. The board's font has printable ASCII only. The
README's troubleshooting explains the texts.
"""

from collections import namedtuple

from daly.core import h
from daly.core import c
from daly.core import m

  # the board's font is 6 pixels wide
  # lines of a screen with 32 rows of pixels
  # and of one with 64
UNKNOWN = "--"
  # `bar` of a full battery: 100.0 %
  # large characters
  # they are as wide as eight small ones
  # mV that the cell bars span at least: with less a balanced pack would look unbalanced
b = {3: 11, 6: 18}  # pixels

d = namedtuple(
    "d",
    (
        "c",  # SHORT or TALL texts of at most COLUMNS characters
        "big",  # at most BIG characters of double size, at the left of the first two lines
        "a",  # a battery in the third line, filled from 0 to FULL; None: none is drawn
        "cells",  # bytes: the height of one bar a cell, 0 for not known; b"": none is drawn
    ),
)

# Before there are readings, and when something is wrong


def z(a, b, c=3):
    """The first page: name, version and what is waited for."""
    return _(["Daly MQTT " + a] + k(b)[: c - 1], c)


def i(a, b, c, d=3):
    """Why there is no data: `link` is the reason in two lines, `trouble` that of the network; "": none."""
    e = [a[0], a[1]] if a[1] else ["Daly MQTT " + b, a[0]]
    return _(e + [""] * (d - 3) + [q(c)], d)


def r(a, b=3):
    """A sentence of any length, as one page or several."""
    c = k(a)
    return [_(c[d : d + b], b) for d in range(0, len(c), b)]


def alarm(a, b, c, e=3):
    """An active protection or fault: its name, and charge, voltage and current.

    `fault` is (name, level), `which` is "1/2" when there are several, else "".
    """
    i, j = b
    l = k(i, 21 - 2)
    m = ["  " + o for o in (l + [""])[:2]]
    n = " ".join((v(a), short(a, "pack_voltage", "V"), short(a, "current", "A")))
    if e == 6:
        m += ["", h[j] + " " + c, n, A(a)]
    else:
        m.append(f(n, c))
    return d(g(m, e), "!", None, b"")


# The codes of mqtt/trouble.py for which the sentence is too long; {} is the network's name.
l = {
    "wifi_password": "No Wi-Fi: wrong password?",
    "wifi_not_found": 'No Wi-Fi "{}" not found: name right? 2.4 GHz? near enough?',
}


def o(a):
    """Whether the MQTT client is still busy with its first step, which is no trouble yet."""
    return a[0] in ("connecting", "joining")


def u(a, b):
    """The MQTT client's trouble (code, details) in short words; None: use its sentence. `joined`: there is Wi-Fi."""
    c, d = a
    if o(a):
        return "Calling broker ..." if b else "Joining Wi-Fi ..."
    e = l.get(c)
    return e and e.format(*d)


# The battery


def j(a, b=3, c=""):
    """State of charge as number and bar, voltage, current, power. `notice` replaces the last line."""
    e = [
        f('        ' + short(a, "pack_voltage", "V"), short(a, "current", "A")),
        f('        ', A(a)),
        c if b == 3 else "",
    ]
    if b == 6:
        e += [
            f(y(a, "mode"), B(a, "remaining_capacity", 1, "Ah")),
            f(w(a, "temperature", "C"), delta(a)),
            c or x(a),
        ]
    h = a.raw("soc") if b == 6 or not c else None
    return d(g(e, b), v(a), h, b"")


def cells(c, e=3, h=""):
    """Highest and lowest cell, the cell voltage delta, and a bar for each cell."""
    i = [p(c, "max"), p(c, "min")]
    if e == 6:
        i += [a("delta", delta(c)), "", "", h]
    else:
        i.append(h or f("", s(c)))  # in five characters: the rest is for the bars
    j = n(c, b[e]) if e == 6 or not h else b""
    return d(g(i, e), "", None, j)


def energy(b, c=3, e=""):
    """Energy charged and discharged, and the time to full or empty."""
    f = [
        a("in", B(b, "energy_charged", 1, "kWh")),
        a("out", B(b, "energy_discharged", 1, "kWh")),
    ]
    if c == 6:
        f.append(a("left", B(b, "remaining_capacity", 1, "Ah")))
        f.append(a("cycles", y(b, "cycle_count")))
        f = [h for h in f if h] + [x(b), e]
    else:
        f.append(e or x(b))
    return d(g(f, c), "", None, b"")


def t(b, c, broker, h, i=3, a=""):
    """Our address, the Wi-Fi's signal in dBm, the broker as host:port, our version; None for what is not known."""
    j = "" if c is None else f"{c} dBm"
    a = e(a)
    k = [e(b or "no Wi-Fi"), f(j, "v" + h), e(broker)]
    if i == 6:
        k = ["Daly MQTT " + h, "", k[0], j, k[2], a]
    elif a:
        k[2] = a
    return d(g(k, i), "", None, b"")


def warning(a):
    """The text for the last line; `found`: active alarms as (name, level), most severe first. "" when there are none."""
    if not a:
        return ""
    b = f" +{len(a) - 1}" if len(a) > 1 else ""
    return a[0][0][: 21 - len(b)] + b


def n(a, height):
    """A byte for each cell: the highest is `height`; `height` pixels are the cell voltage delta, at least LEAST_RANGE."""
    b = c["cell_{}_voltage"]
    d = a.count(b)
    e = [l for l in [a.at(b, k) for k in range(d)] if l is not None]
    if not e:
        return b""
    f = max(e)
    g = max(f - min(e), 60)
    h = bytearray(d)
    for i in range(d):
        j = a.at(b, i)
        if j is not None:
            h[i] = max(1, height - (f - j) * height // g)
    return bytes(h)


# Words and lines


def k(a, width=21):
    """`text` as lines broken between words; a word longer than a line is broken, too."""
    b = [""]
    for c in e(a).split():
        if b[-1] and len(b[-1]) + 1 + len(c) <= width:
            b[-1] += " " + c
            continue
        while c:
            if b[-1]:
                b.append("")
            b[-1] = c[:width]
            c = c[width:]
    return b


def q(a):
    """The beginning of a sentence in one line: all before the first colon, or as many words as fit."""
    a = e(a.split(":")[0])
    return a if len(a) <= 21 else k(a)[0]


def _(a, b):
    return d(g(a, b), "", None, b"")


def g(a, b):
    """Exactly `rows` lines, none too long."""
    while len(a) < b:
        a.append("")
    return tuple([c if len(c) <= 21 else c[:21] for c in a])


def e(a):
    """Printable ASCII only, as in the board's font; names from the settings may have other characters."""
    return "".join([b if " " <= b <= "~" else "?" for b in a])


def f(a, b, width=21):
    """Two texts at the ends of a line."""
    return a + " " * max(1, width - len(a) - len(b)) + b


def a(name, a):
    """A line with a name and its reading; "" for one that does not exist."""
    return f(name, a) if a else ""


def y(a, key):
    b = c[key]
    return (a.text(b) or UNKNOWN) if a.k(b) else ""


def B(a, key, d, b):
    """A reading with fewer decimals than it has."""
    e = a.raw(key)
    f = c[key]
    if not a.k(f):
        return ""
    return UNKNOWN if e is None else m(e // 10 ** (f.d - d), d) + " " + b


def short(a, key, b):
    """A reading followed directly by its unit; the decimal is left out from 1000 (raw) on."""
    c = a.raw(key)
    if c is None:
        return UNKNOWN
    if abs(c) < 1000:
        return m(c, 1) + b
    return ("-" if c < 0 else "") + m((abs(c) + 5) // 10, 0) + b


def v(a):
    """Whole percent, rounded down: 100 % is full, nothing else."""
    b = a.raw("soc")
    return UNKNOWN + "%" if b is None else f"{b // 10}%"


def A(a):
    b = a.raw("power")
    return UNKNOWN if b is None else m((b + 50) // 100, 0) + " W"


def delta(a):
    if not a.k(c["cell_voltage_delta"]):
        return ""
    b = a.raw("cell_voltage_delta")
    return UNKNOWN if b is None else f"{b} mV"


def s(a):
    if not a.k(c["cell_voltage_delta"]):
        return ""
    b = a.raw("cell_voltage_delta")
    if b is None:
        return UNKNOWN
    return f"{b}mV" if b < 1000 else m(b // 10, 2) + "V"


def p(a, b):
    """The highest ("max") or lowest ("min") cell and its voltage."""
    if not a.k(c[b + "_cell_voltage"]):
        return ""
    d = a.raw(b + "_voltage_cell")
    e = y(a, b + "_cell_voltage")
    return f(b + " " + e + " V", f"cell {UNKNOWN if d is None else d}")


def w(a, b, d):
    if not a.k(c["max_" + b]):
        return ""
    e = y(a, "min_" + b)
    f = y(a, "max_" + b)
    return (e if e == f else e + " to " + f) + " " + d


def x(a):
    for b, c in (("time_to_full", "full in "), ("time_to_empty", "empty in ")):
        d = a.raw(b)  # of an hour
        if d is not None:
            e = d * 60 // 100
            return c + (f"{e // 60} h {e % 60} min" if e >= 60 else f"{e} min")
    return y(a, "mode")
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which page is shown, when it is drawn, and when the panel is dimmed, refreshed or looked for again.

Problems come first: an active protection or fault has the screen for itself, without a BMS only the reasons are shown, and
trouble with the network or mistakes in the settings come before the readings. The pages of several batteries are in several.py.
"""

from adafruit_ticks import ticks_add, ticks_diff

from daly.core import active




  # half a minute between two attempts to find a missing panel
  # a minute between two initializations of the controller
  # how long a page of trouble is shown where pages are not turned
  # mistakes in the settings that are shown; the console lists all
  # of one sentence: enough for all but the list of a board's pins
  # pages of the battery



class Screen:
    """Draws the current page on the Panel that `open_panel()` returns; None: there is none now.

    `settings` are the OLED_* ones, the broker's place, and `problems`, the mistakes in them.
    """

    def __init__(a, b, c, d):
        a.G = b
        a.l = c
        a.q = d
        a.i = 6 if c.OLED_HEIGHT == 64 else 3
        a.I = c.OLED_PAGE_S * 1 or 4
        a.z = c.OLED_DIM_AFTER_MIN * 60 * 1
        a.K = None
        a.e: list = []
        a.N = a.g = a.k = None
        a.E = None  # further pages, with `count`, `changes` and `page(index, rows)`
        a.f = None  # tick at which the page is made again
        a.A = False
        a.d = None  # of several batteries: the page that is being made
        a.r = False
        a.M = 0
        a.H = 0  # counts the pages turned
        a.J = 0
        a.m = None  # of the packs, as shown last; None: the page has to be made
        a.s = a.u = a._connected = None  # of the BMS, MQTT client and Wi-Fi, as shown last
        a.v = None  # what was new last: alarms, BMS and network state, mode
        a.w = 0
        a.j: dict = {}  # sentence -> its pages
        a.B()
        a._(z(d, "starting ...", a.i))

    def n(a, b, c, d, e):
        """Show these from now on: the Battery tuples, their bank (None: there is only one), the MqttClient and wifi.radio."""
        a.e = b
        if c is not None:
            from .several import b as f  # 4 KB, only with several batteries

            a.N = f(a, b, c, a.i, a.l.OLED_PAGE_S > 0)
        a.g = d
        a.k = e
        a._(a.h())

    def O(a, b):
        """Show these after the readings: `count` pages, made by `page(index, rows)`; `changes` counts up with each change."""
        a.E = b

    def c(a, b):
        """Draw one line that has changed; once a second, make the page again. Returns the ms until the next call is due."""
        if a.A:
            a.A = a.K.step()
            return 0
        if a.d is not None:
            c = a.d
            a.d = None  # first: after an exception there is nothing left of them
            d = next(c)
            if d is None:
                a.d = c
            else:
                a.t(d)
            return 0
        if a.f is None or ticks_diff(b, a.f) >= 0:
            a.f = ticks_add(b, 1000)
            a.M += 1
            a.L()
            return 0
        return ticks_diff(a.f, b)

    def V(a, b, c):
        """Draw one page of a sentence at once: the one with this index, from the first again after the last."""
        d = r(b, a.i)
        a._(d[c % len(d)])

    def P(t, u):
        """A function that shows a page without numbers and then calls `wait`, which blocks: numbers would become outdated."""

        def _(*v, **w):
            if not (t.r if t.N is None else t.N.j):
                t._(z(t.q, "Joining Wi-Fi ...", t.i))
            return u(*v, **w)

        return _

    def sleep(a):
        """Off: it would show for hours what was true for a moment."""
        if a.K is not None:
            a.K.w(0)

    # The panel

    def L(a):
        if a.K is None:
            if a.M % 30 == 0:
                a.B()
        elif not a.K.u():
            print("The OLED does not respond any more; continuing without it, and looking for it.")
            a.K.close()
            a.K = None
        else:
            if a.M % 60 == 0:
                a.K.v()
                a.A = True
            if a.C():
                if a.N is None:
                    a.t(a.h())
                else:
                    a.d = a.N.r(a.F())
            a.K.w(a.o())

    def t(a, b):
        a.K.show(b)
        a.A = True

    def C(a):
        """Whether another page may have to be shown; a page that is made for nothing would be half of all garbage."""
        b = c = 0
        d = False
        for e in a.e:
            f = e.g.bE
            b += e.pack.f
            c = c * 256 + f.code
            d = d or e.g.online
        if a.E is not None:
            b += a.E.f
        g = a.m == b and a.s == c and a.u is a.g.trouble
        g = g and a._connected == a.k.connected
        if g and d and a.M - a.J < a.I:
            return False
        a.m = b
        a.s = c
        a.u = a.g.trouble
        a._connected = a.k.connected
        return True

    def B(a):
        a.m = None
        a.K = a.G()
        if a.K is not None:
            a.K.w(a.l.OLED_BRIGHTNESS_PERCENT)

    def _(a, b):
        """Draw a complete page; it blocks, so only at start and before a blocking call."""
        a.m = a.d = None
        if a.K is not None:
            a.K.show(b)
            while a.K.step():
                pass

    def o(a):
        b = a.l.OLED_BRIGHTNESS_PERCENT
        if a.z and a.M - a.w >= a.z:
            return min(b, a.l.OLED_DIM_BRIGHTNESS_PERCENT)
        return b

    # The page

    def h(a):
        b = a.F()
        if a.N is not None:
            c = a.N.r(b)
            d = None
            while d is None:
                d = next(c)
            return d
        e = a.e[0]
        f = e.pack
        g = e.g.bE.short
        h = active(f) or []
        a.T((h, g[:1], f.raw("mode")))
        j = [n for n in h if n[1] >= 2]
        a.r = len(j) > 0
        if j:
            k = a.R(len(j))
            return alarm(f, j[k], f"{k + 1}/{len(j)}" if len(j) > 1 else "", a.i)
        l = a.U(b)
        if g:
            l.insert(0, i(g, a.q, b, a.i))
        m = 0 if g else 4 if a.l.OLED_PAGE_S else 1
        k = a.R(len(l) + m + a.Q())
        if k < len(l):
            return l[k]
        k -= len(l)
        if k >= m:
            return a.more(k - m)
        return a.p(k, warning(h) or q(b))

    def Q(a):
        """How many further pages there are; none where pages are not turned."""
        return a.E.count if a.E is not None and a.l.OLED_PAGE_S else 0

    def more(a, b):
        """One of them."""
        return a.E.page(b, a.i)

    def F(a):
        """Trouble with the network, or what is waited for; "" while connected."""
        b = a.g.trouble
        if b is None:
            return ""
        return u(b, a.k.connected) or a.g.aF

    def T(b, a):
        """A change, also of whether there is a connection, shows the first page and ends the dimming."""
        a = (a, b.g.trouble is None)
        if a != b.v:
            b.v = a
            b.w = b.J = b.M
            b.H = 0

    def R(a, b):
        """Index of the current one of `count` pages."""
        if a.M - a.J >= a.I:
            a.J = a.M
            a.H += 1
        return a.H % b

    def U(a, b):
        """The pages on what is wrong with the network, `trouble` in words, and with the settings."""
        c = []
        if b and not o(a.g.trouble):
            c += a.D(b)
        d = a.l.problems
        for e in d[:3]:
            c += a.D(e)
        if len(d) > 3:
            c += a.D(f"and {len(d) - 3} more mistakes in settings.toml, see the console")
        return c

    def D(a, b):
        if b not in a.j:
            if len(a.j) > 8:
                a.j.clear()
            a.j[b] = r(b.replace("settings.toml line", "line"), a.i)[:4]
        return a.j[b]

    def p(a, b, c):
        d = a.e[0].pack
        if b == 0:
            return j(d, a.i, c)
        if b == 1:
            return cells(d, a.i, c)
        if b == 2:
            return energy(d, a.i, c)
        return a.S(c)

    def S(a, b):
        """The page of our address, the Wi-Fi and the broker."""
        c = a.k
        d = c.ap_info if c.connected else None
        e = a.l
        f = f"{e.MQTT_BROKER}:{e.MQTT_PORT}" if e.MQTT_BROKER else "page only, no broker"
        g = "" if e.WEB_PORT in (0, 80) else f":{e.WEB_PORT}"
        return t(
            str(c.ipv4_address) + g if c.ipv4_address else None,
            d.rssi if d else None,
            f,
            a.q,
            a.i,
            b,
        )
