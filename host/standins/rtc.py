# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's rtc: the PC's clock, which the firmware cannot set."""

import time as _time


class RTC:
    @property
    def datetime(self) -> _time.struct_time:
        return _time.localtime()

    @datetime.setter
    def datetime(self, value: _time.struct_time) -> None:
        pass
