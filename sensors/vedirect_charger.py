# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a solar charger sends by VE.Direct, as rows. Loaded when one is found, then removed from memory."""

from battery.readings import DIAGNOSTIC
from battery.sources import binary, enum, number, text

from .vedirect_words import options_of


def rows():
    """A list of (label, Row, name of its words or None). Units on the line are mV, mA and W."""
    return [
        (b"V", number("voltage", "Voltage", "V", 3, 20, "voltage"), None),
        (b"I", number("current", "Current", "A", 3, 50, "current"), None),
        (b"VPV", number("pv_voltage", "PV voltage", "V", 3, 200, "voltage"), None),
        (b"PPV", number("pv_power", "PV power", "W", 0, 2, "power"), None),
        (b"CS", enum("state", "State", options_of("state"), "state-machine"), "state"),
        (b"MPPT", enum("tracker", "Tracker", options_of("tracker"), "solar-power"), "tracker"),
        (b"ERR", text("error", "Error", "alert"), "error"),
        (b"OR", text("off_reason", "Off because of", "power-off"), "off"),
        (b"LOAD", binary("load", "Load output", "power"), None),
        (b"IL", number("load_current", "Load current", "A", 3, 50, "current"), None),
        (b"Relay", binary("relay", "Relay", None, "electric-switch", DIAGNOSTIC), None),
        (b"H20", number("yield_today", "Yield today", "kWh", 2, 1, "energy", None, 0, True), None),
        (b"H19", number("total_yield", "Total yield", "kWh", 2, 1, "energy", None, 0, True), None),
        (b"H21", number("max_power_today", "Maximum power today", "W", 0, 1, "power", None, DIAGNOSTIC), None),
        (b"H22", number("yield_yesterday", "Yield yesterday", "kWh", 2, 1, None, "solar-power", DIAGNOSTIC), None),
        (b"H23", number("max_power_yesterday", "Maximum power yesterday", "W", 0, 1, "power", None, DIAGNOSTIC), None),
    ]
