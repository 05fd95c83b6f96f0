# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The keys of the live view: what each does to the simulated BMS, the broker and the Wi-Fi.

What is on stays on when the chip resets.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from host import chip, trouble

LOAD_A = -85.0
CHARGER_A = 60.0
# as a real one does: a cell is above its limit, so charging is stopped, and that cell is discharged
ALARM = {"alarms": "cell_high_2", "cell_mv": "7:3702", "balancing": "7", "charge_mosfet": "0"}


class Key(NamedTuple):
    """`name` on the line of keys; what is said when it is pressed, and when it is pressed again; `bms`: a simulated one."""

    char: str
    name: str
    begun: str
    ended: str
    needs: str = "bms"


KEYS = (
    Key("s", "asleep", "the BMS falls asleep: it only echoes, or is silent", "the BMS wakes"),
    Key("u", "unplug", "the cable to the BMS is unplugged", "the cable to the BMS is plugged in again"),
    Key("a", "alarm", "cell 7 is too high: the BMS reports it and opens its charge MOSFET", "cell 7 is as the others again"),
    Key("l", "load", f"a load is switched on: {LOAD_A:g} A (it wakes the BMS)", "the load is off"),
    Key("c", "charge", f"a charger is connected: +{CHARGER_A:g} A (it wakes the BMS)", "the charger is off"),
    Key("b", "broker", "the broker is off", "the broker is on again", "broker"),
    Key("w", "Wi-Fi", "the access point is off", "the access point is on again", ""),
)


class Keys:
    """What is on, and what pressing does. `say(sentence)` tells what has happened.

    `texts`: the options of the boards on the first line, the first of which has the alarm; empty: no BMS is simulated.
    """

    def __init__(self, say: Callable[[str], None], texts: Sequence[str], has_broker: bool):
        self._say = say
        first = texts[0] if texts else ""
        given = dict(item.partition("=")[::2] for item in first.replace(" ", "").split(",") if item)
        self._given = {name: given.get(name, default) for name, default in zip(ALARM, ("", "", "", "1"), strict=True)}
        self._place = "@1" if len(texts) > 1 or "boards=" in first else ""
        self._current = given.get("current", "-12.4")
        has_bms = bool(texts)
        there = {"", "bms" if has_bms else "", "broker" if has_broker else ""}
        self.keys = [key for key in KEYS if key.needs in there]
        self.on: set[str] = set(chip.state.setdefault("keys", []))
        self._set_wifi()  # of this process; the others have kept what they were told

    def press(self, char: str) -> bool:
        """Begin or end what this key does; returns whether there is such a key."""
        for key in self.keys:
            if key.char == char:
                is_on = char not in self.on
                (self.on.add if is_on else self.on.discard)(char)
                self._say(key.begun if is_on else key.ended)
                self._do(char, is_on)
                chip.state["keys"] = sorted(self.on)
                return True
        return False

    def _do(self, char: str, is_on: bool) -> None:
        if char == "s":
            _tell_bms(f"asleep={is_on:d}")
        elif char == "u":
            _tell_bms(f"silent={is_on:d}")
        elif char == "a":
            options = (ALARM if is_on else self._given).items()
            _tell("bms", ",".join(f"{name}{self._place}={value}" for name, value in options))
        elif char in ("l", "c"):
            self._draw(char, is_on)
        elif char == "b":
            _tell("broker", "off" if is_on else "on")
        elif char == "w":
            self._set_wifi()

    def _draw(self, char: str, is_on: bool) -> None:
        """Load and charger exclude each other; either wakes the BMS."""
        if is_on:
            self.on -= {"l", "c", "s"} - {char}
        current = (LOAD_A if char == "l" else CHARGER_A) if is_on else self._current
        _tell_bms(f"current={current}" + (",asleep=0" if is_on else ""))

    def _set_wifi(self) -> None:
        trouble.begin(wifi="off" if "w" in self.on else "")


def _tell_bms(text: str) -> None:
    """Set options of the simulated BMS on all lines."""
    for name in ("bms", "bms2", "bms3"):
        _tell(name, text)


def _tell(name: str, text: str) -> None:
    if name in chip.state:
        with contextlib.suppress(OSError):  # it has ended
            os.write(chip.state[name]["pipe"], text.encode() + b"\n")


def quit_host() -> None:
    """End this process as Ctrl-C does, from any thread and without waiting for it."""
    from host.view import end_process

    threading.Thread(target=end_process, daemon=True).start()
