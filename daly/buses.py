# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several UARTs, each with its boards. Loaded only where there are several."""


class Buses:
    """Used like a Bus; `buses` are those of the UARTs."""

    def __init__(self, buses):
        self._buses = tuple(buses)
        self.pollers = tuple([poller for bus in self._buses for poller in bus.pollers])
        for poller in self.pollers:
            poller.share_modules(self.pollers)

    def tick(self, now):
        """As that of each."""
        for bus in self._buses:
            bus.tick(now)

    def free_ms(self, now):
        """How long nothing is expected on any of the lines, in ms."""
        free_ms = self._buses[0].free_ms(now)
        for bus in self._buses:
            free_ms = min(free_ms, bus.free_ms(now))
        return free_ms
