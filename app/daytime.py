# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The local time of day for what needs it all the time, asked for some times a day. Loaded only if a setting names a time."""

from adafruit_ticks import ticks_add, ticks_diff

TICK_MS = 1000  # between two calls
REFRESH_MS = 6 * 3600000  # well before app/clock.py gives an answer up
RETRY_MS = 3600000  # asking blocks for up to a second


class DayTime:
    """Asks the Clock of app/clock.py while the MqttClient is connected: the network is there."""

    def __init__(self, clock, client):
        self._clock = clock
        self._client = client
        self._due = None  # when it is asked next; None: at the first connection
        self._now = 0

    def tick(self, now):
        """Ask when it is due; that blocks. Returns the ms until the next call."""
        self._now = now
        if self._client.connected and (self._due is None or ticks_diff(now, self._due) >= 0):
            self._due = ticks_add(now, RETRY_MS if self._clock.now() is None else REFRESH_MS)
        return TICK_MS

    def minute(self):
        """The minute of the day, from 0; None: not known."""
        return self._clock.minute_of_day(self._now)
