# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's entities of a battery's readings: a part of the discovery in homeassistant.py."""

from battery.json import escaped, key_of
from battery.readings import BINARY, BITFIELD, DIAGNOSTIC, ENUM, GROUPS, NUMBER, OPTIONS, READING, READINGS

from .components import Components
from .entities import entity

PER_MESSAGE = 8  # entities in one message: 250 to 370 bytes each, and 700 for the rest
# The first message of a poll group that has held more from the beginning: an entity must not move to another message.
_FIRST_MESSAGE = {"counts": 13, "extremes": 9}
# Device class of what has this unit; the few others have a column of their own.
_CLASSES = {
    "V": "voltage",
    "A": "current",
    "W": "power",
    "kWh": "energy",
    "°C": "temperature",
    "h": "duration",
    "s": "duration",
}

_CELL_BALANCING = READING["cell_{}_balancing"]


class BatteryComponents(Components):
    """Writes the entities of the readings of `_battery`."""

    def _begin_battery(self, with_model, is_once):
        writer = self.writer.clear()
        self._write_device()
        writer.put(',"mf":"Daly"')
        if with_model:
            self._field("mdl", self._model())
        for field, key in (("sn", "battery_code"), ("sw", "software_version"), ("hw", "hardware_version")):
            if self._battery.pack.topology[key]:
                self._field(field, escaped(self._battery.pack.topology[key]))
        writer.put(',"via_device":"').put(self._bridge).put('"}')
        key = "/" + self._battery.key
        self._write_root(key, ("/status", key + "/status"), "/info" if is_once else "/state")

    def _model(self):
        cells = self._battery.pack.topology["cell_count"]
        return f"Smart BMS {cells}S" if cells else "Smart BMS"

    def _write_single(self, group, first):
        position = -first
        size = message_size(group, first)
        for row in READINGS:
            if row.group == group and is_single(row):
                for index in range(row.slots):
                    if 0 <= position < size:
                        self._write_row(row, index)
                        yield
                    position += 1

    def _write_counted(self, row, first):
        for index in range(first, min(first + PER_MESSAGE, row.slots)):
            self._write_row(row, index)
            yield

    def _write_row(self, row, index):
        """A reading that exists, or the removal of one that does not; nothing while it may still be read."""
        if self._battery.pack.has(row) and index < self._battery.pack.count(row):
            self._write_reading(row, index)
        elif self._is_settled or not self._battery.pack.awaits(row):
            self._write_removal(key_of(row, index), _platform(row))
        else:
            self.is_partial = True

    def _write_reading(self, row, index):
        key = key_of(row, index)
        seen = entity(row)
        self._begin_reading(row, key, seen, seen.name.replace("{}", str(index + 1)))
        if seen.unit == "h":
            part = "/" + self._battery.key
            self._write_availability_of(key, ("/status", part + "/status", part + "/state"))
        if GROUPS[row.group].period_ms is not None:
            self._write_expiry()
        self.writer.put("}")

    def _begin_reading(self, row, key, seen, name, total="total_increasing"):
        """`total`: the state class of what is counted."""
        device_class = seen.device_class or _CLASSES.get(seen.unit)
        icon = "mdi:" + seen.icon if seen.icon else None
        self._begin_entity(_platform(row), key, key, name, device_class or icon)
        if row is _CELL_BALANCING:
            number = key.split("_")[1]
            self._field(
                "val_tpl",
                "{%set c=(value_json|d).balancing_cells|d%}{{c if c is string or c is none else iif("
                + number
                + " in c,'ON','OFF')}}",
            )
        else:
            self._write_template(key, "d" if row.kind == BINARY else "d(None)")  # an empty text is ignored there, and shorter
        # the switch takes the place of the reading where there is one
        self._write_category(DIAGNOSTIC if row.kind == BINARY and self._is_offered(row.key) else row.category)
        state_class = total if seen.is_total else "measurement" if seen.unit else None  # how it is kept in the statistics
        self._write_unit(seen.unit, state_class)
        if row.kind == NUMBER and state_class:
            self.writer.put(',"sug_dsp_prc":').put(str(_precision(row, seen.unit)))
        if row.kind == ENUM:
            self.writer.put(',"dev_cla":"enum","ops":["').put('","'.join(OPTIONS[row.key])).put('"]')


def message_size(group, first):
    """How many single readings of a poll group are in the message that begins with number `first`."""
    return PER_MESSAGE if first else _FIRST_MESSAGE.get(group, PER_MESSAGE)


def is_single(row):
    return row.kind != BITFIELD and row.counted_by is None


def _platform(row):
    return "binary_sensor" if row.kind == BINARY else "sensor"


def _precision(row, unit):
    """Digits shown: watts and minutes are not known better than to the unit, kWh and Ah to two."""
    return {"W": 0, "kWh": 2, "Ah": 1}.get(unit, row.decimals)
