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

from app import batteries, extras
from app.advice import no_such_pin, pin_name
from app.output_rules import read_rules, source_keys
from app.settings import FILE, PIN, SETTINGS, Settings, load

_PIN = re.compile(r"^(\w+): microcontroller\.Pin(?:  # GPIO(\d+))?", re.MULTILINE)
_EXAMPLES = {  # values of the file as shipped
    "CIRCUITPY_WIFI_SSID": ("your network", "write the name of your Wi-Fi"),
    "CIRCUITPY_WIFI_PASSWORD": ("your password", "write your Wi-Fi's password"),
}
_FREE = {"UART_TX": "IO17", "UART_RX": "IO18", "OLED_SDA": "IO8", "OLED_SCL": "IO9"}  # as in docs/HARDWARE.md
_USUAL_PINS = {
    "espressif_esp32s3_devkitc_1_n8": _FREE,
    "espressif_esp32s3_devkitc_1_n8r8": _FREE,
    "espressif_esp32s2_devkitc_1_n4": _FREE,
    "espressif_saola_1_wrover": _FREE,
    "waveshare_esp32_s3_zero": _FREE,
}
# Ports and host names that are often confused, in Home Assistant and elsewhere
_PORTS = {1884: "MQTT over WebSockets in Home Assistant's Mosquitto add-on"}
_ONLY_IN_HOME_ASSISTANT = ("core-mosquitto", "addon_core_mosquitto", "mosquitto", "supervisor", "hassio")
_PLACEHOLDERS = re.compile(
    r"x{1,3}(\.x{1,3})*$|.*\.x{1,3}$|your|example\.(com|org|net)$|broker[-_]?(ip|address)$", re.IGNORECASE
)
_FIVE_GHZ = re.compile(r"\b5\s?G(Hz)?$", re.IGNORECASE)


class UnknownBoard(ValueError):
    """A sentence on a board that CircuitPython does not have."""


def check(path: Path, board: str | None = None) -> tuple[list[str], list[str]]:
    """(mistakes, hints) of a settings file; `board` is CircuitPython's id, as boot_out.txt on the drive has it."""
    settings = load(str(path))
    board = board or board_of(path.parent)
    mistakes, hints = list(settings.problems), [*settings.hints, *_hints(settings, path)]
    if path.name != FILE and path.name.lower().replace(" ", "").startswith("settings.toml"):
        mistakes.append(f"This file is called {path.name}, and the board reads {FILE} only: rename it.")
    if settings.has_extras:
        extras.names_of(settings, mistakes)
        read_rules(settings, [_Sensor(key) for key in source_keys(settings)], mistakes)
    if board:
        for found, on_pins in zip((mistakes, hints), _on_pins(settings, pins(board), board), strict=True):
            found += on_pins
    return sorted(mistakes, key=_line), sorted(hints, key=_line)


class _Sensor:
    """A source that may have any value, for the rules of outputs."""

    changes = 0

    def __init__(self, key: str):
        self.key = key
        self.rows: list = []


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


def _on_pins(settings: Settings, names: dict[str, str], board: str) -> tuple[list[str], list[str]]:
    """(mistakes, hints) on the pins."""
    mistakes, hints, users = [], [], {}
    for setting in SETTINGS + batteries.rows_for(settings.more) + extras.rows_for(settings.more):
        name = settings.pin_of(setting)
        if not name or (setting.key.startswith("OLED") and not settings.OLED):
            continue
        where = settings.where(setting.key)
        found, namesake = pin_name(name, names, lambda number: number)
        if found is None:
            sentence = no_such_pin(where, name, names, settings.has(setting.key), namesake)
            usual = _USUAL_PINS.get(board, {}).get(setting.key)
            mistakes.append(sentence[:-1] + f'. Usual on this board is {setting.key} = "{usual}".' if usual else sentence)
            continue
        if found != name:
            written = f'{setting.key} = "{found}"' if setting.kind == PIN else found
            hints.append(f"{where}: {name} is taken for the pin that this board calls {found}; write {written}.")
        if names[found] in users and users[names[found]][1].lower() != name.lower():
            other, its = users[names[found]]
            mistakes.append(f"{where} cannot be {name}: it is {its}, as {other} is; choose a free pin.")
        users.setdefault(names[found], (setting.key, name))
    return mistakes, hints


def _hints(settings, path: Path) -> list[str]:
    """What the board accepts and is probably not intended."""
    where, hints = settings.where, []
    for key, (example, remedy) in _EXAMPLES.items():
        if getattr(settings, key) == example:
            hints.append(f"{where(key)} is still the example; {remedy}.")
    if _FIVE_GHZ.search(settings.CIRCUITPY_WIFI_SSID):
        hints.append(f"{where('CIRCUITPY_WIFI_SSID')}: the board has 2.4 GHz only; if this Wi-Fi has 5 GHz, use another.")
    broker = settings.brokers[0][0]
    if broker.endswith(".local"):
        hints.append(f"{where('MQTT_BROKER')}: names that end in .local are often not found; an IP address is safer.")
    if broker in _ONLY_IN_HOME_ASSISTANT:
        hints.append(f"{where('MQTT_BROKER')}: {broker} is a name within Home Assistant; write Home Assistant's IP address.")
    if _PLACEHOLDERS.match(broker):
        hints.append(f"{where('MQTT_BROKER')}: {broker} is still an example; write the address of your broker.")
    if settings.MQTT_PORT in _PORTS:
        hints.append(f"{where('MQTT_PORT')}: {settings.MQTT_PORT} is {_PORTS[settings.MQTT_PORT]}; the usual port is 1883.")
    for key, mark in (("MQTT_CA_FILE", "CERTIFICATE"), ("MQTT_CERT_FILE", "CERTIFICATE"), ("MQTT_KEY_FILE", "PRIVATE KEY")):
        name = getattr(settings, key)
        if name and not settings.MQTT_TLS:
            hints.append(f"{where(key)} is used with MQTT_TLS = true only.")
        if name:
            file = path.parent / name.lstrip("/")
            if not file.is_file():
                hints.append(f"{where(key)}: {name} is not next to this file; copy it to the drive.")
            elif f"{mark}-----".encode() not in file.read_bytes():
                hints.append(f"{where(key)}: {name} is no {mark.lower()} in PEM format; convert it.")
    return hints


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
