# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the whole firmware takes of the heap while it runs: campaigns/board.py in MicroPython with words of 64 and of 32 bits.

64 bits: MicroPython from PyPI, whose heap can be limited. 32 bits, as on a board: its WebAssembly build from npm in .node,
which shows what is live and what is garbage; for the smallest heap there, name a 32-bit build of MicroPython's unix port in
the environment variable MICROPYTHON_32. All figures are without the stand-ins.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from campaigns import bench
from host import drive
from tools import bundle

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "campaigns"
VM = Path(sys.executable).parent / "micropython"
NPM = "@micropython/micropython-webassembly-pyscript"
NPM_VERSION = "1.29.0-6"
NODE = ROOT / ".node"
SETTINGS = {
    "MQTT_BROKER": '"10.0.0.1"',
    "OLED": "true",
    "CIRCUITPY_WIFI_SSID": '"net"',
    "CIRCUITPY_WIFI_PASSWORD": '"password"',
}
SECONDS = 301  # simulated, to the second mark of board.py
STEADY_S = 255  # between its two marks
STEP_KB = 32  # of the search for the smallest heap
WELL = ("MemoryError", "memory allocation failed", "not read", "trouble")  # in the output none of these


class Vm(NamedTuple):
    """A MicroPython: `bits` of a word; `has_limit`: its heap can be limited."""

    name: str
    bits: int
    command: tuple
    has_limit: bool


class Run(NamedTuple):
    """One run: `values` as printed, `output` all lines, whether it went well."""

    values: dict
    output: str
    is_well: bool


def machines(install: bool = True) -> list[Vm]:
    """The MicroPythons there are here; `install`: also the WebAssembly build, which is fetched if necessary."""
    found = [Vm("PyPI", 64, (VM,), True)] if VM.exists() else []
    if os.environ.get("MICROPYTHON_32"):
        found.append(Vm("MICROPYTHON_32", 32, (os.environ["MICROPYTHON_32"],), True))
    build = webassembly() if install else None
    if build is not None:
        found.append(Vm("WebAssembly", 32, ("node", HERE / "board.mjs", build), False))
    return found


@functools.cache
def webassembly() -> Path | None:
    """The WebAssembly build, installed if necessary; None without node and npm, or without a network."""
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    package = NODE / "node_modules" / NPM
    try:
        if json.loads((package / "package.json").read_text())["version"] == NPM_VERSION:
            return package / "micropython.mjs"
    except (OSError, ValueError):
        pass
    NODE.mkdir(exist_ok=True)
    command = ["npm", "install", "--no-save", "--silent", "--prefix", NODE, f"{NPM}@{NPM_VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else package / "micropython.mjs"


@contextmanager
def board_drive(archive: Path | None = None, cells: int = 16, page: bool = False) -> Iterator[Path]:
    """A folder with the compiled bundle for MicroPython, settings, and the responses of a BMS. `archive`: another bundle.

    `page`: the page in the browser is on; run it with the word of that name.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = bundle.everything(True) if archive is None else _unpacked(archive)
        for path, data in files.items():
            if path.endswith((".py", ".mpy", ".html", ".gz")):
                target = folder / path.removeprefix("lib/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(b"M" + data[1:] if path.endswith(".mpy") else data)
        settings = next(data for path, data in files.items() if path in (bundle.EXAMPLE, bundle.SETTINGS))
        (folder / bundle.SETTINGS).write_bytes(drive.override(settings, SETTINGS | {"WEB_PORT": "80" if page else "0"}))
        (folder / "responses").write_text(bench.responses(f"cells={cells},temperatures=2,drift=0"))
        yield folder


def _unpacked(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def run(vm: Vm, folder: Path, seconds: int = SECONDS, *words: str, heap_kb: int = 64 * 1024) -> Run:
    """Run the firmware on this drive for some simulated seconds."""
    arguments: tuple = ("responses", str(seconds), *words)
    if vm.has_limit:
        command = [*vm.command, "-X", f"heapsize={heap_kb}k", HERE / "board.py", *arguments]
    else:
        command = [*vm.command, folder, "run", *arguments]
    environment = {**os.environ, "MICROPYPATH": f"{folder}:{HERE}:.frozen"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=300, check=False
    )
    output = done.stdout + done.stderr
    values: dict = {}
    for line in done.stdout.splitlines():
        if match := re.fullmatch(r"([a-z]+)( \d+)? (-?\d+)", line):
            values[match[1] + (match[2] or "").replace(" ", "_")] = int(match[3])
        elif match := re.search(r"n_total_bytes=(\d+)", line):
            values["names"] = int(match[1])
    is_well = not done.returncode and not any(word in output for word in WELL)
    return Run(values, output, is_well and values["messages"] > 0)  # a board with too little memory waits, and says so


def smallest_heap(vm: Vm, folder: Path, live_kb: int) -> int:
    """Bytes of the smallest heap in which the firmware runs for SECONDS, without the stand-ins; `live_kb` is too small."""
    too_small, step, base = live_kb, STEP_KB, 0
    enough = None
    while enough is None or enough - too_small > 1:
        middle = too_small + step if enough is None else (too_small + enough) // 2
        tried = run(vm, folder, SECONDS, "limited", heap_kb=middle)
        if tried.is_well:
            enough, base = middle, tried.values["base"]
        elif middle > 4 * live_kb:
            raise RuntimeError(tried.output[-2000:])
        else:
            too_small = middle
    return 1024 * enough - base


def pieces(vm: Vm, folder: Path, seconds: int = 100) -> list[tuple[int, int]]:
    """[(simulated ms, bytes)]: the largest piece allocated between two collections, once all is announced."""
    output = run(vm, folder, seconds, "pieces").output
    texts = re.findall(r"^map (\w+) (\d+)\n(.*?)(?=^map |\Z)", output, re.MULTILINE | re.DOTALL)
    maps = [(when, int(at), _blocks(text)) for when, at, text in texts]
    block = 32 if vm.bits == 64 else 16
    found = []
    for (before, _, old), (after, at, new) in pairwise(maps):
        if (before, after) == ("after", "before"):
            found.append((at, block * max((size for place, size in new.items() if old.get(place) != size), default=0)))
    return found


def _blocks(text: str) -> dict[int, int]:
    """{place: length} of every piece in a map of the heap, in blocks."""
    found: dict[int, int] = {}
    place, last = 0, -1
    for line in text.splitlines():
        if match := re.match(r"\s*\((\d+) lines all free", line):
            place += 64 * int(match[1])
        elif match := re.match(r"([0-9a-f]+): (\S+)$", line):
            for mark in match[2]:
                if mark == "=" and last >= 0:
                    found[last] += 1
                elif mark not in ".=":
                    last = place
                    found[last] = 1
                place += 1
    return found


# Of the version d2b9ee8, measured like this, and on a CircuitPython VM with 32-bit words (16 cells, screen on): bytes.
REFERENCE = "d2b9ee8"
REAL = {"live": 194300, "smallest": 231424, "start": 1016896, "garbage": 5800}
# name of the machine -> what it gives for the same: python -m campaigns.size --zip FILE, with the zip of that version
THEN: dict[str, dict[str, int]] = {
    "PyPI": {"live": 290464, "smallest": 325568, "start": 1387296, "garbage": 9201},
    "MICROPYTHON_32": {"live": 196240, "smallest": 221024, "start": 829024, "garbage": 4881},
    "WebAssembly": {"live": 193824, "start": 830752, "garbage": 4930},
}

LINES = (
    ("live", "live after 300 s, bytes"),
    ("live_45", "live after 45 s, bytes"),
    ("start", "allocated in the first 45 s, bytes"),
    ("garbage", "garbage a second, bytes"),
    ("peak", "most live at an import or collection, bytes"),
    ("smallest", "smallest heap for 300 s, bytes"),
    ("smallest_48", "the same with 48 cells, bytes"),
    ("piece", "largest piece after the start, bytes"),
    ("names", "interned names, bytes"),
)


def tables(archive: Path | None = None) -> Iterator[str]:
    """The lines of `make size` on the running firmware."""
    found = {vm: figures(vm, archive) for vm in machines()}
    yield f"{'the firmware running, 16 cells, screen':46}" + "".join(f"{vm.bits} bit, {vm.name}".rjust(24) for vm in found)
    for key, text in LINES:
        if any(key in values for values in found.values()):
            yield f"{text:46}" + "".join((f"{values[key]:,}" if key in values else "").rjust(24) for values in found.values())
    for vm, values in found.items():
        factors = [
            f"{key} {REAL[key] / then:.3f}" for key, then in THEN.get(vm.name, {}).items() if key in REAL and key in values
        ]
        if factors:
            yield f"factor to CircuitPython on a 32-bit VM ({REFERENCE}), {vm.name}: " + ", ".join(factors)
    if not any(vm.bits == 32 for vm in found):
        yield "32-bit words are not measured: node and npm are not installed here, or there is no network."


def weights(vm: Vm, folder: Path, names: list[str]) -> list[tuple[str, int]]:
    """[(module, bytes of heap it keeps)] in the WebAssembly build, loaded one after the other."""
    command = [*vm.command, folder, "weigh", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    pairs = [line.split() for line in done.stdout.splitlines()]
    return [(pair[0], int(pair[1])) for pair in pairs if len(pair) == 2 and pair[1].isdigit()]


def figures(vm: Vm, archive: Path | None = None) -> dict[str, int]:
    """Everything of one MicroPython. Raises RuntimeError when the firmware does not run well."""
    with board_drive(archive) as folder:
        done = run(vm, folder)
        if not done.is_well:
            raise RuntimeError(done.output[-2000:])
        values = done.values
        found = {"live": values["live_300"] - values["base"], "live_45": values["live_45"] - values["base"]}
        found |= {"start": values["taken_45"], "garbage": values["garbage_300"] // STEADY_S}
        if "names" in values:
            found["names"] = values["names"]
        if vm.has_limit:
            found["peak"] = run(vm, folder, 60, "peak").values["peak"] - values["base"]
            found["smallest"] = smallest_heap(vm, folder, values["live_300"] // 1024)
            largest = [size for at, size in pieces(vm, folder) if at > 45000]
            found["piece"] = max(largest, default=0)
    if vm.has_limit:
        with board_drive(archive, cells=48) as folder:
            found["smallest_48"] = smallest_heap(vm, folder, values["live_300"] // 1024)
    return found
