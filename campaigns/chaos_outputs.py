# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The fault matrix with outputs, sensors and the status LED on: `python -m campaigns.chaos --outputs`.

While a fault lasts, the battery demands that a heater switches, then a siren: their pins must do that and nothing else. Levels
and published states are those that the stand-in chip logs, with the times of then.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from campaigns.chaos import BASE, FAULTS, SETTINGS, Bench, Fault, Outcome, _wait_for_return
from campaigns.mosquitto import wait_until
from campaigns.outputs_judge import Heater, Judge, seconds, settings, siren

HEATER_ON_S, HEATER_OFF_S = 5, 6
SIREN_ON_S, SIREN_OFF_S = 3, 4
OUTPUTS = 'LED_PIN = "IO15"\n' + settings((HEATER_ON_S, HEATER_OFF_S), (SIREN_ON_S, SIREN_OFF_S))
SENSORS = ("--sensor", "ds18b20=21.5", "--sensor", "supply=13.1", "--vedirect", "shunt,SOC=873")
# what they say: part of the topic, key, value
SAID = (("temperatures", "28ff641e8216c3", 21.5), ("vedirect1", "soc", 87.3), ("supply", "voltage", 13.1))
LATE_S = 12.0  # for doing what is demanded: a reading, and a pass in which the loop stands still for a name server
SEND_S = 3.0  # from the state of an output until a socket takes the message
FULL, EMPTY = "90", "50"
ALARM = "cell_high_2"
FLAP_S = 0.7
_EVENT = re.compile(
    r"(\d\d):(\d\d):(\d\d\.\d{3}) (?:host: output (IO\d+) \(.*\) (on|off)|(host: the chip resets)|-> t/outputs/state (.*))"
)


class OutputBench(Bench):
    """A Bench whose firmware has two outputs, sensors and an LED. `soc` and `alarm`: what the BMS is told to say."""

    def __init__(self, folder: Path):
        self.heater, self.siren = _judges()
        self.silent_since: float | None = None  # since when the BMS cannot be heard
        self._rule = Heater()
        self._seen = 0  # lines of the log that have been judged
        self._told: list[tuple[float, Callable[[], None]]] = []  # what was not in the log, with its times
        self.soc, self.alarm = FULL, ""
        super().__init__(folder, SETTINGS + OUTPUTS, options=SENSORS)
        self._demand()

    def start(self):
        self._tell(self._start)
        super().start()

    def cut_power(self):
        super().cut_power()
        self._tell(self._start)

    def set_soc(self, soc: str):
        """The state of charge is this."""
        self.soc = soc
        self.set_bms(f"soc={soc}")
        self._demand()

    def set_alarm(self, alarm: str):
        """These alarms are active."""
        self.alarm = alarm
        self.set_bms(f"alarms={alarm}")
        self._demand()

    def set_silent(self, is_silent: bool):
        """Whether the BMS cannot be heard."""
        self.silent_since = time.monotonic() if is_silent else None
        self._demand()

    def judge(self):
        """Tell the judges what has happened since the last call, in its order."""
        events, self._told = self._told, []
        lines = self._log[self._seen :]
        self._seen += len(lines)
        events += [(at, self._event(at, found)) for at, found in logged(lines)]
        for _, tell in sorted(events, key=lambda event: event[0]):
            tell()
        for judge in (self.heater, self.siren):
            judge.advance(time.monotonic())

    def levels(self) -> dict[str, str]:
        """The levels of the pins, as they have to be published."""
        return {f"output_{n}": "ON" if judge.is_on else "OFF" for n, judge in ((1, self.heater), (2, self.siren))}

    def latest(self, topic: str) -> dict:
        """The last state on a topic that has reached a subscriber."""
        return json.loads(self.subscriber.latest(f"{BASE}/{topic}/state") or "{}")

    def _tell(self, what: Callable[[float], None]):
        at = time.monotonic()
        self._told.append((at, lambda: what(at)))

    def _demand(self):
        silent_s = None if self.silent_since is None else time.monotonic() - self.silent_since
        soc, is_alarm = float(self.soc), bool(self.alarm)

        def demand(at: float):
            self.heater.demand(at, *self._rule.demand(soc, is_alarm, silent_s))
            self.siren.demand(at, *siren(is_alarm, silent_s))

        self._tell(demand)

    def _start(self, at: float):
        self._rule.start()
        for judge in (self.heater, self.siren):
            judge.start(at)

    def _event(self, at: float, found: re.Match) -> Callable[[], None]:
        pin, level, resets, payload = found[4], found[5], found[6], found[7]
        if resets:
            return lambda: self._start(at)
        if pin:
            return lambda: (self.heater if pin == "IO5" else self.siren).edge(at, level == "on")
        return lambda: (self.heater.published(at, payload, "output_1"), self.siren.published(at, payload, "output_2"))


def _judges() -> tuple[Judge, Judge]:
    return (
        Judge("heater", HEATER_ON_S, HEATER_OFF_S, LATE_S, SEND_S),
        Judge("siren", SIREN_ON_S, SIREN_OFF_S, LATE_S, SEND_S),
    )


def logged(lines: list[tuple[float, str]]) -> list[tuple[float, re.Match]]:
    """What matters of the lines of a log, (time of arrival, text), with the times at which they were printed, a little earlier.

    All times are those of time.monotonic(). The order of the lines counts more than their milliseconds.
    """
    found: list[tuple[float, re.Match]] = []
    ahead = time.time() - time.monotonic()
    for arrived, line in lines:
        event = _EVENT.match(line)
        if event:
            of_day = 3600 * int(event[1]) + 60 * int(event[2]) + float(event[3])
            midnight = datetime.fromtimestamp(ahead + arrived).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
            at = arrived - (ahead + arrived - midnight - of_day) % 86400
            found.append((max(at, found[-1][0]) if found else at, event))
    return found


# the rows


@dataclass
class Row:
    """One row: what happens, and `steps`, what the battery does meanwhile, in equal parts of `seconds`."""

    fault: Fault
    seconds: float
    steps: tuple[Callable[[OutputBench], None], ...]
    least_edges: int = 0  # without which nothing was tested


def _toggle_soc(bench: OutputBench):
    bench.set_soc(EMPTY if bench.soc == FULL else FULL)


def _toggle_alarm(bench: OutputBench):
    bench.set_alarm("" if bench.alarm else ALARM)


def _calm(bench: Bench):
    """The heater is on, and the siren is off."""
    assert isinstance(bench, OutputBench)
    bench.set_alarm("")
    bench.set_soc(FULL)
    time.sleep(LATE_S + HEATER_OFF_S)


def _nothing(bench: OutputBench):
    """The battery demands nothing new."""


USUAL = (_nothing, _toggle_soc, _toggle_alarm)
SECONDS = 24.0
OF_BROKER = (
    "no fault",
    "access point off",
    "name server silent, broker gone",
    "broker killed, retained messages kept",
    "broker killed, retained messages lost",
    "broker frozen",
    "connections accepted, no response",
    "half-open",
    "random bytes",
    "a message of 200 MB",
    "100 bytes/s",
)
OTHERS = {"BMS frozen": 25.0, "power cut": 1.0, "UART driver hangs": 50.0}


def _jumping(name: str, step: Callable[[OutputBench], None]) -> Row:
    count = 2 * round(SECONDS / FLAP_S / 2)  # an even number: at the end it is as it was
    return Row(Fault(name, _calm), count * FLAP_S, (step,) * count, 4)


def rows() -> list[Row]:
    """All rows."""
    faults = {fault.name: fault for fault in FAULTS}
    return [
        *(Row(faults[name], SECONDS, USUAL, 2) for name in OF_BROKER),
        *(Row(faults[name], length, (_nothing,)) for name, length in OTHERS.items()),
        _jumping(f"state of charge jumps every {FLAP_S:g} s", _toggle_soc),
        _jumping(f"an alarm comes and goes every {FLAP_S:g} s", _toggle_alarm),
    ]


@dataclass
class Done:
    """What one row has shown. `edges`, `states`: of heater and siren."""

    row: Row
    back_s: float | None = None
    edges: list[int] = field(default_factory=list)
    states: int = 0
    wrong: list[str] = field(default_factory=list)


def run(bench: OutputBench, row: Row) -> Done:
    """Begin and end the fault, with the battery's demands meanwhile, wait until all is well, and judge."""
    done, outcome = Done(row), Outcome(row.fault)
    judges = (bench.heater, bench.siren)
    before = [(judge.counted.edges, judge.counted.states, len(judge.counted.wrong)) for judge in judges]
    begun = time.monotonic()
    row.fault.begin(bench)
    if not row.fault.polls:
        bench.set_silent(True)
    for step in row.steps:
        step(bench)
        time.sleep(row.seconds / len(row.steps))
    row.fault.end(bench)
    bench.set_silent(False)
    _wait_for_return(bench, outcome, begun if row.fault.heals_itself else time.monotonic())
    done.back_s, done.wrong = outcome.back_s, outcome.wrong
    time.sleep(LATE_S + HEATER_OFF_S)  # what is demanded is done
    bench.judge()
    for (edges, states, complaints), judge in zip(before, judges, strict=True):
        done.edges.append(judge.counted.edges - edges)
        done.states = judge.counted.states - states
        done.wrong += judge.counted.wrong[complaints:]
    if not wait_until(lambda: bench.levels().items() <= bench.latest("outputs").items(), 5):
        done.wrong.append(f"the broker has {bench.latest('outputs')}, and the pins are {bench.levels()}")
    for topic, key, value in SAID:
        if not wait_until(lambda topic=topic, key=key: bench.latest(topic).get(key) is not None, 15):
            done.wrong.append(f"{topic} says nothing")
        elif bench.latest(topic)[key] != value:
            done.wrong.append(f"{topic} says {bench.latest(topic)[key]} instead of {value}")
    if sum(done.edges) < row.least_edges:
        done.wrong.append(f"only {sum(done.edges)} edges")
    return done


HEAD = (
    "| Fault | Duration | Recovered after | Edges of heater, siren | States published | Result |\n|---|---|---|---|---|---|\n"
)


def line(done: Done) -> str:
    """One line of the table."""
    back = "" if done.back_s is None else "at once" if done.back_s < 0.3 else f"{done.back_s:.1f} s"
    edges = ", ".join(map(str, done.edges))
    cells = (done.row.fault.name, f"{done.row.seconds:.3g} s", back, edges, str(done.states), "; ".join(done.wrong) or "ok")
    return "| " + " | ".join(cells) + " |\n"


def matrix(folder: Path, only: str | None) -> tuple[str, int]:
    """(the table, how many rows have failed); it is printed row by row. `only`: rows with this in their name."""
    bench = OutputBench(folder)
    table, wrong = HEAD, 0
    try:
        if not wait_until(lambda: bench.is_up(0) and all(bench.latest(topic).get(key) for topic, key, _ in SAID), 60, 0.05):
            sys.exit("the firmware does not start:\n" + "\n".join(bench.log()[-30:]))
        time.sleep(LATE_S + HEATER_OFF_S)
        bench.judge()
        if not bench.heater.is_on:
            sys.exit("the heater is not on:\n" + "\n".join(bench.log()[-30:]))
        print(table, end="", flush=True)
        for row in rows():
            if not only or only in row.fault.name:
                done = run(bench, row)
                print(line(done), end="", flush=True)
                table += line(done)
                wrong += bool(done.wrong)
                if done.wrong:
                    print("\n".join(bench.log()[-12:]), file=sys.stderr)
    finally:
        bench.close()
    counted = [judge.counted for judge in (bench.heater, bench.siren)]
    if any(one.wrong for one in counted) and not wrong:
        wrong = 1  # before the first row
    table += (
        f"\nShortest time on: heater {seconds(counted[0].shortest_on_s)} (at least {HEATER_ON_S}, but for an alarm), siren "
        f"{seconds(counted[1].shortest_on_s)} (at least {SIREN_ON_S}). "
        f"Shortest time off: heater {seconds(counted[0].shortest_off_s)} (at least {HEATER_OFF_S}), siren "
        f"{seconds(counted[1].shortest_off_s)} (at least {SIREN_OFF_S}).\n"
    )
    print(table.splitlines()[-1])
    return table, wrong
