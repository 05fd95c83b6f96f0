"""What Home Assistant is told of the bridge and the battery, read off the table, in device messages of at most 4 KB.

Keys and rules: docs/HOME-ASSISTANT.md. Several messages with the same `ids` make one device; an unknown key at the root,
in `dev` or in `o` would make Home Assistant drop everything. An entity that is not there any more is named once with its
platform alone, a message of which nothing is left is sent empty: both remove what an earlier announcement made.
"""

from daly.registers import BITS, CHOICE, DIAGNOSTIC, FLAG, MAIN, NUMBER, RARE, REGISTERS

from .payload import Writer, key_of

PER_MESSAGE = 8  # entities in one message: 300 to 370 bytes each, and 600 for the rest
EXPIRE_AFTER_S = 60

# entities of the bridge itself: key in <base>/state, name, role, unit, device class or icon, state class
BRIDGE_ENTITIES = (
    ("uptime", "Uptime", RARE, "s", "duration", "total_increasing"),
    ("rssi", "Wi-Fi signal", DIAGNOSTIC, "dBm", "signal_strength", "measurement"),
    ("restart_reason", "Restart reason", DIAGNOSTIC, None, "mdi:restart-alert", None),
    ("boot_count", "Boot count", RARE, None, "mdi:restart", "total_increasing"),
    ("last_failure", "Last failure", DIAGNOSTIC, None, "mdi:bug-outline", None),
    ("longest_pass", "Longest loop pass", RARE, "ms", "duration", "measurement"),
    ("ip_address", "IP address", RARE, None, "mdi:ip-network", None),
    ("free_memory", "Free memory", RARE, "B", "data_size", "measurement"),
    ("mqtt_connects", "MQTT connects", RARE, None, "mdi:lan-connect", "total_increasing"),
    ("settings_problems", "Settings problems", DIAGNOSTIC, None, "mdi:file-alert-outline", None),
    ("good_frames", "Good frames", RARE, None, "mdi:check-network-outline", "total_increasing"),
    ("bad_checksums", "Bad checksums", RARE, None, "mdi:close-network-outline", "total_increasing"),
    ("timeouts", "Time-outs", RARE, None, "mdi:timer-off-outline", "total_increasing"),
    ("echoes", "Echoes", RARE, None, "mdi:surround-sound", "total_increasing"),
    ("rejected_values", "Rejected values", RARE, None, "mdi:filter-remove-outline", "total_increasing"),
    ("cycle_time", "Cycle time", RARE, "ms", "duration", "measurement"),
    ("oldest_reading", "Oldest reading", RARE, "ms", "duration", "measurement"),
    ("current_sign", "Current sign", RARE, None, "mdi:plus-minus-variant", None),
)

# what may be asked of the battery or the bridge: name in ALLOW_CONTROL, platform, entity name, topic below <base>, more
CONTROLS = (
    ("charge_mosfet", "switch", "Charge MOSFET", "/bms1/charge_mosfet/set", ',"ic":"mdi:battery-arrow-up"'),
    ("discharge_mosfet", "switch", "Discharge MOSFET", "/bms1/discharge_mosfet/set", ',"ic":"mdi:battery-arrow-down"'),
    ("soc", "number", "Set state of charge", "/bms1/soc/set",
     ',"ent_cat":"config","min":0,"max":100,"step":0.1,"mode":"box","unit_of_meas":"%","ic":"mdi:battery-edit"'),
    ("restart_bms", "button", "Restart BMS", "/bms1/restart/set", ',"ent_cat":"config","dev_cla":"restart"'),
    ("restart_bridge", "button", "Restart bridge", "/restart/set", ',"ent_cat":"config","dev_cla":"restart"'),
)  # fmt: skip

BRIDGE_PARTS = (len(BRIDGE_ENTITIES) + PER_MESSAGE - 1) // PER_MESSAGE
_BRIDGE = 0
_SINGLE = 1  # readings there is one of
_COUNTED = 2  # cells and sensors
_EXTRAS = 3


class Discovery:
    """The messages for one bridge with one battery. `identity` is the chip's id in hex, `allowed` names of CONTROLS."""

    def __init__(self, prefix, base, identity, name, pack, version, allowed=()):
        self._prefix = prefix
        self._base = base
        self._bridge = "daly_" + identity
        self._battery = self._bridge + "_bms1"
        self._name = name
        self._slug = slug(name)
        self._pack = pack
        self._version = version
        self._allowed = allowed
        self._writer = Writer()
        self._parts = _parts()

    def parts(self):
        """How many messages there are: BRIDGE_PARTS for the bridge, the others for the battery."""
        return len(self._parts)

    def message(self, part):
        """(topic, payload as bytes) of message `part`, from 0; an empty payload removes what was announced there."""
        kind, suffix, row, first = self._parts[part]
        topic = self._topic((self._bridge if kind == _BRIDGE else self._battery) + suffix)
        if kind == _COUNTED and first >= self._pack.count(row):
            return topic, b""
        if kind == _BRIDGE:
            self._begin_bridge()
            self._write_bridge(first)
        else:
            self._begin_battery()
            if kind == _SINGLE:
                self._write_single(first)
            elif kind == _COUNTED:
                self._write_counted(row, first)
            else:
                self._write_extras()
        return topic, self._writer.put(b"}}").bytes()

    def _topic(self, name):
        return self._prefix + "/device/" + name + "/config"

    # the bridge

    def _begin_bridge(self):
        writer = self._writer.clear()
        writer.put('{"dev":{"ids":["').put(self._bridge).put('"],"name":').put_string(self._name + " bridge")
        writer.put(',"mf":"daly-bridge","mdl":"Daly BMS to MQTT","sw":"').put(self._version).put('"}')
        self._write_root("", ())

    def _write_bridge(self, first):
        for key, name, role, unit, device_class, state_class in BRIDGE_ENTITIES[first : first + PER_MESSAGE]:
            self._begin_entity("sensor", self._bridge, key, key, name)
            self._write_class(device_class)
            self._write_role(role)
            self._write_unit(unit, state_class)
            self._writer.put("}")
        if not first:
            self._write_control(CONTROLS[-1], self._bridge)

    # the battery

    def _begin_battery(self):
        writer = self._writer.clear()
        writer.put('{"dev":{"ids":["').put(self._battery).put('"],"name":').put_string(self._name)
        writer.put(',"mf":"Daly","mdl":"').put(self._model()).put('"')
        for field, key in (("sn", "battery_code"), ("sw", "software_version"), ("hw", "hardware_version")):
            if self._pack.layout[key]:
                writer.put(',"' + field + '":').put_string(self._pack.layout[key])
        writer.put(',"via_device":"').put(self._bridge).put('"}')
        self._write_root("/bms1", ("/bms1/status",))

    def _model(self):
        cells = self._pack.layout["cell_count"]
        return f"Smart BMS {cells}S" if cells else "Smart BMS"

    def _write_single(self, first):
        position = 0
        for register in REGISTERS:
            for row in register.readings:
                if _is_single(row):
                    for index in range(row.slots):
                        if first <= position < first + PER_MESSAGE:
                            self._write_reading(register, row, index)
                        position += 1

    def _write_counted(self, row, first):
        for register in REGISTERS:
            if row in register.readings:
                for index in range(first, min(first + PER_MESSAGE, row.slots)):
                    if index < self._pack.count(row):
                        self._write_reading(register, row, index)
                    else:
                        self._write_removal(key_of(row, index), _platform(row))

    def _write_extras(self):
        """The words on the link, which must be readable just when the battery is not, and the controls."""
        self._begin_entity("sensor", self._battery, "link", "link", "BMS link", template=False)
        self._field("ent_cat", "diagnostic")
        self._field("stat_t", self._base + "/bms1/link")
        self._writer.put(',"avty":[{"t":"').put(self._base).put('/status"}],"ic":"mdi:serial-port"}')
        for control in CONTROLS[:-1]:
            self._write_control(control, self._battery)

    def _write_control(self, control, device):
        name, platform, title, topic, more = control
        key = name + "_" + platform
        if name not in self._allowed:
            self._write_removal(key, platform)
            return
        self._begin_entity(platform, device, key, name, title, template=platform != "button")
        self._field("cmd_t", self._base + topic)
        self._writer.put(',"qos":1').put(more).put("}")

    def _write_reading(self, register, row, index):
        key = key_of(row, index)
        self._begin_entity(_platform(row), self._battery, key, key, row.name.replace("{}", str(index + 1)))
        self._write_class(row.device_class)
        self._write_role(row.role)
        self._write_unit(row.unit, row.state_class)
        if row.kind == NUMBER and (row.unit or row.state_class):
            self._writer.put(',"sug_dsp_prc":').put(str(_precision(row)))
        if row.kind == CHOICE:
            self._writer.put(',"ops":["').put('","'.join(row.options)).put('"]')
        if register.period_ms is not None:
            self._writer.put(',"exp_aft":').put(str(EXPIRE_AFTER_S))
        self._writer.put("}")

    # pieces

    def _write_root(self, part, availability):
        writer = self._writer
        writer.put(',"o":{"name":"daly-bridge","sw":"').put(self._version).put('"},"avty":[{"t":"').put(self._base)
        writer.put('/status"}')
        for topic in availability:
            writer.put(',{"t":"').put(self._base).put(topic).put('"}')
        writer.put('],"avty_mode":"all","stat_t":"').put(self._base).put(part).put('/state","cmps":{')
        self._first = True

    def _begin_entity(self, platform, device, key, state_key, name, template=True):
        slug_of_device = self._slug if device == self._battery else self._slug + "_bridge"
        self._begin_component(key, platform)
        self._field("uniq_id", device + "_" + key)
        # fixed ids, so that a ready-made dashboard fits; before 2025.10 Home Assistant makes the same of the names
        self._field("def_ent_id", platform + "." + slug_of_device + "_" + state_key)
        self._field("name", name)
        if template:
            self._field("val_tpl", "{{value_json." + state_key + "}}")

    def _begin_component(self, key, platform):
        self._writer.put(b'"' if self._first else b',"').put(key).put('":{"p":"').put(platform).put('"')
        self._first = False

    def _write_removal(self, key, platform):
        self._begin_component(key, platform)
        self._writer.put("}")

    def _write_class(self, device_class):
        if device_class:
            self._field("ic" if device_class.startswith("mdi:") else "dev_cla", device_class)

    def _write_role(self, role):
        if role != MAIN:
            self._field("ent_cat", "diagnostic")
        if role == RARE:
            self._writer.put(',"en":false')

    def _write_unit(self, unit, state_class):
        if unit:
            self._field("unit_of_meas", unit)
        if state_class:
            self._field("stat_cla", state_class)

    def _field(self, key, text):
        self._writer.put(',"').put(key).put('":"').put(text).put('"')


def _parts():
    """(kind, suffix of the topic, row, index of the first entity) of every message there can be."""
    parts = []
    for first in range(0, len(BRIDGE_ENTITIES), PER_MESSAGE):
        parts.append((_BRIDGE, f"_{first // PER_MESSAGE + 1}" if first else "", None, first))
    for first in range(0, _count_single(), PER_MESSAGE):
        parts.append((_SINGLE, f"_{first // PER_MESSAGE + 1}" if first else "", None, first))
    parts.append((_EXTRAS, "_controls", None, 0))
    for register in REGISTERS:
        for row in register.readings:
            if row.counted_by is not None:
                suffix = "_" + row.key.replace("_{}", "")
                for first in range(0, row.slots, PER_MESSAGE):
                    parts.append((_COUNTED, f"{suffix}_{first + 1}", row, first))
    return parts


def slug(name):
    """A name as Home Assistant makes it part of an entity id: "Daly BMS" is daly_bms."""
    text = ""
    for character in name.lower():
        text += character if "a" <= character <= "z" or "0" <= character <= "9" else "_"
    while "__" in text:
        text = text.replace("__", "_")
    return text.strip("_") or "daly_bms"


def _is_single(row):
    return row.kind != BITS and row.counted_by is None


def _count_single():
    count = 0
    for register in REGISTERS:
        for row in register.readings:
            count += row.slots if _is_single(row) else 0
    return count


def _platform(row):
    return "binary_sensor" if row.kind == FLAG else "sensor"


def _precision(row):
    """Digits shown: watts and minutes are not known better than to the unit, kWh and Ah to two."""
    return {"W": 0, "kWh": 2, "Ah": 1}.get(row.unit, row.decimals)
