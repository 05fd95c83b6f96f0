# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The diagnosis in words, with the remedy. Loaded when the diagnosis changes, then removed from memory."""

from .diagnosis import (
    ABSENT,
    ASLEEP,
    BABBLING,
    DOUBLED,
    ECHO,
    EMPTY,
    LATE,
    MIXED,
    NO_UART,
    NOISE,
    OK,
    POLARITY,
    RECOVERED,
    RULED_OUT_ADDRESS,
    RULED_OUT_PROTOCOL,
    SILENCE,
    UNEXPECTED,
    UNSUPPORTED,
)

# code: the sentence, with its remedy, and two lines of at most 21 characters for the screen. "{}" is the detail.
_WORDS = {
    SILENCE: (
        "No response, nothing received: check the BMS's power and plug, whether TX and RX are swapped, and on RS485 "
        "BMS_BOARD_NUMBER",
        "No BMS: check", "power, plug, TX/RX",
    ),
    ECHO: (
        "Only our own requests come back: the BMS is asleep (wake it with load, charger or button), or TX and RX are joined",
        "BMS asleep, or", "TX and RX joined",
    ),
    NOISE: (
        "Noise instead of responses: check ground, 3.3 V level, isolator, and UART_BAUD_RATE 9600",
        "Noise from BMS: check", "ground, level, baud",
    ),
    UNEXPECTED: (
        "Other devices talk on this line, but our board does not respond: check BMS_BOARD_NUMBER",
        "Other board responds:", "BMS_BOARD_NUMBER?",
    ),
    EMPTY: (
        "The BMS responds with zeros only: it is asleep or confused; wake it with load, charger or button",
        "BMS sends only zeros:", "asleep?",
    ),
    LATE: (
        "The responses of the BMS come too late to be used: look for what delays them, such as a serial adapter over Wi-Fi",
        "BMS responds too late", "adapter in between?",
    ),
    ASLEEP + SILENCE: (
        "BMS asleep, or cut off, for {}: nothing is received any more; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    ASLEEP + ECHO: (
        "BMS asleep, or cut off, for {}: our requests come back; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    ASLEEP + UNEXPECTED: (
        "BMS asleep, or cut off, for {}: only other devices are heard; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    ASLEEP + EMPTY: (
        "BMS asleep, or cut off, for {}: it sends only zeros; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    NO_UART: ("No UART: correct UART_TX and UART_RX in settings.toml", "No BMS: UART_TX or", "UART_RX is wrong"),
    RULED_OUT_PROTOCOL: (
        "The BMS responds only to protocol {}: correct or remove BMS_PROTOCOL",
        "BMS speaks {}:", "BMS_PROTOCOL?",
    ),
    RULED_OUT_ADDRESS: (
        "The BMS responds only to host address {}: correct or remove BMS_HOST_ADDRESS",
        "BMS_HOST_ADDRESS must", "be {}",
    ),
    ABSENT: (
        "No response from board number {}, while others on this line respond: check its power, its plug and its number; a scan "
        "says which numbers respond",
        "No BMS {}: check", "power, plug, number",
    ),
    DOUBLED: (
        "Two boards on this line seem to have the number {}: its responses are destroyed, or come twice, and only they; give "
        "each board a number of its own",
        "Number {} used twice", "on this line?",
    ),
    OK: ("OK{}", "", ""),
    RECOVERED: ("Recovered: the BMS responds again, after {}", "", ""),
    UNSUPPORTED: ("OK, but this BMS does not support {}", "", ""),
    MIXED: (
        "OK, but a second board answers on this line, with protocol P81: they disturb each other, so give each a UART of its "
        "own; BMS_PROTOCOL decides which one is read",
        "", "",
    ),
    BABBLING: (
        "OK, but this board also sends what it was not asked for, which disturbs the others on this line: look for an app, a "
        "display or a dongle that asks it",
        "", "",
    ),
    POLARITY + 1: (
        "OK, but current and mode contradict each other: until 3 A or more have shown for a while which way this board counts, "
        "the current is unknown; CURRENT_SIGN decides it immediately",
        "", "",
    ),
    POLARITY + 2: (
        "OK, but the current contradicts the mode, and which of them is right is not known: the current is unknown; "
        "CURRENT_SIGN decides it immediately",
        "", "",
    ),
    POLARITY + 3: (
        "OK, but the mode contradicts the current, whose direction CURRENT_SIGN decides: the mode is unknown",
        "", "",
    ),
}  # fmt: skip


def sentence(code, detail, uart=1, is_shared=False):
    """Why there is data or not. `uart`: number of the UART; `is_shared`: several boards are on its line."""
    return _of_uart(_WORDS[code][0].replace("{}", detail), uart, is_shared)


def lines(code, detail, uart=1, is_shared=False):
    """The same for the screen: two lines of at most 21 characters."""
    return tuple([_of_uart(line.replace("{}", detail), uart, is_shared) for line in _WORDS[code][1:]])


def _of_uart(text, uart, is_shared):
    """A text with the settings of this UART, where it names those of a single board on the first one."""
    if uart == 1:
        return text.replace("BMS_BOARD_NUMBER", "BMS_BOARD_NUMBERS") if is_shared else text
    own = f"UART_{uart}_"
    text = text.replace("UART_", own).replace("BMS_PROTOCOL", own + "PROTOCOL")
    return text.replace("BMS_BOARD_NUMBER", own + "BOARD_NUMBERS")
