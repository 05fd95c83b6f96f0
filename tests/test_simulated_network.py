# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The simulated network under the stand-in socket pool, the simulated serial line under its UART. Nothing waits."""

import errno

import board
import busio
import pytest
import socketpool
import wifi

from host import chip, trouble
from host.broker import Broker
from host.clock import SimulatedClock
from host.simulated_network import MODES, SimulatedNetwork
from simulator.bms import Bms
from simulator.wire import SimulatedUart

CONNECT = b"\x10\x16\0\4MQTT\x04\x06\0\x0f\0\1c\0\1w\0\4gone"
CONNACK = b"\x20\x02\0\0"
REQUEST = bytes.fromhex("a54090080000000000000000") + b"\x7d"


@pytest.fixture
def clock(monkeypatch):
    clock = SimulatedClock()
    monkeypatch.setattr(chip, "clock", clock)
    return clock


@pytest.fixture
def network(monkeypatch, clock):
    network = SimulatedNetwork(Broker(), clock)
    monkeypatch.setattr(chip, "network", network)
    yield network
    trouble.begin(wifi="", dhcp="", channel="")


def connected():
    socket = socketpool.SocketPool(wifi.radio).socket()
    socket.settimeout(2)
    socket.connect(("192.168.1.10", 1883))
    socket.settimeout(0)
    socket.send(CONNECT)
    return socket


def received(socket, size=100):
    buffer = bytearray(size)
    return bytes(buffer[: socket.recv_into(buffer, size)])


def error_of(function, *arguments):
    with pytest.raises(OSError) as caught:
        function(*arguments)
    return caught.value.errno


def test_a_connection_reaches_the_broker_and_counts_while_it_is_open(network):
    first, second = connected(), connected()
    assert received(first) == CONNACK and received(second) == CONNACK
    assert len(network.sockets) == network.most_sockets == 2
    first.close()
    assert len(network.sockets) == 1 and network.most_sockets == 2


def test_nothing_there_is_eagain_and_a_connection_that_was_closed_is_enotconn(network):
    socket = connected()
    received(socket)
    assert error_of(received, socket) == errno.EAGAIN
    network.set("close")
    assert error_of(received, socket) == errno.ENOTCONN
    assert network.broker.retained == {} and network.broker.connections == []


def test_refused_and_dropped(network, clock):
    network.set("refuse")
    with pytest.raises(ConnectionRefusedError):
        connected()
    network.set("drop")
    begun = clock.monotonic()
    assert error_of(connected) == errno.ETIMEDOUT
    assert clock.monotonic() - begun == 2


def test_a_half_open_connection_takes_what_fits_and_stays_silent_while_new_ones_work(network):
    socket = connected()
    received(socket)
    network.set("half_open")
    network.set("pass")
    assert socket.send(bytes(5000)) == 5000
    assert socket.send(bytes(5000)) == 760
    assert error_of(socket.send, b"x") == errno.EAGAIN
    assert error_of(received, socket) == errno.EAGAIN
    assert received(connected()) == CONNACK


def test_garbage_and_a_huge_message_come_without_being_asked_for(network):
    socket = connected()
    received(socket)
    network.set("garbage")
    assert len(received(socket)) == 40
    network.set("huge")
    assert received(socket)[:5] == b"\x30\xff\xff\xff\x5f"
    assert received(socket) == bytes(100)


def test_without_wifi_the_broker_does_not_notice_until_the_keep_alive_is_over(network, clock):
    socket = connected()
    trouble.begin(wifi="off")
    socket.close()
    assert network.broker.connections
    clock.sleep(23)
    network.broker.check_keep_alive(clock.monotonic())
    assert not network.broker.connections


def test_an_access_point_on_another_channel_costs_a_scan(network, clock):
    radio = wifi.Radio()
    trouble.begin(channel="9")
    assert not radio.connected
    radio.connect("shed", "shed-password")
    assert radio.connected and clock.monotonic() == 2.4
    trouble.begin(channel="")
    trouble.power_on()


def test_a_mode_that_needs_a_process_between_the_two_ends_is_refused(network):
    assert "fragment" not in MODES
    with pytest.raises(ValueError, match="fragment"):
        network.set("fragment")


@pytest.fixture
def uart(monkeypatch, clock):
    bms = Bms("drift=0,think=5,cells=4")
    monkeypatch.setattr(chip, "open_uart", lambda **format: SimulatedUart(bms, clock))
    uart = busio.UART(board.TX, board.RX, timeout=0, receiver_buffer_size=256)
    yield uart
    uart.deinit()


def test_writing_takes_as_long_as_the_bits_and_the_answer_is_there_when_its_last_bit_is(uart, clock):
    uart.write(REQUEST)
    assert clock.monotonic() == pytest.approx(13 * 10 / 9600, abs=2e-6)
    clock.sleep(0.005 + 12.5 * 10 / 9600)
    assert len(uart.read()) == 12
    clock.sleep(0.001)
    assert len(uart.read()) == 1


def test_a_timeout_waits_in_simulated_time_for_every_next_byte(uart, clock):
    uart.timeout = 0.05
    uart.write(REQUEST)
    answer = uart.read(40)
    assert len(answer) == 13 and answer[:3] == b"\xa5\x01\x90"
    # the call that brings too little is followed by another, as on the board
    assert clock.monotonic() == pytest.approx(26 * 10 / 9600 + 0.005 + 2 * 0.05, abs=1e-3)


# visitors


def listening(port=80):
    socket = socketpool.SocketPool(wifi.radio).socket()
    socket.bind(("", port))
    socket.listen(2)
    socket.settimeout(0)
    return socket


def test_a_visitor_is_accepted_says_something_and_hears_the_answer(network):
    listener = listening()
    assert error_of(listener.accept) == errno.EAGAIN
    visitor = network.visit(80)
    visitor.send(b"hello")
    ours, _ = listener.accept()
    assert received(ours) == b"hello" and error_of(received, ours) == errno.EAGAIN
    assert ours.send(b"good day") == 8 and visitor.received == b"good day"
    ours.close()
    assert visitor.is_closed and not visitor.was_reset


def test_who_takes_nothing_leaves_no_room_and_what_is_not_read_resets(network):
    listener = listening()
    visitor = network.visit(80, reads=False)
    visitor.send(b"hello")
    ours, _ = listener.accept()
    assert ours.send(bytes(9000)) == 5760
    assert error_of(ours.send, b"x") == errno.EAGAIN
    visitor.take(10)
    assert ours.send(bytes(9000)) == 10
    ours.close()
    assert visitor.was_reset


def test_a_visitor_who_leaves_is_noticed(network):
    listener = listening()
    visitor = network.visit(80)
    ours, _ = listener.accept()
    visitor.leave()
    assert error_of(received, ours) == errno.ENOTCONN


def test_nobody_listens_or_too_many_wait_and_visitors_are_refused(network):
    assert network.visit(80) is None
    listener = listening()
    assert network.visit(80) and network.visit(80)
    assert network.visit(80) is None
    listener.close()
    assert network.visit(80) is None


def test_a_port_is_taken_once_and_the_chip_has_eight_sockets(network):
    listener = listening()
    pool = socketpool.SocketPool(wifi.radio)
    assert error_of(pool.socket().bind, ("", 80)) == errno.EADDRINUSE
    kept = [pool.socket() for _ in range(6)]
    with pytest.raises(RuntimeError, match="Out of sockets"):
        pool.socket()
    visitor = network.visit(80)
    assert error_of(listener.accept) == errno.EAGAIN and visitor.was_reset
    kept[0].close()
    network.visit(80)
    assert listener.accept()
