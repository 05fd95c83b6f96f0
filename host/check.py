# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`python -m host --check settings.toml`: reads a settings file as the board does, and reports every mistake in the same words.

The board reports mistakes; what is legal and still probably not intended is reported here only, as a hint.
"""

from __future__ import annotations

import difflib
import importlib.util
import io
import re
import sys
from pathlib import Path

from app.settings import FILE, load
from host import hints as rules

_PIN = re.compile(r"^(\w+): microcontroller\.Pin(?:  # GPIO(\d+))?", re.MULTILINE)


class UnknownBoard(ValueError):
    """A sentence on a board that CircuitPython does not have."""


def check(path: Path, board: str | None = None) -> tuple[list[str], list[str]]:
    """(mistakes, hints) of a settings file; `board` is CircuitPython's id, as boot_out.txt on the drive has it."""
    board = board or board_of(path.parent)
    settings = load(str(path), has_room=True, board_id=board or "")
    mistakes, found = rules.judge(
        settings, _text(path), pins(board) if board else None, board or "", lambda name: _contents(path, name), _read_rules
    )
    hints = found + _beside(path)
    if path.name != FILE and path.name.lower().replace(" ", "").startswith("settings.toml"):
        mistakes.append(f"This file is called {path.name}, and the board reads {FILE} only: rename it.")
    return sorted(mistakes, key=_line), sorted(hints, key=_line)


class _Sensor:
    """A source that may have any value, for the rules of outputs."""

    changes = 0

    def __init__(self, key: str):
        self.key = key
        self.rows: list = []


def _read_rules(settings, mistakes: list[str]) -> None:
    from app.output_rules import read_rules, source_keys

    read_rules(settings, [_Sensor(key) for key in source_keys(settings)], mistakes)


def _text(path: Path) -> str:
    """Of the file; "" where it is none in UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _contents(path: Path, name: str) -> bytes | None:
    """Of a file beside the settings; None: there is none."""
    file = path.parent / name.lstrip("/")
    return file.read_bytes() if file.is_file() else None


def _beside(path: Path) -> list[str]:
    """Hints on what may be the newer settings under another name, as Notepad saves them."""
    other = path.with_name(FILE + ".txt")
    if path.name != FILE or not path.is_file() or not path.read_bytes().strip() or not other.is_file():
        return []
    return [f"{other.name} lies beside {FILE}, and is not read; if it is the newer one, rename it to {FILE}."]


def board_of(drive: Path) -> str | None:
    """The id of the board whose drive a folder is; None: unknown."""
    try:
        found = re.search(r"^Board ID:(\w+)", (drive / "boot_out.txt").read_text(), re.MULTILINE)
    except OSError:
        return None
    return found[1] if found and found[1] in boards() else None


def boards() -> dict[str, Path]:
    """Board id -> the file with its pins, of every board that CircuitPython 10 knows with an ESP32-S2 or -S3."""
    spec = importlib.util.find_spec("board_definitions")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    files = [file for folder in folders for file in folder.glob("*/__init__.pyi")]
    return {file.parent.name: file for file in files if "port: espressif" in file.read_text()}


def pins(board: str) -> dict[str, str]:
    """Name -> GPIO number of the pins of one board; several names of one pin have one number. Raises UnknownBoard."""
    known = boards()
    if board not in known:
        near = difflib.get_close_matches(board, known, 3, 0.4)
        advice = "did you mean " + " or ".join(near) if near else "see its page on circuitpython.org, at the end of the address"
        raise UnknownBoard(f"CircuitPython has no board {board} with an ESP32; {advice}?")
    return {name: gpio or name for name, gpio in _PIN.findall(known[board].read_text())}


def _line(sentence: str) -> int:
    found = re.search(r"line (\d+)", sentence)
    return int(found[1]) if found else 0


def report(path: Path, board: str | None) -> int:
    """Print mistakes and hints; returns the exit status: 0 without a mistake, 1 with one."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console without one of the file's letters shall not fail
        sys.stdout.reconfigure(errors="backslashreplace")
    mistakes, hints = check(path, board)
    for sentence in mistakes:
        print(sentence)
    for sentence in hints:
        print("Hint:", sentence)
    board = board or board_of(path.parent)
    pins_checked = f"; pins as on {board}" if board else "; pins not checked: name the board with --board"
    print(f"{path}: {_count(len(mistakes), 'mistake')}, {_count(len(hints), 'hint')}{pins_checked}.")
    return 1 if mistakes else 0


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
