# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several simulated BMS on one RS485 line: `boards=3` are the numbers 1, 2 and 3, `soc@2=40` is an option of the second.

Several texts are several boards, too, each with its own options. Every board hears all requests. Two that send at once destroy
each other's bytes, as two boards with one number do: `boards=2,board@2=1`; in D2, which has no numbers, any two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulator.bms import BYTE_US, Bms
from simulator.options import texts, value_of


def connect(text: str | Sequence[str] = "", now_us: float = 0, note: Callable | None = None) -> Bms | Bus:
    """What one option text or several describe: one board, or several. Raises ValueError with a sentence for the user."""
    boards = _boards_of(text)
    return Bus(text, now_us, note) if len(boards) > 1 else Bms(boards[0], now_us, note)


OF_THE_LINE = ("echo", "noise", "second_master", "app")  # options of which the first board alone takes care
OWN = ("board", "seed", *OF_THE_LINE)


def _boards_of(text: str | Sequence[str]) -> list[dict[str, str]]:
    """The options of each board, in the order of their places."""
    given = [text] if isinstance(text, str) else text
    boards = [
        _options_of(one, place) for one in given for place in range(1, value_of("boards", texts(one).get("boards", "1")) + 1)
    ]
    for place, options in enumerate(boards[1:], 2):
        for name in OF_THE_LINE:  # whichever of them has it
            if options.get(name, "0") != "0":
                boards[0][name] = options[name]
            options[name] = "0"
        options.setdefault("seed", str(place))  # or all batteries would have the same cells
    return boards


def _options_of(text: str, number: int) -> dict[str, str]:
    """Those of the board in this place of one text: each has its own number and seed."""
    options = texts(text, number)
    if number > 1:
        first = texts(text)
        options |= dict.fromkeys(OF_THE_LINE, "0")
        for name in ("board", "seed"):
            if f"{name}@{number}" not in text:
                options[name] = str(int(first.get(name, "1")) + number - 1)
    return options


class Bus:
    """Used like a Bms. `boards` are those on the line, the first of which makes echo and noise, and has `truth`.

    `given`: the first ones, made already.
    """

    def __init__(self, text: str | Sequence[str], now_us: float, note: Callable | None, given: Sequence[Bms] = ()):
        self.boards = list(given)
        self.boards += [Bms(options, now_us, note) for options in _boards_of(text)[len(self.boards) :]]
        for board in self.boards:
            board.share_line([other for other in self.boards if other is not board])
        self._sent: list[tuple[float, int, int]] = []  # (when its last bit arrives, byte, index of the board)
        self._read_us = now_us  # those up to this time have been read

    @property
    def options(self):
        """Those of the first board."""
        return self.boards[0].options

    @property
    def writes(self) -> list:
        """Of all boards: (time in us, register, data), in their order."""
        return sorted(write for board in self.boards for write in board.writes)

    def receive(self, data: bytes, now_us: float):
        """As that of Bms."""
        for board in self.boards:
            board.receive(data, now_us)

    def transmit(self, now_us: float) -> bytes:
        """As that of Bms."""
        for index, board in enumerate(self.boards):
            for at, byte in board.leaving(now_us):
                self._sent.append((at, byte, index))
        if not self._sent:
            self._read_us = now_us
            return b""
        self._sent.sort()
        out = bytes(self._received(*sent) for sent in self._sent if self._read_us < sent[0] <= now_us)
        self._read_us = now_us
        self._sent = [sent for sent in self._sent if sent[0] > now_us - BYTE_US]
        return out

    def _received(self, at: float, byte: int, index: int) -> int:
        """What becomes of a byte: of two that are sent at once, the driver that pulls down wins."""
        for other_at, other, other_index in self._sent:
            if other_index != index and abs(other_at - at) < BYTE_US:
                byte &= other
        return byte

    def next_us(self) -> float | None:
        """As that of Bms."""
        times = [board.next_us() for board in self.boards] + [sent[0] for sent in self._sent if sent[0] > self._read_us]
        return min((at for at in times if at is not None), default=None)

    def set(self, name: str, value: Any, now_us: float):
        """As that of Bms; NAME@2 of the second board only, NAME of all of them."""
        name, _, number = name.partition("@")
        if number:
            self.boards[int(number) - 1].set(name, value, now_us)
            return
        for index, board in enumerate(self.boards):
            if index == 0 or name not in OWN:
                board.set(name, value, now_us)

    def truth(self, now_us: float, number: int = 1) -> dict[str, Any]:
        """As that of Bms, of the board in this place."""
        return self.boards[number - 1].truth(now_us)
