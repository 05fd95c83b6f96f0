"""`make bench`: this firmware beside the PyPI readers dalybms and pydalybms, on the same simulated line, in one run.

Everything is measured from the BMS's own side: the log of host.line has every request and every answer with its time. The
limit is what just that reader's own bytes take at 9600 baud, plus the thinking time; a ratio of 1 cannot be beaten without
sending fewer bytes. Ratios are printed, no bare seconds: machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
READERS = ROOT / ".readers"  # the other readers' own environment
REQUIREMENTS = ("dalybms==0.5.0", "pydalybms==0.1.0")
OURS = "this firmware"
NAMES = (OURS, "dalybms", "pydalybms")
CELLS = (4, 16, 48)
THINK_S = 0.005
BYTE_S = 10 / 9600
WARM_UP_S = 4  # pacing has settled, discovery is said


class Run(NamedTuple):
    """One reader on one line: what the BMS logged, what was published as (time, {key: value}), CPU seconds after warm-up."""

    log: list
    published: list
    cpu: float
    begun: float
    messages: int
    sent: int


class Row(NamedTuple):
    """The figures of one run."""

    ratio: float  # elapsed time to the limit of the own bytes
    refresh_bytes: float  # bytes per refresh of all cells
    fast: float  # 0x90 answers per second
    first: float  # refreshes (of its own) until the first complete data
    refreshes: float  # complete refreshes of all cells per second
    wrong: int
    of: int
    cpu_us: float  # per frame
    messages: float  # per hour
    volume: float  # bytes per hour at the broker


def measure(name, options, seconds):
    """Run one reader for `seconds` on a line with `options`."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        line = subprocess.Popen(
            [sys.executable, "-m", "host.line", "--bms", options, "--log", str(log)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        port = line.stdout.readline().strip()
        begun = time.monotonic()
        published, cpu, messages, sent = (run_ours if name == OURS else run_reader)(name, port, seconds, folder)
        line.stdin.close()
        line.wait()
        events = [json.loads(text) for text in log.read_text().splitlines()]
    return Run(events, published, cpu, begun, messages, sent)


def run_ours(_name, port, seconds, folder):
    """`python -m host` as it is, with screen and embedded broker; what it publishes is read off its plain log."""
    settings = Path(folder) / "settings.toml"
    settings.write_text('MQTT_BROKER = "127.0.0.1"\nDEAD_BAND_PERCENT = 0\nCELLS_INTERVAL = 1\nPUBLISH_INTERVAL = 1\n')
    host = subprocess.Popen(
        [sys.executable, "-m", "host", "--plain", "--uart", port, "--settings", str(settings), "--seconds", str(seconds)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    cpu_at = []
    threading.Timer(WARM_UP_S, lambda: cpu_at.append(cpu_of(host.pid))).start()
    threading.Timer(seconds - 1, lambda: cpu_at.append(cpu_of(host.pid))).start()
    published, messages, sent = [], 0, 0
    for text in host.stdout:
        rest = text.partition(" -> ")[2]
        if rest and "/config " not in rest:
            topic, _, payload = rest.rstrip("\n").partition(" ")
            messages += 1
            sent += len(topic) + len(payload)
            if topic.endswith("/bms1/state"):
                published.append((time.monotonic(), {k: v for k, v in json.loads(payload).items() if v is not None}))
    host.wait()
    return published, (cpu_at[1] - cpu_at[0]) if len(cpu_at) == 2 else 0.0, messages, sent


def run_reader(name, port, seconds, _folder):
    """A PyPI reader in its own environment, refreshing as fast as it can."""
    command = [str(READERS / "bin" / "python"), str(ROOT / "host" / "readers.py"), name, port, str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    published = [(line["t"], line["values"]) for line in lines if line["values"]]
    cpu = lines[-1]["cpu"] - lines[0]["cpu"] if lines else 0.0
    return published, cpu, 0, 0


def cpu_of(pid):
    """User and system seconds of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def figures(run, seconds):
    """What a run comes to."""
    requests = [e for e in run.log if "request" in e]
    answers = [e for e in run.log if "answer" in e]
    since = run.begun + WARM_UP_S
    late = [e for e in requests if e["t"] >= since]
    if len(late) < 3:
        return None
    begin, end = late[0]["t"], late[-1]["t"]
    heard = [e for e in answers if begin <= e["t"] < end]
    frames = len(late) - 1 + sum(len(e["answer"]) // 26 for e in heard)
    size = 13 * (len(late) - 1) + sum(len(e["answer"]) // 2 for e in heard)
    limit = size * BYTE_S + THINK_S * (len(late) - 1)
    cells = sum(e["request"][4:6] == "95" for e in late)
    fast = sum(e["request"][4:6] == "90" for e in late)
    elapsed = end - begin
    wrong = sum(is_wrong(values, requests[0]["truth"]) for _, values in run.published)
    first = next((t for t, values in run.published if "cell_1_voltage" in values and "pack_voltage" in values), None)
    refresh = elapsed / cells if cells else None
    hours = seconds / 3600
    return Row(
        elapsed / limit, size / cells if cells else 0, fast / elapsed,
        (first - requests[0]["t"]) / refresh if first and refresh else float("nan"), cells / elapsed,
        wrong, len(run.published), 1e6 * run.cpu / max(1, frames), run.messages / hours, run.sent / hours,
    )  # fmt: skip


def is_wrong(values, truth):
    """Whether any number differs from what the BMS holds; drift is off, so that is always the same."""
    for key in ("pack_voltage", "current", "soc", *(key for key in truth if key.endswith("_voltage"))):
        if key in values and key in truth and abs(float(values[key]) - float(truth[key])) > 1e-6:
            return True
    return False


def environment():
    """The other readers, in an environment of their own; None when they cannot be had."""
    if not (READERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(READERS)], check=True)
        pip = [str(READERS / "bin" / "pip"), "-q", "--disable-pip-version-check", "install", *REQUIREMENTS]
        if subprocess.run(pip, stderr=subprocess.DEVNULL, check=False).returncode:
            return False
        (READERS / "ready").touch()
    return True


def table(title, header, rows):
    """A Markdown table."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    text = [title, "", "| " + " | ".join(str(c).ljust(w) for c, w in zip(header, widths, strict=True)) + " |"]
    text.append("|" + "|".join("-" * (w + 2) for w in widths) + "|")
    text += ["| " + " | ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join(text) + "\n"


def clean_table(names, seconds):
    """Clean lines of 4, 16, 48 cells, and what our own cost grows with."""
    rows, curve = [], {}
    for cells in CELLS:
        for name in names:
            row = figures(measure(name, f"cells={cells},temperatures=2,drift=0,think=5", seconds), seconds)
            if row is None:
                rows.append((cells, name, *["no data"] * 6))
                continue
            curve[name, cells] = row
            rows.append((cells, name, f"{row.ratio:.3f}", f"{row.refresh_bytes:.0f}", f"{row.first:.1f}", f"{row.fast:.1f}",
                         f"{row.wrong} of {row.of}", f"{row.cpu_us:.0f}"))  # fmt: skip
            print(rows[-1], flush=True)
    header = (
        "cells",
        "reader",
        "time / limit",
        "bytes / refresh",
        "first data, refreshes",
        "0x90 a second",
        "wrong",
        "µs CPU / frame",
    )
    return table("## Clean line, think time 5 ms", header, rows), curve


def noisy_table(names, seconds, curve):
    """1 and 5 % of frames damaged, 16 cells."""
    rows = []
    for percent in (1, 5):
        for name in names:
            row = figures(measure(name, f"cells=16,temperatures=2,drift=0,think=5,corrupt={percent}", seconds), seconds)
            clean = curve.get((name, 16))
            if row is None or clean is None:
                rows.append((f"{percent} %", name, "no data", ""))
                continue
            # a PyPI reader's refresh counts when it is handed over whole, ours when the cells have been asked and answered;
            # noisy runs are twice as long as clean ones
            kept = row.refreshes / clean.refreshes if name == OURS else row.of / (2 * clean.of)
            rows.append((f"{percent} %", name, f"{100 * min(1, kept):.0f} %", f"{row.wrong} of {row.of}"))
            print(rows[-1], flush=True)
    return table("## Damaged frames, 16 cells", ("damaged", "reader", "refreshes kept", "wrong refreshes"), rows)


def broker_table(seconds):
    """What the defaults put on the broker."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.toml"
        settings.write_text('MQTT_BROKER = "127.0.0.1"\n')
        command = [sys.executable, "-m", "host", "--plain", "--settings", str(settings), "--seconds", str(seconds), "--bms"]
        done = subprocess.run([*command, "cells=16"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False)  # fmt: skip
    said = [text.partition(" -> ")[2] for text in done.stdout.splitlines() if " -> " in text and "/config " not in text]
    hours = seconds / 3600
    row = (f"{len(said) / hours:.0f}", f"{sum(map(len, said)) / hours / 1e6:.1f} MB")
    return table("## On the broker, default settings, 16 drifting cells", ("messages an hour", "bytes an hour"), [row])


def plot(names, curve):
    """docs/benchmark.svg: ratio to the limit per reader, and bytes of a refresh against cells."""
    colours = dict(zip(NAMES, ("#0b7285", "#e8590c", "#5f3dc4"), strict=True))
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 260" font-family="sans-serif" font-size="12">',
             '<rect width="640" height="260" fill="white"/>',
             '<text x="20" y="20">time / limit of the own bytes, 16 cells</text>']  # fmt: skip
    for i, name in enumerate(names):
        if (name, 16) in curve:
            ratio = curve[name, 16].ratio
            parts.append(f'<rect x="20" y="{40 + 44 * i}" width="{160 * ratio:.0f}" height="22" fill="{colours[name]}"/>')
            parts.append(f'<text x="24" y="{56 + 44 * i}" fill="white">{name} {ratio:.2f}</text>')
    parts.append(
        '<line x1="180" y1="32" x2="180" y2="170" stroke="black" stroke-dasharray="4"/><text x="184" y="184">1.0</text>'
    )
    parts.append('<text x="340" y="20">bytes on the wire of one refresh, by cells</text>')
    for name in names:
        points = [(340 + 5 * c, 230 - curve[name, c].refresh_bytes / 3.2) for c in CELLS if (name, c) in curve]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
    for c in CELLS:
        parts.append(f'<text x="{335 + 5 * c}" y="248">{c}</text>')
    (ROOT / "docs" / "benchmark.svg").write_text("\n".join([*parts, "</svg>"]) + "\n")


def main():
    """Measure, print and write docs/BENCHMARK.md."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=14, help="length of each run")
    options = parser.parse_args()
    names = NAMES if environment() else NAMES[:1]
    if len(names) == 1:
        print("dalybms and pydalybms cannot be installed here: only this firmware is measured.")
    clean, curve = clean_table(names, options.seconds)
    parts = [clean, noisy_table(names, 2 * options.seconds, curve), broker_table(60)]
    text = f"# Benchmark\n\n{__doc__.partition(chr(10))[2].strip()}\n\n" + "\n".join(parts)
    text += "\n![ratio per reader, cost against cells](benchmark.svg)\n\nMemory and sizes: `make size`.\n"
    (ROOT / "docs" / "BENCHMARK.md").write_text(text)
    plot(names, curve)
    print(text)


if __name__ == "__main__":
    main()
