# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Runs a public PyPI reader against a serial port and prints every refresh as one JSON line; for campaigns/bench.py.

Runs in an environment of the readers' own: imports nothing of this project. `python readers.py dalybms|pydalybms PORT SECONDS`.
"""

import json
import logging
import resource
import sys
import time


def dalybms(port):
    """Everything dalybms 0.5.0 reads, as {our key: value}; raises what it raises."""
    from dalybms import DalyBMS

    logging.disable(logging.CRITICAL)
    bms = DalyBMS()
    bms.connect(port)

    def refresh():
        data = bms.get_all()
        if not data["soc"] or not data["cell_voltages"]:
            return None
        values = {"pack_voltage": data["soc"]["total_voltage"], "soc": data["soc"]["soc_percent"]}
        values["current"] = -data["soc"]["current"]
        return values | {f"cell_{n}_voltage": volts for n, volts in data["cell_voltages"].items()}

    return refresh


def pydalybms(port):
    """Everything pydalybms 0.1.0 reads: no 0x93, 0x96, 0x97."""
    from pydalybms import DalyBMS

    bms = DalyBMS(port)

    def refresh():
        soc = bms.get_soc()
        bms.get_voltage_min_max_cell()
        bms.get_temperature_min_max_cell()
        count = bms.get_status_information().cells
        cells = bms.get_cell_voltages(count).cells
        bms.get_battery_failure_status()
        values = {"pack_voltage": soc.cumulative_total_voltage, "soc": soc.soc, "current": -soc.current}
        return values | {f"cell_{n + 1}_voltage": volts for n, volts in enumerate(cells)}

    return refresh


def main():
    """Refresh for the given time."""
    name, port, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    refresh = {"dalybms": dalybms, "pydalybms": pydalybms}[name](port)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            values = refresh()
        except Exception:  # a failed refresh is a lost one, whatever the reason
            values = None
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = usage.ru_utime + usage.ru_stime
        print(json.dumps({"t": time.monotonic(), "cpu": cpu, "values": values}), flush=True)


if __name__ == "__main__":
    main()
