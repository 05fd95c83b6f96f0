# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The screen of several batteries: the bank first, then each with its label, and the trouble of any of them before all."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import Wire
from test_pages import HEIGHTS, is_drawable, words
from test_screen import GOOD, WIFI, WRAP, MorePages, Rig, battery_of, text

from app.settings import Settings
from battery.alarms import active
from display import several
from display.pages import SHORT, TALL
from display.screen import Screen

SUMS = {
    "soc": 574,
    "pack_voltage": 527,
    "current": -452,
    "power": -238204,
    "remaining_capacity": 641760,
    "rated_capacity": 1120000,
    "energy_charged": 4938271,
    "energy_discharged": 4755012,
    "max_cell_voltage": 3345,
    "max_voltage_cell": 16,
    "max_cell_battery": "BMS 2",
    "min_cell_voltage": 3301,
    "min_voltage_cell": 7,
    "min_cell_battery": "Garage",
    "cell_voltage_delta": 44,
    "max_temperature": 24,
    "max_temperature_battery": "BMS 201",
}


class FakeBank:
    """Has the raw values of a bank, or none of them."""

    def __init__(self, online=4, count=4, **values):
        self.online = online
        self.count = count
        self.values = dict(SUMS, **values)

    def raw(self, key):
        return self.values[key]


NOTHING = FakeBank(0, 4, **dict.fromkeys(SUMS))
BANK_PAGES = [several.bank_overview, several.bank_cells, several.bank_energy]


class RigOfSeveral(Rig):
    """The same with a battery for each of these options."""

    def __init__(self, *options, settings="OLED_PAGE_S = 2", labels=("BMS 1", "Garage", "BMS 3", "BMS 4"), problems=""):
        super().__init__(settings, "drift=0," + options[0])
        self.settings = Settings(GOOD + settings + WIFI + problems)
        others = [Wire("drift=0," + option, current_sign="normal").run(20) for option in options[1:]]
        self.wires = [self.wire, *others]
        self.batteries = [battery_of(wire, number, labels[number - 1]) for number, wire in enumerate(self.wires, 1)]
        self.bank = FakeBank(len(options), len(options))
        self.screen = Screen(self._open, self.settings, "1.2.3")
        self.screen.watch(self.batteries, self.bank, self.session, self.radio)

    def seen(self, seconds=30):
        """The pages in their order, each once."""
        return list(dict.fromkeys(text(page) for page in self.run(seconds)))


# the pages


def test_further_pages_follow_those_of_the_batteries():
    rig = RigOfSeveral("soc=50", "soc=60")
    rig.screen.add_pages(MorePages())
    seen = rig.seen(60)
    assert seen[-3:][:2] == ["output0 0", "output1 0"] or seen[-2:] == ["output0 0", "output1 0"]
    assert seen[0].startswith("57%")


def test_the_bank_says_charge_voltage_current_power_and_how_many_are_online():
    page = several.bank_overview(FakeBank(3, 4), SHORT, "")
    assert (page.big, page.bar, page.lines) == ("57%", 574, ("        52.7V  -45.2A", "        3 of 4 -2.4kW", ""))
    tall = several.bank_overview(FakeBank(), TALL, "")
    assert tall.lines[1] == "        4 of 4 -2.4kW" and tall.lines[3:5] == ("left         641.7 Ah", "of          1120.0 Ah")


@pytest.mark.parametrize(
    ("power", "shown"),
    [(0, "0 W"), (999949, "9999 W"), (999950, "10.0kW"), (-99949, "-999 W"), (-99951, "-1.0kW"), (-1200000, "-12kW")],
)
def test_power_fits_beside_the_number_of_batteries(power, shown):
    line = several.bank_overview(FakeBank(power=power), SHORT, "").lines[1]
    assert line.endswith(" " + shown) and len(line) <= 21 and "4 of 4 " in line


def test_the_cells_of_the_bank_are_named_with_their_battery():
    assert several.bank_cells(FakeBank(), SHORT, "").lines == (
        "max 3.345   BMS 2 #16",
        "min 3.301   Garage #7",
        "delta           44 mV",
    )
    long = several.bank_cells(FakeBank(max_cell_battery="Behind the garage"), SHORT, "").lines
    assert long[0] == "max 3.345 Behind  #16"
    tall = several.bank_cells(FakeBank(), TALL, "").lines
    assert tall[2:5] == ("delta           44 mV", "", "max 24 C      BMS 201")


def test_the_energy_of_the_bank():
    lines = several.bank_energy(FakeBank(), SHORT, "").lines
    assert lines == ("in         4938.2 kWh", "out        4755.0 kWh", "left         641.7 Ah")


@HEIGHTS
@pytest.mark.parametrize("make", BANK_PAGES)
def test_a_sum_that_is_not_known_is_not_shown(rows, make):
    page = make(NOTHING, rows, "")
    assert is_drawable(page, rows) and not any(char.isdigit() for char in " ".join(words(page)).replace("0 of 4", ""))
    assert "--" in text(page) and page.bar is None


@HEIGHTS
def test_a_battery_has_its_label_and_all_numbers(rows):
    pack = Wire("drift=0").run(10).pack
    page = several.overview(pack, rows, "", "BMS 201")
    assert page.lines[1] == "        BMS 201" and page.big == "57%"
    assert {"52.7V", "-12.4A", "-653", "W"} <= set(words(page))
    assert "discharging" in words(page) if rows == SHORT else {"160.4", "Ah", "empty"} <= set(words(page))


def test_the_cells_of_a_battery_have_its_label():
    pack = Wire("drift=0,cells=4,cell_mv=1:3300+2:3350+3:3280+4:3300").run(10).pack
    page = several.cells(pack, SHORT, "", "Garage")
    assert page.lines == ("Garage           70mV", "3.280 to 3.350 V", "") and len(page.cells) == 4
    tall = several.cells(pack, TALL, "", "Garage")
    assert (
        tall.lines[:3] == ("Garage           70mV", "max 3.350 V    cell 2", "min 3.280 V    cell 3") and len(tall.cells) == 4
    )


@HEIGHTS
def test_an_alarm_names_its_battery(rows):
    short = Wire("drift=0,alarms=cell_high_2").run(10).pack
    page = several.alarm(short, active(short)[0], "1/2", rows, "Garage")
    assert page.big == "!" and {"Cell", "overvoltage", "Garage", "57%", "1/2", "-12.4A"} <= set(words(page))
    long = Wire("drift=0,alarms=discharge_overcurrent_2").run(10).pack
    page = several.alarm(long, active(long)[0], "1/2", rows, "Garage")
    assert {"overcurrent", "Garage", "1/2"} <= set(words(page))


@HEIGHTS
def test_a_reason_names_its_battery_and_leaves_room_for_the_network(rows):
    page = several.no_bms(("Looking for BMS", ""), "No broker", rows, "Garage")
    assert page.lines[:2] == ("Garage", "Looking for BMS") and page.lines[-1] == "No broker"
    page = several.no_bms(("No response:", "check wiring"), "", rows, "Garage")
    assert page.lines[:3] == ("Garage", "No response:", "check wiring")


WARNED = "drift=0,alarms=discharge_overcurrent_2+cell_low_2+eeprom,"
EXTREME = ("", "cells=48,spread=500", "silent=1", "current=-2999,soc=100")


@functools.cache
def extreme(options):
    return Wire(WARNED + options).run(10).pack


@HEIGHTS
@given(label=st.text(min_size=1, max_size=40), pack=st.sampled_from(EXTREME).map(extreme))
def test_every_page_fits_whatever_people_call_their_batteries(rows, label, pack):
    found = active(pack) or [("Discharge overcurrent", 2), ("Cell overvoltage", 1)]
    owners = dict.fromkeys(("max_cell_battery", "min_cell_battery", "max_temperature_battery"), label)
    bank = FakeBank(8, 8, power=-99999999, current=-30000, max_temperature=-40, max_voltage_cell=48, **owners)
    made = [page(bank, rows, "") for page in BANK_PAGES]
    made += [page(pack, rows, several.warning(found, label), label) for page in (several.overview, several.cells)]
    made += [page(pack, rows, "", label) for page in (several.overview, several.cells)]
    made += [several.alarm(pack, fault, "12/12", rows, label) for fault in found]
    made += [several.no_bms(("x" * 21, "y" * 21), "z" * 60, rows, label)]
    assert [page for page in made if not is_drawable(page, rows)] == []


# their turns


def test_the_bank_is_first_then_each_battery_then_energy_and_network():
    rig = RigOfSeveral("soc=51", "soc=52", "soc=53", "soc=54")
    seen = rig.seen()
    starts = [" ".join(page.split()[:1]) for page in seen]
    assert starts == ["57%", "max", "51%", "52%", "53%", "54%", "in", "192.168.1.77"]
    assert "4 of 4" in seen[0] and "BMS 1" in seen[2] and "Garage" in seen[3] and "BMS 4" in seen[5]


def test_of_few_batteries_the_cells_are_shown_too():
    seen = RigOfSeveral("soc=51", "soc=52", "soc=53").seen()
    assert [page.split(" ")[0] for page in seen] == [
        "57%",
        "max",
        "51%",
        "52%",
        "53%",
        "BMS",
        "Garage",
        "BMS",
        "in",
        "192.168.1.77",
    ]
    assert all("mV" in page and " to " in page for page in seen[5:8])


def test_pages_need_not_be_turned():
    rig = RigOfSeveral("soc=51", "soc=52", settings="OLED_PAGE_S = 0")
    assert {page.split(" ")[0] for page in rig.seen(20)} == {"57%"}


def test_the_page_of_the_bank_follows_it_where_pages_are_not_turned():
    rig = RigOfSeveral("soc=51", "soc=52", settings="OLED_PAGE_S = 0")
    rig.run(3)
    rig.bank.values["soc"] = 400
    assert "40%" in [page.split(" ")[0] for page in rig.seen(8)]


def test_a_battery_that_is_silent_comes_first_with_its_label_and_has_no_other_page():
    rig = RigOfSeveral("soc=51", "silent=1", "soc=53")
    rig.bank.online = 2
    seen = rig.seen()
    assert seen[0].startswith("Garage ") and "57%" in seen[1] and "2 of 3" in seen[1]
    assert [page.split()[0] for page in seen] == ["Garage", "57%", "51%", "53%", "BMS", "BMS", "192.168.1.77"]


def test_without_any_bms_there_are_only_reasons_each_with_its_label():
    rig = RigOfSeveral("silent=1", "silent=1")
    seen = rig.seen()
    assert [page.split()[0] for page in seen] == ["BMS", "Garage"]


def test_a_protection_of_any_battery_has_the_screen_for_itself():
    rig = RigOfSeveral("soc=51", "soc=52,alarms=cell_high_2", "silent=1")
    assert rig.seen() == ["! Cell overvoltage Garage 52% -12.4A"]


def test_protections_of_several_batteries_take_turns():
    rig = RigOfSeveral("soc=51,alarms=cell_low_2", "soc=52,alarms=cell_high_2")
    assert rig.seen() == ["! Cell undervoltage BMS 1 51% -12.4A 1/2", "! Cell overvoltage Garage 52% -12.4A 2/2"]


def test_a_warning_keeps_a_line_on_its_own_page_and_with_its_label_on_those_of_the_bank():
    rig = RigOfSeveral("soc=51", "soc=52,alarms=cell_high_1")
    seen = rig.seen()
    warned = [page for page in seen if page.endswith("Cell overvoltage")]
    assert [page.split()[0] for page in warned] == ["52%", "Garage"]
    assert [page.split()[0] for page in seen if page.endswith("Garage: Cell overvolt")] == ["57%", "max", "in"]
    assert sum("overvolt" in page for page in seen) == 5


def test_of_several_that_warn_the_pages_of_the_bank_name_the_first():
    seen = RigOfSeveral("soc=51", "soc=52,alarms=cell_high_1+soc_low_1", "soc=53,alarms=cell_low_1").seen()
    assert next(page for page in seen if page.startswith("57%")).endswith("Garage: Cell overv +1")


def test_trouble_with_the_network_comes_before_the_readings_and_after_a_battery_that_is_silent():
    rig = RigOfSeveral("soc=51", "silent=1")
    rig.fail("no_answer", "No broker 192.168.1.9:1883: no answer")
    seen = rig.seen()
    assert seen[0].startswith("Garage") and seen[1].startswith("No broker") and seen[2].startswith("57%")


def test_mistakes_in_the_settings_are_shown():
    rig = RigOfSeveral("soc=51", "soc=52", problems="\nMQTT_BROKR = 1\n")
    assert any("MQTT_BROKR" in page for page in rig.seen())


def test_news_of_any_battery_show_the_first_page_and_end_the_dimming():
    rig = RigOfSeveral("soc=51", "soc=52", settings="OLED_PAGE_S = 5\nOLED_DIM_AFTER_MIN = 1")
    rig.run(70)
    assert rig.panel.brightness == 5
    rig.wires[1].set("alarms", "cell_high_2")
    rig.wires[1].run(10)
    rig.run(2)
    assert rig.panel.brightness == 60 and "Garage" in text(rig.panel.page)


def test_a_page_is_made_only_where_something_has_changed():
    rig = RigOfSeveral("soc=51", "soc=52", settings="OLED_PAGE_S = 100")
    rig.run(5)
    shows = rig.panel.shows
    rig.run(20)
    assert rig.panel.shows == shows
    rig.wires[1].set("current", "5")
    rig.wires[1].run(5)
    rig.run(2)
    assert rig.panel.shows == shows + 1


def test_the_page_is_made_in_pieces_each_with_one_look_at_all_batteries_at_most():
    """On a chip a look at all batteries takes a millisecond or two, and the line must not wait for a screen."""
    rig = RigOfSeveral("soc=51", "soc=52", "soc=53", "soc=54")
    looks = [0]
    raw = rig.bank.raw

    def counted(key):
        looks[0] += 1
        return raw(key)

    rig.bank.raw = counted
    most = total = 0
    for _ in range(400):
        before = looks[0]
        rig.screen.tick(rig.now)
        rig.now = (rig.now + 50) % WRAP
        most = max(most, looks[0] - before)
        total = looks[0]
    assert most == 1 and total > 20


def test_an_exception_in_a_piece_ends_only_this_page():
    """The loop restarts a job that raises: a page that could not be made must not be continued."""
    rig = RigOfSeveral("soc=51", "soc=52")
    rig.run(3)
    raw = rig.bank.raw

    def fails(_key):
        raise MemoryError

    rig.bank.raw = fails
    with pytest.raises(MemoryError):
        rig.run(30)
    rig.bank.raw = raw
    assert "57%" in [page.split(" ")[0] for page in rig.seen(30)]


def test_trouble_that_ends_while_a_page_is_made_ends_nothing_else():
    """The page is made in pieces, and between two of them the client connects."""
    rig = RigOfSeveral("soc=51", "soc=52", "soc=53")
    rig.run(3)
    for pieces in range(8):
        rig.fail("connecting", "Connecting")
        rig.run(1)
        for _ in range(pieces):
            rig.screen.tick(rig.now)
            rig.now = (rig.now + 50) % WRAP
        rig.session.trouble, rig.session.trouble_text = None, ""
        rig.run(2)
    seen = rig.seen(30)
    assert [page for page in seen if page.startswith("57%")] and not [page for page in seen if "broker ..." in page]
