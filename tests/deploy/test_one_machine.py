# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""deploy/one-machine with everything of it that can be had here: real firmware processes, the real mosquitto with TLS and the
access list of the folder, a stand-in for Telegraf, the real VictoriaMetrics and vmalert. Judged at the store's query."""

import getpass
import json
import re
import subprocess
import time

import paho.mqtt.client as paho
import pytest
from engines import ONE_MACHINE, Alertmanager, Alerts, Store, needs_store
from mosquitto import Mosquitto, Subscriber, free_port, needs_mosquitto, wait_until
from processes import Bridge, SimulatedBms
from telegraf import Telegraf

from campaigns.nats import certificates

pytestmark = [needs_mosquitto, needs_store, pytest.mark.timeout(300)]

IDS = ("cellar-1", "cellar-2", "cellar-3")
TELEGRAF, INSTALLER = ("telegraf", "t-secret"), ("installer", "i-secret")
OPTIONS = {
    "cellar-1": "drift=0,soc=57.3,current=-12",
    "cellar-2": "drift=0,soc=80.1,current=25,cells=8",
    "cellar-3": "drift=0,soc=33.3,current=0",
}


class House:
    """Three bridges with what is behind them."""

    def __init__(self, folder):
        self._started = []
        try:
            self._start(folder)
        except BaseException:
            self.stop()
            raise

    def _start(self, folder):
        users = [(name, f"pw-{name}") for name in IDS] + [TELEGRAF, INSTALLER]
        (folder / "acl").write_bytes((ONE_MACHINE / "mosquitto" / "acl").read_bytes())
        (folder / "acl").chmod(0o600)
        self.broker = Mosquitto(folder, *users, lines=[f"acl_file {folder}/acl"])
        self._started.append(self.broker.kill)
        self.store = self._stopped(Store(folder))
        self.telegraf = self._stopped(Telegraf(self.broker.port, self.store.url, TELEGRAF))
        self.watcher = self._stopped(Subscriber(self.broker.port, INSTALLER))
        self.bms, self.bridges = {}, {}
        for name in IDS:
            (folder / name).mkdir()
            self.bms[name] = self._stopped(SimulatedBms(folder / name, OPTIONS[name]))
            settings = f'BRIDGE_ID = "{name}"\nMQTT_USERNAME = "{name}"\nMQTT_PASSWORD = "pw-{name}"\nMQTT_BIRTH_TOPIC = ""\n'
            bridge = Bridge(folder / name, self.bms[name].path, self.broker.port, settings, base="")
            self.bridges[name] = self._stopped(bridge)
        self.manager = self._stopped(Alertmanager(folder))
        self.alerts = self._stopped(Alerts(folder, self.store, quick_rules(folder), self.manager))

    def _stopped(self, part):
        self._started.append(part.stop)
        return part

    def stop(self):
        for stop in reversed(self._started):
            stop()


def quick_rules(folder):
    """The rules as they are, with seconds for minutes: what stands in them is tried with its own times in test_deploy.py."""
    text = (ONE_MACHINE / "vmalert" / "alerts.yml").read_text()
    text = re.sub(r"interval: 30s", "interval: 1s", text)
    text = re.sub(r"for: (15m|5m|1d)", "for: 2s", text)
    text = text.replace("battery_status[5m]", "battery_status[25s]").replace('version!="0.1.0"', 'version!="9.9.9"')
    (folder / "alerts.yml").write_text(text)
    return folder / "alerts.yml"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("house"))
    yield house
    house.stop()


def test_what_a_bridge_says_is_what_the_store_answers(house):
    for name in IDS:
        now = f'last_over_time(battery_soc{{bridge="{name}"}}[1m])'
        assert wait_until(lambda: house.store.query(now), 60), house.bridges[name].log  # noqa: B023
    # for as long as the values stand still, everything that was said is in the store
    assert wait_until(lambda: house.store.value('last_over_time(battery_cell_16_voltage{bridge="cellar-1"}[1m])'), 60)
    time.sleep(12)
    for name in IDS:
        said = json.loads(house.watcher.latest(f"daly/{name}/bms1/state"))
        numbers = {key: value for key, value in said.items() if isinstance(value, int | float) and key != "seq"}
        assert len(numbers) > 25
        for key, value in numbers.items():
            if "energy" in key or "capacity" in key or key == "heartbeat":
                continue  # these move on
            stored = house.store.value(f'last_over_time(battery_{key}{{bridge="{name}",battery="bms1"}}[1m])')
            assert stored == pytest.approx(value, abs=0.02 * max(1, abs(value))), (name, key)
    assert house.store.value('last_over_time(battery_soc{bridge="cellar-2"}[1m])') == 80.1
    assert house.store.value('last_over_time(battery_mode{bridge="cellar-1"}[1m])') == -1
    assert house.store.value('last_over_time(battery_mode{bridge="cellar-2"}[1m])') == 1
    assert house.store.value('last_over_time(battery_charge_mosfet{bridge="cellar-3"}[1m])') == 1
    assert house.store.value('last_over_time(bridge_status{bridge="cellar-3"}[10m])') == 1
    assert house.store.query('last_over_time(battery_cell_9_voltage{bridge="cellar-2"}[1m])') == []


def test_every_panel_of_both_dashboards_has_an_answer(house):
    assert wait_until(lambda: house.store.query("ALERTS"), 30)  # of the old version: the quick rules want 9.9.9
    for panel, expression in panels():
        expression = expression.replace("$bridge", "cellar-1").replace("$battery", "bms1").replace("$__range", "1h")
        now = time.time()
        found = house.store.query(expression) or house.store.query_range(expression, now - 60, now)
        assert found, f"{panel}: {expression}"


def panels():
    for file in sorted((ONE_MACHINE / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]


def test_alarm_and_cell_delta_reach_the_rules_with_their_words(house):
    house.bms["cellar-2"].set("alarms=cell_low_1")
    house.bms["cellar-3"].set("spread=180")
    fires = {("BatteryAlarm", "cellar-2", "bms1"), ("CellDelta", "cellar-3", "bms1")}
    assert wait_until(lambda: fires <= house.alerts.firing().keys(), 90), house.alerts.firing()
    assert house.alerts.firing()["BatteryAlarm", "cellar-2", "bms1"].endswith("Cell undervoltage (warning)")
    assert not [key for key in house.alerts.firing() if key[0] in ("BatteryAlarm", "CellDelta") and key not in fires]


def test_a_bms_that_falls_silent_is_told_from_a_bridge_that_does(house):
    house.bms["cellar-2"].set("silent=1")
    assert wait_until(lambda: ("BmsSilent", "cellar-2", "bms1") in house.alerts.firing(), 90)
    assert not [key for key in house.alerts.firing() if key[0] == "BridgeSilent"]
    # its numbers are gone: not in the store's answer to what is known now
    assert wait_until(lambda: house.store.query('last_over_time(battery_soc{bridge="cellar-2"}[20s])') == [], 60)


def test_a_killed_bridge_is_silent_with_an_alert_and_its_numbers_are_gone_from_the_dashboard(house):
    house.bridges["cellar-1"].kill()
    assert wait_until(lambda: ("BridgeSilent", "cellar-1", None) in house.alerts.firing(), 90), house.alerts.firing()
    assert "cellar-1 has been silent" in house.alerts.firing()["BridgeSilent", "cellar-1", None]
    silent = ("BridgeSilent", "cellar-1")
    assert wait_until(lambda: silent in house.manager.active()[0], 30), house.manager.active()  # what would be mailed
    later = time.time() + 60  # what Grafana asks a minute later
    assert house.store.query('last_over_time(battery_soc{bridge="cellar-1"}[1m])', later) == []
    assert house.store.query('battery_soc{bridge="cellar-1"}', later) == []
    # a second Telegraf, as after its restart, hears what is retained of the dead bridge: the alert stays
    late = Telegraf(house.broker.port, house.store.url, TELEGRAF)
    time.sleep(12)
    late.stop()
    assert ("BridgeSilent", "cellar-1", None) in house.alerts.firing()
    assert house.store.query('last_over_time(battery_soc{bridge="cellar-1"}[15s])') == []
    house.bridges["cellar-1"].start()
    assert wait_until(lambda: ("BridgeSilent", "cellar-1", None) not in house.alerts.firing(), 60)


def test_one_bridges_password_is_no_right_over_another(house):
    thief = Subscriber(house.broker.port, ("cellar-3", "pw-cellar-3"))
    thief.publish("daly/cellar-2/bms1/state", '{"soc":1.5}')
    thief.publish("daly/cellar-2/bms1/charge_mosfet/set", "OFF")
    reader = Subscriber(house.broker.port, TELEGRAF)
    reader.publish("daly/cellar-2/bms1/charge_mosfet/set", "OFF")
    assert wait_until(lambda: thief.texts("daly/cellar-3/bms1/status"), 20)
    assert {topic.split("/")[1] for topic, *_ in thief.received} == {"cellar-3"}
    assert wait_until(lambda: reader.texts("daly/cellar-2/bms1/status"), 20)  # Telegraf's user reads all
    assert not [topic for topic, text, _ in house.watcher.received if topic.endswith("/set") and text]
    assert house.store.query('last_over_time(battery_soc{bridge="cellar-2"}[1m]) == 1.5') == []
    thief.stop()
    reader.stop()


def test_the_configuration_of_mosquitto_is_one_that_mosquitto_takes(tmp_path):
    """The file itself, with its paths below a folder of ours, and a connection over TLS."""
    certificates(tmp_path)
    for name in ("crt", "key"):
        (tmp_path / f"node.{name}").rename(tmp_path / f"server.{name}")
    (tmp_path / "acl").write_bytes((ONE_MACHINE / "mosquitto" / "acl").read_bytes())
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(tmp_path / "users"), "cellar-1", "pw"], check=True)
    plain, tls = free_port(), free_port()
    text = (ONE_MACHINE / "mosquitto" / "mosquitto.conf").read_text()
    text = text.replace("/etc/mosquitto/fleet", str(tmp_path)).replace("/mosquitto/data", str(tmp_path))
    text = text.replace("listener 8883", f"listener {tls} 127.0.0.1")
    text = text.replace("listener 1883\n", f"listener {plain} 127.0.0.1\n")
    (tmp_path / "mosquitto.conf").write_text(text + f"user {getpass.getuser()}\n")
    broker = subprocess.Popen(["mosquitto", "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.PIPE, text=True)
    connected = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.username_pw_set("cellar-1", "pw")
    client.tls_set(str(tmp_path / "ca.crt"))
    client.on_connect = lambda *arguments: connected.append(arguments[3])
    client.reconnect_delay_set(0.2, 0.2)
    client.connect_async("localhost", tls)
    client.loop_start()
    try:
        assert wait_until(lambda: connected, 15) and not connected[0].is_failure
    finally:
        client.disconnect()
        client.loop_stop()
        broker.terminate()
        said = broker.communicate(timeout=10)[1]
    assert "Error" not in said and "Unknown" not in said, said
