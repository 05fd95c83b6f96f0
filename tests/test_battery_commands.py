# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Orders to the BMS: written once, read back, refused in words; what the broker may ask for at all."""

from types import SimpleNamespace

import pytest
from simulation import Wire, only

from app.commands import make_commands
from app.controls import tenths
from app.settings import Settings
from battery.controls import CONTROL
from daly.commands import BatteryCommands

CHARGE, DISCHARGE, CLOCK_AND_SOC, RESTART = 0xDA, 0xD9, 0x21, 0x00
CONFIRM_MS, PAUSE_MS = 6000, 2000  # docs/RELIABILITY.md: what is not confirmed in 6 s is an error
NOW = (2031, 5, 6, 7, 8, 9)


class Rig:
    """BatteryCommands at a simulated BMS that has been heard for a while; `said` is what came of the orders."""

    def __init__(self, options="drift=0", seconds=12, **poller_options):
        self.said = []
        self.wire = Wire(options, **poller_options)
        self.control = BatteryCommands(self.wire.poller, lambda *result: self.said.append(result))
        self.run(seconds)

    @property
    def now(self):
        return self.wire.now

    @property
    def writes(self):
        return [(command, data) for _, command, data in self.wire.bms.writes]

    def run(self, seconds):
        self.wire.run(seconds, lambda wire: self.control.tick(wire.now))
        return self

    def raw(self, key):
        return self.wire.pack.raw(key)


# what is written, and what comes of it


@pytest.mark.parametrize(("key", "command"), [("charge_mosfet", CHARGE), ("discharge_mosfet", DISCHARGE)])
def test_a_mosfet_is_switched_once_and_read_back(key, command):
    rig = Rig()
    for on in (False, True):
        assert rig.control.switch(key, on, rig.now) is None
        assert rig.raw(key) == (not on)  # never what is only wished
        rig.run(4)
        assert rig.raw(key) == on
    assert rig.writes == [(command, bytes([0] + 7 * [0])), (command, bytes([1] + 7 * [0]))]
    name = key.replace("_mosfet", " MOSFET").capitalize().replace("mosfet", "MOSFET")
    assert rig.said == [(f"{name} off", "done"), (f"{name} on", "done")]


# register of each control, daly-modbus.md 5: captured but for the restart (vendor's table)
REGISTERS = {
    "d2": {"charge_mosfet": 0xA5, "discharge_mosfet": 0xA6, "soc": 0xA7, "restart_bms": 0xF0},
    "p81": {"charge_mosfet": 0x121, "discharge_mosfet": 0x122, "soc": 0x116},
}


@pytest.mark.parametrize("protocol", ["d2", "p81"])
@pytest.mark.parametrize("options", ["", ",echo=1"])
def test_with_the_newer_protocols_too_each_is_written_once_and_read_back(protocol, options):
    rig = Rig(f"drift=0,current=0,protocol={protocol}{options}", protocol="auto")
    wanted = []
    for key, on in (("charge_mosfet", False), ("discharge_mosfet", False), ("charge_mosfet", True)):
        assert rig.control.switch(key, on, rig.now) is None
        assert rig.raw(key) == (not on)
        rig.run(3)
        assert rig.raw(key) == on
        wanted.append((REGISTERS[protocol][key], int(on)))
    assert rig.control.set_soc(640, None, rig.now) is None  # the time is not needed
    rig.run(3)
    assert rig.raw("soc") == 640
    wanted.append((REGISTERS[protocol]["soc"], 640))
    assert [words for _, words in rig.said] == ["done"] * 4
    assert [(register, int.from_bytes(data, "big")) for register, data in rig.writes] == wanted


def test_a_restart_is_known_of_d2_and_refused_with_p81():
    rig = Rig("drift=0,protocol=d2", protocol="auto")
    assert rig.control.restart(rig.now) is None
    rig.run(6)
    assert rig.said == [("Restart of the BMS", "done")]
    assert [(register, int.from_bytes(data, "big")) for register, data in rig.writes] == [(0xF0, 1)]
    rig = Rig("drift=0,protocol=p81", protocol="auto")
    assert rig.control.restart(rig.now) == "not_in_protocol"
    rig.run(3)
    assert rig.writes == [] and rig.said == []


@pytest.mark.parametrize("protocol", ["d2", "p81"])
def test_an_acknowledgement_that_changes_nothing_confirms_nothing(protocol):
    rig = Rig(f"drift=0,protocol={protocol},ignore_writes=1", protocol="auto")
    assert rig.control.switch("charge_mosfet", False, rig.now) is None
    rig.run(8)
    assert rig.said == [("Charge MOSFET off", "not_confirmed")] and rig.raw("charge_mosfet") == 1


def test_nothing_is_written_while_the_bms_is_looked_for():
    rig = Rig("drift=0,silent=1", seconds=3, protocol="auto")
    assert rig.control.switch("charge_mosfet", False, rig.now) == "offline"
    rig.run(10)
    assert rig.writes == []


def test_the_state_of_charge_is_written_with_the_clock():
    rig = Rig("drift=0,soc=57.3")
    assert rig.control.set_soc(985, NOW, rig.now) is None
    rig.run(6)
    assert rig.writes == [(CLOCK_AND_SOC, bytes([31, 5, 6, 7, 8, 9, 985 >> 8, 985 & 255]))]
    assert rig.said == [("State of charge 98.5 %", "done")] and rig.raw("soc") == 985
    assert str(rig.wire.bms.options.clock).startswith("2031-05-06 07:08:09")


@pytest.mark.parametrize(
    ("raw", "clock", "code"), [(500, None, "no_time"), (1001, NOW, "out_of_range"), (-1, NOW, "out_of_range")]
)
def test_no_time_or_no_such_charge_writes_nothing(raw, clock, code):
    rig = Rig()
    assert rig.control.set_soc(raw, clock, rig.now) == code
    assert rig.run(5).writes == [] and rig.said == []


def test_a_restart_is_done_when_it_is_back_after_a_silence():
    rig = Rig("drift=0,charge_mosfet=0")
    assert rig.control.restart(rig.now) is None
    rig.run(8)
    assert rig.writes == [(RESTART, bytes(8))]
    assert rig.said == [("Restart of the BMS", "done")] and rig.raw("charge_mosfet") == 1


ORDERS = {
    "charge": lambda rig: rig.control.switch("charge_mosfet", False, rig.now),
    "soc": lambda rig: rig.control.set_soc(900, NOW, rig.now),
    "restart": lambda rig: rig.control.restart(rig.now),
}


@pytest.mark.parametrize("order", ORDERS)
def test_what_the_bms_ignores_is_an_error_and_the_truth_stays(order):
    rig = Rig("drift=0,soc=57.3,ignore_writes=1")
    assert ORDERS[order](rig) is None
    rig.run(7)
    assert len(rig.writes) == 1  # and is not repeated
    assert [code for _, code in rig.said] == ["not_confirmed"]
    assert (rig.raw("charge_mosfet"), rig.raw("soc")) == (1, 573)


@pytest.mark.parametrize("order", ORDERS)
def test_a_bms_that_falls_silent_is_an_error(order):
    rig = Rig()
    rig.wire.set("silent", 1)
    assert ORDERS[order](rig) is None
    rig.run(30)
    rig.wire.set("silent", 0)
    rig.run(10)
    assert [code for _, code in rig.said] == ["not_confirmed"]
    assert len(rig.writes) <= 1  # a simulated BMS that says nothing may have heard it


@pytest.mark.parametrize("clock", [(2026, 11, 27, 3, 39, 45), (2099, 12, 31, 23, 59, 59), (2000, 1, 1, 0, 0, 0)])
@pytest.mark.parametrize("raw", [0, 1, 255, 256, 1000])
def test_each_byte_of_the_clock_and_the_charge(clock, raw):
    """Year without its century, month, day, hour, minute, second; then tenths of a percent."""
    rig = Rig("drift=0,soc=57.3", 3)
    assert rig.control.set_soc(raw, clock, rig.now) is None
    rig.run(1)
    assert rig.writes == [(CLOCK_AND_SOC, bytes([clock[0] - 2000, *clock[1:], raw // 256, raw % 256]))]
    assert str(rig.wire.bms.options.clock)[:16] == "{:04d}-{:02d}-{:02d} {:02d}:{:02d}".format(*clock)


def test_nothing_is_ordered_of_a_bms_that_does_not_answer():
    rig = Rig("silent=1", 8)
    assert rig.control.switch("charge_mosfet", False, rig.now) == "offline"
    rig.wire.set("silent", 0)
    rig.run(12)
    assert rig.writes == [] and rig.said == []


def test_orders_are_not_taken_faster_than_allowed():
    rig = Rig()
    assert rig.control.switch("charge_mosfet", False, rig.now) is None
    for _ in range(20):
        assert rig.control.switch("charge_mosfet", True, rig.now) == "busy"
    rig.run(1.5)
    assert rig.control.switch("charge_mosfet", True, rig.now) == "too_soon"
    rig.run(0.6)
    assert rig.said == [("Charge MOSFET off", "done")]
    assert rig.control.switch("charge_mosfet", True, rig.now) is None
    rig.run(3)
    assert [data[0] for _, data in rig.writes] == [0, 1]


@pytest.mark.parametrize("fault", ["corrupt=10", "implausible=3", "drop_frame=10", "late=10", "second_master=20"])
def test_on_a_bad_line_it_is_confirmed_or_an_error_but_written_once(fault):
    rig = Rig("drift=0," + fault, 20)
    refused = rig.control.switch("charge_mosfet", False, rig.now)
    rig.run(10)
    assert len(rig.writes) <= 1 and len(rig.said) == (refused is None)
    if rig.said and rig.said[0][1] == "done":
        assert rig.wire.bms.options.charge_mosfet == 0


# what the broker may ask for


class World:
    """make_commands with all around it; `reports` is what is published of the orders."""

    def __init__(self, allow=""):
        self.reports = []
        self.rig = Rig("drift=0,soc=57.3")
        self.clock = NOW
        self.clocks_asked = 0
        settings = Settings(f'MQTT_BROKER = "b"\nALLOW_CONTROL = "{allow}"\n')
        settings.base_topic = "t"
        self.scans = 0
        self.stores = [SimpleNamespace(change=lambda word: "counters_unknown")]
        batteries = only(self.rig.wire.pack, self.rig.wire.poller)
        self.commands = make_commands(settings, self, self, self, batteries, [self.rig.control], self, self)

    def report(self, text, battery=None):
        self.reports.append(text)

    def __call__(self, now, publish):
        """The scan."""
        self.scans += 1

    def now(self):
        """The clock."""
        self.clocks_asked += 1
        return self.clock

    def take(self, topic, payload, retained=False):
        self.commands.execute(topic, payload, retained, self.rig.now)
        return self

    def request(self, publish, now):
        """The diagnostics file."""


def test_nothing_is_allowed_as_it_comes():
    world = World()
    assert sorted(world.commands.topics()) == ["homeassistant/status", "t/diagnostics/set", "t/scan/set"]
    for name in ("charge_mosfet", "discharge_mosfet"):
        world.take(f"t/bms1/{name}/set", b"OFF")
    assert world.rig.run(5).writes == [] and world.reports == []


@pytest.mark.parametrize("name", CONTROL)
def test_only_what_is_allowed_is_listened_to(name):
    assert len(World(name).commands.topics()) == 4


@pytest.mark.parametrize(
    "payload", [b"on", b"On", b"ON ", b" ON", b"ON\n", b"1", b"true", b"\x00", b"OFF\xff", b"ONOFF", b"O" * 999]
)
def test_anything_but_the_exact_word_is_refused_with_a_sentence(payload):
    world = World("charge_mosfet").take("t/bms1/charge_mosfet/set", payload)
    assert world.rig.run(5).writes == []
    assert len(world.reports) == 2 and world.reports[1].startswith("Charge MOSFET: refused, ON or OFF is understood")
    assert len(world.reports[1]) < 255 and world.reports[1].isprintable()


@pytest.mark.parametrize(
    "payload", [b"101", b"-1", b"57,3", b"57.31", b"1e1", b"nan", b"0x10", b".5", b"5.", b"", b" 5", b"1000000"]
)
def test_a_state_of_charge_that_is_none_is_refused_without_asking_the_time(payload):
    world = World("soc").take("t/bms1/soc/set", payload)
    assert world.rig.run(5).writes == [] and world.clocks_asked == 0
    assert len(world.reports) == 1 + bool(payload)


def test_tenths():
    assert [tenths(word) for word in ("0", "5", "57.3", "99.9", "100", "100.0", "007")] == [0, 50, 573, 999, 1000, 1000, 70]


def test_a_retained_order_is_not_carried_out():
    world = World(", ".join(CONTROL))
    for name in ("charge_mosfet", "discharge_mosfet", "soc", "restart"):
        world.take(f"t/bms1/{name}/set", b"OFF", retained=True).take(f"t/bms1/{name}/set", b"PRESS", retained=True)
    assert world.rig.run(5).writes == [] and all("retained" in report for report in world.reports[1:])


def test_the_time_is_not_asked_for_when_the_order_would_be_refused_anyhow():
    world = World("soc charge_mosfet").take("t/bms1/charge_mosfet/set", b"OFF")
    for _ in range(5):
        world.take("t/bms1/soc/set", b"50")
    assert world.clocks_asked == 0 and "refused" in world.reports[-1]
    world.rig.run(5)
    world.clock = None
    world.take("t/bms1/soc/set", b"50")
    assert world.clocks_asked == 1 and "time is not known" in world.reports[-1]
    assert [command for command, _ in world.rig.run(5).writes] == [CHARGE]


# when it is written, and when it is confirmed


@pytest.mark.parametrize("lane", ["status", "pack"])
@pytest.mark.parametrize("seconds", [12, 12.21, 12.55, 13.7])
def test_what_confirms_is_asked_at_once_however_seldom_it_is_asked_otherwise(lane, seconds):
    """With long periods a command that had been carried out was reported as not confirmed (review b5)."""
    rig = Rig(periods={f"POLL_{lane.upper()}_MS": 60000}, seconds=seconds)
    if lane == "status":
        assert rig.control.switch("charge_mosfet", False, rig.now) is None
    else:
        assert rig.control.set_soc(985, NOW, rig.now) is None
    rig.run(3)
    assert len(rig.writes) == 1
    assert [code for _, code in rig.said] == ["done"]


@pytest.mark.parametrize("options", ["think=200", "think=450", "think=100,corrupt=20", "think=100,drop_frame=20"])
def test_on_a_slow_line_too_there_is_one_write_and_one_report(options):
    rig = Rig("drift=0," + options, seconds=40)
    for on in (False, True):
        assert rig.control.switch("charge_mosfet", on, rig.now) is None
        rig.run(20)
    assert len(rig.writes) == len(rig.said) == 2
    assert rig.said[-1][1] in ("done", "not_confirmed")
    if "corrupt" not in options and "drop" not in options:
        assert [code for _, code in rig.said] == ["done", "done"]


def test_before_a_write_the_line_rests_as_long_as_any_adapter_needs_to_turn_round():
    """Two of nine commands were lost on an adapter that needs 20 ms (mr-manuel#15)."""
    rig = Rig()
    heard, waited = [0], []
    transmit, receive = rig.wire.bms.transmit, rig.wire.bms.receive

    def transmitted(us):
        data = transmit(us)
        heard[0] = us if data else heard[0]
        return data

    def received(data, us):
        if data[2] == CHARGE:
            waited.append((us - heard[0]) / 1000)
        receive(data, us)

    rig.wire.bms.transmit, rig.wire.bms.receive = transmitted, received
    for on in (False, True, False, True):
        assert rig.control.switch("charge_mosfet", on, rig.now) is None
        rig.run(5)
    assert len(waited) == 4 and min(waited) >= 150 and max(waited) < 1000


def test_a_command_that_never_went_out_is_said_to_be_just_that():
    rig = Rig()
    rig.wire.set("silent", 1)
    assert rig.control.switch("charge_mosfet", False, rig.now) is None
    rig.wire.poller.cancel_write()
    rig.run(8)
    assert rig.writes == [] and rig.said == [("Charge MOSFET off", "not_sent")]


@pytest.mark.parametrize("protocol", ["a5", "d2"])
def test_a_response_that_is_lost_is_no_restart(protocol):
    """The BMS has not restarted: it was only silent to one request."""
    rig = Rig(f"drift=0,protocol={protocol},ignore_writes=1", protocol=protocol)
    assert rig.control.restart(rig.now) is None
    rig.run(1)
    rig.wire.set("silent", "1")
    rig.run(0.15)
    rig.wire.set("silent", "0")
    rig.run(6)
    assert rig.said == [("Restart of the BMS", "not_confirmed")]
