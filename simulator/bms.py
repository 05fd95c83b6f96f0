# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A simulated Daly BMS: it responds on its serial line byte by byte at 9600 baud, and fails on request.

It has no I/O and no clock: the time, in microseconds, is an argument of every call. It shares no code with daly/, so that
an error in one of the two is noticed. Current is positive while charging, as everywhere in this project; on the A5 wire
it is the other way round (raw 30000 - 10 * I: the captured packs in state "discharging" read above 30000).

Its options are in options.py, the battery in battery.py, what it says in a5.py and modbus.py (D2 and P81).
"""

from __future__ import annotations

import heapq
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

from simulator import a5, modbus
from simulator.a5 import MEASURED, MULTI_FRAME, READS, STATIC, frame
from simulator.battery import Pack, Readings
from simulator.faults import FAULTS
from simulator.modbus import crc16
from simulator.options import ALARMS, AUTO, OPTIONS, options_help, parse, value_of

__all__ = (
    "ALARMS",
    "BYTE_US",
    "CHARGE",
    "DISCHARGE",
    "MEASURED",
    "MULTI_FRAME",
    "OPTIONS",
    "READS",
    "SET_CLOCK_AND_SOC",
    "STATIC",
    "Bms",
    "Readings",
    "SerialInput",
    "crc16",
    "frame",
    "options_help",
    "parse",
    "preferred",
    "truth",
)

BYTE_US = 10 * 1e6 / 9600  # start bit, eight data bits, stop bit
THINK_MS = {"a5": 5, "d2": 35, "p81": 35}  # of real boards: maland16#31; 32-37 ms, efo
LONGEST_REQUEST = 40  # bytes: function 0x10 with 16 registers
RESTART, SET_CLOCK_AND_SOC, DISCHARGE, CHARGE = a5.RESTART, a5.SET_CLOCK_AND_SOC, a5.DISCHARGE, a5.CHARGE


def truth(r: Readings, protocol: str = "") -> dict[str, Any]:
    """What a subscriber must see of these readings, by this project's JSON names; default: in the BMS's best protocol."""
    protocol = protocol or preferred(r.options.protocol)
    return a5.truth(r) if protocol == "a5" else modbus.truth(r, protocol)


def preferred(protocols: tuple) -> str:
    """The protocol in which a BMS says most, of those it speaks."""
    return next((name for name in ("p81", "d2") if name in protocols), "a5")


def protocol_of(request: bytes) -> str:
    """The protocol of a request."""
    return {0xA5: "a5", modbus.D2: "d2"}.get(request[0], "p81")


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

    `writes` are all requests to write that it accepted: (time in us, function of A5 or register, data). `note`, if given, is
    called with a dict for every request received ("t": seconds when it was complete, "request": hex, "outcome", "truth": the
    values responded) and for all that is sent ("t" and "until": seconds of its begin and end, "response" or "echo" or
    "foreign ...": hex, "faults").
    """

    def __init__(self, options: str | dict[str, Any] = "", now_us: float = 0, note: Callable | None = None):
        super().__init__()
        given = parse(options) if isinstance(options, str) else {k: value_of(k, str(v)) for k, v in options.items()}
        defaults = {option.name: option.kind.read(option.default) for option in OPTIONS}
        self.options = SimpleNamespace(**(defaults | given))
        self.writes: list[tuple[float, int, bytes]] = []
        self._note = note
        self._random = Random(self.options.seed)
        self._pack = Pack(self.options, now_us)
        self._last_data = bytearray(8)  # of the previous response: unused bytes of the next one
        self._request = bytearray()
        self._others: list[Bms] = []  # on the same line
        self._asked_us = now_us - 1e6  # when the last request was complete that it has answered
        self._pending: tuple[bytes, float] | None = None  # a request after which the line is not quiet yet, when it was whole
        self._after_quiet = True  # the bytes in _request began after a pause
        self._heard_us = now_us - 1e6  # when the last byte was received
        self._last_frame = b""  # the previous one sent, undamaged
        self.spoken = ""  # the protocol of the last response
        self._scheduled: list[tuple] = []  # heap of (earliest begin, sequence, bytes, what it is, faults)
        self._leaving: list[tuple[float, int, int]] = []  # heap of (last bit out, sequence, byte)
        self._sequence = 0
        self._line_free_us = now_us - 1e6  # when the last byte that has begun has been sent
        self._response_ends: list[float] = []  # of the responses not yet finished
        self._burst_until = self._dead_until = 0.0
        self._awake_since, self._requests_asleep = now_us, 0
        self._noise_us = self._babble_us = now_us

    def transmit(self, now_us: float) -> bytes:
        """The bytes that have reached the master by now, each with its last bit, since the last call."""
        self._advance(now_us)
        out = bytearray()
        while self._leaving and self._leaving[0][0] <= now_us:
            out.append(heapq.heappop(self._leaving)[2])
        return bytes(out)

    def leaving(self, now_us: float) -> list[tuple[float, int]]:
        """For a bus: all bytes that it has begun to send since the last call, (when the last bit arrives, byte)."""
        o = self.options
        if not (self._arriving or self._scheduled or self._leaving or self._pending is not None or o.noise or o.babble):
            return []  # nothing can come of it: so it is with most of several boards, most of the time
        self._advance(now_us)
        if not self._leaving:
            return []
        sent = sorted(self._leaving)
        self._leaving.clear()
        return [(at, byte) for at, _, byte in sent]

    def share_line(self, others: list[Bms]):
        """On a bus a request is lost during the response of another board, too."""
        self._others = others

    def _advance(self, now_us: float):
        self._take_arrived(now_us)
        if self.options.noise:
            self._make_noise(now_us)
        if self.options.babble:
            self._babble(now_us)
        if self._scheduled:
            self._begin_scheduled(now_us)

    def next_us(self) -> float | None:
        """When transmit can have more; None: not before the next receive."""
        times = [queue[0][0] for queue in (self._arriving, self._leaving) if queue]
        if self._scheduled:
            times.append(max(self._scheduled[0][0], self._line_free_us))
        if self.options.noise:
            times.append(self._noise_us)
        if self.options.babble:
            times.append(self._babble_us)
        if self._pending is not None:
            times.append(self._pending[1] + 1000 * self.options.quiet)
        return min(times, default=None)

    def set(self, name: str, value: Any, now_us: float):
        """Change an option while running. Raises ValueError with a sentence."""
        value = value_of(name, str(value))
        self._pack.settle(now_us)
        setattr(self.options, name, value)
        if name == "seed":
            self._random, self._pack = Random(value), Pack(self.options, now_us)
        if name == "noise":
            self._noise_us = now_us
        if name == "babble":
            self._babble_us = now_us
        if name in ("asleep", "sleep_after"):
            self._awake_since, self._requests_asleep = now_us, 0

    def truth(self, now_us: float) -> dict[str, Any]:
        """The values at this time, see truth() above."""
        return truth(self._pack.readings(now_us), self.spoken)

    # requests

    def _take_arrived(self, now_us: float):
        super()._take_arrived(now_us)
        self._take_pending(now_us)

    def _receive_byte(self, at: float, byte: int):
        if self.options.echo:
            self._emit(at, byte)
        if self.options.quiet:
            self._wait_for_quiet(at - BYTE_US)
        self._heard_us = at
        self._request.append(byte)
        request = self._find_request()
        if request is None:
            del self._request[:-LONGEST_REQUEST]
        elif not self.options.quiet or request[0] == 0xA5:
            self._request.clear()
            self._process(request, at)
        elif self._after_quiet and len(request) == len(self._request):
            self._pending = (request, at)

    def _find_request(self) -> bytes | None:
        """The request of which the last byte has just arrived."""
        heard, o = self._request, self.options
        if "a5" in o.protocol and len(heard) >= 13 and a5.is_frame(heard[-13:]):
            return bytes(heard[-13:])
        for protocol in o.protocol:
            request = protocol != "a5" and modbus.request_at_end(heard, modbus.address_of(protocol, o.board))
            if request:
                return request
        return None

    def _wait_for_quiet(self, begun: float):
        """Before a byte that begins now: was the line quiet for long enough to end what came before?"""
        last = max([self._heard_us, self._line_free_us, *[end for end in self._response_ends if end <= begun]])
        if begun - last >= 1000 * self.options.quiet:
            self._take_pending(begun)
            self._request.clear()
            self._after_quiet = True
        elif not self._request:
            self._after_quiet = False
        self._pending = None  # a request with more bytes is none

    def _take_pending(self, now_us: float):
        """Process the request after which the line has been quiet."""
        if self._pending is not None and now_us >= self._pending[1] + 1000 * self.options.quiet:
            (request, at), self._pending = self._pending, None
            self._request.clear()
            self._after_quiet = False
            self._process(request, at)

    def _process(self, request: bytes, at: float):
        self._fall_asleep(at)
        outcome = self._outcome(request, at)
        start = self._start_of_response(at, request) if outcome == "responded" else at
        if self._note:
            self._note({"t": at / 1e6, "request": request.hex(), "outcome": outcome, "truth": self.truth(start)})
        if outcome == "echoed":
            self._send_echo(request, at)
        elif outcome == "asleep":
            self._count_asleep(at)
        if outcome == "responded":
            self._respond(request, start)
        if self._hit("second_master"):
            self._add_second_master(request, at)
        if request[0] != 0xA5 and self._hit("app"):
            self._add_app(request, at)

    def _outcome(self, request: bytes, at: float) -> str:
        o, is_a5 = self.options, request[0] == 0xA5
        if o.silent or at < self._dead_until:
            return "silent"
        if o.asleep:
            return "echoed" if o.sleep_reply == "echo" or (is_a5 and o.sleep_reply == "auto") else "asleep"
        if is_a5 and request[1] not in self._addresses():
            return "not for this board"
        if is_a5 and (request[2] in o.mute or request[2] not in (*READS, *a5.WRITES)):
            return "unknown function"
        if self._is_busy(at - len(request) * BYTE_US, at):
            return "lost"
        return "responded" if is_a5 or self._knows(request, at) else "unknown registers"

    def _knows(self, request: bytes, at: float) -> bool:
        """Whether this board responds to a request in D2 or P81 at all."""
        o, protocol = self.options, protocol_of(request)
        start, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if start in o.mute:
            return False
        if request[1] == modbus.READ:
            return modbus.read(self._pack.readings(at), protocol, start, count) is not None
        return all(modbus.accepts(o, protocol, register, value) for register, value in modbus.written(request))

    def _addresses(self) -> list[int]:
        own = 0x40 + self.options.board - 1
        return {"0x40": [own], "0x80": [0x80], "both": [own, 0x80]}[self.options.host]

    def _is_busy(self, began: float, at: float) -> bool:
        """Without overlap the first bit of a request must come after the last bit of the last response."""
        if self.options.overlap:
            return len([end for end in self._response_ends if end > at]) > 1
        if any(end > began + 1 for board in self._others for end in board.response_ends_before(at)):
            return True
        return any(end > began + 1 for end in self._response_ends)

    def response_ends_before(self, at: float) -> list[float]:
        """The ends of its responses to requests before this one, which all boards of a bus receive at the same time."""
        return self._response_ends if self._asked_us < at else []

    # sleep

    def _fall_asleep(self, at: float):
        after = self.options.sleep_after
        if after and not self.options.asleep and at - self._awake_since >= after * 1e6:
            self.options.asleep, self._requests_asleep = 1, 0

    def _send_echo(self, request: bytes, at: float):
        self._schedule(request, at + 1000 * self._random.uniform(1, 5), "echo", [])
        self._count_asleep(at)

    def _count_asleep(self, at: float):
        self._requests_asleep += 1
        if self._requests_asleep == self.options.wake_on_request:
            self.options.asleep, self._awake_since = 0, at

    # responses

    def _start_of_response(self, at: float, request: bytes) -> float:
        o = self.options
        think = THINK_MS[protocol_of(request)] if o.think == AUTO else o.think
        self._asked_us = at
        self._response_ends = [end for end in self._response_ends if end > at]
        return max([at, *self._response_ends]) + 1000 * (think + o.think_jitter * self._random.random())

    def _respond(self, request: bytes, start: float):
        self.spoken = protocol_of(request)
        delay = 1000 * self._random.uniform(300, 900) if self._hit("late") else 0
        end = self._send(self._frames(request, start), start + delay)
        self._response_ends.append(end - delay)

    def _frames(self, request: bytes, at: float) -> list[bytes]:
        frames = self._a5_frames(request, at) if request[0] == 0xA5 else [self._modbus_frame(request, at)]
        for fault in FAULTS:
            if fault.response is not None and self._hit(fault.name):
                frames = fault.response(frames, request, self._random)
        return frames

    def _a5_frames(self, request: bytes, at: float) -> list[bytes]:
        host, function = request[1] & 0xC0, request[2]
        parts = (
            self._write(function, request[4:12], at)
            if function in a5.WRITES
            else READS[function](self._pack.readings(at), host)
        )
        return [frame(self.options.board, function, self._filled(part)) for part in parts]

    def _modbus_frame(self, request: bytes, at: float) -> bytes:
        protocol = protocol_of(request)
        if request[1] != modbus.READ:
            self._write_registers(request, protocol, at)
            return modbus.acknowledgement(request)
        start, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        return modbus.response(request, modbus.read(self._pack.readings(at), protocol, start, count) or ())

    def _write_registers(self, request: bytes, protocol: str, at: float):
        written = modbus.written(request)
        self.writes.append((at, written[0][0], b"".join(value.to_bytes(2, "big") for _, value in written)))
        if self.options.ignore_writes:
            return
        self._pack.settle(at)
        for register, value in written:
            stops = modbus.apply(self.options, protocol, register, value)
            if stops:
                self._dead_until = at + (1e6 if stops == "restart" else 1e12)

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
            o.clock, o.soc = a5.date_of(data), min(100.0, int.from_bytes(data[6:8], "big") / 10)
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
        faults, whole = [], data
        for fault in FAULTS:
            if fault.frame is None and fault.after is None:
                continue
            if self._hit(fault.name) or (fault.name == "corrupt" and at < self._burst_until):
                data = fault.frame(data, self._random) if fault.frame else fault.after(data, self._last_frame)
                faults.append(fault.name)
        self._last_frame = whole
        return data, faults

    def _hit(self, fault: str) -> bool:
        percent = getattr(self.options, fault)
        return percent and self._random.random() * 100 < percent  # a fault that is off leaves the others their seed

    def _add_second_master(self, request: bytes, at: float):
        """Another master sends a request to this board, or to the next one, which has other values."""
        readings, own = self._pack.readings(at), self._random.random() >= 0.5
        if not own and protocol_of(request) != "d2":  # of which there is one board a line
            readings = replace(readings, soc=1000 - readings.soc, current=-readings.current)
        at += 1000 * self._random.uniform(0, 60)
        if request[0] != 0xA5:
            self._add_modbus_master(request, readings, own, at)
            return
        board, function = self.options.board + (not own), self._random.randrange(0x90, 0x99)
        self._schedule(frame(0x40 + board - 1, function, bytes(8)), at, "foreign request", [])
        for part in READS[function](readings, 0x40):
            self._schedule(frame(board, function, part.ljust(8, b"\0")), at + 5000, "foreign response", [])

    def _add_modbus_master(self, request: bytes, readings: Readings, own: bool, at: float):
        """Half of what it asks this board for has as many registers as the request of the bridge."""
        protocol = protocol_of(request)
        address = request[0] if own or protocol == "d2" else 0x81 + self.options.board % 16
        start, count = self._random.choice(modbus.APP_READS[protocol])
        if own and request[1] == modbus.READ and self._random.random() < 0.5:
            start, count = self._random.randrange(0x80), int.from_bytes(request[4:6], "big")
        foreign = modbus.framed(struct.pack(">BBHH", address, modbus.READ, start, count))
        self._schedule(foreign, at, "foreign request", [])
        words = modbus.read(readings, protocol, start, count)
        if words is not None:
            self._schedule(modbus.response(foreign, words), at + 35000, "foreign response", [])

    def _add_app(self, request: bytes, at: float):
        """A response to the vendor's app, which is connected by Bluetooth: on many boards both share one UART."""
        protocol = protocol_of(request)
        start, count = self._random.choice(modbus.APP_READS[protocol])
        words = modbus.read(self._pack.readings(at), protocol, start, count)
        if words is not None:
            self._schedule(modbus.response(request, words), at + 1000 * self._random.uniform(0, 60), "foreign response", [])

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

    def _babble(self, now_us: float):
        """Send what nobody has asked for, however busy the line is."""
        o = self.options
        while o.babble and self._babble_us <= now_us:
            at = self._babble_us
            self._babble_us += 1e6 * self._random.expovariate(o.babble)
            if not o.silent and at >= self._dead_until:
                self._send(self._frames(self._unasked(), at), at)

    def _unasked(self) -> bytes:
        """A request that this board might have received."""
        o = self.options
        protocol = self.spoken or preferred(o.protocol)
        if protocol == "a5":
            return frame(0x40 + o.board - 1, self._random.choice(MEASURED), bytes(8))
        start, count = (0x00, 62) if protocol == "d2" else (0x30, 68)
        return modbus.framed(struct.pack(">BBHH", modbus.address_of(protocol, o.board), modbus.READ, start, count))
