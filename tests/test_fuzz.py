# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Whatever arrives from the broker: no crash, no write to the BMS without its exact words and permission, bounded memory.

`make fuzz` sends a million messages, `make test` some thousands. What may be carried out is said once more here, on its own.
"""

import contextlib
import gc
import io
import os
import random
import re
import sys
import tracemalloc
from types import SimpleNamespace

import microcontroller
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mqtt_packets import OwnPool, packet
from simulation import Wire, only

from app.commands import make_commands
from app.settings import Settings
from battery.controls import CONTROL
from daly.commands import BatteryCommands
from mqtt import client as client_module
from mqtt import transport as wire_module
from mqtt.client import INBOX_SIZE, MqttClient
from mqtt.commands import Commands

MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "4000"))
READS = {*range(0x90, 0x99), 0x9A, 0x50, 0x52, 0x53, 0x57, *range(0x59, 0x60), 0x62, 0x63}
BASE = "t"
PERCENT = re.compile(rb"(\d|\d\d|100)(\.\d)?|0\d\d(\.\d)?")
# topic -> name in ALLOW_CONTROL, what is understood, command and first payload bytes on the wire (None: nothing is written)
SWITCHES = {b"ON": b"\1", b"OFF": b"\0"}
ORDERS = {
    "t/bms1/charge_mosfet/set": ("charge_mosfet", 0xDA),
    "t/bms1/discharge_mosfet/set": ("discharge_mosfet", 0xD9),
    "t/bms1/soc/set": ("soc", 0x21),
    "t/bms1/restart/set": ("restart_bms", 0x00),
    "t/restart/set": ("restart_bridge", None),
    "t/diagnostics/set": (None, None),
    "homeassistant/status": (None, None),
}


def wanted(topic, payload, retained, allowed):
    """The command and payload that this message may make the bridge write, or None."""
    name, command = ORDERS.get(topic, (None, None))
    if retained or command is None or name not in allowed:
        return None
    if command == 0x21:
        if not PERCENT.fullmatch(payload) or float(payload) > 100:
            return None
        tenths = round(10 * float(payload))
        return command, bytes([26, 11, 22, 10, 30, 5, tenths >> 8, tenths & 0xFF])
    if command == 0x00:
        return (command, bytes(8)) if payload == b"PRESS" else None
    return (command, SWITCHES[payload] + bytes(7)) if payload in SWITCHES else None


# messages: words that mean something, spoilt in every way, and noise

WORDS = (
    b"ON OFF PRESS online offline 0 57.3 100 100.0 100.1 101 999.9 057 5.55 -1 +5 1e1 0x10 NaN True 1 .5 5. 1_0 on On".split()
)
WORDS += [b"", b" ", b"\0", b"__import__('os')", b"{{7*7}}", b'{"state":"ON"}', b"$(reboot)", "٣".encode(), b"ON\xe2\x80\x8b"]
TOPICS = [
    *ORDERS,
    *["t", "t/", "t/bms1/charge_mosfet", "t/bms1/charge_mosfet/set/", "T/bms1/charge_mosfet/set", "t/bms1/+/set", "t/#", "#"],
]
TOPICS += [*["$SYS/t", "t/bms2/charge_mosfet/set", "t/state", "t/bms1/energy"], "", "\0", "ü" * 60, "x" * 900]
SPOILT = [
    lambda dice, word: word + dice.choice([b" ", b"\0", b"\n", b"\xff", b"N", word]),
    lambda dice, word: dice.choice([b" ", b"\0", b"\xef\xbb\xbf", b"'", b'"']) + word,
    lambda dice, word: word[:-1],
    lambda dice, word: word.swapcase(),
    lambda dice, word: bytes(byte ^ (1 << dice.randrange(8)) for byte in word[:1]) + word[1:],
    lambda dice, word: dice.randbytes(dice.choice([1, 2, 5, 31, 32, 33, 100, 2000])),
    lambda dice, word: word * dice.choice([2, 20, 500]),
    lambda dice, word: b"%d.%d" % (dice.randrange(-10, 1000), dice.randrange(100)),
]


def message(dice):
    """(topic, payload, retained); one in a hundred means something, unspoilt and not retained."""
    topic, word = dice.choice(TOPICS), dice.choice(WORDS)
    if dice.random() < 0.02:
        return dice.choice(list(ORDERS)), dice.choice(WORDS[:8]), dice.random() < 0.5
    if dice.random() < 0.6:
        word = dice.choice(SPOILT)(dice, word)
    return topic, word, dice.random() < 0.3


class CapturedOutput(io.TextIOBase):
    """What is printed: short, printable lines, whatever arrives; nothing is kept."""

    lines = 0

    def write(self, text):
        assert len(text) < 300 and text.isascii() and text.replace("\n", "").isprintable()
        self.lines += text.count("\n")
        return len(text)


class Bridge:
    """The real commands, orders, control and poller on a simulated BMS; `written` is all it was told that is no question."""

    def __init__(self, allowed):
        self.wire = Wire("drift=0,soc=57.3,current=-20")
        self.written, self.reports = [], 0
        hear = self.wire.bms.receive
        self.wire.bms.receive = lambda data, us: (self._note(data), hear(data, us))[1]
        publisher = SimpleNamespace(report=self._report, rediscover=lambda now, delay: None, publish=lambda *message: None)
        self.control = BatteryCommands(self.wire.poller, lambda subject, code: self._report(subject + code))
        support = SimpleNamespace(request=lambda publish, now: None)
        clock = SimpleNamespace(now=lambda: (2026, 11, 22, 10, 30, 5))
        parsed = Settings(f'MQTT_BROKER = "b"\nALLOW_CONTROL = "{" ".join(allowed)}"')
        parsed.base_topic = BASE
        batteries = only(self.wire.pack, self.wire.poller)
        stores = SimpleNamespace(save=lambda: None, stores=[SimpleNamespace(change=lambda word: "counters_unknown")])
        self.commands = make_commands(
            parsed, publisher, support, lambda now, publish: None, batteries, [self.control], clock, stores
        )
        self.run(4)

    def run(self, seconds):
        self.wire.run(seconds, lambda wire: self.control.tick(wire.now))

    def _note(self, data):
        if data[2] not in READS:
            self.written.append((data[2], bytes(data[4:12])))

    def _report(self, text, _battery=None):
        assert len(text) < 300 and text.isprintable()
        self.reports += 1


@pytest.mark.parametrize(
    ("allowed", "share"),
    [((), 0.1), (tuple(CONTROL), 0.7), (("charge_mosfet",), 0.1), (("soc", "restart_bridge"), 0.1)],
    ids=["nothing", "everything", "charge", "soc"],
)
@pytest.mark.timeout(7200)
def test_nothing_is_written_but_exact_orders_that_are_allowed(monkeypatch, allowed, share):
    resets = []
    monkeypatch.setattr(microcontroller, "reset", lambda: resets.append(1))
    bridge, dice, output = Bridge(allowed), random.Random(f"{allowed}"), CapturedOutput()
    count = int(MESSAGES * share)
    restarts = orders = blocks = 0
    with contextlib.redirect_stdout(output):
        for number in range(count):
            topic, payload, retained = message(dice)
            order = wanted(topic, payload, retained, allowed)
            reports = bridge.reports
            bridge.commands.execute(topic, payload, retained, bridge.wire.now)
            restarts += (topic, payload, retained) == ("t/restart/set", b"PRESS", False) and "restart_bridge" in allowed
            if order is not None or number % 1000 == 999:
                bridge.run(dice.choice([0.3, 1, 3]))
            assert bridge.written in ([], [order]), (topic, payload, retained)
            assert bridge.written or order is None or bridge.reports > reports, "neither written nor refused"
            assert len(resets) == restarts
            orders += len(bridge.written)
            bridge.written.clear()
            bridge.wire.requests.clear()
            bridge.wire.bms.writes.clear()
            if number == count // 2:
                gc.collect()
                blocks = sys.getallocatedblocks()
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 1000
    assert output.lines > count / 2
    assert (orders > 5 and restarts) if allowed == tuple(CONTROL) else (allowed or not orders)
    print(f"{count} messages, {orders} orders written, {restarts} restarts")


# the same on the wire: packets, whole, cut, too large, and noise


class Broker(OwnPool):
    """A broker and its socket in one: answers what a client must be answered, and sends what was put into `arriving`."""

    def __init__(self):
        self.arriving = b""
        self.connections = 0
        self._sent = b""

    def connect(self, _):
        self.connections += 1
        self.arriving = self._sent = b""

    def close(self):
        pass

    def send(self, data):
        self._sent += bytes(data)
        while len(self._sent) > 1 and len(self._sent) >= 2 + self._sent[1]:  # what a client says here is short
            said, self._sent = self._sent[: 2 + self._sent[1]], self._sent[2 + self._sent[1] :]
            self.arriving += self._answer(said)
        return len(data)

    def _answer(self, said):
        kind = said[0] & 0xF0
        if kind == 0x80:  # SUBSCRIBE: an answer for each topic
            at, topics = 4, 0
            while at < len(said):
                at += 3 + (said[at] << 8 | said[at + 1])
                topics += 1
            return bytes([0x90, 2 + topics]) + said[2:4] + bytes(topics)
        if said[0] & 0xF6 == 0x32:  # PUBLISH with QoS 1: the packet's number is behind the topic
            at = 4 + said[3]
            return b"\x40\x02" + said[at : at + 2]
        return {0x10: b"\x20\x02\0\0", 0xC0: b"\xd0\0"}.get(kind, b"")

    def recv_into(self, buffer, size):
        if not self.arriving:
            raise OSError(11, "nothing")
        piece, self.arriving = self.arriving[:size], self.arriving[size:]
        buffer[: len(piece)] = piece
        return len(piece)


def publish(topic, payload, first=0x30):
    topic = topic.encode()
    return packet(first, len(topic).to_bytes(2, "big") + topic + payload)


PUBLISHED = st.tuples(
    st.sampled_from([*list(ORDERS)[:3], *TOPICS]),
    st.one_of(st.sampled_from(WORDS), st.binary(max_size=50), st.integers(900, 300_000).map(lambda n: b"x" * n)),
    st.booleans(),
)
PIECES = st.one_of(
    PUBLISHED.map(lambda m: (publish(m[0], m[1], 0x31 if m[2] else 0x30), m)),
    st.binary(max_size=60).map(lambda noise: (noise, None)),
    st.tuples(st.integers(0, 255), st.binary(max_size=20)).map(lambda p: (packet(*p), None)),
    PUBLISHED.map(lambda m: (publish(m[0], m[1][:60])[:-1], None)),  # cut
    st.just((b"\x30\xff\xff\xff\x7f\0\1t", None)),  # 256 MB are announced
    st.just((b"\x30\xff\xff\xff\xff\x01", None)),  # a length that is none
)


class Clock:
    """Time that passes by sleeping, and a little with every look at it."""

    def __init__(self):
        self.ms = 2**29 - 5000

    def ticks_ms(self):
        self.ms += 0.01
        return int(self.ms) % 2**29

    def sleep(self, seconds):
        self.ms += 1000 * seconds


class Link:
    """A real MqttClient with the real MiniMQTT on a Broker; `done` is what was carried out."""

    def __init__(self, clock):
        self.done = []
        self.outgoing = []
        self.clock = clock
        self.commands = Commands()
        for topic in list(ORDERS)[:3]:
            self.commands.add(topic, ("ON", "OFF"), lambda word, now, topic=topic: self.done.append((topic, word.encode())))
        self.broker = Broker()
        parsed = Settings('MQTT_BROKER = "10.0.0.1"')
        parsed.base_topic = BASE
        radio = SimpleNamespace(connected=True, ipv4_address="10.0.0.2", enabled=True, connect=lambda *a, **k: None)
        poll = lambda now: self.outgoing.pop(0) if self.outgoing else None  # noqa: E731
        news = {"poll": poll, "has_news": lambda: bool(self.outgoing), "is_loading": lambda: False}
        speaker = SimpleNamespace(begin=lambda now: None, status_received=lambda *_: None, **news)
        keeper = SimpleNamespace(loaded=True, topics=(), report_gone=lambda: None, finish=lambda: None)
        self.session = MqttClient(parsed, radio, self.broker, speaker, self.commands, keeper, "fuzz")
        self.most_waiting = 0
        self.connect()

    def tick(self):
        self.clock.ms += 20
        self.session.tick(self.clock.ticks_ms())
        self.most_waiting = max(self.most_waiting, len(self.session._inbox))

    def connect(self):
        for _ in range(5000):
            if self.session.connected:
                return
            self.tick()
        raise AssertionError(f"never connected again: {self.session.trouble}")


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (client_module, wire_module):
        monkeypatch.setattr(module, "ticks_ms", clock.ticks_ms)
    monkeypatch.setattr(wire_module, "time", SimpleNamespace(sleep=clock.sleep))
    return clock


@settings(max_examples=max(60, MESSAGES // 50), suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, min_size=1, max_size=12))
@pytest.mark.timeout(7200)
def test_whatever_comes_over_the_wire_only_whole_exact_messages_are_carried_out(clock, pieces):
    link = Link(clock)
    with contextlib.redirect_stdout(CapturedOutput()):
        for data, _ in pieces:
            link.broker.arriving += data
        for _ in range(60 + sum(len(data) for data, _ in pieces) // 1000):
            link.tick()
        link.connect()  # whatever it was, it comes back
    said = [(topic, payload) for _, told in pieces if told for topic, payload, retained in [told] if not retained]
    rest = list(said)
    for done in link.done:  # in order, each once
        assert done in rest, done
        rest = rest[rest.index(done) + 1 :]
    if all(told and len(told[0]) + len(told[1]) < 1000 for _, told in pieces) and len(pieces) <= INBOX_SIZE:
        assert link.done == [told for told in said if told[0] in list(ORDERS)[:3] and told[1] in (b"ON", b"OFF")]
    assert link.most_waiting <= INBOX_SIZE


def test_messages_for_which_there_is_no_room_are_counted_in_a_sentence(clock, capsys):
    """Each tick executes one, and all that has arrived is stored at once."""
    link = Link(clock)
    link.broker.arriving += 12 * publish("t/bms1/charge_mosfet/set", b"ON")
    link.outgoing.append(("t/state", b"x", False, 1))
    for _ in range(60):
        link.tick()
    dropped = 12 - len(link.done)
    assert dropped >= 3 and link.broker.connections == 1
    assert capsys.readouterr().out.count(f"MQTT: {dropped} messages were dropped") == 1


def test_a_flood_of_large_packets_takes_no_memory(clock):
    link = Link(clock)
    one = publish("t/restart/set", b"x" * 100_000)
    gc.collect()
    tracemalloc.start()
    with contextlib.redirect_stdout(CapturedOutput()):
        for _ in range(20):
            link.broker.arriving = one  # counted as the broker's, not ours
            begun = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            while link.broker.arriving:
                link.tick()
                assert tracemalloc.get_traced_memory()[1] - begun < 250_000
                tracemalloc.reset_peak()
    tracemalloc.stop()
    assert link.session.connected and link.broker.connections == 1
