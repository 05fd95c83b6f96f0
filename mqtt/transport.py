# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A socket pool for MiniMQTT with bounded waiting: it delivers complete packets only and limits every send.

MiniMQTT reads a packet byte by byte and waits for each, spins on a closed or a full socket, drops the RETAIN flag, accepts
packets of any size, and some of its waits never end (the one for UNSUBACK restarts its own clock). So bytes are collected here
without waiting, and MiniMQTT reads a packet once it is complete. Oversized packets are discarded while they arrive; pings are
sent and their responses read here. All waits of one tick share one limit.

A message is sent here, too, in pieces: MiniMQTT would copy all of it and wait until the last byte has gone, and for the PUBACK.
"""

import errno
import io
import time

from adafruit_ticks import ticks_add, ticks_diff, ticks_ms

CONNECT_TIMEOUT_S = 2  # survives one lost packet: lwIP retransmits after 1.5 s
WAIT_LIMIT_MS = 2400  # for all sending and waiting in one tick, connecting included
MESSAGE_LIMIT_MS = 10000  # for one message in pieces; pings wait meanwhile
MAX_PACKET = 1024  # received; a command has a few bytes, Home Assistant's birth message 6

LOOKUP_AFTER_FAILURES = 4  # 15 s with the client's back-off

_PIECE = 1024  # bytes of a message sent in one tick
_MAX_READS = 16  # of 128 bytes at a time: a flood must not hold the loop
_PUBLISH = 0x30
_PUBACK = 0x40
_PINGRESP = 0xD0
_PINGREQ = b"\xc0\x00"
# First bytes of what a broker sends to a client that subscribes with QoS 0: CONNACK, PUBLISH, the same retained, PUBACK,
# SUBACK, UNSUBACK, PINGRESP. Anything else is not MQTT.
_KNOWN = b"\x20\x30\x31\x40\x90\xb0\xd0"
# The first byte of other servers: a TLS alert or handshake, HTTP, SSH. The second argument of an OSError raised here is a code
# of trouble.py.
_OTHER_SERVERS = {0x15: "speaks_tls", 0x16: "speaks_tls", ord("H"): "web_server", ord("S"): "ssh_server"}


class PacketSocketPool:
    """Wraps the chip's socket pool for MiniMQTT. `last` is the PacketSocket made last; None: none yet.

    `on_large(topic, payload, retained)`: called while an oversized message is read, with topic and the beginning of the payload
    as bytes; it must only store them.
    """

    def __init__(self, pool, on_large=None):
        self._pool = pool
        self._on_large = on_large
        self.SOCK_STREAM = pool.SOCK_STREAM
        self.last = None
        self._addresses: dict = {}  # the results of getaddrinfo, one of each broker
        self._failures = 0

    def getaddrinfo(self, *arguments):
        """As the chip's; raises OSError when the name is not found.

        The result is reused until connecting has failed a few times: without a name server the chip waits 7 s and more, which
        cannot be shortened.
        """
        name = arguments[:2]
        if name not in self._addresses:
            self._addresses[name] = self._pool.getaddrinfo(*arguments)
        return self._addresses[name]

    def connect_failed(self):
        """No broker at that address: after LOOKUP_AFTER_FAILURES failures the name is looked up again."""
        self._failures += 1
        if self._failures % LOOKUP_AFTER_FAILURES == 0:
            self._addresses.clear()

    def socket(self, *arguments):
        """A new socket, not connected yet."""
        self.last = PacketSocket(self._pool.socket(*arguments), self._pool, self._on_large)
        return self.last

    def close(self):
        """Close the last socket without a DISCONNECT."""
        if self.last is not None:
            self.last.close()


class TlsContext:
    """An SSL context for MiniMQTT that encrypts inside the PacketSocket, so that its waiting stays bounded."""

    def __init__(self, context):
        self._context = context

    def wrap_socket(self, socket, server_hostname):
        """The same PacketSocket, encrypted; `connect` does the handshake and checks certificate and host name."""
        socket.encrypt(self._context, server_hostname)
        return socket


class PacketSocket:
    """One connection. MiniMQTT uses `settimeout connect send recv_into close`, the MqttClient the others.

    `received_at`: tick at which the last packet was complete; `oversized`: packets discarded; `retained`: RETAIN flag of the
    packet that MiniMQTT reads or read last; `acknowledged`: packet identifier of the last PUBACK.
    """

    def __init__(self, socket, pool, on_large=None):
        self._socket = socket
        self._pool = pool
        self._on_large = on_large
        self._buffer = bytearray(MAX_PACKET)
        self._chunk = bytearray(128)
        self._length = 0
        self._packet_length = 0  # length of the complete packet at the front of the buffer; 0: there is none
        self._handed_over = 0  # bytes of it that MiniMQTT has read already
        self._to_discard = 0  # bytes of an oversized packet still to come
        self._end = None  # the OSError that ended the connection; packets before it are still read
        self.oversized = 0
        self.retained = False
        self.received_at = ticks_ms()  # bytes alone do not count
        self.ping_responses = 0  # PINGRESPs received
        self.acknowledged = 0
        self._poll = None  # tells whether there is something to read; None: there is no such thing for this socket
        self._piece = memoryview(bytearray(_PIECE))  # what is sent next of the message begun
        self._begun = self._end_of_piece = 0  # from where to where in `_piece`
        self._payload = None  # where the rest of the message comes from
        self._rest = 0  # bytes of it that are not in `_piece` yet
        self._packet_id = 0
        self._send_limit = 0  # tick at which the broker must have taken something
        self._message_limit = 0  # tick at which all must have been sent
        self.start_tick()

    def start_tick(self):
        """Start a new tick: from now on WAIT_LIMIT_MS may be spent waiting."""
        self._deadline = ticks_add(ticks_ms(), WAIT_LIMIT_MS)

    def settimeout(self, seconds):
        """Ignored: waiting is bounded here."""

    def encrypt(self, context, host):
        """Use TLS from `connect` on."""
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def connect(self, address):
        """Connect within CONNECT_TIMEOUT_S, with TLS within twice that. Raises OSError."""
        self._socket.settimeout(CONNECT_TIMEOUT_S)
        self._socket.connect(address)
        if hasattr(self._pool, "TCP_NODELAY"):  # else every publish waits 40 ms for the delayed ACK
            self._socket.setsockopt(self._pool.IPPROTO_TCP, self._pool.TCP_NODELAY, 1)
        self._socket.settimeout(0)
        self.received_at = ticks_ms()
        self._poll = _poll_of(self._socket)

    def close(self):
        """Close the connection; closing again has no effect."""
        self._poll = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._end = OSError(errno.ENOTCONN, "closed")

    def send(self, data):
        """Send all of `data`; returns its length. Raises OSError, ETIMEDOUT when the broker does not read within the limit."""
        sent = 0
        while sent < len(data):
            if self._socket is None:
                raise self._end
            try:
                sent += self._socket.send(data[sent:] if sent else data)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                if self._is_over():
                    raise OSError(errno.ETIMEDOUT, "send_blocked") from error
                time.sleep(0.005)
        return sent

    def begin_message(self, topic, payload, retain, qos):
        """Begin a PUBLISH, to be sent by `send_piece`. Returns its packet identifier, 0 for QoS 0.

        `payload`: str, bytes, or a Writer, which must not change until all is sent.
        """
        topic = topic.encode()
        if isinstance(payload, str):
            payload = payload.encode()
        size = self._rest = len(payload)
        if hasattr(payload, "readinto"):
            payload.rewind()
            self._payload = payload
        else:
            self._payload = io.BytesIO(payload)
        length = 2 + len(topic) + (2 if qos else 0) + size
        header = bytearray((_PUBLISH | (1 if retain else 0) | qos << 1,))
        while length > 127:
            header.append(length & 127 | 128)
            length >>= 7
        header.append(length)
        header.append(len(topic) >> 8)
        header.append(len(topic) & 255)
        header.extend(topic)
        if qos:
            self._packet_id = self._packet_id + 1 if self._packet_id < 0xFFFF else 1
            header.append(self._packet_id >> 8)
            header.append(self._packet_id & 255)
        self._piece[: len(header)] = header
        self._begun = 0
        self._end_of_piece = len(header)
        self._fill()
        self._send_limit = ticks_add(ticks_ms(), WAIT_LIMIT_MS)
        self._message_limit = ticks_add(ticks_ms(), MESSAGE_LIMIT_MS)
        return self._packet_id if qos else 0

    def _fill(self):
        count = min(self._rest, _PIECE - self._end_of_piece)
        if count:
            self._payload.readinto(self._piece[self._end_of_piece : self._end_of_piece + count])
            self._end_of_piece += count
            self._rest -= count

    def send_piece(self):
        """Send some of the message begun; True when all of it is sent, False when the rest must wait for a later tick.

        Raises OSError, ETIMEDOUT when the broker does not read within the limit.
        """
        if self._socket is None:
            raise self._end
        try:
            sent = self._socket.send(self._piece[self._begun : self._end_of_piece])
            self._begun += sent
            if sent:  # the broker reads: the loop may have been elsewhere for long
                self._send_limit = ticks_add(ticks_ms(), WAIT_LIMIT_MS)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
        if self._begun == self._end_of_piece:
            if not self._rest:
                self._payload = None
                return True
            self._begun = self._end_of_piece = 0
            self._fill()
        if ticks_diff(ticks_ms(), self._send_limit) > 0 or ticks_diff(ticks_ms(), self._message_limit) > 0:
            raise OSError(errno.ETIMEDOUT, "send_blocked")
        return False

    def finish_message(self):
        """Send all of the message begun, waiting where it must. Raises OSError as `send_piece`."""
        while not self.send_piece():
            time.sleep(0.005)

    def recv_into(self, buffer, size):
        """Read from a complete packet; returns the byte count. Raises OSError: EAGAIN without one, else it is dead."""
        if not size:  # the payload of an empty message, which clears a retained one
            return 0
        if not self._handed_over and self._is_over():
            # at ETIMEDOUT MiniMQTT would wait on, for some packets for ever
            raise OSError(errno.EHOSTUNREACH, "no_answer")
        if not self._packet_length and not self._next_packet():
            time.sleep(0.001)
            raise OSError(errno.EAGAIN, "nothing there")  # with one argument CPython sets no errno
        if not self._handed_over:
            self.retained = bool(self._buffer[0] & 1)
        count = min(size, self._packet_length - self._handed_over)
        buffer[:count] = memoryview(self._buffer)[self._handed_over : self._handed_over + count]
        self._handed_over += count
        if self._handed_over == self._packet_length:
            self._drop_packet()
        return count

    def is_silent(self):
        """Whether nothing has arrived, without an exception's heap; False where only reading can tell."""
        return self._poll is not None and not self._length and self._end is None and not _is_ready(self._poll)

    @property
    def can_tell(self):
        """Whether `is_silent` costs next to nothing."""
        return self._poll is not None

    def has_message(self):
        """Whether a complete PUBLISH can be read; packets that are not waited for are dropped. Raises OSError."""
        for _ in range(_MAX_READS):
            if not self._packet_length and not self._next_packet():
                return False
            if self._buffer[0] & 0xF0 == _PUBLISH:
                return True
            self._drop_packet()
        return False

    def ping(self):
        """Send a PINGREQ; the response changes `received_at` and `ping_responses`. Raises OSError."""
        self.send(_PINGREQ)

    def _is_over(self):
        return ticks_diff(ticks_ms(), self._deadline) > 0

    def _next_packet(self):
        """Read what has arrived; True when a complete packet other than PINGRESP and PUBACK is at the front."""
        if not self._find_packet():
            self._read()
        while self._find_packet():
            kind = self._buffer[0] & 0xF0
            if kind == _PINGRESP:
                self.ping_responses += 1
            elif kind == _PUBACK and self._packet_length == 4:
                self.acknowledged = self._buffer[2] << 8 | self._buffer[3]
            else:
                return True
            self._drop_packet()
        if self._end is not None:
            raise self._end
        return False

    def _read(self):
        for _ in range(_MAX_READS):
            if self._length == MAX_PACKET or self._end is not None:
                return
            try:
                count = self._socket.recv_into(self._chunk, min(len(self._chunk), MAX_PACKET - self._length))
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                    self._end = error
                return
            if not count:
                self._end = OSError(errno.ECONNRESET, "closed")
            self._keep(count)

    def _keep(self, count):
        skipped = min(self._to_discard, count)
        if skipped:
            self._to_discard -= skipped
            if not self._to_discard:
                self.received_at = ticks_ms()
        if count > skipped:
            end = self._length + count - skipped
            self._buffer[self._length : end] = memoryview(self._chunk)[skipped:count]
            self._length = end
        self._find_packet()  # an oversized packet must make room before more is read

    def _find_packet(self):
        """Set `_packet_length` from the remaining length at the front; True when the packet is complete."""
        if self._length and self._buffer[0] not in _KNOWN:
            raise OSError(errno.EBADF, _OTHER_SERVERS.get(self._buffer[0], "not_mqtt"))
        length = 0
        for i in range(1, self._length):
            if i == 5:
                raise OSError(errno.EBADF, "not_mqtt")  # a length of more than four bytes: this is not MQTT
            length |= (self._buffer[i] & 0x7F) << (7 * (i - 1))
            if not self._buffer[i] & 0x80:
                return self._measure(i + 1 + length)
        return False

    def _measure(self, total):
        if total > MAX_PACKET and self._length == MAX_PACKET:
            self._discard(total)
        self._packet_length = total if self._length >= total else 0
        if self._packet_length:
            self.received_at = ticks_ms()
        return self._packet_length > 0

    def _discard(self, total):
        """Discard an oversized packet; of a message the beginning is told, as much as the buffer holds."""
        self.oversized += 1
        at = 2
        while self._buffer[at - 1] & 0x80:
            at += 1
        payload = at + 2 + (self._buffer[at] << 8 | self._buffer[at + 1])
        if self._on_large is not None and self._buffer[0] & 0xF0 == _PUBLISH and payload < MAX_PACKET:
            self._on_large(bytes(self._buffer[at + 2 : payload]), bytes(self._buffer[payload:]), bool(self._buffer[0] & 1))
        self._to_discard = total - self._length
        self._length = 0

    def _drop_packet(self):
        rest = self._length - self._packet_length
        self._buffer[:rest] = self._buffer[self._packet_length : self._length]
        self._length = rest
        self._handed_over = 0
        self._packet_length = 0


def _poll_of(socket):
    """A poll object for this socket; None where there is none.

    CircuitPython's sockets, with and without TLS, tell it what lwIP and mbedtls hold (socket_ioctl in
    shared-bindings/socketpool/Socket.c, poll_common in shared-module/ssl/SSLSocket.c). A board without `ipoll` must read.
    """
    try:
        import select  # here, because a firmware built without it must start, too

        poll = select.poll()
        poll.register(socket, select.POLLIN)
        _is_ready(poll)
    except (ImportError, OSError, TypeError, ValueError, AttributeError):
        return None
    return poll


def _is_ready(poll):
    """Whether the socket of a poll object can be read, without heap."""
    for _ in poll.ipoll(0):
        return True
    return False
