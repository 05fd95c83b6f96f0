# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A dashboard: receives the messages and knows what it shows at any moment. The time is an argument of every call."""

from __future__ import annotations

import json


def text_of(payload) -> str:
    """A payload of the publisher, text, bytes or a Writer, as text."""
    if isinstance(payload, str):
        return payload
    return (payload if isinstance(payload, bytes) else payload.bytes()).decode()


def each_balancing(state: dict) -> dict:
    """A state with the balancing of each cell by itself in place of the list of those that are balanced."""
    state = dict(state)
    if "balancing_cells" in state:
        cells = state.pop("balancing_cells")
        number = 1
        while f"cell_{number}_voltage" in state:
            state[f"cell_{number}_balancing"] = None if cells is None else "ON" if number in cells else "OFF"
            number += 1
    return state


class Subscriber:
    """Subscribed to everything below `base`. `shown(at)` are the battery's values as a dashboard has them at that moment."""

    def __init__(self, base: str):
        self._base = base
        self.bridge_online = self.battery_online = False
        self.state: dict = {}  # the last bms1/state, with bms1/info and the balancing of each cell
        self._info: dict = {}  # the last bms1/info
        self.state_at = 0.0
        self.connection: str | None = None
        self.connection_at = 0.0
        self.connection_changes = 0  # how often the text changed
        self.energy: dict = {}
        self.own_topics: dict[str, str] = {}  # readings on topics of their own
        self.expire_after: dict[str, float] = {}  # in seconds, from Home Assistant's discovery
        self.messages = 0
        self.switched_at = 0.0  # when availability changed last

    def receive(self, message: tuple, at: float) -> str:
        """Receive (topic, payload, retain, QoS); returns the topic below the base, "" for a discovery message."""
        topic, payload, _, _ = message
        self.messages += 1
        text = text_of(payload)
        if not topic.startswith(self._base + "/"):
            self._discovered(json.loads(text))
            return ""
        part = topic[len(self._base) :]
        if part == "/status":
            self._available(text == "online", self.battery_online, at)
        elif part == "/bms1/status":
            self._available(self.bridge_online, text == "online", at)
        elif part == "/bms1/state":
            self.state, self.state_at = {**each_balancing(json.loads(text)), **self._info}, at
        elif part == "/bms1/info":
            self._info = json.loads(text)
            self.state = {**self.state, **self._info}
        elif part == "/bms1/energy":
            self.energy = json.loads(text)
        elif part == "/bms1/connection":
            self.connection_changes += self.connection is not None and text != self.connection
            self.connection, self.connection_at = text, at
        elif part.startswith("/bms1/") and part not in ("/bms1/command_result", "/bms1/event"):
            self.own_topics[part[len("/bms1/") :]] = text
        return part

    def lost(self, at: float):
        """The bridge has lost its connection: the broker publishes its last will."""
        self._available(False, self.battery_online, at)

    def _available(self, bridge: bool, battery: bool, at: float):
        if (bridge, battery) != (self.bridge_online, self.battery_online):
            self.bridge_online, self.battery_online, self.switched_at = bridge, battery, at

    def _discovered(self, message: dict):
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
