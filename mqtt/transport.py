"""A socket pool for MiniMQTT that never waits long: whole packets in, bounded sends out.

MiniMQTT reads a packet byte by byte and waits for each, spins on a closed or a full socket, drops the RETAIN flag and takes
packets of any size, and some of its waits have no end at all (that for UNSUBACK restarts its own clock). So it is given this
pool: bytes are collected here without waiting, and MiniMQTT sees them only once their packet is complete. What is too large
is thrown away while it arrives; pings are sent and answered here. All waits of one tick share one allowance.
"""

import errno
import time

from adafruit_ticks import ticks_add, ticks_diff, ticks_ms

CONNECT_TIMEOUT_S = 2  # so that one lost packet costs no connection: lwIP repeats it after 1.5 s
PATIENCE_MS = 2400  # all that sending and waiting for answers may take in one tick, connecting included
MAX_PACKET = 1024  # the longest we need is a command of a few bytes; HA's birth message has 6

MISSES = 4  # 15 s, as the session tries

_MAX_READS = 16  # of 128 bytes at a time: a flood must not hold the loop
_PUBLISH = 0x30
_PINGRESP = 0xD0
_PINGREQ = b"\xc0\x00"
# First bytes of what a broker sends to a client that subscribes with QoS 0; anything else is not MQTT: CONNACK, PUBLISH,
# the same retained, PUBACK, SUBACK, UNSUBACK, PINGRESP
_KNOWN = b"\x20\x30\x31\x40\x90\xb0\xd0"
# The first byte of other servers: a TLS alert or handshake, HTTP, SSH. The second argument of an OSError raised here is a code
# of trouble.py.
_OTHER_SERVERS = {0x15: "speaks_tls", 0x16: "speaks_tls", ord("H"): "web_server", ord("S"): "ssh_server"}


class Pool:
    """Looks like the chip's socket pool to MiniMQTT; the last socket it made is `link`."""

    def __init__(self, pool):
        self._pool = pool
        self.SOCK_STREAM = pool.SOCK_STREAM
        self.link = None
        self._found = None  # what getaddrinfo found last
        self._misses = 0

    def getaddrinfo(self, *arguments):
        """As the chip's: raises OSError when the name cannot be found.

        What was found is used until it has led nowhere a few times: the chip waits for a name server that is gone for 7 s and
        more, and nothing can make it wait less.
        """
        if self._found is None:
            self._found = self._pool.getaddrinfo(*arguments)
        return self._found

    def doubt(self):
        """The address did not lead to a broker: every MISSES times the name is looked up again."""
        self._misses += 1
        if self._misses % MISSES == 0:
            self._found = None

    def socket(self, *arguments):
        """A new socket, not connected yet."""
        self.link = Link(self._pool.socket(*arguments), self._pool)
        return self.link

    def close(self):
        """Close the last socket, without a word to the other side."""
        if self.link is not None:
            self.link.close()


class Encrypted:
    """An SSL context for MiniMQTT that wraps the socket inside a Link, where the bounded waiting stays outside."""

    def __init__(self, context):
        self._context = context

    def wrap_socket(self, link, server_hostname):
        """The same Link, encrypted; the handshake comes with `connect`, certificate and host name are checked in it."""
        link.encrypt(self._context, server_hostname)
        return link


class Link:
    """One connection. MiniMQTT uses `settimeout connect send recv_into close`, the session the others."""

    def __init__(self, socket, pool):
        self._socket = socket
        self._pool = pool
        self._buffer = bytearray(MAX_PACKET)
        self._chunk = bytearray(128)
        self._filled = 0
        self._packet = 0  # length of the whole packet at the front of the buffer, 0 while there is none
        self._given = 0  # bytes of it that MiniMQTT has read
        self._skip = 0  # bytes of an oversized packet still to be thrown away
        self._end = None  # the OSError that ended the connection; what came before it is still handed over
        self.refused = 0  # oversized packets
        self._large = None  # (topic, beginning of the payload, retained) of the last oversized message
        self.retained = False  # RETAIN flag of the packet that MiniMQTT reads or read last
        self.heard = ticks_ms()  # when the last packet was complete: bytes alone are no life
        self.pongs = 0  # answers to our pings
        self.allow()

    def allow(self):
        """A new tick: from now on PATIENCE_MS may be spent waiting."""
        self._deadline = ticks_add(ticks_ms(), PATIENCE_MS)

    def settimeout(self, seconds):
        """MiniMQTT's wish is not followed: waiting is bounded here."""

    def encrypt(self, context, host):
        """Speak TLS from `connect` on."""
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def connect(self, address):
        """Connect within CONNECT_TIMEOUT_S, with TLS within twice that. Raises OSError."""
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
        self._end = OSError(errno.ENOTCONN, "closed")

    def send(self, data):
        """Send all of `data`. Raises OSError: ETIMEDOUT when the other side takes nothing until the patience ends."""
        sent = 0
        while sent < len(data):
            if self._socket is None:
                raise self._end
            try:
                sent += self._socket.send(data[sent:] if sent else data)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                if self._is_late():
                    raise OSError(errno.ETIMEDOUT, "send_blocked") from error
                time.sleep(0.005)
        return sent

    def recv_into(self, buffer, size):
        """Give bytes of a packet that has arrived whole. Raises OSError: EAGAIN when there is none, else the link is dead."""
        if not size:  # the payload of an empty message, as when somebody clears what is retained
            return 0
        if not self._given and self._is_late():
            # not ETIMEDOUT, on which MiniMQTT goes on waiting, with some answers for ever
            raise OSError(errno.EHOSTUNREACH, "no_answer")
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
        for _ in range(_MAX_READS):
            if not self._packet and not self._next_packet():
                return False
            if self._buffer[0] & 0xF0 == _PUBLISH:
                return True
            self._drop_packet()
        return False

    def take_large(self):
        """(topic, beginning of the payload, retained) of the last oversized message, once; None: there was none."""
        large = self._large
        self._large = None
        return large

    def ping(self):
        """Ask for a sign of life; the answer moves `heard` and `pongs`. Raises OSError."""
        self.send(_PINGREQ)

    def _is_late(self):
        return ticks_diff(ticks_ms(), self._deadline) > 0

    def _next_packet(self):
        """Read what has arrived; True when a whole packet other than a PINGRESP is at the front."""
        if not self._find_packet():
            self._read()
        while self._find_packet():
            if self._buffer[0] & 0xF0 != _PINGRESP:
                return True
            self.pongs += 1
            self._drop_packet()
        if self._end is not None:
            raise self._end
        return False

    def _read(self):
        for _ in range(_MAX_READS):
            if self._filled == MAX_PACKET or self._end is not None:
                return
            try:
                count = self._socket.recv_into(self._chunk, min(len(self._chunk), MAX_PACKET - self._filled))
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                    self._end = error
                return
            if not count:
                self._end = OSError(errno.ECONNRESET, "closed")
            self._keep(count)

    def _keep(self, count):
        skipped = min(self._skip, count)
        if skipped:
            self._skip -= skipped
            if not self._skip:
                self.heard = ticks_ms()
        for i in range(skipped, count):
            self._buffer[self._filled] = self._chunk[i]
            self._filled += 1
        self._find_packet()  # an oversized packet must make room before more is read

    def _find_packet(self):
        """Set `_packet` from the remaining length at the front; True when the packet is whole."""
        if self._filled and self._buffer[0] not in _KNOWN:
            raise OSError(errno.EBADF, _OTHER_SERVERS.get(self._buffer[0], "not_mqtt"))
        length = 0
        for i in range(1, self._filled):
            if i == 5:
                raise OSError(errno.EBADF, "not_mqtt")  # a length of more than four bytes: this is not MQTT
            length |= (self._buffer[i] & 0x7F) << (7 * (i - 1))
            if not self._buffer[i] & 0x80:
                return self._measure(i + 1 + length)
        return False

    def _measure(self, total):
        if total > MAX_PACKET and self._filled == MAX_PACKET:
            self._refuse(total)
        self._packet = total if self._filled >= total else 0
        if self._packet:
            self.heard = ticks_ms()
        return self._packet > 0

    def _refuse(self, total):
        """Throw an oversized packet away; of a message the beginning is kept, as much as the buffer holds."""
        self.refused += 1
        at = 2
        while self._buffer[at - 1] & 0x80:
            at += 1
        payload = at + 2 + (self._buffer[at] << 8 | self._buffer[at + 1])
        if self._buffer[0] & 0xF0 == _PUBLISH and payload < MAX_PACKET:
            topic = bytes(self._buffer[at + 2 : payload])
            self._large = (topic, bytes(self._buffer[payload:]), bool(self._buffer[0] & 1))
        self._skip = total - self._filled
        self._filled = 0

    def _drop_packet(self):
        rest = self._filled - self._packet
        self._buffer[:rest] = self._buffer[self._packet : self._filled]
        self._filled = rest
        self._given = 0
        self._packet = 0
