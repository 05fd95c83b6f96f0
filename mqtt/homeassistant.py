# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's MQTT discovery of bridge and battery, made from the tables, in device messages of at most 4 KB.

Keys and rules: docs/HOME-ASSISTANT.md. Several messages with the same `ids` make one device; an unknown key at the root,
in `dev` or in `o` would make Home Assistant drop everything. A component with its platform alone removes an entity of an
earlier message: that is sent for every reading that this battery does not have, as another battery, protocol or version may
have had it. A reading that may still come is left out, which changes nothing. An empty message would remove entities, too, but
Home Assistant logs a warning where there was none.
"""

from battery.alarms import LEVEL_NAMES
from battery.json import escaped
from battery.readings import DIAGNOSTIC, GROUPS, READINGS

from .battery_components import PER_MESSAGE, BatteryComponents, is_single, message_size
from .bridge_entities import BRIDGE, DIAGNOSTICS_BUTTON, SCAN_BUTTON

# The messages of the bridge come first. The last one of all has what is needed when the BMS does not respond: it is sent with
# them, and again when the battery is known.
_BRIDGE = 0
_SINGLE = 1  # readings there is one of
_COUNTED = 2  # cells and sensors
_EXTRAS = 3


class Discovery(BatteryComponents):
    """The messages for one bridge with its batteries. `identity` is the chip's id in hex, `allowed` keys of CONTROLS.

    `name`: of the bridge's device, without " bridge"; `batteries`: each a Battery of battery/pack.py. `has_bridge`: with the
    bridge's own values. `asleep_s`: what a bridge that sleeps publishes is valid for so long, and then everything becomes
    unavailable; 0: it never sleeps. `page()`: the address of the bridge's page, "" while it has none; None: no page.
    `version_topic`: where the latest version is retained; "": nowhere. `writer`: what messages are written into; None: its own.
    """

    def __init__(self, prefix, base, identity, name, batteries, version, allowed=(), board="", has_bridge=False,
                 asleep_s=0, page=None, version_topic="", writer=None):  # fmt: skip
        super().__init__(prefix, base, identity, name, batteries, version, allowed, asleep_s, writer)
        self._board = escaped(board)
        self._page = page
        self._version_topic = escaped(version_topic)
        self._bridge_rows = [row for row in BRIDGE if row.name and has_bridge]
        self.bridge_parts = max(1, (len(self._bridge_rows) + PER_MESSAGE - 1) // PER_MESSAGE)
        self._messages = _battery_messages()
        self.battery_parts = len(self._messages)  # of each battery

    def load(self, _part):
        """No steps: it is there."""
        return ()

    def unload(self):
        """Nothing: it stays. LoadedDiscovery in publisher.py does not."""

    def parts(self):
        """How many messages there are: first `bridge_parts` on the bridge, then `battery_parts` on each battery."""
        return self.bridge_parts + len(self._batteries) * self.battery_parts

    def message(self, part):
        """(topic, payload as bytes) of message `part`, from 0."""
        topic, steps = self.begin(part)
        for _ in steps:
            pass
        return topic, self.writer.bytes()

    def begin(self, part, is_settled=True):
        """(topic, steps) of message `part`, from 0: a generator that writes it into `writer`, an entity in each step.

        It yields True when the message is complete, None when there is nothing in it. `is_settled`: what has not been read by
        now will not be read.
        """
        self._is_settled = is_settled
        self.is_partial = False
        if part < self.bridge_parts:
            topic = self._begin_device("", self._name + " bridge", f"_{part + 1}" if part else "")
            return topic, self._steps(_BRIDGE, None, part * PER_MESSAGE)
        number = (part - self.bridge_parts) // self.battery_parts
        self._battery = self._batteries[number]
        kind, suffix, row, first = self._messages[part - self.bridge_parts - number * self.battery_parts]
        topic = self._begin_device("_" + self._battery.key, self._battery.name, suffix)
        return topic, self._steps(kind, row, first)

    def _steps(self, kind, row, first):
        if kind == _BRIDGE:
            self._begin_bridge()
            entities = self._write_bridge(first)
        else:
            # what is sent before the BMS has answered must not take from the device what it was called before a restart
            is_once = kind == _SINGLE and GROUPS[row].period_ms is None
            self._begin_battery(kind != _EXTRAS or self._battery.pack.topology["cell_count"] > 0, is_once)
            if kind == _SINGLE:
                entities = self._write_single(row, first)
            elif kind == _COUNTED:
                entities = self._write_counted(row, first)
            else:
                entities = self._write_extras()
        yield False
        for _ in entities:
            yield False
        self.writer.put(b"}}")
        yield None if self._first else True

    # the bridge

    def _begin_bridge(self):
        writer = self.writer.clear()
        self._write_device()
        writer.put(',"mf":"daly-bridge","mdl":"Daly BMS to MQTT","sn":"').put(self._identity)
        writer.put('","sw":"').put(self._version).put('"')
        if self._board:
            self._field("hw", self._board)
        if self._page is not None and self._page():
            self._field("cu", self._page())
        writer.put("}")
        self._write_root("", ("/status",))

    def _write_bridge(self, first):
        for row in self._bridge_rows[first : first + PER_MESSAGE]:
            self._begin_entity("sensor", row.key, row.key, row.name, row.icon)
            self._write_template(row.key)
            self._write_category(row.category)
            state_class = "total_increasing" if row.unit in ("", "s") else "measurement"
            self._write_unit(row.unit, state_class if row.unit is not None else None)
            if row.unit:
                self.writer.put(',"sug_dsp_prc":0')
            self.writer.put("}")
            yield
        if not first:
            self._write_command(DIAGNOSTICS_BUTTON)
            self._write_command(SCAN_BUTTON)
            yield
            self._write_update()
            yield from self._write_controls(False)

    def _write_update(self):
        """Whether there is a newer version, by what somebody retains on a topic for all bridges; nothing can be installed."""
        if not self._version_topic:
            self._write_removal("firmware", "update")
            return
        self._begin_entity("update", "firmware", "firmware", "Firmware", "firmware")
        self._write_template("version")
        self._write_category(DIAGNOSTIC)
        self._field("l_ver_t", self._version_topic)
        self.writer.put("}")

    # what a battery has besides its readings

    def _write_extras(self):
        """Connection text and result of the last command, available also while the battery is not, and the controls."""
        self._write_words("connection", "BMS connection", "/connection", "mdi:serial-port")
        if len(self._allowed):
            self._write_words("last_command", "Last command", "/command_result", "mdi:message-text-outline")
        else:
            self._write_removal("last_command", "sensor")
        yield
        self._write_charging()
        yield
        self._write_event()
        yield
        yield from self._write_controls(True)

    def _write_charging(self):
        """The mode in the words of a device class that automations know."""
        self._begin_entity("binary_sensor", "battery_charging", "battery_charging", "Battery charging", "battery_charging")
        self._field("val_tpl", "{%set m=(value_json|d).mode|d%}{{iif(m=='charging','ON','OFF') if m else m}}")
        self._write_category(DIAGNOSTIC)
        self._write_expiry()
        self.writer.put("}")

    def _write_event(self):
        """Alarms that begin or end. Always available, as it says when something was: its return would look like an event."""
        if self._asleep_s:  # after each wake all that is active would be of before
            self._write_removal("alarm", "event")
            return
        self._begin_entity("event", "alarm", "alarm", "Alarm", "mdi:alert-decagram-outline")
        self._field("stat_t", self._base + "/" + self._battery.key + "/event")
        self.writer.put(',"avty":[],"evt_typ":["cleared')
        for word in LEVEL_NAMES[1:]:
            self.writer.put('","').put(word)
        self.writer.put('"]}')

    def _write_words(self, key, name, topic, icon):
        self._begin_entity("sensor", key, key, name, icon)
        self._write_category(DIAGNOSTIC)
        self._field("stat_t", self._base + "/" + self._battery.key + topic)
        self.writer.put(",")
        self._write_availability(("/status",))
        self.writer.put("}")


def _battery_messages():
    """(kind, suffix of the topic, row or poll group, index of the first entity) of every message there can be on a battery."""
    parts = []
    for group in _groups():
        left = sum([row.slots for row in READINGS if row.group == group and is_single(row)])
        first = 0
        number = 1
        while first < left:
            parts.append((_SINGLE, "_" + group + (f"_{number}" if first else ""), group, first))
            first += message_size(group, first)
            number += 1
    for row in READINGS:
        if row.counted_by is not None:
            suffix = "_" + row.key.replace("_{}", "")
            for first in range(0, row.slots, PER_MESSAGE):
                parts.append((_COUNTED, f"{suffix}_{first + 1}", row, first))
    parts.append((_EXTRAS, "_controls", None, 0))
    return parts


def _groups():
    """The poll groups in the order of their readings, those that have single ones."""
    groups: list = []
    for row in READINGS:
        if is_single(row) and row.group not in groups:
            groups.append(row.group)
    return groups
