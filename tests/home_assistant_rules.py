# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What Home Assistant 2025.1 to 2026.11 accepts in a device message, as tables and one check; from documentation and sources.

Tried against running versions and read in their sources (docs/HOME-ASSISTANT.md); the tables hold what a
battery monitor may meet, not all of Home Assistant.
"""

import json
import re

# device class of a sensor -> (its units, its state classes); an empty tuple: none may be given
SENSOR = {
    "voltage": (("V", "mV"), ("measurement",)),
    "current": (("A", "mA"), ("measurement",)),
    "power": (("W", "kW", "mW"), ("measurement",)),
    "battery": (("%",), ("measurement",)),
    "energy": (("Wh", "kWh"), ("total_increasing", "total")),
    "energy_storage": (("Wh", "kWh"), ("measurement",)),
    "temperature": (("°C", "°F", "K"), ("measurement",)),
    "signal_strength": (("dBm", "dB"), ("measurement",)),
    "duration": (("ms", "s", "min", "h", "d"), ("measurement", "total_increasing", "total")),
    "data_size": (("B", "kB", "MB", "KiB", "MiB"), ("measurement",)),
    "timestamp": ((), ()),
    "enum": ((), ()),
    None: (("Ah", "%", "K", "kWh", None), ("measurement", "total_increasing", "total", None)),
}
BINARY_SENSOR = ("problem", "battery_charging", "battery", "connectivity", "heat", "cold", "running", "power", "update", None)
PLATFORMS = ("sensor", "binary_sensor", "switch", "button", "number", "select", "text", "update", "event")

ROOT_KEYS = {
    "dev",
    "o",
    "cmps",
    "avty",
    "avty_mode",
    "avty_t",
    "avty_tpl",
    "pl_avail",
    "pl_not_avail",
    "stat_t",
    "cmd_t",
    "qos",
    "e",
}
DEVICE_KEYS = {"ids", "cns", "name", "mf", "mdl", "mdl_id", "hw", "sw", "sn", "cu", "sa", "via_device"}
ORIGIN_KEYS = {"name", "sw", "url"}
ID = re.compile(r"[A-Za-z0-9_-]+")


def message_faults(topic, payload, prefix="homeassistant"):
    """Everything for which Home Assistant would drop the whole message or one of its entities, as sentences."""
    message = json.loads(payload)
    faults = []
    levels = topic.split("/")
    if levels[:-2] != [*prefix.split("/"), "device"] or levels[-1] != "config" or not ID.fullmatch(levels[-2]):
        faults.append(f"topic {topic}")
    faults += [f"root key {key}" for key in message.keys() - ROOT_KEYS]
    faults += [f"key {key} in dev" for key in message["dev"].keys() - DEVICE_KEYS]
    faults += [f"key {key} in o" for key in message["o"].keys() - ORIGIN_KEYS]
    if not message["dev"].get("name") or not message["dev"].get("ids"):
        faults.append("dev without name or ids")
    if not message["o"].get("name"):
        faults.append("o without name")
    if message["dev"].get("cns") != []:
        faults.append("dev without cns, which Home Assistant may forget to add while it loads a platform")
    for found in [message, *message["cmps"].values()]:
        if any(not {"t", "pl_avail", "pl_not_avail"} <= topic.keys() for topic in found.get("avty", ())):
            faults.append("avty without its words, which Home Assistant may forget to add while it loads a platform")
    if "avty" in message and ("avty_t" in message or any("avty_t" in entity for entity in message["cmps"].values())):
        faults.append("avty and avty_t together")
    if not message["cmps"]:
        faults.append("no components")
    for key, entity in message["cmps"].items():
        if entity.keys() == {"p"} and entity["p"] in PLATFORMS:
            continue  # a removal
        faults += [f"{key}: {fault}" for fault in entity_faults(entity, "stat_t" in message)]
    return faults


def entity_faults(entity, state_topic_inherited):
    """Why Home Assistant would not make this entity, or not as meant, as sentences."""
    platform = entity.get("p")
    if platform not in PLATFORMS:
        return [f"platform {platform}"]
    if not entity.get("uniq_id"):
        return ["no uniq_id"]
    faults = []
    if not (entity.get("stat_t") or state_topic_inherited) and platform in ("sensor", "binary_sensor"):
        faults.append("no state topic")
    if not entity.get("name") and not entity.get("dev_cla"):
        faults.append("neither name nor class")
    if "def_ent_id" in entity and not re.fullmatch(platform + r"\.[a-z0-9_]+", entity["def_ent_id"]):
        faults.append(f"def_ent_id {entity['def_ent_id']}")
    if "ic" in entity and ":" not in entity["ic"]:
        faults.append(f"icon {entity['ic']}")
    categories = ("diagnostic",) if platform in ("sensor", "binary_sensor") else ("diagnostic", "config")
    if "ent_cat" in entity and entity["ent_cat"] not in categories:
        faults.append(f"category {entity['ent_cat']}")
    for key in ("exp_aft", "sug_dsp_prc"):
        if not isinstance(entity.get(key, 0), int) or entity.get(key, 0) < 0:
            faults.append(f"{key} {entity[key]}")
    if platform == "sensor":
        faults += sensor_faults(entity)
    if platform == "binary_sensor" and entity.get("dev_cla") not in BINARY_SENSOR:
        faults.append(f"class {entity['dev_cla']}")
    return faults


def sensor_faults(entity):
    """What is wrong with class, unit, state class and options of a sensor, as sentences."""
    device_class, unit, state_class = entity.get("dev_cla"), entity.get("unit_of_meas"), entity.get("stat_cla")
    if device_class not in SENSOR:
        return [f"class {device_class}"]
    units, state_classes = SENSOR[device_class]
    faults = []
    if unit not in (units or (None,)):
        faults.append(f"unit {unit} for class {device_class}")
    if state_class not in (state_classes or (None,)):
        faults.append(f"state class {state_class} for class {device_class}")
    if ("ops" in entity) != (device_class == "enum") or not entity.get("ops", True):
        faults.append("options without enum, or enum without options")
    if (unit or state_class or "sug_dsp_prc" in entity) and device_class == "enum":
        faults.append("a number that is an enum")
    return faults
