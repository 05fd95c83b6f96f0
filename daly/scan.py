# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A scan of a line: which board numbers respond, beside those that are read. Only reads; no I/O, no clock. Loaded on demand.

Each number is asked with P81 and with A5, one try at a time between the ordinary requests, which go on. Whether what comes is
an answer, its content decides. D2 has no numbers. Numbers that did not respond are asked a second time.
"""

from adafruit_ticks import ticks_diff

from .outcomes import RESPONSE

NUMBERS = 16
WAIT_MS = 300  # for the first byte: boards think up to 200 ms
LONGEST_WAIT_MS = 600  # for the last one: 141 bytes of P81 take 147 ms
QUIET_MS = 30  # a response that has begun is over when the line is quiet for so long
REST_MS = 10  # after a response
PACE_MS = 800  # from one try to the next: half of the line is left for the ordinary requests
ROUNDS = 2


class Scan:
    """Used by the Bus in the place of `poller`, which is asked through it; `numbers`: those that are read already.

    `done(found)` is called once with a list of (number, "A5" or "P81").
    """

    def __init__(self, poller, numbers, done):
        self._poller = poller
        self._done = done
        self._found: list = []
        numbers = [number for number in range(1, NUMBERS + 1) if number not in numbers]
        self._tries = [(name, number) for _ in range(ROUNDS) for name in ("P81", "A5") for number in numbers]
        self._number = 0
        self._protocol = None  # of the open try; None: none is open
        self._asked_at = None
        self._last_byte = None
        self._is_answered = False

    @property
    def is_over(self):
        """Whether everything has been asked."""
        return self._protocol is None and not self._tries

    def receive(self, data, count, now):
        """As that of Poller."""
        if self._protocol is None:
            self._poller.receive(data, count, now)
            return
        if count:
            self._last_byte = now
        for i in range(count):
            if self._protocol.feed(data[i], now) == RESPONSE and self._protocol.is_answer():
                self._is_answered = True

    def poll(self, now):
        """As that of Poller."""
        if self._protocol is not None:
            if self._is_waiting(now):
                return None
            self._end_try()
        if self._tries and (self._asked_at is None or ticks_diff(now, self._asked_at) >= PACE_MS):
            self._poller.judge(now)
            if self._poller.is_waiting(now):
                return None
            if self._poller.is_free(now):
                return self._begin_try(now)
        return self._poller.poll(now)

    def judge(self, now):
        """As that of Poller."""
        if self._protocol is None:
            self._poller.judge(now)

    def free_ms(self, now):
        """As that of Poller."""
        return self._poller.free_ms(now) if self._protocol is None else WAIT_MS

    def finish(self):
        """Report what was found."""
        self._found.sort()
        self._done(self._found)

    def _begin_try(self, now):
        name, self._number = self._tries.pop(0)
        self._asked_at = now
        self._last_byte = None
        self._is_answered = False
        try:
            self._protocol = _make(name, self._number)
        except (MemoryError, ImportError):  # then it cannot be read either
            self._tries = [each for each in self._tries if each[0] != name]
            return None
        self._protocol.open(0)
        return self._protocol.build(0)

    def _is_waiting(self, now):
        waited_ms = ticks_diff(now, self._asked_at)
        if self._last_byte is None:
            return waited_ms < WAIT_MS
        quiet_ms = REST_MS if self._is_answered else QUIET_MS
        return waited_ms < LONGEST_WAIT_MS and (ticks_diff(now, self._last_byte) < quiet_ms or waited_ms < QUIET_MS)

    def _end_try(self):
        self._poller.note_traffic(self._asked_at if self._last_byte is None else self._last_byte)
        if self._is_answered:
            self._found.append((self._number, self._protocol.name))
            self._tries = [each for each in self._tries if each[1] != self._number]
        self._protocol = None


def _make(name, number):
    """The protocol of the board with this number, without a pack to store anything in."""
    if name == "A5":
        from .a5 import A5

        return A5(None, 0x40 + number - 1, number)
    from .p81 import P81

    return P81(None, number)
