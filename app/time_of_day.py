# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The time of day, counted on from what an NTP server has said. Loaded only where something depends on it."""

from adafruit_ticks import ticks_add, ticks_diff

SECOND_MS = 1000
DAY_S = 86400
ASK_AGAIN_S = DAY_S  # asking may block for a second
RETRY_S = 600
VALID_S = 7 * DAY_S  # a crystal that is off by 100 ppm has lost a minute then


class TimeOfDay:
    """`clock`: see clock.py; `client`: the MqttClient, without whose connection nobody is asked."""

    def __init__(self, clock, client):
        self._clock = clock
        self._client = client
        self._second_at = None  # tick of the present second
        self._second = None  # of the day; None: it is not known
        self._answered_s = 0  # since the last answer
        self._ask_in_s = 0

    def minutes(self):
        """Minutes since midnight in local time; None: it is not known."""
        return None if self._second is None else self._second // 60

    def tick(self, now):
        """Count, and ask when it is time. Returns as a job's tick does."""
        if self._second_at is None:
            self._second_at = now
        passed = ticks_diff(now, self._second_at) // SECOND_MS
        if passed > 0:
            self._second_at = ticks_add(self._second_at, passed * SECOND_MS)
            self._ask_in_s = max(0, self._ask_in_s - passed)
            self._answered_s += passed
            if self._second is not None:
                self._second = (self._second + passed) % DAY_S if self._answered_s < VALID_S else None
        if self._ask_in_s == 0 and self._client.trouble is None:
            self._ask()
        return SECOND_MS

    def _ask(self):
        time = self._clock.now()
        self._ask_in_s = RETRY_S if time is None else ASK_AGAIN_S
        if time is not None:
            _, _, _, hour, minute, second = time
            self._second = 3600 * hour + 60 * minute + second
            self._answered_s = 0
