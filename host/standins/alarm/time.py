# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's alarm.time: the time at which the chip wakes."""

from __future__ import annotations

import time as _pc_time


def _monotonic() -> float:
    """As the firmware sees it: looked up at each call, as a chip's pace replaces it."""
    return _pc_time.monotonic()


class TimeAlarm:
    def __init__(self, *, monotonic_time=None, epoch_time=None) -> None:
        if (monotonic_time is None) == (epoch_time is None):
            raise ValueError("Supply one of monotonic_time or epoch_time")
        self.monotonic_time = _monotonic() + epoch_time - _pc_time.time() if monotonic_time is None else monotonic_time
