# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""How long to wait: between two requests, and for an answer. Both are learned from the board on the line.

Public evidence disagrees: boards think 5 to 200 ms before they answer. Most take a request right after their answer (the
blocking readers maland16, dalybms and pydalybms leave no gap, a Rust driver 4 ms), others are given 20 ms (dbus-serialbattery)
or 250 ms (ESPHome). So the gap starts small, and grows where requests right after an answer are ignored again and again:
damaged answers are noise, a single silence is a lost frame, and a board silent for longer sleeps. Then the middle between
what is too small and what works is tried, until the two are neighbours: a gap too long by 10 ms would cost a fifth of the line.
"""

FIRST_GAP_MS = 1
LONGEST_GAP_MS = 250
# A silence weighs so much, an answer takes 1 away, and above the limit the gap is blamed: a board that finds it too small
# ignores every second request. Of a gap that has worked for long it takes more to blame it: frames are lost, too.
SILENCE_WEIGHT = 4
SILENCE_LIMIT = 12
PROVEN_LIMIT = 30
PROVEN = 100  # answers
TRIAL = 20  # answers that a smaller gap must get to be kept, without any silence: at the very edge one in ten is ignored
# So many answers after the smallest gap was found a smaller one is tried again, something else may have been to blame; and
# each time after twice as many.
FIRST_PATIENCE = 1000
LAST_PATIENCE = 50000
# Until the board's pace is known: 13.5 ms request, 200 ms thinking, 13.5 ms first frame, and as much again in hand.
FIRST_TIMEOUT_MS = 300
SHORTEST_TIMEOUT_MS = 80
# Serial lines bridged over Wi-Fi add 200 to 450 ms (esp-link#108, #275, flip555/bms_connector#79). What comes later than this
# is nobody's answer any more.
LATEST_MS = 1500
LATE_ANSWERS = 2  # in a row, none in time between them: then such a line is waited for, one straggler is not


class Timing:
    """The gap before a request and the time allowed for the first frame of its answer, in ms."""

    def __init__(self):
        self.gap_ms = FIRST_GAP_MS
        self.timeout_ms = FIRST_TIMEOUT_MS
        self._floor_ms = 0  # no smaller gap is tried
        self._safe_ms = None  # the gap to return to while a smaller one is on trial
        self._answers = 0  # since the gap was changed
        self._patience = FIRST_PATIENCE
        self._silence = 0  # weight of the silences of late
        self._slowest_ms = None  # answer time of the slowest answers, slowly forgotten
        self._late = 0  # answers in a row that came too late
        self._late_asked_at = None  # when the last of them had been asked for

    def answered(self, latency_ms):
        """A whole answer whose first frame came `latency_ms` after its request."""
        self._late = 0
        if self._slowest_ms is not None and latency_ms <= self._slowest_ms:
            latency_ms = self._slowest_ms - (self._slowest_ms - latency_ms) // 16
        self._be_patient(latency_ms)
        self._answers += 1
        if self._silence:
            self._silence -= 1
        elif self._answers >= TRIAL:
            self._shrink()

    def late(self, latency_ms, asked_at):
        """A frame of an answer came when it was not waited for any more; it had been asked for at the tick `asked_at`.

        The board has become slower, as some do on waking, or the line between delays it.
        """
        if asked_at == self._late_asked_at:
            return  # one more frame of the same answer
        self._late_asked_at = asked_at
        self._late += 1
        self._silence = max(0, self._silence - SILENCE_WEIGHT)  # it was not ignored after all
        is_slower = self._slowest_ms is None or self._slowest_ms < latency_ms
        is_board = latency_ms <= FIRST_TIMEOUT_MS and self._slowest_ms is not None
        if is_slower and (is_board or self._late >= LATE_ANSWERS):
            self._be_patient(latency_ms)

    def ignored(self):
        """A request right after an answer was met with complete silence."""
        self._silence += SILENCE_WEIGHT
        if self._safe_ms is not None:
            self._floor_ms = self.gap_ms + 1
            self._change(self._safe_ms)
            self._answers = PROVEN
        elif self._silence > (SILENCE_LIMIT if self._answers < PROVEN else PROVEN_LIMIT):
            self._patience = FIRST_PATIENCE
            self._floor_ms = min(LONGEST_GAP_MS, self.gap_ms + 1)
            self._change(min(LONGEST_GAP_MS, 2 * self.gap_ms + 5))
            self._slowest_ms = self.timeout_ms = FIRST_TIMEOUT_MS  # or was the answer only slower than was waited for?

    def _shrink(self):
        """Try the middle between this gap and the floor; at the floor, but seldom, a quarter less."""
        safe_ms = self.gap_ms
        if self.gap_ms > self._floor_ms:
            self._change((self.gap_ms + self._floor_ms) // 2)
        elif self.gap_ms and self._answers >= self._patience:
            self._patience = min(2 * self._patience, LAST_PATIENCE)
            self._floor_ms = 0
            self._change(3 * self.gap_ms // 4)
        self._safe_ms = safe_ms if safe_ms != self.gap_ms else None

    def _be_patient(self, slowest_ms):
        self._slowest_ms = slowest_ms
        limit = FIRST_TIMEOUT_MS if slowest_ms <= FIRST_TIMEOUT_MS - 20 else LATEST_MS
        self.timeout_ms = min(limit, max(SHORTEST_TIMEOUT_MS, 2 * slowest_ms + 20))

    def _change(self, gap_ms):
        self.gap_ms = gap_ms
        self._answers = 0
        self._silence = 0
        self._safe_ms = None
