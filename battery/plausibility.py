# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Plausibility checks: what contradicts another reading. Functions of the column `check` in readings.py, each with its reason.

A value that contradicts is not refused but must be confirmed by the next one: two readings are never of the same moment, and
a rule that refused for good would hide a real fault of the pack. `function(pack, raw)` is true when `raw` contradicts.
"""

# A clear current: boards measure nothing below 1.1 to 2.5 A (user-pains: SOC drifts), so a smaller one has no direction.
CLEAR_CURRENT = 30  # 0.1 A


def dead_cell(_pack, raw):
    """A cell of 0 V: a dead cell beside healthy ones, or a response that was not filled in."""
    return raw == 0


def contradicts_cells(pack, raw):
    """Pack voltage (0.1 V) against the sum of the cells: 2 % and 0.5 V for cut-off digits, wiring and another moment."""
    total = pack.sum_of_cells()
    return total is not None and abs(100 * raw - total) > total // 50 + 500


def beyond_cells(pack, raw):
    """Highest or lowest cell voltage (mV) against the cells themselves, 0.1 V for another moment."""
    highest, lowest = pack.extreme_cells()
    return raw == 0 if highest is None else not lowest - 100 <= raw <= highest + 100


def contradicts_capacity(pack, raw):
    """Remaining capacity (mAh): not 0 at 2 % and more, not above the rated capacity by more than a quarter."""
    soc = pack.raw("soc")
    rated = pack.raw("rated_capacity")
    return (raw == 0 and soc is not None and soc >= 20) or (rated is not None and raw > rated + rated // 4)


def contradicts_mode(pack, raw):
    """A clear current (0.1 A, positive charging) against the mode, which is read a moment before or after it."""
    return abs(raw) >= CLEAR_CURRENT and against_mode(raw, pack.raw("mode"))


def against_mode(current, mode):
    """Whether a current, however small, flows against a mode; not while the mode is None or idle."""
    return (mode == 1 and current < 0) or (mode == 2 and current > 0)


def fits_mode(current, mode):
    """Whether the sign of a current agrees with a mode; 0 A with idle."""
    return (current > 0) - (current < 0) == (0, 1, -1)[mode]
