"""The link to the broker with the real MiniMQTT and a real mosquitto: outages, refusals and half-dead connections.

What the publisher would say is a short list here, and commands are only written down; the socket pool is the host's stand-in.
"""

import socket
import threading
import time
from itertools import pairwise

import pytest
import wifi
from adafruit_ticks import ticks_ms
from mosquitto import Listener, Mosquitto, free_port, needs_mosquitto, wait_until
from socketpool import SocketPool

from app.settings import Settings
from mqtt import session as session_module
from mqtt import wire
from mqtt.session import Session

LONGEST_TICK_S = 3.0
USER = ("bridge", "hunter2-secret")
INTRODUCTION = [("t/status", "online", True, 1), ("t/state", b'{"a":1}', True, 0), ("t/event", "now", False, 0)]


class Speaker:
    """A publisher that says INTRODUCTION in every session and then what is put into `more`."""

    def __init__(self):
        self.sessions = 0
        self.more = []
        self.echoes = []

    def begin(self, now):
        self.sessions += 1
        self.more = list(INTRODUCTION)

    def poll(self, now):
        return self.more.pop(0) if self.more else None

    def contradicted(self, topic, payload, now):
        self.echoes.append((topic, bytes(payload)))


class Ears:
    """Commands that are only written down as (topic, payload, retained)."""

    def __init__(self):
        self.heard = []
        self.refused = []

    def topics(self):
        return ["t/do", "t/ask"]

    def own_topics(self):
        return ["t/do"]

    def take(self, topic, payload, retained, now):
        self.heard.append((topic, bytes(payload), retained))

    def refuse(self, topic, reason):
        self.refused.append((topic, reason))


class Books:
    """A keeper of counters that were loaded long ago, or still have to be heard."""

    def __init__(self, loaded=True):
        self.loaded = loaded
        self.topics = ("t/energy", "t/state")
        self.heard = []
        self.finished = 0

    @property
    def heard_all(self):
        return len({topic for topic, _ in self.heard}) == len(self.topics)

    def hear(self, topic, state):
        self.heard.append((topic, bytes(state)))

    def finish(self):
        self.finished += 1
        self.loaded = True


class Sockets(SocketPool):
    """The host's socket pool; `made` are its sockets."""

    def __init__(self):
        super().__init__(wifi.radio)
        self.made = []

    def socket(self, *arguments):
        self.made.append(super().socket(*arguments))
        return self.made[-1]


class Bridge:
    """A Session with all it needs. `longest_s` is the longest a tick has taken."""

    def __init__(self, port, host="127.0.0.1", username="", password="", radio=wifi.radio, clock=ticks_ms, loaded=True):
        lines = [f'MQTT_BROKER = "{host}"', f"MQTT_PORT = {port}", 'CIRCUITPY_WIFI_SSID = "shed"']
        lines += [f'MQTT_USERNAME = "{username}"', f'MQTT_PASSWORD = "{password}"']
        settings = Settings("\n".join(lines))
        settings.base_topic = "t"
        self.speaker, self.ears, self.books, self.sockets = Speaker(), Ears(), Books(loaded), Sockets()
        self.session = Session(settings, radio, self.sockets, self.speaker, self.ears, self.books, f"bridge-{port}")
        self.longest_s = 0
        self._clock = clock

    def run(self, until, seconds=10):
        """Tick until something is so; False when it is not in time."""
        return wait_until(lambda: self.tick() or until(), seconds)

    def tick(self):
        begun = time.monotonic()
        self.session.tick(self._clock())
        self.longest_s = max(self.longest_s, time.monotonic() - begun)

    def is_connected(self):
        return self.session.connected

    def is_not_connected(self):
        return not self.session.connected


@pytest.fixture
def broker(tmp_path):
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def listener(broker):
    listener = Listener(broker.port)
    yield listener
    listener.stop()


@needs_mosquitto
def test_it_connects_and_says_what_there_is_to_say(broker, listener):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: listener.latest("t/event"))
    assert [said[:2] for said in listener.heard if said[1]] == [
        (t, text if t != "t/state" else '{"a":1}') for t, text, *_ in INTRODUCTION
    ]
    assert bridge.session.trouble is None and bridge.session.connects == 1
    late = Listener(broker.port)
    assert wait_until(lambda: len(late.heard) >= 2)
    assert sorted(late.heard) == [("t/state", '{"a":1}', True), ("t/status", "online", True)]  # what was retained
    late.stop()


@needs_mosquitto
def test_a_message_of_four_kilobytes_goes_through_whole(broker, listener):
    bridge = Bridge(broker.port)
    assert bridge.run(bridge.is_connected)
    bridge.speaker.more.append(("t/config", 4096 * b"x", True, 1))
    assert bridge.run(lambda: listener.latest("t/config") == 4096 * "x")


@needs_mosquitto
def test_its_will_is_published_when_it_vanishes(broker, listener):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: listener.latest("t/status") == "online")
    bridge.sockets.made[-1].close()  # as a reset of the chip: no DISCONNECT
    assert wait_until(lambda: listener.latest("t/status") == "offline")
    late = Listener(broker.port)
    assert wait_until(lambda: ("t/status", "offline", True) in late.heard)
    late.stop()


@needs_mosquitto
def test_a_broker_that_was_killed_is_found_again_and_told_everything(broker, listener):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: listener.latest("t/event"))
    broker.kill()
    assert bridge.run(bridge.is_not_connected, 5)
    assert f"127.0.0.1:{broker.port}" in bridge.session.trouble
    bridge.run(lambda: False, 1.5)
    listener.heard.clear()
    broker.start()
    assert bridge.run(lambda: listener.latest("t/event"))
    assert listener.texts("t/status") == ["online"] and bridge.session.trouble is None
    assert (bridge.speaker.sessions, bridge.session.connects) == (2, 2)
    listener.say("t/do", "it")  # subscriptions are forgotten by broker and library: they must have been renewed
    assert bridge.run(lambda: bridge.ears.heard == [("t/do", b"it", False)])
    assert bridge.longest_s < LONGEST_TICK_S


@needs_mosquitto
def test_commands_are_heard_and_a_retained_one_is_cleared_not_obeyed(broker, listener):
    listener.say("t/do", "old", retain=True)
    listener.say("t/ask", "theirs", retain=True)
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: listener.latest("t/event") == "now")
    listener.say("t/do", "new")
    listener.say("t/ask", "hello")
    listener.say("t/else", "not for us")
    assert bridge.run(lambda: len(bridge.ears.heard) >= 3)
    assert ("t/do", b"old", True) not in bridge.ears.heard
    assert [h for h in bridge.ears.heard if not h[2]] == [("t/do", b"new", False), ("t/ask", b"hello", False)]
    assert ("t/ask", b"theirs", True) in bridge.ears.heard  # with its flag, so that it can be left alone
    late = Listener(broker.port)
    assert wait_until(lambda: late.latest("t/ask") == "theirs")
    assert late.latest("t/do") is None
    late.stop()


@needs_mosquitto
@pytest.mark.parametrize("left", [{}, {"t/energy": '{"x":1}'}, {"t/energy": '{"x":1}', "t/state": 2000 * "y"}])
def test_after_a_restart_the_counters_are_recalled_before_anything_is_said(broker, listener, left):
    for topic, text in left.items():
        listener.say(topic, text, retain=True)
    bridge = Bridge(broker.port, loaded=False)
    assert bridge.run(lambda: bridge.books.heard_all or bridge.is_connected(), 20)
    assert {topic: len(state) for topic, state in bridge.books.heard}.keys() == left.keys()
    assert all(left[topic].startswith(state.decode()) and state for topic, state in bridge.books.heard)
    assert bridge.run(lambda: listener.latest("t/event")) and bridge.books.finished == 1


@needs_mosquitto
def test_messages_larger_than_memory_do_not_end_the_session(broker, listener):
    bridge = Bridge(broker.port)
    assert bridge.run(bridge.is_connected)
    listener.say("t/do", 100_000 * "x")
    listener.say("t/do", "after")
    assert bridge.run(lambda: ("t/do", b"after", False) in bridge.ears.heard)
    assert bridge.session.connects == 1


@needs_mosquitto
def test_an_empty_message_does_not_end_the_session(broker, listener):
    """Whoever clears a retained message sends one."""
    bridge = Bridge(broker.port)
    assert bridge.run(bridge.is_connected)
    listener.say("t/do", "")
    assert bridge.run(lambda: ("t/do", b"", False) in bridge.ears.heard)  # nothing stands behind it
    listener.say("t/do", "after")
    assert bridge.run(lambda: ("t/do", b"after", False) in bridge.ears.heard)
    assert bridge.session.connects == 1


@needs_mosquitto
@pytest.mark.parametrize(("username", "password"), [("bridge", "wrong-secret"), ("nobody", "hunter2-secret"), ("", "")])
def test_a_wrong_password_is_told_in_a_sentence_without_the_password(tmp_path, username, password):
    broker = Mosquitto(tmp_path, USER)
    bridge = Bridge(broker.port, username=username, password=password)
    told = bridge.run(lambda: "MQTT_PASSWORD" in bridge.session.trouble, 2)
    broker.kill()
    assert told and "MQTT_USERNAME" in bridge.session.trouble and "secret" not in bridge.session.trouble
    assert bridge.longest_s < LONGEST_TICK_S


@needs_mosquitto
def test_the_right_password_connects(tmp_path):
    broker = Mosquitto(tmp_path, USER)
    bridge = Bridge(broker.port, username=USER[0], password=USER[1])
    assert bridge.run(bridge.is_connected)
    broker.kill()


@needs_mosquitto
def test_a_broker_that_hangs_is_noticed_within_three_keep_alives(broker, listener, monkeypatch):
    clock = Hurry(10)
    monkeypatch.setattr(session_module, "ticks_ms", clock)
    monkeypatch.setattr(wire, "ticks_ms", clock)
    bridge = Bridge(broker.port, clock=clock)
    assert bridge.run(bridge.is_connected)
    assert not bridge.run(bridge.is_not_connected, 3.5)  # more than two keep-alives with nothing to say: connected
    broker.freeze()
    assert bridge.run(bridge.is_not_connected, 3 * session_module.KEEP_ALIVE_S / 10)
    assert bridge.run(lambda: "no answer" in bridge.session.trouble.lower(), 5)
    broker.thaw()
    assert bridge.run(bridge.is_connected, 15)
    assert bridge.longest_s < LONGEST_TICK_S


class Hurry:
    """A clock of so many times the speed; it wraps like the chip's."""

    def __init__(self, speed):
        self._speed = speed

    def __call__(self):
        return int(time.monotonic() * 1000 * self._speed) % 2**29


def test_a_broker_that_is_not_there_is_asked_less_and_less_often_but_for_ever(monkeypatch):
    now = 2**29 - 30000
    monkeypatch.setattr(session_module, "ticks_ms", lambda: now % 2**29)
    bridge = Bridge(free_port(), clock=lambda: now % 2**29)
    tries = []
    for _ in range(3600 * 5):
        before = len(bridge.sockets.made)
        bridge.tick()
        if len(bridge.sockets.made) > before:
            tries.append(now / 1000)
        now += 200
    pauses = [after - before for before, after in pairwise(tries)]
    assert pauses[0] <= 2 and pauses == sorted(pauses)
    assert 30 <= pauses[-1] <= 120 and tries[-1] >= (now / 1000) - 120
    assert "connection refused" in bridge.session.trouble


@pytest.mark.parametrize("manners", ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "", None])
def test_something_else_on_that_port_is_an_outage_in_words(manners):
    """What answers in another language, hangs up at once ("") or says nothing at all (None)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server, manners), daemon=True).start()
        bridge = Bridge(server.getsockname()[1])
        assert bridge.run(lambda: bridge.session.trouble not in (None, "connecting"))
        assert not bridge.session.connected and "No broker 127.0.0.1" in bridge.session.trouble
        assert bridge.longest_s < LONGEST_TICK_S


def serve(server, manners):
    kept = []
    while True:
        try:
            kept.append(server.accept()[0])
        except OSError:
            return
        if manners is not None:
            kept[-1].sendall(manners.encode())
            kept.pop().close()


def test_a_name_that_cannot_be_found_is_an_outage_in_words():
    bridge = Bridge(1883, host="no-such-broker.invalid")
    assert bridge.run(lambda: bridge.session.trouble != "connecting")
    assert "no-such-broker.invalid" in bridge.session.trouble and "name not found" in bridge.session.trouble


class Radio:
    """A chip's radio in reach of no network, or of one."""

    def __init__(self):
        self.connected = False
        self.enabled = True
        self.in_reach = False

    @property
    def ipv4_address(self):
        return "192.168.1.9" if self.connected else None

    def connect(self, ssid, password=b"", **_options):
        if not self.in_reach:
            raise ConnectionError("No network with that ssid")
        self.connected = True


@needs_mosquitto
def test_without_wifi_the_networks_name_is_told_and_it_joins_when_it_comes(broker):
    radio = Radio()
    bridge = Bridge(broker.port, radio=radio)
    assert bridge.run(lambda: "not found. Is the name right" in bridge.session.trouble)
    assert "shed" in bridge.session.trouble and not bridge.sockets.made
    radio.in_reach = True
    assert bridge.run(bridge.is_connected)


@needs_mosquitto
def test_wifi_that_drops_is_joined_again(broker, listener):
    radio = Radio()
    radio.in_reach = True
    bridge = Bridge(broker.port, radio=radio)
    assert bridge.run(lambda: listener.latest("t/status") == "online")
    radio.connected = False
    bridge.sockets.made[-1].close()
    assert bridge.run(bridge.is_not_connected)
    assert bridge.run(bridge.is_connected)
    assert radio.connected


@needs_mosquitto
def test_whoever_talks_all_the_time_still_hears_and_is_heard(broker, listener, monkeypatch):
    monkeypatch.setattr(session_module, "READ_MS", 0)
    monkeypatch.setattr(session_module, "PING_MS", 50)
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: bridge.session.connected)
    bridge.speaker.more = [("t/event", "again", False, 0)] * 100000
    listener.say("t/do", "PRESS")
    assert bridge.run(lambda: bridge.ears.heard and bridge.session._pool.link.pongs > 2)
    assert bridge.speaker.more
