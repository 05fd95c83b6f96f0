# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The panel: pages become dots through the real displayio and driver, at a price on the bus that is counted here."""

import board
import busio
import displayio
import pytest

from display import pages
from display.pages import SHORT, TALL, Page
from display.panel import SHIFTS, WIDTH, Panel
from host import chip, displays
from host.sh1106 import SH1106
from host.ssd1306 import SSD1306

ADDRESS = 0x3C
MODULES = {"32": ("SSD1306", 32), "64": ("SSD1306", 64), "sh1106": ("SH1106", 64)}
LIMIT_MS = 30


class Module:
    """A module and its Panel; notes every I2C write."""

    def __init__(self, kind="SSD1306", height=32, rotation=0):
        displays.install()
        displayio.release_displays()
        self.rows = TALL if height == 64 else SHORT
        self.model = SH1106() if kind == "SH1106" else SSD1306()
        self.writes = []
        chip.devices.clear()
        chip.devices[ADDRESS] = self
        self.i2c = busio.I2C(board.SCL, board.SDA, frequency=400000)
        self.panel = Panel(self.i2c, kind, ADDRESS, height, rotation)
        for letters in ("", "x", ""):  # Blinka sends everything a second time after the first refresh; the board does not
            self.draw(text(letters, rows=self.rows))

    def write(self, data):
        self.writes.append(bytes(data))
        self.model.write(data)

    def step(self):
        """One step; returns (whether there was one, bytes on the bus, milliseconds at 400 kHz)."""
        self.writes.clear()
        went_on = self.panel.step()
        return went_on, *price(self.writes)

    def draw(self, page):
        """All steps to a page; returns the price of each."""
        self.panel.show(page)
        prices = []
        while True:
            went_on, count, ms = self.step()
            if not went_on:
                return prices
            prices.append((count, ms))

    def lit(self):
        image = self.model.image()
        pixels = image.load()
        return {(x, y) for y in range(image.height) for x in range(image.width) if pixels[x, y]}


def price(writes):
    """Bytes, each write's address included, and their time: nine bits each, and two for start and stop."""
    count = sum(1 + len(write) for write in writes)
    return count, (9 * count + 2 * len(writes)) / 400


@pytest.fixture(params=MODULES)
def module(request):
    made = Module(*MODULES[request.param])
    yield made
    made.panel.close()
    chip.devices.clear()


@pytest.fixture
def small():
    made = Module()
    yield made
    made.panel.close()
    chip.devices.clear()


def text(*lines, rows=SHORT):
    return Page(tuple(list(lines) + [""] * (rows - len(lines))), "", None, b"")


def full(rows):
    """A page that has everything on it at its largest."""
    return Page(("W" * 21,) * rows, "100%", 573, bytes(range(1, 12)) * 4 + b"\x01\x02\x03\x04")


# what is seen


def test_letters_are_drawn_where_they_belong(small):
    small.draw(text("H"))
    letter = small.lit()
    small.draw(text("", "", " H"))
    assert small.lit() == {(x + 6, y + 20) for x, y in letter} and letter
    small.draw(text())
    assert not small.lit()


def test_every_letter_that_pages_may_use_is_drawn_as_itself(small):
    shapes = set()
    for code in range(0x21, 0x7F):
        small.draw(text("", chr(code)))
        shapes.add(frozenset(small.lit()))
    assert len(shapes) == 0x7F - 0x21 and frozenset() not in shapes


def test_the_state_of_charge_is_twice_as_large(small):
    small.draw(Page(("", "", ""), "5", None, b""))
    large = small.lit()
    small.draw(text("5"))
    assert {(x // 2, (y + 2) // 2) for x, y in large} == small.lit() and len(large) == 4 * len(small.lit())


@pytest.mark.parametrize("level", [0, 1, 250, 999, 1000])
def test_the_battery_is_as_full_as_the_battery(small, level):
    small.draw(Page(("", "", ""), "", level, b""))
    inside = {x for x, y in small.lit() if y == 26 and 0 < x < 121}
    assert len(inside) == 120 * level // 1000 and inside == set(range(1, 1 + len(inside)))


def test_a_bar_a_cell(small):
    small.draw(Page(("", "", ""), "", None, bytes([11, 1, 0, 6])))
    heights = [sum((x, y) in small.lit() for y in range(21, 32)) for x in (0, 12, 24, 36)]
    assert heights == [11, 1, 0, 6]
    small.draw(Page(("", "", ""), "", None, bytes([11] * 48)))  # more cells: narrower bars
    assert [sum((x, 31) in small.lit() for x in range(first, first + 2)) for first in (0, 2, 94)] == [1, 1, 1]
    small.draw(text())
    assert not small.lit()


def test_all_modules_show_the_same(module):
    page = full(module.rows)
    module.draw(page)
    reference = Module("SSD1306", 32 if module.rows == SHORT else 64)
    reference.draw(page)
    assert module.lit() == reference.lit()


@pytest.mark.parametrize("kind", ["SSD1306", "SH1106"])
def test_the_picture_can_be_turned(kind):
    upright = Module(kind, 64)
    upright.draw(text("Upright", rows=TALL))
    expected = {(WIDTH - 1 - x, 63 - y) for x, y in upright.lit()}
    turned = Module(kind, 64, 180)
    turned.draw(text("Upright", rows=TALL))
    assert turned.lit() == expected and expected


# what it costs


def test_no_step_costs_more_than_a_line(module):
    """Also the worst there is: another page, everything at its largest, moved by a dot, all sent again."""
    worst = max(ms for _, ms in module.draw(full(module.rows)))
    for _ in range(3):
        module.writes.clear()
        module.panel.renew()
        assert price(module.writes)[1] < 5
        for page in (text(rows=module.rows), full(module.rows)):
            worst = max(worst, *(ms for _, ms in module.draw(page)))
    print(f"worst step {worst:.1f} ms")
    assert worst < 12 < LIMIT_MS


def test_a_page_that_stays_costs_nothing(module):
    module.draw(full(module.rows))
    assert module.draw(full(module.rows)) == []


def test_a_number_costs_its_own_letters(small):
    small.draw(text("52.7 V"))
    [(count, ms)] = small.draw(text("52.8 V"))
    assert count <= 12 + 20 and ms < 1  # one letter is 6 columns in two pages


def test_new_numbers_on_every_line_cost_less_than_labels_did(small):
    """The same three lines cost 795 bytes through bitmap_label, in one go."""
    small.draw(text("57.3 %         -653 W", "52.7 V        -12.4 A", "discharging     10 mV"))
    prices = small.draw(text("57.2 %         -655 W", "52.6 V        -12.5 A", "discharging     11 mV"))
    assert sum(count for count, _ in prices) < 795 * 2 // 3


# years


def test_what_drivers_say_at_the_start_is_said_again(module):
    """After `renew` a module that had forgotten everything is as the driver had set it."""
    module.draw(full(module.rows))
    before, seen = vars(module.model).copy(), module.lit()
    fresh = type(module.model)()
    fresh.memory[:] = bytes([0xA5]) * len(fresh.memory)  # as after power-on: noise
    module.model = fresh
    module.panel.renew()
    while module.step()[0]:
        pass
    settled = ("on", "pump", "inverted", "all_on", "remapped", "reversed", "contrast", "rows", "offset", "start_line", "_mode")
    assert {name: vars(fresh)[name] for name in settled} == {name: before[name] for name in settled}
    assert {(x - 1, y) for x, y in module.lit()} == seen


def test_everything_moves_and_comes_back(small):
    small.draw(text("H"))
    places = set()
    for _ in SHIFTS:
        places.add(min(small.lit()))
        small.panel.renew()
        while small.step()[0]:
            pass
    assert len(places) == len(SHIFTS)
    small.draw(text("H"))
    assert min(small.lit()) == min(places, key=lambda place: (place[0], -place[1]))


def test_nothing_is_cut_off_by_moving(module):
    lines = text(*["gjpqy,WM0123456789{|}"] * module.rows, rows=module.rows)
    module.draw(lines)
    count = len(module.lit())
    for _ in SHIFTS:
        module.panel.renew()
        while module.step()[0]:
            pass
        assert len(module.lit()) == count


def test_brightness(small):
    small.panel.set_brightness(50)
    assert small.model.contrast == 127 and small.model.visible
    small.writes.clear()
    small.panel.set_brightness(50)
    assert small.writes == []
    small.panel.set_brightness(0)
    assert not small.model.visible
    small.panel.renew()
    assert not small.model.visible
    small.panel.set_brightness(5)
    assert small.model.visible and small.model.contrast == 12


def test_a_module_that_is_pulled_off_is_noticed_and_found_again(small):
    small.draw(text("H"))
    assert small.panel.is_there()
    del chip.devices[ADDRESS]
    assert not small.panel.is_there()
    small.draw(text("Lost"))  # as on the board, drawing into the void raises nothing
    small.panel.close()
    again = Module()
    again.draw(text("Back"))
    assert again.lit()


def test_asking_whether_it_is_there_changes_nothing(module):
    module.draw(full(module.rows))
    module.writes.clear()
    seen = module.lit()
    assert module.panel.is_there() and price(module.writes)[0] <= 3
    assert module.lit() == seen


def test_a_wrong_address_frees_the_pins():
    displays.install()
    displayio.release_displays()
    chip.devices.clear()
    chip.devices[0x3D] = SSD1306()
    with pytest.raises(ValueError, match="3c"):
        Panel(busio.I2C(board.SCL, board.SDA), "SSD1306", ADDRESS)
    busio.I2C(board.SCL, board.SDA).deinit()  # as free as before
    chip.devices.clear()


def test_letters_that_a_page_may_not_have_are_none(small):
    """Pages hold printable ASCII only: the sheet of letters has no others."""
    page = pages.message("Küche 🔋 °")[0]
    small.draw(page)
    assert small.lit()
