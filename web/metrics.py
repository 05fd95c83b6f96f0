# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The readings as Prometheus collects them: its text format 0.0.4, its names and base units. Loaded while they are sent.

What is not known now has no line at all: a value that stays would be an old one.
"""

from battery.alarms import LEVEL_NAMES, active
from battery.energy import COUNTERS
from battery.readings import BINARY, NUMBER, OPTIONS, READING

_AT_ONCE = 6  # lines written in one step
# Name without "daly_", help, key of the reading, factor: value = raw * factor / 10**decimals, decimals, label of the cell or
# sensor. Base units: an Ah is 3600 C, a kWh 3600000 J. Names that end in _total are counters.
_READINGS = (
    ("soc_ratio", "State of charge, 1 is full.", "soc", 1, 3, None),
    ("pack_voltage_volts", "Pack voltage.", "pack_voltage", 1, 1, None),
    ("current_amperes", "Current, positive while charging.", "current", 1, 1, None),
    ("power_watts", "Power, positive while charging.", "power", 1, 2, None),
    ("energy_charged_joules_total", "Energy that went into the battery since the start.", "energy_charged", 3600, 0, None),
    ("energy_discharged_joules_total", "Energy that came out of the battery since then.", "energy_discharged", 3600, 0, None),
    ("charge_in_coulombs_total", "Charge that went into the battery since then.", "capacity_charged", 36, 1, None),
    ("charge_out_coulombs_total", "Charge that came out of the battery since then.", "capacity_discharged", 36, 1, None),
    ("remaining_charge_coulombs", "Charge that is left in the battery.", "remaining_capacity", 36, 1, None),
    ("rated_charge_coulombs", "Rated capacity.", "rated_capacity", 36, 1, None),
    ("stored_energy_joules", "Energy that is left in the battery, at its nominal voltage.", "stored_energy", 3600, 0, None),
    ("usable_capacity_joules", "The same of a full battery.", "usable_capacity", 3600, 0, None),
    ("remaining_time_seconds", "Time to full or to empty at the mean current.", "remaining_time", 36, 0, None),
    ("charge_mosfet", "Whether the charge MOSFET conducts.", "charge_mosfet", 1, 0, None),
    ("discharge_mosfet", "Whether the discharge MOSFET conducts.", "discharge_mosfet", 1, 0, None),
    ("problem", "Whether an alarm is active.", "problem", 1, 0, None),
    ("battery_low", "Whether the BMS says that the state of charge is low.", "battery_low", 1, 0, None),
    ("cells", "Number of cells in series.", "cell_count", 1, 0, None),
    ("cycles_total", "Charge cycles, counted by the BMS.", "cycle_count", 1, 0, None),
    ("state_of_health_ratio", "State of health, 1 is new.", "state_of_health", 1, 3, None),
    ("cell_voltage_volts", "Voltage of a cell.", "cell_{}_voltage", 1, 3, b"cell"),
    ("max_cell_voltage_volts", "Voltage of the highest cell.", "max_cell_voltage", 1, 3, None),
    ("min_cell_voltage_volts", "Voltage of the lowest cell.", "min_cell_voltage", 1, 3, None),
    ("cell_voltage_delta_volts", "Highest less lowest cell voltage, of one moment.", "cell_voltage_delta", 1, 3, None),
    ("cell_balancing", "Whether a cell is balancing.", "cell_{}_balancing", 1, 0, b"cell"),
    ("temperature_celsius", "Temperature of a sensor.", "temperature_{}", 1, 0, b"sensor"),
    ("mosfet_temperature_celsius", "Temperature of the MOSFETs.", "mosfet_temperature", 1, 0, None),
    ("board_temperature_celsius", "Temperature of the board of the BMS.", "board_temperature", 1, 0, None),
)
# The same of the bridge itself: key of <base>/state, factor 1
_BRIDGE = (
    ("bridge_uptime_seconds", "Time since the bridge started.", "uptime", 0),
    ("bridge_wifi_signal_dbm", "Signal of the Wi-Fi.", "rssi", 0),
    ("bridge_boots_total", "Boots since the firmware was installed.", "boot_count", 0),
    ("bridge_mqtt_connects_total", "Connections to the broker since the start.", "mqtt_connects", 0),
    ("bridge_frames_total", "Valid frames of the BMS since the start.", "frames_ok", 0),
    ("bridge_checksum_errors_total", "Frames with a wrong checksum.", "checksum_errors", 0),
    ("bridge_timeouts_total", "Requests without a response in time.", "timeouts", 0),
    ("bridge_implausible_values_total", "Values that were not accepted.", "implausible_values", 0),
    ("bridge_poll_cycle_seconds", "Time in which everything is read once.", "poll_cycle", 3),
    ("bridge_oldest_reading_age_seconds", "Age of the oldest reading.", "oldest_reading_age", 3),
    ("bridge_free_memory_bytes", "Free memory.", "free_memory", 0),
)


def metrics_steps(writer, identity, batteries, snapshots, pairs, is_connected, sources):
    """Write everything: a generator of short steps, whose values mean nothing.

    `batteries`: each a Battery, `snapshots`: the Snapshot of each; `pairs`: of <base>/state; `is_connected`: to the broker.
    """
    bridge = b'{bridge="' + _escaped(identity) + b'"'
    labels = [bridge + b',battery="' + battery.key.encode() + b'"' for battery in batteries]
    _head(writer, "up", "Whether the BMS responds.")
    for position in range(len(batteries)):
        _line(writer, "up", labels[position], int(snapshots[position].is_online))
    yield
    _head(writer, "battery_info", "The battery's name in Home Assistant.")
    for position in range(len(batteries)):
        _line(writer, "battery_info", labels[position] + b',name="' + _escaped(batteries[position].name) + b'"', 1)
        yield
    for row in _READINGS:
        yield from _reading_steps(writer, row, batteries, snapshots, labels)
    yield from _mode_steps(writer, snapshots, labels)
    yield from _alarm_steps(writer, snapshots, labels)
    yield from _source_steps(writer, sources, bridge)
    yield from _bridge_steps(writer, pairs, is_connected, bridge)


def _reading_steps(writer, row, batteries, snapshots, labels):
    name, meaning, key, factor, decimals, label = row
    reading = READING[key]
    is_begun = False
    left = _AT_ONCE
    for position in range(len(snapshots)):
        values = snapshots[position]
        for index in range(values.count(reading) if values.has(reading) else 0):
            raw = values.at(reading, index)
            if raw is None:
                continue
            if key in COUNTERS:
                # After a start the totals are up to an hour old until the broker has been asked. A counter that falls has begun
                # at 0 for Prometheus, which would add all of the total.
                raw = batteries[position].pack.energy.counted(key)
            if not left:
                left = _AT_ONCE
                yield
            left -= 1
            if not is_begun:
                is_begun = True
                _head(writer, name, meaning)
            writer.put(b"daly_").put(name).put(labels[position])
            if label is not None:
                writer.put(b",").put(label).put(b'="').put_decimal(index + 1, 0).put(b'"')
            writer.put(b"} ").put_decimal(raw * factor, decimals).put(b"\n")
    yield


def _mode_steps(writer, snapshots, labels):
    reading = READING["mode"]
    is_begun = False
    for position in range(len(snapshots)):
        raw = snapshots[position].at(reading)
        if raw is None:
            continue
        if not is_begun:
            is_begun = True
            _head(writer, "mode", "1 for the mode in which the battery is, 0 for the others.")
        words = OPTIONS["mode"]
        for index in range(len(words)):
            _line(writer, "mode", labels[position] + b',mode="' + words[index].encode() + b'"', int(index == raw))
        yield


def _alarm_steps(writer, snapshots, labels):
    is_begun = False
    for position in range(len(snapshots)):
        yield
        left = _AT_ONCE
        for name, level in active(snapshots[position]) or ():
            if not left:
                left = _AT_ONCE
                yield
            left -= 1
            if not is_begun:
                is_begun = True
                _head(writer, "alarm_active", "1 for each alarm that is active, at its gravest level.")
            label = f',alarm="{name}",level="{LEVEL_NAMES[level]}"'.encode()
            _line(writer, "alarm_active", labels[position] + label, 1)


def _source_steps(writer, sources, bridge):
    is_begun = False
    for source in sources:
        left = _AT_ONCE
        for row in source.rows:
            if not left:
                left = _AT_ONCE
                yield
            left -= 1
            raw = source.raw(row.key) if row.name is not None and row.kind in (NUMBER, BINARY) else None
            if raw is None:
                continue
            if not is_begun:
                is_begun = True
                _head(writer, "source_value", "A value of an output or a sensor of the bridge, in its unit.")
            label = b',source="' + _escaped(source.key) + b'",key="' + _escaped(row.key) + b'",unit="' + _escaped(row.unit)
            _line(writer, "source_value", bridge + label + b'"', raw, row.decimals)
        yield


def _bridge_steps(writer, pairs, is_connected, bridge):
    known = dict(pairs)
    _head(writer, "bridge_info", "The version of the firmware.")
    _line(writer, "bridge_info", bridge + b',version="' + _escaped(str(known.get("version"))) + b'"', 1)
    _head(writer, "bridge_mqtt_connected", "Whether the bridge is connected to the broker.")
    _line(writer, "bridge_mqtt_connected", bridge, int(is_connected))
    for name, meaning, key, decimals in _BRIDGE:
        yield
        raw = known.get(key)
        if raw is not None:
            _head(writer, name, meaning)
            _line(writer, name, bridge, raw, decimals)


def _head(writer, name, meaning):
    kind = b"counter\n" if name.endswith("_total") else b"gauge\n"
    writer.put(b"# HELP daly_").put(name).put(b" ").put(meaning).put(b"\n# TYPE daly_").put(name).put(b" ").put(kind)


def _line(writer, name, labels, raw, decimals=0):
    writer.put(b"daly_").put(name).put(labels).put(b"} ").put_decimal(raw, decimals).put(b"\n")


def _escaped(text):
    """The value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").encode()
