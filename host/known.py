# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a subscriber of the broker knows: values that are current, and why there are none; and messages in one short line.

The rule is that of docs/MQTT.md: a number is current while the bridge and the battery are online and the state is fresh.
"""

from __future__ import annotations

import collections
import json
import re
import time
from typing import NamedTuple

LIMIT_S = 60.0  # age of a state; a bridge that sleeps announces a longer one in its discovery
DAY_S = 86400.0
SHORT = 100  # characters of a message that is short enough
_BATTERY = re.compile(r"(.+)/(bms\d+|bank)/(\w+)")
_SOURCE = re.compile(r".*/(outputs|temperatures|vedirect\d+|supply)/state")
_EXPIRY = re.compile(r'"exp_aft":(\d+)')


class Battery(NamedTuple):
    """One battery, or the bank. `values`: JSON key -> its text, current ones only; `reason`: why there are none, or how it is.

    `status`: online, offline or sleeping; "": not known.
    """

    key: str
    status: str
    reason: str
    values: dict
    result: str  # of the last command; "": none

    @property
    def is_current(self) -> bool:
        """Whether the values may be shown."""
        return bool(self.values)


class Known:
    """Collects the messages. `lose(reason)`: the connection to the broker has ended, so nothing is known any more."""

    def __init__(self, clock=time.monotonic, stamp=lambda: time.strftime("%H:%M:%S")):
        self.stamp = stamp  # the time of day in words
        self.recent: collections.deque = collections.deque(maxlen=100)  # (time of day, topic, in short)
        self._clock = clock
        self._lost = "not connected to the broker yet"  # "": there is a connection
        self._was_connected = False
        self._clear()

    def _clear(self) -> None:
        self._texts: dict = {}  # (battery, last level of the topic) -> payload
        self._states: dict = {}  # battery or source -> (values, when they came)
        self._bridge: dict = {}  # last level of the topic -> payload
        self._base = ""
        self._limit_s = LIMIT_S

    def connected(self) -> None:
        """There is a connection to the broker."""
        self._lost = ""
        self._was_connected = True

    def lose(self, reason: str) -> None:
        """The connection has ended: another subscriber would know nothing either."""
        self._lost = reason
        self._clear()

    def take(self, topic: str, payload: str) -> None:
        """Keep a message."""
        self.recent.append((self.stamp(), topic, _words(topic, payload)))
        if found := _BATTERY.fullmatch(topic):
            self._base = found[1]
            if found[3] == "state":
                self._keep(found[2], payload)
            else:
                self._texts[found[2], found[3]] = payload
        elif found := _SOURCE.fullmatch(topic):
            self._keep(found[1], payload)
        elif topic.endswith("/config"):
            if "/bms" in payload and (expiry := _EXPIRY.search(payload)):
                self._limit_s = float(expiry[1])
        elif topic.endswith(("/status", "/state")) and (not self._base or topic.startswith(self._base + "/")):
            self._bridge[topic] = payload

    def _keep(self, key: str, payload: str) -> None:
        """Keep a state, numbers as they are written; what is no JSON object is ignored."""
        values = _object(payload)
        if values is not None:
            self._states[key] = values, self._clock()

    def bridge(self) -> dict:
        """The bridge's own state: JSON key -> text; {}: not known."""
        return (_object(self._bridge.get(self._base + "/state", "")) or {}) if self.bridge_status == "online" else {}

    @property
    def bridge_status(self) -> str:
        """online, offline or sleeping; "": not known."""
        return self._bridge.get(self._base + "/status", "") if self._base else ""

    def batteries(self) -> list[str]:
        """The batteries there are, the bank last."""
        keys = {key for key, _ in self._texts} | {key for key in self._states if _is_battery(key)}
        return sorted(keys, key=lambda key: (key == "bank", len(key), key))

    def battery(self, key: str) -> Battery:
        """What is known of it now."""
        status = self._texts.get((key, "status"), "")
        result = self._texts.get((key, "command_result"), "")
        values, at = self._states.get(key, ({}, 0.0))
        if key == "bank":  # it has no status of its own
            status = self.bridge_status and ("online" if values else "")
        reason = self._missing(status, values, self._clock() - at)
        if reason is None:
            return Battery(key, status, self._texts.get((key, "connection"), ""), values, result)
        connection = self._texts.get((key, "connection"), "")
        is_gone = status or (self._lost and self._was_connected)
        return Battery(key, "offline" if is_gone else "", reason or connection or "not read yet", {}, result)

    def _missing(self, status: str, values: dict, age_s: float) -> str | None:
        """Why values are not current; "": the battery's own reason; None: they are."""
        if self._lost:
            return self._lost
        if not self.bridge_status:
            return "the bridge has not published anything yet"
        if self.bridge_status == "offline":
            return "the bridge is not connected to the broker: its last will says offline"
        if status not in ("online", "sleeping") or not values:
            return ""
        limit_s = max(self._limit_s, DAY_S if status == "sleeping" and self._limit_s == LIMIT_S else 0.0)
        return f"the last state came {age_s:.0f} s ago" if age_s > limit_s else None

    def sources(self) -> list[tuple[str, str]]:
        """(which one, its values in words) of outputs and sensors; what is not known is "?"."""
        if self._lost or self.bridge_status not in ("online", "sleeping"):
            return []
        return [
            (key, ", ".join(f"{name} {'?' if value is None else value}" for name, value in values.items()))
            for key, (values, _) in sorted(self._states.items())
            if not _is_battery(key)
        ]


def short(topic: str, payload: str) -> str:
    """A payload in one short line: long JSON by what it is about. Texts and short JSON are unchanged."""
    if not payload:
        return "(empty)"
    if len(payload) <= SHORT or not payload.startswith("{"):
        return payload
    values = _object(payload)
    if values is None:
        return payload
    size = f"{len(payload.encode()) / 1000:.1f} KB"
    if topic.endswith("/config"):
        count = sum(1 for part in values.get("cmps", {}).values() if isinstance(part, dict) and len(part) > 1)
        return f"({count or 'no'} entit{'y' if count == 1 else 'ies'}, {size})"
    if "soc" in values and "pack_voltage" in values:
        return f"{summary(values)} ({size})"
    return f"({len(values)} values, {size})"


def _words(topic: str, payload: str) -> str:
    """For people: short JSON in words, too."""
    values = _object(payload) if payload.startswith("{") and len(payload) <= SHORT else None
    return short(topic, payload) if values is None else ", ".join(f"{name} {value}" for name, value in values.items())


def summary(values: dict) -> str:
    """The readings of a battery in one line; what is not known is left out."""
    parts = [f"{values[key]} {unit}" for key, unit in MAIN if values.get(key) is not None]
    parts += [values["mode"]] if values.get("mode") else []
    lowest, highest = values.get("min_cell_voltage"), values.get("max_cell_voltage")
    if lowest is not None and highest is not None:
        parts.append(f"cells {lowest} to {highest} V")
    if values.get("active_alarms"):
        alarms = values["active_alarms"]
        parts.append("no alarm" if alarms == "none" else "alarms: " + alarms)
    return ", ".join(parts) or "nothing is known"


MAIN = (("soc", "%"), ("pack_voltage", "V"), ("current", "A"), ("power", "W"))


def _is_battery(key: str) -> bool:
    return key == "bank" or key.startswith("bms")


def _object(text: str) -> dict | None:
    """A JSON object with numbers as they are written; None: it is none."""
    try:
        found = json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
