# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Compiled functions with as many line numbers as cost no memory: 9 KB on a board with 32-bit words.

A function's bytecode is one piece of memory in blocks of BLOCK bytes, and its table of lines is in it, about a byte for each
line. The first line stays, and those after it that fit into the last block; what is left out counts as the last line that is
left. So a traceback names the function, its file and a line that is not behind the place: `python -m tools.pack --line` says up
to where it may be. The body of a module, which is freed once it has run, keeps all lines.

The format is that of .mpy version 6 (MicroPython, py/persistentcode.c and py/bc.h), which tools/bundle.py checks.
"""

from __future__ import annotations

BLOCK = 16  # bytes: four words of 32 bits
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


def with_few_lines(mpy: bytes) -> bytes:
    """A compiled module with fewer line numbers, and else the same."""
    reader = Reader(mpy, HEADER)
    names, constants = reader.number(), reader.number()
    for _ in range(names):
        _skip_name(reader)
    for _ in range(constants):
        _skip_constant(reader)
    head = mpy[: reader.at]
    made = head + _function(reader, is_module=True)
    assert reader.at == len(mpy), "bytes are left"
    return made


def _skip_name(reader: Reader) -> None:
    length = reader.number()
    if not length & 1:  # else it is one of MicroPython's own, without text
        reader.take((length >> 1) + 1)


def _skip_constant(reader: Reader) -> None:
    kind = reader.take(1)[0]
    assert kind <= TUPLE, kind
    if kind < TEXT:
        return
    length = reader.number()
    if kind == TUPLE:
        for _ in range(length):
            _skip_constant(reader)
    else:
        reader.take(length + (kind in (TEXT, BYTES)))


def _function(reader: Reader, is_module: bool = False) -> bytes:
    """A function and those inside it."""
    head = reader.number()
    assert not head & 3, "machine code"
    code = reader.take(head >> 3)
    if not is_module:
        code = _shortened(code)
    made = number(len(code) << 3 | head & 7) + code
    if head & 4:
        count = reader.number()
        made += number(count) + b"".join(_function(reader) for _ in range(count))
    return made


def _shortened(code: bytes) -> bytes:
    signature, begin, (size, closure), arguments = _prelude(code)
    reader = Reader(code, begin)
    for _ in range(1 + arguments):  # names: its own, and those of its arguments
        reader.number()
    end = begin + size
    names, lines, rest = code[begin : reader.at], code[reader.at : end], code[end:]

    def with_lines(kept: bytes) -> bytes:
        return code[:signature] + _sizes(len(names) + len(kept), closure) + names + kept + rest

    first, *more = _ends(lines) or [0]
    made = with_lines(lines[:first])
    for end in more:
        longer = with_lines(lines[:end])
        if _blocks(longer) > _blocks(made):
            break
        made = longer
    return made


def _blocks(data: bytes) -> int:
    return -(-len(data) // BLOCK)


def _ends(lines: bytes) -> list[int]:
    """Where a table of lines may end: behind its first line, and behind each after it."""
    found = []
    at = 0
    while at < len(lines):
        is_long = lines[at] & 0x80
        bytecodes = lines[at] & (0x0F if is_long else 0x1F)
        if bytecodes and at:
            found.append(at)  # a large step has several entries, of which only the first has bytecodes
        at += 2 if is_long else 1
    return [*found, len(lines)] if lines else []


def _prelude(code: bytes) -> tuple[int, int, tuple[int, int], int]:
    """(end of the signature, begin of names and lines, (their bytes, bytes of the closure), number of arguments)."""
    byte = code[0]
    arguments, keyword_only = byte & 3, 0
    at, shift = 1, 0
    while byte & 0x80:
        byte = code[at]
        at += 1
        arguments |= (byte & 4) << shift
        keyword_only |= (byte & 8) >> 3 << shift
        shift += 1
    signature = at
    size = closure = shift = 0
    while True:
        byte = code[at]
        at += 1
        size |= (byte >> 1 & 0x3F) << 6 * shift
        closure |= (byte & 1) << shift
        shift += 1
        if byte < 0x80:
            return signature, at, (size, closure), arguments + keyword_only


def _sizes(size: int, closure: int) -> bytes:
    made = b""
    while True:
        byte = (size & 0x3F) << 1 | closure & 1
        size, closure = size >> 6, closure >> 1
        if not size | closure:
            return made + bytes([byte])
        made += bytes([byte | 0x80])
