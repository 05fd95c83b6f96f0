# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The last hours of each battery, and of the bank: a point each minute, in rings that are made once. Lost with a restart."""

from array import array

from adafruit_ticks import ticks_add, ticks_diff

from battery.pack import CURRENT, VOLTAGE
from battery.readings import READING

MINUTE_MS = 60000
_SOC = READING["soc"]
_UNKNOWN = -32768
_MOST = 32767  # a larger one does not fit, and is not known


class History:
    """State of charge, current and voltage, each with one decimal, as they were known in each of the last `minutes`.

    `batteries`: each a Battery of battery/pack.py, `bank`: their Bank or None. They are numbered in this order, the bank last.
    It takes 6 bytes a point: 8.6 KB a battery for a day.
    """

    def __init__(self, batteries, bank, minutes):
        self.minutes = minutes
        self.count = 0  # points since the start
        self._packs = [battery.pack for battery in batteries]
        self._bank = bank
        self._due = None  # tick of the next point
        rings = (len(batteries) + (bank is not None)) * 3
        self._rings = [array("h", bytes(2 * minutes)) for _ in range(rings)]

    def tick(self, now):
        """Add the points that are due. Returns the ms until the next one."""
        if self._due is None:
            self._due = ticks_add(now, MINUTE_MS)
        left = ticks_diff(self._due, now)
        if left > 0:
            return left
        while left <= -MINUTE_MS:  # the loop was busy: nobody looked
            self._add(None)
            left += MINUTE_MS
        self._add(self._sample())
        self._due = ticks_add(now, left + MINUTE_MS)
        return left + MINUTE_MS

    def age_ms(self, now):
        """Age of the newest point; None: there is none."""
        return MINUTE_MS - ticks_diff(self._due, now) if self.count else None

    def at(self, index, series, number):
        """The raw value of point `number`, counted from the start; `series` 0: state of charge, 1: current, 2: voltage.

        None: it was not known, or is forgotten.
        """
        if not max(0, self.count - self.minutes) <= number < self.count:
            return None
        raw = self._rings[3 * index + series][number % self.minutes]
        return None if raw == _UNKNOWN else raw

    def _sample(self):
        raws: list = []
        for pack in self._packs:
            raws.append(pack.at(_SOC))
            raws.append(pack.at(CURRENT))
            raws.append(pack.at(VOLTAGE))
        if self._bank is not None:
            raws.append(self._bank.raw("soc"))
            raws.append(self._bank.raw("current"))
            raws.append(self._bank.raw("pack_voltage"))
        return raws

    def _add(self, raws):
        """One more point; `raws` None: nothing is known."""
        at = self.count % self.minutes
        for position in range(len(self._rings)):
            raw = None if raws is None else raws[position]
            self._rings[position][at] = _UNKNOWN if raw is None or not -_MOST <= raw <= _MOST else raw
        self.count += 1
