# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Timing: the gap between two requests and the response timeout, both learned from the board on the line.

Public evidence disagrees: boards think 5 to 200 ms before they respond. Most take a request right after their response (the
blocking readers maland16, dalybms and pydalybms leave no gap, a Rust driver 4 ms), others are given 20 ms (dbus-serialbattery)
or 250 ms (ESPHome). So the gap starts small, and grows where requests right after an answer are ignored again and again:
damaged answers are noise, a single silence is a lost frame, and a board silent for longer sleeps. Then the middle between
what is too small and what works is tried, until the two are neighbours: a gap too long by 10 ms would cost a fifth of the line.
"""

LONGEST_GAP_MS = 250
# A timeout weighs so much, a response takes 1 away, and above the limit the gap counts as too short: a board for which it is
# ignores every second request. For a gap that has worked for long the limit is higher: frames are lost, too.
SILENCE_WEIGHT = 4
SILENCE_LIMIT = 12
PROVEN_LIMIT = 30
PROVEN = 100  # responses
TRIAL = 20  # responses without a timeout for which a smaller gap is kept: close to the limit one request in ten is ignored
# After so many responses with the smallest gap a smaller one is tried again, as the timeouts may have had another cause; each
# time after twice as many.
FIRST_PATIENCE = 1000
LAST_PATIENCE = 50000
# Until the board's response time is known: 13.5 ms request, 200 ms thinking, 13.5 ms first frame, and as much again in reserve.
FIRST_TIMEOUT_MS = 300
SHORTEST_TIMEOUT_MS = 80
# Serial lines bridged over Wi-Fi add 200 to 450 ms (esp-link#108, #275, flip555/bms_connector#79). What comes later than this
# is no response to any request.
LATEST_MS = 1500
AMBIGUOUS_ANSWERS = 6  # in a row, none in time for certain between them
LATE_ANSWERS = 2  # in a row, none in time between them: then the timeout grows; a single late one does not count


class Timing:
    """The gap before a request and the time allowed for the first frame of its answer, in ms. `gap_ms`: to begin with."""

    def __init__(self, gap_ms=1):
        self.gap_ms = gap_ms
        self.timeout_ms = FIRST_TIMEOUT_MS
        self._floor_ms = 0  # no smaller gap is tried
        self._safe_ms = None  # the gap to return to while a smaller one is on trial
        self._answers = 0  # since the gap was changed
        self._patience = FIRST_PATIENCE
        self._silence = 0  # weight of the recent timeouts
        self._slowest_ms = None  # response time of the slowest responses, slowly forgotten
        self._late = 0  # responses in a row that came too late
        self._ambiguous = 0  # the same, of those that may have
        self._late_asked_at = None  # when the last of them had been requested

    def answered(self, latency_ms):
        """A whole response whose first frame came `latency_ms` after its request."""
        self._late = self._ambiguous = 0
        if self._slowest_ms is not None and latency_ms <= self._slowest_ms:
            latency_ms = self._slowest_ms - (self._slowest_ms - latency_ms) // 16
        self._be_patient(latency_ms)
        self._count_answer()

    def _count_answer(self):
        """The gap before a request was long enough."""
        self._answers += 1
        if self._silence:
            self._silence -= 1
        elif self._answers >= TRIAL:
            self._shrink()

    def late(self, latency_ms, asked_at):
        """A frame of a response came after its timeout; it had been requested at the tick `asked_at`.

        The board has become slower, as some do on waking, or the line between delays it.
        """
        if asked_at == self._late_asked_at:
            return  # one more frame of the same response
        self._late_asked_at = asked_at
        self._late += 1
        self._silence = max(0, self._silence - SILENCE_WEIGHT)  # it was not ignored after all
        is_slower = self._slowest_ms is None or self._slowest_ms < latency_ms
        is_board = latency_ms <= FIRST_TIMEOUT_MS and self._slowest_ms is not None
        if is_slower and (is_board or self._late >= LATE_ANSWERS):
            self._be_patient(latency_ms)

    def ambiguous(self, latency_ms, asked_at, shortest_ms):
        """A response to the request sent `shortest_ms` ago, or to an older one for the same, given up, `latency_ms` ago.

        If it comes as soon as others it is one to the new request: where one in five is lost that is usual, and P81 and D2
        request so few blocks that most responses would be ambiguous. If nothing else comes for long the board has become slow.
        """
        if self._slowest_ms is not None and shortest_ms <= self._slowest_ms:
            self._count_answer()
            return
        self._ambiguous += 1
        if self._ambiguous >= AMBIGUOUS_ANSWERS:
            self.late(latency_ms, asked_at)

    def ignored(self):
        """A request right after a response was ignored completely."""
        self._silence += SILENCE_WEIGHT
        if self._safe_ms is not None:
            self._floor_ms = self.gap_ms + 1
            self._change(self._safe_ms)
            self._answers = PROVEN
        elif self._silence > (SILENCE_LIMIT if self._answers < PROVEN else PROVEN_LIMIT):
            self._patience = FIRST_PATIENCE
            self._floor_ms = min(LONGEST_GAP_MS, self.gap_ms + 1)
            self._change(min(LONGEST_GAP_MS, 2 * self.gap_ms + 5))
            self._slowest_ms = self.timeout_ms = FIRST_TIMEOUT_MS  # or was the response only slower than the timeout?

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
