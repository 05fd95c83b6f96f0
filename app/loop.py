"""The cooperative loop: every job gets its `tick(now)` in turn, and a job that fails does not stop the others.

The watchdog is fed only when the vital job, the conversation with the BMS, has run: a loop that merely turns is no life.
"""

import gc
import time

from adafruit_ticks import ticks_add, ticks_diff

from .log import print_error

# A job that failed rests before it is tried again, twice as long each time.
FIRST_REST_MS = 1000
LONGEST_REST_MS = 60000
VITAL_FAILURES = 5  # in a row: 1 + 2 + 4 + 8 + 16 s without the vital job, then the chip is started anew
PAUSE_S = 0.0005  # between two passes: lets the chip's own tasks run; the line brings a byte a millisecond
COLLECT_MS = 5000  # the known point at which the heap is swept


class Loop:
    """Calls jobs, pairs of name and `tick(now)`, for ever. `clock()` gives ticks in ms, `feed()` feeds the watchdog."""

    def __init__(self, clock, jobs, feed=None, vital=None):
        self._clock = clock
        self._jobs = jobs
        self._feed = feed
        self._vital = vital
        self._rests: dict = {}  # name -> (failures in a row, tick at which it is tried again)
        self._collect_at = clock()
        self.failures = 0
        self.last_failure = None  # "job: exception", the newest
        self.longest_ms = 0  # longest pass since it was told last
        self.passes = 0

    def run(self):
        """Ends only by raising RuntimeError: when the vital job keeps failing."""
        while True:
            self.step()
            time.sleep(PAUSE_S)

    def step(self):
        """One pass over the jobs."""
        begun = self._clock()
        alive = self._vital is None
        for name, tick in self._jobs:
            if name not in self._rests or ticks_diff(begun, self._rests[name][1]) >= 0:
                succeeded = self._try(name, tick)
                if name == self._vital:
                    alive = succeeded
        if alive and self._feed is not None:
            self._feed()
        if ticks_diff(begun, self._collect_at) >= 0:
            self._collect_at = ticks_add(begun, COLLECT_MS)
            gc.collect()
        self.passes += 1
        self.longest_ms = max(self.longest_ms, ticks_diff(self._clock(), begun))

    def forget_longest(self):
        """The longest pass has been told: from now on, the next one."""
        self.longest_ms = 0

    def _try(self, name, tick):
        try:
            tick(self._clock())
        except Exception as error:  # a bug in one job: say it, let it rest, go on with the others
            self._rest(name, error)
            return False
        if name in self._rests:
            del self._rests[name]
        return True

    def _rest(self, name, error):
        self.failures += 1
        self.last_failure = describe(name, error)
        print_error(error)
        count = self._rests[name][0] + 1 if name in self._rests else 1
        if name == self._vital and count > VITAL_FAILURES:
            raise RuntimeError(self.last_failure)
        rest_ms = min(LONGEST_REST_MS, FIRST_REST_MS << min(count - 1, 10))
        self._rests[name] = (count, ticks_add(self._clock(), rest_ms))


def describe(name, error):
    """A failure in at most 80 characters."""
    return f"{name}: {type(error).__name__} {error}"[:80]
