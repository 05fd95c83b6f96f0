# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The cooperative loop: calls the `tick(now)` of each job in turn; a job that fails does not stop the others.

The watchdog is fed only when the critical job, polling the BMS, has run: a loop without it is of no use.
"""

import gc
import time

from adafruit_ticks import ticks_add, ticks_diff

from .log import print_error

# The back-off of a job that failed, twice as long after each failure in a row
FIRST_BACKOFF_MS = 1000
LONGEST_BACKOFF_MS = 60000
CRITICAL_FAILURES = 5  # in a row: 1 + 2 + 4 + 8 + 16 s without the critical job, then the chip is restarted
PAUSE_S = 0.0005  # between two passes: lets the chip's own tasks run; a byte takes a millisecond on the line
COLLECT_MS = 5000  # interval of the garbage collection, at one known point


class Loop:
    """Calls `jobs`, a list of (name, tick), for ever. `clock()` returns ticks in ms, `feed()` feeds the watchdog.

    `critical`: the name of the job without which the watchdog is not fed; None: it is always fed.
    """

    def __init__(self, clock, jobs, feed=None, critical=None):
        self._clock = clock
        self._jobs = jobs
        self._feed = feed
        self._critical = critical
        self._backoffs: dict = {}  # name -> (failures in a row, tick at which it is tried again)
        self._collect_at = clock()
        self.failures = 0
        self.last_failure = None  # "job: exception", the latest; None: there was none
        self.longest_ms = 0  # longest pass since the last reset_longest()

    def run(self):
        """Run for ever. Raises RuntimeError when the critical job keeps failing."""
        while True:
            self.step()
            time.sleep(PAUSE_S)

    def step(self):
        """One pass over the jobs."""
        begun = self._clock()
        may_feed = self._critical is None
        for name, tick in self._jobs:
            if name not in self._backoffs or ticks_diff(begun, self._backoffs[name][1]) >= 0:
                succeeded = self._try(name, tick)
                if name == self._critical:
                    may_feed = succeeded
        if may_feed and self._feed is not None:
            self._feed()
        if ticks_diff(begun, self._collect_at) >= 0:
            self._collect_at = ticks_add(begun, COLLECT_MS)
            gc.collect()
        self.longest_ms = max(self.longest_ms, ticks_diff(self._clock(), begun))

    def reset_longest(self):
        """Start measuring the longest pass again."""
        self.longest_ms = 0

    def _try(self, name, tick):
        try:
            tick(self._clock())
        except Exception as error:  # a bug in one job: print it, back off, go on with the others
            self._back_off(name, error)
            return False
        if name in self._backoffs:
            del self._backoffs[name]
        return True

    def _back_off(self, name, error):
        self.failures += 1
        self.last_failure = describe(name, error)
        print_error(error)
        count = self._backoffs[name][0] + 1 if name in self._backoffs else 1
        if name == self._critical and count > CRITICAL_FAILURES:
            raise RuntimeError(self.last_failure)
        backoff_ms = min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS << min(count - 1, 10))
        self._backoffs[name] = (count, ticks_add(self._clock(), backoff_ms))


def describe(name, error):
    """A failure in at most 80 characters."""
    return f"{name}: {type(error).__name__} {error}"[:80]
