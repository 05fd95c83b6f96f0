# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Power cuts: `make powercuts` kills the firmware again and again, mostly in the middle of a write to its memory.

The unmodified firmware as a process with a real mosquitto (campaigns/chaos.py's bench), a memory that writes slowly, and
commands published moments before the cut. Conditions: no published counter decreases or counts energy that did not flow, no
command is executed twice. Prints a table for docs/RELIABILITY.md; exit status 1 if a condition was broken.
"""

from __future__ import annotations

import argparse
import binascii
import random
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.chaos import BASE, BMS, SETTINGS, Bench, write
from campaigns.mosquitto import PROGRAM, wait_until
from simulator.bms import CHARGE

ALLOW_COMMANDS = 'ALLOW_CONTROL = "charge_mosfet"\n'
# app/nvm_store.py: where its two records begin, and their length without the CRC, with one battery
SLOTS, RECORD = (640, 1152), 142
LOST_EVERY = 10  # every tenth cut loses the whole memory: the ESP32 rewrites all of it at each write
WRITE_S = 0.3  # host/trouble.py, nvm=slow
RETURN_LIMIT_S = 90  # for recovering
LATE_WH = 15  # a counter is received up to some seconds late, at 16 kW
COMMAND_LIMIT_S = 8.0  # daly/commands.py cancels a command after 6 s


@dataclass
class Result:
    """The result of all cuts."""

    cuts: int = 0
    torn: int = 0  # cuts that left half a record
    lost: int = 0  # cuts that lost the whole memory
    commands: int = 0
    executed: int = 0
    published: int = 0  # counters
    counted: float = 0  # Wh
    flowed: float = 0  # Wh that left the battery from the first power-on to the end
    counted_on: float = 0  # Wh between the first and the last counter of each power cycle
    flowed_on: float = 0  # Wh that left the battery in the same time
    wrong: list[str] = field(default_factory=list)


def run(folder: Path, cuts: int, seed: int = 1) -> Result:
    """Cut the power `cuts` times: every third time at random, otherwise in a write to the memory."""
    dice = random.Random(seed)
    result = Result()
    sent_at: list[float] = []
    lives: list[tuple[float, float]] = []
    memory = folder / "nvm"
    bench = Bench(folder, SETTINGS + ALLOW_COMMANDS, BMS + ",drift=0", oled=False)
    try:
        bench.set_trouble(nvm="slow")
        for number in range(cuts):
            born, before = time.monotonic(), _content(memory)
            if number % 3 == 2:
                _run_a_while(bench, result, born, sent_at, dice)
            else:
                _wait_for_write(memory, dice)
            bench.cut_power()
            lives.append((born, time.monotonic()))
            result.cuts += 1
            result.torn += _content(memory) != before and _is_torn(_content(memory))
            if number % LOST_EVERY == LOST_EVERY - 1:
                memory.unlink()
                result.lost += 1
            bench.start()
        born = time.monotonic()
        _run_a_while(bench, result, born, sent_at, dice)
        time.sleep(COMMAND_LIMIT_S)
        _check_energy(bench, result, [*lives, (born, time.monotonic())])
        _check_commands(bench, result, sent_at)
    finally:
        bench.close()
    return result


def _run_a_while(bench: Bench, result: Result, born: float, sent_at: list[float], dice: random.Random):
    """Wait until it has published, then mostly send a command, and wait a moment."""
    if not wait_until(lambda: bench.is_up(born) and _counted_since(bench, born), RETURN_LIMIT_S, 0.05):
        result.wrong.append("did not recover: " + " / ".join(bench.log(born)[-3:]))
        return
    if dice.random() < 0.7:
        sent_at.append(time.monotonic())
        bench.publish(BASE + "/bms1/charge_mosfet/set", dice.choice(("ON", "OFF")))
        time.sleep(dice.uniform(0, 0.3))
    else:
        time.sleep(dice.uniform(0, 3))


def _wait_for_write(memory: Path, dice: random.Random):
    """Until a write has begun, that of the boot counter or that of the first connection, and some bytes are written."""
    for pause_s in (0, 2 * WRITE_S)[: dice.choice((1, 2))]:
        time.sleep(pause_s)
        before = _content(memory)
        wait_until(lambda before=before: _content(memory) != before, 20, 0.002)
    time.sleep(dice.uniform(0, 1.2 * WRITE_S))  # sometimes it is complete, and nothing was published yet


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _is_torn(block: bytes) -> bool:
    """Whether a slot contains an incomplete record. A new memory cut while it was created is empty."""
    if not block:
        return False
    for begin in SLOTS:
        record = block[begin : begin + RECORD]
        (crc,) = struct.unpack_from("<I", block, begin + RECORD)
        if any(record) and crc != binascii.crc32(record):
            return True
    return False


def _counted_since(bench: Bench, since: float) -> bool:
    return bool(bench.published(since, BASE + "/bms1/energy"))


def _check_energy(bench: Bench, result: Result, lives: list[tuple[float, float]]):
    counters = bench.counters()
    published = [wh for _, wh in counters]
    result.published, result.counted = len(published), published[-1] if published else 0.0
    result.flowed = bench.true_energy(lives[0][0], time.monotonic())
    if published != sorted(published):
        result.wrong.append("a counter decreased")
    if result.counted > 1.01 * result.flowed + LATE_WH:
        result.wrong.append("a counter counted energy that did not flow")
    for begin, end in lives:
        life = [(at, wh) for at, wh in counters if begin <= at <= end]
        if len(life) > 1:
            result.counted_on += life[-1][1] - life[0][1]
            result.flowed_on += bench.true_energy(life[0][0], life[-1][0])
    late = LATE_WH * len(lives)
    if result.counted_on > 1.1 * result.flowed_on + late or result.counted_on < 0.5 * result.flowed_on - late:
        result.wrong.append("between the cuts the energy counted is not the energy that flowed")


def _check_commands(bench: Bench, result: Result, sent_at: list[float]):
    result.commands = len(sent_at)
    written = bench.written(CHARGE)
    result.executed = len(written)
    for at in written:
        causes = [sent for sent in sent_at if 0 <= at - sent <= COMMAND_LIMIT_S]
        if not causes:
            result.wrong.append("a command was executed that had not been sent just before")
        else:
            sent_at.remove(causes[0])


def table(result: Result) -> str:
    """The result as a Markdown table."""
    rows = (
        (
            "Power cuts",
            f"{result.cuts}, of which {result.torn} left half a record in the memory and {result.lost} lost all of it",
        ),
        ("Counters published", f"{result.published}, none less than the previous one" if not result.wrong else "see below"),
        ("Energy between the cuts", f"{result.counted_on:.0f} Wh counted of {result.flowed_on:.0f} Wh that flowed"),
        ("Energy in all", f"{result.counted:.0f} Wh counted of {result.flowed:.0f} Wh, most of which flowed without power"),
        ("Commands", f"{result.commands} sent just before a cut, {result.executed} executed, none twice and none later"),
        ("Result", "; ".join(result.wrong) or "ok"),
    )
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {text} |\n" for name, text in rows)


def main():
    parser = argparse.ArgumentParser("campaigns.powercuts", description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the table into docs/RELIABILITY.md")
    options = parser.parse_args()
    if PROGRAM is None:
        sys.exit("mosquitto is not installed: apt install mosquitto")
    with tempfile.TemporaryDirectory(prefix="daly-powercuts-") as folder:
        result = run(Path(folder), options.cuts, options.seed)
    print(table(result))
    if options.write:
        write("powercuts", table(result))
    sys.exit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
