# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The judge: what a dashboard shows, compared with what the BMS measured, by what docs/MQTT.md promises.

Kinds of finding:

wrong         a value is shown that the BMS never measured
contradicts   a value does not follow from the others shown
stale         a value is shown that the BMS has not measured for longer than is promised for its key
zero          the BMS has sent zero for longer than that, and something else is shown
missing       the BMS sends it, nothing is damaged, and yet it is unknown
energy        a counter decreased, or differs from what really flowed by more than can be explained
reason        the diagnosis does not fit what is shown
"""

from __future__ import annotations

import re
from collections import namedtuple

from .held import Flow, Held, alarm_set
from .promises import FAR, IMMEDIATE, ONCE, PROMISES, Settings, promise_of
from .subscriber import Subscriber

KINDS = ("wrong", "contradicts", "stale", "zero", "missing", "energy", "reason")
Finding = namedtuple("Finding", ("kind", "at", "words"))

# Judged by the other values shown, or by what flowed, not by their own history.
DERIVED = ("power", "cell_voltage_delta", "remaining_time", "time_to_full", "time_to_empty")
COUNTERS = ("energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged")
NUMBERS = {
    "max_voltage_cell": "max_cell_voltage",
    "min_voltage_cell": "min_cell_voltage",
    "max_temperature_sensor": "max_temperature",
    "min_temperature_sensor": "min_temperature",
}
ENDS = {end: number for number, end in NUMBERS.items()}
ZEROS = ("current", "soc", "remaining_capacity")  # zero matters: nothing flows, nothing is left
CLEAR_A = 3  # a current whose direction is certain
IDLE_A = 1  # below, there is no time to full or empty
LONGEST_H = 100
FINE = re.compile(
    r"OK(, at host address 0x[0-9A-F]{2}|, with protocol (D2|P81)(; it answers A5, too)?)?"
    r"|OK, but (current and mode contradict|a second board answers|this board also sends) .*|Recovered: .*"
)
DIAGNOSIS_S = 1.5  # the diagnosis is checked every half second and published one message a pass


class Judge:
    """`sound`: nothing is damaged on this line, so what the BMS sends must be shown. `unsettled`: of this board the polarity of
    the current may stay unknown, so current and what follows from it may be unknown forever, and counted too little. `boards`:
    that share the line, so that everything is read for the first time so much later.
    """

    def __init__(self, held: Held, subscriber: Subscriber, settings: Settings, sound=False, unsettled=False, boards=1):
        self.findings: list[Finding] = []
        self.values = 0  # checked
        self.oldest = 0.0  # longest time for which an immediate value shown was no longer measured
        self._held = held
        self._subscriber = subscriber
        self._settings = settings
        self._sound = sound
        self._boards = boards
        self._may_lack = ("current", "power", *COUNTERS) if unsettled else ()
        self._seen: set = set()
        self._beside: dict[str, float] = {}  # contradiction that may last a moment -> since when
        self._lacking: dict[str, float] = {}
        self._differs: dict[str, float] = {}
        self._most: dict[str, float] = {}  # counter -> the highest value shown

    def _find(self, kind: str, at: float, words: str, once=None):
        """Note a finding; one with the same `once` (default: the same words) is noted once."""
        if (kind, once or words) not in self._seen:
            self._seen.add((kind, once or words))
            self.findings.append(Finding(kind, at, words))

    # every message

    def message(self, part: str, at: float):
        """Check what a message has changed; `part`: its topic below the base."""
        subscriber = self._subscriber
        if part == "/bms1/state":
            for key, value in subscriber.state.items():
                if value is not None:
                    self._check_value(key, value, at)
            for words in contradictions(subscriber.state):
                self._find("contradicts", at, words)
            self._check_remaining_time(subscriber.state, at)
            self._check_counters(subscriber.state, at)
        elif part == "/bms1/energy":
            self._check_counters(subscriber.energy, at)
        self.check(at)

    def _check_value(self, key: str, value, at: float):
        if key in DERIVED or key in COUNTERS or promise_of(key) is None:
            return
        if key == "active_alarms":
            value = alarm_set(value)
        if key in NUMBERS:
            return  # judged by the voltages of the cell that is named
        if key in ENDS:  # docs/MQTT.md: taken from the cells themselves, so it follows from the named one
            number = self._subscriber.state.get(ENDS[key])
            if number is not None and self._subscriber.state.get(_named(ENDS[key], number)) == value:
                return
        if value not in self._held.of[key].ever:
            self._find("wrong", at, f"{key} {_text(value)}, which the BMS never measured")

    def _check_counters(self, state: dict, at: float):
        for key in COUNTERS:
            count = state.get(key)
            if count is not None:
                if count < self._most.get(key, 0):
                    self._find("energy", at, f"{key} decreased from {self._most[key]} to {count}")
                self._most[key] = max(count, self._most.get(key, 0))

    def _check_remaining_time(self, state: dict, at: float):
        """The time to full or empty is between those at the smallest and largest current since its direction changed."""
        time, current, remaining = state.get("remaining_time"), state.get("current"), state.get("remaining_capacity")
        full = self._held.of["rated_capacity"].current if self._held.last else None
        if time is None or not current or remaining is None or full is None:
            return
        amperes = self._since_turn(current > 0, at)
        if not amperes:
            return
        missing = max(0.0, full - remaining) if current > 0 else remaining
        shortest, longest = (60 * missing / max(IDLE_A, ampere) for ampere in (max(amperes), min(amperes)))
        minutes = 60 * time
        if not shortest - _step(minutes) / 2 - 1 <= minutes <= longest + _step(minutes) / 2 + 1:
            self._find(
                "wrong",
                at,
                f"remaining_time {time} h at {current} A and {remaining} Ah: {shortest / 60:.2f} to {longest / 60:.2f} h",
            )

    def _since_turn(self, charging: bool, at: float) -> list[float]:
        """The currents in this direction since it changed, and those that may still have been shown then."""
        amperes: list[float] = []
        limit = at - self._settings.limit_s(PROMISES["current"])
        for value, _, last in reversed(self._held.of["current"].runs):
            if value and (value > 0) == charging:
                amperes.append(abs(value))
            elif last < limit and amperes:
                break
        return amperes

    # every moment

    def check(self, at: float):
        """Judge what is shown at `at` seconds."""
        shown = self._subscriber.shown(at)
        self.values += len(shown)
        held, is_silent = self._held.of, at - self._held.last > 1
        for key, value in shown.items():
            if is_silent or held[key].current != value:  # the present value needs no history
                self._check_age(key, value, shown, at)
        self._check_contradictions(shown, at)
        self._check_diagnosis(shown, at)
        if self._sound:
            self._check_presence(at)
        if self._subscriber.own_topics:
            self._check_own_topics(at)

    def _check_age(self, key: str, value, shown: dict, at: float):
        promise = promise_of(key)
        if promise is None or promise.pace == ONCE or key in COUNTERS:
            return
        if key in NUMBERS:
            self._check_named_cell(key, value, shown, at)
            return
        if key in DERIVED and key != "cell_voltage_delta":
            return
        if key == "active_alarms":
            value = alarm_set(value)
        history = self._held.of[key]
        if not history.runs:
            return
        settings = self._settings
        deadband = settings.deadband(promise, value) if promise.deadband else 0
        silent_s = at - self._held.last
        if key == "cell_voltage_delta":  # the two parts may be off by their deadbands, one up and one down
            deadband = 2 * settings.deadband(PROMISES["max_cell_voltage"], 0)
        if not (history.current == value or (deadband and _near(history.current, value, deadband))) or silent_s > 1:
            for far in (True, False) if deadband else (False,):
                limit = settings.limit_s(promise, far)
                reach = FAR * deadband if far else deadband
                since = history.since(lambda h, reach=reach: h == value or (reach and _near(h, value, reach)), at)
                if since is not None and since > limit:
                    self._find(
                        "stale", at, f"{key} {_text(value)} for {since:.1f} s", (key, str(value), far, round(at - since, 1))
                    )
                elif since is None and key == "cell_voltage_delta" and not far:
                    self._find("wrong", at, f"{key} {value}, which highest and lowest cell never had", (key, value))
                elif since is not None and not far and promise.pace == IMMEDIATE:
                    self.oldest = max(self.oldest, since)
        if key in ZEROS and value:
            since = history.unchanged_s(at)
            if history.current == 0 and since > settings.limit_s(promise) and silent_s < 1:
                self._find("zero", at, f"{key} {value}, {since:.1f} s after it became zero", (key, value, round(at - since, 1)))

    def _check_named_cell(self, key: str, number: int, shown: dict, at: float):
        """The cell or sensor that is named must have had that value, within its deadband."""
        above = PROMISES[NUMBERS[key]]
        voltage = shown.get(above.key)
        history = self._held.of[_named(key, number)]
        if voltage is None or not history.runs:
            return
        deadband = 2 * self._settings.deadband(above, voltage) + 0.001  # each of the two may be off by one
        for far in (True, False):
            reach = FAR * deadband if far else deadband
            since = history.since(lambda held, reach=reach: abs(held - voltage) < reach, at)
            if since is None or since > self._settings.limit_s(above, far):
                ago = "never" if since is None else f"not for {since:.1f} s"
                self._find(
                    "contradicts",
                    at,
                    f"{key} {number} beside {above.key} {voltage}: it has {ago} had that",
                    (key, number, voltage),
                )
                return

    def _check_contradictions(self, shown: dict, at: float):
        """Values of two responses may contradict until the other one is read, but not for longer."""
        current, mode = shown.get("current"), shown.get("mode")
        contradicting = set()
        if mode is not None and current is not None and abs(current) >= CLEAR_A and (mode == "charging") != (current > 0):
            contradicting.add("current beside mode")
        if mode == "idle" and current is not None and abs(current) >= CLEAR_A:
            contradicting.add("current beside idle")
        limits = dict.fromkeys(contradicting, self._settings.age_s(PROMISES["current"]))
        details = dict.fromkeys(contradicting, f"{current} A, {mode}")
        for part, name in (("cell_{}_voltage", "cell_voltage"), ("temperature_{}", "temperature")):
            self._check_extremes(shown, part, name, limits, details)
        self._beside = {what: self._beside.get(what, at) for what in limits}
        for what, since in self._beside.items():
            if at - since > limits[what]:
                self._find("contradicts", at, f"{what}: {details[what]}, for {at - since:.1f} s", (what, since))

    def _check_extremes(self, shown: dict, part: str, name: str, limits: dict, details: dict):
        """No cell or sensor is far beyond the highest or the lowest."""
        first, last = part.split("{}")
        values = [v for k, v in shown.items() if k.startswith(first) and k.endswith(last) and promise_of(k) is PROMISES[part]]
        highest, lowest = shown.get(f"max_{name}"), shown.get(f"min_{name}")
        if not values or highest is None or lowest is None:
            return
        settings, end = self._settings, PROMISES[f"max_{name}"]
        reach = 2 * FAR * settings.deadband(end, 0) + 0.001
        limit = settings.limit_s(end, True) + settings.limit_s(PROMISES[part], True)
        for what, beyond in ((f"a {name} above max", max(values) - highest), (f"a {name} below min", lowest - min(values))):
            if beyond > reach:
                limits[what] = limit
                details[what] = f"by {beyond:.3f}"

    def _check_diagnosis(self, shown: dict, at: float):
        """Values are shown if the diagnosis is OK, and only then."""
        subscriber = self._subscriber
        if (
            not subscriber.bridge_online
            or at - max(subscriber.connection_at, subscriber.switched_at) < DIAGNOSIS_S * self._boards
        ):
            return
        fine = FINE.fullmatch(subscriber.connection or "") is not None
        if bool(shown) != fine:
            self._find(
                "reason", at, f"{'values' if shown else 'nothing'} with {subscriber.connection!r}", subscriber.connection_at
            )

    def _check_presence(self, at: float):
        """On an undamaged line what the BMS sends is shown, at the latest after two more polls."""
        lacking = {}
        for key, history in self._held.of.items():
            promise = promise_of(key)
            if (
                promise is None
                or key in self._may_lack
                or history.current is None
                or self._subscriber.state.get(key) is not None
            ):
                continue
            lacking[key] = since = max(self._lacking.get(key, at), history.runs[-1][1] if promise.pace == ONCE else 0)
            limit = (
                15 * self._boards if promise.poll_s is None else 2 * self._settings.age_s(promise) + self._settings.publish_s
            )
            if at - since > limit:
                words = f"{key} unknown for {at - since:.0f} s, while the BMS sends {_text(history.current)}"
                self._find("missing", at, words, (key, since))
        self._lacking = lacking

    def _check_own_topics(self, at: float):
        """PUBLISH_EACH_VALUE: the same value there as in the state, moments later: a chip sends some 40 of them a second."""
        differing = {}
        for key, text in self._subscriber.own_topics.items():
            value = self._subscriber.state.get(key)
            if (text == "") != (value is None) or (text and not _same(text, value)):
                differing[key] = since = self._differs.get(key, at)
                if at - since > 4:
                    self._find("contradicts", at, f"{key} {value} and on its own topic {text!r}", (key, since))
        self._differs = differing

    # at the end

    def energy(self, flow: Flow, late_s: float, may_pause: bool = False) -> list[tuple[str, float, float]]:
        """Judge the counters: (key, shown, true) of each, in kWh or Ah.

        `late_s`: how late a step may be noticed; `may_pause`: less than the true value is allowed.
        """
        rows = []
        truths = (*flow.energy, *flow.charge)
        for key, true in zip(COUNTERS, truths, strict=True):
            shown = self._subscriber.energy.get(key)
            if shown is not None:
                steps, most = (flow.steps_kw, flow.most_kw) if key.startswith("energy") else (flow.steps_a, flow.most_a)
                slack = 0.003 + 0.01 * true + (steps * late_s + 2 * most * (late_s + 1)) / 3600
                if shown > true + slack or (shown < true - slack and not may_pause):
                    self._find("energy", 0, f"{key} {shown}, though {true:.3f} flowed (within {slack:.3f})")
                rows.append((key, shown, true))
        return rows


def contradictions(state: dict) -> list[str]:
    """What of a state does not follow from the rest of it, as sentences."""
    s = state.get
    followed = {
        "power": _product(s("pack_voltage"), s("current")),
        "cell_voltage_delta": _difference(s("max_cell_voltage"), s("min_cell_voltage")),
        "problem": None if s("active_alarms") is None else ("ON", "OFF")[s("active_alarms") == "none"],
    }
    bits = [value for key, value in state.items() if key.startswith("cell_") and key.endswith("_balancing")]
    if "ON" in bits or (bits and None not in bits):
        followed["balancing"] = "ON" if "ON" in bits else "OFF"
    found = [f"{key} {s(key)} is not {value}" for key, value in followed.items() if s(key) is not None and s(key) != value]
    return found + _times(s)


def _times(s) -> list[str]:
    """Times to full and empty must fit the direction of the current."""
    current, either, full, empty = s("current"), s("remaining_time"), s("time_to_full"), s("time_to_empty")
    found = []
    if full is not None and empty is not None:
        found.append(f"time_to_full {full} beside time_to_empty {empty}")
    if either is not None and either not in (full, empty):
        found.append(f"remaining_time {either} is neither {full} nor {empty}")
    for key, value, sign in (("time_to_full", full, 1), ("time_to_empty", empty, -1)):
        if value is not None and (current is None or sign * current < IDLE_A or value > LONGEST_H):
            found.append(f"{key} {value} beside {current} A")
    for low, high in (("min_cell_voltage", "max_cell_voltage"), ("min_temperature", "max_temperature")):
        if s(low) is not None and s(high) is not None and s(low) > s(high):
            found.append(f"{low} {s(low)} above {high} {s(high)}")
    return found


def _named(key: str, number: int) -> str:
    """The key of the cell or sensor that max_voltage_cell, min_temperature_sensor, ... name."""
    return f"cell_{number}_voltage" if key.endswith("_cell") else f"temperature_{number}"


def _product(voltage, current):
    return None if voltage is None or current is None else round(10 * voltage) * round(10 * current) / 100


def _difference(highest, lowest):
    return None if highest is None or lowest is None else (round(1000 * highest) - round(1000 * lowest)) / 1000


def _near(held, shown, deadband: float) -> bool:
    return held is not None and abs(held - shown) < deadband - 1e-6


def _step(minutes: float) -> int:
    """Times are rounded: to 5 minutes, to 30 from 4 hours on, to 4 hours from a day on."""
    return 5 if minutes < 240 else 30 if minutes < 1440 else 240


def _same(text: str, value) -> bool:
    return text == value if isinstance(value, str) else value is not None and float(text) == float(value)


def _text(value) -> str:
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)
