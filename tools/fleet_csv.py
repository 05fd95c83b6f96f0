# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads the list of bridges, a CSV file as spreadsheets write it, one bridge a row. Every mistake is a sentence with its place.

Columns in capitals are settings (settings.toml has them all); `id` is BRIDGE_ID and the user name at the broker, `host` the
board's address for the web workflow; all others are notes of yours and not used.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from tools import settings

ID, HOST = "id", "host"
MOST_ID = 16  # BRIDGE_ID, app/settings.py
RESERVED = ("telegraf", "installer")  # users of the broker, deploy/one-machine/mosquitto/acl
OURS = {  # columns that a fleet does not have, and why
    "BRIDGE_ID": "the column is called id",
    "MQTT_USERNAME": "it is the id: the broker's access list relies on it",
    "MQTT_CLIENT_ID": "it is made of the id",
    "MQTT_BASE_TOPIC": "it is daly/<id>: access list, Telegraf and dashboards rely on it",
    "MQTT_RETAIN_STATE": "a dead bridge's last numbers would reach the store as new ones when Telegraf restarts",
}
DEVICES = ("con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(1, 10)))  # of Windows
SWITCHES = {"wahr": "true", "falsch": "false", "vrai": "true", "faux": "false"}  # as spreadsheets write them
SHORTEST_PASSWORD = 8


class Wrong(Exception):
    """What is wrong with the list: `sentences`, all of them."""

    def __init__(self, sentences: list[str]):
        super().__init__("\n".join(sentences))
        self.sentences = sentences


class Bridge(NamedTuple):
    """One row: its number in the spreadsheet, the id, the board's address ("": none), and {setting: value} as written."""

    row: int
    id: str
    host: str
    settings: dict[str, str]


def read(path: Path) -> tuple[list[Bridge], list[str]]:
    """(bridges, names of columns that are notes). Raises Wrong."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Wrong([f"{path} cannot be read ({error.strerror}); make fleet CSV=bridges.csv"]) from None
    except UnicodeDecodeError as error:
        raise Wrong([f'{path}, {_place(error)}: it is not UTF-8; save it as "CSV UTF-8"']) from None
    return parse(text, path.name)


def parse(text: str, name: str = "the list") -> tuple[list[Bridge], list[str]]:
    """The same for the text of a file. Raises Wrong."""
    rows = _rows(text, name)
    if not rows:
        raise Wrong([f"{name} is empty; its first row has the names of the columns, id first"])
    heads = [head.strip() for head in rows[0][1]]
    wrong = _about_heads(heads)
    if wrong:
        raise Wrong(wrong)
    bridges = []
    for number, cells in rows[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(heads) and any(cell.strip() for cell in cells[len(heads) :]):
            wrong.append(
                f"row {number} has {len(cells)} cells for {len(heads)} columns; is a {_separator(text)} in one without quotes?"
            )
            continue
        given = {head: cell for head, cell in zip(heads, cells, strict=False) if head and cell.strip()}
        bridges.append(_bridge(number, given, wrong))
    wrong += _about_doubles(bridges)
    if not bridges and not wrong:
        wrong.append(f"{name} has no bridge: one row for each, below the names of the columns")
    if wrong:
        raise Wrong(wrong)
    notes = [head for head in heads if head and head not in (ID, HOST) and not head.isupper()]
    return bridges, notes


def _rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """(number, cells) of each row; a spreadsheet counts rows, not lines."""
    if "\0" in text:
        raise Wrong([f'{name} is no text but a spreadsheet or UTF-16; save it as "CSV UTF-8"'])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            rows.append((len(rows) + 1, cells))
    except csv.Error:
        raise Wrong([f"row {len(rows) + 1}: a quotation mark does not end or stands inside; write it twice"]) from None
    while rows and not any(cell.strip() for cell in rows[0][1]):
        rows.pop(0)
    return rows


def _separator(text: str) -> str:
    """What separates the names of the columns: Excel in Germany writes semicolons."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=first.count)


def _place(error: UnicodeDecodeError) -> str:
    return f"row {error.object[: error.start].count(10) + 1}"


def _about_heads(heads: list[str]) -> list[str]:
    wrong = [f"column {head} is there twice" for head in sorted(set(heads)) if head and heads.count(head) > 1]
    if ID not in heads:
        wrong.append(
            f'there is no column "{ID}"; the first row has the names of the columns, and they are {_shown(", ".join(heads))}'
        )
    for head in heads:
        if head in OURS:
            wrong.append(f"column {head}: {OURS[head]}; remove the column")
        elif head.isupper() and not settings.is_setting(head):
            wrong.append(
                f"column {_shown(head)} is not a setting; settings.toml has their names, and a note is not in capitals"
            )
        elif not head.isupper() and head not in (ID, HOST) and (settings.is_setting(head.upper()) or head.upper() in OURS):
            wrong.append(f"column {head}: a setting is written in capitals: {head.upper()}")
    return wrong


def _bridge(number: int, given: dict[str, str], wrong: list[str]) -> Bridge:
    """The bridge of one row; what is wrong with it is added to `wrong`."""
    values = {}
    for head, cell in given.items():
        is_note = head not in (ID, HOST) and not head.isupper()
        value = cell if head.endswith("PASSWORD") else cell.strip()
        objection = None if is_note else _objection(head, value)
        if objection:
            wrong.append(f"row {number}, column {head}: {objection}")
        elif not is_note:
            values[head] = SWITCHES.get(value.lower(), value) if settings.is_switch(head) else value
    identity = values.pop(ID, "")
    if ID not in given:
        wrong.append(f"row {number}, column {ID}: it is empty; every bridge has one of its own")
    return Bridge(number, identity, values.pop(HOST, ""), values)


def _objection(head: str, value: str) -> str | None:
    is_secret = head.endswith("PASSWORD")
    if any(ord(char) < 32 or ord(char) in (127, 0x2028, 0x2029) for char in value):
        return "a line break or another invisible character is in it; remove it"
    if re.fullmatch(r"#([A-ZÄÖÜ/0]+[!?]|NV|N/A)", value):
        return f"the spreadsheet has computed it ({value}); write it as text, with an apostrophe in front"
    if value[0] in "=@+" or (value[0] == "-" and not re.fullmatch(r"-\d+", value)):
        what = "a password that begins so" if is_secret else f"{_shown(value)} begins like a formula and"
        return f"{what} is computed by a spreadsheet; choose another one"
    if head == ID:
        return _objection_to_id(value)
    if is_secret and value != value.strip():
        return "it begins or ends with a space; remove that, or choose another one"
    if head == "MQTT_PASSWORD" and len(value) < SHORTEST_PASSWORD:
        return f"it has fewer than {SHORTEST_PASSWORD} characters; leave the cell empty and a good one is made"
    return None


def _objection_to_id(value: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        return f"{_shown(value)} has more than letters from a to z, digits, - and _; it is in topics and names of files"
    if len(value) > MOST_ID:
        return f"{_shown(value)} has {len(value)} characters, {MOST_ID} are possible"
    if value.lower() in RESERVED:
        return f"{value} is a user of the broker already; choose another one"
    if value.lower() in DEVICES:
        return f"{value} cannot be the name of a folder under Windows; choose another one"
    return None


def _about_doubles(bridges: list[Bridge]) -> list[str]:
    """Two bridges with one id throw each other off the broker; a drive may not tell capitals."""
    first: dict[tuple[str, str], int] = {}
    wrong = []
    for bridge in bridges:
        for column, value in ((ID, bridge.id), (HOST, bridge.host)):
            row = first.setdefault((column, value.lower()), bridge.row)
            if value and row != bridge.row:
                wrong.append(f"row {bridge.row}, column {column}: {value} is in row {row} already; every bridge has its own")
    return wrong


def _shown(text: str) -> str:
    """A piece of a cell in quotes, without anything that a terminal would obey."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    return f'"{text if len(text) <= 40 else text[:39] + "…"}"'
