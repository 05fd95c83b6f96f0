# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`make faults`: runs the campaign, prints its tables and writes them into docs/TRUTH.md."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys

from . import ROOT
from .cases import ALL, CASES, CELLS, FIVE, MILLION, UNDETECTED, VARIANTS, Result, campaign, jobs_of
from .judge import KINDS
from .line import run
from .trials import EXTREMES, PACES, diagnose, extreme, pace, situations_of

DOCUMENT = ROOT / "docs" / "TRUTH.md"
COLUMNS = ("line", "frames", "damaged", "values", *KINDS, "energy off", "refreshes lost", "longest gap")
COLUMNS += ("current, MOSFET after", "back after")
HEADER = "| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|"
NAMES = {"a5": "A5", "d2": "D2", "p81": "P81"}
LESS = {"a5": 1, "d2": 5, "p81": 5}  # a response in these has ten times the bytes and all the readings: fewer are enough
EXAMPLES = 2  # of each kind of finding, below the line


def row_of(result: Result) -> str:
    """A line of the table."""
    lags = f"{result.lag('current'):.1f} s, {result.lag('charge_mosfet', 'discharge_mosfet'):.1f} s"
    back = "" if result.back is None else f"{result.back:.1f} s"
    lost = 0.0 if abs(result.lost) < 0.05 else result.lost
    cells = [result.case.name, f"{result.frames:,}", f"{result.damaged:,}", f"{result.values:,}"]
    cells += [str(result.kinds[kind]) for kind in KINDS]
    cells += [f"{result.energy_error + 0:.1f} %", f"{lost:.1f} %", f"{result.gap:.1f} s", lags, back]
    return "| " + " | ".join(cells) + " |"


def examples_of(result: Result) -> list[str]:
    """The first findings of each kind, as comments."""
    lines = result.lines()
    return [f"<!-- {text} -->" for kind in KINDS for text in [t for t in lines if t.startswith(kind + ":")][:EXAMPLES]]


def goals_of(results: list[Result], diagnoses: list, extremes: list) -> list[tuple[str, bool]]:
    """Each goal in words with its figure, and whether it was met."""
    by_name = {result.case.name: result for result in results}
    five = [result for result in results if result.case.name in FIVES]
    million, clean, one = by_name["5 % corrupted"], by_name["nothing damaged"], by_name["1 % corrupted"]
    wrong = [situation.name for situation, _, right in diagnoses if not right]
    gap = max(result.gap for result in five)
    step = clean.lag("current")
    total = sum(result.frames for result in results)
    goals = [
        (
            f"{WORDS[kind]} in {million.frames:,} frames at 5 %: {million.kinds[kind]}; in all {total:,}: {count}",
            not count,
        )
        for kind in KINDS
        for count in [sum(result.kinds[kind] for result in results)]
    ]
    return [
        *goals,
        (f"longest gap on any line with 5 % damage: {gap:.1f} s, under 2 s", gap < 2),
        (f"refreshes lost at 1 %: {one.lost:.1f} %, at most 2 %", one.lost <= 2),
        (f"wrong diagnoses: {len(wrong)} of {len(diagnoses)}", not wrong),
        (f"step of up to 1000 A accepted on a clean line after {step:.1f} s at most, under 1.5 s", step < 1.5),
        (f"extremes not published as they were sent: {len(extremes)}", not extremes),
    ]


FIVES = {case.name for case in CASES if case.name.startswith("5 %")}
WORDS = {
    "wrong": "values the BMS never measured",
    "contradicts": "values that contradict those next to them",
    "stale": "values older than promised",
    "zero": "zeros not shown",
    "missing": "values that were sent and not shown",
    "energy": "counters that decreased or were wrong",
    "reason": "diagnoses that do not fit the numbers",
}


def report(pool, frames: int, seed: int, draws: int, protocol: str):
    """Run everything; yield the lines of the report, the last ones the goals. Returns whether all were met."""
    results = []
    for title, cases in (("Damaged lines:", CASES), ("Boards, batteries and settings:", VARIANTS)):
        yield f"{title}\n"
        yield HEADER
        examples = []
        for result in campaign(pool, cases, frames, seed, protocol=protocol):
            results.append(result)
            yield row_of(result)
            examples += examples_of(result)
        yield "\n".join(["", *examples, ""])
    yield "Undetected errors: the checksum is right, and only the content gives them away:\n"
    yield HEADER
    for result in campaign(pool, UNDETECTED, frames, seed, protocol=protocol):
        yield row_of(result)
    diagnoses = pool.starmap(diagnose, [(number, protocol) for number in range(seed, seed + draws)], 4)
    yield "\n| situation | drawn | wrong diagnosis |\n|---|---|---|"
    for situation in situations_of(protocol):
        mine = [(text, right) for drawn, text, right in diagnoses if drawn == situation]
        yield f"| {situation.name} | {len(mine)} | {sum(not right for _, right in mine)} |"
    yield "\n".join(["", *[f"<!-- {drawn.name}: {text} -->" for drawn, text, right in diagnoses if not right], ""])
    yield "| response delay | ignores requests after a response for | time / limit | gap found | requests lost in 30 s |"
    yield "|---|---|---|---|---|"
    paces = pool.starmap(pace, [(think, deaf, protocol) for think, deaf in PACES], 1)
    for (think, deaf), (ratio, gap, lost) in zip(PACES, paces, strict=True):
        yield f"| {think} ms | {deaf} ms | {ratio:.2f} | {gap} ms | {lost} |"
    tried = [(name, damage) for name in EXTREMES for damage in ("", "corrupt=1", FIVE)]
    missing = pool.starmap(extreme, [(EXTREMES[name], damage, protocol) for name, damage in tried], 1)
    extremes = [f"{name} {damage}: {', '.join(keys)}" for (name, damage), keys in zip(tried, missing, strict=True) if keys]
    yield f"\nExtremes, each on a clean line and with 1 and 5 % corrupted: {', '.join(EXTREMES)}.\n"
    yield from (f"<!-- {problem} -->" for problem in extremes)
    yield "\n| goal | |\n|---|---|"
    goals = goals_of(results, diagnoses, extremes)
    for words, met in goals:
        yield f"| {words} | {'met' if met else '**missed**'} |"
    return all(met for _, met in goals)


def marks(protocol: str) -> tuple[str, str]:
    """What the report of a protocol stands between in docs/TRUTH.md."""
    return (f"<!-- campaign {NAMES[protocol]} -->\n", f"<!-- end of campaign {NAMES[protocol]} -->")


def write(lines: list[str], protocol: str):
    """Put the report between its marks in docs/TRUTH.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = marks(protocol)
    before, rest = text.split(begin)
    DOCUMENT.write_text(before + begin + "\n".join(lines) + "\n" + end + rest.split(end)[1], encoding="utf-8")


def quiet():
    """The firmware talks of what it finds out; two hundred of it talk too much."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def one_line(name: str, cells: int, seed: int, frames: int, protocol: str) -> int:
    """Run one line of a case and print what is found on it, to look into it; 1 when anything is."""
    cases = [case for case in (*CASES, *VARIANTS, *UNDETECTED) if case.name == name]
    if not cases:
        print(f"There is no case {name!r}; there are:", *[case.name for case in (*CASES, *VARIANTS, *UNDETECTED)], sep="\n  ")
        return 2
    jobs = jobs_of(cases[0], frames * len(CELLS[protocol]), frames, seed, protocol)
    tally = run(next(job for job in jobs if job.cells == cells))
    for finding in tally.findings:
        print(f"{finding.at:7.1f} s  {finding.kind}: {finding.words}")
    return int(bool(tally.findings))


def one_protocol(pool, protocol: str, frames: int, seed: int, draws: int, is_written: bool) -> bool:
    """Run, print and write the campaign of one protocol; whether all goals were met."""
    lines = []
    running = report(pool, frames, seed, draws, protocol)
    while True:
        try:
            lines.append(next(running))
        except StopIteration as end:
            met = end.value
            break
        print(lines[-1], flush=True)
    if is_written:
        command = "make faults" if protocol == "a5" else f"make faults ARGS=--protocol={protocol}"
        write([f"`{command}`, {frames:,} frames, seed {seed}:\n", *lines], protocol)
    return met


def main() -> int:
    """Run, print, write; 1 when a goal is missed."""
    about = "Drives the firmware over damaged lines in simulated time and judges what a subscriber receives."
    parser = argparse.ArgumentParser(prog="python -m campaigns.faults", description=about)
    parser.add_argument(
        "--frames",
        type=int,
        help=f"frames at 5 %% corruption; other cases have their share of it ({MILLION:,}; D2 and P81 a fifth)",
    )
    parser.add_argument("--protocol", choices=(*ALL, "all"), default="all", help="the BMS's protocol (all)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another campaign")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of it; nothing is written")
    parser.add_argument("--line", metavar="CASE", help="only one line of this case, and everything that is found on it")
    parser.add_argument("--cells", type=int, default=16, choices=(4, 16, 32, 48), help="with --line: which pack (16)")
    options = parser.parse_args()
    protocols = ALL if options.protocol == "all" else (options.protocol,)
    if options.line:
        frames = min(options.frames or 8000, 8000 // LESS[protocols[0]])
        return one_line(options.line, options.cells, options.seed, frames, protocols[0])
    met = True
    with multiprocessing.Pool(initializer=quiet) as pool:
        for protocol in protocols:
            frames = options.frames or MILLION // LESS[protocol]
            if len(protocols) > 1:
                print(f"\n{NAMES[protocol]}\n")
            shares, draws = (50, 40) if options.quick else (1, 400)
            met &= one_protocol(pool, protocol, frames // shares, options.seed, draws, not options.quick)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
