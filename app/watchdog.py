# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The chip's watchdog: fed by the loop, and used to end a Wi-Fi join that would not end by itself."""

import errno
import time

from microcontroller import watchdog
from watchdog import WatchDogMode, WatchDogTimeout

# Longer than the longest wait, which is a name lookup of up to 21 s after a Wi-Fi join of JOIN_LIMIT_S.
WATCHDOG_S = 45
# A scan of all channels takes 2.5 s, joining 1 s, DHCP 1 to 4 s. The energy meter bridges pauses of 5 s.
JOIN_LIMIT_S = 4.5


def feed():
    """Feed the watchdog. Starts it, and starts it again if it was stopped."""
    if watchdog.mode == WatchDogMode.RESET:
        watchdog.feed()
    else:
        _start(WATCHDOG_S, WatchDogMode.RESET)


def feed_if_running():
    """Feed the watchdog while waiting outside the loop."""
    if watchdog.mode is not None:
        watchdog.feed()


def bounded(connect):
    """The radio's `connect` that raises OSError after JOIN_LIMIT_S.

    The original waits until it has an address or is rejected (circuitpython's ports/espressif/common-hal/wifi/Radio.c, #7557):
    without DHCP, for ever. A pending exception ends it, and the watchdog can raise one. The chip goes on joining in the
    background: the next call finds the network joined, or waits for it again.
    """

    def join(ssid, password, timeout):
        _start(JOIN_LIMIT_S, WatchDogMode.RAISE)
        try:
            connect(ssid, password, timeout=timeout)
            for _ in range(2):
                time.sleep(0.001)  # a pending exception is raised where a loop turns
        except WatchDogTimeout as error:
            raise OSError(errno.ETIMEDOUT, "no answer") from error
        finally:
            _start(WATCHDOG_S, WatchDogMode.RESET)

    return join


def _start(timeout_s, mode):
    """The chip does not allow changes to a running watchdog, so it is stopped first."""
    watchdog.mode = None
    watchdog.timeout = timeout_s
    watchdog.mode = mode
