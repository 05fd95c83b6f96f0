# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Contracts on the table of readings: what is in a row must be possible, unique and legal before anything reads it."""

from decimal import Decimal

import pytest
from home_assistant_rules import BINARY_SENSOR, SENSOR
from hypothesis import given
from hypothesis import strategies as st

from battery.pack import Pack
from battery.readings import (
    BINARY,
    BITFIELD,
    DATE,
    DEADBAND_SHARES,
    ENUM,
    GROUPS,
    NUMBER,
    OPTIONS,
    READING,
    READINGS,
    TEXT,
    is_immediate,
    is_measured,
    is_plausible,
)
from battery.text import decimal_text, write_decimal
from daly import d2, p81
from daly.a5 import BLOCKS
from mqtt.entities import TABLE, entity
from simulator.unmodelled import fields

FIELDS = [field for block in BLOCKS for field in fields(block)]
HELD = [row for row in READINGS if row.derive is None]
SEEN = [row for row in READINGS if row.kind != BITFIELD]  # by people
LONGEST_NUMBER = 16  # characters the writers of JSON make room for


def key(row):
    return row.key


def function(block):
    return f"0x{block.function:02X}"


def bits_of(field):
    """Numbers of the payload bits a field's readings cover, counted from bit 0 of byte 0."""
    count = 1 if field.row.kind == BITFIELD else field.row.slots
    if field.bit is not None:
        begin = 8 * field.offset + field.bit
        return range(begin, begin + count)
    return range(8 * field.offset, 8 * (field.offset + field.size * count))


def raws_of(field):
    """The raw values the bytes of a field can stand for."""
    numbers = (0, 1) if field.bit is not None else (0, 256**field.size - 1)
    if field.factor == 0:  # a distance from the bias
        return 0, max(abs(number - field.bias) for number in numbers)
    ends = sorted(field.factor * (number - field.bias) for number in numbers)
    return ends[0], ends[1]


def test_keys_are_unique_with_any_number():
    keys = [row.key.replace("{}", str(n + 1)) for row in READINGS for n in range(row.slots)]
    assert len(keys) == len(set(keys))


def test_every_function_is_requested_once():
    functions = [block.function for block in BLOCKS]
    assert len(functions) == len(set(functions))
    assert set(range(0x90, 0x99)) | {0x50, 0x53, 0x57, 0x62, 0x63} <= set(functions)


def test_static_data_is_what_the_issue_calls_optional():
    assert {block.function for block in BLOCKS if GROUPS[block.group].period_ms is None} >= {0x50, 0x53, 0x57, 0x62, 0x63}


def test_a_block_that_every_board_has_holds_readings_of_one_poll_group():
    for block in BLOCKS:
        assert block.is_optional or {row.group for row in block.rows} == {block.group}


def test_what_no_capture_shows_is_requested_once_and_boards_may_not_have_it():
    assert {block.function for block in BLOCKS if block.is_optional} == {0x52, 0x9A} | set(range(0x59, 0x60))
    assert {block.group for block in BLOCKS if block.is_optional} == {"static"}


def test_each_reading_has_one_place_in_a_protocol_and_one_in_some():
    ours = {"energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged"}
    sent = set()
    for blocks in (BLOCKS, d2.BLOCKS, p81.BLOCKS):
        keys = [row.key for block in blocks for row in block.rows]
        assert len(keys) == len(set(keys))
        sent |= set(keys)
    assert {row.key for row in HELD} - sent == ours and not sent & ours


def test_the_row_of_a_reading_knows_no_protocol():
    assert not {"offset", "place", "size", "bit", "bias", "factor", "function"} & set(READINGS[0]._fields)


@pytest.mark.parametrize("row", READINGS, ids=key)
def test_a_key_is_a_json_name_with_a_number_where_there_are_several(row):
    assert row.key.replace("{}", "").replace("_", "").isalnum() and row.key == row.key.lower()
    assert ("{}" in row.key) == (row.slots > 1)


def test_each_reading_has_one_line_with_what_people_see_in_the_order_of_the_rows():
    lines = [(group, line.split("|")) for group in TABLE for line in TABLE[group].split("\n")[1:-1]]
    rows = [(group, row.key) for group in TABLE for row in SEEN if row.group == group]
    assert len(rows) == len(SEEN)
    assert [(group, columns[0]) for group, columns in lines] == rows
    assert all(2 <= len(columns) <= 6 and columns[-1] and columns[5:] in ([], ["total"]) for _, columns in lines)


@pytest.mark.parametrize("row", SEEN, ids=key)
def test_a_name_is_written_in_sentence_case(row):
    name = entity(row).name
    words = name.split()
    assert name[0].isupper() and name == name.strip() and ("{}" in name) == (row.slots > 1)
    assert [w for w in words[1:] if not w.islower()] == [w for w in words[1:] if w in ("MOSFET", "{}")]


@pytest.mark.parametrize("block", BLOCKS, ids=function)
def test_fields_fit_their_payload_and_do_not_overlap(block):
    room = 8 * (8 if block.frames == 1 else block.frames * block.width)
    covered = [bit for field in fields(block) for bit in bits_of(field)]
    assert len(covered) == len(set(covered))
    assert min(covered) >= 0 and max(covered) < room


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.frames > 1], ids=function)
def test_no_reading_is_cut_by_the_end_of_a_frame(block):
    assert block.width == (6 if block.function == 0x95 else 7)
    for field in fields(block):
        assert field.row.kind == TEXT or (field.offset == 0 and block.width % field.size == 0)


@pytest.mark.parametrize("field", [f for f in FIELDS if f.row.kind not in (TEXT, BITFIELD)], ids=lambda f: f.row.key)
def test_the_limits_are_values_the_wire_can_carry(field):
    lowest, highest = raws_of(field)
    assert lowest <= field.row.low <= field.row.high <= highest


@pytest.mark.parametrize("row", READINGS, ids=key)
def test_decimals_leave_room_for_the_largest_number(row):
    assert 0 <= row.decimals <= 3
    if row.kind == NUMBER and row.low is not None:
        for raw in (row.low, row.high):
            assert len(decimal_text(raw, row.decimals)) <= LONGEST_NUMBER


def test_power_has_room_for_the_largest_voltage_and_current():
    rows = {row.key: row for row in READINGS}
    for current in (rows["current"].low, rows["current"].high):
        assert len(decimal_text(rows["pack_voltage"].high * current, rows["power"].decimals)) <= LONGEST_NUMBER


@pytest.mark.parametrize("row", SEEN, ids=key)
def test_a_class_of_its_own_is_legal_for_home_assistant(row):
    seen = entity(row)
    if seen.device_class is not None:
        assert seen.icon is None and seen.device_class in (BINARY_SENSOR if row.kind == BINARY else SENSOR)
    assert row.kind != BINARY or seen.unit is None


def test_choices_have_a_word_for_every_value_and_nothing_else_has_words():
    for row in READINGS:
        if row.kind == ENUM:
            assert (row.low, row.high) == (0, len(OPTIONS[row.key]) - 1)
            assert len(set(OPTIONS[row.key])) == len(OPTIONS[row.key]) and entity(row).icon
        else:
            assert row.key not in OPTIONS


def test_what_is_counted_is_counted_by_a_reading_whose_largest_count_has_room():
    limits = {row.key: row.high for row in READINGS}
    for row in READINGS:
        if row.counted_by is not None:
            assert limits[row.counted_by] == row.slots


def test_slots_of_different_readings_do_not_meet():
    slots = [slot for row in HELD for slot in range(row.slot, row.slot + row.slots)]
    assert len(slots) == len(set(slots))


# the one place where integers become decimal digits


@given(st.integers(-(10**12), 10**12), st.integers(0, 3))
def test_decimal_text_is_what_decimal_arithmetic_gives(raw, decimals):
    assert decimal_text(raw, decimals) == f"{Decimal(raw).scaleb(-decimals):.{decimals}f}"


def test_every_cell_voltage_is_printed_as_it_is():
    for raw in range(6000):
        assert decimal_text(raw, 3) == f"{raw // 1000}.{raw % 1000:03}"


def test_numbers_are_written_where_they_belong_and_nowhere_else():
    buffer = bytearray(b"..........")
    end = write_decimal(buffer, 2, -5, 2)
    assert buffer == b"..-0.05..." and end == 7


@pytest.mark.parametrize(
    ("mah", "tenths_of_ampere", "hours"),
    [(10_000, -100, 1.0), (10_900, -100, 1.09), (47_000, -100, 4.5), (160_440, -124, 13.0), (160_440, -40, 40.0),
     (165_000, -41, 40.0), (500_000, -40, None), (160_440, -9, None), (160_440, 0, None)],
)  # fmt: skip
def test_the_remaining_time_moves_in_steps_and_is_not_known_while_idle(mah, tenths_of_ampere, hours):
    pack = Pack()
    pack.put(READING["current"], 0, tenths_of_ampere, 0)
    pack.put(READING["remaining_capacity"], 0, mah, 0)
    pack.energy.take(50 * tenths_of_ampere, tenths_of_ampere, 0)
    assert pack.raw("time_to_empty") == pack.raw("remaining_time") == (None if hours is None else round(100 * hours))
    assert pack.raw("time_to_full") is None


# The whole table once more, written by hand: what a reading is, and what a real pack can send. A limit is a promise
# (docs/TRUTH.md), so a change of one is made in two places. MAIN, DIAGNOSTIC and DISABLED are 0, 1 and 2.

CELLS_48, SENSORS_16 = (48, "cell_count"), (16, "temperature_count")
NUMBERS = {  # key: name, group, low, high, step, deadband, share of the value, unit, decimals, category
    "pack_voltage": ("Voltage", "pack", 1, 3000, 100, 2, None, "V", 1, 0),
    "current": ("Current", "pack", -15000, 15000, 2000, 3, 32, "A", 1, 0),
    "power": ("Power", "pack", None, None, None, 1, None, "W", 2, 0),
    "energy_charged": ("Energy charged", "pack", 0, 2**40, None, 20, None, "kWh", 3, 0),
    "energy_discharged": ("Energy discharged", "pack", 0, 2**40, None, 20, None, "kWh", 3, 0),
    "capacity_charged": ("Capacity charged", "pack", 0, 2**40, None, 1000, None, "Ah", 3, 1),
    "capacity_discharged": ("Capacity discharged", "pack", 0, 2**40, None, 1000, None, "Ah", 3, 1),
    "soc": ("State of charge", "pack", 0, 1000, 30, 1, None, "%", 1, 0),
    "heartbeat": ("Heartbeat", "status", 0, 255, None, 1, None, None, 0, 2),
    "remaining_capacity": ("Remaining capacity", "status", 0, 10_000_000, 20000, 1000, None, "Ah", 3, 0),
    "remaining_time": ("Remaining time", "status", None, None, None, 1, None, "h", 2, 0),
    "time_to_full": ("Time to full", "status", None, None, None, 1, None, "h", 2, 2),
    "time_to_empty": ("Time to empty", "status", None, None, None, 1, None, "h", 2, 2),
    "fault_code": ("Fault code", "alarms", 0, 255, None, 1, None, None, 0, 2),
    "cell_count": ("Cell count", "counts", 1, 48, 0, 1, None, None, 0, 1),
    "temperature_count": ("Temperature sensor count", "counts", 0, 16, 0, 1, None, None, 0, 2),
    "cycle_count": ("Cycle count", "counts", 0, 65534, 1, 1, None, None, 0, 1),
    "max_cell_voltage": ("Highest cell voltage", "extremes", 1, 5999, 300, 3, None, "V", 3, 1),
    "max_voltage_cell": ("Highest cell", "extremes", 1, 48, None, 0, None, None, 0, 1),
    "min_cell_voltage": ("Lowest cell voltage", "extremes", 0, 5999, 300, 3, None, "V", 3, 1),
    "min_voltage_cell": ("Lowest cell", "extremes", 1, 48, None, 0, None, None, 0, 1),
    "cell_voltage_delta": ("Cell voltage delta", "extremes", None, None, None, 6, None, "V", 3, 0),
    "max_temperature": ("Highest temperature", "extremes", -39, 214, 10, 2, None, "°C", 0, 0),
    "max_temperature_sensor": ("Highest temperature sensor", "extremes", 1, 16, None, 0, None, None, 0, 2),
    "min_temperature": ("Lowest temperature", "extremes", -39, 214, 10, 2, None, "°C", 0, 1),
    "min_temperature_sensor": ("Lowest temperature sensor", "extremes", 1, 16, None, 0, None, None, 0, 2),
    "cell_{}_voltage": ("Cell {} voltage", "cells", 0, 5999, 300, 3, None, "V", 3, 1),
    "temperature_{}": ("Temperature {}", "temperatures", -39, 214, 10, 2, None, "°C", 0, 1),
    "rated_capacity": ("Rated capacity", "static", 1, 10_000_000, 0, 1, None, "Ah", 3, 1),
    "nominal_cell_voltage": ("Nominal cell voltage", "static", 1000, 5000, 0, 1, None, "V", 3, 2),
    "sleep_time": ("Sleep time", "static", 0, 65534, 0, 1, None, "s", 0, 2),
}
OTHERS = {  # key: name, group, kind, category
    "mode": ("Mode", "status", ENUM, 0),
    "charge_mosfet": ("Charge MOSFET", "status", BINARY, 0),
    "discharge_mosfet": ("Discharge MOSFET", "status", BINARY, 0),
    "problem": ("Problem", "alarms", BINARY, 0),
    "active_alarms": ("Active alarms", "alarms", TEXT, 0),
    "alarm_bits_{}": ("Alarm bits {}", "alarms", BITFIELD, 0),
    "charger_connected": ("Charger connected", "counts", BINARY, 2),
    "load_connected": ("Load connected", "counts", BINARY, 2),
    "digital_input_{}": ("Digital input {}", "counts", BINARY, 2),
    "digital_output_{}": ("Digital output {}", "counts", BINARY, 2),
    "balancing": ("Balancing", "cells", BINARY, 0),
    "cell_{}_balancing": ("Cell {} balancing", "cells", BINARY, 2),
    "production_date": ("Production date", "static", DATE, 2),
    "chemistry": ("Chemistry", "static", ENUM, 1),
    "battery_code": ("Battery code", "static", TEXT, 2),
    "software_version": ("Software version", "static", TEXT, 2),
    "hardware_version": ("Hardware version", "static", TEXT, 2),
}
WORDS = {"mode": ("idle", "charging", "discharging"), "chemistry": ("LFP", "NMC", "LTO")}
MANY = {"cell_{}_voltage": CELLS_48, "cell_{}_balancing": CELLS_48, "temperature_{}": SENSORS_16, "alarm_bits_{}": (5, None),
        "digital_input_{}": (4, None), "digital_output_{}": (4, None)}  # fmt: skip
DEVICE_CLASSES = {"soc": "battery", "problem": "problem"}
TOTALS = {"energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged", "cycle_count"}
ICONS = {
    "capacity_charged": "battery-plus", "capacity_discharged": "battery-minus", "mode": "swap-vertical",
    "charge_mosfet": "battery-arrow-up", "discharge_mosfet": "battery-arrow-down", "heartbeat": "heart-pulse",
    "remaining_capacity": "battery-medium", "active_alarms": "alert-outline", "fault_code": "alert-circle-outline",
    "cell_count": "counter", "temperature_count": "counter", "charger_connected": "power-plug",
    "load_connected": "power-socket", "cycle_count": "battery-sync", "max_voltage_cell": "arrow-up-bold",
    "min_voltage_cell": "arrow-down-bold", "max_temperature_sensor": "thermometer-chevron-up",
    "min_temperature_sensor": "thermometer-chevron-down", "balancing": "scale-balance", "cell_{}_balancing": "scale-balance",
    "rated_capacity": "battery", "production_date": "calendar", "chemistry": "flask-outline", "battery_code": "identifier",
    "software_version": "identifier", "hardware_version": "identifier",
}  # fmt: skip
PERIODS = {  # group: setting, ms
    "pack": ("POLL_PACK_MS", 80), "status": ("POLL_STATUS_MS", 0), "alarms": ("POLL_STATUS_MS", 0),
    "cells": ("POLL_CELLS_MS", 0), "temperatures": ("POLL_TEMPERATURES_MS", 1000), "extremes": ("POLL_CHECKS_MS", 5000),
    "counts": ("POLL_CHECKS_MS", 5000), "static": (None, None), "slow": (None, 60000), "limits": (None, None),
}  # fmt: skip
DERIVED = {
    "power",
    "remaining_time",
    "time_to_full",
    "time_to_empty",
    "problem",
    "active_alarms",
    "cell_voltage_delta",
    "balancing",
}


def test_each_reading_is_written_down_here_too():
    assert {row.key for row in READINGS} >= {*NUMBERS, *OTHERS}  # a new reading needs no row here
    assert {group: tuple(GROUPS[group]) for group in GROUPS} == PERIODS


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_has_the_limits_and_the_unit_written_here(key):
    row = READING[key]
    assert row.kind == NUMBER
    assert NUMBERS[key] == (
        *(entity(row).name, row.group, row.low, row.high, row.step),
        *(row.deadband, DEADBAND_SHARES.get(key), entity(row).unit, row.decimals, row.category),
    )


@pytest.mark.parametrize("key", OTHERS)
def test_what_is_no_number_has_the_kind_written_here(key):
    row = READING[key]
    assert OTHERS[key][1:] == (row.group, row.kind, row.category)
    assert (row.step, row.deadband, DEADBAND_SHARES.get(key), row.decimals) == (None, 1, None, 0)
    if row in SEEN:
        assert (entity(row).name, entity(row).unit) == (OTHERS[key][0], None)


@pytest.mark.parametrize("key", [*NUMBERS, *OTHERS])
def test_the_other_columns_are_those_written_here(key):
    row = READING[key]
    assert OPTIONS.get(key) == WORDS.get(key) and (row.slots, row.counted_by) == MANY.get(key, (1, None))
    assert (row.derive is not None) == (key in DERIVED)
    if row in SEEN:
        seen = entity(row)
        assert seen.device_class == DEVICE_CLASSES.get(key) and seen.icon == ICONS.get(key)
        assert seen.is_total == (key in TOTALS)


PLAUSIBLE = {  # key: the smallest and largest raw values that are accepted
    **{key: columns[2:4] for key, columns in NUMBERS.items() if columns[2] is not None},
    **{key: (0, 1) for key in OTHERS if OTHERS[key][2] == BINARY and key not in DERIVED},
    "mode": (0, 2),
    "chemistry": (0, 2),
    "alarm_bits_{}": (0, 2**30 - 1),
    "production_date": (0 << 16 | 1 << 8 | 1, 99 << 16 | 12 << 8 | 31),
}


@pytest.mark.parametrize("key", PLAUSIBLE)
def test_outside_its_limits_nothing_is_plausible(key):
    row = READING[key]
    low, high = PLAUSIBLE[key]
    assert is_plausible(row, low) and is_plausible(row, high)
    assert not is_plausible(row, low - 1) and not is_plausible(row, high + 1) and not is_plausible(row, None)


@pytest.mark.parametrize(
    ("day", "possible"),
    [
        ((24, 0, 1), False),
        ((24, 1, 0), False),
        ((24, 13, 1), False),
        ((24, 12, 32), False),
        ((24, 12, 31), True),
        ((24, 2, 1), True),
    ],
)
def test_a_date_has_a_month_and_a_day(day, possible):
    assert is_plausible(READING["production_date"], day[0] << 16 | day[1] << 8 | day[2]) == possible


def test_a_text_is_plausible_whatever_it_is():
    assert is_plausible(READING["battery_code"], "") and not is_plausible(READING["battery_code"], None)


def test_what_has_natural_noise():
    noisy = {key for key, columns in NUMBERS.items() if columns[4]}
    assert {row.key for row in READINGS if row.key in NUMBERS and is_measured(row)} == noisy


def test_what_is_published_immediately():
    immediate = {"mode", "charge_mosfet", "discharge_mosfet", "problem", "balancing", "alarm_bits_{}"}
    assert {row.key for row in READINGS if row.key in (*NUMBERS, *OTHERS) and is_immediate(row)} == immediate


# what is derived from other readings


def held(mean=0, **readings):
    pack = Pack(cell_count=readings.pop("cells", 0))
    for key, raw in readings.items():
        pack.put(READING[key], 0, raw, 0)
    if mean:
        pack.energy.take(1, mean, 0)
    return pack


@pytest.mark.parametrize(
    ("voltage", "current", "power"), [(532, -124, -65968), (532, 0, 0), (None, 10, None), (532, None, None), (1, 1, 1)]
)
def test_power_is_voltage_times_current(voltage, current, power):
    assert held(pack_voltage=voltage, current=current).raw("power") == power


@pytest.mark.parametrize(
    ("highest", "lowest", "delta"),
    [(3310, 3300, 10), (3300, 3300, 0), (3300, 3301, None), (None, 3300, None), (3300, None, None)],
)
def test_the_delta_is_highest_less_lowest(highest, lowest, delta):
    assert held(max_cell_voltage=highest, min_cell_voltage=lowest).raw("cell_voltage_delta") == delta


@pytest.mark.parametrize(
    ("cells", "balancing"),
    [((), None), ((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((None, 0), None), ((0, None), None), ((None, 1), 1), ((1, None), 1)],
)
def test_balancing_is_that_of_any_cell(cells, balancing):
    pack = Pack(cell_count=len(cells))
    for index, raw in enumerate(cells):
        pack.put(READING["cell_{}_balancing"], index, raw, 0)
    assert pack.raw("balancing") == balancing


@pytest.mark.parametrize(
    ("readings", "full", "empty"),
    [
        ({"current": 100, "remaining_capacity": 60000, "rated_capacity": 100000}, 400, None),  # 40 Ah at 10 A
        ({"current": 100, "remaining_capacity": 100000, "rated_capacity": 100000}, 0, None),
        ({"current": 100, "remaining_capacity": 120000, "rated_capacity": 100000}, 0, None),
        ({"current": 100, "remaining_capacity": 60000, "soc": 600}, 400, None),
        ({"current": 100, "remaining_capacity": 10000, "soc": 100}, 900, None),
        ({"current": 100, "remaining_capacity": 10000, "soc": 99}, None, None),  # too empty to know what is full
        ({"current": 100, "remaining_capacity": 10000}, None, None),
        ({"current": 10, "remaining_capacity": 10000, "rated_capacity": 12000}, 200, None),
        ({"current": 9, "remaining_capacity": 10000, "rated_capacity": 12000}, None, None),
        ({"current": -10, "remaining_capacity": 2000}, None, 200),
        ({"current": -9, "remaining_capacity": 2000}, None, None),
        ({"current": -100, "remaining_capacity": None}, None, None),
        ({"current": None, "remaining_capacity": 2000}, None, None),
        ({"current": -100, "remaining_capacity": 20000, "mean": -200}, None, 100),  # the mean counts
        ({"current": -100, "remaining_capacity": 20000, "mean": 200}, None, 200),  # but not that of the other direction
        ({"current": -10, "remaining_capacity": 2000, "mean": -1}, None, 200),  # and not less than 1 A
        ({"current": -10, "remaining_capacity": 100000}, None, 10000),  # 100 hours
        ({"current": -10, "remaining_capacity": 102100}, None, None),
        ({"current": -100, "remaining_capacity": 417}, None, 0),  # 2.5 minutes are 0
        ({"current": -100, "remaining_capacity": 500}, None, 9),  # 3 are 5: 0.09 h
        ({"current": -100, "remaining_capacity": 39900}, None, 400),  # 3 h 59 are 4 h
        ({"current": -100, "remaining_capacity": 42400}, None, 400),  # 4 h 14: half hours from here on
        ({"current": -100, "remaining_capacity": 42500}, None, 450),  # 4 h 15
        ({"current": -100, "remaining_capacity": 239800}, None, 2400),  # 23 h 59
        ({"current": -100, "remaining_capacity": 259000}, None, 2400),  # 25 h 54: four hours from here on
        ({"current": -100, "remaining_capacity": 260000}, None, 2800),  # 26 h
    ],
)
def test_the_time_to_full_and_to_empty(readings, full, empty):
    pack = held(**readings)
    assert (pack.raw("time_to_full"), pack.raw("time_to_empty")) == (full, empty)
    assert pack.raw("remaining_time") == (empty if full is None else full)
