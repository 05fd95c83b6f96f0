# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The bank of several batteries: sums to the last digit, what is not known, the weakest in series, words on what is missing."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from battery.bank import KEYS, Bank, rounded
from battery.pack import Battery, Pack
from battery.readings import READING, READINGS

FULL = {"pack_voltage": 532, "current": -103, "soc": 573, "remaining_capacity": 160440, "rated_capacity": 280000,
        "max_cell_voltage": 3331, "max_voltage_cell": 4, "min_cell_voltage": 3322, "min_voltage_cell": 9,
        "max_temperature": 23, "alarm_bits_{}": 0, "nominal_cell_voltage": 3200, "cell_count": 16}  # fmt: skip

ROWS = tuple(row for row in READINGS if row.derive is None and row.key != "actual_capacity")


def battery(number, online=True, text="The BMS does not respond.", **readings):
    """One with FULL and other readings; None: that one is not known."""
    pack = Pack(16, 1)
    pack.select(ROWS)
    pack.energy.load((1000 * number, 2000, 3000, 4000))
    for key, raw in {**FULL, **readings}.items():
        for index in range(READING[key].slots):
            pack.put(READING[key], index, raw, 0)
    for index, key in enumerate(("energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged")):
        pack.put(READING[key], 0, (1000 * number, 2000, 3000, 4000)[index], 0)
    poller = SimpleNamespace(online=online, diagnosis=SimpleNamespace(text=text))
    return Battery(number, f"bms{number}", f"Daly {number}", f"BMS {number}", pack, poller)


def raws(bank):
    return {key: bank.raw(key) for key in KEYS}


def test_what_flows_in_parallel_adds_up_and_the_voltage_is_the_mean():
    bank = Bank([battery(1), battery(2, pack_voltage=535, current=250, soc=400, rated_capacity=100000), battery(3)])
    assert raws(bank) == {
        "current": 44, "power": 2 * 532 * -103 + 535 * 250, "energy_charged": 6000, "energy_discharged": 6000,
        "capacity_charged": 9000, "capacity_discharged": 12000, "remaining_capacity": 481320, "rated_capacity": 660000,
        "soc": 547, "pack_voltage": 533, "max_cell_voltage": 3331, "max_voltage_cell": 4, "max_cell_battery": "BMS 1",
        "min_cell_voltage": 3322, "min_voltage_cell": 9, "min_cell_battery": "BMS 1", "cell_voltage_delta": 9,
        "max_temperature": 23, "max_temperature_battery": "BMS 1", "problem": 0, "batteries_online": "3 of 3",
        "battery_count": 3, "missing": "none", "stored_energy": 3 * 8214, "usable_capacity": 2 * 14336 + 5120,
    }  # fmt: skip
    assert (bank.online, bank.count) == (3, 3)


def test_in_series_the_voltages_add_up_and_the_weakest_battery_counts():
    weak = battery(2, soc=400, remaining_capacity=40000, rated_capacity=100000, current=-104, pack_voltage=500)
    bank = Bank([battery(1), weak], True)
    assert (bank.raw("pack_voltage"), bank.raw("current"), bank.raw("soc")) == (1032, -104, 400)  # -103.5: away from zero
    assert (bank.raw("remaining_capacity"), bank.raw("rated_capacity"), bank.raw("capacity_charged")) == (40000, 100000, 3000)
    assert bank.raw("power") == 532 * -103 + 500 * -104 and bank.raw("energy_charged") == 3000
    assert (bank.raw("stored_energy"), bank.raw("usable_capacity")) == (4096, 10240)  # 40 of 100 Ah, twice 51.2 V
    weak.pack.put(READING["cell_count"], 0, None, 0)
    assert bank.raw("stored_energy") is None is bank.raw("usable_capacity")


def test_the_highest_and_the_lowest_cell_are_named_with_their_battery_and_number():
    hot = battery(201, max_cell_voltage=3450, max_voltage_cell=16, max_temperature=40)
    bank = Bank([battery(1), hot, battery(3, min_cell_voltage=2900, min_voltage_cell=7)])
    assert [bank.raw(key) for key in ("max_cell_voltage", "max_voltage_cell", "max_cell_battery")] == [3450, 16, "BMS 201"]
    assert [bank.raw(key) for key in ("min_cell_voltage", "min_voltage_cell", "min_cell_battery")] == [2900, 7, "BMS 3"]
    assert (bank.raw("cell_voltage_delta"), bank.raw("max_temperature_battery")) == (550, "BMS 201")


@pytest.mark.parametrize(
    ("key", "unknown"),
    [("current", {"current", "power"}), ("soc", {"soc"}), ("rated_capacity", {"rated_capacity", "soc", "usable_capacity"}),
     ("pack_voltage", {"pack_voltage", "power"}), ("max_temperature", {"max_temperature", "max_temperature_battery"}),
     ("remaining_capacity", {"remaining_capacity", "stored_energy"}), ("alarm_bits_{}", {"problem"}),
     ("max_voltage_cell", set()),
     ("nominal_cell_voltage", {"stored_energy", "usable_capacity"}), ("cell_count", {"stored_energy", "usable_capacity"}),
     ("min_cell_voltage", {"min_cell_voltage", "min_voltage_cell", "min_cell_battery", "cell_voltage_delta"})],
)  # fmt: skip
def test_a_part_that_is_not_known_makes_what_it_is_part_of_unknown_and_nothing_else(key, unknown):
    bank = Bank([battery(1), battery(2, **{key: None})])
    assert {each for each, raw in raws(bank).items() if raw is None} == unknown
    assert bank.raw("batteries_online") == "2 of 2"
    assert (bank.raw("missing") == "none") == (not unknown)
    assert not unknown or bank.raw("missing").startswith("BMS 2: no ")


def test_a_battery_that_is_offline_is_no_part_although_its_last_readings_are_still_there():
    bank = Bank([battery(1), battery(2, online=False)])
    known = {key for key, raw in raws(bank).items() if raw is not None}
    assert known == {"batteries_online", "battery_count", "missing"}
    assert (bank.online, bank.count, bank.raw("batteries_online")) == (1, 2, "1 of 2")
    assert bank.raw("missing") == "BMS 2: The BMS does not respond."


def test_any_alarm_is_the_banks_and_none_is_certain_only_when_all_are_known():
    alarm = {"alarm_bits_{}": 1}
    for parts, expected in (
        ([battery(1), battery(2)], 0),
        ([battery(1), battery(2, **alarm)], 1),
        ([battery(1, online=False), battery(2, **alarm)], 1),
        ([battery(1, online=False, **alarm), battery(2)], None),
        ([battery(1), battery(2, **{"alarm_bits_{}": None})], None),
    ):
        assert Bank(parts).raw("problem") == expected


def test_what_is_missing_fits_into_a_state_of_home_assistant():
    bank = Bank([battery(number, online=False, text="x" * 100) for number in range(1, 9)])
    text = bank.raw("missing")
    silent = "No response from board number 3, while others on this line respond: check its power, its plug and its number"
    two = Bank([battery(1), battery(2, online=False, text=silent), battery(3, online=False, text=silent)]).raw("missing")
    assert two.count("No response from board number 3, while others on this line respond.") == 2 and "check" not in two
    assert len(text) <= 255 and text.startswith("BMS 1: xxx") and text.endswith(" +6")


SHARES = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 10**7)), min_size=2, max_size=8)


@given(SHARES)
def test_the_state_of_charge_is_weighted_by_rated_capacity_and_rounded_to_a_tenth(shares):
    raw = Bank([battery(n, soc=soc, rated_capacity=rated) for n, (soc, rated) in enumerate(shares, 1)]).raw("soc")
    exact, total = sum(soc * rated for soc, rated in shares), sum(rated for _, rated in shares)
    assert abs(2 * (raw * total - exact)) <= total and min(shares)[0] <= raw <= max(shares)[0]


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**9))
def test_a_mean_is_rounded_to_the_nearest_and_halves_away_from_zero(total, count):
    mean = rounded(total, count)
    assert abs(2 * (mean * count - total)) <= count and rounded(-total, count) == -mean
    if abs(2 * (mean * count - total)) == count:
        assert abs(mean) * count > abs(total)
