# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Outputs in the unmodified firmware: published, announced, switched by a person, and never by a retained message."""

import json

import pytest
from home_assistant_rules import message_faults
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from processes import Bridge, SimulatedBms

pytestmark = [needs_mosquitto, pytest.mark.timeout(200)]
SETTINGS = """CIRCUITPY_WIFI_SSID = "shed"
OLED = false
PUBLISH_INTERVAL_S = 1
ALLOW_CONTROL = "outputs"
OUTPUT_1 = "Heater: IO5 on when soc > 80 off when soc < 60, off for at least 2 s"
OUTPUT_2 = "IO6 on when sco > 80"
OUTPUT_3 = "Lamp: IO7 on when soc > 99, active low, off for at least 1 s"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    bms = SimulatedBms(folder, "drift=0,soc=85,current=0")
    broker = Mosquitto(folder)
    subscriber = Subscriber(broker.port)
    subscriber.publish("t/outputs/3/set", "on", retain=True)
    bridge = Bridge(folder, bms.path, broker.port, SETTINGS, options=["--no-oled"])
    yield bms, subscriber, bridge, broker
    subscriber.stop()
    bridge.stop()
    broker.kill()
    bms.stop()


def state(subscriber):
    return json.loads(subscriber.latest("t/outputs/state") or "{}")


def test_the_life_of_outputs(place):
    bms, subscriber, bridge, _ = place

    def wait(condition, seconds=40):
        assert wait_until(condition, seconds), (state(subscriber), bridge.log[-3000:])

    wait(lambda: state(subscriber).get("output_1") == "ON")
    assert state(subscriber)["output_1_reason"] == "on: soc 85.0 % is above 80 %"
    assert "host: output IO5 (Heater) on\n" in bridge.log and "host: output IO7" not in bridge.log
    assert state(subscriber)["output_2"] == "OFF"
    assert state(subscriber)["output_2_reason"] == "off: its line in the settings has a mistake"
    assert state(subscriber)["output_3"] == "OFF" and state(subscriber)["output_3_mode"] == "auto", "it was retained"
    assert "OUTPUT_2, column 13: there is no reading sco; did you mean soc; until then it stays off." in bridge.log
    wait(lambda: "did you mean soc" in (subscriber.latest("t/state") or ""))

    subscriber.publish("t/outputs/3/set", "on")
    wait(lambda: state(subscriber).get("output_3") == "ON")
    assert state(subscriber)["output_3_reason"] == "on: switched by hand for 60 more minutes"
    assert "host: output IO7 (Lamp) on\n" in bridge.log
    subscriber.publish("t/outputs/3/set", "auto")
    wait(lambda: state(subscriber).get("output_3_mode") == "auto")
    wait(lambda: state(subscriber).get("output_3") == "OFF", 20)

    bms.set("soc=50")
    wait(lambda: state(subscriber).get("output_1") == "OFF")
    assert state(subscriber)["output_1_reason"].startswith("off: soc ")
    assert bms.writes() == []


def test_home_assistant_would_take_them(place):
    _, subscriber, _, _ = place

    def configs():
        found = [(topic, text) for topic, text, _ in subscriber.received if topic.endswith("/config") and text]
        return [(topic, text) for topic, text in found if "/outputs/state" in text]

    assert wait_until(lambda: len(dict(configs())) == 2, 20)  # five places in each, one and three of two outputs
    assert [message_faults(topic, text) for topic, text in configs()] == [[] for _ in configs()]
    found = [entity for _, text in dict(configs()).items() for entity in json.loads(text)["cmps"].values()]
    entities = [entity for entity in found if len(entity) > 1]
    assert sorted(entity["p"] for entity in entities) == ["binary_sensor"] * 3 + ["select"] * 3 + ["sensor"] * 3
    assert [entity["cmd_t"] for entity in entities if entity["p"] == "select"] == [
        f"t/outputs/{number}/set" for number in (1, 2, 3)
    ]
