# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""code.py against a real Home Assistant: `make test-homeassistant`. The tests are steps of one story, in this order."""

import json
import time
import urllib.request

import pytest
from home_assistant import DOCS, HomeAssistant
from house import House, living
from mosquitto import Mosquitto, Subscriber, free_port
from processes import Bridge, SimulatedBms

pytestmark = pytest.mark.timeout(900)

CELLS = {n: 3250 + 3 * n for n in range(1, 17)}  # mV
MILLIVOLTS = "+".join(f"{n}:{mv}" for n, mv in CELLS.items())
OPTIONS = f"drift=0,current=-12.4,soc=57.3,cell_mv={MILLIVOLTS}"
EXPECTED = {
    "sensor.daly_bms_pack_voltage": "52.4",
    "sensor.daly_bms_current": "-12.4",
    "sensor.daly_bms_power": "-649.76",
    "sensor.daly_bms_soc": "57.3",
    "sensor.daly_bms_mode": "discharging",
    "sensor.daly_bms_remaining_capacity": "160.44",
    "sensor.daly_bms_remaining_time": "13.0",
    "sensor.daly_bms_cell_voltage_delta": "0.045",
    "sensor.daly_bms_max_voltage_cell": "16",
    "sensor.daly_bms_cycle_count": "42",
    "sensor.daly_bms_stored_energy": "8.214",  # 160.44 Ah at 16 times 3.2 V
    "sensor.daly_bms_usable_capacity": "14.336",
    "binary_sensor.daly_bms_battery_charging": "off",
    "binary_sensor.daly_bms_battery_low": "off",
    "binary_sensor.daly_bms_charge_mosfet": "on",
    "binary_sensor.daly_bms_discharge_mosfet": "on",
    "binary_sensor.daly_bms_problem": "off",
    "sensor.daly_bms_active_alarms": "none",
    "switch.daly_bms_charge_mosfet": "on",
    "sensor.daly_bms_last_command": "none",
    **{f"sensor.daly_bms_cell_{n}_voltage": f"{mv / 1000:g}" for n, mv in CELLS.items()},
}
# promised in docs/HOME-ASSISTANT.md, and some seconds for a busy machine
SILENT_BMS_S = 10 + 5
LOST_BRIDGE_S = 30 + 5
BACK_S = 180  # nothing is promised here, but it is told how long it took


AHEAD = {"energy_charged": 123.456, "energy_discharged": 234.567, "capacity_charged": 2000.0, "capacity_discharged": 3000.0}
NO_ORDERS = (
    "off",
    "OFF ",
    '"OFF"',
    '{"state":"OFF"}',
    "0",
    300 * "X",
    70_000 * "X",
    b"\x00\xff\xfe",
    "",
    "press",
    "101",
    "57,3",
)


class OneBattery(House):
    """BMS, bridge, broker, one who listens, Home Assistant."""

    def __init__(self, folder, program):
        self.folder = folder
        self.bms = SimulatedBms(folder, OPTIONS)
        self.broker = Mosquitto(folder)
        self.subscriber = Subscriber(self.broker.port)
        self.bridge = Bridge(folder, self.bms.path, self.broker.port, 'ALLOW_CONTROL = "charge_mosfet, discharge_mosfet"\n')
        automations = (DOCS / "automations.yaml").read_text().replace("minutes:", "seconds:")  # nobody waits here
        dashboards = (
            "lovelace:\n  dashboards:\n    daly-bms:\n      mode: yaml\n      title: Battery\n      filename: battery.yaml\n"
        )
        self.ha = HomeAssistant(program, folder / "ha", dashboards, automations)
        (self.ha.folder / "battery.yaml").write_text((DOCS / "dashboard.yaml").read_text())

    def stop(self):
        self.ha.stop()
        self.bridge.stop()
        self.subscriber.stop()
        self.broker.kill()
        self.bms.stop()

    def battery(self):
        """States of those that depend on the battery's being heard."""
        elsewhere = ("_bridge_", "daly_bms_connection", "_last_command")
        return {name: state for name, state in self.shown().items() if not any(part in name for part in elsewhere)}

    def connects(self):
        """How often the bridge has connected to the broker, as it says itself."""
        return json.loads(self.subscriber.latest("t/state"))["mqtt_connects"]

    def event(self):
        """(when, its attributes) of the last event that Home Assistant knows of."""
        found = self.ha.request("GET", "/api/states/event.daly_bms_alarm")
        return found["state"], found["attributes"]

    def events(self):
        """Payloads of all events so far."""
        return [text for topic, text, _ in self.subscriber.received if topic == "t/bms1/event"]

    def links(self):
        """The link of each device by its name, None where it has none."""
        return {found["name"]: found["configuration_url"] for found in self.ha.command("config/device_registry/list")}

    def notifications(self):
        """Messages of Home Assistant's own notifications, by their id."""
        return {found["notification_id"]: found["message"] for found in self.ha.command("persistent_notification/get")}

    def wait_for(self, states, seconds):
        """The same for states that entities must have."""
        return self.wait(lambda: states.items() <= self.shown().items(), seconds)

    def is_all_known(self):
        states = [state for name, state in self.shown().items() if not name.startswith("button.")]
        return len(states) > 40 and not {"unknown", "unavailable"} & set(states)

    def is_battery_unavailable(self):
        return set(self.battery().values()) == {"unavailable"}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from living(OneBattery, tmp_path_factory.mktemp("house"))


def test_every_entity_that_is_announced_is_there(house, told):
    house.wait(house.is_all_known, BACK_S)
    announced = {}
    for topic, text, _ in house.subscriber.received:
        if topic.endswith("/config") and text:
            announced.update({e["uniq_id"]: e for e in json.loads(text)["cmps"].values() if len(e) > 1})
    made = {entry["unique_id"]: entry["entity_id"] for entry in house.ha.entities()}
    assert made == {key: entity["def_ent_id"] for key, entity in announced.items()}
    told(f"{len(made)} entities, {len(house.shown())} of them enabled")


def test_states_are_what_the_bms_says(house):
    house.wait_for(EXPECTED, BACK_S)


def test_a_silent_bms_is_unavailable_and_the_bridge_is_not(house, told):
    house.bms.set("silent=1")
    took = house.wait(house.is_battery_unavailable, SILENT_BMS_S)
    told(f"silent BMS unavailable after {took:.1f} s")
    rest = {name: state for name, state in house.shown().items() if name not in house.battery()}
    assert len(rest) >= 5 and "unavailable" not in rest.values()
    house.wait(lambda: not house.shown()["sensor.daly_bms_connection"].startswith("OK"), 5)
    house.bms.set("silent=0")
    told(f"back after {house.wait(house.is_all_known, BACK_S):.1f} s")


def test_a_bridge_without_power_is_unavailable(house, told):
    house.bridge.kill()
    took = house.wait(lambda: set(house.shown().values()) == {"unavailable"}, LOST_BRIDGE_S)
    house.bridge.start()
    told(f"killed bridge unavailable after {took:.1f} s, back after {house.wait(house.is_all_known, BACK_S):.1f} s")


def test_a_bridge_without_a_network_is_unavailable(house, told):
    house.bridge.freeze()
    took = house.wait(lambda: set(house.shown().values()) == {"unavailable"}, LOST_BRIDGE_S)
    house.bridge.thaw()
    told(f"frozen bridge unavailable after {took:.1f} s, back after {house.wait(house.is_all_known, BACK_S):.1f} s")


def test_all_is_back_after_home_assistant_restarts(house, told):
    house.ha.stop()
    house.ha.start()
    told(f"all states {house.wait(house.is_all_known, BACK_S):.1f} s after Home Assistant's restart")
    house.wait_for(EXPECTED, BACK_S)


def test_all_is_back_after_the_broker_restarts_with_nothing_retained(house, told):
    house.broker.kill()
    house.wait(lambda: set(house.shown().values()) == {"unavailable"}, LOST_BRIDGE_S)
    house.broker.start()
    told(f"all states {house.wait(house.is_all_known, BACK_S):.1f} s after the broker's restart")


def test_the_battery_is_charging_while_the_mode_says_so(house):
    house.bms.set("current=20")
    house.wait_for({"binary_sensor.daly_bms_battery_charging": "on", "sensor.daly_bms_mode": "charging"}, 15)
    house.bms.set("current=0")
    house.wait_for({"binary_sensor.daly_bms_battery_charging": "off", "sensor.daly_bms_mode": "idle"}, 15)
    house.bms.set("current=-12.4")
    house.wait_for({"binary_sensor.daly_bms_battery_charging": "off", "sensor.daly_bms_mode": "discharging"}, 15)


def test_an_alarm_is_one_event_when_it_begins_and_one_when_it_ends_whatever_restarts_meanwhile(house, told):
    low = {"binary_sensor.daly_bms_battery_low": "on", "binary_sensor.daly_bms_problem": "on"}
    assert house.event()[0] == "unknown" and house.events() == []  # nothing above was one
    house.bms.set("alarms=soc_low_2")
    told(f"event after {house.wait(lambda: house.event()[1]['event_type'] is not None, 15):.1f} s")
    house.wait_for(low, 5)
    began = house.event()
    seen = {key: began[1][key] for key in ("event_type", "alarm", "level")}
    assert seen == {"event_type": "protection", "alarm": "State of charge low", "level": "protection"}
    house.bridge.kill()
    house.wait(lambda: set(house.shown().values()) == {"unavailable"}, LOST_BRIDGE_S)
    assert house.event() == began  # what the device has told stays told
    house.bridge.start()
    house.wait(house.is_all_known, BACK_S)
    house.broker.kill()
    house.wait(lambda: house.event()[0] == "unavailable", LOST_BRIDGE_S)
    house.broker.start()
    house.wait(house.is_all_known, BACK_S)
    house.bms.set("silent=1")
    house.wait(house.is_battery_unavailable, SILENT_BMS_S)
    house.bms.set("silent=0")
    house.wait(house.is_all_known, BACK_S)
    house.ha.stop()
    house.ha.start()
    house.wait(lambda: house.is_all_known() and low.items() <= house.shown().items(), BACK_S)
    assert len(house.events()) == 1
    assert house.event() == began
    house.bms.set("alarms=")
    house.wait(lambda: house.event()[1]["event_type"] == "cleared", 15)
    assert house.event()[0] > began[0] and house.event()[1]["alarm"] == "State of charge low"
    time.sleep(11)  # longer than between two repeated states
    assert len(house.events()) == 2
    late = Subscriber(house.broker.port, topics="t/bms1/event")
    time.sleep(1)
    assert late.received == []  # nothing is retained
    late.stop()


def test_a_switch_is_carried_out_and_read_back(house, told):
    before = house.bms.writes()
    for word in ("off", "on"):
        house.ha.call("switch.turn_" + word, entity_id="switch.daly_bms_charge_mosfet")
        wanted = {"switch.daly_bms_charge_mosfet": word, "binary_sensor.daly_bms_charge_mosfet": word}
        wanted["sensor.daly_bms_last_command"] = f"Charge MOSFET {word}: done"
        told(f"switch {word} after {house.wait_for(wanted, 10):.1f} s")
        time.sleep(2.5)  # orders are not taken sooner
    assert len(house.bms.writes()) == len(before) + 2


def test_a_switch_that_the_bms_ignores_shows_the_truth(house):
    house.bms.set("ignore_writes=1")
    house.ha.call("switch.turn_off", entity_id="switch.daly_bms_charge_mosfet")
    house.wait(lambda: "not confirmed" in house.shown()["sensor.daly_bms_last_command"], 15)
    assert house.shown()["switch.daly_bms_charge_mosfet"] == "on"
    house.bms.set("ignore_writes=0")


def test_retained_commands_are_ignored_and_cleared(house):
    writes = len(house.bms.writes())
    house.bridge.kill()
    for name in ("charge_mosfet", "discharge_mosfet"):
        house.subscriber.publish(f"t/bms1/{name}/set", "OFF", retain=True)
    house.bridge.start()
    house.wait(house.is_all_known, BACK_S)
    time.sleep(5)
    assert len(house.bms.writes()) == writes
    assert house.shown()["switch.daly_bms_discharge_mosfet"] == "on"
    late = Subscriber(house.broker.port, topics="t/bms1/+/set")
    time.sleep(1)
    assert late.received == []
    late.stop()


def test_nothing_but_the_exact_words_is_an_order(house):
    house.wait(house.is_all_known, BACK_S)
    writes, connects = len(house.bms.writes()), house.connects()
    for name in ("bms1/charge_mosfet", "bms1/discharge_mosfet", "bms1/soc", "bms1/restart", "restart"):
        for text in NO_ORDERS:
            house.subscriber.publish(f"t/{name}/set", text)
    house.wait(lambda: "is understood, not" in house.shown()["sensor.daly_bms_last_command"], 15)
    time.sleep(11)  # the bridge's own state comes every ten seconds
    assert len(house.bms.writes()) == writes and house.connects() == connects


def test_the_energy_goes_on_where_it_is_known_best(house, told):
    """The chip's memory is lost, and the broker knows; then the broker forgets, and the chip knows."""

    def counted():
        return float(house.shown()["sensor.daly_bms_energy_discharged"])

    house.bridge.kill()
    house.wait(lambda: set(house.shown().values()) == {"unavailable"}, LOST_BRIDGE_S)
    house.bridge.nvm.unlink()
    house.subscriber.publish("t/bms1/energy", json.dumps(AHEAD).replace(".0", ".000").replace(" ", ""), retain=True)
    house.bridge.start()
    house.wait(house.is_all_known, BACK_S)
    assert AHEAD["energy_discharged"] <= counted() < AHEAD["energy_discharged"] + 0.1
    house.bridge.kill()
    house.broker.kill()
    house.wait(lambda: set(house.shown().values()) == {"unavailable"}, LOST_BRIDGE_S)
    house.broker.start()
    house.bridge.start()
    house.wait(house.is_all_known, BACK_S)
    assert AHEAD["energy_discharged"] <= counted() < AHEAD["energy_discharged"] + 0.1
    told(f"energy {counted()} kWh")


def test_cells_that_are_gone_are_removed(house):
    def cells():
        names = {entry["entity_id"] for entry in house.ha.entities()}
        return {n for n in range(1, 49) if f"sensor.daly_bms_cell_{n}_voltage" in names}

    for count in (8, 16):
        house.bms.set(f"cells={count}")
        house.wait(lambda: cells() == set(range(1, count + 1)), 60)  # noqa: B023
        house.wait(house.is_all_known, BACK_S)


def test_the_dashboard_names_entities_that_there_are(house):
    found = set()

    def look(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("entity", "entity_id") and isinstance(value, str):
                    found.add(value)
                look(value)
        elif isinstance(node, list):
            for item in node:
                if isinstance(item, str) and item.startswith(("sensor.", "binary_sensor.")):
                    found.add(item)
                look(item)

    dashboard = house.ha.command("lovelace/config", url_path="daly-bms")
    look(dashboard)
    assert len(dashboard["views"]) >= 1 and len(found) > 20
    assert found - house.ha.states().keys() == set()


def test_the_automations_are_at_work(house):
    states = {name: state for name, state in house.ha.states().items() if name.startswith("automation.")}
    assert len(states) >= 5 and set(states.values()) == {"on"}


# option of the BMS that makes an automation speak up -> the option that ends it, and what is said
TROUBLES = {
    "cell_imbalance": ("cell_mv=1:3100", f"cell_mv={MILLIVOLTS}", "and cell 1 (3.1 V)"),
    "low": ("soc=12", "soc=57.3", "12.0 % left"),
    "problem": ("alarms=soc_low_2", "alarms=", "State of charge low (protection)"),
    "no_response": ("asleep=1", "asleep=0", ""),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_an_automation_speaks_up(house, name):
    house.wait(house.is_all_known, BACK_S)
    trouble, end, words = TROUBLES[name]
    house.bms.set(trouble)
    house.wait(lambda: f"daly_bms_{name}" in house.notifications(), 90)
    assert words in house.notifications()[f"daly_bms_{name}"]
    house.bms.set(end)


def test_an_automation_speaks_up_when_the_bridge_is_offline(house):
    house.wait(house.is_all_known, BACK_S)
    house.bridge.kill()
    house.wait(lambda: "daly_bms_bridge_offline" in house.notifications(), 60)
    house.bridge.start()
    house.wait(house.is_all_known, BACK_S)


def test_the_bridge_links_to_its_page_where_it_has_one(house):
    assert house.links()["Daly BMS bridge"] is None
    house.bridge.stop()
    with (house.folder / "settings.toml").open("a") as file:
        file.write(f"WEB_PORT = {free_port()}\n")
    house.bridge.start()
    house.wait(lambda: house.links()["Daly BMS bridge"] is not None, BACK_S)
    with urllib.request.urlopen(house.links()["Daly BMS bridge"], timeout=30) as response:
        assert b"<title>" in response.read()
    assert house.links()["Daly BMS"] is None


def test_what_is_not_allowed_any_more_is_removed(house):
    house.bridge.stop()
    file = house.folder / "settings.toml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("ALLOW_CONTROL")))
    house.bridge.start()
    house.wait(lambda: not [e for e in house.ha.entities() if e["entity_id"].startswith("switch.")], 60)
    assert "sensor.daly_bms_last_command" not in house.shown()


def test_home_assistant_had_nothing_to_complain_of(house):
    assert house.ha.warnings() == []
