# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Settings of several batteries: which there are, how they are called, and a sentence for each mistake."""

import busio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.batteries import board_numbers
from app.hardware import make_uarts
from app.main import make_batteries
from app.nvm_store import NvmStore
from app.settings import KEPT, Settings
from daly.poller import Poller
from mqtt.components import slug

GOOD = 'CIRCUITPY_WIFI_SSID = "shed"\nCIRCUITPY_WIFI_PASSWORD = "12345678"\nMQTT_BROKER = "192.168.1.10"\n'
UART_2 = 'UART_2_TX = "IO1"\nUART_2_RX = "IO2"\n'
UART_3 = 'UART_3_TX = "IO3"\nUART_3_RX = "IO4"\n'
TO_4 = 'BMS_BOARD_NUMBERS = "1-4"\n'


def read(lines):
    return Settings(GOOD + lines)


def numbers(lines):
    settings = read(lines)
    assert settings.problems == [] and settings.hints == []
    return [board.number for board in settings.boards]


def only_problem(lines):
    settings = read(lines)
    assert len(settings.problems) == 1, settings.problems
    return settings.problems[0]


def test_one_battery_is_what_it_was():
    for lines in ("", "BMS_BOARD_NUMBER = 3\n"):
        settings = read(lines)
        [board] = settings.boards
        assert (board.number, board.uart, board.name, board.label) == (1, 1, "Daly BMS", "") and settings.more == ()
        assert board.board_number == (3 if lines else 1)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (TO_4, [1, 2, 3, 4]),
        ('BMS_BOARD_NUMBERS = "1, 3-4"', [1, 3, 4]),
        ('BMS_BOARD_NUMBERS = "3"', [3]),
        ('BMS_BOARD_NUMBERS = "16,2"', [16, 2]),
        ("BMS_BOARD_NUMBER = 3\n" + UART_2, [1, 201]),
        (UART_2 + UART_3 + 'UART_3_BOARD_NUMBERS = "2-3"', [1, 201, 302, 303]),
        (TO_4 + UART_2 + 'UART_2_BOARD_NUMBERS = "1-4"', [1, 2, 3, 4, 201, 202, 203, 204]),
        ('BMS_BOARD_NUMBERS = ""\n', [1]),
        ('UART_2_TX = ""\nUART_2_RX = ""\nUART_2_BAUD_RATE = 9600', [1]),
    ],
)
def test_a_battery_has_the_number_of_its_uart_and_its_board(lines, expected):
    assert numbers(lines) == expected


def test_each_board_knows_its_line_and_its_number_there():
    boards = read(TO_4 + UART_3 + 'UART_3_BOARD_NUMBERS = "5"').boards
    assert [(board.uart, board.board_number) for board in boards] == [(1, 1), (1, 2), (1, 3), (1, 4), (3, 5)]


def test_names_and_labels():
    settings = read('DEVICE_NAME = "Shed"\nBMS_2_NAME = "Van"\n' + TO_4 + UART_2)
    assert [board.name for board in settings.boards] == ["Shed", "Van", "Shed 3", "Shed 4", "Shed 201"]
    assert [board.label for board in settings.boards] == ["BMS 1", "Van", "BMS 3", "BMS 4", "BMS 201"]
    assert [board.name for board in read(TO_4 + 'BMS_1_NAME = "First"').boards][:2] == ["First", "Daly BMS 2"]
    assert [tuple(board)[3:] for board in read('BMS_1_NAME = "First"').boards] == [("First", "")]


def test_a_battery_keeps_its_name_when_another_one_comes():
    """The name makes the entity ids."""
    for lines, name in (("", "Daly BMS"), ('BMS_BOARD_NUMBERS = "3"\n', "Daly BMS 3"), ("BMS_BOARD_NUMBER = 3\n", "Daly BMS")):
        [alone] = read(lines).boards
        assert alone.name == name and alone.label == ""
        more = lines.replace('"3"', '"3-4"') + UART_2
        assert [board.name for board in read(more).boards if board.number == alone.number] == [name]


def test_what_is_kept_has_the_settings_of_several_batteries_only_where_there_are_some():
    assert read("").more == () and not hasattr(read(""), "BANK_WIRING")
    settings = read(TO_4 + 'BMS_2_NAME = "Van"')
    assert {"BANK_WIRING", "UART_2_TX", "UART_3_BAUD_RATE", "BMS_2_NAME"} <= set(settings.more)
    assert settings.BANK_WIRING == "parallel" and read('BANK_WIRING = "series"').BANK_WIRING == "series"
    assert [getattr(settings, key) for key in KEPT + settings.more]


@pytest.mark.parametrize(
    "text", ["", "0", "17", "1-17", "4-1", "1,1", "1-3,2", "1,", "-", "1-2-3", "a", "1;2", "001", "१", "1 2", "1 6"]
)
def test_board_numbers_that_are_not_understood(text):
    assert board_numbers(text) is None
    if text:
        problem = only_problem(f'BMS_BOARD_NUMBERS = "{text}"')
        assert "line 4: BMS_BOARD_NUMBERS cannot be" in problem and '"1-4" or "1, 3-4"' in problem


@given(st.text("0123456789-, x", max_size=12))
def test_any_text_is_a_list_of_different_numbers_or_not_understood(text):
    found = board_numbers(text)
    assert found is None or (found and len(set(found)) == len(found) and all(1 <= number <= 16 for number in found))


@pytest.mark.parametrize(
    ("lines", "expected", "words"),
    [
        (TO_4 + "BMS_BOARD_NUMBER = 2", [1, 2, 3, 4], "line 5: BMS_BOARD_NUMBER: BMS_BOARD_NUMBERS counts; remove"),
        ("BMS_BOARD_NUMBERS = 1-4", [1], 'in double quotes, write BMS_BOARD_NUMBERS = "1-4"'),
        ('BMS_PROTOCOL = "d2"\n' + TO_4, [1], "line 5: BMS_BOARD_NUMBERS: boards that speak D2 have no number"),
        (
            UART_2 + 'UART_2_PROTOCOL = "d2"\nUART_2_BOARD_NUMBERS = "2,3"',
            [1, 202],
            "line 7: UART_2_BOARD_NUMBERS: boards that",
        ),
        ("BMS_HOST_ADDRESS = 0x80\n" + TO_4, [1, 2, 3, 4], "line 4: BMS_HOST_ADDRESS: several boards on one line"),
        ('UART_2_TX = "IO1"', [1], "line 4: UART_2_TX: UART 2 is not used without UART_2_RX; write"),
        ('UART_3_RX = "IO1"', [1], "line 4: UART_3_RX: UART 3 is not used without UART_3_TX; write"),
        ('UART_2_BOARD_NUMBERS = "2"', [1], "UART_2_BOARD_NUMBERS: UART 2 is not used without UART_2_TX and UART_2_RX; write"),
        (UART_2 + 'UART_2_BOARD_NUMBERS = "1-9"', [1, 201, 202, 203, 204, 205, 206, 207], "these are 10, so not 208, 209;"),
        ('UART_2_TX = "TX"\nUART_2_RX = "IO2"', [1, 201], "line 4: UART_2_TX cannot be TX: UART_TX is; choose a free pin"),
        ('BANK_WIRING = "row"', [1], 'write "parallel" or "series"'),
        (UART_2 + "UART_2_BAUD_RATE = 300", [1, 201], "9600, as nearly every BMS has"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_remedy(lines, expected, words):
    problem = only_problem(lines)
    assert words in problem and problem.endswith(".")
    assert [board.number for board in read(lines).boards] == expected


def test_the_address_of_one_board_is_not_that_of_several():
    assert len(read("BMS_HOST_ADDRESS = 0x80\n" + TO_4).problems) == 1
    assert read("BMS_HOST_ADDRESS = 0x80\n" + UART_2).problems == []  # a line each


@pytest.mark.parametrize(
    ("lines", "hints"),
    [
        (
            "BMS_CELL_COUNT = 8\n",
            ["line 5: BMS_CELL_COUNT counts for all batteries; remove what does not hold for each of them."],
        ),
        (
            'BMS_TEMPERATURE_COUNT = 2\nCURRENT_SIGN = "inverted"\n',
            [
                "line 5: BMS_TEMPERATURE_COUNT and CURRENT_SIGN count for all batteries; "
                "remove what does not hold for each of them."
            ],
        ),
        ('BMS_CELL_COUNT = 0\nCURRENT_SIGN = "auto"\nBMS_REQUEST_FILLER = 0xAA\n', []),
    ],
)
def test_what_counts_for_all_batteries_is_said_once(lines, hints):
    settings = read(TO_4 + lines)
    assert settings.problems == [] and settings.hints == ["settings.toml " + hint for hint in hints]
    assert read('BANK_WIRING = "parallel"\n' + lines).hints == []  # one battery


@pytest.mark.parametrize(
    ("lines", "addresses"),
    [("", [0x80]), (UART_2 + UART_3, [0x80, 0, 0]), (TO_4 + UART_2, None), (UART_2 + 'UART_2_BOARD_NUMBERS = "2-3"\n', None)],
)
def test_the_host_address_counts_for_the_first_uart_alone(monkeypatch, lines, addresses):
    """The board of another one is found by itself, whatever that of the first one needs."""
    made = []

    class Told(Poller):
        def __init__(self, pack, host_address, *more, **options):
            made.append(host_address)
            super().__init__(pack, host_address, *more, **options)

    monkeypatch.setattr("daly.poller.Poller", Told)
    settings = read("BMS_HOST_ADDRESS = 0x80\n" + lines)
    batteries = make_batteries(settings, NvmStore(None, 0), dict.fromkeys((1, 2, 3)))
    assert addresses is None or made == addresses
    for one, each in zip(settings.boards, batteries, strict=True):
        is_alone = [board.uart for board in settings.boards].count(one.uart) == 1
        assert each.poller.host_address == (0x80 if one.uart == 1 and is_alone else 0x40 + one.board_number - 1)


@pytest.mark.parametrize(
    ("lines", "words", "name"),
    [
        ('BMS_5_NAME = "Van"', "there is no battery 5, only 1, 2, 3, 4; correct or remove it", None),
        ('BMS_1_NAME = "Van"\nBMS_2_NAME = "van!"', "BMS_2_NAME cannot be van!: the letters a to z and digits", "Daly BMS 2"),
        ('BMS_2_NAME = "Daly BMS"', "and BMS 1 has the same; choose another name", "Daly BMS 2"),
        ('BMS_2_NAME = "Daly BMS 4"', "and BMS 4 has the same; choose another name", "Daly BMS 2"),
        ('BMS_2_NAME = "Daly BMS bank"', "and the bank has the same; choose another name", "Daly BMS 2"),
        ('BMS_2_NAME = "daly bms bridge"', "and the bridge has the same; choose another name", "Daly BMS 2"),
        (
            'BMS_2_NAME = "Дача"',
            "BMS_2_NAME cannot be Дача: the letters a to z and digits of a name make the ids",
            "Daly BMS 2",
        ),
        ('BMS_2_NAME = "Van"\nBMS_1_NAME = "Daly BMS 2"', "the usual name of BMS 2 has the same; choose", "Van"),
        ('DEVICE_NAME = "Дача"\nBMS_2_NAME = "Daly BMS"', "and BMS 1 has the same; choose another name", "Дача 2"),
        (
            f'BMS_2_NAME = "{41 * "x"}"',
            'a text of 1 to 40 characters in double quotes, as BMS_2_NAME = "Daly BMS"',
            "Daly BMS 2",
        ),
        ("BMS_2_NAME = Van", 'a text stands in double quotes, write BMS_2_NAME = "Van"', "Daly BMS 2"),
    ],
)
def test_names_that_do_not_do(lines, words, name):
    assert words in only_problem(TO_4 + lines)
    assert name is None or read(TO_4 + lines).boards[1].name == name


def test_a_name_counts_in_letters_as_home_assistant_counts():
    assert read(TO_4 + f'BMS_2_NAME = "{39 * "ü"}1"').problems == []


@pytest.mark.parametrize("names", [("Van 1", "Van1"), ("Дача 1", "Дача 2"), ("Daly BMS", "daly-bms 2")])
def test_names_whose_ids_differ_are_allowed(names):
    settings = read(TO_4 + f'BMS_1_NAME = "{names[0]}"\nBMS_2_NAME = "{names[1]}"\n')
    assert settings.problems == [] and [board.name for board in settings.boards[:2]] == list(names)


WORDS = st.sampled_from(
    ["", "Daly BMS", "daly bms 2", "Daly BMS 3", "BMS-3", "Ü", "Дача", "Дача 2", "2", "bank", "Daly BMS bank"]
)


@given(st.sampled_from(["Daly BMS", "Дача", "2", "Ü bank"]), st.tuples(WORDS, WORDS, WORDS))
def test_whatever_the_names_are_no_two_devices_have_the_same_ids(device, names):
    lines = "".join(f'BMS_{number}_NAME = "{name}"\n' for number, name in enumerate(names, 1) if name)
    boards = read(f'DEVICE_NAME = "{device}"\nBMS_BOARD_NUMBERS = "1-3"\n' + lines).boards
    slugs = [slug(name) for name in [board.name for board in boards] + [device + " bank", device + " bridge"]]
    assert len(set(slugs)) == len(slugs)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("BMS_BOARD_NUMERS", "BMS_BOARD_NUMBERS"),
        ("UART2_TX", "UART_2_TX"),
        ("UART_2_BAUDRATE", "UART_2_BAUD_RATE"),
        ("BMS2_NAME", "BMS_2_NAME"),
        ("BANK_WIRNG", "BANK_WIRING"),
    ],
)
def test_a_mistyped_name_of_a_setting_is_told(wrong, right):
    assert only_problem(f'{wrong} = "1"').endswith(f"line 4: {wrong} is not a setting; did you mean {right}.")


def test_a_uart_for_each_line_and_a_sentence_where_the_chip_has_no_more(monkeypatch):
    made = []

    def uart(tx, rx, **options):
        made.append(options["baudrate"])
        if len(made) > 2:
            raise ValueError("All UART peripherals are in use")
        return "UART"

    monkeypatch.setattr(busio, "UART", uart)
    settings = read('UART_2_TX = "IO5"\nUART_2_RX = "IO6"\nUART_2_BAUD_RATE = 19200\nUART_3_TX = "IO7"\nUART_3_RX = "IO8"\n')
    assert settings.problems == []
    uarts = make_uarts(settings, settings.problems)
    assert uarts == {1: "UART", 2: "UART", 3: None} and made == [9600, 19200, 9600]
    [problem] = settings.problems
    assert "line 7: UART_3_TX IO7, UART_3_RX IO8: " in problem and "an ESP32-S2 has two, an ESP32-S3 three" in problem


def test_each_battery_names_the_settings_of_its_uart():
    settings = read(TO_4 + UART_2)
    batteries = make_batteries(settings, NvmStore(None, 0), dict.fromkeys((1, 2)))
    assert [battery.poller.diagnosis.text for battery in batteries[3:]] == [
        "No UART: correct UART_TX and UART_RX in settings.toml",
        "No UART: correct UART_2_TX and UART_2_RX in settings.toml",
    ]
