# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's MQTT discovery of bridge and battery, made from the tables, in device messages of at most 4 KB.

Keys and rules: docs/HOME-ASSISTANT.md. Several messages with the same `ids` make one device; an unknown key at the root,
in `dev` or in `o` would make Home Assistant drop everything. A component with its platform alone removes an entity of an
earlier message: that is sent for every reading that this battery does not have, as another battery, protocol or version may
have had it. A reading that may still come is left out, which changes nothing. An empty message would remove entities, too, but
Home Assistant logs a warning where there was none.

Defaults are written out where Home Assistant (until some 2026 version) may forget to fill them in: while it loads a platform in
one thread it checks what arrives in another, and the two meet in voluptuous' shared `All` validators, which are empty for a
moment. Without the payloads for available and `cns` an entity would now and then be lost with a KeyError.
"""

from battery.controls import b, c, d
from daly.core import u, G, w
from daly.core import z, s, j

from .entities import e, a

  # entities in one message: 250 to 370 bytes each, and 700 for the rest
# The first message of a poll group that has held more from the beginning: an entity must not move to another message.
o = {"counts": 13, "extremes": 9}

  # available while it sleeps, until it expires
# Device class of what has this unit; the few others have a column of their own.
g = {
    "V": "voltage",
    "A": "current",
    "W": "power",
    "kWh": "energy",
    "°C": "temperature",
    "h": "duration",
    "s": "duration",
}

# The messages of the bridge come first. The last one of all has what is needed when the BMS does not respond: it is sent with
# them, and again when the battery is known.

  # readings there is one of
  # cells and sensors



class f:
    """The messages for one bridge with its batteries. `identity` is the chip's id in hex, `allowed` keys of CONTROLS.

    `name`: of the bridge's device, without " bridge"; `batteries`: each a Battery of battery/pack.py. `has_bridge`: with the
    bridge's own values. `asleep_s`: what a bridge that sleeps publishes is valid for so long, and then everything becomes
    unavailable; 0: it never sleeps. `page()`: the address of the bridge's page, "" while it has none; None: no page.
    `writer`: what messages are written into; None: its own.
    """

    def __init__(a, b, c, d, name, f, i, j=(), k="", l=False,
                 m=0, n=None, g=None):  # fmt: skip
        a.P = b
        a.r = G(c)  # as it stands in JSON
        a.s = G(d)
        a.O = "daly_" + d  # as it stands in topics
        a.m = "daly_" + a.s
        a.o = name
        a.e = f
        a._battery = f[0]  # on which the present message is
        a.q = G(i)
        a.H = G(k)
        a.p = j
        a._ = m
        a.h = n
        a.g = u(5632) if g is None else g
        a.I = [o for o in e if o.name and l]
        a.u = max(1, (len(a.I) + 8 - 1) // 8)
        a.j = h()
        a.t = len(a.j)  # of each battery
        a.n = True
        a.v = False  # the message written last leaves out what has not been read yet

    def f(a):
        """Nothing: it stays. LoadedDiscovery in publisher.py does not."""

    def w(a):
        """How many messages there are: first `bridge_parts` on the bridge, then `battery_parts` on each battery."""
        return a.u + len(a.e) * a.t

    def message(a, b):
        """(topic, payload as bytes) of message `part`, from 0."""
        c, d = a.c(b)
        for e in d:
            pass
        return c, a.g.bytes()

    def c(a, b, c=True):
        """(topic, steps) of message `part`, from 0: a generator that writes it into `writer`, an entity in each step.

        It yields True when the message is complete, None when there is nothing in it. `is_settled`: what has not been read by
        now will not be read.
        """
        a.n = c
        a.v = False
        if b < a.u:
            d = a.E("", a.o + " bridge", f"_{b + 1}" if b else "")
            return d, a.d(0, None, b * 8)
        e = (b - a.u) // a.t
        a._battery = a.e[e]
        f, g, h, i = a.j[b - a.u - e * a.t]
        d = a.E("_" + a._battery.key, a._battery.name, g)
        return d, a.d(f, h, i)

    def E(a, b, name, c):
        """The device that the message is on, by the end of its id and its name; returns the message's topic."""
        a._device = a.m + b  # as it stands in JSON
        a.J = name
        a.L = m(name) + "_"  # of entity ids
        return a.P + "/device/" + a.O + b + c + "/config"

    def d(a, b, c, d):
        if b == 0:
            a.C()
            e = a.S(d)
        else:
            # what is sent before the BMS has answered must not take from the device what it was called before a restart
            a.B(b != 3 or a._battery.pack.ao["cell_count"] > 0)
            if b == 1:
                e = a.ae(c, d)
            elif b == 2:
                e = a.W(c, d)
            else:
                e = a.Z()
        yield False
        for f in e:
            yield False
        a.g.r(b"}}")
        yield None if a.i else True

    # the bridge

    def C(a):
        b = a.g.clear()
        a.X()
        b.r(',"mf":"daly-bridge","mdl":"Daly BMS to MQTT","sn":"').r(a.s)
        b.r('","sw":"').r(a.q).r('"')
        if a.H:
            a.K("hw", a.H)
        if a.h is not None and a.h():
            a.K("cu", a.h())
        b.r("}")
        a.ac("", ("/status",))

    def S(a, b):
        for e in a.I[b : b + 8]:
            a.F("sensor", e.key, e.key, e.name, e.i)
            a.ag(e.key)
            a.T(e.c)
            f = "total_increasing" if e.t in ("", "s") else "measurement"
            a.ah(e.t, f if e.t is not None else None)
            if e.t:
                a.g.r(',"sug_dsp_prc":0')
            a.g.r("}")
            yield
        if not b:
            a.U(c)
            a.U(d)
            yield
            yield from a.V(False)

    # the battery

    def B(a, b=True):
        c = a.g.clear()
        a.X()
        c.r(',"mf":"Daly"')
        if b:
            a.K("mdl", a.N())
        for d, e in (("sn", "battery_code"), ("sw", "software_version"), ("hw", "hardware_version")):
            if a._battery.pack.ao[e]:
                a.K(d, G(a._battery.pack.ao[e]))
        c.r(',"via_device":"').r(a.m).r('"}')
        e = "/" + a._battery.key
        a.ac(e, ("/status", e + "/status"))

    def N(a):
        b = a._battery.pack.ao["cell_count"]
        return f"Smart BMS {b}S" if b else "Smart BMS"

    def ae(a, b, c):
        d = -c
        e = q(b, c)
        for f in j:
            if f.b == b and p(f):
                for g in range(f.n):
                    if 0 <= d < e:
                        a.ad(f, g)
                        yield
                    d += 1

    def W(a, b, c):
        for d in range(c, min(c + 8, b.n)):
            a.ad(b, d)
            yield

    def ad(a, b, c):
        """A reading that exists, or the removal of one that does not; nothing while it may still be read."""
        if a._battery.pack.k(b) and c < a._battery.pack.count(b):
            a.aa(b, c)
        elif a.n or not a._battery.pack.T(b):
            a.ab(w(b, c), k(b))
        else:
            a.v = True

    def Z(a):
        """Connection text and result of the last command, available also while the battery is not, and the controls."""
        a.aj("connection", "BMS connection", "/connection", "mdi:serial-port")
        if len(a.p):
            a.aj("last_command", "Last command", "/command_result", "mdi:message-text-outline")
        else:
            a.ab("last_command", "sensor")
        yield
        yield from a.V(True)

    def aj(a, key, name, b, i):
        a.F("sensor", key, key, name, i)
        a.T(1)
        a.K("stat_t", a.r + "/" + a._battery.key + b)
        a.g.r(",")
        a.Q(("/status",))
        a.g.r("}")

    def V(a, c):
        for d in b:
            if ("{}" in d.topic) == c:
                if a.M(d.key):
                    a.U(d)
                else:
                    a.ab(d.key + "_" + d.platform, d.platform)
                yield

    def M(a, key):
        """Whether a control is allowed, and possible with this BMS."""
        return key in a.p and (key not in ('charge_mosfet', 'discharge_mosfet', 'soc', 'restart_bms') or a._battery.pack.U(key))

    def U(a, b):
        c = b.key + "_" + b.platform
        a.F(b.platform, c, b.b or m(b.name), b.name, b.i)
        if b.b:
            a.ag(b.b)
        a.K("cmd_t", a.r + b.topic.replace("{}", a._battery.key))
        a.g.r(',"qos":1').r(b.extras).r("}")

    def aa(b, c, d):
        e = w(c, d)
        f = a(c)
        b.G(c, e, f, f.name.replace("{}", str(d + 1)))
        if f.t == "h":
            g = "/" + b._battery.key
            b.R(e, ("/status", g + "/status", g + "/state"))
        if z[c.b].v is not None:
            b.Y()
        b.g.r("}")

    def G(a, b, key, c, name, d="total_increasing"):
        """`total`: the state class of what is counted."""
        e = c.a or g.get(c.t)
        f = "mdi:" + c.i if c.i else None
        a.F(k(b), key, key, name, e or f)
        a.ag(key, "d" if b.e == 1 else "d(None)")  # an empty text is ignored there, and shorter
        # the switch takes the place of the reading where there is one
        a.T(1 if b.e == 1 and a.M(b.key) else b.c)
        h = d if c.b else "measurement" if c.t else None  # how it is kept in the statistics
        a.ah(c.t, h)
        if b.e == 0 and h:
            a.g.r(',"sug_dsp_prc":').r(str(l(b, c.t)))
        if b.e == 2:
            a.g.r(',"dev_cla":"enum","ops":["').r('","'.join(s[b.key])).r('"]')

    def Y(a):
        if not a._:  # else everything has one: the broker publishes no last will of a bridge that died asleep
            a.g.r(',"exp_aft":').r(str(60))

    def R(a, key, b, c="number"):
        """Unavailable rather than unknown while there is no such thing: an idle battery is never empty.

        The last one of the topics is the state; `test`: of Jinja, true while the value exists.
        """
        a.g.r(",")
        d = ',"val_tpl":"{{iif((value_json|d)' + n(key) + " is " + c + ",'online','offline')}}\""
        a.Q(b, d)

    # pieces

    def X(a):
        a.g.r('{"dev":{"ids":["').r(a._device).r('"],"cns":[],"name":').h(a.J)

    def ac(a, b, c):
        d = a.g
        d.r(',"o":{"name":"daly-bridge","sw":"').r(a.q).r('"},')
        a.Q(c)
        d.r(',"avty_mode":"all","stat_t":"').r(a.r).r(b).r('/state","cmps":{')
        a.i = True

    def Q(a, b, c=""):
        d = a.g.r('"avty":[')
        for e, f in enumerate(b):
            d.r(',{"t":"' if e else '{"t":"').r(a.r).r(f).r('","pl_avail":"online",')
            d.r('"pl_not_avail":"offline"').r(c if e == len(b) - 1 else "")
            if a._ and f.endswith("/status"):
                d.r(',"val_tpl":"{{iif(value==\'sleeping\',\'online\',value)}}"')
            d.r("}")
        d.r("]")

    def F(a, b, key, c, name, d=None):
        e = a.L
        a.D(key, b)
        a.K("uniq_id", a._device + "_" + key)
        a.K("def_ent_id", b + "." + e + c)  # fixed, so that a ready-made dashboard fits
        f = name.lower() == d  # by Home Assistant, in the user's language
        if not f:
            a.K("name", name)
        if f or m(name) != c:
            a.K("obj_id", e + c)  # for Home Assistant before 2025.10, which goes by the name
        if d:
            a.K("ic" if d.startswith("mdi:") else "dev_cla", d)
        if a._ and b in ("sensor", "binary_sensor"):
            a.g.r(',"exp_aft":').r(str(a._))

    def D(a, key, b):
        a.g.r(b'"' if a.i else b',"').r(key).r('":{"p":"').r(b).r('"')
        a.i = False

    def ab(a, key, b):
        a.D(key, b)
        a.g.r("}")

    def ag(a, key, b="d(None)"):
        # Without the defaults an empty message, which clears what was retained, is an error in Home Assistant's log for every
        # entity ('value_json' is undefined), and a missing key a warning. None is "unknown" on every platform.
        a.K("val_tpl", "{{(value_json|d)" + n(key) + "|" + b + "}}")

    def T(a, c):
        if c != 0:
            a.K("ent_cat", "diagnostic")
        if c == 2:
            a.g.r(',"en":false')

    def ah(a, b, c):
        if b:
            a.K("unit_of_meas", b)
        if c:
            a.K("stat_cla", c)

    def K(a, key, b):
        """`text` as it stands in JSON."""
        a.g.r(',"').r(key).r('":"').r(b).r('"')


def h():
    """(kind, suffix of the topic, row or poll group, index of the first entity) of every message there can be on a battery."""
    a = []
    for b in i():
        c = sum([h.n for h in j if h.b == b and p(h)])
        d = 0
        e = 1
        while d < c:
            a.append((1, "_" + b + (f"_{e}" if d else ""), b, d))
            d += q(b, d)
            e += 1
    for f in j:
        if f.m is not None:
            g = "_" + f.key.replace("_{}", "")
            for d in range(0, f.n, 8):
                a.append((2, f"{g}_{d + 1}", f, d))
    a.append((3, "_controls", None, 0))
    return a


def q(a, b):
    """How many single readings of a poll group are in the message that begins with number `first`."""
    return 8 if b else o.get(a, 8)


def i():
    """The poll groups in the order of their readings, those that have single ones."""
    a: list = []
    for b in j:
        if p(b) and b.b not in a:
            a.append(b.b)
    return a


def m(name):
    """A name as Home Assistant makes it part of an entity id: "Daly BMS" is daly_bms."""
    a = ""
    for b in name.lower():
        a += b if "a" <= b <= "z" or "0" <= b <= "9" else "_"
    while "__" in a:
        a = a.replace("__", "_")
    return a.strip("_") or "daly_bms"


def n(key):
    """How a template reads a key of the JSON: that of a sensor may begin with a digit."""
    return "['" + key + "']" if key[0].isdigit() else "." + key


def p(a):
    return a.e != 5 and a.m is None


def k(a):
    return "binary_sensor" if a.e == 1 else "sensor"


def l(a, b):
    """Digits shown: watts and minutes are not known better than to the unit, kWh and Ah to two."""
    return {"W": 0, "kWh": 2, "Ah": 1}.get(b, a.d)
