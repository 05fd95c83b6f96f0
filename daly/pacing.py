"""How long to wait: between two requests, and for an answer. Both are learned from the board on the line.

Public evidence disagrees: boards think 5 to 200 ms before they answer. Most take a request right after their answer (the
blocking readers maland16, dalybms and pydalybms leave no gap, a Rust driver 4 ms), others are given 20 ms (dbus-serialbattery)
or 250 ms (ESPHome). So the gap starts small, shrinks while answers are whole, and grows where requests right after an answer
are ignored again and again: damaged answers are noise, a single silence is a lost frame, and a board silent for longer sleeps.
"""

FIRST_GAP_MS = 3
LONGEST_GAP_MS = 250
SHRINK_AFTER = 4  # whole answers in a row
# A silence weighs so much, an answer takes 1 away, and above the limit the gap is blamed: a board that finds it too small
# ignores every second request, which makes three silences; one frame lost in 20 gets there once in an hour.
SILENCE_WEIGHT = 4
SILENCE_LIMIT = 9
# So many answers after it was found too small a gap is tried again: something else may have been to blame. Each time it is
# found too small at once (within so many answers) the next trial waits twice as long.
FIRST_PATIENCE = 200
LAST_PATIENCE = 50000
AT_ONCE = 20
# Until the board's pace is known: 13.5 ms request, 200 ms thinking, 13.5 ms first frame, and as much again in hand.
FIRST_TIMEOUT_MS = 300
SHORTEST_TIMEOUT_MS = 80


class Pacing:
    """The gap before a request and the time allowed for the first frame of its answer, in ms."""

    def __init__(self):
        self.gap_ms = FIRST_GAP_MS
        self.timeout_ms = FIRST_TIMEOUT_MS
        self._floor_ms = 0  # no smaller gap is tried
        self._safe_ms = 0  # the gap before it was made smaller last
        self._answers = 0  # since the gap was changed
        self._patience = FIRST_PATIENCE
        self._silence = 0  # weight of the silences of late
        self._slowest_ms = None  # answer time of the slowest answers, slowly forgotten

    def answered(self, latency_ms):
        """A whole answer whose first frame came `latency_ms` after its request."""
        if self._slowest_ms is not None and latency_ms <= self._slowest_ms:
            latency_ms = self._slowest_ms - (self._slowest_ms - latency_ms) // 16
        self._be_patient(latency_ms)
        self._answers += 1
        if self._silence:
            self._silence -= 1
        elif self.gap_ms == self._floor_ms and self._answers >= self._patience:
            self._floor_ms //= 2
        elif self.gap_ms > self._floor_ms and self._answers >= SHRINK_AFTER:
            self._safe_ms = self.gap_ms
            self._change(max(self._floor_ms, self.gap_ms * 3 // 4))

    def late(self, latency_ms):
        """An answer that came when it was not waited for any more: the board has become slower, as some do on waking."""
        if self._slowest_ms is not None and self._slowest_ms < latency_ms <= FIRST_TIMEOUT_MS:
            self._be_patient(latency_ms)

    def ignored(self):
        """A request right after an answer was met with complete silence."""
        self._silence += SILENCE_WEIGHT
        if self._silence <= SILENCE_LIMIT:
            return
        if self.gap_ms < self._safe_ms and self._answers <= AT_ONCE:
            self._patience = min(2 * self._patience, LAST_PATIENCE)
            self._floor_ms = self._safe_ms
            self._change(self._safe_ms)
        else:
            self._patience = FIRST_PATIENCE
            self._floor_ms = min(LONGEST_GAP_MS, self.gap_ms + 1)
            self._change(min(LONGEST_GAP_MS, 2 * self.gap_ms + 5))
        self._slowest_ms = self.timeout_ms = FIRST_TIMEOUT_MS  # or was the answer only slower than was waited for?

    def _be_patient(self, slowest_ms):
        self._slowest_ms = slowest_ms
        self.timeout_ms = min(FIRST_TIMEOUT_MS, max(SHORTEST_TIMEOUT_MS, 2 * slowest_ms + 20))

    def _change(self, gap_ms):
        self.gap_ms = gap_ms
        self._answers = 0
        self._silence = 0
