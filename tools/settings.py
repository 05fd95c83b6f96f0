# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Updates the user's settings.toml: adds new settings at its end, as comments, and changes nothing else."""

from __future__ import annotations

import re

from app import batteries, extras
from app.advice import on_name, on_old_name
from app.settings import CHOICE, FOREIGN_PREFIX, NUMBER, SETTINGS, SWITCH, Settings, parse
from tools import bundle

_ASSIGNMENT = re.compile(r"^#?\s*([A-Z][A-Z0-9_]*)\s*=")


_NEW = bundle.SETTINGS + ".new"
_NOTHING = "\ufeff\0 \t\r\n"  # contents of a file that counts as empty; a damaged FAT leaves zeros
_NAMED = 8  # new settings that are named in a sentence; the others are counted


def update(drive, template: bytes) -> list[str]:
    """Create settings.toml from `template`, or add new settings to it; returns sentences on what was done and is obsolete.

    The empty settings.toml that CircuitPython creates is replaced. Comments without any setting are kept, above the template.
    """
    there = drive.read(bundle.SETTINGS)
    kept = drive.read(_NEW)
    if there is None and kept:  # interrupted between removing the old one and renaming the new one
        drive.rename(_NEW, bundle.SETTINGS)
        there = kept
    elif kept is not None:
        drive.remove(_NEW)
    try:
        text = (there or b"").decode("utf-8-sig")
    except UnicodeDecodeError:
        return ["settings.toml is not UTF-8 text, so it was not changed: save it as UTF-8."]
    if _is_empty(text):
        end = "" if not text.strip(_NOTHING) else "\r\n" if "\r\n" in text else "\n"
        _write(drive, (text.rstrip() + 2 * end if end else "").encode() + template)
        return ["settings.toml is new: edit it on the drive, at least Wi-Fi and broker."]
    sentences = [f"settings.toml: {_instead(key)}." for key in obsolete(text)]
    added = new_settings(text, template.decode())
    if added:
        end = "\r\n" if "\r\n" in text else "\n"
        lines = "".join(line + end for block in added.values() for line in block)
        head = (
            ("" if text.endswith("\n") else end) + end + f"# New in {bundle.version()}, as comments, with their defaults:" + end
        )
        _write(drive, (there or b"") + (head + lines).encode())
        names = list(added)
        if len(names) > _NAMED:  # a file made by settings.html has only what differs from the defaults
            names = [*names[: _NAMED - 1], f"{names[_NAMED - 1]} and {len(names) - _NAMED} more"]
        sentences.append(f"settings.toml: new settings were added at its end, as comments: {', '.join(names)}.")
    if "MQTT_BROKER" not in parse(text)[0]:
        sentences.append(
            "settings.toml has no MQTT_BROKER: write the address of your broker there, "
            "unless the page in the browser is enough."
        )
    return sentences


def _is_empty(text: str) -> bool:
    """Whether it has only blank lines and comments."""
    return all(not line.strip(_NOTHING) or line.strip(_NOTHING).startswith("#") for line in text.split("\n"))


def _write(drive, data: bytes) -> None:
    """Write a second file and rename it: a power cut must not lose the settings."""
    try:
        drive.write(_NEW, data)
    except BaseException:
        drive.discard(_NEW)
        raise
    drive.rename(_NEW, bundle.SETTINGS)


def _instead(key: str) -> str:
    renamed = on_old_name(key)
    if renamed:
        return renamed
    advice = on_name(key, _known())
    if advice == "remove it":
        return f"{key} is not or no longer a setting; remove it"
    return f"{key} is not a setting; {advice}"


def new_settings(text: str, template: str) -> dict[str, list[str]]:
    """Key -> its lines, comment first, of every setting that is in `template`, and in `text` not even as a comment."""
    known = {found[1] for line in text.splitlines() if (found := _ASSIGNMENT.match(line.strip()))}
    return {key: lines for key, lines in blocks(template).items() if key not in known}


def blocks(template: str) -> dict[str, list[str]]:
    """Key -> the comment above it and itself, commented out."""
    found, comment = {}, []
    for line in template.splitlines():
        assignment = _ASSIGNMENT.match(line)
        if assignment:
            found[assignment[1]] = [*comment, line if line.startswith("#") else "# " + line]
            comment = []
        elif line.startswith("#") and not line.startswith("# ---"):
            comment.append(line)
        else:
            comment = []
    return found


def obsolete(text: str) -> list[str]:
    """Keys in use that are no settings."""
    known = _known()
    found = [key for key in parse(text)[0] if key not in known and not batteries.number_of(key)]
    return [key for key in found if not key.startswith(FOREIGN_PREFIX)]


def _known() -> list[str]:
    return batteries.known_keys() + extras.known_keys() + [setting.key for setting in SETTINGS]


def is_setting(key: str) -> bool:
    """Whether a settings.toml may have this key."""
    return bool(_row(key)) or key.startswith(FOREIGN_PREFIX)


def is_switch(key: str) -> bool:
    """Whether its value is true or false."""
    row = _row(key)
    return row is not None and row.kind == SWITCH


def line(key: str, value: str) -> str:
    """A line of settings.toml for a value written as text: numbers and switches without quotes."""
    row = _row(key)
    is_number = row and (row.kind == NUMBER or (row.kind == CHOICE and not isinstance(row.low[0], str)))
    if row and row.kind == SWITCH and value.lower() in ("true", "false"):
        return f"{key} = {value.lower()}"
    if is_number and re.fullmatch(r"-?\d+|0[xX][0-9A-Fa-f]+", value):
        return f"{key} = {value}"
    return f'{key} = "{value.translate(_ESCAPES)}"'


def problems(text: str) -> list[str]:
    """What the firmware objects to in a settings.toml: sentences, which begin with `settings.toml line 3:` where they can."""
    return Settings(text).problems


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


def _row(key: str):
    rows = SETTINGS + batteries.rows_for({key: 1}) + extras.rows_for({key: 1})
    return next((row for row in rows if row.key == key), None)
