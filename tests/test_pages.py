# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The screen's pages: lines of 21 characters the board's font has, numbers only where they are known, trouble in words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import Wire, request_until, respond

from battery.alarms import active
from battery.pack import Pack
from daly.poller import Poller
from display import pages
from display.pages import BIG, COLUMNS, FULL, SHORT, TALL

HEIGHTS = pytest.mark.parametrize("rows", [SHORT, TALL])
READINGS = [pages.overview, pages.cells, pages.energy]


def is_drawable(page, rows):
    """As many lines as the screen has, none too long, nothing but what terminalio has on every board: ASCII, no `°`, no `Δ`."""
    texts = [*page.lines, page.big]
    fits = len(page.lines) == rows and all(len(line) <= COLUMNS for line in page.lines) and len(page.big) <= BIG
    return fits and all(re.fullmatch(r"[ -~]*", text) for text in texts) and (page.bar is None or 0 <= page.bar <= FULL)


def battery(options="", seconds=10):
    return Wire("drift=0," + options).run(seconds)


def words(page):
    return (" ".join(page.lines) + " " + page.big).split()


# the readings


@HEIGHTS
def test_the_main_page_says_charge_voltage_current_and_power(rows):
    page = pages.overview(battery().pack, rows)
    assert page.big == "57%" and page.bar == 573
    assert page.lines[0].split() == ["52.7V", "-12.4A"] and page.lines[1].split() == ["-653", "W"]
    assert page.lines[0][: 2 * BIG].isspace() and page.lines[1][: 2 * BIG].isspace()  # there the large characters stand


def test_the_taller_screen_has_room_for_more():
    page = pages.overview(battery().pack, TALL)
    for said in ("discharging", "160.4 Ah", "20 to 22 C", "10 mV"):
        assert said in "\n".join(page.lines)


@HEIGHTS
def test_the_page_of_the_cells_names_the_extremes_and_draws_every_cell(rows):
    page = pages.cells(battery("cells=4,cell_mv=1:3300+2:3350+3:3280+4:3300").pack, rows)
    assert words(page)[:8] == ["max", "3.350", "V", "cell", "2", "min", "3.280", "V"]
    bars = page.cells
    assert len(bars) == 4 and bars[1] == max(bars) and bars[2] == min(bars) and bars[0] == bars[3] and min(bars) > 0


def test_a_cell_that_is_not_known_has_no_bar():
    pack = battery("cells=48,ram_garbage=100,host=0x80", 15).pack
    unknown = [n for n in range(48) if pack.raw("cell_{}_voltage", n + 1) is None]
    assert pages.cells(pack, SHORT).cells == b"" or [n for n, bar in enumerate(pages.cells(pack).cells) if not bar] == unknown


@pytest.mark.parametrize("current", ["-12.4", "0", "0.1", "12.5", "-250.3"])
def test_power_is_rounded_to_whole_watts(current):
    pack = battery("current=" + current).pack
    watts = int(pages.overview(pack).lines[1].split()[-2])
    assert abs(100 * watts - pack.raw("power")) <= 50


@pytest.mark.parametrize(
    ("current", "shown"), [("-99.9", "-99.9A"), ("-100.4", "-100A"), ("100.6", "101A"), ("-1499.6", "-1500A")]
)
def test_large_currents_lose_their_decimal_not_a_digit(current, shown):
    assert shown in pages.overview(battery("current=" + current).pack).lines[0]


@pytest.mark.parametrize(("current", "shown"), [("-12.4", "empty in 13 h 0 min"), ("57.4", "full in 2 h")])
def test_the_time_that_is_left_is_the_one_that_is_published(current, shown):
    # 57.3 % of 280 Ah at -12.4 A, as whole quarters: 12.50 h are published
    assert shown in " ".join(pages.energy(battery("current=" + current).pack).lines)


EXTREMES = [
    "cells=48,current=-1500,soc=100,spread=400",
    "cells=48,current=1500,chemistry=nmc,soc=100",
    "cells=1,current=0,soc=0",
    "temperature=-20,balancing=1,cell_mv=1:5000",
    "temperature=120,temperatures=16,current=-0.1,capacity=4000",
]


@HEIGHTS
@pytest.mark.parametrize("options", EXTREMES)
def test_every_page_of_every_battery_fits_the_screen(rows, options):
    pack = battery(options).pack
    for make in READINGS:
        for notice in ("", "No broker 127.0.0.1:1883"):
            assert is_drawable(make(pack, rows, notice), rows)


# what is not known is not shown


@HEIGHTS
@pytest.mark.parametrize("make", READINGS)
def test_numbers_that_are_not_known_are_not_drawn(rows, make):
    page = make(Pack(), rows)
    assert not re.search(r"\d|None", " ".join([*page.lines, page.big]))
    assert not page.bar and not any(page.cells)


def test_one_unknown_answer_leaves_the_others():
    pack = battery("mute=0x90").pack
    page = pages.overview(pack, TALL)
    assert page.big == "--%" and page.lines[0].split() == ["--", "--"]
    assert "160.4 Ah" in page.lines[3]


# what is wrong


@HEIGHTS
@pytest.mark.parametrize("bit", range(56))
def test_every_alarm_fits_its_page(rows, bit):
    pack = Pack()
    poller = Poller(pack)
    frame = bytes([0xA5, 1, 0x98, 8]) + (1 << bit).to_bytes(8, "little")
    now = request_until(poller, 0x98)
    respond(poller, frame + bytes([sum(frame) & 0xFF]), now + 30)
    for fault in active(pack):
        page = pages.alarm(pack, fault, "12/15", rows)
        assert is_drawable(page, rows) and page.big == "!"
        assert " ".join(words(page)).startswith(fault[0])
        assert is_drawable(pages.overview(pack, rows, pages.warning([fault])), rows)


@HEIGHTS
def test_an_alarm_keeps_the_numbers_in_sight(rows):
    pack = battery("alarms=soc_low_2+short_circuit").pack
    fault = active(pack)[0]
    page = pages.alarm(pack, fault, "1/2", rows)
    assert fault[0] == "Short circuit"
    for word in ("Short", "circuit", "57%", "52.7V", "-12.4A", "1/2"):
        assert word in words(page)


def test_warnings_are_named_with_the_number_of_others_and_none_is_no_text():
    found = active(battery("alarms=soc_low_1+cell_high_1").pack)
    assert pages.warning(found) == found[0][0] + " +1"
    assert pages.warning(found[:1]) == found[0][0]
    assert pages.warning([]) == "" and pages.warning(None) == ""


WITHOUT_BMS = ["silent=1", "asleep=1", "noise=300,silent=1", "zeros=100", "protocol=d2", "board=2,host=0x40"]


@HEIGHTS
@pytest.mark.parametrize("options", WITHOUT_BMS)
def test_without_a_bms_the_reason_is_shown_with_the_networks(rows, options):
    link = battery(options, 30).poller.diagnosis.short
    page = pages.no_bms(link, "12.34.56", "No broker 192.168.1.10:1883: connection refused", rows)
    assert is_drawable(page, rows)
    assert link[0] in page.lines and page.lines[-1].startswith("No broker")


def test_reasons_for_no_bms_are_whole():
    """Nothing of them is cut off at the end of a line."""
    for options in WITHOUT_BMS:
        assert all(len(line) <= COLUMNS for line in battery(options, 30).poller.diagnosis.short)


NETWORK = [  # (code, details), joined -> lines
    (("connecting", ()), False, ["Joining Wi-Fi ..."]),
    (("joining", ()), False, ["Joining Wi-Fi ..."]),
    (("connecting", ()), True, ["Calling broker ..."]),
    (("wifi_password", ("Cellar",)), False, ["No Wi-Fi: wrong", "password?"]),
    (("wifi_not_found", ("Cellar",)), False, ['No Wi-Fi "Cellar" not', "found: name right?", "2.4 GHz? near enough?"]),
]


@pytest.mark.parametrize(("trouble", "joined", "lines"), NETWORK)
def test_network_trouble_has_short_words(trouble, joined, lines):
    [page] = pages.message(pages.network_words(trouble, joined))
    assert is_drawable(page, SHORT) and [line for line in page.lines if line] == lines


def test_a_trouble_without_short_words_is_left_to_its_sentence():
    assert pages.network_words(("refused", ("10.0.0.9:1883", False)), True) is None and pages.first_words("") == ""


def test_one_line_holds_what_comes_before_the_colon_or_whole_words():
    assert pages.first_words("No broker 192.168.1.9:1883: no answer") == "No broker 192.168.1.9"
    assert pages.first_words("No broker homeassistant.local:1883: name not found") == "No broker"


@HEIGHTS
def test_from_the_first_second_it_says_who_it_is_and_what_it_waits_for(rows):
    page = pages.starting("12.34.56", "starting ...", rows)
    assert is_drawable(page, rows) and "12.34.56" in page.lines[0] and page.lines[1] == "starting ..."
    page = pages.no_bms(Wire().poller.diagnosis.short, "12.34.56", pages.network_words(("connecting", ()), False), rows)
    assert "12.34.56" in page.lines[0] and page.lines[1].startswith("Looking for BMS") and page.lines[-1] == "Joining Wi-Fi ..."


@HEIGHTS
def test_the_network_page(rows):
    text = "\n".join(pages.network("192.168.100.200", -58, "192.168.1.10:1883", "12.34.56", rows).lines)
    assert all(part in text for part in ("192.168.100.200", "-58 dBm", "192.168.1.10:1883", "12.34.56"))
    assert "no Wi-Fi" in " ".join(pages.network(None, None, "x:1", "1.0.0", rows).lines)


def test_a_silent_bms_leaves_no_number_behind():
    wire = battery()
    wire.set("silent", 1)
    wire.run(30)
    for make in READINGS:
        page = make(wire.pack)
        assert not re.search(r"\d", " ".join(words(page))) and page.bar is None and not any(page.cells)


# words from outside


@HEIGHTS
def test_a_mistake_in_the_settings_is_shown_whole_on_as_many_pages_as_it_takes(rows):
    problem = "line 12: MQTT_PORT cannot be 99999; write a whole number from 1 to 65535."
    shown = pages.message(problem, rows)
    assert all(is_drawable(page, rows) for page in shown)
    assert [word for page in shown for word in words(page)] == problem.split()


@given(st.text(max_size=80))
def test_whatever_people_name_things_can_be_drawn(text):
    """The name of a Wi-Fi network stands in `trouble`, and any part of settings.toml in a problem."""
    for rows in (SHORT, TALL):
        assert is_drawable(pages.no_bms(("No BMS", "power"), "1.2.3", text, rows), rows)
        assert all(is_drawable(page, rows) for page in pages.message(text, rows))
        assert is_drawable(pages.network(text, -50, text, "1.2.3", rows, text), rows)
        assert is_drawable(pages.starting("1.2.3", text, rows), rows)


WORDS = st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30))


@given(WORDS)
def test_wrapped_words_are_all_there_in_order_and_whole_where_they_fit_a_line(given_words):
    lines = pages.wrap(" ".join(given_words))
    assert all(len(line) <= COLUMNS for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(given_words)
    if all(len(word) <= COLUMNS for word in given_words):
        assert " ".join(lines).split() == given_words
