# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What Victron's devices send by VE.Direct, as rows. Loaded when a device is found, then removed from memory.

Labels, units and codes are from Victron's paper "VE.Direct Protocol". A history value of a monitor that only its display needs
has no row.
"""

from battery.readings import DIAGNOSTIC, DISABLED
from battery.sources import binary, enum, number, text

from .vedirect import label_code
from .vedirect_words import options_of

_ALIKE = {0x300, 0xA066, 0xA067, 0xA06F, 0xA070, 0xA071, 0xA072}  # BlueSolar beside the ranges below


def title_and_model(pid, model, is_monitor):
    """(kind of the device, its model). `pid`: Victron's product number; `model`: what a monitor calls itself, or None."""
    if is_monitor:
        model = model or f"PID 0x{pid:X}"
        if 0xA389 <= pid <= 0xA38B or model.startswith("SmartShunt"):
            return "SmartShunt", model
        return "BMV", model if model.startswith("PID") else "BMV-" + model
    if pid in _ALIKE or 0xA040 <= pid <= 0xA04F or 0xA076 <= pid <= 0xA07D:
        return "BlueSolar", f"BlueSolar MPPT, PID 0x{pid:X}"
    if 0xA050 <= pid <= 0xA1FF:
        return "SmartSolar", f"SmartSolar MPPT, PID 0x{pid:X}"
    return "VE.Direct", f"PID 0x{pid:X}"


def rows_of(is_monitor):
    """A list of (label code, Row, name of its words or None). Units on the line are mV, mA, mAh and per mille."""
    return [(label_code(label), row, words) for label, row, words in (_monitor() if is_monitor else _charger()) + _device()]


def _monitor():
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


def _charger():
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


def _device():
    return [
        (b"FW", text("firmware", "Firmware", "chip", DIAGNOSTIC), None),
        (b"SER#", text("serial_number", "Serial number", "identifier", DIAGNOSTIC), None),
        (b"PID", text("product_id", "Product ID", "identifier", DISABLED), None),
    ]
