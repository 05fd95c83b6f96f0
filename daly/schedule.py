# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The poll schedule: which block is requested next. Each in turn when it is due, the fast one in between, static data once.

Every block is optional: one that gets no response has its turn, and never keeps the others waiting. No I/O, no clock.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.readings import GROUPS

# A block that is ignored so often in a row while others are answered is not supported by this board: request it but rarely.
UNSUPPORTED_AFTER_TIMEOUTS = 4  # at 20 % of frames missing one block in 600 is ignored so often
UNSUPPORTED_PERIOD_MS = 60000
# The same for static data that many boards do not have: it is requested twice, and again when it hardly costs anything.
OPTIONAL_TIMEOUTS = 2
OPTIONAL_PERIOD_MS = 600000
# The same for a block that was answered before, of five frames one may be lost for hours; and for all of them where most
# requests are ignored, whatever they ask.
MUTE_AFTER_TIMEOUTS = 20
# A missing response to a block that is supported weighs so much, a response takes 1 away, and above the limit a line is lossy.
MISSING_WEIGHT = 4
LOSSY = 6
# Empty responses that would change something must come four times: requested again so often before the cycle goes on.
REPEATS = 3
# Poll cycles are as long on the slowest boards (48 cells, 200 ms to think). Longer ones come from time-outs: no excuse.
LONGEST_CYCLE_MS = 5000
# Static data is requested one block after the other with the measurements in between: some boards support none of it.
STATIC_PACE_MS = 200
STATIC_RETRY_MS = 2500
SLOW_CYCLE_MS = 1000
# With more boards on a line than this the current of P81 would be read less than once a second: the cells wait for so long, per
# board.
MANY_BOARDS = 3
CELLS_EVERY_MS = 500
EMPTY_RESPONSES = 3
# The very first cycle has no fast lane, except beside other boards where it is overdue by so much: it would expire before it is
# published.
OVERDUE_MS = 500
CYCLE_OF_BOARD_MS = 3000  # with several boards on the line a cycle may be as long as so much for each
# Beside other boards static data is read until the cycle has lasted so long, else one block in a cycle, and none in the first.
STATIC_UNTIL_MS = 2000


class Schedule:
    """`blocks`: of the protocol; `frames_expected(index)`: 0 while a block cannot be requested; `is_online()`: whether the BMS
    answers; `periods`: ms by setting of a poll group, where it is not the group's own. `current`: index of the block requested
    last.
    """

    def __init__(self, blocks, frames_expected, is_online, periods=None):
        self.current = 0
        self.cycle_ms = None  # from one turn of the first block to the next
        self._blocks = blocks
        self._frames_expected = frames_expected
        self._is_online = is_online
        self._periods = []
        for block in blocks:
            group = GROUPS[block.group]
            self._periods.append((periods or {}).get(group.setting, group.period_ms))
        self._fast_ms = self._periods[0]
        self._has_read_static = False  # in this cycle
        self._boards = 1  # that are requested in turn on this line
        count = len(blocks)
        self._is_static = [GROUPS[block.group].period_ms is None for block in blocks]
        self._is_optional = [block.is_optional for block in blocks]
        self._polled = [index for index in range(count) if not (self._is_static[index] or self._is_optional[index])]
        self._cells_ms = self._periods[self._polled[1]] if len(self._polled) > 1 else 0
        self._cycle = -1  # where the cycle through all blocks stands
        self._next_cycle = -1  # and where, once the block chosen last is requested
        self._again = None  # index of a block that has its turn immediately, behind the fast lane
        self._cycle_at = None
        self._taken_at = self._fast_at = 0  # ticks of the last request, and of the last one of the first block
        self._fast_interval_ms = 0  # since the one before
        self._repeats = bytearray(count)  # how often each block was requested again at once, in this cycle
        self._lost = 0  # weight of the responses lost of late
        self._due = [0] * count
        self._misses = [0] * count  # time-outs in a row, with a response to something else between them
        self._missed_at = [-1] * count  # `_responses` at the last of them
        self._responses = 0  # modulo 65536
        self._answered = [False] * count  # ever
        self._requested = [False] * count  # answered, or not in time, since the BMS came online
        self._done = [False] * count  # static data that has been read
        self._unsupported = [False] * count  # by this board, as far as that can be seen
        self._empty = [0] * count  # empty responses to static data
        self._soon = None  # index of a block that is requested next, whatever its period

    @property
    def complete(self):
        """Whether every block that is polled has been requested since the BMS came online."""
        for index in self._polled:
            if not self._requested[index] and self._frames_expected(index):
                return False
        return self._is_online()

    @property
    def polled(self):
        """How many blocks are requested again and again."""
        return len(self._is_static) - sum(self._is_static)

    @property
    def static_done(self):
        """Whether all static data has been read, or given up."""
        return self._is_done(True)

    def _is_done(self, with_optional):
        for index in range(len(self._blocks)):
            if self._is_static[index] and not self._done[index] and (with_optional or not self._is_optional[index]):
                return False
        return self.complete

    @property
    def unsupported(self):
        """Functions of the blocks that this board does not support; static ones all at one time, when the last is given up."""
        found = []
        for index in range(len(self._blocks)):
            if self._is_optional[index]:
                continue
            if self._unsupported[index] and (not self._is_static[index] or self._is_done(False)):
                found.append(self._blocks[index].function)
        return found

    def share(self, boards):
        """So many boards are requested in turn on this line: the fast lane of each has the same part of it as that of one."""
        self._boards = max(1, boards)
        self._periods[0] = self._fast_ms * self._boards
        if not self._fast_ms and len(self._polled) > 1:  # P81: its two long requests take turns
            least_ms = CELLS_EVERY_MS * boards if boards > MANY_BOARDS else 0
            self._periods[self._polled[1]] = max(self._cells_ms, least_ms)

    def request_soon(self, row):
        """The block of this reading is requested next."""
        self._soon = self.block_of(row)

    def block_of(self, row):
        """Index of the block of this reading; None: no block has it."""
        for index in range(len(self._blocks)):
            if row in self._blocks[index].rows:
                return index
        return None

    def request_in_next_cycle(self, now):
        """The block requested last does not wait for its period."""
        self._due[self.current] = now

    def begin(self, now):
        """A new connection, or a search for one: request everything."""
        wait_ms = 0
        for index in range(len(self._blocks)):
            if self._is_static[index]:
                wait_ms += STATIC_PACE_MS
            self._due[index] = ticks_add(now, wait_ms)
            self._misses[index] = 0
            self._done[index] = False
            self._empty[index] = 0
            self._requested[index] = False

    def begin_cycle_again(self):
        """The BMS is found: what is measured comes first, and where the search stood does not count."""
        self._cycle = self._next_cycle = 0 if self.current == 0 else -1
        if self.current == 0 and self._cycle_at is None:  # it was found by a request out of turn
            self._cycle_at = self._taken_at

    def choose(self, now, pending=-1):
        """Index of the block to be requested at the tick `now`, or None; `take` when it is requested.

        `pending`: the block whose response is waited for: until it is judged it looks due, and is not requested twice in a row,
        unless there is no other.
        """
        self._next_cycle = self._cycle
        if self._soon is not None:
            return self._soon
        # The first block is the fast lane: it cuts in when it is due, but never twice in a row, so that no other starves,
        # and not in the very first cycle: until then nothing is published.
        if self._periods[0] and self.current != 0 and self._is_due(0, now) and self._has_fast_lane(now):
            return 0
        if self._again is not None:
            return self._again
        count = len(self._blocks)
        spare = 0  # step to a block that is read only where nothing else is due
        for step in range(1, count + 1):
            index = (self._cycle + step) % count
            if index != pending and self._is_due(index, now):
                if self._may_wait(index, now):
                    spare = spare or step
                    continue
                self._next_cycle = self._cycle + step
                return index
        if spare and pending < 0:
            self._next_cycle = self._cycle + spare
            return self._next_cycle % count
        if pending >= 0 and self._periods[pending] == 0:  # there is no other, as with D2
            self._next_cycle = self._cycle + count
            return pending
        return None

    def _has_fast_lane(self, now):
        if self.complete or not self._is_online():
            return True
        return self._boards > 1 and ticks_diff(now, self._due[0]) >= OVERDUE_MS

    def _may_wait(self, index, now):
        """Whether a block is not measured, and comes later: beside other boards a cycle is long, and what is measured must not
        expire meanwhile.
        """
        if self._boards == 1 or not (self._is_static[index] or self._is_optional[index]):
            return False
        is_long = self._has_read_static and ticks_diff(now, self._cycle_at) >= STATIC_UNTIL_MS
        return is_long or not self.complete

    def take(self, index, now):
        """The block chosen last is requested now."""
        self.current = index
        self._taken_at = now
        if not index:
            self._fast_interval_ms = ticks_diff(now, self._fast_at)
            self._fast_at = now
        if index == self._soon:
            self._soon = None
        if index == self._again:
            self._again = None
        if self._next_cycle != self._cycle:
            if self._cycle < 0 or self._next_cycle >= len(self._blocks):
                self._begin_cycle(now)
            self._cycle = self._next_cycle % len(self._blocks)
        if self._is_static[index] or self._is_optional[index]:
            self._has_read_static = True
        if self._boards == 1 and self._is_static[index] and (self.cycle_ms or 0) > SLOW_CYCLE_MS:
            self._delay_static(now)

    def _delay_static(self, now):
        """The other static data waits for a whole cycle: what is measured must not expire meanwhile."""
        earliest = ticks_add(now, min(self.cycle_ms or SLOW_CYCLE_MS, LONGEST_CYCLE_MS))
        for index in range(len(self._blocks)):
            if self._is_static[index] and not self._done[index] and ticks_diff(self._due[index], earliest) < 0:
                self._due[index] = earliest

    def take_again(self, index):
        """This block is requested once more, out of its turn."""
        self.current = index

    def answered(self, accepted, whole, now):
        """The block requested last was answered; what is not whole or must be confirmed is requested again in the next cycle.

        Returns whether what is unsupported may have changed.
        """
        index = self.current
        is_static = self._is_static[index]
        self._responses = (self._responses + 1) & 0xFFFF
        self._misses[index] = 0
        self._answered[index] = self._requested[index] = True
        self._done[index] = is_static and accepted and whole
        self._due[index] = ticks_add(now, (self._periods[index] or 0) if accepted and whole else 0)
        may_differ = self._unsupported[index] or is_static
        self._unsupported[index] = False
        self._lost = max(0, self._lost - 1)
        self._repeats[index] = 0
        return may_differ

    def was_empty(self, now):
        """The block requested last was answered with zeros.

        One that must be confirmed has its next turn immediately, but with the fast lane in between: is it zero, too?
        A setting that was never made is zero for ever: it is requested a few times.
        """
        index = self.current
        if self._is_static[index] or self._is_optional[index]:
            self._empty[index] += 1
            is_given_up = self._empty[index] >= EMPTY_RESPONSES
            self._done[index] = is_given_up and self._is_static[index]
            if is_given_up and not self._is_static[index]:
                self._due[index] = ticks_add(now, OPTIONAL_PERIOD_MS)
            return
        block = self._blocks[index]
        if GROUPS[block.group].period_ms == 0 and block.frames == 1 and self._repeats[index] < REPEATS:
            self._repeats[index] += 1
            self._again = index

    def was_late(self, index):
        """A response has come after its time-out: the board supports this block."""
        self._misses[index] = 0

    def failed(self, was_silent, now):
        """The block requested last was not answered. Returns whether what is unsupported may have changed."""
        index = self.current
        is_static = self._is_static[index]
        if was_silent and self._missed_at[index] != self._responses:  # else it is the whole BMS that is silent
            self._missed_at[index] = self._responses
            self._misses[index] += 1
        self._requested[index] = True
        if was_silent and self._answered[index]:
            self._lost = min(2 * LOSSY, self._lost + MISSING_WEIGHT)
        limit = OPTIONAL_TIMEOUTS if is_static and self._is_optional[index] else UNSUPPORTED_AFTER_TIMEOUTS
        if self._answered[index] or self._lost > LOSSY:
            limit = MUTE_AFTER_TIMEOUTS
        unsupported = self._is_online() and self._misses[index] >= limit
        if is_static:
            self._done[index] = unsupported
            if self._boards == 1:
                self._delay_static(now)  # of A5 many boards have none: all these time-outs in a row would take 5 s
        may_differ = unsupported or self._unsupported[index]
        if may_differ:
            self._unsupported[index] = True
        again_ms = STATIC_RETRY_MS if is_static else 0
        rarely_ms = OPTIONAL_PERIOD_MS if self._is_optional[index] else UNSUPPORTED_PERIOD_MS
        self._due[index] = ticks_add(now, rarely_ms if unsupported else again_ms)
        return may_differ

    def expects_response(self):
        """Whether a time-out is a surprise: the block requested last was answered before, or was not ignored yet."""
        return self._answered[self.current] or not self._misses[self.current]

    def period_ms(self, index):
        """How often a block is requested: in each cycle, except the first block and those with longer periods. None: once."""
        period = self._periods[index]
        if period is None:
            return None
        if period and not index:
            # beside other boards it has to wait for its turn
            return period if self._boards == 1 else max(period, min(self._fast_interval_ms, LONGEST_CYCLE_MS))
        return max(period, min(self._present_cycle_ms(), LONGEST_CYCLE_MS))

    def longest_ms(self, index):
        """The same, also where a cycle is longer because there are many boards."""
        if self._periods[index] is None or (self._periods[index] and not index):
            return self.period_ms(index)
        return max(self._periods[index], min(self._present_cycle_ms(), CYCLE_OF_BOARD_MS * self._boards))

    def _present_cycle_ms(self):
        cycle_ms = self.cycle_ms or 0
        if self._boards == 1 or self._cycle_at is None:
            return cycle_ms
        # the present one may be longer, and the first one has no other
        return max(cycle_ms, ticks_diff(self._taken_at, self._cycle_at))

    def is_static(self, index):
        """Whether a block is read once per connection."""
        return self._is_static[index]

    def _begin_cycle(self, now):
        if self._cycle_at is not None:
            self.cycle_ms = ticks_diff(now, self._cycle_at)
        self._has_read_static = False
        for index in range(len(self._repeats)):
            self._repeats[index] = 0
        self._cycle_at = now

    def _is_due(self, index, now):
        is_done = self._done[index] and not self._unsupported[index]  # what was given up is tried rarely
        if is_done or not self._frames_expected(index):
            self._due[index] = now  # ticks wrap: no time to be compared may grow old
            return False
        if (self._is_static[index] or self._is_optional[index]) and not self._is_online():
            return False
        return ticks_diff(now, self._due[index]) >= 0
