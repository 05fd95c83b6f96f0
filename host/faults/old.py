"""The fault campaign: `make faults` drives the real Poller over damaged lines in simulated time and counts untrue values.

A simulated BMS (host/bms.py) answers, lives (its load, charge, alarms and switches change now and then) and is damaged on
its way. Every half second what would be on the broker is compared with what the BMS held. Seeded: one seed, one result.
Prints tables and writes them into docs/TRUTH.md, which says how to read them.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
if (STANDINS := str(ROOT / "host" / "standins")) not in sys.path:
    sys.path.append(STANDINS)  # adafruit_ticks wants the chip's own modules

from daly.pack import Pack  # noqa: E402
from daly.poller import Poller  # noqa: E402
from daly.registers import READING, REGISTERS  # noqa: E402
from host.bms import ALARMS, BYTE_US, Bms, Readings, truth  # noqa: E402
from mqtt.payload import Writer, key_of, write_pack  # noqa: E402

DOCUMENT = ROOT / "docs" / "TRUTH.md"
CELLS = (4, 16, 48)
TEMPERATURES = {4: 1, 16: 4, 48: 9}
REQUEST_US = 13 * BYTE_US
TICKS = 1 << 29
PUBLISH_S = 0.5
MARGIN_S = 0.5  # beyond the age at which a reading is forgotten: an answer takes up to 0.25 s, and a pass of the loop
HEADLINES = ("pack_voltage", "current", "soc")


# --- what the BMS held -----------------------------------------------------------------------------------------------


class Held:
    """Every value the BMS held and when it did so last: key -> value -> seconds."""

    def __init__(self):
        self.times: dict[str, dict] = defaultdict(dict)

    def note(self, readings: Readings, at: float):
        for key, value in _held(readings).items():
            self.times[key][value] = at

    def since(self, key: str, value, now: float) -> float | None:
        """For how many seconds the BMS has not held this value any more; None: it never did."""
        last = self.times[key].get(value)
        return None if last is None else now - last


def _held(r: Readings) -> dict:
    """What must be published of these readings: truth() in the words of the JSON, and what it does not name."""
    values = {key: ("OFF", "ON")[value] if isinstance(value, bool) else value for key, value in truth(r).items()}
    del values["clock"], values["power"]
    values["chemistry"] = values["chemistry"].upper()
    values["nominal_cell_voltage"] = {"LFP": 3.2, "NMC": 3.7, "LTO": 2.3}[values["chemistry"]]
    values["heartbeat"] = r.life
    values["fault_code"] = 0
    values["charger_connected"] = values["load_connected"] = "OFF"
    for bit in range(4):
        values[f"digital_input_{bit + 1}"] = ("OFF", "ON")[r.options.dio >> bit & 1]
        values[f"digital_output_{bit + 1}"] = ("OFF", "ON")[r.options.dio >> bit + 4 & 1]
    for index, byte in enumerate(r.options.alarms, 1):
        values[f"alarm_byte_{index}"] = byte
    if r.temperatures:
        for end, pick in (("max", max), ("min", min)):
            values[f"{end}_temperature_sensor"] = r.temperatures.index(pick(r.temperatures)) + 1
    return values


class Witnessed:
    """The BMS's battery; what it is asked for is noted as held."""

    def __init__(self, battery, held: Held):
        self._battery = battery
        self._held = held

    def settle(self, now_us: float):
        self._battery.settle(now_us)

    def readings(self, now_us: float) -> Readings:
        readings = self._battery.readings(now_us)
        self._held.note(readings, now_us / 1e6)
        return readings


class WitnessedBms(Bms):
    """A Bms that counts its frames. `pause_ms`: a request that comes sooner after an answer is not heard."""

    def __init__(self, options: str, held: Held, pause_ms: float):
        super().__init__(options)
        self._pack = Witnessed(self._pack, held)
        self._pause_us = 1000 * pause_ms
        self._last_end = -1e9
        self.frames = self.damaged = 0

    def _plan(self, said, at, what, faults):
        self.frames += what == "answer"
        self.damaged += bool(faults)
        super()._plan(said, at, what, faults)

    def _is_busy(self, began, at):
        return began + 1 < self._last_end + self._pause_us or super()._is_busy(began, at)

    def _answer(self, request, start):
        super()._answer(request, start)
        self._last_end = self._answer_ends[-1]


class WatchedPack(Pack):
    """A Pack that tells when it has taken an answer."""

    def __init__(self, taken):
        super().__init__()
        self._taken = taken
        self._refreshed: dict[int, int] = {}

    def take(self, register, payload, frames, now, noisy=False):
        result = super().take(register, payload, frames, now, noisy)
        self._taken(register)
        return result

    def refreshed(self, key: str, number: int = 1) -> bool:
        """Whether what is believed of this reading was said later than at the last call."""
        slot = READING[key].slot + number - 1
        if self._raw[slot] is None or self._seen[slot] == self._refreshed.get(slot):
            return False
        self._refreshed[slot] = self._seen[slot]
        return True


# --- a line and what is counted on it --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One line to be simulated. `frames`: how many the BMS says; `outage`: option set for 5-20 s now and then."""

    case: str
    cells: int
    seed: int
    frames: int
    options: str = ""
    outage: str = ""
    living: bool = True
    stalls: bool = False  # passes of the loop that last 100 ms
    pause_ms: float = 0
    poller: tuple = ()  # its keyword arguments, as pairs


@dataclass
class Tally:
    job: Job
    frames: int = 0
    damaged: int = 0
    seconds: float = 0.0  # in which the BMS was alive
    values: int = 0  # published
    wrong: list = field(default_factory=list)
    stale: list = field(default_factory=list)
    oldest: float = 0.0  # longest time for which a published fast value was not held any more
    refreshes: int = 0
    gap: float = 0.0
    lags: dict = field(default_factory=lambda: defaultdict(list))  # reading -> seconds until a change was believed
    back: list = field(default_factory=list)  # seconds from the end of an outage to the first readings
    first: float | None = None  # seconds to the first complete data


def run(job: Job) -> Tally:
    """Simulate one line."""
    line = Line(job)
    while line.bms.frames < job.frames:
        line.step()
    return line.finish()


class Line:
    """The real Poller and Pack on one end, a living BMS on the other, and a watch on what would be published."""

    def __init__(self, job: Job):
        self.job = job
        self.tally = Tally(job)
        self.held = Held()
        self.random = Random(f"{job.seed}/{job.cells}/{job.case}")
        self.bms = WitnessedBms(f"seed={job.seed},cells={job.cells},{job.options}", self.held, job.pause_ms)
        self.pack = WatchedPack(self._taken)
        self.poller = Poller(self.pack, **dict(job.poller))
        self.life = Life(self, Random(job.seed)) if job.living else None
        self.us = 0.0
        self.requests = 0
        self.pass_us: float | None = None  # how long a pass of the loop lasts; None: 1 to 6 ms, as on a board
        self._start = Random(job.seed).randrange(TICKS)
        self._writer = Writer()
        self._publish_at = PUBLISH_S
        self._cycles = [0, 0, 0]  # the longest of the last cycles allows readings their age
        self._last: dict[str, float] = {}  # when the headlines were refreshed
        self._changed: dict[str, tuple[float, object]] = {}  # reading -> (since, old value) of a change not yet believed
        self._back_since: float | None = None
        self._alive_since: float | None = 0.0

    @property
    def s(self) -> float:
        return self.us / 1e6

    @property
    def now(self) -> int:
        return (self._start + int(self.us // 1000)) % TICKS

    def step(self):
        """One pass of the board's loop. Nothing to read and nothing to say: a few ms pass, sometimes many."""
        arrived = self.bms.transmit(self.us)
        if arrived:
            self.poller.receive(arrived, len(arrived), self.now)
        request = self.poller.poll(self.now)
        if request is not None:
            self.requests += 1
            self.bms.receive(bytes(request), self.us)
            self.us += len(request) * BYTE_US
        if self.s >= self._publish_at:
            self._publish_at = self.s + PUBLISH_S
            self._publish()
        if self.life:
            self.life.tick()
        self.us += self._pass_us()

    def _pass_us(self) -> float:
        if self.pass_us is not None:
            return self.pass_us
        if self.job.stalls and self.random.random() < 0.02:
            return 100_000
        return 1000 * self.random.choice((1, 2, 4, 6))

    def finish(self) -> Tally:
        tally = self.tally
        tally.frames, tally.damaged = self.bms.frames, self.bms.damaged
        if self._alive_since is not None:
            tally.seconds += self.s - self._alive_since
        self._measure_gaps()
        return tally

    # outages

    def outage_begins(self):
        self._measure_gaps()
        self._last.clear()
        self._changed.clear()
        self.tally.seconds += self.s - self._alive_since
        self._alive_since = self._back_since = None

    def outage_ends(self):
        self._alive_since = self._back_since = self.s

    def _measure_gaps(self):
        for last in self._last.values():
            self.tally.gap = max(self.tally.gap, self.s - last)

    # refreshes

    def _taken(self, register):
        if self._alive_since is None:
            return
        if register.command == 0x90:
            self._refresh_headlines()
        elif register.command == 0x93:
            self.tally.refreshes += self.pack.refreshed("remaining_capacity")
        elif register.command == 0x95:
            for number in (1, self.pack.count(READING["cell_{}_voltage"])):
                self.tally.refreshes += self.pack.refreshed("cell_{}_voltage", number)
        for key in [key for key in self._changed if READING[_row_key(key)] in register.readings]:
            self._look_for_change(key)

    def _refresh_headlines(self):
        for key in HEADLINES:
            if self.pack.refreshed(key):
                self.tally.refreshes += 1
                self.tally.gap = max(self.tally.gap, self.s - self._last.get(key, self.s))
                self._last[key] = self.s
        if self._back_since is not None and len(self._last) == len(HEADLINES):
            self.tally.back.append(self.s - self._back_since)
            self._back_since = None

    # changes

    def changed(self, key: str, old, new):
        """The BMS's value of a reading has just become another one."""
        if old != new:
            self._changed[key] = (self.s, old)

    def _look_for_change(self, key):
        since, old = self._changed[key]
        value = self._value(key)
        if value is not None and value != old and self.held.times[key].get(value, -1) >= since:
            self.tally.lags[key].append(self.s - since)
            del self._changed[key]

    def _value(self, key):
        """A reading as it would be published."""
        row, number = READING[_row_key(key)], int(key.split("_")[-1]) if key != _row_key(key) else 1
        raw = self.pack.at(row, number - 1)
        if raw is None:
            return None
        return raw / 10**row.decimals if row.kind == READING["soc"].kind else ("OFF", "ON")[raw]

    # what is published

    def _publish(self):
        self._cycles = [*self._cycles[1:], self.poller.cycle_ms or 0]
        if not self.poller.complete:
            return
        if self.tally.first is None:
            self.tally.first = self.s
        published = json.loads(write_pack(self._writer.clear(), self.pack).bytes())
        for problem in contradictions(published):
            self.tally.wrong.append(f"{self.s:.1f} s: {problem}")
        for number in range(1, 8):
            published[f"alarm_byte_{number}"] = self.pack.raw("alarm_byte_{}", number)
        for key, value in published.items():
            if value is not None and key not in DERIVED:
                self.tally.values += 1
                self._check(key, value)

    def _check(self, key, value):
        since = self.held.since(key, value, self.s)
        if since is None:
            self.tally.wrong.append(f"{self.s:.1f} s: {key} {value}")
            return
        limit = stale_limit(key, max(self._cycles))
        if since > limit:
            self.tally.stale.append(f"{self.s:.1f} s: {key} {value} for {since:.1f} s")
        elif limit < 4:
            self.tally.oldest = max(self.tally.oldest, since)


@cache
def _row_key(key: str) -> str:
    """The key of the row a reading belongs to: "cell_7_voltage" is one of "cell_{}_voltage"."""
    if key in READING:
        return key
    return next(row.key for row in READING.values() if row.slots > 1 and key in [key_of(row, i) for i in range(row.slots)])


@cache
def _period_s(key: str) -> float | None:
    row = READING[_row_key(key)]
    period = next(register.period_ms for register in REGISTERS if row in register.readings)
    return None if period is None else period / 1000


def stale_limit(key: str, cycle_ms: int) -> float:
    """How old a published reading may be: three periods or three turns of the poller, at least 3 s, and the margin."""
    period = _period_s(key)
    return float("inf") if period is None else max(3, 3 * period, 3 * cycle_ms / 1000) + MARGIN_S


# judged by what is published beside them; the times are reckoned from a mean of the current
DERIVED = ("power", "cell_voltage_delta", "problem", "problems", "balancing", "remaining_time", "time_to_full", "time_to_empty")


def contradictions(published: dict) -> list[str]:
    """Derived readings that do not follow from what is published beside them."""
    p = published
    followed = {
        "power": _product(p["pack_voltage"], p["current"]),
        "cell_voltage_delta": _difference(p["max_cell_voltage"], p["min_cell_voltage"]),
        "problem": None if p["problems"] is None else ("ON", "OFF")[p["problems"] == "none"],
    }
    bits = [value for key, value in p.items() if key.startswith("cell_") and key.endswith("_balancing")]
    if "ON" in bits or None not in bits:
        followed["balancing"] = "ON" if "ON" in bits else "OFF"
    return [f"{key} {p[key]} is not {value}" for key, value in followed.items() if p[key] is not None and p[key] != value]


def _product(voltage, current):
    return None if voltage is None or current is None else round(10 * voltage) * round(10 * current) / 100


def _difference(highest, lowest):
    return None if highest is None or lowest is None else (round(1000 * highest) - round(1000 * lowest)) / 1000


# --- the battery's life ----------------------------------------------------------------------------------------------


class Life:
    """What happens to the battery: a change every few seconds, and the outages of the job."""

    def __init__(self, line: Line, random: Random):
        self._line = line
        self._random = random
        self._next = random.uniform(5, 10)
        self._outage_at = random.uniform(20, 40) if line.job.outage else None
        self._out = False
        self._changes = (self._load, self._load, self._charge, self._switch, self._alarm, self._balance, self._weather)

    def tick(self):
        if self._line.s >= self._next:
            self._next = self._line.s + self._random.expovariate(1 / 8)
            if not self._out:
                self._random.choice(self._changes)()
        if self._outage_at is not None and self._line.s >= self._outage_at:
            self._toggle_outage()

    def _toggle_outage(self):
        self._out = not self._out
        self._set(self._line.job.outage, int(self._out))
        self._outage_at = self._line.s + (self._random.uniform(5, 20) if self._out else self._random.uniform(20, 60))
        if self._out:
            self._line.outage_begins()
        else:
            self._line.outage_ends()

    def _set(self, name, value, *keys):
        """Change an option, and tell the line which readings changed by it."""
        bms, line = self._line.bms, self._line
        before = {key: _said(bms, line.us, key) for key in keys}
        bms.set(name, value, line.us)
        for key, old in before.items():
            line.changed(key, old, _said(bms, line.us, key))

    def _load(self):
        """From a radio to a starting motor; whoever switches it on has switched the MOSFETs on."""
        for name in ("charge_mosfet", "discharge_mosfet"):
            self._set(name, 1, name)
        amperes = self._random.choice((0, 2.5, -4, -12.4, 35, -80, 150, -300, 500, -500)) * self._random.uniform(0.9, 1)
        self._set("current", round(amperes, 1), "current")

    def _charge(self):
        self._set("soc", round(self._random.uniform(0, 100), 1), "soc")

    def _switch(self):
        name = self._random.choice(("charge_mosfet", "discharge_mosfet"))
        self._set(name, 1 - getattr(self._line.bms.options, name), name)

    def _alarm(self):
        names = [name for name in ALARMS if name != "reserved"]
        active = self._random.sample(names, self._random.choice((0, 1, 2, 5)))
        self._set("alarms", "+".join(active), "problem")

    def _balance(self):
        cells = self._random.sample(range(1, self._line.job.cells + 1), self._random.choice((0, 1, 2)))
        self._set("balancing", "+".join(map(str, cells)), "balancing")

    def _weather(self):
        self._set("temperature", self._random.randint(-20, 60), "temperature_1")


def _said(bms: Bms, now_us: float, key: str):
    value = bms.truth(now_us)[key]
    return ("OFF", "ON")[value] if isinstance(value, bool) else value


# --- the cases -------------------------------------------------------------------------------------------------------

FIVE = "corrupt=5"
MIXED = (
    "corrupt=2,corrupt1=0.5,burst=0.3,drop_byte=0.5,extra_byte=0.5,truncate=0.5,garbage=0.5,duplicate=0.5,drop_frame=0.5,"
    "late=0.5"
)
SLOW = "think=60,think_jitter=60"
MILLION = 1_000_000
LEAST = 900  # frames of a case, however short the campaign


@dataclass(frozen=True)
class Case:
    name: str
    faults: str = ""
    share: float = 0.02  # of the number of frames asked for
    board: str = ""  # the way the board is, also in the clean run it is compared with
    outage: str = ""
    stalls: bool = False
    poller: tuple = ()


CASES = (
    Case("nothing damaged", share=0.04),
    Case("0.1 % corrupted", "corrupt=0.1"),
    Case("1 % corrupted", "corrupt=1", 0.1),
    Case("5 % corrupted", FIVE, 1),
    Case("5 % mixed", MIXED, 0.2),
    Case("5 % one byte changed", "corrupt1=5"),
    Case("20 % corrupted", "corrupt=20"),
    Case("5 %, slow board", FIVE, board=SLOW),
    Case("5 %, loop stalls for 100 ms", FIVE, stalls=True),
    Case("5 %, own echo heard", FIVE, board="echo=1"),
    Case("5 %, second master", FIVE + ",second_master=10"),
    Case("bursts of 50-300 ms", "burst=1"),
    Case("5 % lose a byte", "drop_byte=5"),
    Case("5 % gain a byte", "extra_byte=5"),
    Case("5 % cut short", "truncate=5"),
    Case("5 % missing", "drop_frame=5"),
    Case("20 % missing", "drop_frame=20"),
    Case("5 % twice", "duplicate=5"),
    Case("5 % behind garbage", "garbage=5"),
    Case("5 % of answers late", "late=5"),
    Case("5 % all zero", "zeros=5"),
    Case("20 % without cells", "cells_zero=20"),
    Case("own echo heard", board="echo=1"),
    Case("second master", "second_master=10"),
    Case("noise, 20 bytes a second", "noise=20"),
    Case("memory garbage, host 0x80", "ram_garbage=20", poller=(("host_address", 0x80),)),
    Case("dies mid-frame for 2 s", "die_mid_frame=0.3"),
    Case("silent for 5-20 s, 5 %", FIVE, outage="silent"),
    Case("asleep for 5-20 s, 5 %", FIVE, outage="asleep"),
    Case("mixtures of 3 to 6 faults", share=0.05),  # drawn by seed
)
LIES = (  # the sum is right: only what it says tells a lie from the truth
    Case("1 % lies", "implausible=1", 0.03),
    Case("5 % lies", "implausible=5", 0.03),
    Case("1 % lies, 1 % corrupted", "implausible=1,corrupt=1", 0.03),
)
MIXTURE = (
    "corrupt=5 corrupt1=5 burst=1 drop_byte=5 extra_byte=5 truncate=5 duplicate=5 garbage=5 drop_frame=5 die_mid_frame=0.3 "
    "late=5 zeros=5 cells_zero=20 second_master=10 noise=20 echo=1"
)
WAYS = "think=20 think_jitter=30 gap=10 stale=0 zero_based=1 temperature_frames=2 absent=255"


def mixture(random: Random) -> str:
    """Three to six faults at once, each up to its worst, and two ways of being a board."""
    worst = [item.split("=") for item in random.sample(MIXTURE.split(), random.randint(3, 6))]
    faults = [f"{name}={1 if name == 'echo' else random.uniform(0.1, 1) * float(most)}" for name, most in worst]
    return ",".join([*faults, *random.sample(WAYS.split(), 2)])


def jobs_of(case: Case, frames: float, size: int, seed: int) -> list[Job]:
    """The lines of one case: all three packs, in pieces of about `size` frames, each with another seed."""
    jobs = []
    pieces = max(1, round(frames / len(CELLS) / size))
    for cells in CELLS:
        for number in range(seed, seed + pieces):
            faults = mixture(Random(f"{number}/{cells}")) if case.name.startswith("mixtures") else case.faults
            options = ",".join(filter(None, (f"temperatures={TEMPERATURES[cells]}", case.board, faults)))
            said = math.ceil(frames / len(CELLS) / pieces)
            jobs.append(Job(case.name, cells, number, said, options, case.outage, True, case.stalls, 0, case.poller))
    return jobs


class Result:
    """One case, all its lines taken together."""

    def __init__(self, case: Case, tallies: list[Tally]):
        self.case = case
        self.frames = sum(t.frames for t in tallies)
        self.damaged = sum(t.damaged for t in tallies)
        self.values = sum(t.values for t in tallies)
        self.wrong = [f"{t.job.cells} cells, seed {t.job.seed}, {w}" for t in tallies for w in t.wrong]
        self.stale = [f"{t.job.cells} cells, seed {t.job.seed}, {w}" for t in tallies for w in t.stale]
        self.gap = max(t.gap for t in tallies)
        self.back = max((back for t in tallies for back in t.back), default=None)
        self.rates = [self._rate([t for t in tallies if t.job.cells == cells]) for cells in CELLS]
        self._lags = [t.lags for t in tallies]
        self.lost = 0.0  # percent of the refreshes of the clean run, mean of the three packs

    @staticmethod
    def _rate(tallies) -> float:
        return sum(t.refreshes for t in tallies) / max(0.1, sum(t.seconds for t in tallies))

    def lag(self, *keys: str) -> float:
        """Longest time until a change of one of these readings was believed."""
        return max((lag for lags in self._lags for key in keys for lag in lags[key]), default=0.0)

    def compare(self, clean: Result):
        self.lost = sum(100 - 100 * rate / most for rate, most in zip(self.rates, clean.rates, strict=True)) / len(CELLS)


def campaign(pool, cases, frames: int, seed: int, size: int = 8000):
    """Yield the Result of each case, compared with a clean run of the same kind of board."""
    clean: dict[tuple, Result] = {}
    for case in cases:
        result = Result(case, pool.map(run, jobs_of(case, max(LEAST, frames * case.share), size, seed), 1))
        kind = (case.board, case.stalls, case.poller)
        if kind not in clean:
            undamaged = replace(case, faults="", outage="", name="nothing damaged")
            jobs = jobs_of(undamaged, max(LEAST, 0.03 * frames), size, seed)
            clean[kind] = result if not case.faults else Result(undamaged, pool.map(run, jobs, 1))
        result.compare(clean[kind])
        yield result


# --- the blind round -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Situation:
    """Something that is the matter, and the only words that name it (a regular expression for the whole text)."""

    name: str
    words: str
    start: str = ""  # options of the BMS from power-on
    later: str = ""  # set when it has worked for a while
    ended: str = ""  # set again some seconds before somebody looks
    damaged: bool = True  # may be tried on a line with some damage, too
    poller: tuple = ()


ASLEEP = "BMS asleep, or cut off, for .*: {}; .*"
SITUATIONS = (
    Situation("healthy", "OK"),
    Situation("nothing connected", "No answer, nothing received: .*", "silent=1"),
    Situation("TX and RX joined", "Only our own requests come back: .*", "silent=1,echo=1"),
    Situation("asleep since power-on", "Only our own requests come back: .*", "asleep=1"),
    Situation("noise", "Noise instead of answers: .*", "silent=1,noise=NOISE"),
    Situation("answers at 0x80 only", "OK, at host address 0x80", "host=0x80"),
    Situation(
        "0x40 set, 0x80 answers", "The BMS answers only to host address 0x80: .*", "host=0x80", poller=(("host_address", 64),)
    ),
    Situation(
        "0x80 set, 0x40 answers", "The BMS answers only to host address 0x40: .*", "host=0x40", poller=(("host_address", 128),)
    ),
    Situation("another board number", "Others talk on this line, .*", "board=3"),
    Situation("speaks D2", r".*newer protocol \(D2\).*", "protocol=d2"),
    Situation("speaks 0x81/0x51", r".*newer protocol \(0x81/0x51\).*", "protocol=p81"),
    Situation("some commands unknown", "OK, but this BMS does not answer MUTED: .*", "mute=MUTED"),
    Situation("zeros since power-on", "The BMS answers with zeros only: .*", "zeros=100"),
    Situation("fell asleep", ASLEEP.format("our requests come back"), later="asleep=1"),
    Situation("fell silent", ASLEEP.format("nothing is received any more"), later="silent=1"),
    Situation("says only zeros now", ASLEEP.format("it says only zeros"), later="zeros=100"),
    Situation("noise broke in", "Noise instead of answers: .*", later="silent=1,noise=NOISE"),
    Situation("was silent, is back", "Recovered: .*", later="silent=1", ended="silent=0"),
    Situation("was asleep, is back", "Recovered: .*", later="asleep=1", ended="asleep=0"),
)


def blind(seed: int) -> tuple[Situation, str, bool]:
    """A situation drawn by seed, what is said of it 15 to 40 s later, and whether that is the truth."""
    random = Random(seed)
    situation = random.choice(SITUATIONS)
    muted = random.choice(("0x91", "0x92", "0x97", "0x98", "0x53"))
    noise = str(round(random.uniform(20, 900)))

    def filled(text):
        return text.replace("MUTED", muted).replace("NOISE", noise)

    damage = f"corrupt={random.choice((0, 0, 1, 5))}"
    options = f"think={random.choice((5, 20, 60, 150))},{damage},{filled(situation.start)}"
    line = Line(Job(situation.name, random.choice(CELLS), seed, 0, options, living=False, poller=situation.poller))
    _let(line, random.uniform(5, 15) if situation.later else 0, filled(situation.later))
    _let(line, random.uniform(15, 40), situation.ended)
    if situation.ended:
        _let(line, random.uniform(5, 30), "")
    text = line.poller.link.text
    return situation, text, re.fullmatch(filled(situation.words), text) is not None


def _let(line: Line, seconds: float, then: str):
    """Let time pass, then set options."""
    end = line.s + seconds
    while line.s < end:
        line.step()
    for item in filter(None, then.split(",")):
        line.bms.set(*item.split("="), line.us)


# --- pace and extremes -----------------------------------------------------------------------------------------------

PACES = (*((think, 0) for think in (5, 20, 50, 100, 150, 200)), *((5, pause) for pause in (5, 20, 60, 150, 250)), (60, 60))


def pace(think_ms: int, pause_ms: float) -> tuple[float, int, int]:
    """How a board is read that thinks so long and hears nothing for so long after an answer, in the second half minute.

    (times the limit of what was said, asked, thought and waited for; the gap found; requests that were not heard)
    """
    line = Line(Job("pace", 16, 1, 0, f"temperatures=4,think={think_ms},drift=0", living=False, pause_ms=pause_ms))
    line.pass_us = 1000
    _let(line, 30, "")
    requests, frames, timeouts, begun = line.requests, line.bms.frames, line.poller.timeouts, line.s
    _let(line, 30, "")
    requests, frames = line.requests - requests, line.bms.frames - frames
    limit = (requests + frames) * REQUEST_US / 1e6 + requests * (think_ms + pause_ms) / 1000
    return (line.s - begun) / limit, line.poller.pacing.gap_ms, line.poller.timeouts - timeouts


EXTREMES = {
    "empty 4S, 2.5 V a cell, 0 %": "cells=4,temperatures=1,soc=0,current=0,cell_mv=1:2500+2:2501+3:2502+4:2499",
    "one cell, 0.9 V": "cells=1,temperatures=1,soc=0,current=0,cell_mv=1:900",
    "48S full, charged with 500 A": "cells=48,temperatures=9,soc=100,current=500,chemistry=nmc",
    "48S LTO, discharged with 1200 A": "cells=48,temperatures=16,soc=50,current=-1200,chemistry=lto,capacity=4000",
    "-20 °C": "temperature=-20,current=0",
    "90 °C": "temperature=90,temperatures=8",
    "0 %, every alarm, MOSFETs off": f"soc=0,alarms={'ff' * 7},charge_mosfet=0,discharge_mosfet=0",
    "open sense wire": "cell_mv=3:5000",
    "no temperature sensor": "temperatures=0",
}


def extreme(options: str, damage: str) -> list[str]:
    """What the BMS says and is not known, or not so, after 15 s on a line that is clean or not."""
    line = Line(Job("extreme", 16, 1, 0, f"drift=0,{options},{damage}", living=False))
    _let(line, 15, "")
    published = json.loads(write_pack(Writer(), line.pack).bytes())
    said = _held(line.bms._pack.readings(line.us))
    return [f"{key} {published.get(key)}, not {said[key]}" for key in published if key in said and published[key] != said[key]]


# --- the report ------------------------------------------------------------------------------------------------------

HEADER = """\
| line | frames | damaged | values | wrong | stale | refreshes lost | longest gap | current, MOSFET after | back after |
|---|---|---|---|---|---|---|---|---|---|"""
MARKS = ("<!-- campaign -->\n", "<!-- end of campaign -->")


def row_of(result: Result) -> str:
    """A line of the table."""
    lags = f"{result.lag('current'):.1f} s, {result.lag('charge_mosfet', 'discharge_mosfet'):.1f} s"
    back = "" if result.back is None else f"{result.back:.1f} s"
    lost = 0.0 if abs(result.lost) < 0.05 else result.lost
    return (
        f"| {result.case.name} | {result.frames:,} | {result.damaged:,} | {result.values:,} | {len(result.wrong)} | "
        f"{len(result.stale)} | {lost:.1f} % | {result.gap:.1f} s | {lags} | {back} |"
    )


def goals_of(results: list[Result], said: list, extremes: list) -> list[tuple[str, bool]]:
    """Each goal in words with its figure, and whether it was met."""
    by_name = {result.case.name: result for result in results}
    five = [result for result in results if result.case.name.startswith("5 %")]
    million, clean, one = by_name["5 % corrupted"], by_name["nothing damaged"], by_name["1 % corrupted"]
    untrue = sum(len(result.wrong) + len(result.stale) for result in results)
    misnamed = [situation.name for situation, _, right in said if not right]
    gap = max(result.gap for result in five)
    step = clean.lag("current")
    return [
        (
            f"wrong or stale in {million.frames:,} frames at 5 %: {len(million.wrong) + len(million.stale)}; in all: {untrue}",
            not untrue,
        ),
        (f"longest gap on any line with 5 % damage: {gap:.1f} s, under 2 s", gap < 2),
        (f"refreshes lost at 1 %: {one.lost:.1f} %, at most 2 %", one.lost <= 2),
        (f"reasons misnamed: {len(misnamed)} of {len(said)}", not misnamed),
        (f"step of up to 1000 A believed on a clean line after {step:.1f} s at the most, under 1.5 s", step < 1.5),
        (f"extremes not published as they were said: {len(extremes)}", not extremes),
    ]


def report(pool, frames: int, seed: int, draws: int):
    """Run everything; yield the lines of the report, the last ones the goals. Returns whether all were met."""
    yield HEADER
    results = []
    for result in campaign(pool, CASES, frames, seed):
        results.append(result)
        yield row_of(result)
        yield from (f"<!-- {problem} -->" for problem in (result.wrong + result.stale)[:3])
    yield "\nLies whose sum is right, which no receiver can tell from the truth but by what they say:\n"
    yield HEADER
    for result in campaign(pool, LIES, frames, seed):
        yield row_of(result)
    said = pool.map(blind, range(seed, seed + draws), 4)
    yield "\n| what is the matter | drawn | misnamed |\n|---|---|---|"
    for situation in SITUATIONS:
        mine = [(text, right) for drawn, text, right in said if drawn == situation]
        yield f"| {situation.name} | {len(mine)} | {sum(not right for _, right in mine)} |"
        yield from (f"<!-- {text} -->" for text, right in mine if not right)
    yield "\n| board thinks | deaf after an answer | time / limit | gap found | not heard in 30 s |\n|---|---|---|---|---|"
    for (think, deaf), (ratio, gap, lost) in zip(PACES, pool.starmap(pace, PACES, 1), strict=True):
        yield f"| {think} ms | {deaf} ms | {ratio:.2f} | {gap} ms | {lost} |"
    tried = [(name, damage) for name in EXTREMES for damage in ("", "corrupt=1", FIVE)]
    missing = pool.starmap(extreme, [(EXTREMES[name], damage) for name, damage in tried], 1)
    extremes = [f"{name} {damage}: {', '.join(keys)}" for (name, damage), keys in zip(tried, missing, strict=True) if keys]
    yield f"\nExtremes, each on a clean line and with 1 and 5 % corrupted: {', '.join(EXTREMES)}.\n"
    yield from (f"<!-- {problem} -->" for problem in extremes)
    yield "| goal | |\n|---|---|"
    goals = goals_of(results, said, extremes)
    for words, met in goals:
        yield f"| {words} | {'met' if met else '**missed**'} |"
    return all(met for _, met in goals)


def write(lines: list[str]):
    """Put the report between its marks in docs/TRUTH.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    DOCUMENT.write_text(before + MARKS[0] + "\n".join(lines) + "\n" + MARKS[1] + rest.split(MARKS[1])[1], encoding="utf-8")


def quiet():
    """The firmware talks of what it finds out; two hundred of it talk too much."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def main() -> int:
    """Run, print, write; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m host.faults", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--frames", type=int, default=MILLION, help="frames at 5 %% corruption; other cases have their share of it"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed, another campaign")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of it; nothing is written")
    options = parser.parse_args()
    frames, draws = (options.frames // 50, 40) if options.quick else (options.frames, 400)
    lines = []
    with multiprocessing.Pool(initializer=quiet) as pool:
        running = report(pool, frames, options.seed, draws)
        while True:
            try:
                lines.append(next(running))
            except StopIteration as end:
                met = end.value
                break
            print(lines[-1], flush=True)
    if not options.quick:
        write([f"`make faults`, {frames:,} frames, seed {options.seed}:\n", *lines])
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
