# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""All batteries together: sums, extremes and what is missing, by integers. Loaded only where there are several batteries.

A value exists only when every battery that it is made of is online and knows its part now. Performs no I/O and has no clock.
"""

from .json import listed
from .readings import READING, energy, usable_charge

_AT_ONCE = 3  # values written in one step

# Every key, in the order of the JSON; a new one stands behind the others, as its entity must not move to another message. Those
# that are readings of a battery, too, have its unit and decimals.
KEYS = (
    "current",
    "power",
    "energy_charged",
    "energy_discharged",
    "capacity_charged",
    "capacity_discharged",
    "remaining_capacity",
    "rated_capacity",
    "soc",
    "pack_voltage",
    "max_cell_voltage",
    "max_voltage_cell",
    "max_cell_battery",
    "min_cell_voltage",
    "min_voltage_cell",
    "min_cell_battery",
    "cell_voltage_delta",
    "max_temperature",
    "max_temperature_battery",
    "problem",
    "batteries_online",
    "battery_count",
    "missing",
    "stored_energy",
    "usable_capacity",
)
# the readings of each battery that these are made of, but those that are known with others of them
_PARTS = KEYS[:1] + KEYS[2:11] + ("min_cell_voltage", "max_temperature", "problem", "usable_capacity")
# in series the same charge flows through all batteries, and the weakest one ends it
_OF_CHARGE = KEYS[4:9]
_OF_ENERGY = KEYS[-2:]
ALONE = KEYS[-3:]  # calculated in a step of their own


class Bank:
    """The bank of several batteries (`Battery` of pack.py) as they are now. `is_series`: wired in series, else parallel.

    `count`: how many batteries there are.
    """

    def __init__(self, batteries, is_series=False):
        self._batteries = batteries
        self.is_series = is_series
        self.count = len(batteries)
        self._parts: list = [0] * self.count  # of the value that is calculated

    def values(self, index):
        """The readings of a battery; None: it is offline."""
        battery = self._batteries[index]
        return battery.pack if battery.poller.online else None

    @property
    def online(self):
        """How many batteries are online."""
        return sum([self.values(index) is not None for index in range(self.count)])

    def raw(self, key):
        """The raw value of one of KEYS, of a reading as that of Pack.raw; a str for labels and words. None: not known now."""
        if key == "problem":
            return self._problem()
        if key == "battery_count":
            return self.count
        if key == "batteries_online":
            return f"{self.online} of {self.count}"
        if key == "missing":
            return self._missing()
        if key == "cell_voltage_delta":
            highest = self.raw("max_cell_voltage")
            lowest = self.raw("min_cell_voltage")
            return None if highest is None or lowest is None else highest - lowest
        if key[:4] in ("max_", "min_"):
            return self._extreme(key)
        if self.is_series and key in _OF_ENERGY:
            return self._energy_in_series(key)
        return self._total(key)

    def _read(self, key):
        """Read the parts of a value; False: one of them is not known."""
        for index in range(self.count):
            values = self.values(index)
            part = None if values is None else values.raw(key)
            if part is None:
                return False
            self._parts[index] = part
        return True

    def _total(self, key):
        if not self._read(key):
            return None
        parts = self._parts
        if key in _OF_CHARGE and self.is_series:
            return min(parts)
        if key == "soc":
            return self._weighted(parts)
        total = sum(parts)
        is_mean = key == ("current" if self.is_series else "pack_voltage")
        return rounded(total, self.count) if is_mean else total

    def _energy_in_series(self, key):
        """Wh of what the weakest battery lets flow through all of them."""
        if not self._read(key):  # then all that follows is known, too
            return None
        batteries = [self.values(index) for index in range(self.count)]
        weakest = min([each.raw("remaining_capacity") if key == "stored_energy" else usable_charge(each) for each in batteries])
        return sum([energy(each, weakest) for each in batteries])

    def _weighted(self, parts):
        """The mean of the parts, each weighted by the battery's rated capacity."""
        total = capacity = 0
        for index in range(self.count):
            weight = self.values(index).raw("rated_capacity")
            if not weight:
                return None
            total += parts[index] * weight
            capacity += weight
        return rounded(total, capacity)

    def _extreme(self, key):
        """The highest (lowest) cell or temperature, its number in its battery, or the label of that."""
        source = "max_temperature" if "temperature" in key else key[:4] + "cell_voltage"
        if not self._read(source):
            return None
        extreme = max(self._parts) if key[:4] == "max_" else min(self._parts)
        if key == source:
            return extreme
        index = self._parts.index(extreme)
        return self._batteries[index].label if key.endswith("_battery") else self.values(index).raw(key)

    def _problem(self):
        """1 while any battery has an alarm, whatever is known of the others; 0 only while none of them has."""
        is_known = self._read("problem")
        for index in range(self.count):
            values = self.values(index)
            if values is not None and values.raw("problem"):
                return 1
        return 0 if is_known else None

    def _missing(self):
        """Which batteries or readings are missing, and why; "none"."""
        sentences = []
        for index in range(self.count):
            battery = self._batteries[index]
            values = self.values(index)
            if values is None:
                is_found = battery.poller.online  # but some readings, or their state, are still to come
                reason = "being read" if is_found else battery.poller.diagnosis.text.partition(":")[0]  # the remedy is its own
                sentences.append(battery.label + ": " + reason.rstrip(".") + ".")
                continue
            unknown = [key for key in _PARTS if values.raw(key) is None]
            if unknown:
                sentences.append(battery.label + ": no " + ", ".join(unknown) + ".")
        return listed(sentences)


def bank_steps(writer, raws):
    """Write a bank's raw values, in the order of KEYS, as one JSON object: a generator, a few in each step; yields False."""
    for position in range(len(KEYS)):
        if not position % _AT_ONCE:
            yield False
        key = KEYS[position]
        raw = raws[position]
        writer.put(b',"' if position else b'{"').put(key).put(b'":')
        if raw is None:
            writer.put(b"null")
        elif key == "problem":
            writer.put(b'"ON"' if raw else b'"OFF"')
        elif isinstance(raw, str):
            writer.put_string(raw)
        else:
            writer.put_decimal(raw, READING[key].decimals if key in READING else 0)
    writer.put(b"}")


def rounded(total, count):
    """total / count as an integer, halves away from zero."""
    magnitude = (2 * abs(total) + count) // (2 * count)
    return magnitude if total >= 0 else -magnitude
