# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What D2 and P81 share: frames of a kind of Modbus, 9600 baud 8N1, and values in registers. No I/O, no clock.

    request:   address | 03 | first register | number of registers | CRC         (numbers high byte first)
    response:  address | 03 | number of bytes | registers | CRC                  (CRC16 of Modbus, low byte first)
    write:     address | 06 | register | value | CRC, acknowledged by the same

A response does not name the registers it holds: only its length ties it to a request. A board that lacks registers fills them
with FF or 0, or is silent; exceptions (function 83) were never captured. Which register is what: daly/d2.py and daly/p81.py.
"""

from collections import namedtuple

from adafruit_ticks import ticks_diff

from battery.alarms import BITFIELDS
from battery.readings import BITFIELD, READING, TEXT, is_immediate

from .outcomes import ACCEPTED, DAMAGED, ECHO, EMPTY, NOTHING, RESPONSE, UNCONFIRMED, UNEXPECTED

READ = 0x03
WRITE = 0x06
REQUEST_LENGTH = 8
OVERHEAD = 5  # bytes of a response beside its registers
_SIZE = 256  # of the buffer; the longest frame has 255 bytes
_LONGEST = _SIZE - 1
_LAST_ADDRESS = 0xF7  # of Modbus; D2 is one of these
_BYTE_US = 1042
_A5_BYTES = 26  # request and first frame of A5, which the poller's times are made for

# A response that has begun is over when the line is quiet for so long; bytes come without a pause (described for both).
QUIET_MS = 30
TRUNCATED_BYTES = 9  # bytes of no good frame that are a response, damaged, not a glitch before it
# Another master has asked our board for as many registers: until two responses have come, or for so long, a response of that
# length may be its. The request goes out within 1 s, and is waited for 0.4 s.
RIVAL_MS = 1500

# The map

Block = namedtuple(
    "Block",
    (
        "function",  # the first register
        "count",  # registers requested; 0: as many as there are cells
        "group",  # key of GROUPS: the pace it is requested at
        "rows",  # its readings
        "places",  # of each: place and how its value stands in a response, see `at`
        "is_immediate",  # changes of its readings are published at once
        "frames",
        "is_optional",  # boards may not have it
    ),
)

# How a value stands there. Beside FFFF also "not there":
NO_ZERO = 1  # 0
NO_255 = 2
FOLLOWS = 4  # what follows a value that is not there: the number of a sensor
# How the number becomes raw
ABSOLUTE = 8  # by how much it differs from 30000, above or below: limits of a current
HIGH_BYTES = 16  # its last byte belongs to nothing
PLUS_40 = 32  # °C + 40
PLUS_30000 = 64
TENS = 128
HUNDREDS = 256
BITS = 512  # one bit a value, from bit 0 of the first register on
TEMPERATURE = NO_ZERO | NO_255 | PLUS_40
_REGISTER = 0xFFF
_FOLLOWS = FOLLOWS << 18
_BITS = BITS << 18


def at(key, register, form=0, size=1):
    """(key, place) of a reading. A place is one small integer, since there are many: how, in how many registers, the first one.

    For the first of several values of one row; with BITS: the registers of all of them.
    """
    return key, form << 18 | size << 12 | register


def rows_of(blocks, calculated=()):
    """Every reading of a map, and those that the bridge calculates; once for all boards."""
    return tuple([row for each in blocks for row in each.rows] + [READING[key] for key in calculated])


def block(first, count, group, is_optional, *readings):
    """A block of so many registers; `readings` are made by `at`."""
    rows = tuple([READING[key] for key, _ in readings])
    is_urgent = len([row for row in rows if is_immediate(row)]) > 0
    return Block(first, count, group, rows, tuple([place for _, place in readings]), is_urgent, 1, is_optional)


# CRC16 of Modbus


# What a byte does to it, in two tables, which are smaller than one of integers: for its low byte and for its high one. Written
# out, because an ESP32-S2 would calculate them for a quarter of a second.
# fmt: off
_LOW = (
    b"\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41"
    b"\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40"
    b"\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40"
    b"\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41"
    b"\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40"
    b"\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41"
    b"\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41"
    b"\x01\xc0\x80\x41\x00\xc1\x81\x40\x00\xc1\x81\x40\x01\xc0\x80\x41\x00\xc1\x81\x40\x01\xc0\x80\x41\x01\xc0\x80\x41\x00\xc1\x81\x40"
)
_HIGH = (
    b"\x00\xc0\xc1\x01\xc3\x03\x02\xc2\xc6\x06\x07\xc7\x05\xc5\xc4\x04\xcc\x0c\x0d\xcd\x0f\xcf\xce\x0e\x0a\xca\xcb\x0b\xc9\x09\x08\xc8"
    b"\xd8\x18\x19\xd9\x1b\xdb\xda\x1a\x1e\xde\xdf\x1f\xdd\x1d\x1c\xdc\x14\xd4\xd5\x15\xd7\x17\x16\xd6\xd2\x12\x13\xd3\x11\xd1\xd0\x10"
    b"\xf0\x30\x31\xf1\x33\xf3\xf2\x32\x36\xf6\xf7\x37\xf5\x35\x34\xf4\x3c\xfc\xfd\x3d\xff\x3f\x3e\xfe\xfa\x3a\x3b\xfb\x39\xf9\xf8\x38"
    b"\x28\xe8\xe9\x29\xeb\x2b\x2a\xea\xee\x2e\x2f\xef\x2d\xed\xec\x2c\xe4\x24\x25\xe5\x27\xe7\xe6\x26\x22\xe2\xe3\x23\xe1\x21\x20\xe0"
    b"\xa0\x60\x61\xa1\x63\xa3\xa2\x62\x66\xa6\xa7\x67\xa5\x65\x64\xa4\x6c\xac\xad\x6d\xaf\x6f\x6e\xae\xaa\x6a\x6b\xab\x69\xa9\xa8\x68"
    b"\x78\xb8\xb9\x79\xbb\x7b\x7a\xba\xbe\x7e\x7f\xbf\x7d\xbd\xbc\x7c\xb4\x74\x75\xb5\x77\xb7\xb6\x76\x72\xb2\xb3\x73\xb1\x71\x70\xb0"
    b"\x50\x90\x91\x51\x93\x53\x52\x92\x96\x56\x57\x97\x55\x95\x94\x54\x9c\x5c\x5d\x9d\x5f\x9f\x9e\x5e\x5a\x9a\x9b\x5b\x99\x59\x58\x98"
    b"\x88\x48\x49\x89\x4b\x8b\x8a\x4a\x4e\x8e\x8f\x4f\x8d\x4d\x4c\x8c\x44\x84\x85\x45\x87\x47\x46\x86\x82\x42\x43\x83\x41\x81\x80\x40"
)
# fmt: on


def crc16(data, begin, end):
    """The CRC of data[begin:end]; 0 when its last two bytes are the CRC of those before."""
    low = high = 0xFF
    for i in range(begin, end):
        low ^= data[i]
        high, low = _HIGH[low], high ^ _LOW[low]
    return high << 8 | low


def fill_request(frame, address, function, register, value):
    """Fill `frame` (8 bytes) in place and return it: a read of `value` registers, or a write of one."""
    frame[0] = address
    frame[1] = function
    frame[2] = register >> 8
    frame[3] = register & 0xFF
    frame[4] = value >> 8
    frame[5] = value & 0xFF
    crc = crc16(frame, 0, 6)
    frame[6] = crc & 0xFF
    frame[7] = crc >> 8
    return frame


class FrameReader:
    """Finds whole, checked frames in whatever bytes arrive, in whatever pieces; never raises, and allocates only for damage.

    The bytes held are always the beginning of something that may become a frame, of us, of the board, or of anybody else on
    the line. `request` and `written`: the last ones we sent, 8 bytes.
    """

    def __init__(self, request_address, response_address):
        self.checksum_errors = 0  # responses to our request with a wrong checksum
        self.discarded = 0  # bytes that belonged to no frame
        self.request = bytearray(REQUEST_LENGTH)
        self.written = bytearray(REQUEST_LENGTH)
        self.expected = 0  # data bytes of the response that is waited for; 0: none is
        self._request_address = request_address
        self._response_address = response_address
        self.frame = self._buffer = bytearray(_SIZE)  # begins with the last whole frame; its registers begin at index 3
        self.damaged = bytearray(_SIZE)  # begins with the last response with a wrong checksum
        self.damaged_length = 0
        self._count = 0  # bytes held
        self._low = self._high = 0xFF  # their CRC
        self._unseen_until = 0  # below so many bytes only the CRC is continued: the response is being received
        self._taken = 0  # bytes held that are the last whole frame
        self._is_shifted = False  # a frame among the bytes held may have ended before the last one
        # the request of another master to our board that may not have been answered yet
        self._rival_bytes = 0  # data bytes of its response; 0: there is none
        self._rival_at = 0
        self._rival_responses = 0  # responses of that length since then

    @property
    def length(self):
        """How many bytes the last whole frame has, valid until the next `feed`."""
        return self._taken

    @property
    def has_begun(self):
        """Whether the first bytes of the response that is waited for are held."""
        return self._count - self._taken > 2 and not self._taken and self._is_response(0)

    def expect(self, request, size):
        """`request` has been sent: a response with so many data bytes is waited for."""
        self.reset()
        self.request = request
        self.expected = size

    def expect_none(self):
        """No response is waited for any more."""
        self.expected = self._unseen_until = 0

    def partial(self):
        """How many bytes of an unfinished frame are held."""
        return self._count - self._taken

    def reset(self):
        """Forget an unfinished frame: what comes next does not belong to it."""
        self.discarded += self._count - self._taken
        self._count = self._taken = self._unseen_until = 0
        self._low = self._high = 0xFF

    def feed(self, byte, now):
        """Take one byte; what it completes: NOTHING or one of the others."""
        count = self._count
        self._buffer[count] = byte
        self._count = count = count + 1
        low = self._low ^ byte
        self._low = self._high ^ _LOW[low]
        self._high = _HIGH[low]
        return NOTHING if count < self._unseen_until else self._look(now)

    def skip(self, data, size):
        """Take the first of these `size` bytes for which `feed` would return NOTHING; returns how many."""
        count = self._count
        size = min(size, self._unseen_until - 1 - count)
        if size <= 0:
            return 0
        buffer = self._buffer
        low = self._low
        high = self._high
        for i in range(size):
            byte = data[i]
            buffer[count + i] = byte
            low ^= byte
            low, high = high ^ _LOW[low], _HIGH[low]
        self._count = count + size
        self._low = low
        self._high = high
        return size

    def _look(self, now):
        """Whether the bytes held begin with a whole frame; drop those that begin none."""
        if self._taken:
            self._drop(self._taken)
            self._taken = 0
        while self._count:
            size = self._whole_size()
            if size > 0:
                self._taken = size
                self._unseen_until = 0
                return self._judge(now)
            if not size:
                self._is_shifted = False
                return NOTHING
            is_damaged = self._is_response(0) and self._count >= self.expected + OVERHEAD
            if is_damaged:
                self._note_damaged()
            self._drop_to_beginning()
            if is_damaged:
                return DAMAGED
        return NOTHING

    def _whole_size(self):
        """The size of the frame the bytes held begin with; 0: they may become one, -1: they cannot."""
        buffer = self._buffer
        count = self._count
        if not _may_begin(buffer[0], buffer[1] if count > 1 else READ):
            return -1
        if count < 3:
            return 0
        if self._is_response(0):
            size = self.expected + OVERHEAD
            self._unseen_until = size
            return self._check(size) or (-1 if count >= size else 0)
        if self._holds_response():
            return -1
        function = buffer[1]
        if function >= 0x80:
            return self._check(OVERHEAD) or (-1 if count >= OVERHEAD else 0)
        # a request, an acknowledgement, or a response or a write of several registers, which are longer or shorter
        longest = REQUEST_LENGTH
        found = self._check(REQUEST_LENGTH)
        if function < 0x05:
            if 0 < buffer[2] <= _LONGEST - OVERHEAD:
                longest = max(longest, OVERHEAD + buffer[2])
                found = found or self._check(OVERHEAD + buffer[2])
        elif function >= 0x0F:
            longest = REQUEST_LENGTH + 1 + (max(buffer[6], 2 * buffer[5]) if count > 6 else 0)
            if count > 6:
                # Daly's tools send no number of bytes (captured)
                found = found or self._check(REQUEST_LENGTH + 2 * buffer[5]) or self._check(REQUEST_LENGTH + 1 + buffer[6])
        return found or (-1 if count >= min(longest, _LONGEST) else 0)

    def _check(self, size):
        """`size` when so many bytes are a frame by their CRC, else 0."""
        count = self._count
        if count == size:
            return 0 if self._low or self._high else size
        return size if self._is_shifted and size < count and not crc16(self._buffer, 0, size) else 0

    def _is_response(self, at):
        """Whether the response that is waited for begins here."""
        buffer = self._buffer
        return (
            self.expected > 0
            and buffer[at + 2] == self.expected
            and buffer[at + 1] == READ
            and buffer[at] == self._response_address
        )

    def _holds_response(self):
        """Whether the response that is waited for begins among the bytes held: then those before it begin nothing."""
        last = self._count - 3
        for at in range(1 if self._is_shifted else max(1, last), last + 1):
            if self._is_response(at):
                return True
        return False

    def _drop(self, begin):
        """Remove the first bytes."""
        count = self._count - begin
        buffer = self._buffer
        for i in range(count):
            buffer[i] = buffer[begin + i]
        self._count = count
        crc = crc16(buffer, 0, count)
        self._low = crc & 0xFF
        self._high = crc >> 8
        self._is_shifted = True
        self._unseen_until = 0

    def _drop_to_beginning(self):
        """Drop bytes until the rest can be the beginning of a frame."""
        buffer = self._buffer
        count = self._count
        begin = 1
        while begin < count and not _may_begin(buffer[begin], buffer[begin + 1] if begin + 1 < count else READ):
            begin += 1
        self.discarded += begin
        self._drop(begin)

    def _note_damaged(self):
        size = self.expected + OVERHEAD
        self.checksum_errors += 1
        for i in range(size):
            self.damaged[i] = self._buffer[i]
        self.damaged_length = size

    # whose frame it is

    def _judge(self, now):
        """What the frame that begins the bytes held is to us."""
        buffer = self._buffer
        size = self._taken
        if size == REQUEST_LENGTH:
            if self._is_same(self.request, REQUEST_LENGTH):
                return ECHO
            if self._is_same(self.written, 6, 1):
                if buffer[0] == self._response_address:
                    return NOTHING  # the acknowledgement of our write; on a line that echoes also the write to D2 itself
                return ECHO if buffer[0] == self._request_address else UNEXPECTED
            if buffer[0] == self._request_address and buffer[1] == READ:
                self._note_rival(now)
                return UNEXPECTED
        if buffer[0] != self._response_address or buffer[1] != READ or size != OVERHEAD + buffer[2]:
            return UNEXPECTED
        is_expected = buffer[2] == self.expected
        if buffer[2] == self._rival_bytes and self._is_of_rival(is_expected, now):
            return UNEXPECTED
        return RESPONSE if is_expected else UNEXPECTED

    def _is_same(self, frame, size, begin=0):
        for i in range(begin, size):
            if self._buffer[i] != frame[i]:
                return False
        return True

    def _note_rival(self, now):
        self._rival_bytes = 2 * (self._buffer[4] << 8 | self._buffer[5])
        self._rival_at = now
        self._rival_responses = 0

    def _is_of_rival(self, is_expected, now):
        """Whether a response of our board may answer the other master: which is whose cannot be seen while both wait."""
        is_open = ticks_diff(now, self._rival_at) < RIVAL_MS
        self._rival_responses += 1
        if not is_open or not is_expected or self._rival_responses >= 2:
            self._rival_bytes = 0
        return is_open


def _may_begin(address, function):
    """Whether a frame of anybody can begin so: those of others are no noise."""
    if not 0 < address <= _LAST_ADDRESS:
        return False
    function &= 0x7F  # an exception has its first bit set
    return 0 < function < 0x07 or function == 0x0F or function == 0x10


class Modbus:
    """The protocol of one board: builds requests, recognises responses and hands their values to `pack`.

    What differs are attributes and methods of the classes derived from it: `name`, `detail`, `blocks`, `registers_of_writes`
    (by key of the control), `fits`, `fill_alarms`.
    `pending`: index of the block whose response is waited for, -1: none.
    """

    name = ""
    detail = ""
    blocks: tuple = ()
    rows: tuple = ()  # every reading that this protocol can say: see rows_of
    calculated: tuple = ()  # keys of readings that the bridge calculates where the board does not send them
    registers_of_writes: dict = {}
    restart_value = 1
    alarm_registers: tuple = ()
    most_cells = 48
    most_temperatures = 8
    # the same for every board and every time
    soc_needs_clock = False
    knows_sign = True  # above 30000 is charging
    has_crc = True
    noisy_ms = 60000  # after a damaged frame: of 65536 damaged ones one has a right CRC
    first_gap_ms = 4  # 3.5 characters, as Modbus wants it
    is_whole = True
    has_frames = False

    def __init__(self, pack, request_address, response_address):
        self.pending = -1
        self.reader = FrameReader(request_address, response_address)
        self.feed = self.reader.feed
        self.writes = tuple(self.registers_of_writes)
        self._pack = pack
        self._request_address = request_address
        self._response_address = response_address
        self._requests = tuple([bytearray(REQUEST_LENGTH) for _ in self.blocks])
        self._alarm_bits = [0] * BITFIELDS
        self._alarm_bytes = bytearray(8)
        self._damage_before = 0  # discarded bytes at the time of the request
        self._first = 0  # first register of the response that is stored

    # requests

    def count_of(self, index):
        """How many registers the request of a block asks for; 0 while that is not known."""
        return self.blocks[index].count

    def frames_expected(self, index):
        """0 while a block cannot be requested, else 1."""
        return 1 if self.count_of(index) else 0

    def excess_ms(self, index):
        """By how many ms request and response are longer on the line than those of A5, which have 13 bytes each."""
        return (REQUEST_LENGTH + OVERHEAD + 2 * self.count_of(index) - _A5_BYTES) * _BYTE_US // 1000

    def rest_ms(self, _index):
        """How long the frames of a response after the first one take: there are none."""
        return 0

    def build(self, index):
        """The request for a block, 8 bytes."""
        request = self._requests[index]
        count = self.count_of(index)
        if request[5] != count:
            fill_request(request, self._request_address, READ, self.blocks[index].function, count)
        return request

    def open(self, index):
        """The request for a block has been sent: its response is waited for from now on."""
        reader = self.reader
        self.pending = index
        reader.expect(self.build(index), 2 * self.count_of(index))
        self._damage_before = reader.discarded

    def close(self):
        """The response is not waited for any more."""
        self.pending = -1
        self.reader.expect_none()

    def forget(self):
        """The BMS is gone: nothing is known of it that could be wrong."""

    def write(self, key, raw, _clock):
        """The frame that writes a control: `raw` 0 or 1 of a MOSFET, 0.1 % of the state of charge."""
        value = self.restart_value if raw is None else raw
        return fill_request(self.reader.written, self._request_address, WRITE, self.registers_of_writes[key], value)

    # responses

    @property
    def frame_block(self):
        """Index of the block that an unexpected frame of our board may answer, by its length; -1: none, or the open request."""
        return self.block_of(self.reader)

    def block_of(self, reader):
        """The same of the last frame in a reader, which may be that of a neighbour on the line."""
        frame = reader.frame
        size = reader.length - OVERHEAD
        if size > 0 and frame[0] == self._response_address and frame[1] == READ:
            for index in range(len(self.blocks)):
                if frame[2] == size == 2 * self.count_of(index):
                    return -1 if index == self.pending else index
        return -1

    def is_sender(self, reader):
        """Whether our board has sent the last frame in a reader."""
        return reader.frame[0] == self._response_address

    def is_for_pending(self, reader):
        """Whether the last frame in a reader would answer the open request, if our board had sent it."""
        return self.pending >= 0 and reader.frame[1] == READ and reader.length == OVERHEAD + reader.expected

    def is_damaged(self, with_partial=True):
        """Whether bytes that belong to no frame came since the request."""
        return self.reader.discarded + (self.reader.partial() if with_partial else 0) != self._damage_before

    def is_truncated(self, quiet_ms):
        """Whether a response has begun, is not whole, and, as the line has been quiet for so long, is over."""
        if quiet_ms < QUIET_MS or self.pending < 0:
            return False
        reader = self.reader
        return reader.has_begun or reader.discarded + reader.partial() - self._damage_before >= TRUNCATED_BYTES

    def awaits_trailing(self, _now):
        """No frames follow a response."""
        return False

    def take_trailing(self, _now):
        """No frames follow a response."""
        return False

    def stop_trailing(self):
        """No frames follow a response."""

    def note_overheard(self, _block):
        """Nothing is learned from it."""

    def note_truncated(self):
        """Nothing is learned from it."""

    def note_answered(self):
        """Nothing is learned from it."""

    # values

    def store(self, now, doubtful):
        """Hand the values of the response to the pack: ACCEPTED, UNCONFIRMED or EMPTY."""
        each = self.blocks[self.pending]
        if not self.is_answer():
            self._pack.reject()
            return EMPTY
        self._pack.select(self.rows, self.writes)
        accepted = True
        is_there = True
        for position in range(len(each.rows)):
            row = each.rows[position]
            place = each.places[position]
            if row.slots > 1:
                accepted = self._store_many(row, place, now, doubtful) and accepted
            elif is_there or not place & _FOLLOWS:
                raw = self._text(row, place) if row.kind == TEXT else self._number(place, 0)
                is_there = raw is not None
                if is_there:
                    accepted = self._pack.accept(row, 0, raw, now, doubtful) and accepted
        self._pack.finish(now)
        return ACCEPTED if accepted else UNCONFIRMED

    def is_answer(self):
        """Whether the response that is there can be an answer at all, judged by its content."""
        self._first = self.blocks[self.pending].function
        return self._has_content() and self.fits(self.pending)

    def fits(self, _index):
        """Whether the content of a response can be that of this block."""
        return True

    def peek(self, key):
        """The raw value of a reading in the response that is there; None when it is not in it."""
        each = self.blocks[self.pending]
        for position in range(len(each.rows)):
            if each.rows[position].key == key:
                return self._number(each.places[position], 0)
        return None

    def is_near(self, voltage, total):
        """Whether the voltage of a pack is near that of its cells, both in mV: one of four may be dead, or its wire open."""
        return 5 * abs(voltage - total) <= 2 * max(voltage, total)

    def fill_alarms(self, _bits):
        """Fill the bit fields of battery/alarms.py from a response."""

    def alarm_word(self, number):
        """A register of alarms; FFFF is none."""
        word = self.register(number)
        return 0 if word == 0xFFFF else word

    def alarm_bytes(self, first, is_low_first):
        """The four registers from `first` on as the alarm bytes of alarm_bytes.py; `is_low_first`: in the order of D2."""
        alarms = self._alarm_bytes
        for position in range(4):
            word = self.alarm_word(first + position)
            alarms[2 * position] = word & 0xFF if is_low_first else word >> 8
            alarms[2 * position + 1] = word >> 8 if is_low_first else word & 0xFF
        return alarms

    def has_alarms(self):
        """Whether any register of alarms is there, though there may be none in it."""
        for number in self.alarm_registers:
            if self.register(number) != 0xFFFF:
                return True
        return False

    def register(self, number):
        """The content of a register of the response, 0..FFFF."""
        data = self.reader.frame
        at = 3 + 2 * (number - self._first)
        return data[at] << 8 | data[at + 1]

    def _has_content(self):
        """Whether a response holds anything but zeros and FF."""
        data = self.reader.frame
        for at in range(3, 3 + self.reader.expected):
            if data[at] != 0 and data[at] != 0xFF:
                return True
        return False

    def _store_many(self, row, place, now, doubtful):
        """Hand over cells, sensors, levels or bits; what is beyond their number is no value."""
        pack = self._pack
        if row.kind == BITFIELD:
            if not self.has_alarms():
                return True  # they are not known
            self.fill_alarms(self._alarm_bits)
            return pack.accept_together(row, self._alarm_bits, now, doubtful)
        if place & _BITS:
            return self._store_bits(row, place, now, doubtful)
        count = self._count_of_row(row)
        accepted = True
        if place >> 12 == 1:  # plain registers: in short, since cells are the most
            data = self.reader.frame
            at = 3 + 2 * ((place & _REGISTER) - self._first)
            for index in range(count):
                raw = data[at] << 8 | data[at + 1]
                at += 2
                if raw != 0xFFFF:
                    accepted = pack.accept(row, index, raw, now, doubtful) and accepted
            return accepted
        for index in range(count):
            raw = self._number(place, index)
            if raw is not None:
                accepted = pack.accept(row, index, raw, now, doubtful) and accepted
        return accepted

    def _store_bits(self, row, place, now, doubtful):
        """Hand over one bit for each cell; a register of FFFF holds none."""
        accepted = is_there = True
        word = 0
        for index in range(self._count_of_row(row)):
            word = word >> 1 if index & 15 else self.register((place & _REGISTER) + (index >> 4))
            if not index & 15:
                is_there = word != 0xFFFF
            if is_there:
                accepted = self._pack.accept(row, index, word & 1, now, doubtful) and accepted
        return accepted

    def _count_of_row(self, row):
        """How many values there are: by the number that stands in the response before them, once that is accepted."""
        if row.counted_by is None:
            return row.slots
        count = self._pack.raw(row.counted_by)
        if count is None:
            count = self._pack.topology[row.counted_by] or 0
        return min(count, self.most_cells if row.counted_by == "cell_count" else self.most_temperatures)

    def _number(self, place, index):
        """The raw value number `index` (from 0) at a place; None when it is not there."""
        data = self.reader.frame
        size = place >> 12 & 0x3F
        at = 3 + 2 * ((place & _REGISTER) - self._first + index * size)
        number = data[at] << 8 | data[at + 1]
        if size == 2:
            low = data[at + 2] << 8 | data[at + 3]
            if number & low == 0xFFFF:
                return None
            number = number << 16 | low
        elif number == 0xFFFF:
            return None
        form = place >> 18
        if not form:
            return number
        if (form & NO_ZERO and not number) or (form & NO_255 and number == 0xFF):
            return None
        if form & PLUS_40:
            return number - 40
        if form & (PLUS_30000 | ABSOLUTE):
            number -= 30000
            return abs(number) if form & ABSOLUTE else number
        if form & HIGH_BYTES:
            return number >> 8
        return number * (100 if form & HUNDREDS else 10 if form & TENS else 1)

    def _text(self, row, place):
        """The printable ASCII before the first zero or FF; None when there is none or something else stands there."""
        data = self.reader.frame
        begin = 3 + 2 * ((place & _REGISTER) - self._first)
        end = begin
        while end < begin + 2 * (place >> 12 & 0x3F) and data[end] not in (0, 0xFF):
            if not 0x20 <= data[end] < 0x7F:
                return None
            end += 1
        return self.repaired_text(row, str(data[begin:end], "ascii").strip()) or None

    def repaired_text(self, _row, text):
        """A text as it was meant."""
        return text
