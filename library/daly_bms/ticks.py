# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Milliseconds that wrap at 2**29, as those of adafruit_ticks, without what that needs on a PC."""

try:
    from supervisor import ticks_ms
except ImportError:  # a PC
    import time

    def ticks_ms():
        """The clock."""
        return time.monotonic_ns() // 1000000 & 0x1FFFFFFF


def ticks_add(ticks, delta):
    """The tick `delta` ms later; negative: earlier."""
    return (ticks + delta) & 0x1FFFFFFF


def ticks_diff(ticks, other):
    """ms from `other` to `ticks`, if they are not more than three days apart."""
    return ((ticks - other + 0x10000000) & 0x1FFFFFFF) - 0x10000000
