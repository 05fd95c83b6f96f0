# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`make bench`: this firmware beside the PyPI readers dalybms and pydalybms, on the same simulated line, in one run.

Everything on the wire is measured from the BMS's own side: simulator.line logs every request and every response with its
time. The limit is the time of a reader's own bytes at 9600 baud plus the BMS's response delays. Writes docs/BENCHMARK.md,
which explains it, and docs/benchmark.svg. Times are ratios, because computers differ.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from campaigns import chip, size
from campaigns.chip import function_of, limit_of, limit_of_log, reads_pack
from simulator.bms import BYTE_US, MEASURED, STATIC, Bms

ROOT = Path(__file__).resolve().parent.parent
if (STANDINS := str(ROOT / "host" / "standins")) not in sys.path:
    sys.path.append(STANDINS)  # adafruit_ticks wants the chip's own modules

from battery.pack import Pack  # noqa: E402
from daly.a5 import FrameReader, build_frame  # noqa: E402
from daly.shared import SharedLine, SharedPoller  # noqa: E402
from simulator.bus import connect  # noqa: E402
from simulator.wire import Wire  # noqa: E402

DOCUMENT = ROOT / "docs" / "BENCHMARK.md"
PLOT = ROOT / "docs" / "benchmark.svg"
READERS = ROOT / ".readers"  # the other readers' own environment
REQUIREMENTS = ("dalybms==0.5.0", "pydalybms==0.1.0")
OURS = "this firmware"
NAMES = (OURS, "dalybms", "pydalybms")
COLOURS = dict(zip(NAMES, ("#0b7285", "#e8590c", "#5f3dc4"), strict=True))
CELLS = (4, 16, 48)
NEWER = {"d2": (4, 16, 32), "p81": (4, 16, 48)}  # protocol: cells
USUAL_MS = 35  # response delay of the boards with these protocols, as captured
THINK_MS = (5, USUAL_MS, 60)
CURVE = (4, 8, 16, 24, 32, 40, 48)
BYTE_S = BYTE_US / 1e6
FRAME_S = 13 * BYTE_S
WARM_UP_S = 5  # until then the program starts, the timing adapts, and static data is read
VALID_S = 5  # a number is right if the BMS had it within this time before it was delivered
GIVE_UP_US = 100000  # timeout of the program that tries overlapping requests
PASS_US = 700
EVERYTHING = "DEADBAND_PERCENT = 0\nCELLS_INTERVAL_S = 1\nPUBLISH_INTERVAL_S = 1\n"
SETTINGS = 'MQTT_BROKER = "127.0.0.1"\n' + EVERYTHING


# --- running a reader ------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """What the BMS logged, what was handed over as [(time, {key: value})], and CPU seconds between two times."""

    log: list
    published: list
    cpu: float
    since: float
    until: float


@contextlib.contextmanager
def broker():
    """A broker for all runs, host:port: like one at home it has the retained messages of an earlier run."""
    command = [sys.executable, "-m", "host.broker"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    place = "127.0.0.1:" + process.stdout.readline().strip()
    try:
        measure(OURS, "cells=4", WARM_UP_S, place)
        yield place
    finally:
        process.stdin.close()
        process.wait()


def measure(name, options, seconds, place):
    """Run one reader for `seconds` on a line with `options`; `place` is the broker's."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "simulator.line", "--bms", options, "--log", str(log)]
        line = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = line.stdout.readline().strip()
        try:
            run = run_ours(port, seconds, folder, place) if name == OURS else run_reader(name, port, seconds)
        finally:
            line.stdin.close()
            line.wait()
        return run._replace(log=[json.loads(text) for text in log.read_text().splitlines()])


def run_ours(port, seconds, folder, place):
    """`python -m host` as it is, with screen and broker; a message counts when the library has sent it."""
    settings = Path(folder) / "settings.toml"
    settings.write_text(SETTINGS)
    command = [sys.executable, "-m", "host", "--plain", "--json", "--uart", port, "--broker", place]
    command += ["--settings", str(settings), "--seconds", str(seconds)]
    begun = time.monotonic()
    host = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    looks = []  # (time, CPU seconds)
    for delay in (WARM_UP_S, seconds - 1):
        threading.Timer(delay, lambda: looks.append((time.monotonic(), cpu_of(host.pid)))).start()
    published = []
    for text in host.stdout:
        topic, _, payload = text.partition(" -> ")[2].rstrip("\n").partition(" ")
        if topic.endswith("/bms1/state"):
            published.append((time.monotonic(), {k: v for k, v in json.loads(payload).items() if v is not None}))
    host.wait()
    if len(looks) != 2:  # it ended by itself
        return Run([], published, 0.0, begun, begun)
    return Run([], published, looks[1][1] - looks[0][1], looks[0][0], looks[1][0])


def run_reader(name, port, seconds):
    """A PyPI reader in its own environment, refreshing as fast as it can."""
    command = [str(READERS / "bin" / "python"), str(ROOT / "campaigns" / "readers.py"), name, port, str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    published = [(line["t"], line["values"]) for line in lines if line["values"]]
    if not lines:
        return Run([], [], 0.0, 0.0, 0.0)
    return Run([], published, lines[-1]["cpu"] - lines[0]["cpu"], lines[0]["t"], lines[-1]["t"])


def cpu_of(pid):
    """User and system seconds of a running process; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment():
    """Whether the other readers are there, in an environment of their own."""
    if not (READERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(READERS)], check=True)
        pip = [str(READERS / "bin" / "pip"), "-q", "--disable-pip-version-check", "install", *REQUIREMENTS]
        if subprocess.run(pip, stderr=subprocess.DEVNULL, check=False).returncode:
            return False
        (READERS / "ready").touch()
    return True


# --- the figures of a run --------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """The figures of one run; times as multiples of a limit."""

    ratio: float  # time to the limit of the own bytes
    refresh: float  # time from one reading of the cells to the next, to the limit of all nine functions
    fast: float  # 0x90 per second
    read: float  # first data: until each of its functions has had a response, to the limit of that
    delivered: float  # the same until it was delivered
    good: float  # frames of cells that were not damaged, per second
    refreshes: int  # delivered
    wrong: int
    cpu: float  # per frame, of the time a frame takes on the line


def figures(run):
    """The figures of a run; None if there were hardly any requests."""
    requests = [event for event in run.log if "request" in event]
    responses = [event for event in run.log if "response" in event]
    measured = [event for event in requests if run.since <= event["t"] < run.until]
    if len(measured) < 20:
        return None
    begin, end = measured[0]["t"], measured[-1]["t"]
    received = [event for event in responses if begin <= event["t"] < end]
    count_requests = len(measured) - 1
    limit = limit_of(count_requests, sum(len(event["response"]) // 2 for event in received))
    cells = [event["t"] for event in measured if function_of(event["request"]) == 0x95]
    own = sorted({function for function in map(function_of, (event["request"] for event in requests)) if function in MEASURED})
    count = requests[0]["truth"]["cell_count"]
    first = requests[0]["t"] - FRAME_S  # when it began
    delivered = next((t for t, values in run.published if "cell_1_voltage" in values and "pack_voltage" in values), None)
    frames = sum(run.since <= event["t"] < run.until for event in requests)
    frames += sum(len(event["response"]) // 26 for event in responses if run.since <= event["t"] < run.until)
    good = sum(function_of(event["response"]) == 0x95 and not event["faults"] for event in received)
    return Row(
        ratio=(end - begin) / limit,
        refresh=(cells[-1] - cells[0]) / max(1, len(cells) - 1) / cycle_limit(MEASURED, count),
        fast=sum(function_of(event["request"]) == 0x90 for event in measured) / (end - begin),
        read=(first_complete(own, responses) - first) / cycle_limit(own, count),
        delivered=(delivered - first) / cycle_limit(own, count) if delivered else float("nan"),
        good=good / (end - begin),
        refreshes=len(run.published),
        wrong=sum(is_wrong(values, at, requests) for at, values in run.published),
        cpu=run.cpu / max(1, frames) / FRAME_S,
    )


def cycle_limit(functions, cells):
    """Seconds that one cycle of `functions` takes with so many cells and two sensors."""
    return limit_of(len(functions), 13 * sum((cells + 2) // 3 if function == 0x95 else 1 for function in functions))


def first_complete(functions, responses):
    """When the first response to the last of `functions` was complete."""
    ends = {}
    for event in responses:
        ends.setdefault(function_of(event["response"]), event["until"])
        if function_of(event["response"]) == 0x95 and len(ends) < len(functions):
            ends[0x95] = event["until"]  # it has several frames
    return max((ends.get(function, float("nan")) for function in functions), default=float("nan"))


def is_wrong(values, at, requests):
    """Whether any number is one that the BMS did not have in the seconds before."""
    truths = [event["truth"] for event in requests if at - VALID_S <= event["t"] <= at]
    for key, value in values.items():
        true_values = [truth[key] for truth in truths if key in truth]
        is_number = key in ("pack_voltage", "current", "soc") or (key.startswith("cell_") and key.endswith("_voltage"))
        if is_number and true_values and all(abs(float(value) - float(one)) > 1e-6 for one in true_values):
            return True
    return False


# --- the tables ------------------------------------------------------------------------------------------------------


def table(header, rows):
    """A Markdown table."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    lines = ["| " + " | ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in [header, *rows]]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def clean_table(names, seconds, place):
    """Clean lines; returns the table and the Rows by (reader, cells)."""
    rows, found = [], {}
    for cells in CELLS:
        for name in names:
            row = figures(measure(name, f"cells={cells},temperatures=2,think=5", seconds, place))
            if row is None:
                rows.append((cells, name, *["no data"] * 7))
                continue
            found[name, cells] = row
            rows.append((
                cells, name, f"{row.ratio:.3f}", f"{row.refresh:.2f}", f"{row.fast:.1f}", f"{row.read:.2f}",
                f"{row.delivered:.2f}", f"{row.wrong} of {row.refreshes}", f"{100 * row.cpu:.1f} %",
            ))  # fmt: skip
            print(*rows[-1], sep="  ", flush=True)
    header = ("cells", "reader", "time / limit", "refresh", "0x90 a second", "first data read", "delivered", "wrong", "CPU")
    return table(header, rows), found


def pace_table():
    """time / limit at the pace of a PC and of the chips, side by side: simulated, see docs/CHIP.md."""
    rows = [(cells, *(f"{chip.run(name, cells, 25, settings=EVERYTHING).ratio:.3f}" for name in chip.NAMES)) for cells in CELLS]
    return table(("cells", *chip.NAMES.values()), rows)


class NewerRow(NamedTuple):
    """The figures of a run with D2 or P81."""

    ratio: float  # time to the limit of the own bytes and the response delays
    refreshes: float  # a second: of voltage, current and state of charge
    wrong: int
    published: int


def newer_figures(run, think_ms):
    """The figures of a run; None if there were hardly any requests."""
    requests = [event for event in run.log if "request" in event]
    measured = [event for event in requests if run.since <= event["t"] < run.until]
    if len(measured) < 20:
        return None
    begin, end = measured[0]["t"], measured[-1]["t"]
    received = [event for event in run.log if "response" in event and begin <= event["t"] < end]
    return NewerRow(
        ratio=(end - begin) / limit_of_log(measured[1:], received, think_ms / 1000),
        refreshes=sum(reads_pack(event["request"]) for event in measured[1:]) / (end - begin),
        wrong=sum(is_wrong(values, at, requests) for at, values in run.published),
        published=len(run.published),
    )


def newer_table(seconds, place):
    """D2 and P81, the whole firmware at a PC's pace, and simulated at those of the chips."""
    rows = []
    for protocol, packs in NEWER.items():
        for cells in packs:
            options = f"cells={cells},temperatures=2,protocol={protocol}"
            shown, found = [], None
            for think in THINK_MS:
                row = newer_figures(measure(OURS, f"{options},think={think}", seconds, place), think)
                shown.append(f"{row.ratio:.3f}" if row else "no data")
                found = row if think == USUAL_MS or found is None else found
            bms = f"protocol={protocol},think={USUAL_MS}"
            chips = [f"{chip.run(name, cells, 25, settings=EVERYTHING, bms=bms).ratio:.3f}" for name in ("s3", "s2")]
            other = (f"{found.refreshes:.1f}", f"{found.wrong} of {found.published}") if found else ("", "")
            rows.append((protocol.upper(), cells, *shown, *other, *chips))
            print(*rows[-1], sep="  ", flush=True)
    header = (
        "protocol",
        "cells",
        *(f"{think} ms" for think in THINK_MS),
        "refreshes a second",
        "wrong",
        "ESP32-S3",
        "ESP32-S2",
    )
    return table(header, rows)


FOUR = {  # what is on the line: options of simulator/bus.py
    "4 of A5": "",
    "4 of P81": "protocol=p81",
    "2 of A5, 2 of P81": "protocol@3=p81,protocol@4=p81",
    "4 of A5, one silent": "silent@4=1",
}
SETTLED_S = 40  # until all static data has been read


def boards_row(options, cells, seconds=60):
    """Four boards on one line in simulated time: (time / limit, mean and longest ms from one reading of the current of a board
    to the next, the same of its cells); the limit has the response delays and the time-outs, too.
    """
    pollers = [SharedPoller(Pack(), board_number=number) for number in (1, 2, 3, 4)]
    wire = Wire(connect(f"boards=4,cells={cells},temperatures=2,{options}"), SharedLine(pollers))
    times: dict = {}
    sent = delays_ms = begin = lost = 0
    while wire.us < 1e6 * (SETTLED_S + seconds):
        at = wire.us
        request = wire.exchange()
        if at < 1e6 * SETTLED_S:
            begin, wire.received, lost = at, 0, sum(poller.timeouts for poller in pollers)
        elif request is not None:
            sent += len(request)
            is_a5 = request[0] == 0xA5
            delays_ms += THINK_MS[0] if is_a5 else USUAL_MS
            what = request[2] if is_a5 else request[2] << 8 | request[3]
            times.setdefault((what in (0x90, 0x30), request[1] if is_a5 else request[0], what), []).append(at / 1000)
        wire.us += PASS_US
    limit_us = (sent + wire.received) * BYTE_US + 1000 * delays_ms
    limit_us += 1000 * sum(poller.timing.timeout_ms for poller in pollers) / 4 * (sum(p.timeouts for p in pollers) - lost)
    fast = [later - one for (is_fast, *_), at in times.items() if is_fast for one, later in pairwise(at) if len(at) > 9]
    cells_ms = [later - one for key, at in times.items() if key[2] in (0x95, 0) for one, later in pairwise(at) if len(at) > 9]
    return (wire.us - begin) / limit_us, sum(fast) / len(fast), max(fast), sum(cells_ms) / len(cells_ms), max(cells_ms)


def boards_table():
    """Four boards on one line, simulated."""
    rows = []
    for what, options in FOUR.items():
        for cells in (4, 16, 48):
            with contextlib.redirect_stdout(io.StringIO()):
                ratio, *times = boards_row(options, cells)
            rows.append((what, cells, f"{ratio:.3f}", *(f"{ms / 1000:.2f} s" for ms in times)))
            print(*rows[-1], sep="  ", flush=True)
    return table(("boards", "cells", "time / limit", "current every", "at most", "cells every", "at most"), rows)


def noisy_table(names, seconds, clean, clean_seconds, place):
    """1 and 5 % of the frames damaged, 16 cells."""
    rows = []
    for percent in (1, 5):
        for name in names:
            row = figures(measure(name, f"cells=16,temperatures=2,think=5,corrupt={percent}", seconds, place))
            before = clean.get((name, 16))
            if row is None or before is None:
                rows.append((f"{percent} %", name, "no data", "no data"))
                continue
            # ours by the line: it uses each good frame, and publishes only changes
            by_wire = row.good / before.good
            kept = by_wire if name == OURS else row.refreshes / seconds / (before.refreshes / clean_seconds)
            rows.append((f"{percent} %", name, f"{100 * max(0.0, 1 - kept):.0f} %",
                         f"{row.wrong} of {row.refreshes}"))  # fmt: skip
            print(*rows[-1], sep="  ", flush=True)
    return table(("damaged", "reader", "refreshes lost", "wrong refreshes"), rows)


def broker_table(seconds):
    """What the default settings put on the broker."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.toml"
        settings.write_text('MQTT_BROKER = "127.0.0.1"\n')
        command = [sys.executable, "-m", "host", "--plain", "--json", "--settings", str(settings), "--seconds", str(seconds)]
        command += ["--bms", "cells=16,temperatures=2"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    messages = [text.partition(" -> ")[2] for text in done.stdout.splitlines() if " -> " in text]
    start = [text for text in messages if "/config " in text]
    rest = [text for text in messages if "/config " not in text]
    hours = seconds / 3600
    row = (f"{len(rest) / hours:.0f}", f"{sum(map(len, rest)) / hours / 1000:.0f} KB",
           f"{len(start)} messages, {sum(map(len, start)) / 1000:.0f} KB")  # fmt: skip
    return table(("messages an hour", "bytes an hour", "once per connection, for Home Assistant"), [row])


class Cost(NamedTuple):
    """What campaigns/cost.py prints."""

    frame_heap: int
    garbage: int
    state: int
    frame_us: int
    state_us: int


@functools.cache
def costs():
    """{cells: Cost} out of the MicroPython VM; empty without it."""
    found = {}
    if size.VM.exists():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            import adafruit_ticks

            shutil.copy(adafruit_ticks.__file__, folder)
            (folder / "supervisor.py").write_text("def ticks_ms():\n    return 0\n")
            for cells in CURVE:
                (folder / "responses").write_text(responses(f"cells={cells},temperatures=2,drift=0"))
                command = [size.VM, "-X", "heapsize=64m", ROOT / "campaigns" / "cost.py", folder / "responses"]
                path = {**os.environ, "MICROPYPATH": f"{ROOT}:{folder}:.frozen"}
                done = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
                found[cells] = Cost(*map(int, done.stdout.splitlines()[-1].split()))
    return found


def responses(options):
    """The responses of a BMS to every function: lines of request and response in hex."""
    bms, us, lines = Bms(options), 0.0, []
    for function in (*MEASURED, *STATIC):
        head = bytes([0xA5, 0x40, function, 8]) + bytes(8)
        request = head + bytes([sum(head) & 0xFF])
        bms.receive(request, us)
        us += 1e6
        lines.append(f"{request.hex()} {bms.transmit(us).hex()}\n")
    return "".join(lines)


def cost_table(clean):
    """What one more cell costs: on the wire, in memory, on the network."""
    rows = []
    for cells in CURVE:
        cost = costs().get(cells)
        row = clean.get((OURS, cells))
        rows.append((
            cells, f"{cycle_limit(MEASURED, cells) / cycle_limit(MEASURED, 4):.2f}",
            f"{row.ratio:.3f}" if row else "", *((cost.frame_heap, cost.garbage, cost.state) if cost else ("", "", "")),
            f"{cost.state_us / costs()[4].state_us:.2f}" if cost else "",
        ))  # fmt: skip
    header = ("cells", "limit of a poll cycle, 4 cells = 1", "time / limit", "heap a frame", "garbage a publish",
              "bytes a publish", "time to write it, 4 cells = 1")  # fmt: skip
    return table(header, rows)


def memory_table():
    """Drive and heap, as in `make size`."""
    plain, compiled = size.measured(False), size.measured(True)
    names = {"code": "drive: code and libraries, bytes", "ours": "heap for our code, bytes",
             "libraries": "heap for the libraries, bytes", "smallest": "smallest heap to load all, KB"}  # fmt: skip
    rows = [(text, f"{plain[key]:,}", f"{compiled[key]:,}") for key, text in names.items() if key in plain]
    text = table(("MicroPython, 64-bit words", ".py", ".mpy"), rows)
    if "weights" in compiled:
        largest = sorted(compiled["weights"], key=lambda pair: -pair[1])[:8]
        text += "\n" + LARGEST
        text += table(("the largest, .mpy", "bytes of heap"), [(f"`{name}`", f"{weight:,}") for name, weight in largest])
    return text


# --- the page --------------------------------------------------------------------------------------------------------

PAGE = """# Benchmark

How fast this firmware reads a BMS, compared with two other programs on the same line, and what it costs. `make bench`
repeats all measurements in some minutes and writes this page. Everything runs on one PC: the BMS is simulated (2
temperature sensors, response delay 5 ms, seed 1), the line is a pseudo-terminal at the speed of 9600 baud, and the firmware
is unmodified, with broker and screen. *dalybms* and *pydalybms* are the real programs from PyPI; they wait for each
response and do nothing else.

All times are ratios, because PCs differ. They need an idle PC: when this run started, its load average was {load:.1f} with
{cores} processors (0 is best).

## Clean line

- **time / limit**: the limit is the time that the reader's own bytes take on the line, plus the response delays of the BMS.
  With one request at a time, 1 is the optimum.
- **refresh**: from one reading of all cells to the next, as a multiple of the minimum duration of a poll cycle with all
  nine functions. This firmware is below 1 because it rarely requests what follows from cells and temperatures (0x91, 0x92)
  and what changes slowly; pydalybms never requests three of them.
- **0x90 a second**: voltage, current, state of charge.
- **first data**: from the first request until every function has had a response (*read*), and until the values were
  delivered: published, or returned to the caller; as a multiple of the minimum duration of that cycle. The broker has the
  bridge's retained messages; on its very first start, with a broker that has none, this firmware waits 1.5 s for them.
- **wrong**: of all delivered refreshes those with a value that the BMS did not have in the 5 seconds before.
- **CPU**: per frame, as a share of the time the frame takes on the line; on this PC, for this firmware with the simulated
  chip and screen.

{clean}
![Time over limit of each reader; cost of more cells](benchmark.svg)

## At a chip's pace

All this is on a PC. **time / limit** of this firmware at the estimated pace of a chip, in simulated time, with the same
settings; how it is calculated, and the figures with the default settings, are in [CHIP.md](CHIP.md).

<!-- made: pace -->
{paces}<!-- end: pace -->

## D2 and P81

The same for the protocols of the newer boards: **time / limit** with response delays of {thinks} ms. Of real boards {usual} ms
was captured, which is that of the other columns. A refresh has voltage, current, state of charge and nearly all other
readings. The last two columns are simulated, as above.

<!-- made: newer -->
{newer}<!-- end: newer -->

## Four boards on one line

In simulated time, with response delays of 5 ms (A5) and {usual} ms (P81): how long it takes from one reading of the current
of a board to the next, and of its cells. The limit has the bytes of all boards, their response delays and the time-outs of a
silent one, which is asked every ten seconds.

<!-- made: boards -->
{boards}<!-- end: boards -->

## Damaged frames

16 cells; the given share of the response frames has one to four wrong bytes. **Refreshes lost**: compared with the clean
line; for this firmware, which uses the good frames of a response when others are damaged, the share of good cell frames
lost. Longer runs, and the rules for accepting values, are in [TRUTH.md](TRUTH.md).

{noisy}
## Cost of a cell

This firmware, measured in MicroPython, whose words are twice as long as a board's, which doubles the garbage. **Heap a
frame**: bytes allocated for receiving, checking and decoding a frame and for the next request. **Garbage a publish**: bytes
that one state leaves for the garbage collector, without those of the MQTT library.

{cost}
## Memory

{memory}
`make size` has every module.

## On the broker

Default settings, 16 cells with slightly changing voltages, without the overhead of the MQTT protocol.

{broker}
{overlap}"""

LARGEST = """The goal was at most 60 KB for our code and 160 KB to load everything, with words of this length. It is not
reached. Where the memory goes, what it is on a board with its shorter words, and which boards have enough:
[Memory](../CONTRIBUTING.md#memory). The libraries of the screen, the wake line and TLS are loaded only when they are used.

"""


OVERLAP = """## Not implemented: overlapping requests

The line is full duplex, so the next request could be sent while the last frame of a response still arrives. Tested with a
simple program in simulated time, 16 cells, all nine functions in turn:

{table}
It would save a third of the time on a board that supports it. It is not implemented, for these reasons:

- No board is known to support it. Users of another project found that of several requests only the first gets a response
  (ESPHome, pull request 3388), and the BMS's manual describes one request at a time.
- On a board without support half of all requests are lost, each with a timeout: reading becomes more than twice as slow
  until that is detected, and a board that supports it only sometimes would have to be detected again and again.
- Two requests would be pending at the same time. Wrong values are kept out by the rule that a response must belong to *the*
  pending request: nothing else tells late responses, repeated responses and trailing frames apart.
"""


def poll_in_turn(ahead, options, seconds=60):
    """(time / limit, requests lost) of a simple program; `ahead`: the next request goes out when the last frame begins."""
    bms, reader, request, us = Bms(options), FrameReader(), bytearray(13), 0.0
    pending: list = []  # [function, frames to come, given up at]
    sent = lost = received = 0
    while us < seconds * 1e6:
        for byte in bms.transmit(us):
            received += 1
            if reader.feed(byte):
                for one in [one for one in pending if one[0] == reader.function][:1]:
                    one[1:] = one[1] - 1, us + GIVE_UP_US
        pending = [one for one in pending if one[1]]
        lost += sum(us > one[2] for one in pending)
        pending = [one for one in pending if us <= one[2]]
        is_last_frame = len(pending) == 1 and pending[0][1] == 1 and reader.partial()
        if not pending or (ahead and is_last_frame):
            function = MEASURED[sent % len(MEASURED)]
            sent += 1
            bms.receive(bytes(build_frame(request, 0x40, function)), us)
            us += 1e6 * FRAME_S
            pending.append([function, 6 if function == 0x95 else 1, us + GIVE_UP_US])
        us += PASS_US
    return us / 1e6 / limit_of(sent, received), lost / sent


def overlap_table():
    """What overlapping would bring."""
    rows = []
    for what, ahead, options in (
        ("one request at a time", False, "overlap=0"), ("overlapping, supported", True, "overlap=1"),
        ("overlapping, not supported", True, "overlap=0"), ("one at a time, 5 % damaged", False, "overlap=0,corrupt=5"),
        ("overlapping, supported, 5 % damaged", True, "overlap=1,corrupt=5"),
    ):  # fmt: skip
        ratio, lost = poll_in_turn(ahead, f"cells=16,temperatures=2,drift=0,think=5,{options}")
        rows.append((what, f"{ratio:.2f}", f"{100 * lost:.0f} %"))
    return table(("", "time / limit of one at a time", "requests lost"), rows)


def plot(names, clean):
    """docs/benchmark.svg: time over limit of each reader, and what cells cost, 4 cells = 1."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 280" font-family="sans-serif" font-size="12">',
        '<rect width="720" height="280" fill="white"/>',
        '<text x="20" y="22">time / limit of the own bytes, 4, 16, 48 cells</text>',
    ]
    y = 40
    for name in names:
        for cells in CELLS:
            if (name, cells) in clean:
                ratio = clean[name, cells].ratio
                parts.append(f'<rect x="20" y="{y}" width="{200 * min(ratio, 1.5):.1f}" height="16" fill="{COLOURS[name]}"/>')
                parts.append(f'<text x="26" y="{y + 12}" fill="white">{name}, {cells}: {ratio:.3f}</text>')
            y += 20
        y += 8
    parts.append(f'<line x1="220" y1="34" x2="220" y2="{y}" stroke="black" stroke-dasharray="4"/>')
    parts.append(f'<text x="224" y="{y + 4}">1</text>')
    parts.append('<text x="380" y="22">cost by number of cells, 4 cells = 1</text>')
    parts += [
        '<line x1="380" y1="240" x2="700" y2="240" stroke="black"/>',
        '<line x1="380" y1="34" x2="380" y2="240" stroke="black"/>',
    ]
    curves = {"limit of a poll cycle": ("#868e96", {c: cycle_limit(MEASURED, c) for c in CURVE})}
    curves["poll cycle, measured"] = (
        "#0b7285",
        {c: clean[OURS, c].ratio * cycle_limit(MEASURED, c) for c in CELLS if (OURS, c) in clean},
    )
    curves["garbage a publish"] = ("#e8590c", {c: cost.garbage for c, cost in costs().items()})
    curves["bytes a publish"] = ("#5f3dc4", {c: cost.state for c, cost in costs().items()})
    for number, (name, (colour, values)) in enumerate(curves.items()):
        if 4 in values:
            scale = values[4] if name != "poll cycle, measured" else cycle_limit(MEASURED, 4)
            points = " ".join(f"{380 + 6.4 * c:.0f},{240 - 50 * value / scale:.1f}" for c, value in values.items())
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<text x="390" y="{44 + 16 * number}" fill="{colour}">{name}</text>')
    parts += [f'<text x="{374 + 6.4 * c:.0f}" y="256">{c}</text>' for c in CURVE]
    parts += [f'<text x="364" y="{244 - 50 * n}">{n}</text>' for n in range(1, 5)]
    PLOT.write_text("\n".join([*parts, "</svg>"]) + "\n")


def write_made(name, text):
    """Replace one table in docs/BENCHMARK.md."""
    begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->"
    page = DOCUMENT.read_text()
    if begin in page:
        DOCUMENT.write_text(page.partition(begin)[0] + begin + text + end + page.partition(end)[2])


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--newer", action="store_true", help="only the table of D2 and P81")
    parser.add_argument("--boards", action="store_true", help="only the table of four boards on one line")
    parser.add_argument("--seconds", type=float, default=16, help="length of a clean run; a noisy one takes twice as long")
    options = parser.parse_args()
    if options.newer:
        with broker() as place:
            write_made("newer", newer_table(options.seconds, place))
        return
    if options.boards:
        write_made("boards", boards_table())
        return
    load = os.getloadavg()[0]
    names = NAMES if environment() else NAMES[:1]
    if len(names) == 1:
        print("dalybms and pydalybms cannot be installed here: only this firmware is measured.")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # with the permission, before other programs; the runs inherit it
    with broker() as place:
        clean, found = clean_table(names, options.seconds, place)
        noisy = noisy_table(names, 2 * options.seconds, found, options.seconds, place)
        newer = newer_table(options.seconds, place)
    text = PAGE.format(
        newer=newer, boards=boards_table(), thinks=", ".join(map(str, THINK_MS)), usual=USUAL_MS,
        load=load, cores=os.cpu_count(), clean=clean, paces=pace_table(), noisy=noisy, cost=cost_table(found),
        memory=memory_table(), broker=broker_table(60), overlap=OVERLAP.format(table=overlap_table()),
    )  # fmt: skip
    DOCUMENT.write_text(text)
    plot(names, found)
    print(text)


if __name__ == "__main__":
    main()
