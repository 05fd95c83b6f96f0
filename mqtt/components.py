# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The pieces of the discovery messages in homeassistant.py: devices, entities, and what stands in them.

Defaults are written out where Home Assistant (until some 2026 version) may forget to fill them in: while it loads a platform in
one thread it checks what arrives in another, and the two meet in voluptuous' shared `All` validators, which are empty for a
moment. Without the payloads for available and `cns` an entity would now and then be lost with a KeyError.
"""

from battery.controls import CONTROLS, WRITTEN
from battery.json import LARGEST, Writer, escaped
from battery.readings import DISABLED, MAIN

EXPIRE_AFTER_S = 60
_ASLEEP = ",\"val_tpl\":\"{{iif(value=='sleeping','online',value)}}\""  # available while it sleeps, until it expires


class Components:
    """Writes them into `writer`. The arguments are those of Discovery."""

    def __init__(self, prefix, base, identity, name, batteries, version, allowed, asleep_s, writer):
        self._prefix = prefix
        self._base = escaped(base)  # as it stands in JSON
        self._identity = escaped(identity)
        self._node = "daly_" + identity  # as it stands in topics
        self._bridge = "daly_" + self._identity
        self._name = name
        self._batteries = batteries
        self._battery = batteries[0]  # on which the present message is
        self._version = escaped(version)
        self._allowed = allowed
        self._asleep_s = asleep_s
        self.writer = Writer(LARGEST) if writer is None else writer
        self._is_settled = True  # what has not been read by now will not be read
        self.is_partial = False  # the message written last leaves out what has not been read yet

    def _begin_device(self, device, name, suffix):
        """The device that the message is on, by the end of its id and its name; returns the message's topic."""
        self._device = self._bridge + device  # as it stands in JSON
        self._device_name = name
        self._id_prefix = slug(name) + "_"  # of entity ids
        return self._prefix + "/device/" + self._node + device + suffix + "/config"

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
