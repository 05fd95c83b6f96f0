# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The stand-in socket pool has the board's manners, plain and with TLS."""

import errno
import socket
import ssl
import subprocess
import threading
import time

import pytest
import socketpool
import wifi


@pytest.fixture
def pool():
    return socketpool.SocketPool(wifi.radio)


@pytest.fixture
def pair(pool):
    """(our connected socket, the peer's)"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = pool.socket()
        ours.settimeout(0.1)
        ours.connect(server.getsockname())
        peer, _ = server.accept()
        yield ours, peer
        ours.close()
        peer.close()


def error_of(function) -> int:
    with pytest.raises(OSError) as caught:
        function()
    return caught.value.errno


def test_minimqtt_takes_it_for_a_board(pool):
    assert not hasattr(pool, "timeout")


def test_nothing_in_time(pair):
    """The shortest of five times: a machine that is busy with other things only makes some of them longer."""
    seconds = []
    for _ in range(5):
        start = time.monotonic()
        assert error_of(lambda: pair[0].recv_into(bytearray(4), 4)) == errno.ETIMEDOUT
        seconds.append(time.monotonic() - start)
    assert 0.09 < min(seconds) < 0.3


def test_nothing_and_not_to_wait(pair):
    pair[0].settimeout(0)
    assert error_of(lambda: pair[0].recv_into(bytearray(4), 4)) == errno.EAGAIN


def test_a_closed_peer(pair):
    ours, peer = pair
    peer.close()
    assert ours.recv_into(bytearray(4), 4) == 0
    ours.settimeout(0)
    assert error_of(lambda: ours.recv_into(bytearray(4), 4)) == errno.ENOTCONN


def test_receiving(pair):
    ours, peer = pair
    peer.sendall(b"hello")
    buffer = bytearray(8)
    assert ours.recv_into(buffer, 2) == 2 and ours.recv_into(buffer) == 3 and buffer[:3] == b"llo"


def test_sending_never_waits(pair):
    pair[0].settimeout(60)
    start = time.monotonic()

    def flood():
        while True:
            pair[0].send(bytes(100_000))

    assert error_of(flood) == errno.EAGAIN
    assert time.monotonic() - start < 30


def test_a_closed_socket(pair):
    pair[0].close()
    assert error_of(lambda: pair[0].send(b"x")) == errno.EBADF
    assert error_of(lambda: pair[0].recv_into(bytearray(1), 1)) == errno.EBADF


def test_nobody_listens(pool):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    ours = pool.socket()
    ours.settimeout(1)
    assert error_of(lambda: ours.connect(address)) == errno.ECONNREFUSED
    ours.close()


def test_an_unknown_name(pool):
    with pytest.raises(socketpool.SocketPool.gaierror) as caught:
        pool.getaddrinfo("no-such-host.invalid", 1883)
    assert caught.value.errno == -2


@pytest.mark.slow
def test_the_radio():
    assert wifi.radio.connected and wifi.radio.ap_info.rssi < 0 and str(wifi.radio.ipv4_address).count(".") == 3
    wifi.radio.enabled = False
    assert not wifi.radio.connected and wifi.radio.ipv4_address is None
    wifi.radio.enabled = True
    with pytest.raises(ValueError, match="ssid length"):
        wifi.radio.connect("")
    with pytest.raises(ValueError, match="password length"):
        wifi.radio.connect("net", "short")
    wifi.radio.connect("net", "long enough")
    assert wifi.radio.connected


def test_tls(pool, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = threading.Thread(target=serve_once, args=(server, server_side), daemon=True)
        echo.start()
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=certificate.read_text())
        ours = context.wrap_socket(pool.socket(), server_hostname="localhost")
        ours.settimeout(2)
        ours.connect(("127.0.0.1", server.getsockname()[1]))
        assert ours.send(b"ping") == 4
        buffer = bytearray(4)
        assert ours.recv_into(buffer, 4) == 4 and buffer == b"ping"
        ours.settimeout(0)
        assert error_of(lambda: ours.recv_into(buffer, 4)) == errno.EAGAIN
        ours.close()
        echo.join(5)


def serve_once(server, context):
    with context.wrap_socket(server.accept()[0], server_side=True) as peer:
        peer.sendall(peer.recv(4))
        peer.recv(1)


def test_who_listens_accepts_without_waiting_and_a_port_is_taken_once(pool):
    listener = pool.socket()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listener.bind(("127.0.0.1", port))
    listener.listen(1)
    listener.settimeout(0)
    assert error_of(listener.accept) == errno.EAGAIN
    assert error_of(lambda: pool.socket().bind(("127.0.0.1", port))) == errno.EADDRINUSE
    with socket.create_connection(("127.0.0.1", port)) as peer:
        ours, address = listener.accept()
        assert address == peer.getsockname()
        assert error_of(lambda: ours.recv_into(bytearray(4), 4)) == errno.EAGAIN  # it never waits by itself
        ours.close()
    listener.close()
