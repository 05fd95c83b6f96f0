# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Messages in pieces: what one call of MqttClient.tick costs at most, and that what is sent stays whole whatever happens.

The cost is counted in CPython's opcodes, which are close to the board's bytecodes.
Simulated BMS, real Poller, Publisher, Discovery and MqttClient with MiniMQTT; the broker is a socket in memory. Counted is what
runs in mqtt/ and battery/, as much of it is the firmware's own.
"""

import errno
import json
import sys
from types import SimpleNamespace

import pytest
from mqtt_packets import OwnPool
from simulation import Wire, only

from app.settings import Settings
from mqtt import client as client_module
from mqtt import transport
from mqtt.bridge_entities import BRIDGE
from mqtt.client import MqttClient
from mqtt.commands import Commands
from mqtt.homeassistant import Discovery
from mqtt.publisher import Publisher

# opcodes of one tick, by cells, which are taken over all at once: when they become known, and later
LONGEST = {4: 8500, 16: 10000, 48: 16500}
LONGEST_LATER = {4: 4000, 16: 6000, 48: 12000}
IDLE = 60  # of one that has nothing to do


class Broker(OwnPool):
    """A broker, its socket and the radio in one. `packets` are (first byte, body) of all it has received."""

    ipv4_address = connected = "10.0.0.1"

    def __init__(self):
        self.packets = []
        self.room = None  # bytes that a send takes, and only every second one; None: all
        self.acknowledges = True
        self.broken = False
        self.connections = 0
        self._takes = False
        self._heard = b""
        self._answers = b""

    def connect(self, _):
        self._heard = self._answers = b""
        self.connections += 1

    def close(self):
        pass

    def send(self, data):
        if self.room is not None:
            self._takes = not self._takes
            if not self._takes:
                raise OSError(errno.EAGAIN, "")
            data = data[: self.room]
        if self.broken:
            raise OSError(errno.ECONNRESET, "")
        self._heard += bytes(data)
        while len(self._heard) > 1:
            length, at = 0, 1
            while True:
                length |= (self._heard[at] & 0x7F) << 7 * (at - 1)
                at += 1
                if not self._heard[at - 1] & 0x80:
                    break
            if len(self._heard) < at + length:
                break
            self._hear(self._heard[0], self._heard[at : at + length])
            self._heard = self._heard[at + length :]
        return len(data)

    @property
    def is_in_the_middle(self):
        return len(self._heard) > 40

    def published(self):
        """(topic, payload) of every PUBLISH."""
        found = []
        for first, body in self.packets:
            if first & 0xF0 == 0x30:
                size = body[0] << 8 | body[1]
                found.append((body[2 : 2 + size].decode(), body[2 + size + (2 if first & 6 else 0) :]))
        return found

    def _hear(self, first, body):
        self.packets.append((first, body))
        if first == 0x10:
            self._answers += b"\x20\x02\0\0"
        elif first == 0x82:
            self._answers += bytes([0x90, 3]) + body[:2] + b"\0"
        elif first & 0xF6 == 0x32 and self.acknowledges:
            topic = body[0] << 8 | body[1]
            self._answers += b"\x40\x02" + body[2 + topic : 4 + topic]
        elif first == 0xC0:
            self._answers += b"\xd0\0"

    def recv_into(self, buffer, size):
        if not self._answers:
            raise OSError(errno.EAGAIN, "")
        count = min(size, len(self._answers))
        buffer[:count] = self._answers[:count]
        self._answers = self._answers[count:]
        return count


class Store:
    loaded = True
    topics = ()

    def report_gone(self):
        pass

    def finish(self):
        pass


class Opcodes:
    """Counts the opcodes of our own files within `with`."""

    def __init__(self):
        self.count = 0

    def __enter__(self):
        self.count = 0
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _call(self, frame, _event, _argument):
        name = frame.f_code.co_filename
        if "/mqtt/" not in name and "/battery/" not in name and "adafruit_ticks" not in name:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, _frame, event, _argument):
        self.count += event == "opcode"
        return self._step


class Bridge:
    """A whole one. `ticks`: the opcodes of every tick since the session began, with the topic that was begun in it."""

    def __init__(self, monkeypatch, options, **more):
        self.wire = Wire(options)
        monkeypatch.setattr(client_module, "ticks_ms", lambda: self.wire.now)
        monkeypatch.setattr(transport, "time", SimpleNamespace(sleep=self._sleep))
        monkeypatch.setattr(transport, "ticks_ms", lambda: self.wire.now)
        # the longest pause there can be, always
        monkeypatch.setattr(client_module, "random", SimpleNamespace(randrange=lambda _low, end: end - 1))
        settings = Settings('MQTT_BROKER = "10.0.0.1"')
        settings.base_topic = "daly/x"
        pack = self.wire.pack
        batteries = only(pack, self.wire.poller)
        discovery = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1.2.3", has_bridge=True)
        pairs = [(row.key, 123456) for row in BRIDGE]
        self.publisher = Publisher("daly/x", discovery, batteries, lambda now: pairs, 2000, **more)
        commands = Commands()
        commands.add("daly/x/do", ("ON",), None)
        self.broker = Broker()
        self.client = MqttClient(settings, self.broker, self.broker, self.publisher, commands, Store(), "x")
        self.ticks = []
        self._opcodes = Opcodes()

    def run(self, seconds, counted=True):
        self.wire.run(seconds, self._tick if counted else lambda wire: self.client.tick(wire.now))
        return self

    def _sleep(self, seconds):
        self.wire.us += 1e6 * seconds

    def _tick(self, wire):
        was_connected = self.client.connected
        with self._opcodes:
            self.client.tick(wire.now)
        if was_connected:
            self.ticks.append(self._opcodes.count)


@pytest.mark.parametrize("cells", [4, 16, 48])
def test_no_tick_is_long(monkeypatch, cells):
    bridge = Bridge(monkeypatch, f"cells={cells}").run(15)
    topics = {body[2 : 2 + (body[0] << 8 | body[1])] for first, body in bridge.broker.packets if first & 0xF0 == 0x30}
    assert {b"daly/x/bms1/state", b"daly/x/state", b"homeassistant/device/daly_c0ffee_bms1_cells/config"} <= topics
    assert max(bridge.ticks) <= LONGEST[cells], sorted(bridge.ticks)[-20:]
    bridge.ticks.clear()
    bridge.run(12)
    assert max(bridge.ticks) <= LONGEST_LATER[cells], sorted(bridge.ticks)[-20:]


def test_a_tick_without_anything_to_do_is_a_comparison(monkeypatch):
    bridge = Bridge(monkeypatch, "cells=16,drift=0").run(15, counted=False)
    bridge.run(2)
    bridge.ticks.sort()
    assert bridge.ticks[len(bridge.ticks) // 2] <= IDLE


KINDS = {0x10, 0x30, 0x31, 0x32, 0x33, 0x82, 0xC0}


@pytest.mark.parametrize("room", [1000, 100, 13])
def test_nothing_is_sent_in_the_middle_of_a_message_however_long_it_takes(monkeypatch, room):
    bridge = Bridge(monkeypatch, "cells=16").run(3, counted=False)
    bridge.broker.room = room
    monkeypatch.setattr(client_module, "PING_INTERVAL_MS", 60)
    bridge.run(20, counted=False)
    assert bridge.client.connected and bridge.broker.connections == 1
    assert {first for first, _ in bridge.broker.packets} == KINDS - {0x30} | {0x30}
    assert len([first for first, _ in bridge.broker.packets if first == 0xC0]) > 10
    for topic, payload in bridge.broker.published():
        if topic.endswith(("/state", "/config", "/energy")):
            json.loads(payload)


def test_without_its_puback_nothing_follows_a_message_and_the_connection_ends_in_two_seconds(monkeypatch):
    bridge = Bridge(monkeypatch, "cells=4").run(15, counted=False)
    bridge.broker.acknowledges = False
    bridge.publisher.report("done")
    bridge.run(1, counted=False)
    count = len(bridge.broker.published())
    assert bridge.broker.published()[-1] == ("daly/x/bms1/command_result", b"done")
    bridge.publisher.publish("/more", b"1", qos=0)
    bridge.run(0.8, counted=False)
    assert len(bridge.broker.published()) == count and bridge.client.connected
    bridge.run(1, counted=False)
    assert not bridge.client.connected and bridge.client.trouble[0] == "no_answer"


def test_a_puback_that_comes_late_is_waited_for(monkeypatch):
    bridge = Bridge(monkeypatch, "cells=4").run(15, counted=False)
    bridge.broker.acknowledges = False
    bridge.publisher.report("done")
    bridge.run(1.5, counted=False)
    count = len(bridge.broker.published())
    bridge.broker.acknowledges = True
    _, body = bridge.broker.packets[-1] if bridge.broker.packets[-1][0] == 0x32 else bridge.broker.packets[-2]
    bridge.broker._hear(0x32, body)
    bridge.run(5, counted=False)
    assert bridge.client.connected and bridge.broker.connections == 1 and len(bridge.broker.published()) > count


def test_a_connection_that_ends_in_the_middle_of_a_message_is_followed_by_one_with_whole_messages(monkeypatch):
    bridge = Bridge(monkeypatch, "cells=16").run(3, counted=False)
    for _ in range(4):
        bridge.broker.room = 50
        while not bridge.broker.is_in_the_middle:
            bridge.run(0.001, counted=False)
        bridge.broker.broken = True
        bridge.run(0.05, counted=False)  # a tick may be 20 ms away
        assert not bridge.client.connected
        bridge.broker.broken, bridge.broker.room = False, None
        bridge.broker.packets.clear()
        bridge.run(40, counted=False)  # the fourth pause has up to 32 s
        assert bridge.client.connected and {first for first, _ in bridge.broker.packets} <= KINDS | {0x31}
        said = dict(bridge.broker.published())
        assert json.loads(said["daly/x/bms1/state"])["cell_16_voltage"] and json.loads(said["daly/x/state"])


def test_a_loop_that_stood_still_in_the_middle_of_a_message_goes_on_with_it(monkeypatch):
    bridge = Bridge(monkeypatch, "cells=16").run(25, counted=False)
    bridge.publisher.publish("/diagnostics", b"x" * 8000, qos=0)
    while not bridge.broker.is_in_the_middle:
        bridge.run(0.001, counted=False)
    bridge._sleep(2.5)
    bridge.run(1, counted=False)
    assert bridge.broker.connections == 1 and any(topic.endswith("diagnostics") for topic, _ in bridge.broker.published())
