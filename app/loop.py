# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The cooperative loop: calls the `tick(now)` of each job in turn; a job that fails does not stop the others.

The watchdog is fed only when the critical job, polling the BMS, has run: a loop without it is of no use. On a slow
chip the other jobs get the time in which nothing is expected on the line: the next request should not wait for a message or the
screen.
"""

import gc
import time

from adafruit_ticks import ticks_add, ticks_diff

from .log import print_error

# The back-off of a job that failed, twice as long after each failure in a row
FIRST_BACKOFF_MS = 1000
LONGEST_BACKOFF_MS = 60000
CRITICAL_FAILURES = 5  # in a row: 1 + 2 + 4 + 8 + 16 s without the critical job, then the chip is restarted
# Between two passes, for the chip's own tasks. A byte takes a millisecond on the line, and less is busy waiting on the chip.
PAUSE_S = 0.001
COLLECT_MS = 5000  # interval of the garbage collection, at one known point
FEED_MS = 500  # of feeding the watchdog
PATIENCE_MS = 100  # the longest that a job waits for the line
_WRAP = (1 << 29) - 1  # of the ticks
_HALF = 1 << 28


class Job:
    """One job. `tick(now)` does a bounded piece of work, and returns for how many ms it need not be called; None: call it
    in the next pass."""

    def __init__(self, name, tick, clock, is_critical):
        self.name = name
        self.is_critical = is_critical
        self.due = clock()  # when it is called next
        self.took_ms = 0  # the longest that a call took of late
        self.failures = 0  # in a row
        self._tick = tick
        self._clock = clock

    def run(self, now):
        """Call it at the tick `now`; returns the tick afterwards."""
        pause_ms = self._tick(now)
        self.failures = 0
        after = self._clock()
        took_ms = (after - now) & _WRAP
        if took_ms < self.took_ms:
            took_ms = self.took_ms - 1
        self.took_ms = took_ms
        self.due = ticks_add(now, pause_ms) if pause_ms else now
        return after

    def back_off(self):
        """It failed: leave it alone, twice as long as the time before."""
        self.due = ticks_add(self._clock(), min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS << min(self.failures, 10)))
        self.failures += 1


class Loop:
    """Calls the jobs for ever. `clock()` returns ticks in ms, `feed()` feeds the watchdog.

    `critical`: the name of the job without which the watchdog is not fed; None: it is always fed. `free_ms(now)`: how long
    nothing is expected on the line; None: there is no line.
    """

    def __init__(self, clock, feed=None, critical=None, free_ms=None):
        self._clock = clock
        self._jobs: list = []
        self._feed = feed
        self._critical = critical
        self._free_ms = free_ms
        self._feed_at = self._collect_at = clock()
        self.failures = 0
        self.last_failure = None  # "job: exception", the latest; None: there was none
        self.longest_ms = 0  # longest pass since the last reset_longest()

    def add(self, name, tick):
        """One more job, called after those added before it."""
        self._jobs.append(Job(name, tick, self._clock, name == self._critical))

    def run(self):
        """Run for ever. Raises RuntimeError when the critical job keeps failing."""
        while True:
            # while a response is about to be whole nobody waits: the next request goes out at once
            time.sleep(PAUSE_S if self.step() > 1 else 0)

    def step(self):
        """One pass over the jobs. Returns how many ms nothing is expected on the line."""
        begun = now = self._clock()
        free = PATIENCE_MS if self._free_ms is None else self._free_ms(now)
        may_feed = self._critical is None
        for job in self._jobs:
            late = (now - job.due) & _WRAP  # as ticks_diff, which would take longer than some jobs
            if late >= _HALF:
                continue
            if job.took_ms >= free and late < PATIENCE_MS and not job.is_critical:
                continue
            try:
                after = job.run(now)
            except Exception as error:  # a bug in one job: print it, back off, go on with the others
                self._back_off(job, error)
                may_feed = may_feed and not job.is_critical
                continue
            free -= (after - now) & _WRAP
            now = after
            if job.is_critical:
                may_feed = True
                free = PATIENCE_MS if self._free_ms is None else self._free_ms(now)
        if may_feed and self._feed is not None and (now - self._feed_at) & _WRAP < _HALF:
            self._feed_at = ticks_add(now, FEED_MS)
            self._feed()
        if (now - self._collect_at) & _WRAP < _HALF:
            self._collect_at = ticks_add(now, COLLECT_MS)
            gc.collect()
        self.longest_ms = max(self.longest_ms, ticks_diff(self._clock(), begun))
        return free

    def reset_longest(self):
        """Start measuring the longest pass again."""
        self.longest_ms = 0

    def _back_off(self, job, error):
        self.failures += 1
        self.last_failure = describe(job.name, error)
        print_error(error)
        job.back_off()
        if job.is_critical and job.failures > CRITICAL_FAILURES:
            raise RuntimeError(self.last_failure)


def describe(name, error):
    """A failure in at most 80 characters."""
    return f"{name}: {type(error).__name__} {error}"[:80]
