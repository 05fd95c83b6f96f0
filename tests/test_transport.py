# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The link under MiniMQTT: whole packets in whatever pieces, no wait without an end, no memory for what is too large."""

import errno
import sys
import tracemalloc
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_packets import packet

from battery.json import Writer
from mqtt import transport
from mqtt.transport import MAX_PACKET, PacketSocket, PacketSocketPool


class Socket:
    """A socket of the board's kind: it never waits. `arriving` holds pieces of bytes and errors; `room` is what send takes."""

    def __init__(self, *arriving):
        self.arriving = list(arriving)
        self.room = []  # of each send; at the end of the list everything is taken
        self.sent = b""
        self.reads = 0
        self.closed = False

    def recv_into(self, buffer, size):
        self.reads += 1
        if not self.arriving:
            raise OSError(errno.EAGAIN, "nothing")
        piece = self.arriving.pop(0)
        if isinstance(piece, OSError):
            raise piece
        buffer[: min(size, len(piece))] = piece[:size]
        if piece[size:]:
            self.arriving.insert(0, piece[size:])
        return min(size, len(piece))

    def send(self, data):
        room = self.room.pop(0) if self.room else len(data)
        if isinstance(room, OSError):
            raise room
        self.sent += bytes(data[:room])
        return min(room, len(data))

    def close(self):
        self.closed = True


class Clock:
    """Time that passes only by sleeping, and a little with every look at it."""

    def __init__(self):
        self.ms = 2**29 - 500  # it wraps on the way

    def ticks_ms(self):
        self.ms += 1
        return self.ms % 2**29

    def sleep(self, seconds):
        self.ms += int(1000 * seconds)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(transport, "ticks_ms", clock.ticks_ms)
    monkeypatch.setattr(transport, "time", SimpleNamespace(sleep=clock.sleep))
    return clock


def link_to(*arriving):
    socket = Socket(*arriving)
    return PacketSocket(socket, SimpleNamespace()), socket


def publish(payload, topic=b"t", retained=False):
    return packet(0x30 | retained, len(topic).to_bytes(2, "big") + topic + payload)


PINGRESP = b"\xd0\x00"


def messages(link):
    """Every message that is there, as (bytes, retained), read byte by byte as MiniMQTT does."""
    found = []
    while link.has_message():
        head = take(link, 2)
        length, shift = head[1] & 0x7F, 7
        while head[-1] & 0x80:
            head += take(link, 1)
            length |= (head[-1] & 0x7F) << shift
            shift += 7
        found.append((head + take(link, length), link.retained))
    return found


def take(link, size):
    buffer = bytearray(size)
    got = 0
    while got < size:
        got += link.recv_into(memoryview(buffer)[got:], min(size - got, 7))
    return bytes(buffer)


# receiving


@given(
    st.lists(st.one_of(st.builds(publish, st.binary(max_size=300), retained=st.booleans()), st.just(PINGRESP)), max_size=8),
    st.lists(st.integers(1, 60), max_size=40),
)
def test_messages_arrive_whole_and_in_order_in_whatever_pieces(packets, sizes):
    stream = b"".join(packets)
    link, socket = link_to()
    found = []
    for size in [*sizes, len(stream)]:
        if stream[:size]:
            socket.arriving.append(stream[:size])
        stream = stream[size:]
        found += messages(link)
    assert found == [(whole, bool(whole[0] & 1)) for whole in packets if whole != PINGRESP]


def test_half_a_message_is_not_there_yet(clock):
    whole = publish(b"payload")
    link, socket = link_to(whole[:-1])
    assert not link.has_message()
    with pytest.raises(OSError) as raised:
        link.recv_into(bytearray(1), 1)
    assert raised.value.errno == errno.EAGAIN
    socket.arriving.append(whole[-1:])
    assert messages(link) == [(whole, False)]


def test_an_answer_to_a_ping_is_heard_and_swallowed(clock):
    link, socket = link_to()
    received_at = link.received_at
    clock.sleep(1)
    link.ping()
    assert socket.sent == b"\xc0\x00"
    socket.arriving.append(PINGRESP)
    assert not link.has_message()
    assert (link.received_at - received_at) % 2**29 >= 1000


def test_silence_is_not_heard(clock):
    link, _ = link_to()
    received_at = link.received_at
    clock.sleep(1)
    assert not link.has_message() and link.received_at == received_at


@pytest.mark.parametrize("size", [MAX_PACKET - 10, MAX_PACKET, 5000, 70000])
def test_what_is_too_large_is_thrown_away_and_the_next_message_is_read(size):
    after = publish(b"after", retained=True)
    link, _ = link_to(publish(size * b"x") + after)
    found = []
    for _ in range(size // 1000 + 2):
        found += messages(link)
    assert found[-1] == (after, True)
    assert len(found) + link.oversized == 2
    assert link.oversized == (len(publish(size * b"x")) > MAX_PACKET)


def test_a_message_of_a_megabyte_costs_no_memory():
    link, socket = link_to()
    socket.arriving.append(packet(0x30, bytes(1_000_000))[:4])
    piece = bytes(128)
    tracemalloc.start()
    for _ in range(1_000_000 // 128):
        socket.arriving.append(piece)
        link.has_message()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000 and link.oversized == 1


def test_a_length_of_five_bytes_means_this_is_not_mqtt():
    link, _ = link_to(b"\x30\xff\xff\xff", b"\xff\x01")
    with pytest.raises(OSError):
        link.has_message()


@pytest.mark.parametrize("first", sorted(set(range(256)) - {0x20, 0x30, 0x31, 0x40, 0x90, 0xB0, 0xD0}))
def test_what_no_broker_says_to_us_means_this_is_not_mqtt(first):
    """Else garbage would be taken for the beginning of a packet of up to 256 MB, and all that follows for its rest."""
    link, _ = link_to(bytes([first]))
    with pytest.raises(OSError) as raised:
        link.has_message()
    assert raised.value.errno not in (None, errno.EAGAIN, errno.ETIMEDOUT)


def test_bytes_that_never_become_a_packet_are_no_sign_of_life(clock):
    link, socket = link_to(packet(0x30, bytes(1_000_000))[:100])
    received_at = link.received_at
    for _ in range(100):
        clock.sleep(1)
        socket.arriving.append(bytes(100))
        link.has_message()
    assert link.received_at == received_at and link.oversized == 1


@pytest.mark.parametrize("end", [b"", OSError(errno.ENOTCONN, ""), OSError(errno.ECONNRESET, ""), OSError(errno.EBADF, "")])
def test_a_connection_that_was_closed_is_an_error_at_once(end):
    link, _ = link_to(publish(b"cut off")[:-1], end)
    with pytest.raises(OSError) as raised:
        link.has_message()
    assert raised.value.errno not in (None, errno.EAGAIN)


def test_the_last_words_before_the_end_are_heard():
    """A broker that refuses says why in its CONNACK and closes at once: both arrive together."""
    link, _ = link_to(publish(b"last words"), b"")
    assert messages_until_error(link) == [publish(b"last words")]


def messages_until_error(link):
    found = []
    try:
        while len(found) < 10:
            if link.has_message():
                found.append(take(link, len(publish(b"last words"))))
    except OSError:
        pass
    return found


def test_a_flood_does_not_hold_the_loop():
    class Flood(Socket):
        def recv_into(self, buffer, size):
            assert self.reads < 1000, "it never stops reading"
            self.arriving = [64 * packet(0x40, b"\x00\x01")]  # PUBACKs for nothing
            return super().recv_into(buffer, size)

    PacketSocket(Flood(), SimpleNamespace()).has_message()


def test_all_waiting_for_answers_in_a_tick_has_one_end(clock):
    """MiniMQTT waits for an UNSUBACK for ever; and for others as long as anything else arrives."""
    flood = [publish(b"x") for _ in range(5000)]
    for arriving in ([], flood):
        link, socket = link_to(*arriving)
        begun = clock.ms
        error = None
        while error is None or error.errno == errno.EAGAIN:
            try:
                link.recv_into(bytearray(100), 100)
                clock.sleep(0.001)
            except OSError as raised:
                error = raised
        assert error.errno != errno.ETIMEDOUT and 2000 < clock.ms - begun < 2600
        link.start_tick()
        socket.arriving.append(publish(b"x"))
        assert link.has_message()  # the next tick has patience again


# sending


@pytest.mark.parametrize("room", [[1] * 50, [3, OSError(errno.EAGAIN, ""), 4], [OSError(errno.EAGAIN, "")] * 20])
def test_everything_is_sent_however_little_is_taken_at_a_time(clock, room):
    link, socket = link_to()
    socket.room = room
    assert link.send(b"0123456789") == 10
    assert socket.sent == b"0123456789"


def test_sending_into_a_full_buffer_ends(clock):
    link, socket = link_to()
    socket.room = [4] + 100_000 * [OSError(errno.EAGAIN, "")]
    begun = clock.ms
    with pytest.raises(OSError) as raised:
        link.send(b"0123456789")
    assert raised.value.errno == errno.ETIMEDOUT
    assert 1900 < clock.ms - begun < 2500


def test_a_broken_connection_is_an_error_while_sending(clock):
    link, socket = link_to()
    socket.room = [OSError(errno.EPIPE, "")]
    with pytest.raises(OSError) as raised:
        link.send(b"x")
    assert raised.value.errno == errno.EPIPE


# a message in pieces


@pytest.mark.parametrize("size", [0, 1, 100, 1018, 1019, 1020, 4096, 20000])
@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_is_the_same_packet_whether_it_is_cut_or_not(clock, size, qos):
    payload = bytes(range(33, 126)) * 300
    payload = payload[:size]
    body = b"\0\x03a/b" + (b"\0\1" if qos else b"") + payload
    for room in ([], [1] * 50, [OSError(errno.EAGAIN, ""), 3, OSError(errno.EAGAIN, ""), 700, OSError(errno.EAGAIN, "")]):
        for kind in (bytes, written):
            link, socket = link_to()
            socket.room = list(room)
            assert link.begin_message("a/b", kind(payload), True, qos) == qos
            calls = 1
            while not link.send_piece():
                calls += 1
            assert socket.sent == packet(0x31 | qos << 1, body)
            assert calls > size // 1024


def written(payload):
    return Writer(64).put(b"what was there before, and longer").clear().put(payload)


def test_no_piece_is_larger_than_a_kilobyte(clock):
    link, socket = link_to()
    link.begin_message("t", 4000 * b"x", False, 0)
    link.send_piece()
    assert len(socket.sent) <= 1024


def test_a_message_that_nobody_reads_ends_in_the_same_words(clock):
    link, socket = link_to()
    socket.room = [4] + 100_000 * [OSError(errno.EAGAIN, "")]
    link.begin_message("t", b"0123456789", False, 1)
    begun = clock.ms
    with pytest.raises(OSError) as raised:
        while not link.send_piece():
            link.start_tick()
            clock.sleep(0.01)
    assert raised.value.args == (errno.ETIMEDOUT, "send_blocked") and 1900 < clock.ms - begun < 2500


def test_a_puback_is_noted_and_no_message(clock):
    link, _ = link_to(b"\x40\x02\x12\x34")
    assert not link.has_message() and link.acknowledged == 0x1234


class Poll:
    """select.poll of a board, with ipoll."""

    ready = True
    looks = 0

    def register(self, socket, flags):
        self.socket = socket

    def ipoll(self, timeout):
        Poll.looks += 1
        return iter([(self.socket, 1)] if self.socket.arriving else [])


def test_where_the_board_can_tell_silence_costs_no_exception(clock, monkeypatch):
    monkeypatch.setitem(sys.modules, "select", SimpleNamespace(poll=Poll, POLLIN=1))
    socket = Socket()
    socket.settimeout = socket.connect = lambda _: None
    link = PacketSocket(socket, SimpleNamespace())
    link.connect(("h", 1883))
    assert link.can_tell and link.is_silent() and not socket.reads
    socket.arriving.append(publish(b"x") + publish(b"y"))
    assert not link.is_silent() and link.has_message()
    take(link, len(publish(b"x")))
    assert not link.is_silent() and link.has_message()  # the second one is in our own buffer
    link.close()
    assert not link.is_silent()  # reading tells that it is closed


# the pool


def test_the_pool_gives_mini_mqtt_what_it_asks_for():
    made = []

    class Board:
        SOCK_STREAM = 1

        def getaddrinfo(self, *arguments):
            return [arguments]

        def socket(self, *arguments):
            made.append(Socket())
            return made[-1]

    pool = PacketSocketPool(Board())
    link = pool.socket(2, 1)
    assert pool.last is link and pool.getaddrinfo("h", 1) == [("h", 1)] and pool.SOCK_STREAM == 1
    assert not hasattr(pool, "timeout")  # by which MiniMQTT tells a PC from a board
    link.close()
    link.close()
    assert made[0].closed


def test_a_name_is_looked_up_once_until_its_address_leads_nowhere():
    asked = []

    def getaddrinfo(*arguments):
        asked.append(arguments)
        return [len(asked)]

    pool = PacketSocketPool(SimpleNamespace(SOCK_STREAM=1, getaddrinfo=getaddrinfo))
    assert pool.getaddrinfo("h", 1) == pool.getaddrinfo("h", 1) == [1]
    for _ in range(transport.LOOKUP_AFTER_FAILURES - 1):
        pool.connect_failed()
        assert pool.getaddrinfo("h", 1) == [1]
    pool.connect_failed()
    assert pool.getaddrinfo("h", 1) == [2]


def test_connecting_waits_no_longer_than_two_seconds(clock):
    class Connecting(Socket):
        timeouts = []

        def settimeout(self, seconds):
            self.timeouts.append(seconds)

        def connect(self, address):
            self.waited = self.timeouts[-1]

    socket = Connecting()
    PacketSocket(socket, SimpleNamespace()).connect(("h", 1883))
    assert 0 < socket.waited <= 2
    assert socket.timeouts[-1] == 0  # and never again
