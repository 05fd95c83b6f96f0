# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Compiled functions with as many line numbers as cost no memory: 4.5 KB less on a board with 32-bit words.

A function's bytecode is one piece of memory in blocks of BLOCK bytes, and its table of lines is in it, about a byte for each
line. The first line stays, and those after it that fit into the last block; what is left out counts as the last line that is
left. So a traceback names the function, its file and a line that is not behind the place: `python -m tools.pack --line` says up
to where it may be. The body of a module, which is freed once it has run, keeps all lines.

A function is read here (MicroPython, py/bc.h), what is in front of it by tools/pack_mpy.py.
"""

from __future__ import annotations

from tools.pack_mpy import Head, Reader, number

BLOCK = 16  # bytes: four words of 32 bits


def with_few_lines(mpy: bytes) -> bytes:
    """A compiled module with fewer line numbers, and else the same."""
    reader = Reader(mpy, Head(mpy).code_at)
    made = mpy[: reader.at] + _function(reader, is_module=True)
    assert reader.at == len(mpy), "bytes are left"
    return made


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
