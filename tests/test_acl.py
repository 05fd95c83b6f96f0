# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The access list of docs/SECURITY.md, exactly as it stands there, in a real mosquitto: enough for all the work, no more."""

import json
import re
import time

import pytest
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from processes import ROOT, Bridge, SimulatedBms

pytestmark = [needs_mosquitto, pytest.mark.timeout(240)]

BASE = "daly/c0ffee"
ALL = 'ALLOW_CONTROL = "charge_mosfet, discharge_mosfet, soc, restart_bms, restart_bridge"\nPUBLISH_INTERVAL_S = 1\n'
BRIDGE, HOME, READER = ("bridge", "b"), ("homeassistant", "h"), ("reader", "r")
LIST = "\n".join(re.findall(r"^```\n(user .*?)^```$", (ROOT / "docs" / "SECURITY.md").read_text(), re.MULTILINE | re.DOTALL))
CONFIGS = re.findall(r"^topic write (homeassistant/device/\S+/config)$", LIST, re.MULTILINE)


@pytest.fixture
def broker(tmp_path):
    (tmp_path / "acl").write_text(LIST)
    (tmp_path / "acl").chmod(0o600)
    broker = Mosquitto(tmp_path, BRIDGE, HOME, READER, lines=[f"acl_file {tmp_path}/acl"])
    yield broker
    broker.kill()


@pytest.fixture
def home(broker):
    subscriber = Subscriber(broker.port, HOME)
    yield subscriber
    subscriber.stop()


def test_with_this_list_the_bridge_does_all_its_work(tmp_path, broker, home):
    bms = SimulatedBms(tmp_path, "drift=0,soc=57.3,current=-240")
    settings = (
        f'BRIDGE_ID = "c0ffee"\nMQTT_USERNAME = "{BRIDGE[0]}"\nMQTT_PASSWORD = "{BRIDGE[1]}"\nDEADBAND_PERCENT = 0\n' + ALL
    )
    bridge = Bridge(tmp_path, bms.path, broker.port, settings, base="")
    try:
        assert wait_until(lambda: {t for t, *_ in home.received} >= set(CONFIGS) and len(CONFIGS) > 20, 40), bridge.log
        assert wait_until(lambda: home.latest(BASE + "/bms1/status") == "online", 20)
        for topic in ("/status", "/state", "/bms1/state", "/bms1/energy", "/bms1/connection", "/bms1/command_result"):
            assert wait_until(lambda: home.texts(BASE + topic), 20), topic  # noqa: B023
        home.publish(BASE + "/bms1/charge_mosfet/set", "OFF")
        assert wait_until(lambda: home.latest(BASE + "/bms1/command_result") == "Charge MOSFET off: done", 15)
        home.publish(BASE + "/diagnostics/set", "PRESS")
        assert wait_until(lambda: home.texts(BASE + "/diagnostics"), 15)
        announced = len(home.texts(CONFIGS[0]))
        home.publish("homeassistant/status", "online")
        assert wait_until(lambda: len(home.texts(CONFIGS[0])) > announced, 20)
        counted = wait_until(lambda: discharged(home) > 0, 20) and discharged(home)
        bridge.kill()  # the broker says its last will
        assert counted and wait_until(lambda: home.latest(BASE + "/status") == "offline", 40)
        bridge.nvm.unlink(missing_ok=True)
        home.publish(BASE + "/bms1/discharge_mosfet/set", "OFF", retain=True)
        states = len(home.texts(BASE + "/bms1/energy"))
        bridge.start()  # what it counted is heard from the broker, and the old wish is cleared
        assert wait_until(lambda: len(home.texts(BASE + "/bms1/energy")) > states, 40)
        assert discharged(home) >= counted
        assert home.latest(BASE + "/bms1/discharge_mosfet/set") == ""
        assert [request[2] for request in bms.writes()] == [0xDA]
        assert "forbid" not in bridge.log
    finally:
        bridge.stop()
        bms.stop()


def discharged(subscriber):
    return json.loads(subscriber.latest(BASE + "/bms1/energy") or '{"energy_discharged":0}')["energy_discharged"]


FOREIGN = ["homeassistant/status", "homeassistant/device/other/config", "homeassistant/device/daly_c0ffe0/config", "other"]
FOREIGN += ["daly", "homeassistant/sensor/x/config", "daly/c0ffe0/bms1/charge_mosfet/set", "daly/c0ffe0/status", "$SYS/x"]


def test_with_this_list_the_bridges_password_is_good_for_nothing_else(broker, home):
    thief = Subscriber(broker.port, BRIDGE)
    for topic in FOREIGN:
        thief.publish(topic, "by the thief")
        home.publish(topic, "secret")
    thief.publish(BASE + "/state", "own")
    home.publish(BASE + "/diagnostics/set", "own")
    assert wait_until(lambda: thief.texts(BASE + "/diagnostics/set") and home.texts(BASE + "/state"))
    time.sleep(0.3)
    assert "by the thief" not in str(home.received)
    assert {topic for topic, text, _ in thief.received if text == "secret"} == {"homeassistant/status"}
    thief.stop()


def test_with_this_list_who_may_only_read_cannot_order(broker, home):
    reader = Subscriber(broker.port, READER)
    for topic in ("/bms1/charge_mosfet/set", "/restart/set", "/diagnostics/set", "/bms1/state"):
        reader.publish(BASE + topic, "ON")
    home.publish(BASE + "/bms1/state", "{}")
    assert wait_until(lambda: reader.texts(BASE + "/bms1/state"))
    time.sleep(0.3)
    assert {text for _, text, _ in home.received} == {"{}"}
    reader.stop()
