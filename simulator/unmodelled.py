# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Readings that the simulated BMS does not model: each has a constant value, sent where the firmware's own map has it.

So a new reading is seen in the demo and in the tests without a line here. That its place in the map is right shows only against
a capture, or against a model of its own in simulator/bms.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

STANDINS = str(Path(__file__).resolve().parent.parent / "host" / "standins")
if STANDINS not in sys.path:
    sys.path.append(STANDINS)  # adafruit_ticks wants the chip's supervisor

from battery.readings import BINARY, ENUM, NUMBER, OPTIONS  # noqa: E402
from daly.a5 import ABSOLUTE, BLOCKS, DISCHARGING, PLUS_40, THOUSANDS  # noqa: E402


class Field(NamedTuple):
    """A reading in the firmware's map: raw = factor * (number in these bytes - bias); factor 0: the distance from the bias.

    `bit`: number of the bit, counted from bit 0 of byte `offset`; None for whole bytes.
    """

    row: Any
    offset: int
    size: int
    bit: int | None
    bias: int
    factor: int


def fields(block) -> list[Field]:
    """The readings of one block of A5's map."""
    forms = {0: (0, 1), PLUS_40: (40, 1), DISCHARGING: (30000, -1), ABSOLUTE: (30000, 0), THOUSANDS: (0, 1000)}
    found = []
    for row, place in zip(block.rows, block.places, strict=True):
        bit = place >> 9 & 0xF
        found.append(Field(row, place & 7, place >> 3 & 0x3F, bit - 1 if bit else None, *forms[place >> 13]))
    return found


def _fields(modelled):
    """(block, field, index) of every number in a block of one frame whose function is not in `modelled`."""
    for block in BLOCKS:
        if block.function not in modelled and block.frames == 1:
            for field in fields(block):
                if field.row.counted_by is None and field.bit is None and field.row.kind in (NUMBER, BINARY, ENUM):
                    for index in range(field.row.slots):
                        yield block, field, index


def _raw(row) -> int:
    """A value that a real battery can have: the middle of its limits."""
    return (row.low + row.high + 1) // 2


def _number(field) -> int:
    """What stands on the line for it; a factor of 0 is a distance from the bias."""
    return _raw(field.row) // (field.factor or 1) + field.bias


def responses(modelled) -> dict[int, bytes]:
    """function -> the 8 bytes of its response."""
    payloads: dict[int, bytearray] = {}
    for block, field, index in _fields(modelled):
        payload = payloads.setdefault(block.function, bytearray(8))
        offset = field.offset + index * field.size
        payload[offset : offset + field.size] = _number(field).to_bytes(field.size, "big")
    return {function: bytes(payload) for function, payload in payloads.items()}


def values(modelled) -> dict[str, Any]:
    """key -> the value as published: a number in its unit, a bool, or the word of an ENUM."""
    found: dict[str, Any] = {}
    for _, field, index in _fields(modelled):
        row, raw = field.row, (field.factor or 1) * (_number(field) - field.bias)
        key = row.key.replace("{}", str(index + 1))
        if row.kind == NUMBER:
            found[key] = raw / 10**row.decimals
        else:
            found[key] = bool(raw) if row.kind == BINARY else OPTIONS[row.key][raw]
    return found
