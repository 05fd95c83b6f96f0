# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a reader is told over HTTP, judged by what he receives: simulated BMS, real pollers, publisher and site.

An answer is asked for piece by piece while the battery goes on, as the server does; beside it a recorder hears MQTT.
"""

import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from simulation import Wire
from test_diagnostics import CANARY, FOREIGN, HIDDEN, canary_settings
from test_sources import Shed

from app.bridge_state import BridgeState
from app.diagnostics import Diagnostics
from app.settings import Settings
from app.several import Pollers
from battery.bank import Bank
from battery.json import LARGEST as LARGEST_MESSAGE
from battery.json import Writer
from battery.pack import Battery, Pack
from battery.readings import READING
from daly.trace import Trace
from host import pace
from mqtt.publisher import LoadedDiscovery, Publisher
from web.history import History
from web.site import Site

pytestmark = pytest.mark.usefixtures("modules_stay")

ROOT = Path(__file__).parent.parent
KEYS = ("bms1", "bms2", "bms3", "bms201")
BYTECODES = 5000  # of one step: 12 ms on an ESP32-S2; the server needs up to 1,000 more in the same pass
PIECE = 1017  # bytes that the server asks for
WAIT_MS = 500
CURRENT, MODE, VOLTAGE = READING["current"], READING["mode"], READING["pack_voltage"]
CELLS = READING["cell_{}_voltage"]
PATHS = ("/api/state", "/api/bridge", "/api/history", "/metrics", "/diagnostics")


class World:
    """Batteries with their lines, a Publisher whose messages are in `heard` as topic -> last text, and the Site.

    `options`: of each simulated BMS; `names`: of the batteries. `max_bytecodes`: of the longest step of any answer so far.
    """

    def __init__(self, *options, protocol="a5", names=(), settings="", sources=(), is_loaded=True, is_series=False):
        self.wires = [Wire(text + (f",protocol={protocol}" if protocol != "a5" else ""), protocol=protocol) for text in options]
        several = len(options) > 1
        self.batteries = []
        for index, wire in enumerate(self.wires):
            key = KEYS[index]
            name = names[index] if index < len(names) else "Daly BMS" if index == 0 else f"Daly BMS {key[3:]}"
            self.batteries.append(Battery(int(key[3:]), key, name, f"BMS {key[3:]}" if several else "", wire.pack, wire.poller))
            if is_loaded:
                wire.pack.energy.load((1234, 2345, 34567, 4))
        names = ("homeassistant", "daly/x", "c0ffee", "Daly BMS", self.batteries, "1.2.3", (), "", True)
        discovery = LoadedDiscovery(Writer(LARGEST_MESSAGE), *names, sources=sources)
        loop = SimpleNamespace(failures=0, last_failure=None, longest_ms=12, reset_longest=lambda: None)
        access_point = SimpleNamespace(rssi=-60)
        radio = SimpleNamespace(connected=True, ap_info=access_point, ipv4_address="192.0.2.7")
        nvm = SimpleNamespace(boots=3, safe_modes=0, failure="")
        self.settings = Settings(settings)
        poller = Pollers(self.batteries) if several else self.wires[0].poller
        self.state = BridgeState(radio, poller, nvm, loop, self.settings.problems, "power_on", 0)
        self.publisher = Publisher(
            "daly/x", discovery, self.batteries, self.state.pairs, 2000, 2000, 100, False, False, None, is_series, sources
        )
        self.state.watch(self.publisher, SimpleNamespace(connects=1, broker="192.0.2.1:1883"))
        bank = Bank(self.batteries, is_series) if several else None
        self.history = History(self.batteries, bank, 1440)
        self.diagnostics = Diagnostics(self.settings, self.batteries, self.state.pairs, loop)
        self.link = "connected"
        self.site = Site("daly/x", "c0ffee", "Daly BMS", self.batteries, bank, sources, self.state.pairs,
                         lambda: self.link, self.history, self.diagnostics)  # fmt: skip
        self.heard = {}
        self.us = 0
        self.max_bytecodes = 0
        self._counter = pace.Counter(ROOT, [])
        self.publisher.begin(0)

    @property
    def now(self):
        return int(self.us // 1000)

    def run(self, seconds):
        """Let time pass: the BMS is read, MQTT is published."""
        end = self.us + 1e6 * seconds
        while self.us < end:
            for wire in self.wires:
                while wire.us <= self.us:
                    wire.step()
            self._listen()
            self.us += 5000
        return self

    def reconnect(self):
        """A new connection to the broker, in which everything is published exactly; the batteries stand still meanwhile."""
        self.publisher.begin(self.now)
        for _ in range(3000):
            self._listen()
            self.us += 1000
        return self

    def _listen(self):
        message = self.publisher.poll(self.now)
        if message is not None:
            topic, text, *_ = message
            text = text if isinstance(text, str | bytes) else text.bytes()
            self.heard[topic] = text if isinstance(text, str) else text.decode()

    def ask(self, path, query="", meanwhile=None, pass_ms=5):
        """The whole answer as text, a piece in each pass; None: there is nothing. `meanwhile(passes)` is called in each pass,
        between which nothing else happens."""
        answer = self._counted(self.site.open, path, query, self.now)
        if answer is None:
            return None
        assert answer is not self.site.BUSY
        view = memoryview(bytearray(PIECE))
        text = b""
        for passes in range(100000):
            count = self._counted(answer.readinto, view, self.now)
            if count < 0:
                answer.close()
                self.type = answer.content_type
                return text.decode()
            text += bytes(view[:count])
            if meanwhile is not None:
                meanwhile(passes)
                self.us += 1000 * pass_ms
        raise AssertionError("it never ends")

    def _counted(self, function, *arguments):
        before, tracing = self._counter.count(), sys.gettrace()
        self._counter.start()
        try:
            return function(*arguments)
        finally:
            sys.settrace(tracing)
            self.max_bytecodes = max(self.max_bytecodes, self._counter.count() - before)

    def told(self, key="bms1", **more):
        """What /api/state says of a battery."""
        return json.loads(self.ask("/api/state", **more))["batteries"][key]


def texts_of(answer):
    """{key: text of its state}, text of the bank, as they stand in the answer of /api/state."""
    states = dict(re.findall(r'"(bms\d+)":{"name":.*?,"state":({[^}]*})', answer))
    return states, re.search(r'"bank":({[^}]*}|null)', answer).group(1)


def numbers(text):
    """A JSON with its numbers as they are written."""
    return json.loads(text, parse_float=str, parse_int=str)


def published(heard, key="bms1"):
    """What MQTT has said of a battery, in its two messages, with the balanced cells one by one, as the page has them."""
    said = numbers(heard[f"daly/x/{key}/state"]) | numbers(heard.get(f"daly/x/{key}/info", "{}"))
    for word in ("seq", "time"):
        del said[word]
    if "balancing_cells" in said:
        cells = said.pop("balancing_cells")
        for number in range(1, sum(re.fullmatch(r"cell_\d+_voltage", name) is not None for name in said) + 1):
            said[f"cell_{number}_balancing"] = None if cells is None else "ON" if str(number) in cells else "OFF"
    return said


STILL = "drift=0,current=-20.5,soc=57.3"
FOUR = (STILL + ",cells=8", "drift=0,current=-10.1,soc=50,cells=15", "drift=0,current=3.3,soc=60", "drift=0,current=0,cells=8")


@pytest.mark.parametrize(
    ("options", "protocol"),
    [((STILL,), "a5"), ((STILL,), "d2"), ((STILL,), "p81"), (("drift=0,current=0,cells=48,temperatures=16",), "a5"),
     (("drift=0,current=10,alarms=" + "ff" * 7,), "a5"), (FOUR, "a5"), (FOUR[:2], "p81")],
)  # fmt: skip
def test_it_says_what_mqtt_says_of_a_battery_that_does_not_change_digit_for_digit(options, protocol):
    world = World(*options, protocol=protocol).run(90).reconnect()
    states, bank = texts_of(world.ask("/api/state"))
    for key in KEYS[: len(options)]:
        assert world.heard[f"daly/x/{key}/status"] == "online"
        assert numbers(states[key]) == published(world.heard, key)
        assert '"soc":null' not in states[key] and '"energy_charged":null' not in states[key]
    assert bank == world.heard.get("daly/x/bank/state", "null")
    assert (bank != "null") == (len(options) > 1)


def test_the_remaining_time_follows_the_mean_current_as_on_mqtt():
    world = World(STILL).run(60)
    world.wires[0].set("current", -60)
    world.run(20).reconnect()
    state = published(world.heard)
    told = numbers(texts_of(world.ask("/api/state"))[0]["bms1"])
    assert state["current"] == "-60.0" and told["remaining_time"] == state["remaining_time"]
    assert float(told["remaining_time"]) > 4


def test_a_bank_in_series_is_the_one_of_mqtt_too():
    world = World(*FOUR[:2], is_series=True).run(60).reconnect()
    assert texts_of(world.ask("/api/state"))[1] == world.heard["daly/x/bank/state"]


def test_what_mqtt_says_of_a_battery_that_was_never_there_is_said_here_too():
    world = World("silent=1").run(20)
    answer = json.loads(world.ask("/api/state"))["batteries"]["bms1"]
    assert (answer["status"], answer["connection"]) == ("offline", world.heard["daly/x/bms1/connection"])
    assert set(answer["state"].values()) == set(published(world.heard).values()) == {None}
    assert set(answer["state"]) <= set(published(world.heard)) and len(answer["state"]) > 100


def test_a_battery_that_has_gone_to_sleep_is_unknown_altogether_and_says_why():
    world = World(STILL).run(40)
    keys = list(world.told()["state"])
    world.wires[0].set("silent", 1)
    world.run(30)
    asleep = world.told()
    assert asleep["status"] == "offline" and list(asleep["state"]) == keys
    assert set(asleep["state"].values()) == {None}
    assert asleep["connection"] == world.heard["daly/x/bms1/connection"] and "BMS asleep" in asleep["connection"]
    assert numbers(texts_of(world.ask("/api/state"))[0]["bms1"]) == published(world.heard)
    metrics = world.ask("/metrics")
    assert 'daly_up{bridge="c0ffee",battery="bms1"} 0' in metrics and "daly_soc" not in metrics


def test_a_battery_that_is_half_read_is_not_shown_by_halves():
    world = World(STILL)
    while world.wires[0].pack.raw("soc") is None:
        world.run(0.005)
    assert world.wires[0].poller.online and not world.wires[0].poller.complete
    half = world.told()
    assert half["status"] == "offline" and set(half["state"].values()) == {None}
    assert "is being read" in half["connection"]
    world.run(30)
    assert world.told()["status"] == "online"


def test_energy_is_unknown_until_the_counters_are_restored():
    world = World(STILL, is_loaded=False).run(30)
    assert world.told()["state"]["energy_charged"] is None
    world.wires[0].pack.energy.load((5000, 6000, 7000, 8000))
    world.run(2)
    assert world.told()["state"]["energy_charged"] == 5


# of one moment


def test_numbers_are_of_one_moment_although_they_are_sent_one_after_the_other():
    world = World("drift=0,current=10").run(30)
    pack = world.wires[0].pack

    def meanwhile(_):
        for row in (VOLTAGE, *[CELLS]):
            for index in range(pack.count(row)):
                pack.put(row, index, pack.at(row, index) + 1, world.now)

    state = json.loads(world.ask("/api/state", meanwhile=meanwhile), parse_float=Decimal)["batteries"]["bms1"]["state"]
    cells = [state[f"cell_{number}_voltage"] for number in range(1, 17)]
    assert state["max_cell_voltage"] == max(cells) and state["min_cell_voltage"] == min(cells)
    assert state["cell_voltage_delta"] == max(cells) - min(cells)
    assert state["power"] == state["pack_voltage"] * state["current"]
    assert state["pack_voltage"] <= Decimal("52.9") + Decimal("0.1")


def test_a_current_that_turns_waits_for_its_mode():
    world = World("drift=0,current=10").run(30)
    pack = world.wires[0].pack
    pack.put(CURRENT, 0, -100, world.now)

    def meanwhile(passes):
        if passes == 40:  # 200 ms later
            pack.put(MODE, 0, 2, world.now)

    state = world.told(meanwhile=meanwhile)["state"]
    assert (state["current"], state["mode"]) == (-10, "discharging")


def test_what_contradicts_itself_for_longer_is_said_by_nobody_and_the_rest_is():
    world = World("drift=0,current=10").run(30)
    world.wires[0].pack.put(CURRENT, 0, -100, world.now)
    begun = world.now
    firsts = []
    answer = world.site.open("/api/state", "", begun)
    view = memoryview(bytearray(PIECE))
    text = b""
    while (count := answer.readinto(view, world.now)) >= 0 and world.now < begun + 5000:
        if count and not firsts:
            firsts.append(world.now - begun)
        text += bytes(view[:count])
        world.us += 5000
    answer.close()
    state = json.loads(text)["batteries"]["bms1"]["state"]
    assert WAIT_MS <= firsts[0] < WAIT_MS + 50
    assert (state["current"], state["mode"], state["power"], state["remaining_time"]) == (None, None, None, None)
    assert state["soc"] == 57.3 and state["pack_voltage"]


def test_a_board_that_is_idle_with_a_small_current_is_waited_for_once():
    world = World("drift=0,current=0").run(30)
    pack = world.wires[0].pack
    pack.put(CURRENT, 0, 8, world.now)
    took = []
    for _ in range(2):
        begun = world.now
        state = world.told(meanwhile=lambda passes: None)["state"]
        assert (state["current"], state["mode"]) == (0.8, "idle")
        took.append(world.now - begun)
    assert took[0] >= WAIT_MS > took[1] + 200
    pack.put(CURRENT, 0, 0, world.now)
    world.told()
    pack.put(CURRENT, 0, 8, world.now)
    begun = world.now
    world.told(meanwhile=lambda passes: None)
    assert world.now - begun >= WAIT_MS


def test_cells_of_two_responses_have_no_delta():
    world = World("drift=0,current=10").run(30)
    pack = world.wires[0].pack
    pack.put(CELLS, 3, 3400, world.now + 1)
    pack.put(READING["max_cell_voltage"], 0, 3333, world.now)
    state = world.told(meanwhile=lambda passes: None)["state"]
    assert state["cell_4_voltage"] == 3.4 and state["max_cell_voltage"] == 3.4 and state["max_voltage_cell"] == 4
    assert state["cell_voltage_delta"] is None


def test_cells_of_two_responses_are_waited_for():
    world = World("drift=0,current=10").run(30)
    pack = world.wires[0].pack
    pack.put(CELLS, 3, 3400, world.now + 1)

    def meanwhile(passes):
        if passes == 20:
            for index in range(16):
                pack.put(CELLS, index, 3300 + index, world.now)

    state = world.told(meanwhile=meanwhile)["state"]
    assert (state["cell_1_voltage"], state["max_cell_voltage"], state["cell_voltage_delta"]) == (3.3, 3.315, 0.015)


def test_a_current_whose_sign_is_not_certain_is_not_said():
    world = World("drift=0,current=10").run(30)
    pack = world.wires[0].pack
    pack.polarity.forget()
    pack.put(MODE, 0, 2, world.now)
    assert pack.at(CURRENT) is None and pack.at(MODE) == 2
    state = world.told()["state"]
    assert (state["current"], state["power"], state["mode"]) == (None, None, "discharging")
    world.history.tick(0)
    world.history.tick(60000)
    assert json.loads(world.ask("/api/history"))["current"] == [None]


# several batteries


def test_where_one_of_four_is_missing_its_numbers_are_unknown_and_the_bank_says_which():
    world = World(*FOUR[:2], "silent=1", FOUR[3]).run(60).reconnect()
    answer = json.loads(world.ask("/api/state"))
    assert list(answer["batteries"]) == list(KEYS)
    assert [each["status"] for each in answer["batteries"].values()] == ["online", "online", "offline", "online"]
    assert set(answer["batteries"]["bms3"]["state"].values()) == {None}
    assert answer["bank"]["soc"] is None and answer["bank"]["batteries_online"] == "3 of 4"
    assert "BMS 3: " in answer["bank"]["missing"]
    assert texts_of(world.ask("/api/state"))[1] == world.heard["daly/x/bank/state"]


def test_the_bank_is_the_sum_of_the_states_beside_it():
    world = World(*FOUR[:2]).run(40)
    packs = [wire.pack for wire in world.wires]

    def meanwhile(passes):
        for pack in packs:
            pack.put(CURRENT, 0, -100 - passes, world.now)

    answer = json.loads(world.ask("/api/state", meanwhile=meanwhile), parse_float=Decimal)
    states = [each["state"] for each in answer["batteries"].values()]
    assert answer["bank"]["current"] == sum(state["current"] for state in states)


# names, sources


def test_names_with_quotes_and_other_letters_are_told_as_they_are():
    names = ['Boat "Ärger"\\', "Batería\n2"]
    world = World(STILL, STILL, names=names, sources=(Shed(),)).run(30)
    answer = json.loads(world.ask("/api/state"))
    assert [each["name"] for each in answer["batteries"].values()] == names
    assert [each["name"] for each in json.loads(world.ask("/api/bridge"))["batteries"]] == names
    families = {family.name: family for family in text_string_to_metric_families(world.ask("/metrics"))}
    assert [sample.labels["name"] for sample in families["daly_battery_info"].samples] == names


def test_sources_say_what_they_say_on_mqtt():
    shed = Shed()
    shed.put(reason='"quoted" Ä', energy=None)
    bare = SimpleNamespace(key="bare", rows=[], changes=0, raw=None, device=None, model="")
    world = World(STILL, sources=(shed, bare)).run(30)
    answer = world.ask("/api/state")
    assert json.loads(answer)["sources"] == {"shed": json.loads(world.heard["daly/x/shed/state"]), "bare": {}}
    assert f'"shed":{world.heard["daly/x/shed/state"]}' in answer


# the bridge, the history


def test_the_bridge_says_what_it_says_on_mqtt_and_who_it_is():
    world = World(*FOUR).run(40)
    world.link = 'The broker "x" does not answer.'
    told = json.loads(world.ask("/api/bridge"))
    assert (told["name"], told["identity"], told["base_topic"]) == ("Daly BMS", "c0ffee", "daly/x")
    assert told["mqtt"] == world.link and told["history_minutes"] == 1440
    assert told["batteries"] == [{"key": each.key, "name": each.name} for each in world.batteries]
    for key, value in world.state.pairs(world.now):
        assert told[key] == value, key
    assert told["oldest_reading_age"] > 0


def test_the_history_has_a_point_each_minute_the_oldest_first():
    world = World("drift=0,current=10").run(30)
    world.history.tick(world.now)
    pack, soc = world.wires[0].pack, READING["soc"]
    for minute in range(10):
        pack.put(soc, 0, minute if minute != 3 else None, world.now)
        world.us += 60e6
        assert world.history.tick(world.now) == 60000
    world.us += 7e6
    told = json.loads(world.ask("/api/history", "of=bms1"))
    assert told["soc"] == [0.0, 0.1, 0.2, None, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert set(told["current"]) == {10} and len(told["voltage"]) == 10
    assert (told["api"], told["minute_s"], told["every"], told["ago_s"]) == (1, 60, 1, 7)
    assert json.loads(world.ask("/api/history", "every=4&of=bms1"))["soc"] == [0.1, 0.5, 0.9]
    assert json.loads(world.ask("/api/history", "every=4"))["every"] == 4


def test_without_a_point_the_history_is_empty():
    told = json.loads(World(STILL).ask("/api/history"))
    assert (told["soc"], told["current"], told["voltage"], told["ago_s"]) == ([], [], [], None)


def test_the_history_forgets_what_is_older_and_ticks_may_wrap():
    pack = Pack(16, 1)
    history = History([SimpleNamespace(pack=pack)], None, 5)
    now = (1 << 29) - 100000
    history.tick(now)
    for minute in range(8):
        now = (now + 60000) % (1 << 29)
        pack.put(READING["soc"], 0, minute, now)
        assert history.tick(now) == 60000
    assert [history.at(0, 0, number) for number in range(9)] == [None, None, None, 3, 4, 5, 6, 7, None]
    assert history.age_ms((now + 5) % (1 << 29)) == 5


def test_minutes_in_which_nobody_looked_are_unknown():
    pack = Pack(16, 1)
    pack.put(READING["soc"], 0, 500, 0)
    history = History([SimpleNamespace(pack=pack)], None, 100)
    history.tick(0)
    assert history.tick(59999) == 1
    assert history.tick(60000) == 60000
    assert history.tick(60000 * 4 + 1000) == 59000
    assert [history.at(0, 0, number) for number in range(4)] == [500, None, None, 500]
    assert (history.count, history.age_ms(60000 * 4 + 1000)) == (4, 1000)


@pytest.mark.parametrize(("raw", "kept"), [(32767, 32767), (32768, None), (-32767, -32767), (-32768, None), (1 << 40, None)])
def test_what_does_not_fit_into_the_history_is_unknown(raw, kept):
    pack = Pack(16, 1)
    pack.put(CURRENT, 0, raw, 0)
    history = History([SimpleNamespace(pack=pack)], None, 5)
    history.tick(0)
    history.tick(60000)
    assert history.at(0, 1, 0) == kept


def test_points_that_are_overwritten_while_the_history_is_sent_are_not_told_as_old_ones():
    world = World("drift=0,current=10").run(30)
    world.history = history = History(world.batteries, None, 60)
    world.site = Site("b", "i", "n", world.batteries, None, (), world.state.pairs, lambda: "", history, None)
    pack, soc = world.wires[0].pack, READING["soc"]
    now = 0
    history.tick(now)

    def add(value):
        nonlocal now
        now += 60000
        pack.put(soc, 0, value, now)
        history.tick(now)

    for value in range(60):
        add(value)
    told = json.loads(world.ask("/api/history", meanwhile=lambda passes: add(900)))["soc"]
    assert len(told) == 60 and told[0] == 0.1 and told.index(90.0) == 59  # one came before the first piece
    assert [value for value in told if value is not None] == sorted(value for value in told if value is not None)


def test_the_bank_has_a_history_too():
    world = World(*FOUR[:2]).run(40).reconnect()
    world.history.tick(0)
    world.history.tick(60000)
    told = json.loads(world.ask("/api/history", "of=bank"))
    assert told["current"] == [-30.6] and told["soc"] == [json.loads(world.heard["daly/x/bank/state"])["soc"]]


@pytest.mark.parametrize(
    ("path", "query"),
    [("/x", ""), ("/api", ""), ("/api/state/", ""), ("/API/state", ""), ("/../settings.toml", ""), ("/settings.toml", ""),
     ("/api/history", "of=bms2"), ("/api/history", "of=bank"), ("/api/history", "every=0"), ("/api/history", "every=-1"),
     ("/api/history", "every=x"), ("/api/history", "every=99999999999999999999"), ("/diagnostics", "of=bank"),
     ("/diagnostics", "of="), ("/api/history", "every="), ("", ""), ("/favicon.ico", ""),
     ("/api/history", "every=²"), ("/api/history", "every=٣")],
)  # fmt: skip
def test_nothing_else_is_there(path, query):
    world = World(STILL)
    assert world.ask(path, query) is None
    assert world.ask("/api/state") is not None  # nothing is held


def test_the_page_is_a_file_compressed_where_there_is_that(tmp_path, monkeypatch):
    import web.site

    world = World(STILL)
    monkeypatch.setattr(web.site, "_FOLDER", str(tmp_path))
    assert world.ask("/") is None
    (tmp_path / "page.html").write_text("<p>" + "x" * 3000)
    assert world.ask("/") == "<p>" + "x" * 3000
    (tmp_path / "page.html.gz").write_text("compressed")
    page = world.site.open("/", "", 0)
    assert (page.is_gzip, page.length, page.content_type) == (True, 10, b"text/html; charset=utf-8")
    assert world.ask("/api/state")  # a file is no answer that is made
    page.close()


# one at a time, in short steps


def test_one_answer_is_made_at_a_time():
    world = World(STILL).run(30)
    first = world.site.open("/api/state", "", world.now)
    assert world.site.open("/api/bridge", "", world.now) is world.site.BUSY
    assert world.site.open("/nothing", "", world.now) is None
    first.readinto(memoryview(bytearray(PIECE)), world.now)
    first.close()
    assert json.loads(world.ask("/api/bridge"))["api"] == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("pieces", [0, 1, 7, 30])
def test_an_answer_that_is_given_up_leaves_nothing(path, pieces, monkeypatch):
    for module in ("app.report", "web.metrics"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    world = World(STILL).run(30)
    answer = world.site.open(path, "", world.now)
    for _ in range(pieces):
        answer.readinto(memoryview(bytearray(PIECE)), world.now)
    answer.close()
    assert "web.metrics" not in sys.modules and "app.report" not in sys.modules
    assert world.told()["status"] == "online"


@pytest.mark.parametrize("size", [1, 7, 512])
def test_a_small_buffer_gets_the_same(size):
    world = World(STILL).run(30)
    whole = world.ask("/api/state")
    answer = world.site.open("/api/state", "", world.now)
    view, text = memoryview(bytearray(size)), b""
    while (count := answer.readinto(view, world.now)) >= 0:
        text += bytes(view[:count])
    answer.close()
    assert text.decode() == whole


LARGEST = "drift=0,current=-250.5,cells=48,temperatures=16"


@pytest.mark.parametrize("options", [(LARGEST,), (LARGEST,) * 4], ids=["one", "four"])
def test_no_step_is_long(options):
    world = World(*options, sources=(Shed(),), settings=canary_settings()).run(30)
    longest = {}
    world.history.tick(0)
    for minute in range(1, 100):
        world.history.tick(minute * 60000)
    world.max_bytecodes = 0
    world._counted(world.history.tick, 100 * 60000)
    longest["a point of the history"] = world.max_bytecodes
    for path in PATHS:
        world.max_bytecodes = 0
        world.ask(path)
        longest[path] = world.max_bytecodes
    print(longest)
    assert all(200 < count <= BYTECODES for count in longest.values()), longest


def test_no_piece_is_larger_than_the_buffer_of_the_server():
    """The buffer of the site never grows: each step fits, with the longest text that there is."""
    world = World(LARGEST, LARGEST, names=["€" * 13, "ß" * 20], sources=(Shed(),)).run(60)
    world.link = "x" * 400
    for battery in world.batteries:
        battery.poller.diagnosis.note_unsupported(tuple(range(90)), True)
    for path in PATHS:
        answer = world.site.open(path, "", world.now)
        view, sizes = memoryview(bytearray(8192)), []
        while (count := answer.readinto(view, world.now)) >= 0:
            sizes.append(count)
        answer.close()
        assert 50 < max(sizes) <= 1024, path


# Prometheus


def families(world):
    text = world.ask("/metrics")
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.name not in found and family.documentation and family.samples, family.name
        found[family.name] = family
    return found


def value(family, **labels):
    (found,) = [sample.value for sample in family.samples if labels.items() <= sample.labels.items()]
    return found


def test_metrics_are_in_base_units():
    world = World(STILL).run(60)
    found = families(world)
    assert world.type == b"text/plain; version=0.0.4; charset=utf-8"
    state = world.told()["state"]
    bms = {"bridge": "c0ffee", "battery": "bms1"}
    assert value(found["daly_up"], **bms) == 1
    assert value(found["daly_soc_ratio"], **bms) == pytest.approx(state["soc"] / 100)
    assert value(found["daly_current_amperes"], **bms) == state["current"] == -20.5
    assert value(found["daly_power_watts"], **bms) == state["power"]
    assert value(found["daly_remaining_charge_coulombs"], **bms) == pytest.approx(state["remaining_capacity"] * 3600)
    assert value(found["daly_remaining_time_seconds"], **bms) == pytest.approx(state["remaining_time"] * 3600)
    for number in range(1, 17):
        assert value(found["daly_cell_voltage_volts"], cell=str(number)) == state[f"cell_{number}_voltage"]
    assert value(found["daly_temperature_celsius"], sensor="1") == state["temperature_1"]
    assert {sample.labels["mode"]: sample.value for sample in found["daly_mode"].samples} == {
        "idle": 0, "charging": 0, "discharging": 1
    }  # fmt: skip
    assert value(found["daly_bridge_uptime_seconds"]) == 0 and value(found["daly_bridge_mqtt_connected"]) == 1


def test_counters_of_energy_begin_at_0_with_the_bridge():
    """What is stored is up to an hour old after a start: as a total they would fall by a little, and for Prometheus a counter
    that falls has begun at 0 again, so that `increase` would add all that was ever counted."""
    world = World(STILL).run(600)
    bms = {"bridge": "c0ffee", "battery": "bms1"}
    flown_wh = 20.5 * world.told()["state"]["pack_voltage"] * 600 / 3600

    def joules():
        found = families(world)
        assert value(found["daly_energy_charged_joules"], **bms) == value(found["daly_charge_in_coulombs"], **bms) == 0
        assert value(found["daly_charge_out_coulombs"], **bms) == pytest.approx(20.5 * 600, rel=0.03)
        return value(found["daly_energy_discharged_joules"], **bms)

    assert joules() == pytest.approx(flown_wh * 3600, rel=0.03)
    before = joules()
    world.wires[0].pack.energy.load((9000, 9000, 90000, 90000))  # the broker has been asked
    world.run(2)
    assert joules() == pytest.approx(before, rel=0.03) and world.told()["state"]["energy_discharged"] >= 9


def test_only_what_never_falls_is_a_counter():
    found = families(World(STILL).run(60))
    counters = {name for name, family in found.items() if family.type == "counter"}
    assert counters == {
        "daly_energy_charged_joules", "daly_energy_discharged_joules", "daly_charge_in_coulombs", "daly_charge_out_coulombs",
        "daly_cycles", "daly_bridge_boots", "daly_bridge_mqtt_connects", "daly_bridge_frames", "daly_bridge_checksum_errors",
        "daly_bridge_timeouts", "daly_bridge_implausible_values",
    }  # fmt: skip
    assert {family.type for family in found.values()} == {"counter", "gauge"}


def test_what_is_not_known_has_no_line():
    world = World(STILL).run(60)
    world.wires[0].pack.put(READING["soc"], 0, None, world.now)
    world.wires[0].pack.put(CELLS, 4, None, world.now)
    world.wires[0].pack.put(READING["max_cell_voltage"], 0, None, world.now)
    found = families(world)
    assert "daly_soc_ratio" not in found
    assert {sample.labels["cell"] for sample in found["daly_cell_voltage_volts"].samples} == {
        str(number) for number in range(1, 17) if number != 5
    }


def test_alarms_are_named():
    world = World("drift=0,current=0,alarms=01000000000000").run(60)
    (sample,) = families(world)["daly_alarm_active"].samples
    assert (sample.labels["alarm"], sample.labels["level"], sample.value) == ("Cell overvoltage", "warning", 1)
    assert world.told()["state"]["active_alarms"] == "Cell overvoltage (warning)"


def test_each_battery_has_its_lines_and_sources_theirs():
    found = families(World(*FOUR, sources=(Shed(),)).run(60))
    assert [sample.labels["battery"] for sample in found["daly_up"].samples] == list(KEYS)
    assert [sample.value for sample in found["daly_current_amperes"].samples] == [-20.5, -10.1, 3.3, 0]
    assert value(found["daly_source_value"], source="shed", key="inside", unit="°C") == 21.5
    assert value(found["daly_source_value"], source="shed", key="door", unit="") == 0


# the diagnostics


def test_the_diagnostics_are_the_ones_of_mqtt():
    world = World(*FOUR[:2]).run(30)
    text = world.ask("/diagnostics", "of=bms2")
    assert text.encode() == world.diagnostics.json(world.now, world.batteries[1])
    assert json.loads(text)["battery"] == "bms2" and len(json.loads(text)["frames"]) > 20


def test_they_are_a_file_and_made_once_in_a_while():
    world = World(STILL).run(30)
    answer = world.site.open("/diagnostics", "", world.now)
    assert answer.extra == b'Content-Disposition: attachment; filename="daly-bms1.json"\r\n'
    answer.readinto(memoryview(bytearray(PIECE)), world.now)
    answer.close()
    world.ask("/diagnostics")
    assert world.site.open("/diagnostics", "", world.now) is world.site.BUSY
    assert world.told()["status"] == "online"  # which keeps nobody else waiting
    world.run(6)
    assert world.ask("/diagnostics")


def test_frames_that_come_while_they_are_told_do_not_mix_them_up():
    """Those that are overwritten meanwhile are left out; none is told in the place of another one."""
    trace = Trace()
    for number in range(64):
        trace.keep(62, bytes([number]) * 13, 13, 10 * number)
    lines = trace.lines(1000)
    told = [next(lines) for _ in range(4)]
    for number in range(64, 84):
        trace.keep(62, bytes([number]) * 13, 13, 10 * number)
    told += list(lines)
    numbers = [bytes.fromhex(line.split()[2])[0] for line in told]
    assert numbers == [0, 1, 2, 3, *range(20, 64)]
    assert [int(line.split()[0]) for line in told] == [10 * number - 1000 for number in numbers]


# no secret


def test_no_secret_is_in_any_answer():
    world = World(*FOUR[:2], settings=canary_settings() + f'\nWEB_PASSWORD = "{CANARY}-web"\n', sources=(Shed(),)).run(30)
    world.history.tick(0)
    world.history.tick(60000)
    answers = [world.ask(path) for path in PATHS]
    assert all(len(answer) > 60 for answer in answers)
    assert not [answer for answer in answers if CANARY in answer]
    assert '"MQTT_PASSWORD":"set"' in answers[4] and HIDDEN and FOREIGN


# the page of the documentation


PAGE = (ROOT / "docs" / "WEB.md").read_text()


def test_every_key_and_metric_is_explained_and_there_is_no_other():
    world = World(*FOUR[:2], sources=(Shed(),)).run(60)
    world.wires[0].pack.put(READING["alarm_bits_{}"], 0, 1, world.now)
    keys = set(json.loads(world.ask("/api/bridge"))) - {key for key, _ in world.state.pairs(world.now)}
    keys |= set(json.loads(world.ask("/api/history"))) | set(json.loads(world.ask("/api/state")))
    keys |= set(world.told())
    assert {key for key in keys if f"`{key}`" not in PAGE} - {"api"} == set()
    sent = set(re.findall(r"^# TYPE (\w+)", world.ask("/metrics"), re.MULTILINE))
    named = set(re.findall(r"`(daly_\w+)`", PAGE))
    assert (
        sent | {"daly_mosfet_temperature_celsius", "daly_board_temperature_celsius", "daly_bridge_free_memory_bytes"} == named
    )


def test_the_addresses_of_the_page_are_there():
    world = World(STILL).run(10)
    named = re.findall(r"^\| `(/[^`]*)` \|", PAGE, re.MULTILINE)
    assert {name.partition("?")[0] for name in named} == {"/", *PATHS}
    for name in named[1:]:
        path, _, query = name.partition("?")
        assert world.ask(path, query), name


def test_the_examples_of_the_page_are_json_with_keys_that_there_are():
    world = World(STILL).run(30)
    state, bridge, history = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert state.keys() == json.loads(world.ask("/api/state")).keys()
    said = world.told()
    assert state["batteries"]["bms1"].keys() == said.keys()
    assert state["batteries"]["bms1"]["state"].keys() <= said["state"].keys()
    assert bridge.keys() <= json.loads(world.ask("/api/bridge")).keys()
    assert history.keys() == json.loads(world.ask("/api/history")).keys()
