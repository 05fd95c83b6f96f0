"""What the broker is told, in which order and when: simulated BMS, real Poller and Publisher, and one who writes it down."""

import json
from itertools import pairwise

import pytest
from simulation import Wire

from daly.energy import COUNTERS
from daly.registers import READING
from mqtt import said
from mqtt.discovery import Discovery
from mqtt.publisher import Publisher

STATUS, STATE = "daly/x/bms1/status", "daly/x/bms1/state"
INTERVAL_MS = 2000
ANNOUNCE_AGAIN_MS = 5000  # Home Assistant drops most of a second announcement that follows sooner


class Broker:
    """A Wire and the Publisher at its end; `heard` is everything published as (ms, topic, text, retain, qos)."""

    def __init__(self, options="drift=0", start=0, interval_ms=INTERVAL_MS, slow_ms=None):
        self.wire = Wire(options, start=start)
        pack = self.wire.pack
        discovery = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", pack, "1.2.3")
        self.publisher = Publisher(
            "daly/x", discovery, pack, self.wire.poller, self.bridge, interval_ms, slow_ms or interval_ms
        )
        self.heard = []
        self._next_us = 0

    def bridge(self, now):
        return (("uptime", 7), ("rssi", None), ("note", 'a "quoted" word'))

    def connect(self):
        """A new session."""
        self.publisher.begin(self.wire.now)
        return self

    def run(self, seconds):
        """Let time pass; the publisher is asked every 5 ms, as the board's loop would."""
        self.wire.run(seconds, self._listen)
        return self

    def since(self, ms):
        return [message for message in self.heard if message[0] >= ms]

    def texts(self, topic):
        return [text for _, where, text, _, _ in self.heard if where == topic]

    def _listen(self, wire):
        if wire.us < self._next_us:
            return
        self._next_us = wire.us + 5000
        message = self.publisher.poll(wire.now)
        if message is not None:
            topic, text, retain, qos = message
            self.heard.append((wire.us / 1000, topic, text.decode() if isinstance(text, bytes) else text, retain, qos))


def connected(options="drift=0", seconds=10, **others):
    return Broker(options, **others).connect().run(seconds)


def battery(broker):
    """Status and state messages of the battery, in order: "online", "offline" or the readings as a dict."""
    talk = [(topic, text) for _, topic, text, _, _ in broker.heard if topic in (STATUS, STATE)]
    return [text if topic == STATUS else json.loads(text) for topic, text in talk]


def is_empty(readings):
    return all(value is None for value in readings.values())


# the first words


def test_a_new_session_is_introduced_before_it_speaks():
    topics = [topic for _, topic, _, _, _ in connected().heard]
    assert topics[0] == "homeassistant/device/daly_c0ffee/config"
    assert topics.index(topics[0]) < topics.index(STATE) < topics.index("daly/x/status")


def test_what_an_old_session_left_retained_is_replaced_before_the_bridge_is_online():
    broker = connected()
    again = broker.wire.us / 1000
    broker.connect().run(5)
    topics = [topic for _, topic, _, _, _ in broker.since(again)]
    assert topics.index(STATE) < topics.index("daly/x/status")
    statuses = [text for _, topic, text, _, _ in broker.since(again) if topic == STATUS]
    assert statuses == ["online"]  # the battery was there all along: no flicker


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
    assert broker.texts(STATUS) == ["offline"]
    states = [json.loads(text) for text in broker.texts(STATE)]
    assert all(is_empty(state) for state in states)
    assert {"cell_1_voltage", "cell_48_balancing", "temperature_16"} <= states[0].keys()  # of all that there may be
    assert not [topic for _, topic, _, _, _ in broker.heard if "bms1" in topic and "config" in topic]  # its layout is unknown


def test_everything_is_retained_and_what_must_arrive_has_quality_one():
    for _, topic, _, retain, qos in connected().heard:
        assert retain is True
        assert qos == (1 if topic.endswith(("config", "status", "link")) else 0), topic


# the numbers


def test_keys_are_always_there_and_what_is_not_known_is_null():
    broker = connected("drift=0,mute=0x92", 15)
    states = [json.loads(text) for text in broker.texts(STATE)]
    assert states[-1]["max_temperature"] is None and states[-1]["temperature_1"] == 22
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
        if topic.endswith(("/status", "/link")):
            assert 0 < len(text) <= 255
        elif text or not topic.endswith("/config"):  # an empty announcement removes
            json.loads(text)
    assert json.loads(broker.texts("daly/x/state")[-1]) == {"uptime": 7, "rssi": None, "note": 'a "quoted" word'}


def test_all_problems_at_once_are_a_state_home_assistant_takes():
    state = json.loads(connected(f"drift=0,alarms={'ff' * 7}").texts(STATE)[-1])
    assert state["problem"] == "ON" and 100 < len(state["problems"]) <= 255


# when


def test_readings_that_change_all_the_time_are_said_once_in_an_interval():
    broker = connected("drift=5", 40)
    times = [ms for ms, topic, _, _, _ in broker.since(10000) if topic == STATE]
    pauses = [after - before for before, after in pairwise(times)]
    assert len(times) >= 12
    assert min(pauses) >= INTERVAL_MS - 20


URGENT = {("alarms", "soc_low_2"): "problems", ("charge_mosfet", 0): "charge_mosfet", ("current", 10): "mode"}


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
    heard = [(ms, json.loads(text).get("cell_1_voltage")) for ms, topic, text, _, _ in broker.heard if topic == STATE]
    numbers = next(ms for ms, volts in heard if volts is not None)
    assert 19900 < next(ms for ms, volts in heard if volts == 3.31) - numbers < 20500


def test_what_has_gone_far_does_not_wait_for_the_slow_interval():
    broker = Broker("drift=0", slow_ms=60000).connect().run(12)
    broker.wire.set("cell_mv", "1:3310")
    broker.run(5)
    assert json.loads(broker.texts(STATE)[-1])["cell_1_voltage"] == 3.299
    broker.wire.set("cell_mv", "1:3340")
    broker.run(5)
    assert json.loads(broker.texts(STATE)[-1])["cell_1_voltage"] == 3.34


def test_small_changes_stay_inside_the_dead_band_until_all_is_said_exactly(monkeypatch):
    monkeypatch.setattr(said, "EXACT_MS", 60000)
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
    for topic in (STATE, "daly/x/state"):
        times = [ms for ms, where, _, _, _ in broker.since(5000) if where == topic]
        assert len(times) >= 3
        assert max(after - before for before, after in pairwise(times)) <= 20000  # expire_after is 60 s


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
    assert told[0][1] == "homeassistant/device/daly_c0ffee/config"
    assert [text for _, topic, text, _, _ in told if topic == STATUS][-1] == "online"
    configs = {topic: text for _, topic, text, _, _ in broker.heard if topic.endswith("config")}
    assert {topic: text for _, topic, text, _, _ in told if topic.endswith("config")} == configs


def test_what_is_learned_late_is_announced_but_not_too_soon():
    broker = connected("drift=0", 30)
    configs = [(ms, text) for ms, topic, text, _, _ in broker.heard if topic == "homeassistant/device/daly_c0ffee_bms1/config"]
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


# what somebody else says in our name


@pytest.mark.parametrize(("topic", "wrong"), [("daly/x/status", b"offline"), (STATUS, b"offline"), (STATUS, b"?")])
def test_a_status_that_is_not_what_we_said_last_is_corrected_at_once(topic, wrong):
    broker = connected()
    begin = broker.wire.us / 1000
    broker.publisher.contradicted(topic, wrong, broker.wire.now)
    broker.run(1)
    said = [(ms, text) for ms, where, text, _, _ in broker.since(begin) if where == topic]
    assert [text for _, text in said] == ["online"] and said[0][0] - begin < 100


def test_our_own_echo_is_not_answered_and_nothing_is_corrected_before_we_have_said_it():
    broker = Broker().connect()
    broker.publisher.contradicted("daly/x/status", b"offline", broker.wire.now)
    broker.publisher.contradicted(STATUS, b"offline", broker.wire.now)
    broker.run(10)
    count = len([1 for _, topic, _, _, _ in broker.heard if topic.endswith("/status")])
    broker.publisher.contradicted("daly/x/status", b"online", broker.wire.now)
    broker.publisher.contradicted(STATUS, b"online", broker.wire.now)
    broker.run(3)
    assert len([1 for _, topic, _, _, _ in broker.heard if topic.endswith("/status")]) == count


def test_who_insists_is_answered_but_not_in_a_storm():
    broker = connected()
    begin = broker.wire.us / 1000
    for _ in range(600):  # a minute
        broker.publisher.contradicted("daly/x/status", b"offline", broker.wire.now)
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
                pack.put(READING[key], 0, pack.energy.total(key), pack.said_at(key))
        begin = broker.wire.us / 1000
        broker.publisher.set_counters(broker.wire.now)
        broker.run(0.5)
        told = [json.loads(text) for _, topic, text, _, _ in broker.since(begin) if topic == "daly/x/bms1/energy"]
        assert told and told[0]["energy_charged"] == 0 and told[0]["energy_discharged"] == 0.007
        assert max(state["energy_charged"] for state in told) < 1  # the old ones do not come back
