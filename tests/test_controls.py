# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The table of controls: what other modules and Home Assistant rely on, row by row."""

import json
import re
from pathlib import Path

import pytest

from battery.controls import CONTROL, CONTROLS, RESULTS, refusal_text
from battery.readings import READING
from daly.a5 import WRITES


def test_the_keys_of_allow_control_are_public():
    assert list(CONTROL) == ["charge_mosfet", "discharge_mosfet", "soc", "restart_bms", "energy", "restart_bridge"]


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row.key)
def test_a_row_is_complete(row):
    assert row.platform in ("switch", "number", "button")
    assert row.topic.endswith("/set") and row.topic.startswith("/{}/") == (row.key != "restart_bridge")
    assert (row.reading is None) == (row.platform == "button") and (row.reading is None or row.reading in READING)
    assert (row.payloads == ("ON", "OFF")) == (row.platform == "switch")
    json.loads('{"a":0' + row.extras + "}")
    assert '"ret"' not in row.extras  # a retained command would be carried out at every start


def test_everything_that_needs_a_write_to_the_bms_has_one():
    """The data ids that Daly's own PC tool writes with, docs/PROTOCOL.md."""
    assert WRITES == {"charge_mosfet": 0xDA, "discharge_mosfet": 0xD9, "soc": 0x21, "restart_bms": 0x00}
    assert {row.key for row in CONTROLS} - set(WRITES) == {"energy", "restart_bridge"}  # counted by the bridge


def test_every_result_has_words_that_fit_into_a_state_of_home_assistant():
    longest = max(len(row.subject) for row in CONTROLS)
    assert all(words.isascii() and longest + len(": refused, ") + len(words) <= 255 for words in RESULTS.values())
    assert refusal_text(None) is None and refusal_text("offline") == "the BMS does not answer"
    assert refusal_text("not_understood", "ON or OFF", "on") == 'ON or OFF is understood, not "on"'


def test_every_code_that_is_used_has_words():
    root = Path(__file__).parent.parent
    used = set()
    for file in ("daly/commands.py", "app/commands.py", "app/controls.py", "app/energy_store.py", "app/diagnostics.py"):
        used |= set(re.findall(r'(?:return|else|_end\(|RESULTS\[) ?"([a-z_]+)"', (root / file).read_text()))
    assert used >= {"busy", "offline", "no_time", "not_stored", "done", "not_sent"}
    assert used <= set(RESULTS) | {"set", "true", "false", "not_understood"}
