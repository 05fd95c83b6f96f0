# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What Home Assistant is told of bridge and battery: nothing in it that would make it drop a message or an entity."""

import json
import re
import sys
from itertools import pairwise

import pytest
from home_assistant_rules import entity_faults, message_faults
from simulation import only

from battery.controls import CONTROL, CONTROLS
from battery.json import INFO, STATE, Writer, bounded, listed, pack_steps
from battery.pack import Pack
from battery.readings import BINARY, BITFIELD, ENUM, NUMBER, OPTIONS, READING, READINGS
from battery.unload import unload
from mqtt.bank_discovery import DiscoveryWithBank
from mqtt.battery_components import PER_MESSAGE
from mqtt.components import slug
from mqtt.entities import entity as entity_of
from mqtt.homeassistant import Discovery
from mqtt.publisher import LoadedDiscovery
from tools import bundle

BRIDGE_PARTS = 3  # messages on the bridge
LARGEST = 4096  # bytes of one message; larger ones need memory in one piece that a board may not have
LOADED = {f"mqtt.{name}" for name in ("battery_components", "bridge_entities", "components", "entities", "homeassistant")}
LOADED.add("battery.controls")
IDENTITY = {"battery_code": "DL16S280A230517-\\" * 2, "software_version": "20230517-1.01T", "hardware_version": 'DL-"R32"-01E'}


def make(cells, temperatures=2, base="daly/c0ffee", prefix="homeassistant", allowed=(), **identity):
    pack = Pack()
    pack.topology.update(cell_count=cells, temperature_count=temperatures, **identity)
    return Discovery(prefix, base, "c0ffee", "Daly BMS", only(pack), "1.2.3", allowed, "acme_s3", True), pack


def messages(cells, temperatures=2, **others):
    """[(topic, message as dict)] of all there is to announce."""
    discovery, _ = make(cells, temperatures, **others)
    said = [discovery.message(part) for part in range(discovery.parts())]
    return [(topic, json.loads(text)) for topic, text in said]


def entities(said):
    """[(key, entity, the message it is in)]; removals, which name nothing but a platform, left out."""
    found = [(key, entity, message) for _, message in said for key, entity in message["cmps"].items()]
    return [(key, entity, message) for key, entity, message in found if len(entity) > 1]


@pytest.mark.parametrize("cells", [1, 4, 16, 48])
@pytest.mark.parametrize("identity", [{}, IDENTITY], ids=["unknown", "known"])
def test_home_assistant_drops_nothing(cells, identity):
    discovery, _ = make(cells, 16, **identity)
    for part in range(discovery.parts()):
        topic, text = discovery.message(part)
        assert message_faults(topic, text.decode()) == []


def test_the_rules_find_what_home_assistant_would_drop():
    topic, message = messages(4)[BRIDGE_PARTS]
    assert message_faults(topic, json.dumps(message)) == []
    for key, value in (
        ("exp_aft", 60),
        ("~", "daly"),
        ("avty_t", "x"),
        ("o", {"sw": "1"}),
        ("avty", [{"t": "x"}]),
        ("dev", {"ids": ["x"], "name": "X"}),
        ("cmps", {"a": {"p": "sensor", "name": "A"}}),
    ):
        assert message_faults(topic, json.dumps({**message, key: value})) != [], key
    entity = message["cmps"]["pack_voltage"]
    for key, value in (("unit_of_meas", "A"), ("stat_cla", "total"), ("dev_cla", "charge"), ("ent_cat", "config"), ("ic", "x")):
        assert entity_faults({**entity, key: value}, True) != [], key
    assert message_faults("homeassistant/device/a b/config", json.dumps(message)) != []
    assert entity_faults({**entity, "def_ent_id": "pack_voltage"}, True) != []


@pytest.mark.parametrize("cells", range(1, 49))
def test_no_message_is_too_large(cells):
    discovery, _ = make(cells, 16, base="a/rather/long/base/topic/of/somebody", **IDENTITY)
    sizes = [len(discovery.message(part)[1]) for part in range(discovery.parts())]
    assert max(sizes) <= LARGEST


@pytest.mark.parametrize("cells", [1, 16, 48])
def test_every_reading_that_is_published_has_an_entity_and_every_template_a_reading(cells):
    _, pack = make(cells, 3)
    published = {"state": json.loads(said(pack, STATE)), "info": json.loads(said(pack, INFO))}
    announced = {"state": {}, "info": {}}
    for key, entity, message in entities(messages(cells, 3)[BRIDGE_PARTS:]):
        part = message["stat_t"].rpartition("/")[2]
        assert message["stat_t"] == "daly/c0ffee/bms1/" + part
        assert key not in announced["state"] and key not in announced["info"]
        announced[part][key] = entity
    assert announced["info"].keys() == published["info"].keys() and "cell_overvoltage_limit_1" in announced["info"]
    from_state = {key: entity for key, entity in announced["state"].items() if "stat_t" not in entity}
    balanced = {f"cell_{number}_balancing" for number in range(1, cells + 1)}
    assert ").mode|d" in from_state.pop("battery_charging")["val_tpl"]  # another view of the mode
    assert from_state.keys() - balanced == published["state"].keys() - {"balancing_cells"} and balanced <= from_state.keys()
    for key, entity in {**from_state, **announced["info"]}.items():
        if key in balanced:
            assert "(value_json|d).balancing_cells" in entity["val_tpl"]
            continue
        assert re.fullmatch(r"\{\{\(value_json\|d\)\.(\w+)\|d(\(None\))?\}\}", entity["val_tpl"])[1] == key


def test_the_latest_version_of_all_bridges_makes_an_update_entity_where_its_topic_is_named():
    _, pack = make(4)
    for topic in ("", "fleet/latest"):
        names = ("homeassistant", "daly/x", "c0ffee", "Daly BMS", only(pack), "1.2.3", (), "acme_s3", True, 0, None, topic)
        entity = json.loads(Discovery(*names).message(0)[1])["cmps"]["firmware"]
        if topic:
            assert entity["p"] == "update" and entity["l_ver_t"] == topic and entity["dev_cla"] == "firmware"
            assert "value_json" in entity["val_tpl"] and ".version" in entity["val_tpl"] and "cmd_t" not in entity
        else:
            assert entity == {"p": "update"}  # removes the one of before


def said(pack, part):
    writer = Writer()
    for _ in pack_steps(writer.clear(), pack, part=part):
        pass
    return writer.bytes()


def test_the_balancing_of_each_cell_is_read_from_the_list_of_those_that_are_balanced():
    """The templates as Home Assistant renders them; "None" is unknown there, and an empty text is ignored."""
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(autoescape=False)
    environment.globals["iif"] = lambda test, yes, no: yes if test else no
    _, pack = make(3, 0)
    row = READING["cell_{}_balancing"]
    templates = [
        environment.from_string(entity["val_tpl"])
        for key, entity, _ in entities(messages(3, 0))
        if key.startswith("cell_") and key.endswith("_balancing") and "val_tpl" in entity
    ]
    for values, expected in (
        ((0, 1, 1), ["OFF", "ON", "ON"]),
        ((0, 0, 0), ["OFF", "OFF", "OFF"]),
        ((1, None, 0), ["None", "None", "None"]),  # one of them is not known
    ):
        for index, value in enumerate(values):
            pack.put(row, index, value, 0)
        state = json.loads(said(pack, STATE))
        assert [template.render(value_json=state) for template in templates] == expected
    assert [template.render() for template in templates] == ["", "", ""]


def test_no_template_fails_on_a_message_that_is_no_json():
    """Home Assistant leaves value_json undefined for an empty message, with which a retained state is cleared."""
    checked = 0
    for _, entity, message in entities(messages(16, allowed=[control[0] for control in CONTROLS])):
        for found in (entity, *entity.get("avty", ()), *message["avty"]):
            if "val_tpl" in found:
                checked += 1
                assert "value_json" not in found["val_tpl"].replace("(value_json|d)", ""), found["val_tpl"]
    assert checked > 80


def test_unique_ids_and_names_are_unique():
    said = entities(messages(48, 16))
    ids = [(entity["p"], entity["uniq_id"]) for _, entity, _ in said]
    names = [(message["dev"]["ids"][0], entity.get("name", entity.get("dev_cla"))) for _, entity, message in said]
    entity_ids = [entity["def_ent_id"] for _, entity, _ in said]
    for several in (ids, names, entity_ids):
        assert len(several) == len(set(several))


def test_unique_ids_stay_when_the_battery_is_another():
    small = {key: entity["uniq_id"] for key, entity, _ in entities(messages(4, 1))}
    large = {key: entity["uniq_id"] for key, entity, _ in entities(messages(48, 16, **IDENTITY))}
    assert small.items() <= large.items()


def test_topics_are_different_and_make_two_devices():
    said = messages(48, 16)
    assert len({topic for topic, _ in said}) == len(said)
    assert [message["dev"]["ids"] for _, message in said] == BRIDGE_PARTS * [["daly_c0ffee"]] + (len(said) - BRIDGE_PARTS) * [
        ["daly_c0ffee_bms1"]
    ]
    assert all(message["dev"]["via_device"] == "daly_c0ffee" for _, message in said[BRIDGE_PARTS:])
    assert "via_device" not in said[0][1]["dev"]


def test_the_battery_is_available_while_bridge_and_bms_are_and_the_bridge_by_itself():
    said = [message for _, message in messages(16)]
    for message in said[:BRIDGE_PARTS]:
        assert [found["t"] for found in message["avty"]] == ["daly/c0ffee/status"]
    for message in said[BRIDGE_PARTS:]:
        assert [found["t"] for found in message["avty"]] == ["daly/c0ffee/status", "daly/c0ffee/bms1/status"]
        assert message["avty_mode"] == "all"


def test_the_battery_has_the_versions_it_told():
    device = messages(16, **IDENTITY)[BRIDGE_PARTS][1]["dev"]
    assert (device["sn"], device["sw"], device["hw"]) == tuple(IDENTITY.values())
    assert not {"sn", "sw", "hw"} & messages(16)[BRIDGE_PARTS][1]["dev"].keys()


def test_entities_say_what_the_table_says():
    for key, entity, _ in entities(messages(48, 16))[1:]:
        row = READING.get(key) or READING.get(re.sub(r"\d+", "{}", key))
        if row is None:
            continue
        assert entity["p"] == ("binary_sensor" if row.kind == BINARY else "sensor")
        seen = entity_of(row)
        assert entity.get("unit_of_meas") == seen.unit
        assert entity.get("stat_cla") == ("total_increasing" if seen.is_total else "measurement" if seen.unit else None)
        assert seen.icon is None or entity["ic"] == "mdi:" + seen.icon
        assert seen.icon or row.slots == 4 or "dev_cla" in entity  # the digital inputs and outputs have neither
        number = re.sub(r"\D", "", key) if row.slots > 1 else ""
        assert (entity.get("name") or entity["dev_cla"].capitalize()) == seen.name.replace("{}", number)
        assert entity.get("ops") == (list(OPTIONS[row.key]) if row.kind == ENUM else None)
        if row.kind == NUMBER and seen.unit:
            assert entity["sug_dsp_prc"] == {"power": 0}.get(row.key, min(row.decimals, entity["sug_dsp_prc"]))


def test_values_that_are_said_again_and_again_expire_and_what_is_said_once_does_not():
    by_key = {key: entity for key, entity, _ in entities(messages(4))}
    for key in ("soc", "problem", "cell_4_voltage", "temperature_2", "cell_1_balancing", "mode"):
        assert 20 <= by_key[key]["exp_aft"] <= 120
    for key in ("battery_code", "rated_capacity", "chemistry"):
        assert "exp_aft" not in by_key[key]


def test_another_prefix_and_base_topic_are_used_everywhere():
    for topic, message in messages(16, base="shed/battery", prefix="ha/disco"):
        assert topic.startswith("ha/disco/device/") and message_faults(topic, json.dumps(message), "ha/disco") == []
        assert "daly/c0ffee" not in json.dumps(message)


@pytest.mark.parametrize("cells", [1, 8, 13, 48])
def test_cells_that_are_not_there_are_removed(cells):
    """Named with their platform alone; an empty message would be a warning in Home Assistant's log where nothing was."""
    discovery, _ = make(cells)
    said = dict(discovery.message(part) for part in range(discovery.parts()))
    for cell in range(1, 49):
        first = (cell - 1) // PER_MESSAGE * PER_MESSAGE + 1
        found = json.loads(said[f"homeassistant/device/daly_c0ffee_bms1_cell_voltage_{first}/config"])["cmps"]
        assert (len(found[f"cell_{cell}_voltage"]) > 5) == (cell <= cells)
        assert cell <= cells or found[f"cell_{cell}_voltage"] == {"p": "sensor"}


ODD = 'a "b" \\c\t\x01 äß日'


@pytest.mark.parametrize("where", ["prefix", "base", "name", "board", "version", "text"])
def test_whatever_stands_in_names_and_topics_it_is_valid_json(where):
    values = {
        "prefix": "homeassistant",
        "base": "daly/x",
        "name": "Daly BMS",
        "board": "acme",
        "version": "1",
        "text": "T",
        where: ODD,
    }
    pack = Pack()
    pack.topology.update(cell_count=4, temperature_count=1, battery_code=values["text"])
    identity = (values["prefix"], values["base"], "c0ffee", values["name"])
    discovery = Discovery(
        *identity, only(pack, name=values["name"]), values["version"], ("charge_mosfet", "soc"), values["board"], True
    )
    for part in range(discovery.parts()):
        topic, text = discovery.message(part)
        message = json.loads(text)
        assert topic.startswith(values["prefix"] + "/device/daly_c0ffee")
        assert message["stat_t"].startswith(values["base"] + "/") and message["avty"][0]["t"] == values["base"] + "/status"
        assert (
            message["dev"]["name"] in (values["name"], values["name"] + " bridge") and message["o"]["sw"] == values["version"]
        )
        assert message["dev"].get("hw", values["board"]) == values["board"] and message["dev"]["sn"] in (
            values["text"],
            "c0ffee",
        )
        topics = [entity[key] for entity in message["cmps"].values() for key in ("stat_t", "cmd_t") if key in entity]
        assert all(found.startswith(values["base"] + "/") for found in topics)


def test_sentences_are_shortened_to_what_home_assistant_shows():
    assert listed([]) == "none" and listed(["One."]) == "One." and listed(("One.", "Two.")) == "One. Two."
    for count in range(1, 30):
        for length in (10, 100, 126, 127, 128, 200, 252, 255, 256, 400):
            sentences = [f"{n:02d}" + "x" * (length - 2) for n in range(count)]
            text = listed(sentences)
            assert len(text) <= 255 and text.startswith(sentences[0][:200])
            shown = sum(sentence in text for sentence in sentences)
            left = count - max(shown, 1)
            assert text.endswith(f" +{left}") if left else "+" not in text
            assert shown == count or len(" ".join(sentences[: shown + 1])) > 250 - len(f" +{left}")
    assert len(bounded("x" * 255)) == 255 and bounded("x" * 256) == "x" * 252 + "..."


def test_every_reading_is_announced_once_and_single_ones_with_their_poll_group():
    found = [(key, topic) for topic, message in messages(48, 16) for key in message["cmps"]]
    for row in READINGS:
        for index in range(row.slots if row.kind != BITFIELD else 0):
            topics = [topic for key, topic in found if key == row.key.replace("{}", str(index + 1))]
            assert len(topics) == 1, row.key
            assert row.counted_by is not None or re.search(f"_bms1_{row.group}(_[2-9])?/config$", topics[0])


@pytest.mark.parametrize(
    ("key", "device_class", "state_class"),
    [("pack_voltage", "voltage", "measurement"), ("current", "current", "measurement"), ("power", "power", "measurement"),
     ("energy_charged", "energy", "total_increasing"), ("capacity_charged", None, "total_increasing"),
     ("soc", "battery", "measurement"), ("remaining_capacity", None, "measurement"),
     ("remaining_time", "duration", "measurement"),
     ("sleep_time", "duration", "measurement"), ("temperature_1", "temperature", "measurement"), ("problem", "problem", None),
     ("cycle_count", None, "total_increasing"), ("max_voltage_cell", None, None), ("mode", "enum", None)],
)  # fmt: skip
def test_the_classes_are_those_home_assistant_has_for_it(key, device_class, state_class):
    entity = next(entity for found, entity, _ in entities(messages(4)) if found == key)
    assert (entity.get("dev_cla"), entity.get("stat_cla")) == (device_class, state_class)


def test_both_devices_say_what_they_are():
    said = messages(16, **IDENTITY)
    assert {"mf", "mdl", "sw", "sn", "name", "ids", "hw"} <= said[0][1]["dev"].keys()
    assert {"mf", "mdl", "sw", "sn", "name", "ids", "hw", "via_device"} <= said[-1][1]["dev"].keys()


def test_home_assistant_names_what_its_class_says_in_the_users_language():
    unnamed = {key for key, entity, _ in entities(messages(16, allowed=("restart_bms",))) if "name" not in entity}
    assert unnamed == {"pack_voltage", "current", "power", "problem", "restart_bms_button"}


def test_entity_ids_are_the_same_before_2025_10():
    """It knows obj_id only, and without it makes the id of the names of device and entity."""
    for _, entity, message in entities(messages(48, 16, allowed=list(CONTROL))):
        platform, _, wanted = entity["def_ent_id"].partition(".")
        assert platform == entity["p"]
        assert wanted == (entity.get("obj_id") or slug(message["dev"]["name"] + " " + entity["name"]))


def test_the_time_to_full_or_empty_is_unavailable_rather_than_unknown():
    for key, entity, message in entities(messages(4)):
        if key in ("remaining_time", "time_to_full", "time_to_empty"):
            assert entity["avty"][:2] == message["avty"]
            assert entity["avty"][2]["t"] == message["stat_t"] and f").{key} is number" in entity["avty"][2]["val_tpl"]
        elif key not in ("connection", "last_command", "alarm"):
            assert "avty" not in entity


def test_few_entities_stand_in_the_main_block():
    said = entities(messages(16))
    main = [key for key, entity, _ in said if "ent_cat" not in entity]
    shown = [key for key, entity, _ in said if entity.get("en", True)]
    assert len(main) <= 18 and not [key for key in main if key.startswith(("cell_1", "temperature_"))]
    assert all(entity.get("en", True) for _, entity, _ in said if "ent_cat" not in entity)
    assert not [key for key in shown if key.endswith("_balancing")]


def test_a_switch_takes_the_place_of_the_reading_in_the_main_block():
    for allowed in ((), ("charge_mosfet",)):
        found = {key: entity for key, entity, _ in entities(messages(4, allowed=allowed))}
        assert ("ent_cat" in found["charge_mosfet"]) == bool(allowed)
        assert "ent_cat" not in found["discharge_mosfet"]
        assert ("last_command" in found) == bool(allowed)


def test_the_bridge_has_a_button_for_the_diagnostics():
    found = {key: entity for key, entity, _ in entities(messages(4))}["diagnostics_button"]
    assert found["cmd_t"] == "daly/c0ffee/diagnostics/set" and found["name"] == "Publish diagnostics" and found["en"] is False
    assert found["ent_cat"] == "diagnostic"


def test_controls_are_announced_only_when_allowed_and_else_removed():
    for control in CONTROLS:
        for allowed in ((), (control.key,)):
            found = {key: e for _, message in messages(4, allowed=allowed) for key, e in message["cmps"].items()}
            entity = found[f"{control.key}_{control.platform}"]
            assert ("cmd_t" in entity) == bool(allowed)
            assert entity == {"p": control.platform} or "ret" not in entity  # a retained command would be replayed


def test_a_discovery_that_is_loaded_when_it_is_needed_says_the_same_and_leaves_the_memory(modules_stay):
    discovery, pack = make(16)
    loaded = LoadedDiscovery(
        Writer(LARGEST), "homeassistant", "daly/c0ffee", "c0ffee", "Daly BMS", only(pack), "1.2.3", (), "acme_s3", True
    )
    assert (loaded.parts(), loaded.bridge_parts) == (discovery.parts(), discovery.bridge_parts)
    loaded.unload()
    for name in LOADED:
        unload(name)
    for part in range(loaded.parts()):
        for _ in loaded.load(part):
            pass
        topic, steps = loaded.begin(part)
        assert True in list(steps) and (topic, loaded.writer.bytes()) == discovery.message(part)
        loaded.unload()
        assert not LOADED & set(sys.modules)


def test_discovery_is_loaded_a_module_at_a_time(modules_stay):
    _, pack = make(16)
    arguments = (Writer(LARGEST), "homeassistant", "daly/c0ffee", "c0ffee", "Daly BMS", only(pack), "1.2.3", (), "", True)
    loaded = LoadedDiscovery(*arguments)
    for name in LOADED:
        unload(name)
    there = [set(sys.modules)]
    load = loaded.load(0)
    while next(load, "loaded") != "loaded":
        there.append(set(sys.modules))
    there.append(set(sys.modules))
    assert [len(now - before) for before, now in pairwise(there)] == [0] + [1] * len(LOADED) + [0]  # then it is made
    loaded.begin(0)
    assert set(sys.modules) == there[-1] == there[0] | LOADED


@pytest.mark.slow  # packs, if no earlier test has
def test_each_of_its_modules_is_loaded_by_a_slow_chip_in_one_short_pass():
    bundled = bundle.compiled_once({**bundle.firmware(), **bundle.libraries()})
    assert all(len(bundled[name.replace(".", "/") + ".mpy"]) <= 3000 for name in LOADED)  # 18.5 ms a KB: docs/CHIP.md


def test_how_many_messages_there_are_is_known_before_it_is_loaded():
    for number in (1, 2, 4):
        batteries = only(Pack()) * number
        names = ("homeassistant", "daly/c0ffee", "c0ffee", "Daly BMS", batteries, "1.2.3", (), "acme_s3", True)
        loaded = LoadedDiscovery(Writer(LARGEST), *names)
        made = (Discovery if number == 1 else DiscoveryWithBank)(*names)
        of_loaded = (loaded.parts(), loaded.bridge_parts, loaded.battery_parts)
        assert of_loaded == (made.parts(), made.bridge_parts, made.battery_parts)
