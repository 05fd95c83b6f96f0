# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The sensors that `--sensor` and `--vedirect` connect to the stand-in chip, and the settings that the firmware needs for them.

A 1-Wire bus is bits, so its model runs in this process; a Victron device is a process at the end of a pseudo-terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from host import chip, drive
from simulator.ds18b20 import OneWireBus, Thermometer

# Pins of the stand-in board for what the settings do not name; analog ones, and none of lines.FREE_PINS
FREE_PINS = ("IO4", "IO5", "IO6", "IO7", "IO10", "IO14")
RATIO_PERMILLE = 11000  # of the divider, if the settings do not say it: 100 and 10 kilohms
_FAMILY = "28"
_IDENTITY = re.compile(r"(10|28)[0-9a-f]{12}")


class Ds18b20(NamedTuple):
    """One thermometer: degrees Celsius, 14 hexadecimal digits, and from when to when it is there, in s; None: for ever."""

    celsius: float
    identity: str
    begins: float
    ends: float | None


class Sensors(NamedTuple):
    """What `--sensor` says. `supply`: volts; None: nothing is connected."""

    thermometers: tuple[Ds18b20, ...]
    supply: float | None


def of_texts(texts: Sequence[str]) -> Sensors:
    """What the values of several `--sensor` say. Raises ValueError with a sentence."""
    thermometers: list[Ds18b20] = []
    supply = None
    for text in texts:
        kind, _, rest = text.partition("=")
        if kind.strip() == "ds18b20":
            thermometers.append(_thermometer(rest, len(thermometers)))
        elif kind.strip() == "supply":
            supply = _number(rest, "volts, for example supply=13.1")
        else:
            raise ValueError(f"'{text}' is no sensor; write for example ds18b20=21.5 or supply=13.1.")
    taken = [each.identity for each in thermometers]
    double = next((identity for identity in taken if taken.count(identity) > 1), None)
    if double:
        raise ValueError(f"id={double} is there twice; give each thermometer its own.")
    return Sensors(tuple(thermometers), supply)


def settings(sensors: Sensors, vedirect: int, text: bytes, others: dict) -> dict[str, str]:
    """The settings, as TOML, that the file does not have and these sensors need.

    `vedirect`: how many Victron devices there are; `text`: the settings.toml; `others`: what else is set for this run.
    """
    rows = [row for row in text.splitlines() if not row.lstrip().startswith(b"#")]
    used = b" ".join(rows).decode("utf-8", "replace") + " " + " ".join(value for value in others.values() if value)
    free = [pin for pin in FREE_PINS if not re.search(rf"\b{pin}\b", used)]
    found: dict[str, str] = {}

    def need_pin(key: str) -> None:
        if drive.text_of(text, key) is None:
            found[key] = drive.quoted(free.pop(0))

    if sensors.thermometers:
        need_pin("DS18B20_PIN")
    for number in range(1, vedirect + 1):
        need_pin(f"VEDIRECT_{number}_RX")
    if sensors.supply is not None:
        need_pin("SUPPLY_PIN")
        if _ratio(text) is None:
            found["SUPPLY_RATIO_PERMILLE"] = str(RATIO_PERMILLE)
    return found


def connect(sensors: Sensors, ports: Sequence[str], text: bytes, begun: float) -> None:
    """Connect all of them, and the wake input of the BMS, to the pins that the settings `text` name.

    `ports`: the serial device of each Victron device; `begun`: when the chip got its power first, on `chip.clock`.
    """
    chip.wake_pin = _pin(text, "WAKE_PIN")
    pin = _pin(text, "DS18B20_PIN")
    if sensors.thermometers and pin:
        models = [
            Thermometer(bytes.fromhex(each.identity), each.celsius, chip.clock.monotonic, _presence(each, begun))
            for each in sensors.thermometers
        ]
        chip.onewire[pin] = OneWireBus(models)
    pin = _pin(text, "SUPPLY_PIN")
    if sensors.supply is not None and pin:
        chip.analog[pin] = 1000 * sensors.supply / (_ratio(text) or 1000)
    for number in (1, 2):
        pin = _pin(text, f"VEDIRECT_{number}_RX")
        if pin:
            chip.wires[pin] = ports[number - 1] if number <= len(ports) else ""


def _thermometer(text: str, index: int) -> Ds18b20:
    first, *items = [item.strip() for item in text.split(",")]
    celsius = _number(first, "degrees Celsius, for example ds18b20=21.5")
    given = {name.strip(): value.strip() for name, _, value in (item.partition("=") for item in items)}
    identity = given.pop("id", f"{_FAMILY}ff641e8216{index + 0xC3:02x}").lower()
    if not _IDENTITY.fullmatch(identity):
        raise ValueError(f"id={identity} is no DS18B20; write 28 and 12 hexadecimal digits, for example id=28ff641e8216c3.")
    begins = _number(given.pop("from", "0"), "seconds, for example from=5")
    ends = _number(given.pop("until"), "seconds, for example until=20") if "until" in given else None
    if given:
        raise ValueError(f"{next(iter(given))} is no option of a DS18B20; there are id, from and until.")
    return Ds18b20(celsius, identity, begins, ends)


def _number(text: str, form: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number; write {form}.") from None


def _presence(each: Ds18b20, begun: float) -> Callable[[], bool]:
    def is_there() -> bool:
        passed = chip.clock.monotonic() - begun
        return each.begins <= passed and (each.ends is None or passed < each.ends)

    return is_there


def _pin(text: bytes, key: str) -> str | None:
    """What the stand-ins call the pin that a setting names; None: the setting is empty."""
    import board

    name = drive.text_of(text, key)
    if name is None:
        return None
    pins = {known.lower(): pin._name for known, pin in vars(board).items() if isinstance(pin, type(board.IO0))}
    return pins.get(name.lower(), name)


def _ratio(text: bytes) -> int | None:
    found = re.search(rb"^\s*SUPPLY_RATIO_PERMILLE\s*=\s*([0-9_]+)", text, re.MULTILINE)
    return int(found[1]) if found else None
