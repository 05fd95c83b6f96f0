"""What an update does to the user's settings.toml: adds new settings at its end, as comments, and changes nothing else."""

from __future__ import annotations

import re

from app.advice import on_name
from app.settings import FOREIGN_PREFIX, SETTINGS, parse
from tools import bundle

_ASSIGNMENT = re.compile(r"^#?\s*([A-Z][A-Z0-9_]*)\s*=")


def bring(drive, template: bytes) -> list[str]:
    """Put settings.toml on a drive that has none, else add what is new; returns what was done and what is obsolete."""
    there = drive.read(bundle.SETTINGS)
    if there is None:
        drive.write(bundle.SETTINGS, template)
        return ["settings.toml is new: edit it on the drive, at least Wi-Fi and broker."]
    try:
        text = there.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ["settings.toml is not UTF-8 text, so it was left as it is: save it as UTF-8."]
    sentences = [f"settings.toml: {_instead(key)}." for key in obsolete(text)]
    added = new_settings(text, template.decode())
    if added:
        end = "\r\n" if "\r\n" in text else "\n"
        lines = "".join(line + end for block in added.values() for line in block)
        _append(drive, there, text, end + f"# New in {bundle.version()}, as comments, with their defaults:" + end + lines, end)
        sentences.append(f"settings.toml: new settings stand at its end, as comments: {', '.join(added)}.")
    return sentences


def _instead(key: str) -> str:
    advice = on_name(key, [setting.key for setting in SETTINGS])
    if advice == "remove it":
        return f"{key} is no setting any more, or never was; remove it"
    return f"{key} is not a setting; {advice}"


def _append(drive, there: bytes, text: str, lines: str, end: str) -> None:
    """Write the longer file beside the old one first: a power cut must not cost somebody's settings."""
    joint = "" if not text or text.endswith("\n") else end
    drive.write(bundle.SETTINGS + ".new", there + (joint + lines).encode())
    drive.rename(bundle.SETTINGS + ".new", bundle.SETTINGS)


def new_settings(text: str, template: str) -> dict[str, list[str]]:
    """Key -> its lines, comment first, of every setting that `template` has and `text` not even as a comment."""
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
    known = {setting.key for setting in SETTINGS}
    return [key for key in parse(text)[0] if key not in known and not key.startswith(FOREIGN_PREFIX)]
