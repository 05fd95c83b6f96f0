# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The A5 protocol: frames, responses of several frames, and where each reading is. Performs no I/O and has no clock.

A frame is 13 bytes, 9600 baud 8N1 (vendor PDF V1.2, confirmed by every capture):

    A5 | address | function | 08 | 8 bytes of payload | low byte of the sum of the 12 bytes before

In a request the address is the host's (0x40), in a response the board's (0x01). There is no negative response: a function that
a board does not know is ignored. Offsets, scales and meanings: vendor PDF V1.2 and captures, judged in docs/PROTOCOL.md.
"""

from collections import namedtuple
from struct import pack_into

from adafruit_ticks import ticks_add, ticks_diff

from battery.alarms import BITFIELDS
from battery.readings import BITFIELD, DATE, ENUM, GROUPS, NUMBER, READING, TEXT, is_immediate, is_measured, is_plausible

from .alarm_bytes import alarm_bits
from .outcomes import ACCEPTED, DAMAGED, ECHO, EMPTY, FRAME, NOTHING, RESPONSE, UNCONFIRMED, UNEXPECTED

START = 0xA5
LENGTH = 13
PAYLOAD_LENGTH = 8
FIRST_HOST_ADDRESS = 0x20  # boards are 1..16; from here on it is a host: our own request, echoed (maland16#12)

# The map

Block = namedtuple(
    "Block",
    (
        "function",
        "group",  # key of GROUPS: the pace it is requested at
        "frames",  # most frames a response has; 1: payload without a frame number
        "width",  # bytes of payload a frame carries
        "rows",  # its readings
        "places",  # of each: place and how its value stands in the payload, see `_at`
        "is_immediate",  # changes of its readings are published at once
        "is_optional",  # a board may do without it: nothing is expected of it
    ),
)


# How the number, unsigned and big-endian, becomes raw
PLUS_40 = 1  # °C + 40
DISCHARGING = 2  # 30000 - number: with us positive is charging
ABSOLUTE = 4  # by how much it differs from 30000, above or below: limits of a current
THOUSANDS = 8
_FORM = 13  # bits of a place below its form


def _at(key, offset, size=1, form=0, bit=None):
    """(key, place) of a reading: its bytes in the payload, frame numbers left out; `bit`: of that first byte, for one bit.

    A place is one small integer, since there are many. For the first of several values of one row.
    """
    return key, form << _FORM | (0 if bit is None else bit + 1) << 9 | size << 3 | offset


def _block(function, frames, width, *readings):
    rows = tuple([READING[key] for key, _ in readings])
    is_urgent = False
    for row in rows:  # no comprehension: on a board it is a call of its own, and this is deep in the stack
        is_urgent = is_urgent or is_immediate(row)
    return Block(function, rows[0].group, frames, width, rows, tuple([place for _, place in readings]), is_urgent, False)


def _unproven(function, *readings):
    """A block that is known from other readers only, and of which there is no capture: once per connection, or not at all."""
    rows = tuple([READING[key] for key, _ in readings])
    return Block(function, "static", 1, 8, rows, tuple([place for _, place in readings]), False, True)


# The first one is the fast poll group: see schedule.py.
BLOCKS = (
    # 30000 is 0 A and more is discharging (captures of two packs); with us positive is charging, hence DISCHARGING.
    # Bytes 2 and 3, the "gather voltage", are 0 in every capture.
    _block(0x90, 1, 8, _at("pack_voltage", 0, 2), _at("current", 4, 2, DISCHARGING), _at("soc", 6, 2)),
    _block(0x93, 1, 8, _at("mode", 0), _at("charge_mosfet", 1), _at("discharge_mosfet", 2), _at("heartbeat", 3),
           _at("remaining_capacity", 4, 4)),
    _block(0x98, 1, 8, _at("alarm_bits_{}", 0, 7), _at("fault_code", 7)),
    # Bytes 2 and 3: 0 in all captures, also under load. Byte 7 is a leftover on most boards and a temperature on some.
    _block(0x94, 1, 8, _at("cell_count", 0), _at("temperature_count", 1), _at("charger_connected", 2),
           _at("load_connected", 3), _at("digital_input_{}", 4, 1, 0, 0), _at("digital_output_{}", 4, 1, 0, 4),
           _at("cycle_count", 5, 2)),
    _block(0x91, 1, 8, _at("max_cell_voltage", 0, 2), _at("max_voltage_cell", 2), _at("min_cell_voltage", 3, 2),
           _at("min_voltage_cell", 5)),
    _block(0x92, 1, 8, _at("max_temperature", 0, 1, PLUS_40), _at("max_temperature_sensor", 1),
           _at("min_temperature", 2, 1, PLUS_40), _at("min_temperature_sensor", 3)),
    _block(0x95, 16, 6, _at("cell_{}_voltage", 0, 2)),
    _block(0x96, 3, 7, _at("temperature_{}", 0, 1, PLUS_40)),
    _block(0x97, 1, 8, _at("cell_{}_balancing", 0, 1, 0, 0)),
    _block(0x50, 1, 8, _at("rated_capacity", 0, 4), _at("nominal_cell_voltage", 4, 4)),
    # FFFF is how Daly's tools write "never", which is no number of seconds
    _block(0x53, 1, 8, _at("production_date", 2, 3), _at("chemistry", 0), _at("sleep_time", 5, 2)),
    _block(0x57, 5, 7, _at("battery_code", 0, 35)),
    _block(0x62, 2, 7, _at("software_version", 0, 14)),
    _block(0x63, 2, 7, _at("hardware_version", 0, 14)),
    _unproven(0x52, _at("lifetime_charge", 0, 4, THOUSANDS), _at("lifetime_discharge", 4, 4, THOUSANDS)),
    _unproven(0x59, _at("cell_overvoltage_limit_{}", 0, 2), _at("cell_undervoltage_limit_{}", 4, 2)),
    _unproven(0x5A, _at("pack_overvoltage_limit_{}", 0, 2), _at("pack_undervoltage_limit_{}", 4, 2)),
    _unproven(0x5B, _at("charge_overcurrent_limit_{}", 0, 2, ABSOLUTE),
              _at("discharge_overcurrent_limit_{}", 4, 2, ABSOLUTE)),
    _unproven(0x5C, _at("charge_overtemperature_limit_{}", 0, 1, PLUS_40),
              _at("charge_undertemperature_limit_{}", 2, 1, PLUS_40),
              _at("discharge_overtemperature_limit_{}", 4, 1, PLUS_40),
              _at("discharge_undertemperature_limit_{}", 6, 1, PLUS_40)),
    _unproven(0x5D, _at("soc_high_limit_{}", 0, 2), _at("soc_low_limit_{}", 4, 2)),
    _unproven(0x5E, _at("cell_voltage_delta_limit_{}", 0, 2), _at("temperature_delta_limit_{}", 4)),
    _unproven(0x5F, _at("balance_start_voltage", 0, 2), _at("balance_voltage_delta", 2, 2)),
    _unproven(0x9A, _at("state_of_health", 0, 2)),
)  # fmt: skip

# Writes, by key of the control; sniffed from the vendor's PC tool (docs/PROTOCOL.md). The state of charge goes with the clock.
WRITES = {"charge_mosfet": 0xDA, "discharge_mosfet": 0xD9, "soc": 0x21, "restart_bms": 0x00}

# An all-zero response is right when nothing balances or no alarm is active, and is what a confused board sends to every
# request. Where it would change something it must come so often in a row.
ZERO_RESPONSES = 4

# Frames of a response follow each other without a pause in all captures; USB adapters deliver them in lumps of 16 ms.
# So a response that has begun is over when the line is quiet for so long; longer for a board that was seen to pause longer.
PAUSE_MS = 25
LONGEST_PAUSE_MS = 200
FRAME_US = 13542  # how long a frame lasts, 13 bytes of 10 bits
FRAME_MS = 14
TRAILING_MS = 16  # how long trailing frames are waited for, until it is known whether this board sends any
TRUNCATED_BYTES = 9  # bytes of no good frame that are a response, damaged (Louisvdw#165: cut off after 9), not noise before it
DAMAGED_PAUSE_MS = 5  # a response of one frame that has come, but damaged, is over when the line is quiet for so long
LAST_FRAME = 16  # frames count from 1 (every capture) or 0 (vendor PDF), at most 16 of them
_SUSPECTED = -1  # frames were seen to count from 1, but something before them was damaged


class FrameReader:
    """Finds whole, checked frames in whatever bytes arrive, in whatever pieces; never raises.

    After `feed` returned FRAME, `address`, `function` and `payload` (8 bytes, valid until the next `feed`) describe the frame,
    which has `length` bytes.
    """

    length = damaged_length = LENGTH

    def __init__(self):
        self.frame = bytearray(2 * LENGTH)  # begins with all 13 bytes of the last whole frame
        self._whole = memoryview(self.frame)[:LENGTH]
        self.payload = self._whole[4:12]
        self.damaged = bytearray(LENGTH)  # the last run with a wrong checksum
        self._count = 0
        self.checksum_errors = 0  # runs that looked like a frame (start byte, length byte) with a wrong checksum
        self.discarded = 0  # bytes that belonged to no frame

    @property
    def address(self):
        """The address of the last whole frame: board 1..16, or a host's (see FIRST_HOST_ADDRESS)."""
        return self.frame[1]

    @property
    def function(self):
        """The function of the last whole frame, 0..255."""
        return self.frame[2]

    def feed(self, byte):
        """Take one byte; NOTHING, FRAME when it completed a frame with a right checksum, DAMAGED for a wrong one."""
        count = self._count
        if count == LENGTH:
            count = 0
        self.frame[count] = byte
        count += 1
        self._count = count
        if 4 < count < LENGTH:  # start and length byte have been looked at
            return NOTHING
        if count < LENGTH:
            if not self._is_frame_so_far(0):
                self._restart()
            return NOTHING
        if (sum(self._whole) - byte) & 0xFF == byte:
            return FRAME
        self.checksum_errors += 1
        self.damaged[:] = self._whole
        self._restart()
        return DAMAGED

    def skip(self, data, size):
        """Take the first of these `size` bytes for which `feed` would return NOTHING; returns how many.

        They are copied all at once, where `feed` takes a tenth of a millisecond for each.
        """
        count = self._count if self._count < LENGTH else 0
        size = min(size, LENGTH - 1 - count)
        if not size or (not count and data[0] != START):
            return 0
        if count < 4 <= count + size and data[3 - count] != PAYLOAD_LENGTH:
            return 0
        pack_into("12s", self.frame, count, data)  # some of it behind them, where the next ones come
        self._count = count + size
        return size

    def partial(self):
        """How many bytes of an unfinished frame are held."""
        return 0 if self._count == LENGTH else self._count

    def reset(self):
        """Forget an unfinished frame: what comes next does not belong to it."""
        self.discarded += self.partial()
        self._count = 0

    def _is_frame_so_far(self, begin):
        """Whether the bytes from `begin` on can be the beginning of a frame."""
        size = self._count - begin
        return size == 0 or (self.frame[begin] == START and (size < 4 or self.frame[begin + 3] == PAYLOAD_LENGTH))

    def _restart(self):
        """Drop bytes until the rest can be the beginning of a frame: a start byte inside garbage costs no real frame."""
        begin = 1
        while not self._is_frame_so_far(begin):
            begin += 1
        for i in range(begin, self._count):
            self.frame[i - begin] = self.frame[i]
        self._count -= begin
        self.discarded += begin


def build_frame(frame, address, function, payload=None, filler=0):
    """Fill `frame` (13 bytes) in place and return it; without `payload` (8 bytes) the reserved bytes are the filler."""
    pack_into("4B", frame, 0, START, address, function, PAYLOAD_LENGTH)
    for i in range(PAYLOAD_LENGTH):
        frame[4 + i] = filler if payload is None else payload[i]
    frame[LENGTH - 1] = 0
    frame[LENGTH - 1] = sum(frame) & 0xFF
    return frame


class MultiFrame:
    """Puts the frames of one response together: cells, temperatures and texts come in up to 16 numbered frames.

    `seen`: bit n is set when frame number n is there. `first`: the number of the first frame of this block as this board
    counts, 0 or 1; None while not sure. `pause_ms`: this board's longest pause between two frames. What is learned of a board
    is kept: whether it counts frames from 0 or 1, how many trailing frames it sends, how long it pauses. Allocates nothing.
    """

    def __init__(self):
        self.seen = 0
        self.first: int | None = None
        self.pause_ms = PAUSE_MS
        self._block = 0  # index of the block whose response this is
        self._wanted = 1  # frames it must have
        self._clean_start = False
        self._staged = memoryview(bytearray((LAST_FRAME + 1) * 7))
        self._from_first = {block.width: self._staged[block.width :] for block in BLOCKS}
        self._first_frame: list = [None] * len(BLOCKS)  # 0 or 1, as this board counts
        self._trailing: list = [None] * len(BLOCKS)  # frames this board sends after those we want; None: not known
        self._trailing_of = None  # index of the block whose response may have more frames coming
        self._trailing_seen = 0
        self._trailing_end = 0
        self._truncated = None  # index of the block whose response has just been taken for over before it was whole

    def begin(self, block, wanted):
        """The block with this index has been requested; `wanted`: how many frames its response must have."""
        self._block = block
        self._wanted = wanted
        self.seen = 0
        self._know_first_frame(self._first_frame[block])

    def take(self, payload, clean):
        """One numbered frame; False when it is none. `clean`: nothing was damaged since the request."""
        number = payload[0]
        if number > LAST_FRAME or (not number and _is_filled(payload, 1, PAYLOAD_LENGTH - 1, 0)):  # all zero is no frame 0
            return False
        width = BLOCKS[self._block].width
        if not self.seen:
            self._clean_start = number == 1 and clean
        staged = self._staged
        at = number * width - 1
        for i in range(1, width + 1):  # byte by byte, because slices are objects on the heap
            staged[at + i] = payload[i]
        # frames count up: what has this number or a higher one is left over from an older response (mpp-solar#516)
        self.seen = self.seen & ((1 << number) - 1) | 1 << number
        if self.first is None or self.first & self.seen:  # a frame 0, where 1 was the first
            self._learn_first_frame()
        return True

    @property
    def whole(self):
        """Whether all frames that are wanted are there."""
        return self.first is not None and self._has_frames(self.first)

    def is_over(self, number):
        """Whether no wanted frame follows this one; a last frame alone is left over from an older response."""
        first = self.first
        if first is None:
            return False
        is_last = number == first + self._wanted - 1 and self.seen != 1 << number  # mpp-solar#516
        return is_last or self._has_frames(first)

    @property
    def payload(self):
        """What the frames carry, one after the other; a missing frame's place holds anything."""
        return self._from_first[BLOCKS[self._block].width] if self.first else self._staged

    @property
    def frames(self):
        """As `seen`, counted from 0."""
        return self.seen >> (self.first or 0)

    def _know_first_frame(self, first):
        self._first_frame[self._block] = first
        self.first = first if first != _SUSPECTED else None

    def _learn_first_frame(self):
        """See whether this board numbers its frames from 0 or from 1.

        A frame 0 may have been lost, and frames 1 to n of a response from 0 would then be taken for the first n. So numbering
        from 1 is accepted when nothing was damaged before frame 1, or when frame 0 was missing a second time. A frame 16 shows
        the same, though frames before it are missing: some boards never send all of them whole (gh43199278718).
        """
        first = self._first_frame[self._block]
        if first == 1 and self.seen & 1:
            first = None
        if first is None or first == _SUSPECTED:
            if self._has_frames(0):
                first = 0
            elif (self._has_frames(1) or self.seen >> LAST_FRAME) and not self.seen & 1:
                first = 1 if first == _SUSPECTED or (self._clean_start and self._has_frames(1)) else _SUSPECTED
        self._know_first_frame(first)

    def _has_frames(self, first):
        wanted = ((1 << self._wanted) - 1) << first
        return self.seen & wanted == wanted

    # trailing frames

    def expect_trailing(self, now):
        """The response is over, but this board may send more frames."""
        trailing = self._trailing[self._block]
        if trailing != 0:
            self._trailing_of = self._block
            self._trailing_seen = 0
            self._trailing_end = ticks_add(now, TRAILING_MS if trailing is None else self.pause_ms + FRAME_MS)

    def awaits_trailing(self, now):
        """Whether more frames are still waited for; when not, it is known how many there are."""
        if self._trailing_of is None:
            return False
        if ticks_diff(now, self._trailing_end) < 0:
            return True
        self._trailing[self._trailing_of] = self._trailing_seen
        self._trailing_of = None
        return False

    def stop_trailing(self):
        """Whatever still comes is not waited for."""
        self._trailing_of = None

    def take_trailing(self, block, now):
        """An unexpected frame that belongs to the block with this index; False when it is no trailing frame."""
        trailing = self._trailing_of
        if trailing is None or block != trailing:
            self._learn_from_unexpected(block)
            return False
        self._trailing_seen += 1
        if self._trailing_seen == self._trailing[trailing]:
            self._trailing_of = None
        else:
            self._trailing_end = ticks_add(now, self.pause_ms + FRAME_MS)
        return True

    def note_truncated(self):
        """The response has been taken for over before it was whole, which a late frame of it would show to be wrong."""
        self._truncated = self._block

    def forget_truncated(self):
        """Another response has come in the meantime."""
        self._truncated = None

    def _learn_from_unexpected(self, block):
        """This board may send more frames than was thought, or pause longer between them."""
        if block >= 0 and BLOCKS[block].frames > 1:
            self._trailing[block] = None
            if self._truncated == block:
                self.pause_ms = min(LONGEST_PAUSE_MS, 2 * self.pause_ms)
        self._truncated = None


class A5:
    """The protocol of one board: builds requests, recognises responses and hands their values to `pack`.

    `host_address`: the address we send from; `filler`: the reserved bytes of requests, 0x00 or 0xAA (dbus-serialbattery:
    helps weak UARTs). `pending`: index of the block whose response is waited for, -1: none.
    """

    name = "A5"
    blocks = BLOCKS
    rows = tuple([row for block in BLOCKS for row in block.rows])  # every reading that this protocol can say
    writes = tuple(WRITES)  # keys of the controls that it can write
    soc_needs_clock = True  # the state of charge is written together with the time
    knows_sign = False  # which direction of the current is charging depends on the board
    # A damaged frame makes the line a noisy one for so long: of 256 damaged frames one has a right checksum, and before that
    # one about 255 others are seen to be wrong. An hour costs little: a change is accepted one reading later.
    noisy_ms = 3600000
    has_crc = False
    first_gap_ms = 1  # quiet before a request, until the board is known: see timing.py

    def __init__(self, pack, host_address, board_number=1, filler=0):
        self.host_address = host_address
        self.pending = -1
        self.reader = FrameReader()
        self._pack = pack
        self._board_number = board_number
        self._filler = filler
        self._request = bytearray(LENGTH)
        self._multi = MultiFrame()
        self._alarm_bits = [0] * BITFIELDS
        self._damage_before = 0  # discarded bytes at the time of the request
        # all-zero responses
        self._sends_zeros: bool | None = None  # the last response that cannot be all zero was; None: there was none yet
        self._zeros = bytearray(len(BLOCKS))  # all-zero responses in a row, by block

    # requests

    def use_address(self, host_address):
        """Send from this address from now on."""
        self.host_address = host_address

    def frames_expected(self, index):
        """How many frames the response to a block must have; 0 while the number of cells or sensors is not known."""
        block = BLOCKS[index]
        if block.frames == 1:
            return 1
        return (self._pack.count(block.rows[0]) * _size(block.places[0]) + block.width - 1) // block.width

    def rest_ms(self, index):
        """How long the frames of a response after the first one take on the line, in ms."""
        return max(0, self.frames_expected(index) - 1) * FRAME_US // 1000

    def excess_ms(self, _index):
        """By how much request and first frame are longer on the line than two frames of 13 bytes, in ms."""
        return 0

    def build(self, index):
        """The request for a block, 13 bytes that are valid until the next one is built."""
        return build_frame(self._request, self.host_address, BLOCKS[index].function, None, self._filler)

    def open(self, index):
        """The request for a block has been sent: its response is waited for from now on."""
        self.pending = index
        if BLOCKS[index].frames > 1:
            self._multi.begin(index, self.frames_expected(index))
        self.reader.reset()
        self._damage_before = self.reader.discarded

    def write(self, key, raw, clock):
        """The frame that writes a control: `raw` 0 or 1 of a MOSFET, 0.1 % of the state of charge, which takes `clock`, too.

        `clock`: (year, month, day, hour, minute, second).
        """
        frame = bytearray(LENGTH)  # another one than `build` fills
        payload = bytearray(PAYLOAD_LENGTH)
        if key == "soc":
            for i in range(6):
                payload[i] = clock[i] % 100
            payload[6] = raw >> 8
            payload[7] = raw & 0xFF
        else:
            payload[0] = raw or 0
        return build_frame(frame, self.host_address, WRITES[key], payload)

    def close(self):
        """The response is not waited for any more."""
        self.pending = -1

    def forget(self):
        """The BMS is gone. A board that wakes may send zeros at first, and would end alarms that are active."""
        self._sends_zeros = True

    # responses

    def feed(self, byte, now):
        """Take one byte; what it completes: NOTHING or one of the others."""
        reader = self.reader
        event = reader.feed(byte)
        if event != FRAME:
            return event
        frame = reader.frame
        block = BLOCKS[self.pending] if self.pending >= 0 else None
        is_pending = block is not None and frame[2] == block.function
        if frame[1] >= FIRST_HOST_ADDRESS:
            return ECHO if is_pending and frame[1] == self.host_address else UNEXPECTED
        if not is_pending or frame[1] != self._board_number:
            return UNEXPECTED
        if block.frames == 1:
            return RESPONSE
        if not self._multi.take(reader.payload, not self.is_damaged(False)):
            return UNEXPECTED
        if not self._multi.is_over(reader.payload[0]):
            return FRAME
        self._multi.expect_trailing(now)
        return RESPONSE

    @property
    def frame_block(self):
        """Index of the block that an unexpected frame of our board belongs to; -1: to none, or to the open request."""
        return self.block_of(self.reader)

    def block_of(self, reader):
        """The same of the last frame in a reader, which may be that of a neighbour on the line."""
        if reader.address == self._board_number:
            for index in range(len(BLOCKS)):
                if BLOCKS[index].function == reader.function:
                    return -1 if index == self.pending else index
        return -1

    def is_sender(self, reader):
        """Whether our board has sent the last frame in a reader."""
        return reader.address == self._board_number

    def is_for_pending(self, reader):
        """Whether the last frame in a reader would answer the open request, if our board had sent it."""
        return self.pending >= 0 and reader.function == BLOCKS[self.pending].function and reader.address < FIRST_HOST_ADDRESS

    @property
    def is_whole(self):
        """Whether all frames of the response are there."""
        return BLOCKS[self.pending].frames == 1 or self._multi.whole

    def is_damaged(self, with_partial=True):
        """Whether bytes that belong to no frame came since the request."""
        return self.reader.discarded + (self.reader.partial() if with_partial else 0) != self._damage_before

    def is_truncated(self, quiet_ms):
        """Whether a response has begun, is not whole, and, as the line has been quiet for so long, is over."""
        if quiet_ms < DAMAGED_PAUSE_MS or self.pending < 0:
            return False
        damage = self.reader.discarded + self.reader.partial() - self._damage_before
        if BLOCKS[self.pending].frames == 1:
            return damage >= TRUNCATED_BYTES and (damage >= LENGTH or quiet_ms >= self._multi.pause_ms)
        return quiet_ms >= self._multi.pause_ms and (self._multi.seen != 0 or damage >= TRUNCATED_BYTES)

    @property
    def has_frames(self):
        """Whether frames of an unfinished response can be used."""
        return BLOCKS[self.pending].frames > 1 and self._multi.seen != 0 and self._multi.first is not None

    def note_truncated(self):
        """The response was taken for over before it was whole."""
        self._multi.note_truncated()

    def awaits_trailing(self, now):
        """Whether the board may still send frames of the last response."""
        return self._multi.awaits_trailing(now)

    def stop_trailing(self):
        """Trailing frames are not waited for any more."""
        self._multi.stop_trailing()

    def take_trailing(self, now):
        """Whether the last frame, an unexpected one of our board, is a trailing one."""
        return self._multi.take_trailing(self.frame_block, now)

    def note_overheard(self, block):
        """A frame of this block has come when nothing of our board was waited for."""
        self._multi.take_trailing(block, 0)

    def note_answered(self):
        """The pending request has been answered, whatever its content is worth."""
        self._multi.forget_truncated()

    # values

    def is_answer(self):
        """Whether the response that is there can be an answer at all, judged by its content."""
        block = BLOCKS[self.pending]
        if block.frames == 1:
            return self._is_answer(block, self.reader.payload)
        return self._has_content(block, self._multi.payload, self._multi.frames)

    def store(self, now, doubtful):
        """Hand the values of the response to the pack: ACCEPTED, UNCONFIRMED or EMPTY.

        A measurement that stands first vouches for what stands beside it: 0 V, -3000 A must not leave its 0 % behind, nor a
        sensor that is not there its number.
        """
        block = BLOCKS[self.pending]
        if block.frames == 1:
            payload = self.reader.payload
            frames = 1
        else:
            payload = self._multi.payload
            frames = self._multi.frames
        if not self.is_answer():
            self._pack.reject()
            return EMPTY
        self._pack.select(self.rows, self.writes)
        accepted = True
        for position in range(len(block.rows)):
            accepted = self._store_reading(block, position, payload, frames, now, doubtful) and accepted
        self._pack.finish(now)
        return ACCEPTED if accepted else UNCONFIRMED

    def _store_reading(self, block, position, payload, frames, now, doubtful):
        pack = self._pack
        row = block.rows[position]
        place = block.places[position]
        if row.kind == BITFIELD:
            return pack.accept_together(row, alarm_bits(payload, self._alarm_bits), now, doubtful)
        accepted = True
        count = pack.count(row)
        wanted = (1 << (count * _size(place) + block.width - 1) // block.width) - 1
        is_whole = block.frames == 1 or frames & wanted == wanted
        for index in range(count):
            if is_whole or _is_there(block, position, index, frames):
                accepted = pack.accept(row, index, read_value(row, place, payload, index), now, doubtful) and accepted
        return accepted

    def _is_answer(self, block, payload):
        """Whether a response of one frame can be one at all, judged by its first reading and by being all zero."""
        row = block.rows[0]
        if not _is_filled(payload, 0, PAYLOAD_LENGTH, 0):
            self._zeros[self.pending] = 0
            possible = row.kind == BITFIELD or is_plausible(row, read_value(row, block.places[0], payload))
            if possible and not _may_be_zero(row):
                self._sends_zeros = False
            # only FF is empty memory, not every alarm at once
            return possible if is_measured(row) else not _is_filled(payload, 0, PAYLOAD_LENGTH, 0xFF)
        if GROUPS[block.group].period_ms is None:
            return False
        if not _may_be_zero(row):
            self._sends_zeros = True
            return False
        if row.kind == ENUM and self._sends_zeros is None:
            return False  # idle, empty and off, before any voltage came: rather a board that sends zeros to every request
        return not self._sends_zeros and (self._is_zero(block) or self._is_repeated_zero())

    def _is_zero(self, block):
        """Whether everything known of a block is zero already, or nothing is known."""
        for row in block.rows:
            if not self._pack.is_zero(row):
                return False
        return True

    def _is_repeated_zero(self):
        """Whether an all-zero response that changes something has come often enough in a row."""
        count = min(self._zeros[self.pending] + 1, ZERO_RESPONSES)
        self._zeros[self.pending] = count
        return count == ZERO_RESPONSES

    def _has_content(self, block, payload, frames):
        """Whether a response of several frames has a text or one possible value: a confused board may number its zeros.

        Zeros beside what is not zero are readings: a dead cell has 0 V.
        """
        row = block.rows[0]
        place = block.places[0]
        if row.kind == TEXT:
            return True
        size = _size(place)
        for index in range(self._pack.count(row)):
            is_sent = _is_there(block, 0, index, frames) and not _is_filled(payload, _offset(place) + index * size, size, 0)
            if is_sent and is_plausible(row, read_value(row, place, payload, index)):
                return True
        return False


def _offset(place):
    return place & 7


def _size(place):
    return place >> 3 & 0x3F


def read_value(row, place, payload, index=0):
    """The raw value of reading number `index` (from 0) of a row in a payload; None for a text that is none."""
    bit = place >> 9 & 0xF
    if bit:
        bit += index - 1
        return payload[(place & 7) + bit // 8] >> (bit % 8) & 1
    size = place >> 3 & 0x3F  # in short: many values are read
    at = (place & 7) + index * size
    if size == 2:  # the cells
        number = payload[at] << 8 | payload[at + 1]
    elif row.kind == TEXT:
        return _ascii(payload, size)
    else:
        number = 0
        for i in range(at, at + size):
            number = number << 8 | payload[i]
    form = place >> _FORM
    if not form:
        return number
    if form == PLUS_40:
        return number - 40
    if form == THOUSANDS:
        return number * 1000
    return 30000 - number if form == DISCHARGING else abs(number - 30000)


def _may_be_zero(row):
    """Whether a response that begins with this reading may be all zero: no alarm, nothing balancing; idle, empty and off."""
    return row.kind != NUMBER and row.kind != DATE


def _is_filled(payload, begin, count, byte):
    """Whether so many bytes are all the same."""
    for i in range(begin, begin + count):
        if payload[i] != byte:
            return False
    return True


def _is_there(block, position, index, frames):
    """Whether the frame that carries this value (all frames, for a text) has arrived."""
    if block.frames == 1:
        return True
    if block.rows[position].kind == TEXT:
        wanted = (1 << block.frames) - 1
        return frames & wanted == wanted
    place = block.places[position]
    return frames >> ((_offset(place) + index * _size(place)) // block.width) & 1


def _ascii(payload, size):
    """The printable ASCII before the first zero or 0xFF byte; None when there is none or something else stands there."""
    end = 0
    while end < size and payload[end] not in (0, 0xFF):
        if not 0x20 <= payload[end] < 0x7F:
            return None
        end += 1
    return str(payload[:end], "ascii").strip() or None
