# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A reading that a battery does not have is nowhere: what a subscriber and Home Assistant see when the protocol changes."""

import json
from types import SimpleNamespace

import pytest
from home_assistant_rules import message_faults
from simulation import Deadband, Wire, only

from battery.json import Writer, write_pack
from battery.pack import Pack
from battery.readings import BITFIELD, DATE, NEEDS, READING, READINGS, TEXT
from daly import d2, p81
from daly.a5 import BLOCKS
from display import pages
from mqtt.deadband import SingleValues
from mqtt.homeassistant import Discovery
from mqtt.publisher import Publisher

STATE, INFO, STATUS = "daly/x/bms1/state", "daly/x/bms1/info", "daly/x/bms1/status"
STATIC = "homeassistant/device/daly_c0ffee_bms1_static/config"
SAME_TOPIC_MS = 5000  # Home Assistant drops most of a second discovery message that follows sooner

BOTH = (
    "pack_voltage", "current", "soc", "mode", "charge_mosfet", "discharge_mosfet", "remaining_capacity", "alarm_bits_{}",
    "cell_count", "temperature_count", "cycle_count", "max_cell_voltage", "max_voltage_cell", "min_cell_voltage",
    "min_voltage_cell", "max_temperature", "max_temperature_sensor", "min_temperature", "min_temperature_sensor",
    "cell_{}_voltage", "temperature_{}", "rated_capacity", "software_version",
)  # fmt: skip
ONLY_FIRST = ("heartbeat", "fault_code", "digital_input_{}", "cell_{}_balancing", "battery_code")
ONLY_SECOND = ("production_date", "sleep_time", "charger_connected")
FIRST = tuple(READING[key] for key in BOTH + ONLY_FIRST)
SECOND = tuple(READING[key] for key in BOTH + ONLY_SECOND)
MOSFETS_AND_SOC = ("charge_mosfet", "discharge_mosfet", "soc")
CONTROLS = (*MOSFETS_AND_SOC, "restart_bms")
CALCULATED = {
    "battery_low",
    "power",
    "remaining_time",
    "time_to_full",
    "time_to_empty",
    "problem",
    "active_alarms",
    "cell_voltage_delta",
}
COUNTERS = {"energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged"}


def keys_of(rows, cells=4, sensors=2):
    """The JSON keys of these rows with what is always calculated of them."""
    found = CALCULATED | COUNTERS | {"seq", "time"}
    if READING["cell_{}_balancing"] in rows:
        found = found | {"balancing"}
    for row in rows:
        if row.kind != BITFIELD:
            count = {"cell_count": cells, "temperature_count": sensors}.get(row.counted_by, row.slots)
            found |= {row.key.replace("{}", str(number)) for number in range(1, count + 1)}
    return found


def value_of(row):
    return "T1" if row.kind == TEXT else 0x180203 if row.kind == DATE else VALUES.get(row.key, row.low)


VALUES = {"pack_voltage": 132, "current": -50, "mode": 2, "soc": 500, "remaining_capacity": 100000, "cell_count": 4,
          "temperature_count": 2, "cell_{}_voltage": 3300, "temperature_{}": 20, "charge_mosfet": 1, "discharge_mosfet": 1,
          "max_cell_voltage": 3300, "min_cell_voltage": 3300, "rated_capacity": 280000}  # fmt: skip


class FakePoller:
    """Answers of a board by hand: `answers` are the rows it sends ten times a second while it is online."""

    def __init__(self, pack):
        self.pack = pack
        self.answers: tuple = ()
        self.online = self.complete = self.static_done = False
        self.last_response = 0
        self.diagnosis = SimpleNamespace(text="")

    def find(self, rows, writes, never_answered=()):
        self.pack.select(rows, writes)
        self.answers = tuple(row for row in rows if row.key not in never_answered)
        self.online = True

    def fall_silent(self):
        self.online = self.complete = self.static_done = False
        self.pack.forget()

    def respond(self, now):
        for row in self.answers:
            count = 4 if row.counted_by == "cell_count" else 2 if row.counted_by else row.slots
            if row.key == "alarm_bits_{}":
                self.pack.accept_together(row, [0] * row.slots, now)
                continue
            for index in range(count):
                self.pack.accept(row, index, value_of(row), now)
        self.pack.finish(now)
        self.last_response = now
        self.complete = True


class HomeAssistant:
    """Its entities, as the discovery messages make and remove them, and the last message on each topic."""

    def __init__(self):
        self.entities: dict = {}  # key of a component -> (topic of its message, component)
        self.placed: dict = {}  # key -> topic in which it was first
        self.removed: list = []  # (ms, key) of entities that were there
        self.removals: list = []  # (ms, key) of all removals
        self.arrived: dict = {}  # topic -> ms of the last discovery message
        self.discovered: list = []  # (ms, topic) of all of them
        self.topics: dict = {}
        self.states: list = []  # (ms, state)
        self.info: dict = {}  # what is read once, as heard last
        self.words: list = []  # statuses, and for each state whether it has numbers

    def receive(self, ms, topic, text):
        self.topics[topic] = text
        if topic.endswith("/config"):
            assert message_faults(topic, text) == []
            assert ms - self.arrived.get(topic, -SAME_TOPIC_MS) >= SAME_TOPIC_MS
            self.arrived[topic] = ms
            self.discovered.append((ms, topic))
            for key, component in json.loads(text)["cmps"].items():
                assert self.placed.setdefault(key, topic) == topic  # it would be refused until a restart
                if component.keys() == {"p"}:
                    self.removals.append((ms, key))
                    if self.entities.pop(key, None) is not None:
                        self.removed.append((ms, key))
                else:
                    self.entities[key] = component
        elif topic == STATE:
            state = json.loads(text)
            self.states.append((ms, state))
            self.words.append("numbers" if state.get("pack_voltage") is not None else "nulls")
        elif topic == INFO:
            self.info = json.loads(text)
        elif topic == STATUS:
            self.words.append(text)


class House:
    """A Publisher with a FakePoller, and Home Assistant at its end; time in ms."""

    def __init__(self, allowed=CONTROLS, **more):
        self.pack = Pack()
        self.pack.energy.load((1000, 0, 0, 0))
        self.poller = FakePoller(self.pack)
        batteries = only(self.pack, self.poller)
        discovery = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1.2.3", allowed)
        self.publisher = Publisher("daly/x", discovery, batteries, lambda now: (("uptime", 1),), 2000, **more)
        self.ha = HomeAssistant()
        self.now = 0

    def run(self, seconds):
        end = self.now + 1000 * seconds
        while self.now < end:
            self.now += 10
            if self.poller.online and self.now % 100 == 0:
                self.poller.respond(self.now)
            message = self.publisher.poll(self.now)
            if message is not None:
                payload = message[1]
                payload = payload if isinstance(payload, (str, bytes)) else payload.bytes()
                text = payload if isinstance(payload, str) else payload.decode()
                self.ha.receive(self.now, message[0], text)
        return self

    @property
    def state(self):
        return self.whole(self.ha.states[-1][1])

    def whole(self, state):
        """A state with what is read once, and the balancing of each cell by itself."""
        found = state | self.ha.info
        if "balancing_cells" in found:
            cells = found.pop("balancing_cells")
            for number in range(1, len([key for key in found if key.startswith("cell_") and key[5:6].isdigit()]) + 1):
                found[f"cell_{number}_balancing"] = None if cells is None else "ON" if number in cells else "OFF"
        return found


def moved_house(never_answered=("production_date", "sleep_time"), **more):
    """A house whose board speaks one protocol for a while, and then another: (house, tick of the change)."""
    house = House(**more)
    house.poller.find(FIRST, CONTROLS)
    house.poller.static_done = True
    house.run(40)
    assert house.state.keys() == keys_of(FIRST)
    assert keys_of(FIRST) - {"seq", "time"} <= house.ha.entities.keys()
    house.poller.fall_silent()
    house.run(10)
    changed = house.now
    house.poller.find(SECOND, MOSFETS_AND_SOC, never_answered)
    return house, changed


# another protocol while the bridge runs


def test_after_a_change_of_protocol_every_state_has_the_keys_of_the_new_one_and_no_null_that_stays():
    house, changed = moved_house()
    assert {house.state[key] for key in house.state if key not in ("seq", "time")} == {None}  # offline
    house.run(30)
    after = [(ms, state) for ms, state in house.ha.states if ms > changed]
    wanted = keys_of(SECOND) - {"production_date", "sleep_time"}
    for _, state in [(ms, state) for ms, state in after if state["pack_voltage"] is not None]:
        assert house.whole(state).keys() == wanted
    unknown = {key for key, value in house.state.items() if value is None}
    assert unknown == {"time", "time_to_full"}  # 5 A are discharged
    assert house.state["energy_charged"] == 1.0


def test_the_battery_is_offline_until_the_numbers_of_the_new_protocol_are_there():
    house, _ = moved_house()
    offline = len(house.ha.words) - 1 - house.ha.words[::-1].index("offline")
    house.run(30)
    words = house.ha.words[offline:]
    assert words[:2] == ["offline", "nulls"]
    online = words.index("online")
    assert words[online - 1] == "numbers" and set(words[2 : online - 1]) <= {"nulls", "offline"}
    assert "nulls" not in words[online:] and "offline" not in words[online:]


def test_entities_of_the_old_protocol_disappear_and_those_of_both_stay():
    house, changed = moved_house()
    house.run(60)
    gone = keys_of(tuple(READING[key] for key in ONLY_FIRST)) - keys_of(())
    assert {key for ms, key in house.ha.removed if ms > changed} == gone | {"restart_bms_button"}
    assert not gone & house.ha.entities.keys()
    assert keys_of(tuple(READING[key] for key in BOTH)) - {"seq", "time"} <= house.ha.entities.keys()
    assert {"charger_connected", "charge_mosfet_switch", "soc_number"} <= house.ha.entities.keys()


def test_a_reading_that_may_still_come_is_not_removed_before_all_has_been_read_or_given_up():
    """Home Assistant forgets what a person has changed of an entity when that is removed."""
    house, changed = moved_house()
    house.run(60)
    late = {"production_date", "sleep_time"}
    assert not [key for ms, key in house.ha.removals if ms > changed and key in late]
    assert 1 <= len([topic for ms, topic in house.ha.discovered if ms > changed and topic == STATIC]) <= 2
    house.poller.static_done = True
    given_up = house.now
    house.run(20)
    assert {key for ms, key in house.ha.removals if ms > given_up} >= late
    assert [topic for topic, ms in house.ha.arrived.items() if ms > given_up] == [STATIC]  # no other has to be sent again
    house.run(60)
    assert house.ha.arrived[STATIC] < given_up + 20000


def test_what_is_given_up_soon_after_its_message_waits_until_home_assistant_takes_another():
    house, _ = moved_house()
    sent = house.ha.arrived[STATIC]
    while house.ha.arrived[STATIC] == sent:
        house.run(1)
    house.poller.static_done = True  # within a second
    house.run(20)  # HomeAssistant refuses one that comes too soon
    assert "sleep_time" in [key for ms, key in house.ha.removals if ms > house.now - 20000]


def test_what_was_left_out_twice_is_removed_once():
    house, _ = moved_house(("production_date", "sleep_time", "charger_connected"))
    house.run(30)
    house.poller.answers += (READING["charger_connected"],)
    house.run(30)
    house.poller.static_done = True
    given_up = house.now
    house.run(30)
    assert len([key for ms, key in house.ha.removals if ms > given_up and key == "sleep_time"]) == 1


def test_a_message_in_which_all_may_still_come_is_sent_when_it_is_given_up():
    house = House()
    rows = tuple(row for row in READINGS if row.derive is None)
    house.poller.find(rows, CONTROLS, [row.key for row in rows if row.group == "static"])
    house.run(30)
    assert STATIC not in house.ha.arrived and "soc" in house.ha.entities
    house.poller.static_done = True
    house.run(20)
    assert "battery_code" in [key for _, key in house.ha.removals] and STATIC in house.ha.arrived


def test_optional_readings_that_come_late_get_their_keys_and_entities():
    house, _ = moved_house()
    house.poller.static_done = True
    house.run(60)
    assert not {"production_date", "sleep_time"} & (house.state.keys() | house.ha.entities.keys())
    for key, value in (("production_date", "2024-02-03"), ("sleep_time", 0)):
        house.poller.answers += (READING[key],)
        removed = len(house.ha.removed)
        house.run(20)
        assert house.state[key] == value and key in house.ha.entities
        assert len(house.ha.removed) == removed
    house.poller.fall_silent()
    house.run(5)
    assert house.state["sleep_time"] is None and house.state["production_date"] is None  # they exist, and are not known now


def test_single_values_of_the_old_protocol_do_not_stay():
    house, _ = moved_house(each_value=True)
    topics = ("heartbeat", "fault_code", "digital_input_1", "cell_1_balancing", "battery_code", "balancing")
    assert {house.ha.topics["daly/x/bms1/" + key] for key in topics} == {""}
    for key in topics:
        del house.ha.topics["daly/x/bms1/" + key]
    house.run(70)  # each one that exists is repeated within a minute
    assert not [key for key in topics if "daly/x/bms1/" + key in house.ha.topics]
    assert house.ha.topics["daly/x/bms1/soc"] == "50.0" and house.ha.topics["daly/x/bms1/charger_connected"] == "OFF"


def test_a_change_without_a_silence_leaves_no_single_value_and_no_key_behind():
    house = House(each_value=True)
    house.poller.find(FIRST, CONTROLS)
    house.poller.static_done = True
    house.run(60)
    assert house.ha.topics["daly/x/bms1/heartbeat"] == "0" and house.ha.topics["daly/x/bms1/battery_code"] == "T1"
    house.poller.find(SECOND, MOSFETS_AND_SOC)
    house.run(60)
    assert house.ha.topics["daly/x/bms1/heartbeat"] == "" == house.ha.topics["daly/x/bms1/battery_code"]
    assert house.state.keys() == keys_of(SECOND)


def test_nothing_is_calculated_from_a_published_value_of_the_protocol_before():
    pack = Pack(4, 2)
    pack.select(FIRST)
    poller = FakePoller(pack)
    poller.answers = FIRST
    deadband = Deadband(pack, 2000, 30000, 100)
    for now in (1000, 1100):
        poller.respond(now)
    deadband.follow_topology()
    deadband.take(1100)
    assert deadband.published.raw("rated_capacity") == 280000
    rest = tuple(row for row in FIRST if row.key != "rated_capacity")
    pack.select(rest)
    poller.answers = rest
    for now in (1200, 1300):
        poller.respond(now)
    deadband.follow_topology()
    deadband.take(1300)
    assert deadband.published.raw("rated_capacity") is None and deadband.published.raw("soc") == 500


def test_a_protocol_that_changes_between_two_steps_of_a_state_is_not_missed_by_the_next():
    rows = tuple(row for row in READINGS if row.derive is None)
    pack, row = Pack(4, 2), READING["cycle_count"]
    pack.select(rows)
    deadband = Deadband(pack, 1000, 30000, 100)
    pack.put(row, 0, 7, 0)
    deadband.follow_topology()
    deadband.take(0)
    deadband.take(1)
    assert deadband.published.held(row.slot) == 7
    pack.topology["cell_count"] = 3
    pack.topology_changes += 1
    deadband.follow_topology()
    steps = deadband.begin_take(2000)
    next(steps)
    pack.select(tuple(each for each in rows if each is not row))
    list(steps)
    deadband.follow_topology()
    deadband.take(3000)
    assert deadband.published.held(row.slot) is None


def test_the_cells_that_are_gone_leave_no_single_value_behind():
    pack = Pack(3, 1)
    for index in range(3):
        pack.put(READING["cell_{}_voltage"], index, 3300, 0)
    values = SingleValues(pack, False)
    while values.poll(0) is not None:
        pass
    pack.accept(READING["cell_count"], 0, 2, 0)
    pack.finish(0)
    assert values.is_behind()
    found = {}
    for _ in range(200):
        message = values.poll(0)
        if message is not None:
            found[message[0]] = message[1]
    assert found == {"cell_count": "2", "cell_3_voltage": ""} and not values.is_behind()


def test_what_is_gone_when_the_connection_comes_back_leaves_no_single_value_behind():
    pack = Pack(1, 1)
    pack.select(FIRST)
    pack.put(READING["heartbeat"], 0, 7, 0)
    values = SingleValues(pack, False)
    for _ in range(300):
        values.poll(0)
    pack.select(tuple(row for row in FIRST if row.key != "heartbeat"))
    values.begin(0)
    found = [message for message in [values.poll(0) for _ in range(300)] if message is not None]
    assert [text for key, text in found if key == "heartbeat"] == [""]
    values.begin(0)
    assert "heartbeat" not in [message[0] for message in [values.poll(0) for _ in range(300)] if message is not None]


# one protocol from the beginning


def a5_rows():
    return tuple(row for block in BLOCKS for row in block.rows)


def test_with_a5_all_that_is_answered_is_published_as_if_nothing_had_been_selected():
    states = []
    for rows in (None, a5_rows()):
        pack = Pack()
        if rows is not None:
            pack.select(rows)
        Wire("drift=0,cells=4", pack=pack).run(15)
        states.append(json.loads(write_pack(Writer(), pack).bytes()))
    said = {key.replace("{}", str(number)) for key in READING for number in range(1, 9)}
    first, second = states
    assert {key: first[key] for key in second} == second
    assert not {key for key in first.keys() - second.keys() if first[key] is not None} and second.keys() <= said
    old = {row.key for row in a5_rows()} | {row.key for row in READINGS if row.key in NEEDS}
    assert not [key for key in first.keys() - second.keys() if key in old]


def test_with_a5_what_is_never_answered_does_not_exist():
    pack = Pack()
    pack.select(a5_rows())
    Wire("drift=0,cells=4,mute=0x50+0x97", pack=pack).run(30)
    state = json.loads(write_pack(Writer(), pack).bytes())
    assert not {"rated_capacity", "nominal_cell_voltage", "balancing", "cell_1_balancing"} & state.keys()
    assert {"software_version", "cell_4_voltage", "cycle_count"} <= state.keys()


def test_all_keys_there_may_be_are_written_only_of_what_exists():
    pack = Pack()
    pack.select(tuple(row for row in FIRST if row.key != "heartbeat"))
    state = json.loads(write_pack(Writer(), pack, every_slot=True).bytes())
    assert {"cell_48_voltage", "temperature_16", "soc"} <= state.keys()
    assert not {"heartbeat", "cell_1_balancing", "battery_code", "sleep_time"} & state.keys()


def test_before_a_protocol_is_found_there_are_no_keys_of_what_is_read_once():
    """There are many, and the state with all keys of 48 cells has to fit into one buffer."""
    pack = Pack()
    state = json.loads(write_pack(Writer(), pack, every_slot=True).bytes())
    assert {"cell_48_voltage", "cell_48_balancing", "temperature_16", "soc", "heartbeat"} <= state.keys()
    assert not {"rated_capacity", "sleep_time", "battery_code"} & state.keys()
    assert len(write_pack(Writer(), pack, every_slot=True, seq=1000000, time="2026-11-27T03:39:45Z")) <= 4096
    pack.put(READING["rated_capacity"], 0, 280000, 0)
    assert json.loads(write_pack(Writer(), pack, every_slot=True).bytes())["rated_capacity"] == 280.0


@pytest.mark.parametrize("every_slot", [False, True])
def test_the_largest_state_of_each_protocol_fits_into_the_buffer(every_slot):
    """A buffer that grows while a message is written is copied again and again, and needs two large pieces of memory."""
    for blocks in (BLOCKS, d2.BLOCKS, p81.BLOCKS):
        rows = tuple({row.key: row for block in blocks for row in block.rows}.values())
        pack = Pack(48, 16)
        pack.select(rows)
        pack.energy.load((10**7, 10**7, 10**8, 10**8))
        for row in rows:
            longest = {TEXT: "x" * 32, BITFIELD: 15}.get(row.kind, row.high)
            value = {"current": -15000, "mode": 2, "cell_count": 48, "temperature_count": 16}.get(row.key, longest)
            for index in range(row.slots):
                pack.put(row, index, value, 0)
        pack.finish(0)
        state = write_pack(Writer(), pack, every_slot, 10**7, "2026-11-27T03:39:45Z").bytes()
        assert json.loads(state)["cell_48_voltage"] == 5.999 and len(json.loads(state)["active_alarms"]) > 200
        assert 4500 < len(state) <= 5632


@pytest.mark.parametrize("rows", [FIRST, SECOND, ()])
def test_repeating_single_values_ends_whatever_exists(rows):
    pack = Pack(1, 1)
    pack.select(rows)
    values = SingleValues(pack, True)
    for now in range(0, 200_000, 50):
        values.poll(now)


# the discovery messages


def discovery_of(rows, writes=None, allowed=CONTROLS):
    pack = Pack(4, 2)
    pack.select(rows, writes)
    return pack, Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", only(pack), "1.2.3", allowed)


def components(discovery, is_settled=True):
    found = {}
    for part in range(discovery.parts()):
        _, steps = discovery.begin(part, is_settled)
        if list(steps)[-1] is True:
            found.update(json.loads(discovery.writer.bytes())["cmps"])
    return found


def test_what_may_still_be_read_is_left_out_and_a_message_of_nothing_else_is_none():
    pack, discovery = discovery_of(tuple(READING[row.key] for row in READINGS if row.derive is None))
    found = components(discovery, is_settled=False)
    assert not {"rated_capacity", "battery_code", "cycle_count"} & found.keys() and len(found["soc"]) > 1
    [part] = [part for part in range(discovery.parts()) if discovery.begin(part)[0] == STATIC]
    steps = list(discovery.begin(part, False)[1])
    assert steps[-1] is None and discovery.is_partial
    assert components(discovery)["rated_capacity"] == {"p": "sensor"} and not discovery.is_partial
    for _ in range(2):
        pack.accept(READING["rated_capacity"], 0, 280000, 0)
    pack.finish(0)
    assert len(components(discovery, is_settled=False)["rated_capacity"]) > 1


def test_a_control_is_offered_where_the_protocol_can_write_it():
    _, discovery = discovery_of(FIRST, MOSFETS_AND_SOC, (*CONTROLS, "energy"))
    found = components(discovery)
    assert found["restart_bms_button"] == {"p": "button"}
    assert all("cmd_t" in found[key] for key in ("charge_mosfet_switch", "soc_number", "energy_button"))
    _, discovery = discovery_of(FIRST, ("soc",))
    found = components(discovery)
    assert found["charge_mosfet_switch"] == {"p": "switch"}
    assert "ent_cat" not in found["charge_mosfet"]  # no switch takes its place


# which message an entity of the first version is in, for ever
PLACES = {
    "pack": "pack_voltage current power energy_charged energy_discharged capacity_charged capacity_discharged soc",
    "status": "mode charge_mosfet discharge_mosfet heartbeat remaining_capacity remaining_time time_to_full time_to_empty",
    "alarms": "problem active_alarms fault_code",
    "counts": "cell_count temperature_count charger_connected load_connected digital_input_1 digital_input_2 digital_input_3 "
    "digital_input_4 digital_output_1 digital_output_2 digital_output_3 digital_output_4 cycle_count",
    "extremes": "max_cell_voltage max_voltage_cell min_cell_voltage min_voltage_cell cell_voltage_delta max_temperature "
    "max_temperature_sensor min_temperature min_temperature_sensor",
    "cells": "balancing",
    "static": "rated_capacity nominal_cell_voltage production_date chemistry sleep_time battery_code software_version "
    "hardware_version",
    "cell_voltage_1": "cell_1_voltage cell_8_voltage",
    "cell_voltage_41": "cell_41_voltage cell_48_voltage",
    "cell_balancing_9": "cell_9_balancing cell_16_balancing",
    "temperature_9": "temperature_9 temperature_16",
    "controls": "connection last_command charge_mosfet_switch soc_number restart_bms_button energy_button",
}


def test_entities_stay_in_the_messages_where_they_were_first():
    _, discovery = discovery_of(FIRST)
    found = {}
    for part in range(discovery.parts()):
        topic, text = discovery.message(part)
        found.update(dict.fromkeys(json.loads(text)["cmps"], topic))
    for suffix, keys in PLACES.items():
        for key in keys.split():
            assert found[key] == f"homeassistant/device/daly_c0ffee_bms1_{suffix}/config", key


def test_no_message_has_more_than_eight_readings_except_those_that_always_had():
    _, discovery = discovery_of(FIRST)
    for part in range(discovery.parts()):
        topic, text = discovery.message(part)
        most = {"counts": 13, "extremes": 9, "controls": 9}.get(topic.split("/")[2].replace("daly_c0ffee_bms1_", ""), 8)
        assert len(json.loads(text)["cmps"]) <= most, topic


def test_a_group_with_many_readings_is_cut_into_messages(monkeypatch):
    from mqtt import battery_components, homeassistant
    from mqtt.entities import entity

    rows = [row for row in READINGS if row.key != "balancing"]
    template = READING["sleep_time"]
    more = [template._replace(key=f"limit_{number}") for number in range(1, 15)]
    monkeypatch.setattr(homeassistant, "READINGS", (*rows, *more))
    monkeypatch.setattr(battery_components, "READINGS", (*rows, *more))
    monkeypatch.setattr(battery_components, "entity", lambda row: entity(template if row in more else row))
    _, discovery = discovery_of(FIRST)
    found = {}
    for part in range(discovery.parts()):
        topic, text = discovery.message(part)
        for key in json.loads(text)["cmps"]:
            found.setdefault(topic.split("_bms1_")[-1].split("/")[0], []).append(key)
    assert len(found["static"]) == 8 and "limit_1" not in found["static"]
    places = [place for place in found if any(key.startswith("limit_") for key in found[place])]
    assert sum(len([key for key in found[place] if key.startswith("limit_")]) for place in places) == 14
    assert all(place.startswith("static_") and len(found[place]) <= 8 for place in places) and "static_2" in places


# the screen


def test_a_reading_that_does_not_exist_has_no_line():
    pack = Pack(4, 2)
    pack.select(FIRST)
    assert "cycles" not in " ".join(pages.energy(pack, pages.TALL).lines)  # not read yet
    assert "left" in " ".join(pages.energy(pack, pages.TALL).lines)
    for row in FIRST:
        if row.key == "cycle_count":
            pack.accept(row, 0, 7, 0)
    pack.finish(0)
    assert "cycles              7" in pages.energy(pack, pages.TALL).lines
    bare = Pack(4, 0)
    bare.select(tuple(READING[key] for key in ("pack_voltage", "current", "soc", "cell_{}_voltage")))
    for make in (pages.overview, pages.cells, pages.energy):
        lines = " ".join(make(bare, pages.TALL).lines)
        assert not [word for word in ("cycles", "left", "delta", "max", "to", "C", "Ah") if word in lines.split()]
