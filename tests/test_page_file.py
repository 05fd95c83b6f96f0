# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The page as a file: its size, what it must not contain, and its names and units, which are those of the rows."""

import gzip
import re
from pathlib import Path

import pytest

from battery import bank
from battery.readings import BITFIELD, NUMBER, READINGS
from mqtt.bridge_entities import BRIDGE
from mqtt.entities import entity
from sensors.vedirect_tables import rows_of

PAGE = (Path(__file__).parent.parent / "web" / "page.html").read_text()
SCRIPT = PAGE[PAGE.index("<script>") :]


def table(name):
    """key -> [label, unit, decimals] of one of the page's tables, as text."""
    text = re.findall(rf'<template id="{name}">\n(.*?)\n</template>', PAGE, re.DOTALL)[0]
    found = {}
    for line in text.splitlines():
        key, *columns = line.split("|")
        assert key not in found, key
        found[key] = columns + [""] * (3 - len(columns))
    return found


def test_names_and_units_of_readings_are_those_of_home_assistant():
    page = table("readings")
    rows = [row for row in READINGS if row.kind != BITFIELD]
    for row in rows:
        decimals = str(row.decimals) if row.kind == NUMBER else ""
        assert page.pop(row.key) == [entity(row).name, entity(row).unit or "", decimals], row.key
    assert set(page) == set(bank.KEYS) - {row.key for row in rows}


def test_names_and_units_of_the_bridge_are_those_of_home_assistant():
    page = table("bridge")
    assert list(page) == [row.key for row in BRIDGE]
    for row in BRIDGE:
        if row.name is not None:
            assert page[row.key] == [row.name, row.unit or "", ""], row.key


def test_names_and_units_of_sources_are_those_of_their_rows():
    page = table("sources")
    for is_monitor in (True, False):
        for _, row, _ in rows_of(is_monitor):
            assert page[row.key] == [row.name, row.unit, str(row.decimals) if row.kind == NUMBER else ""], row.key


def test_every_reading_that_the_script_names_exists():
    """A key that is renamed must not silently become a dash."""
    known = set(table("readings")) | set(table("bridge"))
    named = set(re.findall(r"\bvalues\.([a-z_]+)", SCRIPT)) | set(re.findall(r'reading\([^,()]+, "([a-z_]+)"', SCRIPT))
    named |= set(re.findall(r'\bname\("([a-z_]+)"\)', SCRIPT)) | set(re.findall(r'say\("([a-z_]+)"', SCRIPT))
    for words in re.findall(r"^const (?:SWITCHES|ENERGY) = \[(.*?)\]", SCRIPT, re.MULTILINE | re.DOTALL):
        named |= set(re.findall(r'"([a-z_]+)"', words))
    assert len(named) > 30
    assert named - {"mqtt"} <= known  # mqtt: of /api/bridge only


def test_the_page_is_small_and_all_of_it_is_here():
    assert len(gzip.compress(PAGE.encode(), mtime=0)) <= 20_000
    for pattern in ("https?://(?!www.w3.org/2000/svg)", r"\bsrc=", "@import", "url\\(", "<link rel=.?stylesheet"):
        assert not re.search(pattern, PAGE), pattern


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", " onclick="]
)
def test_text_gets_into_the_page_as_text_only(word):
    assert word not in PAGE
