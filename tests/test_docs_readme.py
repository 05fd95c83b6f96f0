# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The README in the order of an owner: what to try at the top, a table of contents, a comparison with its losses."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.*)$", README, re.MULTILINE)
ORDER = [
    "Try it without any hardware", "Contents", "What you get", "Why this one?", "Is my BMS one of them?",
    "Is my board one of them?", "Buy", "Wire", "Install", "First start", "When something is wrong",
]  # fmt: skip


def section(title):
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text):
    """The cells of the first table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_sections_come_in_the_order_of_an_owner():
    assert HEADINGS[: len(ORDER)] == ORDER


def test_demo_and_tests_are_on_the_first_screen():
    top = "\n".join(README.splitlines()[:20])
    assert "`make demo`" in top and "`make test`" in top


def test_the_contents_name_every_section_below():
    links = re.findall(r"^- \[(.*)\]\(#.*\)$", section("Contents"), re.MULTILINE)
    assert links == HEADINGS[HEADINGS.index("Contents") + 1 :]


def test_the_comparison_has_losses_and_its_claims_about_this_bridge_have_their_pages():
    table = rows(section("Why this one?"))
    assert len(table) > 10 and {len(row) for row in table} == {5}
    lost = [row[0] for row in table if any(cell.startswith("**") for cell in row[2:])]
    assert len(lost) > len(table) / 3 and not [row for row in table if "**" in row[1]]
    for row in table:
        without_page = ("ESP32", "nobody", "no", "slower")
        assert "](" in row[1] or row[1].startswith(without_page), row[0]


def test_boards_that_cannot_do_it_are_named():
    text = section("Is my board one of them?")
    for chip in ("ESP8266", "ESP32, the first one", "ESP32-C3"):
        assert next(cells[1] for cells in rows(text) if cells[0].startswith(chip)).startswith("No:"), chip
    assert "with PSRAM" in text


def test_pictures_have_a_description():
    assert [text for text, _ in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", README) if len(text) < 15] == []
