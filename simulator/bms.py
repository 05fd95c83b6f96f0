# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A simulated Daly BMS: it responds on its serial line byte by byte at 9600 baud, and fails on request.

It has no I/O and no clock: the time, in microseconds, is an argument of every call. It shares no code with daly/, so that
an error in one of the two is noticed. Current is positive while charging, as everywhere in this project; on the A5 wire
it is the other way round (raw 30000 - 10 * I: the captured packs in state "discharging" read above 30000).
"""

from __future__ import annotations

import difflib
import heapq
import math
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

from simulator import unmodelled
from simulator.faults import FAULTS

BYTE_US = 10 * 1e6 / 9600  # start bit, eight data bits, stop bit
CHEMISTRIES = ("lfp", "nmc", "lto")  # the codes 0, 1, 2 of 0x53
MODES = ("idle", "charging", "discharging")  # the codes 0, 1, 2 of 0x93

# Rest voltage of a cell by state of charge: (percent, millivolts), straight lines between.
OPEN_CIRCUIT = {
    "lfp": ((0, 2800), (5, 3080), (10, 3200), (20, 3250), (40, 3288), (60, 3305), (80, 3332), (95, 3362), (100, 3450)),
    "nmc": ((0, 3000), (10, 3450), (20, 3550), (50, 3700), (80, 4000), (100, 4200)),
    "lto": ((0, 2000), (10, 2150), (50, 2300), (90, 2450), (100, 2700)),
}

# Bit names of 0x98, bytes 0 to 6, half a byte a row, lowest bit first: after the vendor's table (V1.2).
ALARM_ROWS = (
    "cell_high_1 cell_high_2 cell_low_1 cell_low_2",
    "pack_high_1 pack_high_2 pack_low_1 pack_low_2",
    "charge_hot_1 charge_hot_2 charge_cold_1 charge_cold_2",
    "discharge_hot_1 discharge_hot_2 discharge_cold_1 discharge_cold_2",
    "charge_overcurrent_1 charge_overcurrent_2 discharge_overcurrent_1 discharge_overcurrent_2",
    "soc_high_1 soc_high_2 soc_low_1 soc_low_2",
    "cell_difference_1 cell_difference_2 temperature_difference_1 temperature_difference_2",
    "reserved reserved reserved reserved",
    "charge_mosfet_hot discharge_mosfet_hot charge_mosfet_sensor discharge_mosfet_sensor",
    "charge_mosfet_stuck discharge_mosfet_stuck charge_mosfet_open discharge_mosfet_open",
    "afe_chip cell_sampling temperature_sensor eeprom",
    "rtc precharge vehicle_communication internal_communication",
    "current_module pack_voltage_module short_circuit charge_forbidden",
    "soft_switch cabinet_offline reserved reserved",
)
ALARMS = [name for row in ALARM_ROWS for name in row.split()]


# --- options ---------------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """How the text of an option is read: `read` raises ValueError, `allowed` is what it accepts, in words."""

    read: Callable[[str], Any]
    allowed: str


def _number(low: float, high: float, as_type: Callable = float) -> Kind:
    def read(text: str):
        value = as_type(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Kind(read, f"a {'whole ' if as_type is _whole else ''}number {low}..{high}")


def _whole(text: str) -> int:
    return int(text, 0)


def _one_of(*names: str) -> Kind:
    return Kind(lambda text: names[names.index(text)], " or ".join(names))


def _items(text: str) -> list[str]:
    return [item for item in text.split("+") if item]


def _pairs(text: str) -> dict[int, int]:
    return {int(number): int(value) for number, value in (item.split(":") for item in _items(text))}


def _alarms(text: str) -> bytes:
    if len(text) == 14 and "_" not in text:
        return bytes.fromhex(text)  # no name has 14 letters without an underscore
    bits = sum(1 << ALARMS.index(name) for name in set(_items(text)))
    return bits.to_bytes(7, "little")


def _ascii(length: int) -> Kind:
    def read(text: str) -> str:
        if len(text.encode("ascii")) > length:
            raise ValueError(text)
        return text

    return Kind(read, f"up to {length} ASCII characters")


SWITCH = _number(0, 1, _whole)
PERCENT = _number(0, 100)
FUNCTIONS = Kind(lambda text: frozenset(map(_whole, _items(text))), "functions joined by +, for example 0x97+0x98")
CLOCK = Kind(datetime.fromisoformat, "a time YYYY-MM-DDThh:mm:ss")
CELLS = Kind(lambda text: frozenset(map(int, _items(text))), "cell numbers joined by +, for example 3+7")
PAIRS = Kind(_pairs, "NUMBER:VALUE joined by +, as in 3:5000+4:0")


ALARM_BITS = Kind(
    _alarms, "names of ALARM_ROWS in simulator/bms.py joined by +, for example soc_low_1+eeprom, or 14 hex digits"
)


class Option(NamedTuple):
    name: str
    default: str
    kind: Kind
    meaning: str


OPTIONS = (
    # the pack
    Option("cells", "16", _number(1, 48, _whole), "cells in series"),
    Option("temperatures", "2", _number(0, 16, _whole), "temperature sensors"),
    Option("soc", "57.3", PERCENT, "state of charge in percent at the start; the current changes it"),
    Option("current", "-12.4", _number(-3000, 3000), "amperes, positive = charging"),
    Option("ripple", "0", _number(0, 10), "amperes by which the measured current fluctuates, also at rest"),
    Option("deadzone", "0", _number(0, 10), "amperes in either direction up to which the mode is idle"),
    Option("capacity", "280", _number(1, 4000), "rated capacity in Ah"),
    Option("cycles", "42", _number(0, 65535, _whole), "charge cycles"),
    Option("chemistry", "lfp", _one_of(*CHEMISTRIES), "of the cells: their rest voltage curve"),
    Option("spread", "12", _number(0, 1000), "approximate millivolts between the highest and the lowest cell"),
    Option("temperature", "22", _number(-40, 120), "mean of the sensors in degrees Celsius"),
    Option("drift", "1", _number(0, 100), "how much values vary by themselves; 0 freezes everything"),
    Option("seed", "1", _number(0, 2**31, _whole), "the same seed gives the same values and faults"),
    Option("charge_mosfet", "1", SWITCH, "charge MOSFET on"),
    Option("discharge_mosfet", "1", SWITCH, "discharge MOSFET on"),
    Option("balancing", "", CELLS, "cells being balanced"),
    Option("alarms", "", ALARM_BITS, "alarm bits, 0x98"),
    Option("cell_mv", "", PAIRS, "cells with a fixed voltage in mV: 5000 is an open sense wire"),
    Option("sensor_raw", "", PAIRS, "sensors with a fixed raw byte (degrees + 40): 0 or 255 is a broken sensor"),
    Option("life", "80", _number(0, 255, _whole), "heartbeat counter at the start"),
    Option("battery_code", "DL16S280A230517", _ascii(35), "0x57"),
    Option("software", "20230517-1.01T", _ascii(14), "0x62"),
    Option("hardware", "DL-BMS-R32-01E", _ascii(14), "0x63"),
    Option("produced", "2023-05-17", Kind(date.fromisoformat, "a date YYYY-MM-DD"), "production date"),
    Option("sleep_time", "3600", _number(0, 65535, _whole), "sleep setting as reported, in seconds"),
    Option("clock", "2026-03-14T12:00:00", CLOCK, "its clock at the start"),
    # communication
    Option("protocol", "a5", _one_of("a5", "d2", "p81", "none"), "protocol; requests of the others get no response"),
    Option("host", "both", _one_of("0x40", "0x80", "both"), "host addresses it responds to"),
    Option("board", "1", _number(1, 16, _whole), "board number: requests go to 0x40 + number - 1, responses come from number"),
    Option("think", "5", _number(0, 10000), "ms between a request and its response"),
    Option("think_jitter", "0", _number(0, 10000), "up to this many ms more"),
    Option("gap", "0", _number(0, 1000), "ms between the frames of one response"),
    Option("inverted", "0", SWITCH, "raw current above 30000 is charging, as on some boards with active balancing"),
    Option("swapped", "0", SWITCH, "shunt wired the wrong way round: current and mode show the opposite direction"),
    Option("overlap", "0", SWITCH, "a request that arrives during a response is queued; otherwise it is lost"),
    Option("stale", "1", SWITCH, "unused bytes keep those of the previous response; 0 zeroes them as the R24TS does"),
    Option("zero_based", "0", SWITCH, "frame numbers count from 0, as in the vendor's PDF and in no capture"),
    Option("temperature_frames", "1", _number(1, 3, _whole), "minimum number of frames of 0x96 (2 at host 0x80)"),
    Option("absent", "0", _number(0, 255, _whole), "raw byte of sensors that do not exist: 0 or 255"),
    Option("dio", "2", _number(0, 255, _whole), "byte 4 of 0x94; 2 on half of the captured boards"),
    Option("restart_reply", "0", SWITCH, "restart, 0x00, is acknowledged"),
    Option("ignore_writes", "0", SWITCH, "writes are acknowledged but change nothing"),
    # states
    Option("silent", "0", SWITCH, "sends nothing"),
    Option("asleep", "0", SWITCH, "sends every request back unchanged after 1-5 ms"),
    Option("sleep_after", "0", _number(0, 1e6), "seconds until it falls asleep; 0: never"),
    Option("wake_on_request", "0", _number(0, 1e6, _whole), "number of requests that wake it; 0: none do"),
    Option("echo", "0", SWITCH, "the adapter receives its own transmission, as on RS485"),
    Option("noise", "0", _number(0, 960), "random bytes a second"),
    Option("mute", "", FUNCTIONS, "functions it does not respond to"),
    # in percent of the frames sent, or of the responses
    *(Option(fault.name, "0", PERCENT, fault.description) for fault in FAULTS),
)
BY_NAME = {option.name: option for option in OPTIONS}


def parse(text: str) -> dict[str, Any]:
    """The options in a text such as `cells=16,soc=57.3`: name -> value. Raises ValueError with a sentence for the user."""
    return dict(_setting(item) for item in text.split(",") if item.strip())


def options_help() -> str:
    """One line for each option: name, default, meaning and what it accepts."""
    return "\n".join(f"  {o.name}={o.default}".ljust(32) + f"{o.meaning} ({o.kind.allowed})" for o in OPTIONS)


def _setting(item: str) -> tuple[str, Any]:
    name, _, text = (part.strip() for part in item.partition("="))
    return name, _value(name, text)


def _value(name: str, text: str):
    if name not in BY_NAME:
        near = difflib.get_close_matches(name, BY_NAME, 3, 0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "--help lists them."
        raise ValueError(f"The simulated BMS has no option {name!r}; {hint}")
    kind = BY_NAME[name].kind
    try:
        return kind.read(text)
    except (ValueError, IndexError):
        raise ValueError(f"{name}={text} is not possible: {name} takes {kind.allowed}.") from None


# --- the pack --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Readings:
    """What the BMS measures at one moment, as the integers of the wire (but current: 0.1 A, positive = charging)."""

    cells: list[int]  # mV
    temperatures: list[int]  # degrees + 40
    current: int  # 0.1 A
    soc: int  # 0.1 %
    life: int
    clock: datetime
    options: SimpleNamespace

    @property
    def pack(self) -> int:
        """0.1 V, cut off, not rounded: cells of 52.878 V read 52.8 (dsf21898), 53.097 read 53.0 (gh68966297095)."""
        return sum(self.cells) // 100

    @property
    def remaining(self) -> int:
        """mAh."""
        return round(self.options.capacity * self.soc)

    @property
    def mode(self) -> int:
        limit = 10 * self.options.deadzone
        return (self.current > limit) + 2 * (self.current < -limit)

    @property
    def balancing(self) -> int:
        """One bit a cell, lowest first."""
        return sum(1 << cell - 1 for cell in self.options.balancing if 1 <= cell <= len(self.cells))


class Pack:
    """The battery: every value is a function of time, so it does not matter how often it is read."""

    def __init__(self, options: SimpleNamespace, now_us: float):
        self._options = options
        self._since_us = now_us
        self._wave_of = [_wave(Random(f"{options.seed}/{index}")) for index in range(80)]
        self._offset = [Random(f"{options.seed}:{index}").uniform(-0.5, 0.5) for index in range(80)]

    def settle(self, now_us: float):
        """Make the state of charge and the clock of now the new start; to be called before an option changes."""
        self._options.soc, self._options.clock = self._soc(now_us), self._clock(now_us)
        self._since_us = now_us

    def readings(self, now_us: float) -> Readings:
        """What the BMS measures at this time."""
        o = self._options
        current, soc = self._current(now_us), self._soc(now_us)
        mean = _interpolate(OPEN_CIRCUIT[o.chemistry], soc) + current * 140 / o.capacity  # half a milliohm for 280 Ah
        return Readings(
            cells=[o.cell_mv[n + 1] if n + 1 in o.cell_mv else self._cell(n, mean, now_us) for n in range(o.cells)],
            temperatures=[o.sensor_raw.get(n + 1, self._sensor(n, now_us)) for n in range(o.temperatures)],
            current=round(10 * current),
            soc=round(10 * soc),
            life=(o.life + int(now_us / 1e6) * bool(o.drift)) % 256,
            clock=self._clock(now_us),
            options=o,
        )

    def _elapsed(self, now_us: float) -> float:
        return (now_us - self._since_us) / 1e6 if self._options.drift else 0.0

    def _flowing(self) -> float:
        """The current option in A, 0 while the MOSFET of its direction is off."""
        o = self._options
        open_way = o.charge_mosfet if o.current > 0 else o.discharge_mosfet
        return o.current if open_way else 0.0

    def _current(self, now_us: float) -> float:
        flowing = self._flowing()
        wander = 1 + 0.03 * self._wander(0, now_us, 17)
        ripple = self._options.ripple * self._wave_of[79](now_us / 7e6)
        return max(-3000.0, min(3000.0, flowing * wander + ripple))

    def _soc(self, now_us: float) -> float:
        moved = self._flowing() * self._elapsed(now_us) / 3600 / self._options.capacity * 100
        return max(0.0, min(100.0, self._options.soc + moved))

    def _clock(self, now_us: float) -> datetime:
        return self._options.clock + timedelta(seconds=self._elapsed(now_us))

    def _cell(self, n: int, mean: float, now_us: float) -> int:
        """mV of cell n, counted from 0: the mean, the cell's own offset and its drift."""
        own = mean + self._options.spread * self._offset[n + 1]
        return max(0, min(65535, round(own + 1.5 * self._wander(n + 1, now_us, 60))))

    def _sensor(self, n: int, now_us: float) -> int:
        degrees = self._options.temperature + 4 * self._offset[n + 50] + 1.5 * self._wander(n + 50, now_us, 600)
        return max(0, min(255, round(degrees + 40)))

    def _wander(self, index: int, now_us: float, period_s: float) -> float:
        drift = self._options.drift
        return drift and drift * self._wave_of[index](now_us / 1e6 / period_s)


def _wave(random: Random) -> Callable[[float], float]:
    """A smooth curve within -1..1 that hardly repeats: two sines with phases from the seed."""
    first, second = random.uniform(0, 7), random.uniform(0, 7)
    return lambda x: 0.6 * math.sin(2 * math.pi * x + first) + 0.4 * math.sin(9.7 * x + second)


def _interpolate(curve: tuple, x: float) -> float:
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1]


def truth(r: Readings) -> dict[str, Any]:
    """The readings by this project's JSON names: numbers in the unit published, names for modes, bool for bits.

    A float is raw / 10**decimals, so it equals what json.loads makes of the exact decimal text.
    """
    high, low = max(r.cells), min(r.cells)
    o = r.options
    return {
        **UNMODELLED,
        "pack_voltage": r.pack / 10,
        "current": r.current / 10,
        "power": r.pack * r.current / 100,
        "soc": r.soc / 10,
        "mode": MODES[r.mode],
        "charge_mosfet": bool(o.charge_mosfet),
        "discharge_mosfet": bool(o.discharge_mosfet),
        "remaining_capacity": r.remaining / 1000,
        "rated_capacity": round(o.capacity * 1000) / 1000,
        "cycle_count": o.cycles,
        "cell_count": len(r.cells),
        "max_cell_voltage": high / 1000,
        "max_voltage_cell": r.cells.index(high) + 1,
        "min_cell_voltage": low / 1000,
        "min_voltage_cell": r.cells.index(low) + 1,
        "cell_voltage_delta": (high - low) / 1000,
        **{f"cell_{n}_voltage": mv / 1000 for n, mv in enumerate(r.cells, 1)},
        "balancing": bool(r.balancing),
        **{f"cell_{n}_balancing": bool(r.balancing >> n - 1 & 1) for n in range(1, len(r.cells) + 1)},
        "temperature_count": len(r.temperatures),
        "max_temperature": max(r.temperatures) - 40 if r.temperatures else None,
        "min_temperature": min(r.temperatures) - 40 if r.temperatures else None,
        **{f"temperature_{n}": raw - 40 for n, raw in enumerate(r.temperatures, 1)},
        "problem": any(o.alarms),
        "alarm_bytes": o.alarms.hex(),
        "chemistry": o.chemistry,
        "production_date": o.produced.isoformat(),
        "battery_code": o.battery_code,
        "software_version": o.software,
        "hardware_version": o.hardware,
        "sleep_time": o.sleep_time,
        "clock": r.clock.isoformat(timespec="seconds"),
    }


# --- responses -------------------------------------------------------------------------------------------------------
# Each returns the data of its frames, only the bytes that it writes: the others keep the values of the previous response,
# as on real boards (0x94 byte 7 = 0x93 byte 7 in dsf21898 and everywhere else).


def _pack_status(r: Readings, host: int) -> list[bytes]:
    turned = r.options.inverted != r.options.swapped
    return [struct.pack(">HHHH", r.pack, 0, 30000 + (r.current if turned else -r.current), r.soc)]


def _cell_extremes(r: Readings, host: int) -> list[bytes]:
    high, low = max(r.cells), min(r.cells)
    return [struct.pack(">HBHB", high, r.cells.index(high) + 1, low, r.cells.index(low) + 1)]


def _temperature_extremes(r: Readings, host: int) -> list[bytes]:
    raw = r.temperatures or [0]  # a board without a sensor sends raw 0 of sensor 1 (gh18754103785)
    return [bytes([max(raw), raw.index(max(raw)) + 1, min(raw), raw.index(min(raw)) + 1])]


def _mosfets(r: Readings, host: int) -> list[bytes]:
    o = r.options
    mode = (0, 2, 1)[r.mode] if o.swapped else r.mode
    return [struct.pack(">BBBBI", mode, o.charge_mosfet, o.discharge_mosfet, r.life, r.remaining)]


def _counts(r: Readings, host: int) -> list[bytes]:
    """Charger and load present (bytes 2, 3) are 0 in all captures, whatever flows."""
    o = r.options
    data = struct.pack(">BBBBBH", len(r.cells), len(r.temperatures), 0, 0, o.dio, o.cycles)
    board_temperature = bytes([round(o.temperature) + 40])
    return [data if o.stale else data + board_temperature]


def _cell_voltages(r: Readings, host: int) -> list[bytes]:
    cells = r.cells + [0] * (48 - len(r.cells)) if host == 0x80 else r.cells
    groups = [cells[i : i + 3] for i in range(0, len(cells), 3)]
    return _numbered(r, [struct.pack(f">{len(group)}H", *group) for group in groups])


def _sensors(r: Readings, host: int) -> list[bytes]:
    raw = r.temperatures
    frames = max(math.ceil(len(raw) / 7), r.options.temperature_frames, 2 if host == 0x80 else 1)
    raw = bytes(raw) + bytes([r.options.absent]) * (7 * frames - len(raw))
    return _numbered(r, [raw[i : i + 7] for i in range(0, len(raw), 7)])


def _balancing(r: Readings, host: int) -> list[bytes]:
    return [r.balancing.to_bytes(8, "little")]


def _alarm_bits(r: Readings, host: int) -> list[bytes]:
    alarms = bytearray(r.options.alarms)
    if r.options.swapped:  # overcurrent has a direction: two bits each
        alarms[2] = alarms[2] & 0xF0 | (alarms[2] & 3) << 2 | alarms[2] >> 2 & 3
    return [bytes(alarms) + b"\0"]


def _rated(r: Readings, host: int) -> list[bytes]:
    nominal_mv = {"lfp": 3200, "nmc": 3700, "lto": 2300}[r.options.chemistry]
    return [struct.pack(">II", round(r.options.capacity * 1000), nominal_mv)]


def _battery_type(r: Readings, host: int) -> list[bytes]:
    o = r.options
    made = o.produced
    kind = CHEMISTRIES.index(o.chemistry)
    return [struct.pack(">BBBBBHB", kind, 0, made.year % 100, made.month, made.day, o.sleep_time, 0)]


def _clock(r: Readings, host: int) -> list[bytes]:
    t = r.clock
    return [struct.pack(">6BH", t.year % 100, t.month, t.day, t.hour, t.minute, t.second, r.soc)]


def _text(option: str, frames: int) -> Callable[[Readings, int], list[bytes]]:
    def response(r: Readings, host: int) -> list[bytes]:
        text = getattr(r.options, option).encode("ascii").ljust(7 * frames, b"\0")
        return _numbered(r, [text[i : i + 7] for i in range(0, len(text), 7)])

    return response


def _constant(payload: bytes) -> Callable[[Readings, int], list[bytes]]:
    return lambda r, host: [payload]


def _wake_source(r: Readings, host: int) -> list[bytes]:
    return [bytes(8)]  # as captured, twice


def _numbered(r: Readings, parts: list[bytes]) -> list[bytes]:
    return [bytes([number]) + part for number, part in enumerate(parts, 0 if r.options.zero_based else 1)]


READS = {
    0x90: _pack_status,
    0x91: _cell_extremes,
    0x92: _temperature_extremes,
    0x93: _mosfets,
    0x94: _counts,
    0x95: _cell_voltages,
    0x96: _sensors,
    0x97: _balancing,
    0x98: _alarm_bits,
    0x50: _rated,
    0x53: _battery_type,
    0x57: _text("battery_code", 5),
    0x61: _clock,
    0x62: _text("software", 2),
    0x63: _text("hardware", 2),
    0xD8: _wake_source,
}
UNMODELLED = unmodelled.values(READS)
READS |= {function: _constant(payload) for function, payload in unmodelled.responses(READS).items()}
MEASURED = tuple(function for function in READS if 0x90 <= function <= 0x98)
STATIC = (0x50, 0x53, 0x57, 0x62, 0x63)  # static data
MULTI_FRAME = (0x95, 0x96, 0x57, 0x62, 0x63)  # responses whose frames are numbered
RESTART, SET_CLOCK_AND_SOC, DISCHARGE, CHARGE = 0x00, 0x21, 0xD9, 0xDA
WRITES = (RESTART, SET_CLOCK_AND_SOC, DISCHARGE, CHARGE)


def frame(address: int, function: int, data: bytes) -> bytes:
    """An A5 frame of 13 bytes: `data` are eight; the last byte is the checksum, the sum of all others."""
    head = bytes([0xA5, address, function, 8]) + data
    return head + bytes([sum(head) & 0xFF])


def _is_a5(data: bytes) -> bool:
    return data[0] == 0xA5 and data[3] == 8 and data[12] == sum(data[:12]) & 0xFF


# --- the other two Daly protocols, as far as a firmware must detect them ---------------------------------------------

MODBUS = (  # value of the readings, its D2 register, its P81 register
    (lambda r: r.cells[:32], 0x00, 0x00),
    (lambda r: r.temperatures[:8], 0x20, 0x30),
    # The live current of these families is positive while charging: 20 captures, against the vendor's sheet.
    (lambda r: [r.pack, 30000 + r.current, r.soc], 0x28, 0x38),
    (lambda r: [max(r.cells)], 0x2B, 0x3E),
    (lambda r: [min(r.cells)], 0x2C, 0x40),
    (lambda r: [r.mode], 0x2F, 0x48),
    (lambda r: [r.remaining // 100], 0x30, 0x4B),
    (lambda r: [len(r.cells), len(r.temperatures)], 0x31, 0x3C),
    (lambda r: [r.options.cycles], 0x33, 0x4C),
    (lambda r: [r.options.charge_mosfet, r.options.discharge_mosfet], 0x35, 0x52),
    (lambda r: [sum(r.cells) // len(r.cells)], 0x37, 0x57),
)


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


def _modbus_response(r: Readings, request: bytes) -> bytes:
    start, count = struct.unpack(">HH", request[2:6])
    d2 = request[0] == 0xD2
    words = [0] * max(0x80, start + count)
    for value, d2_register, p81_register in MODBUS:
        at, values = d2_register if d2 else p81_register, value(r)
        words[at : at + len(values)] = values
    address = 0xD2 if d2 else request[0] - 0x30  # P81 responds from 0x50 + board to a request to 0x80 + board
    response = bytes([address, 3, 2 * count]) + struct.pack(f">{count}H", *words[start : start + count])
    return response + crc16(response)


# --- the BMS on its line ---------------------------------------------------------------------------------------------


class SerialInput:
    """What arrives at the end of a 9600 baud line, byte by byte; a subclass has `_receive_byte(at_us, byte)`."""

    def __init__(self):
        self._arriving: deque[tuple[float, int]] = deque()  # (when its last bit has arrived, byte)

    def receive(self, data: bytes, now_us: float):
        """The master starts to write `data` now; the bytes arrive one byte time apart."""
        at = max(now_us, self._arriving[-1][0]) if self._arriving else now_us
        for index, byte in enumerate(data, 1):
            self._arriving.append((at + index * BYTE_US, byte))

    def _take_arrived(self, now_us: float):
        while self._arriving and self._arriving[0][0] <= now_us:
            self._receive_byte(*self._arriving.popleft())


class Bms(SerialInput):
    """One BMS at the end of a 9600 baud line. `options`: a text for parse(), or {name: value}; ValueError if one is wrong.

    `writes` are the functions that write: (time in us, function, data). `note`, if given, is called with a dict for every
    request received ("t": seconds when it was complete, "request": hex, "outcome", "truth": the values responded) and for all
    that is sent ("t" and "until": seconds of its begin and end, "response" or "echo" or "foreign ...": hex, "faults").
    """

    def __init__(self, options: str | dict[str, Any] = "", now_us: float = 0, note: Callable | None = None):
        super().__init__()
        given = parse(options) if isinstance(options, str) else {k: _value(k, str(v)) for k, v in options.items()}
        defaults = {option.name: option.kind.read(option.default) for option in OPTIONS}
        self.options = SimpleNamespace(**(defaults | given))
        self.writes: list[tuple[float, int, bytes]] = []
        self._note = note
        self._random = Random(self.options.seed)
        self._pack = Pack(self.options, now_us)
        self._last_data = bytearray(8)  # of the previous response: unused bytes of the next one
        self._request = bytearray()
        self._scheduled: list[tuple] = []  # heap of (earliest begin, sequence, bytes, what it is, faults)
        self._leaving: list[tuple[float, int, int]] = []  # heap of (last bit out, sequence, byte)
        self._sequence = 0
        self._line_free_us = now_us  # when the last byte that has begun has been sent
        self._response_ends: list[float] = []  # of the responses not yet finished
        self._burst_until = self._dead_until = 0.0
        self._awake_since, self._requests_asleep = now_us, 0
        self._noise_us = now_us

    def transmit(self, now_us: float) -> bytes:
        """The bytes that have reached the master by now, each with its last bit, since the last call."""
        self._take_arrived(now_us)
        self._make_noise(now_us)
        self._begin_scheduled(now_us)
        out = bytearray()
        while self._leaving and self._leaving[0][0] <= now_us:
            out.append(heapq.heappop(self._leaving)[2])
        return bytes(out)

    def next_us(self) -> float | None:
        """When transmit can have more; None: not before the next receive."""
        times = [queue[0][0] for queue in (self._arriving, self._leaving) if queue]
        if self._scheduled:
            times.append(max(self._scheduled[0][0], self._line_free_us))
        if self.options.noise:
            times.append(self._noise_us)
        return min(times, default=None)

    def set(self, name: str, value: Any, now_us: float):
        """Change an option while running. Raises ValueError with a sentence."""
        value = _value(name, str(value))
        self._pack.settle(now_us)
        setattr(self.options, name, value)
        if name == "seed":
            self._random, self._pack = Random(value), Pack(self.options, now_us)
        if name == "noise":
            self._noise_us = now_us
        if name in ("asleep", "sleep_after"):
            self._awake_since, self._requests_asleep = now_us, 0

    def truth(self, now_us: float) -> dict[str, Any]:
        """The values at this time, see truth() above."""
        return truth(self._pack.readings(now_us))

    # requests

    def _receive_byte(self, at: float, byte: int):
        if self.options.echo:
            self._emit(at, byte)
        self._request.append(byte)
        size, is_valid = (13, _is_a5) if self.options.protocol == "a5" else (8, self._is_modbus)
        while len(self._request) >= size:
            request = bytes(self._request[:size])
            if is_valid(request):
                self._request.clear()
                self._process(request, at)
            else:
                del self._request[0]

    def _is_modbus(self, data: bytes) -> bool:
        address = {"d2": 0xD2, "p81": 0x80 + self.options.board}.get(self.options.protocol)
        return data[0] == address and data[1] == 3 and 1 <= data[5] <= 125 and data[6:] == crc16(data[:6])

    def _process(self, request: bytes, at: float):
        self._fall_asleep(at)
        outcome = self._outcome(request, at)
        start = self._start_of_response(at) if outcome == "responded" else at
        if self._note:
            self._note({"t": at / 1e6, "request": request.hex(), "outcome": outcome, "truth": self.truth(start)})
        if outcome == "echoed":
            self._send_echo(request, at)
        if outcome == "responded":
            self._respond(request, start)
        if self._hit("second_master"):
            self._add_second_master(at)

    def _outcome(self, request: bytes, at: float) -> str:
        o, a5 = self.options, self.options.protocol == "a5"
        if o.silent or at < self._dead_until:
            return "silent"
        if o.asleep:
            return "echoed" if a5 else "silent"
        if a5 and request[1] not in self._addresses():
            return "not for this board"
        if a5 and (request[2] in o.mute or request[2] not in (*READS, *WRITES)):
            return "unknown function"
        return "lost" if self._is_busy(at - len(request) * BYTE_US, at) else "responded"

    def _addresses(self) -> list[int]:
        own = 0x40 + self.options.board - 1
        return {"0x40": [own], "0x80": [0x80], "both": [own, 0x80]}[self.options.host]

    def _is_busy(self, began: float, at: float) -> bool:
        """Without overlap the first bit of a request must come after the last bit of the last response."""
        if self.options.overlap:
            return len([end for end in self._response_ends if end > at]) > 1
        return any(end > began + 1 for end in self._response_ends)

    # sleep

    def _fall_asleep(self, at: float):
        after = self.options.sleep_after
        if after and not self.options.asleep and at - self._awake_since >= after * 1e6:
            self.options.asleep, self._requests_asleep = 1, 0

    def _send_echo(self, request: bytes, at: float):
        self._schedule(request, at + 1000 * self._random.uniform(1, 5), "echo", [])
        self._requests_asleep += 1
        if self._requests_asleep == self.options.wake_on_request:
            self.options.asleep, self._awake_since = 0, at

    # responses

    def _start_of_response(self, at: float) -> float:
        o = self.options
        self._response_ends = [end for end in self._response_ends if end > at]
        return max([at, *self._response_ends]) + 1000 * (o.think + o.think_jitter * self._random.random())

    def _respond(self, request: bytes, start: float):
        delay = 1000 * self._random.uniform(300, 900) if self._hit("late") else 0
        end = self._send(self._frames(request, start), start + delay)
        self._response_ends.append(end - delay)

    def _frames(self, request: bytes, at: float) -> list[bytes]:
        if self.options.protocol != "a5":
            return [_modbus_response(self._pack.readings(at), request)]
        host, function = request[1] & 0xC0, request[2]
        parts = (
            self._write(function, request[4:12], at) if function in WRITES else READS[function](self._pack.readings(at), host)
        )
        frames = [frame(self.options.board, function, self._filled(part)) for part in parts]
        for fault in FAULTS:
            if fault.response is not None and self._hit(fault.name):
                frames = fault.response(frames, request, self._random)
        return frames

    def _filled(self, part: bytes) -> bytes:
        rest = self._last_data[len(part) :] if self.options.stale else bytes(8 - len(part))
        self._last_data = bytearray(part + rest)
        return bytes(self._last_data)

    def _write(self, function: int, data: bytes, at: float) -> list[bytes]:
        """Execute a write. The response begins with the byte written to a MOSFET, or with 1 for the clock; restart: unknown."""
        self.writes.append((at, function, data))
        if not self.options.ignore_writes:
            self._apply(function, data, at)
        if function == RESTART:
            return [b"\0"] * self.options.restart_reply
        return [b"\1" if function == SET_CLOCK_AND_SOC else data[:1]]

    def _apply(self, function: int, data: bytes, at: float):
        self._pack.settle(at)
        o = self.options
        if function == DISCHARGE:
            o.discharge_mosfet = int(data[0] == 1)
        elif function == CHARGE:
            o.charge_mosfet = int(data[0] == 1)
        elif function == SET_CLOCK_AND_SOC:
            o.clock, o.soc = _date_of(data), min(100.0, int.from_bytes(data[6:8], "big") / 10)
        else:
            o.charge_mosfet = o.discharge_mosfet = 1
            self._dead_until = at + 1e6

    # sending

    def _send(self, frames: list[bytes], at: float) -> float:
        """Schedule the frames one after the other, with the faults that hit them; returns when the last has been sent."""
        for sent in frames:
            sent, faults = self._damaged(sent, at)
            self._schedule(sent, at, "response", faults)
            at += len(sent) * BYTE_US + 1000 * self.options.gap
            silent_s = max((fault.silent_s for fault in FAULTS if fault.name in faults), default=0)
            if silent_s:
                self._dead_until = at + 1e6 * silent_s
                break
        return at - 1000 * self.options.gap

    def _damaged(self, data: bytes, at: float) -> tuple[bytes, list[str]]:
        if self._hit("burst"):
            self._burst_until = at + 1000 * self._random.uniform(50, 300)
        faults = []
        for fault in FAULTS:
            if fault.frame is None:
                continue
            if self._hit(fault.name) or (fault.name == "corrupt" and at < self._burst_until):
                data = fault.frame(data, self._random)
                faults.append(fault.name)
        return data, faults

    def _hit(self, fault: str) -> bool:
        percent = getattr(self.options, fault)
        return percent and self._random.random() * 100 < percent  # a fault that is off leaves the others their seed

    def _add_second_master(self, at: float):
        """Another master sends a request to this board, or to the next one, which has other values."""
        board, function, readings = self.options.board, self._random.randrange(0x90, 0x99), self._pack.readings(at)
        if self._random.random() < 0.5:
            board, readings = board + 1, replace(readings, soc=1000 - readings.soc, current=-readings.current)
        at += 1000 * self._random.uniform(0, 60)
        self._schedule(frame(0x40 + board - 1, function, bytes(8)), at, "foreign request", [])
        for part in READS[function](readings, 0x40):
            self._schedule(frame(board, function, part.ljust(8, b"\0")), at + 5000, "foreign response", [])

    def _schedule(self, data: bytes, at: float, what: str, faults: list[str]):
        self._sequence += 1
        heapq.heappush(self._scheduled, (at, self._sequence, data, what, faults))

    def _begin_scheduled(self, now_us: float):
        """One line: what is scheduled earlier is sent first, and completely."""
        while self._scheduled and max(self._scheduled[0][0], self._line_free_us) <= now_us:
            at, _, data, what, faults = heapq.heappop(self._scheduled)
            at = max(at, self._line_free_us)
            self._line_free_us = at + len(data) * BYTE_US
            for index, byte in enumerate(data, 1):
                self._emit(at + index * BYTE_US, byte)
            if self._note:
                self._note({"t": at / 1e6, "until": self._line_free_us / 1e6, what: data.hex(), "faults": faults})

    def _emit(self, at: float, byte: int):
        self._sequence += 1
        heapq.heappush(self._leaving, (at, self._sequence, byte))

    def _make_noise(self, now_us: float):
        while self.options.noise and self._noise_us <= now_us:
            self._emit(self._noise_us, self._random.randrange(256))
            self._noise_us += 1e6 * self._random.expovariate(self.options.noise)


def _date_of(data: bytes) -> datetime:
    try:
        return datetime(2000 + data[0], *data[1:6])
    except ValueError:
        return datetime(2000, 1, 1)  # a date of zeros is accepted and makes the clock wrong
