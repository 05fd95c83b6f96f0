"""The cooperative loop: every job gets its `tick(now)` in turn, and a job that fails does not stop the others."""

import time
import traceback


class Loop:
    """Calls jobs, pairs of name and `tick(now)`, for ever. `clock()` gives ticks in ms."""

    def __init__(self, clock, jobs):
        self._clock = clock
        self._jobs = jobs
        self.failures = 0
        self.last_failure = None  # "job: exception", the newest

    def run(self):
        """Never returns."""
        while True:
            self.step()
            time.sleep(0.001)  # lets the chip's own tasks run; the line brings a byte a millisecond

    def step(self):
        """One pass over the jobs."""
        for name, tick in self._jobs:
            try:
                tick(self._clock())
            except Exception as error:  # a bug in one job: say it, go on with the next; the only such clause in the program
                self.failures += 1
                self.last_failure = f"{name}: {type(error).__name__} {error}"[:80]
                traceback.print_exception(error)
