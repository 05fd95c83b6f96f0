# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's watchdog: expires by the alarm of host.chip.clock."""

from __future__ import annotations

import errno as _errno

from host import chip as _chip
from host import trouble as _trouble


class WatchDogTimeout(Exception):
    pass


class WatchDogMode(_chip.Name):
    RAISE = 1
    RESET = 2


class WatchDogTimer:
    def __init__(self) -> None:
        self._timeout = 0.0
        self._mode = None

    @property
    def timeout(self) -> float:
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError("WatchDogTimer.timeout must be greater than 0")
        self._refuse_if_running()
        self._timeout = seconds

    @property
    def mode(self) -> WatchDogMode | None:
        return self._mode

    @mode.setter
    def mode(self, mode: WatchDogMode | None) -> None:
        if mode is not None and self._timeout <= 0:
            raise ValueError("WatchDogTimer.timeout must be greater than 0")
        if mode is not None and mode is not self._mode:
            self._refuse_if_running()
        self._mode = mode
        self._arm()

    def feed(self) -> None:
        if self._mode is None:
            raise ValueError("WatchDogTimer is not currently running")
        self._arm()
        _trouble.fed()

    def _refuse_if_running(self) -> None:
        """Changing a running one adds the task to the IDF's watchdog a second time, which is an error there."""
        if self._mode is not None:
            raise OSError(_errno.EINVAL, "Invalid argument")

    def _arm(self) -> None:
        _chip.clock.set_alarm(0 if self._mode is None else self._timeout, self._expire)

    def _expire(self) -> None:
        mode, self._mode = self._mode, None
        if mode is WatchDogMode.RESET:
            _chip.reset("WATCHDOG")
        elif mode is WatchDogMode.RAISE:
            raise WatchDogTimeout
