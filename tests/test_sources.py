# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on sources, judged by the messages: states, what is unknown, and discovery of rows that come."""

import importlib
import itertools
import json

import board
import pytest
from home_assistant_rules import message_faults
from simulation import Wire, only
from test_outputs import Life

from app.extras_hardware import make
from app.kept import Values
from app.settings import KEPT, Settings
from battery.json import LARGEST, Writer
from battery.readings import DIAGNOSTIC
from battery.sources import binary, enum, number, text
from mqtt.publisher import LoadedDiscovery, Publisher
from mqtt.sleeping import SleepingPublisher
from sensors.vedirect_tables import rows_of

pytestmark = pytest.mark.usefixtures("modules_stay")

STATE = "daly/x/shed/state"


class Shed:
    """A source with two numbers, a switch, words and a choice; all values can be set."""

    key = "shed"
    device = "shed"
    model = "Thermometer"

    def __init__(self):
        self.rows = [
            number("inside", "Inside", "°C", 1, deadband=3, device_class="temperature"),
            number("energy", "Energy", "kWh", 2, device_class="energy", is_total=True),
            binary("door", "Door", icon="door"),
            text("reason", "Reason", icon="text", category=DIAGNOSTIC),
            enum("mode", "Mode", ("auto", "on", "off"), icon="cog", command="/shed/1/set"),
        ]
        self.changes = 0
        self.values = {"inside": 215, "energy": 1234, "door": 0, "reason": "off: soc 42.0 % is below 60", "mode": "auto"}

    def raw(self, key):
        return self.values[key]

    def put(self, **values):
        self.values.update(values)
        self.changes = (self.changes + 1) % 4


class Bridge:
    """A battery, the sources and their publisher; `heard`: (ms, topic, payload, retain) of everything."""

    def __init__(self, *sources, interval_ms=5000, retain=False, kind=Publisher):
        self.wire = Wire("drift=0,current=0")
        batteries = only(self.wire.pack, self.wire.poller)
        names = ("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1.2.3", (), "", True)
        discovery = LoadedDiscovery(Writer(LARGEST), *names, sources=sources)
        self.publisher = kind(
            "daly/x",
            discovery,
            batteries,
            lambda now: (("uptime", 7),),
            interval_ms,
            30000,
            100,
            False,
            retain,
            None,
            False,
            sources,
        )
        self.heard = []
        self.publisher.begin(0)

    def run(self, seconds):
        self.wire.run(seconds, self._listen)
        return self

    def _listen(self, wire):
        message = self.publisher.poll(wire.now)
        if message is not None:
            topic, payload, retain, _ = message
            payload = payload if isinstance(payload, str) else bytes(payload if isinstance(payload, bytes) else payload.bytes())
            self.heard.append((wire.us / 1000, topic, payload if isinstance(payload, str) else payload.decode(), retain))

    def texts(self, topic, since=0):
        return [payload for ms, where, payload, _ in self.heard if where == topic and ms >= since]

    def announced(self, part="daly_c0ffee_shed"):
        found = {}
        for _, topic, payload, retain in self.heard:
            if f"/device/{part}" in topic:
                assert retain and message_faults(topic, payload) == []
                found[topic] = json.loads(payload)
        return found


def test_a_state_has_every_row_with_its_decimals_and_what_is_not_known_is_null():
    shed = Shed()
    shed.values["energy"] = None
    bridge = Bridge(shed).run(5)
    assert bridge.texts(STATE)[0] == (
        '{"inside":21.5,"energy":null,"door":"OFF","reason":"off: soc 42.0 % is below 60","mode":"auto"}'
    )


def test_it_is_published_before_the_bridge_is_online_and_again_every_ten_seconds():
    bridge = Bridge(Shed()).run(35)
    topics = [topic for _, topic, _, _ in bridge.heard]
    assert topics.index(STATE) < topics.index("daly/x/status")
    at = [ms for ms, topic, _, _ in bridge.heard if topic == STATE]
    assert max(later - earlier for earlier, later in itertools.pairwise(at)) < 10500


@pytest.mark.parametrize(("change", "within_ms"), [({"door": 1}, 600), ({"mode": "on"}, 600), ({"inside": None}, 600)])
def test_what_switches_and_what_is_lost_is_told_at_once(change, within_ms):
    shed = Shed()
    bridge = Bridge(shed).run(20)
    now = bridge.wire.us / 1000
    shed.put(**change)
    bridge.run(2)
    told = [ms for ms, topic, _, _ in bridge.heard if topic == STATE and ms >= now]
    assert told and told[0] - now < within_ms


def test_numbers_wait_for_their_interval():
    shed = Shed()
    bridge = Bridge(shed).run(21)
    begun = bridge.wire.us / 1000
    for inside in range(220, 300, 4):
        shed.put(inside=inside)
        bridge.run(1)
    assert 3 <= len(bridge.texts(STATE, begun)) <= 6
    assert json.loads(bridge.run(6).texts(STATE)[-1])["inside"] == 29.6


def test_while_a_number_waits_nothing_is_compared_but_what_is_new():
    shed = Shed()
    bridge = Bridge(shed)
    bridge.run(21)
    shed.put(inside=230)
    bridge.run(1)
    read = []
    shed.raw = lambda key: read.append(key) or shed.values[key]
    bridge.run(2)
    assert read == []
    shed.put(door=1)
    bridge.run(1)
    assert len(read) == len(shed.rows)


def test_within_its_deadband_a_number_is_only_in_the_regular_states():
    shed = Shed()
    bridge = Bridge(shed).run(21)
    begun = bridge.wire.us / 1000
    for second in range(40):
        shed.put(inside=215 + second % 3)
        bridge.run(1)
    assert 3 <= len(bridge.texts(STATE, begun)) <= 5


def test_each_row_is_an_entity_on_a_device_of_its_own():
    message = Bridge(Shed()).run(10).announced()["homeassistant/device/daly_c0ffee_shed/config"]
    assert message["dev"]["ids"] == ["daly_c0ffee_shed"] and message["dev"]["via_device"] == "daly_c0ffee"
    assert (message["dev"]["name"], message["dev"]["mdl"]) == ("Daly BMS shed", "Thermometer")
    entities = {key: entity for key, entity in message["cmps"].items() if len(entity) > 1}
    assert [entities[key]["p"] for key in ("inside", "energy", "door", "reason", "mode_select")] == [
        "sensor", "sensor", "binary_sensor", "sensor", "select",
    ]  # fmt: skip
    assert entities["energy"]["stat_cla"] == "total_increasing" and entities["inside"]["unit_of_meas"] == "°C"
    assert entities["mode_select"]["cmd_t"] == "daly/x/shed/1/set" and entities["mode_select"]["ops"] == ["auto", "on", "off"]
    for key, entity in entities.items():
        last = entity["avty"][-1]
        assert last["t"] == STATE and f".{key.removesuffix('_select')} is " in last["val_tpl"]
        assert ("exp_aft" in entity) == (key != "mode_select")


@pytest.mark.parametrize(("command", "platform", "other"), [("/shed/1/set", "select", "sensor"), (None, "sensor", "select")])
def test_what_can_be_chosen_no_more_or_newly_is_taken_from_home_assistant(command, platform, other):
    """Home Assistant does not make another platform of a component that it has: the one must go, and come by another key."""
    shed = Shed()
    shed.rows[4] = enum("mode", "Mode", ("auto", "on", "off"), command=command)
    entities = Bridge(shed).run(10).announced()["homeassistant/device/daly_c0ffee_shed/config"]["cmps"]
    keys = {"select": "mode_select", "sensor": "mode"}
    assert entities[keys[platform]]["p"] == platform and entities[keys[platform]]["name"] == "Mode"
    assert entities[keys[platform]]["def_ent_id"] == platform + ".daly_bms_shed_mode"
    assert entities[keys[other]] == {"p": other}


def test_a_source_of_the_bridge_itself_adds_to_its_device():
    supply = Shed()
    supply.device = None
    message = Bridge(supply).run(10).announced("daly_c0ffee_shed")["homeassistant/device/daly_c0ffee_shed/config"]
    assert message["dev"]["ids"] == ["daly_c0ffee"] and set(message["cmps"]) >= {"shed_inside", "shed_mode_select"}
    assert message["stat_t"] == STATE


def test_rows_that_come_later_are_announced_and_the_others_do_not_move():
    shed = Shed()
    shed.rows, later = shed.rows[:1], shed.rows[1:]
    bridge = Bridge(shed).run(20)
    shed.rows += later
    shed.rows.append(number("outside", "Outside", "°C", 1, device_class="temperature"))
    shed.put(outside=-5)
    bridge.run(20)
    found = bridge.announced()
    assert list(found["homeassistant/device/daly_c0ffee_shed/config"]["cmps"]) == [
        "inside", "energy", "door", "reason", "mode", "mode_select",
    ]  # fmt: skip
    assert list(found["homeassistant/device/daly_c0ffee_shed_2/config"]["cmps"]) == ["outside"]
    assert json.loads(bridge.texts(STATE)[-1])["outside"] == -0.5


def test_the_same_message_is_not_sent_twice_within_six_seconds():
    shed = Shed()
    shed.rows, later = shed.rows[:1], shed.rows[1:]
    bridge = Bridge(shed).run(20)
    for row in later:
        shed.rows.append(row)
        bridge.run(2)
    bridge.run(10)
    at = [ms for ms, topic, _, _ in bridge.heard if topic == "homeassistant/device/daly_c0ffee_shed/config"]
    assert min(second - first for first, second in itertools.pairwise(at)) >= 5900


def test_a_row_that_comes_after_days_is_announced():
    """Ticks are compared over 3.1 days only."""
    shed = Shed()
    shed.rows, later = shed.rows[:1], shed.rows[1:]
    bridge = Bridge(shed).run(20)
    for _ in range(80 * 360):
        bridge.wire.us += 10_000_000
        bridge._listen(bridge.wire)
    shed.rows += later
    cmps = bridge.run(20).announced()["homeassistant/device/daly_c0ffee_shed/config"]["cmps"]
    assert {"energy", "door", "reason", "mode_select"} <= {key for key, entity in cmps.items() if len(entity) > 1}


def test_discovery_is_sent_again_at_home_assistants_start_and_the_state_after_it():
    bridge = Bridge(Shed()).run(20)
    bridge.publisher.rediscover(bridge.wire.now, 1000)
    now = bridge.wire.us / 1000
    bridge.run(8)
    config = [ms for ms, topic, _, _ in bridge.heard if "daly_c0ffee_shed" in topic and ms > now]
    assert config and [ms for ms, topic, _, _ in bridge.heard if topic == STATE and ms > config[0]]


class Sleeper(Bridge):
    """One that sleeps as soon as it may: nothing is published any more."""

    def _listen(self, wire):
        if not self.publisher.is_current():
            super()._listen(wire)


def test_a_bridge_sleeps_when_what_is_new_to_home_assistant_has_been_published_once_more():
    """A state that came before its entity was discovered is lost, and the next one comes at the next wake."""
    bridge = Sleeper(Shed(), kind=SleepingPublisher)
    bridge.wire.run(4)  # the network is joined with a complete set
    bridge.run(60)
    assert bridge.publisher.is_announced
    topics = [topic for _, topic, _, _ in bridge.heard]
    last = max(position for position, topic in enumerate(topics) if topic.endswith("/config"))
    assert {STATE, "daly/x/state", "daly/x/bms1/state"} <= set(topics[last:])


def test_a_name_from_the_settings_may_have_any_letters():
    shed = Shed()
    shed.rows[0] = number("inside", 'The "hot" side \\ of it, Wärme', "°C", 1, device_class="temperature")
    cmps = [entity for message in Bridge(shed).run(30).announced().values() for entity in message["cmps"].values()]
    assert 'The "hot" side \\ of it, Wärme' in [entity.get("name") for entity in cmps]


def test_the_place_of_a_value_that_there_is_not_is_kept_free():
    shed = Shed()
    shed.rows = [binary("window", None), enum("fan", None, ("auto",)), *shed.rows[:3], text("note", None)]
    bridge = Bridge(shed).run(20)
    assert json.loads(bridge.texts(STATE)[-1]) == {"inside": 21.5, "energy": 12.34, "door": "OFF"}
    found = bridge.announced()
    first = found["homeassistant/device/daly_c0ffee_shed/config"]["cmps"]
    removed = {"window": {"p": "binary_sensor"}, "fan": {"p": "sensor"}, "fan_select": {"p": "select"}}
    assert {key: entity for key, entity in first.items() if len(entity) == 1} == removed
    assert [key for key, entity in first.items() if len(entity) > 1] == ["inside", "energy", "door"]
    assert found["homeassistant/device/daly_c0ffee_shed_2/config"]["cmps"] == {"note": {"p": "sensor"}}


def test_every_discovery_message_that_there_can_be_is_known_where_what_is_left_behind_is_cleared():
    def most(rows):
        return -(-rows // 5)

    victron = max(len(rows_of(is_monitor)) for is_monitor in (False, True)) + 1  # and what is wrong with it
    rows = {"outputs": 8 * 3, "temperatures": 16 + 1, "vedirect1": victron, "vedirect2": victron, "supply": 1}
    assert {key: most(count) for key, count in rows.items()} == dict(importlib.import_module("app.main").SOURCES)


ALL = {"outputs": "outputs, _2, _3, _4, _5", "temperatures": "temperatures, _2, _3, _4", "supply": "supply",
       "vedirect1": "vedirect1, _2, _3, _4, _5, _6, _7", "vedirect2": "vedirect2, _2, _3, _4, _5, _6, _7"}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "named", "gone"),
    [
        ("", (), ALL),
        ('DS18B20_PIN = "IO4"\nSUPPLY_PIN = "IO99"\n', ("temperatures", "supply"), ("outputs", "vedirect1", "vedirect2")),
        ('VEDIRECT_2_RX = "IO4"\nOUTPUT_2 = "IO5 on when soc > 80"\n', ("vedirect2",), ("_3, _4, _5", "temperatures",
         "vedirect1", "supply")),
        ('OUTPUT_1 = "a mistake"\n', (), ("_2, _3, _4, _5", "temperatures", "vedirect1", "vedirect2", "supply")),
        ('OUTPUT_8 = "IO5 on when soc > 80"\n', (), ("temperatures", "vedirect1", "vedirect2", "supply")),
    ],
)  # fmt: skip
def test_what_the_settings_do_not_name_may_be_left_behind(lines, named, gone):
    settings = Settings(
        'CIRCUITPY_WIFI_SSID = "shed"\nBRIDGE_ID = "a_7"\nMQTT_DISCOVERY_PREFIX = "ha"\nMQTT_BASE_TOPIC = "t"\n' + lines
    )
    extras = make(settings, []) if settings.has_extras else None
    for pin in (board.IO4, board.IO5):
        pin._free()
    values = Values(settings, KEPT + settings.more)
    assert (() if extras is None else tuple(extras.named)) == named
    topics = importlib.import_module("app.main").left_behind(values, () if extras is None else extras.sources, named)
    expected = {"t/bank/state"}
    for key in gone:
        ends = ALL.get(key, key).split(", ")
        source = key if key in ALL else "outputs"
        expected |= {f"ha/device/daly_a_7_{source}{end if end[0] == '_' else ''}/config" for end in ends}
        expected |= {f"t/{source}/state"} if key in ALL else set()
    assert set(topics) == expected and len(topics) == len(expected)
    of_two = importlib.import_module("app.main").left_behind(values, () if extras is None else extras.sources, named, 2)
    assert set(of_two) == expected - {"t/bank/state"}
    values.MQTT_DISCOVERY = False
    of_a_fleet = importlib.import_module("app.main").left_behind(values, () if extras is None else extras.sources, named)
    assert set(of_a_fleet) == {topic for topic in expected if topic.startswith("t/")}


def test_state_mode_and_reason_of_an_output_are_of_one_moment():
    """A message is written in steps, and an output may switch between two of them."""
    life = Life(*[f"IO{pin} on when soc > 50, on for at least 0 s, off for at least 0 s" for pin in (5, 6, 7, 9)], step_ms=50)
    bridge = Bridge(life.outputs, interval_ms=100)
    bridge.publisher.republish_soon(0)

    def listen(wire):
        if wire.now % 50 == 0:
            life.set(soc=400 if wire.now % 100 else 600)
            for output in life.outputs._outputs:
                output.evaluate(wire.now // 50, "")
            life.outputs.changes += 1
        Bridge._listen(bridge, wire)

    bridge.wire.run(40, listen)
    states = [json.loads(payload) for payload in bridge.texts("daly/x/outputs/state")]
    told = {
        (state[f"output_{n}"].lower(), state[f"output_{n}_reason"].partition(":")[0]) for state in states for n in (1, 2, 3, 4)
    }
    assert len(states) > 50 and told <= {("on", "on"), ("off", "off"), ("off", "off at the start")}
