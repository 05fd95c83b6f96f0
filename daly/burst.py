"""The frames of one answer put together: cells, temperatures and texts come in bursts of up to 16 numbered frames.

What is learned of a board's bursts is kept: whether it counts its frames from 0 or 1, how many it sends behind those that are
wanted, and how long it pauses between them. Performs no I/O, has no clock, allocates nothing.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.readings import REGISTERS

from .frames import PAYLOAD_LENGTH

# Frames of one answer follow each other without a pause in all captures; USB adapters deliver them in lumps of 16 ms.
# So an answer that has begun is over when the line is quiet for so long; more for a board that was seen to pause longer.
PAUSE_MS = 25
LONGEST_PAUSE_MS = 200
FRAME_MS = 14  # a frame lasts 13.5 ms
# So long more frames are listened for behind an answer, as long as it is not known that this board sends none.
TAIL_MS = 16
LAST_FRAME = 16  # frames count from 1 (every capture) or 0 (vendor PDF), at most 16 of them
_SUSPECTED = -1  # frames were seen to count from 1, but something before them was damaged


class Burst:
    """The pending answer. `seen`: bit n is set when frame number n of it is there. `pause_ms`: this board's longest pause."""

    def __init__(self):
        self.seen = 0
        self.pause_ms = PAUSE_MS
        self._turn = 0  # index of the register whose answer this is
        self._wanted = 1  # frames it must have
        self._clean_start = False
        self._staged = memoryview(bytearray((LAST_FRAME + 1) * 7))
        self._from_first = {register.width: self._staged[register.width :] for register in REGISTERS}
        self._first_frame: list = [None] * len(REGISTERS)  # 0 or 1, as this board counts
        self._tail: list = [None] * len(REGISTERS)  # frames this board sends behind those we want; None: not known
        self._tail_of = None  # index of the register whose answer may have more frames coming
        self._tail_seen = 0
        self._tail_end = 0
        self._cut_short = None  # index of the register whose answer has just been taken for over before it was whole

    def begin(self, turn, wanted):
        """The register with this index has been asked; `wanted`: how many frames its answer must have."""
        self._turn = turn
        self._wanted = wanted
        self.seen = 0

    def take_single(self, payload):
        """The one frame of an answer without frame numbers."""
        self._stage(0, payload, 0, PAYLOAD_LENGTH)
        self.seen = 1

    def take(self, payload, clean):
        """One numbered frame; False when it is none. `clean`: nothing was damaged since the request."""
        number = payload[0]
        if number > LAST_FRAME or _is_blank(payload):
            return False
        width = REGISTERS[self._turn].width
        if not self.seen:
            self._clean_start = number == 1 and clean
        self._stage(number * width, payload, 1, width)
        # a burst counts up: what has this number or a higher one is left over from an older burst (mpp-solar#516)
        self.seen = self.seen & ((1 << number) - 1) | 1 << number
        self._learn_first_frame()
        return True

    @property
    def first(self):
        """The number of the first frame as this board counts, 0 or 1; None while not sure."""
        first = self._first_frame[self._turn]
        return first if first != _SUSPECTED else None

    @property
    def whole(self):
        """Whether all frames that are wanted are there."""
        return self.first is not None and self._has_frames(self.first)

    def is_over(self, number):
        """Whether no more frames come that are wanted behind this one; a last frame alone is left over from an older answer."""
        if self.first is None:
            return False
        is_last = number == self.first + self._wanted - 1 and self.seen != 1 << number  # mpp-solar#516
        return is_last or self._has_frames(self.first)

    @property
    def payload(self):
        """What the frames carry, one behind the other; a missing frame's place holds anything."""
        return self._from_first[REGISTERS[self._turn].width] if self.first else self._staged

    @property
    def frames(self):
        """As `seen`, counted from 0."""
        return self.seen >> (self.first or 0)

    def _stage(self, at, payload, begin, size):
        """Copy a piece of the payload; byte by byte, because slices are objects on the heap."""
        for i in range(size):
            self._staged[at + i] = payload[begin + i]

    def _learn_first_frame(self):
        """See whether this board numbers its frames from 0 or from 1.

        A frame 0 may have been lost, and frames 1 to n of a burst from 0 would then be taken for the first n. So numbering
        from 1 is believed when nothing was damaged before frame 1, or when frame 0 was missing a second time. A frame 16 says
        the same, though frames before it are missing: some boards never send all of them whole (gh43199278718).
        """
        first = self._first_frame[self._turn]
        if first == 1 and self.seen & 1:
            first = None
        if first is None or first == _SUSPECTED:
            if self._has_frames(0):
                first = 0
            elif (self._has_frames(1) or self.seen >> LAST_FRAME) and not self.seen & 1:
                first = 1 if first == _SUSPECTED or (self._clean_start and self._has_frames(1)) else _SUSPECTED
        self._first_frame[self._turn] = first

    def _has_frames(self, first):
        wanted = ((1 << self._wanted) - 1) << first
        return self.seen & wanted == wanted

    # frames behind those that are wanted

    def listen_on(self, now):
        """The answer is over, but this board may send more frames."""
        tail = self._tail[self._turn]
        if tail != 0:
            self._tail_of = self._turn
            self._tail_seen = 0
            self._tail_end = ticks_add(now, TAIL_MS if tail is None else self.pause_ms + FRAME_MS)

    def is_listening(self, now):
        """Whether more frames are still waited for; when not, it is known how many there are."""
        if self._tail_of is None:
            return False
        if ticks_diff(now, self._tail_end) < 0:
            return True
        self._tail[self._tail_of] = self._tail_seen
        self._tail_of = None
        return False

    def stop_listening(self):
        """Whatever still comes is not waited for."""
        self._tail_of = None

    def take_tail(self, command, now):
        """A frame that nobody asked for; False when it is not one too many of the answer just read."""
        tail = self._tail_of
        if tail is None or command != REGISTERS[tail].command:
            self._learn_from_stranger(command)
            return False
        self._tail_seen += 1
        if self._tail_seen == self._tail[tail]:
            self._tail_of = None
        else:
            self._tail_end = ticks_add(now, self.pause_ms + FRAME_MS)
        return True

    def cut_short(self):
        """The answer has been taken for over before it was whole, which a late frame of it would show to be wrong."""
        self._cut_short = self._turn

    def forget_cut(self):
        """Another answer has come in the meantime."""
        self._cut_short = None

    def _learn_from_stranger(self, command):
        """This board may send more frames than was thought, or pause longer between them."""
        for index in range(len(REGISTERS)):
            if REGISTERS[index].frames > 1 and REGISTERS[index].command == command:
                self._tail[index] = None
                if self._cut_short == index:
                    self.pause_ms = min(LONGEST_PAUSE_MS, 2 * self.pause_ms)
        self._cut_short = None


def _is_blank(payload):
    """Whether a frame is all zero: a confused board's answer to everything, not a frame number 0."""
    for i in range(PAYLOAD_LENGTH):
        if payload[i]:
            return False
    return True
