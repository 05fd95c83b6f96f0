# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What makes a reading doubtful: each rule at its exact bounds, and that a doubtful value is one that must be sent twice."""

import pytest

from battery import plausibility
from battery.pack import Pack
from battery.readings import READING


def pack(cells=(), **readings):
    """A pack that holds these cells (mV) and readings (raw)."""
    held = Pack(cell_count=len(cells))
    for index, millivolts in enumerate(cells):
        held.put(READING["cell_{}_voltage"], index, millivolts, 0)
    for key, raw in readings.items():
        held.put(READING[key], 0, raw, 0)
    return held


TEN = (2500,) * 10  # 25000 mV: 2 % and 0.5 V are 1000 mV


@pytest.mark.parametrize(("raw", "doubtful"), [(0, True), (1, False), (3300, False)])
def test_a_cell_of_no_volt_is_doubtful(raw, doubtful):
    assert plausibility.dead_cell(pack(), raw) == doubtful


@pytest.mark.parametrize(
    ("cells", "tenths_of_volt", "doubtful"),
    [((5200,) * 48, 2550, False), ((5200,) * 48, 2551, True), (TEN, 250, False), (TEN, 260, False), (TEN, 261, True),
     (TEN, 240, False), (TEN, 239, True),
     ((3300,) * 16, 543, False), ((3300,) * 16, 544, True), ((), 9999, False), ((2500, None), 9999, False)],
)  # fmt: skip
def test_the_pack_voltage_is_the_sum_of_the_cells_within_two_percent_and_half_a_volt(cells, tenths_of_volt, doubtful):
    assert plausibility.contradicts_cells(pack(cells), tenths_of_volt) == doubtful


@pytest.mark.parametrize(
    ("cells", "millivolts", "doubtful"),
    [((3300, 3350), 3200, False), ((3300, 3350), 3199, True), ((3300, 3350), 3450, False), ((3300, 3350), 3451, True),
     ((), 0, True), ((), 1, False), ((3300, None), 0, True), ((3300, None), 5000, False)],
)  # fmt: skip
def test_the_extreme_cells_lie_within_a_tenth_of_a_volt_of_the_cells(cells, millivolts, doubtful):
    assert plausibility.beyond_cells(pack(cells), millivolts) == doubtful


@pytest.mark.parametrize(
    ("readings", "milliampere_hours", "doubtful"),
    [({}, 0, False), ({"soc": 19}, 0, False), ({"soc": 20}, 0, True), ({"soc": 20}, 1, False), ({}, 10**7, False),
     ({"rated_capacity": 100000}, 125000, False), ({"rated_capacity": 100000}, 125001, True),
     ({"rated_capacity": 100000, "soc": 0}, 0, False)],
)  # fmt: skip
def test_the_remaining_capacity_fits_the_charge_and_the_rated_capacity(readings, milliampere_hours, doubtful):
    assert plausibility.contradicts_capacity(pack(**readings), milliampere_hours) == doubtful


IDLE, CHARGING, DISCHARGING = 0, 1, 2


@pytest.mark.parametrize(
    ("mode", "tenths_of_ampere", "against"),
    [(CHARGING, -30, True), (CHARGING, 30, False), (DISCHARGING, 30, True), (DISCHARGING, -30, False),
     (IDLE, 30, False), (IDLE, -30, False), (None, 30, False), (None, -30, False)],
)  # fmt: skip
def test_a_current_of_3_a_flows_the_way_the_mode_names(mode, tenths_of_ampere, against):
    readings = {} if mode is None else {"mode": mode}
    held = pack(**readings)
    held.polarity.restore(1)  # the mode is known, whatever flows
    assert plausibility.contradicts_mode(held, tenths_of_ampere) == against
    assert plausibility.contradicts_mode(held, tenths_of_ampere * 29 // 30) is False  # 2.9 A are not clear
    assert plausibility.against_mode(tenths_of_ampere, mode) == against
    assert plausibility.against_mode(tenths_of_ampere // 30, mode) == against  # 0.1 A is against it all the same
    assert plausibility.against_mode(0, mode) is False


# key of the reading: what else is known, a value that contradicts it and one that does not
RULES = {
    "cell_{}_voltage": ({}, 0, 1),
    "pack_voltage": ({"cells": TEN}, 261, 260),
    "max_cell_voltage": ({"cells": TEN}, 2601, 2600),
    "min_cell_voltage": ({"cells": TEN}, 2399, 2400),
    "remaining_capacity": ({"soc": 20}, 0, 1),
    "current": ({"mode": DISCHARGING}, 30, -30),
}


@pytest.mark.parametrize("key", RULES)
def test_what_contradicts_another_reading_must_be_sent_twice_and_nothing_else(key):
    known, contradicting, fitting = RULES[key]
    for raw, is_accepted in ((contradicting, False), (fitting, True)):
        held = pack(**known)
        held.polarity.restore(1)
        row = READING[key]
        index = len(known.get("cells", ()))
        held.topology["cell_count"] = index + 1 if key == "cell_{}_voltage" else index
        at = index if key == "cell_{}_voltage" else 0
        assert held.accept(row, at, raw, 1) == is_accepted
        assert held.at(row, at) == (raw if is_accepted else None)
        assert held.implausible == (not is_accepted)
        assert held.accept(row, at, raw, 2) and held.at(row, at) == raw


def test_no_other_reading_has_such_a_rule():
    assert {row.key for row in READING.values() if row.check is not None} == set(RULES)
