# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`python -m campaigns.stack`: how much of CircuitPython's call stack, the pystack of 2,048 bytes, the firmware takes.

Every function and module of the packed bundle notes at its beginning how deep it is; then the firmware runs in MicroPython's
WebAssembly build (campaigns/board.mjs), from code.py on. Its frames are those of a board: a header of 20 bytes and 4 for each
local variable and each value on the function's own stack. d2b9ee8 has 1,648 bytes in this way (its loop's 1,296 and the 352
below it that campaigns/board.py leaves out when it runs in slices); a real 32-bit CircuitPython VM was measured at 1,600.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from campaigns import bench, board_size
from host import drive
from tools import bundle, pack, pack_merge

LIMIT = 1300  # of 2,048 bytes: what may be added later, and what no run here has met, needs some, too
SECONDS = 150
TOP = 12
# What happens in each run: words of campaigns/board.py, and settings besides
RUNS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "undisturbed, with the page": (("page",), {"WEB_PORT": "80"}),
    "no BMS": (("silent",), {}),
    "outages, and commands": (("outages", "page"), {"WEB_PORT": "80", "ALLOW_CONTROL": '"all"'}),
}
# on the drive: `s_` is called first in every function, with its number
PROBE = """
import micropython

use = micropython.pystack_use
FRAME = 24  # of s_ itself
floor = 0
SIZE = 256
last = [(0, 0)] * SIZE  # the calls of late: number, depth
calls = 0
most = {}  # number -> depth
chains = {}  # number -> the callers then, innermost first


def s_(number):
    global calls
    depth = use() - FRAME - floor
    last[calls % SIZE] = (number, depth)
    calls += 1
    if depth > most.get(number, 400):
        most[number] = depth
        chain = []
        for back in range(1, min(calls, SIZE) + 1):
            called = last[(calls - back) % SIZE]
            if not chain or called[1] < chain[-1][1]:
                chain.append(called)
        chains[number] = chain


def tell():
    for number in most:
        print("deepest", most[number], number, " ".join(["%d:%d" % called for called in chains[number]]))
"""


class Deepest(NamedTuple):
    """A function at its deepest. `chain`: [(function, depth)] of the calls that may have led there, outermost first."""

    depth: int
    name: str
    chain: list[tuple[str, int]]


class Probed:
    """The packed bundle with a probe in each function; `names`: of each by number."""

    def __init__(self) -> None:
        sources = {**bundle.firmware(), **bundle.libraries()}
        self._ours = {path: data.decode() for path, data in sources.items() if pack.is_ours(path)}
        self._origins = pack_merge.origins(self._ours)
        self.names: list[str] = []
        packed = bundle.packed_once(sources)
        self.files = bundle.compiled(
            {
                path: self._with_probes(path, data.decode()).encode() if path.endswith(".py") and path != "code.py" else data
                for path, data in packed.items()
            }
        )

    def _with_probes(self, path: str, text: str) -> str:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                at = sum(isinstance(one, ast.Global | ast.Nonlocal) for one in node.body)
                node.body.insert(at, self._probe(self._name(path, node)))
        tree.body[:0] = [*ast.parse("from stack_probe import s_").body, self._probe(path)]
        return ast.unparse(ast.fix_missing_locations(tree))

    def _probe(self, name: str) -> ast.stmt:
        self.names.append(name)
        return ast.parse(f"s_({len(self.names) - 1})").body[0]

    def _name(self, path: str, node: ast.FunctionDef) -> str:
        if node.lineno > len(self._origins.get(path, ())):  # a library, or added by the packer
            return f"{path} {node.name}"
        original, line = self._origins[path][node.lineno - 1]
        found = re.search(r"def (\w+)", "\n".join(self._ours[original].splitlines()[line - 1 : line + 1]))
        return f"{original} {found[1] if found else node.name}"


def run(probed: Probed, words: tuple[str, ...] = (), settings: dict[str, str] | None = None) -> list[Deepest]:
    """The functions that were deepest, the deepest first. Raises RuntimeError when the firmware does not run well."""
    vm = next(vm for vm in board_size.machines() if vm.name == "WebAssembly")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path, data in probed.files.items():
            if path.endswith((".py", ".mpy", ".gz")):
                target = folder / path.removeprefix("lib/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(b"M" + data[1:] if path.endswith(".mpy") else data)
        values = board_size.SETTINGS | {"WEB_PORT": "0"} | (settings or {})
        (folder / bundle.SETTINGS).write_bytes(drive.override(probed.files[bundle.EXAMPLE], values))
        (folder / "responses").write_text(bench.responses("cells=16,temperatures=2,drift=0"))
        (folder / "stack_probe.py").write_text(PROBE)
        command = [*vm.command, folder, "stack", "responses", str(SECONDS), *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    found = []
    for depth, number, chain in re.findall(r"^deepest (\d+) (\d+) (.+)$", done.stdout, re.MULTILINE):
        pairs = [called.split(":") for called in reversed(chain.split())]
        found.append(
            Deepest(int(depth), probed.names[int(number)], [(probed.names[int(one)], int(deep)) for one, deep in pairs])
        )
    if done.returncode or not found:
        raise RuntimeError((done.stdout + done.stderr)[-3000:])
    return sorted(found, key=lambda one: -one.depth)


def main() -> None:
    """Print the deepest functions of each run, and how the program came there."""
    probed = Probed()
    for name, (words, settings) in RUNS.items():
        found = run(probed, words, settings)
        print(f"{name}: {found[0].depth} of {LIMIT} bytes")
        for one in found[:TOP]:
            print(f"  {one.depth} {one.name}")
            if one.depth > LIMIT - 100:
                print("      " + " > ".join(f"{called.rpartition(' ')[2]} {depth}" for called, depth in one.chain))


if __name__ == "__main__":
    main()
