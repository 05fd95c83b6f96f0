# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Outputs from the settings: their pins, mistakes, commands, the time of day and the pages of the screen."""

import gc
import sys

import board
import pytest

from app.extras_hardware import connect_outputs, make_outputs
from app.loop import Loop
from app.settings import Settings
from app.time_of_day import TimeOfDay
from display.outputs import OutputPages, output_page
from mqtt.commands import Commands

GOOD = 'CIRCUITPY_WIFI_SSID = "shed"\nCIRCUITPY_WIFI_PASSWORD = "12345678"\nMQTT_BROKER = "192.0.2.1"\nMQTT_BASE_TOPIC = "t"\n'
RULE = "on when soc > 80 off when soc < 60"


@pytest.fixture(autouse=True)
def free_pins():
    yield
    for number in range(1, 11):
        getattr(board, f"IO{number}")._free()


def made(*lines, sensors=(), more=""):
    """(Outputs, problems) of a file with these OUTPUT_n."""
    text = GOOD + more + "".join(f'OUTPUT_{number} = "{line}"\n' for number, line in enumerate(lines, 1) if line)
    settings = Settings(text)
    problems = settings.problems
    return make_outputs(settings, list(sensors), problems), problems


def test_without_an_output_nothing_is_made():
    assert made(more="LED_PIN = 'IO2'\n".replace("'", '"'))[0] is None


@pytest.mark.parametrize(
    ("name", "advice"), [("vedirect1.pv_powr", "did you mean pv_power"), ("vedirect1.socs", "did you mean soc")]
)
def test_a_value_that_no_victron_device_has_is_a_mistake(name, advice):
    source = type("Source", (), {"key": "vedirect1", "rows": []})()
    _, [problem] = made(f"IO5 on when {name} > 80", sensors=[source])
    assert f"there is no {name}; {advice}" in problem
    _, problems = made("IO6 on when vedirect1.pv_power > 80 and vedirect1.problem is none", sensors=[source])
    assert problems == []


def test_outputs_keep_their_numbers():
    outputs, problems = made("Heater: IO5 " + RULE, "", "io6 " + RULE + ", active low")
    assert problems == [] and outputs.numbers() == [1, 3]
    assert [row.name for row in outputs.rows[::3]] == ["Heater", None, "Output 3", None]
    assert board.IO5._claimed and board.IO6._claimed


def test_what_only_the_start_needs_does_not_stay():
    made("IO5 on when sco > 80")
    assert not {"outputs.rules", "battery.minute", "mqtt.entities", "app.advice"} & set(sys.modules)


@pytest.mark.parametrize(
    ("lines", "more", "words"),
    [
        (
            ["IO5 on when sco > 80"],
            "",
            ["line 5: OUTPUT_1, column 13: there is no reading sco; did you mean soc; until then it"],
        ),
        (["IO99 " + RULE], "", ["line 5: OUTPUT_1: this board has no pin IO99; it has RX, TX"]),
        (["IO5 " + RULE, "IO5 " + RULE], "", ["line 6: OUTPUT_2 cannot be IO5: OUTPUT_1 is; choose a free pin."]),
        (["IO5 " + RULE, "io5 " + RULE], "", ["line 6: OUTPUT_2 cannot be io5: OUTPUT_1 is; choose a free pin."]),
        (["Name: IO5 " + RULE], 'WAKE_PIN = "IO5"\n', ["line 6: OUTPUT_1 cannot be IO5: WAKE_PIN is; choose a free pin."]),
        (["IO8 " + RULE], 'OLED_SDA = "IO8"\n', ["line 6: OUTPUT_1 cannot be IO8: OLED_SDA is; choose a free pin."]),
        (["IO5 on when time > 08:00"], 'NTP_SERVER = ""\n', ["NTP_SERVER is empty, so the time that an output names is never"]),
        (["IO5 on when vedirect1.power > 5"], "", ["column 13: vedirect1 is not there without VEDIRECT_1_RX; write its pin"]),
        (["on when soc > 5"], "", ["column 1: the name of a pin is missing"]),
    ],
)
def test_mistakes_are_told_once_and_that_output_stays_off(lines, more, words):
    outputs, problems = made(*lines, more=more)
    assert len(problems) == len(words) and all(word in problem for word, problem in zip(words, problems, strict=True)), problems
    number = len(lines)
    assert outputs.numbers() == list(range(1, number + 1)), "its entities stay"
    is_faulty = "NTP" not in more
    assert (outputs.raw(f"output_{number}_reason") == "off: its line in the settings has a mistake") == is_faulty
    outputs.bind([], None, None)
    outputs.command(number, "on")
    for now in range(0, 20000, 50):
        outputs.tick(now)
    assert not is_faulty or (outputs.raw(f"output_{number}"), outputs.raw(f"output_{number}_mode")) == (0, "auto")


def test_a_pin_in_use_is_told():
    board.IO5._claim()
    _, problems = made("IO5 " + RULE)
    assert "line 5: OUTPUT_1: IO5 is in use; choose a free pin." in problems[0]


@pytest.mark.parametrize(("option", "level"), [("", False), (", active low", True)])
def test_the_pin_of_a_rule_with_a_mistake_is_held_inactive(option, level):
    outputs, _ = made("Heater: IO5 on when sco > 80" + option)
    gc.collect()
    assert outputs.rows[0].name == "Heater"
    assert outputs.output(1)._pin._output.value is level


@pytest.mark.parametrize(("word", "names"), [("outputs", True), ("soc", False)])
def test_a_person_may_switch_them_only_if_allowed(word, names):
    settings = Settings(GOOD + f'ALLOW_CONTROL = "{word}"\nOUTPUT_2 = "IO5 {RULE}"\n')
    assert settings.problems == []
    outputs = make_outputs(settings, [], [])
    said = []
    commands = Commands(lambda name, reason: said.append((name[0], reason)))
    connect_outputs(outputs, settings, Loop(lambda: 0), [], None, commands, None, None)
    assert (commands.topics() == ["t/outputs/2/set"]) == names and (outputs.rows[4].command is not None) == names
    if not names:
        return
    commands.execute("t/outputs/2/set", b"on", True, 0)
    assert outputs.raw("output_2_mode") == "auto" and "it was retained" in said[0][1] and said[0][0] == "Output 2"
    commands.execute("t/outputs/2/set", b"ON", False, 0)
    assert outputs.raw("output_2_mode") == "auto" and 'auto or on or off is understood, not "ON"' in said[1][1]
    commands.execute("t/outputs/2/set", b"on", False, 0)
    assert outputs.raw("output_2_mode") == "on"
    commands.execute("t/outputs/2/set", b"auto", False, 0)
    assert outputs.raw("output_2_mode") == "auto"


def test_outputs_are_no_control_of_the_bms():
    settings = Settings(GOOD + 'ALLOW_CONTROL = "output"\n')
    assert settings.allowed == [] and "did you mean outputs" in settings.problems[0]


# the time of day


class Server:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.trouble = None
        self.now_s = 0

    def now(self):
        self.asked.append(self.now_s)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer and (2026, 11, 27, *answer)


def run(time, server, seconds, start=2**29 - 5000):
    for _ in range(seconds):
        time.tick((start + 1000 * server.now_s) % 2**29)
        server.now_s += 1


def test_the_time_is_counted_on_from_an_answer_and_asked_once_a_day():
    server = Server((23, 58, 30))
    time = TimeOfDay(server, server)
    assert time.minutes() is None
    run(time, server, 1)
    assert time.minutes() == 23 * 60 + 58
    run(time, server, 60)
    assert time.minutes() == 23 * 60 + 59
    run(time, server, 60)
    assert time.minutes() == 0
    run(time, server, 2 * 86400)
    assert len(server.asked) == 3 and server.asked[1] >= 86400


def test_nobody_is_asked_without_a_connection_and_seldom_without_an_answer():
    server = Server(None, None, (8, 0, 0), None)
    time = TimeOfDay(server, server)
    server.trouble = ("joining", ())
    run(time, server, 100)
    assert server.asked == []
    server.trouble = None
    run(time, server, 1300)
    assert len(server.asked) == 3 and 600 <= server.asked[1] - server.asked[0] <= 601
    assert time.minutes() == 8 * 60 + (server.now_s - server.asked[2] - 1) // 60
    run(time, server, 7 * 86400 - 200)
    assert time.minutes() is not None
    run(time, server, 300)
    assert time.minutes() is None, "a week without an answer"


# the screen


def test_a_page_has_name_state_and_reason():
    page = output_page("Water heater on the roof", True, "on: ds18b20.boiler 60.49 °C is below 65", 3)
    assert page.lines == ("Water heater on th ON", "ds18b20.boiler 60.49", "C is below 65")
    page = output_page("Siren", False, "off: alarm Discharge MOSFET temperature sensor (fault)", 3)
    assert page.lines == ("Siren             OFF", "alarm Discharge", "MOSFET temperature..")
    page = output_page("Heater", False, "waits: off for up to 10 s more", 6)
    assert page.lines == ("Heater            OFF", "waits: off for up to", "10 s more", "", "", "")


def test_there_is_a_page_for_each_output():
    outputs, _ = made("Heater: IO5 " + RULE, "", "IO6 " + RULE)
    shown = OutputPages(outputs)
    assert shown.count == 2
    assert [shown.page(index, 3).lines[0].split()[0] for index in range(2)] == ["Heater", "Output"]
    before = shown.changes
    outputs.bind([], None, None)
    outputs.tick(0)
    outputs.command(1, "on")
    for now in range(200, 2000, 50):
        outputs.tick(now)
    assert shown.changes > before and shown.page(0, 3).lines[1] == "waits: off for up to"
