"""How long to wait: between two requests, and for an answer. Both are learned from the board on the line.

Public evidence disagrees: boards think 5 to 200 ms before they answer. Most take a request right after their answer (the
blocking readers maland16, dalybms and pydalybms leave no gap, a Rust driver 4 ms), others are given 20 ms (dbus-serialbattery)
or 250 ms (ESPHome). So the gap starts small, shrinks while answers are whole, and grows at once where a request is ignored
altogether: damaged answers are noise, not haste.
"""

FIRST_GAP_MS = 3
LONGEST_GAP_MS = 250
SHRINK_AFTER = 4  # whole answers in a row
BLAME_WITHIN = 6  # answers after a smaller gap was tried, in which silence is blamed on it
# Until the board's pace is known: 13.5 ms request, 200 ms thinking, 13.5 ms first frame, and as much again in hand.
FIRST_TIMEOUT_MS = 300
SHORTEST_TIMEOUT_MS = 80


class Pacing:
    """The gap before a request and the time allowed for the first frame of its answer, in ms."""

    def __init__(self):
        self.gap_ms = FIRST_GAP_MS
        self.timeout_ms = FIRST_TIMEOUT_MS
        self._floor_ms = 0  # a gap this small was too small
        self._whole = 0  # whole answers in a row at this gap
        self._slowest_ms = None  # answer time of the slowest answers, slowly forgotten

    def answered(self, latency_ms):
        """A whole answer whose first frame came `latency_ms` after its request."""
        if self._slowest_ms is None or latency_ms > self._slowest_ms:
            self._slowest_ms = latency_ms
        else:
            self._slowest_ms -= (self._slowest_ms - latency_ms) // 16
        self.timeout_ms = min(FIRST_TIMEOUT_MS, max(SHORTEST_TIMEOUT_MS, 2 * self._slowest_ms + 20))
        self._whole += 1
        if self._whole >= SHRINK_AFTER and self.gap_ms > self._floor_ms:
            self.gap_ms = max(self._floor_ms, self.gap_ms * 3 // 4)
            self._whole = 0

    def ignored(self):
        """A request was met with complete silence: was it too early, or is the answer slower than thought?"""
        if self._slowest_ms is not None:
            self._slowest_ms = min(FIRST_TIMEOUT_MS, 2 * self._slowest_ms)
            self.timeout_ms = min(FIRST_TIMEOUT_MS, max(SHORTEST_TIMEOUT_MS, 2 * self._slowest_ms + 20))
        if self._whole < BLAME_WITHIN:
            self._floor_ms = min(LONGEST_GAP_MS, self.gap_ms + 1 + self.gap_ms // 4)
            self.gap_ms = self._floor_ms
        self._whole = 0
