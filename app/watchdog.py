"""The chip's watchdog: started and fed for the loop, and lent to the Wi-Fi join, which may have no end of its own."""

import errno
import time

from microcontroller import watchdog
from watchdog import WatchDogMode, WatchDogTimeout

# Longer than the longest wait, JOIN_LIMIT_S, and a name lookup of up to 21 s; shorter than the minute in which a person looks.
WATCHDOG_S = 45
# A scan of all channels takes 2.5 s, joining 1 s, an address 1 to 4 s. The energy meter bridges pauses of 5 s.
JOIN_LIMIT_S = 4.5


def feed():
    """Show that there is life. Starts the watchdog, and starts it again should it ever have stopped."""
    if watchdog.mode == WatchDogMode.RESET:
        watchdog.feed()
    else:
        _start(WATCHDOG_S, WatchDogMode.RESET)


def feed_if_running():
    """For whoever only waits."""
    if watchdog.mode is not None:
        watchdog.feed()


def bounded(connect):
    """The radio's `connect`, but it ends after JOIN_LIMIT_S, with OSError.

    The chip's own waits until it has an address or is turned away (circuitpython's ports/espressif/common-hal/wifi/Radio.c,
    #7557): where the router's DHCP is gone, for ever. A pending exception ends it, and the watchdog can make one. What has
    begun goes on in the chip: the next try finds it done, or waits for it again.
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
    """The chip refuses to change a running watchdog, so it is stopped before."""
    watchdog.mode = None
    watchdog.timeout = timeout_s
    watchdog.mode = mode
