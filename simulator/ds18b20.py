# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Thermometers DS18B20 on a 1-Wire bus, bit by bit, after Maxim's datasheet: search, match and skip of ROMs, measuring, CRC."""

from __future__ import annotations

from collections.abc import Callable, Sequence

SEARCH, READ, MATCH, SKIP = 0xF0, 0x33, 0x55, 0xCC  # ROM commands
CONVERT, READ_SCRATCHPAD, WRITE_SCRATCHPAD = 0x44, 0xBE, 0x4E
MEASURES_S = 0.75  # with 12 bits
POWER_ON = 85 * 16


def crc(data: bytes) -> int:
    """Of Dallas: x^8 + x^5 + x^4 + 1, the lowest bit first."""
    register = 0
    for byte in data:
        for bit in range(8):
            mixed = (register ^ byte >> bit) & 1
            register = register >> 1 ^ (0x8C if mixed else 0)
    return register


class Thermometer:
    """One sensor. `identity`: family and serial number, 7 bytes; `celsius`: what it measures; `clock()` returns seconds.

    `is_there`: whether it is connected, a bool or a function; unplugged and connected again it has 85 °C. `broken`: number of
    scratchpads, the next ones, that arrive with a wrong bit.
    """

    def __init__(self, identity: bytes, celsius: float, clock: Callable[[], float], is_there: bool | Callable[[], bool] = True):
        self.rom = bytes(identity) + bytes([crc(identity)])
        self.celsius = celsius
        self.is_there = is_there
        self.broken = 0
        self.measured = 0  # how often
        self._clock = clock
        self._was_there = False
        self._scratchpad = bytearray(9)
        self._done_at: float | None = None
        self._state: Callable[[int], None] | None = None
        self._bits: list[int] = []
        self._answer: list[int] = []
        self.power_on()

    @property
    def id(self) -> str:
        """Family and serial number in hex."""
        return self.rom[:7].hex()

    @property
    def is_measuring(self) -> bool:
        """Whether a measurement has begun and is not in the scratchpad yet."""
        return self._done_at is not None

    def power_on(self) -> None:
        """As after a dip of the supply."""
        self._scratchpad[:8] = POWER_ON.to_bytes(2, "little") + b"\x4b\x46\x7f\xff\x0c\x10"
        self._done_at = self._state = None

    def reset(self) -> bool:
        """The bus is reset; returns whether it answers."""
        there = self.is_there() if callable(self.is_there) else self.is_there
        if there and not self._was_there:
            self.power_on()
        self._was_there = there
        self._state = self._rom_command if there else None
        self._bits, self._answer = [], []
        self._finish()
        return there

    def write_bit(self, bit: int) -> None:
        """A bit of the master."""
        if self._state is not None:
            self._bits.append(bit)
            self._state(bit)

    def read_bit(self) -> int:
        """The bit it sends, 1 where it lets the line go."""
        return self._answer.pop(0) if self._state is not None and self._answer else 1

    def _taken(self, count: int) -> int | None:
        """The number in the bits written, the lowest first, once there are so many."""
        if len(self._bits) < count:
            return None
        number = sum(bit << place for place, bit in enumerate(self._bits))
        self._bits = []
        return number

    def _rom_command(self, _bit: int) -> None:
        command = self._taken(8)
        if command == SKIP:
            self._state = self._function
        elif command == MATCH:
            self._state = self._match
        elif command == SEARCH:
            self._state = self._search
            self._begin_search_bit(0)
        elif command == READ:
            self._answer = _bits_of(self.rom)
            self._state = self._function
        elif command is not None:
            self._state = None

    def _match(self, _bit: int) -> None:
        number = self._taken(64)
        if number is not None:
            self._state = self._function if number == int.from_bytes(self.rom, "little") else None

    def _begin_search_bit(self, place: int) -> None:
        self._place = place
        bit = self.rom[place // 8] >> place % 8 & 1
        self._answer = [bit, 1 - bit]

    def _search(self, bit: int) -> None:
        self._bits = []
        if bit != self.rom[self._place // 8] >> self._place % 8 & 1:
            self._state = None  # another one is meant
        elif self._place == 63:
            self._state = self._function
        else:
            self._begin_search_bit(self._place + 1)

    def _function(self, _bit: int) -> None:
        command = self._taken(8)
        if command == CONVERT:
            self._done_at = self._clock() + MEASURES_S
            self._state = None
        elif command == READ_SCRATCHPAD:
            self._finish()
            self._scratchpad[8] = crc(self._scratchpad[:8])
            self._answer = _bits_of(self._scratchpad)
            if self.broken:
                self.broken -= 1
                self._answer[3] ^= 1
        elif command is not None:
            self._state = None

    def _finish(self) -> None:
        """The measurement is in the scratchpad once its time has passed."""
        if self._done_at is not None and self._clock() >= self._done_at:
            self._done_at = None
            self.measured += 1
            self._scratchpad[:2] = (round(16 * self.celsius) & 0xFFFF).to_bytes(2, "little")


def _bits_of(data: bytes | bytearray) -> list[int]:
    return [byte >> bit & 1 for byte in data for bit in range(8)]


class OneWireBus:
    """The line with its sensors, as onewireio sees it. `shorted`: to ground."""

    def __init__(self, thermometers: Sequence[Thermometer]):
        self.thermometers = list(thermometers)
        self.shorted = False
        self.resets = 0

    def reset(self) -> bool:
        """Whether nobody has answered."""
        self.resets += 1
        answers = [each.reset() for each in self.thermometers]
        return not (any(answers) or self.shorted)

    def read_bit(self) -> bool:
        """What is on the line: low as soon as one pulls it."""
        bits = [each.read_bit() for each in self.thermometers]
        return all(bits) and not self.shorted

    def write_bit(self, value: bool) -> None:
        """A bit of the master."""
        for each in self.thermometers:
            each.write_bit(0 if self.shorted else int(value))
