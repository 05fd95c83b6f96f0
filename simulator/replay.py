# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A recorded BMS on a pseudo-terminal: `python -m simulator.replay FILE` prints a serial port and responds from the file.

FILE is a diagnostics file (also inside a log, or broken into lines by a mail program), frames as tests/data/frames.jsonl has
them, or one frame in hex a line. The response to a request is what was recorded after a request for the same function: all
its frames in their order and with their timing, also damaged ones and silence, one recorded response after the other and again
from the start. Functions of which it has readings but no frames, such as the number of cells, are encoded from these.
Of D2 and P81, requests that were recorded get their recorded responses, and others the registers that those show.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (STANDINS := str(ROOT / "host" / "standins")) not in sys.path:
    sys.path.append(STANDINS)  # adafruit_ticks needs the chip's supervisor

from battery.json import key_of  # noqa: E402
from battery.readings import BINARY, BITFIELD, DATE, ENUM, NUMBER, OPTIONS, TEXT  # noqa: E402
from daly.a5 import BLOCKS  # noqa: E402
from simulator.a5 import is_frame  # noqa: E402
from simulator.bms import BYTE_US, LONGEST_REQUEST, MULTI_FRAME, SerialInput, frame  # noqa: E402
from simulator.line import Line, run  # noqa: E402
from simulator.modbus import request_at_end  # noqa: E402
from simulator.recorded import ADDRESSES, Board, boards, is_modbus  # noqa: E402
from simulator.unmodelled import fields  # noqa: E402

LENGTH = 13
RESPONSE_DELAY_MS = 20  # where the recording has no times
SESSION_S = 30  # of several packs in one file, each is played for so long
OPEN_MS = 400  # the response to a request younger than this may have come after the bundle was made
FIRST_HOST_ADDRESS = 0x20

_TRACED = re.compile(r"(-?\d+) ([<>!]) ((?:[0-9a-f]{2}){7,})")


@dataclass
class Response:
    """The frames after one request: (ms from the request to the frame's end, None if unknown; bytes). No frame is silence."""

    frames: list = field(default_factory=list)
    host: int | None = None  # host address of the request; None: not recorded, any


@dataclass
class Session:
    """The recording of one pack: function -> its responses. `hosts`: host addresses of the requests; empty: unknown."""

    name: str = ""
    functions: dict = field(default_factory=dict)
    hosts: set = field(default_factory=set)
    board: Board | None = None  # of D2 or P81, in place of functions

    def begin(self, function: int, host: int | None = None) -> Response:
        """Add an empty response to a function."""
        self.functions.setdefault(function, []).append(Response(host=host))
        return self.functions[function][-1]


@dataclass
class Recording:
    """All of a file."""

    sessions: list
    settings: dict = field(default_factory=dict)  # of the bundle: key -> text or number
    generated: list = field(default_factory=list)  # functions whose responses are encoded from the bundle's readings

    def summary(self) -> str:
        """For people: the packs, or of a single one the functions and the number of their responses."""
        if len(self.sessions) > 1:
            return f"{len(self.sessions)} packs, {SESSION_S} s each: " + ", ".join(session.name for session in self.sessions)
        board = self.sessions[0].board
        if board is not None:
            return "responses to " + ", ".join(
                f"{request[:-2].hex(' ')} ({len(found)})" for request, found in board.exchanges.items()
            )
        functions = sorted(self.sessions[0].functions.items())
        return "responses to " + ", ".join(
            f"0x{function:02X} ({'from its readings' if function in self.generated else len(found)})"
            for function, found in functions
        )


# --- reading the file ------------------------------------------------------------------------------------------------


def read(path: Path) -> Recording:
    """The recording in a file. Raises ValueError with a sentence for the user, OSError."""
    text = path.read_text(encoding="utf-8", errors="replace")
    unbroken = re.sub(r"[\r\n]+", "", text)
    traced = max(_TRACED.findall(text), _TRACED.findall(unbroken), key=lambda found: sum(len(line[2]) for line in found))
    if traced:
        return _read_bundle(traced, _bundle(text) or _bundle(unbroken))
    frames = list(_frames(text, path))
    if not frames:
        raise ValueError(f"{path} holds no frames; give a diagnostics file, frames.jsonl, or one frame in hex a line")
    modbus = [
        Session(board.name, board=board) for board in boards([(name or "", data) for name, data in frames if is_modbus(data)])
    ]
    others = [(name, data) for name, data in frames if not is_modbus(data)]
    return Recording((_sessions(others) if others else []) + modbus)


def _bundle(text: str) -> dict:
    """The bundle's JSON inside a text; {} if it cannot be read: its frames may be found nevertheless."""
    begin = max(text.find('{"diagnostics"'), text.find('{"support"'))  # the second: as before 0.1.0
    if begin < 0:
        begin = text.find("{")
    with contextlib.suppress(ValueError):
        bundle = json.JSONDecoder().raw_decode(text, max(begin, 0))[0]
        return bundle if isinstance(bundle, dict) else {}
    return {}


def _read_bundle(traced: list, bundle: dict) -> Recording:
    session = Session()
    response = None
    request_ms = last_ms = None
    board = Board()
    exchange = None  # of D2 or P81, (request, its responses so far)
    for ms, direction, digits in traced:
        at_ms, data = int(ms), bytes.fromhex(digits)
        if last_ms is not None and at_ms < last_ms:
            response = None  # another bundle begins
        last_ms = at_ms
        if direction == ">" and data[0] in ADDRESSES:
            request_ms, response = at_ms, None
            exchange = board.begin(data) if at_ms <= -OPEN_MS else None
        elif direction != ">" and exchange is not None:
            exchange.append((at_ms - request_ms, data))
        elif direction == ">":
            exchange = None
            session.hosts.add(data[1])
            request_ms = at_ms
            response = session.begin(data[2], data[1]) if at_ms <= -OPEN_MS else None
        elif response is not None:  # the first frames respond to a request that is no longer in the recording
            response.frames.append((at_ms - request_ms, data))
    board.finish()
    if any(any(one) for one in board.exchanges.values()):
        session.board = board
    generated = [] if session.board else _complete(session, bundle.get("readings"))
    settings = bundle.get("settings")
    return Recording([session], settings if isinstance(settings, dict) else {}, generated)


def _complete(session: Session, readings) -> list:
    """Functions polled rarely are not among the last frames: encode them from the readings; returns those functions."""
    if not isinstance(readings, dict):
        return []
    boards = {data[1] for responses in session.functions.values() for response in responses for _, data in response.frames}
    board = min(boards, default=1)
    generated = []
    for block in BLOCKS:
        parts = [] if block.function in session.functions else _encode(block, readings)
        if parts:
            frames = session.begin(block.function).frames
            frames += [(None, frame(board, block.function, part)) for part in parts]
            generated.append(block.function)
    return generated


def _encode(block, readings: dict) -> list:
    """Data of the frames with these readings, 0xFF where one is not known; [] if none is."""
    data = bytearray(block.frames * block.width)
    size, known = 0, False
    for place in fields(block):
        for index in range(place.row.slots if place.row.kind != BITFIELD else 0):
            key = key_of(place.row, index)
            number = _number(place, readings.get(key))
            known |= number is not None
            if place.bit is not None:
                at = place.offset + (place.bit + index) // 8
                data[at] |= (number or 0) << (place.bit + index) % 8
            elif key in readings:
                at = place.offset + index * place.size
                data[at : at + place.size] = b"\xff" * place.size if number is None else number.to_bytes(place.size, "big")
                size = max(size, at + place.size)
    if not known:
        return []
    if block.frames == 1:
        return [bytes(data)]
    count = -(-size // block.width)
    parts = [data[n * block.width : (n + 1) * block.width] for n in range(count)]
    return [(bytes([number]) + part).ljust(8, b"\0") for number, part in enumerate(parts, 1)]


def _number(place, value) -> int | None:
    """The raw value of a reading as published; None for a value that A5 cannot transmit."""
    row = place.row
    number: int | None = None
    with contextlib.suppress(ValueError, TypeError, AttributeError, OverflowError):
        if row.kind == TEXT:
            number = int.from_bytes(value.encode("ascii")[: place.size].ljust(place.size, b"\0"), "big")
        elif row.kind == DATE:
            year, month, day = map(int, value.split("-"))
            number = (year - 2000) << 16 | month << 8 | day
        elif row.kind == ENUM:
            number = OPTIONS[row.key].index(value)
        elif row.kind == BINARY:
            number = ("OFF", "ON").index(value)
        elif row.kind == NUMBER:
            number = round(value * 10**row.decimals) // (place.factor or 1) + place.bias  # 0: a distance from the bias
    return number if number is not None and 0 <= number < 256**place.size else None


def _frames(text: str, path: Path):
    """(name of the session, bytes) of each received frame in a file of lines."""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            row = json.loads(line) if line.startswith("{") else {"hex": re.sub(r"\s", "", line)}
            data = bytes.fromhex(row["hex"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path} line {number} is no frame: {line[:40]!r}; write its bytes in hex") from None
        if is_modbus(data) and row.get("kind") != "payload-only":
            yield row.get("session") or row.get("source"), data  # its requests, too: they say which registers come
            continue
        if row.get("direction") == "tx" or row.get("kind") == "payload-only":
            continue
        if "direction" not in row and len(data) > 1 and data[0] == 0xA5 and data[1] >= FIRST_HOST_ADDRESS:
            continue  # a request in a file of bare frames
        yield row.get("session"), data


def _sessions(frames: list) -> list:
    """Sessions with more than one function, `name-part` joined to `name`; without any such, all frames as one."""
    names = {name for name, _ in frames}
    sessions: dict = {}
    for name, data in frames:
        stem = name and name.rpartition("-")[0]
        sessions.setdefault(stem if stem and stem in names else name, []).append(data)
    found = [_session(name, parts) for name, parts in sessions.items() if name is not None]
    whole = [session for session in found if len(session.functions) > 1]
    return whole or [_session("", [data for _, data in frames])]


def _session(name: str, parts: list) -> Session:
    session = Session(name)
    response, function, last = None, None, -1
    for data in parts:
        known = data[0] == 0xA5 and len(data) > 4
        if known or response is None:  # else a damaged frame, which belongs to the present response
            number = data[4] if known and data[2] in MULTI_FRAME else -1
            if response is None or data[2:3] != function or number <= last:
                function = data[2:3]
                response = session.begin(function[0] if function else 0)
            last = number
        response.frames.append((None, data))
    return session


# --- playing it ------------------------------------------------------------------------------------------------------


class Player(SerialInput):
    """Responds like simulator.bms.Bms, on the same line, from a recording; no clock of its own, times in microseconds."""

    def __init__(self, recording: Recording):
        super().__init__()
        self._sessions = recording.sessions
        self._began_us: float | None = None
        self._next: dict = {}  # (session, host, function) -> index of the next response
        self._request = bytearray()
        self._leaving: deque = deque()  # (when its last bit has been sent, byte)

    def transmit(self, now_us: float) -> bytes:
        """As that of Bms."""
        self._take_arrived(now_us)
        out = bytearray()
        while self._leaving and self._leaving[0][0] <= now_us:
            out.append(self._leaving.popleft()[1])
        return bytes(out)

    def next_us(self) -> float | None:
        """As that of Bms."""
        return min((queue[0][0] for queue in (self._arriving, self._leaving) if queue), default=None)

    def set(self, name, value, now_us: float):
        """Nothing to do: a recording has no options."""

    def _receive_byte(self, at: float, byte: int):
        self._request.append(byte)
        del self._request[:-LONGEST_REQUEST]
        if len(self._request) >= LENGTH and is_frame(self._request[-LENGTH:]):
            request, self._request = bytes(self._request[-LENGTH:]), bytearray()
            self._respond(request[1], request[2], at)
        for address in ADDRESSES:
            found = request_at_end(self._request, address)
            if found is not None:
                self._request = bytearray()
                self._respond_modbus(found, at)

    def _respond_modbus(self, request: bytes, at: float):
        board = self._sessions[self._session_index(at)].board
        if board is not None:
            self._send(board.respond(request), at, len(request))

    def _session_index(self, at: float) -> int:
        if self._began_us is None:
            self._began_us = at
        return int((at - self._began_us) / 1e6 / SESSION_S) % len(self._sessions)

    def _respond(self, host: int, function: int, at: float):
        session_index = self._session_index(at)
        session = self._sessions[session_index]
        found = [one for one in session.functions.get(function, ()) if one.host in (None, host)]
        if not found or (session.hosts and host not in session.hosts):
            return
        index = self._next.get((session_index, host, function), 0)
        self._next[session_index, host, function] = (index + 1) % len(found)
        self._send(found[index].frames, at, LENGTH)

    def _send(self, frames: list, at: float, request_length: int):
        """Recorded times count from the begin of a request; a frame is sent no sooner than the line allows."""
        begun_us = at - request_length * BYTE_US
        free_us = self._leaving[-1][0] if self._leaving else at
        pause_us = 1000 * RESPONSE_DELAY_MS
        for ms, data in frames:
            begin = free_us + pause_us if ms is None else max(free_us, begun_us + 1000 * ms - len(data) * BYTE_US)
            for index, byte in enumerate(data, 1):
                self._leaving.append((begin + index * BYTE_US, byte))
            free_us, pause_us = begin + len(data) * BYTE_US, 0


def main():
    parser = argparse.ArgumentParser("simulator.replay", None, __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="see above")
    parser.add_argument("--describe", action="store_true", help="only print what is in it, as JSON: summary and settings")
    options = parser.parse_args()
    try:
        recording = read(options.file)
        if options.describe:
            print(json.dumps({"summary": recording.summary(), "settings": recording.settings}))
            return
        line = Line(Player(recording))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    run(line)


if __name__ == "__main__":
    main()
