# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""All batteries together: sums, extremes and what is missing, by integers. Loaded only where there are several batteries.

A value exists only when every battery that it is made of is online and knows its part now. Performs no I/O and has no clock.
"""

from .json import listed

# what is calculated how: parallel, series
_SUMS = ("power", "energy_charged", "energy_discharged")
_OF_CHARGE = ("capacity_charged", "capacity_discharged", "remaining_capacity", "rated_capacity")  # sum; the lowest
# key -> (reading it is the highest or lowest of, its number, sign)
_EXTREMES = {
    "max_cell_voltage": ("max_cell_voltage", 1),
    "max_voltage_cell": ("max_cell_voltage", 1),
    "max_cell_battery": ("max_cell_voltage", 1),
    "min_cell_voltage": ("min_cell_voltage", -1),
    "min_voltage_cell": ("min_cell_voltage", -1),
    "min_cell_battery": ("min_cell_voltage", -1),
    "max_temperature": ("max_temperature", 1),
    "max_temperature_battery": ("max_temperature", 1),
}
# every key in the order of the JSON
KEYS = (
    "current",
    "power",
    "energy_charged",
    "energy_discharged",
    "capacity_charged",
    "capacity_discharged",
    "soc",
    "remaining_capacity",
    "rated_capacity",
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
)
# the readings of a battery that these are made of
PARTS = (
    "current",
    "power",
    "energy_charged",
    "energy_discharged",
    "capacity_charged",
    "capacity_discharged",
    "soc",
    "remaining_capacity",
    "rated_capacity",
    "pack_voltage",
    "max_cell_voltage",
    "min_cell_voltage",
    "max_temperature",
    "problem",
)


class Bank:
    """The bank of some batteries (Battery of pack.py) as they are now. `is_series`: they are wired in series, else parallel."""

    def __init__(self, batteries, is_series=False):
        self._batteries = batteries
        self._is_series = is_series
        self.count = len(batteries)

    def values_of(self, battery):
        """The readings of one battery, which have `raw`; None: it is offline."""
        return battery.pack if battery.poller.online else None

    @property
    def online(self):
        """How many batteries are online."""
        return sum([1 for battery in self._batteries if self.values_of(battery) is not None])

    def raw(self, key):
        """The raw value of one of KEYS, as Pack.raw of the reading with this key; a label or words as text. None: not known."""
        if key == "batteries_online":
            return f"{self.online} of {self.count}"
        if key == "battery_count":
            return self.count
        if key == "missing":
            return self.missing()
        if key == "problem":
            return self._problem()
        if key == "cell_voltage_delta":
            highest, lowest = self.raw("max_cell_voltage"), self.raw("min_cell_voltage")
            return None if highest is None or lowest is None else highest - lowest
        if key in _EXTREMES:
            return self._extreme(key, *_EXTREMES[key])
        if key == "soc" and not self._is_series:
            return self._weighted_soc()
        parts = self._parts(key)
        if parts is None:
            return None
        if key in _SUMS:
            return sum(parts)
        if key in ("current", "pack_voltage"):
            return sum(parts) if (key == "current") != self._is_series else rounded(sum(parts), self.count)
        return min(parts) if self._is_series else sum(parts)

    def _parts(self, key):
        """The raw value of this reading of each battery; None: one is not known."""
        parts = []
        for battery in self._batteries:
            values = self.values_of(battery)
            part = None if values is None else values.raw(key)
            if part is None:
                return None
            parts.append(part)
        return parts

    def _weighted_soc(self):
        shares, capacities = self._parts("soc"), self._parts("rated_capacity")
        if shares is None or capacities is None:
            return None
        return rounded(sum([soc * capacity for soc, capacity in zip(shares, capacities)]), sum(capacities))

    def _extreme(self, key, source, sign):
        parts = self._parts(source)
        if parts is None:
            return None
        best = max(parts) if sign > 0 else min(parts)
        if key == source:
            return best
        battery = self._batteries[parts.index(best)]
        return battery.label if key.endswith("battery") else self.values_of(battery).raw(key)

    def _problem(self):
        """1 while any battery has an alarm, whatever is known of the others; 0 only if none of them has."""
        is_known = True
        for battery in self._batteries:
            values = self.values_of(battery)
            problem = None if values is None else values.raw("problem")
            if problem:
                return 1
            is_known = is_known and problem is not None
        return 0 if is_known else None

    def missing(self):
        """Which batteries or readings are missing and why, in words; "none"."""
        sentences = []
        for battery in self._batteries:
            values = self.values_of(battery)
            if values is None:
                sentences.append(battery.label + ": " + battery.poller.diagnosis.text)
            else:
                unknown = [key for key in PARTS if values.raw(key) is None]
                if unknown:
                    sentences.append(battery.label + ": no " + ", ".join(unknown) + ".")
        return listed(sentences)


def rounded(total, count):
    """total / count as the nearest integer, halves away from zero."""
    half = (2 * abs(total) + count) // (2 * count)
    return half if total >= 0 else -half
