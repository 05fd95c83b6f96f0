# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Energy and charge that went into and out of the battery, added up in integers from every reading of voltage and current.

A step is the time between two accepted readings, its energy the trapezium between their powers; across a pause there is none.
The counters are whole Wh and mAh, and the remainders are kept: nothing is ever rounded away.
"""

from adafruit_ticks import ticks_diff

MEAN_MS = 300000  # the mean current is that of about the last five minutes
# Between two readings further apart anything may have happened, unless they are requested so seldom: see `allow_steps`.
LONGEST_STEP_MS = 5000
_WH = 360000000  # power is 0.01 W, time ms: 3600 s * 1000 * 100
_MAH = 36000  # current is 0.1 A, time ms: 3.6 C * 10 * 1000
COUNTERS = ("energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged")


class EnergyMeter:
    """Four counters that never fall: Wh charged and discharged, mAh charged and discharged.

    They count from the start, but `total` is None until `load` adds what was counted before: a counter that begins at 0
    and then jumps would be wrong energy in the dashboard.
    """

    def __init__(self):
        self._counts = [0, 0, 0, 0]  # Wh, Wh, mAh, mAh since the start
        self._rests = [0, 0, 0, 0]  # the remainders
        self._before = None  # the totals at the start; None: not loaded yet
        self.is_provisional = False  # larger totals may still be found: these are shown here, and not published
        self._last_at = None
        self._last_power = 0
        self._last_current = 0
        self._mean = 0  # 0.1 mA
        self._mean_rest = 0  # the remainder: without it noise of one digit would shift the mean
        self._longest_step_ms = LONGEST_STEP_MS

    def take(self, power, current, now):
        """One more accepted reading: power in 0.01 W, current in 0.1 A, both positive when charging."""
        step = 0 if self._last_at is None else ticks_diff(now, self._last_at)
        is_counted = 0 < step <= self._longest_step_ms
        if is_counted:
            self._add(0, (power + self._last_power) * step, 2 * _WH)
            self._add(2, (current + self._last_current) * step, 2 * _MAH)
        # after rest the mean starts at the current: from 0 it would make 40 hours of 2
        if self._last_at is None or current * self._mean <= 0:
            self._mean = 1000 * current
            self._mean_rest = 0
        elif is_counted:
            self._lean(current, step)
        self._last_at = now
        self._last_power = power
        self._last_current = current

    def allow_steps(self, milliseconds):
        """Voltage and current are read so seldom that two readings may be this far apart, if that is longer than usual."""
        self._longest_step_ms = max(LONGEST_STEP_MS, milliseconds)

    def hold(self):
        """Larger totals from before may still be found: these are provisional."""
        self.is_provisional = True

    def release(self):
        """They are not: nothing else will be found."""
        self.is_provisional = False

    def pause(self):
        """Nothing is known of what flows now: the next reading begins a new step."""
        self._last_at = None

    @property
    def mean_current(self):
        """mA, of the last minutes; since the last change between charging and discharging."""
        return _rounded(self._mean, 10)

    def load(self, totals):
        """Continue from earlier totals in the order of COUNTERS; a later call with larger ones moves them up, never down."""
        if self._before is None:
            self._before = [0, 0, 0, 0]
        for index in range(4):
            self._before[index] = max(self._before[index], totals[index] - self._counts[index])

    def set(self, totals):
        """Somebody has set the counters: go on from there, up or down."""
        self._before = [totals[index] - self._counts[index] for index in range(4)]
        self._rests = [0, 0, 0, 0]

    def total(self, counter):
        """The counter's total in Wh or mAh; None until loaded."""
        if self._before is None:
            return None
        index = COUNTERS.index(counter)
        return self._before[index] + self._counts[index]

    def counted(self, counter):
        """What has been counted since the start, in Wh or mAh."""
        return self._counts[COUNTERS.index(counter)]

    def totals(self):
        """All of them in the order of COUNTERS; None until loaded."""
        return None if self._before is None else tuple([self.total(counter) for counter in COUNTERS])

    def _lean(self, current, step):
        """Move the mean towards a current of 0.1 A that flowed for `step` ms, without losing the rest of the division."""
        change = (1000 * current - self._mean) * step + self._mean_rest
        self._mean += change // MEAN_MS
        self._mean_rest = change % MEAN_MS

    def _add(self, index, amount, unit):
        """Add `amount` (half of 0.01 W ms or 0.1 A ms) to a counter: charging to `index`, discharging to the one after it."""
        if amount < 0:
            index += 1
            amount = -amount
        amount += self._rests[index]
        self._counts[index] += amount // unit
        self._rests[index] = amount % unit


def _rounded(number, unit):
    """number / unit to the nearest whole number; halves away from zero."""
    return (number + unit // 2) // unit if number >= 0 else -((unit // 2 - number) // unit)
