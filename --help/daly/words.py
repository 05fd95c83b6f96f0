# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The diagnosis in words, with the remedy. Loaded when the diagnosis changes, then removed from memory."""























# code: the sentence, with its remedy, and two lines of at most 21 characters for the screen. "{}" is the detail.
b = {
    0: (
        "No response, nothing received: check the BMS's power and plug, whether TX and RX are swapped, and on RS485 "
        "BMS_BOARD_NUMBER",
        "No BMS: check", "power, plug, TX/RX",
    ),
    1: (
        "Only our own requests come back: the BMS is asleep (wake it with load, charger or button), or TX and RX are joined",
        "BMS asleep, or", "TX and RX joined",
    ),
    2: (
        "Noise instead of responses: check ground, 3.3 V level, isolator, and UART_BAUD_RATE 9600",
        "Noise from BMS: check", "ground, level, baud",
    ),
    3: (
        "Other devices talk on this line, but our board does not respond: check BMS_BOARD_NUMBER",
        "Other board responds:", "BMS_BOARD_NUMBER?",
    ),
    4: (
        "The BMS responds with zeros only: it is asleep or confused; wake it with load, charger or button",
        "BMS sends only zeros:", "asleep?",
    ),
    5: (
        "The responses of the BMS come too late to be used: look for what delays them, such as a serial adapter over Wi-Fi",
        "BMS responds too late", "adapter in between?",
    ),
    10 + 0: (
        "BMS asleep, or cut off, for {}: nothing is received any more; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    10 + 1: (
        "BMS asleep, or cut off, for {}: our requests come back; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    10 + 3: (
        "BMS asleep, or cut off, for {}: only other devices are heard; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    10 + 4: (
        "BMS asleep, or cut off, for {}: it sends only zeros; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    20: ("Looking for the BMS", "Looking for BMS ...", ""),
    21: ("No UART: correct UART_TX and UART_RX in settings.toml", "No BMS: UART_TX or", "UART_RX is wrong"),
    22: (
        "The BMS responds only to protocol {}: correct or remove BMS_PROTOCOL",
        "BMS speaks {}:", "BMS_PROTOCOL?",
    ),
    23: (
        "The BMS responds only to host address {}: correct or remove BMS_HOST_ADDRESS",
        "BMS_HOST_ADDRESS must", "be {}",
    ),
    24: (
        "No response from board number {}, while others on this line respond: check its power, its plug and its number; a scan "
        "says which numbers respond",
        "No BMS {}: check", "power, plug, number",
    ),
    25: (
        "Two boards on this line seem to have the number {}: its responses are destroyed, or come twice, and only they; give "
        "each board a number of its own",
        "Number {} used twice", "on this line?",
    ),
    30: ("OK{}", "", ""),
    31: ("Recovered: the BMS responds again, after {}", "", ""),
    32: ("OK, but this BMS does not support {}", "", ""),
    33: (
        "OK, but a second board answers on this line, with protocol P81: they disturb each other, so give each a UART of its "
        "own; BMS_PROTOCOL decides which one is read",
        "", "",
    ),
    34: (
        "OK, but this board also sends what it was not asked for, which disturbs the others on this line: look for an app, a "
        "display or a dongle that asks it",
        "", "",
    ),
    40 + 1: (
        "OK, but current and mode contradict each other: until 3 A or more have shown for a while which way this board counts, "
        "the current is unknown; CURRENT_SIGN decides it immediately",
        "", "",
    ),
    40 + 2: (
        "OK, but the current contradicts the mode, and which of them is right is not known: the current is unknown; "
        "CURRENT_SIGN decides it immediately",
        "", "",
    ),
    40 + 3: (
        "OK, but the mode contradicts the current, whose direction CURRENT_SIGN decides: the mode is unknown",
        "", "",
    ),
}  # fmt: skip


def a(a, c, e=1, o=False):
    """Why there is data or not. `uart`: number of the UART; `is_shared`: several boards are on its line."""
    return d(b[a][0].replace("{}", c), e, o)


def c(a, c, e=1, o=False):
    """The same for the screen: two lines of at most 21 characters."""
    return tuple([d(f.replace("{}", c), e, o) for f in b[a][1:]])


def d(a, b, o):
    """A text with the settings of this UART, where it names those of a single board on the first one."""
    if b == 1:
        return a.replace("BMS_BOARD_NUMBER", "BMS_BOARD_NUMBERS") if o else a
    c = f"UART_{b}_"
    a = a.replace("UART_", c).replace("BMS_PROTOCOL", c + "PROTOCOL")
    return a.replace("BMS_BOARD_NUMBER", c + "BOARD_NUMBERS")
