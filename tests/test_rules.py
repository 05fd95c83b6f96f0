# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The rules of outputs: what is understood, and for every mistake a sentence with the column where it is."""

import difflib
import random

import pytest
from mqtt_units import unit_of

from battery.sources import enum, number, text
from outputs.output import IGNORE, KEEP, OFF, ON
from outputs.rules import Names, head_of, parse


class Sensor:
    """A source whose rows come when it is found."""

    def __init__(self, key, rows=()):
        self.key = key
        self.rows = list(rows)
        self.values = {}
        self.changes = 0

    def raw(self, key):
        return self.values.get(key)


def nearest(name, names):
    return (difflib.get_close_matches(name, names, 1) or [None])[0]


def names(batteries=("bms1",), sources=()):
    return Names(list(batteries), list(sources), unit_of, nearest)


def rule(text, **others):
    found, mistake = parse(text, names(**others))
    assert mistake is None, mistake
    return found


def mistake(text, **others):
    found, sentence = parse(text, names(**others))
    assert found is None
    return sentence


class Fixed:
    """A battery, or the sources and the time, with these raw values by key."""

    online = True
    absent = None
    changes = 0

    def __init__(self, **raw):
        self.key = "bms1"
        self.poller = self.pack = self
        self.values = raw

    def at(self, row, index=0):
        return self.values.get(row.key.replace("{}", str(index + 1)))

    def held(self, slot):
        return None

    def count(self, row):
        return 0

    def is_of_one_moment(self, row):
        return True


def holds(condition, minutes=None, **raw):
    """What a condition says of a battery with these raw values."""
    for test in condition.tests:
        test.value.bind([Fixed(**raw)], None, lambda: minutes)
    return condition.holds()


# what is understood


def test_a_rule_reads_like_a_sentence():
    found = rule("IO5 on when soc > 80 off when soc < 60")
    assert (found.name, found.pin, found.active_low) == ("", "IO5", False)
    assert (found.on_s, found.off_s, found.unknown, found.grace_s, found.alarm) == (10, 10, OFF, 60, OFF)
    assert holds(found.on, soc=801) and not holds(found.on, soc=800)
    assert holds(found.off, soc=599) and not holds(found.off, soc=600)


def test_all_options():
    found = rule(
        "Water heater: D5 on when soc > 80, active low, on for at least 5 min, off for at least 30 s,"
        "unknown = keep after 2 h, alarm = ignore"
    )
    assert (found.name, found.pin, found.active_low) == ("Water heater", "D5", True)
    assert (found.on_s, found.off_s, found.unknown, found.grace_s, found.alarm) == (300, 30, KEEP, 7200, IGNORE)
    assert rule("D5 on when soc > 80, unknown = on, alarm = on")[7:] == (ON, 60, ON)
    assert rule("D5 on when soc > 80, off for at least 0 s").off_s == 0


@pytest.mark.parametrize(
    "text",
    [
        "io5 ON WHEN SOC>80 OFF WHEN SOC<60",
        "  io5   on when soc >80   off when soc< 60 ",
        "io5\xa0on when soc\xa0> 80\xa0%",
        "io5 on when bms1.soc > 80%",
    ],
)
def test_capitals_and_spaces_do_not_matter(text):
    found = rule(text)
    assert found.pin == "io5" and holds(found.on, soc=801) and not holds(found.on, soc=800)


@pytest.mark.parametrize(
    ("test", "key", "holding", "failing"),
    [
        ("max_cell_voltage > 3.40", "max_cell_voltage", 3401, 3400),
        ("max_cell_voltage > 3.4", "max_cell_voltage", 3401, 3400),
        ("max_cell_voltage >= 3.4", "max_cell_voltage", 3400, 3399),
        ("max_cell_voltage > 3400 mV", "max_cell_voltage", 3401, 3400),
        ("max_cell_voltage > 3400mV", "max_cell_voltage", 3401, 3400),
        ("pack_voltage > 18.25", "pack_voltage", 183, 182),
        ("pack_voltage >= 18.25", "pack_voltage", 183, 182),
        ("pack_voltage < 18.25", "pack_voltage", 182, 183),
        ("pack_voltage <= 18.25", "pack_voltage", 182, 183),
        ("pack_voltage <= 18.2 V", "pack_voltage", 182, 183),
        ("pack_voltage != 18.2", "pack_voltage", 181, 182),
        ("current < -18.25", "current", -183, -182),
        ("current > -18.25", "current", -182, -183),
        ("power > 0.3 kW", "power", 30001, 30000),
        ("power < -100W", "power", -10001, -10000),
        ("cycle_count = 7", "cycle_count", 7, 8),
        ("max_temperature > 40 C", "max_temperature", 41, 40),
        ("max_temperature > 40°C", "max_temperature", 41, 40),
        ("temperature_2 > -5", "temperature_2", -4, -5),
        ("cell_48_voltage < 3", "cell_48_voltage", 2999, 3000),
        ("mode is Charging", "mode", 1, 2),
        ("mode != charging", "mode", 0, 1),
        ("chemistry = lfp", "chemistry", 0, 1),
        ("charge_mosfet is on", "charge_mosfet", 1, 0),
        ("charge_mosfet = off", "charge_mosfet", 0, 1),
    ],
)
def test_numbers_are_compared_exactly_as_written(test, key, holding, failing):
    condition = rule("D5 on when " + test).on
    assert holds(condition, **{key: holding}) is True
    assert holds(condition, **{key: failing}) is False
    assert holds(condition) is None


def test_the_time_of_day():
    condition = rule("D5 on when time > 22:00 or time < 06:00").on
    assert [holds(condition, minutes) for minutes in (22 * 60, 22 * 60 + 1, 0, 359, 360, None)] == [
        False, True, True, True, False, None]  # fmt: skip


def test_and_and_or_with_what_is_not_known():
    both = rule("D5 on when soc > 80 and current > 5").on
    either = rule("D5 on when soc > 80 or current > 5").on
    for soc in (900, 700, None):
        for current in (100, 0, None):
            a = None if soc is None else soc > 800
            b = None if current is None else current > 50
            expected = False if False in (a, b) else None if None in (a, b) else True
            assert holds(both, soc=soc, current=current) is expected
            expected = True if True in (a, b) else None if None in (a, b) else False
            assert holds(either, soc=soc, current=current) is expected


def test_of_a_sensor_that_is_found_later():
    sensor = Sensor("temperatures")
    condition = rule("D5 on when ds18b20.Boiler < 60.5", sources=[sensor]).on
    assert condition.holds() is None and condition.text(None) == "there is no ds18b20.boiler"
    sensor.rows.append(number("28ff641e8216c3", "boiler", "°C", 2))
    assert condition.holds() is None and condition.text(None) == "ds18b20.boiler is unknown"
    sensor.values["28ff641e8216c3"] = 6049
    assert condition.holds() is True and condition.text(True) == "ds18b20.boiler 60.49 °C is below 60.5"
    sensor.values["28ff641e8216c3"] = 6050
    assert condition.holds() is False
    assert rule("D5 on when ds18b20.28FF641E8216C3 > 5", sources=[sensor]).on.holds() is True


def test_a_value_that_a_sensor_cannot_have_is_a_mistake():
    sources = [Sensor("temperatures"), Sensor("supply"), Sensor("vedirect1")]
    values = {"temperatures": ["Boiler", " Hot water ", "cellar"], "supply": ["voltage"], "vedirect1": None}
    found = Names(["bms1"], sources, unit_of, nearest, lambda source: values[source.key])
    for name in (
        "ds18b20.boiler",
        "ds18b20.Hot_Water",
        "ds18b20.28ff641e8216c3",
        "ds18b20.28FF641E8216C3",
        "supply.voltage",
        "vedirect1.anything",
    ):
        assert parse(f"D5 on when {name} > 5", found)[1] is None
    for name, words in (
        ("ds18b20.boilr", "there is no ds18b20.boilr; did you mean boiler"),
        ("ds18b20.28ff641e8216", "there is no ds18b20.28ff641e8216; write its number of 14 digits, or a name of DS18B20_NAMES"),
        ("supply.xyz", "there is no supply.xyz; voltage"),
        ("supply.", "write which of its values, as supply.name"),
    ):
        assert parse(f"D5 on when {name} > 5", found)[1] == "column 12: " + words


def test_a_name_of_several_words_is_one_word_in_a_rule():
    sensor = Sensor("temperatures", [number("28ff641e8216c3", "Hot water", "°C", 1)])
    sensor.values["28ff641e8216c3"] = 601
    assert rule("D5 on when ds18b20.hot_water > 60", sources=[sensor]).on.holds() is True


def test_words_and_units_of_a_sensor():
    sensor = Sensor("vedirect1", [enum("state", "State", ("Off", "Bulk", "External control")), text("error", "Error")])
    sensor.values = {"state": "External control", "error": "No error", "power": 1500}
    for test, result in (
        ("vedirect1.state is external control", True),
        ("vedirect1.state = bulk", False),
        ("vedirect1.error != No error and vedirect1.state is bulk", False),
        ("vedirect1.error is No error", True),
    ):
        assert rule("D5 on when " + test, sources=[sensor]).on.holds() is result, test
    conditions = [rule("D5 on when vedirect1.power > 1.4 " + unit, sources=[sensor]).on for unit in ("kW", "V")]
    sensor.rows.append(number("power", "Power", "W", 0))
    assert [condition.holds() for condition in conditions] == [True, None]  # it is in W, which is no V
    assert conditions[1].text(None) == "vedirect1.power cannot be compared with 1.4 V"
    assert "is in W, not in V" in mistake("D5 on when vedirect1.power > 1.4 V", sources=[sensor])


# mistakes


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "name of a pin is missing"),
        ("on when soc > 80", 1, "name of a pin is missing"),
        (": IO5 on when soc > 80", 3, "before the colon there is no name"),
        (41 * "x" + ": IO5 on when soc > 80", 1, "a name has 40 letters at most"),
        ("Heater:", 8, "name of a pin is missing"),
        ("IO5 when soc > 80", 5, 'after the pin IO5 comes "on when", not "when"'),
        ("IO5", 4, 'comes "on when", and here it ends'),
        ("IO5 on if soc > 80", 8, '"on when", not "if"'),
        ("IO5 on when", 12, "name of a value is expected, such as soc, and here it ends"),
        ("IO5 on when > 80", 13, 'name of a value is expected, such as soc, not ">"'),
        ("IO5 on when not soc > 80", 13, 'not "not"'),
        ("IO5 on when sco > 80", 13, "there is no reading sco; did you mean soc"),
        ("IO5 on when xyzzy > 80", 13, "there is no reading xyzzy; docs/MQTT.md lists them"),
        ("IO5 on when active_alarms is none", 13, "such as problem"),
        ("IO5 on when serial_number is 5", 13, "is a text"),
        ("IO5 on when production_date > 5", 13, "is a text"),
        ("IO5 on when alarm_bits_2 > 5", 13, "no reading alarm_bits_2"),
        ("IO5 on when cell_49_voltage > 3", 13, "did you mean cell_1_voltage"),
        ("IO5 on when cell_0_voltage > 3", 13, "no reading cell_0_voltage"),
        ("IO5 on when cell_{}_voltage > 3", 13, "no reading cell_{}_voltage"),
        ("IO5 on when bms2.soc > 80", 13, "there is no bms2, only bms1, ds18b20, supply, vedirect1, vedirect2"),
        ("IO5 on when bms1.sco > 80", 13, "no reading sco; did you mean soc"),
        ("IO5 on when bank.soc > 80", 13, "only one battery, so no bank; write soc"),
        ("IO5 on when ds18b20.boiler > 80", 13, "is not there without DS18B20_PIN"),
        ("IO5 on when vedirect2.power > 80", 13, "is not there without VEDIRECT_2_RX"),
        ("IO5 on when supply.voltage > 80", 13, "is not there without SUPPLY_PIN"),
        ("IO5 on when soc", 16, "after soc comes one of > >= < <= = != is, and here it ends"),
        ("IO5 on when soc above 80", 17, 'after soc comes one of > >= < <= = != is, not "above"'),
        ("IO5 on when soc == 80", 17, "write = for =="),
        ("IO5 on when soc => 80", 17, "write >= for =>"),
        ("IO5 on when soc ≥ 80", 17, "write >= for ≥"),
        ("IO5 on when soc is not 80", 20, 'write != for "is not"'),
        ("IO5 on when soc >", 18, "what soc is compared with is missing"),
        ("IO5 on when soc > and soc < 5", 19, "what soc is compared with is missing"),
        ("IO5 on when soc > high", 19, "a number is expected, as 80 or 3.45, not high"),
        ("IO5 on when soc > 8O", 19, "soc is in %, not in O"),
        ("IO5 on when soc > 80 V", 19, "soc is in %, not in V"),
        ("IO5 on when cycle_count > 80 V", 27, "cycle_count is without a unit, not in V"),
        ("IO5 on when max_cell_voltage > 3,40", 33, "decimals are written with a point"),
        ("IO5 on when soc > 1.2.3", 19, "a number is expected"),
        ("IO5 on when soc = 80.55", 13, "soc has only 1 decimal, so it never is that"),
        ("IO5 on when mode is chargin", 21, "mode is one of idle, charging, discharging, not chargin"),
        ("IO5 on when mode > charging", 18, "mode has words, no numbers; compare it with = or !="),
        ("IO5 on when problem is true", 24, "problem is one of off, on, not true"),
        ("IO5 on when soc > 8²", 19, "soc is in %, not in ²"),
        ("IO5 on when soc > ٣", 19, "a number is expected, as 80 or 3.45, not ٣"),
        ("IO5 on when cell_²_voltage > 3", 13, "no reading cell_²_voltage"),
        ("IO5 on when time > 0²:00", 20, "a time of the day is written as 08:00, up to 23:59, not 0²:00"),
        ("IO5 on when .soc > 5", 13, "there is no reading .soc"),
        ("IO5 on when bms1. > 5", 13, "there is no reading bms1."),
        ("IO5 on when bank. > 5", 13, "there is only one battery"),
        ("IO5 on when time > 8", 20, "a time of the day is written as 08:00, up to 23:59, not 8"),
        ("IO5 on when time > 24:00", 20, "a time of the day is written as 08:00, up to 23:59, not 24:00"),
        ("IO5 on when soc > 80 and", 25, "name of a value is expected"),
        ("IO5 on when soc > 80 soc < 90", 19, "soc is in %, not in soc"),
        ("IO5 on when soc > 80 % soc < 90", 24, '"and", "or", "off when", a comma or the end is expected, not "soc"'),
        ("IO5 on when soc > 80 and soc < 90 or mode is idle", 35, '"and" and "or" cannot be mixed'),
        ("IO5 on when soc > 1 and soc > 2 and soc > 3 and soc > 4 and soc > 5", 57, "4 tests at most"),
        ("IO5 on when soc > 80 off", 25, 'after "off" comes "when"'),
        ("IO5 on when soc > 80 off for at least 5 s", 26, 'after "off" comes "when", or a comma'),
        ("IO5 on when soc > 80 off when soc < 60 off when soc < 50", 40, 'a comma or the end is expected, not "off"'),
        ("IO5 on when soc > 80,", 22, "an option is expected"),
        ("IO5 on when soc > 80, low", 23, 'an option is expected: "active low"'),
        ("IO5 on when soc > 80, active high", 30, 'after "active" comes "low"'),
        ("IO5 on when soc > 80, on for 5 min", 30, 'is written as "on for at least 30 s"'),
        ("IO5 on when soc > 80, on for at least", 38, "a time is expected, as 30 s, 5 min or 2 h"),
        ("IO5 on when soc > 80, on for at least 5", 39, "a whole number with its unit"),
        ("IO5 on when soc > 80, on for at least 5 days", 39, "a whole number with its unit"),
        ("IO5 on when soc > 80, on for at least 1.5 h", 39, "a whole number with its unit"),
        ("IO5 on when soc > 80, on for at least -5 s", 39, "a whole number with its unit"),
        ("IO5 on when soc > 80, on for at least 169 h", 39, "too long; 7 days"),
        ("IO5 on when soc > 80, unknown off", 31, "after unknown comes ="),
        ("IO5 on when soc > 80, unknown = ignore", 33, "unknown is one of off, on, keep"),
        ("IO5 on when soc > 80, alarm = stop", 31, "alarm is one of off, on, keep, ignore"),
        ("IO5 on when soc > 80, alarm = off after 5 s", 35, "a comma or the end is expected"),
        ("IO5 on when soc > 80, alarm = off, alarm = on", 36, "for the second time"),
    ],
)
def test_every_mistake_is_a_sentence_with_its_column(text, column, words):
    sentence = mistake(text)
    place, _, rest = sentence.partition(": ")
    assert place == f"column {column}", sentence
    assert words in rest, sentence


def test_the_bank_exists_where_there_are_two_batteries():
    assert rule("IO5 on when bank.power > 300 W or bms2.soc > 80", batteries=("bms1", "bms2"))
    assert mistake("IO5 on when bank.sco > 80", batteries=("bms1", "bms2")) == (
        "column 13: the bank has no sco; did you mean soc")  # fmt: skip
    assert "no bms3, only bms1, bms2, bank" in mistake("IO5 on when bms3.soc > 80", batteries=("bms1", "bms2"))


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("Siren: IO7 on when xyzzy, active low", ("IO7", True)),
        ("IO7 bla ACTIVE LOW", ("IO7", True)),
        ("IO7 on when time > 08:00", ("IO7", False)),
        ("on when soc > 5", ("", False)),
        ("", ("", False)),
    ],
)
def test_the_pin_is_known_whatever_else_is_wrong(text, pin):
    """So that it can be held at its inactive level."""
    assert head_of(text)[1:] == pin


def test_nothing_that_is_written_breaks_the_parser():
    random.seed(1)
    words = (
        "Name: IO5 on when off and or soc mode time > < = != is 80 3.4 % 08:00 , , charging for at least 5 min alarm active low"
    )
    for _ in range(20000):
        text = " ".join(random.choice(words.split(" ")) for _ in range(random.randrange(12)))
        if random.random() < 0.3:
            text = text[: random.randrange(len(text) + 1)]
        found, sentence = parse(text, names())
        assert (found is None) != (sentence is None)
        if sentence:
            column = int(sentence.split(":")[0].removeprefix("column "))
            assert 1 <= column <= len(text) + 1
