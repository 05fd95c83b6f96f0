# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a person may do with the outputs over MQTT. Loaded only if ALLOW_CONTROL names them."""

from battery.controls import g


def a(a, b, c):
    """Add a topic of each output to `commands`: who decides from now on, and what."""

    def h(d):
        def j(e, f):
            c.command(d, e)

        k = b + g.topic.replace("{}", str(d))
        l = g.c.replace("{}", str(d))
        a.add(k, g.a, j, name=(l, None))

    for i in c.t():
        h(i)
