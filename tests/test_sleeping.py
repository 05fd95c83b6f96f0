# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a bridge that sleeps has published when it sleeps, judged by its messages; what its client has cleared."""

import json

import pytest
from simulation import Wire

from battery.json import LARGEST, Writer
from battery.pack import Battery
from battery.sources import number
from mqtt.publisher import LoadedDiscovery
from mqtt.sleeping import SleepingPublisher

pytestmark = pytest.mark.usefixtures("modules_stay")


class Wake:
    """Batteries, sources and their publisher, from the connection on; `heard`: (ms, topic, payload) of everything.

    A message is on its way for `message_ms`, in which the publisher is not asked.
    """

    def __init__(self, *options, sources=(), each_value=False, announces=False, message_ms=20):
        self.wires = [Wire(one + ",drift=0,current=0") for one in options]
        self.batteries = [
            Battery(number, f"bms{number}", f"Daly BMS {number}", "", wire.pack, wire.poller)
            for number, wire in enumerate(self.wires, 1)
        ]
        names = ("homeassistant", "t", "c0ffee", "Daly BMS", self.batteries, "1.2.3", (), "", True, 1170)
        discovery = LoadedDiscovery(Writer(LARGEST), *names, sources=sources)
        arguments = (5000, 30000, 100, each_value, False, None, False, sources)
        self.publisher = SleepingPublisher("t", discovery, self.batteries, lambda now: (("uptime", 7),), *arguments)
        if not announces:
            self.publisher.omit_discovery()
        self.heard = []
        self._message_ms = message_ms
        self._free_at = 0

    def step(self):
        """A millisecond. The publisher comes first: that a message has been delivered is seen before it is asked again."""
        now = self.wires[0].now
        message = self.publisher.poll(now) if self.is_delivered else None
        if message is not None:
            topic, payload, _, _ = message
            payload = payload if isinstance(payload, str) else bytes(payload if isinstance(payload, bytes) else payload.bytes())
            self.heard.append((now, topic, payload if isinstance(payload, str) else payload.decode()))
            self._free_at = now + self._message_ms
        for wire in self.wires:
            wire.step()

    def connect_when(self, is_time, limit_s=40):
        """Let time pass on the lines only, until `is_time()`, then begin the connection."""
        for _ in range(1000 * limit_s):
            if is_time():
                break
            for wire in self.wires:
                wire.step()
        self.publisher.begin(self.wires[0].now)
        return self

    def until_current(self, limit_s=40):
        """Let time pass until all has been published, looked at as soon as a message has been delivered, as the chip may."""
        for _ in range(1000 * limit_s):
            if self.is_delivered and self.publisher.is_current():
                return self
            self.step()
        raise AssertionError("it never is")

    @property
    def is_delivered(self):
        return self.wires[0].now >= self._free_at

    def last(self, topic):
        """The latest payload there."""
        return [payload for _, where, payload in self.heard if where == topic][-1]

    def topics(self):
        return [topic for _, topic, _ in self.heard]


def complete(wake):
    return lambda: all(battery.poller.complete and battery.poller.static_done for battery in wake.batteries)


def test_the_bank_is_the_sum_of_all_batteries_also_where_one_comes_late():
    wake = Wake("cells=4,soc=60", "cells=4,soc=40,silent=1")
    wake.connect_when(lambda: wake.batteries[0].poller.complete)
    wake.until_current()
    assert json.loads(wake.last("t/bank/state"))["batteries_online"] == "1 of 2"
    wake.wires[1].set("silent", 0)
    while wake.last("t/bms2/status") != "online":
        wake.step()
    wake.until_current()
    assert json.loads(wake.last("t/bank/state"))["batteries_online"] == "2 of 2"


def test_each_value_has_been_published_on_its_own_topic():
    wake = Wake("cells=16", each_value=True)
    wake.connect_when(complete(wake)).until_current()
    state = json.loads(wake.last("t/bms1/state"))
    missing = {key for key in state if f"t/bms1/{key}" not in wake.topics() and key not in ("seq", "time", "balancing_cells")}
    assert missing == set()
    assert wake.last("t/bms1/soc") != "" and wake.last("t/bms1/cell_16_voltage") != ""


class Shunt:
    """A source of one sensor, which never knows its time to go."""

    key = "shunt"
    device = "shunt"
    model = "SmartShunt"

    def __init__(self):
        self.rows = [number("voltage", "Voltage", "V", 2), number("time_to_go", "Time to go", "min", 0)]
        self.changes = 0
        self._voltage = None

    def put(self, voltage):
        self._voltage = voltage
        self.changes += 1

    def raw(self, key):
        return self._voltage if key == "voltage" else None

    def is_measured(self):
        return self._voltage is not None


def test_a_sensor_has_been_published_when_its_value_is_there():
    shunt = Shunt()
    wake = Wake("cells=4", sources=(shunt,))
    wake.connect_when(complete(wake)).until_current()
    assert not wake.publisher.has_measured()
    shunt.put(1312)
    assert not wake.publisher.has_measured()
    while not wake.publisher.has_measured():
        wake.step()
    wake.until_current()
    assert json.loads(wake.last("t/shunt/state")) == {"voltage": 13.12, "time_to_go": None}
    shunt.put(None)
    assert not wake.publisher.has_measured()


def test_entities_of_a_sensor_that_is_found_late_are_announced_before_it_sleeps():
    shunt = Shunt()
    wake = Wake("cells=4", sources=(shunt,), announces=True)
    later = [number(f"value_{index}", f"Value {index}", "V", 2) for index in range(2)]
    wake.connect_when(complete(wake))
    while not any("shunt/config" in topic for topic in wake.topics()):
        wake.step()
    shunt.rows += later  # the same message again, which must wait for six seconds
    shunt.put(1312)
    wake.until_current()
    assert "value_1" in [payload for _, topic, payload in wake.heard if "shunt/config" in topic][-1]


def test_without_a_bms_it_is_not_waited_for_what_cannot_be_announced():
    """It would be announced at each wake, for a minute, while the battery is empty."""
    wake = Wake("cells=4,silent=1", announces=True)
    wake.connect_when(lambda: False, limit_s=20)
    begun = wake.wires[0].now
    wake.until_current()
    assert wake.wires[0].now - begun < 8000
    assert not wake.publisher.is_announced  # so it is at the next wake
    assert wake.last("t/bms1/status") == "offline" and json.loads(wake.last("t/bms1/state"))["soc"] is None
    wake.wires[0].set("silent", 0)
    while not wake.batteries[0].poller.online:
        wake.step()
    wake.until_current()
    assert wake.publisher.is_announced and [topic for topic in wake.topics() if "_cell_voltage_1/config" in topic]


def test_what_is_reported_meanwhile_is_published_before_it_sleeps():
    wake = Wake("cells=4")
    wake.connect_when(complete(wake)).until_current()
    wake.publisher.publish("/scan", "two boards")
    wake.publisher.report("Charge MOSFET off: done")
    assert not wake.publisher.is_current()
    wake.until_current()
    assert wake.last("t/scan") == "two boards" and wake.last("t/bms1/command_result") == "Charge MOSFET off: done"
