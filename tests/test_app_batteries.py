# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several batteries in the parts of the firmware: what is of one battery is said, stored and commanded of that one alone."""

import builtins
import contextlib
import itertools
import json
import sys
from types import SimpleNamespace

import pytest
from adafruit_ticks import ticks_add
from counted_nvm import Nvm
from simulation import Wire

from app.bridge_state import BridgeState
from app.commands import make_commands, make_scan
from app.diagnostics import Diagnostics
from app.energy_store import EnergyStores
from app.events import Events
from app.kept import AfterFirstResponse
from app.loop import Loop
from app.memory import limit_batteries
from app.nvm_store import NvmStore
from app.scan import on_uart
from app.settings import Board, Settings
from app.several import Each, Pollers
from battery.controls import CONTROL
from battery.energy import COUNTERS
from battery.pack import Battery, Pack
from battery.unload import unload
from daly.commands import BatteryCommands

INTERVAL_MS = 1800000
EVERYTHING = " ".join(CONTROL)


def battery(number, pack=None, poller=None, label=None):
    poller = poller or SimpleNamespace(found=0, online=True)
    return Battery(number, f"bms{number}", f"Daly BMS {number}", label or f"BMS {number}", pack or Pack(), poller)


class Bench:
    """Batteries on a wire each, all their commands, and what is published."""

    numbers = (1, 2, 201)

    def __init__(self, options=("drift=0", "drift=0", "drift=0"), allow=EVERYTHING):
        self.wires = [Wire(text) for text in options]
        self.batteries = [battery(n, wire.pack, wire.poller) for n, wire in zip(self.numbers, self.wires, strict=True)]
        self.published = []  # (topic or battery, text)
        self.counters = []
        self.saved = 0
        self.events = [Events(each, 0, self.report) for each in self.batteries]
        pairs = zip(self.batteries, self.events, strict=True)
        self.control = [BatteryCommands(each.poller, its.report_result) for each, its in pairs]
        settings = Settings(f'MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "t"\nALLOW_CONTROL = "{allow}"\n')
        self.changes = []
        self.stores = [SimpleNamespace(change=lambda word, n=n: self.changes.append((n, word))) for n in self.numbers]
        clock = SimpleNamespace(now=lambda: (2026, 11, 27, 10, 30, 5))
        self.commands = make_commands(settings, self, self, self, self.batteries, self.control, clock, self)
        self.run(3)
        self.published.clear()

    def report(self, text, battery=None):
        self.published.append((battery and battery.number, text))

    def publish(self, topic, text, retain=False, qos=1):
        self.published.append((topic, text))

    def set_counters(self, now, battery):
        self.counters.append(battery.number)

    def rediscover(self, now, delay):
        pass

    def request(self, publish, now):
        """The diagnostics."""

    def __call__(self, now, publish):
        """The scan."""

    def save(self):
        self.saved += 1

    def run(self, seconds):
        for index, wire in enumerate(self.wires):
            wire.run(seconds, lambda wire, index=index: self.control[index].tick(wire.now))

    def take(self, topic, payload, retained=False):
        self.commands.execute(topic, payload, retained, self.wires[0].now)


# commands


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(
    ("topic", "payload", "option", "before"),
    [
        ("charge_mosfet", b"OFF", "charge_mosfet", 1),
        ("discharge_mosfet", b"OFF", "discharge_mosfet", 1),
        ("soc", b"12.5", "soc", 57.3),
    ],
)
def test_a_command_goes_to_the_battery_of_its_topic_and_to_no_other(index, topic, payload, option, before):
    bench = Bench(3 * ("drift=0,soc=57.3,current=0",))
    written = [[] for _ in bench.wires]
    for number, wire in enumerate(bench.wires):
        hear = wire.bms.receive
        wire.bms.receive = lambda data, us, number=number, hear=hear: (_note(written[number], data), hear(data, us))[1]
    bench.take(f"t/bms{bench.numbers[index]}/{topic}/set", payload)
    bench.run(8)
    assert [len(writes) for writes in written] == [1 if number == index else 0 for number in range(3)]
    assert [getattr(wire.bms.options, option) == before for wire in bench.wires] == [number != index for number in range(3)]
    [(number, text)] = bench.published
    assert number == bench.numbers[index] and text.endswith(": done")


def _note(writes, data):
    if data[2] in (0xDA, 0xD9, 0x21, 0x00):
        writes.append(bytes(data))


def test_a_retained_command_or_one_for_a_battery_that_there_is_not_reaches_none(capsys):
    bench = Bench()
    for number in (1, 2, 3, 201, 202):
        bench.take(f"t/bms{number}/charge_mosfet/set", b"OFF", retained=True)
    for number in (3, 202):
        bench.take(f"t/bms{number}/charge_mosfet/set", b"OFF")
    bench.take("t/{}/charge_mosfet/set", b"OFF")
    bench.run(8)
    assert [wire.bms.options.charge_mosfet for wire in bench.wires] == [1, 1, 1]
    assert [number for number, _ in bench.published] == [1, 2, 201]  # the refusals, each on the topic of its battery
    assert all("it was retained" in text for _, text in bench.published)


def test_each_battery_has_one_command_at_a_time_of_its_own():
    bench = Bench()
    bench.take("t/bms1/charge_mosfet/set", b"OFF")
    bench.take("t/bms2/charge_mosfet/set", b"OFF")
    bench.take("t/bms2/charge_mosfet/set", b"ON")
    assert [(number, "refused" in text) for number, text in bench.published] == [(2, True)]
    bench.run(8)
    assert [wire.bms.options.charge_mosfet for wire in bench.wires] == [0, 0, 1]


def test_the_counters_are_set_of_one_battery():
    bench = Bench()
    bench.take("t/bms2/energy/set", b"reset")
    assert bench.changes == [(2, "reset")] and bench.counters == [2]
    assert bench.published == [(2, "Energy counters: done")]


def test_the_bridge_is_not_restarted_while_a_command_of_any_battery_waits(monkeypatch):
    resets = []
    monkeypatch.setattr("microcontroller.reset", lambda: resets.append(1))
    bench = Bench()
    bench.take("t/bms201/charge_mosfet/set", b"OFF")
    bench.take("t/restart/set", b"PRESS")
    assert resets == [] and bench.saved == 0 and "refused" in bench.published[-1][1]
    bench.run(8)
    bench.take("t/restart/set", b"PRESS")
    assert resets == [1] and bench.saved == 1


def test_nothing_is_listened_to_that_is_not_allowed():
    topics = Bench(allow="").commands.topics()
    assert sorted(topics) == ["homeassistant/status", "t/diagnostics/set", "t/scan/set"]
    topics = Bench(allow="soc").commands.topics()
    assert sorted(topic for topic in topics if "bms" in topic) == ["t/bms1/soc/set", "t/bms2/soc/set", "t/bms201/soc/set"]


# events, diagnostics, the bridge's state


def test_the_console_says_of_which_battery_it_speaks(capsys):
    bench = Bench(("drift=0", "drift=0,alarms=eeprom", "silent=1"))
    capsys.readouterr()
    job = Each([each.tick for each in bench.events])
    now = bench.wires[0].now
    for _ in range(12):
        pause_ms = job.tick(now)
        now = ticks_add(now, pause_ms)
        assert pause_ms <= 500 // 3
    lines = capsys.readouterr().out.splitlines()
    assert "BMS 1: OK" in lines and "BMS 2: OK" in lines and "BMS 2: Alarm: EEPROM (fault)" in lines
    assert [line for line in lines if line.startswith("BMS 201: ")] and all(line.startswith("BMS ") for line in lines)
    bench.events[1].report_result("Charge MOSFET off", "done")
    assert capsys.readouterr().out == "BMS 2: Command: Charge MOSFET off: done\n"
    assert bench.published[-1] == (2, "Charge MOSFET off: done")


def test_of_parts_that_share_a_job_each_is_called_as_often_as_alone():
    calls = []
    job = Each([lambda now, name=name: calls.append((name, now)) or 20 for name in "abcd"])
    now = 0
    while now < 2000:
        now += job.tick(now)
    for name in "abcd":
        times = [at for called, at in calls if called == name]
        assert {later - earlier for earlier, later in itertools.pairwise(times)} == {20}


def test_diagnostics_are_made_of_each_battery_one_after_the_other(capsys):
    bench = Bench()
    loop = SimpleNamespace(failures=0, last_failure=None)
    text = 'MQTT_BROKER = "b"\nBMS_BOARD_NUMBERS = "1,2"\nBMS_2_NAME = "Van"\nUART_2_TX = "IO1"\nUART_2_RX = "IO2"\n'
    made = Diagnostics(Settings(text), bench.batteries, lambda now: (("uptime", 7),), loop)
    published, now = [], bench.wires[0].now
    assert made.request(lambda topic, data: published.append((topic, json.loads(data))), now) is None
    made.tick(ticks_add(now, 500))
    assert made.request(None, ticks_add(now, 6000)) == "requested_before"  # not all have been made
    assert [topic for topic, _ in published] == ["/diagnostics"]
    for passed in range(6001, 12001, 500):
        made.tick(ticks_add(now, passed))
    assert [topic for topic, _ in published] == ["/diagnostics", "/bms2/diagnostics", "/bms201/diagnostics"]
    assert [told["battery"] for _, told in published] == ["bms1", "bms2", "bms201"]
    settings = published[1][1]["settings"]
    assert settings["BMS_BOARD_NUMBERS"] == "1,2" and settings["BMS_2_NAME"] == "Van" and settings["UART_2_TX"] == "IO1"
    made.tick(ticks_add(now, 20000))
    now = ticks_add(now, 20000)
    assert made.request(lambda topic, data: None, now) is None
    made.tick(now)
    made.tick(now)
    made.tick(now)
    assert capsys.readouterr().out == ""
    made.show(now)
    made.tick(now)
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]) == 1  # one in a pass
    made.show(now)
    assert made.request(None, ticks_add(now, 6000)) == "requested_before"
    assert capsys.readouterr().out == "Diagnostics: refused, they are being made\n"
    for _ in range(4):
        made.tick(now)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [told["battery"] for told in printed] == ["bms2", "bms201"]


def counting_loads(monkeypatch):
    """A list that grows by each load of the table of settings, which are 10 KB on a board."""
    loads = []
    load = builtins.__import__

    def importing(name, *more, **options):
        if name == "settings" and "app.settings" not in sys.modules:
            loads.append(name)
        return load(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", importing)
    return loads


@pytest.mark.parametrize("fails", [False, True])
def test_for_the_diagnostics_of_all_batteries_the_table_of_settings_is_loaded_once(monkeypatch, fails):
    bench = Bench()
    loop = SimpleNamespace(failures=0, last_failure=None)
    text = 'MQTT_BROKER = "b"\nBMS_BOARD_NUMBERS = "1,2"\n'
    calls = []

    def state(now):
        calls.append(now)
        if fails:
            raise MemoryError
        return (("uptime", 7),)

    made = Diagnostics(Settings(text), bench.batteries, state, loop)
    unload("app.settings")
    unload("app.report")
    loads = counting_loads(monkeypatch)
    now = bench.wires[0].now
    for _ in range(3):
        for step in (lambda now: made.request(lambda topic, data: None, now), made.tick, made.tick, made.tick):
            with contextlib.suppress(MemoryError):
                step(now)
        assert len(calls) == 3 and "app.settings" not in sys.modules and "app.report" not in sys.modules
        now = ticks_add(now, 10000)
        made.tick(now)
        assert len(loads) == 1
        calls.clear()
        loads.clear()


def test_the_state_of_the_bridge_sums_what_can_be_summed():
    radio = SimpleNamespace(connected=False, ipv4_address=None)
    memory = SimpleNamespace(boots=1, safe_modes=0, failure="")

    def poller(count, cycle_ms, address, protocol):
        counters = dict.fromkeys(("frames_ok", "checksum_errors", "timeouts", "echoes"), count)
        return SimpleNamespace(
            cycle_ms=cycle_ms, host_address=address, protocol=protocol, timing=SimpleNamespace(gap_ms=count), **counters
        )

    def pack(count, age_ms, text):
        return SimpleNamespace(implausible=count, oldest_ms=lambda now: age_ms, polarity=SimpleNamespace(text=text))

    def pairs(*batteries):
        for each in batteries:
            each.poller.pack = each.pack
        state = BridgeState(radio, Pollers(batteries), memory, Loop(lambda: 0, []), [], "power_on", 0)
        state.watch(SimpleNamespace(discovery_errors=0), SimpleNamespace(connects=1, broker="192.168.1.10:1883"))
        return dict(state.pairs(0))

    one = battery(1, pack(1, 300, "normal"), poller(10, 700, 0x40, "A5"))
    two = battery(2, pack(2, 900, "inverted"), poller(5, None, None, "P81"))
    three = battery(3, pack(4, 0, "normal"), poller(1, 800, 0x40, "A5"))
    told = pairs(one, two, three)
    assert told["frames_ok"] == told["checksum_errors"] == told["timeouts"] == told["echoes"] == 16
    assert told["implausible_values"] == 7 and told["poll_cycle"] == 800 and told["oldest_reading_age"] == 900
    assert told["current_sign"] == "normal, inverted" and told["protocol"] == "A5, P81" and told["request_gap"] == 10
    assert told["host_address"] == 0x40
    told = pairs(two)
    assert told["poll_cycle"] is told["host_address"] is None and told["protocol"] == "P81"


def test_the_wifi_waits_for_all_batteries_but_not_longer_than_for_one():
    pollers = [SimpleNamespace(online=False), SimpleNamespace(online=False)]
    joined = []
    batteries = [battery(n, None, poller) for n, poller in enumerate(pollers, 1)]
    job = AfterFirstResponse(Pollers(batteries), joined.append, 0)
    job.tick(100)
    pollers[0].online = True
    job.tick(200)
    assert joined == []
    pollers[1].online = True
    job.tick(300)
    assert joined == [300]


# the counters


class Boot:
    """A bridge with these batteries that starts with a memory."""

    def __init__(self, nvm, numbers=(1, 2, 201), retain=False):
        self.batteries = [battery(number) for number in numbers]
        self.published = []
        self.nvm_store = NvmStore(nvm, 0)
        self.nvm_store.use(numbers)
        self.reports = []
        report = lambda text, of: self.reports.append((of.number, text))  # noqa: E731
        publish = lambda *message: self.published.append(message)  # noqa: E731
        self.stores = EnergyStores(self.nvm_store, self.batteries, "t", "c0ffee", report, publish, retain)

    def connect(self):
        """What happens at the beginning of a connection, and when all that the broker retains has arrived."""
        self.stores.report_gone()
        self.stores.finish()

    def totals(self):
        return [[each.pack.energy.total(counter) for counter in COUNTERS] for each in self.batteries]

    def charge(self, index, hours, now=0):
        energy = self.batteries[index].pack.energy
        for tenth in range(hours + 1):
            energy.take(3600000, 5000, ticks_add(now, 100 * tenth))
        energy.pause()


def said(charged):
    return b'{"energy_charged":%d.%03d}' % divmod(charged, 1000)


def test_each_battery_continues_its_own_counters():
    nvm = Nvm(8192)
    boot = Boot(nvm)
    assert boot.stores.topics == tuple(f"t/bms{n}/{end}" for n in (1, 2, 201) for end in ("energy", "state"))
    boot.stores.restore("t/bms2/energy", said(2000))
    boot.stores.restore("t/bms201/state", said(3000))
    boot.stores.restore("t/bms7/energy", said(9000))
    assert not boot.stores.loaded
    for topic in boot.stores.topics:
        boot.stores.restore(topic, b"")
    boot.charge(0, 7)
    boot.stores.finish()
    assert [totals[0] for totals in boot.totals()] == [7, 2000, 3000] and boot.stores.loaded
    boot.stores.save()
    again = Boot(nvm, (201, 2))  # one is taken out, the others are swapped
    again.stores.finish()
    assert [totals[0] for totals in again.totals()] == [3000, 2000]
    third = Boot(nvm)  # it comes back
    third.stores.finish()
    assert [totals[0] for totals in third.totals()] == [7, 2000, 3000]


@pytest.mark.parametrize("retain", [False, True])
def test_of_a_battery_that_is_not_read_any_more_is_said_so_once_in_each_connection(retain):
    nvm = Nvm(8192)
    boot = Boot(nvm, (1, 2, 201), retain)
    boot.connect()
    boot.nvm_store.save()
    assert boot.published == []
    boot = Boot(nvm, (1,), retain)  # the settings of one battery
    assert boot.published == [] and "app.gone" not in sys.modules
    boot.connect()
    statuses = [("/bms2/status", "offline", retain), ("/bms201/status", "offline", retain)]
    cleared = [one for one in boot.published if one[1] == ""]  # where it may have been retained while it was read
    ends = ("status", "state", "connection", "info")
    assert cleared == [(f"/bms{n}/{end}", "", True, 0) for n in (2, 201) for end in ends if not retain]
    said = [one for one in boot.published if one[1]]
    assert said[::2] == statuses and boot.published.index(said[0]) == len(cleared) // 2  # cleared first
    [(topic, text, retained), (other_topic, other, _)] = said[1::2]
    assert topic == "/bms2/connection" and other_topic == "/bms201/connection" and retained == retain
    assert "write it into BMS_BOARD_NUMBERS in settings.toml again, or delete the device in Home Assistant" in text
    assert "UART_2_BOARD_NUMBERS" in other and "app.gone" not in sys.modules
    boot.connect()
    assert len(boot.published) == 8 + 2 * len(cleared)
    boot = Boot(nvm, (1, 2, 201), retain)
    boot.connect()
    assert boot.published == []


def test_with_one_battery_and_nothing_else_in_the_memory_nothing_is_loaded_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "app.gone", None)  # an import would raise
    for nvm in (Nvm(8192), None):
        boot = Boot(nvm, (1,))
        boot.nvm_store.save()
        boot.connect()
        assert boot.published == []


def test_one_write_stores_all_and_the_budget_is_that_of_one_battery():
    nvm = Nvm(8192)
    boot = Boot(nvm, tuple(range(1, 9)))
    boot.connect()
    now = 0
    for second in range(0, 24 * 3600, 10):
        if second % 60 == 0:
            for index in range(8):
                boot.charge(index, 1, now)
        boot.stores.tick(now)
        now = ticks_add(now, 10000)
    assert 40 <= nvm.writes <= 48 + 3
    stored = [NvmStore(nvm, 0).record(number).totals[0] for number in range(1, 9)]
    assert len(set(stored)) == 1 and stored[0] > 1300


def test_what_is_refused_is_said_of_its_battery(capsys):
    nvm = Nvm(8192)
    boot = Boot(nvm)
    boot.connect()
    boot.charge(1, 5)
    boot.stores.save()
    boot = Boot(nvm)
    boot.stores.restore("t/bms2/energy", said(10**9))
    boot.connect()
    assert [number for number, _ in boot.reports] == [2] and "ALLOW_CONTROL" in boot.reports[0][1]
    assert capsys.readouterr().out.startswith("BMS 2: Energy counters: implausible")


def test_setting_the_counters_of_one_battery_leaves_the_others():
    nvm = Nvm(8192)
    boot = Boot(nvm)
    for n in (1, 2, 201):
        boot.stores.restore(f"t/bms{n}/energy", said(1000 * n))
    boot.connect()
    assert boot.stores.stores[1].change("reset") is None
    assert [totals[0] for totals in boot.totals()] == [1000, 0, 201000]
    boot.stores.save()
    assert [NvmStore(nvm, 0).record(number).totals[0] for number in (1, 2, 201)] == [1000, 0, 201000]


def test_what_is_found_of_the_batteries_is_stored_with_little_wear():
    nvm = Nvm(8192)
    boot = Boot(nvm)
    boot.nvm_store.count_boot("power_on")
    wires = [Wire(f"drift=0,current=-30,protocol={protocol}", protocol="auto") for protocol in ("a5", "p81", "d2")]
    batteries = [battery(n, wire.pack, wire.poller) for n, wire in zip((1, 2, 201), wires, strict=True)]
    stores = EnergyStores(boot.nvm_store, batteries, "t")
    for _ in range(300):
        for wire in wires:
            wire.run(0.1)
        stores.tick(wires[0].now)
    assert nvm.writes <= 3
    for _ in range(3):
        stores.tick(ticks_add(wires[0].now, INTERVAL_MS))
    memory = NvmStore(nvm, 0)
    records = [memory.record(number) for number in (1, 2, 201)]
    assert [record.protocol for record in records] == [1, 2, 3] and [record.polarity for record in records] == [1, 1, 1]


# the scan


class Line:
    def __init__(self):
        self.done = None
        self.error = None

    def start_scan(self, done):
        if self.error is not None:
            raise self.error
        self.done = done


def scan_of(*online, uarts=(1,)):
    """(what starts a scan, its lines by UART) of batteries (UART, board number, protocol, whether it is online)."""
    buses = {uart: Line() for uart in uarts}
    number_of = {1: lambda n: n, 2: lambda n: 200 + n, 3: lambda n: 300 + n}
    boards = [Board(number_of[uart](number), uart, number, "", "") for uart, number, _, _ in online]
    batteries = [
        battery(n, None, SimpleNamespace(protocol=protocol, online=there))
        for n, (_, _, protocol, there) in enumerate(online, 1)
    ]
    unload("app.scan")
    return make_scan(buses, boards, batteries), buses


def test_a_scan_says_what_answers_with_the_line_for_the_settings(capsys):
    scan, buses = scan_of((1, 1, "A5", True), (1, 2, "P81", False))
    told = []
    assert scan(0, told.append) is None
    assert scan(0, told.append) == "requested_before" and told == []
    buses[1].done([(3, "A5"), (4, "A5")])
    sentence = 'Board numbers 1, 3-4 answer (with A5); write BMS_BOARD_NUMBERS = "1, 3-4".'
    assert told == [sentence + " BMS 2, which is in the settings, does not answer."]
    assert capsys.readouterr().out.splitlines()[1:] == [f"Scan: {told[0]}"]
    assert "app.scan" not in sys.modules
    assert scan(0, told.append) is None  # and again


def test_of_several_lines_all_is_said_at_once():
    scan, buses = scan_of((1, 1, "A5", True), (2, 1, "P81", True), uarts=(1, 2))
    told = []
    scan(0, told.append)
    buses[2].done([(2, "A5")])
    assert told == []
    buses[1].done([])
    assert told == [
        "UART 1: Board number 1 answers (with A5); write no BMS_BOARD_NUMBERS. "
        'UART 2: Board numbers 1-2 answer (2 with A5, 1 with P81); write UART_2_BOARD_NUMBERS = "1-2".'
    ]


@pytest.mark.parametrize(
    ("uart", "found", "sentence"),
    [
        (1, [], "No board number answers."),
        (1, [(3, "A5")], 'Board number 3 answers (with A5); write BMS_BOARD_NUMBERS = "3".'),
        (1, [(1, "D2")], "A board that speaks D2 answers; it has no number, and is alone on its line."),
        (2, [(1, "P81")], "UART 2: Board number 1 answers (with P81); write no UART_2_BOARD_NUMBERS, 1 is the default."),
        (3, [(5, "P81")], 'UART 3: Board number 5 answers (with P81); write UART_3_BOARD_NUMBERS = "5".'),
    ],
)
def test_the_sentence_on_a_line(uart, found, sentence):
    assert on_uart(uart, found) == sentence


@pytest.mark.parametrize(
    ("lines", "advice"),
    [
        ('BMS_BOARD_NUMBERS = "1-4"', 'BMS_BOARD_NUMBERS = "3"'),  # else bms3 would be bms1, with the counters of board 1
        ('BMS_BOARD_NUMBERS = "3"', 'BMS_BOARD_NUMBERS = "3"'),
        ("", 'BMS_BOARD_NUMBERS = "3"'),
        ("BMS_BOARD_NUMBER = 3", "BMS_BOARD_NUMBER = 3"),
        ("BMS_BOARD_NUMBER = 5", "BMS_BOARD_NUMBER = 3"),
        ('BMS_BOARD_NUMBER = 5\nUART_2_TX = "IO1"\nUART_2_RX = "IO2"', "BMS_BOARD_NUMBER = 3"),
    ],
)
def test_the_board_that_alone_answers_keeps_what_is_known_of_it(lines, advice):
    boards = Settings(lines).boards
    pollers = [SimpleNamespace(protocol="A5", online=False) for _ in boards]
    batteries = [battery(board.number, None, poller) for board, poller in zip(boards, pollers, strict=True)]
    line, told = Line(), []
    make_scan({1: line}, boards, batteries)(0, told.append)
    line.done([(3, "A5")])
    assert f"write {advice}." in told[0]


@pytest.mark.parametrize("error", [MemoryError(), ImportError("no module named 'daly.scan'")])
def test_without_memory_for_it_a_scan_can_be_requested_again(error):
    scan, buses = scan_of((1, 1, "A5", True))
    told = []
    buses[1].error = error
    assert scan(0, told.append) is None
    assert told == ["UART 1 was not scanned: there is too little memory; restart the bridge and scan again."]
    buses[1].error = None
    assert scan(0, told.append) is None
    buses[1].done([(2, "A5")])
    assert told[1].startswith("Board numbers 1-2 answer")


@pytest.mark.parametrize("failing", [1, 2])
def test_the_line_that_can_be_scanned_is_waited_for(failing):
    scan, buses = scan_of((1, 1, "A5", True), (2, 1, "P81", True), uarts=(1, 2))
    told = []
    buses[failing].error = MemoryError()
    assert scan(0, told.append) is None and told == []
    assert scan(0, told.append) == "requested_before"
    buses[3 - failing].done([])
    assert len(told) == 1 and f"UART {failing} was not scanned" in told[0] and f"UART {3 - failing}: Board" in told[0]
    assert scan(0, told.append) is None


def test_a_scan_whose_result_cannot_be_published_can_be_requested_again():
    def fail(text):
        raise MemoryError

    scan, buses = scan_of((1, 1, "A5", True))
    scan(0, fail)
    with pytest.raises(MemoryError):
        buses[1].done([])
    assert scan(0, fail) is None
    unload("app.scan")


def test_without_a_uart_nothing_is_scanned(capsys):
    scan, _ = scan_of(uarts=())
    assert scan(0, lambda text: None) == "no_uart"
    assert scan(0) == "no_uart"
    assert "there is no UART" in capsys.readouterr().out


def test_on_the_console_the_result_is_printed(capsys):
    scan, buses = scan_of((1, 1, "A5", True))
    assert scan(0) is None
    buses[1].done([(2, "A5")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Scan: it takes up to a minute") and lines[1].startswith("Scan: Board numbers 1-2 answer")


# memory


@pytest.mark.parametrize(
    ("free", "read"), [(None, 4), (200_000, 1), (229_999, 1), (230_000, 2), (289_999, 3), (290_000, 4), (10**7, 4)]
)
def test_as_many_batteries_are_read_as_there_is_memory_for(free, read):
    """docs/HARDWARE.md: 200 KB for one battery, 30 for each further one."""
    settings = Settings('MQTT_BROKER = "b"\nCIRCUITPY_WIFI_SSID = "x"\nBMS_BOARD_NUMBERS = "1-4"\n')
    limit_batteries(settings, free)
    assert [board.number for board in settings.boards] == [1, 2, 3, 4][:read]
    if read < 4:
        [problem] = settings.problems
        assert f"has {free // 1000} KB of memory for Python, 4 batteries need 290: only the first {read}" in problem
        assert "PSRAM" in problem and problem.endswith(".")
    else:
        assert settings.problems == []


def test_one_battery_is_read_whatever_memory_there_is():
    settings = Settings('MQTT_BROKER = "b"\nCIRCUITPY_WIFI_SSID = "x"\n')
    limit_batteries(settings, 1)
    assert len(settings.boards) == 1 and settings.problems == []
