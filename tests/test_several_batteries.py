# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several batteries on one bridge: what is published on each and on their bank, in which order, and none waits for another.

Each battery has a simulated BMS on a line of its own; a recorder writes down what the one Publisher sends.
"""

import json
import sys
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from itertools import pairwise
from types import SimpleNamespace

import pytest
from home_assistant_rules import message_faults
from simulation import Wire, only

from battery.json import LARGEST, Writer
from battery.pack import Battery, Pack
from battery.polarity import Polarity
from battery.readings import READING
from battery.unload import unload
from mqtt.bank_discovery import DiscoveryWithBank
from mqtt.homeassistant import Discovery
from mqtt.publisher import LoadedDiscovery, Publisher

BANK = "daly/x/bank/state"
KEYS_OF_FOUR = ("bms1", "bms2", "bms3", "bms201")


class Bridge:
    """A Publisher and its batteries; `heard` is everything published as (ms, topic, text, retain, qos)."""

    def __init__(self, *options, interval_ms=2000, slow_ms=None, discovery=DiscoveryWithBank, **more):
        self.wires = [Wire(text) for text in options]
        self.batteries = [
            Battery(
                int(key[3:]),
                key,
                "Daly BMS" if key == "bms1" else f"Daly BMS {key[3:]}",
                f"BMS {key[3:]}",
                wire.pack,
                wire.poller,
            )
            for key, wire in zip(KEYS_OF_FOUR, self.wires, strict=False)
        ]
        made = discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", self.batteries, "1.2.3", has_bridge=True)
        self.discovery = made
        for wire in self.wires:
            wire.pack.energy.load((0, 0, 0, 0))
        self.publisher = Publisher(
            "daly/x", made, self.batteries, lambda now: (("uptime", 7),), interval_ms, slow_ms or interval_ms, **more
        )
        self.heard = []
        self.us = 0
        self.message_us = 5000  # what a message takes until it is acknowledged
        self._free_us = self._look_us = 0
        self.publisher.begin(0)

    @property
    def now(self):
        return int(self.us // 1000)

    def run(self, seconds):
        end = self.us + 1e6 * seconds
        while self.us < end:
            for wire in self.wires:
                while wire.us <= self.us:
                    wire.step()
            self._poll()
            self.us += 1000
        return self

    def _poll(self):
        if self.us < self._free_us or (self.us < self._look_us and not self.publisher.has_news()):
            return
        self._look_us = self.us + 5000
        message = self.publisher.poll(self.now)
        if message is not None:
            topic, text, retain, qos = message
            text = text if isinstance(text, str) else (text if isinstance(text, bytes) else text.bytes()).decode()
            self.heard.append((self.us / 1000, topic, text, retain, qos))
            self._free_us = self.us + self.message_us

    @property
    def ms(self):
        return self.us / 1000

    def since(self, ms):
        return [message for message in self.heard if message[0] >= ms]

    def texts(self, topic, since=0):
        return [text for ms, where, text, _, _ in self.heard if where == topic and ms >= since]

    def states(self, key, since=0):
        return [json.loads(text) for text in self.texts(f"daly/x/{key}/state", since)]

    def bank(self, since=0):
        return [json.loads(text) for text in self.texts(BANK, since)]


FOUR = (
    "drift=0,current=-20.5,soc=40",
    "drift=0,current=-10.1,soc=50,cells=15",
    "drift=0,current=3.3,soc=60",
    "drift=0,current=0,soc=70,cells=8",
)
LABELS = {"bms1": "BMS 1", "bms2": "BMS 2", "bms3": "BMS 3", "bms201": "BMS 201"}
ENERGY = ("energy_charged", "energy_discharged")
CHARGE = ("capacity_charged", "capacity_discharged", "remaining_capacity", "rated_capacity")


def judged(bridge):
    """[(ms, bank's state, {key: last state and info of each battery that is online})] of every state of the bank, in order."""
    states, infos, online, found = {}, {}, set(), []
    for ms, topic, text, _, _ in bridge.heard:
        key = topic.split("/")[2]
        if topic == BANK:
            known = {each: {**states[each], **infos.get(each, {})} for each in states if each in online}
            found.append((ms, json.loads(text, parse_float=Decimal), known))
        elif topic.endswith("/status") and key != "status":
            (online.add if text == "online" else online.discard)(key)
        elif topic.endswith("/state") and key != "state":
            states[key] = json.loads(text, parse_float=Decimal)
        elif topic.endswith("/info"):
            infos[key] = json.loads(text, parse_float=Decimal)
    return found


def tenths(number):
    return number.quantize(Decimal("0.1"), ROUND_HALF_UP)


def sum_of(keys, states, is_series=False):
    """What the bank of the batteries `keys` must be, by their states; without the words."""

    def all_of(reading):
        values = [states[key].get(reading) if key in states else None for key in keys]
        return None if None in values else values

    def one(reading, function):
        values = all_of(reading)
        return None if values is None else function(values)

    def mean(values):
        return tenths(sum(values) / Decimal(len(values)))

    bank = {key: one(key, sum) for key in ("power", *ENERGY)}
    bank["current"] = one("current", mean if is_series else sum)
    bank["pack_voltage"] = one("pack_voltage", sum if is_series else mean)
    bank.update({key: one(key, min if is_series else sum) for key in CHARGE})
    rated = all_of("rated_capacity")
    for key, charge in (("stored_energy", "remaining_capacity"), ("usable_capacity", "rated_capacity")):
        bank[key] = one(key, sum)
        if is_series and bank[key] is not None:  # the weakest one's charge through all of them
            hundredths = bank[charge].quantize(Decimal("0.01"), ROUND_DOWN)
            volts = [states[each]["nominal_cell_voltage"] * states[each]["cell_count"] for each in keys]
            bank[key] = sum((hundredths * each / 1000).quantize(Decimal("0.001"), ROUND_DOWN) for each in volts)
    bank["soc"] = one("soc", min)
    if not is_series:
        soc = all_of("soc")
        has_soc = soc is not None and rated is not None
        bank["soc"] = tenths(sum(s * r for s, r in zip(soc, rated, strict=True)) / sum(rated)) if has_soc else None
    for best, end, at in ((max, "max", "max_voltage_cell"), (min, "min", "min_voltage_cell")):
        value = bank[f"{end}_cell_voltage"] = one(f"{end}_cell_voltage", best)
        which = next((key for key in keys if value is not None and states[key][f"{end}_cell_voltage"] == value), None)
        bank[at], bank[f"{end}_cell_battery"] = (states[which][at], LABELS[which]) if which else (None, None)
    known = bank["max_cell_voltage"] is not None and bank["min_cell_voltage"] is not None
    bank["cell_voltage_delta"] = bank["max_cell_voltage"] - bank["min_cell_voltage"] if known else None
    warmest = bank["max_temperature"] = one("max_temperature", max)
    bank["max_temperature_battery"] = next(
        (LABELS[key] for key in keys if warmest is not None and states[key]["max_temperature"] == warmest), None
    )
    problems = [states[key]["problem"] if key in states else None for key in keys]
    bank["problem"] = "ON" if "ON" in problems else None if None in problems else "OFF"
    bank["batteries_online"], bank["battery_count"] = f"{len(states)} of {len(keys)}", len(keys)
    return bank


# the bank


@pytest.mark.parametrize("is_series", [False, True], ids=["parallel", "series"])
def test_every_state_of_the_bank_is_the_sum_of_the_states_before_it_to_the_last_digit(is_series):
    bridge = Bridge(*(text.replace("drift=0", "drift=3") for text in FOUR), is_series=is_series).run(40)
    bridge.wires[1].set("silent", 1)
    bridge.run(20)
    bridge.wires[1].set("silent", 0)
    bridge.wires[0].set("current", "55.5")
    bridge.wires[2].set("alarms", "soc_low_2")
    bridge.run(30)
    bridge.publisher.begin(bridge.now)
    bridge.run(15)
    bridge.wires[3].pack.put(READING["rated_capacity"], 0, 270000, bridge.now)  # on <base>/…/info
    bridge.run(10)
    found = judged(bridge)
    assert len(found) > 30 and found[-1][1]["rated_capacity"] == (270 if is_series else 1110)
    for _, bank, states in found:
        missing = bank.pop("missing")
        assert bank == sum_of(KEYS_OF_FOUR, states, is_series)
        assert (missing == "none") == (None not in bank.values())
    whole = [bank for _, bank, _ in found if None not in bank.values()]
    assert len(whole) > 15 and len({bank["power"] for bank in whole}) > 5
    assert {bank["problem"] for bank in whole} == {"ON", "OFF"}
    assert {bank["batteries_online"] for ms, bank, _ in found if ms > 5000} == {"4 of 4", "3 of 4"}


def test_a_battery_that_is_silent_is_named_with_the_reason_and_takes_the_sums_with_it():
    bridge = Bridge(*FOUR).run(20)
    assert bridge.bank()[-1]["missing"] == "none" and bridge.bank()[-1]["soc"] is not None
    bridge.wires[1].set("silent", 1)
    lost = bridge.ms
    bridge.run(20)
    offline = next(ms for ms, topic, text, _, _ in bridge.since(lost) if topic == "daly/x/bms2/status" and text == "offline")
    ms, bank, _ = next(found for found in judged(bridge) if found[1]["batteries_online"] == "3 of 4")
    assert 0 < ms - offline < 500
    assert bank["current"] is bank["soc"] is bank["max_cell_battery"] is None and bank["battery_count"] == 4
    assert bank["missing"].startswith("BMS 2: ") and bridge.wires[1].poller.diagnosis.text[:30] in bank["missing"]
    bridge.wires[1].set("silent", 0)
    bridge.run(20)
    assert bridge.bank()[-1]["batteries_online"] == "4 of 4" and bridge.bank()[-1]["missing"] == "none"


def test_an_alarm_of_any_battery_is_the_banks_at_once_also_while_another_one_is_silent():
    bridge = Bridge(*FOUR[:2], interval_ms=8000).run(30)
    bridge.run(1)
    assert bridge.bank()[-1]["problem"] == "OFF"
    bridge.wires[1].set("alarms", "soc_low_2")
    raised = bridge.ms
    bridge.run(2)
    assert bridge.bank(raised)[-1]["problem"] == "ON"
    bridge.wires[0].set("silent", 1)
    bridge.run(20)
    assert bridge.bank()[-1]["problem"] == "ON" and bridge.bank()[-1]["power"] is None
    bridge.wires[1].set("alarms", "")
    bridge.run(10)
    assert bridge.bank()[-1]["problem"] is None


def test_the_banks_state_comes_with_the_batteries_rhythm_and_is_repeated_for_later_subscribers():
    bridge = Bridge(*(text.replace("drift=0", "drift=3") for text in FOUR), interval_ms=4000).run(30)
    begin = bridge.ms
    bridge.run(60)
    moving = [ms for ms, topic, _, _, _ in bridge.since(begin) if topic == BANK]
    assert 10 <= len(moving) <= 16
    calm = Bridge(*(text.replace("drift=0", "drift=0,current=0") for text in ("drift=0", "drift=0"))).run(60)
    begin = calm.ms
    calm.run(60)
    told = [ms for ms, topic, _, _, _ in calm.since(begin) if topic == BANK]
    assert 6 <= len(told) <= 8


def test_after_a_reconnect_the_bank_is_whole_at_once_and_before_the_bridge_is_online():
    bridge = Bridge(*FOUR).run(30)
    again = bridge.ms
    bridge.publisher.begin(bridge.now)
    bridge.run(10)
    assert {bank["batteries_online"] for bank in bridge.bank(again)} == {"4 of 4"}
    topics = [topic for _, topic, _, _, _ in bridge.since(again)]
    assert max(topics.index(f"daly/x/{key}/state") for key in KEYS_OF_FOUR) < topics.index(BANK) < topics.index("daly/x/status")
    assert not [text for key in KEYS_OF_FOUR for text in bridge.texts(f"daly/x/{key}/status", again) if text != "online"]


def test_after_a_reconnect_the_bank_waits_for_a_battery_whose_current_and_mode_disagree_for_a_moment():
    packs = [Pack(1, polarity=Polarity("auto", 1)) for _ in range(2)]
    poller = SimpleNamespace(
        diagnosis=SimpleNamespace(text="OK"), online=True, complete=True, static_done=True, last_response=0
    )
    batteries = [Battery(n, f"bms{n}", f"Daly {n}", f"BMS {n}", pack, poller) for n, pack in enumerate(packs, 1)]
    made = DiscoveryWithBank("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1", has_bridge=True)
    ours = Publisher("daly/x", made, batteries, lambda now: (("uptime", 7),), 2000)
    for pack in packs:
        for key, raw in {"pack_voltage": 520, "current": -200, "mode": 2, "soc": 500}.items():
            pack.put(READING[key], 0, raw, 0)
    for now in range(1000):
        ours.poll(now)
    packs[1].put(READING["mode"], 0, 1, 1000)  # the current is read a moment later
    ours.begin(1000)
    banks = []
    for now in range(1000, 2500):
        message = ours.poll(now)
        if message is not None and message[0] == BANK:
            banks.append(json.loads(message[1].bytes()))
    assert banks and {bank["batteries_online"] for bank in banks} == {"2 of 2"}


def test_counters_that_were_set_are_in_the_bank_together_with_the_state_of_their_battery():
    bridge = Bridge(FOUR[0].replace("drift=0", "drift=9"), "drift=0,current=0").run(30)
    for counters in ((9, 8, 7, 6), (0, 0, 0, 0)):
        pack = bridge.wires[1].pack
        pack.energy.set(counters)
        for key, raw in zip(
            ("energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged"), counters, strict=True
        ):
            pack.put(READING[key], 0, raw, bridge.now)
        bridge.publisher.set_counters(bridge.now, bridge.batteries[1])
        set_at = bridge.ms
        bridge.run(5)
        [first, *_] = bridge.texts("daly/x/bms2/energy", set_at)
        assert json.loads(first)["energy_charged"] * 1000 == counters[0]
    for _, bank, states in judged(bridge):
        assert bank["energy_charged"] == sum_of(("bms1", "bms2"), states)["energy_charged"]


# each battery


def test_each_battery_is_published_below_its_key_with_what_its_own_bms_says():
    bridge = Bridge(*FOUR, each_value=True).run(40)
    for key, soc, cells in zip(KEYS_OF_FOUR, (40.0, 50.0, 60.0, 70.0), (16, 15, 16, 8), strict=True):
        state = bridge.states(key)[-1]
        assert (round(state["soc"]), state["cell_count"]) == (soc, cells)
        assert f"cell_{cells}_voltage" in state and f"cell_{cells + 1}_voltage" not in state
        assert bridge.texts(f"daly/x/{key}/soc")[-1] == f"{state['soc']:.1f}"
        assert bridge.texts(f"daly/x/{key}/connection")[-1] == "OK"
        assert bridge.texts(f"daly/x/{key}/status")[-1] == "online"
        assert [each["seq"] for each in bridge.states(key)] == list(range(1, len(bridge.states(key)) + 1))


@pytest.mark.parametrize("count", [2, 4])
def test_each_battery_is_online_after_its_numbers_and_offline_before_they_are_null(count):
    bridge = Bridge(*FOUR[:count]).run(20)
    bridge.wires[0].set("silent", 1)
    bridge.run(15)
    for key in KEYS_OF_FOUR[:count]:
        words = [
            text if topic.endswith("status") else json.loads(text)["pack_voltage"]
            for _, topic, text, _, _ in bridge.heard
            if topic in (f"daly/x/{key}/status", f"daly/x/{key}/state")
        ]
        at = words.index("online")
        assert words[0] == "offline" and isinstance(words[at - 1], float)
        rest = words[at:]
        assert ("offline" in rest) == (key == "bms1")
        if "offline" in rest:
            lost = rest.index("offline")
            assert None not in rest[:lost] and rest[lost + 1] is None
    assert bridge.texts("daly/x/status") == ["online"]


def test_no_battery_waits_for_another_one_also_if_each_message_takes_long():
    """Of four, one of them silent, each has its state when due, at 50 ms a message and while all is discovered again."""
    bridge = Bridge(*(text.replace("drift=0", "drift=9") for text in FOUR))
    bridge.message_us = 50000
    bridge.run(15)
    bridge.wires[3].set("silent", 1)
    bridge.run(15)
    begin = bridge.ms
    bridge.publisher.rediscover(bridge.now, 0)
    bridge.run(40)
    assert len([topic for _, topic, _, _, _ in bridge.since(begin) if topic.endswith("/config")]) > 80
    for key in KEYS_OF_FOUR[:3]:
        times = [begin, *(ms for ms, topic, _, _, _ in bridge.since(begin) if topic == f"daly/x/{key}/state"), bridge.ms]
        gaps = [after - before for before, after in pairwise(times)]
        assert max(gaps) < 3000, key
    silent = [ms for ms, topic, _, _, _ in bridge.since(begin) if topic == "daly/x/bms201/state"]
    assert len(silent) >= 4  # each time it is due, too


def test_what_is_always_due_is_sent_of_each_battery_in_turn():
    """More than can be sent: each has its share, none only what another one leaves, and all the rest is sent, too."""
    bridge = Bridge(*(text.replace("drift=0", "drift=9") for text in FOUR), interval_ms=50)
    bridge.message_us = 200000
    bridge.run(60)
    counts = [len(bridge.states(key, 40000)) for key in KEYS_OF_FOUR]
    assert min(counts) > 3 and min(counts) > 0.6 * max(counts), counts
    announced = {topic for _, topic, _, _, _ in bridge.heard if topic.endswith("/config")}
    assert len(announced) > 100
    assert bridge.texts("daly/x/status") == ["online"] and bridge.bank(40000)


def test_a_wrong_status_is_corrected_on_its_own_topic_however_much_another_one_is_insisted_on():
    bridge = Bridge(*FOUR[:3]).run(20)
    for _ in range(300):
        bridge.publisher.status_received("daly/x/bms1/status", b"offline", bridge.now)
        bridge.run(0.1)
    begin = bridge.ms
    bridge.publisher.status_received("daly/x/bms2/status", b"offline", bridge.now)
    bridge.run(0.3)
    assert [text for text in bridge.texts("daly/x/bms2/status", begin) if text] == ["online"]
    bridge.publisher.status_received("daly/x/status", b"offline", bridge.now)
    bridge.run(0.3)
    assert bridge.texts("daly/x/status", begin) == ["online"]
    insisted = [text for text in bridge.texts("daly/x/bms1/status", 20000) if text]
    assert len(insisted) < 15


def test_the_result_of_a_command_stands_on_the_topic_of_its_battery():
    bridge = Bridge(*FOUR[:2]).run(5)
    bridge.publisher.report("of the bridge")
    bridge.publisher.report("of the second", bridge.batteries[1])
    bridge.run(1)
    assert bridge.texts("daly/x/bms1/command_result") == ["of the bridge"]
    assert bridge.texts("daly/x/bms2/command_result") == ["of the second"]


def test_after_home_assistants_start_all_batteries_and_the_bank_come_again():
    bridge = Bridge(*FOUR).run(40)
    birth = bridge.ms
    bridge.publisher.rediscover(bridge.now, 1000)
    bridge.run(15)
    told = bridge.since(birth)
    announced = {topic for _, topic, _, _, _ in told if topic.endswith("/config")}
    assert announced == {topic for _, topic, _, _, _ in bridge.heard if topic.endswith("/config")}
    last = max(ms for ms, topic, _, _, _ in told if topic.endswith("/config"))
    for topic in (BANK, *(f"daly/x/{key}/{end}" for key in KEYS_OF_FOUR for end in ("state", "status", "connection"))):
        assert [ms for ms, where, _, _, _ in told if where == topic and last + 2000 < ms < last + 4500], topic


# discovery


def components(bridge, since=0):
    """{(device id, key): entity} as Home Assistant has them, and {device id: device}."""
    found, devices = {}, {}
    for _, topic, text, _, _ in bridge.since(since):
        if topic.endswith("/config"):
            message = json.loads(text)
            [identity] = message["dev"]["ids"]
            devices.setdefault(identity, {}).update(message["dev"])
            for key, entity in message["cmps"].items():
                found[identity, key] = {"stat_t": message["stat_t"], "avty": message["avty"], **entity}
    return found, devices


def test_each_battery_has_its_device_and_the_first_one_what_it_has_alone():
    bridge = Bridge(*FOUR).run(40)
    found, devices = components(bridge)
    assert set(devices) == {"daly_c0ffee", "daly_c0ffee_bank", *("daly_c0ffee_" + key for key in KEYS_OF_FOUR)}
    assert {devices["daly_c0ffee_" + key]["name"] for key in KEYS_OF_FOUR} == {
        "Daly BMS",
        "Daly BMS 2",
        "Daly BMS 3",
        "Daly BMS 201",
    }
    assert {device.get("via_device") for identity, device in devices.items() if identity != "daly_c0ffee"} == {"daly_c0ffee"}
    third = found["daly_c0ffee_bms3", "soc"]
    assert third["uniq_id"] == "daly_c0ffee_bms3_soc" and third["def_ent_id"] == "sensor.daly_bms_3_soc"
    assert third["stat_t"] == "daly/x/bms3/state"
    assert [place["t"] for place in third["avty"]] == ["daly/x/status", "daly/x/bms3/status"]
    ids = [entity["uniq_id"] for entity in found.values() if "uniq_id" in entity]
    places = [entity["def_ent_id"] for entity in found.values() if "def_ent_id" in entity]
    assert len(ids) == len(set(ids)) and len(places) == len(set(places))
    pack = bridge.batteries[0].pack
    alone = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", only(pack), "1.2.3", has_bridge=True)
    for part in range(alone.parts()):
        assert bridge.discovery.message(part) == alone.message(part)


@pytest.mark.parametrize("base", ["daly/x", "a/rather/long/base/topic/of/somebody"])
def test_home_assistant_drops_nothing_of_four_batteries_and_their_bank(base):
    batteries = [
        Battery(n, f"bms{n}", f"Daly BMS {n}", f"BMS {n}", wire.pack, wire.poller) for n, wire in enumerate(map(Wire, FOUR), 1)
    ]
    made = DiscoveryWithBank("homeassistant", base, "c0ffee", "Daly BMS", batteries, "1.2.3", has_bridge=True)
    topics = set()
    for part in range(made.parts()):
        topic, text = made.message(part)
        assert message_faults(topic, text.decode()) == [] and len(text) <= 4096
        topics.add(topic)
    assert len(topics) == made.parts()
    assert "homeassistant/device/daly_c0ffee_bank_5/config" in topics


def test_every_value_of_the_bank_has_an_entity_that_is_unavailable_while_it_is_null():
    bridge = Bridge(*FOUR).run(40)
    found, _ = components(bridge)
    entities = {key: entity for (identity, key), entity in found.items() if identity == "daly_c0ffee_bank"}
    state = bridge.bank()[-1]
    assert entities.keys() == state.keys()
    for key, entity in entities.items():
        assert entity["stat_t"] == BANK and 20 <= entity["exp_aft"] <= 120 and entity["uniq_id"] == "daly_c0ffee_bank_" + key
        assert entity["avty"][0]["t"] == "daly/x/status"
        if key in ("batteries_online", "battery_count", "missing"):
            assert len(entity["avty"]) == 1
            continue
        place = entity["avty"][1]
        kind = "string" if isinstance(state[key], str) else "number"
        assert place["t"] == BANK and place["val_tpl"] == f"{{{{iif((value_json|d).{key} is {kind},'online','offline')}}}}"
    assert entities["soc"]["dev_cla"] == "battery" and entities["power"]["unit_of_meas"] == "W"
    assert entities["energy_charged"]["stat_cla"] == "total" and entities["problem"]["p"] == "binary_sensor"


def test_a_battery_that_appears_later_is_discovered_then_and_the_others_are_not_again():
    bridge = Bridge(FOUR[0], FOUR[1] + ",silent=1", FOUR[2]).run(60)
    found, _ = components(bridge)
    assert ("daly_c0ffee_bms2", "connection") in found and ("daly_c0ffee_bms2", "soc") not in found
    assert bridge.bank()[-1]["batteries_online"] == "2 of 3"
    appeared = bridge.ms
    bridge.wires[1].set("silent", 0)
    bridge.run(40)
    found, devices = components(bridge, appeared)
    assert set(devices) == {"daly_c0ffee_bms2"} and ("daly_c0ffee_bms2", "cell_15_voltage") in found
    assert bridge.bank()[-1]["batteries_online"] == "3 of 3" and bridge.bank()[-1]["missing"] == "none"


def test_discovery_leaves_the_memory_although_one_battery_never_answers(modules_stay):
    for name in ("mqtt.homeassistant", "mqtt.bank_discovery"):
        unload(name)
    bridge = Bridge(
        FOUR[0], "silent=1", discovery=lambda *parts, **more: LoadedDiscovery(Writer(LARGEST), *parts, (), "", True)
    )
    bridge.run(5)
    assert "mqtt.bank_discovery" in sys.modules
    bridge.run(55)
    assert "mqtt.homeassistant" not in sys.modules and "mqtt.bank_discovery" not in sys.modules
    appeared = bridge.ms
    bridge.wires[1].set("silent", 0)
    bridge.run(60)
    assert ("daly_c0ffee_bms2", "soc") in components(bridge, appeared)[0]


class Refusing(DiscoveryWithBank):
    """No memory for one message of the second battery and one of the bank."""

    def begin(self, part, is_settled=True):
        if part in (self.bridge_parts + self.battery_parts + 3, self.parts() - 2):
            raise MemoryError("memory allocation failed")
        return super().begin(part, is_settled)


def test_a_discovery_message_that_fails_stops_no_other_battery():
    bridge = Bridge(*FOUR[:2], discovery=Refusing).run(40)
    topics = {topic for _, topic, _, _, _ in bridge.heard if topic.endswith("/config")}
    assert len(topics) == bridge.discovery.parts() - 2 and bridge.publisher.discovery_errors == 2
