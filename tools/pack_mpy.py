# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The format of compiled files, as far as the packer reads it: names and constants at the front of a .mpy.

Version 6 (MicroPython, py/persistentcode.c), which tools/bundle.py checks.
"""

from __future__ import annotations

from collections.abc import Iterator

HEADER = 4
TEXT, BYTES, INT, FLOAT, COMPLEX, TUPLE = 5, 6, 7, 8, 9, 10  # kinds of constants; those before are a single byte


class Reader:
    """Reads numbers and pieces one after the other."""

    def __init__(self, data: bytes, at: int = 0):
        self.data = data
        self.at = at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        """The next number: 7 bits in each byte, the highest first."""
        value = 0
        while True:
            byte = self.take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value


def number(value: int) -> bytes:
    """A number as Reader.number() reads it."""
    made = bytes([value & 0x7F])
    while value := value >> 7:
        made = bytes([0x80 | value & 0x7F]) + made
    return made


class Head:
    """What is in front of the code of a compiled module: the `names` that are not MicroPython's own, and the `texts` among
    its constants, as often as they are there.
    """

    def __init__(self, mpy: bytes):
        reader = Reader(mpy, HEADER)
        self.name_count, self.constant_count = reader.number(), reader.number()
        self.names_at = reader.at
        found = [_name(reader) for _ in range(self.name_count)]
        self.names = [name for name in found if name is not None]
        self.constants_at = reader.at
        self.texts = [text for _ in range(self.constant_count) for text in _texts(reader)]
        self.code_at = reader.at


def _name(reader: Reader) -> bytes | None:
    length = reader.number()
    return None if length & 1 else reader.take((length >> 1) + 1)[:-1]


def _texts(reader: Reader) -> Iterator[bytes]:
    """Those in the next constant, which is read to its end."""
    kind = reader.take(1)[0]
    assert kind <= TUPLE, kind
    if kind < TEXT:
        return
    length = reader.number()
    if kind == TUPLE:
        for _ in range(length):
            yield from _texts(reader)
    else:
        data = reader.take(length + (kind in (TEXT, BYTES)))
        if kind == TEXT:
            yield data[:length]
