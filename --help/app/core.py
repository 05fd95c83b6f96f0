# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The state of the bridge itself, for <base>/state. What each value is in Home Assistant is in mqtt/entities.py."""

import gc

from adafruit_ticks import ticks_diff

from daly.core import F



  # between two calls
  # the Wi-Fi signal always varies, and each change is a row in Home Assistant's database
  # uptime after which a boot counts as successful


class k:
    """The values of the bridge. `poller`: of several batteries the Pollers of several.py; `restart_reason`: the chip's reset
    reason in lower case; `problems`: mistakes in the settings.

    Publisher and MqttClient are made later: `watch` them before the first state is asked for.
    """

    def __init__(a, b, c, d, e, f, g, h):
        a.radio = b
        a.g = c
        a.f = d
        a.loop = e
        a.j = a.l = None
        a.problems = f
        a.k = g
        a.p = 0
        a.h = h
        a.d = 0
        a.e = None  # dBm, as published last; None: it was not published

    def n(a, b, c):
        """Publish the counters of these, too."""
        a.j = b
        a.l = c

    def c(a, b):
        """Count the uptime: ticks wrap, these seconds do not. Returns the ms until the next call."""
        a.d += ticks_diff(b, a.h)
        a.h = b
        a.p += a.d // 1000
        a.d %= 1000
        if a.p >= 600 and (a.f.B or a.f.safe_modes):
            a.f.z()
        return 100

    def m(a):
        """The Wi-Fi signal in dBm, or the one published last while it is within the deadband; None without Wi-Fi."""
        b = a.radio.ap_info if a.radio.connected else None
        if b is None:
            return None
        c = b.rssi
        return c if a.e is None or abs(c - a.e) >= 4 else a.e

    def o(a, b):
        """The pairs to publish on <base>/state; what is measured from one state to the next starts again."""
        c = a.i(b)
        a.loop.n()
        for d, e in c:
            if d == "rssi" and e is not None:
                a.e = e
        return c

    def i(a, b, c=None):
        """(key, value) of each, None is published as null. Without side effects. `oldest_ms`: the age of the oldest reading,
        where it has been looked for already.

        A new one goes to the end. What it is in Home Assistant: BRIDGE in mqtt/entities.py.
        """
        d = a.g
        return [
            ("version", '0.1.0'),
            ("uptime", a.p),
            ("rssi", a.m()),
            ("restart_reason", a.k),
            ("boot_count", a.f.w),
            ("safe_modes", a.f.safe_modes),
            ("last_failure", a.loop.m or a.f.failure or "none"),
            ("loop_time_max", a.loop.u),
            ("ip_address", str(a.radio.ipv4_address) if a.radio.ipv4_address else None),
            ("free_memory", gc.mem_free() if hasattr(gc, "mem_free") else None),
            ("mqtt_connects", a.l.aB),
            ("settings_problems", F(a.problems)),
            ("frames_ok", d.frames_ok),
            ("checksum_errors", d.v),
            ("timeouts", d.timeouts),
            ("echoes", d.echoes),
            ("implausible_values", d.pack.t),
            ("poll_cycle", d.p),
            ("oldest_reading_age", d.pack.u(b) if c is None else c),
            ("current_sign", d.pack.polarity.text),
            ("request_gap", d.R.c),
            ("host_address", d.c),
            ("protocol", d.protocol),
            ("discovery_errors", a.j.af),
        ]
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the broker's messages can control whatever the settings: what changes nothing. The rest is in controls.py."""

import random

from app.early import keep, f
from mqtt.core import d


def b(a, b, c):
    """What starts a scan for board numbers: see app/scan.py. `boards`: of the settings, in the order of `batteries`."""

    def f(d, e=None):
        from .scan import start as g  # 3 KB, as long as it lasts

        return g(a, b, c, e)

    return f


def a(a, b, c, e, g, h, j, k):
    """The topics to subscribe to, each with its function. What is not allowed is not subscribed to.

    The functions return None or why they refuse. A refusal is published where the result of the command would be.
    `battery_commands`: a BatteryCommands of each of the `batteries`; it and `clock`: None where ALLOW_CONTROL needs none.
    """
    from battery.controls import c as v, d as w

    x = d(lambda name, l: b.report(f"{name[0]}: refused, {l}", name[1]))

    def y(m, n):
        C = c.g(lambda o, p: b.publish(o, p, qos=0), n)
        return C and i(C)

    def z(q, r):
        D = e(r, lambda s: b.publish("/scan", s, qos=0))
        return D and i(D)

    def _(t, u):
        if t == "online":  # after a random delay, so that not all devices of a house publish at once
            b.am(u, random.randrange(1000, 5000))

    x.add(a.base_topic + v.topic, v.a, y)
    x.add(a.base_topic + w.topic, w.a, z)
    if a.MQTT_BIRTH_TOPIC:
        x.add(a.MQTT_BIRTH_TOPIC, ("online", "offline"), _, s=False)
    if len(a.allowed):
        keep("battery.controls")
        from .controls import d as A  # 6 KB on a board with what it needs

        for B in g:
            b.report("none", B)
        A(x, a, b, g, h, j, k)
    f("battery.controls")
    return x


def i(a):
    """A code of battery/controls.py in words."""
    from battery.controls import h as b

    c = b[a]
    f("battery.controls")
    return c
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The serial console: a word and Enter run a command. Reading never blocks."""

  # between two looks at the keyboard

  # characters per tick: a long text that is pasted must not block the loop


class m:
    """`runtime` is supervisor.runtime, `stdin` sys.stdin; `commands`: word -> function(now)."""

    def __init__(a, b, c, d):
        a.d = b
        a.g = c
        a.p = d
        a.j = ""

    def c(a, b):
        """Read what has been typed. Returns the ms until the next call."""
        for c in range(16):
            if not a.d.serial_bytes_available:
                return 50
            # One at a time: read(n) waits for all n, and 9.1.0 counts bytes twice (circuitpython#9400).
            try:
                a.e(a.g.read(1), b)
            except UnicodeError:
                pass  # half of a letter, which is in no command
        return None

    def e(a, b, c):
        if b in ("\r", "\n"):
            d = a.j.strip().lower()
            a.j = ""
            if d:
                a.f(d, c)
        elif b in ("\b", "\x7f"):
            a.j = a.j[:-1]
        elif " " <= b <= "~" and len(a.j) <= 32:
            a.j += b

    def f(a, b, c):
        d = a.p.get(b)
        if d is not None:
            d(c)
        else:
            print(f'Commands: {", ".join(a.p)}; "{b}" is none.')
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""When the diagnostics are made: everything needed for remote support. What is in them is in report.py.

Requested with PRESS on <base>/diagnostics/set or with `diagnostics` on the console; `python -m host --replay` replays them.
Those of the first battery are published on <base>/diagnostics, of another one on <base>/<battery>/diagnostics. The page in the
browser offers them as a file, made in steps.
"""





  # between two calls
  # between two requests: each takes 8 KB of memory for a moment


class n:
    """Makes a JSON of each battery. `loop` counts failures, `state(now)` returns the pairs of <base>/state."""

    def __init__(a, b, c, d, e):
        a.l = b
        a.e = c
        a.i = d
        a.j = e
        a.k = None
        a.h = None  # receives those that are still to be made: send(battery, json)
        a.f = 0  # the index of the first one of them

    def n(a, b):
        """Whether the last ones are long enough ago."""
        return a.h is None and (a.k is None or ticks_diff(b, a.k) >= 5000)

    def g(a, b, c):
        """Pass each JSON to `publish(topic, json)`, topics without the base: the first now, those of other batteries later.

        Returns None, or the code of the refusal when it is requested too often.
        """
        if not a.n(c):
            return "requested_before"
        f = a.e[0]

        def g(d, e):
            b("/diagnostics" if d is f else f"/{d.key}/diagnostics", e)

        a.d(g, c)
        return None

    def show(a, b):
        """Print them on the console, one after the other, too."""
        if a.h is None:
            a.d(r, b)
        else:
            print("Diagnostics: refused, they are being made")

    def d(a, b, c):
        a.h = b
        a.f = 0
        a.D(c)

    def c(a, b):
        """Make the next JSON of a request; forget when the last one was made before the ticks wrap. Returns the ms until the
        next call.
        """
        if a.h is not None:
            a.D(b)
        elif a.k is not None and ticks_diff(b, a.k) >= 5000:
            a.k = None
        return 500

    def D(a, b):
        """The next one. What is needed for it stays until the last one is made."""
        c = a.h
        d = a.e[a.f]
        a.f += 1  # also if it fails
        if a.f == len(a.e):
            a.h = None
        c(d, a.json(b, d))

    def json(a, b, c=None):
        """The JSON as bytes; `battery` None: the first one."""
        a.k = b
        try:
            from .report import report as d  # 2 KB on a board, and 10 for the table of settings

            return d(a.l, c or a.e[0], a.i(b), a.j, b)
        finally:
            a.m()

    def r(a, g, b, c, d, e):
        """The JSON of a battery, as a generator: see `report_steps`. `pairs`: of <base>/state, read before."""
        a.k = e
        try:
            from .report import e as f

            yield
            yield from f(g, a.l, b, c, d, a.j, e)
        finally:
            a.m()

    def m(a):
        if a.h is None:
            for b in ("app.report", "app.batteries", "app.settings", "battery.controls"):  # the settings need it
                f(b)


def r(a, b):
    print(str(b, "utf-8"))
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Keeps the energy counters over restarts: in the chip's memory, and in the state that the broker retains.

The chip's memory is written rarely (see nvm_store.py); the retained state is seconds old, but may be lost or forged. The
larger value counts, and what has been counted since the start is added. Until the broker has been asked, the counters are not
published: a number that is corrected a moment later would be a dip or a jump in the energy dashboard.
"""

import binascii

from daly.core import o
from daly.core import c


  # between two calls
# Wh, Wh, mAh, mAh. No battery has more: 1 GWh is a hundred kilowatt-hours a day for 27 years
e = (10**9, 10**9, 10**10, 10**10)


class p:
    """Restores the energy counters of the batteries, and stores them in `nvm_store` as often as its wear budget allows: one
    write stores those of all.

    `topics`: where the broker may retain them, <base>/bms1/energy and <base>/bms1/state and so on. `identity`: the bridge's; a
    board that replaces another one continues the counters of that one, not those from its own earlier use. What the packs know
    of their polarity, and the protocols, are stored, too. `report(text, battery)`: publishes what is refused; None: it is only
    printed. `publish(topic, text, retain)`: tells of batteries that are stored and not read any more, with this `retain`.
    `counts`: False where the bridge sleeps. Awake it sees a hundredth of what flows, so the counters would be wrong by a factor
    of hundred: they are unknown, and what was counted before stays stored as it is.
    """

    def __init__(a, b, c, d, e="", f=None, g=None, retain=False, counts=True):
        a.e = b
        a.g = g
        a.d = retain
        h = binascii.crc32(e.encode()) | 1  # never 0
        a.n = [j(b, i, d, h, f, counts) for i in c]
        a.topics = tuple([l for k in a.n for l in k.topics])
        a.m = not counts  # the retained state has been asked for
        a.i = False
        a.h = False

    @property
    def l(a):
        """Whether the retained state of every topic has arrived."""
        return not [b for b in a.n if not b.s]

    def f(a, b, c):
        """Restore from `state`, the payload retained on one of `topics`: JSON or its beginning. It may be forged."""
        for d in a.n:
            if b in d.topics:
                d.f(b, c)

    def j(a):
        """The connection is up and nothing more is retained: the counters continue from what was restored.

        A broker that was restarted may have lost the retained state, so the memory is updated if its budget allows.
        """
        a.m = True
        for b in a.n:
            b.j()
        a.i = True
        c = a.e.gone()
        if c and a.g is not None:
            from .gone import a as d

            d(c, a.g, a.d)
            f("app.gone")

    def c(a, b):
        """Store the counters when a write is due, and once after every connection if the budget allows.

        Returns the ms until the next call.
        """
        c = a.e
        d = False
        for e in a.n:
            d = e.r() or d
        if d and not a.h:  # those of the other batteries wait until a write has been earned
            a.h = True
            c.k()
        if c.c(b) or (a.i and c.C):
            a.i = False
            a.k()
        elif c.G and c.H and c.C:
            c.k()
        return 100

    def k(a):
        """Store the counters now if they have changed: before a restart of the bridge."""
        b = False
        for c in a.n:
            b = c.t() or b
        if b:
            a.e.k()


class j:
    """The counters of one battery; `owner`: the bridge as a number; `counts`: see EnergyStores."""

    def __init__(a, b, c, d, j, e, counts):
        a._battery = c
        a.e = b
        a.h = c.pack.energy
        a.d = False  # it has been settled, or restored
        a.topics: tuple = ()
        a.n = None  # None: the counters have been restored, or stay unknown
        if counts:
            from .energy_restore import a as f  # 2 KB on a board, until the broker has been asked

            a.topics = (f"{d}/{c.key}/energy", f"{d}/{c.key}/state")
            a.n = f(b, c, a.topics, j, e)
        a.m = None  # what is stored; None: the chip's memory has not been read
        a.o = None  # the totals as noted last
        a.p()

    def p(a):
        if a.m is None and a.n is not None:
            a.m = a.n.i
            a.o = a.n.stored
        elif a.m is None and a.e.I:
            a.m = a.e.i(a._battery.number)

    @property
    def s(a):
        """Whether the retained state of every topic has arrived."""
        return a.n is None or not a.n.missing

    def f(a, b, c):
        """Restore from `state`, the payload retained on one of the topics."""
        if a.n is not None:
            a.n.f(b, c)

    def j(a):
        """Nothing more is retained."""
        if a.n is not None:
            a.n.j()
            a.i()

    def i(a):
        """Restore the counters, as soon as the chip's memory and the broker have been asked."""
        b = a.n.q()
        a.p()
        if b:
            a.c()
            a.n = None
            f("app.energy_restore")

    def r(a):
        """Note what has been found of the battery. Returns whether it should be stored immediately."""
        if a.n is not None:
            a.i()
        else:
            a.p()
        if a.m is None:
            return False
        a.l()  # first, so that it needs no write of its own
        return a.k()

    def k(a):
        """Note the direction of the current; or restore it, when the memory could not be read at the start.

        It is found once in a board's life and within seconds of the first start, when no regular write has been earned: in
        the half an hour until then a restart would lose it.
        """
        b = a._battery.pack
        c = b.polarity.e
        d = a.m.polarity
        if c:
            a.d = True
        elif d and not a.d:
            b.al(d)
            return False
        if c == d:  # else, where none is found: another board is read than the one whose it was
            return False
        a.e.set(a.m, polarity=c)
        return c > 0

    def l(a):
        """Note what the BMS speaks, so that it is asked first after a restart; with the next write that has been earned."""
        b = a._battery.g.w
        if b and b != a.m.protocol:
            a.e.set(a.m, protocol=b)

    def t(a):
        """Note the counters for the next write. Returns whether they have changed."""
        b = a.h.f()
        if b is None or b == a.o:
            return False
        a.g(b)
        return True

    def g(a, b):
        a.o = b
        a.e.set(a.m, b)

    def q(a, b):
        """Set the counters by the payload of a command. Returns None, or the code of the refusal."""
        from .controls import g as c  # which has called this

        d = a.h.f()
        if a.n is not None or d is None:
            return "counters_unknown"
        e = c(d, b)
        if e is None:
            return "not_understood"
        f = a.o
        a.h.set(e)
        a.g(e)
        if not a.e.k():  # after the next start the old ones would be back
            a.h.set(d)
            a.g(d)
            a.o = f
            return "not_stored"
        a.c()
        return None

    def c(a):
        """Put the restored totals into the pack, where those from before may be waiting to be published."""
        b = a._battery.pack
        for d in o:
            if b.raw(d) is not None:
                b.r(c[d], 0, a.h.total(d), b.aj(d))
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Events of the battery on the console, each once: why there is data or not, alarms and their end, results of commands.

For those without screen and broker. Readings are not printed. The number of lines is limited: a few at once, then one a
minute, with the state at that time.
"""



from daly.core import h, active



  # lines
  # for one more


class l:
    """The number of lines that may still be printed on one subject."""

    def __init__(a):
        a.c = 6
        a.e = 0

    def f(a, b):
        """Refill with time."""
        a.e += b
        if a.e >= 60000:
            a.e -= 60000
            a.c = min(a.c + 1, 6)

    def d(a):
        """Use one line; False when there is none left."""
        if not a.c:
            return False
        a.c -= 1
        return True


class q:
    """Prints the diagnosis of the BMS connection of a battery when it changes, alarms, and results of commands, with its label.

    `publish(text, battery)` publishes a result; None: it is only printed.
    """

    def __init__(a, b, c, d=None):
        a._battery = b
        a.v = b.a + ": " if b.a else ""
        a.g = d
        a.k = c
        a.l = l()
        a.d = l()
        a.i: object = None  # of the connection, as printed last; None: nothing was printed
        a.n = None
        a.f = [0] * 5  # of the alarms, as of the last check
        a.o = False  # they have changed, and the alarms are not printed yet
        a.e: list = []  # (name, level) as printed

    def report(a, b):
        """Publish and print the result of a command."""
        if a.g is not None:
            a.g(b, a._battery)
        print(f"{a.v}Command: {b}")

    def p(a, b, c):
        """The same for a code of battery/controls.py."""
        from battery.controls import h as d  # which is in memory when there are commands

        a.report(f"{b}: {d[c]}")

    def c(a, b):
        """Print what has changed. Returns the ms until the next call."""
        c = ticks_diff(b, a.k)
        if c < 500:
            return 500 - c
        a.k = b
        a.l.f(c)
        a.d.f(c)
        a.j()
        a.h()
        return 500

    def j(a):
        b = a._battery.g.bE
        if b.online:
            c = b.text
            d = b.code == 31
            if a.i == "online" and (d or c == a.n):
                return
            e: object = "online"
        else:
            e = 10 if b.I else b.code  # how it sleeps, and for how long, is no change
            if e == a.i:
                return
            d = True
            c = b.text
        if a.l.d():
            a.i = e
            if not d:
                a.n = c
            print(a.v or "BMS: ", c, sep="")

    def h(a):
        a.m()
        if not a.o:
            return
        b = active(a._battery.pack)
        if b is None:
            return  # not known, so none has ended
        c = [e for e in b if e not in a.e]
        d = [f for f in a.e if f not in b]
        if (c or d) and not a.d.d():
            return
        a.o = False
        a.e = b
        if c:
            print(f"{a.v}Alarm: {g(c)}")
        if d:
            print(f"{a.v}Alarm ended: {g(d)}")

    def m(a):
        """Note changed alarm bits; in every check, so it allocates nothing."""
        for b in range(5):
            c = a._battery.pack.raw("alarm_bits_{}", b + 1)
            if c is not None and c != a.f[b]:
                a.f[b] = c
                a.o = True


def g(a):
    return ", ".join([f"{b} ({h[c]})" for b, c in a])
