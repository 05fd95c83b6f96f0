# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several batteries on the PC: which board is on which UART, with which number, and the settings that the firmware gets."""

import re

import pytest

from host import drive, lines
from simulator.bus import connect

OWN = b'UART_2_TX = "IO5"\nUART_2_RX = "IO6"\nBMS_BOARD_NUMBER = 3\n'


def numbers(*texts, uarts=3):
    return {line: lines.numbers(boards) for line, boards in lines.of_simulated(texts, uarts).items()}


def test_boards_on_one_line_count_from_one():
    assert numbers("", "soc=50", "protocol=p81") == {1: [1, 2, 3]}
    assert lines.of_simulated(["soc=50", " soc = 60 , cells=8"], 3) == {1: ["soc=50,board=1", "soc=60,cells=8,board=2"]}


def test_every_uart_counts_from_one():
    assert numbers("", "uart=2", "uart=2", "", "uart=3") == {1: [1, 2], 2: [1, 2], 3: [1]}


def test_a_number_that_is_given_is_kept_and_the_others_take_what_is_free():
    assert numbers("board=2", "", "") == {1: [1, 2, 3]}
    assert lines.of_simulated(["board=2", "", ""], 3)[1] == ["board=2", "board=1", "board=3"]
    assert numbers("boards=3", "") == {1: [1, 2, 3, 4]}
    assert numbers("board=9", "boards=2,board=4") == {1: [4, 5, 9]}


def test_one_number_twice_is_one_battery_for_the_firmware():
    assert numbers("board=1", "board=1", "") == {1: [1, 2]}


def test_the_uart_is_no_option_of_the_battery():
    assert lines.of_simulated(["", "uart=2,soc=5"], 3)[2] == ["soc=5,board=1"]


@pytest.mark.parametrize(
    ("texts", "uarts", "said"),
    [
        (("", "uart=3"), 2, "uart=3 is not possible: this chip has the UARTs 1 to 2."),
        (("", "uart=4"), 3, "UARTs 1 to 3"),
        (("", "uart=two"), 3, "uart=two is not possible"),
        (("", "uart=0"), 3, "uart=0 is not possible"),
        (("uart=2",), 3, "no BMS on the first UART; leave out the uart="),
        (("protocol=d2", ""), 3, "in D2 a board has no number, so it is the only one on its UART; write uart=2 for it."),
        (("protocol=d2", "", "uart=2"), 2, "take the others off UART 1."),
        (("boards=16", ""), 3, "board 17: a line has the numbers 1 to 16; take some to another UART with uart=2."),
    ],
)
def test_what_cannot_be_wired_is_a_sentence(texts, uarts, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        lines.of_simulated(texts, uarts)


def test_what_is_no_number_is_left_to_the_simulator():
    with pytest.raises(ValueError, match=r"board=x is not possible: board takes a whole number 1\.\.16"):
        connect(lines.of_simulated(["board=x", ""], 3)[1])


def test_numbers_are_written_as_people_do():
    written = {(1,): "1", (1, 2): "1-2", (1, 2, 3, 5): "1-3,5", (2, 4, 5, 16): "2,4-5,16"}
    assert {boards: lines.joined(boards) for boards in written} == written


def test_the_firmware_gets_all_numbers_and_pins_for_each_uart():
    assert lines.settings({1: [1, 2, 3], 2: [1]}, b"") == {
        "BMS_BOARD_NUMBERS": '"1-3"',
        "BMS_BOARD_NUMBER": None,
        "UART_2_TX": '"IO17"',
        "UART_2_RX": '"IO18"',
        "UART_2_BOARD_NUMBERS": '"1"',
    }


def test_pins_of_the_settings_stay_and_pins_in_use_are_not_taken():
    assert lines.settings({1: [1], 2: [1, 2]}, OWN) == {
        "BMS_BOARD_NUMBERS": '"1"',
        "BMS_BOARD_NUMBER": None,
        "UART_2_BOARD_NUMBERS": '"1-2"',
    }
    used = lines.settings({1: [1], 2: [1]}, b'WAKE_PIN = "IO17"\n# OLED_SDA = "IO18"\n')
    assert (used["UART_2_TX"], used["UART_2_RX"]) == ('"IO18"', '"IO15"')
    assert lines.settings({1: [], 3: []}, b'UART_3_RX = "IO6"\n') == {"UART_3_TX": '"IO17"', "UART_3_RX": '"IO18"'}


def test_a_real_line_keeps_its_numbers():
    assert lines.settings({1: ()}, OWN) == {} and lines.settings({1: (), 2: ()}, OWN) == {}


def test_a_text_of_the_settings_is_found_unless_it_is_a_comment():
    text = b'# UART_2_RX = "IO1"\nUART_2_RXX = "IO2"\n  UART_2_RX = "IO3" # here\nUART_3_RX = ""\n'
    assert drive.text_of(text, "UART_2_RX") == "IO3"
    assert drive.text_of(text, "UART_3_RX") is None and drive.text_of(text, "UART_1_RX") is None


# What the simulator makes of several texts


def test_several_texts_are_several_boards_each_with_its_own_options():
    bus = connect(["soc=50,board=1", "protocol=p81,board=2,cells=8", "board=3"])
    assert [board.options.board for board in bus.boards] == [1, 2, 3]
    assert [board.options.protocol for board in bus.boards] == [("a5",), ("p81",), ("a5",)]
    assert [board.options.soc for board in bus.boards] == [50, 57.3, 57.3]
    assert len({board.options.seed for board in bus.boards}) == 3, "their cells would be the same"


def test_a_text_may_be_several_boards_itself():
    bus = connect(["boards=2,soc@2=40", "board=7,soc=30"])
    assert [(board.options.board, board.options.soc) for board in bus.boards] == [(1, 57.3), (2, 40), (7, 30)]


def test_what_is_of_the_line_is_made_once_whoever_has_it():
    bus = connect(["board=1", "board=2,noise=10,echo=1"])
    assert [(board.options.noise, board.options.echo) for board in bus.boards] == [(10, 1), (0, 0)]


def test_two_protocols_on_one_line_answer_each_to_its_own():
    bus = connect(["board=1,drift=0,stale=0", "protocol=p81,board=2"])
    a5 = bytes.fromhex("a540900800000000000000007d")
    bus.receive(a5, 0)
    response = bus.transmit(100_000)
    assert response[:3] == bytes.fromhex("a50190")
    request = bytes.fromhex("820300000001")
    bus.receive(request + crc(request), 200_000)
    assert bus.transmit(400_000)[:2] == bytes.fromhex("5203")


def crc(data):
    """Of Modbus, after its specification (V1.02, 6.2.2)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")
