# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Outputs, thermometers, a Victron device and the supply in a real Home Assistant. The tests are steps of one story."""

import json
import re
import time

import pytest
from home_assistant import DOCS
from house import HouseWithShunt, living
from mosquitto import Subscriber
from processes import Bridge

pytestmark = pytest.mark.timeout(600)

SETTINGS = """\
CIRCUITPY_WIFI_SSID = "shed"
CURRENT_SIGN = "normal"
ALLOW_CONTROL = "outputs"
OUTPUT_1 = "Water heater: IO8 on when soc > 80 off when soc < 60, off for at least 2 s"
OUTPUT_2 = "IO9 on when ds18b20.boiler > 50, active low, on for at least 1 s, off for at least 1 s, unknown = off after 5 s"
DS18B20_NAMES = "28ff641e8216c3=boiler"
"""
UNPLUGGED_S = 40  # after the bridge's start the boiler's thermometer is gone
SENSORS = f"--sensor ds18b20=55.5,until={UNPLUGGED_S} --sensor ds18b20=4.5 --sensor supply=13.1".split()
BOILER, OTHER = "sensor.daly_bms_temperatures_28ff641e8216c3", "sensor.daly_bms_temperatures_28ff641e8216c4"
HEATER, SECOND = "daly_bms_bridge_outputs_output_1", "daly_bms_bridge_outputs_output_2"

LAST = "sensor.daly_bms_cell_16_voltage"  # of what is announced after all that stands here

BRIDGE, TEMPERATURES, SHUNT = "Daly BMS bridge", "Daly BMS temperatures", "Daly BMS SmartShunt"
# id -> device, name there, unit, device class, category, state at first
EXPECTED = {
    f"binary_sensor.{HEATER}": (BRIDGE, "Water heater", None, None, None, "off"),
    f"select.{HEATER}_mode": (BRIDGE, "Water heater mode", None, None, None, "auto"),
    f"sensor.{HEATER}_reason": (
        BRIDGE, "Water heater reason", None, None, "diagnostic", "off: soc 70.0 % is not above 80 %",
    ),
    f"binary_sensor.{SECOND}": (BRIDGE, "Output 2", None, None, None, "on"),
    f"select.{SECOND}_mode": (BRIDGE, "Output 2 mode", None, None, None, "auto"),
    f"sensor.{SECOND}_reason": (
        BRIDGE, "Output 2 reason", None, None, "diagnostic", "on: ds18b20.boiler 55.5 °C is above 50 °C",
    ),
    "sensor.daly_bms_bridge_supply_voltage": (BRIDGE, "Supply voltage", "V", "voltage", None, "13.1"),
    BOILER: (TEMPERATURES, "boiler", "°C", "temperature", None, "55.5"),
    "sensor.daly_bms_temperatures_28ff641e8216c4": (
        TEMPERATURES, "Temperature ff641e8216c4", "°C", "temperature", None, "4.5",
    ),
    "sensor.daly_bms_temperatures_problem": (TEMPERATURES, "Problem", None, None, "diagnostic", "none"),
    "sensor.daly_bms_smartshunt_problem": (SHUNT, "Problem", None, None, "diagnostic", "none"),
    "sensor.daly_bms_smartshunt_voltage": (SHUNT, "Voltage", "V", "voltage", None, "26.542"),
    "sensor.daly_bms_smartshunt_current": (SHUNT, "Current", "A", "current", None, "-5.12"),
    "sensor.daly_bms_smartshunt_power": (SHUNT, "Power", "W", "power", None, "-136"),
    "sensor.daly_bms_smartshunt_soc": (SHUNT, "State of charge", "%", "battery", None, "87.3"),
    "sensor.daly_bms_smartshunt_time_to_go": (SHUNT, "Time to go", "min", "duration", None, "2044"),
    "sensor.daly_bms_smartshunt_charged_energy": (SHUNT, "Charged energy", "kWh", "energy", "diagnostic", "52.3"),
    "binary_sensor.daly_bms_smartshunt_alarm": (SHUNT, "Alarm", None, "problem", None, "off"),
}  # fmt: skip
START_S = 90
UNAVAILABLE_S = 60  # after a sensor is unplugged
LOST_BRIDGE_S = 30 + 5
BACK_S = 45


class Shed(HouseWithShunt):
    """With a bridge that has outputs, thermometers and its supply measured."""

    def plug_in(self):
        """Start the bridge: last, as one thermometer is only there for a while."""
        options = ("--no-oled", "--vedirect", self.shunt.path, *SENSORS)
        self.bridge = Bridge(self.folder, self.bms.path, self.broker.port, SETTINGS, options=options)
        self.begun = time.monotonic()

    def is_known(self, besides=()):
        """Whether all have a state, `besides` these ids."""
        states = {name: state for name, state in self.shown().items() if not name.startswith("button.")}
        unknown = {name for name, state in states.items() if state in ("unknown", "unavailable")}
        return states.keys() >= EXPECTED.keys() | {LAST} and unknown <= set(besides)

    def announced(self):
        """Entity ids of all that has been announced, by unique id."""
        found = {}
        for topic, text, _ in self.subscriber.received:
            if topic.endswith("/config") and text:
                entities = [entity for entity in json.loads(text)["cmps"].values() if len(entity) > 1]
                found.update({entity["uniq_id"]: entity["def_ent_id"] for entity in entities})
        return found

    def made(self):
        return {entry["unique_id"]: entry["entity_id"] for entry in self.ha.entities()}

    def devices(self):
        """Those that MQTT has made, by name."""
        found = self.ha.command("config/device_registry/list")
        return {device["name"]: device for device in found if any(name == "mqtt" for name, _ in device["identifiers"])}

    def of_shunt(self):
        return {name: state for name, state in self.shown().items() if "_smartshunt_" in name}

    def choose(self, mode):
        self.ha.call("select.select_option", entity_id=f"select.{SECOND}_mode", option=mode)

    def wait_for(self, states, seconds):
        return self.wait(lambda: states.items() <= self.shown().items(), seconds)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    for house in living(Shed, tmp_path_factory.mktemp("house")):
        house.plug_in()
        yield house


def test_every_entity_is_there_and_has_a_state(house, told):
    told(f"all known after {house.wait(house.is_known, START_S):.1f} s")
    house.wait_for({name: row[-1] for name, row in EXPECTED.items()}, 15)
    house.wait(lambda: house.made() == house.announced(), 15)
    told(f"{len(house.made())} entities, {len(house.shown())} of them enabled")


def test_each_has_its_name_unit_class_and_device(house):
    names = {device["id"]: name for name, device in house.devices().items()}
    entries = {entry["entity_id"]: entry for entry in house.ha.entities()}
    states = {entity["entity_id"]: entity["attributes"] for entity in house.ha.request("GET", "/api/states")}
    seen = {}
    for name in EXPECTED:
        attributes, device = states[name], names[entries[name]["device_id"]]
        own_name = attributes["friendly_name"].removeprefix(device + " ")
        category, of_class = entries[name]["entity_category"], attributes.get("device_class")
        seen[name] = (device, own_name, attributes.get("unit_of_measurement"), of_class, category)
    assert seen == {name: row[:-1] for name, row in EXPECTED.items()}
    assert states[f"select.{HEATER}_mode"]["options"] == ["auto", "on", "off"]
    assert states["sensor.daly_bms_smartshunt_charged_energy"]["state_class"] == "total_increasing"


def test_the_sensors_are_devices_behind_the_bridge(house):
    devices = house.devices()
    assert set(devices) == {BRIDGE, "Daly BMS", TEMPERATURES, SHUNT}
    assert {devices[name]["via_device_id"] for name in (TEMPERATURES, SHUNT)} == {devices[BRIDGE]["id"]}
    assert (devices[TEMPERATURES]["model"], devices[SHUNT]["model"]) == ("DS18B20", "SmartShunt 500A/50mV")


def test_the_card_in_the_documentation_names_entities_that_there_are(house):
    named = re.findall(r"entity: (\w+\.daly_bms_bridge_outputs_\w+)", (DOCS.parent / "HOME-ASSISTANT.md").read_text())
    assert len(named) == 3 and set(named) <= house.shown().keys()


def test_an_output_follows_whom_a_person_chooses(house, told):
    for mode, state, reason in (
        ("off", "off", "off: switched by hand for 60 more minutes"),
        ("on", "on", "on: switched by hand for 60 more minutes"),
        ("auto", "on", "on: ds18b20.boiler 55.5 °C is above 50 °C"),
    ):
        house.choose(mode)
        wanted = {f"select.{SECOND}_mode": mode, f"binary_sensor.{SECOND}": state, f"sensor.{SECOND}_reason": reason}
        told(f"{mode} after {house.wait_for(wanted, 10):.1f} s")


def test_a_thermometer_that_is_unplugged_is_unavailable_and_the_other_one_is_not(house, told):
    house.wait(lambda: time.monotonic() >= house.begun + UNPLUGGED_S, UNPLUGGED_S)
    took = house.wait(lambda: house.shown()[BOILER] == "unavailable", UNAVAILABLE_S)
    told(f"unplugged thermometer unavailable after {took:.1f} s")
    shown = house.shown()
    assert shown["sensor.daly_bms_temperatures_28ff641e8216c4"] == "4.5"
    assert shown["sensor.daly_bms_temperatures_problem"] == "boiler: no valid answer"
    house.wait(lambda: house.shown()[f"binary_sensor.{SECOND}"] == "off", 15)
    assert house.shown()[f"sensor.{SECOND}_reason"].startswith("off: ds18b20.boiler is unknown")


def test_a_shunt_that_is_unplugged_is_unavailable(house, told):
    house.shunt.set("silent=1")

    def is_lost():
        return {state for name, state in house.of_shunt().items() if not name.endswith("_problem")} == {"unavailable"}

    told(f"unplugged SmartShunt unavailable after {house.wait(is_lost, UNAVAILABLE_S):.1f} s")
    reason = {"sensor.daly_bms_smartshunt_problem": "nothing received: check plug, ground and the RX pin"}
    told(f"the reason {house.wait_for(reason, 15):.1f} s later")
    house.shunt.set("silent=0")
    told(f"back after {house.wait(lambda: house.is_known([BOILER]), BACK_S):.1f} s")


def test_a_rule_switches(house):
    house.bms.set("soc=85")
    reason = "on: soc 85.0 % is above 80 %"
    house.wait_for({f"binary_sensor.{HEATER}": "on", f"sensor.{HEATER}_reason": reason}, 15)


def test_a_bridge_without_power_is_unavailable_and_a_retained_command_switches_nothing(house, told):
    house.bridge.kill()
    took = house.wait(lambda: set(house.shown().values()) == {"unavailable"}, LOST_BRIDGE_S)
    house.subscriber.publish("t/outputs/1/set", "off", retain=True)
    house.bridge.start()
    told(f"killed bridge unavailable after {took:.1f} s, back after {house.wait(house.is_known, START_S):.1f} s")
    house.wait_for({f"binary_sensor.{HEATER}": "on", f"select.{HEATER}_mode": "auto"}, 15)
    late = Subscriber(house.broker.port, topics="t/outputs/+/set")
    time.sleep(1)
    assert late.received == []
    late.stop()


def test_all_is_back_after_home_assistant_restarts(house, told):
    house.ha.stop()
    house.ha.start()
    took = house.wait(lambda: house.is_known([BOILER]), BACK_S)
    told(f"all states {took:.1f} s after Home Assistant's restart")


def test_what_the_broker_keeps_and_how_much_is_published(house, told):
    begun, before = time.monotonic(), len(house.subscriber.received)
    time.sleep(30)
    published = [(topic, len(topic) + len(text)) for topic, text, _ in house.subscriber.received[before:]]
    seconds = time.monotonic() - begun
    ours = ("t/outputs/", "t/temperatures/", "t/vedirect1/", "t/supply/")
    told(f"{len(published)} messages, {sum(size for _, size in published)} bytes in {seconds:.0f} s; of outputs and sensors:")
    for start in ours:
        sizes = [size for topic, size in published if topic.startswith(start)]
        told(f"    {start} {len(sizes)} messages, {sum(sizes)} bytes")
        assert 2 <= len(sizes) <= 3 + seconds
    newcomer = Subscriber(house.broker.port)
    time.sleep(2)
    kept = [(topic, len(topic) + len(text)) for topic, text, retained in newcomer.received if retained]
    newcomer.stop()
    parts = [
        topic for topic, _ in kept if any(f"_{part}" in topic for part in ("outputs", "temperatures", "vedirect1", "supply"))
    ]
    size = sum(size for topic, size in kept if topic in parts)
    told(f"retained: {len(kept)} messages, {sum(size for _, size in kept)} bytes; of these {len(parts)}, {size} bytes")
    assert not [topic for topic, _ in kept if topic.startswith(ours)]


def test_what_is_not_allowed_any_more_is_removed_and_comes_back(house):
    house.bridge.stop()
    file = house.folder / "settings.toml"
    settings = file.read_text()
    file.write_text("\n".join(line for line in settings.splitlines() if not line.startswith("ALLOW_CONTROL")))
    house.bridge.start()
    house.wait(lambda: not [name for name in house.made().values() if name.startswith("select.")], 60)
    modes = {f"sensor.{HEATER}_mode": "auto", f"sensor.{SECOND}_mode": "auto"}
    house.wait_for(modes, 30)
    (house.folder / "settings.toml").write_text(settings)
    house.bridge.stop()
    house.bridge.start()
    house.wait(lambda: not modes.keys() & set(house.made().values()), 60)
    house.wait_for({f"select.{HEATER}_mode": "auto", f"select.{SECOND}_mode": "auto"}, 30)


def test_home_assistant_had_nothing_to_complain_of(house):
    assert house.ha.warnings() == []


def test_an_output_that_the_settings_do_not_name_any_more_goes(house):
    """First one of two, then the last one; all else stays."""
    file = house.folder / "settings.toml"
    for number, output in ((1, HEATER), (2, SECOND)):
        gone = {name for name in EXPECTED if output in name}
        kept = house.shown().keys() - gone
        house.bridge.stop()
        file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith(f"OUTPUT_{number}")))
        house.bridge.start()
        house.wait(lambda gone=gone: not gone & set(house.made().values()), START_S)
        house.wait(lambda kept=kept: kept <= house.shown().keys() and "unavailable" not in house.shown()[LAST], START_S)
    late = Subscriber(house.broker.port)
    time.sleep(1)
    assert not [topic for topic, _, _ in late.received if "outputs" in topic]
    late.stop()
    assert house.ha.warnings() == []


def test_what_is_no_more_goes_with_its_device_and_all_else_comes_back(house):
    """As docs/HOME-ASSISTANT.md advises. Last of all: Home Assistant warns of the messages that it clears itself."""
    house.bridge.stop()
    device = house.devices()[TEMPERATURES]
    for entry in device["config_entries"]:
        house.ha.command("config/device_registry/remove_config_entry", device_id=device["id"], config_entry_id=entry)
    at = house.bridge.command.index("ds18b20=4.5")
    del house.bridge.command[at - 1 : at + 1]
    house.bridge.start()
    house.wait(lambda: BOILER in house.shown(), START_S)
    time.sleep(3)
    assert OTHER not in house.shown()
