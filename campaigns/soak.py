# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The long run: `make soak` drives the real firmware, code.py's own main, through 60 days of outages in compressed time.

Everything of the board's code runs as it is, crash handler and wiring included, on the emulator's stand-in chip. The clock is
host/clock.py's simulated one, the network host/simulated_network.py, the broker host/broker.py, the BMS simulator/bms.py at the
line of simulator/wire.py. Twenty passes of the loop take a second while everything works, a tenth of it during an outage. Power
is cut in the second half only, so that the firmware runs through the first without a restart. The same seed gives the same
result: a table for docs/RELIABILITY.md, and exit status 1 if a condition was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from campaigns.chaos import write
from host import chip, keyboard, trouble
from host.broker import Broker
from host.clock import SimulatedClock
from host.simulated_network import SimulatedNetwork
from simulator.bms import Bms
from simulator.wire import SimulatedUart

ROOT = Path(__file__).resolve().parent.parent
STANDINS = ROOT / "host" / "standins"
STEP_S = 1.0  # voltage and current are polled in every second pass; the energy meter interpolates up to 5 s
PASSES = 20  # of the loop in one of these steps: messages are written and sent in pieces, one in each pass
FINE_S = 0.1  # duration of a pass from the beginning of an outage until everything has recovered
FINE_FOR_S = 60
WRAP_MS = 1 << 29
HOUR_S, DAY_S = 3600, 86400
BMS = "cells=16,temperatures=2,capacity=280,soc=60,current=-20,drift=0"
CURRENTS = (-40, -20, -5, 0, 12, 30)  # A
FULL_W = 2112
DEADBAND_WH = 20  # battery/readings.py: a counter is published when it has changed by so much
HEARTBEAT_S = 10  # mqtt/publisher.py: how often the last state is repeated
MEMORY_BLOCKS = 500  # by which the blocks in use may differ: the inbox, a refused packet
RECOVERY_LIMIT_S = 62 + 10 + 8  # the longest pause between two attempts, restoring the counters, and the rest
COLLECT_EVERY = 360  # collections of the firmware for one that is done: on a PC each takes as long as a hundred passes
SETTINGS = """CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "shed-password"
MQTT_BROKER = "192.168.1.10"
MQTT_BASE_TOPIC = "t"
OLED = false
STALE_PERIODS = 10
"""  # with passes of a second a poll cycle takes longer than the three periods of its readings
# loaded anew at each power-on, as everything in the memory of a chip
BOARD_PACKAGES = (
    "app",
    "battery",
    "daly",
    "mqtt",
    "outputs",
    "sensors",
    "adafruit_ds18x20",
    "adafruit_onewire",
    "adafruit_ticks",
    "adafruit_minimqtt",
    "adafruit_connection_manager",
)


class Interruption(BaseException):
    """Ends the firmware; not an Exception, so that it does not catch it."""


class PowerCut(Interruption):
    """The supply is gone."""


class Reset(Interruption):
    """The chip has restarted itself."""


def reset(reset_reason: str, **_left):
    raise Reset(reset_reason)


# the plan


@dataclass(frozen=True)
class Event:
    """One outage: it begins at `at_s` seconds and lasts `seconds`."""

    at_s: int
    name: str
    seconds: int
    begin: Callable[[Soak], None]
    end: Callable[[Soak], None]


def _trouble(**troubles: str) -> tuple:
    """(begin, end) of troubles of host/trouble.py. A returning access point may be on another channel: joining scans for it."""

    def end(soak: Soak):
        channel = str(1 + soak.result.events % 13) if "wifi" in troubles else trouble.of("channel")
        trouble.begin(**dict.fromkeys(troubles, ""), channel=channel)

    return (lambda soak: trouble.begin(**troubles)), end


def _network(mode: str) -> tuple:
    """(begin, end) of a mode of host/simulated_network.py."""
    return (lambda soak: soak.network.set(mode)), (lambda soak: soak.network.set("pass"))


def _lose_retained(soak: Soak):
    soak.network.set("refuse")
    soak.broker.retained.clear()


def _cut_power(soak: Soak):
    raise PowerCut


def _set_silent(silent: int) -> Callable[[Soak], None]:
    return lambda soak: soak.bms.set("silent", silent, soak.clock.us)


OUTAGES = (  # name, share of all, seconds, what happens, how it ends
    ("access point off", 3, (30, 600), *_trouble(wifi="off")),
    ("access point off for an hour", 1, (3600, 3600), *_trouble(wifi="off")),
    ("DHCP gone", 1, (60, 900), *_trouble(dhcp="gone")),
    ("broker off", 3, (10, 900), *_network("refuse")),
    ("broker restarted without retained messages", 1, (10, 60), _lose_retained, _network("refuse")[1]),
    ("connections dropped", 1, (30, 300), *_network("drop")),
    ("broker hangs", 1, (30, 300), *_network("hang")),
    ("half-open", 1, (1, 1), *_network("half_open")),
    ("garbage", 1, (5, 60), *_network("garbage")),
    ("a huge message", 1, (5, 60), *_network("huge")),
    ("connection lost", 2, (1, 1), *_network("close")),
    ("BMS silent", 2, (20, 600), _set_silent(1), _set_silent(0)),
    ("power cut", 1, (5, 60), _cut_power, lambda soak: None),
)


def plan(days: float, seed: int, per_day: int, outages: Sequence[tuple] = OUTAGES) -> list[Event]:
    """The outages of `days`, about `per_day` a day; one at a time, with time to recover.

    The last of `outages`, a power cut, is not in the first half.
    """
    rng = random.Random(seed)
    events = []
    at = 300
    while True:
        at += 200 + int(rng.expovariate(per_day / DAY_S))
        possible = outages if at > days * DAY_S / 2 else outages[:-1]
        name, _, (least, most), begin, end = rng.choices(possible, [share for _, share, *_ in possible])[0]
        seconds = rng.randint(least, most)
        if at + seconds > days * DAY_S - 1200:
            return events
        events.append(Event(at, name, seconds, begin, end))
        at += seconds


CYCLE_S = 1700


def cycles(number: int, outages: Sequence[tuple] = OUTAGES, cycle_s: int = CYCLE_S) -> list[Event]:
    """Every outage so many times, one after the other and a minute long at most; a power cut at the end."""
    *others, power_cut = [(name, min(least, 60), begin, end) for name, _, (least, _), begin, end in outages]
    events = []
    for begin_s in range(0, number * cycle_s, cycle_s):
        at = begin_s + 90  # after the first wrap of the ticks
        for name, seconds, begin, end in others:
            events.append(Event(at, name, seconds, begin, end))
            at += seconds + 80
    name, seconds, begin, end = power_cut
    return [*events, Event(number * cycle_s + 60, name, seconds, begin, end)]


# the run


@dataclass
class Result:
    """The result of the run."""

    days: float = 0
    events: int = 0
    boots: int = 0
    wraps: int = 0
    states: int = 0
    sessions: int = 0
    longest_recovery_s: float = 0
    longest_gap_s: float = 0
    longest_feeding_gap_s: float = 0
    most_sockets: int = 0
    collections: int = 0
    writes: int = 0
    writes_allowed: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)  # (boots, blocks of Python's in use) at each period's end
    counted: float = 0  # Wh published at the end
    possible: float = 0  # Wh that flowed while the firmware had power and the BMS responded
    uncounted_s: float = 0  # seconds at full power that may be missing from the energy
    uncounted_wh: float = 0  # Wh that may be missing besides
    wrong: list[str] = field(default_factory=list)

    @property
    def steady_memory(self) -> list[int]:
        """The blocks in use in the longest run without a restart, except on its first day, in which caches fill."""
        lives = [boots for boots, _ in self.memory]
        longest = [blocks for boots, blocks in self.memory if boots == max(lives, key=lives.count)]
        return longest[1:] if len(longest) > 2 else longest or [0]


class Soak:
    """The firmware and everything around it, for `seconds` of simulated time with `events`."""

    settings = SETTINGS
    bms_options = BMS

    def __init__(self, seconds: int, seed: int, events: list[Event], period_s: int = DAY_S):
        self.clock = SimulatedClock(self._on_step)
        self.bms = Bms(self.bms_options)
        self.broker = Broker(self._on_publish)
        self.network = SimulatedNetwork(self.broker, self.clock)
        self.result = Result(seconds / DAY_S)
        self._end_s = seconds
        self._period_s = period_s  # the memory in use is recorded at the end of each
        self._events = tuple(events)  # kept to the end: freeing them would hide a leak
        self._next_event = 0
        self._random = random.Random(seed)
        random.seed(seed)  # the firmware's random pauses
        self._running: Event | None = None
        self._ends_at = self._fine_until = self._current_at = 0.0
        self._step_s = FINE_S
        self._passes = 0
        self._ticks = 0
        self._watts = 0.0  # what the BMS measures
        self._joules = 0.0  # that flowed while the firmware could have counted them
        self._next_period = 1
        self._state_at: float | None = None  # when the last state was published
        self._faultless_since: float | None = 0.0  # since when there is no outage
        self._recovering_since: float | None = None
        self._published = [0, 0]
        self._log = io.StringIO()

    def run(self) -> Result:
        """Run to the end; can be called once."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(self._log):
            drive = Path(folder, "drive")
            drive.mkdir()
            (drive / "settings.toml").write_text(self.settings)
            before = _files(drive)
            self._wire(folder)
            home = os.getcwd()
            os.chdir(drive)
            try:
                while self.clock.monotonic() < self._end_s:
                    self._power_on()
            finally:
                os.chdir(home)
            if _files(drive) != before:
                self.result.wrong.append("the drive was written to")
        return self._sum_up()

    def _wire(self, folder: str):
        """Connect the stand-in chip to the simulated parts."""
        chip.clock, chip.network, chip.restart = self.clock, self.network, reset
        chip.open_uart = lambda **options: SimulatedUart(self.bms, self.clock)
        chip.nvm_path = str(Path(folder, "nvm"))
        keyboard.console = keyboard.Console(-1)  # no input
        if str(STANDINS) not in sys.path:
            sys.path.append(str(STANDINS))
        self._standins = {path.stem for path in STANDINS.glob("*.py")}

    def _load(self) -> Callable[[], None]:
        """The firmware as after power-on: its modules and the chip's are loaded anew. Returns what code.py calls."""
        for name in [name for name in sys.modules if name in self._standins or name.split(".")[0] in BOARD_PACKAGES]:
            del sys.modules[name]
        from app import crash, loop, watchdog
        from app.main import main
        from mqtt import transport

        if "displayio" in sys.modules:  # the firmware has loaded it, or whoever runs this
            sys.modules["displayio"]._stop_background()
        for module in (crash, watchdog, transport):
            module.time = SimpleNamespace(sleep=self.clock.sleep)
        loop.time = SimpleNamespace(sleep=self._end_pass)
        loop.gc = SimpleNamespace(collect=self._collect)
        return lambda: crash.restart(crash.run(main))

    def _end_pass(self, _seconds: float):
        self._passes += 1
        self.clock.sleep(0 if self._passes % PASSES else self._step_s)

    def _collect(self):
        self.result.collections += 1
        if self.result.collections % COLLECT_EVERY == 0:
            gc.collect()

    def _power_on(self):
        code = self._load()
        self.result.boots += 1
        chip.power_on_s = self.clock.monotonic()
        trouble.power_on()
        self._ticks = 0
        self._recovering_since = chip.power_on_s + 15 if self._running is None else None
        try:
            code()
        except PowerCut:
            self.network.cut_power()
            self.result.uncounted_s += 16  # from the last state published to the cut, and from power-on to the first reading
            self.result.uncounted_wh += DEADBAND_WH
            self._wait_without_power()
        except Reset:
            self.result.wrong.append(f"it restarted at {self.clock.monotonic():.0f} s: {self._log.getvalue()[-300:]}")
            self.network.cut_power()
        except Interruption:
            pass
        self.clock.set_alarm(0, lambda: None)
        gc.collect()

    def _wait_without_power(self):
        for _ in range(self._running.seconds):
            self.clock.us += 1_000_000
            self.broker.check_keep_alive(self.clock.monotonic())
        self._end_event()

    # time

    def _on_step(self, seconds: float):
        now = self.clock.monotonic()
        ticks = int(1000 * (now - chip.power_on_s) + 0x1FFF0000) % WRAP_MS
        self.result.wraps += ticks < self._ticks
        self._ticks = ticks
        if not self.bms.options.silent:
            self._joules += abs(self._watts) * seconds
        self.broker.check_keep_alive(now)
        if now >= self._current_at:
            self._change_current(now)
        self._check_publishing(now)
        if self._running is not None and now >= self._ends_at:
            self._end_event()
        elif self._running is None and now >= self._next_at():
            self._begin_event(now)
        if now >= self._fine_until and self._recovering_since is None:
            self._step_s = STEP_S
        if now >= self._next_period * self._period_s:
            self._end_period()
        if now >= self._end_s:
            raise Interruption

    def _change_current(self, now: float):
        self._current_at = now + self._random.randint(600, 7200)
        self.bms.set("current", self._choose_current(), self.clock.us)
        self._watts = self.bms.truth(self.clock.us)["power"]
        self.result.uncounted_s += 4.5  # a change between two readings is averaged over their interval

    def _choose_current(self) -> float:
        return self._random.choice(CURRENTS)

    def _next_at(self) -> float:
        return self._events[self._next_event].at_s if self._next_event < len(self._events) else float("inf")

    def _begin_event(self, now: float):
        self._running = self._events[self._next_event]
        self._next_event += 1
        self._ends_at = now + self._running.seconds
        self._faultless_since = self._recovering_since = None
        self.result.events += 1
        if self._running.name == "BMS silent":
            self.result.uncounted_s += 8  # the silence begins and ends between two readings
        self._use_fine_steps()
        self._running.begin(self)

    def _end_event(self):
        self._use_fine_steps()
        self._running.end(self)
        self._running = None
        self._recovering_since = self.clock.monotonic()

    def _use_fine_steps(self):
        self._step_s = FINE_S
        self._fine_until = self.clock.monotonic() + FINE_FOR_S

    def _end_period(self):
        self._next_period += 1
        self._log.seek(0)
        self._log.truncate()
        gc.collect()
        self.result.memory.append((self.result.boots, sys.getallocatedblocks()))

    # what is published

    def _on_publish(self, topic: str, payload: bytes):
        if topic == "t/bms1/state" and b'"pack_voltage":null' not in payload:
            self._check_state(self.clock.monotonic(), json.loads(payload))
        elif topic == "t/bms1/energy":
            self._check_energy(json.loads(payload))
        elif topic == "t/status" and payload == b"online":
            self.result.sessions += 1

    def _check_state(self, now: float, state: dict):
        self.result.states += 1
        if self._faultless_since is not None and self._state_at is not None:
            self.result.longest_gap_s = max(self.result.longest_gap_s, now - self._state_at)
        if self._recovering_since is not None and self._running is None:
            self.result.longest_recovery_s = max(self.result.longest_recovery_s, now - self._recovering_since)
            self._recovering_since, self._faultless_since = None, now
            self._use_fine_steps()  # one message a pass, and a dozen to publish
        self._state_at = now
        self._check_energy(state)

    def _check_energy(self, state: dict):
        for index, key in enumerate(("energy_charged", "energy_discharged")):
            if state[key] is not None:
                counted = round(1000 * state[key])
                if counted < self._published[index]:
                    self.result.wrong.append(f"{key} decreased from {self._published[index]} to {counted} Wh")
                self._published[index] = counted

    def _check_publishing(self, now: float):
        if self._recovering_since is not None and now - self._recovering_since > RECOVERY_LIMIT_S:
            self.result.wrong.append(f"not recovered at {now:.0f} s")
            self._recovering_since = now + DAY_S
        if self._faultless_since is not None and self._state_at is not None and now - self._state_at > 2 * HEARTBEAT_S:
            self.result.wrong.append(f"nothing was published for {now - self._state_at:.0f} s at {now:.0f} s")
            self._state_at = now

    # results

    def _sum_up(self) -> Result:
        result = self.result
        result.counted = sum(self._published)
        result.possible = self._joules / 3600
        result.longest_feeding_gap_s = trouble.seen["longest_gap"]
        result.writes = trouble.seen["nvm_writes"]
        result.most_sockets = self.network.most_sockets
        result.writes_allowed = int(48 * result.days) + 13
        self._check()
        return result

    def _check(self):
        result = self.result
        missing = result.possible - result.counted
        allowed = result.uncounted_s * FULL_W / 3600 + result.uncounted_wh + 2 * DEADBAND_WH
        if missing < -0.002 * result.possible - 10 or missing > allowed:
            result.wrong.append(f"{result.counted:.0f} Wh were counted of {result.possible:.0f}")
        if result.writes > result.writes_allowed:
            result.wrong.append(f"{result.writes} writes to the memory")
        if result.most_sockets > 2:  # the broker's, and the one on which the page waits for visitors
            result.wrong.append(f"{result.most_sockets} sockets at once")
        if result.longest_gap_s > HEARTBEAT_S + 3 * STEP_S:  # it is written in pieces, pass by pass
            result.wrong.append(f"a state was published {result.longest_gap_s:.1f} s after the previous one")
        if max(result.steady_memory) - min(result.steady_memory) > MEMORY_BLOCKS:
            result.wrong.append(f"the memory in use is not constant: {result.memory}")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def table(result: Result, more: Sequence[tuple[str, str]] = ()) -> str:
    """The result as a Markdown table; `more`: rows before the last one."""
    least, most = min(result.steady_memory), max(result.steady_memory)
    rows = (
        ("Simulated time", f"{result.days:.3g} days; the ticks wrapped {result.wraps} times, first 65 s after power-on"),
        ("Outages", f"{result.events}, among them {result.boots - 1} power cuts; {result.sessions} sessions"),
        ("Recovered after an outage", f"within {result.longest_recovery_s:.0f} s"),
        ("States published", f"{result.states}; never more than {result.longest_gap_s:.1f} s apart without an outage"),
        ("Watchdog fed", f"every {result.longest_feeding_gap_s:.1f} s at least"),
        ("Sockets open", f"{result.most_sockets} at most"),
        ("Memory", f"{least} to {most} blocks in use, day by day, in the longest run without a restart"),
        ("Writes to the memory", f"{result.writes} of {result.writes_allowed} allowed"),
        ("Energy", f"{result.counted:.0f} Wh counted of {result.possible:.0f} Wh that flowed"),
        *more,
        ("Result", "; ".join(result.wrong[:5]) or "ok"),
    )
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {text} |\n" for name, text in rows)


def main():
    parser = argparse.ArgumentParser("campaigns.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-day", type=int, default=8, help="average number of outages a day")
    parser.add_argument("--short", action="store_true", help="an hour with every outage twice")
    parser.add_argument("--outputs", action="store_true", help="with outputs, sensors and the status LED on")
    parser.add_argument("--write", action="store_true", help="write the table into docs/RELIABILITY.md")
    options = parser.parse_args()
    begun = time.monotonic()
    if options.outputs:
        from campaigns.soak_outputs import run  # which needs this module

        result, more = run(options.days, options.seed, options.per_day, options.short)
    elif options.short:
        result, more = Soak(2 * CYCLE_S + 300, options.seed, cycles(2), CYCLE_S).run(), ()
    else:
        events = plan(options.days, options.seed, options.per_day)
        result, more = Soak(int(DAY_S * options.days), options.seed, events).run(), ()
    text = table(result, more)
    print(text + f"\n{time.monotonic() - begun:.0f} s")
    if options.write:
        write("soak outputs" if options.outputs else "soak", text)
    sys.exit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
