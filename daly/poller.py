# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The conversation with one BMS: when a request is sent, what a time-out means, when readings expire. No I/O, no clock.

`receive` takes bytes as they come, `poll` returns the next request when it is time, and `judge` is called when that has been
written. One request at a time, which one decides schedule.py; a request without a response is sent again in its next turn.
Frames are the protocol's affair (a5.py), and what a response is worth is judged in battery/pack.py.

Judging a response takes an ESP32-S2 longer than a byte takes on the line, sometimes as long as a frame. So the next request is
chosen and built while a response is waited for, and sent as soon as the response is whole: the response is judged afterwards,
while the line is busy, and before anything else is received.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.energy import COUNTERS
from battery.pack import MODE
from battery.polarity import NORMAL
from battery.readings import READING

from .detector import HOST_ADDRESSES, Detector
from .diagnosis import ECHO, LATE, NOISE, SILENCE, Diagnosis
from .diagnosis import EMPTY as EMPTY_RESPONSE
from .diagnosis import UNEXPECTED as UNEXPECTED_FRAMES
from .outcomes import DAMAGED, EMPTY, FRAME, NOTHING, RESPONSE, UNCONFIRMED, UNEXPECTED
from .outcomes import ECHO as ECHO_FRAME
from .timing import LATEST_MS
from .trace import DAMAGED as DAMAGED_MARK
from .trace import RECEIVED, SENT, Trace

FRAME_TIMEOUT_MS = 100  # the next good frame of a response comes within this time, though the line is not quiet
RETRIES = 2  # times in a row that a damaged response is requested again immediately
# A line that is never quiet is noise: send requests all the same.
QUIET_TIMEOUT_MS = 300
# The BMS counts as gone when it has been silent for so long and so often in a row.
OFFLINE_AFTER_MS = 3000
OFFLINE_AFTER_TIMEOUTS = 5

STALE_AFTER_MS = 3000  # no reading expires sooner than so long after it should have been read again
EXPIRE_ROUND_MS = 300  # so often each block is looked at for readings that are too old, one after the other
EXPIRING_MS = 4  # what that may take: 48 cells on an ESP32-S2
# Quiet before a write: an RS485 adapter needs a moment to turn round (20 ms, mr-manuel#15), and a lost write is not repeated.
# Others wait 150 to 250 ms before every request.
WRITE_REST_MS = 200
# Rest after a write, or as long as a response may take, and until the line has been quiet for a moment: its acknowledgement is
# over. USB adapters deliver bytes in lumps of 16 ms.
AFTER_WRITE_MS = 150
AFTER_BYTE_MS = 20
LONGEST_AFTER_WRITE_MS = 400
_REMEMBERED = 4  # timed-out requests whose responses may still come
# Quiet between two tries while the BMS is looked for: a frame of one protocol must not be the beginning of one of another.
SEARCH_REST_MS = 120
WAITED_GAP_MS = 5  # a gap this short is waited for before a response is judged
# Before a board's own response time is known it counts as this long. One that is late by so much may be lost.
_FIRST_LATENCY_MS = 32
_OVERDUE_MS = 20
_LONG_MS = 1000
_DAMAGED_FRAME = 7


class Poller:
    """Requests the blocks of one board in turn; the protocol hands what it sends to `pack`.

    `host_address` 0: detect it; `filler`: the reserved bytes of requests, 0x00 or 0xAA (dbus-serialbattery: helps weak UARTs);
    `stale_periods`: a reading that was not refreshed for so many of its periods is forgotten; `periods`: see Schedule;
    `has_uart`: there is a UART to send requests with; `protocol`, `remembered`, `is_shared`: see Detector.
    """

    def __init__(self, pack, host_address=0, board_number=1, filler=0, stale_periods=3, periods=None, has_uart=True,
                 protocol="auto", remembered=0, is_shared=False):  # fmt: skip
        self.pack = pack
        self.board_number = board_number
        self.diagnosis = Diagnosis(has_uart)
        self.trace = Trace()
        self.responses = 0  # whole responses accepted
        self.frames_ok = 0  # good frames of our board that are a response
        self.timeouts = 0
        self.echoes = 0  # our own requests come back
        self.unexpected = 0  # good frames that are no response to the open request
        self.late = 0  # good frames that are a response to a request that has timed out
        self._detector = Detector(
            pack, self._is_online, protocol, host_address, board_number, filler, remembered, periods, is_shared
        )
        self._protocol, self._schedule, self.timing = self._detector.current
        self._compares = False  # a board that was found is asked with another protocol, too
        self._rest_since = None  # since when the line rests before something else is tried; None: it need not
        self._rest_ms = 0
        self._stale_periods = stale_periods
        # the open request
        self._requested_at = 0
        self._deadline = 0
        self._first_latency_ms = None  # from the request to the first frame of its response
        self._excess_ms = 0  # by how much these two are longer on the line than frames of 13 bytes
        self._seen = 0  # bit n: since the request there was something of outcome n, or a _DAMAGED_FRAME
        self._held = False  # its response is whole, and not judged yet
        self._held_at = 0
        # from a request's first byte to its first frame, as if both were of 13 bytes, about the shortest seen
        self._latency_ms = _FIRST_LATENCY_MS
        self._response_ms = 0  # until the response should be whole
        self._undisturbed_ms = 0  # until then there is nothing to be done but receiving
        # the next request
        self._next = None  # index of its block; None: not chosen yet, or not to be sent at once
        self._next_frame = None  # its request
        self._next_is_retry = False
        self._sent = False  # it has been sent, ahead of the judging of the response before
        self._retry = None  # index of the block that is requested again first
        self._retried = -1  # index of the block requested again last, and how often in a row
        self._retries = 0
        # timed-out requests: their blocks, and the ticks they were sent at
        self._timed_out = [-1] * _REMEMBERED
        self._timed_out_at = [0] * _REMEMBERED
        self._timed_out_next = 0
        # the line
        self._last_byte = None
        self._waits_since = None  # since when the line should be quiet for the next request
        self._last_response = 0
        self._failures = 0  # requests in a row without a response, whatever the block
        self._noise_at = None
        self._damage = 0
        # readings that expire
        self._expire_block = 0
        self._expired_at = None  # None: not started
        self._expire_ms = EXPIRE_ROUND_MS // self._schedule.polled
        # writes
        self._write: list = []  # (key of a control, raw, clock), at most one
        self._wrote_at = None  # tick of the write after which the line rests; None: it does not
        self.written_at = None  # tick of the last write that was sent; None while one waits

    @property
    def last_response(self):
        """Tick of the last response that was accepted."""
        return self._last_response

    @property
    def online(self):
        """Whether the BMS responds."""
        return self.diagnosis.online

    def _is_online(self):
        return self.diagnosis.online

    @property
    def checksum_errors(self):
        """Frames with a wrong checksum."""
        return self._protocol.reader.checksum_errors

    @property
    def idle(self):
        """Whether no response is waited for."""
        return self._protocol.pending < 0

    @property
    def complete(self):
        """Whether every block that is polled has been requested since the BMS came online."""
        return self._schedule.complete

    @property
    def static_done(self):
        """Whether all static data has been read, or given up."""
        return self._schedule.static_done

    @property
    def cycle_ms(self):
        """Duration of the last poll cycle; None: not known yet."""
        return self._schedule.cycle_ms

    @property
    def host_address(self):
        """The address we send from with A5, 0x40 or 0x80 or a pinned one; None with other protocols."""
        return self._detector.address

    @property
    def protocol(self):
        """The protocol that is spoken: "A5", "P81" or "D2"; None: it is not known yet."""
        return self._detector.found_name

    @property
    def found(self):
        """What has been found, as a code to be kept over restarts (see detector.py); 0: nothing yet, or two boards."""
        return 0 if self.diagnosis.is_mixed else self._detector.found_code

    @property
    def soc_needs_clock(self):
        """Whether the state of charge is written together with the time."""
        return self._detector.current.protocol.soc_needs_clock  # of the board, also while it is compared

    def share_modules(self, pollers):
        """These, with this one, are the pollers of all batteries: what one has in memory the others use, too."""
        self._detector.share_modules(tuple([poller._detector for poller in pollers]))

    def unload_unused(self):
        """Remove the modules of protocols that no battery speaks from memory."""
        self._detector.unload_unused()

    def is_free(self, now):
        """Whether the line can be used for something else: no response, rest or write is waited for."""
        if self._rests_after_write(now):
            return False
        if self._protocol.pending >= 0 or self._held or self._write or self._compares or self._protocol.awaits_trailing(now):
            return False
        return self._last_byte is None or ticks_diff(now, self._last_byte) >= max(1, self.timing.gap_ms)

    def note_traffic(self, last_byte):
        """Something else has used the line; `last_byte`: tick of the last byte."""
        self._last_byte = last_byte
        self._waits_since = None

    def write(self, key, raw, clock=None):
        """Write a control, once, as soon as the line is free: see the protocol's `write`.

        Its response proves nothing and is not waited for: read back.
        """
        self._write = [(key, raw, clock)]
        self._reconsider()
        self.written_at = None

    def cancel_write(self):
        """A write that has not been sent by now must not be sent later."""
        self._write = []

    def request_soon(self, key):
        """Have the block of this reading requested next, whatever its period."""
        self._schedule.request_soon(READING[key])
        self._reconsider()

    def receive(self, data, count, now):
        """Take the first `count` bytes of `data`, received by the tick `now`."""
        if self._held:
            self.judge(now)
        protocol = self._protocol
        others = self._overheard()
        if count:
            self._last_byte = now
        # most of what comes is the middle of a frame
        begin = 0 if others else protocol.reader.skip(data, count)
        for i in range(begin, count):
            event = protocol.feed(data[i], now)
            if event != NOTHING:
                self._take(event, i + 1 == count, now)
                if self._protocol is not protocol:  # something else is tried from now on
                    protocol = self._protocol
                    others = self._overheard()
                    continue
            if others and self._feed_others(data[i], now):
                protocol = self._protocol
                others = self._overheard()
        if protocol.reader.discarded != self._damage:
            self._damage = protocol.reader.discarded
            self._noise_at = now

    def poll(self, now):
        """The next request to be sent, valid until the next call, or None when it is not time."""
        if self._held:
            if self._may_send_next(now):
                gap_ms = self.timing.gap_ms
                if gap_ms > 1 and ticks_diff(now, self._held_at) < gap_ms:
                    return None
                self._sent = True
                self._requested_at = now
                return self._next_frame
            self.judge(now)
        return None if self.is_waiting(now) else self.ask(now)

    def is_waiting(self, now):
        """Whether the response to the open request is still waited for. What is too old meanwhile is forgotten."""
        if self._expired_at is None:
            self._schedule.begin(now)
            self._expire(now)
        is_waiting = self._protocol.pending >= 0
        undisturbed_ms = self._undisturbed_ms - ticks_diff(now, self._requested_at) if is_waiting else -_OVERDUE_MS
        # not when the last byte may come, which should not wait, or but a little later
        may_end = -_OVERDUE_MS < undisturbed_ms < EXPIRING_MS
        if ticks_diff(now, self._expired_at) >= self._expire_ms + (_OVERDUE_MS if may_end else 0):
            self._expire(now)
        if undisturbed_ms > 0:
            return True
        if is_waiting:
            if ticks_diff(now, self._deadline) < 0 and not self._is_truncated(now):
                return True
            self._time_out(now)
        return False

    def ask(self, now):
        """The next request to be sent, as that of `poll`, when no response is waited for."""
        if self._rests_after_write(now) or not self._is_quiet(now):
            return None
        if self._write and self.online and not self._compares:  # with P81 nothing has been answered by then
            return self._send_write(now) if self._may_write(now) else None
        return self._next_request(now)

    def judge(self, now):
        """Judge the response that is whole, if there is one, and choose what is requested after the open request."""
        if self._held:
            self._held = False
            self._keep_received(self._held_at)
            was_sent = self._sent
            self._sent = False
            try:
                self._accept(True, self._held_at)
            finally:  # what was sent is open, whatever has gone wrong
                if was_sent:
                    self._open(self._next, self._requested_at)
                    if ticks_diff(now, self._expired_at) >= self._expire_ms:  # while the line is busy for certain
                        self._expire(now)
        if self._next is None and self._protocol.pending >= 0:
            self._choose_next(now)

    def free_ms(self, now):
        """How long nothing is expected on the line, in ms: time for other jobs. Below 1: a response is about to be whole."""
        if self._held:
            return 0
        if self._protocol.pending < 0:
            if self._wrote_at is not None:
                return max(1, self._after_write_ms() - ticks_diff(now, self._wrote_at))
            if self._last_byte is None:
                return _LONG_MS
            left = self.timing.gap_ms - ticks_diff(now, self._last_byte)
        else:
            left = self._response_ms - ticks_diff(now, self._requested_at)
        return left if left > -_OVERDUE_MS else _LONG_MS

    # requests

    def _is_quiet(self, now):
        """Whether the line has been quiet for the gap, after everything a board still sends."""
        if self._waits_since is None:
            self._waits_since = now
        if ticks_diff(now, self._waits_since) < QUIET_TIMEOUT_MS:
            if self._protocol.awaits_trailing(now):
                return False
            # without a gap, too: what has come just now may not be all
            if self._last_byte is not None and ticks_diff(now, self._last_byte) < max(1, self.timing.gap_ms):
                return False
        self._protocol.stop_trailing()
        if not self._write:
            self._last_byte = None
        return True

    def _may_write(self, now):
        """Whether the line has had its rest before a write; a line that is never quiet is noise, and not waited for."""
        if self._last_byte is None or ticks_diff(now, self._waits_since) >= QUIET_TIMEOUT_MS:
            return True
        return ticks_diff(now, self._last_byte) >= WRITE_REST_MS

    def _next_request(self, now):
        if self._rest_since is not None:
            if ticks_diff(now, self._rest_since) < self._rest_ms:
                return None
            self._rest_since = None
        elif self._should_compare(now) and self.complete:
            self._begin_comparison(now)
            return None
        self._choose(now)
        if self._next is None:
            return None
        self._open(self._next, now)
        return self._next_frame

    def _reconsider(self):
        """Something else comes first: the next request is chosen when it is time."""
        if not self._sent:
            self._next = None

    def _choose(self, at):
        """Choose and build the request to be sent at the tick `at`, if there is one."""
        self._next_is_retry = self._retry is not None
        self._next = self._retry if self._next_is_retry else self._schedule.choose(at, self._protocol.pending)
        if self._next is not None:
            self._next_frame = self._protocol.build(self._next)

    def _choose_next(self, now):
        """Choose and build the request that follows the open one, unless it has to wait for more than its response."""
        is_free = not self._write and not self._compares and not self._should_compare(now)
        if self.online and self.timing.gap_ms <= WAITED_GAP_MS and is_free:
            self._choose(ticks_add(self._requested_at, max(self._response_ms, ticks_diff(now, self._requested_at))))

    def _may_send_next(self, now):
        """Whether the next request can be sent although the response has not been judged yet."""
        if self._next is None or self._write or not self.online or self.timing.gap_ms > WAITED_GAP_MS:
            return False
        return not self._protocol.is_damaged() and not self._protocol.awaits_trailing(now)

    def _send_write(self, now):
        key, raw, clock = self._write.pop()
        if key not in self._protocol.writes:
            return None  # accepted before another protocol was preferred
        self.written_at = self._wrote_at = now
        self._begin(now, 0)
        self._last_byte = now
        frame = self._protocol.write(key, raw, clock)
        self.trace.keep(SENT, frame, len(frame), now)
        return frame

    def _after_write_ms(self):
        return min(max(AFTER_WRITE_MS, self.timing.timeout_ms), QUIET_TIMEOUT_MS)

    def _rests_after_write(self, now):
        """Whether a write is still carried out or acknowledged: a request would be in the middle of it."""
        if self._wrote_at is None:
            return False
        waited_ms = ticks_diff(now, self._wrote_at)
        if waited_ms < self._after_write_ms():
            return True
        is_quiet = self._last_byte is None or ticks_diff(now, self._last_byte) >= AFTER_BYTE_MS
        if not is_quiet and waited_ms < LONGEST_AFTER_WRITE_MS:
            return True
        self._wrote_at = None
        return False

    def _open(self, index, now):
        """The request for a block has been sent at the tick `now`."""
        self._next = None
        if self._next_is_retry:
            self._schedule.take_again(index)
            if self._retry == index:
                self._retry = None
        else:
            self._schedule.take(index, now)
            if index == self._retried:
                self._retried = -1
        self._first_latency_ms = None
        self._last_byte = None
        protocol = self._protocol
        protocol.open(index)
        self._damage = protocol.reader.discarded
        self._excess_ms = protocol.excess_ms(index)
        self._response_ms = self._latency_ms + self._excess_ms + protocol.rest_ms(index)
        timeout_ms = self.timing.timeout_ms + self._excess_ms
        self._begin(now, timeout_ms)
        self._undisturbed_ms = min(self._response_ms, timeout_ms)
        self.trace.keep(SENT, self._next_frame, len(self._next_frame), now)

    def _begin(self, now, timeout_ms):
        self._waits_since = None
        self._requested_at = now
        self._deadline = ticks_add(now, timeout_ms)
        self._undisturbed_ms = 0
        self._seen = 0

    # responses

    def _take(self, event, is_last, now):
        """`is_last`: nothing has come behind it."""
        reader = self._protocol.reader
        if event == DAMAGED:
            self._seen |= 1 << _DAMAGED_FRAME
            self.trace.keep(DAMAGED_MARK, reader.damaged, reader.damaged_length, now)
            return
        if event == RESPONSE and is_last and self._protocol.is_whole:
            self._hold(now)  # the rest has time until the next request is sent
            return
        self._keep_received(now)
        if event == ECHO_FRAME:
            self.echoes += 1
            self._seen |= 1 << ECHO
        elif event == UNEXPECTED:
            self._take_unexpected(now)
        else:
            self.frames_ok += 1
            if self._first_latency_ms is None:
                self._first_latency_ms = ticks_diff(now, self._requested_at)
            if event == FRAME:
                self._deadline = ticks_add(now, FRAME_TIMEOUT_MS)
            elif event == RESPONSE:
                self._accept(self._protocol.is_whole, now)

    def _keep_received(self, now):
        reader = self._protocol.reader
        self.trace.keep(RECEIVED, reader.frame, reader.length, now)

    def _hold(self, now):
        self._held = True
        self._held_at = now
        self.frames_ok += 1
        if self._first_latency_ms is None:
            self._first_latency_ms = ticks_diff(now, self._requested_at)

    def _take_unexpected(self, now):
        """A trailing frame of the last response, one that comes too late, or one that answers somebody else."""
        protocol = self._protocol
        block = protocol.frame_block
        position = self._find_timed_out(block)
        if position is not None:
            self._note_late(block, position, now)
            if not self.online and self._detector.other_address_answered():
                self._try_next(now)
        elif block >= 0 and protocol.take_trailing(self._last_byte):
            self.frames_ok += 1
        else:
            self.unexpected += 1
            self._seen |= 1 << UNEXPECTED_FRAMES

    def _note_late(self, block, position, now):
        """A frame of a response for this block, whose request has timed out and stands at this position."""
        self.frames_ok += 1
        self.late += 1
        self._seen |= 1 << LATE
        self._schedule.was_late(block)
        requested_at = self._timed_out_at[position]
        self.timing.late(ticks_diff(now, requested_at) - self._protocol.excess_ms(block), requested_at)

    def _find_timed_out(self, block):
        """Which of the timed-out requests was for this block; None: none, or the block is none (-1)."""
        for position in range(_REMEMBERED):
            if block >= 0 and self._timed_out[position] == block:
                return position
        return None

    def _forget_timed_out(self, now):
        """Before the ticks wrap."""
        for position in range(_REMEMBERED):
            if self._timed_out[position] >= 0 and ticks_diff(now, self._timed_out_at[position]) >= LATEST_MS:
                self._timed_out[position] = -1

    def _remember_timed_out(self):
        """The open request is not waited for any more, but its response may still come."""
        self._timed_out[self._timed_out_next] = self._protocol.pending
        self._timed_out_at[self._timed_out_next] = self._requested_at
        self._timed_out_next = (self._timed_out_next + 1) % _REMEMBERED

    def _accept(self, whole, now):
        """The open request is answered; what has arrived is true, though it may not be `whole`."""
        protocol = self._protocol
        protocol.note_answered()
        if self._compares:
            self._end_comparison(protocol.is_answer(), now)
            if self._protocol is not protocol:
                return
        if self._detector.is_ruled_out:
            is_answer = protocol.is_answer()
            if is_answer:
                self.diagnosis.note_ruled_out(self._protocol.name, self._detector.wrong_address)
            self._fail(UNEXPECTED_FRAMES if is_answer else EMPTY_RESPONSE, now)
            return
        index = protocol.pending
        block = protocol.blocks[index]
        answers = self._find_timed_out(index)
        result = self._store(block, now)
        if result == EMPTY:
            self._fail(EMPTY_RESPONSE, now)
            self._schedule.was_empty(now)
            return
        protocol.close()
        if not self.online:
            self._found(now)
        latency_ms = self._first_latency_ms - self._excess_ms
        if answers is None:
            self._note_latency(latency_ms)
        else:  # or the older request for the same block, which had timed out
            requested_at = self._timed_out_at[answers]
            self.timing.ambiguous(ticks_diff(now, requested_at) - self._excess_ms, requested_at, latency_ms)
        self.responses += 1
        self._last_response = now
        self._failures = 0
        if self._schedule.answered(result != UNCONFIRMED, whole, now):
            self._note_unsupported()
        # What must be confirmed has its next turn in the next cycle; mode, MOSFETs and alarms are requested again immediately:
        # on a noisy line they are accepted 50 ms later than on a clean one, not 300. So is what a newer protocol sends all at
        # once: the other cells are not to stand beside the old voltage of one.
        # On a shared line so is everything: its next turn is seconds away, and it would not be the same by then.
        if result == UNCONFIRMED and (block.is_immediate or protocol.has_crc or self.pack.confirms_at_once):
            self._request_again()
        if MODE in block.rows:  # once a mode: between two of them the current is requested many times
            if self.pack.compare_polarity():
                self._schedule.request_in_next_cycle(now)
            self.diagnosis.note_polarity(self.pack.polarity.trouble)

    def _request_again(self):
        """Request the block requested last again first, unless that has been done too often in a row."""
        index = self._schedule.current
        if index != self._retried:
            self._retried = index
            self._retries = 0
        if self._retries < RETRIES:
            self._retries += 1
            self._retry = index

    def _note_latency(self, latency_ms):
        self.timing.answered(latency_ms)
        known = self._latency_ms
        # slowly up: a response that the loop has noticed late says nothing of the board
        self._latency_ms = latency_ms if latency_ms < known else known + min((latency_ms - known + 7) // 8, _OVERDUE_MS)

    def _store(self, block, now):
        """Have the values of the response judged; a jump that was not confirmed makes the line a noisy one."""
        glitches = self.pack.glitches
        protocol = self._protocol
        # what is read once must not be wrong for ever: a sum of bytes alone is not enough
        is_doubtful = (self._schedule.is_static(protocol.pending) and not protocol.has_crc) or self._is_noisy(now)
        result = protocol.store(now, is_doubtful)
        if self.pack.glitches != glitches:
            self._noise_at = now
        return result

    def _is_noisy(self, now):
        if self._noise_at is not None and ticks_diff(now, self._noise_at) > self._protocol.noisy_ms:
            self._noise_at = None
        return self._noise_at is not None

    def _note_unsupported(self):
        self.diagnosis.note_unsupported(self._schedule.unsupported, not self.pack.topology["cell_count"])

    # looking for the BMS

    def _found(self, now):
        """The first answer of a connection."""
        self._detector.found()
        self._know_sign()
        self._schedule.begin(now)
        self._schedule.begin_cycle_again()
        self.diagnosis.answered(self._spoken() if self._detector.address in (None, HOST_ADDRESSES[-1]) else "")

    def _spoken(self):
        """Protocol or address for the diagnosis."""
        address = self._detector.address
        return f"with protocol {self._protocol.name}" if address is None else f"at host address 0x{address:02X}"

    def _know_sign(self):
        """What is known of the current's sign: what another board has taught does not count, and newer protocols say it."""
        if self._detector.is_new:
            self.pack.forget_polarity()
        if self._protocol.knows_sign:
            self.pack.restore_polarity(NORMAL)

    def _overheard(self):
        """The protocols that take what is received beside the one that is spoken."""
        return self._detector.others

    def _feed_others(self, byte, now):
        """A protocol that was tried before this one may be answered too late: it has the next tries. Whether it was."""
        for other in self._detector.others:
            if other.feed(byte, now) in (FRAME, RESPONSE):
                self._seen |= 1 << LATE
                self._detector.answered_late(other)
                self._try_next(now)
                return True
        return False

    def _try_next(self, now):
        """Look for the BMS as the detector says."""
        self._talk(self._detector.current, now)
        self._schedule.begin(now)
        self.diagnosis.note_detection(self._detector.exhausted)

    def _talk(self, conversation, now):
        """Go on with this conversation, when the line has rested."""
        before = self._protocol
        self._protocol, self._schedule, self.timing = conversation
        self._protocol.close()
        self._rest_ms = SEARCH_REST_MS
        self._next = self._retry = None
        self._retried = -1
        self._held = self._sent = False
        self._latency_ms = _FIRST_LATENCY_MS
        self._damage = self._protocol.reader.discarded
        self._expire_ms = EXPIRE_ROUND_MS // self._schedule.polled
        self._expire_block = 0
        self._rest_since = now
        if self._protocol is before:  # A5 at its other address: whose late answer it is could not be seen later
            last = self._timed_out_next - 1
            if self._timed_out[last] >= 0:
                self._rest_ms = max(SEARCH_REST_MS, LATEST_MS - ticks_diff(now, self._timed_out_at[last]))
            return
        for position in range(_REMEMBERED):
            self._timed_out[position] = -1

    def _should_compare(self, _now):
        """Whether the board that was found is to be asked with P81, too, as soon as the readings are complete."""
        return self._detector.should_compare

    def _begin_comparison(self, now):
        """Ask a board that was found with another protocol once with P81, too: see Detector.should_compare."""
        other = self._detector.begin_comparison()
        if other is not None:
            self._compares = True
            self._talk(other, now)
            self._schedule.begin(now)

    def _end_comparison(self, answered, now):
        """The board that was found has `answered` to P81, or not. If so, that is spoken now, and this is its first answer."""
        self._compares = False
        if answered and self._is_same_board():
            name = self._detector.found_name
            self._detector.end_comparison(True)
            self._know_sign()
            self.diagnosis.answered(f"{self._spoken()}; it answers {name}, too")
            if self._write and self._write[0][0] not in self._protocol.writes:
                self.cancel_write()
            return
        if answered:
            self.diagnosis.note_mixed()
        self._protocol.close()
        self._detector.end_comparison(False)
        self._talk(self._detector.current, now)

    def _is_same_board(self):
        """Whether the response to P81 is of the board that was found: as many cells, and as much in them.

        Packs in parallel have the same voltage, and hardly ever the same state of charge and the same capacity, too.
        """
        cells = self.pack.topology["cell_count"]
        if cells and cells != self._protocol.peek("cell_count"):
            return False
        return self._is_alike("pack_voltage", 0) and self._is_alike("soc", 10) and self._is_alike("remaining_capacity", 1000)

    def _is_alike(self, key, slack):
        """Whether a reading of the board that was found and the response to P81 differ by at most 3 %, or by the slack."""
        raw = self.pack.raw(key)
        other = self._protocol.peek(key)
        if raw is None or other is None:
            return key != "pack_voltage"
        return abs(raw - other) <= max(slack, raw // 33)

    # time-outs

    def _is_truncated(self, now):
        """Whether the response has begun, but not all of it was good, and nothing more comes."""
        if self._last_byte is None:
            return False
        return self._protocol.is_truncated(ticks_diff(now, self._last_byte))

    def _time_out(self, now):
        if self._compares:
            self._end_comparison(False, now)
            return
        if self._protocol.has_frames:
            self._accept(self._protocol.is_whole, now)
            self._protocol.note_truncated()
            return
        self.timeouts += 1
        outcome = self._outcome()
        if not self._seen >> _DAMAGED_FRAME & 1:  # else its response has come already
            self._remember_timed_out()
        # a function that was never answered may not be supported here, and a board that is silent for longer is asleep
        if self._is_ignored(outcome) and not self._failures and self._schedule.expects_response():
            self.timing.ignored()
        self._fail(outcome, now)
        if outcome == NOISE and self.online:
            self._request_again()

    def _outcome(self):
        if self._seen >> ECHO & 1 and (self.diagnosis.worked or not self._seen >> UNEXPECTED_FRAMES & 1):
            return ECHO
        return self._outcome_of_board()

    def _is_ignored(self, outcome):
        """Whether nothing has come of the board: on a line that returns requests, nothing but its echo."""
        return outcome == SILENCE or (outcome == ECHO and self._outcome_of_board() == SILENCE)

    def _outcome_of_board(self):
        has_others = self._seen >> UNEXPECTED_FRAMES & 1
        # also where a part of the response is missing, which is no silence; beside others a part may be of their next frame
        if self._protocol.is_damaged(not has_others) or self._first_latency_ms is not None:
            return NOISE
        if has_others:
            return UNEXPECTED_FRAMES
        return LATE if self._seen >> LATE & 1 else SILENCE

    def _fail(self, outcome, now):
        """The open request had another outcome than its response."""
        self.diagnosis.failed(outcome, not self._failures)
        if not self._schedule.is_static(self._schedule.current):  # which many boards do not have
            self._failures += 1
        if self._schedule.failed(self._is_ignored(outcome), now):
            self._note_unsupported()
        if not self.online and self._detector.failed():
            self._try_next(now)  # what was tried stays open: it may be answered late
        else:
            self._protocol.close()
        is_long = ticks_diff(now, self._last_response) >= self._offline_after_ms(outcome)
        if self.online and self._failures >= OFFLINE_AFTER_TIMEOUTS and is_long:
            self._lose(now)

    def _offline_after_ms(self, _outcome):
        """How long nothing of a BMS may be good, when the last request had this outcome, before it counts as gone."""
        return OFFLINE_AFTER_MS

    def _lose(self, now):
        """The BMS counts as gone."""
        self.diagnosis.lost()
        self.cancel_write()
        self.pack.forget()
        self._protocol.forget()
        self._schedule.begin(now)

    # readings that expire

    def _expire(self, now):
        """Forget the readings of one block, another each time, that have not been read again for too long."""
        self.diagnosis.tick(now)
        late_ms = 0 if self._expired_at is None else ticks_diff(now, self._expired_at) - self._expire_ms
        # the next one is not later because this one was
        self._expired_at = ticks_add(now, -max(0, min(late_ms, self._expire_ms)))
        if self._compares:  # these blocks and periods are those of the other protocol
            return
        blocks = self._protocol.blocks
        self._expire_block = (self._expire_block + 1) % len(blocks)
        while self._schedule.is_static(self._expire_block):
            self._expire_block = (self._expire_block + 1) % len(blocks)
        limit = self._age_limit(self._expire_block)
        before = ticks_add(now, -limit)
        for row in blocks[self._expire_block].rows:
            self.pack.expire(row, before)
        if not self._expire_block:
            for key in COUNTERS:
                self.pack.expire(READING[key], ticks_add(now, -limit))
            # while a power is known, what flows is counted: for longer where it is requested seldom
            self.pack.energy.allow_steps(limit)
            self._forget_timed_out(now)

    def _age_limit(self, index):
        """ms after which a reading of a block that is polled expires unless it was read again.

        A gap that costs one reading nothing must not cost another, requested less often: all have the same slack.
        """
        period_ms = self._schedule.period_ms(index)
        return max(period_ms + STALE_AFTER_MS, self._stale_periods * period_ms)
