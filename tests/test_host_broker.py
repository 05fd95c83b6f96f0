# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The emulator's broker, byte by byte and with a real client: what MQTT 3.1.1 asks for."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from host.broker import Broker, Connection, is_valid, matches

ROOT = Path(__file__).resolve().parent.parent


def string(text):
    return len(text).to_bytes(2, "big") + text.encode()


def connect(name="one", keep_alive=15, will=None):
    flags, rest = (0x02, b"") if will is None else (0x26, string(will[0]) + string(will[1]))
    body = string("MQTT") + bytes((4, flags)) + keep_alive.to_bytes(2, "big") + string(name) + rest
    return bytes((0x10, len(body))) + body


def publish(topic, payload, first=0x30, packet_id=b""):
    body = string(topic) + packet_id + payload
    return bytes((first, len(body))) + body


def subscribe(pattern):
    body = b"\0\7" + string(pattern) + b"\0"
    return bytes((0x82, len(body))) + body


@pytest.fixture
def broker():
    return Broker()


def joined(broker, *packets, now=0.0, **options):
    """A connection that has sent CONNECT and these packets, and what came back to the latter."""
    connection = Connection(broker, now)
    connection.receive(connect(**options), now)
    assert bytes(connection.outgoing) == b"\x20\x02\0\0"
    return connection, talk(connection, *packets, now=now)


def talk(connection, *packets, now=0.0):
    connection.outgoing.clear()
    connection.receive(b"".join(packets), now)
    return bytes(connection.outgoing)


def test_a_message_reaches_its_subscribers_and_only_them(broker):
    one, granted = joined(broker, subscribe("a/+"), name="one")
    other, _ = joined(broker, subscribe("b/#"), name="other")
    assert granted == b"\x90\x03\0\7\0"
    one.outgoing.clear()
    other.outgoing.clear()
    joined(broker, publish("a/x", b"12"), name="third")
    assert bytes(one.outgoing) == b"\x30\x07\0\x03a/x12"
    assert not other.outgoing


def test_what_is_retained_comes_with_its_flag_to_who_subscribes_later_until_it_is_cleared(broker):
    joined(broker, publish("a", b"1", 0x31))
    assert joined(broker, subscribe("#"), name="two")[1].endswith(b"\x31\x04\0\x01a1")
    joined(broker, publish("a", b"", 0x31))
    assert joined(broker, subscribe("#"), name="two")[1] == b"\x90\x03\0\7\0"


def test_each_byte_may_come_alone(broker):
    heard = []
    broker = Broker(lambda topic, payload: heard.append((topic, payload)))
    connection = Connection(broker)
    for byte in connect() + publish("long", bytes(100)) + publish("q", b"1", 0x32, b"\0\5"):
        connection.receive(bytes((byte,)), 0)
    assert heard == [("long", bytes(100)), ("q", b"1")]
    assert bytes(connection.outgoing) == b"\x20\x02\0\0\x40\x02\0\5"


def test_quality_two_is_delivered_once(broker):
    heard = []
    broker = Broker(lambda topic, payload: heard.append(payload))
    connection, answer = joined(broker, publish("q", b"1", 0x34, b"\0\5"), publish("q", b"1", 0x3C, b"\0\5"))
    assert heard == [b"1"] and answer == b"\x50\x02\0\5" * 2
    assert talk(connection, b"\x62\x02\0\5", publish("q", b"2", 0x34, b"\0\5")) == b"\x70\x02\0\5\x50\x02\0\5"
    assert heard == [b"1", b"2"]


def test_the_will_is_published_when_the_connection_breaks_and_not_after_a_farewell(broker):
    joined(broker, name="polite", will=("w", "polite gone"))[0].receive(b"\xe0\0", 0)
    assert broker.retained == {}
    joined(broker, name="rude", will=("w", "rude gone"))[0].close()
    assert broker.retained == {"w": b"rude gone"}


def test_a_silent_client_is_given_up_after_one_and_a_half_keep_alives(broker):
    connection, _ = joined(broker, keep_alive=10, will=("w", "gone"), now=100.0)
    broker.check_keep_alive(114.9)
    assert connection.is_open
    assert talk(connection, b"\xc0\0", now=110.0) == b"\xd0\0"
    broker.check_keep_alive(124.9)
    assert connection.is_open
    broker.check_keep_alive(125.1)
    assert not connection.is_open and broker.retained == {"w": b"gone"} and broker.connections == []


def test_a_second_client_of_the_same_name_takes_over(broker):
    first, _ = joined(broker, will=("w", "gone"))
    second, _ = joined(broker)
    assert not first.is_open and second.is_open and broker.retained == {"w": b"gone"}


@pytest.mark.parametrize(
    "data",
    [
        publish("a", b"1"),  # before CONNECT
        connect() + connect(name="again"),
        connect() + publish("a/#", b"1"),
        connect() + b"\x30\xff\xff\xff\xff\x7f",
        connect() + b"\x30\x02\0\x09",
        connect() + b"\xf0\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_mqtt_ends_the_connection(broker, data):
    connection = Connection(broker)
    connection.receive(data, 0)
    assert not connection.is_open and broker.connections == []


def test_another_version_is_refused_by_its_code(broker):
    connection = Connection(broker)
    connection.receive(connect().replace(b"MQTT\x04", b"MQTT\x05"), 0)
    assert bytes(connection.outgoing) == b"\x20\x02\0\x01" and not connection.is_open


def test_a_filter_that_is_none_is_refused(broker):
    assert joined(broker, subscribe("a/#/b"))[1] == b"\x90\x03\0\7\x80"


@pytest.mark.parametrize(
    ("pattern", "topic", "covers"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a", "a/b", False),
    ],
)
def test_wildcards(pattern, topic, covers):
    assert matches(pattern, topic) is covers


@pytest.mark.parametrize(("pattern", "valid"), [("a/+/b/#", True), ("#", True), ("a+", False), ("#/a", False), ("", False)])
def test_filters(pattern, valid):
    assert is_valid(pattern) is valid


def test_a_real_client_over_the_network():
    command = [sys.executable, "-m", "host.broker", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        received, ready = [], threading.Event()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.on_message = lambda _client, _data, message: received.append((message.topic, message.payload, message.retain))
        client.on_subscribe = lambda *_: ready.set()
        client.connect("127.0.0.1", port)
        client.loop_start()
        client.publish("kept", b"0", 1, True).wait_for_publish(10)
        client.subscribe([("kept", 0), ("live/#", 2)])
        assert ready.wait(10)
        for quality in (0, 1, 2):
            client.publish(f"live/{quality}", bytes(200 * quality), quality).wait_for_publish(10)
        end = time.monotonic() + 10
        while len(received) < 4 and time.monotonic() < end:
            time.sleep(0.005)
        client.disconnect()
        client.loop_stop()
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
    assert received == [("kept", b"0", True), *((f"live/{quality}", bytes(200 * quality), False) for quality in (0, 1, 2))]
