# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Victron's codes in words. Loaded when a code has changed, then removed from memory.

The codes are those of Victron's paper "VE.Direct Protocol": CS, MPPT, ERR, and the bits of AR and OR. One that is not in it is
told as a number; of a state and a tracker, which are one of some words, as "other".
"""

a = {
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
b = {
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



def c(name):
    """All words of a table of codes, as a tuple."""
    return tuple([a[name][b] for b in sorted(a[name])] + ['other'])


def e(name, c):
    """The words of a code, or of all bits that are set in it; "none": of 0, where that means nothing."""
    if name in b:
        return d(b[name], c)
    e = a[name].get(c)
    if e is not None:
        return e
    return f"error {c}" if name == "error" else 'other'


def d(a, b):
    c = [a[d] for d in range(len(a)) if b >> d & 1]
    if b >> len(a):
        c.append(f"0x{b >> len(a) << len(a):X}")
    return ", ".join(c) or "none"
