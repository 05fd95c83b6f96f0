# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A real mosquitto to be killed, frozen and restarted on the same port, and an MQTT client that records what it receives."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/bin:/usr/local/bin")
PASSWORD_PROGRAM = shutil.which("mosquitto_passwd")
START_S = 30  # a busy computer starts it slowly
CONNECT_S = 30
ADDRESS = "127.0.0.1"


def free_port() -> int:
    """A TCP port of this computer that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], Any], seconds: float = 10.0, pause_s: float = 0.01) -> bool:
    """Check a condition every `pause_s` until it holds; False if it does not hold within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True


class Mosquitto:
    """One broker on 127.0.0.1:`port` (None: any free one), started by the constructor; its files are in `folder`.

    `users`: (name, password) pairs, one of which every client must use; without any, all clients are accepted. `lines`: more
    lines of its configuration. `persistent`: retained messages survive `kill`. `anonymous`: whether clients without a name are
    accepted; None: if there are no users.
    """

    def __init__(
        self,
        folder: Path,
        *users: tuple[str, str],
        lines: Iterable[str] = (),
        port: int | None = None,
        persistent: bool = False,
        anonymous: bool | None = None,
    ):
        self.port = free_port() if port is None else port
        self._folder = folder
        self._persistent = persistent
        self._lines = [f"listener {self.port} {ADDRESS}", f"user {getpass.getuser()}", "log_dest none"]
        anonymous = not users if anonymous is None else anonymous
        self._lines += [f"allow_anonymous {'true' if anonymous else 'false'}", *lines]
        if users:
            self._lines.append(f"password_file {self._write_passwords(users)}")
        self.start()

    def _write_passwords(self, users: Iterable[tuple[str, str]]) -> Path:
        file = self._folder / f"passwords-{self.port}"
        file.touch(0o600)
        for user in users:
            subprocess.run([str(PASSWORD_PROGRAM), "-b", str(file), *user], check=True, capture_output=True)
        return file

    def start(self, forget: bool = False) -> None:
        """Start it and wait until it accepts connections; `forget`: without the retained messages. Raises RuntimeError."""
        store = ["persistence false"]
        if self._persistent and not forget:
            store = ["persistence true", f"persistence_location {self._folder}/", "autosave_interval 1"]
            store += ["autosave_on_changes true"]
        config = self._folder / f"mosquitto-{self.port}.conf"
        config.write_text("\n".join([*self._lines, *store, ""]))
        command = [str(PROGRAM), "-c", str(config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not wait_until(self._accepts, START_S):
            raise RuntimeError("mosquitto does not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it like a power cut: clients get no notice."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it from doing anything; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue after `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def _accepts(self) -> bool:
        try:
            socket.create_connection((ADDRESS, self.port), 1).close()
            return True
        except OSError:
            return False


class Subscriber:
    """A client that subscribes to `topics`, reconnects forever and records every message.

    `received` are (topic, text, retained) in order of arrival; `timed` the same after the time.monotonic() of their arrival.
    Raises RuntimeError if it cannot connect.
    """

    def __init__(self, port: int, user: tuple[str, str] | None = None, topics: str = "#"):
        self.timed: list[tuple[float, tuple[str, str, bool]]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(*user)
        self._client.reconnect_delay_set(0.1, 0.1)
        self._client.on_connect = lambda client, *_: client.subscribe(topics, 0)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._record
        self._client.connect_async(ADDRESS, port)
        self._client.loop_start()
        if not self._subscribed.wait(CONNECT_S):
            raise RuntimeError("the subscriber cannot connect")

    @property
    def received(self) -> list[tuple[str, str, bool]]:
        """Everything received since the start, or since `clear`."""
        return [message for _, message in list(self.timed)]

    def texts(self, topic: str) -> list[str]:
        """The payloads received on one topic."""
        return [text for where, text, _ in self.received if where == topic]

    def latest(self, topic: str) -> str | None:
        """The last payload received on one topic; None: there was none."""
        return next((text for _, (where, text, _) in reversed(list(self.timed)) if where == topic), None)

    def clear(self) -> None:
        """Forget what was received."""
        self.timed.clear()

    def publish(self, topic: str, text: str, retain: bool = False) -> None:
        """Publish with QoS 1 and wait until the broker has acknowledged it, half a minute at most."""
        self._client.publish(topic, text, 1, retain).wait_for_publish(30)

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _record(self, _client, _data, message) -> None:
        text = message.payload.decode("utf-8", "replace")
        self.timed.append((time.monotonic(), (message.topic, text, message.retain)))
