# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Messages from the broker: exact words on known topics are carried out, everything else is refused in a sentence."""

import socket
import sys
import threading
from types import SimpleNamespace

import pytest
import wifi
from adafruit_ticks import ticks_ms
from hypothesis import given
from hypothesis import strategies as st
from mosquitto import wait_until
from socketpool import SocketPool

from app import clock as clock_module
from app.clock import Clock
from app.settings import Settings
from mqtt.client import MqttClient
from mqtt.commands import MAX_PAYLOAD, Commands, printable

PRESS = "daly/x/diagnostics/set"
LEVEL = "daly/x/soc/set"
BIRTH = "homeassistant/status"


class Desk:
    """Commands with three things to ask for; `done` is what was carried out."""

    def __init__(self):
        self.done = []
        self.told = []
        self.commands = Commands(lambda name, reason: self.told.append((name, reason)))
        self.commands.add(PRESS, ("PRESS",), self._do)
        self.commands.add(LEVEL, "a number", self._do_if_number, name="Level")
        self.commands.add(BIRTH, ("online", "offline"), self._do, ours=False)

    def take(self, topic, payload, retained=False, now=5):
        self.commands.execute(topic, payload, retained, now)
        return self.done

    def _do(self, word, now):
        self.done.append((word, now))

    def _do_if_number(self, word, now):
        if not word.isdigit():
            return "a number is understood"
        return self._do(word, now)


@pytest.fixture
def desk():
    return Desk()


def test_an_exact_word_is_carried_out(desk, capsys):
    assert desk.take(PRESS, b"PRESS") == [("PRESS", 5)]
    assert desk.take(LEVEL, bytearray(b"57"))[1:] == [("57", 5)]
    assert desk.take(BIRTH, b"online")[2:] == [("online", 5)]
    said = ["daly/x/diagnostics/set: PRESS", "daly/x/soc/set: 57", "homeassistant/status: online"]
    assert capsys.readouterr().out.splitlines() == ["Message on " + text for text in said], "each once"


@pytest.mark.parametrize(
    ("topic", "payload", "says"),
    [
        (PRESS, b"press", "PRESS is understood"),
        (PRESS, b"PRESS ", "PRESS is understood"),
        (PRESS, b"PRESS\0", "PRESS is understood"),
        (PRESS, b"\xff\xfe", '"??"'),
        (PRESS, b"PRESS" * 400, "..."),
        (LEVEL, b"1" * (MAX_PAYLOAD + 1), "a number is understood"),
        (LEVEL, b"lots", "a number is understood"),
        (LEVEL, "१".encode(), "a number is understood"),
        (BIRTH, b"ONLINE", "online or offline"),
        ("daly/x/elsewhere", b"PRESS", "not a command"),
        (PRESS + "\x1b[2J", b"PRESS", "not a command"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(desk, capsys, topic, payload, says):
    assert desk.take(topic, payload) == []
    said = capsys.readouterr().out
    assert says in said and len(said) < 200 and said.count("\n") == 1
    assert said.strip().isprintable() and said.isascii()


def test_what_was_retained_is_never_carried_out(desk, capsys):
    assert desk.take(PRESS, b"PRESS", retained=True) == []
    assert "retain" in capsys.readouterr().out
    assert desk.take(BIRTH, b"online", retained=True) == []  # some have their birth message retained: no reason to complain
    assert capsys.readouterr().out == ""


def test_what_has_a_name_is_refused_where_all_can_read_it(desk):
    desk.take(LEVEL, b"57")
    desk.take(PRESS, b"press")
    assert desk.told == []
    for payload, retained in ((b"lots", False), (b"\xff", False), (b"57", True)):
        desk.take(LEVEL, payload, retained)
    assert [name for name, _ in desk.told] == 3 * ["Level"]
    assert [reason.split()[0] for _, reason in desk.told] == ["a", "a", "it"]


def test_an_empty_message_is_somebody_clearing_the_topic(desk, capsys):
    assert desk.take(PRESS, b"") == []
    assert capsys.readouterr().out == ""


def test_only_our_own_topics_are_cleared(desk):
    assert sorted(desk.commands.topics()) == sorted([PRESS, LEVEL, BIRTH])
    assert sorted(desk.commands.own_topics()) == sorted([PRESS, LEVEL])


TOPICS = st.one_of(st.sampled_from([PRESS, LEVEL, BIRTH]), st.text())
PAYLOADS = st.one_of(st.binary(max_size=1200), st.sampled_from([b"PRESS", b"online", b"57"]), st.text().map(str.encode))


@given(st.lists(st.tuples(TOPICS, PAYLOADS, st.booleans()), max_size=20))
def test_nothing_that_arrives_raises_and_nothing_but_the_words_is_done(messages):
    desk = Desk()
    for topic, payload, retained in messages:
        desk.take(topic, payload, retained)
    wanted = [
        payload.decode()
        for topic, payload, retained in messages
        if not retained
        and (
            (topic == PRESS and payload == b"PRESS")
            or (topic == BIRTH and payload in (b"online", b"offline"))
            or (topic == LEVEL and payload.isdigit() and len(payload) <= MAX_PAYLOAD)
        )
    ]
    assert [word for word, _ in desk.done] == wanted


@given(st.binary(max_size=2000))
def test_shown_is_short_and_printable(payload):
    assert len(printable(payload)) <= 43 and printable(payload).isascii() and (not payload or printable(payload).isprintable())


def forbidding_broker(server, heard):
    """A broker that lets everybody in and nobody subscribe; `heard` are the first bytes of the packets."""
    client, _ = server.accept()
    with client, client.makefile("rb") as stream:
        while packet := stream.read(2):
            length = packet[1]  # all are short here
            body = stream.read(length)
            heard.append(packet[0])
            if packet[0] == 0x10:
                client.sendall(b"\x20\x02\x00\x00")
            elif packet[0] == 0x82:
                topics, at = 0, 2
                while at < length:
                    topics, at = topics + 1, at + 3 + (body[at] << 8 | body[at + 1])
                client.sendall(bytes([0x90, 2 + topics]) + body[:2] + b"\x80" * topics)


def test_a_broker_that_forbids_to_subscribe_is_published_to_all_the_same(capsys):
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=forbidding_broker, args=(server, heard), daemon=True).start()
        settings = Settings(f'MQTT_BROKER = "127.0.0.1"\nMQTT_PORT = {server.getsockname()[1]}')
        settings.base_topic = "x"
        messages = [("x/state", "1", True, 0)]
        publisher = SimpleNamespace(
            begin=lambda now: None,
            poll=lambda now: messages.pop() if messages else None,
            has_news=lambda: bool(messages),
            is_loading=lambda: False,
        )
        keeper = SimpleNamespace(loaded=True, topics=(), report_gone=lambda: None, finish=lambda: None)
        session = MqttClient(settings, wifi.radio, SocketPool(wifi.radio), publisher, Desk().commands, keeper, "x")
        assert wait_until(lambda: session.tick(ticks_ms()) or 0x31 in heard[3:], 5), heard
        assert heard[:4] == [0x10, 0x31, 0x31, 0x82]  # connect, two topics cleared, subscribe
        assert session.connected and "access rules" in capsys.readouterr().out


# always an answer


def test_a_command_that_fails_inside_is_answered_and_the_next_one_is_heard(capsys):
    told = []
    commands = Commands(lambda name, reason: told.append((name, reason)))

    def fail(word, now):
        raise RuntimeError("Out of sockets")

    commands.add("t/fail", ("PRESS",), fail, name="It")
    for _ in range(2):  # the loop says what the bug is
        with pytest.raises(RuntimeError):
            commands.execute("t/fail", b"PRESS", False, 0)
    assert [name for name, _ in told] == ["It", "It"] and "failed inside" in told[0][1]
    commands.refuse("t/fail", "the link broke")
    commands.refuse("nobody's\x00 topic", "the link broke")
    assert told[2:] == [("It", "the link broke")] and "nobody" not in capsys.readouterr().out


class NoSocket:
    AF_INET = SOCK_DGRAM = 2

    def __init__(self, error):
        self.error = error

    def getaddrinfo(self, *_):
        return [(2, 2, 0, "", ("192.0.2.1", 123))]

    def socket(self, *_):
        raise self.error


FAILURES = [RuntimeError("Out of sockets"), MemoryError(), OSError(118), IndexError(), KeyError("x"), TypeError()]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_without_the_time_there_is_one_report_and_it_is_in_words(error, capsys):
    assert Clock(NoSocket(error), "pool.ntp.org", 0).now() is None
    told = capsys.readouterr().out
    assert told.startswith("NTP: no time from pool.ntp.org: ") and "Error" not in told and "118" not in told


class Answer:
    """A time server's answer: 2026-11-27 05:44:15 UTC."""

    utc_ns = 1795758255 * 1000000000

    def __init__(self, *_, **__):
        pass


def test_the_time_of_a_reading_is_known_for_a_day_after_a_server_was_asked(monkeypatch):
    now = [1 << 29]
    monkeypatch.setattr(clock_module, "ticks_ms", lambda: now[0] % (1 << 29))
    monkeypatch.setitem(sys.modules, "adafruit_ntp", SimpleNamespace(NTP=Answer))
    clock = Clock(None, "10.0.0.1", 60)
    assert clock.utc(5) is None
    assert clock.now() == (2026, 11, 27, 6, 44, 15)
    assert clock.utc(0) == "2026-11-27T05:44:15Z"
    assert clock.utc((1 << 29) - 2000) == "2026-11-27T05:44:13Z"  # a reading from before
    assert clock.utc(20 * 3600000) == "2026-11-28T01:44:15Z"
    assert clock.utc(25 * 3600000) is None and clock.utc(1000) is None
