# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Four batteries of 16 cells on one bridge, and their bank, in a real Home Assistant. The tests are steps of one story."""

import json
import time
from decimal import ROUND_HALF_UP, Decimal

import pytest
from home_assistant import HomeAssistant
from house import House, living
from mosquitto import Mosquitto, Subscriber
from processes import Bridge, SimulatedBms

pytestmark = pytest.mark.timeout(900)

# Three boards on the first line, one of which speaks P81, and one of D2 on the second; each with its own charge and current.
FIRST_LINE = "boards=3,drift=0,cells=16,soc=51.3,current=-12.4,soc@2=62.1,current@2=-7.5,capacity@2=200"
FIRST_LINE += ",protocol@3=p81,soc@3=73.4,current@3=3.2"
SECOND_LINE = "drift=0,cells=16,protocol=d2,soc=84.5,current=-9.1,temperature=27,seed=9"
SETTINGS = (
    'BMS_BOARD_NUMBERS = "1-3"\nBMS_2_NAME = "Garage"\nUART_2_TX = "IO17"\nUART_2_RX = "IO18"\nUART_2_BOARD_NUMBERS = "1"\n'
)
SETTINGS += 'CURRENT_SIGN = "normal"\n'
NAMES = {"bms1": "Daly BMS", "bms2": "Garage", "bms3": "Daly BMS 3", "bms201": "Daly BMS 201"}
OBJECTS = {"bms1": "daly_bms", "bms2": "garage", "bms3": "daly_bms_3", "bms201": "daly_bms_201"}
EXPECTED = {  # soc, current
    "bms1": ("51.3", "-12.4"),
    "bms2": ("62.1", "-7.5"),
    "bms3": ("73.4", "3.2"),
    "bms201": ("84.5", "-9.1"),
}
SUMS = (
    "current",
    "power",
    "remaining_capacity",
    "rated_capacity",
    "energy_charged",
    "energy_discharged",
    "capacity_discharged",
    "stored_energy",
    "usable_capacity",
)
START_S = 180
SILENT_BMS_S = 15 + 5
QUIET_S = 8


class FourBatteries(House):
    """Four BMS on two lines, bridge, broker, one who listens, Home Assistant."""

    def __init__(self, folder, program):
        lines = [folder / "first", folder / "second"]
        for line in lines:
            line.mkdir()
        self.first, self.second = SimulatedBms(lines[0], FIRST_LINE), SimulatedBms(lines[1], SECOND_LINE)
        self.broker = Mosquitto(folder, lines=["sys_interval 1"])
        self.subscriber = Subscriber(self.broker.port)
        self.dropped = Subscriber(self.broker.port, topics="$SYS/broker/publish/messages/dropped")
        self.bridge = Bridge(folder, self.first.path, self.broker.port, SETTINGS, options=("--uart", self.second.path))
        self.ha = HomeAssistant(program, folder / "ha")

    def stop(self):
        self.ha.stop()
        self.bridge.stop()
        self.subscriber.stop()
        self.dropped.stop()
        self.broker.kill()
        self.first.stop()
        self.second.stop()

    def of(self, start):
        """Those whose id begins so behind the domain, by the rest of it."""
        start += "_"
        return {
            name.partition(".")[2].removeprefix(start): state
            for name, state in self.shown().items()
            if name.partition(".")[2].startswith(start)
        }

    def wrong(self):
        return self.unknown() or self.shown()

    def unknown(self):
        """The entities whose state is not known."""
        states = {name: state for name, state in self.shown().items() if not name.startswith("button.")}
        return {name: state for name, state in states.items() if state in ("unknown", "unavailable")}

    def is_all_known(self):
        return all(self.cells(start) == 16 for start in OBJECTS.values()) and not self.unknown()

    def cells(self, start):
        """How many cells with a voltage this battery has."""
        found = [name for name in self.of(start) if name.startswith("cell_") and name.endswith("_voltage")]
        return sum(name[len("cell_") : -len("_voltage")].isdigit() for name in found)

    def discovery(self):
        """(topic, text) of all discovery messages so far."""
        return [(topic, text) for topic, text, _ in self.subscriber.received if topic.endswith("/config") and text]

    def is_settled(self):
        """Whether all is known and nothing has been discovered for some seconds."""
        before = len(self.discovery())
        time.sleep(QUIET_S)
        return self.is_all_known() and len(self.discovery()) == before

    def devices(self):
        """Those that MQTT has made, by name."""
        found = self.ha.command("config/device_registry/list")
        return {device["name"]: device for device in found if any(name == "mqtt" for name, _ in device["identifiers"])}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from living(FourBatteries, tmp_path_factory.mktemp("house"))


def test_every_entity_of_every_battery_is_there(house, told):
    told(f"all known after {house.wait(house.is_all_known, START_S):.1f} s")
    house.wait(house.is_settled, START_S)
    announced = {}
    for _, text in house.discovery():
        announced.update({e["uniq_id"]: e for e in json.loads(text)["cmps"].values() if len(e) > 1})
    made = {entry["unique_id"]: entry["entity_id"] for entry in house.ha.entities()}
    assert made == {key: entity["def_ent_id"] for key, entity in announced.items()}
    told(f"{len(made)} entities, {len(house.shown())} of them enabled")


def test_every_battery_and_the_bank_are_devices_behind_the_bridge(house):
    devices = house.devices()
    batteries = {device["name"]: device["identifiers"][0][1] for device in devices.values() if device["via_device_id"]}
    expected = {name: key for key, name in NAMES.items()} | {"Daly BMS bank": "bank"}
    assert {name: identifier.rpartition("_")[2] for name, identifier in batteries.items()} == expected
    bridges = [device for device in devices.values() if not device["via_device_id"]]
    assert len(bridges) == 1 and {devices[name]["via_device_id"] for name in batteries} == {bridges[0]["id"]}


def test_every_battery_says_its_own(house):
    for key, (soc, current) in EXPECTED.items():
        states = house.of(OBJECTS[key])
        assert (key, states["soc"], states["current"]) == (key, soc, current)
        assert (house.cells(OBJECTS[key]), states["problem"]) == (16, "off")


def test_the_bank_is_their_sum_to_the_last_digit(house):
    """In every message: the batteries' latest messages before it are what it is made of."""
    latest, looked = {}, 0
    for topic, text, _ in house.subscriber.received:
        _, key, name = ("/" + topic).rsplit("/", 2)
        if name in ("state", "info") and key in NAMES:
            latest.setdefault(key, {}).update(json.loads(text, parse_float=Decimal, parse_int=Decimal))
        elif name == "state" and key == "bank" and latest.keys() == NAMES.keys():
            bank = json.loads(text, parse_float=Decimal, parse_int=Decimal)
            if bank["current"] is not None:
                assert_is_sum(bank, list(latest.values()))
                looked += 1
    assert looked > 3
    states = house.of("daly_bms_bank")
    assert states["batteries_online"] == "4 of 4" and states["missing"] == "none" and states["battery_count"] == "4"
    assert states["current"] == "-25.8" and states["rated_capacity"] == "1040.0"
    assert states["max_temperature_battery"] == "BMS 201"


def assert_is_sum(bank, parts):
    for key in SUMS:
        known = [part[key] for part in parts if part.get(key) is not None]
        assert (key, bank[key]) == (key, sum(known) if len(known) == len(parts) else None)
    if bank["rated_capacity"] is None:
        assert bank["soc"] is None
        return
    weighted = sum(part["soc"] * part["rated_capacity"] for part in parts) / sum(part["rated_capacity"] for part in parts)
    assert bank["soc"] == weighted.quantize(Decimal("0.1"), ROUND_HALF_UP)
    assert bank["max_cell_voltage"] == max(part["max_cell_voltage"] for part in parts)
    assert bank["min_cell_voltage"] == min(part["min_cell_voltage"] for part in parts)
    assert bank["cell_voltage_delta"] == bank["max_cell_voltage"] - bank["min_cell_voltage"]
    assert bank["max_temperature"] == max(part["max_temperature"] for part in parts)


def test_a_silent_battery_takes_its_sums_with_it_and_nothing_of_the_others(house, told):
    house.first.set("silent@2=1")
    garage = OBJECTS["bms2"]
    took = house.wait(lambda: house.of(garage)["soc"] == "unavailable", SILENT_BMS_S)
    told(f"silent battery unavailable after {took:.1f} s")
    house.wait(lambda: house.of("daly_bms_bank")["batteries_online"] == "3 of 4", 10)
    bank = house.of("daly_bms_bank")
    assert {bank[key] for key in (*SUMS, "soc", "pack_voltage", "max_cell_voltage")} == {"unavailable"}
    assert bank["missing"].startswith("Garage: ")
    others = [name for key in ("bms1", "bms3", "bms201") for name in [OBJECTS[key]]]
    assert all(house.of(name)["soc"] not in ("unavailable", "unknown") for name in others)
    house.first.set("silent@2=0")
    told(f"back after {house.wait(house.is_all_known, START_S):.1f} s")


def test_all_is_back_after_home_assistant_restarts(house, told):
    house.ha.stop()
    house.ha.start()
    told(f"all states {house.wait(house.is_all_known, START_S):.1f} s after Home Assistant's restart")
    for key, (soc, _) in EXPECTED.items():
        assert abs(Decimal(house.of(OBJECTS[key])["soc"]) - Decimal(soc)) < 1


def test_what_the_broker_keeps_and_how_much_is_published(house, told):
    begun, before = time.monotonic(), len(house.subscriber.received)
    time.sleep(60)
    published = house.subscriber.received[before:]
    seconds = time.monotonic() - begun
    size = sum(len(topic) + len(text) for topic, text, _ in published)
    told(f"{len(published) / seconds:.1f} messages and {size / seconds:.0f} bytes a second")
    newcomer = Subscriber(house.broker.port)
    time.sleep(2)
    kept = [(topic, len(topic) + len(text)) for topic, text, retained in newcomer.received if retained]
    newcomer.stop()
    discovery = [size for topic, size in kept if topic.endswith("/config")]
    told(f"retained: {len(kept)} messages, {sum(size for _, size in kept)} bytes; discovery {len(discovery)}, {sum(discovery)}")
    assert len(discovery) > 5 * 4
    assert not [topic for topic, _ in kept if topic.endswith(("bms1/state", "bms2/state", "bank/state"))]


def test_nothing_was_dropped(house):
    """Each state has a number: none is missing, and the broker has dropped nothing, for Home Assistant neither."""
    for key in NAMES:
        numbers = [json.loads(text)["seq"] for text in house.subscriber.texts(f"t/{key}/state")]
        assert len(numbers) > 5 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert json.loads(house.subscriber.latest("t/state"))["discovery_errors"] == 0
    assert house.dropped.latest("$SYS/broker/publish/messages/dropped") == "0"


def test_home_assistant_had_nothing_to_complain_of(house):
    assert house.ha.warnings() == []
