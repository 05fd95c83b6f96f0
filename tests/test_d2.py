# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""D2: what real boards have sent reads as stated, every alarm bit, and what is no value."""

import pytest
from modbus_frames import (
    ACCEPTED,
    CAPTURED,
    EMPTY,
    RESPONSE,
    UNCONFIRMED,
    answer,
    feed,
    many,
    named,
    registers,
    response,
)

from battery.pack import Pack
from battery.readings import READING
from daly.d2 import D2

# field of the corpus -> (our key, our raw of its number)
FIELDS = {
    "pack_voltage_v": ("pack_voltage", lambda v: round(v * 10)),
    "current_raw_a": ("current", lambda v: round(v * 10)),  # above 30000 is charging, as with us
    "soc_percent": ("soc", lambda v: round(v * 10)),
    "max_cell_mv": ("max_cell_voltage", int),
    "min_cell_mv": ("min_cell_voltage", int),
    "max_temp_c": ("max_temperature", int),
    "min_temp_c": ("min_temperature", int),
    "state": ("mode", int),
    "remaining_ah": ("remaining_capacity", lambda v: round(v * 1000)),
    "cells": ("cell_count", int),
    "temps": ("temperature_count", int),
    "cycles": ("cycle_count", int),
    "charge_mos": ("charge_mosfet", int),
    "discharge_mos": ("discharge_mosfet", int),
}


def name(frame):
    return f"{frame['hex'][:20]}-{frame['hex'][-4:]}"


LIVE = [*named("d2037c"), *named("d2037c", "unverified")]
LIVE_80 = named("d203a0")


def assert_live(pack, decoded):
    for key, (ours, raw) in FIELDS.items():
        assert pack.raw(ours) == raw(decoded[key]), ours
    assert many(pack, "cell_{}_voltage", decoded["cells"]) == decoded["cells_mv"]
    assert many(pack, "cell_{}_voltage", 48)[decoded["cells"] :] == [None] * (48 - decoded["cells"])
    assert many(pack, "temperature_{}", decoded["temps"]) == decoded["temps_c"]
    assert many(pack, "temperature_{}", 16)[decoded["temps"] :] == [None] * (16 - decoded["temps"])
    assert pack.implausible == 0


@pytest.mark.parametrize("frame", LIVE, ids=name)
def test_a_captured_response_reads_as_stated(frame):
    pack = Pack()
    assert answer(D2(pack), 0, frame["bytes"]) == ACCEPTED
    assert_live(pack, frame["decoded"])


@pytest.mark.parametrize("frame", LIVE_80, ids=name)
def test_what_a_board_of_80_registers_sent_in_one_piece_reads_as_stated_in_ours(frame):
    sent = registers(frame["bytes"])
    pack = Pack()
    board = D2(pack)
    assert answer(board, 0, response(0xD2, sent[:62])) == ACCEPTED
    assert answer(board, 1, response(0xD2, sent[0x3E:0x47])) == ACCEPTED
    assert_live(pack, frame["decoded"])
    assert pack.raw("mosfet_temperature") == frame["decoded"]["mos_temp_c"]
    assert pack.raw("board_temperature") is None  # 0
    assert pack.raw("balance_current") == 0 and pack.raw("balancing") == 0
    assert pack.raw("active_alarms") == "none"


def test_all_captured_responses_are_looked_at():
    assert (len(LIVE), len(LIVE_80)) == (8, 9)
    assert len([f for f in CAPTURED if f["protocol"] == "D2" and f["hex"].startswith("d20312") and f["checksum_valid"]]) == 2


@pytest.mark.parametrize("frame", named("d20312"), ids=name)
def test_the_captured_extra_registers(frame):
    pack = Pack(cell_count=16)
    assert answer(D2(pack), 1, frame["bytes"]) == ACCEPTED
    assert pack.raw("mosfet_temperature") == {0xFFFF: None, 0x4E: 38}[registers(frame["bytes"])[4]]
    assert (pack.raw("board_temperature"), pack.raw("balance_current")) == (None, 0)


def test_settings_of_a_pack_of_16_cells():
    """Captured with 310 Ah; its owner's limits (it, in daly-modbus.md)."""
    pack = Pack()
    frame = next(f for f in named("d20352") if f.get("session") == "it-d2-16s-310ah")
    assert answer(D2(pack), 2, frame["bytes"]) == ACCEPTED
    assert {key: pack.raw(key) for key in ("rated_capacity", "nominal_cell_voltage", "sleep_time", "chemistry")} == {
        "rated_capacity": 310000,
        "nominal_cell_voltage": 3200,
        "sleep_time": 3600,
        "chemistry": 0,
    }
    limits = {
        "cell_overvoltage": [3500, 3600],
        "cell_undervoltage": [2600, 2500],
        "pack_overvoltage": [559, 575],
        "pack_undervoltage": [426, 410],
        "charge_overcurrent": [1600, 2000],
        "discharge_overcurrent": [1600, 2000],
        "charge_overtemperature": [60, 65],
        "charge_undertemperature": [-30, -35],
        "discharge_overtemperature": [65, 70],
        "discharge_undertemperature": [-30, -35],
        "cell_voltage_delta": [500, 800],
        "temperature_delta": [10, 15],
    }
    assert {key: many(pack, key + "_limit_{}", 2) for key in limits} == limits
    assert (pack.raw("balance_start_voltage"), pack.raw("balance_voltage_delta")) == (3400, 20)
    assert pack.implausible == 0


def test_a_limit_of_the_discharge_current_on_the_wrong_side():
    """7490 beside 75D0, captured: the distance from 30000 counts."""
    for frame in [f for f in named("d20352") if registers(f["bytes"])[0x95 - 0x80] == 0x7490]:
        pack = Pack()
        answer(D2(pack), 2, frame["bytes"])
        assert many(pack, "discharge_overcurrent_limit_{}", 2) == [160, 160]
        break
    else:
        pytest.fail("not captured any more")


VERSIONS = {  # as sent: software, hardware, code
    "401012": ("210104", None, "BMS"),
    "204012": ("210402", None, "SH39F003"),
    "B002_111132_03": ("30_231111_200B", "BMS-GD230-303E", None),
    "T00K_321042_11": ("11_240123_K00T", "H2.0_103R_309F9F", "20240229"),
}


@pytest.mark.parametrize("frame", named("d20340"), ids=name)
def test_versions_are_turned_where_the_board_sends_them_the_other_way_round(frame):
    pack = Pack()
    assert answer(D2(pack), 3, frame["bytes"]) == ACCEPTED
    sent = frame["bytes"][3:].split(b"\0")[0].decode()
    assert tuple(pack.raw(key) for key in ("software_version", "hardware_version", "battery_code")) == VERSIONS[sent]


def test_all_versions_were_captured():
    assert {f["bytes"][3:].split(b"\0")[0].decode() for f in named("d20340")} == {*VERSIONS}


def test_the_production_date_as_captured():
    pack = Pack()
    assert answer(D2(pack), 4, bytes.fromhex("d203040001010048ae")) == ACCEPTED
    assert pack.raw("production_date") == 0 << 16 | 1 << 8 | 1


# what is no answer, and no value

GOOD = [*[3300] * 16, *[0] * 16, 60, 61, 255, 255, 132, 3, 0, 0, 528, 30125, 500, 3300, 3300, 61, 60, 1, 1000, 16, 2, 7,
        0, 1, 0, 3300, 0, 660, 0, 0, 0, 0]  # fmt: skip


NO_CELLS = {f"r{number:x}": 0 for number in range(16)}


def live(**changed):
    """A response with some registers changed: r31=33."""
    sent = list(GOOD)
    for register, value in changed.items():
        sent[int(register[1:], 16)] = value
    return response(0xD2, sent)


def test_the_response_that_is_changed_below():
    pack = Pack()
    assert answer(D2(pack), 0, live()) == ACCEPTED
    keys = ("pack_voltage", "current", "soc", "mode", "charge_mosfet", "discharge_mosfet")
    assert [pack.text(READING[key]) for key in keys] == ["52.8", "12.5", "50.0", "charging", "on", "off"]
    assert many(pack, "temperature_{}", 4) == [20, 21, None, None]


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("filler", [0, 0xFFFF])
def test_zeros_and_ff_are_no_answer_to_anything(index, filler):
    pack = Pack(cell_count=16)
    board = D2(pack)
    assert answer(board, index, response(0xD2, [filler] * board.blocks[index].count)) == EMPTY
    assert pack.changes == 0 and pack.implausible == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"r31": 0},
        {"r31": 33},
        {"r31": 0xFFFF},
        {"r31": 4},
        {"r28": 0},
        {"r28": 5280},
        {"r28": 264},
        NO_CELLS,
    ],
)
def test_what_cannot_be_a_daly_is_no_answer(changed):
    pack = Pack()
    assert answer(D2(pack), 0, live(**changed)) == EMPTY and pack.changes == 0


@pytest.mark.parametrize("changed", [{"r3": 0}, {"r3": 5000}])
def test_a_dead_cell_or_an_open_wire_is_one(changed):
    pack = Pack()
    board = D2(pack)
    answer(board, 0, live(**changed))
    answer(board, 0, live(**changed))
    assert pack.raw("cell_{}_voltage", 4) == changed["r3"]


def test_a_temperature_of_255_is_absent_even_where_it_is_counted():
    pack = Pack()
    answer(D2(pack), 0, live(r20=255, r21=0, r2D=255, r2E=0))
    assert many(pack, "temperature_{}", 2) == [None, None]
    assert (pack.raw("max_temperature"), pack.raw("min_temperature"), pack.implausible) == (None, None, 0)


@pytest.mark.parametrize(("sent", "current"), [(30000, 0), (30001, 1), (29999, -1), (45000, 15000), (15000, -15000)])
def test_above_30000_is_charging(sent, current):
    pack = Pack()
    answer(D2(pack), 0, live(r29=sent, r2F=0))
    assert pack.raw("current") == current


def test_registers_beyond_the_counts_are_no_values():
    pack = Pack()
    answer(D2(pack), 0, live(r10=3300, r1F=3300, r22=61, r24=132))
    assert many(pack, "cell_{}_voltage", 48) == [3300] * 16 + [None] * 32
    assert many(pack, "temperature_{}", 16) == [20, 21] + [None] * 14


def test_the_first_response_has_everything():
    """Cells and sensors of it too, though their numbers come with it."""
    pack = Pack()
    assert answer(D2(pack), 0, live()) == ACCEPTED
    assert None not in many(pack, "cell_{}_voltage", 16) and pack.topology["cell_count"] == 16


def test_a_doubtful_first_response_must_be_confirmed():
    pack = Pack()
    board = D2(pack)
    assert answer(board, 0, live(), 0, True) == UNCONFIRMED and pack.raw("pack_voltage") is None
    assert answer(board, 0, live(), 100, True) == UNCONFIRMED  # its cells could only now be counted
    assert answer(board, 0, live(), 200, True) == ACCEPTED
    assert pack.raw("cell_{}_voltage", 16) == 3300 and pack.raw("charge_mosfet") == 1


@pytest.mark.parametrize(("words", "balancing"), [((1, 0), [0]), ((0x8000, 0), [15]), ((0, 1), [16]), ((0, 0x8000), [31])])
def test_balancing_bits_begin_with_cell_1(words, balancing):
    pack = Pack(cell_count=32)
    answer(D2(pack), 1, response(0xD2, [*words, 31000, 0, 55, 60, 0, 0, 0]))
    assert [index for index, on in enumerate(many(pack, "cell_{}_balancing", 32)) if on] == balancing
    assert (pack.raw("balance_current"), pack.raw("mosfet_temperature"), pack.raw("board_temperature")) == (1000, 15, 20)


# alarms

NAMES = {
    0x3A: (("Cell overvoltage", "Cell undervoltage", "Pack overvoltage", "Pack undervoltage"),
           ("Charge overtemperature", "Charge undertemperature", "Discharge overtemperature", "Discharge undertemperature")),
    0x3B: (("Charge overcurrent", "Discharge overcurrent", "State of charge high", "State of charge low"),
           ("Cell voltage delta", "Temperature delta")),
}  # fmt: skip
LEVELS = ("warning", "protection")
SINGLE = {
    0x3C: (
        ("Charge MOSFET overtemperature (warning)", "Discharge MOSFET overtemperature (warning)",
         "Charge MOSFET temperature sensor (fault)", "Discharge MOSFET temperature sensor (fault)",
         "Charge MOSFET shorted (fault)", "Discharge MOSFET shorted (fault)", "Charge MOSFET open (fault)",
         "Discharge MOSFET open (fault)"),
        ("AFE fault (fault)", "Cell sensing fault (fault)", "Temperature sensor (fault)", "EEPROM (fault)", "Clock (fault)",
         "Precharge (fault)", "Communication (fault)", "Internal communication (fault)"),
    ),
    0x3D: (
        ("Current sensor (fault)", "Pack voltage sensor (fault)", "Short circuit (fault)", "Voltage too low to charge (fault)",
         "MOSFETs opened by switch (fault)", "Charging cabinet offline (fault)"),
        (),
    ),
}  # fmt: skip
ALARMS = {}  # (register, bit): the text; bits 0 to 7 are the low byte
for register, halves in NAMES.items():
    for half, names in enumerate(halves):
        for position, alarm in enumerate(names):
            for level in (0, 1):
                ALARMS[register, 8 * half + 2 * position + level] = f"{alarm} ({LEVELS[level]})"
for register, halves in SINGLE.items():
    for half, texts in enumerate(halves):
        for position, text in enumerate(texts):
            ALARMS[register, 8 * half + position] = text


@pytest.mark.parametrize("bit", range(16))
@pytest.mark.parametrize("register", range(0x3A, 0x3E))
def test_each_bit_is_the_alarm_of_the_vendors_table(register, bit):
    pack = Pack()
    answer(D2(pack), 0, live(**{f"r{register:x}": 1 << bit}))
    assert pack.raw("active_alarms") == ALARMS.get((register, bit), "none")
    assert pack.raw("problem") == int((register, bit) in ALARMS)


def test_all_alarms_of_the_table_are_there():
    assert len(ALARMS) == len(set(ALARMS.values())) == 50


def test_the_captured_alarms():
    """SoC low at level 2 with a limit of 10 % at 8.7 %, and the temperatures of an iced sensor (sys PR#20: 3B=0C00)."""
    low = [f for f in LIVE if registers(f["bytes"])[0x3B] == 0x80]
    pack = Pack()
    answer(D2(pack), 0, low[0]["bytes"])
    assert pack.raw("active_alarms") == "State of charge low (protection)" and pack.raw("soc") == 87
    answer(D2(pack), 0, live(r3B=0x0C00))
    assert pack.raw("active_alarms") == "Temperature delta (protection)"


def test_words_of_ff_are_no_alarms_but_absent():
    pack = Pack()
    answer(D2(pack), 0, live(r3D=0xFFFF))
    assert pack.raw("active_alarms") == "none"
    pack = Pack()
    assert answer(D2(pack), 0, live(r3A=0xFFFF, r3B=0xFFFF, r3C=0xFFFF, r3D=0xFFFF)) == ACCEPTED
    assert pack.raw("active_alarms") is None and pack.raw("problem") is None and pack.raw("soc") is not None


def test_what_is_received_in_between_does_not_change_what_is_stored():
    pack = Pack()
    board = D2(pack)
    board.open(0)
    assert feed(board, live()) == [RESPONSE]
    board.build(1)  # the next request is made before the response is judged
    assert board.store(0, False) == ACCEPTED and pack.raw("soc") == 500


def test_rows_are_those_of_all_blocks():
    board = D2(Pack())
    assert {row.key for row in board.rows} >= {"pack_voltage", "mosfet_temperature", "rated_capacity", "production_date"}
    assert "heartbeat" not in {row.key for row in board.rows}
    assert {row.key for row in board.rows} >= {"max_voltage_cell", "min_temperature_sensor"}  # they follow from all of them
    assert (board.name, board.detail, board.knows_sign, board.soc_needs_clock, board.noisy_ms) == ("D2", "", True, False, 60000)
    assert [block.is_optional for block in board.blocks] == [False, True, True, True, True]
    assert [block.group for block in board.blocks] == ["status", "temperatures", "static", "static", "static"]
    assert [block.is_immediate for block in board.blocks] == [True, False, False, False, False]
