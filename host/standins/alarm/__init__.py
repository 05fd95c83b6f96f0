# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's alarm: deep sleep by a time, which ends in a restart of the chip; memory that outlives it."""

from alarm import time as _time
from host import chip as _chip

_SIZE = 4096  # of an ESP32-S2 and -S3: SLEEP_MEMORY_LENGTH of ports/espressif/common-hal/alarm/SleepMemory.h


class SleepMemory:
    def __init__(self) -> None:
        pass

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return _SIZE

    def __getitem__(self, index):
        return self._bytes()[index]

    def __setitem__(self, index, value) -> None:
        data = self._bytes()
        size = len(data)
        data[index] = value
        if len(data) != size:
            raise ValueError("Slices have different lengths")
        _chip.state["sleep_memory"] = data.hex()

    def _bytes(self) -> bytearray:
        """Without those never written it is zeros, as after power-on."""
        return bytearray.fromhex(_chip.state.get("sleep_memory", "")).ljust(_SIZE, b"\0")


sleep_memory = SleepMemory()
wake_alarm = _time.TimeAlarm(monotonic_time=_time._monotonic()) if _chip.woken else None


def exit_and_deep_sleep_until_alarms(*alarms, preserve_dios=()) -> None:
    """Outputs lose their level; connections are not closed, the chip is just not there any more."""
    _chip.deep_sleep(max(0.0, min(alarm.monotonic_time for alarm in alarms) - _time._monotonic()))
