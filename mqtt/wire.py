"""A socket pool for MiniMQTT that never waits long: whole packets in, bounded sends out.

MiniMQTT reads a packet byte by byte and waits for each, spins on a closed or a full socket, drops the RETAIN flag and takes
packets of any size. So it is given this pool: bytes are collected here without waiting, and MiniMQTT sees them only once
their packet is complete. What is too large is thrown away while it arrives; pings are sent and answered here.
"""

import errno
import time

from adafruit_ticks import ticks_add, ticks_diff, ticks_ms

CONNECT_TIMEOUT_S = 2
SEND_TIMEOUT_MS = 2000
MAX_PACKET = 1024  # the longest we need is a command of a few bytes; HA's birth message has 6

_MAX_READS = 16  # of 128 bytes at a time: a flood must not hold the loop
_PUBLISH = 0x30
_PINGRESP = 0xD0
_PINGREQ = b"\xc0\x00"


class Pool:
    """Looks like the chip's socket pool to MiniMQTT; the last socket it made is `link`."""

    def __init__(self, pool):
        self._pool = pool
        self.SOCK_STREAM = pool.SOCK_STREAM
        self.link = None

    def getaddrinfo(self, *arguments):
        """As the chip's: raises OSError when the name cannot be found."""
        return self._pool.getaddrinfo(*arguments)

    def socket(self, *arguments):
        """A new socket, not connected yet."""
        self.link = Link(self._pool.socket(*arguments), self._pool)
        return self.link


class Encrypted:
    """An SSL context for MiniMQTT that wraps the socket inside a Link, where the bounded waiting stays outside."""

    def __init__(self, context):
        self._context = context

    def wrap_socket(self, link, server_hostname):
        """The same Link, encrypted; the handshake comes with `connect`, certificate and host name are checked in it."""
        link.encrypt(self._context, server_hostname)
        return link


class Link:
    """One connection. MiniMQTT uses `settimeout connect send recv_into close`, the session `has_message ping heard`."""

    def __init__(self, socket, pool):
        self._socket = socket
        self._pool = pool
        self._buffer = bytearray(MAX_PACKET)
        self._chunk = bytearray(128)
        self._filled = 0
        self._packet = 0  # length of the whole packet at the front of the buffer, 0 while there is none
        self._given = 0  # bytes of it that MiniMQTT has read
        self._skip = 0  # bytes of an oversized packet still to be thrown away
        self.refused = 0  # oversized packets
        self.large = (
            None  # (topic, beginning of the payload, retained) of the last oversized message; whoever reads it clears it
        )
        self.retained = False  # RETAIN flag of the packet that MiniMQTT reads or read last
        self.heard = ticks_ms()  # when the last byte arrived

    def settimeout(self, seconds):
        """MiniMQTT's wish is not followed: waiting is bounded here."""

    def encrypt(self, context, host):
        """Speak TLS from `connect` on."""
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def connect(self, address):
        """Connect within CONNECT_TIMEOUT_S. Raises OSError."""
        self._socket.settimeout(CONNECT_TIMEOUT_S)
        self._socket.connect(address)
        if hasattr(self._pool, "TCP_NODELAY"):  # else every publish waits 40 ms for the broker's delayed ACK
            self._socket.setsockopt(self._pool.IPPROTO_TCP, self._pool.TCP_NODELAY, 1)
        self._socket.settimeout(0)
        self.heard = ticks_ms()

    def close(self):
        """Close the connection; closing twice does no harm."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, data):
        """Send all of `data` within SEND_TIMEOUT_MS. Raises OSError (ETIMEDOUT when the other side takes nothing)."""
        deadline = ticks_add(ticks_ms(), SEND_TIMEOUT_MS)
        sent = 0
        while sent < len(data):
            try:
                sent += self._socket.send(data[sent:] if sent else data)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                if ticks_diff(ticks_ms(), deadline) > 0:
                    raise OSError(errno.ETIMEDOUT, "the broker takes nothing") from error
                time.sleep(0.005)
        return sent

    def recv_into(self, buffer, size):
        """Give bytes of a packet that has arrived whole. Raises OSError: EAGAIN when there is none, else the link is dead."""
        if not self._packet and not self._next_packet():
            time.sleep(0.001)
            raise OSError(errno.EAGAIN, "nothing there")  # with one argument CPython sets no errno
        if not self._given:
            self.retained = bool(self._buffer[0] & 1)
        count = min(size, self._packet - self._given)
        buffer[:count] = memoryview(self._buffer)[self._given : self._given + count]
        self._given += count
        if self._given == self._packet:
            self._drop_packet()
        return count

    def has_message(self):
        """Whether a whole PUBLISH is there to be read; other packets that nobody waits for are dropped. Raises OSError."""
        while self._packet or self._next_packet():
            if self._buffer[0] & 0xF0 == _PUBLISH:
                return True
            self._drop_packet()
        return False

    def ping(self):
        """Ask for a sign of life; the answer only moves `heard`. Raises OSError."""
        self.send(_PINGREQ)

    def _next_packet(self):
        """Read what has arrived; True when a whole packet other than a PINGRESP is at the front."""
        if not self._find_packet():
            self._read()
        while self._find_packet():
            if self._buffer[0] & 0xF0 != _PINGRESP:
                return True
            self._drop_packet()
        return False

    def _read(self):
        for _ in range(_MAX_READS):
            if self._filled == MAX_PACKET:
                return
            try:
                count = self._socket.recv_into(self._chunk, min(len(self._chunk), MAX_PACKET - self._filled))
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ETIMEDOUT):
                    return
                raise
            if not count:
                raise OSError(errno.ECONNRESET, "closed")  # the broker closed the connection
            self.heard = ticks_ms()
            self._keep(count)

    def _keep(self, count):
        skipped = min(self._skip, count)
        self._skip -= skipped
        for i in range(skipped, count):
            self._buffer[self._filled] = self._chunk[i]
            self._filled += 1
        self._find_packet()  # an oversized packet must make room before more is read

    def _find_packet(self):
        """Set `_packet` from the remaining length at the front; True when the packet is whole."""
        length = 0
        for i in range(1, self._filled):
            if i == 5:
                raise OSError(errno.EBADF, "not MQTT")  # a length of more than four bytes: this is not MQTT
            length |= (self._buffer[i] & 0x7F) << (7 * (i - 1))
            if not self._buffer[i] & 0x80:
                return self._measure(i + 1 + length)
        return False

    def _measure(self, total):
        if total > MAX_PACKET and self._filled == MAX_PACKET:
            self._refuse(total)
        self._packet = total if self._filled >= total else 0
        return self._packet > 0

    def _refuse(self, total):
        """Throw an oversized packet away; of a message the beginning is kept, as much as the buffer holds."""
        self.refused += 1
        at = 2
        while self._buffer[at - 1] & 0x80:
            at += 1
        begin = at + 2 + (self._buffer[at] << 8 | self._buffer[at + 1])
        payload = begin + (2 if self._buffer[0] & 0x06 else 0)  # QoS 1 has a packet id
        if self._buffer[0] & 0xF0 == _PUBLISH and payload < MAX_PACKET:
            topic = bytes(self._buffer[at + 2 : begin])
            self.large = (topic, bytes(self._buffer[payload:]), bool(self._buffer[0] & 1))
        self._skip = total - self._filled
        self._filled = 0

    def _drop_packet(self):
        rest = self._filled - self._packet
        self._buffer[:rest] = self._buffer[self._packet : self._filled]
        self._filled = rest
        self._given = 0
        self._packet = 0
