# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Integers as decimal text, by integer arithmetic: a board's 30-bit floats misprint a quarter of all cell voltages."""


def write_decimal(buffer, at, raw, decimals):
    """Write raw / 10**decimals as ASCII into `buffer` from index `at`; returns the index behind it. Allocates nothing."""
    if raw < 0:
        buffer[at] = 45  # "-"
        at += 1
        raw = -raw
    digits = 1
    rest = raw // 10
    while rest or digits <= decimals:
        digits += 1
        rest //= 10
    end = at + digits + (1 if decimals else 0)
    for position in range(end - 1, at - 1, -1):
        if decimals and position == end - 1 - decimals:
            buffer[position] = 46  # "."
        else:
            buffer[position] = 48 + raw % 10
            raw //= 10
    return end


_scratch = bytearray(16)


def decimal_text(raw, decimals):
    """raw / 10**decimals as str: decimal_text(-1234, 2) is "-12.34"."""
    return str(memoryview(_scratch)[: write_decimal(_scratch, 0, raw, decimals)], "ascii")
