# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's discovery of the sources (battery/sources.py). Loaded with mqtt/homeassistant.py where there is one."""

from daly.core import G


from .homeassistant import f
from .source_parts import a


class b(f):
    """The messages on the sources; `after`: how many there are on everything else. The other arguments: of Discovery."""

    def __init__(a, *b, after, sources, g=None):
        super().__init__(*b, g=g)  # type: ignore[misc]
        a.z = after
        a.l = sources

    def c(b, c, d=True):
        """(topic, steps) of message `part`, see Discovery.begin."""
        e, f = a(c, b.z)
        g = b.l[e]
        h = f"_{f + 1}" if f else ""
        b.v = False
        if g.device is None:
            i = b.E("", b.o + " bridge", "_" + g.key + h)
        else:
            i = b.E("_" + g.key, b.o + " " + g.device, h)
        return i, b.k(g, f * 5)

    def k(a, b, c):
        d = a.g.clear()
        a.X()
        if b.device is not None:
            d.r(',"mf":"daly-bridge","via_device":"').r(a.m).r('"')
            a.K("mdl", b.u)
        d.r("}")
        a.ac("/" + b.key, ("/status",))
        yield False
        for e in b.k[c : c + 5]:
            a.af(b, e)
            yield False
        d.r("}}")
        yield True

    def af(a, b, c):
        d = "select" if c.command else "binary_sensor" if c.e == 1 else "sensor"
        e = c.key if b.device is not None else b.key + "_" + c.key
        f = e + "_select"  # a component never becomes one of another platform: the one has to go, and another comes
        if c.e == 2:
            a.ab(e if c.command else f, "sensor" if c.command else "select")
        if c.name is None:
            a.ab(e, d)
            return
        g = c.a or (c.i and "mdi:" + c.i)
        a.F(d, f if c.command else e, e, G(c.name), g)
        a.ag(c.key)
        a.T(c.c)
        if c.e == 0:
            a.ah(c.t, "total_increasing" if c.b else "measurement")
            a.g.r(',"sug_dsp_prc":').r(str(c.d))
        if c.e == 2:
            if not c.command:
                a.K("dev_cla", "enum")
            a.g.r(',"ops":["').r('","'.join(c.options)).r('"]')
        if c.command:
            a.K("cmd_t", a.r + c.command)
            a.g.r(',"qos":1')
        h = "number" if c.e == 0 else "string"
        a.R(c.key, ("/status", "/" + b.key + "/state"), h)
        if not c.command:
            a.Y()
        a.g.r("}")
