# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A Victron device on its VE.Direct port, which is only listened to: the text protocol, and its values as a source.

The facts are from Victron's paper "VE.Direct Protocol" (text mode) and from the recordings in tests/recordings. Each second
a device sends a block, a battery monitor two: lines "\\r\\nLABEL\\tVALUE", the last one "\\r\\nChecksum\\t" and a byte that
makes the sum of all bytes 0 modulo 256. Frames of the HEX protocol, from ":" to "\\n", may come anywhere; they are not summed.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.readings import BINARY, DIAGNOSTIC, NUMBER, TEXT
from battery.sources import text
from battery.unload import unload

BAUD_RATE = 19200
# What comes in STALLED_MS must fit: blocks of up to 350 bytes a second
RECEIVE_BUFFER_SIZE = 1024
STALLED_MS = 2000  # not read for longer: what has waited is of another time, and some of it may be lost
LONGEST = 512  # bytes of a block; the largest known has 270
EXPIRE_MS = 4500  # what has not come for so long, and SWEEP_MS, is not known any more: after 5 s
# One byte of sum lets 1 of 16 blocks with two wrong bits pass. So long after a damaged one, a number is the median of three
# blocks, and anything else must have come twice; while most blocks are damaged, nothing is believed.
DOUBT_MS = 10000
HOPELESS = 4  # more damaged blocks than whole ones
GAP_MS = 500  # a block is sent without a pause: what comes after one is not its end
SETTLE_MS = 10000  # the rows are known at the latest so long after the device
LINES_AT_ONCE = 6  # judged in one tick: 2 ms on an ESP32-S2
SWEEP_MS = 1000
IDLE_MS = 100  # in which 192 bytes come: they are taken in two ticks

_TEXT = 0  # states of the Reader: collecting, in a HEX frame, the next byte is the sum
_HEX = 1
_SUM = 2
_TAB = 9
_RETURN = 13
_NEWLINE = 10
_LAST_LINE = b"\r\nChecksum\t"
_FIRST_LINE = b"\r\nPID\t"


def label_code(label):
    """A label as an integer, made of its last four characters: no two of Victron's labels have the same. bytes, ASCII."""
    code = 0
    for byte in label:
        code = (code << 7 | byte) & 0xFFFFFFF
    return code


_PID = label_code(b"PID")
_MODEL = label_code(b"BMV")
_VOLTAGE = label_code(b"V")
_OF_MONITOR = (_MODEL, label_code(b"CE"), label_code(b"SOC"))
_OF_CHARGER = (label_code(b"VPV"), label_code(b"PPV"), label_code(b"CS"))
_WRAP = (1 << 29) - 1  # of the ticks
_H = 72  # the first letter of all labels of a monitor's history
NO_PID = 0  # of an old device, such as a BMV-600
NAMELESS = 3  # blocks in a row without PID, then it is one
_HISTORY = label_code(b"H1")  # in the second block of a battery monitor
_MOST_LINES = 40  # of a block that is kept; the largest known has 22
_NOWHERE = 255  # place of a line whose value is not taken
_STAGED = 1  # the value is in `_staged`
_SAME = 2  # it is the one that has been taken last


class Reader:
    """Blocks out of bytes. `block` and `length`: the latest whole one, with its last line and sum; a later one replaces it."""

    def __init__(self):
        self.block = bytearray(LONGEST)
        self.length = 0  # 0: there is none, or it has been taken
        self.damaged = 0  # blocks that were refused
        self._filling = bytearray(LONGEST)
        self._filled = 0
        self._state = _TEXT
        self._is_synchronous = False  # what is being collected began with a block

    @property
    def is_inside(self):
        """Whether a block has begun and has not ended."""
        return self._filled > 0

    def drop(self):
        """The whole block has been taken."""
        self.length = 0

    def lose(self):
        """Bytes are missing here: what has come of a block is dropped, and so is its end."""
        self._filled = 0
        self._state = _TEXT
        self._is_synchronous = False

    def feed(self, data):
        """Take `data`, of the type bytes. It is not looked at byte by byte, nor line by line: that costs a tenth on a board."""
        count = len(data)
        at = 0  # what comes before it has been taken
        while at < count:
            if self._state == _HEX:
                end = data.find(b"\n", at)
                if end < 0:
                    return
                self._state = _TEXT
                at = end + 1
            elif self._state == _SUM:
                self._state = _TEXT
                self._put(data, at, at + 1)
                self._end()
                at += 1
            else:
                colon = data.find(b":", at)
                end = count if colon < 0 else colon
                left = self._take_text(data, at, end)
                at = end - left
                if self._state == _TEXT and colon >= 0:
                    self._state = _HEX
                    at = colon + 1

    def _take_text(self, data, start, end):
        """Take text up to the end of a block; returns how many bytes behind it have not been taken."""
        before = self._filled
        self._put(data, start, end)
        # a line may have begun in the bytes before these
        looked = before - len(_LAST_LINE) + 1 if before == self._filled - end + start and before >= len(_LAST_LINE) else 0
        fresh = bytes(memoryview(self._filling)[looked : self._filled])
        last = fresh.find(_LAST_LINE)
        if not self._is_synchronous:
            first = fresh.find(_FIRST_LINE)
            if first >= 0 and (last < 0 or first < last):
                # All known devices begin a block with it, so whatever was lost before it
                self._filled -= looked + first
                self._filling[: self._filled] = fresh[first:]
                self._is_synchronous = True
                looked = -first
        if last < 0:
            return 0
        filled = looked + last + len(_LAST_LINE)
        left = self._filled - filled
        self._filled = filled
        self._state = _SUM
        return left

    def _put(self, data, start, end):
        filled = self._filled
        if filled + end - start > LONGEST:
            self.damaged += self._is_synchronous
            self.lose()
            filled = 0
        self._filled = filled + end - start
        self._filling[filled : self._filled] = data[start:end]

    def _end(self):
        """A block is complete, with its sum."""
        if self._is_synchronous and sum(memoryview(self._filling)[: self._filled]) & 255 == 0:
            self.block, self._filling = self._filling, self.block
            self.length = self._filled
        elif self._is_synchronous:
            self.damaged += 1
        self.lose()
        self._is_synchronous = True


class Kept:
    """The last block of a kind whose values have been taken: a line that is as it was then need not be judged again."""

    def __init__(self):
        self.block = bytearray(0)
        self.length = 0
        self.count = 0  # of its lines; 0: there is none
        self.lengths = bytearray(_MOST_LINES)
        self.places = bytearray(_MOST_LINES)

    def forget(self):
        """There is none."""
        self.count = 0

    def keep(self, block, length, count):
        """Keep its bytes; so many lines of it have been noted."""
        self.count = count
        if len(self.block) < length:
            self.block = bytearray(length + 16)  # it grows and shrinks by some digits
        self.block[:length] = memoryview(block)[:length]
        self.length = length


class VeDirect:
    """A source (battery/sources.py) out of what comes from `uart`: anything with `readinto(buffer)`, which returns None or a
    count at once, and `reset_input_buffer()`.

    `number`: of the port, from 1; `name`: "": the kind of the device, such as "SmartShunt". Until that is known there is
    no row, or only that of its problem; another device needs a restart, as it is another one for Home Assistant.
    """

    def __init__(self, uart, number, name=""):
        self.key = f"vedirect{number}"
        self.device = name or "VE.Direct"
        self.model = "VE.Direct"
        self.rows: list = []
        self.changes = 0
        self._has_name = bool(name)
        self._uart = uart
        self._buffer = bytearray(128)
        self._reader = Reader()
        self._damaged = 0
        self._noise = 0  # damaged blocks less whole ones
        self._at = 0  # the next line of the block to be judged
        self._is_right = False  # all of them have been
        self._pid = None
        self._doubtful_pid = None
        self._nameless = 0  # blocks with a voltage and without a PID, in a row, while the device is not known
        self._found: tuple = ()  # (PID, model, whether it is a monitor) of a device whose rows are being loaded
        self._has_pid = False  # there is one in the block that is being judged
        self._is_other = False  # what comes now is of another device
        self._problem = None  # too early to say
        self._known: list = []  # of (label code, Row, words or None)
        self._index: dict = {}  # label code -> place in `_known`
        self._place: dict = {}  # key -> the same
        self._values: list = []  # raw, as `raw` returns it
        self._codes: dict = {}  # place -> the number behind these words
        self._accepted_at: list = []  # tick when it was said
        self._former: list = []  # the number in the last block, accepted or not
        self._older: list = []  # that in the block before
        self._heard_at: list = []  # tick of `_former`; None: not for long
        self._older_at: list = []  # that of `_older`
        self._staged: list = []  # of the block that is being judged
        self._is_staged = bytearray(0)
        self._places = bytearray(0)  # those that are, the first `_count` of them
        self._count = 0
        self._kept: tuple = ()  # of a first block, and of a monitor's history
        self._former_block = None  # the one of them that the block which is being judged is like
        self._former_at = 0  # where its next line is
        self._line_count = 0  # lines that have been judged
        self._is_shown = bytearray(0)  # it is in `rows`
        self._has_new = False  # something has come that is not
        self._called_at = self._byte_at = self._block_at = self._doubt_from = self._known_at = self._sweep_at = None

    def raw(self, key):
        """As of every source. None also for a key that this device does not have."""
        if key == "problem":
            return self._problem
        place = self._place.get(key)
        return None if place is None else self._values[place]

    def is_measured(self):
        """As of every source of sensors. What a device itself does not know is not waited for."""
        return bool(self.rows) and bool([value for value in self._values if value is not None])

    def tick(self, now):
        """Take what has arrived, or judge some lines of the last block."""
        if self._called_at is None:
            self._block_at = self._sweep_at = now
        if self._called_at is None or ticks_diff(now, self._called_at) > STALLED_MS:
            self._uart.reset_input_buffer()
            self._reader.lose()
            self._drop()
        self._called_at = now
        if self._reader.is_inside and ticks_diff(now, self._byte_at) > GAP_MS:
            self._reader.lose()
        if ticks_diff(now, self._sweep_at) >= 0:
            self._sweep_at = ticks_add(now, SWEEP_MS)
            self._sweep(now)
        if self._reader.length:
            self._judge(now)
            self._byte_at = now  # what has come meanwhile waits, and is no pause
            return None
        count = self._uart.readinto(self._buffer)
        if not count:
            return IDLE_MS
        self._byte_at = now
        self._reader.feed(bytes(memoryview(self._buffer)[:count]))
        if self._reader.damaged != self._damaged:
            self._damaged = self._reader.damaged
            self._note_damaged(now)
        return None if count == len(self._buffer) or self._reader.length else IDLE_MS

    # The time

    def _sweep(self, now):
        """What has not come for long is not known any more."""
        for place in range(len(self._values)):
            if self._values[place] is not None:
                if (
                    now - self._accepted_at[place]
                ) & _WRAP <= EXPIRE_MS:  # as ticks_diff, which would take longer than all else
                    continue
                self._set(place, None)
            if self._heard_at[place] is not None and (now - self._heard_at[place]) & _WRAP > EXPIRE_MS:
                self._forget_blocks()
                self._heard_at[place] = self._former[place] = self._older[place] = None
        if self._doubt_from is not None and ticks_diff(now, self._doubt_from) > DOUBT_MS:
            self._doubt_from = None
        if self._block_at is not None and ticks_diff(now, self._block_at) > EXPIRE_MS:
            self._block_at = None
        if self._byte_at is not None and ticks_diff(now, self._byte_at) > EXPIRE_MS:
            self._byte_at = None
        self._tell()
        if self._known_at is not None and ticks_diff(now, self._known_at) > SETTLE_MS:
            self._show_rows()

    def _tell(self):
        problem = None if self._pid is None else "none"
        if self._is_other:
            problem = "another device: restart the bridge"
        elif self._block_at is None and self._byte_at is None:
            problem = "nothing received: check plug, ground and the RX pin"
        elif self._pid is None and self._nameless >= NAMELESS:
            problem = "a device that does not say what it is: a battery monitor or a solar charger is understood"
        elif self._block_at is None or (self._known_at is None and self._pid is not None and self._has_none()):
            problem = "only damaged data: check ground and level"
        if problem != self._problem:
            if self._pid is None:
                self._show_problem()
            self._problem = problem
            self.changes += 1
            print(f"{self.key}: {self.model if problem == 'none' else problem}")

    def _forget_blocks(self):
        """What is kept is not what is known any more, so each line is judged anew, also of the block that is being judged."""
        for kept in self._kept:
            kept.forget()
        self._restart()

    def _has_none(self):
        """Whether no value is known."""
        for value in self._values:
            if value is not None:
                return False
        return True

    # A block

    def _judge(self, now):
        """Judge some lines; behind the last one, and only if all are right, take their values."""
        if self._is_right:
            self._take(now)
            self._drop()
            return
        if self._found:
            self._learn(now)
            return
        if self._at == 0 and self._pid is not None:
            self._compare()
            if self._is_right:
                return
        for _ in range(LINES_AT_ONCE):
            self._skip()
            outcome = self._line()
            if outcome is None:
                continue
            self._at = 0
            if not outcome:
                self._note_damaged(now)
                self._drop()
            elif self._pid is not None:
                self._is_right = True  # its values are taken in the next tick
                if not self._has_pid and self._pid != NO_PID and self._is_staged[self._index[_VOLTAGE]]:
                    # no history, but an old device: what was there before has a PID
                    self._is_other = self._doubt_from is None
            elif not self._identify():
                self._drop()
            return  # if it is known only now: once more from the start, as soon as it has been learnt

    def _drop(self):
        """Done with this block."""
        self._reader.drop()
        self._restart()

    def _restart(self):
        """Nothing of a block has been judged."""
        self._at = 0
        self._is_right = self._has_pid = False
        for position in range(self._count):
            self._is_staged[self._places[position]] = 0
        self._count = 0

    def _note_damaged(self, now):
        self._doubt_from = now
        self._forget_blocks()
        self._noise = min(self._noise + 1, 2 * HOPELESS)

    def _line(self):
        """Judge the next line. Returns None; True: it was the last one; False: it is wrong, and with it the block."""
        block = self._reader.block
        at = start = self._at
        if block[at] != _RETURN or block[at + 1] != _NEWLINE:
            return False
        at += 2
        code = 0
        while 32 < block[at] < 127:
            code = (code << 7 | block[at]) & 0xFFFFFFF
            at += 1
        if block[at] != _TAB or not code:
            return False
        at += 1
        if at == self._reader.length - 1:
            return True
        if block[at] == _RETURN:
            return False
        place = self._index.get(code)
        if self._pid is None or place is None:
            end = self._end_of(at)
            self._at = end
            outcome = None if block[end] == _RETURN else False
        else:
            if code == _PID:
                self._has_pid = True
                self._is_other = self._number(at, True) != self._pid
            outcome = self._stage(place, at)
        if outcome is None and self._former_block is not None:
            self._note_line(self._at - start, _NOWHERE if place is None else place)
        return outcome

    # Lines that are as they were

    def _compare(self):
        """Begin with a block: see with which one its lines are compared."""
        self._former_block = self._kept[self._reader.block[2] == _H]
        self._former_at = self._line_count = 0
        former = self._former_block
        length = self._reader.length
        if former.count and memoryview(self._reader.block)[:length] == memoryview(former.block)[: former.length]:
            # all of them are
            self._line_count = former.count
            for place in memoryview(former.places)[: former.count]:
                if place != _NOWHERE:
                    self._is_staged[place] = _SAME
                    self._places[self._count] = place
                    self._count += 1
            self._is_right = True

    def _skip(self):
        """Pass over the lines that are as they were, wherever they are in the block now."""
        former = self._former_block
        if former is None:
            return
        block = memoryview(self._reader.block)
        old = memoryview(former.block)
        number = self._line_count
        while number < former.count:
            length = former.lengths[number]
            end = self._at + length
            if block[self._at : end] != old[self._former_at : self._former_at + length] or block[end] != _RETURN:
                break
            place = former.places[number]
            if place != _NOWHERE:
                if self._is_staged[place]:
                    break  # it is refused by the judge
                self._is_staged[place] = _SAME
                self._places[self._count] = place
                self._count += 1
                if self._known[place][0] == _PID:
                    self._has_pid = True
                    self._is_other = False
            self._at = end
            self._former_at += length
            number += 1
        self._line_count = number

    def _note_line(self, length, place):
        """A line has been judged that is another one than before, or was not there."""
        former = self._former_block
        number = self._line_count
        if number >= _MOST_LINES or length > 255:
            former.forget()
            self._former_block = None
            return
        if number < former.count:
            self._former_at += former.lengths[number]
        former.lengths[number] = length
        former.places[number] = place
        self._line_count = number + 1

    def _end_of(self, at):
        """Where a value ends: at the first byte that can be in none."""
        block = self._reader.block
        while 32 <= block[at] < 127:
            at += 1
        return at

    def _stage(self, place, start):
        """Keep a value until the whole block is known to be right; returns False for one that cannot be, else None."""
        if self._is_staged[place]:
            return False
        block = self._reader.block
        row = self._known[place][1]
        staged = None
        if block[start] == 45 and block[start + 1] == 45:  # "---": the device does not know
            self._at = start + 3
            if block[start + 2] != 45:
                return False
        elif row.kind == BINARY:
            self._at = end = self._end_of(start)
            if block[start] != 79 or block[end - 1] not in (70, 78):  # "ON", "OFF"
                return False
            staged = 1 if block[end - 1] == 78 else 0
        elif row.kind == TEXT and self._known[place][2] is None:
            self._at = self._end_of(start)
            staged = start << 9 | self._at
        else:
            staged = self._number(start, self._known[place][2] == "off")
            if staged is None:
                return False
        self._staged[place] = staged
        self._is_staged[place] = _STAGED
        self._places[self._count] = place
        self._count += 1
        return None if block[self._at] == _RETURN else False

    def _number(self, start, is_hex=False):
        """The integer that begins there; None: it is none. `is_hex`: it is one with "0x" before it. Its end is in `_at`."""
        block = self._reader.block
        sign = 1
        base = 10
        at = start
        if block[at] == 45:
            sign = -1
            at += 1
        elif is_hex and block[at] == 48 and block[at + 1] == 120:
            base = 16
            at += 2
        start = at
        number = 0
        byte = block[at]
        while byte >= 32:
            digit = byte - 48
            if digit > 9 and base == 16:
                digit = (byte | 32) - 87
                if digit < 10:
                    return None
            if digit < 0 or digit >= base:
                return None
            number = number * base + digit
            at += 1
            byte = block[at]
        self._at = at
        return sign * number if 0 < at - start <= 10 else None

    def _text(self, staged):
        return str(memoryview(self._reader.block)[staged >> 9 : staged & 511], "ascii")

    def _identify(self):
        """See which device has sent this block; returns whether it is known now, and has to be learnt.

        A monitor's history has no PID, and no block of an old device has one: that is known by its other labels.
        """
        pid = model = None
        is_monitor = is_charger = has_voltage = False
        while True:
            before = self._at
            if self._line() is not None:
                break
            code, start = self._label(before)
            if code == _PID:
                end = self._at
                pid = self._number(start, True)
                self._at = end
            elif code == _MODEL:
                model = self._text(start << 9 | self._at)
            is_monitor = is_monitor or code in _OF_MONITOR
            is_charger = is_charger or code in _OF_CHARGER
            has_voltage = has_voltage or code == _VOLTAGE
        self._at = 0
        if pid is not None:
            self._nameless = 0
        elif has_voltage:
            self._nameless += 1
            if self._nameless < NAMELESS or not (is_monitor or is_charger):
                return False
            pid = NO_PID
        else:
            return False
        if self._doubt_from is not None and pid != self._doubtful_pid:
            self._doubtful_pid = pid
            return False
        self._found = (pid, model, is_monitor)
        return True

    def _learn(self, now):
        """Load what the device is called, and in the next tick what it sends: each holds the loop up for a moment."""
        pid, model, is_monitor = self._found
        if not self._known:
            from .vedirect_tables import device_rows, title_and_model  # needed once

            self._known = device_rows()
            title, self.model = title_and_model(pid, model, is_monitor)
            unload("sensors.vedirect_tables")
            if not self._has_name:
                self.device = title
            return
        if is_monitor:
            from .vedirect_monitor import rows
        else:
            from .vedirect_charger import rows  # type: ignore[assignment]

        self._known = [(label_code(label), row, words) for label, row, words in rows() + self._known]
        unload("sensors.vedirect_monitor")
        unload("sensors.vedirect_charger")
        unload("sensors.vedirect_words")
        count = len(self._known)
        self._values = [None] * count
        self._former = [None] * count
        self._older = [None] * count
        self._staged = [None] * count
        self._accepted_at = [now] * count
        self._heard_at = [None] * count
        self._older_at = [None] * count
        self._is_staged = bytearray(count)
        self._places = bytearray(count)
        self._is_shown = bytearray(count)
        self._index = {self._known[place][0]: place for place in range(count)}
        self._place = {self._known[place][1].key: place for place in range(count)}
        self._known_at = now
        self._kept = (Kept(), Kept())
        self._pid = pid
        self._found = ()

    def _label(self, at):
        """(code, start of the value) of a line that has been judged."""
        code = 0
        at += 2
        while self._reader.block[at] != _TAB:
            code = (code << 7 | self._reader.block[at]) & 0xFFFFFFF
            at += 1
        return code, at + 1

    def _take(self, now):
        """Take over the values of a block that is right."""
        self._noise = max(0, self._noise - 1)
        if self._is_other or self._noise >= HOPELESS:
            self._forget_blocks()
            return
        self._block_at = now
        for position in range(self._count):
            place = self._places[position]
            if self._is_staged[place] == _SAME:  # what _take_value would do, in short
                self._older[place] = self._former[place]
                self._older_at[place] = self._heard_at[place]
                self._heard_at[place] = self._accepted_at[place] = now
            else:
                self._take_value(place, now)
        self._keep()
        if self._known_at is None:
            if self._has_new:
                self._append_rows()
        elif self._is_whole():
            self._show_rows()
        self._tell()

    def _keep(self):
        """All values of this block are known now, if none is doubtful."""
        former = self._former_block
        if former is not None:
            if self._doubt_from is None:
                former.keep(self._reader.block, self._reader.length, self._line_count)
            else:
                former.forget()

    def _take_value(self, place, now):
        staged = self._staged[place]
        said_at = now
        former, older = self._former[place], self._older[place]
        former_at, older_at = self._heard_at[place], self._older_at[place]
        self._older[place], self._older_at[place] = former, former_at
        self._former[place], self._heard_at[place] = staged, now
        if not self._is_shown[place]:
            self._has_new = True
        _, row, words = self._known[place]
        is_plain_text = row.kind == TEXT and words is None
        if self._doubt_from is not None:
            if is_plain_text:
                if staged is None or self._values[place] != self._text(staged):
                    return
            elif row.kind != NUMBER:
                if staged != former:
                    return
            elif staged is None or former is None or older is None:
                return
            else:
                median = sorted((staged, former, older))[1]
                said_at = now if median == staged else former_at if median == former else older_at
                staged = median
                if ticks_diff(now, said_at) > EXPIRE_MS:
                    return
        self._accept(place, staged, is_plain_text)
        self._accepted_at[place] = said_at

    def _accept(self, place, staged, is_plain_text):
        _, row, words = self._known[place]
        if staged is None:
            value = None
        elif is_plain_text:
            value = self._text(staged)
        elif words is None:
            value = staged
        elif self._values[place] is not None and staged == self._codes[place]:
            return
        else:
            from .vedirect_words import words_of  # when a code changes

            self._codes[place] = staged
            value = words_of(words, staged)
            unload("sensors.vedirect_words")
        if row.key == "time_to_go" and value is not None and value < 0:
            value = None  # -1: without an end
        self._set(place, value)

    def _set(self, place, value):
        if value != self._values[place]:
            self._values[place] = value
            self.changes += 1

    # The rows

    def _is_whole(self):
        """Whether every kind of block of this device has come since it is known."""
        history = self._index.get(_HISTORY)
        return history is None or self._heard_at[history] is not None

    def _show_rows(self):
        self._known_at = None
        self._show_problem()
        self._append_rows()

    def _show_problem(self):
        if not self.rows:
            self.rows.append(text("problem", "Problem", "connection", DIAGNOSTIC))

    def _append_rows(self):
        """The rows of what has come, in the order of the table: the same one after each start."""
        self._has_new = False
        for place in range(len(self._known)):
            # a monitor without a thermometer says "---" for ever
            is_there = self._values[place] is not None or (
                self._heard_at[place] is not None and self._known[place][1].key != "temperature"
            )
            if is_there and not self._is_shown[place]:
                self._is_shown[place] = 1
                self.rows.append(self._known[place][1])
                self.changes += 1
