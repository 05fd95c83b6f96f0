"""Frames of the A5 protocol: recognised in a stream of bytes, and built as requests. Performs no I/O.

A frame is 13 bytes, 9600 baud 8N1 (vendor PDF V1.2, confirmed by every capture):

    A5 | address | command | 08 | 8 bytes of payload | low byte of the sum of the 12 bytes before

In a request the address is the host's (0x40), in an answer the board's (0x01). There is no "not understood":
a command the board does not know is answered by silence.
"""

START = 0xA5
LENGTH = 13
PAYLOAD_LENGTH = 8
FIRST_HOST_ADDRESS = 0x20  # boards are 1..16; from here on it is a host: our own request come back (maland16#12)


class FrameReader:
    """Finds whole, checked frames in whatever bytes arrive, in whatever pieces; never raises.

    After `feed` returned True, `address`, `command` and `payload` (8 bytes, valid until the next `feed`) describe the frame.
    """

    def __init__(self):
        self._bytes = bytearray(LENGTH)
        self.payload = memoryview(self._bytes)[4:12]
        self.frame = memoryview(self._bytes)  # all 13 bytes of the last whole frame
        self.damaged = bytearray(LENGTH)  # the last run whose sum was wrong
        self._count = 0
        self.rejected = 0  # runs that looked like a frame (start byte, length byte) but whose sum was wrong
        self.discarded = 0  # bytes that belonged to no frame

    @property
    def address(self):
        """The address of the last whole frame: board 1..16, or a host's (see FIRST_HOST_ADDRESS)."""
        return self._bytes[1]

    @property
    def command(self):
        """The command id of the last whole frame, 0..255."""
        return self._bytes[2]

    def feed(self, byte):
        """Take one byte; True when it completed a frame whose sum is right."""
        if self._count == LENGTH:
            self._count = 0
        self._bytes[self._count] = byte
        self._count += 1
        if self._count == LENGTH:
            if self._is_summed():
                return True
            self.rejected += 1
            self.damaged[:] = self._bytes
            self._restart()
        elif not self._is_frame_so_far(0):
            self._restart()
        return False

    def partial(self):
        """How many bytes of an unfinished frame are held."""
        return 0 if self._count == LENGTH else self._count

    def reset(self):
        """Forget an unfinished frame: what comes next does not belong to it."""
        self.discarded += self.partial()
        self._count = 0

    def _is_summed(self):
        total = 0
        for i in range(LENGTH - 1):
            total += self._bytes[i]
        return total & 0xFF == self._bytes[LENGTH - 1]

    def _is_frame_so_far(self, begin):
        """Whether the bytes from `begin` on may be the beginning of a frame."""
        size = self._count - begin
        return size == 0 or (self._bytes[begin] == START and (size < 4 or self._bytes[begin + 3] == PAYLOAD_LENGTH))

    def _restart(self):
        """Drop bytes until the rest may be the beginning of a frame: a start byte inside garbage costs no real frame."""
        begin = 1
        while not self._is_frame_so_far(begin):
            begin += 1
        for i in range(begin, self._count):
            self._bytes[i - begin] = self._bytes[i]
        self._count -= begin
        self.discarded += begin


class Request:
    """The one request frame, built anew in place: `bytes` is what goes on the wire."""

    def __init__(self, filler=0):
        self.bytes = bytearray(LENGTH)
        self._filler = filler
        self.build(0, 0)

    def build(self, host_address, command, payload=None):
        """Fill the frame for one command; without `payload` (8 bytes) the reserved bytes are the filler. Returns the bytes."""
        frame = self.bytes
        frame[0] = START
        frame[1] = host_address
        frame[2] = command
        frame[3] = PAYLOAD_LENGTH
        total = START + host_address + command + PAYLOAD_LENGTH
        for i in range(PAYLOAD_LENGTH):
            byte = self._filler if payload is None else payload[i]
            frame[4 + i] = byte
            total += byte
        frame[LENGTH - 1] = total & 0xFF
        return frame

    @property
    def command(self):
        """The command id of the request as last built."""
        return self.bytes[2]
