# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a battery monitor sends by VE.Direct, as rows. Loaded when one is found, then removed from memory.

A history value that only its display needs has no row.
"""

from battery.readings import DIAGNOSTIC, DISABLED
from battery.sources import binary, number, text


def rows():
    """A list of (label, Row, name of its words or None). Units on the line are mV, mA, mAh and per mille."""
    return [
        (b"V", number("voltage", "Voltage", "V", 3, 20, "voltage"), None),
        (b"I", number("current", "Current", "A", 3, 50, "current"), None),
        (b"P", number("power", "Power", "W", 0, 2, "power"), None),
        (b"SOC", number("soc", "State of charge", "%", 1, 1, "battery"), None),
        (b"CE", number("consumed_charge", "Consumed charge", "Ah", 3, 100, None, "battery-minus"), None),
        (b"TTG", number("time_to_go", "Time to go", "min", 0, 5, "duration"), None),
        (b"Alarm", binary("alarm", "Alarm", "problem"), None),
        (b"AR", text("alarm_reason", "Alarm reason", "alert"), "alarm"),
        (b"Relay", binary("relay", "Relay", None, "electric-switch", DIAGNOSTIC), None),
        (b"T", number("temperature", "Battery temperature", "°C", 0, 1, "temperature"), None),
        (b"VS", number("starter_voltage", "Starter battery voltage", "V", 3, 20, "voltage"), None),
        (b"VM", number("midpoint_voltage", "Midpoint voltage", "V", 3, 20, "voltage"), None),
        (b"DM", number("midpoint_deviation", "Midpoint deviation", "%", 1, 1, None, "scale-unbalanced"), None),
        (b"H18", number("charged_energy", "Charged energy", "kWh", 2, 1, "energy", None, DIAGNOSTIC, True), None),
        (b"H17", number("discharged_energy", "Discharged energy", "kWh", 2, 1, "energy", None, DIAGNOSTIC, True), None),
        (b"H1", number("deepest_discharge", "Deepest discharge", "Ah", 3, 100, None, "battery-10", DISABLED), None),
        (b"H2", number("last_discharge", "Last discharge", "Ah", 3, 100, None, "battery-30", DISABLED), None),
        (b"H3", number("average_discharge", "Average discharge", "Ah", 3, 100, None, "battery-50", DISABLED), None),
        (b"H4", number("charge_cycles", "Charge cycles", "", 0, 1, None, "counter", DISABLED), None),
        (b"H5", number("full_discharges", "Full discharges", "", 0, 1, None, "counter", DISABLED), None),
        (b"H6", number("drawn_charge", "Drawn charge", "Ah", 3, 100, None, "battery-minus", DISABLED), None),
        (b"H7", number("lowest_voltage", "Lowest voltage", "V", 3, 1, "voltage", None, DISABLED), None),
        (b"H8", number("highest_voltage", "Highest voltage", "V", 3, 1, "voltage", None, DISABLED), None),
        (b"H9", number("since_full", "Time since full", "s", 0, 60, "duration", None, DISABLED), None),
        (b"H10", number("synchronizations", "Synchronizations", "", 0, 1, None, "counter", DISABLED), None),
        (b"H11", number("low_voltage_alarms", "Low voltage alarms", "", 0, 1, None, "counter", DISABLED), None),
        (b"H12", number("high_voltage_alarms", "High voltage alarms", "", 0, 1, None, "counter", DISABLED), None),
    ]
