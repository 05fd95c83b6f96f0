# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The judge of outputs in the chaos and the long run: what a pin does against what the battery demands.

It shares no code with outputs/ on purpose: an error in one shows against the other. It knows of two rules: a heater with two
limits of the state of charge, which an alarm and unknown readings switch off, and a siren, which an alarm switches on.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field

ON_ABOVE, OFF_BELOW = 80, 60  # percent, of the heater
GRACE_S = 60  # unknown readings are acted upon after that: OUTPUTS.md


def settings(heater_s: tuple[int, int], siren_s: tuple[int, int]) -> str:
    """The two rules, as OUTPUT_1 and OUTPUT_2: each with its minimum times on and off in seconds."""
    heater = f"IO5 on when soc > {ON_ABOVE} off when soc < {OFF_BELOW}, {_least(*heater_s)}"
    siren = f"IO6 on when problem is on, active low, {_least(*siren_s)}, alarm = on, unknown = keep"
    return f'OUTPUT_1 = "Heater: {heater}"\nOUTPUT_2 = "Siren: {siren}"\n'


def _least(on_s: int, off_s: int) -> str:
    return f"on for at least {on_s} s, off for at least {off_s} s"


@dataclass(frozen=True)
class Demand:
    """What an output has to be from `at` on. `wanted` None: as it is; `at_once`: the minimum time on does not count."""

    at: float
    wanted: bool | None
    at_once: bool = False


@dataclass
class Counted:
    """What one output has done."""

    edges: int = 0
    states: int = 0  # published
    shortest_on_s: float = float("inf")  # between two edges of the firmware
    shortest_off_s: float = float("inf")
    wrong: list[str] = field(default_factory=list)


class Judge:
    """Judges one output. Everything is told in the order of time, in seconds.

    `on_s`, `off_s`: its minimum times; `late_s`: how long the firmware may take to do what is demanded; `send_s`: how old the
    level in a published state may be.
    """

    def __init__(self, name: str, on_s: float, off_s: float, late_s: float, send_s: float):
        self.name = name
        self.counted = Counted()
        self.is_on = False
        self._on_s, self._off_s, self._late_s, self._send_s = on_s, off_s, late_s, send_s
        self._since = 0.0  # when the level changed last, or the chip started
        self._demands = [Demand(0.0, None)]  # of late; the first ones do not matter any more
        self._levels: deque[tuple[float, bool]] = deque([(0.0, False)], 16)
        self._was_late = False

    def demand(self, at: float, wanted: bool | None, at_once: bool = False) -> None:
        """From now on it has to be so."""
        self.advance(at)
        last = self._demands[-1]
        if (wanted, at_once) != (last.wanted, last.at_once):
            self._demands.append(Demand(at, wanted, at_once))
            self._was_late = False

    def start(self, at: float) -> None:
        """The chip starts, so its pins were released."""
        if self.is_on:
            self._set(at, False)
        self._since = at

    def edge(self, at: float, is_on: bool) -> None:
        """The pin changes."""
        self.advance(at)
        if is_on == self.is_on:
            return  # released by a restart that was told before
        counted = self.counted
        counted.edges += 1
        causes = self._causes(at, is_on)
        held_s = at - self._since
        if not causes:
            self._complain(at, f"switched {_word(is_on)} without a cause")
        if is_on:
            counted.shortest_off_s = min(counted.shortest_off_s, held_s)
            if held_s < self._off_s:
                self._complain(at, f"switched on after {held_s:.1f} s off")
        elif not any(cause.at_once for cause in causes):
            counted.shortest_on_s = min(counted.shortest_on_s, held_s)
            if held_s < self._on_s:
                self._complain(at, f"switched off after {held_s:.1f} s on")
        if causes:
            del self._demands[: self._demands.index(causes[0])]  # what has been done is no cause for anything else
        self._set(at, is_on)

    def published(self, at: float, payload: str | bytes, key: str) -> None:
        """A state was published, as JSON; `key`: of this output."""
        self.advance(at)
        self.counted.states += 1
        said = json.loads(payload)[key] == "ON"
        levels = [level for begun, level in self._levels if begun >= at - self._send_s]
        before = [level for begun, level in self._levels if begun < at - self._send_s][-1:]
        if said not in before + levels:
            self._complain(at, f"published as {_word(said)} while it was {_word(self.is_on)}")

    def advance(self, at: float) -> None:
        """It is so late now: has it done what was demanded?"""
        demand = self._demands[-1]
        if self._was_late or demand.wanted is None or demand.wanted == self.is_on:
            return
        least = self._off_s if demand.wanted else 0 if demand.at_once else self._on_s
        if at > max(demand.at, self._since + least) + self._late_s:
            self._was_late = True
            self._complain(at, f"still {_word(self.is_on)}, which the battery does not demand")

    def _set(self, at: float, is_on: bool) -> None:
        self.is_on = is_on
        self._since = at
        self._levels.append((at, is_on))

    def _causes(self, at: float, is_on: bool) -> list[Demand]:
        """The demands for this level that held within `late_s`, and that nothing later has been done for."""
        ends = [demand.at for demand in self._demands[1:]] + [at]
        return [
            demand
            for demand, end in zip(self._demands, ends, strict=True)
            if end >= at - self._late_s and demand.wanted == is_on
        ]

    def _complain(self, at: float, what: str) -> None:
        self.counted.wrong.append(f"{self.name} {what} at {at:.1f} s")


class Heater:
    """What the rule "on when soc > 80 off when soc < 60" demands: (wanted, at once)."""

    def __init__(self) -> None:
        self._latched: bool | None = False  # None: it depends on when readings became unknown

    def start(self) -> None:
        """The chip starts."""
        self._latched = False

    def demand(self, soc: float, is_alarm: bool, silent_s: float | None) -> tuple[bool | None, bool]:
        """`silent_s`: for how long the BMS has not been heard; None: it is heard."""
        if silent_s is not None and silent_s > GRACE_S:
            self._latched = None
            return False, True
        if silent_s is not None:
            return None, False
        if is_alarm:
            self._latched = False
            return False, True
        if soc > ON_ABOVE or soc < OFF_BELOW:
            self._latched = soc > ON_ABOVE
        return self._latched, False


def siren(is_alarm: bool, silent_s: float | None) -> tuple[bool | None, bool]:
    """What the rule "on when problem is on, alarm = on, unknown = keep" demands, as Heater.demand."""
    return (is_alarm if silent_s is None else None), False


def _word(is_on: bool) -> str:
    return "on" if is_on else "off"


def seconds(shortest: float) -> str:
    """The shortest time between two edges, in words."""
    return "none" if shortest == float("inf") else f"{shortest:.1f} s"
