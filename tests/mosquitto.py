"""A real broker for tests, to be started, killed, frozen and started again on the same port; and one who listens to it."""

import getpass
import shutil
import signal
import socket
import subprocess
import threading
import time

import paho.mqtt.client as paho
import pytest

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/bin:/usr/local/bin")
PASSWORDS = shutil.which("mosquitto_passwd")
needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed: apt install mosquitto")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(is_so, seconds=10.0):
    """Look at something until it is so; False when it is not in time."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Mosquitto:
    """One broker. `users`: pairs of name and password, one of which everybody must give; `lines`: more of its configuration."""

    def __init__(self, folder, *users, lines=()):
        self.port = free_port()
        self._config = folder / f"mosquitto-{self.port}.conf"
        config = [f"listener {self.port} 127.0.0.1", f"user {getpass.getuser()}", "log_dest none", "persistence false"]
        config += [f"allow_anonymous {'false' if users else 'true'}", *lines]
        if users:
            secrets = folder / f"passwords-{self.port}"
            secrets.touch(0o600)
            for user in users:
                subprocess.run([PASSWORDS, "-b", secrets, *user], check=True, capture_output=True)
            config.append(f"password_file {secrets}")
        self._config.write_text("\n".join([*config, ""]))
        self.start()

    def start(self):
        self._process = subprocess.Popen([PROGRAM, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_until(self._answers, 30), "mosquitto does not start"

    def kill(self):
        """As a power cut: nobody is told."""
        self._process.kill()
        self._process.wait()

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False


class Listener:
    """Hears everything on a broker, for ever reconnecting; `heard` is [(topic, text, retained)] in order of arrival."""

    def __init__(self, port, user=None, topics="#"):
        self.heard = []
        self._ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(*user)
        self._client.reconnect_delay_set(0.2, 0.2)
        self._client.on_connect = lambda client, *_: client.subscribe(topics, 0)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._note
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10), "the listener cannot connect"

    def texts(self, topic):
        return [text for where, text, _ in list(self.heard) if where == topic]

    def latest(self, topic):
        return self.texts(topic)[-1] if self.texts(topic) else None

    def say(self, topic, text, retain=False):
        self._client.publish(topic, text, 1, retain).wait_for_publish(5)

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _client, _data, message):
        self.heard.append((message.topic, message.payload.decode(errors="replace"), message.retain))
