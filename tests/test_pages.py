"""The screen's text: three lines of 21 characters the board's font has, numbers only where they are known, trouble in words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import Wire, answer, ask

from daly.pack import Pack
from daly.poller import Poller
from display import pages

COLUMNS = 21


def is_drawable(lines):
    """Three lines that fit and hold only what terminalio has on every board: ASCII, no `°`, no `Δ`."""
    return len(lines) == 3 and all(len(line) <= COLUMNS and re.fullmatch(r"[ -~]*", line) for line in lines)


def page(options="", seconds=10, trouble=None):
    """The main page of a simulated BMS."""
    wire = Wire("drift=0," + options).run(seconds)
    return pages.overview(wire.pack, wire.poller.link.short, trouble)


def test_the_main_page_says_charge_power_voltage_current_mode_and_spread():
    top, middle, bottom = page()
    assert top.split() == ["57.3", "%", "-653", "W"]
    assert middle.split() == ["52.7", "V", "-12.4", "A"]
    assert bottom.split() == ["discharging", "10", "mV"]
    assert {len(top), len(middle), len(bottom)} == {COLUMNS}


@pytest.mark.parametrize("current", ["-12.4", "0", "0.1", "12.5", "-250.3"])
def test_power_is_rounded_to_whole_watts(current):
    wire = Wire(f"drift=0,current={current}").run(10)
    watts = int(pages.overview(wire.pack, (), None)[0].split()[-2])
    assert abs(100 * watts - wire.pack.raw("power")) <= 50


@pytest.mark.parametrize(
    "options",
    [
        "cells=48,current=-2000,soc=100,spread=400",
        "cells=48,current=2000,chemistry=nmc,soc=100",
        "cells=1,current=0,soc=0",
        "temperature=-20,balancing=1",
        "alarms=" + 7 * "ff",
        "alarms=charge_forbidden+soc_low_2",
    ],
)
def test_every_page_fits_the_screen(options):
    assert is_drawable(page(options))


@pytest.mark.parametrize("bit", range(56))
def test_every_alarm_fits_its_line(bit):
    pack = Pack()
    poller = Poller(pack)
    frame = bytes([0xA5, 1, 0x98, 8]) + (1 << bit).to_bytes(8, "little")
    now = ask(poller, 0x98)
    answer(poller, frame + bytes([sum(frame) & 0xFF]), now + 30)
    assert pack.raw("problem") in (0, 1)
    assert is_drawable(pages.overview(pack, (), None))


# what is not known is not shown


def test_numbers_that_are_not_known_are_not_drawn():
    for line in pages.overview(Pack(), (), None):
        assert not re.search(r"\d", line)
        assert "None" not in line


def test_one_unknown_number_leaves_the_others():
    top, middle, _ = page("mute=0x90")
    assert "--" in top and "--" in middle and not re.search(r"\d", top + middle)
    assert page("mute=0x91")[0].split() == ["57.3", "%", "-653", "W"]


# what is wrong


def test_an_alarm_is_shown_before_the_network_and_before_all_being_well():
    assert "Cell voltage high" in page("alarms=cell_high_1", trouble="No Wi-Fi")[2]
    assert page(trouble="No Wi-Fi")[2] == "No Wi-Fi"


def test_the_gravest_alarm_is_shown_with_the_number_of_others():
    line = page("alarms=soc_low_1+cell_high_1+short_circuit")[2]
    assert "Short circuit" in line and "+2" in line


def test_a_warning_looks_different_from_a_protection():
    assert page("alarms=soc_low_1")[2] != page("alarms=soc_low_2")[2]


@pytest.mark.parametrize(
    "options", ["silent=1", "asleep=1", "noise=300,silent=1", "zeros=100", "protocol=d2", "board=2,host=0x40"]
)
def test_without_a_bms_the_reason_is_shown_and_no_number_of_it(options):
    lines = page(options, seconds=30)
    assert is_drawable(lines) and lines[0] and not re.search(r"\d [%VAW]", " ".join(lines))


def test_without_a_bms_the_network_is_still_reported():
    assert page("silent=1", seconds=30, trouble="No broker")[2] == "No broker"


# the other pages


def test_the_starting_page_names_the_version():
    lines = pages.starting("12.34.56", "waiting for the BMS and more")
    assert is_drawable(lines) and "12.34.56" in lines[0] and lines[1].startswith("waiting for")


def test_a_mistake_in_the_settings_is_broken_between_words():
    problem = "settings.toml line 12: MQTT_PORT cannot be 99999; write a whole number from 1 to 65535."
    lines = pages.settings_problem(problem)
    assert is_drawable(lines)
    assert problem.replace("settings.toml ", "").startswith(" ".join(line for line in lines))


WORDS = st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=COLUMNS))


@given(WORDS, st.integers(1, 4))
def test_wrapped_words_stay_whole_and_in_order(words, count):
    lines = pages.wrap(" ".join(words), count)
    shown = " ".join(lines).split()
    assert len(lines) == count and all(len(line) <= COLUMNS for line in lines)
    assert shown == words[: len(shown)]
    assert len(shown) == len(words) or len(lines[-1]) + 1 + len(words[len(shown)]) > COLUMNS


@pytest.mark.xfail(strict=True, reason="display/pages.py: letters that the board's font has not are passed on")
@given(st.text(max_size=60))
def test_words_from_outside_are_drawn_in_letters_there_are(text):
    """The name of a Wi-Fi network stands in `trouble`, and any part of settings.toml in a problem."""
    assert is_drawable(pages.overview(Pack(), ("No BMS", ""), text))
    assert is_drawable(pages.settings_problem(text))
