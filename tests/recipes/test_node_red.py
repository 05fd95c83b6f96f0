# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""docs/recipes/node-red.json in a real Node-RED, at a real broker and the real firmware: alive, or why not."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from engines import Process
from mosquitto import Mosquitto, Subscriber, free_port, needs_mosquitto, wait_until
from processes import Bridge, SimulatedBms

ROOT = Path(__file__).resolve().parent.parent.parent
NODE = shutil.which("node")
NODE_RED = ROOT / ".recipes" / "node_modules" / "node-red" / "red.js"
pytestmark = [
    needs_mosquitto,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (NODE and NODE_RED.exists()), reason="no node or no Node-RED in .recipes: make test-recipes"),
]


class NodeRed(Process):
    """Node-RED with the flow of the recipe, changed only as its reader changes it: the broker and the topic."""

    def __init__(self, folder, broker_port):
        flow = (ROOT / "docs" / "recipes" / "node-red.json").read_text()
        assert '"broker": "192.168.1.10"' in flow and '"port": "1883"' in flow and flow.count("daly/02da1bc0ffee/") == 4
        flow = flow.replace("192.168.1.10", "127.0.0.1").replace('"port": "1883"', f'"port": "{broker_port}"')
        (folder / "flows.json").write_text(flow.replace("daly/02da1bc0ffee/", "daly/x/"))
        port = free_port()
        self._url = f"http://127.0.0.1:{port}/battery"
        super().__init__(folder, "node-red", [NODE, NODE_RED, "--userDir", folder, "--port", port, folder / "flows.json"])

    def battery(self):
        """What the flow says now; {} before it is there."""
        try:
            with urllib.request.urlopen(self._url, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return {}


@pytest.fixture
def place(tmp_path):
    class Place:
        bms = SimulatedBms(tmp_path, "drift=0,soc=57.3,current=-12.4")
        broker = Mosquitto(tmp_path)
        bridge = Bridge(tmp_path, bms.path, broker.port, 'CIRCUITPY_WIFI_SSID = "shed"\n', base="daly/x", options=["--no-oled"])
        red = NodeRed(tmp_path, broker.port)

        def wait(self, condition, seconds=60):
            assert wait_until(lambda: condition(self.red.battery()), seconds, 0.2), (self.red.battery(), self.red.log[-3000:])
            return self.red.battery()

    yield Place()
    Place.red.stop()
    Place.bridge.stop()
    Place.broker.kill()
    Place.bms.stop()


def test_it_shows_what_the_bms_says_and_why_there_is_nothing(place):
    battery = place.wait(lambda battery: battery.get("soc") == 57.3)
    assert battery["available"] and battery["current"] == -12.4 and battery["age_s"] < 30

    place.bms.set("silent=1")
    battery = place.wait(lambda battery: battery.get("available") is False)
    assert set(battery) == {"available", "reason"}, "no number of before"
    place.wait(lambda battery: battery["reason"].startswith("BMS asleep, or cut off"))

    place.bms.set("silent=0,soc=40")
    place.wait(lambda battery: battery.get("soc") == 40.0)

    place.bridge.kill()
    battery = place.wait(lambda battery: battery.get("available") is False)
    assert battery == {"available": False, "reason": "the bridge is offline: its power, its Wi-Fi?"}
    place.bridge.start()
    place.wait(lambda battery: battery.get("available") is True)


def test_a_state_that_is_too_old_or_was_retained_is_no_number(place):
    """The broker freezes: nobody says offline, and the state grows old."""
    place.wait(lambda battery: battery.get("soc") == 57.3)
    place.broker.freeze()
    battery = place.wait(lambda battery: battery.get("available") is False, 90)
    assert battery["reason"].startswith("the last state is 6") and battery["reason"].endswith("s old: broker, or network?")
    place.broker.thaw()
    place.wait(lambda battery: battery.get("available") is True, 120)


def test_what_another_has_retained_is_not_shown(place, tmp_path):
    place.wait(lambda battery: battery.get("soc") == 57.3)
    place.bms.set("silent=1")
    place.wait(lambda battery: battery.get("available") is False)
    place.bridge.kill()
    client = Subscriber(place.broker.port)
    client.publish("daly/x/status", "online", retain=True)
    client.publish("daly/x/bms1/status", "online", retain=True)
    client.publish("daly/x/bms1/state", '{"soc":99}', retain=True)
    client.stop()
    folder = tmp_path / "second"
    folder.mkdir()
    second = NodeRed(folder, place.broker.port)
    try:
        assert wait_until(lambda: second.battery().get("reason") == "no state has come yet", 60, 0.2), second.battery()
    finally:
        second.stop()
