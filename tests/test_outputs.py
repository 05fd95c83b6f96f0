# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Outputs: when a pin is switched, by whom, how often at most, and which reason is given."""

import contextlib
import itertools
import random
import re

import pytest
from test_rules import Sensor, names

from battery.bank import Bank
from battery.pack import Battery, Pack
from battery.readings import READING
from battery.sources import number
from outputs.output import Output, Outputs
from outputs.pin import Pin
from outputs.rules import parse

PROTECTION, FAULT = 2, 3  # rows of the alarm bits
CELL_UNDERVOLTAGE, CELL_OVERVOLTAGE = 2, 1  # bits


class Poller:
    def __init__(self):
        self.online = True


class Line:
    """Writes down each level of a pin, with the second."""

    def __init__(self, life):
        self.life = life
        self.levels = []

    def drive(self, active):
        if not self.levels or self.levels[-1][1] != active:
            self.levels.append((self.life.ms / 1000, active))

    @property
    def is_on(self):
        return self.levels[-1][1]

    @property
    def edges(self):
        return [at for at, _ in self.levels[1:]]


class Life:
    """Outputs of these rules beside batteries whose readings a test sets, in steps of the loop of `step_ms`."""

    def __init__(self, *rules, batteries=1, sources=(), override_min=60, start=0, step_ms=50):
        self.ms = 0
        self.start = start
        self.step_ms = step_ms
        self.minutes = None
        keys = [f"bms{number}" for number in range(1, batteries + 1)]
        self.packs = [Pack(cell_count=4, temperature_count=1) for _ in keys]
        self.pollers = [Poller() for _ in keys]
        labels = [key.upper() if batteries > 1 else "" for key in keys]
        tuples = [Battery(1, key, "", label, pack, poller)
                  for key, label, pack, poller in zip(keys, labels, self.packs, self.pollers, strict=True)]  # fmt: skip
        found = names(keys, sources)
        parsed = [parse(rule, found) for rule in rules]
        assert [mistake for _, mistake in parsed if mistake] == []
        self.lines = [Line(self) for _ in rules]
        made = {n: Output(parsed[n - 1][0], self.lines[n - 1].drive, override_min) for n in range(1, len(rules) + 1)}
        self.outputs = Outputs(made, sources, True)
        bank = Bank(tuples) if batteries > 1 else None
        self.outputs.bind(tuples, bank, lambda: self.minutes)
        self.set(alarm_bits_1=0, alarm_bits_2=0, alarm_bits_3=0, alarm_bits_4=0, alarm_bits_5=0)

    def set(self, battery=1, **raw):
        """Readings as they are from now on; None: not known."""
        pack = self.packs[battery - 1]
        for key, value in raw.items():
            number = re.search(r"_(\d+)", key)
            row = READING[key if number is None else key.replace(number.group(), "_{}")]
            index = 0 if number is None else int(number.group(1)) - 1
            pack.put(row, index, value, 0)
        return self

    def alarm(self, level=PROTECTION, bits=CELL_UNDERVOLTAGE, battery=1):
        return self.set(battery, **{f"alarm_bits_{level}": bits})

    def run(self, seconds, watch=None):
        end = self.ms + 1000 * seconds
        while self.ms < end:
            self.outputs.tick((self.start + self.ms) % 2**29)
            if watch is not None:
                watch(self)
            self.ms += self.step_ms
        return self

    def command(self, word, number=1):
        self.outputs.command(number, word)
        return self

    @property
    def is_on(self):
        return self.lines[0].is_on

    @property
    def reason(self):
        return self.outputs.raw("output_1_reason")

    @property
    def mode(self):
        return self.outputs.raw("output_1_mode")


HYSTERESIS = "Heater: IO5 on when soc > 80 off when soc < 60"


def on(rule=HYSTERESIS, **options):
    """A life in which the output has been on for a minute."""
    life = Life(rule, **options).set(soc=900).run(72)
    assert life.is_on
    return life


# the rule


def test_between_its_limits_an_output_stays_as_it_is():
    life = Life(HYSTERESIS)
    levels = []
    for soc in (700, 801, 700, 600, 599, 700, 800, 900):
        levels.append(life.set(soc=soc).run(20).is_on)
    assert levels == [False, True, True, True, False, False, False, True]


def test_without_a_condition_for_off_it_is_off_as_soon_as_that_for_on_does_not_hold():
    life = Life("IO5 on when soc > 80")
    assert [life.set(soc=soc).run(20).is_on for soc in (800, 801, 800)] == [False, True, False]


def test_off_wins():
    life = Life("IO5 on when soc > 50 off when soc > 40").set(soc=600).run(60)
    assert not life.is_on and life.reason == "off: soc 60.0 % is above 40 %"


def test_the_reason_says_what_decided():
    life = Life(HYSTERESIS).set(soc=420)
    reasons = [life.run(1).reason]
    for soc in (700, 850, 700, 420):
        reasons.append(life.set(soc=soc).run(40).reason)
    assert reasons == [
        "off: soc 42.0 % is below 60 %",
        "off: soc 70.0 % is not above 80 %",
        "on: soc 85.0 % is above 80 %",
        "on: soc 70.0 % is not below 60 %",
        "off: soc 42.0 % is below 60 %",
    ]


def test_the_reason_names_all_tests_that_had_to_hold_and_the_one_that_did_not():
    life = Life("IO5 on when soc > 80 and mode is charging and time > 08:00").set(soc=850, mode=1)
    life.minutes = 500
    assert life.run(20).reason == "on: soc 85.0 % is above 80 % and mode is charging and time is after 08:00"
    assert life.set(mode=2).run(20).reason == "off: mode is discharging"
    life.minutes = 480
    assert life.set(mode=1).run(20).reason == "off: time is not after 08:00"


def test_a_number_in_the_reason_is_renewed_now_and_then_and_not_all_the_time():
    life = on()
    said = []
    for soc in range(850, 950):
        said.append(life.set(soc=soc).run(1).reason)
    assert 3 <= len(set(said)) <= 5
    assert life.run(40).reason == "on: soc 94.9 % is above 80 %"


def test_the_extremes_are_those_of_the_cells_as_they_are_published():
    life = Life("IO5 on when max_cell_voltage > 3.40 and cell_voltage_delta > 20 mV")
    cells = READING["cell_{}_voltage"]
    for index, raw in enumerate((3380, 3401, 3390, 3395)):
        life.packs[0].put(cells, index, raw, 0)
    assert life.run(20).is_on
    assert life.reason == "on: max_cell_voltage 3.401 V is above 3.40 V and cell_voltage_delta 0.021 V is above 20 mV"
    life.packs[0].put(cells, 0, 3381, 0)
    assert not life.run(20).is_on
    life.packs[0].put(cells, 0, 3380, 77)  # read at another moment than the others
    assert life.run(70).reason == "off: cell_voltage_delta is unknown for 60 s"


def test_what_this_board_does_not_have_is_said_to_be_absent():
    life = Life("IO5 on when balance_current > 1")
    life.packs[0].select([row for row in READING.values() if row.derive is None and row.key != "balance_current"])
    life.set(alarm_bits_2=0, alarm_bits_3=0)
    assert life.run(90).reason == "off: there is no balance_current for 75 s"


def test_of_the_bank_and_of_another_battery():
    life = Life("IO5 on when bank.soc > 80", "IO6 on when bms2.soc > 80", batteries=2)
    life.set(1, soc=700, rated_capacity=100000).set(2, soc=1000, rated_capacity=100000, alarm_bits_2=0, alarm_bits_3=0)
    life.run(20)
    assert [line.is_on for line in life.lines] == [True, True]
    life.pollers[0].online = False
    life.run(80)
    assert [line.is_on for line in life.lines] == [False, True]
    assert life.reason == "off: bank.soc is unknown for 75 s"


# unknown


def test_unknown_is_off_after_a_minute():
    life = on().set(soc=None)
    assert life.run(59).is_on
    assert life.reason == "on: soc is unknown for 45 s"
    assert not life.run(3).is_on
    assert life.run(15).reason == "off: soc is unknown for 75 s"
    assert life.set(soc=700).run(20).reason == "off: soc 70.0 % is not above 80 %"  # it stays so until it is switched on
    assert life.set(soc=900).run(20).is_on


@pytest.mark.parametrize(
    ("option", "off_to", "on_to"),
    [("off", False, False), ("on", True, True), ("keep", False, True), ("on after 2 h", False, True)],
)
def test_what_is_done_with_unknown_readings(option, off_to, on_to):
    for soc, expected in ((500, off_to), (900, on_to)):
        life = Life(HYSTERESIS + ", unknown = " + option).set(soc=soc).run(30).set(soc=None).run(130)
        assert life.is_on is expected, (option, soc)


def test_unknown_for_less_than_the_grace_changes_nothing_however_often():
    life = on()
    for _ in range(20):
        life.set(soc=None).run(50).set(soc=700).run(1)
    assert life.is_on and len(life.lines[0].edges) == 1


def test_what_is_unknown_but_does_not_matter_changes_nothing():
    life = Life("IO5 on when soc > 80 off when soc < 60 or temperature_1 > 50").set(soc=500).run(300)
    assert life.reason == "off: soc 50.0 % is below 60 %"
    life = Life("IO5 on when soc > 80 off when temperature_1 > 50").set(soc=500).run(300)
    assert life.reason == "off: soc 50.0 % is not above 80 %"  # off stays off, whatever the temperature is
    life = Life("IO5 on when soc > 80 off when temperature_1 > 50").set(soc=900).run(300)
    assert life.reason == "off: temperature_1 is unknown for 4 min"


def test_a_battery_that_is_offline_has_no_readings():
    life = on()
    life.pollers[0].online = False
    assert not life.run(65).is_on and life.reason == "off: soc is unknown for 60 s"


# alarms


def test_a_protection_switches_off_at_once_and_the_rule_has_to_switch_on_again():
    life = on(HYSTERESIS + ", on for at least 10 h").alarm().run(1)
    assert not life.is_on and life.reason == "off: alarm Cell undervoltage (protection)"
    life.set(soc=700).alarm(bits=0).run(30)
    assert not life.is_on, "without load its voltage recovers, and the load would go on and off for ever"
    assert life.set(soc=900).run(20).is_on


def test_faults_count_and_warnings_do_not():
    life = on()
    assert life.alarm(1, CELL_OVERVOLTAGE).run(20).is_on
    assert not life.alarm(FAULT, 4).run(1).is_on
    assert life.reason == "off: alarm Charge MOSFET shorted (fault)"
    assert life.alarm(FAULT, 0).run(20).is_on


def test_an_alarm_of_any_battery_counts():
    life = Life(HYSTERESIS, batteries=2).set(soc=900).set(2, alarm_bits_1=0, alarm_bits_2=0, alarm_bits_3=0).run(20)
    assert life.is_on
    assert life.alarm(battery=2).run(1).reason == "off: alarm Cell undervoltage (protection) of BMS2"
    life.alarm(bits=CELL_OVERVOLTAGE, battery=1).run(1)
    assert life.reason == "off: alarm Cell overvoltage (protection)" + " of BMS1"
    before = life.outputs.changes
    life.set(soc=910).run(3)
    assert life.outputs.changes == before, "the same alarm is no other reason"
    life.alarm(FAULT, 4).run(1)
    assert life.reason == "off: alarm Charge MOSFET shorted (fault) of BMS1"
    life.alarm(FAULT, 0).alarm(bits=0, battery=1).run(1)
    assert life.reason == "off: alarm Cell undervoltage (protection) of BMS2"
    before = life.outputs.changes
    life.set(soc=900).run(3)
    assert life.outputs.changes == before
    life.alarm(bits=0, battery=2).run(20)
    assert life.is_on


@pytest.mark.parametrize(
    ("option", "off_to", "on_to"), [("off", False, False), ("on", True, True), ("keep", False, True), ("ignore", False, True)]
)
def test_what_is_done_at_an_alarm(option, off_to, on_to):
    for soc, expected in ((500, off_to), (900, on_to)):
        life = Life(HYSTERESIS + ", alarm = " + option).set(soc=soc).run(30).alarm().run(30)
        assert life.is_on is expected, (option, soc)


def test_at_an_alarm_keep_means_also_that_the_rule_does_not_switch():
    life = on(HYSTERESIS + ", alarm = keep").alarm().set(soc=500).run(60)
    assert life.is_on and life.reason == "on: alarm Cell undervoltage (protection)"
    assert not life.alarm(bits=0).run(1).is_on


def test_nothing_is_switched_on_while_nobody_knows_whether_there_is_an_alarm():
    life = Life(HYSTERESIS).alarm(bits=None).set(soc=900).run(90)
    assert not life.is_on and life.reason == "off: alarms are unknown for 75 s"
    assert life.alarm(bits=0).run(20).is_on
    assert Life(HYSTERESIS + ", alarm = ignore").alarm(bits=None).set(soc=900).run(90).is_on


# minimum times


def test_off_at_the_start_and_for_the_minimum_time():
    life = Life(HYSTERESIS)
    assert not life.is_on and life.reason == "off at the start"
    assert life.run(5).reason == "off at the start"
    assert life.set(soc=900).run(1).reason == "waits: off for up to 10 s more"
    assert not life.run(3.9).is_on and life.run(2).is_on


def test_on_and_off_for_at_least():
    life = Life(HYSTERESIS + ", on for at least 5 min, off for at least 2 min").set(soc=900)
    life.run(119.9)
    assert not life.is_on
    life.run(2).set(soc=500)
    began = life.ms
    while life.is_on:
        life.run(1)
    assert 299 <= (life.ms - began) / 1000 <= 303
    life.set(soc=900).run(100)
    assert not life.is_on and life.reason == "waits: off for up to 20 s more"
    first, second = life.lines[0].edges
    assert second - first >= 300


def test_a_wait_is_told_in_steps():
    life = Life(HYSTERESIS + ", off for at least 2 h").set(soc=900)
    said = []
    life.run(7300, lambda life: said.append(life.reason) if life.reason not in said else None)
    assert said[:3] == [
        "waits: off for up to 2 h more",
        "waits: off for up to 119 min more",
        "waits: off for up to 118 min more",
    ]
    assert 120 < len(said) < 140 and said[-2:] == ["waits: off for up to 10 s more", "on: soc 90.0 % is above 80 %"]


# a person


def test_a_person_overrides_the_rule_for_an_hour():
    life = Life(HYSTERESIS).set(soc=700).run(60).command("on").run(1)
    assert life.is_on and life.mode == "on" and life.reason == "on: switched by hand for 60 more minutes"
    assert life.run(18 * 60).reason == "on: switched by hand for 42 more minutes"
    assert life.run(41 * 60 + 57).is_on
    assert life.reason == "on: switched by hand for 1 more minute"
    assert not life.run(14).is_on and life.mode == "auto", "the rule had decided off, and 70 % is between its limits"
    assert life.reason == "off: soc 70.0 % is not above 80 %"


def test_off_by_hand_is_at_once_and_on_waits():
    life = Life(HYSTERESIS + ", on for at least 1 h").set(soc=900).run(20).command("off").run(1)
    assert not life.is_on and life.reason == "off: switched by hand for 60 more minutes"
    assert life.command("on").run(2).reason == "waits: off for up to 10 s more"
    assert life.run(12).is_on
    assert life.command("auto").run(1).mode == "auto"
    assert life.is_on and life.reason == "on: soc 90.0 % is above 80 %"


def test_each_switching_and_each_word_of_a_person_is_printed_once_with_the_reason(capsys):
    life = Life(HYSTERESIS).set(soc=900).run(72)
    life.set(soc=500).run(300).set(soc=700).command("on").run(100)
    life.command("off").run(3700)
    assert capsys.readouterr().out.splitlines() == [
        "Output Heater on: soc 90.0 % is above 80 %",
        "Output Heater off: soc 50.0 % is below 60 %",
        "Output Heater, mode on",
        "Output Heater on: switched by hand for 60 more minutes",
        "Output Heater, mode off",
        "Output Heater off: switched by hand for 60 more minutes",
        "Output Heater, mode auto",
    ]


def test_without_an_end_it_stays_with_the_person():
    life = Life(HYSTERESIS, override_min=0).set(soc=500).run(20).command("on").run(3 * 3600)
    assert life.is_on and life.reason == "on: switched by hand"


def test_a_person_can_silence_a_siren_and_cannot_overrule_a_protection():
    life = Life("IO5 on when problem is on, alarm = on").alarm().set(soc=500).run(20)
    assert life.is_on
    assert not life.command("off").run(1).is_on
    life = Life(HYSTERESIS).set(soc=500).run(20).command("on").run(1).alarm().run(1)
    assert not life.is_on and life.reason.startswith("off: alarm ")
    assert not life.command("on").run(20).is_on
    life = Life("IO5 on when soc > 80, alarm = on").alarm().set(soc=500).command("on").run(20).alarm(bits=0).run(20)
    assert life.is_on and life.mode == "on"


def test_what_a_person_has_switched_on_is_not_switched_on_again_behind_an_alarm():
    """Else a load that causes the alarm would go on and off all night."""
    life = Life(HYSTERESIS, override_min=0).set(soc=500).run(20).command("on").run(1)

    def overload(life):
        life.alarm(bits=CELL_UNDERVOLTAGE if life.is_on else 0)

    life.run(600, overload)
    assert [level for _, level in life.lines[0].levels] == [False, True, False]
    assert life.mode == "auto" and life.reason == "off: soc 50.0 % is below 60 %"


def test_what_is_unknown_does_not_end_what_a_person_has_decided():
    assert on().command("on").set(soc=None).run(300).is_on


@pytest.mark.parametrize(("soc", "expected"), [(500, False), (900, True)])
def test_behind_a_person_only_what_the_rule_had_decided_is_kept_while_it_is_unknown(soc, expected):
    life = Life(HYSTERESIS + ", unknown = keep").set(soc=soc).run(20).command("on").run(20).set(soc=None)
    assert life.run(59 * 60).is_on
    assert life.run(120).is_on is expected and life.mode == "auto"


# ticks, pins, sources


@pytest.mark.parametrize("start", [0, 2**29 - 65000, 2**29 - 1000, 2**28 - 5000])
def test_the_ticks_may_wrap(start):
    life = Life(HYSTERESIS + ", on for at least 5 min", start=start, step_ms=100).set(soc=900)
    life.run(200).set(soc=500).run(300)
    assert len(life.lines[0].edges) == 2
    first, second = life.lines[0].edges
    assert 10 <= first <= 12 and 300 <= second - first <= 302


def test_times_longer_than_the_ticks_wrap():
    life = Life(HYSTERESIS + ", on for at least 168 h", step_ms=20000).set(soc=900).run(60).set(soc=500).run(8 * 86400)
    first, second = life.lines[0].edges
    assert 168 * 3600 <= second - first <= 168 * 3600 + 60


def test_a_loop_that_stood_still_for_a_while_has_missed_no_second():
    life = on(HYSTERESIS + ", on for at least 5 min").set(soc=500)
    life.ms += 250000
    assert not life.run(5).is_on


def test_a_loop_that_stood_still_between_two_outputs_shortens_no_minimum_time():
    life = Life(HYSTERESIS, "IO6 on when soc > 80 off when soc < 60, off for at least 60 s").set(soc=900).run(90)
    assert life.lines[1].is_on
    life.set(soc=500)
    while life.lines[0].is_on:
        life.run(0.05)
    life.ms += 30_000
    life.run(1).set(soc=900).run(70)
    _, went_off, went_on = life.lines[1].edges
    assert went_on - went_off >= 60


class Gpio:
    """A pin in CircuitPython's manner, pulled up as after a reset."""

    def __init__(self):
        self.levels = [True]

    def switch_to_output(self, value=False):
        self.levels.append(value)

    @property
    def value(self):
        return self.levels[-1]

    @value.setter
    def value(self, value):
        self.levels.append(value)


@pytest.mark.parametrize("active_high", [True, False])
def test_a_pin_is_inactive_from_its_first_moment_as_an_output_on(active_high):
    gpio = Gpio()
    pin = Pin(gpio, active_high)
    assert gpio.levels == [True, not active_high]
    pin.drive(True)
    pin.drive(False)
    assert gpio.levels[2:] == [active_high, not active_high]


def test_a_chosen_mode_is_news_also_where_nothing_else_changes():
    life = Life("Heater: IO5 on when soc > 80, off for at least 500 s").set(soc=900).run(21)
    reason = life.outputs.raw("output_1_reason")
    assert reason.startswith("waits: off")
    before = life.outputs.changes
    life.command("on").run(0.3)
    assert life.outputs.changes > before
    assert (life.outputs.raw("output_1_mode"), life.outputs.raw("output_1_reason")) == ("on", reason)


def test_what_is_published():
    life = Life(HYSTERESIS, "IO6 on when soc > 80")
    rows = life.outputs.rows
    assert [row.key for row in rows if row.name] == [
        "output_1", "output_1_mode", "output_1_reason", "output_2", "output_2_mode", "output_2_reason"]  # fmt: skip
    assert [row.name for row in rows[:4]] == ["Heater", "Heater mode", "Heater reason", "Output 2"]
    assert [row.command for row in rows[:6]] == [None, "/outputs/1/set", None, None, "/outputs/2/set", None]
    life.set(soc=900).run(20)
    assert [life.outputs.raw(row.key) for row in rows[:3]] == [1, "auto", "on: soc 90.0 % is above 80 %"]
    before = life.outputs.changes
    life.run(300)
    assert life.outputs.changes == before
    life.command("off", 2).run(1)
    assert life.outputs.changes > before and not life.lines[1].is_on and life.is_on


def test_the_last_message_removes_the_outputs_that_are_not_there_any_more():
    """Five places in each message, three of an output."""
    assert [(row.key, row.name) for row in Life(HYSTERESIS).outputs.rows[2:]] == [
        ("output_1_reason", "Heater reason"), ("output_2", None), ("output_2_mode", None)]  # fmt: skip
    assert [row.key for row in Life(*4 * [HYSTERESIS]).outputs.rows[12:]] == ["output_5", "output_5_mode", "output_5_reason"]
    assert len(Life(*5 * [HYSTERESIS]).outputs.rows) == 15
    assert len(Life(*8 * [HYSTERESIS]).outputs.rows) == 24


def test_nothing_is_evaluated_while_nothing_changes():
    sensor = Sensor("supply", [number("voltage", "Voltage", "V", 3)])
    life = Life("IO5 on when supply.voltage > 12", sources=[sensor])
    asked = []
    sensor.raw = lambda key: asked.append(life.ms) or 13000
    life.run(10)
    assert len(set(asked)) <= 11  # once a second, for the times
    asked.clear()
    for _ in range(10):
        sensor.changes += 1
        life.run(0.25)
    assert len(asked) >= 10


def test_an_output_that_fails_does_not_stop_the_others():
    life = Life(HYSTERESIS, "IO6 on when soc > 80", "IO7 on when soc > 80").set(soc=900)

    def fail(active):
        raise RuntimeError("a bug")

    life.outputs.output(2)._drive = fail
    for _ in range(400):
        with contextlib.suppress(RuntimeError):
            life.run(0.05)
    assert [line.is_on for line in life.lines] == [True, False, True]


# whole lives


@pytest.mark.parametrize("seed", range(12))
def test_never_more_edges_than_the_minimum_times_allow(seed):
    """Noise, unknown readings, alarms, offline batteries, commands: an output is off for its minimum time, whatever happens,
    and where nothing but the rule switches also on."""
    random.seed(seed)
    on_s, off_s = random.choice(((10, 10), (60, 5), (0, 30), (5, 60)))
    only_rule = seed % 2 == 0
    options = (
        f", on for at least {on_s} s, off for at least {off_s} s, unknown = {random.choice(('off', 'on', 'keep'))} after 5 s"
    )
    rules = [
        "IO5 on when soc > 50 off when soc < 50" + options,
        "IO6 on when soc > 50 and power > 0" + options + (", alarm = on" if seed % 3 else ""),
    ]
    life = Life(*rules, start=random.choice((0, 2**29 - 100000)), step_ms=random.choice((50, 130, 200)))

    def disturb(life):
        life.set(soc=random.choice((498, 499, 500, 501, 502)), pack_voltage=500, current=random.choice((-1, 0, 1)))
        if not only_rule:
            chance = random.random()
            if chance < 0.02:
                life.alarm(random.choice((PROTECTION, FAULT)), random.choice((0, 0, 1, 2, None)))
            if chance > 0.98:
                life.set(soc=None, current=None)
            if 0.5 < chance < 0.52:
                life.pollers[0].online = random.random() < 0.7
            if 0.6 < chance < 0.61:
                life.command(random.choice(("on", "off", "auto")), random.choice((1, 2)))
        elif random.random() < 0.1:
            life.set(soc=None)

    life.run(3000, disturb)
    for line in life.lines:
        levels = [(0.0, False)] + line.levels[1:]
        assert len(levels) > 5
        for (since, was_on), (at, _) in itertools.pairwise(levels):
            least = off_s if not was_on else on_s if only_rule and "unknown = off" not in options else 0
            assert at - since >= least, (since, at, was_on)
