# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""How well host/pace.py meets the chip: `python -m campaigns.calibration FOLDER`, with commit d2b9ee8 checked out in FOLDER.

That version was run on a CircuitPython 10.3 VM with 32-bit words which counted its bytecodes and was slowed down to a chip's
speed. MEASURED has what was found there; each figure of the model must be within 25 % of it. Writes the table of docs/CHIP.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from campaigns import chip
from campaigns.chip import Figures
from host import pace

ALLOWED = 0.25
SECONDS = 70
WATCHED = [
    "Poller._take_frame",
    "FrameReader.feed",
    "Poller.poll",
    "Publisher.poll",
    "Publisher._battery_state",
    "Health.pairs",
    "Publisher._announce",
    "Screen._page",
    "Panel.step",
]
RUNS = {"PC": ("pc", 16), "S3": ("s3", 16), "S2": ("s2", 16), "48 cells": ("s2", 48), "4 cells": ("s2", 4)}
JOINED_S = 3.0  # what Wi-Fi takes in the measured start; here it is pace.JOIN_S


def mean(figures: Figures, kind: str) -> float:
    """Bytecodes of a call."""
    work = figures.kinds[kind]
    return work.bytecodes / work.calls


def function(name: str):
    """What gives the mean of a function in a run."""
    return lambda figures: mean(figures, "function " + name)


def largest(name: str):
    """The same of its largest call."""
    return lambda figures: figures.kinds["function " + name].largest


STATE = function("Publisher._battery_state")
MEASURED = (  # what, run, measured, how the model has it
    ("idle pass, bytecodes", "PC", 1500, lambda f: f.idle),
    ("of it the publisher", "PC", 565, lambda f: f.kinds["function Publisher.poll"].median),
    ("of it the poller", "PC", 250, function("Poller.poll")),
    ("a byte received", "PC", 920 / 13, function("FrameReader.feed")),
    ("a frame decoded", "PC", 2650, function("Poller._take_frame")),
    ("after an answer's last byte, until the next request", "PC", 5500, lambda f: f.kinds["bms: request"].median),
    ("state, 4 cells", "4 cells", 40000, STATE),
    ("state, 16 cells", "S2", 57000, STATE),
    ("state, 48 cells", "48 cells", 103000, STATE),
    ("state of the bridge, without its JSON", "S2", 6000, function("Health.pairs")),
    ("discovery message, mean", "S2", 34000, function("Publisher._announce")),
    ("discovery message, largest", "S2", 73500, largest("Publisher._announce")),
    ("a page of the screen", "PC", 2900, function("Screen._page")),
    ("a step of drawing, mean", "PC", 570, function("Panel.step")),
    ("a step of drawing, largest", "PC", 4027, largest("Panel.step")),
    *((f"time / limit, {run}", run, value, lambda f: f.ratio)
      for run, value in (("PC", 1.022), ("S3", 1.308), ("S2", 1.453), ("48 cells", 1.459))),
    *((f"0x90 a second, {run}", run, value, lambda f: f.fast)
      for run, value in (("PC", 7.2), ("S3", 6.4), ("S2", 5.8), ("48 cells", 4.2))),
    *((f"longest pass, {run}, ms", run, value, lambda f: f.longest_ms)
      for run, value in (("S3", 126), ("S2", 176), ("48 cells", 331))),
    *((f"passes a second, {run}", run, value, lambda f: f.passes)
      for run, value in (("PC", 619), ("S3", 127), ("S2", 81), ("48 cells", 79))),
    ("code.py to the first value, S2, s", "S2", 9, lambda f: f.first_value_s - pace.JOIN_S + JOINED_S),
)  # fmt: skip


def compare(root: Path) -> tuple[str, bool]:
    """(the table, whether every figure is near enough)."""
    found = {name: chip.run(*which, SECONDS, root, watched=WATCHED) for name, which in RUNS.items()}
    lines, is_near = ["| | 32-bit VM | model | |", "|---|---|---|---|"], True
    for what, run, measured, of in MEASURED:
        value = of(found[run])
        # a ratio is compared by what lies above the wire's time
        base = 1 if what.startswith("time") and run != "PC" else 0
        error = (value - measured) / (measured - base)
        is_near = is_near and abs(error) <= ALLOWED
        lines.append(f"| {what} | {_number(measured)} | {_number(value)} | {100 * error:+.0f} % |")
    return "\n".join(lines) + "\n", is_near


def _number(value: float) -> str:
    return f"{value:,.3f}" if value < 2 else f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m campaigns.calibration", description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="where commit d2b9ee8 is")
    parser.add_argument("--write", action="store_true", help="write the table into docs/CHIP.md")
    options = parser.parse_args()
    table, is_near = compare(options.root.resolve())
    print(table)
    if options.write:
        chip.write("calibration", table)
    sys.exit(not is_near)


if __name__ == "__main__":
    main()
