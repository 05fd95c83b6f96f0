# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The faults of the simulated BMS: one table, from which options, help, campaign and tests are made.

A new fault is a row here, with its function, and its test in tests/test_bms.py, or in test_modbus_bms.py for D2 and P81.
A fault is an option of the BMS, in percent: `python -m host --bms corrupt=5`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import NamedTuple

FRAME_LENGTH = 13
CELL_COUNT, CELL_VOLTAGES = 0x94, 0x95
A5, MODBUS = ("a5",), ("d2", "p81")
READ = 3  # the function of Modbus


class Fault(NamedTuple):
    """One kind of damage, to single frames, to responses or to the line."""

    name: str
    description: str
    worst: float = 0  # highest percentage in the campaign; 0: it is not part of it, since no receiver can detect it
    case: str = ""  # name of the campaign's case in which it is the only fault
    host: int = 0x40  # 0x80: occurs at this host address only
    frame: Callable[[bytes, Random], bytes] | None = None  # damages one frame
    response: Callable[[list[bytes], bytes, Random], list[bytes]] | None = None  # damages (frames, their request, ...)
    silent_s: float = 0  # seconds of silence afterwards
    after: Callable[[bytes, bytes], bytes] | None = None  # damages (a frame, the one before it)
    protocols: tuple = ("a5", "d2", "p81")  # of the campaign in which it is a case


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC_OF_BYTE = [_crc_of(byte) for byte in range(256)]


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_OF_BYTE[(crc ^ byte) & 0xFF]
    return struct.pack("<H", crc)


def framed(body: bytes) -> bytes:
    """Bytes with their CRC."""
    return body + crc16(body)


def _changed(frame: bytes, random: Random, count: int) -> bytes:
    out = bytearray(frame)
    for at in random.sample(range(len(out)), min(count, len(out))):
        out[at] ^= random.randrange(1, 256)
    return bytes(out)


def _with_checksum(frame: bytes) -> bytes:
    return frame[:-1] + bytes([sum(frame[:-1]) & 0xFF])


def _refilled(frame: bytes, fill: Callable[[bytes], bytes]) -> bytes:
    """A frame with other data and a right checksum; an acknowledgement has none."""
    if frame[0] == 0xA5:
        return _with_checksum(frame[:4] + fill(frame[4:12]) + frame[12:])
    return framed(frame[:3] + fill(frame[3:-2])) if frame[1] == READ else frame


def _implausible(frame: bytes, random: Random) -> bytes:
    return _refilled(frame, lambda data: _changed(data, random, 1))


def _bit_changed(frame: bytes, random: Random) -> bytes:
    at, bit = random.randrange(len(frame)), random.randrange(8)
    return frame[:at] + bytes([frame[at] ^ 1 << bit]) + frame[at + 1 :]


def _cut(frame: bytes, random: Random) -> bytes:
    return frame[: random.randrange(1, len(frame))]


def _with_checksum_of(frame: bytes, previous: bytes) -> bytes:
    return frame[:-2] + previous[-2:]


def _without_byte(frame: bytes, random: Random) -> bytes:
    at = random.randrange(len(frame))
    return frame[:at] + frame[at + 1 :]


def _with_byte(frame: bytes, random: Random) -> bytes:
    at = random.randrange(len(frame) + 1)
    return frame[:at] + random.randbytes(1) + frame[at:]


def _cells_zero(frames: list[bytes], request: bytes, random: Random) -> list[bytes]:
    if request[0] != 0xA5 or request[2] != CELL_COUNT:
        return frames
    return [_with_checksum(frame[:4] + b"\0" + frame[5:]) for frame in frames]


def _ram_garbage(frames: list[bytes], request: bytes, random: Random) -> list[bytes]:
    if request[0] != 0xA5 or request[1:3] != bytes((0x80, CELL_VOLTAGES)):
        return frames
    return [*frames[:11], random.randbytes(3 * FRAME_LENGTH), *frames[14:]]  # gh43199278718, gh16434418890


def _swapped(frames: list[bytes], request: bytes, random: Random) -> list[bytes]:
    if len(frames) < 2:
        return frames
    at = random.randrange(len(frames) - 1)
    return [*frames[:at], frames[at + 1], frames[at], *frames[at + 2 :]]


FAULTS = (
    # of a frame, in the order in which they are applied to it
    Fault("implausible", "one data byte is wrong, the checksum is right", frame=_implausible),
    Fault(
        "zeros",
        "all data zero, the checksum is right: 0 V, -3000 A, -40 C",
        5,
        "5 % all zero",
        frame=lambda f, _: _refilled(f, lambda data: bytes(len(data))),
    ),
    Fault(
        "ones",
        "all data 0xFF, the checksum is right",
        5,
        "5 % all 0xFF",
        frame=lambda f, _: _refilled(f, lambda data: b"\xff" * len(data)),
        protocols=MODBUS,
    ),
    Fault(
        "corrupt", "1-4 bytes changed", 5, "5 % corrupted", frame=lambda f, random: _changed(f, random, random.randint(1, 4))
    ),
    Fault("corrupt1", "one byte changed", 5, "5 % one byte changed", frame=lambda f, random: _changed(f, random, 1)),
    Fault("flip_bit", "one bit changed", 20, "20 % one bit changed", frame=_bit_changed, protocols=MODBUS),
    Fault("burst", "every frame of the next 50-300 ms is corrupted", 1, "bursts of 50-300 ms"),
    Fault("drop_byte", "one byte missing", 5, "5 % lose a byte", frame=_without_byte),
    Fault("extra_byte", "one byte too many", 5, "5 % gain a byte", frame=_with_byte),
    Fault("truncate", "ends after 9 bytes, the next frame follows at once", 5, "5 % truncated", frame=lambda f, _: f[:9]),
    Fault("cut", "ends anywhere", 5, "5 % cut off", frame=_cut, protocols=MODBUS),
    Fault("duplicate", "sent twice", 5, "5 % duplicated", frame=lambda f, _: f + f),
    Fault(
        "old_checksum",
        "has the checksum of the frame before it, as overlapping requests cause",
        5,
        "5 % with another's CRC",
        after=_with_checksum_of,
        protocols=MODBUS,
    ),
    Fault(
        "repeat_last",
        "the frame before it is sent once more, without a pause, in front",
        5,
        "5 % merged with the one before",
        after=lambda f, previous: previous + f,
        protocols=MODBUS,
    ),
    Fault(
        "garbage",
        "1-20 random bytes in front",
        5,
        "5 % preceded by garbage",
        frame=lambda f, random: random.randbytes(random.randint(1, 20)) + f,
    ),
    Fault("drop_frame", "missing", 5, "5 % missing", frame=lambda f, _: b""),
    Fault(
        "die_mid_frame",
        "ends within the frame, and the BMS is silent for two seconds",
        0.3,
        "stops mid-frame for 2 s",
        frame=lambda f, random: f[: random.randint(1, max(1, len(f) - 1))],
        silent_s=2,
    ),
    # of a response
    Fault("late", "comes 300-900 ms late; meanwhile the BMS answers others", 5, "5 % of responses late"),
    Fault("cells_zero", "0x94 reports no cells", 20, "20 % without cells", response=_cells_zero, protocols=A5),
    Fault(
        "ram_garbage",
        "39 bytes of memory for frames 12-14 of 0x95 at host 0x80",
        20,
        "memory garbage, host 0x80",
        host=0x80,
        response=_ram_garbage,
        protocols=A5,
    ),
    Fault(
        "swap_frames",
        "two frames of a response change places",
        5,
        "5 % with two frames swapped",
        response=_swapped,
        protocols=A5,
    ),
    # of the line
    Fault("second_master", "another master asks this or the next board; both are received", 10, "second master"),
    Fault("app", "a response to the vendor's app is received, whose request is not", 10, "app", protocols=MODBUS),
)
