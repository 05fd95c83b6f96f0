# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Victron's codes in words. Loaded when a code has changed, then removed from memory.

The codes are those of Victron's paper "VE.Direct Protocol": CS, MPPT, ERR, and the bits of AR and OR. One that is not in it is
told as a number; of a state and a tracker, which are one of some words, as "other".
"""

_CODES = {
    "state": {
        0: "off",
        1: "low power",
        2: "fault",
        3: "bulk",
        4: "absorption",
        5: "float",
        6: "storage",
        7: "equalize",
        9: "inverting",
        11: "power supply",
        245: "starting up",
        246: "repeated absorption",
        247: "auto equalize",
        248: "battery safe",
        252: "external control",
    },
    "tracker": {0: "off", 1: "limited", 2: "active"},
    "error": {
        0: "none",
        2: "battery voltage too high",
        17: "charger temperature too high",
        18: "charger current too high",
        19: "charger current reversed",
        20: "bulk time limit exceeded",
        21: "current sensor",
        26: "terminals overheated",
        28: "converter",
        33: "PV voltage too high",
        34: "PV current too high",
        38: "input shut down: battery voltage too high",
        39: "input shut down: current flows while off",
        65: "another device does not communicate",
        66: "synchronized charging: settings differ",
        67: "BMS connection lost",
        68: "network settings",
        116: "calibration data lost",
        117: "firmware does not fit",
        119: "settings lost",
    },
}
_BITS = {
    "alarm": (
        "low voltage",
        "high voltage",
        "low state of charge",
        "low starter voltage",
        "high starter voltage",
        "low temperature",
        "high temperature",
        "midpoint voltage",
        "overload",
        "DC ripple",
        "low AC voltage",
        "high AC voltage",
        "short circuit",
        "BMS lockout",
    ),
    "off": (
        "no input power",
        "power switch",
        "device mode",
        "remote input",
        "protection",
        "PAYGo",
        "BMS",
        "engine shutdown detection",
        "analysing input voltage",
    ),
}
_OTHER = "other"


def options_of(name):
    """All words of a table of codes, as a tuple."""
    return tuple([_CODES[name][code] for code in sorted(_CODES[name])] + [_OTHER])


def words_of(name, number):
    """The words of a code, or of all bits that are set in it; "none": of 0, where that means nothing."""
    if name in _BITS:
        return _words_of_bits(_BITS[name], number)
    word = _CODES[name].get(number)
    if word is not None:
        return word
    return f"error {number}" if name == "error" else _OTHER


def _words_of_bits(words, number):
    found = [words[bit] for bit in range(len(words)) if number >> bit & 1]
    if number >> len(words):
        found.append(f"0x{number >> len(words) << len(words):X}")
    return ", ".join(found) or "none"
