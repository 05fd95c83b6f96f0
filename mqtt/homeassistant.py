# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's MQTT discovery of bridge and battery, made from the tables, in device messages of at most 4 KB.

Keys and rules: docs/HOME-ASSISTANT.md. Several messages with the same `ids` make one device; an unknown key at the root,
in `dev` or in `o` would make Home Assistant drop everything. A component with its platform alone removes an entity of an
earlier message: that is sent for every reading that this battery does not have, as another battery, protocol or version may
have had it. A reading that may still come is left out, which changes nothing. An empty message would remove entities, too, but
Home Assistant logs a warning where there was none.

Defaults are written out where Home Assistant (until some 2026 version) may forget to fill them in: while it loads a platform in
one thread it checks what arrives in another, and the two meet in voluptuous' shared `All` validators, which are empty for a
moment. Without the payloads for available and `cns` an entity would now and then be lost with a KeyError.
"""

from battery.alarms import LEVEL_NAMES
from battery.controls import CONTROLS, DIAGNOSTICS_BUTTON, SCAN_BUTTON, WRITTEN
from battery.json import LARGEST, Writer, escaped, key_of
from battery.readings import BINARY, BITFIELD, DIAGNOSTIC, DISABLED, ENUM, GROUPS, MAIN, NUMBER, OPTIONS, READING, READINGS

from .entities import BRIDGE, entity

PER_MESSAGE = 8  # entities in one message: 250 to 370 bytes each, and 700 for the rest
# The first message of a poll group that has held more from the beginning: an entity must not move to another message.
_FIRST_MESSAGE = {"counts": 13, "extremes": 9}
EXPIRE_AFTER_S = 60
_ASLEEP = ",\"val_tpl\":\"{{iif(value=='sleeping','online',value)}}\""  # available while it sleeps, until it expires
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

# The messages of the bridge come first. The last one of all has what is needed when the BMS does not respond: it is sent with
# them, and again when the battery is known.
_BRIDGE = 0
_SINGLE = 1  # readings there is one of
_COUNTED = 2  # cells and sensors
_EXTRAS = 3


class Discovery:
    """The messages for one bridge with its batteries. `identity` is the chip's id in hex, `allowed` keys of CONTROLS.

    `name`: of the bridge's device, without " bridge"; `batteries`: each a Battery of battery/pack.py. `has_bridge`: with the
    bridge's own values. `asleep_s`: what a bridge that sleeps publishes is valid for so long, and then everything becomes
    unavailable; 0: it never sleeps. `page()`: the address of the bridge's page, "" while it has none; None: no page.
    `version_topic`: where the latest version is retained; "": nowhere. `writer`: what messages are written into; None: its own.
    """

    def __init__(self, prefix, base, identity, name, batteries, version, allowed=(), board="", has_bridge=False,
                 asleep_s=0, page=None, version_topic="", writer=None):  # fmt: skip
        self._prefix = prefix
        self._base = escaped(base)  # as it stands in JSON
        self._identity = escaped(identity)
        self._node = "daly_" + identity  # as it stands in topics
        self._bridge = "daly_" + self._identity
        self._name = name
        self._batteries = batteries
        self._battery = batteries[0]  # on which the present message is
        self._version = escaped(version)
        self._board = escaped(board)
        self._allowed = allowed
        self._asleep_s = asleep_s
        self._page = page
        self._version_topic = escaped(version_topic)
        self.writer = Writer(LARGEST) if writer is None else writer
        self._bridge_rows = [row for row in BRIDGE if row.name and has_bridge]
        self.bridge_parts = max(1, (len(self._bridge_rows) + PER_MESSAGE - 1) // PER_MESSAGE)
        self._messages = _battery_messages()
        self.battery_parts = len(self._messages)  # of each battery
        self._is_settled = True
        self.is_partial = False  # the message written last leaves out what has not been read yet

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

    def _begin_device(self, device, name, suffix):
        """The device that the message is on, by the end of its id and its name; returns the message's topic."""
        self._device = self._bridge + device  # as it stands in JSON
        self._device_name = name
        self._id_prefix = slug(name) + "_"  # of entity ids
        return self._prefix + "/device/" + self._node + device + suffix + "/config"

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

    # the battery

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
        size = _message_size(group, first)
        for row in READINGS:
            if row.group == group and _is_single(row):
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

    def _write_controls(self, of_battery):
        for row in CONTROLS:
            if ("{}" in row.topic) == of_battery:
                if self._is_offered(row.key):
                    self._write_command(row)
                else:
                    self._write_removal(row.key + "_" + row.platform, row.platform)
                yield

    def _is_offered(self, key):
        """Whether a control is allowed, and possible with this BMS."""
        return key in self._allowed and (key not in WRITTEN or self._battery.pack.can_write(key))

    def _write_command(self, row):
        key = row.key + "_" + row.platform
        self._begin_entity(row.platform, key, row.reading or slug(row.name), row.name, row.icon)
        if row.reading:
            self._write_template(row.reading)
        self._field("cmd_t", self._base + row.topic.replace("{}", self._battery.key))
        self.writer.put(',"qos":1').put(row.extras).put("}")

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

    def _write_expiry(self):
        if not self._asleep_s:  # else everything has one: the broker publishes no last will of a bridge that died asleep
            self.writer.put(',"exp_aft":').put(str(EXPIRE_AFTER_S))

    def _write_availability_of(self, key, topics, test="number"):
        """Unavailable rather than unknown while there is no such thing: an idle battery is never empty.

        The last one of the topics is the state; `test`: of Jinja, true while the value exists.
        """
        self.writer.put(",")
        template = ',"val_tpl":"{{iif((value_json|d)' + _member(key) + " is " + test + ",'online','offline')}}\""
        self._write_availability(topics, template)

    # pieces

    def _write_device(self):
        self.writer.put('{"dev":{"ids":["').put(self._device).put('"],"cns":[],"name":').put_string(self._device_name)

    def _write_root(self, part, availability, state="/state"):
        writer = self.writer
        writer.put(',"o":{"name":"daly-bridge","sw":"').put(self._version).put('"},')
        self._write_availability(availability)
        writer.put(',"avty_mode":"all","stat_t":"').put(self._base).put(part).put(state).put('","cmps":{')
        self._first = True

    def _write_availability(self, topics, template_of_last=""):
        writer = self.writer.put('"avty":[')
        for position, topic in enumerate(topics):
            writer.put(',{"t":"' if position else '{"t":"').put(self._base).put(topic).put('","pl_avail":"online",')
            writer.put('"pl_not_avail":"offline"').put(template_of_last if position == len(topics) - 1 else "")
            if self._asleep_s and topic.endswith("/status"):
                writer.put(_ASLEEP)
            writer.put("}")
        writer.put("]")

    def _begin_entity(self, platform, key, entity_id, name, device_class=None):
        prefix = self._id_prefix
        self._begin_component(key, platform)
        self._field("uniq_id", self._device + "_" + key)
        self._field("def_ent_id", platform + "." + prefix + entity_id)  # fixed, so that a ready-made dashboard fits
        named_by_class = name.lower() == device_class  # by Home Assistant, in the user's language
        if not named_by_class:
            self._field("name", name)
        if named_by_class or slug(name) != entity_id:
            self._field("obj_id", prefix + entity_id)  # for Home Assistant before 2025.10, which goes by the name
        if device_class:
            self._field("ic" if device_class.startswith("mdi:") else "dev_cla", device_class)
        if self._asleep_s and platform in ("sensor", "binary_sensor"):
            self.writer.put(',"exp_aft":').put(str(self._asleep_s))

    def _begin_component(self, key, platform):
        self.writer.put(b'"' if self._first else b',"').put(key).put('":{"p":"').put(platform).put('"')
        self._first = False

    def _write_removal(self, key, platform):
        self._begin_component(key, platform)
        self.writer.put("}")

    def _write_template(self, key, default="d(None)"):
        # Without the defaults an empty message, which clears what was retained, is an error in Home Assistant's log for every
        # entity ('value_json' is undefined), and a missing key a warning. None is "unknown" on every platform.
        self._field("val_tpl", "{{(value_json|d)" + _member(key) + "|" + default + "}}")

    def _write_category(self, category):
        if category != MAIN:
            self._field("ent_cat", "diagnostic")
        if category == DISABLED:
            self.writer.put(',"en":false')

    def _write_unit(self, unit, state_class):
        if unit:
            self._field("unit_of_meas", unit)
        if state_class:
            self._field("stat_cla", state_class)

    def _field(self, key, text):
        """`text` as it stands in JSON."""
        self.writer.put(',"').put(key).put('":"').put(text).put('"')


def _battery_messages():
    """(kind, suffix of the topic, row or poll group, index of the first entity) of every message there can be on a battery."""
    parts = []
    for group in _groups():
        left = sum([row.slots for row in READINGS if row.group == group and _is_single(row)])
        first = 0
        number = 1
        while first < left:
            parts.append((_SINGLE, "_" + group + (f"_{number}" if first else ""), group, first))
            first += _message_size(group, first)
            number += 1
    for row in READINGS:
        if row.counted_by is not None:
            suffix = "_" + row.key.replace("_{}", "")
            for first in range(0, row.slots, PER_MESSAGE):
                parts.append((_COUNTED, f"{suffix}_{first + 1}", row, first))
    parts.append((_EXTRAS, "_controls", None, 0))
    return parts


def _message_size(group, first):
    """How many single readings of a poll group are in the message that begins with number `first`."""
    return PER_MESSAGE if first else _FIRST_MESSAGE.get(group, PER_MESSAGE)


def _groups():
    """The poll groups in the order of their readings, those that have single ones."""
    groups: list = []
    for row in READINGS:
        if _is_single(row) and row.group not in groups:
            groups.append(row.group)
    return groups


def slug(name):
    """A name as Home Assistant makes it part of an entity id: "Daly BMS" is daly_bms."""
    text = ""
    for character in name.lower():
        text += character if "a" <= character <= "z" or "0" <= character <= "9" else "_"
    while "__" in text:
        text = text.replace("__", "_")
    return text.strip("_") or "daly_bms"


def _member(key):
    """How a template reads a key of the JSON: that of a sensor may begin with a digit."""
    return "['" + key + "']" if key[0].isdigit() else "." + key


def _is_single(row):
    return row.kind != BITFIELD and row.counted_by is None


def _platform(row):
    return "binary_sensor" if row.kind == BINARY else "sensor"


def _precision(row, unit):
    """Digits shown: watts and minutes are not known better than to the unit, kWh and Ah to two."""
    return {"W": 0, "kWh": 2, "Ah": 1}.get(unit, row.decimals)
