"""The long run: `make soak` drives the real firmware, code.py's own main, through 60 days of outages in compressed time.

Everything of the board's code runs as it is, crash handler and wiring included; simulated are the chip's clock, radio and
sockets with a broker at their far end, its memory, and a BMS that answers at once. A pass of the loop takes a second while
all is well, a tenth while something happens. Power is cut in the second half only, so that the first is one life. Seeded: one
seed, one result. It ends with a table, which docs/RELIABILITY.md shows, and with status 1 if something was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import io
import json
import os
import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import displayio

from campaigns.chaos import write

ROOT = Path(__file__).resolve().parent.parent
STEP_MS = 1000  # voltage and current are asked in every second pass; the energy meter joins readings up to 5 s apart
FINE_MS = 100  # so long is a pass from the beginning of an outage on, and until everything is back
FINE_FOR_S = 60
TICKS = 1 << 29
FIRST_TICK = 0x1FFF0000  # the chip's clock wraps for the first time 65.5 s after power-on
HOUR_S, DAY_S = 3600, 86400
FULL_W = 2112
BAND_WH = 20  # battery/readings.py: a counter is told when it has moved by so much
HEARTBEAT_S = 10  # mqtt/publisher.py: how often the last state is repeated
MEMORY_BLOCKS = 500  # by so many the blocks in use may differ: the inbox, a refused packet
BACK_S = 62 + 10 + 8  # the longest pause between two tries, the recall, and what follows
GC_SHARE = 360  # of so many sweeps one is done: on a PC each takes as long as a hundred passes, and frees nothing but cycles
SETTINGS = """CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "shed-password"
MQTT_BROKER = "192.168.1.10"
MQTT_BASE_TOPIC = "t"
OLED = false
STALE_PERIODS = 10
"""  # in passes of a second a round of all registers takes longer than their three periods


class Day(BaseException):
    """Control comes back from the firmware; not an Exception, so that it does not catch it."""


class PowerCut(Day):
    """The supply is gone."""


class Reset(Day):
    """The chip has restarted itself."""


# the battery


class Battery:
    """A pack of constant voltage whose current changes now and then; answers with as little work as possible."""

    VOLTAGE = 528  # 0.1 V
    CELLS = 4

    def __init__(self):
        self.silent = False
        self._current = -200  # 0.1 A
        self._answers: dict[int, bytes] = {}
        self._waiting = b""
        self._joined_at = 0.0
        self.watt_seconds = [0.0, 0.0]  # charged, discharged: what the firmware could have counted
        self.set_current(self._current)

    def set_current(self, tenths: int):
        self._current = tenths
        cell = self.VOLTAGE * 100 // self.CELLS
        data = {
            0x90: struct.pack(">HHHH", self.VOLTAGE, 0, 30000 - tenths, 500),
            0x91: struct.pack(">HBHBH", cell, 1, cell, 1, 0),
            0x92: bytes([62, 1, 62, 1, 0, 0, 0, 0]),
            0x93: struct.pack(">BBBBI", (tenths > 0) + 2 * (tenths < 0), 1, 1, 7, 140000),
            0x94: bytes([self.CELLS, 1, 0, 0, 2, 0, 42, 0]),
            0x96: bytes([1, 62, 0, 0, 0, 0, 0, 0]),
            0x97: bytes(8),
            0x98: bytes(8),
            0x50: struct.pack(">II", 280000, 3200),
            0x53: bytes([0, 0, 23, 5, 17, 14, 16, 0]),
        }
        self._answers = {command: _frame(1, command, payload) for command, payload in data.items()}
        cells = [struct.pack(">BHHHB", n + 1, cell, cell, cell, 0) for n in range(2)]
        self._answers[0x95] = b"".join(_frame(1, 0x95, payload) for payload in cells)

    def flow(self, seconds: float):
        """Time in which the firmware had power and a battery that answers."""
        power = self.VOLTAGE * self._current / 100
        self.watt_seconds[power < 0] += abs(power) * seconds

    # as a UART

    def write(self, request: bytes) -> int:
        if not self.silent:
            self._waiting = self._answers.get(request[2], b"")
        return len(request)

    def readinto(self, buffer: Any) -> int | None:
        part, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(part)] = part
        return len(part) or None


def _frame(address: int, command: int, data: bytes) -> bytes:
    head = bytes([0xA5, address, command, 8]) + data
    return head + bytes([sum(head) & 0xFF])


# the network


class Broker:
    """An MQTT broker in memory: one client, retained messages, the will. `said(topic, payload)` hears what is published."""

    def __init__(self, said: Callable[[str, bytes], None]):
        self.retained: dict[str, bytes] = {}
        self._said = said

    def forget(self):
        self.retained.clear()

    def publish(self, topic: str, payload: bytes, retain: bool):
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        self._said(topic, payload)


class Conversation:
    """What the broker knows of one connection: bytes in, bytes out."""

    def __init__(self, broker: Broker):
        self.out = bytearray()
        self.topics: set[str] = set()
        self._broker = broker
        self._in = bytearray()
        self._will: tuple[str, bytes] | None = None

    def take(self, data: bytes):
        self._in += data
        while True:
            length, at = 0, 1
            while at < len(self._in):
                length |= (self._in[at] & 0x7F) << 7 * (at - 1)
                at += 1
                if not self._in[at - 1] & 0x80:
                    break
            else:
                return
            if len(self._in) < at + length:
                return
            first, body = self._in[0], bytes(self._in[at : at + length])
            del self._in[: at + length]
            self._obey(first, body)

    def drop(self):
        """The connection is gone: the will."""
        if self._will is not None:
            self._broker.publish(*self._will, True)
            self._will = None

    def deliver(self, topic: str, payload: bytes, retained: bool):
        body = struct.pack(">H", len(topic)) + topic.encode() + payload
        self.out += bytes([0x30 | retained]) + _length(len(body)) + body

    def _obey(self, first: int, body: bytes):
        kind = first & 0xF0
        if kind == 0x10:
            size = struct.unpack(">H", body[10:12])[0]
            topic, rest = _text(body[12 + size :])
            self._will = (topic, _text(rest)[0].encode())
            self.out += b"\x20\x02\x00\x00"
        elif kind == 0x30:
            topic, payload = _text(body)
            if first & 0x06:
                self.out += b"\x40\x02" + payload[:2]
                payload = payload[2:]
            self._broker.publish(topic, payload, bool(first & 1))
        elif kind == 0x80:
            topics = list(_topics(body[2:], 1))
            self.topics.update(topics)
            self.out += bytes([0x90, 2 + len(topics)]) + body[:2] + bytes(len(topics))
            for topic in topics:
                if topic in self._broker.retained:
                    self.deliver(topic, self._broker.retained[topic], True)
        elif kind == 0xA0:
            self.topics.difference_update(_topics(body[2:], 0))
            self.out += b"\xb0\x02" + body[:2]
        elif kind == 0xC0:
            self.out += b"\xd0\x00"


def _length(size: int) -> bytes:
    digits = bytearray()
    while True:
        size, digit = divmod(size, 128)
        digits.append(digit | 0x80 * bool(size))
        if not size:
            return bytes(digits)


def _text(data: bytes) -> tuple[str, Any]:
    size = struct.unpack(">H", data[:2])[0]
    return data[2 : 2 + size].decode(), data[2 + size :]


def _topics(data: bytes, extra: int):
    while data:
        topic, data = _text(data)
        data = data[extra:]
        yield topic


class Network:
    """Radio, pool and sockets in one: what fails is in `fault`."""

    SOCK_STREAM, TCP_NODELAY, IPPROTO_TCP = 1, 1, 6

    def __init__(self, broker: Broker, clock: Clock):
        self.fault = ""  # wifi, dhcp, refuse, silent (accepts, says nothing), half_open, garbage, huge
        self.broker = broker
        self.clock = clock
        self.sockets: list[Socket] = []
        self.enabled = True
        self._joined = True
        self.random = random.Random(1)

    # the radio

    @property
    def connected(self) -> bool:
        self._joined = self._joined and self.fault != "wifi"
        return self._joined

    @property
    def ipv4_address(self) -> str | None:
        return "192.168.1.77" if self.connected and self.fault != "dhcp" else None

    @property
    def ap_info(self) -> Any:
        return SimpleNamespace(rssi=-60)

    def connect(self, _ssid, _password, *, timeout):
        self.clock.nap(2.4)
        if self.fault == "wifi":
            raise ConnectionError("No network with that ssid")
        while self.fault == "dhcp":
            self.clock.nap(0.1)  # until the watchdog's exception: the chip would wait for ever
        self._joined = True

    # the pool

    def getaddrinfo(self, host, port, *_rest):
        return [(2, 1, 0, "", (host, port))]

    def socket(self, *_arguments) -> Socket:
        self.sockets.append(Socket(self))
        return self.sockets[-1]

    def hang_up(self):
        """Every connection ends; the broker publishes the wills."""
        for socket in list(self.sockets):
            socket.end()


class Socket:
    """One connection of the chip's kind; see host/standins/socketpool.py for its manners."""

    def __init__(self, network: Network):
        self._network = network
        self._conversation = Conversation(network.broker)
        self._is_dead = False  # nothing comes or goes, and nobody says so
        self._is_over = False
        self._kept = 0

    def settimeout(self, _seconds):
        pass

    def setsockopt(self, *_arguments):
        pass

    def connect(self, _address):
        if self._network.fault in ("wifi", "dhcp"):
            raise OSError(errno.EHOSTUNREACH, "")
        if self._network.fault == "refuse":
            raise OSError(errno.ECONNREFUSED, "")
        if self._network.fault == "drop":
            self._network.clock.nap(2)
            raise OSError(errno.ETIMEDOUT, "")

    def send(self, data: Any) -> int:
        self._look()
        if self._is_over:
            raise OSError(errno.ECONNRESET, "")
        if self._is_dead or self._network.fault == "silent":
            self._kept += len(data)
            if self._kept > 5760:
                raise OSError(errno.EAGAIN, "")
            return len(data)
        self._conversation.take(bytes(data))
        return len(data)

    def recv_into(self, buffer: Any, size: int) -> int:
        self._look()
        if self._is_over:
            raise OSError(errno.ENOTCONN, "")
        out = self._conversation.out
        if self._network.fault == "garbage":
            out += self._network.random.randbytes(40)
        if self._network.fault == "huge" and not out:
            out += b"\x30\xff\xff\xff\x5f" + bytes(1000)
        if self._is_dead or not out or self._network.fault == "silent":
            raise OSError(errno.EAGAIN, "")
        part = bytes(out[:size])
        del out[:size]
        buffer[: len(part)] = part
        return len(part)

    def close(self):
        if self in self._network.sockets:
            self._network.sockets.remove(self)
            self._conversation.drop()

    def end(self):
        self._is_over = True
        self._conversation.drop()

    def _look(self):
        if self._network.fault in ("wifi", "dhcp", "half_open"):
            self._is_dead = True


# the chip


class Clock:
    """Time passes by sleeping: a pass of the loop ends with a short sleep, and is made to take `step_ms`."""

    def __init__(self):
        self.ms = 0
        self.powered_ms = 0
        self.step_ms = FINE_MS
        self.on_step: Callable[[int], None] = lambda ms: None

    def ticks_ms(self) -> int:
        return (self.ms - self.powered_ms + FIRST_TICK) % TICKS

    def sleep(self, _seconds: float):
        self._pass(self.step_ms)

    def nap(self, seconds: float):
        """Waiting within a pass."""
        self._pass(max(1, int(1000 * seconds)))

    def _pass(self, ms: int):
        self.ms += ms
        self.on_step(ms)


class Nvm:
    """The chip's memory; `writes` counts."""

    def __init__(self):
        self.data = bytearray(8192)
        self.writes = 0

    def __getitem__(self, index):
        return bytearray(self.data[index])

    def __setitem__(self, index, value):
        self.writes += 1
        self.data[index] = value


class Watchdog:
    """Bites when it was not fed for its time; setting a mode starts it."""

    def __init__(self, clock: Clock):
        self._mode: Any = None
        self.timeout = 0.0
        self.longest_s = 0.0  # between two feedings
        self._clock = clock
        self._fed_ms = 0

    @property
    def mode(self) -> Any:
        return self._mode

    @mode.setter
    def mode(self, mode: Any):
        self._mode = mode
        self.feed()

    def feed(self):
        self.longest_s = max(self.longest_s, (self._clock.ms - self._fed_ms) / 1000)
        self._fed_ms = self._clock.ms

    def power_on(self):
        self._mode, self._fed_ms = None, self._clock.ms

    def look(self):
        from watchdog import WatchDogMode, WatchDogTimeout

        if self.mode is not None and self._clock.ms - self._fed_ms > 1000 * self.timeout:
            if self.mode == WatchDogMode.RESET:
                raise Reset
            self.mode = None
            raise WatchDogTimeout


def reset():
    raise Reset


# the plan


@dataclass(frozen=True)
class Event:
    at_s: int
    name: str
    seconds: int
    begin: Callable[[Soak], None]
    end: Callable[[Soak], None]


def _fault(name: str) -> tuple:
    return (lambda soak: setattr(soak.network, "fault", name)), (lambda soak: setattr(soak.network, "fault", ""))


def _broker_dies(soak: Soak):
    soak.network.fault = "refuse"
    soak.network.hang_up()


def _broker_dies_and_forgets(soak: Soak):
    _broker_dies(soak)
    soak.broker.forget()


def _cut_power(soak: Soak):
    raise PowerCut


def _back(soak: Soak):
    soak.network.fault = ""


HAPPENINGS = (  # name, share of all, seconds, what happens, how it ends
    ("access point off", 3, (30, 600), *_fault("wifi")),
    ("access point off for an hour", 1, (3600, 3600), *_fault("wifi")),
    ("DHCP gone", 1, (60, 900), *_fault("dhcp")),
    ("broker off", 3, (10, 900), _broker_dies, _back),
    ("broker restarted without its memory", 1, (10, 60), _broker_dies_and_forgets, _back),
    ("connections dropped", 1, (30, 300), *_fault("drop")),
    ("broker hangs", 1, (30, 300), *_fault("silent")),
    ("half-open", 1, (1, 1), *_fault("half_open")),
    ("garbage", 1, (5, 60), *_fault("garbage")),
    ("a huge message", 1, (5, 60), *_fault("huge")),
    ("connection lost", 2, (1, 1), lambda soak: soak.network.hang_up(), lambda soak: None),
    (
        "BMS silent",
        2,
        (20, 600),
        lambda soak: setattr(soak.battery, "silent", True),
        lambda soak: setattr(soak.battery, "silent", False),
    ),
    ("power cut", 1, (5, 60), _cut_power, lambda soak: None),
)


def plan(days: float, seed: int, per_day: int) -> list[Event]:
    """What happens when; never two things at once, and time between them to come back. No power cut in the first half."""
    rng = random.Random(seed)
    events = []
    at = 300
    while True:
        at += 200 + int(rng.expovariate(per_day / DAY_S))
        possible = HAPPENINGS if at > days * DAY_S / 2 else HAPPENINGS[:-1]
        name, _, (least, most), begin, end = rng.choices(possible, [share for _, share, *_ in possible])[0]
        seconds = rng.randint(least, most)
        if at + seconds > days * DAY_S - 1200:
            return events
        events.append(Event(at, name, seconds, begin, end))
        at += seconds


ROUND_S = 1700


def rounds(number: int) -> list[Event]:
    """So many times everything that may happen, one after the other and a minute long at most; at last a power cut."""
    *others, power_cut = [(name, min(least, 60), begin, end) for name, _, (least, _), begin, end in HAPPENINGS]
    events = []
    for begin_s in range(0, number * ROUND_S, ROUND_S):
        at = begin_s + 90  # behind the first wrap of the ticks
        for name, seconds, begin, end in others:
            events.append(Event(at, name, seconds, begin, end))
            at += seconds + 80
    name, seconds, begin, end = power_cut
    return [*events, Event(number * ROUND_S + 60, name, seconds, begin, end)]


# the run


@dataclass
class Found:
    """What came of it all."""

    days: float = 0
    events: int = 0
    boots: int = 0
    wraps: int = 0
    states: int = 0
    sessions: int = 0
    latest_back_s: float = 0
    longest_gap_s: float = 0
    longest_feed_s: float = 0
    most_sockets: int = 0
    sweeps: int = 0
    writes: int = 0
    writes_allowed: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)  # (boots, blocks of Python's in use) at each period's end
    counted: float = 0  # Wh published at the end
    possible: float = 0  # Wh that flowed while there was somebody to count them
    uncounted_s: float = 0  # seconds that may be missing, at full power
    uncounted_wh: float = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def settled(self) -> list[int]:
        """Of the longest life, without its first day, in which things are met for the first time."""
        lives = [boots for boots, _ in self.memory]
        longest = [blocks for boots, blocks in self.memory if boots == max(lives, key=lives.count)]
        return longest[1:] if len(longest) > 2 else longest or [0]


class Soak:
    """The firmware and its world."""

    def __init__(self, seconds: int, seed: int, events: list[Event], period_s: int = DAY_S):
        self.clock = Clock()
        self.battery = Battery()
        self.broker = Broker(self._hear)
        self.network = Network(self.broker, self.clock)
        self.nvm = Nvm()
        self.watchdog = Watchdog(self.clock)
        self.found = Found(seconds / DAY_S)
        self._end_ms = 1000 * seconds
        self._period_s = period_s  # the memory in use is noted at the end of each
        self._events = tuple(events)  # kept to the end: what is given back would look like a leak the other way
        self._next_event = 0
        self._random = random.Random(seed)
        self._running: Event | None = None
        self._ends_at = self._fine_until = 0
        self._current_at = 0
        self._next_period = 1
        self._state_at: float | None = None  # when the last state was published
        self._clear_from: float | None = 0.0  # since when nothing has been wrong in the world
        self._back_from: float | None = None
        self._published = [0, 0]
        self._log = io.StringIO()
        self.clock.on_step = self._step

    def run(self) -> Found:
        """Live through all of it."""
        main = self._arrange()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(self._log):
            settings = Path(folder, "settings.toml")
            settings.write_text(SETTINGS)
            drive = _files(folder)
            home = os.getcwd()
            os.chdir(folder)
            try:
                while self.clock.ms < self._end_ms:
                    self._power_on(main)
            finally:
                os.chdir(home)
            if _files(folder) != drive:
                self.found.wrong.append("the drive was written to")
        return self._sum_up()

    def _arrange(self) -> Callable[[Callable], None]:
        """Put the simulated chip's parts where the firmware looks for them; returns its crash handler."""
        sys.path.append(str(ROOT / "host" / "standins"))
        import supervisor

        supervisor.ticks_ms = self.clock.ticks_ms
        supervisor.runtime = SimpleNamespace(serial_bytes_available=0)
        born_with_a_clock = ("app", "mqtt", "daly", "adafruit_ticks", "adafruit_minimqtt")
        for name in [name for name in sys.modules if name.split(".")[0] in born_with_a_clock]:
            del sys.modules[name]
        displayio._stop_background()
        import busio
        import microcontroller
        import socketpool
        import wifi

        microcontroller.nvm, microcontroller.reset = self.nvm, reset
        microcontroller.watchdog = self.watchdog
        wifi.radio = self.network
        socketpool.SocketPool = lambda radio: self.network
        busio.UART = lambda *arguments, **options: self.battery
        from app import crash, loop
        from app import watchdog as watch
        from mqtt import transport as wire

        for module in (crash, watch):
            module.time = SimpleNamespace(sleep=self.clock.nap)
        loop.time = SimpleNamespace(sleep=self.clock.sleep)
        loop.gc = SimpleNamespace(collect=self._sweep)
        wire.time = SimpleNamespace(sleep=self.clock.nap)
        return crash.run_with_restart

    def _sweep(self):
        self.found.sweeps += 1
        if self.found.sweeps % GC_SHARE == 0:
            gc.collect()

    def _power_on(self, run_with_restart: Callable[[Callable], None]):
        from adafruit_connection_manager import _global_connection_managers

        from app.main import main

        _global_connection_managers.clear()  # one for each socket pool; on a board they are gone with the power
        self.found.boots += 1
        self.clock.powered_ms = self.clock.ms
        self.watchdog.power_on()
        self._back_from = self.clock.ms / 1000 + 15 if self._running is None else None
        try:
            run_with_restart(main)
        except PowerCut:
            self.network.hang_up()
            self.network.sockets.clear()
            self.found.uncounted_s += 16  # from the last state published to the cut, and from power-on to the first reading
            self.found.uncounted_wh += BAND_WH
            self._wait_without_power()
        except Reset:
            self.found.wrong.append(f"it restarted at {self.clock.ms / 1000:.0f} s: {self._log.getvalue()[-300:]}")
        except Day:
            pass
        gc.collect()

    def _wait_without_power(self):
        self.clock.ms += 1000 * self._running.seconds
        self._end_event()
        self._back_from = self.clock.ms / 1000 + 15

    # time

    def _step(self, ms: int):
        now = self.clock.ms
        self.found.wraps += self.clock.ticks_ms() < ms and now > ms
        if not self.battery.silent:
            self.battery.flow(ms / 1000)
        self.watchdog.look()
        self.found.most_sockets = max(self.found.most_sockets, len(self.network.sockets))
        if now >= self._current_at:
            self._current_at = now + 1000 * self._random.randint(600, 7200)
            self.battery.set_current(self._random.choice((-400, -200, -50, 0, 120, 300)))
            self.found.uncounted_s += 4.5  # a change between two readings is smeared over them
        self._look_at_the_link(now / 1000)
        if self._running is not None and now >= self._ends_at:
            self._end_event()
        elif self._running is None and now >= self._next_at():
            self._begin_event()
        if now >= self._fine_until and self._back_from is None:
            self.clock.step_ms = STEP_MS
        if now >= self._next_period * self._period_s * 1000:
            self._end_period()
        if now >= self._end_ms:
            raise Day

    def _next_at(self) -> float:
        return 1000 * self._events[self._next_event].at_s if self._next_event < len(self._events) else float("inf")

    def _begin_event(self):
        self._running = self._events[self._next_event]
        self._next_event += 1
        self._ends_at = self.clock.ms + 1000 * self._running.seconds
        self._clear_from = self._back_from = None
        self.found.events += 1
        if self._running.name == "BMS silent":
            self.found.uncounted_s += 8  # the silence begins and ends between two readings
        self._look_closely()
        self._running.begin(self)

    def _end_event(self):
        self._look_closely()
        self._running.end(self)
        self._running = None
        self._back_from = self.clock.ms / 1000

    def _look_closely(self):
        self.clock.step_ms = FINE_MS
        self._fine_until = self.clock.ms + 1000 * FINE_FOR_S

    def _end_period(self):
        self._next_period += 1
        self._log.seek(0)
        self._log.truncate()
        gc.collect()
        self.found.memory.append((self.found.boots, sys.getallocatedblocks()))

    # what is published

    def _hear(self, topic: str, payload: bytes):
        if topic == "t/bms1/state" and b'"pack_voltage":null' not in payload:
            self._hear_state(self.clock.ms / 1000, json.loads(payload))
        elif topic == "t/bms1/energy":
            self._hear_energy(json.loads(payload))
        elif topic == "t/status" and payload == b"online":
            self.found.sessions += 1

    def _hear_state(self, now: float, state: dict):
        self.found.states += 1
        if self._clear_from is not None and self._state_at is not None:
            self.found.longest_gap_s = max(self.found.longest_gap_s, now - self._state_at)
        if self._back_from is not None and self._running is None:
            self.found.latest_back_s = max(self.found.latest_back_s, now - self._back_from)
            self._back_from, self._clear_from = None, now
            self._look_closely()  # one message a pass, and a dozen to say
        self._state_at = now
        self._hear_energy(state)

    def _hear_energy(self, state: dict):
        for index, key in enumerate(("energy_charged", "energy_discharged")):
            if state[key] is not None:
                counted = round(1000 * state[key])
                if counted < self._published[index]:
                    self.found.wrong.append(f"{key} fell from {self._published[index]} to {counted} Wh")
                self._published[index] = counted

    def _look_at_the_link(self, now: float):
        if self._back_from is not None and now - self._back_from > BACK_S:
            self.found.wrong.append(f"not back at {now:.0f} s")
            self._back_from = now + DAY_S
        if self._clear_from is not None and self._state_at is not None and now - self._state_at > 2 * HEARTBEAT_S:
            self.found.wrong.append(f"nothing was published for {now - self._state_at:.0f} s at {now:.0f} s")
            self._state_at = now

    # the end

    def _sum_up(self) -> Found:
        found = self.found
        found.counted = sum(self._published)
        found.possible = sum(self.battery.watt_seconds) / 3600
        found.longest_feed_s = self.watchdog.longest_s
        found.writes = self.nvm.writes
        found.writes_allowed = int(48 * found.days) + 13
        self._judge()
        return found

    def _judge(self):
        found = self.found
        missing = found.possible - found.counted
        allowed = found.uncounted_s * FULL_W / 3600 + found.uncounted_wh + 2 * BAND_WH
        if missing < -0.002 * found.possible - 10 or missing > allowed:
            found.wrong.append(f"{found.counted:.0f} Wh were counted of {found.possible:.0f}")
        if found.writes > found.writes_allowed:
            found.wrong.append(f"{found.writes} writes to the memory")
        if found.most_sockets > 1:
            found.wrong.append(f"{found.most_sockets} sockets at once")
        if found.longest_gap_s > HEARTBEAT_S + 2 * STEP_MS / 1000:
            found.wrong.append(f"a state came {found.longest_gap_s:.1f} s after the one before")
        if max(found.settled) - min(found.settled) > MEMORY_BLOCKS:
            found.wrong.append(f"the memory is not flat: {found.memory}")


def _files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def table(found: Found) -> str:
    """The result for people."""
    rows = (
        ("Simulated time", f"{found.days:.3g} days; the ticks wrapped {found.wraps} times, first 65 s after power-on"),
        ("Outages", f"{found.events}, among them {found.boots - 1} power cuts; {found.sessions} sessions"),
        ("Back after an outage", f"{found.latest_back_s:.0f} s at the latest"),
        ("States published", f"{found.states}; never more than {found.longest_gap_s:.1f} s apart while all is well"),
        ("Watchdog fed", f"every {found.longest_feed_s:.1f} s at least"),
        ("Sockets open", f"{found.most_sockets} at most"),
        ("Memory", f"{min(found.settled)} to {max(found.settled)} blocks in use, day by day, in the longest life"),
        ("Writes to the memory", f"{found.writes} of {found.writes_allowed} allowed"),
        ("Energy", f"{found.counted:.0f} Wh counted of {found.possible:.0f} Wh that flowed"),
        ("Result", "; ".join(found.wrong[:5]) or "ok"),
    )
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {text} |\n" for name, text in rows)


def main():
    parser = argparse.ArgumentParser("campaigns.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-day", type=int, default=8, help="outages a day, on the average")
    parser.add_argument("--short", action="store_true", help="an hour in which everything happens twice")
    parser.add_argument("--write", action="store_true", help="write the table into docs/RELIABILITY.md")
    options = parser.parse_args()
    begun = time.monotonic()
    if options.short:
        soak = Soak(2 * ROUND_S + 300, options.seed, rounds(2), ROUND_S)
    else:
        soak = Soak(int(DAY_S * options.days), options.seed, plan(options.days, options.seed, options.per_day))
    found = soak.run()
    text = table(found)
    print(text + f"\n{time.monotonic() - begun:.0f} s")
    if options.write:
        write("soak", text)
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
