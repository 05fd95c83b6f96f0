"""Contracts on the table of readings: what is in a row must be possible, unique and legal before anything reads it."""

from decimal import Decimal

import pytest
from home_assistant_rules import BINARY_SENSOR, SENSOR
from hypothesis import given
from hypothesis import strategies as st

from battery.pack import Pack
from battery.readings import BINARY, BITFIELD, ENUM, GROUPS, NUMBER, READING, READINGS, TEXT
from battery.text import decimal_text, write_decimal
from daly.a5 import BLOCKS

FIELDS = [field for block in BLOCKS for field in block.fields]
HELD = [row for row in READINGS if row.derive is None]
LONGEST_NUMBER = 16  # characters the writers of JSON make room for

# what issue 2 names, "{}" for a number
DEMANDED = {
    *("pack_voltage", "current", "power", "soc", "remaining_capacity", "rated_capacity", "cycle_count", "mode"),
    *("max_cell_voltage", "max_voltage_cell", "min_cell_voltage", "min_voltage_cell", "cell_voltage_delta", "cell_count"),
    *("cell_{}_voltage", "cell_{}_balancing", "balancing", "temperature_{}", "max_temperature", "min_temperature"),
    *("charge_mosfet", "discharge_mosfet", "problem", "active_alarms"),
}


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
    ends = sorted(field.factor * (number - field.bias) for number in numbers)
    return ends[0], ends[1]


def test_every_reading_the_issue_names_is_there():
    assert {row.key for row in READINGS} >= DEMANDED


def test_keys_are_unique_with_any_number():
    keys = [row.key.replace("{}", str(n + 1)) for row in READINGS for n in range(row.slots)]
    assert len(keys) == len(set(keys))


def test_every_function_is_requested_once():
    functions = [block.function for block in BLOCKS]
    assert len(functions) == len(set(functions))
    assert set(range(0x90, 0x99)) | {0x50, 0x53, 0x57, 0x62, 0x63} <= set(functions)


def test_static_data_is_what_the_issue_calls_optional():
    assert {block.function for block in BLOCKS if GROUPS[block.group].period_ms is None} >= {0x50, 0x53, 0x57, 0x62, 0x63}


def test_a_block_has_readings_of_one_poll_group_and_each_reading_has_one_place():
    for block in BLOCKS:
        assert {row.group for row in block.rows} == {block.group}
    keys = [field.row.key for field in FIELDS]
    assert len(keys) == len(set(keys))
    assert {row.key for row in HELD} - set(keys) == {
        "energy_charged",
        "energy_discharged",
        "capacity_charged",
        "capacity_discharged",
    }


def test_the_row_of_a_reading_knows_no_protocol():
    assert not {"offset", "size", "bit", "bias", "factor", "command", "function"} & set(READINGS[0]._fields)


@pytest.mark.parametrize("row", READINGS, ids=key)
def test_a_key_is_a_json_name_with_a_number_where_there_are_several(row):
    assert row.key.replace("{}", "").replace("_", "").isalnum() and row.key == row.key.lower()
    assert ("{}" in row.key) == ("{}" in row.name) == (row.slots > 1)


@pytest.mark.parametrize("row", READINGS, ids=key)
def test_a_name_is_written_in_sentence_case(row):
    words = row.name.split()
    assert row.name[0].isupper() and row.name == row.name.strip()
    assert [w for w in words[1:] if not w.islower()] == [w for w in words[1:] if w in ("MOSFET", "{}")]


@pytest.mark.parametrize("block", BLOCKS, ids=function)
def test_fields_fit_their_payload_and_do_not_overlap(block):
    room = 8 * (8 if block.frames == 1 else block.frames * block.width)
    covered = [bit for field in block.fields for bit in bits_of(field)]
    assert len(covered) == len(set(covered))
    assert min(covered) >= 0 and max(covered) < room


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.frames > 1], ids=function)
def test_no_reading_is_cut_by_the_end_of_a_frame(block):
    assert block.width == (6 if block.function == 0x95 else 7)
    for field in block.fields:
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


@pytest.mark.parametrize("row", READINGS, ids=key)
def test_a_class_of_its_own_is_legal_for_home_assistant(row):
    if row.device_class is not None:
        assert row.icon is None and row.device_class in (BINARY_SENSOR if row.kind == BINARY else SENSOR)
    assert row.kind != BINARY or row.unit is None


def test_only_the_state_of_charge_is_the_devices_battery_badge():
    assert [row.key for row in READINGS if row.device_class == "battery"] == ["soc"]


def test_choices_have_a_word_for_every_value_and_nothing_else_has_words():
    for row in READINGS:
        if row.kind == ENUM:
            assert (row.low, row.high) == (0, len(row.options) - 1)
            assert len(set(row.options)) == len(row.options) and row.icon
        else:
            assert row.options is None


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
