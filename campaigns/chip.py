# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`make chip`: the unmodified firmware at a chip's pace, in simulated time; see docs/CHIP.md.

host/pace.py counts what Python executes of the drive's code; the simulated clock advances by it, by what is slept, and by the
bits on UART and I2C. BMS, broker and screen are those of the emulator, in this process. The same code gives the same figures.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import functools
import io
import itertools
import json
import math
import os
import random
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from types import CodeType, FrameType
from typing import Any, NamedTuple

from host import chip, keyboard, pace, poll
from host.broker import Broker
from host.simulated_network import SimulatedNetwork
from simulator.bms import BYTE_US, Bms
from simulator.bus import Bus, connect
from simulator.ds18b20 import OneWireBus, Thermometer
from simulator.vedirect import Device
from simulator.wire import SimulatedUart
from tools import bundle, pack, pack_merge

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "CHIP.md"
KB = "kb.json"  # the sizes of the compiled modules, by path
STANDINS = ROOT / "host" / "standins"
CELLS = (4, 16, 48)
THINK_S = 0.005
TOP = 30  # functions in the table
SETTLED_S = 5  # after the first published value: from then on the reading is measured
SETTINGS = """CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "shed-password"
MQTT_BROKER = "192.168.1.10"
MQTT_BASE_TOPIC = "t"
"""
# all that a setting can switch on besides the battery: eight outputs, three sensors, the status LED
EXTRAS = """LED_PIN = "IO15"
DS18B20_PIN = "IO7"
VEDIRECT_1_RX = "IO10"
SUPPLY_PIN = "IO4"
OUTPUT_1 = "Heater: IO5 on when soc > 80 off when soc < 60"
OUTPUT_2 = "Loads: IO6 on when soc > 40 and min_cell_voltage > 3.20 off when soc < 25 or min_cell_voltage < 3.00"
OUTPUT_3 = "Balancer: IO11 on when max_cell_voltage > 3.40 and cell_voltage_delta > 15 mV off when cell_voltage_delta < 5 mV"
OUTPUT_4 = "Warmer: IO12 on when min_temperature < 3 and soc > 20 off when min_temperature > 8 or max_temperature > 20"
OUTPUT_5 = "Fan: IO14 on when max_temperature > 38 off when max_temperature < 34, unknown = on, alarm = on"
OUTPUT_6 = "Siren: IO16 on when problem is on, alarm = on"
OUTPUT_7 = "Cellar: IO17 on when ds18b20.28ff641e8216c3 > 21 off when ds18b20.28ff641e8216c3 < 19"
OUTPUT_8 = "Surplus: IO18 on when vedirect1.power > 100 and supply.voltage > 1.5 off when vedirect1.power < 50"
"""
THERMOMETER = "28ff641e8216c3"


@dataclass
class Work:
    """What a job, or a kind of work in it, took: `bytecodes` of all calls and of the largest."""

    calls: int = 0
    bytecodes: int = 0
    largest: int = 0
    median: float = 0


@dataclass
class Figures:
    """Of one run. Times in ms if not named; passes without gc.collect."""

    seconds: float  # of simulated time
    ratio: float = 0  # time to the limit of the own bytes
    turnarounds: list[float] = field(default_factory=list)  # from the last byte of a response to the next request, sorted
    fast: float = 0  # 0x90 a second
    passes: float = 0  # a second
    longest_ms: float = 0
    longest_job: str = ""
    idle: int = 0  # bytecodes of an idle pass; 0: there was none
    first_request_s: float | None = None  # from the start of code.py
    first_value_s: float | None = None
    load_s: float = 0  # of it loading modules
    jobs: dict[str, Work] = field(default_factory=dict)
    kinds: dict[str, Work] = field(default_factory=dict)  # by "job: what it did"
    functions: list[tuple[str, int]] = field(default_factory=list)  # with their own bytecodes, the largest first
    output: str = ""  # on the console


class End(BaseException):
    """Ends the firmware; not an Exception, so that it does not catch it."""


def run(
    name: str = "s2",
    cells: int = 16,
    seconds: float = 20,
    root: Path | None = None,
    settings: str = "",
    watched: list[str] | None = None,
    bms: str = "",
) -> Figures:
    """The firmware for so many simulated seconds at a pace: one of host.pace.PACES, or microseconds a bytecode.

    `root`: where its files are, None: as in the compiled bundle; `settings`: more lines of settings.toml, separated by ;;
    `watched`: functions whose bytecodes are counted with all they call; `bms`: more options of the BMS. In a process of its
    own. Raises RuntimeError when it cannot be run.
    """
    command = [sys.executable, "-m", "campaigns.chip", "--pace", name, "--cells", str(cells), "--seconds", str(seconds)]
    command += ["--root", str(root or bundled()), "--settings", settings, "--bms", bms, "--watch", *(watched or []), "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    figures = Figures(**json.loads(done.stdout.splitlines()[-1]))
    figures.jobs = {name: Work(**work) for name, work in figures.jobs.items()}
    figures.kinds = {name: Work(**work) for name, work in figures.kinds.items()}
    return figures


@functools.cache
def bundled() -> Path:
    """A folder with the firmware as in the compiled bundle, constants in place, but with the names of the source; and with KB.
    It is removed at the end of this process."""
    folder = Path(tempfile.mkdtemp(prefix="daly-chip-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    files = {**bundle.firmware(), **bundle.libraries()}
    constant = pack.with_constants({path: data.decode() for path, data in files.items() if pack.is_ours(path)})
    for path, text in {**{path: files[path].decode() for path in pace.FILES}, **constant}.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    compiled = bundle.compiled_once(files)
    (folder / KB).write_text(json.dumps({path.replace(".mpy", ".py"): len(data) / 1024 for path, data in compiled.items()}))
    return folder


# --- in the process of the firmware ----------------------------------------------------------------------------------


class Pass(NamedTuple):
    """One pass of the loop."""

    at_s: float  # its end
    took_ms: float  # without collecting garbage and joining the Wi-Fi
    bytecodes: int
    job: str  # the one with the most bytecodes
    is_idle: bool  # nothing was received, sent, drawn or published, and no job was left out


class Passes:
    """Watches the passes of the loop and its jobs: a job is what app/loop.py calls elsewhere."""

    def __init__(self, root: Path, counter: pace.Counter, watched: list[str]):
        self._watched = frozenset(watched)
        self._loop = str(root / "app" / "loop.py")
        self._count = counter.count
        self.clock: pace.PacedClock
        self.done: set[str] = set()  # what the present call has done
        self.passes: list[Pass] = []
        self.is_idle = True  # the present pass so far
        self.calls: dict[str, list[int]] = defaultdict(list)
        self.kinds: dict[str, list[int]] = defaultdict(list)
        self._largest: tuple[int, str] = (0, "")

    def on_call(self, frame: FrameType) -> Callable[[Any], None] | None:
        """To be told of each call of the drive's code."""
        if frame.f_code.co_filename == self._loop:
            return self._begin_pass() if frame.f_code.co_name == "step" else None
        if frame.f_code.co_qualname in self._watched:
            return self._begin_watched(frame.f_code.co_qualname)
        caller = frame.f_back
        if caller is None or caller.f_code.co_filename != self._loop:
            return None
        name = _job_name(caller.f_locals, frame.f_code)
        return None if name is None else self._begin_job(name)

    def _begin_watched(self, name: str) -> Callable[[Any], None]:
        count = self._count()
        return lambda returned: self.kinds["function " + name].append(self._count() - count)

    def _begin_pass(self) -> Callable[[Any], None]:
        self._largest = (0, "")
        self.is_idle = True
        count, us, excluded = self._count(), self.clock.us, self.clock.excluded_us

        def end(returned: Any) -> None:
            took_us = self.clock.us - us - (self.clock.excluded_us - excluded)
            # a pass that leaves out all other jobs, while a response is about to be whole, returns False
            is_idle = self.is_idle and returned is not False
            self.passes.append(Pass(self.clock.us / 1e6, took_us / 1000, self._count() - count, self._largest[1], is_idle))

        return end

    def note(self, what: str) -> None:
        """The job that is being executed did this."""
        self.done.add(what)
        self.is_idle = False

    def _begin_job(self, name: str) -> Callable[[Any], None]:
        self.done.clear()
        count = self._count()

        def end(returned: Any) -> None:
            took = self._count() - count
            self.calls[name].append(took)
            for what in self.done:
                self.kinds[f"{name}: {what}"].append(took)
            if took > self._largest[0]:
                self._largest = took, ", ".join([name, *sorted(self.done)])

        return end


def _job_name(variables: dict, code: CodeType) -> str | None:
    """The name of the job that the loop, with these variables, calls by this code; None: it is no job."""
    job = variables.get("job", variables.get("self"))  # in Job.run it is self
    tick = getattr(job, "_tick", variables.get("tick"))
    is_job = code.co_name == "tick" if tick is None else getattr(tick, "__func__", tick).__code__ is code
    return str(getattr(job, "name", variables.get("name", code.co_qualname))) if is_job else None


class Uart(SimulatedUart):
    """Notes what was requested."""

    def __init__(self, bms: Bms | Bus, passes: Passes):
        super().__init__(bms, passes.clock)
        self._passes = passes

    def write(self, data) -> int:
        self._passes.note("request")
        return super().write(data)

    def read(self, size: int) -> bytes:
        data = super().read(size)
        self._passes.is_idle = self._passes.is_idle and not data
        return data


class Shunt(Device):
    """A SmartShunt: in each second voltage, current, power and charge are other ones."""

    def _send(self, now: float) -> None:
        second = int(now // 1e6)
        for label, first, step in (("V", 26542, 3), ("I", -5120, 41), ("P", -136, 1), ("CE", -25400, -2)):
            self.set(label, str(first + step * (second % 7)))
        super()._send(now)


class Firmware:
    """The firmware and everything around it."""

    def __init__(
        self, chosen: pace.Pace, cells: int, seconds: float, root: Path, settings: str, watched: list[str], bms: str = ""
    ):
        self._root = root
        self._pace = chosen
        self._seconds = seconds
        protocol = dict(item.split("=") for item in bms.split(",") if item).get("protocol", "a5")
        # as at every start but the first, when the protocol has been remembered
        self._settings = SETTINGS + f'BMS_PROTOCOL = "{protocol}"\n' + settings.replace(";", "\n") + "\n"
        sizes = json.loads((root / KB).read_text()) if (root / KB).exists() else {}
        libraries = pace.libraries()
        files = {str(root / path): kb for path, kb in sizes.items()}
        files.update({path: kb for path in libraries for name, kb in sizes.items() if path.endswith(name.removeprefix("lib"))})
        if sizes:  # a package without a text of its own has no file in the bundle
            inits = {str(root / package / "__init__.py"): package for package in pace.PACKAGES}
            files.update({path: 0.0 for path, package in inits.items() if f"{package}/__init__.py" not in sizes})
        groups = pack_merge.GROUPS if sizes else {}  # in a folder of other files each is loaded by itself
        merged = {
            str(root / pack_merge.path_of(name)): str(root / pack_merge.path_of(target))
            for target, names in groups.items()
            for name in names
        }
        self._counter = pace.Counter(root, libraries, files, merged)
        self.passes = Passes(root, self._counter, watched)
        self.clock = self.passes.clock = pace.PacedClock(self._counter, chosen, self._on_step)
        self._log: list[dict] = []
        self._bms = connect(f"cells={cells},temperatures=2,think={1000 * THINK_S:.0f},{bms}", note=self._log.append)
        self._think_s = self._bms.options.think / 1000
        self._broker = Broker(self._on_publish)
        self._first_value_s: float | None = None
        self._load_s = 0.0
        self._ended = False
        self._console = io.StringIO()

    def run(self) -> Figures:
        """Run to the end; can be called once."""
        random.seed(1)
        with tempfile.TemporaryDirectory() as folder:
            drive = Path(folder, "drive")
            drive.mkdir()
            (drive / "settings.toml").write_text(self._settings)
            self._wire(folder)
            os.chdir(drive)
            with contextlib.redirect_stdout(self._console):
                self._execute()
            os.chdir(ROOT)
        return self._sum_up()

    def _wire(self, folder: str) -> None:
        sys.path[:0] = [str(STANDINS), str(self._root / "lib")]
        chip.clock, chip.network = self.clock, SimulatedNetwork(self._broker, self.clock)
        poll.install()
        chip.power_on_s = self.clock.monotonic()
        device = Shunt("shunt")
        chip.open_uart = lambda rx, **options: (
            SimulatedUart(device, self.clock) if rx == "IO10" else Uart(self._bms, self.passes)
        )
        chip.onewire["IO7"] = OneWireBus([Thermometer(bytes.fromhex(THERMOMETER), 21.5, self.clock.monotonic)])
        chip.analog["IO4"] = 1.65
        chip.nvm_path = str(Path(folder, "nvm"))
        chip.restart = self._restart
        chip.on_join = lambda: self.clock.exclude(pace.JOIN_S)
        keyboard.console = keyboard.Console(-1)  # no input
        from host import displays
        from host.ssd1306 import SSD1306

        displays.install()

        class Screen(SSD1306):
            """Notes that something is drawn."""

            def write(screen, data):
                self.passes.note("drawing")
                return super().write(data)

        chip.screen = chip.devices[0x3C] = Screen()
        import wifi

        wifi.radio.stop_station()
        sys.path.insert(0, str(self._root))
        for name in [name for name in sys.modules if name.split(".")[0] in pace.PACKAGES or name.startswith("adafruit_")]:
            del sys.modules[name]
        time.sleep, time.monotonic = self.clock.sleep, self.clock.monotonic
        pace.replace_functions(self._counter, self.clock.sleep, self.clock.collect)
        self._counter.on_call, self._counter.on_load = self.passes.on_call, self._load

    def _execute(self) -> None:
        self._counter.start()
        try:
            runpy.run_path(str(self._root / "code.py"), run_name="__main__")
        except End:
            self._ended = True
        finally:
            self._counter.stop()
        if not self._ended:
            raise SystemExit("The firmware has ended: " + self._console.getvalue()[-2000:])

    def _restart(self, **left) -> None:
        raise SystemExit("The chip was restarted: " + self._console.getvalue()[-2000:])

    def _load(self, kb: float) -> None:
        if not kb:
            return
        begun = self.clock.us
        self.clock.load(kb)
        self._load_s += (self.clock.us - begun) / 1e6

    def _on_step(self, seconds: float) -> None:
        now = self.clock.monotonic()
        self._broker.check_keep_alive(now)
        if now >= self._seconds:
            raise End

    def _on_publish(self, topic: str, payload: bytes) -> None:
        self.passes.note("discovery" if topic.endswith("/config") else topic.partition("/")[2])
        if self._first_value_s is None and topic.endswith("bms1/state") and has_values(payload):
            self._first_value_s = self.clock.monotonic()

    def _sum_up(self) -> Figures:
        requests = [event for event in self._log if "request" in event]
        figures = Figures(
            seconds=self._seconds,
            first_request_s=requests[0]["t"] if requests else None,
            first_value_s=self._first_value_s,
            load_s=self._load_s,
            jobs={name: _work(calls) for name, calls in self.passes.calls.items()},
            kinds={name: _work(calls) for name, calls in sorted(self.passes.kinds.items())},
            functions=self._functions(),
            output=self._console.getvalue(),
        )
        if self._first_value_s is not None:
            self._measure(figures, requests, self._first_value_s + SETTLED_S)
        return figures

    def _measure(self, figures: Figures, requests: list[dict], since: float) -> None:
        measured = [event for event in requests if event["t"] >= since]
        passes = [one for one in self.passes.passes if one.at_s >= since]
        if len(measured) < 2 or not passes:
            return
        begin, end = measured[0]["t"], measured[-1]["t"]
        received = [event for event in self._log if "response" in event and begin <= event["t"] < end]
        limit = limit_of_log(measured[:-1], received, self._think_s)
        figures.ratio = (end - begin) / limit
        figures.turnarounds = sorted(self._turnarounds(measured, received))
        figures.fast = sum(reads_pack(event["request"]) for event in measured[1:]) / (end - begin)
        figures.passes = len(passes) / (self._seconds - since)
        longest = max(self.passes.passes, key=lambda one: one.took_ms)
        figures.longest_ms, figures.longest_job = longest.took_ms, longest.job
        idle = [one.bytecodes for one in passes if one.is_idle]
        figures.idle = round(median(idle)) if idle else 0

    def _turnarounds(self, requests: list[dict], responses: list[dict]) -> list[float]:
        """ms from the last byte of each response to the next request."""
        answered: dict[float, list[dict]] = defaultdict(list)
        for event in responses:
            answered[max(one["t"] for one in requests if one["t"] <= event["t"])].append(event)
        return [
            1000 * (after["t"] - one["t"] - limit_of_log([after], answered[one["t"]], self._think_s))
            for one, after in itertools.pairwise(requests)
            if one["t"] in answered
        ]

    def _functions(self) -> list[tuple[str, int]]:
        found: dict[str, int] = defaultdict(int)
        for code, count in self._counter.functions():
            place = os.path.relpath(code.co_filename, self._root)
            place = place if not place.startswith(("..", ".venv")) else Path(place).name
            found[f"{place} {code.co_qualname}"] += count
        return sorted(found.items(), key=lambda pair: -pair[1])


def has_values(payload: bytes) -> bool:
    """Whether a state has readings."""
    return sum(isinstance(value, int | float) for value in json.loads(payload).values()) > 3


def function_of(frame: str) -> int:
    """The function of a frame in hex."""
    return int(frame[4:6], 16)


def limit_of(requests: int, response_bytes: int) -> float:
    """Seconds that so many requests, their response delays and so many bytes of responses take."""
    return (13 * requests + response_bytes) * BYTE_US / 1e6 + THINK_S * requests


def limit_of_log(requests: list[dict], responses: list[dict], think_s: float) -> float:
    """Seconds that these events of a log take on the line, in any protocol, and the response delays."""
    digits = sum(len(event["request"]) for event in requests) + sum(len(event["response"]) for event in responses)
    return digits / 2 * BYTE_US / 1e6 + think_s * len(requests)


def reads_pack(request: str) -> bool:
    """Whether a request in hex reads voltage, current and state of charge."""
    if request.startswith("a5"):
        return function_of(request) == 0x90
    place, start = 0x28 if request.startswith("d2") else 0x38, int(request[4:8], 16)
    return request[2:4] == "03" and start <= place < start + int(request[8:12], 16)


def _work(calls: list[int]) -> Work:
    return Work(len(calls), sum(calls), max(calls), median(calls))


# --- the command -----------------------------------------------------------------------------------------------------


def part(numbers: list[float], share: float) -> float:
    """The number below which this share of sorted numbers lies."""
    return numbers[min(len(numbers) - 1, int(share * len(numbers)))] if numbers else 0.0


def show(figures: Figures) -> str:
    """The figures as text."""
    lines = [
        f"time / limit {figures.ratio:.3f}, 0x90 a second {figures.fast:.1f}, passes a second {figures.passes:.0f}",
        f"next request after {', '.join(f'{part(figures.turnarounds, share):.1f}' for share in (0.5, 0.75, 0.9, 1))} ms "
        "(half, three quarters, nine tenths, all)",
        f"longest pass {figures.longest_ms:.0f} ms ({figures.longest_job}), idle pass {figures.idle} bytecodes",
        f"first request after {figures.first_request_s or 0:.2f} s, first value after {figures.first_value_s or 0:.2f} s, "
        f"of it loading {figures.load_s:.2f} s",
    ]
    for title, works in (("job", figures.jobs), ("kind of work", figures.kinds)):
        lines.append(f"\n{title:34}{'calls':>8}{'bytecodes':>12}{'median':>10}{'largest':>10}")
        for name, work in works.items():
            lines.append(f"{name:34}{work.calls:>8}{work.bytecodes:>12,}{work.median:>10,.0f}{work.largest:>10,}")
    lines.append("\nown bytecodes  function")
    lines += [f"{count:>13,}  {name}" for name, count in figures.functions[:TOP]]
    return "\n".join(lines)


ROWS = (("pc", 16, 30), ("s3", 16, 70), ("s2", 16, 70), ("s2", 4, 70), ("s2", 48, 70))  # pace, cells, seconds
NAMES = {"pc": "as fast as a PC", "s3": "ESP32-S3", "s2": "ESP32-S2"}


GOALS: tuple[tuple[str, str, int, float, Callable[[Figures], float]], ...] = (  # what, pace, cells, limit, the figure
    ("time / limit", "s2", 16, 1.06, lambda one: one.ratio),
    ("time / limit", "s2", 48, 1.06, lambda one: one.ratio),
    ("time / limit", "s3", 16, 1.04, lambda one: one.ratio),
    ("time / limit", "pc", 16, 1.02, lambda one: one.ratio),
    ("next request after, 90 %, ms", "s2", 16, 2, lambda one: part(one.turnarounds, 0.9)),
    ("0x90 a second", "s2", 16, -6, lambda one: one.fast),
    ("longest pass, ms", "s2", 48, 60, lambda one: one.longest_ms),
    ("idle pass, bytecodes", "pc", 16, 600, lambda one: one.idle),
    ("first value after, s", "s2", 16, 6, lambda one: one.first_value_s or math.inf),
)  # a negative limit is the least


def targets(found: dict[tuple[str, int], Figures]) -> str:
    """The goals and whether they are met, as Markdown."""
    lines = ["| goal | | cells | at most | is | |", "|---" * 6 + "|"]
    for what, name, cells, limit, of in GOALS:
        value = of(found[name, cells])
        met = "met" if 0 < value <= limit or value >= -limit > 0 else "**missed**"
        at_most = f"{limit:,g}" if limit > 0 else f"at least {-limit:g}"
        shown = f"{value:.3f}" if what == "time / limit" else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
        lines.append(f"| {what} | {NAMES[name]} | {cells} | {at_most} | {shown} | {met} |")
    return "\n".join(lines) + "\n"


def table(found: dict[tuple[str, int], Figures]) -> str:
    """The figures of every pace as Markdown: speed, then what the bytecodes at an S2's pace with 16 cells are for."""
    lines = [
        "| | cells | time / limit | next request after (half, 90 %) | 0x90 a second | passes a second "
        "| longest pass | in it | idle pass | first value after |",
        "|---" * 10 + "|",
    ]
    for (name, cells), one in found.items():
        lines.append(
            f"| {NAMES[name]} | {cells} | {one.ratio:.3f} "
            f"| {part(one.turnarounds, 0.5):.1f}, {part(one.turnarounds, 0.9):.1f} ms | {one.fast:.1f} | {one.passes:.0f} "
            f"| {one.longest_ms:.0f} ms | {one.longest_job} | {one.idle or 'none'} | {one.first_value_s or 0:.1f} s |"
        )
    figures = found["s2", 16]
    for title, works in (("job", figures.jobs), ("kind of work", figures.kinds)):
        lines += ["", f"| {title} | calls | bytecodes | median | largest |", "|---" * 5 + "|"]
        for name, work in works.items():
            lines.append(f"| {name} | {work.calls:,} | {work.bytecodes:,} | {work.median:,.0f} | {work.largest:,} |")
    lines += ["", "| function | own bytecodes |", "|---|---|"]
    lines += [f"| `{name}` | {count:,} |" for name, count in figures.functions[:TOP]]
    return "\n".join(lines) + "\n"


def extras_table(cells: int = 16, seconds: float = 70, root: Path | None = None) -> str:
    """What EXTRAS cost on an ESP32-S2, as Markdown: speed without and with, then the jobs that are there only with them."""
    without, with_all = (run("s2", cells, seconds, root, settings.replace("\n", ";")) for settings in ("", EXTRAS))
    rows: tuple[tuple[str, Callable[[Figures], str]], ...] = (
        ("time / limit", lambda one: f"{one.ratio:.3f}"),
        ("next request after, 90 %", lambda one: f"{part(one.turnarounds, 0.9):.1f} ms"),
        ("0x90 a second", lambda one: f"{one.fast:.1f}"),
        ("longest pass", lambda one: f"{one.longest_ms:.0f} ms ({one.longest_job})"),
        ("first value after", lambda one: f"{one.first_value_s or 0:.1f} s"),
        ("of it loading modules", lambda one: f"{one.load_s:.1f} s"),
    )
    lines = [f"| ESP32-S2, {cells} cells | without | with |", "|---|---|---|"]
    lines += [f"| {what} | {of(without)} | {of(with_all)} |" for what, of in rows]
    lines += ["", "| job, only with them | calls | bytecodes | median | largest |", "|---" * 5 + "|"]
    for name, work in with_all.jobs.items():
        if name not in without.jobs:
            lines.append(f"| {name} | {work.calls:,} | {work.bytecodes:,} | {work.median:,.0f} | {work.largest:,} |")
    return "\n".join(lines) + "\n"


def write(name: str, text: str) -> None:
    """Replace a table of docs/CHIP.md, which is between marks with its name."""
    document = DOCUMENT.read_text()
    begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->"
    head, _, rest = document.partition(begin)
    DOCUMENT.write_text(head + begin + text + end + rest.partition(end)[2])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m campaigns.chip", description=__doc__.splitlines()[0])
    parser.add_argument("--pace", default="s2", help="pc, s3, s2, or microseconds a bytecode")
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30, help="simulated")
    parser.add_argument("--root", type=Path, help="where the firmware's files are (default: as in the compiled bundle)")
    parser.add_argument("--settings", default="", help="more settings, separated by ;")
    parser.add_argument("--bms", default="", help="more options of the BMS, for example protocol=p81,think=35")
    parser.add_argument("--watch", nargs="*", default=[], help="functions, for example Bus.tick, counted with all they call")
    parser.add_argument(
        "--extras", action="store_true", help="with eight outputs, sensors and LED; with --write only that table"
    )
    parser.add_argument("--write", action="store_true", help="every pace: the tables of docs/CHIP.md")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.json:
        root = options.root.resolve()
        chosen = pace.of(options.pace)
        firmware = Firmware(chosen, options.cells, options.seconds, root, options.settings, options.watch, options.bms)
        print(json.dumps(asdict(firmware.run())))
        return
    if options.write:
        text = extras_table(root=options.root)
        print(text)
        write("extras", text)
    if options.write and not options.extras:
        found = {row[:2]: run(*row, options.root) for row in ROWS}
        for name, text in (("targets", targets(found)), ("chip", table(found))):
            print(text)
            write(name, text)
    if options.write:
        return
    settings = options.settings + (EXTRAS.replace("\n", ";") if options.extras else "")
    print(show(run(options.pace, options.cells, options.seconds, options.root, settings, options.watch, options.bms)))


if __name__ == "__main__":
    main()
