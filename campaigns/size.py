# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`make size`: what the board's files take on the drive, and what loading them takes of the heap, as .py and as .mpy.

The heap is that of MicroPython from PyPI with 64-bit words, where pointers, and so most objects, are twice a board's. All our
code and all its libraries are loaded, as a board does with every option switched on; the chip's own modules are thin stand-ins
that are left out of the figures (campaigns/vm.py). The smallest heap is found by trial.
"""

from __future__ import annotations

import argparse
import ast
import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import bundle

ROOT = Path(__file__).resolve().parent.parent
VM = Path(sys.executable).parent / "micropython"
LOADED_FIRST = ("app.crash", "app.main")  # as code.py does
# loaded to read the settings or to describe a fault, then removed from memory
UNLOADED = ("app.advice", "app.plausible", "app.report", "daly.words", "mqtt.entities", "mqtt.homeassistant", "mqtt.trouble")
UNLOADED += ("mqtt.battery_components", "mqtt.bridge_entities", "mqtt.components")
UNLOADED += ("app.energy_restore", "app.gone", "app.nvm_earlier", "app.scan", "daly.scan", "web.metrics")
# loaded only with several batteries; those of the first line are removed again
SEVERAL = ("app.batteries", "mqtt.bank_discovery",
           "app.several", "battery.bank", "daly.buses", "daly.shared", "display.several", "mqtt.bank", "web.bank")  # fmt: skip
# loaded only with outputs, sensors, LED, sleep or PUBLISH_VICTRON, besides the packages of their own
EXTRAS = ("app.extras", "app.extras_hardware", "app.output_rules", "app.outputs_commands", "app.time_of_day",
          "battery.minute", "battery.sources", "display.outputs", "mqtt.source_discovery", "mqtt.source_parts", "mqtt.sources",
          "app.sleep", "app.status_led", "mqtt.sleeping", "mqtt.victron")  # fmt: skip
EXTRA_PACKAGES = ("outputs", "sensors", "adafruit_ds18x20", "adafruit_onewire", "neopixel")
# loaded when nothing else of these is: before anything else at the first start after an update, or in a steady state
ALONE = ("app.gone", "app.nvm_earlier", "app.scan", "daly.scan")
PROTOCOLS = (("daly.a5",), ("daly.modbus", "daly.p81"), ("daly.modbus", "daly.d2"))  # one of these stays
STEP_KB = 2  # resolution of the smallest heap


def write_drive(folder: Path, mpy: bool, packed: bool = True) -> tuple[int, int]:
    """Write the drive's Python files, libraries included; returns (their bytes, those of settings and documentation).

    `packed` False: compiled with the names of the source, for a script that calls them.
    """
    files = bundle.everything(mpy) if packed else bundle.compiled({**bundle.firmware(), **bundle.libraries()})
    code = 0
    for path, data in files.items():
        if path.endswith((".py", ".mpy")):
            target = folder / path.removeprefix("lib/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"M" + data[1:] if path.endswith(".mpy") else data)  # as the compiler made it
            code += len(data)
    return code, sum(len(data) for data in files.values()) - code


def modules(mpy: bool = False) -> list[str]:
    """Every module, libraries included, each after those that it imports: so its own memory can be measured."""
    files = {**bundle.libraries(), **bundle.firmware()}
    sources = {path.removeprefix("lib/"): data for path, data in (bundle.packed_once(files) if mpy else files).items()}
    sources = {path: data for path, data in sources.items() if path.endswith(".py") and path not in bundle.PLAIN}
    names = {_name(path): data.decode() for path, data in sources.items()}
    found: list[str] = []

    def visit(name: str) -> None:
        if name in names and name not in found:
            for needed in _imports(name, names[name]):
                visit(needed)
            if name not in found:
                found.append(name)

    for name in sorted(names, key=lambda name: (name.split(".")[0] in bundle.PACKAGES, name)):
        visit(name)
    return found


def _name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imports(name: str, text: str) -> list[str]:
    """The modules named in import statements at the top of a module, and its package."""
    package = name.rpartition(".")[0]
    needed = [package]
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            needed += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(part for part in (package if node.level else "", node.module or "") if part)
            needed += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return needed


def load(folder: Path, names: list[str], heap_kb: int = 4096) -> list[tuple[str, int]] | None:
    """[(module, bytes of heap it keeps)] when they are loaded one after the other; None: the heap is too small.

    Without the table of all names, which doubles, 7 KB, in whatever module its last place is taken; it is `names` at the end.
    """
    command = [VM, "-X", f"heapsize={heap_kb}k", ROOT / "campaigns" / "vm.py", *names]
    environment = {**os.environ, "MICROPYPATH": f"{folder}:.frozen"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "MemoryError" not in done.stdout + done.stderr:
        raise RuntimeError(done.stdout + done.stderr)
    if done.returncode:
        return None
    weights = []
    in_all = 0
    for name, weight, table in re.findall(r"^(\S+) (\d+)\nqstr pool: .*n_total_bytes=(\d+)$", done.stdout, re.MULTILINE):
        weights.append((name, int(weight) - int(table) + in_all))
        in_all = int(table)
    return [*weights, ("names", in_all)]


def functions() -> dict[str, int]:
    """{module: number of its functions and methods}: each costs memory before its first line."""
    sources = {**bundle.libraries(), **bundle.firmware()}
    sources = {**sources, **bundle.packed_once(sources)}  # the source's modules, and those that the bundle joins
    return {
        _name(path.removeprefix("lib/")): sum(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(data)))
        for path, data in sources.items()
        if path.endswith(".py")
    }


def smallest_heap(folder: Path, names: list[str]) -> int:
    """KB of the smallest heap in which they load, together with the stand-ins."""
    too_small, enough = 0, 4096
    while enough - too_small > STEP_KB:
        middle = (too_small + enough) // 2
        if load(folder, names, middle) is None:
            too_small = middle
        else:
            enough = middle
    return enough


def is_ours(name: str) -> bool:
    """Whether a module is no library."""
    return name.split(".")[0] in bundle.PACKAGES


def is_extra(name: str) -> bool:
    """Whether a module is loaded only with outputs, sensors, LED, sleep or PUBLISH_VICTRON."""
    return name in EXTRAS or name.split(".")[0] in EXTRA_PACKAGES


@functools.cache
def measured(mpy: bool) -> dict:
    """All figures of the drive with .py or .mpy files; those of the heap are missing without MicroPython."""
    names = modules(mpy)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        code, other = write_drive(folder, mpy)
        figures: dict = {"code": code, "other": other}
        if VM.exists():
            weights = load(folder, names)
            assert weights is not None
            figures["names"] = weights.pop()[1]
            figures["weights"] = weights
            protocols = {name: weight for name, weight in weights if any(name in modules for modules in PROTOCOLS)}
            left_out = (*UNLOADED, *SEVERAL, *protocols)
            ours = {n: weight for n, weight in weights if is_ours(n) and n not in left_out and not is_extra(n)}
            figures["extras"] = sum(weight for name, weight in weights if is_extra(name))
            figures["ours"] = sum(ours.values()) + max(sum(map(protocols.__getitem__, modules)) for modules in PROTOCOLS)
            figures["libraries"] = sum(weight for name, weight in weights if not is_ours(name))
            without = [name for name in reversed(names) if not is_extra(name)]
            of_one = [name for name in without if name not in (*SEVERAL, *ALONE)]
            figures["smallest"] = smallest_heap(folder, [*LOADED_FIRST, *of_one])
            figures["of_several"] = smallest_heap(folder, [*LOADED_FIRST, *without])
    return figures


def main() -> None:
    """Print the tables; with --zip FILE, those of the running firmware for another compiled bundle."""
    from campaigns import board_size

    parser = argparse.ArgumentParser(prog="make size", description=__doc__)
    parser.add_argument("--zip", type=Path, help="measure this compiled bundle, and only what it takes while it runs")
    archive = parser.parse_args().zip
    if archive is None:
        loaded()
    for line in board_size.tables(archive):
        print(line, flush=True)


def loaded() -> None:
    """Print what loading takes."""
    from campaigns import board_size

    plain, compiled = measured(False), measured(True)
    print(f"{'':52}{'.py':>10}{'.mpy':>10}")
    lines = [("drive: code and libraries, bytes", "code"), ("drive: settings and documentation, bytes", "other")]
    if VM.exists():
        lines += [
            ("heap for our code with the largest protocol, without names", "ours"),
            ("heap for the libraries, bytes", "libraries"),
            ("heap for the names of all, bytes", "names"),
        ]
        lines += [("smallest heap to load all of one battery, KB", "smallest")]
        lines += [("smallest heap to load all of several, KB", "of_several")]
    for what, key in lines:
        print(f"{what:52}{plain[key]:>10,}{compiled[key]:>10,}")
    if not VM.exists():
        print("MicroPython from PyPI is not installed here: no heap figures.")
        return
    count = functions()
    narrow = next((vm for vm in board_size.machines() if vm.name == "WebAssembly"), None)
    short: dict[str, int] = {}
    apart: dict[str, int] = {}
    if narrow:
        with board_size.board_drive() as folder:
            short = dict(board_size.weights(narrow, folder, modules(True)))
        with tempfile.TemporaryDirectory() as temporary:
            write_drive(Path(temporary), True, packed=False)
            apart = dict(board_size.weights(narrow, Path(temporary), modules()))
    print(f"{'heap of each module as in the bundle:':42} {'64 bit':>8} {'32 bit':>8} {'functions':>10}")
    for name, weight in sorted(compiled["weights"], key=lambda pair: -pair[1]):
        print(f"  {name:40} {weight:>8,} {short.get(name, 0):>8,} {count[name]:>10}")
    if apart:
        print("heap of each module of the source, compiled, with full names, 32 bit (a name counts where it is first):")
        for name, weight in sorted(apart.items(), key=lambda pair: -pair[1]):
            print(f"  {name:40} {weight:>8,} {count[name]:>10}")


if __name__ == "__main__":
    main()
