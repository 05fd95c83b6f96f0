# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Frames of D2 and P81: those captured, in tests/data/modbus-frames.jsonl, and made ones. Shares no code with daly/."""

import json
from pathlib import Path

LINES = (Path(__file__).parent / "data" / "modbus-frames.jsonl").read_text().splitlines()
CAPTURED = [json.loads(line) for line in LINES]
for captured in CAPTURED:
    captured["bytes"] = bytes.fromhex(captured["hex"])

RESPONSE, ECHO, UNEXPECTED, DAMAGED = 2, 3, 4, 5
ACCEPTED, UNCONFIRMED, EMPTY = 0, 1, 2


def crc(data):
    """CRC16 of Modbus, bit by bit, as it is sent: low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return bytes([value & 0xFF, value >> 8])


def whole(*data):
    """The bytes with their CRC."""
    return bytes(data) + crc(bytes(data))


def read(address, first, count, function=3):
    return whole(address, function, first >> 8, first & 0xFF, count >> 8, count & 0xFF)


def write(address, register, value):
    return whole(address, 6, register >> 8, register & 0xFF, value >> 8, value & 0xFF)


def response(address, registers, function=3):
    data = [byte for register in registers for byte in (register >> 8, register & 0xFF)]
    return whole(address, function, len(data), *data)


def registers(frame):
    """The registers of a response."""
    return [frame[at] << 8 | frame[at + 1] for at in range(3, 3 + frame[2], 2)]


def named(beginning, kind="real"):
    """The captured good frames that begin with these hex digits."""
    return [f for f in CAPTURED if f["hex"].startswith(beginning) and f["kind"] == kind and f["checksum_valid"]]


def feed(protocol, data, now=0):
    """What the bytes complete, but nothings left out."""
    return [event for event in (protocol.feed(byte, now) for byte in data) if event]


def answer(protocol, index, frame, now=0, doubtful=False):
    """Have a block requested and answered; what the response amounts to. It must be one."""
    protocol.open(index)
    assert feed(protocol, frame, now) == [RESPONSE]
    result = protocol.store(now, doubtful)
    protocol.close()
    return result


def many(pack, key, count):
    return [pack.raw(key, number + 1) for number in range(count)]
