# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the broker is told, in which order and when: simulated BMS, real Poller and Publisher, and one who writes it down."""

import json
from itertools import pairwise
from random import Random
from types import SimpleNamespace

import pytest
from simulation import Deadband, Wire, only

from battery.energy import COUNTERS
from battery.json import LARGEST, Writer
from battery.pack import Pack
from battery.polarity import Polarity
from battery.readings import BITFIELD, READING, READINGS, TEXT
from campaigns.faults.subscriber import each_balancing
from daly.a5 import BLOCKS
from mqtt import deadband
from mqtt.bridge_entities import BRIDGE
from mqtt.homeassistant import Discovery
from mqtt.publisher import LoadedDiscovery, Publisher

STATUS, STATE, INFO = "daly/x/bms1/status", "daly/x/bms1/state", "daly/x/bms1/info"
MARK = "daly/x/announced"
WORDS = "homeassistant/device/daly_c0ffee_bms1_controls/config"
INTERVAL_MS = 2000
SELDOM = {
    f"POLL_{group}_MS": 5000 for group in ("PACK", "STATUS", "CHECKS", "CELLS", "TEMPERATURES")
}  # for long runs that are not about readings
ANNOUNCE_AGAIN_MS = 5000  # Home Assistant drops most of a second announcement that follows sooner


def bytes_of(payload):
    return payload if isinstance(payload, bytes) else payload.bytes()


class Broker:
    """A Wire and the Publisher at its end; `heard` is everything published as (ms, topic, text, retain, qos)."""

    def __init__(
        self,
        options="drift=0",
        start=0,
        interval_ms=INTERVAL_MS,
        slow_ms=None,
        discovery=Discovery,
        pack=None,
        periods=None,
        **more,
    ):
        self.wire = Wire(options, start=start, pack=pack, periods=periods)
        if periods is SELDOM:
            self.wire.step_us = 5000
        pack = self.wire.pack
        batteries = only(pack, self.wire.poller)
        announcer = discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1.2.3", has_bridge=True)
        self.publisher = Publisher("daly/x", announcer, batteries, self.bridge, interval_ms, slow_ms or interval_ms, **more)
        self.heard = []
        self._next_us = 0

    def bridge(self, now):
        return (("uptime", 7), ("rssi", None), ("note", 'a "quoted" word'))

    def connect(self):
        """A new session."""
        self.publisher.begin(self.wire.now)
        return self

    def run(self, seconds):
        """Let time pass; the publisher is asked every 5 ms, and in every pass while it has news."""
        self.wire.run(seconds, self._listen)
        return self

    def since(self, ms):
        return [message for message in self.heard if message[0] >= ms]

    def texts(self, topic):
        return [text for _, where, text, _, _ in self.heard if where == topic]

    def _listen(self, wire):
        if wire.us < self._next_us and not self.publisher.has_news():
            return
        self._next_us = wire.us + 5000
        message = self.publisher.poll(wire.now)
        if message is not None:
            topic, text, retain, qos = message
            text = text if isinstance(text, str) else bytes_of(text).decode()
            self.heard.append((wire.us / 1000, topic, text, retain, qos))


def connected(options="drift=0", seconds=10, **others):
    return Broker(options, **others).connect().run(seconds)


def battery(broker):
    """Status and state messages of the battery, in order: "online", "offline" or the readings as a dict."""
    talk = [(topic, text) for _, topic, text, _, _ in broker.heard if topic in (STATUS, STATE)]
    return [text if topic == STATUS else json.loads(text) for topic, text in talk]


def is_empty(readings):
    return all(value is None for key, value in readings.items() if key != "seq")


def states(broker, since=0):
    """[(ms, readings)] of every state with numbers."""
    said = [(ms, each_balancing(json.loads(text))) for ms, topic, text, _, _ in broker.since(since) if topic == STATE]
    return [(ms, state) for ms, state in said if state["pack_voltage"] is not None]


# the first words


def test_a_battery_that_answers_as_the_connection_begins_is_not_called_offline_a_moment_before_it_is_online():
    broker = Broker()
    broker.wire.run(0.1)
    assert broker.wire.poller.online and not broker.wire.poller.complete
    broker.connect().run(3)
    assert broker.texts(STATUS)[0] == "online"
    assert [topic for _, topic, *_ in broker.heard][:3] == [STATE, "daly/x/status", STATUS]  # nothing long comes before


def test_a_battery_whose_first_readings_take_long_is_waited_for_a_second():
    broker = Broker("drift=0,think=190")
    broker.wire.run(0.4)
    assert broker.wire.poller.online
    begun = broker.wire.now
    broker.connect().run(8)
    first = broker.heard[0]
    assert (first[1], first[2]) == (STATUS, "offline") and 1000 <= first[0] - begun <= 1100
    assert broker.texts(STATUS)[-1] == "online"


def test_a_new_session_says_its_numbers_first_and_again_when_home_assistant_can_hear_them():
    """Whoever listens already has them at once; who is told only now what there is needs a moment before it hears states."""
    broker = connected(seconds=20)
    topics = [topic for _, topic, _, _, _ in broker.heard]
    first = topics.index("homeassistant/device/daly_c0ffee/config")
    assert topics.index(STATE) < topics.index("daly/x/status") < first
    last = max(ms for ms, topic, _, _, _ in broker.heard if topic.endswith("/config"))
    for topic in (STATE, STATUS, "daly/x/bms1/connection", "daly/x/state"):
        assert any(last + 2000 < ms < last + 4000 for ms, where, _, _, _ in broker.heard if where == topic), topic


def test_what_is_remembered_of_an_old_session_is_replaced_before_the_bridge_is_online():
    broker = connected()
    again = broker.wire.us / 1000
    broker.connect().run(5)
    topics = [topic for _, topic, _, _, _ in broker.since(again)]
    assert topics.index(STATE) < topics.index("daly/x/status")
    statuses = [text for _, topic, text, _, _ in broker.since(again) if topic == STATUS]
    assert set(statuses) == {"online"}  # the battery was there all along: no flicker


def test_the_bridge_is_online_and_its_battery_not_before_it_has_said_its_numbers():
    broker = connected()
    assert broker.texts("daly/x/status") == ["online"]
    words = battery(broker)
    online = words.index("online")
    assert words[0] == "offline" and "offline" not in words[1:online]
    said = words[online - 1]
    assert said["pack_voltage"] == 52.7 and said["cell_16_voltage"] == 3.299 and said["mode"] == "discharging"


@pytest.mark.parametrize("command", ["0x90", "0x94", "0x96", "0x98"])
def test_a_battery_that_does_not_know_a_command_comes_online_all_the_same(command):
    assert connected("drift=0,mute=" + command, 20).texts(STATUS)[-1] == "online"


def test_without_a_battery_the_bridge_says_so():
    broker = connected("silent=1", 20)
    assert broker.texts("daly/x/status") == ["online"]
    assert set(broker.texts(STATUS)) == {"offline"}
    states = [json.loads(text) for text in broker.texts(STATE)]
    assert all(is_empty(state) for state in states)
    assert {"cell_1_voltage", "cell_48_voltage", "balancing_cells", "temperature_16"} <= states[
        0
    ].keys()  # of all that there may be
    # its layout is unknown; but what is said of the link is needed just now
    assert {topic for _, topic, _, _, _ in broker.heard if "bms1" in topic and "config" in topic} == {WORDS}


def test_the_words_on_the_link_have_an_entity_before_the_bms_was_ever_heard():
    broker = connected("silent=1", 20)
    message = json.loads(broker.texts(WORDS)[-1])
    link = message["cmps"]["connection"]
    assert link["stat_t"] == "daly/x/bms1/connection" and [place["t"] for place in link["avty"]] == ["daly/x/status"]
    assert message["dev"]["ids"] == ["daly_c0ffee_bms1"] and message["dev"]["via_device"] == "daly_c0ffee"
    assert "mdl" not in message["dev"]  # nobody knows, and Home Assistant may: from before a restart
    silent = broker.wire.us / 1000
    broker.wire.set("silent", 0)
    broker.run(40)
    again = [(ms, json.loads(text)) for ms, topic, text, _, _ in broker.since(silent) if topic == WORDS]
    assert again[-1][1]["dev"]["mdl"] == "Smart BMS 16S"
    moved = [t for _, t, text, _, _ in broker.heard if t.endswith("/config") and t != WORDS and '"connection":' in text]
    assert moved == []  # an entity that moves to another message is refused until Home Assistant restarts


def test_an_announcement_that_changes_leaves_home_assistant_time_for_the_one_before():
    """Of a second message on the same topic within 5 s it takes only the first entity."""
    broker = connected("drift=0", 40)
    by_topic = {}
    for ms, topic, text, _, _ in broker.heard:
        if topic.endswith("/config"):
            by_topic.setdefault(topic, []).append((ms, text))
    assert len(by_topic[WORDS]) == 2
    for times in by_topic.values():
        assert all(after - before >= ANNOUNCE_AGAIN_MS for (before, _), (after, _) in pairwise(times))


@pytest.mark.parametrize("counted", [0, 16])
@pytest.mark.parametrize("mute", ["0x94", "0x94+0x57+0x62+0x63", "0x94+0x50+0x53+0x57+0x62+0x63"])
def test_a_battery_whose_layout_never_changes_is_announced(counted, mute):
    broker = connected("drift=1,mute=" + mute, 60, pack=Pack(counted, 2 if counted else 0))
    announced = {}
    for _, topic, text, _, _ in broker.heard:
        if topic.endswith("/config"):
            announced.update(json.loads(text)["cmps"])
    assert len(announced["pack_voltage"]) > 1 and len(announced["problem"]) > 1
    assert (len(announced["cell_16_voltage"]) > 1) == (counted == 16)


# what is retained

MEASURED = ("bms1/state", "bms1/status", "bms1/connection", "bms1/soc")
KEPT = (
    "/announced",
    "/config",
    "x/status",
    "x/state",
    "/energy",
    "/command_result",
)  # the bridge's own state is vouched for by its last will


def test_what_is_measured_is_not_retained_and_what_must_arrive_has_quality_one():
    broker = connected("drift=0", 30, each_value=True)
    broker.publisher.report("none")
    broker.run(1)
    told = set()
    for _, topic, text, retain, qos in broker.heard:
        if retain and not text:  # clears what may still stand there
            continue
        assert retain == topic.endswith(KEPT), topic
        if topic not in told:
            assert qos == (1 if topic.endswith(("config", "announced", "status", "connection", "command_result")) else 0), topic
        told.add(topic)
    assert all(any(topic.endswith(end) for topic in told) for end in MEASURED)


def test_no_single_counter_is_called_unknown_because_the_broker_is_still_asked_for_it():
    broker = Broker(each_value=True, retain=True)
    broker.wire.pack.energy.hold()
    broker.connect().run(3)
    assert "daly/x/bms1/soc" not in {topic for _, topic, *_ in broker.heard}
    broker.wire.pack.energy.load([5000, 6000, 7000, 8000])
    broker.wire.pack.release_counters()
    broker.run(5)
    assert broker.texts("daly/x/bms1/energy_charged")[0] == "5.000" and broker.texts("daly/x/bms1/soc")


def test_everything_is_retained_for_who_wants_it():
    broker = connected("drift=0", 30, each_value=True, retain=True)
    assert all(retain for _, _, _, retain, _ in broker.heard)
    for topic in (STATUS, "daly/x/bms1/connection"):
        assert all(after != before for before, after in pairwise(broker.texts(topic)))  # no need to repeat them
    assert all(any(topic.endswith(end) for _, topic, _, _, _ in broker.heard) for end in MEASURED)


@pytest.mark.parametrize("options", ["drift=0", "silent=1"])
def test_who_comes_later_soon_hears_what_is_not_retained(options):
    broker = connected(options, 30)
    came = broker.wire.us / 1000
    broker.run(11)
    heard = {topic for _, topic, _, _, _ in broker.since(came)}
    assert {STATE, STATUS, "daly/x/state"} <= heard
    assert len(broker.since(came)) < 12
    broker.run(50)
    assert "daly/x/bms1/connection" in {topic for _, topic, _, _, _ in broker.since(came)}


def test_every_single_value_is_said_again_within_a_minute_and_never_in_a_flood():
    broker = connected("drift=0,cells=16", 60, each_value=True)
    came = broker.wire.us / 1000
    broker.run(62)
    values = [(ms, topic) for ms, topic, _, _, _ in broker.since(came) if topic.startswith("daly/x/bms1/")]
    values = [(ms, topic) for ms, topic in values if not topic.endswith(("state", "status", "connection", "info"))]
    state = {**each_balancing(json.loads(broker.texts(STATE)[-1])), **json.loads(broker.texts(INFO)[-1])}
    assert {topic.rpartition("/")[2] for _, topic in values} == state.keys() - {"seq", "time"}
    assert max(len([ms for ms, _ in values if at <= ms < at + 1000]) for at in range(int(came), int(came) + 60000, 500)) <= 5


def test_a_state_is_numbered_and_has_the_time_of_the_reading_where_that_is_known():
    broker = connected("drift=0", 30)
    said = [json.loads(text) for text in broker.texts(STATE)]
    assert [state["seq"] for state in said] == list(range(1, len(said) + 1))
    assert {state["time"] for state in said} == {None}
    broker.connect().run(5)
    assert json.loads(broker.texts(STATE)[-1])["seq"] > len(said)  # since the start, not since connecting
    broker = Broker(utc=lambda tick: f"2026-11-27T00:00:{tick // 1000:02d}Z").connect().run(10)
    assert json.loads(broker.texts(STATE)[-1])["time"] == "2026-11-27T00:00:" + json.loads(broker.texts(STATE)[-1])["time"][-3:]
    heard = [(ms, json.loads(text)) for ms, topic, text, _, _ in broker.heard if topic == STATE]
    assert all(abs(int(state["time"][-3:-1]) - ms / 1000) < 1.5 for ms, state in heard if state["soc"] is not None)
    broker.wire.set("silent", 1)
    broker.run(20)
    assert json.loads(broker.texts(STATE)[-1])["time"] is None


def test_after_home_assistants_start_everything_comes_again_in_order():
    broker = connected("drift=0", 30)
    birth = broker.wire.us / 1000
    broker.publisher.rediscover(broker.wire.now, 2000)
    broker.run(8)
    told = broker.since(birth)
    announced = [ms for ms, topic, _, _, _ in told if topic.endswith("/config")]
    statuses = [ms for ms, topic, _, _, _ in told if topic in (STATUS, "daly/x/status", "daly/x/bms1/connection")]
    assert 1900 < announced[0] - birth < 2300
    assert min(statuses) - announced[-1] > 1000 and max(statuses) - birth < 6000  # they wait until they can be heard
    assert [ms for ms, state in states(broker, birth) if abs(ms - min(statuses)) < 500]
    assert {topic for _, topic, _, _, _ in told} >= {STATUS, "daly/x/status", "daly/x/bms1/connection", "daly/x/state"}


# what must not silence the bridge


class FakeDiscovery(Discovery):
    """Raises MemoryError for the parts in `too_large`; `tries` are the attempts."""

    too_large = (5,)
    tries = ()

    def begin(self, part, is_settled=True):
        if part in self.too_large:
            self.tries += (part,)
            raise MemoryError("memory allocation failed")
        return super().begin(part, is_settled)


class LoadedInSteps(Discovery):
    """Needs three steps to be loaded; in the second one there is no memory as long as `is_full`."""

    is_full = True
    loads = 0

    def load(self, part):
        for number in range(3):
            yield
            self.loads += 1
            if number == 1 and self.is_full:
                raise MemoryError("memory allocation failed")


def test_where_nothing_is_loaded_any_more_nothing_waits_for_it():
    """No memory for a module, and a connection that ends meanwhile: what follows are calls like any other."""
    broker = Broker("drift=0", discovery=LoadedInSteps).connect()
    publisher = broker.publisher
    told = []
    while broker.wire.us < 20e6:
        broker.run(0.005)
        told.append(publisher.is_loading())
    assert True in told and publisher.discovery_errors > 10 and not publisher.is_loading()
    publisher.discovery.is_full = False
    broker.connect()
    while not publisher.is_loading():
        broker.run(0.005)
    publisher.begin(broker.wire.now)
    assert not publisher.is_loading()


@pytest.mark.parametrize("part", [0, 2, 5, 20, -1])
def test_an_announcement_there_is_no_memory_for_is_passed_over(part):
    parts = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", only(Pack()), "1.2.3", has_bridge=True).parts()

    class One(FakeDiscovery):
        too_large = (part % parts,)

    broker = connected("drift=0", 120, discovery=One, periods=SELDOM)
    assert len({topic for _, topic, _, _, _ in broker.heard if topic.endswith("/config")}) == parts - 1
    assert broker.publisher.discovery_errors >= 1
    assert broker.texts(STATUS)[-1] == "online" and states(broker, 110000)
    assert "daly/x/state" in {topic for _, topic, _, _, _ in broker.since(85000)}


@pytest.mark.slow
def test_what_was_passed_over_is_tried_again_but_rarely():
    made = []

    def discovery(*arguments, **more):
        made.append(FakeDiscovery(*arguments, **more))
        return made[0]

    broker = connected("drift=0", 60, discovery=discovery, periods=SELDOM)
    [announcer] = made
    assert len(announcer.tries) == 1 and broker.publisher.discovery_errors == 1
    broker.run(700)
    assert len(announcer.tries) == 2
    announcer.too_large = ()
    before = broker.wire.us / 1000
    broker.run(700)
    assert len({topic for _, topic, _, _, _ in broker.since(before) if topic.endswith("/config")}) == 1


def test_an_announcement_that_ends_the_connection_again_and_again_is_passed_over():
    """A broker that takes no message of that size closes the connection, and would be asked for ever."""
    broker, refused = Broker().connect(), "homeassistant/device/daly_c0ffee_bms1_counts/config"
    sessions = 1
    for _ in range(30000):
        broker.run(0.001)  # the next message would be begun otherwise
        if broker.heard and any(topic == refused for _, topic, _, _, _ in broker.heard[-1:]):
            broker.heard.append((broker.wire.us / 1000, "closed", "", False, 0))
            broker.connect()
            sessions += 1
    assert sessions == 3 and broker.publisher.discovery_errors == 1
    assert "homeassistant/device/daly_c0ffee_bms1_extremes/config" in {topic for _, topic, _, _, _ in broker.heard}


# status is looked after


@pytest.mark.parametrize("topic", ["daly/x/status", STATUS])
@pytest.mark.parametrize("payload", [b"offline", b"", b"\xff\xfe", b"Online"])
def test_who_contradicts_our_status_is_set_right_at_once(topic, payload):
    broker = connected("drift=0", 33)
    said = broker.wire.us / 1000
    assert broker.publisher.status_received(topic, payload, broker.wire.now) is None
    broker.run(0.1)
    # an empty one only clears what may be retained
    assert [(where, text) for _, where, text, _, _ in broker.since(said) if where == topic and text] == [(topic, "online")]


def test_our_own_words_that_come_back_are_no_contradiction():
    broker = connected("drift=0", 33)
    said = broker.wire.us / 1000
    for topic in ("daly/x/status", STATUS, "daly/y/status"):
        broker.publisher.status_received(topic, b"online", broker.wire.now)
    broker.publisher.status_received("daly/y/status", b"offline", broker.wire.now)
    broker.run(2)
    assert not [topic for _, topic, _, _, _ in broker.since(said) if topic.endswith("/status")]


def test_a_status_that_was_not_said_yet_is_not_contradicted():
    broker = Broker("silent=1").connect()
    broker.publisher.status_received("daly/x/status", b"offline", broker.wire.now)
    broker.publisher.status_received(STATUS, b"online", broker.wire.now)
    broker.run(1)
    topics = [topic for _, topic, _, _, _ in broker.heard]
    assert topics.index(STATE) < topics.index("daly/x/status")


# the numbers


def test_keys_are_always_there_and_what_is_not_known_is_null():
    broker = connected("drift=0,mute=0x93", 15)
    states = [json.loads(text) for text in broker.texts(STATE)]
    assert states[-1]["mode"] is None and states[-1]["temperature_1"] == 22
    broker.wire.set("silent", 1)
    broker.run(15)
    assert is_empty(json.loads(broker.texts(STATE)[-1]))
    assert json.loads(broker.texts(STATE)[-1]).keys() == states[-1].keys()


def test_numbers_have_the_decimals_of_the_table():
    text = connected("drift=0,current=10,soc=50").texts(STATE)[-1]
    for digits in (
        '"current":10.0,',
        '"soc":50.0,',
        '"remaining_capacity":140.000,',
        '"cycle_count":42,',
        '"balancing":"OFF",',
    ):
        assert digits in text


@pytest.mark.parametrize("start", [0, 2**29 - 6000])
def test_everything_is_valid_json_or_a_short_word(start):
    broker = connected("", 20, start=start)
    for _, topic, text, _, _ in broker.heard:
        if topic.endswith(("/status", "/connection")):
            assert 0 < len(text) <= 255
        elif topic != MARK and (text or not topic.endswith("/config")):  # an empty announcement removes
            json.loads(text)
    assert json.loads(broker.texts("daly/x/state")[-1]) == {"uptime": 7, "rssi": None, "note": 'a "quoted" word'}


def test_all_problems_at_once_are_a_state_home_assistant_takes():
    state = json.loads(connected(f"drift=0,alarms={'ff' * 7}").texts(STATE)[-1])
    assert state["problem"] == "ON" and 100 < len(state["active_alarms"]) <= 255


# when


def test_readings_that_change_all_the_time_are_said_once_in_an_interval():
    pack = Pack()
    pack.select(tuple(row for block in BLOCKS for row in block.rows))
    broker = connected("drift=5", 40, pack=pack)
    times = [ms for ms, topic, _, _, _ in broker.since(10000) if topic == STATE]
    pauses = [after - before for before, after in pairwise(times)]
    assert len(times) >= 12
    assert min(pauses) >= INTERVAL_MS - 40  # a state is written in steps, which take their time


URGENT = {("alarms", "soc_low_2"): "active_alarms", ("charge_mosfet", 0): "charge_mosfet", ("current", 10): "mode"}


@pytest.mark.parametrize("change", URGENT)
def test_an_alarm_a_mosfet_or_the_mode_does_not_wait_for_the_interval(change):
    broker = connected("drift=0", 10, interval_ms=60000)
    before = json.loads(broker.texts(STATE)[-1])
    changed = broker.wire.us / 1000
    broker.wire.set(*change)
    broker.run(5)
    ms, state = next((ms, json.loads(text)) for ms, topic, text, _, _ in broker.since(changed) if topic == STATE)
    assert state[URGENT[change]] != before[URGENT[change]]
    assert ms - changed < 2500


def test_another_change_does_wait_for_the_interval():
    broker = connected("drift=0", 12, interval_ms=20000)
    broker.wire.set("cell_mv", "1:3310")
    broker.run(40)
    heard = [(ms, state["cell_1_voltage"]) for ms, state in states(broker)]
    assert 19900 < next(ms for ms, volts in heard if volts == 3.31) - heard[0][0] < 20500


def test_what_has_gone_far_does_not_wait_for_the_slow_interval():
    broker = Broker("drift=0,cells=3,cell_mv=1:3300+2:3320+3:3350", slow_ms=60000).connect().run(12)
    broker.wire.set("cell_mv", "1:3300+2:3331+3:3350")
    broker.run(5)
    assert json.loads(broker.texts(STATE)[-1])["cell_2_voltage"] == 3.32
    broker.wire.set("cell_mv", "1:3300+2:3350+3:3350")
    broker.run(5)
    assert json.loads(broker.texts(STATE)[-1])["cell_2_voltage"] == 3.35


def test_small_changes_stay_inside_the_dead_band_until_all_is_said_exactly(monkeypatch):
    monkeypatch.setattr(deadband, "EXACT_MS", 60000)
    broker = connected("drift=0", 12)
    broker.wire.set("cell_mv", "1:3301")  # 2 mV: a database row worth nothing
    broker.run(40)
    assert json.loads(broker.texts(STATE)[-1])["cell_1_voltage"] == 3.299
    broker.run(30)
    assert json.loads(broker.texts(STATE)[-1])["cell_1_voltage"] == 3.301


def test_a_large_current_has_a_wider_dead_band():
    for amperes, after, told in ((10, 10.2, False), (10, 10.4, True), (100, 102, False), (100, 105, True)):
        broker = connected(f"drift=0,current={amperes}", 12)
        broker.wire.set("current", after)
        broker.run(15)
        assert (json.loads(broker.texts(STATE)[-1])["current"] == after) == told


def test_the_number_of_the_highest_cell_is_told_with_its_voltage():
    broker = connected("drift=0,cells=4,cell_mv=1:3300+2:3301+3:3290+4:3300", 12)
    broker.wire.set("cell_mv", "1:3302+2:3301+3:3290+4:3300")  # 1 mV higher, and another cell
    broker.run(40)
    assert json.loads(broker.texts(STATE)[-1])["max_voltage_cell"] == 2
    broker.wire.set("cell_mv", "1:3302+2:3301+3:3290+4:3320")
    broker.run(40)
    state = json.loads(broker.texts(STATE)[-1])
    assert (state["max_voltage_cell"], state["max_cell_voltage"]) == (4, 3.32)


def test_a_battery_that_does_not_change_is_heard_well_before_its_values_expire():
    broker = connected("drift=0", 80)
    for topic, longest in ((STATE, 20000), ("daly/x/state", 31000)):  # expire_after is 60 s
        times = [ms for ms, where, _, _, _ in broker.since(0) if where == topic]
        assert len(times) >= 3
        assert max(after - before for before, after in pairwise(times)) <= longest


# offline and back


def test_a_battery_that_falls_silent_is_called_offline_and_then_forgotten():
    broker = connected("drift=0", 10)
    silent = broker.wire.us / 1000
    broker.wire.set("silent", 1)
    broker.run(12)
    told = [(topic, text) for _, topic, text, _, _ in broker.since(silent) if topic in (STATUS, STATE)]
    offline = told.index((STATUS, "offline"))
    assert is_empty(json.loads(told[offline + 1][1]))
    assert all(is_empty(json.loads(text)) for topic, text in told[offline:] if topic == STATE)
    broker.wire.set("silent", 0)
    broker.run(10)
    words = battery(broker)
    last = len(words) - 1 - words[::-1].index("online")
    assert words[last - 1]["pack_voltage"] == 52.7


def test_a_new_session_is_told_everything_again():
    broker = connected("drift=0", 12)
    first = {topic for _, topic, _, _, _ in broker.heard}
    again = broker.wire.us / 1000
    broker.connect().run(10)
    told = broker.since(again)
    assert {topic for _, topic, _, _, _ in told} == first
    assert STATE in [topic for _, topic, _, _, _ in told[:5]]
    assert [text for _, topic, text, _, _ in told if topic == STATUS][-1] == "online"
    configs = {topic: text for _, topic, text, _, _ in broker.heard if topic.endswith("config")}
    assert {topic: text for _, topic, text, _, _ in told if topic.endswith("config")} == configs


def test_what_is_learned_late_is_announced_but_not_too_soon():
    broker = connected("drift=0", 30)
    configs = [
        (ms, text) for ms, topic, text, _, _ in broker.heard if topic == "homeassistant/device/daly_c0ffee_bms1_pack/config"
    ]
    assert json.loads(configs[-1][1])["dev"]["sn"] == "DL16S280A230517"  # asked once, some time after the numbers
    assert all(after - before >= ANNOUNCE_AGAIN_MS for (before, _), (after, _) in pairwise(configs))


def test_a_battery_with_more_cells_is_announced_again():
    broker = connected("drift=0,cells=4", 20)
    broker.wire.set("cells", 20)
    changed = broker.wire.us / 1000
    broker.run(30)
    announced = [
        json.loads(text)["cmps"] for _, topic, text, _, _ in broker.since(changed) if topic.endswith("config") and text
    ]
    assert any("cell_20_voltage" in components for components in announced)
    times = [ms for ms, topic, _, _, _ in broker.heard if topic == "homeassistant/device/daly_c0ffee_bms1_2/config"]
    assert all(after - before >= ANNOUNCE_AGAIN_MS for before, after in pairwise(times))


def test_cells_that_are_gone_are_taken_back():
    broker = connected("drift=0,cells=20", 20)
    broker.wire.set("cells", 4)
    broker.run(40)
    retained = {topic: text for _, topic, text, _, _ in broker.heard if topic.endswith("config")}
    components = {key: entity for text in retained.values() if text for key, entity in json.loads(text)["cmps"].items()}
    assert len(components["cell_4_voltage"]) > 1
    assert components["cell_20_voltage"] == components["cell_5_voltage"] == {"p": "sensor"}


def test_after_a_start_only_the_cells_there_are_have_keys():
    broker = connected("drift=0,cells=4", 20)
    states = [json.loads(text) for text in broker.texts(STATE)]
    assert all("cell_5_voltage" not in state for state in states if state["cell_count"])


def test_a_cell_that_is_gone_is_null_until_home_assistant_was_told():
    """It would log a warning for each entity whose key is missing."""
    broker = connected("drift=0,cells=20", 20)
    broker.wire.set("cells", 4)
    begun = broker.wire.us / 1000
    broker.run(40)
    told = max(ms for ms, topic, text, _, _ in broker.since(begun) if topic.endswith("cell_balancing_41/config"))
    states = [(ms, json.loads(text)) for ms, topic, text, _, _ in broker.since(begun) if topic == STATE]
    early = [state for ms, state in states if ms < told + 2500]
    assert all("cell_20_voltage" in state for state in early) and early[-1]["cell_20_voltage"] is None
    assert "cell_20_voltage" not in states[-1][1] and states[-1][1]["cell_4_voltage"]


# what belongs together is of one moment


def is_consistent(state):
    """Whether a state is one that a battery can be in, whatever dead bands and intervals did to its parts."""
    for many, highest, highest_at, lowest, lowest_at in (
        ("cell_{}_voltage", "max_cell_voltage", "max_voltage_cell", "min_cell_voltage", "min_voltage_cell"),
        ("temperature_{}", "max_temperature", "max_temperature_sensor", "min_temperature", "min_temperature_sensor"),
    ):
        known = [state[key] for n in range(1, 49) if state.get(key := many.format(n)) is not None]
        high, low = state[highest], state[lowest]
        assert (high is None) == (state[highest_at] is None) and (low is None) == (state[lowest_at] is None)
        assert not known or high is None or low <= min(known) <= max(known) <= high
        if high is not None and known:  # one that is named while its own voltage is not known yet is the BMS's word
            assert state[many.format(state[highest_at])] in (high, None) and state[many.format(state[lowest_at])] in (low, None)
    delta = None if state["max_cell_voltage"] is None else state["max_cell_voltage"] - state["min_cell_voltage"]
    # where they come from different responses it is not known
    assert state["cell_voltage_delta"] is None or state["cell_voltage_delta"] == pytest.approx(delta, abs=1e-9)
    balancing = [state[key] for key in state if key.endswith("_balancing")]
    if state["balancing"] is not None and None not in balancing:  # the list is not known while one of the cells is not
        assert (state["balancing"] == "ON") == ("ON" in balancing)
    assert (state["problem"] == "ON") == (state["active_alarms"] not in ("none", None))
    if state["current"] is not None:
        assert state["power"] == pytest.approx(state["current"] * state["pack_voltage"], abs=0.01)
    assert state["cell_count"] is None or f"cell_{state['cell_count']}_voltage" in state
    return True


@pytest.mark.parametrize("percent", [100, 0, 400])
@pytest.mark.parametrize("intervals", [(5000, 60000), (2000, 2000), (20000, 3000)])
def test_whatever_the_battery_does_every_state_is_consistent(percent, intervals):
    dice = Random(percent + intervals[0])
    broker = Broker("drift=3,cells=8,temperatures=4", interval_ms=intervals[0], slow_ms=intervals[1], band_percent=percent)
    broker.connect().run(10)
    for _ in range(25):
        cell, change = dice.randint(1, 8), dice.choice(["cell", "cells", "balance", "alarm", "current", "temperature", "count"])
        if change == "cell":
            broker.wire.set("cell_mv", f"{cell}:{3300 + dice.randint(-40, 40)}")
        elif change == "cells":
            broker.wire.set("cell_mv", "+".join(f"{n}:{3300 + dice.randint(-9, 9)}" for n in range(1, 9)))
        elif change == "balance":
            broker.wire.set("balancing", dice.choice(["", f"{cell}", "1+8"]))
        elif change == "alarm":
            broker.wire.set("alarms", dice.choice(["", "soc_low_2", "soc_low_2+eeprom"]))
        elif change == "current":
            broker.wire.set("current", dice.choice([0, 0.2, -0.2, 30, -30, 2]))
        elif change == "temperature":
            broker.wire.set("temperature", dice.randint(-5, 30))
        else:
            broker.wire.set("cells", dice.choice([4, 8]))
        broker.run(dice.uniform(0.2, 6))
    assert len(states(broker)) > 10 and all(is_consistent(state) for _, state in states(broker))


def test_a_cell_that_dies_is_named_with_its_voltage():
    broker = Broker("drift=0,cells=16", interval_ms=5000, slow_ms=60000).connect().run(12)
    died = broker.wire.us / 1000
    broker.wire.set("cell_mv", "13:380")
    broker.run(20)
    after = [(ms, state) for ms, state in states(broker, died) if state["min_cell_voltage"] == 0.38]
    assert after[0][0] - died < 6000
    assert all(state["min_voltage_cell"] == 13 and state["cell_13_voltage"] == 0.38 for _, state in after)


def test_the_difference_of_the_cells_is_never_larger_than_it_was():
    """All cells rise by more than ten dead bands, one after the other: highest and lowest must not be of two moments."""
    broker = Broker("drift=0,cells=4,cell_mv=1:3300+2:3303+3:3305+4:3307", interval_ms=5000, slow_ms=60000).connect().run(12)
    for step in range(1, 12):
        broker.wire.set(
            "cell_mv", "+".join(f"{n}:{3300 + 27 * step + offset}" for n, offset in ((1, 0), (2, 3), (3, 5), (4, 7)))
        )
        broker.run(7)
    assert {state["cell_voltage_delta"] for _, state in states(broker, 12000)} == {0.007}


def test_the_difference_is_told_at_the_pace_of_a_main_reading():
    broker = Broker("drift=0,cells=4,cell_mv=1:3300+2:3303+3:3305+4:3307", interval_ms=5000, slow_ms=60000).connect().run(12)
    widened = broker.wire.us / 1000
    broker.wire.set("cell_mv", "1:3300+2:3303+3:3305+4:3320")
    broker.run(20)
    assert next(ms for ms, state in states(broker, widened) if state["cell_voltage_delta"] == 0.02) - widened < 6000


def test_cells_that_play_by_a_millivolt_or_two_cost_no_row():
    broker = Broker("drift=0,cells=8", interval_ms=2000, slow_ms=4000).connect().run(12)
    dice, begun = Random(5), broker.wire.us / 1000
    for _ in range(60):
        broker.wire.set("cell_mv", "+".join(f"{n}:{3300 + dice.randint(-1, 1)}" for n in range(1, 9)))
        broker.run(1)
    cells = [tuple(state[f"cell_{n}_voltage"] for n in range(1, 9)) for _, state in states(broker, begun + 5000)]
    assert sum(after != before for before, after in pairwise(cells)) <= 1


def test_balancing_is_told_at_the_pace_of_a_main_reading_with_its_cells():
    broker = Broker("drift=0,cells=16", interval_ms=5000, slow_ms=60000).connect().run(13)
    begun = broker.wire.us / 1000
    broker.wire.set("balancing", "4+14")
    broker.run(12)
    ms, state = next((ms, state) for ms, state in states(broker, begun) if state["balancing"] == "ON")
    assert ms - begun < 8000
    assert [n for n in range(1, 17) if state[f"cell_{n}_balancing"] == "ON"] == [4, 14]


def test_the_extremes_are_of_the_cells_that_are_known_even_if_the_bms_does_not_name_them():
    state = json.loads(connected("drift=0,mute=0x91+0x92", 20).texts(STATE)[-1])
    assert state["max_cell_voltage"] == max(state[f"cell_{n}_voltage"] for n in range(1, 17))
    assert state["cell_voltage_delta"] is not None and state["max_temperature"] == 22


def test_where_no_cell_is_known_the_bms_names_the_extremes():
    told, alone = (json.loads(connected(options, 40).texts(STATE)[-1]) for options in ("drift=0", "drift=0,mute=0x94"))
    assert alone.get("cell_1_voltage") is None and alone["max_cell_voltage"] is not None
    keys = ("max_cell_voltage", "max_voltage_cell", "min_cell_voltage", "min_voltage_cell", "cell_voltage_delta")
    assert [alone[key] for key in keys] == [told[key] for key in keys]


def test_the_number_of_cells_changes_with_the_cells():
    broker = Broker("drift=0,cells=8", interval_ms=5000, slow_ms=60000).connect().run(12)
    broker.wire.set("cells", 4)
    while broker.wire.pack.topology["cell_count"] == 8:
        broker.run(0.1)
    broker.run(0.5)
    state = json.loads(broker.texts(STATE)[-1])
    assert state["cell_count"] == 4 and state["max_voltage_cell"] <= 4 and state["cell_8_voltage"] is None


# what has a meaning of its own


@pytest.mark.parametrize("last", [-0.2, 0.2, 0.1])
def test_a_current_that_ends_is_told_as_zero_with_its_power(last):
    broker = Broker("drift=0,current=-5", interval_ms=2000, slow_ms=60000).connect().run(12)
    broker.wire.set("current", last)
    broker.run(5)
    ended = broker.wire.us / 1000
    broker.wire.set("current", 0)
    broker.run(5)
    state = json.loads(broker.texts(STATE)[-1])
    assert (state["current"], state["power"], state["mode"]) == (0.0, 0.0, "idle")
    # nor does anything contradict the mode meanwhile, but for the moment between two answers
    wrong = [ms for ms, state in states(broker, ended) if state["mode"] == "idle" and state["current"]]
    assert not wrong or wrong[-1] - ended < 1000


@pytest.mark.parametrize("options", [(99.4, 100), (0.8, 0)])
def test_full_and_empty_are_told_however_wide_the_dead_band(options):
    near, end = options
    broker = connected(f"drift=0,current=0,soc={near}", 12, band_percent=1000)
    broker.wire.set("soc", end)
    broker.run(5)
    assert json.loads(broker.texts(STATE)[-1])["soc"] == end


def test_remaining_capacity_is_told_with_the_state_of_charge():
    broker = connected("drift=0,current=0,soc=57.3", 12)
    broker.wire.set("soc", 57.2)
    broker.run(5)
    state = json.loads(broker.texts(STATE)[-1])
    assert (state["soc"], state["remaining_capacity"]) == (57.2, 160.16)


@pytest.mark.parametrize("cells_interval", [10000, 60000])
@pytest.mark.parametrize("at", [0.5, 3, 7])
def test_on_a_quiet_battery_a_cell_is_told_within_its_interval(cells_interval, at):
    broker = Broker("drift=0,current=0,cells=3,cell_mv=1:3300+2:3320+3:3350", interval_ms=5000, slow_ms=cells_interval)
    broker.connect().run(70 + at)
    changed = broker.wire.us / 1000
    broker.wire.set("cell_mv", "1:3300+2:3332+3:3350")
    broker.run(80)
    told = next(ms for ms, state in states(broker, changed) if state["cell_2_voltage"] == 3.332)
    assert told - changed < cells_interval + 6000


def test_cells_may_be_told_more_often_than_the_pack():
    broker = Broker("drift=0,current=0,cells=3,cell_mv=1:3300+2:3320+3:3350", interval_ms=60000, slow_ms=2000)
    broker.connect().run(20)
    changed = broker.wire.us / 1000
    broker.wire.set("cell_mv", "1:3300+2:3332+3:3350")
    broker.run(10)
    assert next(ms for ms, state in states(broker, changed) if state["cell_2_voltage"] == 3.332) - changed < 3000


# texts that Home Assistant shows


def test_every_text_that_home_assistant_shows_has_at_most_255_characters():
    """It shows a longer state as unknown. All text entities of both devices, with the longest that their sources can say."""
    broker = Broker(f"drift=0,alarms={'ff' * 7}")
    long = "ä" * 700
    broker.wire.run(2)  # it is known what the protocol can say
    pack = broker.wire.pack
    poller = SimpleNamespace(
        diagnosis=SimpleNamespace(text=long), online=True, complete=True, static_done=True, last_response=0
    )
    batteries = only(pack, poller)
    allowed = ("soc", "charge_mosfet")
    broker.publisher = Publisher(
        "daly/x",
        Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1", allowed=allowed, has_bridge=True),
        batteries,
        lambda now: [(key, long) for key, *_ in BRIDGE],
        2000,
    )
    for row in READINGS:
        if row.kind == TEXT and row.derive is None:
            pack.put(row, 0, "x" * 35, 0)
        elif row.kind == BITFIELD:
            for index in range(row.slots):
                pack.put(row, index, 255 if index < 3 else 15, 0)
    broker.publisher.begin(0)
    broker.publisher.report(long)
    broker.run(10)
    shown, topics = {}, {}
    for _, topic, text, _, _ in broker.heard:
        topics[topic] = text
    for topic, text in topics.items():
        if topic.endswith("/config"):
            message = json.loads(text)
            for key, entity in message["cmps"].items():
                if entity["p"] in ("sensor", "binary_sensor") and len(entity) > 1 and "unit_of_meas" not in entity:
                    if ").balancing_cells" in entity.get("val_tpl", ""):
                        continue  # its template makes ON or OFF of a list
                    if key == "battery_charging":
                        continue  # and this one of the mode
                    said = topics[entity.get("stat_t", message["stat_t"])]
                    shown[message["dev"]["ids"][0], key] = said if "stat_t" in entity else json.loads(said)[key]
    texts = {key: text for key, text in shown.items() if isinstance(text, str)}
    assert {key for _, key in texts} >= {
        "connection",
        "last_command",
        "active_alarms",
        "battery_code",
        "settings_problems",
        "last_failure",
    }
    assert {key for _, key in texts} >= {"restart_reason", "current_sign", "ip_address", "software_version", "hardware_version"}
    assert {key: len(text) for key, text in texts.items() if len(text) > 255} == {}
    assert len(texts["daly_c0ffee_bms1", "connection"]) > 200


# single values


def test_single_values_cost_nothing_while_nothing_changes(monkeypatch):
    looks = []
    look = deadband.PublishedValues.at
    monkeypatch.setattr(deadband.PublishedValues, "at", lambda *parts: looks.append(1) or look(*parts))
    broker = connected("drift=0", 60, each_value=True)
    looks.clear()
    for _ in range(400):
        broker.publisher._first.single_value(broker.wire.now)
    assert len(looks) <= 100, "every pass looks at every reading"
    broker.wire.set("soc", 44)
    broker.run(8)
    assert broker.texts("daly/x/bms1/soc")[-1] == "44.0"


def test_single_values_say_what_the_state_says():
    broker = connected("drift=3,cells=4,current=-12", 70, each_value=True)
    broker.wire.set("silent", 1)
    broker.run(8)
    assert {broker.texts(f"daly/x/bms1/{key}")[-1] for key in ("soc", "mode", "problem", "cell_4_voltage")} == {""}
    broker.wire.set("silent", 0)
    broker.run(30)
    state = {**json.loads(broker.texts(STATE)[-1]), **json.loads(broker.texts(INFO)[-1])}
    broker.run(0.5)
    for key in ("soc", "mode", "problem", "active_alarms", "cell_count", "balancing", "max_voltage_cell", "chemistry"):
        assert broker.texts(f"daly/x/bms1/{key}")[-1] == str(state[key]), key


def test_a_sensor_that_is_not_there_leaves_the_others_their_extremes():
    pack = Pack(4, 3)
    ours = Deadband(pack, 2000, 2000, 100)
    many = READING["temperature_{}"]
    for now, temperatures, named in (
        (0, (20, None, 5), (20, 1, 5, 3)),
        (2000, (21, None, 9), (21, 1, 9, 3)),
        (4000, (1, None, 9), (9, 3, 1, 1)),
    ):
        for index, celsius in enumerate(temperatures):
            pack.put(many, index, celsius, now)
        for key, raw in zip(
            ("max_temperature", "max_temperature_sensor", "min_temperature", "min_temperature_sensor"),
            (20, 1, 5, 3),
            strict=True,
        ):
            pack.put(READING[key], 0, raw, now)  # of some seconds ago
        ours.take(now)
        keys = ("max_temperature", "max_temperature_sensor", "min_temperature", "min_temperature_sensor")
        assert tuple(ours.published.raw(key) for key in keys) == named
        assert [ours.published.at(many, index) for index in range(3)] == list(temperatures)


def test_a_cell_that_is_not_known_may_be_the_one_the_bms_names():
    pack = Pack(3)
    ours = Deadband(pack, 2000, 2000, 100)
    for number, millivolts in ((1, 3300), (3, 3310)):
        pack.put(READING["cell_{}_voltage"], number - 1, millivolts, 0)
    keys = ("max_cell_voltage", "max_voltage_cell", "min_cell_voltage", "min_voltage_cell")
    for key, raw in zip(keys, (3350, 3, 400, 2), strict=True):
        pack.put(READING[key], 0, raw, 0)
    ours.take(0)  # cell 3 is known now, and its word is of some seconds ago
    assert tuple(ours.published.raw(key) for key in keys) == (3310, 3, 400, 2)


def test_an_alarm_and_a_mosfet_do_not_wait_for_current_and_mode_to_agree():
    """While a load ends, mode and current are read one after the other and wait for each other, but nothing else waits."""
    pack = Pack(1)
    ours = Deadband(pack, 2000, 2000, 100)
    known = {"pack_voltage": 520, "current": -300, "mode": 2, "discharge_mosfet": 1, "alarm_bits_{}": 0}
    for key, raw in known.items():
        pack.put(READING[key], 0, raw, 0)
    ours.take(0)
    pack.put(READING["mode"], 0, 0, 100)  # idle, and the current is still the one of the load
    assert not ours.take(100)
    pack.put(READING["alarm_bits_{}"], 0, 2, 110)
    assert ours.take(110)
    pack.put(READING["discharge_mosfet"], 0, 0, 120)
    assert ours.take(120)
    now = {key: ours.published.raw(key) for key in known}
    assert now == {**known, "alarm_bits_{}": 2, "discharge_mosfet": 0}
    pack.put(READING["current"], 0, 0, 150)
    assert ours.take(150) and (ours.published.raw("mode"), ours.published.raw("current")) == (0, 0)


def test_current_and_mode_that_never_agree_are_published_half_a_second_later():
    pack = Pack(1)
    ours = Deadband(pack, 60000, 60000, 100)
    for key, raw in {"pack_voltage": 520, "current": -300, "mode": 2}.items():
        pack.put(READING[key], 0, raw, 0)
    ours.take(0)
    pack.put(READING["mode"], 0, 0, 100)
    taken = [now for now in range(100, 1000, 10) if ours.take(now)]
    assert taken == [600] and ours.published.raw("mode") == 0


def test_after_a_reconnect_no_state_has_the_values_from_before_while_current_and_mode_disagree():
    """The battery turned from discharging to charging a moment ago: the current has been read since, the mode not yet."""
    pack = Pack(1, polarity=Polarity("auto", 1))
    poller = SimpleNamespace(
        diagnosis=SimpleNamespace(text="OK"), online=True, complete=True, static_done=True, last_response=0
    )
    announcer = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", only(pack), "1", has_bridge=True)
    ours = Publisher("daly/x", announcer, only(pack, poller), lambda now: (("uptime", 7),), 2000)

    def read(message):
        return message and (message[0], json.loads(message[1].bytes()) if message[0] == STATE else None)

    def states_from(begin, end):
        polled = [(now, read(ours.poll(now))) for now in range(begin, end)]
        return [(now, found[1]) for now, found in polled if found is not None and found[0] == STATE]

    for key, raw in {"pack_voltage": 520, "current": -200, "mode": 2, "soc": 500}.items():
        pack.put(READING[key], 0, raw, 0)
    ours.begin(0)
    assert states_from(0, 1000)[-1][1]["current"] == -20.0
    for key, raw in {"pack_voltage": 540, "current": 300, "soc": 600}.items():
        pack.put(READING[key], 0, raw, 600000)
    ours.begin(600000)
    first, state = states_from(600000, 601000)[0]
    assert (state["pack_voltage"], state["current"], state["soc"]) == (54.0, 30.0, 60.0)
    assert first - 600000 <= 550


class Asked(Pack):
    """Counts how often a reading is asked for."""

    asked = 0

    def at(self, row, index=0):
        self.asked += 1
        return super().at(row, index)


def test_a_pass_in_which_nothing_changed_asks_for_no_reading():
    pack = Asked(4)
    ours = Deadband(pack, 2000, 2000, 100)
    for key, raw in {"pack_voltage": 520, "current": -300, "mode": 2}.items():
        pack.put(READING[key], 0, raw, 0)
    ours.take(0)
    before = pack.asked
    for now in range(5, 1900, 5):
        assert not ours.take(now)
    assert pack.asked == before


# written in pieces


def test_a_state_is_of_one_moment_although_it_is_written_in_many_polls():
    broker = connected("drift=0,cells=16", 12, retain=True)
    pack, publisher = broker.wire.pack, broker.publisher
    pack.energy.load((0, 0, 0, 0))
    now = broker.wire.now
    while not (publisher.is_writing and publisher._begun[0] == STATE):
        now += 1
        assert publisher.poll(now) is None or now < broker.wire.now + 12000
    before = {row.key: pack.at(row) for row in READINGS}
    polls, message = 0, None
    while message is None:  # meanwhile the battery is another one
        for row in READINGS:
            if row.derive is None and before[row.key] is not None and row.kind == 0:
                pack.put(row, 0, before[row.key] + 1 + polls, now)
        pack.topology["cell_count"] = 17 + polls
        pack.topology_changes += 1
        publisher.set_counters(now)
        polls += 1
        now += 1
        message = publisher.poll(now)
    state = json.loads(message[1].bytes())
    assert polls > 10 and message[0] == STATE
    assert state["soc"] == before["soc"] / 10 and state["cycle_count"] == before["cycle_count"]
    assert state["cell_1_voltage"] == before["cell_{}_voltage"] / 1000 and "cell_17_voltage" not in state
    assert state["energy_charged"] in (None, before["energy_charged"])
    told = [publisher.poll(now + 1 + later) for later in range(200)]
    assert "daly/x/bms1/energy" in [each[0] for each in told if each]  # the counters that were set


def test_the_connection_is_not_ok_before_there_are_numbers():
    broker = connected("drift=0,cells=48,think=200", 20)
    numbers = states(broker)[0][0]
    connections = [(ms, text) for ms, topic, text, _, _ in broker.heard if topic == "daly/x/bms1/connection"]
    assert numbers > 1500 and connections[0][1] == "Looking for the BMS"
    assert all(ms > numbers for ms, text in connections if text.startswith("OK")) and connections[-1][1].startswith("OK")


def test_a_new_connection_gives_up_what_was_half_written():
    broker = connected("drift=0", 12)
    publisher, now = broker.publisher, broker.wire.now
    while not publisher.is_writing:
        now += 1
        publisher.poll(now)
    publisher.begin(now)
    assert not publisher.is_writing and publisher.has_news()


# what somebody else says in our name


@pytest.mark.parametrize(("topic", "wrong"), [("daly/x/status", b"offline"), (STATUS, b"offline"), (STATUS, b"?")])
def test_a_status_that_is_not_what_we_said_last_is_corrected_at_once(topic, wrong):
    broker = connected()
    begin = broker.wire.us / 1000
    broker.publisher.status_received(topic, wrong, broker.wire.now)
    broker.run(1)
    said = [(ms, text, retain) for ms, where, text, retain, _ in broker.since(begin) if where == topic]
    assert said[-1][1] == "online" and said[-1][0] - begin < 100
    # it may have been retained, which nobody is told, and then it would be found by who comes later
    assert [(text or "", retain) for _, text, retain in said[:-1]] == ([("", True)] if topic == STATUS else [])


def test_what_an_earlier_version_left_on_the_topics_of_single_values_is_cleared_once():
    broker = connected("drift=0,cells=4", 10, each_value=True)
    soc = [(text, retain) for _, topic, text, retain, _ in broker.heard if topic == "daly/x/bms1/soc"]
    assert soc[0] == ("", True) and soc[-1] == ("57.3", False) and ("", True) not in soc[1:]
    begin = broker.wire.us / 1000
    broker.connect().run(10)
    assert not [topic for _, topic, _, retain, _ in broker.since(begin) if topic == "daly/x/bms1/soc" and retain]
    retained = connected("drift=0,cells=4", 10, each_value=True, retain=True)
    assert retained.texts("daly/x/bms1/soc")[-1] == "57.3"


def test_our_own_echo_is_not_answered_and_nothing_is_corrected_before_we_have_said_it():
    broker = Broker().connect()
    broker.publisher.status_received("daly/x/status", b"offline", broker.wire.now)
    broker.publisher.status_received(STATUS, b"offline", broker.wire.now)
    broker.run(10)
    count = len([1 for _, topic, _, _, _ in broker.heard if topic.endswith("/status")])
    broker.publisher.status_received("daly/x/status", b"online", broker.wire.now)
    broker.publisher.status_received(STATUS, b"online", broker.wire.now)
    broker.run(3)
    assert len([1 for _, topic, _, _, _ in broker.heard if topic.endswith("/status")]) == count


def test_who_insists_is_answered_but_not_in_a_storm():
    broker = connected()
    begin = broker.wire.us / 1000
    for _ in range(600):  # a minute
        broker.publisher.status_received("daly/x/status", b"offline", broker.wire.now)
        broker.run(0.1)
    said = [ms for ms, where, _, _, _ in broker.since(begin) if where == "daly/x/status"]
    assert 3 <= len(said) <= 10 and all(after - before >= 1000 for before, after in pairwise(said))


def test_counters_that_somebody_set_are_told_at_once_also_while_the_battery_is_silent():
    for options in ("drift=0,current=100", "silent=1"):
        broker = connected(options)
        broker.wire.pack.energy.load((5000, 4000, 3000, 2000))
        broker.run(8)
        pack = broker.wire.pack
        pack.energy.set((0, 7, 0, 0))
        for key in COUNTERS:
            if pack.raw(key) is not None:
                pack.put(READING[key], 0, pack.energy.total(key), pack.read_at(key))
        begin = broker.wire.us / 1000
        broker.publisher.set_counters(broker.wire.now)
        broker.run(0.5)
        told = [json.loads(text) for _, topic, text, _, _ in broker.since(begin) if topic == "daly/x/bms1/energy"]
        assert told and told[0]["energy_charged"] == 0 and told[0]["energy_discharged"] == 0.007
        assert max(state["energy_charged"] for state in told) < 1  # the old ones do not come back


def test_when_a_load_ends_no_state_has_its_current_beside_idle():
    """Mode and current are read one after the other; the mode was told at once, the current up to five seconds later."""
    for wait in (0.0, 0.07, 0.13, 0.21, 0.29):
        broker = connected("drift=0,current=-30", 20 + wait)
        begin = broker.wire.us / 1000
        assert not broker.wire.poller.pack.polarity.trouble
        for current in ("0", "25", "-30"):
            broker.wire.set("current", current)
            broker.run(7)
        states = [json.loads(text) for _, topic, text, _, _ in broker.since(begin) if topic == STATE]
        signs = {"idle": 0, "charging": 1, "discharging": -1}
        assert not [(s["seq"], s["mode"]) for s in states if s["current"] is None]
        assert all((s["current"] > 0) - (s["current"] < 0) == signs[s["mode"]] for s in states)
        assert {s["mode"] for s in states} == set(signs)


def test_a_board_that_says_idle_while_a_little_flows_is_told_all_the_same():
    broker = connected("drift=0,current=-30,deadzone=1", 12)
    begin = broker.wire.us / 1000
    broker.wire.set("current", "-0.6")
    broker.run(8)
    states = [json.loads(text) for _, topic, text, _, _ in broker.since(begin) if topic == STATE]
    assert states[-1]["current"] in (-0.6, 0)


def test_the_result_of_a_command_is_not_lost_behind_the_next_ones():
    broker = Broker("drift=0")
    broker.connect()
    broker.run(5)
    for text in ("first: done", "second: refused", "third: refused"):
        broker.publisher.report(text)
    found = []
    for _ in range(400):
        broker.wire.us += 1000
        message = broker.publisher.poll(broker.wire.now)
        if message is not None and message[0].endswith("/command_result"):
            found.append(message[1])
    assert found == ["first: done", "second: refused", "third: refused"]


def test_what_waits_to_be_published_does_not_wait_twice():
    """A broker that closes every connection must not fill the memory with what is said once in each."""
    broker = Broker()
    for _ in range(5):
        broker.publisher.begin(broker.wire.now)
        broker.publisher.publish("/bms2/status", "offline")
        broker.publisher.publish("/bms2/connection", "is not read")
    broker.run(5)
    assert broker.texts("daly/x/bms2/status") == ["offline"] and broker.texts("daly/x/bms2/connection") == ["is not read"]
    broker.publisher.publish("/bms2/status", "offline")
    assert len(broker.run(5).texts("daly/x/bms2/status")) == 2


# quiet: what a broker retains is not announced again


def announcements(broker, since=0):
    return [topic for _, topic, _, _, _ in broker.since(since) if topic.endswith("/config")]


def reconnect(broker, mark, seconds=30):
    """A new connection to a broker that retains this mark; None: it retains nothing. What is announced then."""
    at = broker.wire.us / 1000
    broker.connect().run(0.2)
    if mark is not None:
        broker.publisher.status_received(MARK, mark.encode(), broker.wire.now)
    broker.run(seconds)
    return announcements(broker, at)


def test_a_broker_that_retains_the_announcement_is_told_nothing_again():
    broker = connected(seconds=30)
    first = announcements(broker)
    assert len(first) > 20
    for _ in range(3):
        assert reconnect(broker, broker.texts(MARK)[-1]) == []
    assert broker.texts(STATUS)[-1] == "online"


def test_the_mark_is_retained_and_comes_behind_all_that_it_stands_for():
    broker = connected(seconds=40)
    topics = [topic for _, topic, _, _, _ in broker.heard]
    last = max(position for position, topic in enumerate(topics) if topic.endswith("/config"))
    assert max(position for position, topic in enumerate(topics) if topic == MARK) > last
    assert {(retain, qos) for _, topic, _, retain, qos in broker.heard if topic == MARK} == {(True, 1)}


@pytest.mark.parametrize("mark", [None, "", "0", "another"])
def test_a_broker_that_has_lost_it_or_never_had_it_is_told_all_again(mark):
    broker = connected(seconds=30)
    everything = set(announcements(broker))
    before = broker.texts(MARK)[-1]
    assert set(reconnect(broker, mark)) == everything
    assert broker.texts(MARK)[-1] != before  # one that had the first announcement only is recognized


def test_a_connection_that_ended_in_the_middle_of_it_leaves_no_mark():
    broker = Broker().connect()
    while len(announcements(broker)) < 8:
        broker.run(0.05)
    assert broker.texts(MARK) == []
    assert len(set(reconnect(broker, "0"))) > 20


def test_home_assistants_start_gets_it_whatever_the_broker_retains():
    broker = connected(seconds=30)
    reconnect(broker, broker.texts(MARK)[-1])
    at = broker.wire.us / 1000
    broker.publisher.rediscover(broker.wire.now, 1000)
    broker.run(30)
    assert set(announcements(broker, at)) == set(announcements(broker))


def test_what_has_changed_is_announced_under_another_mark():
    broker = connected("drift=0,cells=8", 30)
    before = broker.texts(MARK)[-1]
    at = broker.wire.us / 1000
    broker.wire.set("cells", 7)
    broker.run(40)
    assert announcements(broker, at) and broker.texts(MARK)[-1] != before
    assert reconnect(broker, broker.texts(MARK)[-1]) == []
    assert reconnect(broker, before) != []


def test_without_discovery_nothing_is_announced_and_all_else_is_published():
    def make(*arguments, has_bridge):
        return LoadedDiscovery(Writer(LARGEST), *arguments, (), "", has_bridge, is_wanted=False)

    broker = connected(seconds=30, discovery=make)
    assert announcements(broker) == [] and broker.texts(MARK) == []
    assert broker.texts(STATUS)[-1] == "online" and broker.texts(STATE) and broker.texts("daly/x/state")
    broker.publisher.rediscover(broker.wire.now, 1000)
    at = broker.wire.us / 1000
    broker.run(10)
    assert announcements(broker) == [] and STATE in {topic for _, topic, _, _, _ in broker.since(at)}


# what is read once


def test_what_is_read_once_is_not_in_the_state_but_published_when_it_is_known_and_again_for_later_subscribers():
    broker = connected("drift=0,cells=4", 60)
    assert json.loads(broker.texts(INFO)[-1])["rated_capacity"] == 280.0
    assert not {"rated_capacity", "cell_overvoltage_limit_1"} & json.loads(broker.texts(STATE)[-1]).keys()
    assert not any(retain for _, topic, _, retain, _ in broker.heard if topic == INFO)
    at = broker.wire.us / 1000
    broker.run(650)
    assert len([topic for _, topic, _, _, _ in broker.since(at) if topic == INFO]) == 1


def test_it_is_there_before_the_battery_is_online_again_and_becomes_unknown_with_it():
    broker = connected("drift=0,cells=4", 60)
    at = broker.wire.us / 1000
    broker.connect().run(5)
    talk = [(topic, text) for _, topic, text, _, _ in broker.since(at)]
    info = [position for position, (topic, _) in enumerate(talk) if topic == INFO]
    assert info and info[0] < talk.index((STATUS, "online"))
    broker.wire.set("silent", 1)
    broker.run(30)
    assert is_empty(json.loads(broker.texts(INFO)[-1]))
