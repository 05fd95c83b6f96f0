# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A recorded board that speaks D2 or P81: its exchanges as they were, and the registers that they show, for any other read."""

from __future__ import annotations

import struct

from simulator.faults import crc16
from simulator.modbus import (
    APP_READS,
    D2,
    MOST_CELLS,
    NOTHING,
    READ,
    WRITE,
    WRITE_SEVERAL,
    acknowledgement,
    request_at_end,
    response,
)

P81_REQUESTS, P81_RESPONSES = range(0x81, 0x91), range(0x51, 0x61)
ADDRESSES = (D2, *P81_REQUESTS)
LOWEST_CELL = 0x40  # of P81: the vendor's app reads all but this one


def is_whole(data: bytes) -> bool:
    """Whether this is a frame with a right CRC."""
    return len(data) >= 5 and data[-2:] == crc16(data[:-2])


def is_request(data: bytes, last: bytes | None = None) -> bool:
    """Whether a frame is a request; `last` is the request before it, since D2 acknowledges a write by repeating it."""
    return bool(data) and data[0] in ADDRESSES and request_at_end(data, data[0]) == data and (data != last or data[1] == READ)


def is_modbus(data: bytes) -> bool:
    """Whether a frame, also a damaged one, begins like one of D2 or P81."""
    return len(data) > 2 and data[0] in (*ADDRESSES, *P81_RESPONSES) and data[1] & 0x7F in (READ, WRITE, WRITE_SEVERAL)


def request_of(frame: bytes) -> bytes | None:
    """The request of the vendor's app that has a response of this length; None: it has none."""
    if not is_whole(frame) or frame[1] != READ or len(frame) != 5 + frame[2]:
        return None
    protocol, address = ("d2", D2) if frame[0] == D2 else ("p81", frame[0] + 0x30)
    for start, count in APP_READS[protocol] + (((0x00, 80),) if protocol == "d2" else ((0xCF, 1),)):
        if 2 * count == frame[2]:
            body = struct.pack(">BBHH", address, READ, start, count)
            return body + crc16(body)
    return None


class Board:
    """The exchanges of one recording. `name` is its session."""

    def __init__(self, name: str = ""):
        self.name = name
        self.exchanges: dict[bytes, list[list]] = {}  # request -> its responses: lists of (ms or None, frame)
        self.words: dict[int, dict[int, int]] = {}  # first byte of the requests -> register -> value
        self._next: dict[bytes, int] = {}

    def begin(self, request: bytes) -> list:
        """Add an empty response to a request; it is silence until frames are added."""
        self.exchanges.setdefault(request, []).append([])
        return self.exchanges[request][-1]

    def finish(self):
        """Learn the registers from the exchanges recorded: those of one pack at about one moment."""
        for request, responses in self.exchanges.items():
            words = self.words.setdefault(request[0], {})
            start, count = struct.unpack(">HH", request[2:6])
            for frames in responses:
                for _, frame in frames:
                    if request[1] == READ and is_whole(frame) and frame[1:3] == bytes((READ, 2 * count & 0xFF)):
                        for at, word in enumerate(struct.unpack(f">{count}H", frame[3:-2]), start):
                            words.setdefault(at, word)
        for address, words in self.words.items():
            cells = [words[at] for at in range(MOST_CELLS["p81"]) if words.get(at)]
            if address != D2 and cells and 0 in words:
                words.setdefault(LOWEST_CELL, min(cells))

    def respond(self, request: bytes) -> list:
        """The frames that follow a request: (ms or None, frame). As recorded, or made of the registers; [] is silence."""
        found = self.exchanges.get(request)
        if found:
            index = self._next.get(request, 0)
            self._next[request] = (index + 1) % len(found)
            return found[index]
        words = self.words.get(request[0])
        if words is None:
            return []
        if request[1] != READ:
            return [(None, acknowledgement(request))]
        start, count = struct.unpack(">HH", request[2:6])
        if not any(at in words for at in range(start, start + count)):
            return [(None, response(request, [NOTHING] * count))]
        return [(None, response(request, [words.get(at, NOTHING) for at in range(start, start + count)]))]


def boards(frames: list[tuple[str, bytes]]) -> list[Board]:
    """One for each session of frames in their order: (session, bytes), requests and responses."""
    found: dict[str, Board] = {}
    last: dict[str, bytes | None] = {}
    for name, data in frames:
        board = found.setdefault(name, Board(name))
        if is_request(data, last.get(name)):
            last[name] = data
            board.begin(data)
            continue
        request = last.pop(name, None) or request_of(data)
        if request is not None:
            empty = board.exchanges.get(request, [[0]])[-1] == []
            (board.exchanges[request][-1] if empty else board.begin(request)).append((None, data))
    for board in found.values():
        board.exchanges = {request: [one for one in all_ if one] for request, all_ in board.exchanges.items()}
        board.finish()
    return [board for board in found.values() if any(board.exchanges.values())]
