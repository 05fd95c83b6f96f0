# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The fault-injecting proxy itself: each of its modes does to a connection what it says."""

import socket
import threading
import time

import pytest

from host.proxy import MODES, Proxy

WORDS = b"hello, is somebody there? " * 4


@pytest.fixture(scope="module")
def echo():
    """A server that says back what it hears."""

    def answer(connection):
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
        except OSError:
            pass

    def serve(server):
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()


@pytest.fixture
def proxy(echo):
    proxy = Proxy(echo)
    yield proxy
    proxy.close()


SHORT_S, PATIENT_S = 0.7, 20  # how long is waited for what must not come, and for what must


def connect(proxy, timeout=PATIENT_S):
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout)
    connection.settimeout(timeout)
    return connection


def ask(connection):
    """(what came back, in how many pieces, in how many seconds, how it ended)."""
    begun, heard, pieces = time.monotonic(), b"", 0
    try:
        connection.sendall(WORDS)
        while len(heard) < len(WORDS):
            data = connection.recv(4096)
            if not data:
                return heard, pieces, time.monotonic() - begun, "closed"
            heard += data
            pieces += 1
    except TimeoutError:
        return heard, pieces, time.monotonic() - begun, "silence"
    except OSError:
        return heard, pieces, time.monotonic() - begun, "closed"
    return heard, pieces, time.monotonic() - begun, "whole"


ENDS = {  # of a connection that was there before, and of one made then
    "pass": ("whole", "whole"),
    "refuse": ("closed", "refused"),
    "drop": ("silence", "silence"),
    "hang": ("silence", "silence"),
    "half_open": ("silence", "whole"),
    "deny": ("closed", "closed"),
    "swallow": ("silence", "silence"),
    "close": ("closed", "closed"),
    "cut": ("closed", "closed"),
    "fragment": ("whole", "whole"),
    "garbage": ("whole", "whole"),  # as many bytes, at least
    "huge": ("whole", "whole"),
    "delay": ("silence", "silence"),  # 0.5 s each way, and 0.7 s are waited
    "throttle": ("whole", "whole"),
}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_and_back(proxy, mode):
    old = connect(proxy)
    assert ask(old)[3] == "whole"
    proxy.set(mode)
    patience = [SHORT_S if end == "silence" else PATIENT_S for end in ENDS[mode]]
    old.settimeout(patience[0])
    heard, pieces, seconds, end = ask(old)
    try:
        new = ask(connect(proxy, patience[1]))[3]
    except ConnectionRefusedError:
        new = "refused"
    except TimeoutError:
        new = "silence"
    assert (end, new) == ENDS[mode]
    if mode in ("garbage", "huge"):
        assert heard[: len(WORDS)] != WORDS
    if mode == "cut":
        assert heard and WORDS.startswith(heard)
    if mode == "fragment":
        assert pieces > len(WORDS) / 2
    if mode == "throttle":
        assert seconds > 0.1
    proxy.set("pass")
    assert ask(connect(proxy))[3] == "whole"


def test_what_was_lost_in_a_half_open_connection_does_not_come_later(proxy):
    connection = connect(proxy)
    assert ask(connection)[3] == "whole"
    proxy.set("half_open")
    connection.settimeout(SHORT_S)
    assert ask(connection)[3] == "silence"
    proxy.set("pass")
    assert ask(connection)[0] == b""


def test_a_mode_that_does_not_exist(proxy):
    with pytest.raises(ValueError, match="half_open"):
        proxy.set("broken")
