# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The cooperative loop: calls the `tick(now)` of each job in turn; a job that fails does not stop the others.

The watchdog is fed only when the critical job, polling the BMS, has run: a loop without it is of no use. On a slow
chip the other jobs get the time in which nothing is expected on the line: the next request should not wait for a message or the
screen.
"""

import gc
import time

from adafruit_ticks import ticks_add

from battery.unload import LOADS

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
# What a pass is to take at most: a job that does not fit into the rest of it waits for a pass in which less is done, unless it
# fits into none. With a request, whose writing takes 13 ms, the critical job takes up to 30.
PASS_MS = 60
LOAD_MS = 55  # what a job that loads a module takes at most on an ESP32-S2, without the collection behind it
COLLECT_PATIENCE_MS = 1000  # the same of the garbage collection, the longest job: until a response of several frames
HURRY_MS = 30  # no further call of a hurried job in a pass that has taken so long: some take 25 on an ESP32-S2
MOST_FILLS = 8  # calls of the filler, or of the job that is hurried, at the end of a pass
SPARE_MS = 12  # that must be left behind each: its calls differ, and the next request must not wait for the longest
_WRAP = (1 << 29) - 1  # of the ticks
_HALF = 1 << 28


class Job:
    """One job. `tick(now)` does a bounded piece of work, and returns for how many ms it need not be called; None: call it
    in the next pass; LOADS: the same, and that call takes a long time.
    """

    def __init__(self, name, tick, clock, patience_ms):
        self.name = name
        self.tick = tick
        self.patience_ms = patience_ms  # the longest that it waits for the line
        # the longest that it waits for a pass in which it fits; a collection, of no pass's time, uses the longest gaps
        self.last_ms = 3 * PATIENCE_MS if patience_ms <= PATIENCE_MS else 0
        self.due = clock()  # when it is called next
        self.took_ms = 0  # the longest that a call took of late, or will take
        self.failures = 0  # in a row
        self._clock = clock

    def finish(self, now, pause_ms):
        """It was called at the tick `now`, and may be left alone for so long; returns the tick afterwards."""
        self.failures = 0
        after = self._clock()
        took_ms = (after - now) & _WRAP
        if took_ms > PATIENCE_MS >= self.patience_ms:  # joining the Wi-Fi says nothing of the next calls; a collection does
            took_ms = self.took_ms
        if took_ms < self.took_ms:
            took_ms = 3 * self.took_ms // 4  # the next calls are seldom as long as the longest
        self.due = now
        if pause_ms:
            if pause_ms == LOADS:
                took_ms = LOAD_MS
            else:
                self.due = (now + pause_ms) & _WRAP
        self.took_ms = took_ms
        return after

    def end_hurry(self):
        """From now on it waits for the line as the others do."""
        self.patience_ms = PATIENCE_MS

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
        self._jobs: list = []  # all but the critical one
        self._critical_name = critical
        self._critical = None
        self._filler = None  # the job that is called again in what is left of the free time
        self._hurried = self._is_begun = None  # the job that is called several times in a pass, until `_is_begun()`
        self._feed = feed
        self._free_ms = free_ms
        self._feed_at = clock()
        self.failures = 0
        self.last_failure = None  # "job: exception", the latest; None: there was none
        self.longest_ms = 0  # longest pass since the last reset_longest()
        self.add("memory", _collect, COLLECT_PATIENCE_MS)

    def add(self, name, tick, patience_ms=PATIENCE_MS, fills=False, is_begun=None):
        """One more job, called after those added before it. `fills`: where it wants the next pass and the line is free for
        longer, it is called again at once: one job of many short steps, for which a pass each would take too long.
        `is_begun()`: until it is true, the job does not wait for the line, and is called several times in a pass: the first
        numbers are published half a second sooner on an ESP32-S2.
        """
        job = Job(name, tick, self._clock, patience_ms if is_begun is None else 0)
        if is_begun is not None:
            self._hurried = job
            self._is_begun = is_begun
        if name == self._critical_name:
            self._critical = job
        else:
            self._jobs.append(job)
        if fills:
            self._filler = job

    def run(self):
        """Run for ever. Raises RuntimeError when the critical job keeps failing."""
        while True:
            # while a response is about to be whole nobody waits: the next request goes out at once
            time.sleep(PAUSE_S if self.step() else 0)

    def step(self):
        """One pass over the jobs. Returns whether there is time for a pause."""
        begun = now = self._clock()
        critical = self._critical
        free = PATIENCE_MS
        if critical is not None:
            if (now - critical.due) & _WRAP < _HALF:
                now = self._run(critical, now)
            if self._free_ms is not None:
                free = self._free_ms(now)
            if free <= 1:
                self._measure(begun, now)
                return False
        for job in self._jobs:
            late = (now - job.due) & _WRAP  # as ticks_diff, which would take longer than some jobs
            if late >= _HALF or (job.took_ms + 1 >= free and late < job.patience_ms):
                continue
            if ((now - begun) & _WRAP) + job.took_ms <= PASS_MS or job.took_ms > PASS_MS or late >= job.last_ms:
                after = self._run(job, now)
                free -= (after - now) & _WRAP
                now = after
        if self._hurried is not None:
            for _ in range(MOST_FILLS):  # here, as another function would be on the call stack below the job
                if not self._hurries(begun, now):
                    break
                after = self._run(self._hurried, now)
                free -= (after - now) & _WRAP
                now = after
        if self._filler is not None:
            now = self._fill(self._filler, now, min(free, PASS_MS - ((now - begun) & _WRAP)))
        if self._feed is not None and (now - self._feed_at) & _WRAP < _HALF and (critical is None or not critical.failures):
            self._feed_at = ticks_add(now, FEED_MS)
            self._feed()
        self._measure(begun, now)
        return free > 2

    def _hurries(self, begun, now):
        """Whether the hurried job is called again in a pass that began at the tick `begun`; it is until it has begun."""
        if self._is_begun():
            self._hurried.end_hurry()
            self._hurried = None
            return False
        return (now - self._hurried.due) & _WRAP < _HALF and (now - begun) & _WRAP < HURRY_MS

    def _fill(self, job, now, free):
        """Call the filler while it fits; returns the tick afterwards."""
        for _ in range(MOST_FILLS):
            if (now - job.due) & _WRAP >= _HALF or job.took_ms + SPARE_MS >= free:
                break
            after = self._run(job, now)
            free -= (after - now) & _WRAP
            now = after
        return now

    def _measure(self, begun, ended):
        took_ms = (ended - begun) & _WRAP
        if took_ms > self.longest_ms:
            self.longest_ms = took_ms

    def reset_longest(self):
        """Start measuring the longest pass again."""
        self.longest_ms = 0

    def _run(self, job, now):
        """Call a job at the tick `now`; returns the tick afterwards."""
        try:
            # not by the job, which only notes it: below a job's tick each call is on the call stack, of 2,048 bytes
            return job.finish(now, job.tick(now))
        except Exception as error:  # a bug in one job: print it, back off, go on with the others
            self.failures += 1
            self.last_failure = describe(job.name, error)
            print_error(error)
            job.back_off()
            if job is self._critical and job.failures > CRITICAL_FAILURES:
                raise RuntimeError(self.last_failure) from None
            return self._clock()


def _collect(_now):
    gc.collect()
    return COLLECT_MS


def describe(name, error):
    """A failure in at most 80 characters."""
    return f"{name}: {type(error).__name__} {error}"[:80]
