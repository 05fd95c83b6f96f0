"""The conversation with the BMS: which question is asked next, and which frames answer it. No I/O, no clock.

`receive` takes bytes as they come, `poll` gives the next request when it is time. One question at a time; a question without
an answer is asked again in its next turn, so that silence on one never keeps the others waiting.
"""

from adafruit_ticks import ticks_add, ticks_diff

from .frames import FIRST_HOST_ADDRESS, FrameReader, Request
from .registers import REGISTERS

# A request takes 13.5 ms on the wire, an answer frame 13.5 ms; boards think between 5 ms and, as some report, 200 ms.
ANSWER_TIMEOUT_MS = 300
# Frames of one answer follow each other without a pause in all captures; USB adapters deliver them in lumps of 16 ms.
FRAME_TIMEOUT_MS = 60
# Quiet on the line before the next request: dbus-serialbattery waits 20 ms; without any, boards answered only the first
# request (esphome#3086).
GAP_MS = 20
# The BMS counts as gone when it has been silent so long and so often in a row.
OFFLINE_AFTER_MS = 3000
OFFLINE_AFTER_TIMEOUTS = 5
# A reading whose register was not answered for so long, or for so many of its periods, is forgotten.
STALE_AFTER_MS = 5000
STALE_AFTER_PERIODS = 3
# A command that stays unanswered so often while others are answered is not known to this board: ask it but rarely.
OPTIONAL_AFTER_TIMEOUTS = 3
OPTIONAL_PERIOD_MS = 60000

# What is asked once per connection is asked one by one with the measurements in between: some boards know none of it.
ONCE_PACE_MS = 500

_SUSPECTED = -1  # frames were seen to count from 1, but something before them was damaged
LAST_FRAME = 16  # frames count from 1 (every capture) or 0 (vendor PDF), at most 16 of them


class Poller:
    """Asks the registers of one board in turn and hands what it says to its Pack."""

    def __init__(self, pack, host_address=0x40, board_number=1, filler=0):
        self.pack = pack
        self.online = False
        self.answers = 0  # whole answers believed
        self.timeouts = 0
        self.echoes = 0  # our own requests come back
        self.strangers = 0  # good frames that answer something else than the pending request
        self.reader = FrameReader()
        self._request = Request(filler)
        # On RS485 board n listens to 0x40 + n - 1 and answers as n (dbus-serialbattery, batmon).
        self._host_address = host_address + board_number - 1 if host_address == 0x40 else host_address
        self._board_number = board_number
        self._turn = -1
        self._due = [0] * len(REGISTERS)
        self._misses = [0] * len(REGISTERS)  # time-outs in a row
        self._asked = [False] * len(REGISTERS)  # answered, or not in time, since the BMS came online
        self._settled = [False] * len(REGISTERS)  # asked once per connection, and that is done
        self._first_frame: list = [None] * len(REGISTERS)  # 0 or 1, as this board counts
        self._staged = memoryview(bytearray((LAST_FRAME + 1) * 7))
        self._from_first = {register.width: self._staged[register.width :] for register in REGISTERS}
        self._seen = 0  # bit n: frame number n of the pending answer is staged
        self._damage = 0  # discarded bytes at the time of the request
        self._clean_start = False
        self._pending = None
        self._deadline = 0
        self._last_byte = None
        self._last_answer = 0
        self._silence = 0  # time-outs in a row, of whatever register
        self._started = False

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

    def receive(self, data, count, now):
        """Take the first `count` bytes of `data`, received by the tick `now`."""
        if count:
            self._last_byte = now
        for i in range(count):
            if self.reader.feed(data[i]):
                self._take_frame(now)

    def poll(self, now):
        """The next request to be written (13 bytes, valid until the next call), or None when it is not time."""
        if not self._started:
            self._started = True
            self._ask_all(now)
        if self._pending is not None:
            if ticks_diff(now, self._deadline) < 0:
                return None
            self._time_out(now)
        if self._last_byte is not None:
            if ticks_diff(now, self._last_byte) < GAP_MS:
                return None
            self._last_byte = None
        return self._ask_next(now)

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

    def _ask_next(self, now):
        for _ in range(len(REGISTERS)):
            self._turn = (self._turn + 1) % len(REGISTERS)
            if self._is_due(self._turn, now):
                return self._ask(now)
        return None

    def _is_due(self, index, now):
        if self._settled[index] or not self._frames_wanted(REGISTERS[index]):
            self._due[index] = now  # ticks wrap: no time to be compared may grow old
            return False
        return ticks_diff(now, self._due[index]) >= 0

    def _ask(self, now):
        self._pending = REGISTERS[self._turn]
        self._deadline = ticks_add(now, ANSWER_TIMEOUT_MS)
        self._seen = 0
        self.reader.reset()
        self._damage = self.reader.discarded
        return self._request.build(self._host_address, self._pending.command)

    def _frames_wanted(self, register):
        """How many frames the answer must have; 0 while the number of cells or sensors is not known."""
        if register.frames == 1:
            return 1
        row = register.readings[0]
        return (self.pack.count(row) * row.size + register.width - 1) // register.width

    # answers

    def _take_frame(self, now):
        reader = self.reader
        if reader.address >= FIRST_HOST_ADDRESS:
            self.echoes += 1
        elif self._pending is None or reader.command != self._pending.command or reader.address != self._board_number:
            self.strangers += 1
        elif self._pending.frames == 1:
            self._staged[:8] = reader.payload
            self._seen = 1
            self._believe(self._staged, now)
        else:
            self._take_numbered_frame(now)

    def _take_numbered_frame(self, now):
        number = self.reader.payload[0]
        if number > LAST_FRAME:
            self.strangers += 1
            return
        width = self._pending.width
        if not self._seen:
            self._clean_start = number == 1 and self.reader.discarded == self._damage
        self._staged[number * width : (number + 1) * width] = self.reader.payload[1 : 1 + width]
        # a burst counts up: what has this number or a higher one is left over from an older burst (mpp-solar#516)
        self._seen = self._seen & ((1 << number) - 1) | 1 << number
        self._deadline = ticks_add(now, FRAME_TIMEOUT_MS)
        first = self._learn_first_frame()
        if first is not None and self._has_frames(first):
            self._believe_frames(first, now)

    def _learn_first_frame(self):
        """Whether this board numbers its frames from 0 or from 1; None while not sure.

        A frame 0 may have been lost, and frames 1 to n of a burst from 0 would then be taken for the first n. So numbering
        from 1 is believed when nothing was damaged before frame 1, or when frame 0 was missing a second time.
        """
        first = self._first_frame[self._turn]
        if first == 1 and self._seen & 1:
            first = None
        if first in (None, _SUSPECTED):
            if self._has_frames(0):
                first = 0
            elif self._has_frames(1) and not self._seen & 1:
                first = 1 if self._clean_start or first == _SUSPECTED else _SUSPECTED
        self._first_frame[self._turn] = first
        return first if first != _SUSPECTED else None

    def _has_frames(self, first):
        wanted = ((1 << self._frames_wanted(self._pending)) - 1) << first
        return self._seen & wanted == wanted

    def _believe_frames(self, first, now):
        self._seen >>= first
        self._believe(self._from_first[self._pending.width] if first else self._staged, now)

    def _believe(self, payload, now):
        """The pending request is answered."""
        register = self._pending
        self._pending = None
        if not self.online:
            self.online = True
            self._ask_all(now)
        self.answers += 1
        self._last_answer = now
        self._silence = 0
        self._misses[self._turn] = 0
        self._asked[self._turn] = True
        self._settled[self._turn] = register.period_ms is None
        self._wait(register.period_ms or 0, now)
        self.pack.take(register, payload, self._seen, now)

    def _wait(self, wait_ms, now):
        self._due[self._turn] = ticks_add(now, wait_ms)

    # silence

    def _time_out(self, now):
        register = self._pending
        first = self._first_frame[self._turn]
        if register.frames > 1 and self._seen and first in (0, 1):
            self._believe_frames(first, now)  # what has arrived is true; the rest is asked for at once
            self._settled[self._turn] = False
            self._wait(0, now)
            return
        self._pending = None
        self.timeouts += 1
        self._silence += 1
        self._misses[self._turn] += 1
        self._asked[self._turn] = True
        self._postpone(register, now)
        if register.period_ms is not None:
            limit = max(STALE_AFTER_MS, STALE_AFTER_PERIODS * register.period_ms)
            self.pack.expire(register, ticks_add(now, -limit))
        if self.online and self._silence >= OFFLINE_AFTER_TIMEOUTS and ticks_diff(now, self._last_answer) >= OFFLINE_AFTER_MS:
            self.online = False
            self.pack.forget()
            self._ask_all(now)

    def _postpone(self, register, now):
        """Decide when a register that did not answer is asked again."""
        unknown = self.online and self._misses[self._turn] >= OPTIONAL_AFTER_TIMEOUTS
        if register.period_ms is None:
            self._settled[self._turn] = unknown
            self._wait(5 * ONCE_PACE_MS, now)
        else:
            self._wait(OPTIONAL_PERIOD_MS if unknown else 0, now)
