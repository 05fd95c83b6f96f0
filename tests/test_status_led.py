# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The status LED: which blinks for which trouble, in time and colour, off at night; the lights themselves."""

import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import board
import neopixel
import pwmio
import pytest
from adafruit_ticks import ticks_add

from app import status_led
from app.status_led import GpioLight, PixelLight, StatusLed, is_between, pattern_of_bms, pattern_of_network
from battery.minute import span_of
from daly import diagnosis
from host import chip
from mqtt import trouble

WELL = None
# Each code of daly/diagnosis.py: (long blinks, short blinks)
OF_BMS = {
    "SILENCE": (0, 2),
    "ECHO": (0, 4),
    "NOISE": (0, 4),
    "UNEXPECTED": (0, 4),
    "EMPTY": (0, 4),
    "LATE": (0, 2),
    "ASLEEP": (0, 3),
    "DETECTING": (0, 1),
    "NO_UART": (2, 1),
    "RULED_OUT_PROTOCOL": (2, 1),
    "RULED_OUT_ADDRESS": (2, 1),
    "ABSENT": (0, 2),
    "DOUBLED": (0, 4),
    "OK": WELL,
    "RECOVERED": WELL,
    "UNSUPPORTED": WELL,
    "MIXED": (0, 5),
    "BABBLING": (0, 5),
    "POLARITY": (0, 5),
}
CONNECTING, NO_WIFI, NO_BROKER, REFUSED, SETTINGS = (1, 1), (1, 2), (1, 3), (1, 4), (2, 2)
OF_OTHERS = {
    "joining": CONNECTING,
    "connecting": CONNECTING,
    "broker_not_set": SETTINGS,
    "tls_not_possible": SETTINGS,
    "login_wrong": REFUSED,
    "login_missing": REFUSED,
    "rejected_protocol": REFUSED,
    "rejected_client_id": REFUSED,
    "rejected_not_ready": REFUSED,
    "rejected_unknown": REFUSED,
    "short_sessions": REFUSED,
    "short_sessions_same_message": REFUSED,
}
ORANGE, BLUE, MAGENTA, GREEN, RED = (100, 60, 0), (0, 0, 100), (100, 0, 100), (0, 100, 0), (100, 0, 0)


class FakeLight:
    """Notes (ms, percent, colour) of each change."""

    def __init__(self):
        self.now = 0
        self.changes = [(0, 0, None)]

    def set(self, percent, colour):
        if percent != self.changes[-1][1]:
            self.changes.append((self.now, percent, colour))


class FakePack:
    def __init__(self):
        self.bits = {}

    def raw(self, key, index):
        assert key == "alarm_bits_{}"
        return self.bits.get(index, 0)


class Bridge:
    """Batteries with diagnosis codes, and a client with a trouble; `blinks(seconds)` is what is seen."""

    def __init__(self, *codes, trouble=None, start=0, percent=20, night=None, minute=None):
        self.start = start
        self.batteries = [
            SimpleNamespace(pack=FakePack(), poller=SimpleNamespace(diagnosis=SimpleNamespace(code=c))) for c in codes
        ]
        self.client = SimpleNamespace(trouble=trouble)
        self.light = FakeLight()
        self.minute = minute
        self.led = StatusLed(self.light, percent, self.batteries, self.client, night, lambda: self.minute)

    def run(self, seconds):
        """Call it whenever it wants to be called, and now and then sooner."""
        end = self.light.now + 1000 * seconds
        while self.light.now < end:
            wait = self.led.tick(ticks_add(self.start, self.light.now))
            assert 0 < wait <= 2000
            self.light.now += min(wait, 70)
        return self

    def patterns(self):
        """((long, short), colour) of each pattern that is complete, in order."""
        found, longs, shorts, colour = [], 0, 0, None
        changes = self.light.changes
        for (at, percent, of), (end, _, _) in itertools.pairwise(changes):
            if percent:
                longs += end - at > 500
                shorts += end - at <= 500
                colour = of
            elif end - at > 1200 and longs + shorts:
                found.append(((longs, shorts), colour))
                longs = shorts = 0
        return found


@pytest.mark.parametrize("name", sorted(OF_BMS))
def test_each_code_of_the_bms_has_its_blinks(name):
    code = getattr(diagnosis, name)
    assert pattern_of_bms(code) == OF_BMS[name]


def test_there_is_no_other_code_of_the_bms():
    codes = {
        name
        for name, value in vars(diagnosis).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    }
    assert codes == set(OF_BMS)


@pytest.mark.parametrize("outcome", range(5))
def test_however_it_sleeps_it_is_asleep(outcome):
    assert pattern_of_bms(diagnosis.ASLEEP + outcome) == (0, 3)
    assert pattern_of_bms(diagnosis.POLARITY + min(outcome, 3)) == (0, 5)


def test_each_trouble_of_the_network_has_its_blinks():
    assert set(OF_OTHERS) == set(trouble._SENTENCES)
    expected = dict.fromkeys(trouble._WIFI, NO_WIFI) | dict.fromkeys([*trouble._CAUSES, *trouble._CERTIFICATE], NO_BROKER)
    for code, pattern in (expected | OF_OTHERS).items():
        assert pattern_of_network(code) == pattern, code


@pytest.mark.parametrize("start", [0, (1 << 29) - 5000])
@pytest.mark.parametrize(
    ("code", "trouble_code", "seen"),
    [
        (diagnosis.SILENCE, None, ((0, 2), ORANGE)),
        (diagnosis.MIXED, None, ((0, 5), ORANGE)),
        (diagnosis.OK, "joining", ((1, 1), BLUE)),
        (diagnosis.OK, "login_wrong", ((1, 4), BLUE)),
        (diagnosis.NO_UART, None, ((2, 1), MAGENTA)),
    ],
)
def test_the_blinks_can_be_counted(code, trouble_code, seen, start):
    bridge = Bridge(code, trouble=trouble_code and (trouble_code, ()), start=start)
    patterns = bridge.run(30).patterns()
    assert len(patterns) >= 3 and set(patterns) == {seen}


def test_it_shines_steadily_and_dimly_while_all_is_well():
    assert Bridge(diagnosis.OK, percent=20).run(20).light.changes[1:] == [(0, 5, GREEN)]
    assert Bridge(diagnosis.OK, percent=1).run(20).light.changes[1:] == [(0, 1, GREEN)]


def test_two_troubles_take_turns():
    seen = [pattern for pattern, _ in Bridge(diagnosis.SILENCE, trouble=("wifi_weak", ())).run(40).patterns()]
    assert len(seen) > 5 and set(seen) == {(0, 2), (1, 2)}
    assert all(one != other for one, other in itertools.pairwise(seen))


def test_of_several_batteries_the_one_in_trouble_counts():
    assert {pattern for pattern, _ in Bridge(diagnosis.OK, diagnosis.ASLEEP).run(20).patterns()} == {(0, 3)}


def test_the_end_of_a_trouble_ends_the_blinks():
    bridge = Bridge(diagnosis.SILENCE).run(10)
    bridge.batteries[0].poller.diagnosis.code = diagnosis.OK
    at = bridge.run(6).light.now
    bridge.run(10)
    assert bridge.light.changes[-1][0] <= at and bridge.light.changes[-1][1:] == (5, GREEN)


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_a_protection_or_a_fault_flickers_in_red(level):
    bridge = Bridge(diagnosis.OK)
    bridge.batteries[0].pack.bits[level] = 1 << 3
    changes = bridge.run(3).light.changes
    assert len(changes) > 20 and {of for _, percent, of in changes if percent} == {RED}


def test_a_warning_does_not():
    bridge = Bridge(diagnosis.OK)
    bridge.batteries[0].pack.bits[1] = 1
    assert len(bridge.run(3).light.changes) == 2


def test_what_is_not_known_is_no_alarm():
    bridge = Bridge(diagnosis.OK)
    bridge.batteries[0].pack.bits = dict.fromkeys(range(1, 6))
    assert len(bridge.run(3).light.changes) == 2


def test_at_night_it_is_off_and_without_a_time_it_is_not():
    bridge = Bridge(diagnosis.OK, night=span_of("22:00-07:00"), minute=None).run(2)
    assert bridge.light.changes[-1][1] == 5
    bridge.minute = 22 * 60
    assert bridge.run(2).light.changes[-1][1] == 0
    bridge.minute = 7 * 60
    assert bridge.run(2).light.changes[-1][1] == 5


@pytest.mark.parametrize(
    ("minute", "begin", "end", "inside"),
    [(1320, 1320, 420, True), (0, 1320, 420, True), (420, 1320, 420, False), (700, 1320, 420, False), (60, 0, 61, True),
     (61, 0, 61, False), (5, 5, 5, False)],
)  # fmt: skip
def test_a_night_may_reach_over_midnight(minute, begin, end, inside):
    assert is_between(minute, begin, end) == inside


@pytest.mark.parametrize("text", ["22:00-07:00", "22:00 - 7:00"])
def test_a_night_that_is_understood(text):
    assert span_of(text) == (22 * 60, 7 * 60)


@pytest.mark.parametrize(
    "text", ["", "22-7", "22:00", "22:00-24:00", "22:60-07:00", "22:0-07:00", "x", "22:00-07:00-08:00", "²2:00-07:00"]
)
def test_a_night_that_is_not(text):
    assert span_of(text) is None


def test_it_is_dark_before_the_chip_sleeps():
    bridge = Bridge(diagnosis.OK).run(2)
    bridge.led.sleep()
    assert bridge.light.changes[-1][1] == 0


@pytest.fixture
def lamps(monkeypatch):
    monkeypatch.setattr(chip, "lamps", {})
    return chip.lamps


@pytest.mark.parametrize(("active_high", "duties"), [(True, [0, 13107, 65535]), (False, [65535, 52428, 0])])
def test_a_plain_led_on_its_pin(active_high, duties, lamps):
    with pwmio.PWMOut(board.IO21, frequency=1000) as pwm:
        light = GpioLight(pwm, active_high)
        seen = [pwm.duty_cycle]
        for percent in (20, 100):
            light.set(percent, GREEN)
            seen.append(pwm.duty_cycle)
    assert seen == duties


def test_a_neopixel_on_its_pin(lamps):
    pixels = neopixel.NeoPixel(board.IO21, 1, auto_write=False)
    light = PixelLight(pixels)
    seen = [lamps["IO21"].levels]
    for percent, colour in ((20, ORANGE), (1, BLUE), (100, RED), (0, RED)):
        light.set(percent, colour)
        seen.append(lamps["IO21"].levels)
    pixels.pin.deinit()
    assert seen == [(0, 0, 0), (20, 12, 0), (0, 0, 1), (100, 0, 0), (0, 0, 0)]


def test_every_pattern_can_be_told_from_every_other():
    patterns = [
        value for name, value in vars(status_led).items() if name.isupper() and isinstance(value, tuple) and len(value) == 2
    ]
    assert len(patterns) == len(set(patterns)) == 11 and max(map(max, patterns)) <= 5


def test_the_readme_has_every_pattern_with_its_colour():
    text = (Path(__file__).parent.parent / "README.md").read_text()
    rows = re.findall(r"^\| ([▬• ]+) \| (\w+) \|", text, re.M)
    patterns = {
        value for name, value in vars(status_led).items() if name.isupper() and isinstance(value, tuple) and len(value) == 2
    }
    assert {(blinks.count("▬"), blinks.count("•")) for blinks, _ in rows} == patterns
    assert {(blinks.count("▬"), colour) for blinks, colour in rows} == {(0, "orange"), (1, "blue"), (2, "magenta")}


def test_the_short_blinks_are_apart_from_the_long_ones_and_from_the_light_before():
    bridge = Bridge(diagnosis.OK, percent=20).run(3)
    bridge.batteries[0].poller.diagnosis.code = diagnosis.NO_UART
    changes = bridge.run(10).light.changes[1:]
    dark = [end - at for (at, percent, _), (end, _, _) in itertools.pairwise(changes) if not percent]
    before, first, second = dark[:3]
    assert before >= 1500 and 250 <= first <= 450 and second >= first + 250
