# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The real firmware with real brokers that die, and what somebody finds who looks only after the bridge has died."""

import json
import time

import pytest
from mosquitto import Mosquitto, Subscriber, free_port, needs_mosquitto, wait_until
from processes import Bridge, SimulatedBms

SETTINGS = 'CIRCUITPY_WIFI_SSID = "shed"\nPUBLISH_INTERVAL_S = 1\nDEADBAND_PERCENT = 0\n'


@pytest.fixture
def bms(tmp_path):
    bms = SimulatedBms(tmp_path, "cells=4,soc=57.3,current=200")
    yield bms
    bms.stop()


def energy(subscriber):
    return json.loads(subscriber.latest("t/bms1/energy") or "{}").get("energy_charged")


@needs_mosquitto
@pytest.mark.timeout(120)
def test_its_energy_goes_on_at_the_next_broker_which_knows_nothing_of_it(bms, tmp_path):
    """A broker is killed, the next one has never seen the bridge; then the bridge restarts there."""
    brokers = [Mosquitto(tmp_path), Mosquitto(tmp_path)]
    watchers = [Subscriber(broker.port) for broker in brokers]
    ports = f"{brokers[0].port},127.0.0.1:{brokers[1].port}"
    bridge = Bridge(tmp_path, bms.path, ports, SETTINGS)
    try:
        assert wait_until(lambda: (energy(watchers[0]) or 0) > 0.005, 60), bridge.log
        brokers[0].kill()
        before = energy(watchers[0])
        assert wait_until(lambda: energy(watchers[1]) is not None, 30), bridge.log
        counts = [json.loads(text)["energy_charged"] for topic, text, _ in watchers[1].received if topic == "t/bms1/energy"]
        assert counts[0] >= before and counts == sorted(counts)
        assert wait_until(lambda: watchers[1].latest("t/bms1/status") == "online" and watchers[1].latest("t/state"), 20)
        assert json.loads(watchers[1].latest("t/state"))["broker"] == f"127.0.0.1:{brokers[1].port}"
        bridge.kill()
        before = energy(watchers[1])
        watchers[1].clear()
        bridge.start()
        assert wait_until(lambda: energy(watchers[1]) is not None, 40) and energy(watchers[1]) >= before
    finally:
        bridge.stop()
        for watcher in watchers:
            watcher.stop()
        for broker in brokers:
            broker.kill()


@needs_mosquitto
@pytest.mark.timeout(120)
def test_who_looks_after_the_bridge_has_been_killed_finds_nothing_that_looks_alive(bms, tmp_path):
    broker = Mosquitto(tmp_path)
    watcher = Subscriber(broker.port)
    bridge = Bridge(tmp_path, bms.path, broker.port, SETTINGS + "PUBLISH_EACH_VALUE = true\n")
    try:
        assert wait_until(lambda: watcher.latest("t/bms1/soc") and watcher.latest("t/bms1/state"), 60), bridge.log
        state = json.loads(watcher.latest("t/bms1/state"))
        assert state["seq"] > 0 and "time" in state
        bridge.kill()
        assert wait_until(lambda: watcher.latest("t/status") == "offline", 40)
        late = Subscriber(broker.port)
        assert wait_until(lambda: late.latest("t/status"), 10)
        time.sleep(0.5)
        found = {topic: text for topic, text, _ in late.received if not topic.startswith("homeassistant/")}
        late.stop()
        assert found.pop("t/status") == "offline"
        # the counters, which stay true, and what the bridge last said of itself
        assert [topic for topic in found if topic not in ("t/bms1/energy", "t/state", "t/announced")] == []
    finally:
        bridge.stop()
        watcher.stop()
        broker.kill()


def test_no_broker_at_all_is_said_of_each_in_turn(tmp_path):
    ports = [free_port(), free_port()]
    bms = SimulatedBms(tmp_path, "cells=4")
    bridge = Bridge(tmp_path, bms.path, f"{ports[0]},127.0.0.1:{ports[1]}", SETTINGS)
    try:
        for port in ports:
            assert wait_until(lambda: f"No broker 127.0.0.1:{port}: connection refused" in bridge.log, 30), bridge.log  # noqa: B023
    finally:
        bridge.stop()
        bms.stop()
