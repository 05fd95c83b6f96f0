# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""One simulated line: a BMS that changes and is damaged, the firmware up to its messages, a subscriber, and the judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from battery.json import key_of
from battery.pack import Battery, Pack
from battery.polarity import Polarity
from battery.readings import READING
from daly.poller import Poller
from daly.shared import SharedLine, SharedPoller
from mqtt.homeassistant import Discovery
from mqtt.publisher import Publisher
from simulator.bms import preferred
from simulator.bus import Bus
from simulator.wire import TICKS, Wire

from .held import Flow, Held, RecordedBms
from .judge import Finding, Judge
from .life import Life
from .promises import PROMISES, Settings
from .subscriber import Subscriber

CHECK_S = 0.5  # interval at which the values shown are judged, besides after each message
HEADLINES = ("pack_voltage", "current", "soc")
BASE = "daly/c0ffee"
RECONNECT_S = 2.0  # duration of a lost connection to the broker
RECENT_OF_GROUP_S = 10.0  # cycles of several boards are so long
FINAL_S = 2.0  # at the end everything is published once more


@dataclass(frozen=True)
class Job:
    """One line to be simulated. `frames`: how many the BMS sends; `outage`: option set for 5-20 s now and then."""

    case: str
    cells: int
    seed: int
    frames: int
    options: str = ""
    outage: str = ""
    life: str = "busy"
    stalls: bool = False  # passes of the loop that last 100 ms
    pause_ms: float = 0
    poller: tuple = ()  # its keyword arguments, as pairs
    current_sign: str = "auto"
    periods: tuple = ()  # of the settings POLL_..._MS: pairs of poll group and milliseconds
    publish_s: float = 5  # PUBLISH_INTERVAL_S
    cells_s: float = 60  # CELLS_INTERVAL_S
    deadband_percent: int = 100  # DEADBAND_PERCENT
    each_value: bool = False  # PUBLISH_EACH_VALUE
    reconnects: bool = False  # the connection to the broker breaks now and then
    sound: bool = False  # nothing is damaged: what the BMS sends must be shown
    unsettled: bool = False  # the polarity of the current may stay unknown
    group: int = 0  # so many boards on the bus, each read and judged; 0: one is, whatever else there is
    odd: tuple = ()  # what differs on some of them: pairs of place on the bus and options
    unjudged: tuple = ()  # places of those of which nothing may be shown in the end, and any board's values before


@dataclass
class Tally:
    """The result of one line."""

    job: Job
    frames: int = 0
    damaged: int = 0
    seconds: float = 0.0  # without outage
    values: int = 0  # checked by the judge
    messages: int = 0
    findings: list[Finding] = field(default_factory=list)
    oldest: float = 0.0  # longest time for which an immediate value shown was no longer measured
    energy: list = field(default_factory=list)  # (counter, shown, true)
    connection_changes: int = 0  # how often the text on bms1/connection changed
    refreshes: int = 0
    gap: float = 0.0
    lags: dict = field(default_factory=lambda: defaultdict(list))  # reading -> seconds until a change was accepted
    back: list = field(default_factory=list)  # seconds from the end of an outage to the first readings


def run(job: Job) -> Tally:
    """Simulate one line."""
    if job.group:
        return Group(job).run()
    line = Line(job)
    while line.bms.frames < job.frames:
        line.step()
    return line.finish()


class ObservedPack(Pack):
    """A Pack that calls `accepted` with the rows of a response when it is complete."""

    def __init__(self, accepted: Callable, current_sign: str):
        super().__init__(polarity=Polarity(current_sign))
        self._accepted = accepted
        self._refreshed: dict[int, int] = {}
        self._handed: set = set()  # rows of the present response

    def accept(self, row, index, raw, now, doubtful=False):
        self._handed.add(row)
        return super().accept(row, index, raw, now, doubtful)

    def accept_together(self, row, values, now, doubtful=False):
        self._handed.add(row)
        return super().accept_together(row, values, now, doubtful)

    def finish(self, now):
        super().finish(now)
        self._accepted(self._handed)
        self._handed = set()

    def refreshed(self, key: str, number: int = 1) -> bool:
        """Whether this reading was read anew since the last call."""
        slot = READING[key].slot + number - 1
        if self._raw[slot] is None or self._read_at[slot] == self._refreshed.get(slot):
            return False
        self._refreshed[slot] = self._read_at[slot]
        return True


class Line(Wire):
    """The real Poller, Pack, Publisher and Discovery between a BMS and a subscriber, whose values the judge checks.

    `publisher`: a class to use in place of the firmware's, to test the judge; `number`: of a board that shares its line with
    others, see Group; `start`: the first tick.
    """

    def __init__(self, job: Job, publisher: type[Publisher] = Publisher, number: int = 0, start: int | None = None):
        self.job = job
        self.tally = Tally(job)
        self.held = Held()
        self.flow = Flow()
        self.random = Random(f"{job.seed}/{job.cells}/{job.case}")
        text = f"seed={job.seed},cells={job.cells},board={number or 1},{job.options}"
        bms = RecordedBms(text, self.held, self.flow, job.pause_ms)
        bus = Bus(text, 0, None, (bms,)) if bms.options.boards > 1 else None
        self.pack = ObservedPack(self._accepted, job.current_sign)
        self.pack.energy.load((0, 0, 0, 0))  # nothing was counted before
        options = dict(job.poller)
        if job.periods:
            options["periods"] = {f"POLL_{group.upper()}_MS": ms for group, ms in job.periods}
        poller = SharedPoller(self.pack, board_number=number, **options) if number else Poller(self.pack, **options)
        super().__init__(bms, poller, Random(job.seed).randrange(TICKS) if start is None else start, bus)
        self.settings = Settings(
            job.publish_s, job.cells_s, job.deadband_percent, {group: ms / 1000 for group, ms in job.periods}
        )
        self.settings.protocol = preferred(bms.options.protocol)
        self.settings.boards = max(1, job.group)
        if job.group:
            self.settings.recent_s = RECENT_OF_GROUP_S
        if job.group > 3 and "p81" in job.options:  # docs/MQTT.md: the cells wait, so that the current is read once a second
            self.settings.periods_s["cells"] = 0.5 * job.group
        self.subscriber = Subscriber(BASE)
        self.judge = Judge(self.held, self.subscriber, self.settings, job.sound, job.unsettled, max(1, job.group))
        self.requests = 0
        self.pass_us: float | None = None  # duration of a pass of the loop; None: 1 to 6 ms, as on a board
        self.life = Life(self, Random(job.seed))
        batteries = [Battery(1, "bms1", "Daly BMS", "", self.pack, self.poller)]
        discovery = Discovery("homeassistant", BASE, "c0ffee", "Daly BMS", batteries, "0")
        intervals = (round(1000 * job.publish_s), round(1000 * job.cells_s), job.deadband_percent, job.each_value)
        self.publisher = publisher(BASE, discovery, batteries, self._bridge_state, *intervals)
        self.publisher.begin(self.now)
        self._offline_until: float | None = None
        self._check_at = CHECK_S
        self._last: dict[str, float] = {}  # when the headlines were refreshed
        self._changed: dict[str, tuple[float, object]] = {}  # reading -> (since, old value) of a change not yet accepted
        self._back_since: float | None = None
        self._alive_since: float | None = 0.0

    @property
    def s(self) -> float:
        return self.us / 1e6

    def _bridge_state(self, now):
        return (("uptime", int(self.s)),)

    def step(self):
        """One pass of the board's loop, which takes a few ms, sometimes many."""
        self.requests += self.exchange() is not None
        self.observe()
        self.us += self._pass_us()

    def observe(self):
        """What happens in a pass beside the exchange on the line."""
        self._publish()
        if self.s >= self._check_at:
            self._check_at = self.s + CHECK_S
            self.settings.note_cycle(self.s, (self.poller.cycle_ms or 0) / 1000)
            self.judge.check(self.s)
        self.life.tick()

    def _pass_us(self) -> float:
        if self.pass_us is not None:
            return self.pass_us
        if self.job.stalls and self.random.random() < 0.02:
            return 100_000
        return 1000 * self.random.choice((1, 2, 4, 6))

    def finish(self) -> Tally:
        """Publish everything once more, as after a reconnect, so that the counters are exact; returns the results."""
        tally = self.tally
        if self._alive_since is not None:
            tally.seconds += self.s - self._alive_since
        self._measure_gaps()
        tally.frames, tally.damaged = self.bms.frames, self.bms.damaged
        self.publisher.begin(self.now)
        end = self.s + FINAL_S
        while self.s < end:
            self._publish()
            self.us += self._pass_us()
        judge = self.judge
        if self._alive_since is not None and self._back_since is None:  # else the counters are null
            tally.energy = judge.energy(self.flow, self._late_s(), self.job.unsettled)
        tally.findings, tally.values, tally.oldest = judge.findings, judge.values, judge.oldest
        tally.messages, tally.connection_changes = self.subscriber.messages, self.subscriber.connection_changes
        return tally

    def _late_s(self) -> float:
        """How late on average the counters may notice a step of the current: half a period, and until it is accepted."""
        period = self.settings.poll_s(PROMISES["current"])
        if self.job.group:  # a change is doubted beside the mode, which is read once in a cycle
            period = max(period, self.settings.poll_s(PROMISES["mode"]))
        return period / 2 + (0.5 if self.job.sound else 1.5)

    # the broker

    def reconnect(self):
        """The connection to the broker is lost; the broker publishes the last will, and soon the bridge reconnects."""
        if self._offline_until is None:
            self._offline_until = self.s + RECONNECT_S
            self.subscriber.lost(self.s)

    def _publish(self):
        """One message a pass, as the session does."""
        if self._offline_until is not None:
            if self.s < self._offline_until:
                return
            self._offline_until = None
            self.publisher.begin(self.now)
        message = self.publisher.poll(self.now)
        if message is not None:
            self.judge.message(self.subscriber.receive(message, self.s), self.s)

    # the battery's life

    def before_step(self):
        """An option of the BMS is about to be changed."""
        if self._alive_since is not None:
            self.flow.note(self.bms.battery.readings_unrecorded(self.us), self.s)

    def after_step(self):
        """An option of the BMS has been changed."""
        if self._alive_since is not None:
            self.flow.after_step(self.bms.battery.readings_unrecorded(self.us), self.s)

    def outage_begins(self):
        """The BMS does not respond from now on."""
        self._measure_gaps()
        self._last.clear()
        self._changed.clear()
        self.tally.seconds += self.s - self._alive_since
        self._alive_since = self._back_since = None
        self.flow.pause()

    def outage_ends(self):
        """The BMS responds from now on."""
        self._alive_since = self._back_since = self.s

    def _measure_gaps(self):
        for last in self._last.values():
            self.tally.gap = max(self.tally.gap, self.s - last)

    # refreshes

    def _accepted(self, rows):
        if self._alive_since is None:
            return
        if READING["pack_voltage"] in rows:
            self._refresh_headlines()
            if self.flow.waits and self.pack.raw("power") is not None:
                self.flow.begin()
        if READING["remaining_capacity"] in rows:
            self.tally.refreshes += self.pack.refreshed("remaining_capacity")
        if READING["cell_{}_voltage"] in rows:
            for number in (1, self.pack.count(READING["cell_{}_voltage"])):
                self.tally.refreshes += self.pack.refreshed("cell_{}_voltage", number)
        for key in [key for key in self._changed if READING[_row_key(key)] in rows]:
            self._check_change(key)

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
        """The BMS's value of a reading has just changed."""
        if old != new:
            self._changed[key] = (self.s, old)

    def _check_change(self, key):
        since, old = self._changed[key]
        value = self._value(key)
        if value is not None and value != old and self._was_measured_after(key, value, since):
            self.tally.lags[key].append(self.s - since)
            del self._changed[key]

    def _was_measured_after(self, key, value, since) -> bool:
        ago = self.held.of[key].since(lambda held: held == value, self.s)
        return ago is not None and self.s - ago >= since

    def _value(self, key):
        """A reading as it would be published."""
        row, number = READING[_row_key(key)], int(key.split("_")[-1]) if key != _row_key(key) else 1
        raw = self.pack.at(row, number - 1)
        if raw is None:
            return None
        return raw / 10**row.decimals if row.kind == READING["soc"].kind else ("OFF", "ON")[raw]


class Group:
    """Several boards on one bus, each of them with its poller, publisher, subscriber and judge: Lines, except for the wire."""

    def __init__(self, job: Job):
        self.job = job
        start = Random(job.seed).randrange(TICKS)
        odd = dict(job.odd)
        self.lines = []
        for number in range(1, job.group + 1):
            text = f"{job.options},{odd.get(number, '')}"
            own = replace(job, seed=100 * job.seed + number, options=text, sound=job.sound and number not in odd)
            if odd and number not in odd:
                own = replace(own, outage="")
            self.lines.append(Line(own, number=number, start=start))
        bus = Bus("", 0, None, [line.bms for line in self.lines])
        self._wire = Wire(bus, SharedLine([line.poller for line in self.lines]), start)
        self._random = Random(job.seed)
        self._silent = [line for line in self.lines if not self._answers(line)]
        for line in self._silent:
            line.outage_begins()

    def _answers(self, line: Line) -> bool:
        """Whether one board, and only one, answers to the number of this line's poller."""
        numbers = [other.bms.options.board for other in self.lines if not other.bms.options.silent]
        return numbers.count(line.poller.board_number) == 1

    def run(self) -> Tally:
        """Simulate them; what is found on all of them, as that of one line."""
        wire = self._wire
        while sum(line.bms.frames for line in self.lines) < self.job.frames:
            wire.exchange()
            for line in self.lines:
                line.us = wire.us
                line.observe()
            wire.us += 100_000 if self.job.stalls and self._random.random() < 0.02 else 1000 * self._random.choice((1, 2, 4, 6))
        shown = {line.poller.board_number: len(line.subscriber.shown(line.s)) for line in self._silent}
        sum_of = Tally(self.job)
        for line in self.lines:
            self._add(sum_of, line, shown)
        return sum_of

    def _add(self, total: Tally, line: Line, shown: dict):
        tally, number = line.finish(), line.poller.board_number
        total.frames += tally.frames
        total.damaged += tally.damaged
        total.seconds = max(total.seconds, tally.seconds)
        total.messages += tally.messages
        if number in self.job.unjudged:
            tally.findings = []
        if shown.get(number):
            total.findings.append(Finding("wrong", line.s, f"battery {number} shows values, and nobody knows whose"))
        total.findings += [one._replace(words=f"battery {number}: {one.words}") for one in tally.findings]
        total.values += tally.values
        if line in self._silent:
            return
        total.energy += tally.energy
        total.connection_changes += tally.connection_changes
        total.refreshes += tally.refreshes
        total.gap = max(total.gap, tally.gap)
        total.oldest = max(total.oldest, tally.oldest)
        for key, lags in tally.lags.items():
            total.lags[key] += lags


@cache
def _row_key(key: str) -> str:
    """The key of the row a reading belongs to: "cell_7_voltage" is one of "cell_{}_voltage"."""
    if key in READING:
        return key
    return next(row.key for row in READING.values() if row.slots > 1 and key in [key_of(row, i) for i in range(row.slots)])
