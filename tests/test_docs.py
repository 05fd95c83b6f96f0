# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The pages against the code: what is made is current, what is named exists, what can be met is explained."""

import ast
import re
import sys
from pathlib import Path

import pytest

from app import batteries, extras
from app.settings import SETTINGS
from battery.readings import BITFIELD, READINGS
from campaigns import chaos_outputs
from campaigns.chaos import FAULTS
from daly.diagnosis import ECHO, EMPTY, LATE, NOISE, SILENCE, UNEXPECTED, Diagnosis
from mqtt.bridge_entities import BRIDGE

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "docs"))

import generate  # noqa: E402
import wiring  # noqa: E402

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text()
MQTT = (ROOT / "docs" / "MQTT.md").read_text()
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_made_tables_are_current():
    assert not generate.outdated_pages(), f"run: {generate.AGAIN}"


def test_drawings_are_current():
    for name, make in wiring.DRAWINGS.items():
        assert (wiring.FOLDER / f"{name}.svg").read_text(encoding="utf-8") == make().svg(), "run: docs/wiring.py"


def test_notes_are_on_keys_that_there_are():
    assert set(generate.NOTES) <= {row.key for row in READINGS if row.kind != BITFIELD}


def test_every_key_of_the_bridge_is_explained():
    assert sorted(generate.BRIDGE_NOTES) == sorted(row.key for row in BRIDGE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page):
    for path in re.findall(r"`((?:app|daly|display|docs|host|mqtt|tests)/[\w/]+\.\w+)`", page.read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("source", ("mqtt/publisher.py", "app/commands.py", "app/diagnostics.py"))
def test_every_topic_is_explained(source):
    texts = [node.value for node in ast.walk(ast.parse((ROOT / source).read_text())) if isinstance(node, ast.Constant)]
    below_base = {text for text in texts if isinstance(text, str) and re.fullmatch(r"/[\w/]+", text)}
    assert below_base and not [text for text in below_base if f"`<base>{text}`" not in MQTT and f"`<base>{text}<" not in MQTT]


def test_every_fault_and_long_run_has_its_result_in_reliability():
    text = (ROOT / "docs" / "RELIABILITY.md").read_text()
    rows = made(text, "chaos").splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ").partition(" (")[0] for row in rows] == [fault.name for fault in FAULTS]
    assert [row for row in rows if not row.endswith("| ok |")] == []
    for name in ("steady", "powercuts", "soak", "soak outputs"):
        assert "| Result | ok |" in made(text, name), f"make {name}"
    rows = [row for row in made(text, "chaos outputs").splitlines()[2:] if row.startswith("|")]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [row.fault.name for row in chaos_outputs.rows()]
    assert [row for row in rows if not row.endswith("| ok |")] == []


def made(text, name):
    return text.partition(f"<!-- made: {name} -->\n")[2].partition(f"<!-- end: {name} -->")[0]


def test_settings_named_in_pages_exist():
    keys = {setting.key for setting in SETTINGS} | {"CIRCUITPY_WEB_API_PASSWORD"}  # CircuitPython's own
    keys |= set(batteries.known_keys() + extras.known_keys())
    families = tuple({key.split("_")[0] + "_" for key in keys})
    wrong = made((ROOT / "docs" / "SETTINGS.md").read_text(), "wrong-settings")
    for page in PAGES:
        for word in re.findall(r"`([A-Z][A-Z0-9]+_[A-Z0-9_]+)(?: = [^`]*)?`", page.read_text().replace(wrong, "")):
            assert word in keys or not word.startswith(families), f"{word} in {page.name}"


@pytest.mark.parametrize("outcome", (SILENCE, ECHO, NOISE, UNEXPECTED, EMPTY, LATE))
def test_what_the_screen_says_of_the_link_is_in_troubleshooting(outcome):
    link = Diagnosis()
    link.note_detection(True)
    for _ in range(8):
        link.failed(outcome)
    for line in link.short:
        assert f"`{line}`" in README, line


def test_the_sentences_of_the_diagnosis_are_in_truth():
    tree = ast.parse((ROOT / "daly" / "words.py").read_text())
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]
    sentences = [ast.literal_eval(words.elts[0]) for table in tables for words in table.values if isinstance(words, ast.Tuple)]
    text = (ROOT / "docs" / "TRUTH.md").read_text()
    assert len(sentences) > 15 and [sentence for sentence in sentences if f"| `{sentence}` |" not in text] == []


@pytest.mark.parametrize("file", ("automations.yaml", "dashboard.yaml"))
def test_entities_of_the_ready_made_files_exist(file):
    text = (ROOT / "docs" / "homeassistant" / file).read_text()
    found = set(re.findall(r"\bsensor\.daly_bms_(\w+)", text)) - {"cell_"}  # completed by a template
    keys = {row.key for row in READINGS if row.kind != BITFIELD} | {"connection"}
    keys |= {f"bridge_{key}" for key in generate.BRIDGE_NOTES}
    assert found and found - keys == set()
