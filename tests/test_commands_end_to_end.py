# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Orders, energy and single values through a real mosquitto; firmware and simulated BMS are processes, killed and started."""

import json
import random
import socket
import struct
import threading
import time

import pytest
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from processes import Bridge, SimulatedBms

from campaigns.faults.subscriber import each_balancing

pytestmark = [needs_mosquitto, pytest.mark.timeout(300)]

CHARGE, CLOCK_AND_SOC, RESTART = 0xDA, 0x21, 0x00
NTP_TIME = 1935990489  # 2031-05-08 07:08:09 UTC
ALL = 'ALLOW_CONTROL = "charge_mosfet, discharge_mosfet, soc, restart_bms, restart_bridge"\nPUBLISH_INTERVAL = 1\n'
REPORT = "t/bms1/command_result"
PAUSE_S = 2.3  # orders are not taken sooner


class TimeServer:
    """Answers NTP with NTP_TIME and what has passed since; `silent`: it does not."""

    def __init__(self):
        self.silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._begun = time.monotonic()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                _, client = self._socket.recvfrom(512)
            except OSError:
                return
            now = int(NTP_TIME + time.monotonic() - self._begun) + 2208988800
            if not self.silent:
                self._socket.sendto(struct.pack(">BBBb11I", 0x24, 1, 4, -20, *7 * [0], now, 0, now, 0), client)

    def close(self):
        self._socket.close()


class World:
    """BMS, bridge, broker, and one who listens to it."""

    def __init__(self, folder, settings="", bms="drift=0,soc=57.3,current=-60"):
        self.bms = SimulatedBms(folder, bms)
        self.broker = Mosquitto(folder)
        self.subscriber = Subscriber(self.broker.port)
        self.bridge = Bridge(folder, self.bms.path, self.broker.port, settings)
        self.wait_online()

    def stop(self):
        self.bridge.stop()
        self.subscriber.stop()
        self.broker.kill()
        self.bms.stop()

    def wait_online(self):
        assert wait_until(lambda: self.subscriber.latest("t/bms1/status") == "online", 30), "the BMS never came online"

    @property
    def state(self):
        return json.loads(self.subscriber.latest("t/bms1/state"))

    def shows(self, key, value, seconds=8):
        return wait_until(lambda: self.state[key] == value, seconds)

    def write(self, name, payload):
        """Publish a command; the result published for it."""
        before = len(self.subscriber.texts(REPORT))
        self.subscriber.publish(f"t/bms1/{name}/set", payload)
        assert wait_until(lambda: len(self.subscriber.texts(REPORT)) > before, 10), f"nothing came of {payload} on {name}"
        return self.subscriber.latest(REPORT)

    def commands_written(self):
        return [request[2] for request in self.bms.writes()]

    def energy(self):
        """What was published of the discharged energy, in order, nulls left out."""
        said = [
            json.loads(t)["energy_discharged"]
            for topic, t, _ in self.subscriber.received
            if topic in ("t/bms1/state", "t/bms1/energy")
        ]
        return [kwh for kwh in said if kwh is not None]


@pytest.fixture(scope="module")
def clock():
    clock = TimeServer()
    yield clock
    clock.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory, clock):
    settings = ALL + f'NTP_SERVER = "127.0.0.1:{clock.port}"\nUTC_OFFSET_MIN = 60\n'
    world = World(tmp_path_factory.mktemp("world"), settings)
    yield world
    world.stop()


# orders; these tests share one bridge, each leaves it as it found it


def test_nothing_is_written_at_boot_and_no_order_is_said_to_be_none(world):
    assert wait_until(lambda: world.subscriber.latest(REPORT) == "none")
    assert world.commands_written() == []


def test_a_switch_is_carried_out_and_read_back(world):
    before = len(world.bms.writes())
    for word, end in (("OFF", "off: done"), ("ON", "on: done")):
        assert world.write("charge_mosfet", word) == "Charge MOSFET " + end
        assert world.shows("charge_mosfet", word)
        time.sleep(PAUSE_S)
    assert [request[4] for request in world.bms.writes()[before:]] == [0, 1]


@pytest.mark.parametrize("payload", ["off", "OFF ", "0", "\x00", "{}", "OFF" * 500])
def test_malformed_orders_are_refused_where_it_can_be_read(world, payload):
    before = world.commands_written()
    assert "refused" in world.write("discharge_mosfet", payload)
    assert world.commands_written() == before and world.state["discharge_mosfet"] == "ON"


def test_a_flood_of_orders_is_slowed_down(world):
    before = len(world.bms.writes())
    for _ in range(10):
        world.subscriber.publish("t/bms1/charge_mosfet/set", "ON")
    assert wait_until(lambda: world.subscriber.texts(REPORT)[-20:].count("Charge MOSFET on: done") > 0, 10)
    time.sleep(1)
    assert len(world.bms.writes()) == before + 1
    time.sleep(PAUSE_S)


def test_the_state_of_charge_is_written_with_local_time(world):
    assert world.write("soc", "63.5") == "State of charge 63.5 %: done"
    request = world.bms.writes()[-1]
    assert request[2] == CLOCK_AND_SOC and request[10] << 8 | request[11] == 635
    assert tuple(request[4:8]) == (31, 5, 8, 8)  # an hour ahead of UTC
    assert 488 < 60 * request[8] + request[9] < 600
    assert world.shows("soc", 63.5)
    assert world.state["time"].startswith("2031-05-08T07:")  # of the reading, in UTC: the server has been asked
    time.sleep(PAUSE_S)


def test_without_time_the_state_of_charge_is_refused(world, clock):
    before = world.commands_written()
    clock.silent = True
    assert "the time is not known" in world.write("soc", "20")
    clock.silent = False
    assert world.commands_written() == before and world.state["soc"] == 63.5


def test_what_the_bms_ignores_is_an_error_and_the_truth_stays(world):
    world.bms.set("ignore_writes=1")
    assert "not confirmed" in world.write("charge_mosfet", "OFF")
    world.bms.set("ignore_writes=0")
    assert {json.loads(text)["charge_mosfet"] for text in world.subscriber.texts("t/bms1/state")[-3:]} == {"ON"}


def test_the_bms_restarts(world):
    world.subscriber.publish("t/bms1/restart/set", "PRESS")
    assert wait_until(lambda: world.subscriber.latest(REPORT) == "Restart of the BMS: done", 15), world.subscriber.latest(
        REPORT
    )
    assert world.commands_written()[-1] == RESTART
    time.sleep(PAUSE_S)


def test_the_bridge_restarts_and_writes_nothing(world):
    before, uptime = world.commands_written(), json.loads(world.subscriber.latest("t/state"))["uptime"]
    boots = world.bridge.log.count("Daly MQTT bridge")
    world.subscriber.publish("t/restart/set", "PRESS")
    assert wait_until(lambda: world.bridge.log.count("Daly MQTT bridge") > boots, 20)
    assert wait_until(lambda: json.loads(world.subscriber.latest("t/state"))["uptime"] < uptime, 30)
    world.wait_online()
    assert world.commands_written() == before


def test_what_was_retained_is_neither_carried_out_nor_kept(world):
    before = world.commands_written()
    world.bridge.kill()
    for name, payload in (("charge_mosfet", "OFF"), ("discharge_mosfet", "OFF"), ("soc", "1"), ("restart", "PRESS")):
        world.subscriber.publish(f"t/bms1/{name}/set", payload, retain=True)
    world.subscriber.publish("t/restart/set", "PRESS", retain=True)
    boots = world.bridge.log.count("Daly MQTT bridge")
    connects = world.bridge.log.count("MQTT: connected")
    world.bridge.start()
    assert wait_until(lambda: world.bridge.log.count("MQTT: connected") > connects, 30)
    world.wait_online()
    time.sleep(3)
    assert world.commands_written() == before
    assert world.bridge.log.count("Daly MQTT bridge") == boots + 1
    late = Subscriber(world.broker.port, topics="t/+/set")
    later = Subscriber(world.broker.port, topics="t/bms1/+/set")
    time.sleep(0.5)
    assert late.received == later.received == []
    late.stop()
    later.stop()


def test_nothing_is_written_when_the_broker_comes_back(world):
    before = world.commands_written()
    for _ in range(2):
        connects = world.bridge.log.count("MQTT: connected")
        world.broker.kill()
        time.sleep(0.5)
        world.broker.start()
        assert wait_until(lambda: world.bridge.log.count("MQTT: connected") > connects, 40)  # noqa: B023
    world.wait_online()
    time.sleep(2)
    assert world.commands_written() == before


# as it comes


def test_as_it_comes_nothing_is_listened_to_and_nothing_is_written(tmp_path):
    world = World(tmp_path)
    try:
        for name, payload in (("charge_mosfet", "OFF"), ("discharge_mosfet", "OFF"), ("soc", "1"), ("restart", "PRESS")):
            world.subscriber.publish(f"t/bms1/{name}/set", payload)
        world.subscriber.publish("t/restart/set", "PRESS")
        time.sleep(4)

        def platforms():
            configs = [json.loads(text) for topic, text, _ in world.subscriber.received if topic.endswith("/config") and text]
            return {e["p"] for message in configs for e in message["cmps"].values() if len(e) > 1}

        wait_until(lambda: "binary_sensor" in platforms(), 30)
        assert platforms() == {"sensor", "binary_sensor", "button", "event"}  # the button makes a diagnostics file
        assert world.bms.writes() == [] and world.subscriber.texts(REPORT) == []
        assert world.bridge.log.count("Daly MQTT bridge") == 1
    finally:
        world.stop()


# energy


def test_energy_never_falls_and_is_never_counted_twice_over_power_cuts(tmp_path):
    """12.6 kW, so that a second counts; nvm lost once on the way; the broker keeps what is retained."""
    watts = 52.6 * 240
    settings = "PUBLISH_INTERVAL_S = 1\nDEADBAND_PERCENT = 0\n"
    begun = time.monotonic()
    world = World(tmp_path, settings, "drift=0,soc=57.3,current=-240")
    dice = random.Random(7)
    lives_s = [dice.uniform(1, 6) for _ in range(6)]
    try:
        for number, seconds in enumerate(lives_s):
            time.sleep(seconds)
            world.bridge.kill()
            if number == 3:
                world.bridge.nvm.unlink()
            connects = world.bridge.log.count("MQTT: connected")
            world.bridge.start()
            assert wait_until(lambda: world.bridge.log.count("MQTT: connected") > connects, 30)  # noqa: B023
        assert wait_until(lambda: world.subscriber.latest("t/bms1/status") == "online", 20)
        time.sleep(4)
        said = world.energy()
        most = watts * (time.monotonic() - begun) / 3600 / 1000
        assert said == sorted(said)
        least = 0.4 * watts * (sum(lives_s) + 4) / 3600 / 1000  # of the time in which it was certainly there
        assert least < said[-1] <= 1.02 * most
    finally:
        world.stop()


# single values


def test_each_value_is_published_on_its_own_topic(tmp_path):
    world = World(tmp_path, "PUBLISH_EACH_VALUE = true\nPUBLISH_INTERVAL_S = 1\n", "drift=0,cells=4,soc=57.3,current=-12.4")
    try:
        assert wait_until(lambda: world.subscriber.latest("t/bms1/state_of_health"), 60)  # what is read last

        def state_now():
            said = {**each_balancing(world.state), **json.loads(world.subscriber.latest("t/bms1/info"))}
            return {key: value for key, value in said.items() if key not in ("seq", "time")}

        def is_said(key, value):
            return bool(world.subscriber.latest("t/bms1/" + key)) == (value is not None)

        assert wait_until(lambda: all(is_said(*item) for item in state_now().items()), 60)
        state = state_now()
        for key, value in state.items():
            text = world.subscriber.latest("t/bms1/" + key)
            assert text == ("" if value is None else value if isinstance(value, str) else text), key
            assert value is None or isinstance(value, str) or float(text) == value, key
        assert world.subscriber.latest("t/bms1/cell_4_voltage") == f"{state['cell_4_voltage']:.3f}"
        assert world.subscriber.latest("t/bms1/current") == "-12.4" and world.subscriber.latest("t/bms1/problem") == "OFF"
        world.bms.set("current=20")
        assert wait_until(lambda: world.subscriber.latest("t/bms1/current") == "20.0", 10)
        world.bms.set("silent=1")
        assert wait_until(lambda: world.subscriber.latest("t/bms1/current") == "", 15)  # not known: nothing there
        late = Subscriber(world.broker.port, topics="t/bms1/current")
        time.sleep(0.5)
        assert [text for _, text, _ in late.received if text] == []
        late.stop()
    finally:
        world.stop()


# the counters


@needs_mosquitto
def test_counters_that_are_reset_are_0_everywhere_and_after_every_restart(tmp_path):
    broker = Mosquitto(tmp_path)
    subscriber = Subscriber(broker.port)
    subscriber.publish("t/bms1/energy", COUNTED, retain=True)
    bms = SimulatedBms(tmp_path, "drift=0,current=0")
    bridge = Bridge(tmp_path, bms.path, broker.port, 'ALLOW_CONTROL = "energy"\nPUBLISH_INTERVAL_S = 1\nBRIDGE_ID = "shed"\n')

    def charged(topic="t/bms1/energy"):
        return json.loads(subscriber.latest(topic) or '{"energy_charged":-1}')["energy_charged"]

    try:
        assert wait_until(lambda: charged("t/bms1/state") == 1234.5, 30), bridge.log
        subscriber.publish("t/bms1/energy/set", "reset")
        assert wait_until(lambda: charged() == 0 and charged("t/bms1/state") == 0, 10)
        assert wait_until(lambda: subscriber.latest("t/bms1/command_result") == "Energy counters: done")
        for line in ("Command: Energy counters: done", "Message on t/bms1/energy/set: reset"):
            assert bridge.log.count(line) == 1, line
        for _ in range(2):
            bridge.kill()
            subscriber.clear()
            bridge.start()
            assert wait_until(lambda: subscriber.latest("t/bms1/status") == "online" and charged() >= 0, 30)
            assert wait_until(lambda: charged("t/bms1/state") not in (None, -1))
            assert charged() == 0 and charged("t/bms1/state") == 0
        subscriber.publish("t/bms1/energy", COUNTED.replace("1234", "9999999"), retain=True)  # 10 GWh
        bridge.kill()
        subscriber.clear()
        bridge.start()
        assert wait_until(lambda: "implausible" in (subscriber.latest("t/bms1/command_result") or ""), 30)
        assert wait_until(lambda: charged() == 0 and charged("t/bms1/state") == 0, 20)
        assert not bms.writes()
    finally:
        bridge.stop()
        bms.stop()
        subscriber.stop()
        broker.kill()


COUNTED = '{"energy_charged":1234.500,"energy_discharged":1.000,"capacity_charged":2.000,"capacity_discharged":3.000}'
