# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a simulated BMS answers in A5, frames of 13 bytes, and what a subscriber must see of it."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any

from simulator import unmodelled
from simulator.battery import Readings, measured
from simulator.modbus import CHARGE_A, DISCHARGE_A, SOC_HIGH, limits_of, limits_seen
from simulator.options import CHEMISTRIES


def truth(r: Readings) -> dict[str, Any]:
    """The readings by this project's JSON names: numbers in the unit published, names for modes, bool for bits.

    A float is raw / 10**decimals, so it equals what json.loads makes of the exact decimal text.
    """
    o = r.options
    return {
        **UNMODELLED,
        **measured(r, r.cells),
        "remaining_capacity": r.remaining / 1000,
        "rated_capacity": round(o.capacity * 1000) / 1000,
        "balancing": bool(r.balancing),
        **{f"cell_{n}_balancing": bool(r.balancing >> n - 1 & 1) for n in range(1, len(r.cells) + 1)},
        "temperature_count": len(r.temperatures),
        "max_temperature": max(r.temperatures) - 40 if r.temperatures else None,
        "min_temperature": min(r.temperatures) - 40 if r.temperatures else None,
        **{f"temperature_{n}": raw - 40 for n, raw in enumerate(r.temperatures, 1)},
        "problem": any(o.alarms),
        "chemistry": o.chemistry,
        "production_date": o.produced.isoformat(),
        "battery_code": o.battery_code,
        **limits_seen(r, "a5"),
        **{f"soc_high_limit_{level}": raw / 10 for level, raw in enumerate(SOC_HIGH, 1)},
        "state_of_health": o.soh,
        "lifetime_charge": int(o.total_charge),
        "lifetime_discharge": int(o.total_discharge),
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


def _totals(r: Readings, host: int) -> list[bytes]:
    return [struct.pack(">II", int(r.options.total_charge), int(r.options.total_discharge))]


def _limits(form: str, *names: str) -> Callable[[Readings, int], list[bytes]]:
    """Two levels of each of these limits, as in the other protocols."""

    def response(r: Readings, host: int) -> list[bytes]:
        limits = limits_of(r) | {"soc_high": SOC_HIGH}
        return [struct.pack(form, *[level for name in names for level in limits[name][:2]])]

    return response


def _current_limits(r: Readings, host: int) -> list[bytes]:
    return [struct.pack(">4H", *[30000 - 10 * amperes for amperes in CHARGE_A], *[30000 + 10 * a for a in DISCHARGE_A])]


def _balance_limits(r: Readings, host: int) -> list[bytes]:
    return [struct.pack(">HH", 3400, 20)]


def _health(r: Readings, host: int) -> list[bytes]:
    return [struct.pack(">H", round(10 * r.options.soh))]


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
    0x52: _totals,
    0x53: _battery_type,
    0x57: _text("battery_code", 5),
    0x59: _limits(">4H", "cell_high", "cell_low"),
    0x5A: _limits(">4H", "pack_high", "pack_low"),
    0x5B: _current_limits,
    0x5C: _limits(">8B", "charge_hot", "charge_cold", "discharge_hot", "discharge_cold"),
    0x5D: _limits(">4H", "soc_high", "soc_low"),
    0x5E: _limits(">2H2B", "cell_difference", "temperature_difference"),
    0x5F: _balance_limits,
    0x61: _clock,
    0x62: _text("software", 2),
    0x63: _text("hardware", 2),
    0x9A: _health,
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


def is_frame(data: bytes | bytearray) -> bool:
    """Whether these 13 bytes are a frame."""
    return data[0] == 0xA5 and data[3] == 8 and data[12] == sum(data[:12]) & 0xFF


def date_of(data: bytes) -> datetime:
    """The time in the six bytes of a write."""
    try:
        return datetime(2000 + data[0], *data[1:6])
    except ValueError:
        return datetime(2000, 1, 1)  # a date of zeros is accepted and makes the clock wrong
