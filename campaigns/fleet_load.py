# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`make fleet-load`: thousands of bridges at mosquitto and at three NATS nodes: what it costs, and when all are back.

The messages are those of the real firmware, code.py's own main, recorded for some minutes of simulated time and then sent for
each bridge on topics of its own, shifted in time. Each bridge is a connection of its own with user, password, last will, pings
and subscriptions as the firmware makes them, all in one process of asyncio: a bridge here is a page of plain MQTT 3.1.1, as no
client library holds ten thousand connections on half a processor. One more connection subscribes as Telegraf does and counts.

Broker and load share this computer, so the figures are the broker's processor seconds and memory, not the most it could do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from campaigns import nats
from campaigns.mosquitto import PROGRAM, Mosquitto
from campaigns.nats import Cluster
from campaigns.soak import Soak
from tools import fleet
from tools.settings import is_setting

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "FLEET.md"
PLOT = ROOT / "docs" / "fleet.svg"
SIZES = (1000, 2000, 5000, 10000)
RECORD_S = 360
BORN_S = 5  # what belongs to a new connection
SETTLED_S = 60  # from then on the recording is repeated
STEADY_S = 20
PING_S, SILENCE_S = 5, 12  # mqtt/client.py: PING_INTERVAL_MS, SILENCE_LIMIT_MS
CONNECT_S = 10  # the firmware gives a connection so long
LEAST_S, FIRST_S, LOST_S, LONGEST_S = 0.25, 1, 4, 60  # its pauses between two attempts
DOWN_S = 3  # a broker that restarts
BACK_LIMIT_S = 180
TELEGRAF = [("daly/+/+/state", 0), ("daly/+/state", 0), ("daly/+/status", 0), ("daly/+/+/status", 0)]


# --- the messages of a real firmware ---------------------------------------------------------------------------------


class Message(NamedTuple):
    """One that the firmware published: seconds since it was connected, topic below its base, payload, retained, QoS."""

    at: float
    topic: str
    payload: bytes
    retain: bool
    qos: int


class Recording(Soak):
    """The firmware for some minutes of simulated time, with currents that change every few seconds."""

    settings = (
        'CIRCUITPY_WIFI_SSID = "shed"\nMQTT_BROKER = "192.168.1.10"\nBRIDGE_ID = "b"\nOLED = false\nMQTT_BIRTH_TOPIC = ""\n'
    )
    settings += "STALE_PERIODS = 10\n" + ("MQTT_DISCOVERY = false\n" if is_setting("MQTT_DISCOVERY") else "")
    bms_options = "cells=16,temperatures=4,soc=60,current=-20,drift=1"

    def __init__(self):
        self.messages: list[tuple[float, str, bytes]] = []
        super().__init__(RECORD_S, 1, [])

    def _on_publish(self, topic: str, payload: bytes):
        if topic.startswith("daly/b/"):
            self.messages.append((self.clock.monotonic(), topic[len("daly/b") :], bytes(payload)))

    def _change_current(self, now: float):
        super()._change_current(now)
        self._current_at = now + self._random.uniform(5, 30)


def record() -> list[Message]:
    """What the firmware publishes in its first minutes at a broker."""
    recording = Recording()
    recording.run()
    begun = recording.messages[0][0]
    first: set[str] = set()
    messages = []
    for at, topic, payload in recording.messages:
        # docs/MQTT.md: with QoS 1 on change and after connecting, with QoS 0 when repeated
        is_first = topic not in first and topic.endswith(("/status", "/connection"))
        first.add(topic)
        messages.append(Message(at - begun, topic, payload, "daly/b" + topic in recording.broker.retained, int(is_first)))
    return messages


# --- MQTT 3.1.1, as much as a bridge needs of it ---------------------------------------------------------------------


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, digit = divmod(left, 128)
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(length) + body


def connect_packet(client: str, user: str, password: str, will_topic: str = "", keep_alive_s: int = 30) -> bytes:
    """CONNECT with a clean session and, with `will_topic`, a retained last will `offline` with QoS 1."""
    will = _text(will_topic) + _text("offline") if will_topic else b""
    flags = 0xC2 | (0x2C if will_topic else 0)
    head = _text("MQTT") + bytes([4, flags]) + keep_alive_s.to_bytes(2, "big")
    return _packet(0x10, head + _text(client) + will + _text(user) + _text(password))


def publish_packet(topic: str, payload: bytes, retain: bool = False, qos: int = 0, number: int = 1) -> bytes:
    """PUBLISH; `number` is the packet's id with QoS 1."""
    return _packet(0x30 | qos << 1 | retain, _text(topic) + (number.to_bytes(2, "big") if qos else b"") + payload)


def subscribe_packet(topics: list[tuple[str, int]]) -> bytes:
    """SUBSCRIBE to (topic, QoS) pairs."""
    return _packet(0x82, b"\x00\x01" + b"".join(_text(topic) + bytes([qos]) for topic, qos in topics))


CONNACK, PUBLISH, PUBACK = 2, 3, 4
PING = b"\xc0\x00"


class Link(asyncio.Protocol):
    """A connection: `heard(kind, size, body)` is called for each packet that arrives, `gone()` at its end."""

    def __init__(self, heard: Callable[[int, int, bytes], None], gone: Callable[[], None]):
        self._heard, self._gone = heard, gone
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data: bytes):
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 2:
            length = shift = 0
            at = 1
            while True:
                if at >= len(buffer):
                    return
                length |= (buffer[at] & 127) << shift
                shift += 7
                at += 1
                if buffer[at - 1] < 128:
                    break
            if len(buffer) < at + length:
                return
            self._heard(buffer[0] >> 4, at + length, bytes(buffer[at : at + length]))
            del buffer[: at + length]

    def connection_lost(self, _error):
        self._gone()


# --- the fleet -------------------------------------------------------------------------------------------------------


class Fleet:
    """`number` bridges that send the recorded messages, and one reader. `ports`: of the brokers, each bridge begins at another.

    `jitter`: pauses between attempts are random up to the firmware's back-off; else they are exactly that, doubled in step.
    """

    def __init__(self, number: int, ports: list[int], messages: list[Message], passwords: dict[str, str], jitter: bool = True):
        self.ports = ports
        self.jitter = jitter
        self.messages, self.passwords = messages, passwords
        self.sent = self.sent_bytes = self.received = self.received_bytes = self.failures = 0
        self.connects: Counter = Counter()  # by second: attempts
        self.born = sum(message.at < BORN_S for message in messages)
        self.settled = sum(message.at < SETTLED_S for message in messages)
        self.loop = asyncio.get_running_loop()
        names = [name for name in passwords if name != "telegraf"][:number]
        self.bridges = [Bridge(self, index, name) for index, name in enumerate(names)]
        self._reader: Link | None = None

    @property
    def online(self) -> int:
        """How many have a connection that the broker has accepted."""
        return sum(bridge.is_online for bridge in self.bridges)

    async def begin(self, per_second: int) -> None:
        """Connect all, so many a second."""
        for index, bridge in enumerate(self.bridges):
            bridge.begin()
            if index % 20 == 19:
                await asyncio.sleep(20 / per_second)

    async def read(self) -> None:
        """Subscribe as Telegraf does, again when the connection is lost."""
        link = Link(self._take, lambda: None)
        await self.loop.create_connection(lambda: link, "127.0.0.1", self.ports[-1])
        assert link.transport is not None
        link.transport.write(connect_packet("telegraf", "telegraf", self.passwords["telegraf"], keep_alive_s=0))
        link.transport.write(subscribe_packet(TELEGRAF))
        self._reader = link

    def _take(self, kind: int, size: int, _body: bytes) -> None:
        if kind == PUBLISH:
            self.received += 1
            self.received_bytes += size

    def end(self) -> None:
        """Close everything."""
        for bridge in self.bridges:
            bridge.end()
        if self._reader is not None and self._reader.transport is not None:
            self._reader.transport.abort()


class Bridge:
    """One of them; ends and begins its connection as the firmware does."""

    def __init__(self, fleet: Fleet, index: int, name: str):
        self._fleet, self._name = fleet, name
        self._base = f"daly/{name}"
        self._at = index % len(fleet.ports)
        self._link: Link | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._next = 0
        self._backoff = FIRST_S
        self._heard_at = 0.0
        self._is_ended = False
        self.is_online = False

    def begin(self) -> None:
        """Try to connect."""
        self._fleet.loop.create_task(self._connect())

    async def _connect(self) -> None:
        link = Link(self._heard, lambda: self._lost(link))
        self._link = link
        self._fleet.connects[int(self._fleet.loop.time())] += 1
        try:
            connection = self._fleet.loop.create_connection(lambda: link, "127.0.0.1", self._fleet.ports[self._at])
            await asyncio.wait_for(connection, CONNECT_S)
        except (OSError, TimeoutError):
            self._lost(link)
            return
        self._later(CONNECT_S, self._give_up)
        self._write(connect_packet(f"daly-{self._name}", self._name, self._fleet.passwords[self._name], self._base + "/status"))

    def _give_up(self) -> None:
        if not self.is_online:
            self._abort()

    def _heard(self, kind: int, _size: int, body: bytes) -> None:
        self._heard_at = self._fleet.loop.time()
        if kind == CONNACK:
            if body[1]:
                raise SystemExit(f"the broker refuses {self._name}: {body[1]}")
            self.is_online = True
            self._backoff = FIRST_S
            topics = [
                f"{self._base}{end}" for end in ("/diagnostics/set", "/scan/set", "/status", "/bms1/status", "/bms1/energy")
            ]
            self._write(subscribe_packet([(topic, 0) for topic in topics]))
            self._next = 0
            self._send()
            self._later(PING_S, self._ping)

    def _send(self) -> None:
        """Send the message that is due, and wait for the next one; each bridge is at another place of the repeated part."""
        messages = self._fleet.messages
        message = messages[self._next]
        packet = publish_packet(self._base + message.topic, message.payload, message.retain, message.qos)
        self._write(packet)
        self._fleet.sent += 1
        self._fleet.sent_bytes += len(packet)
        begun, self._next = message.at, self._next + 1
        if self._next == self._fleet.born:  # what comes after a connection is over: on at any place of the repeated part
            self._next = random.randrange(self._fleet.settled, len(messages))
            begun = messages[self._next].at - random.uniform(0, 10)
        elif self._next == len(messages):
            self._next = self._fleet.settled
            begun = messages[self._next].at - 1
        pause = messages[self._next].at - begun
        self._later(pause * random.uniform(0.9, 1.1), self._send)

    def _ping(self) -> None:
        if self._fleet.loop.time() - self._heard_at > SILENCE_S:
            self._abort()
            return
        self._write(PING)
        self._later(PING_S, self._ping)

    def _lost(self, link: Link) -> None:
        if link is not self._link or self._is_ended:
            return
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._link = None
        was_online, self.is_online = self.is_online, False
        self._fleet.failures += 1
        backoff = self._backoff
        if was_online:
            backoff = LOST_S if self._fleet.jitter else FIRST_S  # without jitter: as it was before, 1, 2, 4 s
        else:
            self._at = (self._at + 1) % len(self._fleet.ports)
            self._backoff = min(2 * self._backoff, LONGEST_S)
        self._fleet.loop.call_later(random.uniform(LEAST_S, backoff) if self._fleet.jitter else backoff, self.begin)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > self._fleet.loop.time()]
        self._timers.append(self._fleet.loop.call_later(seconds, what))

    def _write(self, data: bytes) -> None:
        if self._link is not None and self._link.transport is not None:
            self._link.transport.write(data)

    def _abort(self) -> None:
        if self._link is not None and self._link.transport is not None:
            self._link.transport.abort()

    def end(self) -> None:
        """Close it for good."""
        self._is_ended = True
        for timer in self._timers:
            timer.cancel()
        self._abort()


# --- what is measured ------------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """Of one broker with so many bridges; seconds to connect them, messages and kilobytes of them that come in a second, share
    of a processor, MB of memory, and the share of the messages that the reader has received."""

    broker: str
    bridges: int
    connected_s: float
    messages: float
    kilobytes: float
    processor: float
    memory: float
    delivered: float


class Back(NamedTuple):
    """Seconds from the broker's new start (or the node's death) until 99 % were online, failed attempts for each bridge, the
    most attempts of all in one second, and share of a processor meanwhile."""

    broker: str
    bridges: int
    what: str
    seconds: float | None
    attempts: float
    peak: int
    processor: float


def processor_of(pids: list[int]) -> float:
    """User and system seconds of processes, those that are gone not counted."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def memory_of(pids: list[int]) -> float:
    """Resident MB of processes."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total / 1024


async def until(fleet: Fleet, share: float, limit_s: float) -> float | None:
    """Seconds until so many are online; None: not within `limit_s`."""
    begun = time.monotonic()
    while fleet.online < share * len(fleet.bridges):
        if time.monotonic() - begun > limit_s:
            return None
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


class OneBroker:
    """mosquitto with the users and the access list of deploy/one-machine."""

    name = "mosquitto"

    def __init__(self, folder: Path, passwords: dict[str, str]):
        for name, text in (("users", fleet.mosquitto_users(passwords)), ("acl", fleet.ACCESS.read_text())):
            fleet.write(folder / name, text.encode())
        lines = [f"password_file {folder}/users", f"acl_file {folder}/acl", "max_queued_messages 100"]
        self._mosquitto = Mosquitto(folder, lines=lines, persistent=True, anonymous=False)
        self.ports = [self._mosquitto.port]

    @property
    def pids(self) -> list[int]:
        return [self._mosquitto.pid]

    def kill(self) -> None:
        self._mosquitto.kill()

    def start(self) -> None:
        self._mosquitto.start()

    def stop(self) -> None:
        self._mosquitto.kill()


class ThreeNodes:
    """Three NATS nodes with deploy/cluster/nats.conf, without TLS."""

    name = "three NATS nodes"

    def __init__(self, folder: Path, passwords: dict[str, str]):
        bridges = {name: word for name, word in passwords.items() if name != "telegraf"}
        users = fleet.nats_users(bridges, {"telegraf": passwords["telegraf"], "installer": "installer"})
        self._cluster = Cluster(folder, users, plain=True)
        self.ports = [node.port for node in self._cluster.nodes]

    @property
    def pids(self) -> list[int]:
        return [node.pid for node in self._cluster.nodes if node.is_running]

    def kill(self) -> None:
        """One node; the reader is at the last one."""
        self._cluster.nodes[0].kill()

    def start(self) -> None:
        self._cluster.nodes[0].start()

    def stop(self) -> None:
        self._cluster.stop()


async def measure(
    broker, number: int, messages: list[Message], passwords: dict[str, str], outages: bool
) -> tuple[Cost, list[Back]]:
    """Connect so many, let them be for a while, and with `outages` let the broker die."""
    bridges = Fleet(number, broker.ports, messages, passwords)
    backs = []
    await bridges.read()
    begun = time.monotonic()
    await bridges.begin(per_second=400)
    if await until(bridges, 1, BACK_LIMIT_S) is None:
        raise RuntimeError(f"only {bridges.online} of {number} could connect")
    connected_s = time.monotonic() - begun
    await asyncio.sleep(10)
    before = (time.monotonic(), processor_of(broker.pids), bridges.sent, bridges.sent_bytes, bridges.received)
    await asyncio.sleep(STEADY_S)
    after = (time.monotonic(), processor_of(broker.pids), bridges.sent, bridges.sent_bytes, bridges.received)
    took, processor, sent, size, received = (b - a for a, b in zip(before, after, strict=True))
    visible = sum(message.topic.endswith(("state", "status")) for message in messages if message.at > SETTLED_S)
    visible /= sum(message.at > SETTLED_S for message in messages)
    cost = Cost(
        broker.name,
        number,
        connected_s,
        sent / took,
        size / took / 1000,
        processor / took,
        memory_of(broker.pids),
        min(1.0, received / max(1, sent * visible)),
    )
    print(json.dumps(cost._asdict()), flush=True)
    if outages:
        whats = ("one node killed",) if len(broker.ports) > 1 else ("restarted, random pauses", "restarted, pauses in step")
        for what in whats:
            bridges.jitter = "in step" not in what
            backs.append(await _outage(broker, bridges, what))
    bridges.end()
    await asyncio.sleep(1)
    return cost, backs


async def _outage(broker, bridges: Fleet, what: str) -> Back:
    bridges.failures = 0
    bridges.connects.clear()
    broker.kill()
    if len(broker.ports) == 1:
        await asyncio.sleep(DOWN_S)
        await asyncio.get_running_loop().run_in_executor(None, broker.start)
    begun, used = time.monotonic(), processor_of(broker.pids)
    while bridges.online == len(bridges.bridges) and time.monotonic() < begun + 5:
        await asyncio.sleep(0.001)  # until the ends of the connections have been heard
    seconds = await until(bridges, 0.99, BACK_LIMIT_S)
    took = time.monotonic() - begun
    seconds = None if seconds is None else took
    processor = (processor_of(broker.pids) - used) / took
    if len(broker.ports) == 1:
        await bridges.read()
    attempts = bridges.failures / len(bridges.bridges)
    await asyncio.sleep(8)
    return Back(
        broker.name, len(bridges.bridges), what, seconds, attempts, max(bridges.connects.values(), default=0), processor
    )


# --- the page --------------------------------------------------------------------------------------------------------


def table(costs: list[Cost], backs: list[Back]) -> str:
    """The two tables, for docs/FLEET.md."""
    heads = ["Broker", "Bridges", "Messages a second", "KB a second", "Processors", "Processors per 1,000", "Memory, MB"]
    lines = ["| " + " | ".join([*heads, "KB per bridge", "Delivered"]) + " |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for c in costs:
        per = f"{1000 * c.processor / c.bridges:.3f}"
        memory = f"{1024 * c.memory / c.bridges:.0f}"
        row = [
            c.broker,
            f"{c.bridges:,}",
            f"{c.messages:,.0f}",
            f"{c.kilobytes:,.0f}",
            f"{c.processor:.2f}",
            per,
            f"{c.memory:,.0f}",
        ]
        lines.append("| " + " | ".join([*row, memory, f"{100 * c.delivered:.1f} %"]) + " |")
    heads = ["Broker", "Bridges", "What", "99 % online again after", "Failed attempts per bridge", "Most attempts in a second"]
    lines += ["", "| " + " | ".join([*heads, "Processors meanwhile"]) + " |", "|---|---|---|---|---|---|---|"]
    for b in backs:
        seconds = f"not within {BACK_LIMIT_S} s" if b.seconds is None else f"{b.seconds:.1f} s"
        lines.append(
            f"| {b.broker} | {b.bridges:,} | {b.what} | {seconds} | {b.attempts:.1f} | {b.peak:,} | {b.processor:.2f} |"
        )
    return "\n".join(lines) + "\n"


COLOURS = {"mosquitto": "#0b7285", "three NATS nodes": "#e8590c"}


def plot(costs: list[Cost]) -> str:
    """An SVG: processors used, and memory, against the number of bridges."""
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 300" font-family="sans-serif" font-size="12">']
    parts.append('<rect width="760" height="300" fill="white"/>')
    most = max(cost.bridges for cost in costs)
    for left, title, of in ((60, "processors", lambda c: c.processor), (430, "memory, MB", lambda c: c.memory)):
        top = max(of(cost) for cost in costs) or 1
        parts.append(f'<text x="{left}" y="24" font-weight="bold">{title}, by number of bridges</text>')
        parts.append(f'<path d="M{left} 40V250H{left + 300}" fill="none" stroke="#495057"/>')
        for share in (0.5, 1):
            y = 250 - 200 * share
            parts.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{_short(top * share)}</text>')
            parts.append(f'<path d="M{left} {y:.0f}h300" stroke="#dee2e6"/>')
            parts.append(f'<text x="{left + 290 * share:.0f}" y="268" text-anchor="middle">{most * share:,.0f}</text>')
        for name, colour in COLOURS.items():
            points = [(left + 290 * c.bridges / most, 250 - 200 * of(c) / top) for c in costs if c.broker == name]
            if points:
                path = "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)
                parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
                parts += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"/>' for x, y in points]
    for index, (name, colour) in enumerate(COLOURS.items()):
        parts.append(f'<rect x="{60 + 160 * index}" y="280" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{75 + 160 * index}" y="289">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _write(text: str) -> None:
    """Replace what is between the marks of docs/FLEET.md."""
    begin, end = "<!-- made: fleet load -->\n", "<!-- end: fleet load -->"
    head, _, rest = DOCUMENT.read_text().partition(begin)
    DOCUMENT.write_text(head + begin + text + end + rest.partition(end)[2])


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m campaigns.fleet_load", description=__doc__.splitlines()[0])
    parser.add_argument("--bridges", default=",".join(map(str, SIZES)), metavar="N,N", help="how many, one after the other")
    parser.add_argument("--broker", choices=("mosquitto", "nats", "both"), default="both")
    parser.add_argument("--no-outages", action="store_true", help="only what it costs while nothing is wrong")
    parser.add_argument("--nats-most", type=int, default=5000, metavar="N", help="bridges at the nodes at most (default: 5000)")
    parser.add_argument("--write", action="store_true", help="write the tables and the plot into docs/")
    options = parser.parse_args()
    sizes = [int(number) for number in options.bridges.split(",")]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    messages = record()
    costs, backs = [], []
    for kind in (OneBroker, ThreeNodes):
        if kind is OneBroker and (options.broker == "nats" or PROGRAM is None):
            continue
        if kind is ThreeNodes and (options.broker == "mosquitto" or nats.PROGRAM is None):
            continue
        for number in [number for number in sizes if kind is OneBroker or number <= options.nats_most]:
            passwords = {f"b{index:05}": f"password-{index}" for index in range(number)} | {"telegraf": "t"}
            with tempfile.TemporaryDirectory() as folder:
                broker = kind(Path(folder), passwords)
                try:
                    cost, its = asyncio.run(measure(broker, number, messages, passwords, not options.no_outages))
                except RuntimeError as error:
                    print(f"{broker.name}, {number}: {error}", file=sys.stderr)
                    continue
                finally:
                    broker.stop()
            costs.append(cost)
            backs += its
            print(json.dumps([back._asdict() for back in its]), flush=True)
    text = table(costs, backs)
    print(text)
    if options.write:
        where = (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, shared with the load and with other work"
        )
        _write(f"{text}\nMeasured on {where}; load average {os.getloadavg()[0]:.1f} at the end.\n")
        PLOT.write_text(plot(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
