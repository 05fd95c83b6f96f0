"""The conversation with the BMS: when a question is asked, which frames answer it, and what silence means. No I/O, no clock.

`receive` takes bytes as they come, `poll` gives the next request when it is time. One question at a time, which one says
plan.py; a question without an answer is asked again in its next turn. What an answer says is judged in pack.py.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.energy import LONGEST_STEP_MS
from battery.polarity import CurrentSign
from battery.readings import READING, REGISTERS

from .burst import Burst
from .detector import Search
from .diagnosis import ECHO, LATE, NOISE, NOTHING, STRANGER, ZEROS, Link
from .frames import FIRST_HOST_ADDRESS, LENGTH, FrameReader, Request
from .schedule import Plan
from .timing import LATEST_MS, Pacing
from .trace import DAMAGED, RECEIVED, SENT, Trace

FRAME_TIMEOUT_MS = 100  # the next good frame of an answer comes within this time, though the line is not quiet
BEGUN = 9  # bytes of no good frame that are an answer, damaged (Louisvdw#165: cut off after 9), rather than noise before it
DAMAGED_PAUSE_MS = 5  # an answer of one frame that has come, but damaged, is over when the line is quiet for so long
AGAIN = 2  # times in a row that a damaged answer is asked for again at once
# A line that is never quiet is noise: ask all the same.
QUIET_TIMEOUT_MS = 300
# The BMS counts as gone when it has been silent so long and so often in a row.
OFFLINE_AFTER_MS = 3000
OFFLINE_AFTER_TIMEOUTS = 5
# A damaged frame makes the line a noisy one for so long: of 256 damaged frames one has a right sum, and before that one
# about 255 others are seen to be wrong. An hour costs little: a change is believed one reading later.
NOISY_MS = 3600000

STALE_AFTER_MS = 3000  # no reading is forgotten sooner than so long after it should have been said again
EXPIRE_MS = 20  # so often one register is looked at for readings that are too old: each every 0.3 s
# Quiet before something is written: an RS485 adapter needs a moment to turn round (20 ms, mr-manuel#15), and what is written
# is not asked again when it is lost. Others wait 150 to 250 ms before every request.
WRITE_REST_MS = 200
ORDER_MS = 150  # quiet after something was written
_REMEMBERED = 4  # requests without an answer whose answers may still come
_GREETING_MS = 1000  # the answer to a greeting has 137 bytes at the most


class Poller:
    """Asks the registers of one board in turn and hands what it says to its Pack.

    `host_address` 0: find it; `filler`: the reserved bytes of requests, 0x00 or 0xAA (dbus-serialbattery: helps weak UARTs);
    `periods`: see Plan; `stale_periods`: a reading not refreshed for so many of its periods is forgotten; `current_sign` and
    `polarity`: see CurrentSign; `has_uart`: there is one to ask with.
    """

    def __init__(self, pack, host_address=0, board_number=1, filler=0, stale_periods=3, current_sign="auto", periods=None,
                 polarity=0, has_uart=True):  # fmt: skip
        self.pack = pack
        self.link = Link(has_uart)
        self.pacing = Pacing()
        self.trace = Trace()
        self.sign = CurrentSign(pack, current_sign, polarity)
        self.reader = FrameReader()
        self.answers = 0  # whole answers believed
        self.frames = 0  # good frames of our board
        self.timeouts = 0
        self.echoes = 0  # our own requests come back
        self.strangers = 0  # good frames that answer something else than the pending request
        self.late = 0  # good frames that answer a request which is not waited for any more
        self._plan = Plan(pack, self.link, periods)
        self._burst = Burst()
        self._search = Search(host_address, board_number)
        self._request = Request(filler)
        self._board_number = board_number
        self._stale_periods = stale_periods
        self._started = False
        # the request on its way
        self._pending = None  # its register; None: nothing is waited for, or the answer to a greeting is
        self._asked_at = 0
        self._deadline = 0
        self._first_heard = None  # when the first frame of its answer came
        self._given_up = [-1] * _REMEMBERED  # the last requests that were not answered in time: their commands
        self._given_up_at = [0] * _REMEMBERED  # and the ticks they were asked at
        self._given_up_next = 0
        self._before = [0, 0, 0, 0]  # echoes, discarded bytes, strangers, late frames at the time of the request
        self._again = 0  # times it has been asked again at once
        self._ask_again = False
        # the line
        self._last_byte = None
        self._waits_since = None  # since when the line should be quiet for the next request
        self._last_answer = 0
        self._silence = 0  # requests in a row without an answer, whatever the register
        self._noise_at = None
        self._damage = 0
        # readings that grow old
        self._expire_turn = 0
        self._expire_at = None
        # orders
        self._order: list = []  # (command, payload) to be written, at most one
        self.ordered_at = None  # tick of the last order that went out; None while one waits

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
        return self._plan.complete

    @property
    def introduced(self):
        """Whether everything that is asked once per connection has been answered, or given up."""
        return self._plan.introduced

    @property
    def cycle_ms(self):
        """Time from one turn of the first register to the next; None: not known yet."""
        return self._plan.cycle_ms

    @property
    def host_address(self):
        """The address we speak as, 0x40 or 0x80 or a pinned one."""
        return self._search.address

    def order(self, command, payload):
        """Write to the BMS, once, as soon as the line is free. The answer proves nothing and is not waited for: read back."""
        self._order = [(command, bytes(payload))]
        self.ordered_at = None

    def ask_soon(self, key):
        """Have the register of this reading asked next, whatever its period."""
        self._plan.ask_soon(READING[key])

    def cancel_order(self):
        """An order that has not gone out by now must not go out later."""
        self._order = []

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
            self._plan.begin(now)
        self._expire(now)
        if self._pending is not None or self._search.greeting is not None:
            if ticks_diff(now, self._deadline) < 0 and not self._is_cut_short(now):
                return None
            self._time_out(now)
        if not self._is_quiet(now):
            return None
        if self._order and self.online:
            return self._write_order(now) if self._may_write(now) else None
        return self._ask_next(now)

    # asking

    def _is_quiet(self, now):
        """Whether the line has been silent for the gap, behind everything a board still sends."""
        if self._waits_since is None:
            self._waits_since = now
        if ticks_diff(now, self._waits_since) < QUIET_TIMEOUT_MS:
            if self._burst.is_listening(now):
                return False
            if self._last_byte is not None and ticks_diff(now, self._last_byte) < self.pacing.gap_ms:
                return False
        self._burst.stop_listening()
        if not self._order:
            self._last_byte = None
        return True

    def _may_write(self, now):
        """Whether the line has had its rest before a write; a line that is never quiet is noise, and not waited for."""
        if self._last_byte is None or ticks_diff(now, self._waits_since) >= QUIET_TIMEOUT_MS:
            return True
        return ticks_diff(now, self._last_byte) >= WRITE_REST_MS

    def _ask_next(self, now):
        if self._search.greeting is not None:
            self._begin(now, _GREETING_MS)
            return self._search.greeting[1]
        if self._ask_again:
            self._ask_again = False
            return self._ask(REGISTERS[self._plan.turn], now)
        self._again = 0
        register = self._plan.next(now)
        return None if register is None else self._ask(register, now)

    def _write_order(self, now):
        command, payload = self._order.pop()
        self.ordered_at = now
        self._begin(now, 0)
        self._last_byte = ticks_add(now, ORDER_MS)  # nothing is asked while it is carried out and answered
        request = self._request.build(self._search.address, command, payload)
        self.trace.keep(SENT, request, now)
        return request

    def _ask(self, register, now):
        self._pending = register
        self._first_heard = None
        self._burst.begin(self._plan.turn, self.pack.frames_of(register))
        self.reader.reset()
        self._damage = self.reader.discarded
        self._begin(now, self.pacing.timeout_ms)
        request = self._request.build(self._search.address, register.command)
        self.trace.keep(SENT, request, now)
        return request

    def _begin(self, now, timeout_ms):
        self._waits_since = None
        self._asked_at = now
        self._deadline = ticks_add(now, timeout_ms)
        self._before[0] = self.echoes
        self._before[1] = self.reader.discarded
        self._before[2] = self.strangers
        self._before[3] = self.late

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
            self._take_unasked(now)
        else:
            self.frames += 1
            if self._first_heard is None:
                self._first_heard = now
            if pending.frames == 1:
                self._burst.take_single(reader.payload)
                self._believe(True, now)
            else:
                self._take_numbered_frame(now)

    def _take_unasked(self, now):
        """A frame too many of the answer just read, one that comes too late, or one that answers somebody else."""
        reader = self.reader
        is_ours = reader.address == self._board_number
        asked = self._index_given_up() if is_ours else None
        if asked is not None:
            self.frames += 1
            self.late += 1
            self._plan.was_late(reader.command)
            self.pacing.late(ticks_diff(now, self._given_up_at[asked]), self._given_up_at[asked])
        elif is_ours and self._burst.take_tail(reader.command, self._last_byte):
            self.frames += 1
        else:
            self.strangers += 1

    def _index_given_up(self):
        """Which of the requests without an answer the frame at hand belongs to; None: to none of them."""
        for index in range(_REMEMBERED):
            if self._given_up[index] == self.reader.command:
                return index
        return None

    def _forget_given_up(self, now):
        """Before the ticks wrap."""
        for index in range(_REMEMBERED):
            if self._given_up[index] >= 0 and ticks_diff(now, self._given_up_at[index]) >= LATEST_MS:
                self._given_up[index] = -1

    def _give_up(self):
        """The pending request is not waited for any more, but its answer may still come."""
        self._given_up[self._given_up_next] = self._pending.command
        self._given_up_at[self._given_up_next] = self._asked_at
        self._given_up_next = (self._given_up_next + 1) % _REMEMBERED

    def _take_numbered_frame(self, now):
        burst = self._burst
        if not burst.take(self.reader.payload, self.reader.discarded == self._before[1]):
            self.strangers += 1
            return
        self._deadline = ticks_add(now, FRAME_TIMEOUT_MS)
        if burst.is_over(self.reader.payload[0]):
            burst.listen_on(now)
            self._believe(burst.whole, now)

    def _believe(self, whole, now):
        """The pending request is answered; what has arrived is true, though it may not be `whole`."""
        register = self._pending
        self._burst.forget_cut()
        if self._search.probing:
            self.link.other_address = self._search.address
            self._fail(STRANGER, now)
            return
        believed = self._take(register, now)
        if believed is None:
            self._fail(ZEROS, now)
            self._plan.said_zeros()
            return
        self._pending = None
        if not self.online:
            self._plan.begin(now)
        self.link.answered()
        self.link.searched = True
        self._search.found()
        self.link.address = self._search.address if self._search.address == 0x80 else None
        self.pacing.answered(ticks_diff(self._first_heard, self._asked_at))
        self.answers += 1
        self._last_answer = now
        self._silence = 0
        self._plan.answered(believed, whole, now)
        # What must be said twice has its next turn in the next round; mode, MOSFETs and alarms are asked again at once: on a
        # noisy line they are believed 50 ms later than on a clean one, not 300.
        if not believed and register.lane == "status" and self._again < AGAIN:
            self._again += 1
            self._ask_again = True
        if register.command == 0x93:  # once a mode: between two of them the current is asked many times
            if self.sign.weigh():
                self._plan.ask_in_next_round(now)
            self.link.sign_trouble = self.sign.trouble

    def _take(self, register, now):
        """Hand the answer to the pack, which says what it believes; a jump that was none makes the line a noisy one."""
        retracted = self.pack.retracted
        # what is asked once must not be a slip for ever
        is_doubtful = register.period_ms is None or self._is_noisy(now)
        believed = self.pack.take(register, self._burst.payload, self._burst.frames, now, is_doubtful)
        if self.pack.retracted != retracted:
            self._noise_at = now
        return believed

    def _is_noisy(self, now):
        if self._noise_at is not None and ticks_diff(now, self._noise_at) > NOISY_MS:
            self._noise_at = None
        return self._noise_at is not None

    def _hear_greeting(self, byte):
        name = self._search.heard(byte)
        if name:
            self.link.protocol = name

    # silence

    def _is_cut_short(self, now):
        """Whether the answer has begun, but not all of it was good, and nothing more comes."""
        if self._pending is None or self._last_byte is None:
            return False
        damaged = self.reader.discarded + self.reader.partial() - self._before[1]
        is_whole = damaged >= LENGTH and self._pending.frames == 1
        if ticks_diff(now, self._last_byte) < (DAMAGED_PAUSE_MS if is_whole else self._burst.pause_ms):
            return False
        return self._burst.seen != 0 or damaged >= BEGUN

    def _time_out(self, now):
        if self._pending is None:  # it was a greeting
            self._search.failed()
            self.link.searched = self._search.exhausted
            return
        if self._burst.seen and self._burst.first is not None:
            self._believe(self._burst.whole, now)
            self._burst.cut_short()
            return
        self.timeouts += 1
        self._give_up()
        outcome = self._outcome()
        # a command that is ignored from the start is not known here, and a board that is silent for longer is asleep
        if outcome == NOTHING and not self._silence and self._plan.expects_answer():
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
        return LATE if self.late != self._before[3] else NOTHING

    def _fail(self, outcome, now):
        """The pending request was met with something else than its answer."""
        self._pending = None
        self.link.failed(outcome)
        self._silence += 1
        self._plan.failed(outcome == NOTHING, now)
        if not self.link.worked:
            self._search.failed()
        if self.online and self._silence >= OFFLINE_AFTER_TIMEOUTS and ticks_diff(now, self._last_answer) >= OFFLINE_AFTER_MS:
            self.link.lost()
            self.cancel_order()
            self.pack.forget()
            self._plan.begin(now)

    def _expire(self, now):
        """Forget what one register, another each time, has not said again for too long."""
        if self._expire_at is not None and ticks_diff(now, self._expire_at) < 0:
            return
        self._expire_at = ticks_add(now, EXPIRE_MS)
        self._expire_turn = (self._expire_turn + 1) % len(REGISTERS)
        limit = self._age_limit(self._expire_turn)
        if limit is not None:
            self.pack.expire(REGISTERS[self._expire_turn], ticks_add(now, -limit))
        if not self._expire_turn:
            # as long as a power is known, what flows is counted: for longer where it is asked for seldom
            self.pack.energy.longest_step_ms = max(LONGEST_STEP_MS, limit)
            self._forget_given_up(now)

    def _age_limit(self, index):
        """ms after which a reading of a register is forgotten unless it was said again; None: never.

        A hole that costs one reading nothing must not cost another, asked less often: all have the same slack.
        """
        period_ms = self._plan.period_ms(index)
        return None if period_ms is None else max(period_ms + STALE_AFTER_MS, self._stale_periods * period_ms)
