# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""DS18B20 thermometers: Adafruit's libraries on a simulated 1-Wire bus, bit by bit; what is refused, missed and found later."""

import importlib
import sys
from pathlib import Path

import pytest

from host import chip
from host.clock import SimulatedClock
from simulator.ds18b20 import OneWireBus, Thermometer, crc

WRAP = 1 << 29
FIRST, SECOND, THIRD = "28ff641e8216c3", "28ff641e8216c4", "28aa0102030405"


class Chip(SimulatedClock):
    """The time of the simulated chip, in which bits take their time, too."""

    def transfer(self, seconds):
        self.us += round(1e6 * seconds)


class Room:
    """A pin with thermometers, and the firmware's source of them; `celsius`: id -> degrees."""

    def __init__(self, celsius, names, start, shorted, monkeypatch):
        self.clock = Chip()
        self.start = start
        monkeypatch.setattr(chip, "clock", self.clock)
        monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "host" / "standins"))
        for name in ("onewireio", "microcontroller", "adafruit_onewire.bus", "sensors.ds18b20"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        self.module = importlib.import_module("sensors.ds18b20")
        pin = importlib.import_module("microcontroller").Pin("IO4")
        self.models = {id: Thermometer(bytes.fromhex(id), degrees, self.clock.monotonic) for id, degrees in celsius.items()}
        self.bus = OneWireBus(self.models.values())
        self.bus.shorted = shorted
        monkeypatch.setitem(chip.onewire, "IO4", self.bus)
        library = importlib.import_module("adafruit_onewire.bus").OneWireBus
        self.source = self.module.Temperatures(library(pin), names)
        self.library = library
        self.problem = self.source.start()
        self.longest_ms = 0
        self.resets_at_once = 0

    @property
    def now(self):
        return (self.start + self.clock.us // 1000) % WRAP

    def run(self, seconds, watch=None):
        end = self.clock.us + seconds * 1e6
        while self.clock.us < end:
            before, resets = self.clock.us, self.bus.resets
            pause = self.source.tick(self.now)
            self.longest_ms = max(self.longest_ms, (self.clock.us - before) / 1000)
            self.resets_at_once = max(self.resets_at_once, self.bus.resets - resets)
            if watch is not None:
                watch(self)
            self.clock.us = max(self.clock.us, min(int(end), self.clock.us + 1000 * max(1, pause or 0)))
        return self

    def ids(self):
        return [row.key for row in self.source.rows[1:]]


@pytest.fixture
def room(monkeypatch):
    return lambda celsius, names=(), start=0, shorted=False: Room(celsius, names, start, shorted, monkeypatch)


# finding


def test_all_are_found_at_the_start_in_the_order_of_their_ids(room):
    found = room({SECOND: 1, THIRD: 2, FIRST: 3})
    assert found.ids() == [THIRD, FIRST, SECOND] and found.problem is None
    assert [row.name for row in found.source.rows] == [
        "Problem",
        "Temperature aa0102030405",
        "Temperature ff641e8216c3",
        "Temperature ff641e8216c4",
    ]


def test_sixteen_that_differ_in_any_bit_are_found(room):
    ids = [f"28{number * 0x1357_9BDF_0246 % (1 << 48):012x}" for number in range(1, 17)]
    assert room(dict.fromkeys(ids, 20)).ids() == sorted(ids)


def test_names_are_given_by_the_id_or_its_beginning_and_a_named_one_has_its_row_while_it_is_away(room):
    names = [(FIRST, "Boiler"), ("28aa01", "Cellar"), ("28000000000001", "Attic")]
    away = room({FIRST: 1, THIRD: 2}, names).run(12)
    assert [(row.key, row.name) for row in away.source.rows[1:]] == [
        ("28000000000001", "Attic"),
        (THIRD, "Cellar"),
        (FIRST, "Boiler"),
    ]
    assert away.source.raw("28000000000001") is None and away.source.raw("problem") == "Attic: no valid answer"


def test_a_beginning_that_several_ids_have_names_one_of_them_and_says_so(room):
    several = room({FIRST: 1, SECOND: 2, THIRD: 3}, [("28ff", "Boiler"), ("28aa", "Cellar")]).run(12)
    assert [row.name for row in several.source.rows[1:]] == ["Cellar", "Boiler", "Temperature ff641e8216c4"]
    sentence = "the numbers of several sensors begin with 28ff: write more of it in DS18B20_NAMES"
    assert several.problem == sentence and several.source.raw("problem") == sentence
    both = room({FIRST: 1, SECOND: 2}, [("28ff", "Boiler"), (SECOND, "Tank")])
    assert [row.name for row in both.source.rows[1:]] == ["Boiler", "Tank"] and both.problem is None


def test_one_that_was_there_at_the_start_keeps_its_row(room):
    later = room({FIRST: 20.0, THIRD: 5.0})
    later.models[THIRD].is_there = False
    later.run(35)
    assert later.ids() == [THIRD, FIRST] and later.source.raw(THIRD) is None


def test_a_new_one_is_found_within_three_minutes_and_read(room):
    grown = room({SECOND: 20.0}).run(20)
    grown.bus.thermometers.append(Thermometer(bytes.fromhex(THIRD), 5.5, grown.clock.monotonic))
    before = grown.source.changes
    grown.run(180)
    assert grown.ids() == [SECOND, THIRD] and grown.source.raw(THIRD) == 55 and grown.source.changes > before


def test_what_is_no_thermometer_or_not_whole_is_left_out(room):
    counter = "1d000000000001"
    found = room({FIRST: 20.0, counter: 20.0})
    assert found.ids() == [FIRST]


def test_an_address_with_a_wrong_crc_is_none(room):
    noisy = room({FIRST: 20.0})
    wrong = Thermometer(bytes.fromhex(THIRD), 5.0, noisy.clock.monotonic)
    wrong.rom = wrong.rom[:7] + bytes([wrong.rom[7] ^ 1])
    noisy.bus.thermometers.append(wrong)
    assert noisy.run(200).ids() == [FIRST]


def test_what_a_single_search_has_found_is_not_believed(room):
    """Noise may make an address with a right CRC, once in 256."""
    noisy = room({FIRST: 20.0})
    clock = noisy.clock.monotonic
    ghost = Thermometer(bytes.fromhex(THIRD), 5.0, clock, lambda: 50 < clock() < 80)
    noisy.bus.thermometers.append(ghost)
    assert noisy.run(260).ids() == [FIRST]


@pytest.mark.parametrize("shorted", [False, True])
def test_without_an_answer_it_says_what_to_check(room, shorted):
    empty = room({FIRST: 20.0} if shorted else {}, shorted=shorted)
    assert empty.bus.resets <= 40  # two searches, each with an end
    assert "4.7 kOhm" in empty.problem and empty.run(30).ids() == []
    assert "4.7 kOhm" in empty.source.raw("problem")


# reading


@pytest.mark.parametrize(
    ("celsius", "raw"), [(21.5, 215), (0.0, 0), (-0.0625, -1), (-55, -550), (125, 1250), (-10.125, -101), (84.9375, 849)]
)
def test_a_temperature_in_tenths(room, celsius, raw):
    assert room({FIRST: celsius}).run(12).source.raw(FIRST) == raw


def test_nothing_is_known_before_the_first_measurement(room):
    fresh = room({FIRST: 21.5})
    assert fresh.source.raw(FIRST) is None
    assert fresh.run(0.5).source.raw(FIRST) is None
    assert fresh.run(1).source.raw(FIRST) == 215


def test_a_step_is_one_reset_and_short(room):
    """One sensor read or found in a tick: bits take 13 or 17 ms; the interpreter's time comes on top (docs/SENSORS.md)."""
    busy = room(dict.fromkeys([FIRST, SECOND, THIRD], 20.0)).run(200)
    assert busy.resets_at_once == 1 and busy.longest_ms < 17.5


def test_each_is_measured_every_ten_seconds(room):
    steady = room({FIRST: 20.0, SECOND: 21.0}).run(100)
    assert all(9 <= model.measured <= 11 for model in steady.models.values())


def follow(room, id, steps):
    """The value after each of these temperatures was there for one measurement; None: it did not answer."""
    seen = []
    for celsius in steps:
        model = room.models[id]
        model.is_there = celsius is not None
        model.celsius = model.celsius if celsius is None else celsius
        room.run(10 if seen else 5)  # from the middle between two measurements to the next middle
        seen.append(room.source.raw(id))
    return seen


@pytest.mark.parametrize("start", [0, WRAP - 25000])
def test_absent_is_unavailable_after_three_misses_and_back_after_one_reading(room, start):
    lost = room({FIRST: 21.5}, start=start)
    seen = follow(lost, FIRST, [21.5, None, None, None, None, 22.0])
    assert seen == [215, 215, 215, None, None, 220]


def test_two_misses_now_and_then_are_none(room):
    loose = room({FIRST: 21.5})
    assert follow(loose, FIRST, [21.5, None, None, 21.5, None, None, 21.5]) == [215] * 7


def test_a_wrong_crc_is_a_miss_and_no_value(room):
    noisy = room({FIRST: 21.5}).run(5)
    noisy.models[FIRST].celsius = 22.5
    noisy.models[FIRST].broken = 2
    seen = []
    noisy.run(27, lambda room: seen.append(room.source.raw(FIRST)))
    assert set(seen) == {215, 225}
    noisy.models[FIRST].broken = 1000
    assert noisy.run(31).source.raw(FIRST) is None
    assert "no valid answer" in noisy.source.raw("problem")


def test_a_first_measurement_that_was_disturbed_is_repeated_soon(room):
    """A bridge that sleeps would say for a whole interval that it is not known."""
    noisy = room({FIRST: 21.5})
    noisy.models[FIRST].broken = 1
    assert noisy.run(3.5).source.raw(FIRST) == 215
    absent = room({FIRST: 21.5})
    absent.models[FIRST].broken = 1000
    before = absent.run(10).bus.resets
    assert absent.run(40).bus.resets - before < 20  # every ten seconds, as before


def test_a_short_circuit_is_not_zero_degrees(room):
    shorted = room({FIRST: 21.5}).run(5)
    shorted.bus.shorted = True
    seen = []
    shorted.run(60, lambda room: seen.append(room.source.raw(FIRST)))
    assert set(seen) == {215, None} and seen[-1] is None
    assert follow(room({FIRST: 0.0}), FIRST, [0.0]) == [0]  # which a real one may say


def test_85_degrees_after_a_dip_of_the_supply_is_refused(room):
    dipped = room({FIRST: 21.5}).run(5)

    def dip(room):
        if room.models[FIRST].is_measuring:
            room.models[FIRST].power_on()  # each measurement is lost

    seen = []
    dipped.run(60, lambda room: (dip(room), seen.append(room.source.raw(FIRST))))
    assert set(seen) == {215, None} and seen[-1] is None


def test_85_degrees_at_the_start_are_refused_and_real_ones_believed_next_to_others(room):
    assert follow(room({FIRST: 85.0}), FIRST, [85.0, 85.0, 85.0]) == [None, None, None]
    hot = room({FIRST: 83.0})
    assert follow(hot, FIRST, [83.0, 85.0, 85.0, 86.0]) == [830, 850, 850, 860]


@pytest.mark.parametrize("celsius", [-127, 127.9375, -56, 126])
def test_what_the_sensor_cannot_measure_is_refused(room, celsius):
    wild = room({FIRST: 20.0})
    assert follow(wild, FIRST, [20.0, celsius, celsius, celsius]) == [200, 200, 200, None]


def test_a_jump_is_confirmed_by_a_second_reading_soon_after(room):
    jumpy = room({FIRST: 20.0}).run(5)
    jumpy.models[FIRST].celsius = 31.0
    seen = []
    jumpy.run(13, lambda room: seen.append((room.clock.us, room.source.raw(FIRST))))
    changed = next(us for us, raw in seen if raw == 310)
    assert {raw for _, raw in seen} == {200, 310}
    jumpy.run(1)
    assert changed / 1e6 < 15 and jumpy.models[FIRST].measured >= 3


def test_a_single_jump_is_never_told(room):
    jumpy = room({FIRST: 20.0}).run(5)
    seen = []

    def spike(room):
        model = room.models[FIRST]
        model.celsius = 60.0 if model.measured == 1 else 20.0
        seen.append(room.source.raw(FIRST))

    jumpy.run(60, spike)
    assert set(seen) == {200}


def test_a_change_of_ten_kelvin_is_believed(room):
    assert follow(room({FIRST: 20.0}), FIRST, [20.0, 30.0, 20.5]) == [200, 300, 205]


def test_what_was_read_before_the_loop_stood_still_is_forgotten(room):
    stood = room({FIRST: 20.0}).run(5)
    stood.clock.us += 20_000_000
    stood.source.tick(stood.now)
    assert stood.source.raw(FIRST) is None
    assert stood.run(15).source.raw(FIRST) == 200


def test_weeks_later_it_still_measures_and_searches(room):
    """Over the wrap of the ticks, after 6.2 days: no tick is kept so long that it would be of another time."""
    wrapped = room({FIRST: 20.0}, start=WRAP - 30000).run(60)
    assert wrapped.models[FIRST].measured >= 5
    wrapped.bus.thermometers.append(Thermometer(bytes.fromhex(THIRD), 5.0, wrapped.clock.monotonic))
    assert wrapped.run(180).source.raw(THIRD) == 50


def test_one_that_comes_after_days_without_any_is_measured(room):
    """Ticks are compared over 3.1 days only; between two steps here are 10 s, less than what is a standstill."""
    days = room({})
    for _ in range(8 * 6 * 60 * 10):
        days.clock.us += 10_000_000
        days.source.tick(days.now)
    days.bus.thermometers.append(Thermometer(bytes.fromhex(THIRD), 5.5, days.clock.monotonic))
    assert days.run(240).source.raw(THIRD) == 55


def test_what_was_measured_before_the_loop_stood_still_is_not_read_after_it(room):
    stood = room({FIRST: 20.0}).run(20)
    while stood.source.tick(stood.now) < 700:  # until a measurement has begun
        stood.clock.us += 20_000
    stood.clock.us += 60_000_000
    stood.models[FIRST].celsius = 25.0
    seen = set()
    stood.run(10, lambda room: seen.add(room.source.raw(FIRST)))
    assert seen == {None, 250}


# the model


def test_the_models_crc_is_that_of_the_libraries(room):
    library = room({}).library
    for data in (b"", b"\x28\xff\x64", bytes(range(8))):
        assert library.crc8(data) == crc(data)
    assert crc(bytes.fromhex("021cb8010000 00")) == 0xA2  # the example of Maxim's application note 27
