# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The MQTT client with the real MiniMQTT and a real mosquitto: outages, refusals and half-open connections.

The publisher has a short fixed list of messages, commands are only recorded; the socket pool is the host's stand-in.
"""

import socket
import struct
import sys
import threading
import time
from itertools import pairwise

import pytest
import wifi
from adafruit_ticks import ticks_ms
from mosquitto import Mosquitto, Subscriber, free_port, needs_mosquitto, never, wait_until
from socketpool import SocketPool

from app.settings import Settings
from mqtt import client as client_module
from mqtt import transport
from mqtt.client import MqttClient
from mqtt.sleeping import SleepingClient
from mqtt.trouble import broker_trouble, sentence, wifi_trouble

LONGEST_TICK_S = 3.0
USER = ("bridge", "hunter2-secret")
INTRODUCTION = [("t/status", "online", True, 1), ("t/state", b'{"a":1}', True, 0), ("t/event", "now", False, 0)]


class FakePublisher:
    """Publishes INTRODUCTION in every connection and then the messages in `more`."""

    def __init__(self):
        self.sessions = 0
        self.more = []
        self.echoes = []

    def begin(self, now):
        self.sessions += 1
        self.more = list(INTRODUCTION)

    def poll(self, now):
        return self.more.pop(0) if self.more else None

    def has_news(self):
        return bool(self.more)

    def is_loading(self):
        return False

    def status_received(self, topic, payload, now):
        self.echoes.append((topic, bytes(payload)))


class FakeCommands:
    """Records commands as (topic, payload, retained)."""

    def __init__(self):
        self.heard = []
        self.refused = []

    def topics(self):
        return ["t/do", "t/ask"]

    def own_topics(self):
        return ["t/do"]

    def execute(self, topic, payload, retained, now):
        self.heard.append((topic, bytes(payload), retained))

    def refuse(self, topic, reason):
        self.refused.append((topic, reason))


class FakeStore:
    """An energy store whose counters are loaded, or still have to be restored."""

    def __init__(self, loaded=True):
        self.loaded = loaded
        self.topics = ("t/energy", "t/state")
        self.heard = []
        self.finished = 0

    def restore(self, topic, state):
        self.heard.append((topic, bytes(state)))

    def report_gone(self):
        """There is none."""

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
    """An MqttClient with all it needs. `longest_s`: the longest tick."""

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
        keys=("bms1",),
        sources=(),
        gone=(),
        make=MqttClient,
        spread_ms=0,
    ):
        lines = [f'MQTT_BROKER = "{host}"', f"MQTT_PORT = {port}", 'CIRCUITPY_WIFI_SSID = "shed"']
        lines += [f'MQTT_USERNAME = "{username}"', f'MQTT_PASSWORD = "{password}"']
        settings = Settings("\n".join(lines))
        settings.base_topic = "t"
        settings.MQTT_RETAIN_STATE = keep
        self.publisher, self.commands, self.store, self.sockets = FakePublisher(), FakeCommands(), FakeStore(loaded), Sockets()
        parts = (self.sockets, self.publisher, self.commands, self.store, name or f"bridge-{port}")
        self.client = make(settings, radio, *parts, keys=keys, sources=sources, gone=gone, spread_ms=spread_ms)
        self.longest_s = 0
        self._clock = clock

    def run(self, until, seconds=10):
        """Tick until something is so; False when it is not in time."""
        return wait_until(lambda: self.tick() or until(), seconds)

    def never(self, condition, seconds):
        """Tick for so many seconds; whether something is not so all the while."""
        return never(lambda: self.tick() or condition(), seconds)

    def tick(self):
        begun = time.monotonic()
        self.client.tick(self._clock())
        self.longest_s = max(self.longest_s, time.monotonic() - begun)

    def is_connected(self):
        return self.client.connected

    def is_not_connected(self):
        return not self.client.connected


@pytest.fixture
def broker(tmp_path):
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def subscriber(broker):
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.stop()


@needs_mosquitto
def test_it_connects_and_says_what_there_is_to_say(broker, subscriber):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: subscriber.latest("t/event"))
    assert [said[:2] for said in subscriber.received if said[1]] == [
        (t, text if t != "t/state" else '{"a":1}') for t, text, *_ in INTRODUCTION
    ]
    assert bridge.client.trouble is None and bridge.client.connects == 1
    late = Subscriber(broker.port)
    assert wait_until(lambda: len(late.received) >= 2)
    assert sorted(late.received) == [("t/state", '{"a":1}', True), ("t/status", "online", True)]  # what was retained
    late.stop()


@needs_mosquitto
def test_a_message_of_four_kilobytes_goes_through_whole(broker, subscriber):
    bridge = Bridge(broker.port)
    assert bridge.run(bridge.is_connected)
    bridge.publisher.more.append(("t/config", 4096 * b"x", True, 1))
    assert bridge.run(lambda: subscriber.latest("t/config") == 4096 * "x")


@needs_mosquitto
def test_its_will_is_published_when_it_vanishes(broker, subscriber):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: subscriber.latest("t/status") == "online")
    bridge.sockets.made[-1].close()  # as a reset of the chip: no DISCONNECT
    assert wait_until(lambda: subscriber.latest("t/status") == "offline")
    late = Subscriber(broker.port)
    assert wait_until(lambda: ("t/status", "offline", True) in late.received)
    late.stop()


@needs_mosquitto
def test_a_broker_that_was_killed_is_found_again_and_told_everything(broker, subscriber):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: subscriber.latest("t/event"))
    broker.kill()
    assert bridge.run(bridge.is_not_connected, 5)
    assert bridge.client.trouble[0] in ("closed", "refused") and f"127.0.0.1:{broker.port}" in bridge.client.trouble_text
    bridge.never(lambda: False, 1.5)
    subscriber.clear()
    broker.start()
    assert bridge.run(lambda: subscriber.latest("t/event"))
    assert subscriber.texts("t/status") == ["online"] and bridge.client.trouble is None
    assert (bridge.publisher.sessions, bridge.client.connects) == (2, 2)
    subscriber.publish("t/do", "it")  # subscriptions are forgotten by broker and library: they must have been renewed
    assert bridge.run(lambda: bridge.commands.heard == [("t/do", b"it", False)])
    assert bridge.longest_s < LONGEST_TICK_S


@needs_mosquitto
def test_commands_are_heard_and_a_retained_one_is_cleared_not_obeyed(broker, subscriber):
    subscriber.publish("t/do", "old", retain=True)
    subscriber.publish("t/ask", "theirs", retain=True)
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: subscriber.latest("t/event") == "now")
    subscriber.publish("t/do", "new")
    subscriber.publish("t/ask", "hello")
    subscriber.publish("t/else", "not for us")
    assert bridge.run(lambda: len(bridge.commands.heard) >= 3)
    assert ("t/do", b"old", True) not in bridge.commands.heard
    assert [h for h in bridge.commands.heard if not h[2]] == [("t/do", b"new", False), ("t/ask", b"hello", False)]
    assert ("t/ask", b"theirs", True) in bridge.commands.heard  # with its flag, so that it can be left alone
    late = Subscriber(broker.port)
    assert wait_until(lambda: late.latest("t/ask") == "theirs")
    assert late.latest("t/do") is None
    late.stop()


@needs_mosquitto
@pytest.mark.parametrize("left", [{}, {"t/energy": '{"x":1}'}, {"t/energy": '{"x":1}', "t/sum": 2000 * "y"}])
def test_after_a_restart_the_counters_are_recalled_while_the_rest_is_said_already(broker, subscriber, left):
    for topic, text in left.items():
        subscriber.publish(topic, text, retain=True)
    bridge = Bridge(broker.port, loaded=False)
    bridge.store.topics = ("t/energy", "t/sum")
    assert bridge.run(lambda: subscriber.latest("t/event"), 20)
    assert not bridge.store.finished  # a slow broker may still send more
    assert bridge.run(lambda: bridge.store.finished)
    assert {topic: len(state) for topic, state in bridge.store.heard}.keys() == left.keys()
    assert all(left[topic].startswith(state.decode()) and state for topic, state in bridge.store.heard)
    subscriber.publish("t/energy", "of another")
    subscriber.publish("t/status", "mark")
    assert bridge.run(lambda: ("t/status", b"mark") in bridge.publisher.echoes)
    assert "of another" not in str(bridge.store.heard) and bridge.store.finished == 1 and bridge.client.connects == 1


@needs_mosquitto
def test_messages_larger_than_memory_do_not_end_the_session(broker, subscriber):
    bridge = Bridge(broker.port)
    assert bridge.run(bridge.is_connected)
    subscriber.publish("t/do", 100_000 * "x")
    subscriber.publish("t/do", "after")
    assert bridge.run(lambda: ("t/do", b"after", False) in bridge.commands.heard)
    assert bridge.client.connects == 1


@needs_mosquitto
def test_an_empty_message_does_not_end_the_session(broker, subscriber):
    """Whoever clears a retained message sends one."""
    bridge = Bridge(broker.port)
    assert bridge.run(bridge.is_connected)
    subscriber.publish("t/do", "")
    assert bridge.run(lambda: ("t/do", b"", False) in bridge.commands.heard)  # nothing stands behind it
    subscriber.publish("t/do", "after")
    assert bridge.run(lambda: ("t/do", b"after", False) in bridge.commands.heard)
    assert bridge.client.connects == 1


@needs_mosquitto
@pytest.mark.parametrize(("username", "password"), [("bridge", "wrong-secret"), ("nobody", "hunter2-secret"), ("", "")])
def test_a_wrong_password_is_told_in_a_sentence_without_the_password(tmp_path, username, password):
    broker = Mosquitto(tmp_path, USER)
    bridge = Bridge(broker.port, username=username, password=password)
    told = bridge.run(lambda: bridge.client.trouble[0] == ("login_wrong" if username else "login_missing"), 2)
    broker.kill()
    sentence = bridge.client.trouble_text
    assert told and "MQTT_USERNAME" in sentence and "MQTT_PASSWORD" in sentence and "secret" not in sentence
    assert bridge.longest_s < LONGEST_TICK_S


@needs_mosquitto
def test_the_right_password_connects(tmp_path):
    broker = Mosquitto(tmp_path, USER)
    bridge = Bridge(broker.port, username=USER[0], password=USER[1])
    assert bridge.run(bridge.is_connected)
    broker.kill()


@needs_mosquitto
def test_a_broker_that_hangs_is_noticed_within_three_keep_alives(broker, subscriber, monkeypatch):
    clock = Hurry(10)
    monkeypatch.setattr(client_module, "ticks_ms", clock)
    monkeypatch.setattr(transport, "ticks_ms", clock)
    bridge = Bridge(broker.port, clock=clock)
    assert bridge.run(bridge.is_connected)
    assert bridge.never(bridge.is_not_connected, 3.5)  # more than two keep-alives with nothing to say: connected
    broker.freeze()
    begun = clock()
    assert bridge.run(bridge.is_not_connected, 3 * client_module.KEEP_ALIVE_S / 10)
    assert (clock() - begun) % 2**29 <= 3000 * client_module.KEEP_ALIVE_S
    assert bridge.run(lambda: bridge.client.trouble[0] == "no_answer", 5)
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
    monkeypatch.setattr(client_module, "ticks_ms", lambda: now % 2**29)
    bridge = Bridge(free_port(), clock=lambda: now % 2**29)
    tries = []
    for _ in range(3600 * 5):
        before = len(bridge.sockets.made)
        bridge.tick()
        if len(bridge.sockets.made) > before:
            tries.append(now / 1000)
        now += 200
    pauses = [after - before for before, after in pairwise(tries)]
    for number, pause in enumerate(pauses):
        assert 0.2 <= pause <= min(60, 2**number) + 0.4, (number, pause)
    late = pauses[8:]
    assert sum(late) / len(late) > 15 and tries[-1] >= (now / 1000) - 61
    assert bridge.client.trouble[0] == "refused"


def test_a_trouble_is_printed_once_in_an_outage_however_often_it_is_met(monkeypatch, capsys):
    now = 0
    monkeypatch.setattr(client_module, "ticks_ms", lambda: now)
    radio = Radio()
    bridges = [Bridge(1883, radio=radio, clock=lambda: now)]
    bridges.append(Bridge(free_port(), host=f"127.0.0.1:{free_port()}, localhost:{free_port()}", clock=lambda: now))
    for _ in range(600):
        for bridge in bridges:
            bridge.tick()
        now += 1000
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 == len(set(lines)), lines
    assert len([line for line in lines if line.startswith("MQTT: No Wi-Fi")]) == 1


def tries_of(monkeypatch, seconds, **options):
    """When, in seconds, a bridge tries to connect to a broker that is not there; simulated."""
    now = 0
    monkeypatch.setattr(client_module, "ticks_ms", lambda: now)
    bridge = Bridge(free_port(), clock=lambda: now, **options)
    tries = []
    while now < 1000 * seconds:
        before = len(bridge.sockets.made)
        bridge.tick()
        if len(bridge.sockets.made) > before:
            tries.append(now / 1000)
        now += 50
    return tries


def test_bridges_that_lose_their_broker_together_do_not_come_back_in_step(monkeypatch):
    """Full jitter: each attempt is at any time up to the back-off, those of many bridges are spread over all of it."""
    pauses = []
    for _ in range(60):
        tries = tries_of(monkeypatch, 16)
        pauses.append(tries[3] - tries[2])  # a back-off of four seconds
    assert min(pauses) < 1 and max(pauses) > 3 and min(pauses) >= 0.2
    seconds = [int(pause) for pause in pauses]
    assert max(seconds.count(second) for second in range(4)) < 30


def test_boards_that_start_in_step_after_a_power_cut_connect_at_different_times(monkeypatch):
    first = [tries_of(monkeypatch, 3, spread_ms=2000)[0] for _ in range(30)]
    assert min(first) < 0.8 and max(first) > 1.2 and max(first) <= 2.1
    assert {tries_of(monkeypatch, 3)[0] for _ in range(5)} == {0}


@needs_mosquitto
def test_of_several_brokers_the_next_one_is_tried_at_once(broker, capsys):
    bridge = Bridge(broker.port, host=f"127.0.0.1:{free_port()}, localhost:{free_port()}, 127.0.0.1")
    assert bridge.run(bridge.is_connected, 8)
    assert bridge.client.broker == f"127.0.0.1:{broker.port}" and len(bridge.sockets.made) >= 3
    assert f"MQTT: connected to 127.0.0.1:{broker.port}" in capsys.readouterr().out


@needs_mosquitto
def test_when_its_broker_dies_it_goes_on_at_the_next_one_and_back(broker, tmp_path):
    (tmp_path / "b").mkdir()
    other = Mosquitto(tmp_path / "b")
    bridge = Bridge(broker.port, host=f"127.0.0.1, 127.0.0.1:{other.port}")
    try:
        for dies, lives in ((broker, other), (other, broker)):
            assert bridge.run(bridge.is_connected, 15) and bridge.client.broker == f"127.0.0.1:{dies.port}"
            dies.kill()
            assert bridge.run(bridge.is_not_connected, 5) and f"127.0.0.1:{dies.port}" in bridge.client.trouble_text
            assert bridge.run(bridge.is_connected, 15) and bridge.client.broker == f"127.0.0.1:{lives.port}"
            dies.start()
        assert bridge.client.connects == 3 and bridge.publisher.sessions == 3
    finally:
        other.kill()


@needs_mosquitto
def test_a_connection_that_only_broke_is_made_again_to_the_same_broker(broker, tmp_path):
    bridge = Bridge(broker.port, host=f"127.0.0.1, 127.0.0.1:{free_port()}")
    assert bridge.run(bridge.is_connected)
    bridge.sockets.made[-1].close()
    assert bridge.run(bridge.is_not_connected, 5) and bridge.run(bridge.is_connected, 8)
    assert bridge.client.broker == f"127.0.0.1:{broker.port}" and len(bridge.sockets.made) == 2


@pytest.mark.parametrize(
    ("manners", "code"),
    [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "web_server"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "ssh_server"),
        ("\x15\x03\x01\0\2\2\x46", "speaks_tls"),
        ("220 mail.example ESMTP\r\n", "not_mqtt"),
        ("", "closed_no_login"),
        (None, "no_answer"),
    ],
)
def test_another_server_on_that_port_is_an_outage(manners, code):
    """Another protocol, a connection that is closed at once ("") or nothing at all (None)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server, manners), daemon=True).start()
        bridge = Bridge(server.getsockname()[1])
        assert bridge.run(lambda: bridge.client.trouble not in (None, ("connecting", ())))
        assert not bridge.client.connected and bridge.client.trouble[0] == code
        assert bridge.longest_s < LONGEST_TICK_S


def drain(connection):
    """Read all of the CONNECT, which comes in pieces: unread bytes make the close a reset that may overtake the answer."""
    connection.settimeout(0.2)
    try:
        while connection.recv(4096):
            pass
    except OSError:
        pass


def serve(server, manners):
    kept = []
    while True:
        try:
            kept.append(server.accept()[0])
        except OSError:
            return
        if manners is not None:
            drain(kept[-1])
            kept[-1].sendall(manners.encode())
            kept.pop().close()


def test_a_name_that_cannot_be_found_is_an_outage_in_words():
    bridge = Bridge(1883, host="no-such-broker.invalid")
    assert bridge.run(lambda: bridge.client.trouble != ("connecting", ()))
    assert bridge.client.trouble == ("name_not_found", ("no-such-broker.invalid:1883", False))


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
    assert bridge.run(lambda: bridge.client.trouble == ("wifi_not_found", ("shed",)))
    assert bridge.client.trouble_text.startswith('No Wi-Fi "shed": not found. Is the name correct') and not bridge.sockets.made
    radio.in_reach = True
    assert bridge.run(bridge.is_connected)


@needs_mosquitto
def test_wifi_that_drops_is_joined_again(broker, subscriber):
    radio = Radio()
    radio.in_reach = True
    bridge = Bridge(broker.port, radio=radio)
    assert bridge.run(lambda: subscriber.latest("t/status") == "online")
    radio.connected = False
    bridge.sockets.made[-1].close()
    assert bridge.run(bridge.is_not_connected)
    assert bridge.run(bridge.is_connected)
    assert radio.connected


@needs_mosquitto
def test_whoever_talks_all_the_time_still_hears_and_is_heard(broker, subscriber, monkeypatch):
    monkeypatch.setattr(client_module, "READ_INTERVAL_MS", 0)
    monkeypatch.setattr(client_module, "PING_INTERVAL_MS", 50)
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: bridge.client.connected)
    bridge.publisher.more = [("t/event", "again", False, 0)] * 100000
    subscriber.publish("t/do", "PRESS")
    assert bridge.run(lambda: bridge.commands.heard and bridge.client._pool.last.ping_responses > 2)
    assert bridge.publisher.more


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


def test_what_is_left_is_cleared_ahead_of_what_is_new_also_where_the_broker_takes_its_time(fake):
    def manners(_fake, connection, kind, body):
        if kind != 0xC0:
            return False
        time.sleep(0.3)
        connection.sendall(message("t/bms1/state", b"7", 1) + b"\xd0\0")
        return True

    at = fake(manners)
    bridge = Bridge(at.port, loaded=False, keep=False)
    assert bridge.run(lambda: len(at.published) > 2)
    assert [topic for topic, retained in at.published][:3] == ["t/do", "t/bms1/state", "t/status"]


def test_counters_that_come_long_after_the_subscription_are_heard(fake):
    """Between two brokers a bridge may be slow: the session has begun by then."""
    waiting = []

    def manners(_fake, connection, kind, body):
        if kind == 0x82 and "t/energy" in topics_of(body):
            waiting.append((connection, time.monotonic()))
        return False

    bridge = Bridge(fake(manners).port, loaded=False)
    bridge.store.topics = ("t/energy",)
    assert bridge.run(bridge.is_connected)
    connection, asked = waiting[0]
    assert bridge.run(lambda: time.monotonic() > asked + 1.2)
    connection.sendall(message("t/energy", b"7", 1))
    assert bridge.run(lambda: bridge.store.finished)
    assert bridge.store.heard == [("t/energy", b"7")]


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
    assert sorted(bridge.store.heard) == [("t/energy", b"7"), ("t/state", b"7")]
    assert not bridge.commands.heard


def test_who_may_not_listen_to_his_own_status_is_connected_all_the_same(fake):
    def manners(_fake, connection, kind, body):
        if kind == 0x82 and "t/status" in topics_of(body):
            connection.sendall(suback(body, 0x80))
            return True
        return False

    bridge = Bridge(fake(manners).port)
    assert bridge.run(lambda: bridge.client.connected and not bridge.publisher.more)
    assert bridge.client.connects == 1


@needs_mosquitto
def test_what_stands_on_our_own_status_topics_is_handed_to_whoever_says_it(broker, subscriber):
    bridge = Bridge(broker.port)
    assert bridge.run(lambda: ("t/status", b"online") in bridge.publisher.echoes)  # our own
    subscriber.publish("t/status", "offline", retain=True)
    subscriber.publish("t/bms1/status", "x")
    assert bridge.run(lambda: len(bridge.publisher.echoes) >= 3)
    assert sorted(bridge.publisher.echoes[-2:]) == [("t/bms1/status", b"x"), ("t/status", b"offline")]
    assert not bridge.commands.heard


@needs_mosquitto
@pytest.mark.parametrize("retain_state", [False, True])
def test_states_that_an_older_version_left_retained_are_cleared_once(broker, subscriber, retain_state):
    left = ["t/bms1/state", "t/bms1/status", "t/bms1/connection"]
    for topic in left:
        subscriber.publish(topic, 1100 * "x" if topic == "t/bms1/state" else "old", retain=True)
    subscriber.publish("t/bms1/energy", "{}", retain=True)
    bridge = Bridge(broker.port, loaded=False, keep=retain_state)
    bridge.store.topics = ("t/bms1/energy", "t/bms1/state")
    subscriber.clear()
    assert bridge.run(lambda: bridge.client.connected and not bridge.publisher.more and subscriber.latest("t/event"))
    late = Subscriber(broker.port)
    assert wait_until(lambda: late.latest("t/bms1/energy"))
    time.sleep(0.2)
    kept = {topic for topic, text, _ in late.received if text == "old" or len(text) > 1000}
    assert kept == (set(left) if retain_state else set())
    late.stop()
    assert [text for topic, text, _ in subscriber.received if topic in left] == ([] if retain_state else 3 * [""])
    if not retain_state:  # what is new comes behind that: an empty state would look like none
        assert [topic for topic, _, _ in subscriber.received[-len(INTRODUCTION) :]] == [topic for topic, *_ in INTRODUCTION]


@needs_mosquitto
@pytest.mark.parametrize("sleeps", [False, True])
def test_the_state_of_a_sensor_is_cleared_too_also_where_the_bridge_sleeps(broker, subscriber, sleeps):
    left = ["t/bms1/state", "t/bms1/connection", "t/vedirect1/state", "t/supply/state", "t/bank/state"]
    for topic in left:
        subscriber.publish(topic, "old", retain=True)
    make = SleepingClient if sleeps else MqttClient
    gone = ["t/supply/state", "t/bank/state", "ha/device/daly_x_supply/config"]
    bridge = Bridge(broker.port, loaded=sleeps, keep=False, sources=("vedirect1",), gone=gone, make=make)
    if sleeps:
        bridge.client.clear_retained()
    else:
        bridge.store.topics = ("t/bms1/energy", "t/bms1/state")
        subscriber.publish("t/bms1/energy", "{}", retain=True)
    assert bridge.run(lambda: bridge.client.connected and not bridge.publisher.more and subscriber.latest("t/event"))
    late = Subscriber(broker.port)
    time.sleep(0.3)
    assert "old" not in [text for _, text, _ in late.received]
    late.stop()


@needs_mosquitto
def test_what_is_left_retained_at_the_next_broker_is_cleared_there_too(tmp_path):
    """The counters are known by then, so only this is asked for; and once at each broker."""
    brokers = [Mosquitto(tmp_path), Mosquitto(tmp_path)]
    watchers = [Subscriber(each.port) for each in brokers]
    left = ("t/bms1/state", "t/bms1/connection", "t/outputs/state")
    for watcher in watchers:
        for topic in left:
            watcher.publish(topic, "old", retain=True)
        watcher.publish("t/bms1/energy", "{}", retain=True)
    host = f"127.0.0.1:{brokers[0].port}, 127.0.0.1:{brokers[1].port}"
    bridge = Bridge(brokers[0].port, host=host, loaded=False, keep=False, gone=["t/outputs/state"])
    bridge.store.topics = ("t/bms1/energy", "t/bms1/state")
    try:
        for number, broker in enumerate(brokers):
            watchers[number].clear()
            bridge.publisher.more = [("t/event", str(number), False, 0)]
            assert bridge.run(lambda: bridge.client.connected and watchers[number].latest("t/event"), 30)  # noqa: B023
            assert bridge.run(lambda: bridge.store.finished == number + 1)  # noqa: B023
            late = Subscriber(broker.port)
            assert wait_until(lambda: late.latest("t/bms1/energy"))  # noqa: B023
            time.sleep(0.2)
            assert [topic for topic, text, _ in late.received if text == "old"] == [], number
            late.stop()
            broker.kill()
        assert bridge.store.finished == 2 and not bridge.commands.heard
    finally:
        for each in (*watchers, *brokers):
            each.stop() if each in watchers else each.kill()


@needs_mosquitto
def test_a_connection_that_ends_while_the_broker_is_still_asked_leaves_nothing_for_the_next_one(tmp_path):
    """Else the first broker would be unsubscribed from what only the second one was asked, which ends each connection to it."""
    first, second = Mosquitto(tmp_path), Mosquitto(tmp_path)
    host = f"127.0.0.1:{first.port}, 127.0.0.1:{second.port}"
    bridge = Bridge(first.port, host=host, loaded=False, keep=False)
    try:
        assert bridge.run(lambda: bridge.store.finished == 1)
        first.kill()
        assert bridge.run(lambda: bridge.client.connected and bridge.client.broker.endswith(str(second.port)), 30)
        second.kill()
        assert bridge.run(bridge.is_not_connected) and bridge.store.finished == 1
        first.start()
        assert bridge.run(bridge.is_connected, 20)
        assert bridge.never(bridge.is_not_connected, 2)
    finally:
        first.kill()
        second.kill()


@needs_mosquitto
def test_what_the_settings_do_not_name_any_more_is_cleared(broker, subscriber):
    """Also with MQTT_RETAIN_STATE, and of discovery messages as long as they may be; nothing where nothing was."""
    gone = ["t/outputs/state"] + [f"ha/device/daly_x_outputs_{number}/config" for number in range(2, 22)]
    left = [gone[0], gone[1], gone[12], gone[20]]
    others = ["ha/device/daly_x_outputs/config", "t/vedirect1/state"]
    for topic in left + others:
        subscriber.publish(topic, "old" + 4000 * "x", retain=True)
    bridge = Bridge(broker.port, loaded=False, gone=gone)
    bridge.store.topics = ("t/bms1/energy",)
    subscriber.publish("t/bms1/energy", "{}", retain=True)
    subscriber.clear()
    assert bridge.run(lambda: bridge.client.connected and not bridge.publisher.more and subscriber.latest("t/event"))
    assert [(topic, text) for topic, text, _ in subscriber.received if topic in gone + others] == [
        (topic, "") for topic in left
    ]
    assert not bridge.commands.heard


EIGHT = ("bms1", "bms2", "bms3", "bms16", "bms201", "bms202", "bms301", "bms316")


@needs_mosquitto
def test_the_topics_of_eight_batteries_and_their_bank_are_watched_as_those_of_one(broker, subscriber):
    left = [f"t/{key}/{end}" for key in EIGHT for end in ("state", "status", "connection")] + ["t/bank/state"]
    counters = tuple(f"t/{key}/energy" for key in EIGHT)
    for topic in left:
        subscriber.publish(topic, "old" + 1100 * "x" * topic.endswith("state"), retain=True)
    for topic in counters:
        subscriber.publish(topic, "{}", retain=True)
    bridge = Bridge(broker.port, loaded=False, keep=False, keys=EIGHT)
    bridge.store.topics = counters + tuple(f"t/{key}/state" for key in EIGHT)
    subscriber.clear()
    assert bridge.run(lambda: bridge.client.connected and not bridge.publisher.more and subscriber.latest("t/event"))
    assert {topic for topic, _ in bridge.store.heard} >= set(counters)
    late = Subscriber(broker.port)
    assert wait_until(lambda: late.latest("t/bms316/energy"))
    time.sleep(0.2)
    assert not [topic for topic, text, _ in late.received if text.startswith("old")]
    late.stop()
    bridge.publisher.echoes.clear()
    for key in EIGHT:
        subscriber.publish(f"t/{key}/status", "x")
    assert bridge.run(lambda: len(bridge.publisher.echoes) >= 8)
    assert sorted(bridge.publisher.echoes) == sorted((f"t/{key}/status", b"x") for key in EIGHT)
    assert not bridge.commands.heard


@needs_mosquitto
def test_two_with_one_client_id_slow_down_and_say_so(broker, monkeypatch):
    clock = Hurry(10)
    monkeypatch.setattr(client_module, "ticks_ms", clock)
    monkeypatch.setattr(transport, "ticks_ms", clock)
    twins = [Bridge(broker.port, clock=clock, name="daly-twin") for _ in range(2)]
    troubles = []

    def both():
        for twin in twins:
            twin.tick()
            troubles.append(twin.client.trouble)
        return False

    def is_told():
        return any(trouble and trouble[0].startswith("short_sessions") and "daly-twin" in trouble[1] for trouble in troubles)

    assert never(both, 3)  # 30 s
    assert sum(len(twin.sockets.made) for twin in twins) <= 12
    assert wait_until(lambda: both() or is_told())


def test_a_broker_that_ends_the_connection_for_one_message_is_asked_less_often_in_words(fake, monkeypatch):
    def manners(_fake, connection, kind, body):
        if kind & 0xF0 == 0x30 and body[2:10] == b"t/config":
            connection.close()
            return True
        return False

    broker = fake(manners)
    clock = Hurry(10)
    monkeypatch.setattr(client_module, "ticks_ms", clock)
    monkeypatch.setattr(transport, "ticks_ms", clock)
    bridge = Bridge(broker.port, clock=clock)
    troubles = set()

    def tick():
        bridge.tick()
        troubles.add(bridge.client.trouble)
        if bridge.client.connected and not bridge.publisher.more:
            bridge.publisher.more = [("t/config", 2345 * b"x", True, 1)]

    def is_told():
        return any(
            each and each[0] == "short_sessions_same_message" and each[1][2:4] == (2345, "t/config") for each in troubles
        )

    never(tick, 3)
    assert len(broker.connects) <= 8
    assert wait_until(lambda: tick() or is_told()), troubles


def test_a_session_that_has_lived_is_followed_within_seconds_and_a_short_one_is_not_for_ever(fake, monkeypatch):
    clock = Hurry(50)
    monkeypatch.setattr(client_module, "RESPONSE_TIMEOUT_S", 60)  # 1.2 s of a PC that has other things to do
    # the middle of each back-off: with a random one this failed once in eight runs
    monkeypatch.setattr(client_module, "_jittered", lambda most_ms: most_ms // 2)
    kept = []
    monkeypatch.setattr(client_module, "ticks_ms", clock)
    monkeypatch.setattr(transport, "ticks_ms", clock)

    def manners(_fake, connection, kind, _body):
        if kind & 0xF0 == 0x10:
            kept.append(connection)
        return False

    broker = fake(manners)
    bridge = Bridge(broker.port, clock=clock)

    def pause(life_s):
        assert bridge.run(bridge.is_connected)
        bridge.never(lambda: False, life_s / 50)
        kept[-1].shutdown(socket.SHUT_RDWR)
        begun = time.monotonic()
        count = len(broker.connects)
        assert bridge.run(lambda: len(broker.connects) > count)
        return 50 * (time.monotonic() - begun)

    # the shortest of three: 5 s are a tenth of a second here, and a machine may be busy with other things
    assert min(pause(70) for _ in range(3)) < 5
    short = [pause(1) for _ in range(5)]
    assert short[-1] > 8 and sum(short) > 20
    last = []
    while len(last) < 3 and not any(seconds < 5 for seconds in last):
        assert bridge.run(bridge.is_connected) and bridge.never(bridge.is_not_connected, 2)  # 100 s
        last.append(pause(1))
    assert min(last) < 5


@needs_mosquitto
def test_a_broker_without_retained_messages_is_got_on_with(tmp_path):
    broker = Mosquitto(tmp_path, lines=["retain_available false"])
    bridge = Bridge(broker.port)
    subscriber = Subscriber(broker.port)
    assert bridge.run(lambda: subscriber.latest("t/event"), 20)
    subscriber.clear()
    bridge.publisher.more = list(INTRODUCTION)
    assert bridge.run(lambda: subscriber.latest("t/event"), 20) and subscriber.latest("t/status") == "online"
    assert bridge.client.connects == 1
    subscriber.stop()
    broker.kill()


@needs_mosquitto
def test_a_broker_that_only_hangs_up_for_a_while_is_not_taken_for_one_without_retained_messages(tmp_path):
    broker = Mosquitto(tmp_path)
    broker.kill()
    with socket.create_server(("127.0.0.1", broker.port)) as server:
        threading.Thread(target=serve, args=(server, ""), daemon=True).start()
        bridge = Bridge(broker.port)
        assert bridge.run(lambda: len(bridge.sockets.made) == 2 and bridge.client._pool.last._socket is None, 12)
        server.shutdown(socket.SHUT_RDWR)
    broker.start()
    assert bridge.run(bridge.is_connected, 20) and bridge.run(lambda: not bridge.publisher.more)
    late = Subscriber(broker.port)
    assert wait_until(lambda: ("t/status", "online", True) in late.received)
    late.stop()
    broker.kill()


def test_a_command_that_the_end_of_the_link_overtakes_is_answered(fake):
    bridge = Bridge(fake(lambda *_: False).port)
    assert bridge.run(bridge.is_connected)
    bridge.client._inbox.append(("t/do", b"PRESS", False))
    bridge.client._fail(OSError(104, "closed"))
    assert [topic for topic, _ in bridge.commands.refused] == ["t/do"] and not bridge.commands.heard


# words


class GaierrorFake(OSError):
    pass


GaierrorFake.__name__ = "gaierror"
LOOKUP = GaierrorFake(-2, "Name or service not known")
FAILURES = [  # what is raised, settings, whether the connection was open -> the code, and what its sentence must have
    (LOOKUP, 'MQTT_BROKER = "fd12:3456:789a::10"', False, "name_ipv6", ["IPv4"]),
    (OSError(118, "x"), 'MQTT_BROKER = "[fd12::10]"', False, "name_ipv6", ["IPv4"]),
    (LOOKUP, 'MQTT_BROKER = "homeassistant.local"', False, "name_local", ["name not found", ".local", "IP address"]),
    (LOOKUP, 'MQTT_BROKER = "nas"', False, "name_short", ["name not found", "IP address"]),
    (OSError(104, "closed"), "MQTT_PORT = 8883", False, "closed_tls_port", ["TLS", "1883"]),
    (OSError(104, "x"), "", False, "closed_no_login", ["connection closed", "MQTT_USERNAME", "TLS", "retained", "QoS"]),
    (OSError(104, "x"), 'MQTT_USERNAME = "a"', False, "closed_login", ["connection closed", "MQTT_USERNAME", "TLS"]),
    (OSError(128), "", False, "closed_no_login", ["connection closed"]),
    (OSError(128), "", True, "closed", ["connection closed"]),
    (OSError(116), "", False, "no_answer", ["no answer"]),
    (OSError(11, "no_answer"), "", True, "no_answer", ["no answer"]),
    (OSError(113, "no_address"), "", False, "no_address", ["DHCP"]),
    (OSError(110, "send_blocked"), "", True, "send_blocked", ["does not read"]),
    (OSError(9, "speaks_tls"), "", False, "speaks_tls", ["MQTT_TLS = true"]),
    (OSError(9, "web_server"), "", False, "web_server", ["MQTT_PORT"]),
    (OSError(118), "", False, "unreachable", ["not reachable"]),
    (OSError(111), "", False, "refused", ["connection refused"]),
    (AssertionError(), "", False, "not_mqtt_3_1_1", ["MQTT 5", "MQTT_PORT"]),
    (KeyError(132), "", False, "rejected_protocol", ["MQTT 5"]),
    (KeyError(133), "", False, "rejected_client_id", ["client id daly-x", "BRIDGE_ID"]),
    (KeyError(133), 'MQTT_CLIENT_ID = "x-{id}"', False, "rejected_client_id", ["another BRIDGE_ID"]),
    (KeyError(133), 'MQTT_CLIENT_ID = "same"', False, "rejected_client_id", ["another MQTT_CLIENT_ID"]),
    (KeyError(3), "", False, "rejected_not_ready", ["not available"]),
    (KeyError(134), 'MQTT_USERNAME = "a"', False, "login_wrong", ["refuses MQTT_USERNAME or MQTT_PASSWORD"]),
    (KeyError(5), "", False, "login_missing", ["MQTT_USERNAME", "not set"]),
    (KeyError(77), "", False, "rejected_unknown", ["MQTT 5"]),
    (RuntimeError("Out of sockets"), "", False, "no_memory", ["socket"]),
    (MemoryError("memory allocation failed, allocating 4096 bytes"), "", False, "no_memory", ["memory"]),
    (OSError(-0x7780, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"), "MQTT_TLS = true", False, "tls_failed", ["TLS", "MQTT_PORT"]),
    (
        OSError(-0x2700, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED"),
        "MQTT_TLS = true",
        False,
        "certificate_unknown",
        ["MQTT_CA_FILE"],
    ),
    (OSError(4711), "", False, "failed", ["failed"]),
    (IndexError("bytearray index out of range"), "", True, "failed", ["failed"]),
]


@pytest.mark.parametrize(("error", "settings", "was_open", "code", "words"), FAILURES)
def test_every_failure_has_a_code_and_a_sentence_of_ours(error, settings, was_open, code, words):
    broker = "" if "MQTT_BROKER" in settings else 'MQTT_BROKER = "10.0.0.9"\n'
    parsed = Settings(broker + settings)
    parsed.MQTT_BROKER = settings.split('"')[1] if "MQTT_BROKER" in settings else "10.0.0.9"
    rejected = error.args[0] if isinstance(error, KeyError) else None
    broker = (parsed.MQTT_BROKER, parsed.MQTT_PORT)
    found, details = broker_trouble(parsed, broker, error, was_open, rejected, "daly-x")
    assert found == code
    text = sentence(found, details)
    assert [word for word in words if word not in text] == []
    assert f"{parsed.MQTT_BROKER}:{parsed.MQTT_PORT}" in text
    assert "Error" not in text and "errno" not in text.lower() and "MBEDTLS" not in text
    for number in ("104", "111", "116", "118", "128", "132", "133", "134", "4711", "4096", "77"):
        assert number not in text


RADIO = [
    ("Authentication failure", "wifi_password", "CIRCUITPY_WIFI_PASSWORD"),
    ("No network with that ssid", "wifi_not_found", "2.4 GHz"),
    ("Unknown failure 15", "wifi_password", "CIRCUITPY_WIFI_PASSWORD"),
    ("Unknown failure 204", "wifi_password", "CIRCUITPY_WIFI_PASSWORD"),
    ("Unknown failure 201", "wifi_not_found", "2.4 GHz"),
    ("Unknown failure 3", "wifi_rejected", "rejects the board"),
    ("Unknown failure 200", "wifi_weak", "closer together"),
    ("Unknown failure 210", "wifi_security", "WPA2"),
    ("Unknown failure 1", "wifi_failed", "joining failed"),
    ("WiFi password length must be 8-63", "wifi_length", "CIRCUITPY_WIFI_SSID"),
]


@pytest.mark.parametrize(("text", "code", "words"), RADIO)
def test_each_of_the_radios_failures_has_a_code_and_a_sentence(text, code, words):
    trouble = wifi_trouble("cellar", ConnectionError(text))
    assert trouble == (code, ("cellar",)) and words in sentence(*trouble)


@pytest.mark.parametrize("number", [*range(1, 35), 53, *range(200, 213), 255])
def test_no_number_of_the_radio_is_in_the_sentence(number):
    text = sentence(*wifi_trouble("cellar", ConnectionError(f"Unknown failure {number}")))
    assert text.startswith('No Wi-Fi "cellar": ') and len(text) > 40
    assert str(number) not in text.replace("WPA2", "").replace("2.4", "") and "failure" not in text


def test_a_join_that_times_out_is_no_answer():
    assert wifi_trouble("x", OSError(110, "no answer")) == ("wifi_no_answer", ("x",))


@pytest.mark.parametrize(
    ("settings", "code"),
    [("", "broker_not_set"), ('MQTT_BROKER = "10.0.0.9"\nMQTT_TLS = true', "tls_not_possible")],
)
def test_settings_with_which_no_connection_is_possible_are_a_trouble_from_the_start(settings, code):
    parsed = Settings(settings)
    parsed.base_topic = "t"
    sockets = Sockets()
    client = MqttClient(parsed, wifi.radio, sockets, FakePublisher(), FakeCommands(), FakeStore(), "x")
    for _ in range(5):
        client.tick(ticks_ms())
    assert client.trouble == (code, ()) and "MQTT_" in client.trouble_text and not sockets.made


class RadioOfAPage:
    """A Wi-Fi that is joined at the second attempt; `address` None: the router gives none."""

    def __init__(self):
        self.connected = False
        self.address = "10.0.0.7"
        self.attempts = 0

    @property
    def ipv4_address(self):
        return self.address if self.connected else None

    def connect(self, ssid, password, timeout):
        self.attempts += 1
        if self.attempts % 2:
            raise ConnectionError("No network with that ssid")
        self.connected = True


def page_client(text):
    settings = Settings(f'CIRCUITPY_WIFI_SSID = "cellar"\nWEB_PORT = 80\n{text}')
    settings.base_topic = "t"
    store = FakeStore()
    store.loaded = False
    radio = RadioOfAPage()
    return MqttClient(settings, radio, Sockets(), FakePublisher(), FakeCommands(), store, "x"), radio, store


def test_without_a_broker_the_wifi_is_joined_for_the_page_and_again_when_it_is_lost():
    client, radio, store = page_client("")
    assert client.trouble[0] == "connecting"
    client.tick(0)
    assert client.trouble == ("wifi_not_found", ("cellar",)) and store.loaded
    for now in range(0, 6000, 20):
        client.tick(ticks_ms() + now)
    assert radio.connected and client.trouble is None and not client.connected and client.trouble_text == ""
    radio.connected = False
    for now in range(6000, 12000, 20):
        client.tick(ticks_ms() + now)
    assert radio.connected and client.trouble is None and radio.attempts == 4


def test_without_an_address_from_the_router_there_is_no_page():
    client, radio, _store = page_client("")
    radio.attempts = 1
    radio.address = None
    client.tick(0)
    assert radio.connected and client.trouble == ("wifi_no_answer", ("cellar",))


def test_where_tls_is_not_possible_the_page_says_so_and_the_counters_stay_unknown():
    client, radio, store = page_client('MQTT_BROKER = "10.0.0.9"\nMQTT_TLS = true')
    radio.attempts = 1
    client.tick(0)
    assert radio.connected and client.trouble == ("tls_not_possible", ()) and not store.loaded


def test_the_sentences_do_not_stay_in_memory():
    import mqtt

    bridge = Bridge(free_port())
    assert bridge.run(lambda: bridge.client.trouble[0] == "refused") and "refused" in bridge.client.trouble_text
    assert "mqtt.trouble" not in sys.modules and not hasattr(mqtt, "trouble")
