# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several boards on one line: whose turn it is, and whose frame it is that nobody waits for. No I/O, no clock.

One request at a time, whatever the number of boards. Each poller decides what it requests, and waits for its own gap since the
last byte on the line; which one is next decides SharedLine: in turn, but at once where a response must be confirmed or
something is written, and seldom where nothing answers. As with one board the next request is chosen and built while a response
is waited for, and sent before that is judged. Loaded only where a line has several boards.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.pack import CURRENT, MODE
from battery.plausibility import CLEAR_CURRENT, fits_mode
from battery.readings import READING

from .diagnosis import ECHO, NOISE
from .diagnosis import UNEXPECTED as UNEXPECTED_FRAMES
from .outcomes import FRAME, RESPONSE, UNEXPECTED
from .poller import EXPIRING_MS, OFFLINE_AFTER_MS, QUIET_TIMEOUT_MS, RETRIES, STALE_AFTER_MS, WAITED_GAP_MS, Poller

# A board that is silent while others answer costs them at most one time-out in so long.
SILENT_EVERY_MS = 10000
# One that has just become silent: OFFLINE_AFTER_TIMEOUTS of these are OFFLINE_AFTER_MS, as on a line of its own.
MISSED_EVERY_MS = 600
# On a line with several protocols a turn of A5 has two short requests, for one long one of P81.
SHORT_TURN_MS = 60
COMPARE_EVERY_MS = 3000  # a comparison has the line for half a second: what is measured must not expire meanwhile
EAGER = 4  # requests to a silent board as soon as the first one on its line answers
LONGEST_WAIT_MS = QUIET_TIMEOUT_MS + 100  # for the line to be quiet, which a poller bounds
MISSED = 2  # requests in a row without a response, until it is asked at that pace

# Two boards with one number destroy each other's responses, or answer one after the other, while those of the others are whole.
# Their voltage hardly ever arrives, since they never say the same of it. A bad wire damages many responses, not nearly all: a
# damaged response with the voltage weighs 1, a good one takes so much away, and at the limit nine of ten are damaged.
GOOD_WEIGHT = 9
DAMAGE_LIMIT = 40
NEVER_GOOD_LIMIT = 10  # of a board that has never responded
CLEAN = 20  # requests in a row of a neighbour without damage, so that it is not the line that is noisy
CLEAN_SILENT = 3  # the same of a neighbour that is silent: nothing was received for a third of a second each time
TWICE_WEIGHT = 4  # of two good responses to one request that contradict each other
TWICE_LIMIT = 16
TWICE_MS = 400  # the second response comes within this time after the first
CURED = 3  # good responses in a row, each once, until the readings of such a board are taken again

# A frame that has begun is read to its end by whoever has the line, unless nothing comes for so long: its head and its tail
# would be noise for two boards. USB adapters deliver bytes in lumps of 16 ms.
FRAME_QUIET_MS = 20
LONGEST_FRAME_MS = 200  # after its time-out

# So many frames that were not asked for in so long: a board that sends by itself, or that another master asks.
UNASKED = 10
UNASKED_WINDOW_MS = 60000

# So often the one of current and mode is asked for that does not fit the other: ten comparisons settle the sign of the current,
# and some boards are always idle.
MODE_TRIES = 12

VOLTAGE = READING["pack_voltage"]

NOT_YET = b""  # there is a request, and its gap is waited for


class SharedPoller(Poller):
    """A Poller that has the line only in its turn; `line`: the SharedLine, which is set by that."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, is_shared=True, **options)  # type: ignore[misc]
        self.pack.confirm_at_once()
        self._line = None
        self._asked_at = None  # tick of the last request
        self._has_overheard = False  # since then: a frame of a neighbour with another protocol, which is no noise
        self._eager = 0  # requests that need not wait although nothing answers
        self._was_noise = False  # the outcome of the last request
        self._boards = 1  # that are online on this line
        self._damage_score = 0
        self._twice_score = 0
        self._clean = 0  # requests in a row without damage
        self._cured = 0
        self._mode_tries = 0  # since current and mode fitted last
        self._has_gone_on = True  # something else than the two has been asked for since the last of them
        self._answered_block = -1  # index of the block answered last, and the end of that frame
        self._answered_end = 0
        self._answered_at = 0
        self._unasked = 0  # frames that were not asked for since `_unasked_at`; that is None: there were none
        self._unasked_at = None

    # used by the line

    def join(self, line, trace):
        """It is on this line now, whose frames `trace` keeps."""
        self._line = line
        self.trace = trace
        self.diagnosis.note_number(self.board_number)

    @property
    def spoken(self):
        """The protocol of the present or the next request."""
        return self._protocol

    @property
    def is_held(self):
        """Whether a response is whole and not judged yet."""
        return self._held

    @property
    def is_urgent(self):
        """Whether it wants the line next: to confirm a response, or for a write."""
        return self.online and (self._retry is not None or len(self._write) > 0)

    def is_clean(self):
        """Whether nothing was damaged in its turns of late."""
        return self._clean >= (CLEAN if self.online else CLEAN_SILENT)

    def returns_requests(self):
        """Whether only requests come back in its turns: those to others, too, which destroys their responses."""
        return not self.online and self.diagnosis.outcome == ECHO

    def has_two_responses(self):
        """Whether its responses come twice of late."""
        return self._twice_score >= TWICE_WEIGHT

    def needs_line(self, now):
        """Whether nobody else may send: it rests before or after a write, compares protocols, or awaits trailing frames."""
        if self._compares or (self._write and self.online) or self._protocol.awaits_trailing(now):
            return True
        return self._rests_after_write(now)

    def is_listening(self, now):
        """Whether a second board with its number may still answer: only for that it is asked."""
        return self.diagnosis.is_doubled and 0 <= ticks_diff(now, self._requested_at) < TWICE_MS

    def is_receiving(self, now):
        """Whether a frame has begun that is not over."""
        if not self._protocol.reader.partial() or self._last_byte is None:
            return False
        quiet_ms = ticks_diff(now, self._last_byte)
        return 0 <= quiet_ms < FRAME_QUIET_MS and ticks_diff(now, self._deadline) < LONGEST_FRAME_MS

    def may_ask(self, now, others_answer):
        """Whether it may have the line at the tick `now`; `others_answer`: other boards are waiting for it."""
        if self._rest_since is not None and ticks_diff(now, self._rest_since) < self._rest_ms:
            return False
        if self._asked_at is None or self._eager or not others_answer:
            return True
        if self.online:
            return self._failures < MISSED or self._was_noise or ticks_diff(now, self._asked_at) >= MISSED_EVERY_MS
        if self._damage_score and not self.diagnosis.is_doubled:  # it is there
            return ticks_diff(now, self._asked_at) >= MISSED_EVERY_MS
        if self._detector.exhausted or self.diagnosis.is_doubled:
            return ticks_diff(now, self._asked_at) >= SILENT_EVERY_MS
        return True

    def be_eager(self):
        """The first board of this line answers: the others may have been switched on with it."""
        if not self.online:
            self._eager = EAGER

    def prepare(self, at, boards):
        """Choose and build what is requested at the tick `at`; whether it wants the line. `boards`: that are online here."""
        self._boards = boards
        self._schedule.share(boards)
        if self.diagnosis.is_doubled or (self._damage_score and not self.online):
            self._schedule.request_soon(VOLTAGE)
        self._choose(at)
        return self._next is not None or (self.online and len(self._write) > 0)

    def may_hand_over(self, now):
        """Whether another poller can ask although the response that is whole has not been judged yet."""
        if self._write or self._compares or not self.online or self.diagnosis.is_doubled:
            return False
        return not self._protocol.is_damaged() and not self._protocol.awaits_trailing(now)

    def response_at(self, now):
        """The tick at which the response to the open request should be whole."""
        return ticks_add(self._requested_at, max(self._response_ms, ticks_diff(now, self._requested_at)))

    def begin_turn(self, last_byte):
        """It has the line from now on; `last_byte`: tick of the last one on it, None: long ago."""
        self._last_byte = last_byte
        self._waits_since = None
        reader = self._protocol.reader
        reader.reset()
        self._damage = reader.discarded  # what came in the turns of others does not count

    def take_over(self, now, held_at):
        """The request prepared, to be sent at the tick `now`, before the response whole at `held_at` is judged.

        NOT_YET: in a moment; None: the response is judged first.
        """
        gap_ms = self.timing.gap_ms
        if self._next is None or self._write or gap_ms > WAITED_GAP_MS or self._should_compare(now):
            return None
        if gap_ms > 1 and ticks_diff(now, held_at) < gap_ms:
            return NOT_YET
        self._sent = True
        self._rest_since = None
        return self._next_frame

    def ask_ahead(self, now):
        """The same when its own response is whole, and nobody else asks."""
        if not self._may_send_next(now):
            return None
        return self.poll(now) or NOT_YET

    def open_sent(self, at):
        """What `take_over` returned was sent at the tick `at`."""
        self._sent = False
        self._open(self._next, at)

    def tend(self, now):
        """Forget what is too old while others have the line."""
        if self._expired_at is None:
            self._schedule.begin(now)
            self._expire(now)
        elif ticks_diff(now, self._expired_at) >= self._expire_ms:
            self._expire(now)

    def overhear(self, spoken, now, is_answer):
        """A good frame came in the turn of a neighbour, which speaks the protocol `spoken`. Whether our board has sent it.

        `is_answer`: it may as well be the neighbour's answer, with a wrong number.
        """
        for protocol in (self._protocol,) + self._detector.others:
            if protocol.name == spoken.name and protocol.is_sender(spoken.reader):
                if protocol is self._protocol:
                    self._take_overheard(protocol.block_of(spoken.reader), spoken.reader, is_answer, now)
                elif not self.online:  # it was tried before what is tried now
                    self._detector.answered_late(protocol)
                    self._try_next(now)
                return True
        return False

    # what differs from a line of its own

    def _should_compare(self, now):
        return super()._should_compare(now) and self._line.may_compare(now)

    def _begin_comparison(self, now):
        self._line.note_comparison(now)
        super()._begin_comparison(now)

    def _age_limit(self, index):
        return max(super()._age_limit(index), self._schedule.longest_ms(index) + STALE_AFTER_MS)

    def _open(self, index, now):
        self._asked_at = now
        self._has_overheard = False
        if self._eager:
            self._eager -= 1
        rows = self._protocol.blocks[index].rows
        if CURRENT not in rows and MODE not in rows:
            self._has_gone_on = True
        super()._open(index, now)

    def _choose_next(self, now):
        """The line chooses who is next."""

    def _talk(self, conversation, now):
        super()._talk(conversation, now)
        self._line.note_protocols()

    def _overheard(self):
        return self._detector.others or self._line.other_protocols(self._protocol)

    def _feed_others(self, byte, now):
        for other in self._overheard():
            event = other.feed(byte, now)
            if event == UNEXPECTED:
                if self._line.find_sender(self, other, now):
                    self._has_overheard = True
            elif event in (FRAME, RESPONSE) and other in self._detector.others:
                self._detector.answered_late(other)
                self._try_next(now)
                return True
        return False

    def _take_unexpected(self, now):
        protocol = self._protocol
        if protocol.is_sender(protocol.reader):
            block = protocol.frame_block
            unexpected = self.unexpected
            super()._take_unexpected(now)
            if self.unexpected != unexpected and block >= 0:
                self._note_unasked(block, protocol.reader, now)
            return
        is_answer = protocol.is_for_pending(protocol.reader)  # our board may send another number than it is asked with
        if is_answer:
            self._seen |= 1 << UNEXPECTED_FRAMES
        if not self._line.find_sender(self, protocol, now, is_answer):
            super()._take_unexpected(now)

    def _outcome(self):
        outcome = super()._outcome()
        return UNEXPECTED_FRAMES if outcome == NOISE and self._has_overheard else outcome

    def _take_overheard(self, block, reader, is_answer, now):
        position = self._find_timed_out(block)
        if position is not None:
            self._note_late(block, position, now)
        if position is not None or is_answer:
            return
        if block >= 0:
            self._protocol.note_overheard(block)
        self.unexpected += 1
        self._note_unasked(block, reader, now)

    def _note_unasked(self, block, reader, now):
        """Our board has sent a frame, the last one in the reader, that nobody has asked for."""
        is_single = block >= 0 and self._protocol.blocks[block].frames == 1
        if is_single and block == self._answered_block and 0 <= ticks_diff(now, self._answered_at) < TWICE_MS:
            if _end_of(reader) == self._answered_end:
                return  # the same once more, from the same board
            self._cured = 0
            self._twice_score = min(self._twice_score + TWICE_WEIGHT, TWICE_LIMIT)
            # where those of a neighbour come twice, too, it is the line
            if self._twice_score >= TWICE_LIMIT and not self._line.is_beside(self, SharedPoller.has_two_responses):
                self._note_doubled(now)
            return
        if self._unasked_at is None or ticks_diff(now, self._unasked_at) >= UNASKED_WINDOW_MS:
            self._unasked = 0
            self._unasked_at = now
        self._unasked += 1
        if self._unasked == UNASKED:
            self.diagnosis.note_babbling(True)

    def _accept(self, whole, now):
        self._answered_block = self._protocol.pending
        rows = self._protocol.blocks[self._answered_block].rows
        self._answered_end = _end_of(self._protocol.reader)
        self._answered_at = now
        if not self._protocol.is_damaged(False):
            self._clean += 1
        if self._asked_for_voltage():
            self._damage_score = max(0, self._damage_score - GOOD_WEIGHT)
            self._twice_score = max(0, self._twice_score - 1)  # other responses of two boards may well be the same
        if self.diagnosis.is_doubled and not self._compares:
            self._cured += 1
            if self._cured < CURED:
                self._protocol.note_answered()
                super()._fail(NOISE, now)
                return
            self.diagnosis.note_doubled(False)
            self._damage_score = self._twice_score = 0
        if self._failures >= RETRIES == self._retries:
            self._retries -= 1  # damaged responses have used them up, and what has come at last may have to be confirmed
        super()._accept(whole, now)
        if not whole and self.online and self._retry is None:
            self._request_again()  # the next turn of the rest is seconds away: it would not be of one moment by then
        if (CURRENT in rows) != (MODE in rows):
            self._compare_mode(MODE if CURRENT in rows else CURRENT)

    def _compare_mode(self, other):
        """Current or mode has been read. Where they do not fit, the other one of them is asked for next: a cycle is long here.

        So it is while the current is unknown because its sign is not settled: that takes several comparisons. Not where the
        other one has just been asked for, so that no block starves beside a load that comes and goes.
        """
        current = self.pack.held(CURRENT.slot)
        mode = self.pack.at(MODE)
        if current is None or mode is None or 0 < abs(current) < CLEAR_CURRENT:
            return
        if fits_mode(current, mode) and self.pack.at(CURRENT) is not None:
            self._mode_tries = 0
        elif self._retry is None and self._has_gone_on and self._mode_tries < MODE_TRIES:
            self._mode_tries += 1
            self._has_gone_on = False
            self._retry = self._retried = self._schedule.block_of(other)
            self._retries = 0

    def _asked_for_voltage(self):
        return VOLTAGE in self._protocol.blocks[self._schedule.current].rows

    def _fail(self, outcome, now):
        is_of_voltage = self._asked_for_voltage()
        self._was_noise = outcome == NOISE
        super()._fail(outcome, now)
        if self.diagnosis.is_doubled and self._line.is_beside(self, SharedPoller.returns_requests):
            self.diagnosis.note_doubled(False)
        if outcome != NOISE:
            self._clean = 0 if outcome == ECHO else self._clean + 1
            return
        self._clean = self._cured = 0
        if is_of_voltage:
            self._damage_score = min(self._damage_score + 1, DAMAGE_LIMIT)
            limit = DAMAGE_LIMIT if self.diagnosis.worked else NEVER_GOOD_LIMIT
            if self._damage_score >= limit and self._may_be_doubled():
                self._note_doubled(now)

    def _may_be_doubled(self):
        line = self._line
        return line.is_beside(self, SharedPoller.is_clean) and not line.is_beside(self, SharedPoller.returns_requests)

    def _offline_after_ms(self, outcome):
        """What sends damaged responses is there, and asked in turn with the others."""
        return OFFLINE_AFTER_MS * (max(1, self._boards) if outcome == NOISE else 1)

    def _note_doubled(self, now):
        if not self.diagnosis.is_doubled:
            self._cured = 0
            self.diagnosis.note_doubled(True)
            if self.online:
                self._lose(now)

    def _expire(self, now):
        super()._expire(now)
        if self._unasked_at is not None and ticks_diff(now, self._unasked_at) >= UNASKED_WINDOW_MS:
            is_over = self._unasked < UNASKED
            if is_over:
                self.diagnosis.note_babbling(False)
            self._unasked_at = None if is_over else now
            self._unasked = 0


def _end_of(reader):
    """The last two bytes of the last frame in a reader, with its checksum: what two different ones hardly ever share."""
    return reader.frame[reader.length - 2] << 8 | reader.frame[reader.length - 1]


class SharedLine:
    """Used by the Bus like one Poller: the `pollers` of the boards on its line take turns."""

    def __init__(self, pollers):
        self._pollers = tuple(pollers)
        self._active = self._pollers[0]  # whose request is open, or who asks next
        self._following = None  # who asks after that, with its request prepared; None: nobody yet
        self._former = None  # whose response is judged once the request of the active one is written
        self._sent_at = 0
        self._last_byte = None  # tick of the last one received since the last request
        self._turn_since = None  # since when the active one may ask; None: it has asked
        self._turn_at = None  # when the turn of the active one began; None: it is the first
        self._tended = 0
        self._compared_at = None  # tick of the last comparison of protocols; None: long ago
        self._online = 0
        self._others: dict = {}  # by name of a protocol: one of each other on this line
        for poller in self._pollers:
            poller.share_modules(self._pollers)
            poller.join(self, self._pollers[0].trace)
        self.note_protocols()

    def receive(self, data, count, now):
        """As that of Poller."""
        if self._former is not None:
            self.judge(now)
        if count:
            self._last_byte = now
        self._active.receive(data, count, now)

    def poll(self, now):
        """As that of Poller."""
        active = self._active
        if active.is_held:
            request = self._ask_ahead(now)
            if request is not None:
                return request or None
            active.judge(now)
        self._tend(now)
        if active.is_receiving(now) or active.is_waiting(now) or active.is_listening(now):
            return None
        if not active.needs_line(now) and not self._change_turn(now):
            return None
        request = self._active.ask(now)
        if request is not None:
            self._last_byte = self._following = self._turn_since = None
        return request

    def judge(self, now):
        """As that of Poller."""
        former = self._former
        self._former = None
        try:
            if former is None:
                self._active.judge(now)
            else:
                self._active.open_sent(self._sent_at)
                former.judge(now)
        finally:  # whatever has gone wrong
            if self._following is None and not self._active.idle:
                self._choose_following(self._active.response_at(now), now)

    def free_ms(self, now):
        """As that of Poller."""
        return self._active.free_ms(now)

    def is_waiting(self, now):
        """As that of Poller."""
        return self._active.is_waiting(now)

    def is_free(self, now):
        """As that of Poller."""
        return self._former is None and self._active.is_free(now) and not self._active.is_listening(now)

    def note_traffic(self, last_byte):
        """As that of Poller."""
        self._last_byte = last_byte
        self._active.note_traffic(last_byte)

    # used by the pollers

    def find_sender(self, poller, protocol, now, is_answer=False):
        """Whether a neighbour of this poller has sent the unexpected frame in the reader of a protocol.

        `is_answer`: it may as well be this poller's answer, with a wrong number.
        """
        for neighbour in self._pollers:
            if neighbour is not poller and neighbour.overhear(protocol, now, is_answer):
                return True
        return False

    def other_protocols(self, protocol):
        """One of each other protocol on this line, which sees frames that come late or unasked."""
        return self._others.get(protocol.name, ())

    def note_protocols(self):
        """A poller speaks another protocol than before."""
        one = {poller.spoken.name: poller.spoken for poller in self._pollers}
        self._others = {name: tuple([one[other] for other in one if other != name]) for name in one}

    def note_comparison(self, now):
        """A board is asked with another protocol from now on."""
        self._compared_at = now

    def may_compare(self, now):
        """Whether a board may be asked with another protocol, which keeps the line for a while."""
        if self._compared_at is not None and not 0 <= ticks_diff(now, self._compared_at) < COMPARE_EVERY_MS:
            self._compared_at = None
        return self._compared_at is None

    def is_beside(self, poller, is_so):
        """Whether `is_so(neighbour)` of one of the others on this line."""
        for neighbour in self._pollers:
            if neighbour is not poller and is_so(neighbour):
                return True
        return False

    # turns

    def _ask_ahead(self, now):
        """The next request, before the response that is whole is judged; b"": soon; None: judge first."""
        active = self._active
        following = self._following
        if following is None or not active.may_hand_over(now):
            return None
        if following is active:
            return active.ask_ahead(now)
        request = following.take_over(now, self._last_byte)
        if request:
            self._former = active
            self._active = following
            self._following = self._last_byte = None
            self._sent_at = self._turn_at = now
        return request

    def _change_turn(self, now):
        """Give the line to who asks next. Whether there is anybody."""
        if self._turn_since is not None and ticks_diff(now, self._turn_since) < LONGEST_WAIT_MS:
            return True  # it waits for its gap
        if self._following is None or self._following is self._active or self._active.is_urgent:
            self._choose_following(now, now)
        following = self._following
        if following is None:
            return False
        following.begin_turn(self._last_byte)
        self._turn_since = now
        if following is not self._active or self._turn_at is None:
            self._turn_at = now
        self._active = following
        self._following = None
        return True

    def _choose_following(self, at, now):
        """Choose who asks at the tick `at`: who is urgent, else in turn; and prepare the request."""
        pollers = self._pollers
        count = len(pollers)
        first = pollers.index(self._active) + 1
        if len(self._others) > 1 and self._turn_at is not None and ticks_diff(at, self._turn_at) < SHORT_TURN_MS:
            first -= 1
        self._count_online()
        self._following = None
        for is_urgent in (True, False):
            for step in range(count):
                poller = pollers[(first + step) % count]
                if is_urgent and not poller.is_urgent:
                    continue
                if poller.may_ask(now, self._online > poller.online) and poller.prepare(at, self._online):
                    self._following = poller
                    return

    def _count_online(self):
        online = 0
        for poller in self._pollers:
            if poller.online:
                online += 1
        if online != self._online:
            if not self._online:
                for poller in self._pollers:
                    poller.be_eager()
            self._online = online
            for poller in self._pollers:
                poller.diagnosis.note_company(online > poller.online)

    def _tend(self, now):
        """Forget what is too old, of one of those that wait for their turn; not just before a byte that should not wait."""
        if self._active.free_ms(now) < EXPIRING_MS:
            return
        self._tended = (self._tended + 1) % len(self._pollers)
        poller = self._pollers[self._tended]
        if poller is not self._active:
            poller.tend(now)
