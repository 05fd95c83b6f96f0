# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's discovery of several batteries and their bank. Loaded with mqtt/homeassistant.py where there are several."""

from battery.bank import KEYS
from battery.readings import BINARY, DIAGNOSTIC, MAIN, READING

from .entities import entity
from .homeassistant import Discovery

PER_BANK_MESSAGE = 5  # entities in one message: up to 650 bytes each, as most have their own availability
# What no battery has: key -> name, icon, category
_OWN = {
    "max_cell_battery": ("Highest cell battery", "arrow-up-bold", DIAGNOSTIC),
    "min_cell_battery": ("Lowest cell battery", "arrow-down-bold", DIAGNOSTIC),
    "max_temperature_battery": ("Highest temperature battery", "thermometer-chevron-up", DIAGNOSTIC),
    "batteries_online": ("Batteries online", "battery-check", MAIN),
    "battery_count": ("Battery count", "counter", DIAGNOSTIC),
    "missing": ("Missing", "battery-alert", DIAGNOSTIC),
}
_ALWAYS = ("batteries_online", "battery_count", "missing")  # available while the bridge is


class DiscoveryWithBank(Discovery):
    """The messages for one bridge with several batteries and their bank, whose messages are the last ones."""

    def parts(self):
        """How many messages there are."""
        return super().parts() + (len(KEYS) + PER_BANK_MESSAGE - 1) // PER_BANK_MESSAGE

    def begin(self, part, is_settled=True):
        """(topic, steps) of message `part`, see Discovery.begin."""
        position = part - super().parts()
        if position < 0:
            return super().begin(part, is_settled)
        self.is_partial = False
        topic = self._begin_device("_bank", self._name + " bank", f"_{position + 1}" if position else "")
        return topic, self._bank_steps(position * PER_BANK_MESSAGE)

    def _bank_steps(self, first):
        writer = self.writer.clear()
        self._write_device()
        writer.put(',"mf":"daly-bridge","mdl":"Battery bank","via_device":"').put(self._bridge).put('"}')
        self._write_root("/bank", ("/status",))
        yield False
        for key in KEYS[first : first + PER_BANK_MESSAGE]:
            self._write_value(key)
            yield False
        writer.put("}}")
        yield True

    def _write_value(self, key):
        if key in _OWN:
            name, icon, category = _OWN[key]
            self._begin_entity("sensor", key, key, name, "mdi:" + icon)
            self._write_template(key)
            self._write_category(category)
        else:
            row = READING[key]
            seen = entity(row)
            # the sum of counters falls when one of them is reset or taken out: an increasing one would then count it all again
            self._begin_reading(row, key, seen, seen.name, "total")
        if key not in _ALWAYS:
            is_text = key in _OWN or row.kind == BINARY
            self._write_availability_of(key, ("/status", "/bank/state"), "string" if is_text else "number")
        self._write_expiry()
        self.writer.put("}")
