# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A TCP proxy in front of a broker that fails on request: `python -m host.proxy 1884 127.0.0.1:1883`, modes on standard input.

The failures of networks, one mode at a time; see MODES. In a program, `Proxy(target).set(mode)` can be called from any thread.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
import sys
import threading

MODES = {
    "pass": "everything goes through",
    "refuse": "the port is closed: connections are refused, old ones reset",
    "drop": "connections are never accepted, as by a firewall that drops; old ones fall silent",
    "hang": "connections are accepted and get no response; old ones fall silent",
    "half_open": "old connections fall silent, as when the other side has lost its power; new ones work",
    "deny": "every MQTT connection is refused for its user name or password, old ones reset",
    "swallow": "everything is received and nothing is passed on",
    "close": "connections are closed as soon as they are made, and old ones now",
    "cut": "the next packet to the client is cut in its middle, then the connection is closed; repeatedly",
    "fragment": "every byte comes alone",
    "garbage": "random bytes come instead of responses",
    "huge": "a message of 200 MB begins, and its bytes come as fast as they are read",
    "delay": "everything comes VALUE seconds late (0.5)",
    "throttle": "VALUE bytes a second go through in each direction (500)",
}
DEFAULTS = {"delay": 0.5, "throttle": 500}
SILENT = ("drop", "hang", "half_open")
DENIED = b"\x20\x02\x00\x05"  # CONNACK: not authorized
HUGE = bytes([0x30]) + b"\xff\xff\xff\x5f" + b"\x00\x01t"  # a PUBLISH on "t" of 200 MB


class Pair:
    """One client and its connection to the broker."""

    def __init__(self, client: asyncio.StreamWriter):
        self.client = client
        self.broker: asyncio.StreamWriter | None = None
        self.is_silent = False  # permanently: bytes lost in a half-open connection do not come later

    def reset(self):
        """Reset both sides."""
        for writer in (self.client, self.broker):
            if writer is not None:
                writer.transport.abort()


class Proxy:
    """Listens on 127.0.0.1:`port` (0: any) and passes on to `target` as `mode` demands; `accepted` counts connections."""

    def __init__(self, target: tuple[str, int], port: int = 0):
        self.mode, self.value = "pass", 0.0
        self.accepted = 0
        self._target = target
        self._pairs: list[Pair] = []
        self._fillers: list[socket.socket] = []
        self._server: asyncio.Server | None = None
        self._random = random.Random(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._run(self._listen(port))

    def set(self, mode: str, value: float | None = None):
        """Change the mode; `value`: of delay in seconds, of throttle in bytes/s. Raises ValueError for an unknown mode."""
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode}; there are {', '.join(MODES)}")
        self._run(self._set(mode, DEFAULTS.get(mode, 0.0) if value is None else value))

    def close(self):
        """End every connection and stop listening."""
        self.set("refuse")
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _end(self):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # listening

    async def _listen(self, port: int) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=4096)
        return self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self):
        if self._server is not None:
            self._server.close()
            self._server = None

    def _ignore_connections(self):
        """A listen queue of length 0 that is full: the kernel ignores further SYNs, as a firewall that drops them."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        self._fillers = [listener]
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    async def _set(self, mode: str, value: float):
        if (mode in ("refuse", "drop")) or self._server is None:
            await self._stop_listening()
            for filler in self._fillers:
                filler.close()
            self._fillers = []
            if mode == "drop":
                self._ignore_connections()
            elif mode != "refuse":
                await self._listen(self.port)
        self.mode, self.value = mode, value
        for pair in list(self._pairs):
            pair.is_silent = pair.is_silent or mode in SILENT
            if mode in ("refuse", "close", "deny"):
                pair.reset()
            elif mode in ("garbage", "huge"):
                self._loop.create_task(self._flood(pair, mode))

    # serving

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.accepted += 1
        pair = Pair(writer)
        pair.is_silent = self.mode == "hang"
        self._pairs.append(pair)
        try:
            if self.mode == "deny":
                await reader.read(4096)
                writer.write(DENIED)
                await writer.drain()
            elif self.mode != "close":
                await self._pass_on(pair, reader)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            pair.reset()
            self._pairs.remove(pair)

    async def _pass_on(self, pair: Pair, reader: asyncio.StreamReader):
        broker_reader, pair.broker = await asyncio.open_connection(*self._target, limit=4096)
        if self.mode in ("garbage", "huge"):
            self._loop.create_task(self._flood(pair, self.mode))
        pumps = [
            asyncio.ensure_future(self._pump(pair, reader, pair.broker, False)),
            asyncio.ensure_future(self._pump(pair, broker_reader, pair.client, True)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()

    async def _pump(self, pair: Pair, source: asyncio.StreamReader, sink: asyncio.StreamWriter, to_client: bool):
        """Pass on until the source ends; reading and writing are separate, so that a delay does not throttle."""
        queue: asyncio.Queue = asyncio.Queue(64)
        writing = asyncio.ensure_future(self._write(pair, queue, sink, to_client))
        try:
            while True:
                while pair.is_silent:  # not even read, so that the other side's buffer fills
                    await asyncio.sleep(0.02)
                data = await source.read(4096)
                late = self.value if self.mode == "delay" else 0
                await queue.put((self._loop.time() + late, data))
                if not data or writing.done():
                    await writing
                    return
        finally:
            writing.cancel()

    async def _write(self, pair: Pair, queue: asyncio.Queue, sink: asyncio.StreamWriter, to_client: bool):
        while True:
            due, data = await queue.get()
            if not data:
                return
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            while pair.is_silent:
                await asyncio.sleep(0.02)
            if self.mode == "cut" and to_client:
                sink.write(data[: max(1, len(data) // 2)])
                await sink.drain()
                pair.client.close()
                return
            if self.mode not in ("swallow", "garbage", "huge") or not (to_client or self.mode == "swallow"):
                for piece in self._pieces(data):
                    sink.write(piece)
                    await sink.drain()
                    await asyncio.sleep(self._pause(piece, to_client))

    def _pieces(self, data: bytes):
        size = {"fragment": 1, "throttle": 50}.get(self.mode, len(data))
        return [data[at : at + size] for at in range(0, len(data), size)]

    def _pause(self, piece: bytes, to_client: bool) -> float:
        if self.mode == "throttle":
            return len(piece) / self.value
        return 0.001 if self.mode == "fragment" and to_client else 0

    async def _flood(self, pair: Pair, mode: str):
        """Send unexpected bytes to the client while the mode lasts."""
        with contextlib.suppress(OSError):
            if mode == "huge":
                pair.client.write(HUGE)
            while self.mode == mode and not pair.client.transport.is_closing():
                pair.client.write(self._random.randbytes(300) if mode == "garbage" else bytes(4096))
                await pair.client.drain()
                await asyncio.sleep(0.3 if mode == "garbage" else 0.001)


def main():
    modes = "\n".join(f"  {name:10} {meaning}" for name, meaning in MODES.items())
    description = f"{__doc__}\nmodes, a line each, as in `delay 0.3`:\n{modes}"
    parser = argparse.ArgumentParser("host.proxy", None, description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("port", type=int, help="port to listen on; 0: any")
    parser.add_argument("target", help="HOST:PORT of the broker")
    arguments = parser.parse_args()
    host, _, port = arguments.target.rpartition(":")
    proxy = Proxy((host or "127.0.0.1", int(port)), arguments.port)
    print(proxy.port, flush=True)
    for line in sys.stdin:
        try:
            mode, *value = line.split() or ["pass"]
            proxy.set(mode, *map(float, value))
        except (ValueError, TypeError) as error:
            print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
