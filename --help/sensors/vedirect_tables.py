# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What Victron's devices send by VE.Direct, as rows. Loaded when a device is found, then removed from memory.

Labels, units and codes are from Victron's paper "VE.Direct Protocol". A history value of a monitor that only its display needs
has no row.
"""


from battery.sources import d, enum, number, text

from .vedirect import a
from .vedirect_words import c

b = {0x300, 0xA066, 0xA067, 0xA06F, 0xA070, 0xA071, 0xA072}  # BlueSolar beside the ranges below


def h(c, a, d):
    """(kind of the device, its model). `pid`: Victron's product number; `model`: what a monitor calls itself, or None."""
    if d:
        a = a or f"PID 0x{c:X}"
        if 0xA389 <= c <= 0xA38B or a.startswith("SmartShunt"):
            return "SmartShunt", a
        return "BMV", a if a.startswith("PID") else "BMV-" + a
    if c in b or 0xA040 <= c <= 0xA04F or 0xA076 <= c <= 0xA07D:
        return "BlueSolar", f"BlueSolar MPPT, PID 0x{c:X}"
    if 0xA050 <= c <= 0xA1FF:
        return "SmartSolar", f"SmartSolar MPPT, PID 0x{c:X}"
    return "VE.Direct", f"PID 0x{c:X}"


def e(b):
    """A list of (label code, Row, name of its words or None). Units on the line are mV, mA, mAh and per mille."""
    return [(a(c), d, e) for c, d, e in (g() if b else f()) + _device()]


def g():
    return [
        (b"V", number("voltage", "Voltage", "V", 3, 20, "voltage"), None),
        (b"I", number("current", "Current", "A", 3, 50, "current"), None),
        (b"P", number("power", "Power", "W", 0, 2, "power"), None),
        (b"SOC", number("soc", "State of charge", "%", 1, 1, "battery"), None),
        (b"CE", number("consumed_charge", "Consumed charge", "Ah", 3, 100, None, "battery-minus"), None),
        (b"TTG", number("time_to_go", "Time to go", "min", 0, 5, "duration"), None),
        (b"Alarm", d("alarm", "Alarm", "problem"), None),
        (b"AR", text("alarm_reason", "Alarm reason", "alert"), "alarm"),
        (b"Relay", d("relay", "Relay", None, "electric-switch", 1), None),
        (b"T", number("temperature", "Battery temperature", "°C", 0, 1, "temperature"), None),
        (b"VS", number("starter_voltage", "Starter battery voltage", "V", 3, 20, "voltage"), None),
        (b"VM", number("midpoint_voltage", "Midpoint voltage", "V", 3, 20, "voltage"), None),
        (b"DM", number("midpoint_deviation", "Midpoint deviation", "%", 1, 1, None, "scale-unbalanced"), None),
        (b"H18", number("charged_energy", "Charged energy", "kWh", 2, 1, "energy", None, 1, True), None),
        (b"H17", number("discharged_energy", "Discharged energy", "kWh", 2, 1, "energy", None, 1, True), None),
        (b"H1", number("deepest_discharge", "Deepest discharge", "Ah", 3, 100, None, "battery-10", 2), None),
        (b"H2", number("last_discharge", "Last discharge", "Ah", 3, 100, None, "battery-30", 2), None),
        (b"H3", number("average_discharge", "Average discharge", "Ah", 3, 100, None, "battery-50", 2), None),
        (b"H4", number("charge_cycles", "Charge cycles", "", 0, 1, None, "counter", 2), None),
        (b"H5", number("full_discharges", "Full discharges", "", 0, 1, None, "counter", 2), None),
        (b"H6", number("drawn_charge", "Drawn charge", "Ah", 3, 100, None, "battery-minus", 2), None),
        (b"H7", number("lowest_voltage", "Lowest voltage", "V", 3, 1, "voltage", None, 2), None),
        (b"H8", number("highest_voltage", "Highest voltage", "V", 3, 1, "voltage", None, 2), None),
        (b"H9", number("since_full", "Time since full", "s", 0, 60, "duration", None, 2), None),
        (b"H10", number("synchronizations", "Synchronizations", "", 0, 1, None, "counter", 2), None),
        (b"H11", number("low_voltage_alarms", "Low voltage alarms", "", 0, 1, None, "counter", 2), None),
        (b"H12", number("high_voltage_alarms", "High voltage alarms", "", 0, 1, None, "counter", 2), None),
    ]


def f():
    return [
        (b"V", number("voltage", "Voltage", "V", 3, 20, "voltage"), None),
        (b"I", number("current", "Current", "A", 3, 50, "current"), None),
        (b"VPV", number("pv_voltage", "PV voltage", "V", 3, 200, "voltage"), None),
        (b"PPV", number("pv_power", "PV power", "W", 0, 2, "power"), None),
        (b"CS", enum("state", "State", c("state"), "state-machine"), "state"),
        (b"MPPT", enum("tracker", "Tracker", c("tracker"), "solar-power"), "tracker"),
        (b"ERR", text("error", "Error", "alert"), "error"),
        (b"OR", text("off_reason", "Off because of", "power-off"), "off"),
        (b"LOAD", d("load", "Load output", "power"), None),
        (b"IL", number("load_current", "Load current", "A", 3, 50, "current"), None),
        (b"Relay", d("relay", "Relay", None, "electric-switch", 1), None),
        (b"H20", number("yield_today", "Yield today", "kWh", 2, 1, "energy", None, 0, True), None),
        (b"H19", number("total_yield", "Total yield", "kWh", 2, 1, "energy", None, 0, True), None),
        (b"H21", number("max_power_today", "Maximum power today", "W", 0, 1, "power", None, 1), None),
        (b"H22", number("yield_yesterday", "Yield yesterday", "kWh", 2, 1, None, "solar-power", 1), None),
        (b"H23", number("max_power_yesterday", "Maximum power yesterday", "W", 0, 1, "power", None, 1), None),
    ]


def _device():
    return [
        (b"FW", text("firmware", "Firmware", "chip", 1), None),
        (b"SER#", text("serial_number", "Serial number", "identifier", 1), None),
        (b"PID", text("product_id", "Product ID", "identifier", 2), None),
    ]
