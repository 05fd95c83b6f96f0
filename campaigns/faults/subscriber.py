# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A dashboard: takes the messages as they come and knows what it would show at any moment. It has a clock of its own."""

from __future__ import annotations

import json


class Subscriber:
    """Subscribed to everything below `base`. `shown(at)` are the battery's values as a dashboard has them at that moment."""

    def __init__(self, base: str):
        self._base = base
        self.bridge_online = self.battery_online = False
        self.state: dict = {}  # the last bms1/state
        self.state_at = 0.0
        self.link: str | None = None
        self.link_at = 0.0
        self.links = 0  # how often the words changed
        self.energy: dict = {}
        self.each: dict[str, str] = {}  # readings on topics of their own
        self.expire_after: dict[str, float] = {}  # as announced to Home Assistant
        self.messages = 0
        self.switched_at = 0.0  # when availability changed last

    def take(self, message: tuple, at: float) -> str:
        """Take (topic, payload, retain, QoS); returns the topic below the base, "" for an announcement."""
        topic, payload, _, _ = message
        self.messages += 1
        text = payload if isinstance(payload, str) else bytes(payload).decode()
        if not topic.startswith(self._base + "/"):
            self._announced(json.loads(text))
            return ""
        part = topic[len(self._base) :]
        if part == "/status":
            self._available(text == "online", self.battery_online, at)
        elif part == "/bms1/status":
            self._available(self.bridge_online, text == "online", at)
        elif part == "/bms1/state":
            self.state, self.state_at = json.loads(text), at
        elif part == "/bms1/energy":
            self.energy = json.loads(text)
        elif part == "/bms1/connection":
            self.links += self.link is not None and text != self.link
            self.link, self.link_at = text, at
        elif part.startswith("/bms1/") and part != "/bms1/command_result":
            self.each[part[len("/bms1/") :]] = text
        return part

    def lost(self, at: float):
        """The bridge's connection broke: the broker says its last will."""
        self._available(False, self.battery_online, at)

    def _available(self, bridge: bool, battery: bool, at: float):
        if (bridge, battery) != (self.bridge_online, self.battery_online):
            self.bridge_online, self.battery_online, self.switched_at = bridge, battery, at

    def _announced(self, message: dict):
        for key, entity in message.get("cmps", {}).items():
            if "exp_aft" in entity:
                self.expire_after[key] = entity["exp_aft"]

    @property
    def available(self) -> bool:
        """Whether the battery's values are shown at all."""
        return self.bridge_online and self.battery_online

    def shown(self, at: float) -> dict:
        """Key -> value of everything that a dashboard shows as a value."""
        if not self.available:
            return {}
        age = at - self.state_at
        expire = self.expire_after
        return {k: v for k, v in self.state.items() if v is not None and (k not in expire or age <= expire[k])}
