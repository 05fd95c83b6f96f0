# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The bank of several batteries, as the sum of what is said of them in the same answer. Loaded only with several."""

from battery.bank import b, d, a

  # values calculated in one step


class c(d):
    """As it was when the snapshots were taken, one of each battery. `is_series`: see Bank."""

    def __init__(a, b, c, d):
        super().__init__(b, d)
        a.t = c

    def values(a, b):
        """The readings of a battery; None: it is offline."""
        c = a.t[b]
        return c if c.ag else None

    def r(c, g):
        """Calculate all values and write them as one JSON object: a generator of short steps."""
        d: list = []
        for e in b:
            if not len(d) % 3 or e == "missing":
                yield False
            d.append(c.raw(e))
        yield from a(g, d)
