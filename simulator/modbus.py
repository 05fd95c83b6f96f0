# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a simulated BMS answers in D2 and P81, the Modbus of the newer boards: both register maps, writes, and what is seen.

From captures of ten boards and the vendor's sheets. Registers are big-endian, CRC-16/MODBUS comes low byte first. D2 has one
address; in P81, board n hears 0x80 + n and answers as 0x50 + n. Function 0x10 has no byte count, unlike the standard.
A board without a register answers 0xFFFF there, with a right CRC; it never sends an exception.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from simulator.battery import Readings, measured
from simulator.faults import crc16, framed
from simulator.options import ALARM_PAIRS, ALARMS, CHEMISTRIES, LEVELS, P81_ALARMS

READ, WRITE, WRITE_SEVERAL = 0x03, 0x06, 0x10
D2 = 0xD2
MOST_READ, MOST_WRITTEN = 125, 16  # registers of one request
NOTHING = 0xFFFF  # in a register that the board does not have
MOST_CELLS = {"d2": 32, "p81": 48}
SENSORS = 8
ABSENT = (0, 255)  # raw temperatures that are none
NEVER = 0xFFFF  # seconds of sleep_time

# What the vendor's app reads in each of its cycles, seen over Bluetooth: (start, count).
APP_READS = {
    "d2": ((0x00, 62), (0x80, 41), (0xA9, 32), (0xC9, 3), (0x63, 28), (0xCC, 5), (0x3E, 9), (0x57, 12), (0xDF, 17), (0xD7, 1)),
    "p81": ((0x00, 64), (0x41, 62), (0xA4, 10), (0x178, 74), (0x100, 81), (0x151, 39), (0x1C3, 80), (0x220, 11), (0x24B, 2)),
}


# --- requests --------------------------------------------------------------------------------------------------------


def address_of(protocol: str, board: int) -> int:
    """The first byte of a request to this board."""
    return D2 if protocol == "d2" else 0x80 + board


def answer_address(request: bytes) -> int:
    """The first byte of the response."""
    return D2 if request[0] == D2 else request[0] - 0x30


def request_at_end(heard: bytes | bytearray, address: int) -> bytes | None:
    """The whole request to `address` of which the last byte has just been received; None: there is none."""
    if len(heard) >= 8 and heard[-8] == address and heard[-7] in (READ, WRITE) and heard[-2:] == crc16(heard[-8:-2]):
        count = int.from_bytes(heard[-4:-2], "big")
        return bytes(heard[-8:]) if heard[-7] == WRITE or 1 <= count <= MOST_READ else None
    for count in range(1, MOST_WRITTEN + 1):
        size = 8 + 2 * count
        if len(heard) >= size and heard[-size] == address and heard[-size + 1] == WRITE_SEVERAL:
            request = bytes(heard[-size:])
            if int.from_bytes(request[4:6], "big") == count and request[-2:] == crc16(request[:-2]):
                return request
    return None


def response(request: bytes, words: Iterable[int]) -> bytes:
    """The response to a read."""
    data = b"".join(word.to_bytes(2, "big") for word in words)
    return framed(bytes((answer_address(request), READ, len(data))) + data)


def acknowledgement(request: bytes) -> bytes:
    """The response to a write: D2 repeats the whole request, P81 has another address; both without the data of 0x10."""
    return framed(bytes((answer_address(request),)) + request[1:6])


# --- registers that are read -----------------------------------------------------------------------------------------


def read(r: Readings, protocol: str, start: int, count: int) -> list[int] | None:
    """The registers from `start`; None: this board does not answer."""
    o, d2 = r.options, protocol == "d2"
    live_count = o.registers if d2 else 0x74
    words = dict(enumerate((_d2_live if d2 else _p81_live)(r)[:live_count])) if start < live_count else {}
    if start + count > 0x80:
        words |= (_d2_settings if d2 else _p81_settings)(r)
    words |= o.words
    found = [words.get(register) for register in range(start, start + count)]
    if None in found and o.beyond == "silent":
        return None
    return [(0 if o.beyond == "zeros" else NOTHING) if word is None else word & 0xFFFF for word in found]


def _padded(values: list[int], count: int, filler: int = 0) -> list[int]:
    return (values + [filler] * count)[:count]


def _live_current(r: Readings) -> int:
    """Above 30000 is charging, the opposite of A5: 31 captures in state "discharging", and two boards while charging."""
    return 30000 + (-r.current if r.options.inverted != r.options.swapped else r.current)


def _mode(r: Readings) -> int:
    return (0, 2, 1)[r.mode] if r.options.swapped else r.mode


def _sensors(r: Readings, protocol: str) -> list[int]:
    """P81: 255 in the slots that have no sensor. D2 has zeros there, or garbage (oryjkov: 0x0084, 0x0003)."""
    raw = r.temperatures[:SENSORS]
    if protocol == "d2" and r.options.garbage_slots:
        return (raw + [0x0084, 0x0003, 0x002E, 0x0215, 0x0D07, 0x0084, 0x0003, 0x00FF])[:SENSORS]
    return _padded(raw, SENSORS, r.options.absent if protocol == "d2" else 255)


def _known(raw: list[int]) -> list[int]:
    return [value for value in raw if value not in ABSENT]


def _temperature_ends(r: Readings) -> tuple[int, int, int, int]:
    """(highest, its number, lowest, its number); 255 of sensor 0 where there is none (BMS_BLE-HA#806)."""
    raw = r.temperatures[:SENSORS]
    known = _known(raw)
    if not known:
        return 255, 0, 255, 0
    return max(known), raw.index(max(known)) + 1, min(known), raw.index(min(known)) + 1


def _extra(r: Readings, name: str) -> int:
    """A raw temperature of MOSFETs, board or heater; boards without the sensor send 0, 255 or 0xFFFF."""
    o = r.options
    return o.lacking_raw if name in o.lacks else max(0, min(254, round(getattr(o, name)) + 40))


def _balance_current(r: Readings) -> int:
    """(raw - 30000) mA; boards that do not measure it send 0 (ESS-DL-BMS)."""
    return 0 if "balance_current" in r.options.lacks else 30000 + round(1000 * r.options.balance_current)


def _power(r: Readings) -> int:
    return abs(r.pack * r.current) // 100


def _alarm_bytes(r: Readings) -> bytes:
    """As in A5; of a shunt that is wired the wrong way round, the direction of an overcurrent is wrong, too."""
    alarms = bytearray(r.options.alarms)
    if r.options.swapped:
        alarms[2] = alarms[2] & 0xF0 | (alarms[2] & 3) << 2 | alarms[2] >> 2 & 3
    return bytes(alarms) + b"\0"


def _d2_live(r: Readings) -> list[int]:
    o = r.options
    cells = r.cells[: MOST_CELLS["d2"]]
    hottest, _, coldest, _ = _temperature_ends(r)
    alarms = _alarm_bytes(r)
    live = [
        *_padded(cells, 32),
        *_sensors(r, "d2"),
        *(r.pack, _live_current(r), r.soc),  # 28
        *(max(cells), min(cells), hottest, coldest),  # 2B
        *(_mode(r), r.remaining // 100, len(cells), len(r.temperatures[:SENSORS]), o.cycles),  # 2F
        *(int(bool(r.balancing)), o.charge_mosfet, o.discharge_mosfet),  # 34
        *(sum(cells) // len(cells), max(cells) - min(cells), _power(r)),  # 37
        # 3A: the bytes of A5's 0x98, the even one as the low byte (iced sensor: 3B=0C00; SOC 8.7 %: 3B=0080)
        *(alarms[at] | alarms[at + 1] << 8 for at in (0, 2, 4, 6)),
        *(r.balancing & 0xFFFF, r.balancing >> 16 & 0xFFFF, _balance_current(r), 0),  # 3E
        *(_extra(r, "mosfet_temperature"), _extra(r, "board_temperature")),  # 42
    ]
    return _padded(live, 80)


def p81_levels(r: Readings, alarms: bytes) -> dict[str, int]:
    """Name of an alarm of P81 -> its level: those of `alarms` that P81 knows (warning 1, protection 2), and `levels`."""
    o = r.options
    levels: dict[str, int] = {}
    for name in alarm_names(alarms):
        base, level = (name[:-2], int(name[-1])) if name[:-2] in ALARM_PAIRS else (name, 1)
        if base in LEVELS:
            levels[base] = max(level, levels.get(base, 0))
    return levels | o.levels


def active_alarms(r: Readings, protocol: str) -> dict[str, int]:
    """Name of an alarm that the BMS reports in this protocol -> its level. States of P81 among the alarm bits are none."""
    old: dict[str, int] = {}
    for name in alarm_names(r.options.alarms):
        base, level = (name[:-2], int(name[-1])) if name[:-2] in ALARM_PAIRS else (name, 1)
        old[base] = max(level, old.get(base, 0))
    words = "old" if protocol != "p81" else r.options.alarm_words
    new = {} if words == "old" else p81_levels(r, r.options.alarms)
    new = {name: level for name, level in new.items() if level and name not in STATES}
    return new if words == "new" or (words == "both" and new) else old


# Of the alarm bits of P81, those that are no alarm.
STATES = ("smart_charger", "smart_load", "upgrading", "parallel_communication")


def alarm_names(alarms: bytes) -> list[str]:
    """The names of the bits that are set."""
    bits = int.from_bytes(alarms[:7], "little")
    return [name for bit, name in enumerate(ALARMS) if bits >> bit & 1 and name != "reserved"]


def _p81_alarm_words(r: Readings) -> dict[int, int]:
    o, levels = r.options, p81_levels(r, _alarm_bytes(r))
    states = {
        "charge_off_by_bus": o.charge_off_by_bus,
        "discharge_off_by_bus": o.discharge_off_by_bus,
        "fan": o.fan,
        "heating": o.heater,
    }
    words = {}
    for register, row in P81_ALARMS.items():
        at = words[register] = 0
        for field in row.split():
            name, _, width = field.partition(":")
            words[register] |= min(states.get(name, levels.get(name, 0)), (1 << int(width or 1)) - 1) << at
            at += int(width or 1)
    return words


def _p81_live(r: Readings) -> list[int]:
    o, cells = r.options, r.cells
    high, low = max(cells), min(cells)
    hottest, hottest_number, coldest, coldest_number = _temperature_ends(r)
    clock, soc = _clock_words(r.clock), r.soc
    old = _alarm_bytes(r) if o.alarm_words in ("old", "both") else bytes(8)
    new = _p81_alarm_words(r) if o.alarm_words in ("new", "both") else {}
    return [
        *_padded(cells, 48),
        *_sensors(r, "p81"),
        *(r.pack, _live_current(r), soc, r.life),  # 38
        *(len(cells), len(r.temperatures[:SENSORS])),  # 3C
        *(high, cells.index(high) + 1, low, cells.index(low) + 1, high - low),  # 3E
        *(hottest, hottest_number, coldest, coldest_number, hottest - coldest),  # 43
        *(_mode(r), 0, 0, r.remaining // 100, o.cycles, int(bool(r.balancing)), _balance_current(r)),  # 48
        *(r.balancing & 0xFFFF, r.balancing >> 16 & 0xFFFF, r.balancing >> 32),  # 4F
        *(o.charge_mosfet, o.discharge_mosfet, o.precharge, o.heater, o.fan),  # 52
        *(sum(cells) // len(cells), _power(r), 0),  # 57
        *(_extra(r, name) for name in ("mosfet_temperature", "board_temperature", "heater_temperature")),  # 5A
        *(0, NOTHING, 0, 30000, *clock, 0, 0),  # 5D heater current, 5E mileage, 5F limits, 61 clock, 64 charging time, 65
        *(old[at] << 8 | old[at + 1] for at in (0, 2, 4, 6)),  # 66, the even byte of 0x98 as the high one (ESS: 68=0080)
        *(30000, 0x11, soc),  # 6A current, second sensor; 6B wake source; 6C "real" SOC
        *(new.get(register, 0) for register in range(0x6D, 0x74)),
    ]


def _clock_words(t: datetime) -> tuple[int, int, int]:
    return (t.year % 100 << 8 | t.month, t.day << 8 | t.hour, t.minute << 8 | t.second)


# --- settings --------------------------------------------------------------------------------------------------------

# Limits of a lithium iron phosphate cell and of what does not depend on it, {level 1, level 2, recover} and those of level 3.
CELL_LIMITS = {
    "lfp": ((3600, 3700, 3550), (2700, 2500, 2800)),
    "nmc": ((4180, 4250, 4150), (3000, 2800, 3100)),
    "lto": ((2650, 2750, 2600), (1800, 1600, 1900)),
}
HOT, COLD = (65, 70, 60), (-10, -15, -5)
DISCHARGE_HOT, DISCHARGE_COLD = (68, 73, 63), (-20, -25, -15)
CELL_DIFFERENCE, TEMPERATURE_DIFFERENCE, SOC_LOW = (500, 800, 450), (10, 15, 8), (100, 50, 120)
SOC_HIGH = (980, 1000)  # A5 only
MOSFET_HOT, AMBIENT_HOT = (95, 105, 85), (75, 80, 70)
CHARGE_A, DISCHARGE_A = (110, 120), (160, 200)


def limits_of(r: Readings) -> dict[str, tuple[int, int, int]]:
    """Name -> (level 1, level 2, recover) as sent in both protocols, but for the overcurrents."""
    high, low = CELL_LIMITS[r.options.chemistry]
    count = len(r.cells)
    degrees = {"charge_hot": HOT, "charge_cold": COLD, "discharge_hot": DISCHARGE_HOT, "discharge_cold": DISCHARGE_COLD}
    degrees |= {"mosfet_hot": MOSFET_HOT, "ambient_hot": AMBIENT_HOT}
    return {
        "cell_high": high,
        "cell_low": low,
        "pack_high": _each(high, lambda mv: mv * count // 100),
        "pack_low": _each(low, lambda mv: mv * count // 100),
        "cell_difference": CELL_DIFFERENCE,
        "temperature_difference": TEMPERATURE_DIFFERENCE,
        "soc_low": SOC_LOW,
        **{name: _each(values, lambda degree: degree + 40) for name, values in degrees.items()},
    }


def _each(values: tuple, change: Callable[[int], int]) -> tuple:
    return tuple(change(value) for value in values)


def _nominal_mv(r: Readings) -> int:
    return {"lfp": 3200, "nmc": 3700, "lto": 2300}[r.options.chemistry]


def _at(start: int, words: Iterable[int]) -> dict[int, int]:
    return dict(enumerate(words, start))


def _text(text: str, size: int) -> list[int]:
    data = text.encode("ascii")[:size].ljust(size, b"\0")
    return list(struct.unpack(f">{size // 2}H", data))


def _d2_settings(r: Readings) -> dict[int, int]:
    o, limits = r.options, limits_of(r)
    made = o.produced
    pair = {name: values[:2] for name, values in limits.items()}
    words = _at(
        0x80,
        (
            *(round(10 * o.capacity), _nominal_mv(r), 1, len(r.cells[:32]), 0, 0, len(r.temperatures[:SENSORS]), 0, 0),
            *(CHEMISTRIES.index(o.chemistry), o.sleep_time),  # 89
            *(*pair["cell_high"], *pair["cell_low"], *pair["pack_high"], *pair["pack_low"]),  # 8B
            *(30000 - 10 * CHARGE_A[0], 30000 - 10 * CHARGE_A[1]),  # 93
            *(30000 + 10 * DISCHARGE_A[0], 30000 + 10 * DISCHARGE_A[1]),
            *(*pair["charge_hot"], *pair["charge_cold"], *pair["discharge_hot"], *pair["discharge_cold"]),  # 97
            *(*pair["cell_difference"], *pair["temperature_difference"], 3400, 20),  # 9F
            *(o.charge_mosfet, o.discharge_mosfet, r.soc, 87),  # A5
        ),
    )
    # The text of the software is sent from its end (5 of 5 boards), that of the hardware only where it begins with "BMS-".
    words |= _at(0xA9, _text(o.software[::-1], 16))
    words |= _at(0xB1, _text(o.hardware[::-1] if o.hardware.startswith("BMS-") else o.hardware, 16))
    words |= _at(0xB9, _text(o.battery_code[:32], 32))
    words |= _at(0xC9, _text("123456", 6))
    words |= _at(0xCC, (made.year % 100 << 8 | made.month, made.day << 8, 0, o.balancer_on, 10))
    return words | _at(0xD4, _clock_words(r.clock)) | {0xD7: 0}


def _p81_settings(r: Readings) -> dict[int, int]:
    o, limits, count = r.options, limits_of(r), len(r.cells)
    made, capacity = o.produced, round(1000 * o.capacity)
    sleep = NEVER if o.sleep_time == NEVER else o.sleep_time // 10
    words = _at(
        0x100,
        (
            *(o.board, count, 1, count, 0, 0, len(r.temperatures[:SENSORS]), 0, 0, *_u32(capacity), *_u32(capacity)),
            *(*_u32(round(1000 * o.total_charge)), *_u32(round(1000 * o.total_discharge)), 0x28, 0x28, 0),
            *(_nominal_mv(r), sleep, r.soc, round(10 * o.soh), 1, 0, 3400, 20, 10, 10, 100, 10),  # 114
            *(0x55, o.charge_mosfet, o.discharge_mosfet, *_clock_words(r.clock), *_text("123456", 6)),  # 120
            *(made.year % 100 << 8 | made.month, made.day << 8, 0, 0, 1, 0, 0),  # 129
        ),
    )
    for start, name in P81_LIMITS.items():
        first, second, recover = limits[name]
        words |= _at(start, (first, second, recover, 1000))
    words |= _at(0x140, (30000 - 10 * CHARGE_A[0], 30000 - 10 * CHARGE_A[1], 2000, 30000 - 10 * CHARGE_A[1] - 200, 1000))
    words |= _at(
        0x145, (30000 + 10 * DISCHARGE_A[0], 30000 + 10 * DISCHARGE_A[1], 2000, 30000 + 10 * DISCHARGE_A[1] + 200, 1000)
    )
    for index, name in enumerate(P81_LIMITS.values()):  # level 3: beyond level 2 by as much as that beyond level 1
        first, second, _ = limits[name]
        words |= _at(0x1C3 + 3 * index, (max(0, 2 * second - first), second, 500))
    words |= {0x1F7: o.heater, 0x1F8: o.fan}
    words |= _at(0x178, _text(o.software, 14) + _text(o.hardware, 14) + _text(o.platform, 14))
    return words | _at(0x18D, _text(o.serial, 28) + _text(o.battery_code[:32], 32) + [0] * 23)


# The first register of four: level 1, level 2, recover, delay in ms; at 0x1C3 they follow in this order with three.
P81_LIMITS = {
    0x130: "cell_high",
    0x134: "cell_low",
    0x138: "pack_high",
    0x13C: "pack_low",
    0x14A: "charge_hot",
    0x14E: "charge_cold",
    0x152: "discharge_hot",
    0x156: "discharge_cold",
    0x15A: "cell_difference",
    0x15E: "temperature_difference",
    0x162: "soc_low",
    0x166: "mosfet_hot",
    0x16A: "ambient_hot",
}


def _u32(number: int) -> tuple[int, int]:
    """The high register first."""
    return number >> 16, number & 0xFFFF


# --- writes ----------------------------------------------------------------------------------------------------------

MOSFETS = {"d2": {0xA5: "charge_mosfet", 0xA6: "discharge_mosfet"}, "p81": {0x121: "charge_mosfet", 0x122: "discharge_mosfet"}}
SOC = {"d2": 0xA7, "p81": 0x116}
BOARD_NUMBER = 0x100
RESTART, SHUTDOWN, ZERO_CURRENT, FACTORY = 0xF0, 0xF1, 0xF2, 0xF3  # of D2
DO_NOTHING = (0x0C, 0x0D)  # of D2: the registers of cells in the vendor's example are acknowledged, and nothing happens
# Other registers that are settings: stored and acknowledged.
SETTINGS = {
    "d2": (range(0x80, 0xA5), range(0xC9, 0xD8)),
    "p81": (range(0x101, 0x130), range(0x130, 0x178), range(0x1C3, 0x213)),
}


def written(request: bytes) -> list[tuple[int, int]]:
    """(register, value) of all that a write asks for."""
    start = int.from_bytes(request[2:4], "big")
    data = request[4:6] if request[1] == WRITE else request[6:-2]
    return [(start + at // 2, int.from_bytes(data[at : at + 2], "big")) for at in range(0, len(data), 2)]


def accepts(o: SimpleNamespace, protocol: str, register: int, value: int) -> bool:
    """Whether this board acknowledges such a write; a register that it does not have is met with silence."""
    if register in MOSFETS[protocol]:
        return value in (0, 1)
    if register == SOC[protocol]:
        return value <= 1000
    if protocol == "p81" and register == BOARD_NUMBER:
        return not o.board_fixed and 1 <= value <= 16
    if protocol == "d2" and register in (*DO_NOTHING, RESTART, SHUTDOWN, ZERO_CURRENT, FACTORY):
        return True
    return any(register in part for part in SETTINGS[protocol])


def apply(o: SimpleNamespace, protocol: str, register: int, value: int) -> str:
    """Carry out an accepted write by changing options; "restart" or "shutdown" where the board stops answering, else ""."""
    if register in MOSFETS[protocol]:
        name = MOSFETS[protocol][register]
        setattr(o, name, value)
        setattr(o, name.replace("mosfet", "off_by_bus"), 1 - value)
    elif register == SOC[protocol]:
        o.soc = value / 10
    elif protocol == "p81" and register == BOARD_NUMBER:
        o.board = value
    elif protocol == "d2" and register == RESTART:
        o.charge_mosfet = o.discharge_mosfet = 1
        return "restart"
    elif protocol == "d2" and register == SHUTDOWN:
        return "shutdown"
    elif any(register in part for part in SETTINGS[protocol]):
        o.words = {**o.words, register: value}
    return ""


# --- what a subscriber must see --------------------------------------------------------------------------------------


def truth(r: Readings, protocol: str) -> dict[str, Any]:
    """As that of simulator/a5.py; a value that this protocol cannot say is not in it, one that the board lacks is None."""
    o, d2 = r.options, protocol == "d2"
    cells = r.cells[: MOST_CELLS[protocol]]
    raw = r.temperatures[:SENSORS]
    known = _known(raw)
    said = {
        **measured(r, cells),
        "remaining_capacity": r.remaining // 100 / 10,
        "rated_capacity": round(o.capacity * 10) / 10 if d2 else round(o.capacity * 1000) / 1000,
        "temperature_count": len(raw),
        "max_temperature": max(known) - 40 if known else None,
        "min_temperature": min(known) - 40 if known else None,
        **{f"temperature_{n}": None if value in ABSENT else value - 40 for n, value in enumerate(raw, 1)},
        "problem": bool(active_alarms(r, protocol)),
        "nominal_cell_voltage": _nominal_mv(r) / 1000,
        "battery_code": o.battery_code[:32],
    }
    if not d2 or o.registers > 0x43:
        said |= {"balancing": bool(r.balancing)}
        said |= {f"cell_{n}_balancing": bool(r.balancing >> n - 1 & 1) for n in range(1, len(cells) + 1)}
        said |= {name: _degrees(r, name) for name in ("mosfet_temperature", "board_temperature")}
        said["balance_current"] = None if "balance_current" in o.lacks else (_balance_current(r) - 30000) / 1000
    said |= limits_seen(r, protocol)
    if d2:
        return said | {"chemistry": o.chemistry, "production_date": o.produced.isoformat()}
    return said | {
        "heater_temperature": _degrees(r, "heater_temperature"),
        "precharge_mosfet": bool(o.precharge),
        "heater": bool(o.heater),
        "fan": bool(o.fan),
        "heartbeat": r.life,
        "charger_connected": False,
        "load_connected": False,
        "state_of_health": round(10 * o.soh) / 10,
        "production_date": o.produced.isoformat(),
        "serial_number": o.serial,
        "board_number": o.board,
        "actual_capacity": round(o.capacity * 1000) / 1000,
        "lifetime_charge": round(o.total_charge * 1000) / 1000,
        "lifetime_discharge": round(o.total_discharge * 1000) / 1000,
    }


# Name of a limit as it is sent -> (key, divisor, bias)
LIMIT_KEYS = {
    "cell_high": ("cell_overvoltage", 1000, 0),
    "cell_low": ("cell_undervoltage", 1000, 0),
    "pack_high": ("pack_overvoltage", 10, 0),
    "pack_low": ("pack_undervoltage", 10, 0),
    "charge_hot": ("charge_overtemperature", 1, 40),
    "charge_cold": ("charge_undertemperature", 1, 40),
    "discharge_hot": ("discharge_overtemperature", 1, 40),
    "discharge_cold": ("discharge_undertemperature", 1, 40),
    "cell_difference": ("cell_voltage_delta", 1000, 0),
    "temperature_difference": ("temperature_delta", 1, 0),
}


def limits_seen(r: Readings, protocol: str) -> dict[str, Any]:
    """KEY_limit_1: the warning, KEY_limit_2: the protection; currents without a sign."""
    keys = LIMIT_KEYS | ({"soc_low": ("soc_low", 10, 0)} if protocol != "d2" else {})
    limits = limits_of(r)
    seen: dict[str, Any] = {"balance_start_voltage": 3.4, "balance_voltage_delta": 0.02}
    for level in (1, 2):
        for name, (key, divisor, bias) in keys.items():
            seen[f"{key}_limit_{level}"] = (limits[name][level - 1] - bias) / divisor
        seen[f"charge_overcurrent_limit_{level}"] = float(CHARGE_A[level - 1])
        seen[f"discharge_overcurrent_limit_{level}"] = float(DISCHARGE_A[level - 1])
    return seen


def _degrees(r: Readings, name: str) -> int | None:
    return None if name in r.options.lacks else _extra(r, name) - 40
