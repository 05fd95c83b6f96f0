# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""P81: what real boards have sent reads as stated, every alarm bit and level, and what is no value."""

import pytest
from modbus_frames import ACCEPTED, EMPTY, UNCONFIRMED, answer, many, named, registers, response

from battery.alarms import active
from battery.pack import Pack
from daly import modbus
from daly.p81 import P81

LOW = named("510380")  # 0x00 to 0x3F, as the vendor's app reads them
HIGH = named("51037c")  # 0x41 to 0x7E
FIELDS = {  # field of the corpus -> (our key, our raw of its number)
    "pack_voltage_v": ("pack_voltage", lambda v: round(v * 10)),
    "current_raw_a": ("current", lambda v: round(v * 10)),
    "soc_percent": ("soc", lambda v: round(v * 10)),
    "reg_0x3B": ("heartbeat", int),
    "cells": ("cell_count", int),
    "temps": ("temperature_count", int),
    "max_cell_mv": ("max_cell_voltage", int),
    "max_cell_no": ("max_voltage_cell", int),
    "min_cell_no": ("min_voltage_cell", int),
    "max_temp_c": ("max_temperature", int),
    "min_temp_c": ("min_temperature", int),
    "state": ("mode", int),
    "remaining_ah": ("remaining_capacity", lambda v: round(v * 1000)),
    "cycles": ("cycle_count", int),
    "charge_mos": ("charge_mosfet", int),
    "discharge_mos": ("discharge_mosfet", int),
    "precharge_mos": ("precharge_mosfet", int),
    "mos_temp_c": ("mosfet_temperature", int),
    "board_temp_c": ("board_temperature", int),
}


def name(frame):
    return f"{frame['hex'][:22]}-{frame['hex'][-4:]}"


class AppReader(P81):
    """The map of P81, read in the pieces in which the vendor's app reads it."""

    blocks = tuple(
        modbus.block(
            first,
            count,
            "pack",
            False,
            *(
                (row.key, place)
                for each in P81.blocks[:2]
                for row, place in zip(each.rows, each.places, strict=True)
                if first <= place & 0xFFF < first + count
            ),
        )
        for first, count in ((0x00, 0x40), (0x41, 0x3E))
    )

    def count_of(self, index):
        return self.blocks[index].count

    def fits(self, _index):
        return True


def assert_stated(pack, decoded):
    for field, value in decoded.items():
        if field in FIELDS:
            key, raw = FIELDS[field]
            assert pack.raw(key) == (None if value is None else raw(value)), key
    if "cells_mv" in decoded:
        cells = decoded["cells"]
        assert many(pack, "cell_{}_voltage", 48) == decoded["cells_mv"] + [None] * (48 - cells)
        temperatures = decoded["temps_c"]
        assert many(pack, "temperature_{}", 16)[: len(temperatures)] == temperatures
        assert many(pack, "temperature_{}", 16)[len(temperatures) :] == [None] * (16 - len(temperatures))
    assert pack.implausible == 0


@pytest.mark.parametrize("frame", LOW, ids=name)
def test_a_captured_first_half_reads_as_stated(frame):
    pack = Pack()
    assert answer(AppReader(pack), 0, frame["bytes"]) == ACCEPTED
    assert_stated(pack, frame["decoded"])


@pytest.mark.parametrize("frame", HIGH, ids=name)
def test_a_captured_second_half_reads_as_stated(frame):
    pack = Pack(cell_count=4)
    assert answer(AppReader(pack), 1, frame["bytes"]) == ACCEPTED
    assert_stated(pack, frame["decoded"])
    sent = frame["decoded"]["bal_current_raw"]
    assert pack.raw("balance_current") == (sent - 30000 if sent else None)
    alarms = {0x0080: "Parallel communication (fault)", 0: "none"}
    words = [int(word, 16) for word in frame["decoded"]["err_regs"]]
    if words[5]:
        expected = "Temperature sensor (fault), State of charge low (protection)"
        assert words == [0, 0, 0, 2, 0, 0x8000, 0]
    else:
        expected = alarms[words[3]]
    assert pack.raw("active_alarms") == expected


def test_all_captured_responses_are_looked_at():
    assert (len(LOW), len(HIGH)) == (26, 26)


def pairs():
    """The captured halves of the same moment: each session's in order."""
    sessions = {frame.get("session") for frame in LOW}
    for session in sorted(sessions, key=str):
        low = [f for f in LOW if f.get("session") == session]
        high = [f for f in HIGH if f.get("session") == session]
        if len(low) == len(high):
            yield from zip(low, high, strict=True)


@pytest.mark.parametrize("pair", list(pairs()), ids=lambda pair: name(pair[0]))
def test_captured_registers_in_our_own_responses(pair):
    """0x40, the lowest cell, is in neither piece."""
    sent = registers(pair[0]["bytes"])
    cells = sent[:48][: sent[0x3C]]
    sent += [min(cells), *registers(pair[1]["bytes"])]
    pack = Pack()
    board = P81(pack)
    assert answer(board, 0, response(0x51, sent[0x30:0x74])) == ACCEPTED
    assert board.frames_expected(1) == 1 and board.build(1)[5] == len(cells)
    assert answer(board, 1, response(0x51, cells)) == ACCEPTED
    assert_stated(pack, {**pair[0]["decoded"], **pair[1]["decoded"]})
    assert (pack.raw("min_cell_voltage"), pack.raw("balancing")) == (min(cells), 0)


def test_there_are_pairs():
    assert len(list(pairs())) >= 22


# what is read once and slowly: a captured block and the next, cut to what is asked


def settings(session):
    frames = [f for f in named("5103a2") if f.get("session") == session]
    return registers(frames[0]["bytes"])


REST_ESS = registers(named("51034e")[0]["bytes"])  # 0x151 to 0x177


def test_settings_of_the_100_balance():
    sent = settings("bms_ble-ha-806")
    pack = Pack()
    board = P81(pack)
    assert answer(board, 3, response(0x51, sent[:28])) == ACCEPTED
    assert answer(board, 2, response(0x51, sent[0x0B:0x18])) == ACCEPTED
    expected = {
        "board_number": 1,
        "rated_capacity": 180000,
        "nominal_cell_voltage": 3200,
        "sleep_time": 3600,
        "balance_start_voltage": 3400,
        "balance_voltage_delta": 20,
        "actual_capacity": 180000,
        "lifetime_charge": 82660,
        "lifetime_discharge": 199818,
        "state_of_health": 1000,
    }
    assert {key: pack.raw(key) for key in expected} == expected and pack.implausible == 0


def test_limits_of_the_ess():
    sent = settings("ess-dl-bms-41") + REST_ESS
    pack = Pack()
    assert answer(P81(pack), 4, response(0x51, sent[0x29:0x64])) == ACCEPTED
    limits = {
        "cell_overvoltage": [3450, 3550],
        "cell_undervoltage": [2800, 2700],
        "pack_overvoltage": [552, 562],
        "pack_undervoltage": [456, 440],
        "charge_overcurrent": [1600, 2000],
        "discharge_overcurrent": [1600, 2000],
        "charge_overtemperature": [50, 55],
        "charge_undertemperature": [5, 0],
        "discharge_overtemperature": [50, 55],
        "discharge_undertemperature": [-15, 0],
        "cell_voltage_delta": [450, 500],
        "temperature_delta": [10, 15],
        "soc_low": [0, 0],
    }
    assert {key: many(pack, key + "_limit_{}", 2) for key in limits} == limits
    assert many(pack, "soc_high_limit_{}", 2) == [None, None]
    assert pack.raw("production_date") == 26 << 16 | 3 << 8 | 26 and pack.implausible == 0


def test_a_sleep_time_of_ffff_is_never():
    pack = Pack()
    answer(P81(pack), 3, response(0x51, settings("ess-dl-bms-41")[:28]))
    assert pack.raw("sleep_time") is None and pack.raw("rated_capacity") == 314000 and pack.implausible == 0


@pytest.mark.parametrize(
    ("session", "texts"),
    [
        ("ess-dl-bms-41", ("41_260321_0323", "ESS-DL-BMS", "210LC210900005", "20260326")),
        ("bms_ble-ha-806", ("12_260120_K00T", "H2.1_103E_30XF", "221LD000000001", "20260530")),
    ],
)
def test_versions_and_serial_number_as_captured(session, texts):
    pack = Pack()
    frame = next(f for f in named("510394") if f.get("session") == session)
    assert answer(P81(pack), 5, frame["bytes"]) == ACCEPTED
    assert tuple(pack.raw(key) for key in ("software_version", "hardware_version", "serial_number", "battery_code")) == texts


# what is no answer, and no value

GOOD = {
    0x30: 60, 0x31: 61, 0x32: 255, 0x33: 132, 0x38: 528, 0x39: 30125, 0x3A: 500, 0x3B: 9, 0x3C: 16, 0x3D: 2, 0x3E: 3305,
    0x3F: 4, 0x40: 3295, 0x41: 7, 0x43: 61, 0x44: 2, 0x45: 60, 0x46: 1, 0x48: 1, 0x4B: 1000, 0x4C: 7, 0x4E: 30000, 0x53: 1,
    0x57: 3300, 0x5A: 70, 0x5B: 65, 0x5C: 75,
}  # fmt: skip


def live(**changed):
    """A response with some registers changed: r3C=33."""
    sent = {**GOOD, **{int(key[1:], 16): value for key, value in changed.items()}}
    return response(0x51, [sent.get(register, 0) for register in range(0x30, 0x74)])


def test_the_response_that_is_changed_below():
    pack = Pack()
    assert answer(P81(pack), 0, live(r54=1, r55=1, r56=1)) == ACCEPTED
    expected = {
        "pack_voltage": 528, "current": 125, "soc": 500, "heartbeat": 9, "mode": 1, "remaining_capacity": 100000,
        "charge_mosfet": 0, "discharge_mosfet": 1, "precharge_mosfet": 1, "heater": 1, "fan": 1, "max_cell_voltage": 3305,
        "max_voltage_cell": 4, "min_cell_voltage": 3295, "min_voltage_cell": 7, "max_temperature": 21,
        "max_temperature_sensor": 2, "min_temperature": 20, "min_temperature_sensor": 1, "mosfet_temperature": 30,
        "board_temperature": 25, "heater_temperature": 35, "charger_connected": 0, "load_connected": 0, "balance_current": 0,
    }  # fmt: skip
    assert {key: pack.raw(key) for key in expected} == expected
    assert many(pack, "temperature_{}", 4) == [20, 21, None, None]
    assert pack.raw("power") == 528 * 125  # never the register, which has no sign


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("filler", [0, 0xFFFF])
def test_zeros_and_ff_are_no_answer_to_anything(index, filler):
    pack = Pack(cell_count=16)
    board = P81(pack)
    assert answer(board, index, response(0x51, [filler] * board.count_of(index))) == EMPTY
    assert pack.changes == 0 and pack.implausible == 1


@pytest.mark.parametrize(
    "changed",
    [
        *({"r3C": cells} for cells in (0, 49, 0xFFFF, 8, 32)),
        *({"r3E": highest} for highest in (0, 499, 5001, 0xFFFF)),
        *({"r38": voltage} for voltage in (0, 300, 900, 5280)),
        {"r57": 1500},
        {"r57": 0, "r3E": 1600, "r40": 1500},
    ],
)
def test_what_cannot_be_a_daly_is_no_answer(changed):
    pack = Pack()
    assert answer(P81(pack), 0, live(**changed)) == EMPTY and pack.changes == 0


@pytest.mark.parametrize(
    "changed",
    [{"r57": 2475}, {"r57": 3700, "r3E": 5000}, {"r57": 0}, {"r3C": 1, "r38": 33}, {"r3C": 48, "r38": 1584}, {"r3B": 255}],
)
def test_what_can_is_one(changed):
    pack = Pack()
    assert answer(P81(pack), 0, live(**changed)) == ACCEPTED and pack.raw("soc") == 500


def test_temperatures_of_0_and_255_are_absent_and_so_is_the_number_of_their_sensor():
    pack = Pack()
    changed = {"r30": 255, "r31": 0, "r43": 255, "r44": 1, "r45": 0, "r46": 1, "r5A": 0, "r5B": 255, "r5C": 0}
    assert answer(P81(pack), 0, live(**changed)) == ACCEPTED
    keys = ("max_temperature", "max_temperature_sensor", "min_temperature", "min_temperature_sensor", "mosfet_temperature")
    assert [pack.raw(key) for key in (*keys, "board_temperature", "heater_temperature")] == [None] * 7
    assert many(pack, "temperature_{}", 8) == [None] * 8 and pack.implausible == 0


@pytest.mark.parametrize(("sent", "current"), [(30000, 0), (30001, 1), (29999, -1), (45000, 15000), (15000, -15000)])
def test_above_30000_is_charging(sent, current):
    pack = Pack()
    answer(P81(pack), 0, live(r39=sent, r48=0))
    assert pack.raw("current") == current


@pytest.mark.parametrize(("sent", "current"), [(0, None), (30000, 0), (31500, 1500), (29000, -1000)])
def test_a_balancing_current_of_0000_is_absent(sent, current):
    pack = Pack()
    answer(P81(pack), 0, live(r4E=sent))
    assert pack.raw("balance_current") == current


@pytest.mark.parametrize("state", [3, 7, 0xFFFF])
def test_a_state_that_is_not_known_is_not_mapped(state):
    pack = Pack()
    assert answer(P81(pack), 0, live(r48=state, r4D=state)) == ACCEPTED and pack.raw("mode") is None


@pytest.mark.parametrize(("register", "bit", "cell"), [(0x4F, 0, 1), (0x4F, 15, 16), (0x50, 0, 17), (0x51, 15, 48)])
def test_balancing_bits_begin_with_cell_1(register, bit, cell):
    pack = Pack()
    answer(P81(pack), 0, live(**{"r3C": 48, "r38": 1584, f"r{register:x}": 1 << bit}))
    assert [number for number in range(1, 49) if pack.raw("cell_{}_balancing", number)] == [cell]
    assert pack.raw("balancing") == 1


def test_balancing_bits_of_ffff_are_absent():
    pack = Pack()
    assert answer(P81(pack), 0, live(r3C=20, r38=660, r4F=0xFFFF, r50=1)) == ACCEPTED
    assert many(pack, "cell_{}_balancing", 20) == [None] * 16 + [1, 0, 0, 0]


@pytest.mark.parametrize("cells", [1, 12, 13, 14, 28, 48])
def test_as_many_cells_are_read_as_there_are(cells):
    pack = Pack()
    board = P81(pack)
    answer(board, 0, live(r3C=cells, r38=33 * cells))
    sent = [3300] * cells + [3000] * (board.count_of(1) - cells)  # one more where the length would be another block's
    assert answer(board, 1, response(0x51, sent)) == ACCEPTED
    assert many(pack, "cell_{}_voltage", 48) == [3300] * cells + [None] * (48 - cells)


def test_a_cell_that_is_dead_or_not_sent():
    pack = Pack()
    board = P81(pack)
    answer(board, 0, live())
    sent = [3300] * 14 + [0, 0xFFFF]
    assert answer(board, 1, response(0x51, sent)) == UNCONFIRMED  # a dead cell must be confirmed
    assert answer(board, 1, response(0x51, sent)) == ACCEPTED
    assert many(pack, "cell_{}_voltage", 16) == [3300] * 14 + [0, None]


# alarms

LEVELS = {  # (register, low bit of three): the alarm
    (0x6D, 0): "Cell overvoltage", (0x6D, 3): "Cell undervoltage", (0x6D, 8): "Cell voltage delta",
    (0x6D, 11): "Charge overtemperature", (0x6E, 0): "Charge undertemperature", (0x6E, 3): "Discharge overtemperature",
    (0x6E, 8): "Discharge undertemperature", (0x6E, 11): "Temperature delta", (0x6F, 0): "Pack overvoltage",
    (0x6F, 3): "Pack undervoltage", (0x6F, 8): "Charge overcurrent", (0x6F, 11): "Discharge overcurrent",
    (0x70, 0): "State of charge low", (0x70, 3): "State of health low", (0x70, 8): "MOSFET overtemperature",
    (0x70, 11): "Thermal runaway",
}  # fmt: skip
BITS = {
    (0x6D, 7): "Smart charger fault (fault)", (0x6D, 15): "Smart load fault (fault)",
    (0x6E, 6): "Charge MOSFET overtemperature (warning)", (0x6E, 7): "Charge MOSFET temperature sensor (fault)",
    (0x6E, 14): "Discharge MOSFET overtemperature (warning)", (0x6E, 15): "Discharge MOSFET temperature sensor (fault)",
    (0x6F, 6): "Short circuit (fault)", (0x6F, 14): "Charge undervoltage (fault)", (0x6F, 15): "Discharge overvoltage (fault)",
    (0x70, 7): "Parallel communication (fault)",
    (0x72, 8): "AFE fault (fault)", (0x72, 9): "AFE communication (fault)", (0x72, 10): "Cell sensing fault (fault)",
    (0x72, 11): "Cell voltage sensor (fault)", (0x72, 12): "Cell wire open (fault)",
    (0x72, 13): "Pack voltage sensor (fault)", (0x72, 14): "Current sensor (fault)", (0x72, 15): "Temperature sensor (fault)",
    (0x73, 0): "Temperature sensor wire open (fault)", (0x73, 1): "EEPROM (fault)", (0x73, 2): "Flash memory (fault)",
    (0x73, 3): "Clock (fault)", (0x73, 4): "Charge MOSFET fault (fault)", (0x73, 5): "Discharge MOSFET fault (fault)",
    (0x73, 6): "Precharge MOSFET fault (fault)", (0x73, 7): "Precharge (fault)", (0x73, 15): "Heating fault (fault)",
}  # fmt: skip
OF_LEVELS = {(register, low + bit) for register, low in LEVELS for bit in range(3)}


def alarms(**words):
    pack = Pack()
    assert answer(P81(pack), 0, live(**words)) == ACCEPTED
    assert pack.raw("problem") == int(pack.raw("active_alarms") != "none")
    return pack.raw("active_alarms")


@pytest.mark.parametrize("level", range(8))
@pytest.mark.parametrize("place", LEVELS)
def test_each_level_of_each_alarm(place, level):
    register, low = place
    words = ("none", "warning", "protection", *["level 3"] * 5)
    expected = f"{LEVELS[place]} ({words[level]})" if level else "none"
    assert alarms(**{f"r{register:x}": level << low}) == expected


@pytest.mark.parametrize("bit", range(16))
@pytest.mark.parametrize("register", range(0x6D, 0x74))
def test_each_single_bit_is_the_alarm_of_the_table_or_none(register, bit):
    if (register, bit) not in OF_LEVELS:
        assert alarms(**{f"r{register:x}": 1 << bit}) == BITS.get((register, bit), "none")


def test_all_alarms_of_the_table_are_there():
    assert len(set(LEVELS.values())) == 16 and len(set(BITS.values())) == len(BITS) == 27
    assert not OF_LEVELS & set(BITS)


@pytest.mark.parametrize(("register", "bits"), [(0x6D, (6, 14)), (0x6F, (7,)), (0x70, (6,)), (0x73, range(8, 15))])
def test_states_are_no_alarms(register, bits):
    """Smart charger and load, upgrading, parallel communication; off by bus or switch, fan, heating, current limit."""
    assert alarms(**{f"r{register:x}": sum(1 << bit for bit in bits)}) == "none"


def test_several_alarms_with_the_gravest_first():
    text = alarms(r6D=0b010 | 0b011 << 3 | 1 << 7, r70=0b001, r73=1 << 1)
    assert text == (
        "EEPROM (fault), Smart charger fault (fault), Cell undervoltage (level 3), Cell overvoltage (protection), "
        "State of charge low (warning)"
    )


OLD = {  # register, bit: what the seven bytes of 0x98 say, high byte first
    (0x66, 8): "Cell overvoltage (warning)", (0x66, 15): "Pack undervoltage (protection)",
    (0x66, 0): "Charge overtemperature (warning)", (0x66, 7): "Discharge undertemperature (protection)",
    (0x67, 8): "Charge overcurrent (warning)", (0x67, 15): "State of charge low (protection)",
    (0x67, 0): "Cell voltage delta (warning)", (0x67, 3): "Temperature delta (protection)",
    (0x67, 4): "MOSFET overtemperature (warning)", (0x67, 5): "MOSFET overtemperature (protection)",
    (0x67, 6): "Ambient overtemperature (warning)", (0x67, 7): "Ambient overtemperature (protection)",
    (0x68, 8): "Charge MOSFET overtemperature (warning)", (0x68, 15): "Discharge MOSFET open (fault)",
    (0x68, 0): "AFE fault (fault)", (0x68, 7): "Internal communication (fault)",
    (0x69, 8): "Current sensor (fault)", (0x69, 13): "Charging cabinet offline (fault)", (0x69, 14): "none",
    (0x69, 0): "none",
}  # fmt: skip


@pytest.mark.parametrize("place", OLD)
def test_the_older_words_count_where_the_newer_ones_are_zero_or_absent(place):
    register, bit = place
    assert alarms(**{f"r{register:x}": 1 << bit}) == OLD[place]
    absent = {f"r{number:x}": 0xFFFF for number in range(0x6D, 0x74)}
    assert alarms(**{f"r{register:x}": 1 << bit}, **absent) == OLD[place]
    assert alarms(**{f"r{register:x}": 1 << bit}, r6D=8) == "Cell undervoltage (warning)"


def test_a_state_does_not_hide_the_older_words():
    assert alarms(r68=0x0080, r73=0x0100) == "Internal communication (fault)"


def test_whether_there_are_alarms_is_not_known_where_all_words_are_ff():
    pack = Pack()
    words = {f"r{number:x}": 0xFFFF for number in (*range(0x66, 0x6A), *range(0x6D, 0x74))}
    assert answer(P81(pack), 0, live(**words)) == ACCEPTED
    assert pack.raw("active_alarms") is None and pack.raw("problem") is None and pack.raw("soc") is not None


def test_alarms_that_end_are_gone():
    pack = Pack()
    board = P81(pack)
    answer(board, 0, live(r6D=0b011, r73=2))
    assert active(pack) == [("EEPROM", 3), ("Cell overvoltage", 4)]
    answer(board, 0, live(r6D=0b001))
    assert active(pack) == [("Cell overvoltage", 1)]
    answer(board, 0, live())
    assert active(pack) == []


def test_what_it_is():
    board = P81(Pack())
    assert (board.name, board.detail, board.knows_sign, board.soc_needs_clock, board.noisy_ms) == (
        "P81",
        "",
        True,
        False,
        60000,
    )
    assert [block.is_optional for block in board.blocks] == [False, False, True, True, True, True]
    assert [block.group for block in board.blocks] == ["status", "cells", "slow", "static", "static", "static"]
    assert [block.is_immediate for block in board.blocks] == [True, False, False, False, False, False]
    assert {row.key for row in board.rows} >= {"heartbeat", "fan", "cell_{}_voltage", "serial_number", "state_of_health"}
    assert "chemistry" not in {row.key for row in board.rows}
