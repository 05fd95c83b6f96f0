"""The conversation with the BMS: which question is asked next, and which frames answer it. No I/O, no clock.

`receive` takes bytes as they come, `poll` gives the next request when it is time. One question at a time; a question without
an answer is asked again in its next turn, so that silence on one never keeps the others waiting.
"""

from adafruit_ticks import ticks_add, ticks_diff

from .frames import FIRST_HOST_ADDRESS, LENGTH, PAYLOAD_LENGTH, FrameReader, Request
from .link import ECHO, NOISE, NOTHING, STRANGER, ZEROS, Link
from .pacing import Pacing
from .registers import REGISTERS
from .search import Search
from .sign import CurrentSign
from .trace import DAMAGED, RECEIVED, SENT, Trace

# Frames of one answer follow each other without a pause in all captures; USB adapters deliver them in lumps of 16 ms.
# So an answer that has begun is over when the line is quiet for so long; more for a board that was seen to pause longer.
PAUSE_MS = 25
FRAME_MS = 14  # a frame lasts 13.5 ms
LONGEST_PAUSE_MS = 200
FRAME_TIMEOUT_MS = 100  # the next good frame of an answer comes within this time, though the line is not quiet
BEGUN = 9  # bytes of no good frame that are an answer, damaged (Louisvdw#165: cut off after 9), rather than noise before it
DAMAGED_PAUSE_MS = 5  # the same when the one frame that was to come has come, but damaged
AGAIN = 2  # times in a row that a damaged answer is asked for again at once
# So long more frames are listened for behind an answer, as long as it is not known that this board sends none.
TAIL_MS = 16
# A line that is never quiet is noise: ask all the same.
QUIET_TIMEOUT_MS = 300
# The BMS counts as gone when it has been silent so long and so often in a row.
OFFLINE_AFTER_MS = 3000
OFFLINE_AFTER_TIMEOUTS = 5
# A command that is met with silence so often in a row while others are answered is not known to this board: ask it but rarely.
UNKNOWN_AFTER_TIMEOUTS = 3
UNKNOWN_PERIOD_MS = 60000
MUTE_AFTER_TIMEOUTS = 20  # the same for a command that was answered before: of five frames one may be lost for hours
# What is asked once per connection is asked one by one with the measurements in between: some boards know none of it.
ONCE_PACE_MS = 200
ONCE_AGAIN_MS = 2500
# A damaged frame makes the line a noisy one for so long: of 256 damaged frames one has a right sum, and before that one
# about 255 others are seen to be wrong. An hour costs little: a change is believed one reading later.
NOISY_MS = 3600000

STALE_AFTER_MS = 3000  # no reading is forgotten sooner
EXPIRE_MS = 20  # so often one register is looked at for readings that are too old: each every 0.3 s
ORDER_MS = 150  # quiet after something was written
LAST_FRAME = 16  # frames count from 1 (every capture) or 0 (vendor PDF), at most 16 of them
_SUSPECTED = -1  # frames were seen to count from 1, but something before them was damaged


class Poller:
    """Asks the registers of one board in turn and hands what it says to its Pack.

    `host_address` 0: find it; `filler`: the reserved bytes of requests, 0x00 or 0xAA (dbus-serialbattery: helps weak UARTs);
    `periods`: ms by lane of the table, where they are not to be the table's; `stale_periods`: a reading not refreshed for so
    many of its periods is forgotten; `current_sign`: see CurrentSign.
    """

    def __init__(self, pack, host_address=0, board_number=1, filler=0, stale_periods=3, current_sign="auto", periods=None):
        self.pack = pack
        self.link = Link()
        self.pacing = Pacing()
        self.trace = Trace()
        self.sign = CurrentSign(pack, current_sign)
        self.reader = FrameReader()
        self.answers = 0  # whole answers believed
        self.frames = 0  # good frames of our board
        self.timeouts = 0
        self.echoes = 0  # our own requests come back
        self.strangers = 0  # good frames that answer something else than the pending request
        self.cycle_ms = None  # from one turn of the first register to the next
        self._search = Search(host_address, board_number)
        self._request = Request(filler)
        self._board_number = board_number
        self._stale_periods = stale_periods
        self._periods = [(periods or {}).get(register.lane, register.period_ms) for register in REGISTERS]
        self._turn = 0  # index of the register asked last
        self._round = -1  # where the round stands that all registers are asked in
        self._due = [0] * len(REGISTERS)
        self._misses = [0] * len(REGISTERS)  # silences in a row
        self._answered = [False] * len(REGISTERS)  # ever
        self._asked = [False] * len(REGISTERS)  # answered, or not in time, since the BMS came online
        self._settled = [False] * len(REGISTERS)  # asked once per connection, and that is done
        self._first_frame: list = [None] * len(REGISTERS)  # 0 or 1, as this board counts
        self._tail: list = [None] * len(REGISTERS)  # frames this board sends behind those we want; None: not known
        self._staged = memoryview(bytearray((LAST_FRAME + 1) * 7))
        self._from_first = {register.width: self._staged[register.width :] for register in REGISTERS}
        self._seen = 0  # bit n: frame number n of the pending answer is staged
        self._clean_start = False
        self._pending = None
        self._asked_at = 0
        self._deadline = 0
        self._first_heard = None  # when the first frame of the pending answer came
        self._pause_ms = PAUSE_MS
        self._cut_short = None  # index of the register whose answer has just been taken for over before it was whole
        self._again = 0  # times the pending register has been asked again at once
        self._ask_again = False
        self._before = [0, 0, 0]  # echoes, discarded bytes, strangers at the time of the request
        self._tail_of = None  # index of the register whose answer may have more frames coming
        self._tail_seen = 0
        self._tail_end = 0
        self._last_byte = None
        self._waits_since = None
        self._cycle_at = None
        self._last_answer = 0
        self._silence = 0  # requests in a row without an answer, whatever the register
        self._noise_at = None
        self._damage = 0
        self._expire_turn = 0
        self._expire_at = None
        self._started = False
        self._order: list = []  # (command, payload) to be written, at most one
        self.ordered_at = None  # tick of the last order that went out; None while one waits

    def order(self, command, payload):
        """Write to the BMS, once, as soon as the line is free. The answer proves nothing and is not waited for: read back."""
        self._order = [(command, bytes(payload))]
        self.ordered_at = None

    def cancel_order(self):
        """An order that has not gone out by now must not go out later."""
        self._order = []

    @property
    def last_answer(self):
        """Tick of the last answer that was believed."""
        return self._last_answer

    @property
    def online(self):
        """Whether the BMS answers."""
        return self.link.online

    @property
    def idle(self):
        """Whether no answer is being waited for."""
        return self._pending is None

    @property
    def complete(self):
        """Whether every register that is asked again and again has been asked since the BMS came online."""
        for index, register in enumerate(REGISTERS):
            if register.period_ms is not None and not self._asked[index] and self._frames_wanted(register):
                return False
        return self.online

    @property
    def introduced(self):
        """Whether everything that is asked once per connection has been answered, or given up."""
        for index, register in enumerate(REGISTERS):
            if register.period_ms is None and not self._settled[index]:
                return False
        return self.complete

    @property
    def host_address(self):
        """The address we speak as, 0x40 or 0x80 or a pinned one."""
        return self._search.address

    def receive(self, data, count, now):
        """Take the first `count` bytes of `data`, received by the tick `now`."""
        reader = self.reader
        if count:
            self._last_byte = now
        for i in range(count):
            rejected = reader.rejected
            if reader.feed(data[i]):
                self._take_frame(now)
            elif reader.rejected != rejected:
                self.trace.keep(DAMAGED, reader.damaged, now)
            if self._search.greeting is not None:
                self._hear_greeting(data[i])
        if reader.discarded != self._damage:
            self._damage = reader.discarded
            self._noise_at = now

    def poll(self, now):
        """The next request to be written, valid until the next call, or None when it is not time."""
        self.link.tick(now)
        if not self._started:
            self._started = True
            self._ask_all(now)
        self._expire(now)
        if self._pending is not None or self._search.greeting is not None:
            if ticks_diff(now, self._deadline) < 0 and not self._is_cut_short(now):
                return None
            self._time_out(now)
        if not self._is_quiet(now):
            return None
        return self._ask_next(now)

    def _is_cut_short(self, now):
        """Whether the answer has begun, but not all of it was good, and nothing more comes."""
        if self._pending is None or self._last_byte is None:
            return False
        damaged = self.reader.discarded + self.reader.partial() - self._before[1]
        is_whole = damaged >= LENGTH and self._pending.frames == 1
        if ticks_diff(now, self._last_byte) < (DAMAGED_PAUSE_MS if is_whole else self._pause_ms):
            return False
        return self._seen != 0 or damaged >= BEGUN

    # asking

    def _ask_all(self, now):
        wait_ms = 0
        for index in range(len(REGISTERS)):
            if REGISTERS[index].period_ms is None:
                wait_ms += ONCE_PACE_MS
            self._due[index] = ticks_add(now, wait_ms)
            self._misses[index] = 0
            self._settled[index] = False
            self._asked[index] = False

    def _is_quiet(self, now):
        """Whether the line has been silent for the gap, behind everything a board still sends."""
        if self._waits_since is None:
            self._waits_since = now
        if ticks_diff(now, self._waits_since) < QUIET_TIMEOUT_MS:
            if self._tail_of is not None:
                if ticks_diff(now, self._tail_end) < 0:
                    return False
                self._tail[self._tail_of] = self._tail_seen
                self._tail_of = None
            if self._last_byte is not None and ticks_diff(now, self._last_byte) < self.pacing.gap_ms:
                return False
        self._tail_of = None
        self._last_byte = None
        return True

    def _ask_next(self, now):
        if self._order and self.online:
            return self._write_order(now)
        if self._search.greeting is not None:
            self._begin(now, 1000)  # 137 bytes at the most
            return self._search.greeting[1]
        if self._ask_again:
            self._ask_again = False
            return self._ask(now)
        self._again = 0
        # The first register is the fast lane: it cuts in when it is due, but never twice in a row, so that nobody starves,
        # and not in the very first round: until then nothing is published.
        if self._periods[0] and self._turn != 0 and self._is_due(0, now) and (self.complete or not self.online):
            self._turn = 0
            return self._ask(now)
        for _ in range(len(REGISTERS)):
            self._round = (self._round + 1) % len(REGISTERS)
            if self._round == 0:
                self._begin_cycle(now)
            if self._is_due(self._round, now):
                self._turn = self._round
                return self._ask(now)
        return None

    def _write_order(self, now):
        command, payload = self._order.pop()
        self.ordered_at = now
        self._begin(now, 0)
        self._last_byte = ticks_add(now, ORDER_MS)  # nothing is asked while it is carried out and answered
        request = self._request.build(self._search.address, command, payload)
        self.trace.keep(SENT, request, now)
        return request

    def _begin_cycle(self, now):
        if self._cycle_at is not None:
            self.cycle_ms = ticks_diff(now, self._cycle_at)
        self._cycle_at = now

    def _is_due(self, index, now):
        if self._is_done(index) or not self._frames_wanted(REGISTERS[index]):
            self._due[index] = now  # ticks wrap: no time to be compared may grow old
            return False
        if REGISTERS[index].period_ms is None and not self.online:
            return False
        return ticks_diff(now, self._due[index]) >= 0

    def _is_done(self, index):
        """Whether a register that is asked once need not be asked again; what was given up is tried rarely."""
        return self._settled[index] and REGISTERS[index].command not in self.link.unanswered

    def _ask(self, now):
        self._pending = REGISTERS[self._turn]
        self._seen = 0
        self._first_heard = None
        self.reader.reset()
        self._damage = self.reader.discarded
        self._begin(now, self.pacing.timeout_ms)
        request = self._request.build(self._search.address, self._pending.command)
        self.trace.keep(SENT, request, now)
        return request

    def _begin(self, now, timeout_ms):
        self._waits_since = None
        self._asked_at = now
        self._deadline = ticks_add(now, timeout_ms)
        self._before[0] = self.echoes
        self._before[1] = self.reader.discarded
        self._before[2] = self.strangers

    def _frames_wanted(self, register):
        """How many frames the answer must have; 0 while the number of cells or sensors is not known."""
        if register.frames == 1:
            return 1
        row = register.readings[0]
        return (self.pack.count(row) * row.size + register.width - 1) // register.width

    # answers

    def _take_frame(self, now):
        reader = self.reader
        pending = self._pending
        self.trace.keep(RECEIVED, reader.frame, now)
        if reader.address >= FIRST_HOST_ADDRESS:
            if pending is not None and reader.command == pending.command and reader.address == self._search.address:
                self.echoes += 1
            else:
                self.strangers += 1
        elif reader.address != self._board_number or pending is None or reader.command != pending.command:
            self._take_unasked()
        else:
            self.frames += 1
            if self._first_heard is None:
                self._first_heard = now
            if pending.frames == 1:
                self._stage(0, 0, 8)
                self._seen = 1
                self._believe(self._staged, now)
            else:
                self._take_numbered_frame(now)

    def _take_unasked(self):
        """A frame too many of the answer just read, or one that answers somebody else."""
        tail = self._tail_of
        if tail is None or self.reader.command != REGISTERS[tail].command or self.reader.address != self._board_number:
            self.strangers += 1
            self._learn_from_stranger()
            return
        self.frames += 1
        self._tail_seen += 1
        if self._tail_seen == self._tail[tail]:
            self._tail_of = None
        else:
            self._tail_end = ticks_add(self._last_byte, self._pause_ms + FRAME_MS)

    def _learn_from_stranger(self):
        """This board may send more frames than was thought, or pause longer between them."""
        for index, register in enumerate(REGISTERS):
            if register.frames > 1 and register.command == self.reader.command:
                self._tail[index] = None
                if self._cut_short == index:
                    self._pause_ms = min(LONGEST_PAUSE_MS, 2 * self._pause_ms)
        self._cut_short = None

    def _take_numbered_frame(self, now):
        number = self.reader.payload[0]
        if number > LAST_FRAME or self._is_blank():
            self.strangers += 1
            return
        width = self._pending.width
        if not self._seen:
            self._clean_start = number == 1 and self.reader.discarded == self._before[1]
        self._stage(number * width, 1, width)
        # a burst counts up: what has this number or a higher one is left over from an older burst (mpp-solar#516)
        self._seen = self._seen & ((1 << number) - 1) | 1 << number
        self._deadline = ticks_add(now, FRAME_TIMEOUT_MS)
        first = self._learn_first_frame()
        if first is not None and (self._has_frames(first) or self._is_last_frame(number, first)):
            if self._tail[self._turn] != 0:
                self._tail_of = self._turn
                self._tail_seen = 0
                wait_ms = TAIL_MS if self._tail[self._turn] is None else self._pause_ms + FRAME_MS
                self._tail_end = ticks_add(now, wait_ms)
            self._believe_frames(first, now)

    def _is_blank(self):
        """Whether a frame is all zero: a confused board's answer to everything, not a frame number 0."""
        for i in range(PAYLOAD_LENGTH):
            if self.reader.payload[i]:
                return False
        return True

    def _stage(self, at, begin, size):
        """Copy a piece of the payload; byte by byte, because slices are objects on the heap."""
        payload = self.reader.payload
        for i in range(size):
            self._staged[at + i] = payload[begin + i]

    def _is_last_frame(self, number, first):
        """Whether no more frames come that are wanted; a last frame alone is left over from an older answer (mpp-solar#516)."""
        return number == first + self._frames_wanted(self._pending) - 1 and self._seen != 1 << number

    def _learn_first_frame(self):
        """Whether this board numbers its frames from 0 or from 1; None while not sure.

        A frame 0 may have been lost, and frames 1 to n of a burst from 0 would then be taken for the first n. So numbering
        from 1 is believed when nothing was damaged before frame 1, or when frame 0 was missing a second time. A frame 16 says
        the same, though frames before it are missing: some boards never send all of them whole (gh43199278718).
        """
        first = self._first_frame[self._turn]
        if first == 1 and self._seen & 1:
            first = None
        if first is None or first == _SUSPECTED:
            if self._has_frames(0):
                first = 0
            elif (self._has_frames(1) or self._seen >> LAST_FRAME) and not self._seen & 1:
                first = 1 if first == _SUSPECTED or (self._clean_start and self._has_frames(1)) else _SUSPECTED
        self._first_frame[self._turn] = first
        return first if first != _SUSPECTED else None

    def _has_frames(self, first):
        wanted = ((1 << self._frames_wanted(self._pending)) - 1) << first
        return self._seen & wanted == wanted

    def _believe_frames(self, first, now):
        """What has arrived is true; what is missing is asked for soon."""
        whole = self._has_frames(first)
        self._seen >>= first
        self._believe(self._from_first[self._pending.width] if first else self._staged, now)
        if not whole:
            self._settled[self._turn] = False
            self._wait(0, now)

    def _believe(self, payload, now):
        """The pending request is answered."""
        register = self._pending
        self._cut_short = None
        if self._search.probing:
            self.link.other_address = self._search.address
            self._fail(STRANGER, now)
            return
        retracted = self.pack.retracted
        # what is asked once must not be a slip for ever
        believed = self.pack.take(register, payload, self._seen, now, register.period_ms is None or self._is_noisy(now))
        if self.pack.retracted != retracted:
            self._noise_at = now
        if believed is None:
            self._fail(ZEROS, now)
            return
        self._pending = None
        if not self.online:
            self._ask_all(now)
        self.link.answered()
        self.link.searched = True
        self._search.found()
        self.link.address = self._search.address if self._search.address == 0x80 else None
        self.pacing.answered(ticks_diff(self._first_heard, self._asked_at))
        self.answers += 1
        self._last_answer = now
        self._silence = 0
        self._misses[self._turn] = 0
        self._answered[self._turn] = self._asked[self._turn] = True
        self._settled[self._turn] = register.period_ms is None and believed
        # what must be said twice is asked again in the next round
        self._wait((self._periods[self._turn] or 0) if believed else 0, now)
        self._forget_unanswered(register)
        if register.command in (0x90, 0x93):
            self.sign.weigh()

    def _wait(self, wait_ms, now):
        self._due[self._turn] = ticks_add(now, wait_ms)

    def _is_noisy(self, now):
        if self._noise_at is not None and ticks_diff(now, self._noise_at) > NOISY_MS:
            self._noise_at = None
        return self._noise_at is not None

    def _hear_greeting(self, byte):
        name = self._search.heard(byte)
        if name:
            self.link.protocol = name

    # silence

    def _time_out(self, now):
        if self._pending is None:  # it was a greeting
            self._search.failed()
            self.link.searched = self._search.exhausted
            return
        first = self._first_frame[self._turn]
        if self._pending.frames > 1 and self._seen and first in (0, 1):
            self._believe_frames(first, now)
            self._cut_short = self._turn
            return
        self.timeouts += 1
        outcome = self._outcome()
        # a command that is ignored from the start is not known here, and a board that is silent for longer is asleep
        if outcome == NOTHING and not self._silence and (self._answered[self._turn] or not self._misses[self._turn]):
            self.pacing.ignored()
        self._fail(outcome, now)
        if outcome == NOISE and self.online and self._again < AGAIN:
            self._again += 1
            self._ask_again = True

    def _outcome(self):
        if self.echoes != self._before[0]:
            return ECHO
        if self.reader.discarded + self.reader.partial() != self._before[1]:
            return NOISE
        if self.strangers != self._before[2]:
            return STRANGER
        return NOTHING

    def _fail(self, outcome, now):
        """The pending request was met with something else than its answer."""
        register = self._pending
        self._pending = None
        self.link.failed(outcome)
        self._silence += 1
        self._misses[self._turn] += outcome == NOTHING
        self._asked[self._turn] = True
        self._postpone(register, now)
        if not self.link.worked:
            self._search.failed()
        if self.online and self._silence >= OFFLINE_AFTER_TIMEOUTS and ticks_diff(now, self._last_answer) >= OFFLINE_AFTER_MS:
            self.link.lost()
            self.cancel_order()
            self.pack.forget()
            self._ask_all(now)

    def _postpone(self, register, now):
        """Decide when a register that did not answer is asked again."""
        limit = MUTE_AFTER_TIMEOUTS if self._answered[self._turn] else UNKNOWN_AFTER_TIMEOUTS
        unknown = self.online and self._misses[self._turn] >= limit
        if unknown and register.command not in self.link.unanswered:
            self.link.unanswered.append(register.command)
            self.link.uncounted = not self.pack.layout["cell_count"]
        if register.period_ms is None:
            self._settled[self._turn] = unknown
        again_ms = ONCE_AGAIN_MS if register.period_ms is None else 0
        self._wait(UNKNOWN_PERIOD_MS if unknown else again_ms, now)

    def _forget_unanswered(self, register):
        if register.command in self.link.unanswered:
            self.link.unanswered.remove(register.command)

    def _expire(self, now):
        """Forget what one register, another each time, has not said again for too long."""
        if self._expire_at is not None and ticks_diff(now, self._expire_at) < 0:
            return
        self._expire_at = ticks_add(now, EXPIRE_MS)
        self._expire_turn = (self._expire_turn + 1) % len(REGISTERS)
        register = REGISTERS[self._expire_turn]
        if register.period_ms is not None:
            limit = max(STALE_AFTER_MS, self._stale_periods * max(self._periods[self._expire_turn], self.cycle_ms or 0))
            self.pack.expire(register, ticks_add(now, -min(limit, 60000)))
