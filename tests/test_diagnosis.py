# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Why there is data from the BMS or not: every code from what has happened, with its words and its two lines on the screen."""

import re
import sys

import pytest

from daly.diagnosis import Diagnosis

# outcomes of a request, and codes of a BMS that has never responded
SILENCE, ECHO, NOISE, UNEXPECTED, EMPTY, LATE = range(6)
ASLEEP_SILENT, ASLEEP_ECHO, ASLEEP_OTHERS, ASLEEP_EMPTY = 10, 11, 13, 14
DETECTING, NO_UART, RULED_OUT_PROTOCOL, RULED_OUT_ADDRESS = 20, 21, 22, 23
OK, RECOVERED, UNSUPPORTED, MIXED = 30, 31, 32, 33
CURRENT_UNSETTLED, CURRENT_CONTRADICTED, MODE_CONTRADICTED = 41, 42, 43
MINUTE = 60000
LAST_TICK = (1 << 29) - 1


class Clock:
    """A Diagnosis and its clock, which wraps."""

    def __init__(self, has_uart=True, start=LAST_TICK - 500):
        self.diagnosis = Diagnosis(has_uart)
        self.now = start
        self.diagnosis.tick(self.now)

    def wait(self, milliseconds):
        while milliseconds:
            step = min(milliseconds, 100000)
            self.now = (self.now + step) & LAST_TICK
            self.diagnosis.tick(self.now)
            milliseconds -= step
        return self

    def fail(self, outcome, times=3):
        for _ in range(times):
            self.diagnosis.failed(outcome)
        return self

    def answer(self, spoken=None):
        self.diagnosis.answered(spoken)
        return self

    def lose(self):
        self.diagnosis.lost()
        return self


def sleeping(outcome):
    clock = Clock().answer().wait(1000).lose()
    return clock.wait(12 * MINUTE).fail(outcome).diagnosis


def never(outcome):
    clock = Clock().fail(outcome)
    clock.diagnosis.note_detection(True)
    return clock.diagnosis


def wrong_host():
    diagnosis = never(SILENCE)
    diagnosis.note_ruled_out("A5", 0x80)
    return diagnosis


def wrong_protocol():
    diagnosis = never(SILENCE)
    diagnosis.note_ruled_out("P81", None)
    return diagnosis


def mixed():
    diagnosis = Clock().answer("").diagnosis
    diagnosis.note_mixed()
    return diagnosis


def supported(functions, cells_unknown=False):
    diagnosis = Clock().answer().diagnosis
    diagnosis.note_unsupported(functions, cells_unknown)
    return diagnosis


def contradicting(trouble):
    diagnosis = Clock().answer().diagnosis
    diagnosis.note_polarity(trouble)
    return diagnosis


STATES = {  # code: how it comes to be, its words, its lines on the screen
    SILENCE: (
        lambda: never(SILENCE),
        "No response, nothing received: check the BMS's power and plug, whether TX and RX are swapped, and on RS485 "
        "BMS_BOARD_NUMBER",
        ("No BMS: check", "power, plug, TX/RX"),
    ),
    ECHO: (
        lambda: never(ECHO),
        "Only our own requests come back: the BMS is asleep (wake it with load, charger or button), or TX and RX are joined",
        ("BMS asleep, or", "TX and RX joined"),
    ),
    NOISE: (
        lambda: never(NOISE),
        "Noise instead of responses: check ground, 3.3 V level, isolator, and UART_BAUD_RATE 9600",
        ("Noise from BMS: check", "ground, level, baud"),
    ),
    UNEXPECTED: (
        lambda: never(UNEXPECTED),
        "Other devices talk on this line, but our board does not respond: check BMS_BOARD_NUMBER",
        ("Other board responds:", "BMS_BOARD_NUMBER?"),
    ),
    EMPTY: (
        lambda: never(EMPTY),
        "The BMS responds with zeros only: it is asleep or confused; wake it with load, charger or button",
        ("BMS sends only zeros:", "asleep?"),
    ),
    LATE: (
        lambda: never(LATE),
        "The responses of the BMS come too late to be used: look for what delays them, such as a serial adapter over Wi-Fi",
        ("BMS responds too late", "adapter in between?"),
    ),
    ASLEEP_SILENT: (
        lambda: sleeping(SILENCE),
        "BMS asleep, or cut off, for 12 min: nothing is received any more; "
        "wake it with load, charger or button, or check its plug",
        ("BMS asleep or cut off", "for 12 min"),
    ),
    ASLEEP_ECHO: (
        lambda: sleeping(ECHO),
        "BMS asleep, or cut off, for 12 min: our requests come back; wake it with load, charger or button, or check its plug",
        ("BMS asleep or cut off", "for 12 min"),
    ),
    ASLEEP_OTHERS: (
        lambda: sleeping(UNEXPECTED),
        "BMS asleep, or cut off, for 12 min: only other devices are heard; "
        "wake it with load, charger or button, or check its plug",
        ("BMS asleep or cut off", "for 12 min"),
    ),
    ASLEEP_EMPTY: (
        lambda: sleeping(EMPTY),
        "BMS asleep, or cut off, for 12 min: it sends only zeros; wake it with load, charger or button, or check its plug",
        ("BMS asleep or cut off", "for 12 min"),
    ),
    DETECTING: (lambda: Clock().diagnosis, "Looking for the BMS", ("Looking for BMS ...", "")),
    NO_UART: (
        lambda: Clock(False).fail(SILENCE, 8).diagnosis,
        "No UART: correct UART_TX and UART_RX in settings.toml",
        ("No BMS: UART_TX or", "UART_RX is wrong"),
    ),
    RULED_OUT_PROTOCOL: (
        wrong_protocol,
        "The BMS responds only to protocol P81: correct or remove BMS_PROTOCOL",
        ("BMS speaks P81:", "BMS_PROTOCOL?"),
    ),
    RULED_OUT_ADDRESS: (
        wrong_host,
        "The BMS responds only to host address 0x80: correct or remove BMS_HOST_ADDRESS",
        ("BMS_HOST_ADDRESS must", "be 0x80"),
    ),
    MIXED: (
        mixed,
        "OK, but a second board answers on this line, with protocol P81: they disturb each other, so give each a UART of its "
        "own; BMS_PROTOCOL decides which one is read",
        (),
    ),
    OK: (lambda: Clock().answer().diagnosis, "OK", ()),
    RECOVERED: (
        lambda: Clock().answer().wait(1000).lose().wait(12 * MINUTE).answer().diagnosis,
        "Recovered: the BMS responds again, after 12 min",
        (),
    ),
    UNSUPPORTED: (
        lambda: supported([0x92, 0x97]),
        "OK, but this BMS does not support 0x92, 0x97: those readings stay unknown",
        (),
    ),
    CURRENT_UNSETTLED: (
        lambda: contradicting(1),
        "OK, but current and mode contradict each other: until 3 A or more have shown for a while which way this board counts, "
        "the current is unknown; CURRENT_SIGN decides it immediately",
        (),
    ),
    CURRENT_CONTRADICTED: (
        lambda: contradicting(2),
        "OK, but the current contradicts the mode, and which of them is right is not known: the current is unknown; "
        "CURRENT_SIGN decides it immediately",
        (),
    ),
    MODE_CONTRADICTED: (
        lambda: contradicting(3),
        "OK, but the mode contradicts the current, whose direction CURRENT_SIGN decides: the mode is unknown",
        (),
    ),
}


@pytest.mark.parametrize("code", STATES)
def test_each_state_has_its_code_its_words_and_its_lines(code):
    make, text, short = STATES[code]
    diagnosis = make()
    assert (diagnosis.code, diagnosis.text, diagnosis.short) == (code, text, short)
    assert diagnosis.online == (code >= OK) and (diagnosis.short == ()) == diagnosis.online
    assert all(len(line) <= 21 for line in diagnosis.short)
    assert len(diagnosis.text) <= 255  # a state of Home Assistant
    assert diagnosis.text.startswith(("OK", "Recovered")) == diagnosis.online


# which of several things it is


@pytest.mark.parametrize("outcome", range(6))
def test_three_requests_of_one_outcome_count(outcome):
    clock = Clock().fail(outcome, 2)
    clock.diagnosis.note_detection(True)
    assert clock.diagnosis.outcome is None and clock.diagnosis.code == DETECTING
    assert clock.fail(outcome, 1).diagnosis.outcome == outcome


def test_silence_counts_only_when_every_address_and_probe_was_tried():
    clock = Clock().fail(SILENCE, 8)
    assert clock.diagnosis.outcome is None and clock.diagnosis.code == DETECTING
    clock.diagnosis.note_detection(False)
    assert clock.diagnosis.outcome is None
    clock.diagnosis.note_detection(True)
    assert clock.diagnosis.outcome == SILENCE
    assert Clock().fail(NOISE).diagnosis.outcome == NOISE  # what is received counts without


@pytest.mark.parametrize(
    ("outcomes", "most"),
    [
        ((SILENCE,) * 5 + (NOISE,) * 3, NOISE),  # what is received tells more than silence
        ((SILENCE,) * 6 + (NOISE,) * 2, SILENCE),
        ((NOISE,) * 3 + (EMPTY,) * 5, EMPTY),
        ((EMPTY,) * 5 + (NOISE,) * 3, EMPTY),
        ((NOISE,) * 4 + (EMPTY,) * 4, EMPTY),
        ((NOISE,) * 5 + (EMPTY,) * 3, NOISE),
        ((NOISE,) * 3 + (SILENCE,) * 14, SILENCE),  # only the last sixteen
        ((EMPTY, SILENCE, SILENCE, SILENCE) * 4, EMPTY),  # of all that are tried only one protocol is answered, with zeros
        ((NOISE,) * 3 + (SILENCE,) * 5, NOISE),
        ((NOISE, EMPTY, ECHO, LATE), SILENCE),
        # on a line that echoes three of four tries of the search find only that
        (((ECHO,) * 3 + (EMPTY,)) * 3, EMPTY),
        (((ECHO,) * 3 + (UNEXPECTED,)) * 3, UNEXPECTED),
        (((ECHO,) * 3 + (NOISE,)) * 3, ECHO),
    ],
)
def test_the_outcome_of_most_of_the_last_sixteen_requests(outcomes, most):
    clock = Clock()
    clock.diagnosis.note_detection(True)
    for outcome in outcomes:
        clock.fail(outcome, 1)
    assert clock.diagnosis.outcome == most


def test_a_response_ends_what_was_before():
    clock = Clock().fail(NOISE, 8).answer().lose()
    assert clock.diagnosis.outcome is None
    assert clock.fail(SILENCE, 3).diagnosis.outcome == SILENCE


@pytest.mark.parametrize(
    ("outcome", "asleep"),
    [(SILENCE, True), (ECHO, True), (NOISE, False), (UNEXPECTED, True), (EMPTY, True), (LATE, False)],
)
def test_asleep_is_a_bms_that_has_worked_and_sends_nothing_of_its_own(outcome, asleep):
    diagnosis = sleeping(outcome)
    assert diagnosis.asleep == asleep and diagnosis.code == (10 + outcome if asleep else outcome)
    assert not never(outcome).asleep
    assert not Clock().answer().fail(outcome).diagnosis.asleep  # it is online


def test_what_is_wrong_with_the_settings_comes_before_what_is_received():
    diagnosis = never(UNEXPECTED)
    diagnosis.note_ruled_out("D2", None)
    assert diagnosis.code == RULED_OUT_PROTOCOL
    no_uart = Clock(False).diagnosis
    no_uart.note_ruled_out("D2", None)
    assert no_uart.code == NO_UART
    no_uart.answered()
    assert no_uart.code == OK


def test_a_response_ends_what_the_settings_rule_out_but_not_a_second_board():
    for diagnosis in (wrong_host(), wrong_protocol()):
        diagnosis.answered()
        diagnosis.lost()
        assert diagnosis.code == DETECTING
    clock = Clock().answer("")
    clock.diagnosis.note_mixed()
    clock.lose().wait(1000).answer("")
    assert clock.diagnosis.code == RECOVERED
    assert clock.wait(MINUTE).diagnosis.code == MIXED and clock.diagnosis.is_mixed


def test_what_works_in_spite_of_something():
    diagnosis = supported([0x94], True)
    assert diagnosis.text == (
        "OK, but this BMS does not support 0x94: those readings stay unknown"
        "; set BMS_CELL_COUNT and BMS_TEMPERATURE_COUNT to see the cells"
    )
    diagnosis.note_polarity(2)
    assert diagnosis.code == CURRENT_CONTRADICTED
    diagnosis.note_polarity(0)
    diagnosis.note_unsupported([], False)
    assert diagnosis.code == OK
    assert Clock().answer("at host address 0x80").diagnosis.text == "OK, at host address 0x80"
    assert Clock().answer("with protocol P81").answer().diagnosis.text == "OK, with protocol P81"
    assert Clock().answer("with protocol P81").answer("").diagnosis.text == "OK"


# how long


def test_a_recovery_is_reported_for_a_minute():
    clock = Clock().answer().wait(5000).lose().wait(30000).answer()
    clock.diagnosis.note_polarity(2)
    assert clock.wait(MINUTE - 1).diagnosis.code == RECOVERED
    assert clock.diagnosis.text == "Recovered: the BMS responds again, after less than 1 min"
    assert clock.wait(1).diagnosis.code == CURRENT_CONTRADICTED


def test_the_first_response_since_power_on_is_no_recovery():
    clock = Clock().fail(SILENCE, 8).wait(10 * MINUTE).answer()
    assert clock.diagnosis.code == OK


def test_a_bms_that_responds_all_the_time_has_not_recovered():
    clock = Clock().answer()
    for _ in range(10):
        assert clock.wait(5000).answer().diagnosis.code == OK


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(MINUTE - 1, "less than 1 min"), (MINUTE, "1 min"), (120 * MINUTE - 1, "119 min"), (120 * MINUTE, "2 h"),
     (48 * 60 * MINUTE - 1, "47 h"), (48 * 60 * MINUTE, "2 days"), (30 * 24 * 60 * MINUTE, "30 days")],
)  # fmt: skip
def test_durations_in_words_also_when_the_ticks_have_wrapped(milliseconds, words):
    clock = Clock().answer().wait(1000).lose().fail(SILENCE).wait(milliseconds)
    assert clock.diagnosis.short == ("BMS asleep or cut off", f"for {words}")
    assert len(clock.diagnosis.short[1]) <= 21
    clock.answer()
    assert clock.diagnosis.text == f"Recovered: the BMS responds again, after {words}"


def test_words_for_which_there_was_no_memory_are_looked_up_again(monkeypatch):
    diagnosis = Diagnosis(has_uart=False)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "daly.words", None)  # as if it could not be loaded
        with pytest.raises(ImportError):
            diagnosis.text  # noqa: B018
    assert "UART_TX" in diagnosis.text


@pytest.mark.parametrize(
    ("outcome", "uart", "number", "keys", "line"),
    [
        (UNEXPECTED, 1, 0, {"BMS_BOARD_NUMBER"}, "BMS_BOARD_NUMBER?"),
        (UNEXPECTED, 1, 4, {"BMS_BOARD_NUMBERS"}, "BMS_BOARD_NUMBERS?"),
        (UNEXPECTED, 2, 0, {"UART_2_BOARD_NUMBERS"}, "UART_2_BOARD_NUMBERS?"),
        (SILENCE, 3, 4, {"UART_3_BOARD_NUMBERS"}, "power, plug, TX/RX"),
        (NOISE, 2, 0, {"UART_2_BAUD_RATE"}, "ground, level, baud"),
    ],
)
def test_the_settings_named_are_those_of_its_uart(outcome, uart, number, keys, line):
    diagnosis = never(outcome)
    diagnosis.note_uart(uart)
    diagnosis.note_number(number)
    assert set(re.findall(r"[A-Z]+_[A-Z0-9_]+", diagnosis.text)) == keys and diagnosis.short[1] == line


def test_a_protocol_ruled_out_on_another_uart_names_its_setting():
    diagnosis = wrong_protocol()
    diagnosis.note_uart(2)
    assert diagnosis.text == "The BMS responds only to protocol P81: correct or remove UART_2_PROTOCOL"
    assert diagnosis.short == ("BMS speaks P81:", "UART_2_PROTOCOL?")


def test_pins_that_are_wrong_are_those_of_its_uart():
    diagnosis = Diagnosis(has_uart=False)
    diagnosis.note_uart(3)
    assert diagnosis.text == "No UART: correct UART_3_TX and UART_3_RX in settings.toml"
    assert all(len(line) <= 21 for line in diagnosis.short)
