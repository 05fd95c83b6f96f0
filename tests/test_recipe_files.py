# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The files of docs/RECIPES.md: each is valid, is linked there, and names only topics and keys that the bridge publishes."""

import configparser
import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from battery.readings import GROUPS, READINGS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "RECIPES.md").read_text()
FILES = sorted(path for path in (ROOT / "docs" / "recipes").iterdir() if path.is_file())
TOPICS = {"status", "state"} | {f"bms1/{end}" for end in ("status", "state", "connection", "info", "victron")}
IN_STATE = {row.key for row in READINGS if GROUPS[row.group].period_ms is not None} | {"seq"}
NAMES = r"jq: \.(\w+)|JSONPATH:\$\.(\w+)|bms1/state`, `(\w+)`|Reading(?:sVal|sAge)\(\$name,\"(\w+)\""
READINGS_OF_FHEM = {"bridge_status", "bms_status", "connection"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_linked_and_names_what_there_is(path):
    text = path.read_text()
    assert f"recipes/{path.name})" in PAGE
    assert set(re.findall(r"daly/02da1bc0ffee/([\w/]+)", text)) <= TOPICS
    assert {name for names in re.findall(NAMES, text) for name in names if name} - READINGS_OF_FHEM <= IN_STATE


def test_the_page_names_keys_of_the_state():
    found = {name for names in re.findall(NAMES, PAGE) for name in names if name}
    assert found == {"soc", "pack_voltage", "current"}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix in (".yml", ".yaml", ".json", ".ini")], ids=lambda p: p.name
)
def test_it_can_be_read(path):
    if path.suffix == ".ini":
        found = configparser.ConfigParser()
        found.read(path)
        assert 10 <= int(found["DEFAULT"]["timeout"]) <= 60 and found["MQTT"]["topic"].endswith("/bms1/victron")
    else:
        assert (json.loads if path.suffix == ".json" else YAML(typ="safe").load)(path.read_text())


def test_what_was_not_run_says_so():
    rows = re.findall(r"^\| \[([\w -]+)\]\(#.*\| (.*) \|$", PAGE, re.MULTILINE)
    run = {name for name, note in rows if note.startswith("**yes**")}
    assert run == {"Node-RED", "Prometheus", "ioBroker"} and len(rows) == 9
    for name, note in rows:
        assert name in run or "**not run**" in note, name
    for name in ("evcc.yaml", "openhab.things", "openhab.items", "fhem.cfg", "emhass.yaml"):
        assert "Not run" in (ROOT / "docs" / "recipes" / name).read_text(), name


def test_evcc_refuses_what_is_old_and_turns_the_sign():
    meter = YAML(typ="safe").load((ROOT / "docs" / "recipes" / "evcc.yaml").read_text())["meters"][0]
    assert meter["power"]["scale"] == -1 and "scale" not in meter["soc"]
    assert meter["power"]["timeout"] == meter["soc"]["timeout"] == "30s"
