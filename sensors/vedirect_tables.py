# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What Victron's devices are called, and what all of them send by VE.Direct, as rows. Loaded when a device is found, then
removed from memory: apart from vedirect_monitor.py or vedirect_charger.py, as each holds the loop up for a moment.

Labels, units and codes are from Victron's paper "VE.Direct Protocol".
"""

from battery.readings import DIAGNOSTIC, DISABLED
from battery.sources import text

_ALIKE = {0x300, 0xA066, 0xA067, 0xA06F, 0xA070, 0xA071, 0xA072}  # BlueSolar beside the ranges below


def title_and_model(pid, model, is_monitor):
    """(kind of the device, its model). `pid`: Victron's product number, 0 of an old device without one; `model`: what a monitor
    calls itself, or None.
    """
    if not pid:
        return ("BMV", "BMV-" + model if model else "BMV") if is_monitor else ("VE.Direct", "VE.Direct")
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
    """A list of (label, Row, name of its words or None): of the device, and of all."""
    if is_monitor:
        from .vedirect_monitor import rows
    else:
        from .vedirect_charger import rows

    return rows() + device_rows()


def device_rows():
    """Those of both."""
    return [
        (b"FW", text("firmware", "Firmware", "chip", DIAGNOSTIC), None),
        (b"SER#", text("serial_number", "Serial number", "identifier", DIAGNOSTIC), None),
        (b"PID", text("product_id", "Product ID", "identifier", DISABLED), None),
    ]
