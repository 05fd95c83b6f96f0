"""The link to the broker with the real MiniMQTT and a real mosquitto: outages, refusals and half-dead connections.

What the publisher would say is a short list here, and commands are only written down; the socket pool is the host's stand-in.
"""

import socket
import struct
import threading
import time
from itertools import pairwise

import pytest
import wifi
from adafruit_ticks import ticks_ms
from mosquitto import Listener, Mosquitto, free_port, needs_mosquitto, wait_until
from socketpool import SocketPool

from app.settings import Settings
from mqtt import client as session_module
from mqtt import transport as wire
from mqtt.client import Session
from mqtt.trouble import no_broker, no_wifi

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
    def all_restored(self):
        return len({topic for topic, _ in self.heard}) == len(self.topics)

    def restore(self, topic, state):
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

    def __init__(
        self,
        port,
        host="127.0.0.1",
        username="",
        keep=True,
        password="",
        radio=wifi.radio,
        clock=ticks_ms,
        loaded=True,
        name="",
    ):
        lines = [f'MQTT_BROKER = "{host}"', f"MQTT_PORT = {port}", 'CIRCUITPY_WIFI_SSID = "shed"']
        lines += [f'MQTT_USERNAME = "{username}"', f'MQTT_PASSWORD = "{password}"']
        settings = Settings("\n".join(lines))
        settings.base_topic = "t"
        settings.MQTT_RETAIN_STATE = keep
        self.speaker, self.ears, self.books, self.sockets = Speaker(), Ears(), Books(loaded), Sockets()
        self.session = Session(settings, radio, self.sockets, self.speaker, self.ears, self.books, name or f"bridge-{port}")
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
    assert bridge.run(lambda: bridge.books.all_restored or bridge.is_connected(), 20)
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


# brokers with manners of their own


class Fake:
    """Speaks as much MQTT as it needs; `manners(fake, socket, kind, body)` may answer a packet in its own way: True."""

    def __init__(self, manners):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connects = []
        self.published = []
        self._manners = manners
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection = self._server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        while True:
            try:
                part = connection.recv(65536)
            except OSError:
                return
            data += part
            if not part:
                return
            while (packet := whole(data)) is not None:
                kind, body, data = packet
                if not self._manners(self, connection, kind, body):
                    self._answer(connection, kind, body)

    def _answer(self, connection, kind, body):
        if kind & 0xF0 == 0x10:
            self.connects.append((time.monotonic(), body))
            connection.sendall(b"\x20\x02\0\0")
        elif kind & 0xF0 == 0x30:
            size = struct.unpack(">H", body[:2])[0]
            self.published.append((body[2 : 2 + size].decode(), bool(kind & 1)))
            if kind & 6:
                connection.sendall(b"\x40\x02" + body[2 + size : 4 + size])
        elif kind == 0x82:
            connection.sendall(suback(body))
        elif kind == 0xA2:
            connection.sendall(b"\xb0\x02" + body[:2])
        elif kind == 0xC0:
            connection.sendall(b"\xd0\0")

    def close(self):
        self._server.close()


def whole(data):
    """(first byte, body, rest) of the first whole packet, or None."""
    length, at = 0, 1
    while at < len(data):
        length |= (data[at] & 0x7F) << 7 * (at - 1)
        at += 1
        if not data[at - 1] & 0x80:
            return (data[0], data[at : at + length], data[at + length :]) if len(data) >= at + length else None
    return None


def topics_of(body):
    topics, at = [], 2
    while at < len(body):
        size = struct.unpack(">H", body[at : at + 2])[0]
        topics.append(body[at + 2 : at + 2 + size].decode())
        at += 3 + size
    return topics


def suback(body, code=0):
    topics = topics_of(body)
    return bytes([0x90, 2 + len(topics)]) + body[:2] + bytes([code]) * len(topics)


def message(topic, payload, retained):
    body = struct.pack(">H", len(topic)) + topic.encode() + payload
    return bytes([0x30 | retained, len(body)]) + body


@pytest.fixture
def fake():
    fakes = []

    def make(manners):
        fakes.append(Fake(manners))
        return fakes[-1]

    yield make
    for each in fakes:
        each.close()


@pytest.mark.parametrize("flag", [1, 0])
@pytest.mark.parametrize("before", [True, False])
def test_what_was_said_before_the_restart_is_heard_in_whatever_order_it_comes(fake, before, flag):
    """MQTT 3.1.1 (3.8.4) lets it come ahead of the SUBACK; a bridge between two brokers takes the flag away."""

    def manners(_fake, connection, kind, body):
        if kind != 0x82:
            return False
        retained = b"".join(message(topic, b"7", flag) for topic in topics_of(body) if topic in ("t/energy", "t/state"))
        connection.sendall(retained + suback(body) if before else suback(body) + retained)
        return True

    bridge = Bridge(fake(manners).port, loaded=False)
    assert bridge.run(bridge.is_connected)
    assert sorted(bridge.books.heard) == [("t/energy", b"7"), ("t/state", b"7")]
    assert not bridge.ears.heard


def test_who_may_not_listen_to_his_own_status_is_connected_all_the_same(fake):
    def manners(_fake, connection, kind, body):
        if kind == 0x82 and "t/status" in topics_of(body):
            connection.sendall(suback(body, 0x80))
            return True
        return False

    bridge = Bridge(fake(manners).port)
    assert bridge.run(lambda: bridge.session.connected and not bridge.speaker.more)
    assert bridge.session.connects == 1


@needs_mosquitto
def test_what_stands_on_our_own_status_topics_is_handed_to_whoever_says_it(broker, listener):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: ("t/status", b"online") in bridge.speaker.echoes)  # our own
    listener.say("t/status", "offline", retain=True)
    listener.say("t/bms1/status", "x")
    assert bridge.run(lambda: len(bridge.speaker.echoes) >= 3)
    assert sorted(bridge.speaker.echoes[-2:]) == [("t/bms1/status", b"x"), ("t/status", b"offline")]
    assert not bridge.ears.heard


@needs_mosquitto
@pytest.mark.parametrize("retain_state", [False, True])
def test_states_that_an_older_version_left_retained_are_cleared_once(broker, listener, retain_state):
    left = ["t/bms1/state", "t/bms1/status", "t/bms1/link"]
    for topic in left:
        listener.say(topic, 1100 * "x" if topic == "t/bms1/state" else "old", retain=True)
    listener.say("t/bms1/energy", "{}", retain=True)
    bridge = Bridge(broker.port, loaded=False, keep=retain_state)
    bridge.books.topics = ("t/bms1/energy", "t/bms1/state")
    listener.heard.clear()
    assert bridge.run(lambda: bridge.session.connected and not bridge.speaker.more and listener.latest("t/event"))
    late = Listener(broker.port)
    assert wait_until(lambda: late.latest("t/bms1/energy"))
    time.sleep(0.2)
    kept = {topic for topic, text, _ in late.heard if text == "old" or len(text) > 1000}
    assert kept == (set(left) if retain_state else set())
    late.stop()
    assert [text for topic, text, _ in listener.heard if topic in left] == ([] if retain_state else 3 * [""])


@needs_mosquitto
def test_two_with_one_client_id_slow_down_and_say_so(broker, monkeypatch):
    clock = Hurry(10)
    monkeypatch.setattr(session_module, "ticks_ms", clock)
    monkeypatch.setattr(wire, "ticks_ms", clock)
    twins = [Bridge(broker.port, clock=clock, name="daly-twin") for _ in range(2)]
    words = []

    def both():
        for twin in twins:
            twin.tick()
            words.append(twin.session.trouble or "")
        return False

    wait_until(both, 3)  # 30 s
    assert sum(len(twin.sockets.made) for twin in twins) <= 12
    assert any("daly-twin" in text and "client id" in text and "BRIDGE_ID" in text for text in words)


def test_a_broker_that_ends_the_connection_for_one_message_is_asked_less_often_in_words(fake, monkeypatch):
    def manners(_fake, connection, kind, body):
        if kind & 0xF0 == 0x30 and body[2:10] == b"t/config":
            connection.close()
            return True
        return False

    broker = fake(manners)
    clock = Hurry(10)
    monkeypatch.setattr(session_module, "ticks_ms", clock)
    monkeypatch.setattr(wire, "ticks_ms", clock)
    bridge = Bridge(broker.port, clock=clock)
    words = set()

    def tick():
        bridge.tick()
        words.add(bridge.session.trouble or "")
        if bridge.session.connected and not bridge.speaker.more:
            bridge.speaker.more = [("t/config", 2345 * b"x", True, 1)]

    wait_until(tick, 3)
    assert 2 <= len(broker.connects) <= 8
    assert any("2345 bytes on t/config" in text and "refuse" in text for text in words), words


def test_a_session_that_has_lived_is_followed_within_seconds_and_a_short_one_is_not_for_ever(fake, monkeypatch):
    clock = Hurry(50)
    kept = []
    monkeypatch.setattr(session_module, "ticks_ms", clock)
    monkeypatch.setattr(wire, "ticks_ms", clock)

    def manners(_fake, connection, kind, _body):
        if kind & 0xF0 == 0x10:
            kept.append(connection)
        return False

    broker = fake(manners)
    bridge = Bridge(broker.port, clock=clock)

    def pause(life_s):
        assert bridge.run(bridge.is_connected)
        bridge.run(lambda: False, life_s / 50)
        kept[-1].shutdown(socket.SHUT_RDWR)
        begun = time.monotonic()
        count = len(broker.connects)
        assert bridge.run(lambda: len(broker.connects) > count)
        return 50 * (time.monotonic() - begun)

    assert pause(70) < 5
    short = [pause(1) for _ in range(5)]
    assert short[-1] > 8 and sum(short) > 20
    assert bridge.run(bridge.is_connected) and not bridge.run(bridge.is_not_connected, 2)  # 100 s
    assert pause(1) < 5


@needs_mosquitto
def test_a_broker_without_retained_messages_is_got_on_with(tmp_path):
    broker = Mosquitto(tmp_path, lines=["retain_available false"])
    bridge = Bridge(broker.port)
    listener = Listener(broker.port)
    assert bridge.run(lambda: listener.latest("t/event"), 20)
    listener.heard.clear()
    bridge.speaker.more = list(INTRODUCTION)
    assert bridge.run(lambda: listener.latest("t/event"), 20) and listener.latest("t/status") == "online"
    assert bridge.session.connects == 1
    listener.stop()
    broker.kill()


@needs_mosquitto
def test_a_broker_that_only_hangs_up_for_a_while_is_not_taken_for_one_without_retained_messages(tmp_path):
    broker = Mosquitto(tmp_path)
    broker.kill()
    with socket.create_server(("127.0.0.1", broker.port)) as server:
        threading.Thread(target=serve, args=(server, ""), daemon=True).start()
        bridge = Bridge(broker.port)
        assert bridge.run(lambda: len(bridge.sockets.made) == 2 and bridge.session._pool.link._socket is None, 12)
        server.shutdown(socket.SHUT_RDWR)
    broker.start()
    assert bridge.run(bridge.is_connected, 20) and bridge.run(lambda: not bridge.speaker.more)
    late = Listener(broker.port)
    assert wait_until(lambda: ("t/status", "online", True) in late.heard)
    late.stop()
    broker.kill()


def test_a_command_that_the_end_of_the_link_overtakes_is_answered(fake):
    bridge = Bridge(fake(lambda *_: False).port)
    assert bridge.run(bridge.is_connected)
    bridge.session._inbox.append(("t/do", b"PRESS", False))
    bridge.session._fail(OSError(104, "closed"))
    assert [topic for topic, _ in bridge.ears.refused] == ["t/do"] and not bridge.ears.heard


# words


class GaierrorFake(OSError):
    pass


GaierrorFake.__name__ = "gaierror"
LOOKUP = GaierrorFake(-2, "Name or service not known")
FAILURES = [  # what is raised, settings, whether a session was open -> what the words must have
    (LOOKUP, 'MQTT_BROKER = "fd12:3456:789a::10"', False, ["IPv4"]),
    (OSError(118, "x"), 'MQTT_BROKER = "[fd12::10]"', False, ["IPv4"]),
    (LOOKUP, 'MQTT_BROKER = "homeassistant.local"', False, ["name not found", ".local", "IP address"]),
    (LOOKUP, 'MQTT_BROKER = "nas"', False, ["name not found", "IP address"]),
    (OSError(104, "closed"), "MQTT_PORT = 8883", False, ["TLS", "1883"]),
    (OSError(104, "closed"), "", False, ["connection closed", "MQTT_USERNAME", "TLS", "retained", "QoS"]),
    (OSError(128), "", False, ["connection closed"]),
    (OSError(116), "", False, ["no answer"]),
    (OSError(118), "", False, ["not reachable"]),
    (OSError(111), "", False, ["connection refused"]),
    (AssertionError(), "", False, ["MQTT 5", "MQTT_PORT"]),
    (KeyError(132), "", False, ["MQTT 5"]),
    (KeyError(133), "", False, ["client id daly-x", "BRIDGE_ID"]),
    (KeyError(134), 'MQTT_USERNAME = "a"', False, ["refuses MQTT_USERNAME or MQTT_PASSWORD"]),
    (KeyError(77), "", False, ["MQTT 5"]),
    (RuntimeError("Out of sockets"), "", False, ["socket"]),
    (MemoryError("memory allocation failed, allocating 4096 bytes"), "", False, ["memory"]),
    (OSError(-0x7780, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"), "MQTT_TLS = true", False, ["TLS", "MQTT_PORT"]),
    (OSError(4711), "", False, ["failed"]),
    (IndexError("bytearray index out of range"), "", True, ["failed"]),
]


@pytest.mark.parametrize(("error", "settings", "was_open", "words"), FAILURES)
def test_every_failure_is_told_in_words_of_ours(error, settings, was_open, words):
    broker = "" if "MQTT_BROKER" in settings else 'MQTT_BROKER = "10.0.0.9"\n'
    parsed = Settings(broker + settings)
    parsed.MQTT_BROKER = settings.split('"')[1] if "MQTT_BROKER" in settings else "10.0.0.9"
    rejected = error.args[0] if isinstance(error, KeyError) else None
    text = no_broker(parsed, error, was_open, rejected, "daly-x")
    assert [word for word in words if word not in text] == []
    assert "Error" not in text and "errno" not in text.lower() and "MBEDTLS" not in text
    for number in ("104", "111", "116", "118", "128", "132", "133", "134", "4711", "4096", "77"):
        assert number not in text


@pytest.mark.parametrize("number", [*range(1, 35), 53, *range(200, 213), 255])
def test_the_radios_numbers_are_told_in_words(number):
    text = no_wifi("cellar", ConnectionError(f"Unknown failure {number}"))
    assert text.startswith('No Wi-Fi "cellar": ') and len(text) > 40
    assert str(number) not in text.replace("WPA2", "").replace("2.4", "") and "failure" not in text


def test_the_radios_words_are_ours():
    assert "CIRCUITPY_WIFI_PASSWORD" in no_wifi("x", ConnectionError("Authentication failure"))
    assert "2.4 GHz" in no_wifi("x", ConnectionError("No network with that ssid"))
    assert "no answer" in no_wifi("x", OSError(110, "no answer"))
