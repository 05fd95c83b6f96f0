"""What Home Assistant is told of the bridge and the battery, read off the table, in device messages of at most 4 KB.

Keys and rules: docs/HOME-ASSISTANT.md. Several messages with the same `ids` make one device; an unknown key at the root,
in `dev` or in `o` would make Home Assistant drop everything.
"""

import json

from daly.registers import BITS, CHOICE, FLAG, MAIN, NUMBER, RARE, REGISTERS

from .payload import key_of

PER_MESSAGE = 10  # entities in one message: about 300 bytes each
EXPIRE_AFTER_S = 60

# entities of the bridge itself: key in <base>/state, name, keys for Home Assistant
BRIDGE_ENTITIES = (
    ("uptime", "Uptime", {"dev_cla": "duration", "unit_of_meas": "s", "stat_cla": "total_increasing", "en": False}),
    ("rssi", "Wi-Fi signal", {"dev_cla": "signal_strength", "unit_of_meas": "dBm", "stat_cla": "measurement"}),
    (
        "free_memory",
        "Free memory",
        {"dev_cla": "data_size", "unit_of_meas": "B", "stat_cla": "measurement", "en": False},
    ),
    ("restart_reason", "Restart reason", {"ic": "mdi:restart-alert"}),
    ("ip_address", "IP address", {"ic": "mdi:ip-network", "en": False}),
    ("good_frames", "Good frames", {"stat_cla": "total_increasing", "en": False}),
    ("bad_checksums", "Bad checksums", {"stat_cla": "total_increasing", "en": False}),
    ("timeouts", "Time-outs", {"stat_cla": "total_increasing", "en": False}),
    ("echoes", "Echoes", {"stat_cla": "total_increasing", "en": False}),
    ("rejected_values", "Rejected values", {"stat_cla": "total_increasing", "en": False}),
    ("cycle_time", "Cycle time", {"dev_cla": "duration", "unit_of_meas": "ms", "stat_cla": "measurement", "en": False}),
    ("oldest_reading", "Oldest reading", {"dev_cla": "duration", "unit_of_meas": "ms", "stat_cla": "measurement", "en": False}),
    ("current_sign", "Current sign", {"ic": "mdi:plus-minus-variant", "en": False}),
)


class Discovery:
    """The messages for one bridge with one battery. `base` is the base topic, `identity` the chip's id in hex."""

    def __init__(self, prefix, base, identity, pack, version):
        self._prefix = prefix
        self._base = base
        self._bridge = "daly_" + identity
        self._battery = self._bridge + "_bms1"
        self._pack = pack
        self._version = version

    def parts(self):
        """How many messages there are for the layout of the battery as known now."""
        return 1 + (self._count() + PER_MESSAGE - 1) // PER_MESSAGE

    def message(self, part):
        """(topic, payload as str) of message `part`, from 0: the bridge first, then the battery."""
        if part == 0:
            return self._bridge_message()
        first = (part - 1) * PER_MESSAGE
        components = {}
        for position, (register, row, index) in enumerate(self._entities()):
            if first <= position < first + PER_MESSAGE:
                components[key_of(row, index)] = self._component(register, row, index)
        if part == 1:
            components["link"] = self._link()
        name = self._battery if part == 1 else self._battery + "_" + str(part)
        return self._topic(name), self._encode(self._battery_device(), components, "/bms1", [self._base + "/bms1/status"])

    def _topic(self, name):
        return self._prefix + "/device/" + name + "/config"

    def _entities(self):
        """(register, row, index) of every reading, single ones first: their message stays when the number of cells changes."""
        for single in (True, False):
            for register in REGISTERS:
                for row in register.readings:
                    if row.kind != BITS and (row.slots == 1) == single:
                        for index in range(self._pack.count(row)):
                            yield register, row, index

    def _count(self):
        count = 0
        for _ in self._entities():
            count += 1
        return count

    def _encode(self, device, components, part, availability):
        topics = [{"t": self._base + "/status"}]
        for topic in availability:
            topics.append({"t": topic})
        return json.dumps({
            "dev": device,
            "o": {"name": "daly-bridge", "sw": self._version},
            "avty": topics,
            "avty_mode": "all",
            "stat_t": self._base + part + "/state",
            "cmps": components,
        }, separators=(",", ":"))  # fmt: skip

    def _bridge_message(self):
        components = {}
        for key, name, extra in BRIDGE_ENTITIES:
            components[key] = self._entity("sensor", self._bridge, key, name, "diagnostic")
            components[key].update(extra)
        device = {
            "ids": [self._bridge],
            "name": "Daly bridge",
            "mf": "daly-bridge",
            "mdl": "Daly BMS to MQTT",
            "sw": self._version,
        }
        return self._topic(self._bridge), self._encode(device, components, "", [])

    def _battery_device(self):
        device = {
            "ids": [self._battery],
            "name": "Daly BMS",
            "mf": "Daly",
            "mdl": "Smart BMS",
            "via_device": self._bridge,
        }
        for field, key in (("sn", "battery_code"), ("sw", "software_version"), ("hw", "hardware_version")):
            if self._pack.layout[key]:
                device[field] = self._pack.layout[key]
        return device

    def _entity(self, platform, device, key, name, category):
        entity = {
            "p": platform,
            "uniq_id": device + "_" + key,
            "def_ent_id": platform + "." + device + "_" + key,
            "name": name,
            "val_tpl": "{{value_json." + key + "}}",
        }
        if category:
            entity["ent_cat"] = category
        return entity

    def _link(self):
        """Why there is no data: it must be readable just when the battery is not."""
        entity = self._entity("sensor", self._battery, "link", "BMS link", "diagnostic")
        del entity["val_tpl"]
        entity["stat_t"] = self._base + "/bms1/link"
        entity["avty"] = [{"t": self._base + "/status"}]
        entity["ic"] = "mdi:serial-port"
        return entity

    def _component(self, register, row, index):
        key = key_of(row, index)
        name = row.name.replace("{}", str(index + 1))
        platform = "binary_sensor" if row.kind == FLAG else "sensor"
        entity = self._entity(platform, self._battery, key, name, None if row.role == MAIN else "diagnostic")
        if row.role == RARE:
            entity["en"] = False
        if row.device_class:
            entity["dev_cla"] = row.device_class
        if row.unit:
            entity["unit_of_meas"] = row.unit
        if row.state_class:
            entity["stat_cla"] = row.state_class
        if row.kind == NUMBER and (row.unit or row.state_class):
            entity["sug_dsp_prc"] = row.decimals
        if row.kind == CHOICE:
            entity["ops"] = list(row.options)
        if register.period_ms is not None:
            entity["exp_aft"] = EXPIRE_AFTER_S
        return entity
