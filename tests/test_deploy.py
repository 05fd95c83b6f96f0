# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""deploy/ as far as no engine is needed: what Telegraf makes of our messages, the rules, and that its files fit each other.

With the engines: tests/deploy (`make test-deploy`)."""

import json
import re
import subprocess

import pytest
import yaml
from engines import CLUSTER, ONE_MACHINE, PROMTOOL, needs_promtool
from telegraf import FILE, line_protocol, load

from app.version import VERSION
from battery.readings import BITFIELD, READINGS, TEXT
from mqtt.bridge_entities import BRIDGE

NOW = 1_700_000_000
STATE = (
    b'{"seq":7,"time":null,"pack_voltage":52.7,"current":-12.4,"soc":57.3,"mode":"discharging","charge_mosfet":"ON",'
    b'"fan":"OFF","problem":"ON","active_alarms":"Cell overvoltage (protection), EEPROM (fault)","cell_1_voltage":3.296,'
    b'"time_to_full":null,"serial_number":"221LD","balancing":"OFF"}'
)


def series(topic, payload):
    """{(measurement, tags, field): value} of what Telegraf writes for a message."""
    found = {}
    for line in line_protocol(load(), topic, payload, NOW):
        head, fields, stamp = re.fullmatch(r"((?:\\.|[^ \\])+) ((?:\\.|[^ \\])+) (\d+)", line).groups()
        assert stamp == f"{NOW}000000000"
        name, *tags = re.split(r"(?<!\\),", head)
        tags = tuple(sorted(re.sub(r"\\(.)", r"\1", tag) for tag in tags))
        for field in fields.split(","):
            key, _, value = field.partition("=")
            found[name, tags, key] = float(value.rstrip("i"))
    return found


# Telegraf


def test_a_state_is_numbers_with_the_bridge_and_the_battery_as_tags():
    tags = ("battery=bms1", "bridge=cellar-1")
    found = {key: value for (name, its, key), value in series("daly/cellar-1/bms1/state", STATE).items() if its == tags}
    assert found == {
        "seq": 7,
        "pack_voltage": 52.7,
        "current": -12.4,
        "soc": 57.3,
        "mode": -1,
        "charge_mosfet": 1,
        "fan": 0,
        "problem": 1,
        "cell_1_voltage": 3.296,
        "balancing": 0,
    }  # neither what is null nor a word that is no state


def test_which_alarms_is_a_tag_of_a_series_of_its_own():
    tags = ("active_alarms=Cell overvoltage (protection), EEPROM (fault)", "battery=bms1", "bridge=cellar-1")
    assert series("daly/cellar-1/bms1/state", STATE)["alarm", tags, "problem"] == 1
    assert [
        key for (name, *_), key in zip(series("daly/cellar-1/bms1/state", STATE), "x" * 99, strict=False) if name == "alarm"
    ] == ["x"]


def test_of_a_battery_that_is_offline_nothing_is_stored_as_a_number():
    state = b'{"seq":8,"time":null,"soc":null,"mode":null,"problem":null,"active_alarms":null,"cell_1_voltage":null}'
    assert list(series("daly/a/bms1/state", state)) == [("battery", ("battery=bms1", "bridge=a"), "seq")]


@pytest.mark.parametrize(("word", "number"), (("offline", 0), ("online", 1), ("sleeping", 2)))
def test_the_three_words_of_a_status_are_numbers(word, number):
    assert series("daly/a/status", word.encode()) == {("bridge", ("bridge=a",), "status"): number}
    assert series("daly/a/bms201/status", word.encode()) == {("battery", ("battery=bms201", "bridge=a"), "status"): number}


def test_a_list_of_cells_is_not_a_series_for_each_place_in_it():
    assert [key for *_, key in series("daly/a/bms1/state", b'{"soc":1,"balancing_cells":[3,7]}')] == ["soc"]


def test_the_bridges_own_state_carries_its_version():
    found = series("daly/a/state", b'{"version":"0.1.0","uptime":12,"rssi":-50,"ip_address":"192.0.2.2","free_memory":null}')
    tags = ("bridge=a", "version=0.1.0")
    assert found == {("bridge", tags, "uptime"): 12, ("bridge", tags, "rssi"): -50}


@pytest.mark.parametrize(
    "topic", ("daly/a/bms1/energy", "daly/a/bms1/connection", "daly/a/bms1/soc/set", "daly/a/diagnostics", "x/a/state")
)
def test_nothing_else_is_stored(topic):
    assert series(topic, b'{"soc":1}') == {}


@pytest.mark.parametrize("payload", (b"", b"[]", b"1", b'"x"', b"{", b"\xff", b"{}"))
def test_what_is_no_state_is_nothing(payload):
    assert series("daly/a/bms1/state", payload) == {}


def test_every_word_that_a_reading_can_be_has_its_number():
    """A reading of READINGS with words is asked for, and all of its words have a number."""
    battery = next(each for each in load()["inputs"]["mqtt_consumer"] if "json_string_fields" in each)
    numbers = {}
    for mapping in load()["processors"]["enum"][0]["mapping"]:
        numbers |= {field: set(mapping["value_mappings"]) for field in mapping["fields"]}
    assert set(battery["json_string_fields"]) <= set(numbers)
    assert numbers["mode"] == {"idle", "charging", "discharging"}
    keys = {row.key for row in READINGS if row.kind != BITFIELD}
    assert (
        set(battery["json_string_fields"]) <= keys and {row.key for row in READINGS if row.kind == TEXT} & set(numbers) == set()
    )
    assert "version" in {row.key for row in BRIDGE}


def test_an_option_that_the_stand_in_does_not_know_is_an_error(tmp_path):
    (tmp_path / "t.conf").write_text(FILE.read_text().replace("qos = 0", "qos = 0\n  keepalive = 3", 1))
    with pytest.raises(ValueError, match="keepalive"):
        load(tmp_path / "t.conf")


# rules and dashboards


@needs_promtool
@pytest.mark.slow
def test_the_rules_with_their_own_times():
    subprocess.run([PROMTOOL, "test", "rules", "alerts.test.yml"], cwd=ONE_MACHINE / "vmalert", check=True, capture_output=True)


def test_every_rule_is_tried():
    rules = yaml.safe_load((ONE_MACHINE / "vmalert" / "alerts.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((ONE_MACHINE / "vmalert" / "alerts.test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each.get("exp_alerts")}
    quiet = {each["alertname"] for test in tests for each in test["alert_rule_test"] if not each.get("exp_alerts")}
    assert {rule["alert"] for rule in rules} == fired == quiet


def test_the_rule_of_old_versions_has_the_version_of_this_release():
    assert f'version!="{VERSION}"' in (ONE_MACHINE / "vmalert" / "alerts.yml").read_text()


def metrics(text):
    return set(re.findall(r"\b((?:battery|bridge|alarm)_[a-z0-9_]+)\b(?!\s*[=!])", text)) - {
        "battery_cell_",
        "battery_temperature_",
    }


def test_every_metric_that_a_rule_or_panel_names_is_one_that_telegraf_writes():
    known = {f"battery_{row.key}" for row in READINGS} | {f"bridge_{row.key}" for row in BRIDGE}
    known |= {"battery_status", "bridge_status", "alarm_problem"}
    texts = [(ONE_MACHINE / "vmalert" / "alerts.yml").read_text()]
    for panel in panels("fleet") + panels("battery"):
        texts += [target["expr"] for target in panel["targets"]]
    named = set().union(*(metrics(re.sub(r"#.*", "", text)) for text in texts)) - {"battery_"}
    assert len(named) > 15 and named - known - {"battery_temperature", "battery_cell"} == set()


def dashboard(name):
    return json.loads((ONE_MACHINE / "grafana" / "dashboards" / f"{name}.json").read_text())


def panels(name):
    return dashboard(name)["panels"]


@pytest.mark.parametrize("name", ("fleet", "battery"))
def test_a_dashboard_is_whole(name):
    source = yaml.safe_load((ONE_MACHINE / "grafana/provisioning/datasources/victoriametrics.yaml").read_text())["datasources"][
        0
    ]
    assert len({panel["id"] for panel in panels(name)}) == len(panels(name)) > 10
    taken = set()
    for panel in panels(name):
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": source["type"], "uid": source["uid"]}
    used = set(re.findall(r"\$(\w+)", json.dumps([panel["targets"] for panel in panels(name)])))
    assert used - {"__range"} == {each["name"] for each in dashboard(name)["templating"]["list"]}


@pytest.mark.parametrize("name", ("fleet", "battery"))
def test_a_number_of_now_on_a_dashboard_is_two_minutes_old_at_most(name):
    """A panel that shows one number takes it from a window that it names: a dead bridge's is gone."""
    now = [panel for panel in panels(name) if any(target.get("instant") for target in panel["targets"])]
    assert now
    for panel in now:
        for target in panel["targets"]:
            windows = set(re.findall(r"\[(\w+|\$\w+)\]", target["expr"]))
            whole = re.search(r"ALERTS|increase|changes|count_over_time|bridge_uptime", target["expr"])
            assert whole or (windows and windows <= {"1m", "2m"}), (panel["title"], target["expr"])


def test_a_graph_is_not_drawn_across_a_gap():
    graphs = [panel for name in ("fleet", "battery") for panel in panels(name) if panel["type"] == "timeseries"]
    assert graphs and all(panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False for panel in graphs)


# the files among each other


@pytest.mark.parametrize("folder", (ONE_MACHINE, CLUSTER), ids=lambda folder: folder.name)
def test_what_compose_mounts_and_asks_for_is_there_or_explained(folder):
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    readme = (folder / "README.md").read_text()
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+", service["image"]), f"{name} is not pinned"
        assert service["restart"] and service["mem_limit"]
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./secrets"):
                assert source.removeprefix("./") in readme, source
            elif source.startswith("."):
                assert (folder / source).exists(), source
            else:
                assert source in compose["volumes"], source
    for variable in re.findall(r"\$\{(\w+):\?", (folder / "compose.yaml").read_text()):
        assert variable in readme, variable


def test_no_port_without_encryption_is_open_to_the_network():
    services = yaml.safe_load((ONE_MACHINE / "compose.yaml").read_text())["services"]
    published = {port for service in services.values() for port in service.get("ports", ())}
    assert published == {"8883:8883", "127.0.0.1:3000:3000"}


def test_with_and_without_containers_the_store_has_the_same_options():
    compose = yaml.safe_load((ONE_MACHINE / "compose.yaml").read_text())["services"]["victoriametrics"]["command"]
    unit = (ONE_MACHINE / "systemd" / "victoria-metrics.service").read_text().split()
    assert {option for option in compose if "Path" not in option} <= set(unit)


def test_the_access_list_has_one_line_for_all_bridges():
    lines = [line for line in (ONE_MACHINE / "mosquitto" / "acl").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "pattern readwrite daly/%u/#" and len([line for line in lines if line.startswith("pattern")]) == 1


@pytest.mark.parametrize("folder", (ONE_MACHINE, CLUSTER), ids=lambda folder: folder.name)
def test_links_of_the_folders_lead_somewhere(folder):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (folder / "README.md").read_text())
    assert targets and [target for target in targets if "://" not in target and not (folder / target).exists()] == []
