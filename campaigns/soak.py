"""The long run: `make soak` drives the real firmware, code.py's own main, through 60 days of outages in compressed time.

Everything of the board's code runs as it is, crash handler and wiring included, on the emulator's stand-in chip. The clock is
host/clock.py's simulated one, the network host/simulated_network.py, the broker host/broker.py, the BMS simulator/bms.py at the
line of simulator/wire.py. A pass of the loop takes a second while all is well, a tenth while something happens. Power is cut
in the second half only, so that the first is one life. Seeded: one seed, one result. It ends with a table, which
docs/RELIABILITY.md shows, and with status 1 if something was not as it must be.
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
from collections.abc import Callable
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
STEP_S = 1.0  # voltage and current are asked in every second pass; the energy meter joins readings up to 5 s apart
FINE_S = 0.1  # so long is a pass from the beginning of an outage on, and until everything is back
FINE_FOR_S = 60
WRAP_MS = 1 << 29
HOUR_S, DAY_S = 3600, 86400
BMS = "cells=16,temperatures=2,capacity=280,soc=60,current=-20,drift=0"
CURRENTS = (-40, -20, -5, 0, 12, 30)  # A
FULL_W = 2112
BAND_WH = 20  # battery/readings.py: a counter is published when it has moved by so much
HEARTBEAT_S = 10  # mqtt/publisher.py: how often the last state is repeated
MEMORY_BLOCKS = 500  # by so many the blocks in use may differ: the inbox, a refused packet
BACK_S = 62 + 10 + 8  # the longest pause between two tries, restoring the counters, and what follows
GC_SHARE = 360  # one of so many collections is done: on a PC each takes as long as a hundred passes, and frees only cycles
SETTINGS = """CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "shed-password"
MQTT_BROKER = "192.168.1.10"
MQTT_BASE_TOPIC = "t"
OLED = false
STALE_PERIODS = 10
"""  # in passes of a second a cycle of all registers takes longer than their three periods
# loaded anew with each power-on, as all that is in the memory of a chip
BOARD_PACKAGES = ("app", "battery", "daly", "mqtt", "adafruit_ticks", "adafruit_minimqtt", "adafruit_connection_manager")


class Interruption(BaseException):
    """Control comes back from the firmware; not an Exception, so that it does not catch it."""


class PowerCut(Interruption):
    """The supply is gone."""


class Reset(Interruption):
    """The chip has restarted itself."""


def reset(reset_reason: str, **_left):
    raise Reset(reset_reason)


# the plan


@dataclass(frozen=True)
class Event:
    at_s: int
    name: str
    seconds: int
    begin: Callable[[Soak], None]
    end: Callable[[Soak], None]


def _trouble(**troubles: str) -> tuple:
    """Around the chip, see host/trouble.py. An access point that comes back may be on another channel: joining scans for it."""

    def end(soak: Soak):
        channel = str(1 + soak.found.events % 13) if "wifi" in troubles else trouble.of("channel")
        trouble.begin(**dict.fromkeys(troubles, ""), channel=channel)

    return (lambda soak: trouble.begin(**troubles)), end


def _network(mode: str) -> tuple:
    """Between the chip and the broker, see host/proxy.py."""
    return (lambda soak: soak.network.set(mode)), (lambda soak: soak.network.set("pass"))


def _broker_dies_and_forgets(soak: Soak):
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
    ("broker restarted without its memory", 1, (10, 60), _broker_dies_and_forgets, _network("refuse")[1]),
    ("connections dropped", 1, (30, 300), *_network("drop")),
    ("broker hangs", 1, (30, 300), *_network("hang")),
    ("half-open", 1, (1, 1), *_network("half_open")),
    ("garbage", 1, (5, 60), *_network("garbage")),
    ("a huge message", 1, (5, 60), *_network("huge")),
    ("connection lost", 2, (1, 1), *_network("close")),
    ("BMS silent", 2, (20, 600), _set_silent(1), _set_silent(0)),
    ("power cut", 1, (5, 60), _cut_power, lambda soak: None),
)


def plan(days: float, seed: int, per_day: int) -> list[Event]:
    """What happens when; never two things at once, and time between them to come back. No power cut in the first half."""
    rng = random.Random(seed)
    events = []
    at = 300
    while True:
        at += 200 + int(rng.expovariate(per_day / DAY_S))
        possible = OUTAGES if at > days * DAY_S / 2 else OUTAGES[:-1]
        name, _, (least, most), begin, end = rng.choices(possible, [share for _, share, *_ in possible])[0]
        seconds = rng.randint(least, most)
        if at + seconds > days * DAY_S - 1200:
            return events
        events.append(Event(at, name, seconds, begin, end))
        at += seconds


ROUND_S = 1700


def rounds(number: int) -> list[Event]:
    """So many times everything that may happen, one after the other and a minute long at most; at last a power cut."""
    *others, power_cut = [(name, min(least, 60), begin, end) for name, _, (least, _), begin, end in OUTAGES]
    events = []
    for begin_s in range(0, number * ROUND_S, ROUND_S):
        at = begin_s + 90  # after the first wrap of the ticks
        for name, seconds, begin, end in others:
            events.append(Event(at, name, seconds, begin, end))
            at += seconds + 80
    name, seconds, begin, end = power_cut
    return [*events, Event(number * ROUND_S + 60, name, seconds, begin, end)]


# the run


@dataclass
class Found:
    """What came of it all."""

    days: float = 0
    events: int = 0
    boots: int = 0
    wraps: int = 0
    states: int = 0
    sessions: int = 0
    latest_back_s: float = 0
    longest_gap_s: float = 0
    longest_feed_s: float = 0
    most_sockets: int = 0
    sweeps: int = 0
    writes: int = 0
    writes_allowed: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)  # (boots, blocks of Python's in use) at each period's end
    counted: float = 0  # Wh published at the end
    possible: float = 0  # Wh that flowed while there was somebody to count them
    uncounted_s: float = 0  # seconds that may be missing, at full power
    uncounted_wh: float = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def settled(self) -> list[int]:
        """Of the longest life, without its first day, in which things are met for the first time."""
        lives = [boots for boots, _ in self.memory]
        longest = [blocks for boots, blocks in self.memory if boots == max(lives, key=lives.count)]
        return longest[1:] if len(longest) > 2 else longest or [0]


class Soak:
    """The firmware and what is around it."""

    def __init__(self, seconds: int, seed: int, events: list[Event], period_s: int = DAY_S):
        self.clock = SimulatedClock(self._on_step)
        self.bms = Bms(BMS)
        self.broker = Broker(self._on_publish)
        self.network = SimulatedNetwork(self.broker, self.clock)
        self.found = Found(seconds / DAY_S)
        self._end_s = seconds
        self._period_s = period_s  # the memory in use is noted at the end of each
        self._events = tuple(events)  # kept to the end: what is given back would look like a leak the other way
        self._next_event = 0
        self._random = random.Random(seed)
        random.seed(seed)  # the firmware's own dice, which vary its pauses
        self._running: Event | None = None
        self._ends_at = self._fine_until = self._current_at = 0.0
        self._step_s = FINE_S
        self._ticks = 0
        self._watts = 0.0  # what the BMS measures
        self._joules = 0.0  # that flowed while the firmware could have counted them
        self._next_period = 1
        self._state_at: float | None = None  # when the last state was published
        self._clear_from: float | None = 0.0  # since when nothing has been wrong
        self._back_from: float | None = None
        self._published = [0, 0]
        self._log = io.StringIO()

    def run(self) -> Found:
        """Live through all of it."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(self._log):
            drive = Path(folder, "drive")
            drive.mkdir()
            (drive / "settings.toml").write_text(SETTINGS)
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
                self.found.wrong.append("the drive was written to")
        return self._sum_up()

    def _wire(self, folder: str):
        """Connect the stand-in chip to the simulated parts."""
        chip.clock, chip.network, chip.restart = self.clock, self.network, reset
        chip.open_uart = lambda **options: SimulatedUart(self.bms, self.clock)
        chip.nvm_path = str(Path(folder, "nvm"))
        keyboard.console = keyboard.Console(-1)  # nobody types
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

        sys.modules["displayio"]._stop_background()
        for module in (crash, watchdog, transport):
            module.time = SimpleNamespace(sleep=self.clock.sleep)
        loop.time = SimpleNamespace(sleep=lambda seconds: self.clock.sleep(self._step_s))
        loop.gc = SimpleNamespace(collect=self._collect)
        return lambda: crash.run_with_restart(main)

    def _collect(self):
        self.found.sweeps += 1
        if self.found.sweeps % GC_SHARE == 0:
            gc.collect()

    def _power_on(self):
        code = self._load()
        self.found.boots += 1
        chip.power_on_s = self.clock.monotonic()
        trouble.power_on()
        self._ticks = 0
        self._back_from = chip.power_on_s + 15 if self._running is None else None
        try:
            code()
        except PowerCut:
            self.network.cut_power()
            self.found.uncounted_s += 16  # from the last state published to the cut, and from power-on to the first reading
            self.found.uncounted_wh += BAND_WH
            self._wait_without_power()
        except Reset:
            self.found.wrong.append(f"it restarted at {self.clock.monotonic():.0f} s: {self._log.getvalue()[-300:]}")
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
        self.found.wraps += ticks < self._ticks
        self._ticks = ticks
        if not self.bms.options.silent:
            self._joules += abs(self._watts) * seconds
        self.broker.check_keep_alive(now)
        if now >= self._current_at:
            self._change_current(now)
        self._judge_link(now)
        if self._running is not None and now >= self._ends_at:
            self._end_event()
        elif self._running is None and now >= self._next_at():
            self._begin_event(now)
        if now >= self._fine_until and self._back_from is None:
            self._step_s = STEP_S
        if now >= self._next_period * self._period_s:
            self._end_period()
        if now >= self._end_s:
            raise Interruption

    def _change_current(self, now: float):
        self._current_at = now + self._random.randint(600, 7200)
        self.bms.set("current", self._random.choice(CURRENTS), self.clock.us)
        self._watts = self.bms.truth(self.clock.us)["power"]
        self.found.uncounted_s += 4.5  # a change between two readings is smeared over them

    def _next_at(self) -> float:
        return self._events[self._next_event].at_s if self._next_event < len(self._events) else float("inf")

    def _begin_event(self, now: float):
        self._running = self._events[self._next_event]
        self._next_event += 1
        self._ends_at = now + self._running.seconds
        self._clear_from = self._back_from = None
        self.found.events += 1
        if self._running.name == "BMS silent":
            self.found.uncounted_s += 8  # the silence begins and ends between two readings
        self._use_fine_steps()
        self._running.begin(self)

    def _end_event(self):
        self._use_fine_steps()
        self._running.end(self)
        self._running = None
        self._back_from = self.clock.monotonic()

    def _use_fine_steps(self):
        self._step_s = FINE_S
        self._fine_until = self.clock.monotonic() + FINE_FOR_S

    def _end_period(self):
        self._next_period += 1
        self._log.seek(0)
        self._log.truncate()
        gc.collect()
        self.found.memory.append((self.found.boots, sys.getallocatedblocks()))

    # what is published

    def _on_publish(self, topic: str, payload: bytes):
        if topic == "t/bms1/state" and b'"pack_voltage":null' not in payload:
            self._judge_state(self.clock.monotonic(), json.loads(payload))
        elif topic == "t/bms1/energy":
            self._judge_energy(json.loads(payload))
        elif topic == "t/status" and payload == b"online":
            self.found.sessions += 1

    def _judge_state(self, now: float, state: dict):
        self.found.states += 1
        if self._clear_from is not None and self._state_at is not None:
            self.found.longest_gap_s = max(self.found.longest_gap_s, now - self._state_at)
        if self._back_from is not None and self._running is None:
            self.found.latest_back_s = max(self.found.latest_back_s, now - self._back_from)
            self._back_from, self._clear_from = None, now
            self._use_fine_steps()  # one message a pass, and a dozen to publish
        self._state_at = now
        self._judge_energy(state)

    def _judge_energy(self, state: dict):
        for index, key in enumerate(("energy_charged", "energy_discharged")):
            if state[key] is not None:
                counted = round(1000 * state[key])
                if counted < self._published[index]:
                    self.found.wrong.append(f"{key} fell from {self._published[index]} to {counted} Wh")
                self._published[index] = counted

    def _judge_link(self, now: float):
        if self._back_from is not None and now - self._back_from > BACK_S:
            self.found.wrong.append(f"not back at {now:.0f} s")
            self._back_from = now + DAY_S
        if self._clear_from is not None and self._state_at is not None and now - self._state_at > 2 * HEARTBEAT_S:
            self.found.wrong.append(f"nothing was published for {now - self._state_at:.0f} s at {now:.0f} s")
            self._state_at = now

    # the end

    def _sum_up(self) -> Found:
        found = self.found
        found.counted = sum(self._published)
        found.possible = self._joules / 3600
        found.longest_feed_s = trouble.seen["longest_gap"]
        found.writes = trouble.seen["nvm_writes"]
        found.most_sockets = self.network.most_sockets
        found.writes_allowed = int(48 * found.days) + 13
        self._judge()
        return found

    def _judge(self):
        found = self.found
        missing = found.possible - found.counted
        allowed = found.uncounted_s * FULL_W / 3600 + found.uncounted_wh + 2 * BAND_WH
        if missing < -0.002 * found.possible - 10 or missing > allowed:
            found.wrong.append(f"{found.counted:.0f} Wh were counted of {found.possible:.0f}")
        if found.writes > found.writes_allowed:
            found.wrong.append(f"{found.writes} writes to the memory")
        if found.most_sockets > 1:
            found.wrong.append(f"{found.most_sockets} sockets at once")
        if found.longest_gap_s > HEARTBEAT_S + 2 * STEP_S:
            found.wrong.append(f"a state came {found.longest_gap_s:.1f} s after the one before")
        if max(found.settled) - min(found.settled) > MEMORY_BLOCKS:
            found.wrong.append(f"the memory is not flat: {found.memory}")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def table(found: Found) -> str:
    """The result for people."""
    rows = (
        ("Simulated time", f"{found.days:.3g} days; the ticks wrapped {found.wraps} times, first 65 s after power-on"),
        ("Outages", f"{found.events}, among them {found.boots - 1} power cuts; {found.sessions} sessions"),
        ("Back after an outage", f"{found.latest_back_s:.0f} s at the latest"),
        ("States published", f"{found.states}; never more than {found.longest_gap_s:.1f} s apart while all is well"),
        ("Watchdog fed", f"every {found.longest_feed_s:.1f} s at least"),
        ("Sockets open", f"{found.most_sockets} at most"),
        ("Memory", f"{min(found.settled)} to {max(found.settled)} blocks in use, day by day, in the longest life"),
        ("Writes to the memory", f"{found.writes} of {found.writes_allowed} allowed"),
        ("Energy", f"{found.counted:.0f} Wh counted of {found.possible:.0f} Wh that flowed"),
        ("Result", "; ".join(found.wrong[:5]) or "ok"),
    )
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {text} |\n" for name, text in rows)


def main():
    parser = argparse.ArgumentParser("campaigns.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-day", type=int, default=8, help="outages a day, on the average")
    parser.add_argument("--short", action="store_true", help="an hour in which everything happens twice")
    parser.add_argument("--write", action="store_true", help="write the table into docs/RELIABILITY.md")
    options = parser.parse_args()
    begun = time.monotonic()
    if options.short:
        soak = Soak(2 * ROUND_S + 300, options.seed, rounds(2), ROUND_S)
    else:
        soak = Soak(int(DAY_S * options.days), options.seed, plan(options.days, options.seed, options.per_day))
    found = soak.run()
    text = table(found)
    print(text + f"\n{time.monotonic() - begun:.0f} s")
    if options.write:
        write("soak", text)
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
