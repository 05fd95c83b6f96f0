# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several batteries as one, where the bridge itself is concerned. Loaded only where there are several."""


class Each:
    """One job out of those of the batteries, whose ticks all want the same pause: in each call the next one has its turn."""

    def __init__(self, ticks):
        self._ticks = ticks
        self._index = 0

    def tick(self, now):
        """What the tick returns, shortened so that each is called as often as it wants."""
        index = self._index
        self._index = index + 1 if index + 1 < len(self._ticks) else 0
        return self._ticks[index](now) // len(self._ticks)


class Pollers:
    """Has what the state of the bridge tells of a Poller, its pack and its timing: of counters the sum, of times the longest,
    and texts joined where they differ.
    """

    def __init__(self, batteries):
        self._pollers = [battery.poller for battery in batteries]
        self.pack = Packs(self._pollers)
        self.timing = Timings(self._pollers)

    @property
    def online(self):
        """Whether every BMS responds."""
        return not [poller for poller in self._pollers if not poller.online]

    @property
    def frames_ok(self):
        """As of a Poller."""
        return sum([poller.frames_ok for poller in self._pollers])

    @property
    def checksum_errors(self):
        """As of a Poller."""
        return sum([poller.checksum_errors for poller in self._pollers])

    @property
    def timeouts(self):
        """As of a Poller."""
        return sum([poller.timeouts for poller in self._pollers])

    @property
    def echoes(self):
        """As of a Poller."""
        return sum([poller.echoes for poller in self._pollers])

    @property
    def cycle_ms(self):
        """As of a Poller."""
        return max([poller.cycle_ms or 0 for poller in self._pollers]) or None

    @property
    def host_address(self):
        """As of a Poller; a text where there are different ones."""
        return joined([poller.host_address for poller in self._pollers])

    @property
    def protocol(self):
        """As of a Poller."""
        return joined([poller.protocol for poller in self._pollers])


class Packs:
    """The same of the Packs of pollers, and of their Polarities."""

    def __init__(self, pollers):
        self._pollers = pollers
        self.polarity = Polarities(pollers)

    @property
    def implausible(self):
        """As of a Pack."""
        return sum([poller.pack.implausible for poller in self._pollers])

    def oldest_ms(self, now):
        """As of a Pack."""
        return max([poller.pack.oldest_ms(now) for poller in self._pollers])


class Polarities:
    """The same of the Polarities of pollers."""

    def __init__(self, pollers):
        self._pollers = pollers

    @property
    def text(self):
        """As of a Polarity."""
        return joined([poller.pack.polarity.text for poller in self._pollers])


class Timings:
    """The same of the Timings of pollers, which are others when the protocol changes."""

    def __init__(self, pollers):
        self._pollers = pollers

    @property
    def gap_ms(self):
        """As of a Timing."""
        return max([poller.timing.gap_ms for poller in self._pollers])


def joined(values):
    """The value where all have the same, else each different one once, as a text; None is left out."""
    different: list = []
    for value in values:
        if value is not None and value not in different:
            different.append(value)
    if len(different) < 2:
        return different[0] if different else None
    return ", ".join([str(value) for value in different])
