# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The events on alarms: one for each that begins or ends, none for what was active before, however often connections begin."""

import json

import pytest
from simulation import only
from test_publisher import Broker, connected

from battery.alarms import ALARMS, BITFIELDS, FAULT, FAULTS, MORE_FAULTS, MORE_FAULTS_FIELD, alarm_of
from battery.pack import Pack
from battery.readings import READING
from mqtt.homeassistant import Discovery

EVENT = "daly/x/bms1/event"
LOW = {"alarm": "State of charge low", "level": "protection"}
EEPROM = {"alarm": "EEPROM", "level": "fault"}


def events(broker, since=0):
    """Those that were published, as objects; each only once, for nobody who comes later."""
    found = [(text, retain, qos) for ms, topic, text, retain, qos in broker.heard if topic == EVENT and ms >= since]
    assert all((retain, qos) == (False, 1) and len(text) < 120 for text, retain, qos in found)
    return [json.loads(text) for text, _, _ in found]


def test_each_alarm_that_begins_or_ends_is_one_event():
    broker = connected()
    assert events(broker) == []
    broker.wire.set("alarms", "soc_low_2+eeprom")
    broker.run(30)
    assert events(broker) == [{"event_type": "protection", **LOW}, {"event_type": "fault", **EEPROM}]
    broker.wire.set("alarms", "eeprom")
    broker.run(30)
    assert events(broker)[2:] == [{"event_type": "cleared", **LOW}]


def test_an_event_comes_at_once_and_in_the_state_before_it_is_the_alarm():
    broker = connected(interval_ms=8000)
    broker.run(20)
    broker.wire.set("alarms", "soc_low_2")
    raised = broker.wire.us / 1000
    broker.run(2)
    talk = [
        (topic.rpartition("/")[2], text) for _, topic, text, _, _ in broker.since(raised) if topic.startswith("daly/x/bms1/")
    ]
    kinds = [kind for kind, _ in talk]
    assert kinds[kinds.index("event") - 1] == "state" and '"problem":"ON"' in talk[kinds.index("event") - 1][1]


def test_what_is_active_when_the_bridge_starts_is_no_event_until_it_ends():
    broker = connected("drift=0,alarms=soc_low_2", seconds=30)
    assert '"problem":"ON"' in broker.texts("daly/x/bms1/state")[-1] and events(broker) == []
    broker.wire.set("alarms", "soc_low_2+eeprom")
    broker.run(10)
    broker.wire.set("alarms", "")
    broker.run(10)
    kinds = [(event["event_type"], event["alarm"]) for event in events(broker)]
    assert kinds == [("fault", "EEPROM"), ("cleared", "State of charge low"), ("cleared", "EEPROM")]


def test_connections_a_silence_and_home_assistants_start_repeat_nothing():
    broker = connected()
    broker.wire.set("alarms", "soc_low_2")
    broker.run(10)
    for _ in range(3):
        broker.connect().run(15)
    broker.wire.set("silent", 1)
    broker.run(15)
    broker.wire.set("silent", 0)
    broker.run(15)
    broker.publisher.rediscover(broker.wire.now, 1000)
    broker.run(30)
    assert events(broker) == [{"event_type": "protection", **LOW}]


def test_what_began_while_there_was_no_connection_is_told_behind_the_next_and_what_ended_too_is_not():
    broker = connected()
    broker.wire.set("alarms", "soc_low_2+eeprom")
    broker.wire.run(10)  # nobody asks the publisher
    broker.wire.set("alarms", "eeprom")
    broker.wire.run(10)
    again = broker.wire.us / 1000
    broker.connect().run(10)
    assert events(broker) == [{"event_type": "fault", **EEPROM}]
    topics = [topic for _, topic, _, _, _ in broker.since(again)]
    assert topics.index("daly/x/bms1/status") < topics.index(EVENT)


def test_what_began_while_the_bms_was_silent_is_told_when_it_is_back():
    broker = connected()
    broker.wire.set("silent", 1)
    broker.run(15)
    broker.wire.set("alarms", "eeprom")
    broker.wire.set("silent", 0)
    broker.run(15)
    assert events(broker) == [{"event_type": "fault", **EEPROM}]


def test_an_event_with_which_the_connection_ends_comes_again_and_one_that_arrived_does_not():
    """A protection may cut the power of the router, too. The PUBACK is what the next message is asked for after."""
    broker = connected()
    broker.wire.set("alarms", "eeprom")
    while not events(broker):
        broker.run(0.001)
    broker.connect().run(10)
    assert events(broker) == 2 * [{"event_type": "fault", **EEPROM}]
    broker.connect().run(10)
    assert len(events(broker)) == 2


def test_a_board_found_to_count_the_other_way_round_is_no_event_and_what_follows_is_told():
    """The two overcurrents change places: neither has begun or ended."""
    broker = connected("drift=0,current=-30,inverted=1,alarms=discharge_overcurrent_2", seconds=40)
    assert broker.wire.pack.polarity.text == "inverted" and events(broker) == []
    assert json.loads(broker.texts("daly/x/bms1/state")[-1])["active_alarms"] == "Charge overcurrent (protection)"
    broker.wire.set("alarms", "eeprom")
    broker.run(10)
    told = [(event["event_type"], event["alarm"]) for event in events(broker)]
    assert told == [("cleared", "Charge overcurrent"), ("fault", "EEPROM")]


def test_an_alarm_that_flutters_is_no_flood_and_the_last_word_is_right():
    broker = connected()
    begun = broker.wire.us / 1000
    for number in range(90):
        broker.wire.set("alarms", "" if number % 2 else "eeprom")
        broker.run(1)
    broker.wire.set("alarms", "eeprom")
    told = [ms for ms, topic, *_ in broker.since(begun) if topic == EVENT]
    assert len([ms for ms in told if ms < begun + 60000]) == 20 and len(told) <= 40
    broker.run(70)
    assert events(broker)[-1] == {"event_type": "fault", **EEPROM}
    kinds = [event["event_type"] for event in events(broker)]
    assert kinds == (["fault", "cleared"] * 40)[: len(kinds)]


def test_each_battery_tells_its_own():
    broker = connected()
    assert broker.publisher._batteries[0]._topic + "/event" == EVENT
    assert [alarm_of(field, 1 << bit)[0] for field in range(1, BITFIELDS + 1) for bit in range(2)][:2] == ALARMS.split("|")[:2]


@pytest.mark.parametrize("field", range(1, BITFIELDS + 1))
def test_every_bit_has_its_name_and_level(field):
    names = {FAULT: FAULTS, MORE_FAULTS_FIELD: MORE_FAULTS}.get(field, ALARMS).split("|")
    level = ("warning", "protection", "fault", "level 3", "fault")[field - 1]
    assert [alarm_of(field, 1 << bit) for bit in range(len(names))] == [(name, level) for name in names]
    if len(names) < 30:
        assert alarm_of(field, 1 << 29)[0] == "Unknown"


def test_home_assistant_has_an_event_entity_that_is_always_available_and_none_where_the_bridge_sleeps():
    arguments = ("homeassistant", "daly/x", "c0ffee", "Daly BMS", only(Pack()), "1.2.3")
    for asleep_s in (0, 900):
        discovery = Discovery(*arguments, asleep_s=asleep_s)
        found = json.loads(discovery.message(discovery.parts() - 1)[1])["cmps"]["alarm"]
        if asleep_s:
            assert found == {"p": "event"}
            continue
        assert found["stat_t"] == EVENT and found["avty"] == []
        assert set(found["evt_typ"]) == {"warning", "protection", "fault", "level 3", "cleared"}


# the readings that came with them


def test_the_battery_is_low_while_the_bms_says_so_at_any_level_and_unknown_while_that_or_the_charge_is():
    pack = Pack()
    alarms, soc = READING["alarm_bits_{}"], READING["soc"]
    assert pack.raw("battery_low") is None
    pack.put(soc, 0, 100, 0)
    for index in range(BITFIELDS):
        pack.put(alarms, index, 0, 0)
    assert pack.raw("battery_low") == 0
    for field in (1, 2, 4):
        pack.put(alarms, field - 1, 1 << 11, 0)
        assert pack.raw("battery_low") == 1
        pack.put(alarms, field - 1, (1 << 30) - 1 - (1 << 11), 0)
        assert pack.raw("battery_low") == 0
    pack.put(soc, 0, None, 0)
    assert pack.raw("battery_low") is None
    pack.put(soc, 0, 100, 0)
    pack.put(alarms, 0, None, 0)
    assert pack.raw("battery_low") is None


STORED = {"remaining_capacity": 160440, "nominal_cell_voltage": 3200, "cell_count": 16, "rated_capacity": 280000}


@pytest.mark.parametrize(
    ("key", "stored", "usable"),
    [(None, 8214, 14336), ("remaining_capacity", None, 14336), ("nominal_cell_voltage", None, None),
     ("cell_count", None, None), ("rated_capacity", 8214, None)],
)  # fmt: skip
def test_energy_is_charge_at_the_nominal_voltage_and_is_known_while_all_it_comes_from_is(key, stored, usable):
    pack = Pack()
    pack.select(tuple(READING[each] for each in STORED))
    for each, raw in STORED.items():
        pack.put(READING[each], 0, None if each == key else raw, 0)
    assert (pack.raw("stored_energy"), pack.raw("usable_capacity")) == (stored, usable)


def test_a_bms_that_says_its_actual_capacity_is_full_at_that_and_at_nothing_while_it_is_not_known():
    pack = Pack()
    rows = tuple(READING[each] for each in (*STORED, "actual_capacity"))
    pack.select(rows)
    for each, raw in STORED.items():
        pack.put(READING[each], 0, raw, 0)
    pack.finish(0)
    assert pack.raw("usable_capacity") == 14336  # it has never said another one
    pack.accept(READING["actual_capacity"], 0, 250000, 0)
    pack.finish(0)
    assert pack.raw("usable_capacity") == 12800
    pack.put(READING["actual_capacity"], 0, None, 0)
    assert pack.raw("usable_capacity") is None


def test_the_kwh_of_a_battery_are_on_the_topics_of_what_they_are_calculated_from_and_vanish_with_that():
    broker = Broker("drift=0,soc=57.3,capacity=280").connect().run(20)
    assert json.loads(broker.texts("daly/x/bms1/state")[-1])["stored_energy"] == 8.214
    assert json.loads(broker.texts("daly/x/bms1/info")[-1])["usable_capacity"] == 14.336
    said = len(broker.texts("daly/x/bms1/info"))
    pack = broker.wire.pack
    pack.put(READING["cell_count"], 0, None, broker.wire.now)  # as when its frames are damaged
    broker.run(0.5)
    assert json.loads(broker.texts("daly/x/bms1/state")[-1])["stored_energy"] is None
    assert len(broker.texts("daly/x/bms1/info")) > said
    assert json.loads(broker.texts("daly/x/bms1/info")[-1])["usable_capacity"] is None
    broker.run(20)
    assert json.loads(broker.texts("daly/x/bms1/info")[-1])["usable_capacity"] == 14.336


def test_what_may_still_be_calculated_is_not_removed_from_home_assistant():
    pack = Pack()
    pack.select(tuple(READING[each] for each in STORED))
    for key in ("stored_energy", "usable_capacity"):
        assert not pack.has(READING[key]) and pack.awaits(READING[key])
    pack.select((READING["remaining_capacity"], READING["soc"]))
    assert not pack.awaits(READING["stored_energy"])
