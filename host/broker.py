# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The MQTT 3.1.1 broker: `python -m host.broker` prints its port and runs until standard input closes.

A line `off` there ends all connections and refuses new ones, until a line `on`.

A process of its own, so that it continues while the stand-in chip resets, and ends with the host. It listens on this
computer only. `Broker` itself has no I/O and no clock, so that it works in simulated time, too (host/simulated_network.py):
retained messages, last wills, keep-alive, takeover of a client id, QoS 0 to 2 from clients. It delivers with QoS 0, keeps no
sessions, and accepts every user.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import struct
import sys
import time
from collections.abc import Callable

ADDRESS = "127.0.0.1"
MAX_PACKET = 1 << 20
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0
MQTT_3_1_1 = b"\x00\x04MQTT\x04"
WRONG_VERSION = 1  # return code of CONNACK
REFUSED = 0x80  # return code of SUBACK


class ProtocolError(Exception):
    """A client sent something that is not MQTT 3.1.1: its connection ends."""


class Broker:
    """Retained messages and the connections. `on_publish(topic, payload)` is called with every message."""

    def __init__(self, on_publish: Callable[[str, bytes], None] = lambda topic, payload: None):
        self.retained: dict[str, bytes] = {}
        self.connections: list[Connection] = []
        self._on_publish = on_publish

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Deliver to all subscribers; `retain`: also keep it, or with an empty payload delete what was kept."""
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        self._on_publish(topic, payload)
        for connection in self.connections:
            if connection.wants(topic):
                connection.deliver(topic, payload, False)

    def check_keep_alive(self, now: float) -> None:
        """End the connections of clients that sent nothing for one and a half times their keep-alive."""
        for connection in list(self.connections):
            if connection.keep_alive_s and now - connection.received_at > 1.5 * connection.keep_alive_s:
                connection.close()


class Connection:
    """One client: `receive` takes its bytes, `outgoing` are those for it. `is_open` is false once the connection has ended."""

    def __init__(self, broker: Broker, now: float = 0.0):
        self.outgoing = bytearray()
        self.is_open = True
        self.client_id = ""
        self.keep_alive_s = 0
        self.received_at = now
        self._broker = broker
        self._incoming = bytearray()
        self._filters: list[str] = []
        self._will: tuple[str, bytes, bool] | None = None
        self._unreleased: set[bytes] = set()  # packet ids of QoS 2 whose PUBREL has not come
        self._is_connected = False

    def receive(self, data: bytes, now: float) -> None:
        """Process bytes of the client, any part of its packets, at time `now` in seconds."""
        self.received_at = now
        self._incoming += data
        try:
            while self.is_open and (packet := self._take_packet()):
                self._handle(*packet)
        except (ProtocolError, UnicodeError, struct.error, IndexError):
            self.close()

    def close(self) -> None:
        """The connection has ended, by either side: the last will is published, unless the client has sent DISCONNECT."""
        if not self.is_open:
            return
        self.is_open = False
        if self in self._broker.connections:
            self._broker.connections.remove(self)
        if self._will is not None:
            self._broker.publish(*self._will)

    def wants(self, topic: str) -> bool:
        """Whether one of the client's subscriptions covers the topic."""
        return any(matches(pattern, topic) for pattern in self._filters)

    def deliver(self, topic: str, payload: bytes, retained: bool) -> None:
        """Send a message to the client."""
        name = topic.encode()
        self.outgoing += packet(PUBLISH | retained, struct.pack(">H", len(name)) + name + payload)

    def _take_packet(self) -> tuple[int, bytes] | None:
        if self._incoming and not self._is_connected and self._incoming[0] & 0xF0 != CONNECT:
            raise ProtocolError
        length = 0
        for at in range(1, len(self._incoming)):
            if at == 5:
                raise ProtocolError
            length |= (self._incoming[at] & 0x7F) << 7 * (at - 1)
            if not self._incoming[at] & 0x80:
                break
        else:
            return None
        if length > MAX_PACKET:
            raise ProtocolError
        end = at + 1 + length
        if len(self._incoming) < end:
            return None
        first, body = self._incoming[0], bytes(self._incoming[at + 1 : end])
        del self._incoming[:end]
        return first, body

    def _handle(self, first: int, body: bytes) -> None:
        kind = first & 0xF0
        if (kind == CONNECT) == self._is_connected:
            raise ProtocolError
        if kind == CONNECT:
            self._connect(body)
        elif kind == PUBLISH:
            self._receive_message(first, body)
        elif kind == PUBREL:
            self._unreleased.discard(body[:2])
            self.outgoing += packet(PUBCOMP, body[:2])
        elif kind == SUBSCRIBE:
            self._subscribe(body)
        elif kind == UNSUBSCRIBE:
            gone = [pattern for pattern, _ in _patterns(body[2:], 0)]
            self._filters = [pattern for pattern in self._filters if pattern not in gone]
            self.outgoing += packet(UNSUBACK, body[:2])
        elif kind == PINGREQ:
            self.outgoing += packet(PINGRESP)
        elif kind == DISCONNECT:
            self._will = None
            self.close()
        elif kind != PUBACK:
            raise ProtocolError

    def _connect(self, body: bytes) -> None:
        if not body.startswith(MQTT_3_1_1):
            self.outgoing += packet(CONNACK, bytes((0, WRONG_VERSION)))
            self.close()
            return
        flags, self.keep_alive_s = body[7], struct.unpack(">H", body[8:10])[0]
        client_id, rest = _string(body[10:])
        self.client_id = client_id.decode()
        if flags & 0x04:
            topic, rest = _string(rest)
            self._will = (topic.decode(), _string(rest)[0], bool(flags & 0x20))
        for other in list(self._broker.connections):
            if self.client_id and other.client_id == self.client_id:
                other.close()
        self._is_connected = True
        self._broker.connections.append(self)
        self.outgoing += packet(CONNACK, b"\0\0")

    def _receive_message(self, first: int, body: bytes) -> None:
        name, payload = _string(body)
        quality, is_new = first >> 1 & 3, True
        if quality:
            packet_id, payload = payload[:2], payload[2:]
            is_new = packet_id not in self._unreleased
            self.outgoing += packet(PUBACK if quality == 1 else PUBREC, packet_id)
            if quality == 2:
                self._unreleased.add(packet_id)
        topic = name.decode()
        if not topic or set(topic) & {"+", "#", "\0"}:
            raise ProtocolError
        if is_new:
            self._broker.publish(topic, payload, bool(first & 1))

    def _subscribe(self, body: bytes) -> None:
        patterns = [pattern for pattern, _ in _patterns(body[2:], 1)]
        self.outgoing += packet(SUBACK, body[:2] + bytes(0 if is_valid(pattern) else REFUSED for pattern in patterns))
        for pattern in filter(is_valid, patterns):
            if pattern not in self._filters:
                self._filters.append(pattern)
            for topic, payload in self._broker.retained.items():
                if matches(pattern, topic):
                    self.deliver(topic, payload, True)


def packet(first: int, body: bytes = b"") -> bytes:
    """An MQTT packet of this first byte."""
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | 0x80 * bool(size))
        if not size:
            return bytes((first,)) + bytes(length) + body


def is_valid(pattern: str) -> bool:
    """Whether this is a topic filter: wildcards fill a level, `#` the last one."""
    levels = pattern.split("/")
    whole = all(level in ("+", "#") or not set(level) & {"+", "#", "\0"} for level in levels)
    return bool(pattern) and whole and "#" not in levels[:-1]


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic filter covers a topic; wildcards at the front leave out `$SYS` and the like."""
    if pattern == topic:
        return True
    wanted, levels = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


def _string(data: bytes) -> tuple[bytes, bytes]:
    """The string at the front, and what follows it."""
    size = struct.unpack(">H", data[:2])[0]
    if len(data) < 2 + size:
        raise ProtocolError
    return data[2 : 2 + size], data[2 + size :]


def _patterns(data: bytes, extra: int):
    """Topic filters with the `extra` bytes after each."""
    while data:
        pattern, data = _string(data)
        yield pattern.decode(), data[:extra]
        data = data[extra:]


# --- on the PC's network ---------------------------------------------------------------------------------------------


class Server:
    """The broker on a TCP port of this computer."""

    def __init__(self) -> None:
        self.broker = Broker()
        self._writers: dict[Connection, asyncio.StreamWriter] = {}
        self._listener: asyncio.Server | None = None

    async def listen(self, ports: list[int]) -> int:
        """Listen on the first port that is free; returns it, or ends the program with a sentence."""
        for port in ports:
            try:
                self._listener = await asyncio.start_server(self._serve, ADDRESS, port)
                return self._listener.sockets[0].getsockname()[1]
            except OSError as error:
                reason = error
        sys.exit(f"The broker cannot listen on {ADDRESS}:{ports[-1]}: {reason}")

    async def switch(self, is_on: bool, port: int) -> None:
        """Off: end all connections and refuse new ones. On: listen again. What is retained stays, as on a broker's disk."""
        if is_on and self._listener is None:
            try:
                await self.listen([port])
            except SystemExit as error:
                print(error, file=sys.stderr)
        elif not is_on and self._listener is not None:
            self._listener.close()
            self._listener = None
            for connection, writer in list(self._writers.items()):
                connection.close()
                writer.transport.abort()

    async def watch(self) -> None:
        """Check the keep-alives once a second, forever."""
        while True:
            await asyncio.sleep(1)
            self.broker.check_keep_alive(time.monotonic())
            self._send()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self.broker, time.monotonic())
        self._writers[connection] = writer
        try:
            while connection.is_open and (data := await reader.read(65536)):
                connection.receive(data, time.monotonic())
                self._send()
        except OSError:
            pass
        finally:
            connection.close()
            self._send()
            self._writers.pop(connection, None)
            writer.close()

    def _send(self) -> None:
        """Send what is waiting in each connection. One that does not read is closed before it fills the memory."""
        for connection, writer in list(self._writers.items()):
            writer.write(bytes(connection.outgoing))
            connection.outgoing.clear()
            if not connection.is_open:
                writer.close()
            elif writer.transport.get_write_buffer_size() > 8 * MAX_PACKET:
                writer.transport.abort()


async def _serve(ports: list[int]) -> None:
    server = Server()
    port = await server.listen(ports)
    try:
        print(port, flush=True)
    except BrokenPipeError:
        os._exit(0)  # the program that started this one has ended meanwhile
    watching = asyncio.ensure_future(server.watch())
    loop = asyncio.get_running_loop()

    def follow() -> None:
        for line in sys.stdin.buffer:
            word = line.strip()
            if word in (b"on", b"off"):
                asyncio.run_coroutine_threadsafe(server.switch(word == b"on", port), loop).result()

    await asyncio.to_thread(follow)
    watching.cancel()
    os._exit(0)  # connections end with the process


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m host.broker", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, help="0: any free one; without it, 1883 or else any free one")
    port = parser.parse_args().port
    asyncio.run(_serve([1883, 0] if port is None else [port]))


if __name__ == "__main__":
    main()
