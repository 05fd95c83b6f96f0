# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Pictures as text, and whole lines from pieces."""

import re

import pytest
from PIL import Image

from host import chip
from host.lamp import Lamp
from host.outputs import Load
from host.view import Batteries, Lines, Live, Sources, braille, half_blocks


def dots(*points) -> Image.Image:
    image = Image.new("1", (4, 4))
    for point in points:
        image.putpixel(point, 1)
    return image


def test_half_blocks_hold_two_rows():
    assert half_blocks(dots((0, 0), (1, 1), (2, 0), (2, 1))) == ["▀▄█ ", "    "]


def test_braille_holds_two_by_four():
    assert braille(dots((0, 0), (1, 3))) == ["\u2881\u2800"]
    assert braille(dots(*((x, y) for x in range(4) for y in range(4)))) == ["⣿⣿"]


def test_lines_are_handed_on_whole():
    heard = []
    console = Lines(heard.append)
    print("a", "b", end="", file=console)
    assert heard == []
    print("c\r\nd", file=console)
    assert heard == ["a bc", "d"]


STATE = (
    '{"seq":3,"soc":57.30,"pack_voltage":52.7,"current":-12.4,"power":null,"min_cell_voltage":3.290,%s"active_alarms":"none"}'
)


def batteries(*messages) -> Batteries:
    made = Batteries()
    for topic, payload in messages:
        made.take(topic, payload)
    return made


def test_of_several_batteries_there_is_a_table_with_the_digits_that_were_published():
    made = batteries(
        ("t/bank/state", '{"soc":57.5,"batteries_online":"1 of 2","missing":"BMS 201: No response."}'),
        ("t/bms201/status", "offline"),
        ("t/bms2/state", STATE % '"max_cell_voltage":3.300,'),
        ("t/bms2/status", "online"),
    )
    assert made.rows() == [
        ("bms2", "online", "57.30", "52.7", "-12.4", "", "3.290 to 3.300", "none"),
        ("bms201", "offline", "", "", "", "", "", ""),
        ("bank", "1 of 2", "57.5", "", "", "", "", "BMS 201: No response."),
    ]


def test_of_one_battery_there_is_no_table():
    assert batteries(("t/bms1/state", STATE % ""), ("t/bms1/status", "online")).rows() == []


def test_what_is_not_on_a_battery_is_no_row():
    made = batteries(
        ("t/bms1/state", "{"), ("t/state", STATE % ""), ("t/bms2/state", ""), ("t/bms3/soc", "5"), ("t/bms4/state", "7")
    )
    assert made.rows() == []


class Paper:
    """Takes what is written, at once."""

    pieces = 0

    def __init__(self):
        self.text = ""

    def put(self, text):
        self.text += text

    def flush(self):
        pass


def test_the_live_view_shows_the_batteries_and_still_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    live = Live(None, "title", Paper())
    assert drawn(live).count("batteries") == 0
    for number in (1, 2, 3, 4):
        live.published(f"t/bms{number}/state", STATE % "")
        live.published(f"t/bms{number}/status", "online")
    shown = drawn(live)
    assert "batteries" in shown and all(f"bms{number}  online  57.30" in shown for number in (1, 2, 3, 4))
    assert len(shown.splitlines()) <= 30


def test_the_live_view_shows_leds_and_sleep_and_still_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setattr(chip, "lamps", {"IO21": Lamp()})
    monkeypatch.setattr(chip, "is_asleep", True)
    chip.lamps["IO21"].set((0, 20, 0), 1.0)
    chip.lamps["IO21"].set((0, 20, 0), 3.0)
    shown = drawn(Live(None, "title", Paper()))
    assert "● LED on IO21: steady, green  asleep" in re.sub(r"\x1b\[[0-9;]*m", "", shown) and len(shown.splitlines()) <= 30
    monkeypatch.setattr(chip, "lamps", {})
    monkeypatch.setattr(chip, "is_asleep", False)
    assert "LED" not in drawn(Live(None, "title", Paper()))


def test_the_live_view_shows_what_the_pins_of_outputs_switch_and_still_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setattr(chip, "loads", {"IO5": Load("Water heater"), "IO6": Load("Siren", active_low=True)})
    assert "□ IO5 Water heater off  □ IO6 Siren off" in re.sub(r"\x1b\[[0-9;]*m", "", drawn(Live(None, "title", Paper())))
    chip.switch("IO5", True)
    chip.switch("IO6", True)
    shown = drawn(Live(None, "title", Paper()))
    assert "■ IO5 Water heater on  □ IO6 Siren off" in re.sub(r"\x1b\[[0-9;]*m", "", shown) and len(shown.splitlines()) <= 30


BLINKS = [(0.0, 0), (3.0, 20), (3.9, 0), (4.6, 20), (4.8, 0), (5.1, 20), (5.3, 0), (7.3, 20)]


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        (BLINKS, "1 long, 2 short"),
        ([(0.0, 20), (1.5, 20)], "steady"),
        ([(0.0, 20), (1.5, 20), (2.0, 0), (6.0, 0)], "off"),
        ([(0.1 * n, 20 * (n % 2)) for n in range(30)], "flickers"),
    ],
)
def test_what_a_person_makes_of_blinks(levels, text):
    lamp = Lamp()
    for at, level in levels:
        lamp.set((level,), at)
    assert lamp.text == text


def drawn(live: Live) -> str:
    with live._console.capture() as captured:
        live._console.print(live._render())
    return captured.get()


def test_outputs_and_sensors_have_a_line_each_and_what_is_not_known_is_a_question_mark():
    made = Sources()
    made.take("t/vedirect1/state", '{"soc":87.30,"alarm":"OFF"}')
    made.take("t/temperatures/state", '{"problem":"none","28ff641e8216c3":null}')
    made.take("t/bms1/state", '{"soc":1}')
    made.take("t/supply/state", "no JSON")
    assert made.rows() == [
        ("temperatures", "problem none, 28ff641e8216c3 ?"),
        ("vedirect1", "soc 87.30, alarm OFF"),
    ]
