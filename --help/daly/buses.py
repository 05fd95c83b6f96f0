# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several UARTs, each with its boards. Loaded only where there are several."""


class a:
    """Used like a Bus; `buses` are those of the UARTs."""

    def __init__(a, b):
        a.e = tuple(b)
        a.d = tuple([e for d in a.e for e in d.d])
        for c in a.d:
            c.z(a.d)

    def c(a, b):
        """As that of each."""
        for c in a.e:
            c.c(b)

    def u(a, b):
        """How long nothing is expected on any of the lines, in ms."""
        c = a.e[0].u(b)
        for d in a.e:
            c = min(c, d.u(b))
        return c
