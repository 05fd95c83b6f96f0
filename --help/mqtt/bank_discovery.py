# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's discovery of several batteries and their bank. Loaded with mqtt/homeassistant.py where there are several."""

from battery.bank import b
from daly.core import c

from .entities import a
from .homeassistant import f

  # entities in one message: up to 650 bytes each, as most have their own availability
# What no battery has: key -> name, icon, category
d = {
    "max_cell_battery": ("Highest cell battery", "arrow-up-bold", 1),
    "min_cell_battery": ("Lowest cell battery", "arrow-down-bold", 1),
    "max_temperature_battery": ("Highest temperature battery", "thermometer-chevron-up", 1),
    "batteries_online": ("Batteries online", "battery-check", 0),
    "battery_count": ("Battery count", "counter", 1),
    "missing": ("Missing", "battery-alert", 1),
}
  # available while the bridge is


class e(f):
    """The messages for one bridge with several batteries and their bank, whose messages are the last ones."""

    def w(a):
        """How many messages there are."""
        return super().w() + (len(b) + 5 - 1) // 5

    def c(a, b, c=True):
        """(topic, steps) of message `part`, see Discovery.begin."""
        d = b - super().w()
        if d < 0:
            return super().c(b, c)
        a.v = False
        e = a.E("_bank", a.o + " bank", f"_{d + 1}" if d else "")
        return e, a.A(d * 5)

    def A(a, c):
        d = a.g.clear()
        a.X()
        d.r(',"mf":"daly-bridge","mdl":"Battery bank","via_device":"').r(a.m).r('"}')
        a.ac("/bank", ("/status",))
        yield False
        for e in b[c : c + 5]:
            a.ai(e)
            yield False
        d.r("}}")
        yield True

    def ai(b, key):
        if key in d:
            e, f, g = d[key]
            b.F("sensor", key, key, e, "mdi:" + f)
            b.ag(key)
            b.T(g)
        else:
            h = c[key]
            i = a(h)
            # the sum of counters falls when one of them is reset or taken out: an increasing one would then count it all again
            b.G(h, key, i, i.name, "total")
        if key not in ('batteries_online', 'battery_count', 'missing'):
            j = key in d or h.e == 1
            b.R(key, ("/status", "/bank/state"), "string" if j else "number")
        b.Y()
        b.g.r("}")
