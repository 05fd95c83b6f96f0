# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Wakes a sleeping BMS by its wake line, if the settings allow it and the battery is above its limits. No I/O, no clock.

A BMS that is woken again and again can discharge a pack completely (Daly2MQTT#81). So every pulse needs: the BMS has worked
and is asleep now, its last known readings are above the limits, and the last pulse is long enough ago.
"""

from adafruit_ticks import ticks_add, ticks_diff

PULSE_MS = 250  # as Daly2MQTT pulses its wake line
TICK_MS = 50  # between two calls
MINUTE_MS = 60000


class Waker:
    """Decides about pulses. `drive(active)` sets the pin; `every_min`, `min_soc` (%), `min_cell_mv`: the limits."""

    def __init__(self, poller, drive, every_min, min_soc, min_cell_mv):
        self._poller = poller
        self._drive = drive
        self._every_min = every_min
        self._min_soc = 10 * min_soc
        self._min_cell_mv = min_cell_mv
        self._soc = None
        self._cell_mv = None
        self._changes = None
        self._pulse_end = None
        self._minutes_left = 0
        self._minute_end = None
        self.pulses = 0
        drive(False)

    def tick(self, now):
        """Remember what the battery last said, end a pulse, begin one where the policy allows it. Returns the ms until
        it should be called again."""
        self._remember()
        self._count_minutes(now)
        if self._pulse_end is not None:
            if ticks_diff(now, self._pulse_end) >= 0:
                self._pulse_end = None
                self._drive(False)
        elif self._may_wake():
            self._pulse_end = ticks_add(now, PULSE_MS)
            self._minutes_left = self._every_min
            self._minute_end = ticks_add(now, MINUTE_MS)  # whole minutes from here on
            self.pulses += 1
            self._drive(True)
        return TICK_MS

    def _remember(self):
        pack = self._poller.pack
        soc = pack.raw("soc")
        self._soc = self._soc if soc is None else soc
        if pack.changes != self._changes:  # 48 cells are not looked at in every pass
            self._changes = pack.changes
            lowest = _lower(pack.raw("min_cell_voltage"), pack.extreme_cells()[1])
            self._cell_mv = self._cell_mv if lowest is None else lowest

    def _count_minutes(self, now):
        if self._minute_end is None:
            self._minute_end = ticks_add(now, MINUTE_MS)
        elif ticks_diff(now, self._minute_end) >= 0:
            self._minute_end = ticks_add(self._minute_end, MINUTE_MS)
            self._minutes_left = max(0, self._minutes_left - 1)

    def _may_wake(self):
        if self._minutes_left or not self._poller.diagnosis.asleep:
            return False
        if self._soc is None or self._cell_mv is None:
            return False  # a battery of which nothing is known is left in peace
        return self._soc >= self._min_soc and self._cell_mv >= self._min_cell_mv


def _lower(a, b):
    """The lower one of two numbers, of which either may be None; not every board says which cell is the lowest."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)
