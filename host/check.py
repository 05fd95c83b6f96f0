"""`python -m host --check settings.toml`: reads a settings file as the board will, and says every mistake in its very words.

The board says mistakes; what is legal there and still unlikely to be meant is told here only, as a hint.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path

from app.settings import PIN, SETTINGS, Settings, load, no_such_pin

_PIN = re.compile(r"^(\w+): microcontroller\.Pin(?:  # GPIO(\d+))?", re.MULTILINE)
_EXAMPLES = {  # what the file has as we ship it
    "CIRCUITPY_WIFI_SSID": ("your network", "write the name of your Wi-Fi"),
    "CIRCUITPY_WIFI_PASSWORD": ("your password", "write your Wi-Fi's password"),
}


class UnknownBoard(ValueError):
    """A sentence on a board that CircuitPython does not have."""


def check(path: Path, board: str | None = None) -> tuple[list[str], list[str]]:
    """(mistakes, hints) of a settings file; `board` is CircuitPython's id, as boot_out.txt on the drive has it."""
    settings = load(str(path))
    board = board or board_of(path.parent)
    mistakes = list(settings.problems)
    if board:
        mistakes += _pin_mistakes(settings, pins(board))
    return sorted(mistakes, key=_line), _hints(settings, path)


def board_of(drive: Path) -> str | None:
    """The id of the board whose drive a folder is."""
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
    """Name -> number of the GPIO behind it, of one board; names of one pin have one number. Raises UnknownBoard."""
    known = boards()
    if board not in known:
        near = difflib.get_close_matches(board, known, 3, 0.4)
        advice = "did you mean " + " or ".join(near) if near else "see its page on circuitpython.org, at the end of the address"
        raise UnknownBoard(f"CircuitPython has no board {board} with an ESP32; {advice}?")
    return {name: gpio or name for name, gpio in _PIN.findall(known[board].read_text())}


def _line(sentence: str) -> int:
    found = re.search(r"line (\d+)", sentence)
    return int(found[1]) if found else 0


def _pin_mistakes(settings: Settings, names: dict[str, str]) -> list[str]:
    mistakes, users = [], {}
    for setting in SETTINGS:
        name = getattr(settings, setting.key) if setting.kind == PIN else ""
        if not name or (setting.key.startswith("OLED") and not settings.OLED):
            continue
        if name not in names:
            mistakes.append(no_such_pin(settings.where(setting.key), name, names))
        elif names[name] in users and users[names[name]][1] != name:
            other, its = users[names[name]]
            mistakes.append(f"{settings.where(setting.key)} cannot be {name}: it is {its}, as {other} is; choose a free pin.")
        users.setdefault(names.get(name, name), (setting.key, name))
    return mistakes


def _hints(settings, path: Path) -> list[str]:
    """What the board accepts and what is unlikely to be meant."""
    where, hints = settings.where, []
    for key, (example, remedy) in _EXAMPLES.items():
        if getattr(settings, key) == example:
            hints.append(f"{where(key)} is still the example; {remedy}.")
    if not settings.CIRCUITPY_WIFI_SSID:
        hints.append("CIRCUITPY_WIFI_SSID is missing: without it there is no Wi-Fi; write its name.")
    if settings.MQTT_BROKER.endswith(".local"):
        hints.append(f"{where('MQTT_BROKER')}: names that end in .local are often not found; an IP address is surest.")
    if settings.MQTT_BROKER in ("localhost", "127.0.0.1"):
        hints.append(f"{where('MQTT_BROKER')} would be the board itself; write the address of the broker.")
    if bool(settings.MQTT_USERNAME) != bool(settings.MQTT_PASSWORD):
        given, missing = ("MQTT_USERNAME", "MQTT_PASSWORD") if settings.MQTT_USERNAME else ("MQTT_PASSWORD", "MQTT_USERNAME")
        hints.append(f"{where(given)} stands there without {missing}; write both, or none.")
    if settings.MQTT_PORT == 8883 and not settings.MQTT_TLS:
        hints.append(f"{where('MQTT_PORT')}: 8883 is the encrypted port; write MQTT_TLS = true, or MQTT_PORT = 1883.")
    if settings.MQTT_PORT == 1883 and settings.MQTT_TLS:
        hints.append(f"{where('MQTT_PORT')}: 1883 is the port without encryption; with MQTT_TLS it usually is 8883.")
    if settings.MQTT_CA_FILE and not settings.MQTT_TLS:
        hints.append(f"{where('MQTT_CA_FILE')} is used with MQTT_TLS = true only.")
    if settings.MQTT_CA_FILE and not (path.parent / settings.MQTT_CA_FILE).is_file():
        hints.append(f"{where('MQTT_CA_FILE')}: {settings.MQTT_CA_FILE} does not lie beside this file; copy it to the drive.")
    return sorted(hints, key=_line)


def report(path: Path, board: str | None) -> int:
    """Print what there is to say; the exit status: 0 without a mistake, 1 with one."""
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
