# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is connected to the chip's UARTs, simulated BMS or serial devices, and the settings with which the firmware reads them.

A line is a UART's number, from 1. Boards of which nothing else is said have the numbers 1, 2, ... on their line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from host import drive

MOST = 16  # boards on a line
# Pins of the stand-in board for a UART that the settings do not name; the first UART has TX and RX
FREE_PINS = ("IO17", "IO18", "IO15", "IO16", "IO11", "IO12", "IO35", "IO36")


def of_simulated(texts: Sequence[str], uarts: int) -> dict[int, list[str]]:
    """Line -> the option texts of its boards, each with its number; of several `--bms`. Raises ValueError with a sentence."""
    lines: dict[int, list[dict[str, str]]] = {}
    for text in texts:
        options = _options(text)
        lines.setdefault(_line(options.pop("uart", "1"), uarts), []).append(options)
    if 1 not in lines:
        raise ValueError("there is no BMS on the first UART; leave out the uart= of one of them.")
    for line, boards in lines.items():
        if len(boards) > 1 and any(options.get("protocol") == "d2" for options in boards):
            raise ValueError(f"in D2 a board has no number, so it is the only one on its UART; {_other(line, lines, uarts)}")
        _give_numbers(boards)
    return {line: [_text(options) for options in lines[line]] for line in sorted(lines)}


def numbers(texts: Sequence[str]) -> list[int]:
    """The numbers of the boards on a line of `of_simulated`, each once. What is wrong with them is the simulator's to say."""
    found: set[int] = set()
    for text in texts:
        found.update(_numbers(_options(text)))
    return sorted(found)


def settings(lines: Mapping[int, Sequence[int]], text: bytes) -> dict[str, str | None]:
    """The settings, as TOML, with which the firmware reads all these boards: line -> their numbers; `text`: the settings.toml.

    Lines without numbers are real ones: they only get the pins that the file does not give them.
    """
    found: dict[str, str | None] = {}
    used = b" ".join(row for row in text.splitlines() if not row.lstrip().startswith(b"#"))
    free = [pin for pin in FREE_PINS if pin.encode() not in used]
    for line, boards in lines.items():
        start = "UART_" if line == 1 else f"UART_{line}_"
        if line > 1 and None in (drive.text_of(text, start + "TX"), drive.text_of(text, start + "RX")):
            found |= {start + "TX": drive.quoted(free.pop(0)), start + "RX": drive.quoted(free.pop(0))}
        if boards:
            found["BMS_BOARD_NUMBERS" if line == 1 else start + "BOARD_NUMBERS"] = drive.quoted(joined(boards))
    if "BMS_BOARD_NUMBERS" in found:
        found["BMS_BOARD_NUMBER"] = None
    return found


def joined(boards: Sequence[int]) -> str:
    """Ascending numbers as people write them: 1, 2, 3, 5 are "1-3,5"."""
    ranges: list[list[int]] = []
    for number in boards:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _options(text: str) -> dict[str, str]:
    pairs = (item.partition("=")[::2] for item in text.split(",") if item.strip())
    return {name.strip(): value.strip() for name, value in pairs}


def _text(options: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in options.items())


def _line(text: str, uarts: int) -> int:
    if text not in [str(line) for line in range(1, uarts + 1)]:
        raise ValueError(f"uart={text} is not possible: this chip has the UARTs 1 to {uarts}.")
    return int(text)


def _other(line: int, lines: Mapping, uarts: int) -> str:
    free = next((other for other in range(1, uarts + 1) if other not in lines), None)
    return f"write uart={free} for it." if free else f"take the others off UART {line}."


def _numbers(options: Mapping[str, str]) -> range:
    """Those of the boards of one text; empty without a number, or where it is none."""
    first, boards = options.get("board", ""), options.get("boards", "1")
    return range(int(first), int(first) + int(boards)) if first.isdecimal() and boards.isdecimal() else range(0)


def _give_numbers(boards: Sequence[dict[str, str]]) -> None:
    """A number for each that has none: the lowest that is free for it."""
    taken = {number for options in boards for number in _numbers(options)}
    for options in boards:
        if "board" not in options:
            first = next(n for n in count(1) if taken.isdisjoint(_numbers({**options, "board": str(n)})))
            options["board"] = str(first)
            taken.update(_numbers(options))
    if max(taken, default=0) > MOST:
        raise ValueError(f"board {max(taken)}: a line has the numbers 1 to {MOST}; take some to another UART with uart=2.")
