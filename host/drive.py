# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The CIRCUITPY drive as the firmware sees it: a temporary folder with the settings it should run with.

Overrides replace lines in place, so that the line numbers in the firmware's messages are those of the file the user edits.
"""

from __future__ import annotations

import re
from pathlib import Path

_SECTION = re.compile(rb"\s*\[")


def prepare(folder: Path, settings: Path, overrides: dict) -> None:
    """Copy `settings` into `folder` as settings.toml; also link the certificates that are next to the original."""
    text = settings.read_bytes()
    (folder / "settings.toml").write_bytes(override(text, overrides))
    for pattern in ("*.pem", "*.crt", "*.der"):
        for certificate in settings.parent.glob(pattern):
            link = folder / certificate.name
            if not link.exists():
                link.symlink_to(certificate.resolve())


def override(text: bytes, overrides: dict) -> bytes:
    """`text` with each key set to its TOML text; None comments its lines out, so that the default applies."""
    lines = text.splitlines(keepends=True)
    end = next((number for number, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    missing = [(key, value) for key, value in overrides.items() if not _replace(lines[:end], lines, key, value)]
    added = [f"{key} = {value}\n".encode() for key, value in missing if value is not None]
    if added and end and not lines[end - 1].endswith((b"\n", b"\r")):
        lines[end - 1] += b"\n"
    return b"".join(lines[:end] + added + lines[end:])


def _replace(visible: list, lines: list, key: str, value: str | None) -> bool:
    """Change the lines of `key` among those the firmware reads; False if there is none."""
    assignment = re.compile(rb"(\xef\xbb\xbf)?\s*" + re.escape(key.encode()) + rb"\s*=")
    found = False
    for number, line in enumerate(visible):
        if assignment.match(line):
            ending = line[len(line.rstrip(b"\r\n")) :]
            text = f"# {key}: left out by the host" if value is None else f"{key} = {value}"
            lines[number] = text.encode() + ending
            found = True
    return found


def oled_address(text: bytes) -> int:
    """The I2C address of the simulated screen: that of these settings, or the default 0x3C."""
    found = re.search(rb"^\s*OLED_ADDRESS\s*=\s*(0x[0-9A-Fa-f]+|[0-9]+)", text, re.MULTILINE)
    return int(found[1], 0) if found else 0x3C


def oled_type(text: bytes) -> str:
    """The chip of the simulated screen: that of these settings, SSD1306 or SH1106."""
    return "SH1106" if re.search(rb'^\s*OLED_TYPE\s*=\s*"\s*SH-?1106', text, re.MULTILINE | re.IGNORECASE) else "SSD1306"


def text_of(text: bytes, key: str) -> str | None:
    """A setting that is a text, of these settings; None: it is not there, or it is empty."""
    found = re.search(rb"^\s*" + re.escape(key.encode()) + rb'\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return found[1].decode("utf-8", "replace").strip() if found else None


def names(text: bytes, key: str) -> bool:
    """Whether these settings say something on a key."""
    return re.search(rb"^\s*" + re.escape(key.encode()) + rb"\s*=", text, re.MULTILINE) is not None


def names_wifi(text: bytes) -> bool:
    """Whether these settings name a Wi-Fi."""
    return re.search(rb'^\s*CIRCUITPY_WIFI_SSID\s*=\s*"[^"]', text, re.MULTILINE) is not None


def quoted(text: str) -> str:
    """A text as a TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
