# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Pictures as text, whole lines from pieces, what a subscriber knows, and the live view of it."""

import re

import pytest
from PIL import Image
from rich.console import Console

from host import chip
from host.dashboard import Dashboard
from host.known import Known, short
from host.lamp import Lamp
from host.outputs import Load
from host.view import Lines, braille, half_blocks


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


class Clock:
    """The seconds since some start, as they are set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def knowing(*messages, clock=None) -> Known:
    made = Known(clock or Clock())
    made.connected()
    for topic, payload in messages:
        made.take(topic, payload)
    return made


ONLINE = (("t/status", "online"), ("t/bms1/status", "online"), ("t/bms1/state", STATE % ""))


def test_a_number_is_known_while_bridge_and_battery_are_online_with_the_digits_that_were_published():
    battery = knowing(*ONLINE, ("t/bms1/connection", "OK")).battery("bms1")
    assert battery.is_current and battery.values["soc"] == "57.30" and battery.values["power"] is None
    assert (battery.status, battery.reason) == ("online", "OK")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (("t/bms1/status", "offline"), "asleep"),
        (("t/status", "offline"), "its last will says offline"),
        (("t/bms1/state", "no JSON"), None),  # ignored
    ],
)
def test_of_what_is_offline_no_number_is_known_but_the_reason(message, reason):
    battery = knowing(*ONLINE, ("t/bms1/connection", "BMS asleep"), message).battery("bms1")
    assert battery.is_current == (reason is None)
    assert reason is None or (battery.values == {} and battery.status == "offline" and reason in battery.reason)


def test_a_state_that_is_too_old_is_not_current():
    clock = Clock()
    known = knowing(*ONLINE, clock=clock)
    clock.now += 59
    assert known.battery("bms1").is_current
    clock.now += 2
    battery = known.battery("bms1")
    assert not battery.is_current and battery.reason == "the last state came 61 s ago"


def test_a_bridge_that_sleeps_says_in_its_discovery_how_long_a_state_is_current():
    clock = Clock()
    config = '{"stat_t":"t/bms1/state","cmps":{"soc":{"p":"sensor","exp_aft":2000}}}'
    messages = (
        ("homeassistant/device/daly_x_bms1_pack/config", config),
        ("t/status", "sleeping"),
        ("t/bms1/status", "sleeping"),
    )
    known = knowing(*ONLINE, *messages, clock=clock)
    clock.now += 1900
    assert known.battery("bms1").is_current
    clock.now += 200
    assert not known.battery("bms1").is_current


def test_without_a_broker_nothing_is_known_nor_before_it_and_again_only_what_has_come_since():
    known = Known(Clock())
    assert known.battery("").reason == "not connected to the broker yet"
    known = knowing(*ONLINE)
    known.lose("the broker is off")
    assert known.batteries() == [] and known.battery("").reason == "the broker is off" and known.sources() == []
    known.connected()
    known.take("t/status", "online")  # retained
    known.take("t/bms1/status", "online")
    assert not known.battery("bms1").is_current
    known.take("t/bms1/state", STATE % "")
    assert known.battery("bms1").is_current


def test_several_batteries_are_in_the_order_of_their_numbers_the_bank_last():
    known = knowing(*ONLINE, ("t/bank/state", STATE % ""), ("t/bms201/status", "offline"), ("t/bms2/state", STATE % ""))
    assert known.batteries() == ["bms1", "bms2", "bms201", "bank"]
    assert known.battery("bank").is_current and not known.battery("bms2").is_current


def test_outputs_and_sensors_have_a_line_each_and_what_is_not_known_is_a_question_mark():
    known = knowing(
        *ONLINE,
        ("t/vedirect1/state", '{"soc":87.30,"alarm":"OFF"}'),
        ("t/temperatures/state", '{"problem":"none","28ff641e8216c3":null}'),
        ("t/supply/state", "no JSON"),
    )
    assert known.sources() == [
        ("temperatures", "problem none, 28ff641e8216c3 ?"),
        ("vedirect1", "soc 87.30, alarm OFF"),
    ]


def test_a_long_message_is_in_short_and_a_short_one_as_it_is():
    long = STATE % ('"max_cell_voltage":3.300,"mode":"idle",' + '"x":1,' * 5)
    said = "57.30 %, 52.7 V, -12.4 A, idle, cells 3.290 to 3.300 V, no alarm (0.2 KB)"
    assert short("t/bms1/state", long) == said
    config = '{"stat_t":"%s","cmps":{"a":{"p":"sensor","name":"A"},"b":{"p":"sensor"}}}' % ("x" * 100)
    assert short("h/device/x/config", config) == "(1 entity, 0.2 KB)"
    assert short("h/device/x/config", "") == "(empty)"
    assert short("t/bms1/energy", '{"energy_charged":1.000}') == '{"energy_charged":1.000}'
    assert short("t/bms1/connection", "why " * 60) == "why " * 60


class Paper:
    """Takes what is written, at once."""

    pieces = 0

    def __init__(self):
        self.text = ""

    def put(self, text):
        self.text += text

    def flush(self):
        pass


class NoKeys:
    keys = ()
    on = ()

    def press(self, _char):
        return False


def view_of(*messages) -> Dashboard:
    console = Console(width=100, height=30)
    return Dashboard(None, ["title"], knowing(*ONLINE, *messages), NoKeys(), Paper(), console)


def test_several_batteries_have_a_table():
    assert "bms2" not in drawn(view_of())
    shown = drawn(view_of(("t/bms2/state", STATE % ""), ("t/bms2/status", "online"), ("t/bms3/status", "offline")))
    assert re.search(r"▸ +bms1 +57.30 +52.7 +-12.4 +– ", shown) and re.search(r"  +bms3 +– +– +– +– ", shown)
    assert len(shown.splitlines()) == 30


def test_leds_and_sleep_are_there_while_there_are_any(monkeypatch):
    monkeypatch.setattr(chip, "lamps", {"IO21": Lamp()})
    monkeypatch.setattr(chip, "is_asleep", True)
    chip.lamps["IO21"].set((0, 20, 0), 1.0)
    chip.lamps["IO21"].set((0, 20, 0), 3.0)
    shown = drawn(view_of())
    assert "● LED on IO21: steady, green" in shown and "asleep" in shown.splitlines()[0] and len(shown.splitlines()) == 30
    monkeypatch.setattr(chip, "lamps", {})
    monkeypatch.setattr(chip, "is_asleep", False)
    assert "LED" not in drawn(view_of())


def test_what_the_pins_of_outputs_switch_is_there(monkeypatch):
    monkeypatch.setattr(chip, "loads", {"IO5": Load("Water heater"), "IO6": Load("Siren", active_low=True)})
    assert "□ IO5 Water heater off  □ IO6 Siren off" in drawn(view_of())
    chip.switch("IO5", True)
    chip.switch("IO6", True)
    shown = drawn(view_of())
    assert "■ IO5 Water heater on  □ IO6 Siren off" in shown and len(shown.splitlines()) == 30


def test_at_a_foreign_broker_the_end_of_the_connection_is_the_end_of_the_numbers():
    view = view_of()
    assert "57.30 %" in drawn(view)
    view.disconnected()
    shown = drawn(view)
    assert "57.30" not in shown and "52.7" not in shown
    assert "○ unavailable: the bridge is not connected to the broker" in shown
    view.published("t/status", "online")
    view.published("t/bms1/status", "online")
    view.published("t/bms1/state", STATE % "")
    assert "57.30 %" in drawn(view)


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


def drawn(view: Dashboard) -> str:
    with view._console.capture() as captured:
        view._console.print(view.render())
    return re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
