# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several batteries as one, where the bridge itself is concerned. Loaded only where there are several."""


class a:
    """One job out of those of the batteries, whose ticks all want the same pause: in each call the next one has its turn."""

    def __init__(a, b):
        a.g = b
        a._index = 0

    def c(a, b):
        """What the tick returns, shortened so that each is called as often as it wants."""
        c = a._index
        a._index = c + 1 if c + 1 < len(a.g) else 0
        return a.g[c](b) // len(a.g)


class d:
    """Has what the state of the bridge tells of a Poller, its pack and its timing: of counters the sum, of times the longest,
    and texts joined where they differ.
    """

    def __init__(a, c):
        a.d = [d.g for d in c]
        a.pack = b(a.d)
        a.R = e(a.d)

    @property
    def online(a):
        """Whether every BMS responds."""
        return not [b for b in a.d if not b.online]

    @property
    def frames_ok(a):
        """As of a Poller."""
        return sum([b.frames_ok for b in a.d])

    @property
    def v(a):
        """As of a Poller."""
        return sum([b.v for b in a.d])

    @property
    def timeouts(a):
        """As of a Poller."""
        return sum([b.timeouts for b in a.d])

    @property
    def echoes(a):
        """As of a Poller."""
        return sum([b.echoes for b in a.d])

    @property
    def p(a):
        """As of a Poller."""
        return max([b.p or 0 for b in a.d]) or None

    @property
    def c(a):
        """As of a Poller; a text where there are different ones."""
        return f([b.c for b in a.d])

    @property
    def protocol(a):
        """As of a Poller."""
        return f([b.protocol for b in a.d])


class b:
    """The same of the Packs of pollers, and of their Polarities."""

    def __init__(a, b):
        a.d = b
        a.polarity = c(b)

    @property
    def t(a):
        """As of a Pack."""
        return sum([b.pack.t for b in a.d])

    def u(a, b):
        """As of a Pack."""
        return max([c.pack.u(b) for c in a.d])


class c:
    """The same of the Polarities of pollers."""

    def __init__(a, b):
        a.d = b

    @property
    def text(a):
        """As of a Polarity."""
        return f([b.pack.polarity.text for b in a.d])


class e:
    """The same of the Timings of pollers, which are others when the protocol changes."""

    def __init__(a, b):
        a.d = b

    @property
    def c(a):
        """As of a Timing."""
        return max([b.R.c for b in a.d])


def f(a):
    """The value where all have the same, else each different one once, as a text; None is left out."""
    b: list = []
    for c in a:
        if c is not None and c not in b:
            b.append(c)
    if len(b) < 2:
        return b[0] if b else None
    return ", ".join([str(d) for d in b])
