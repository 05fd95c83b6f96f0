# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""TLS to a real mosquitto with certificates made here: whom it trusts, whom it refuses and in which words; never in the clear.

What a board's mbedtls does otherwise than a PC's OpenSSL is said in docs/SECURITY.md.
"""

import gc
import getpass
import shutil
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import wifi
from adafruit_ticks import ticks_ms
from mosquitto import PROGRAM, free_port, needs_mosquitto, never, wait_until
from socketpool import SocketPool
from test_client import FakeCommands, FakePublisher, FakeStore

from app.hardware import TLS_MEMORY, make_ssl_context
from app.settings import Settings
from mqtt.client import MqttClient

ROOT = Path(__file__).resolve().parent.parent
OPENSSL = shutil.which("openssl")
SECRET = "hunter2-canary"
LONGEST_TICK_S = 4.5  # two seconds for the connection, two for the handshake

pytestmark = [needs_mosquitto, pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed: apt install openssl")]


def openssl(folder, *arguments):
    subprocess.run([OPENSSL, *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder, name):
    subject = ("-subj", f"/CN={name}", "-days", "30")
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", *subject)


def make_certificate(folder, name, authority, names, days=30):
    """A key and a certificate for those names; with negative days, one that has expired."""
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
    signing = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", str(days))
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-extfile", f"{name}.ext", "-out", f"{name}.pem")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make_authority(folder, "ours")
    make_authority(folder, "theirs")
    make_certificate(folder, "good", "ours", "DNS:localhost,IP:127.0.0.1")
    make_certificate(folder, "other-name", "ours", "DNS:broker.example")
    make_certificate(folder, "expired", "ours", "DNS:localhost", -1)
    make_certificate(folder, "bridge", "ours", "DNS:bridge")
    make_certificate(folder, "foreign", "theirs", "DNS:bridge")
    openssl(folder, "rsa", "-in", "bridge.key", "-aes128", "-passout", "pass:x", "-out", "locked.key")
    return folder


class Secure:
    """A mosquitto that speaks TLS with one of the certificates, on one port, and plainly on another, for us to listen on."""

    def __init__(self, folder, certificates, name, more=()):
        self.port, self.plain_port = free_port(), free_port()
        config = folder / f"tls-{self.port}.conf"
        lines = [f"user {getpass.getuser()}", "log_dest none", "allow_anonymous true", f"listener {self.plain_port} 127.0.0.1"]
        lines += [
            f"listener {self.port} 127.0.0.1",
            f"certfile {certificates}/{name}.pem",
            f"keyfile {certificates}/{name}.key",
            *more,
        ]
        config.write_text("\n".join([*lines, ""]))
        self._process = subprocess.Popen([PROGRAM, "-c", config], stderr=subprocess.DEVNULL)
        assert wait_until(self._answers, 30)
        self.heard = []
        self.ear = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.ear.on_message = lambda _client, _data, message: self.heard.append((message.topic, message.payload))
        self.ear.connect("127.0.0.1", self.plain_port)
        self.ear.subscribe("#")
        self.ear.loop_start()

    def kill(self):
        self.ear.loop_stop()
        self._process.kill()
        self._process.wait()

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.plain_port), 1).close()
            return True
        except OSError:
            return False


@pytest.fixture
def secure(tmp_path, certificates):
    brokers = []

    def start(name, *more):
        brokers.append(Secure(tmp_path, certificates, name, more))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.kill()


class Bridge:
    """A client as app/main.py makes it; `problems` is what the settings' reader would show."""

    def __init__(self, port, ca_file, host="localhost", more=()):
        lines = [f'MQTT_BROKER = "{host}"', f"MQTT_PORT = {port}", "MQTT_TLS = true", f'MQTT_CA_FILE = "{ca_file}"']
        lines += ['CIRCUITPY_WIFI_SSID = "cellar"', 'MQTT_USERNAME = "bridge"', f'MQTT_PASSWORD = "{SECRET}"']
        settings = Settings("\n".join([*lines, *more]))
        settings.base_topic = "t"
        self.problems = settings.problems
        context = make_ssl_context(settings, self.problems)
        self.publisher, self.commands = FakePublisher(), FakeCommands()
        parts = (self.publisher, self.commands, FakeStore(), f"bridge-{port}", context)
        self.client = MqttClient(settings, wifi.radio, SocketPool(wifi.radio), *parts)
        self.longest_ms = 0

    def run(self, until, seconds=10):
        return wait_until(lambda: self._tick() or until(), seconds)

    def never_connects(self, seconds):
        return never(lambda: self._tick() or self.client.connected, seconds)

    def _tick(self):
        begun = ticks_ms()
        self.client.tick(begun)
        self.longest_ms = max(self.longest_ms, (ticks_ms() - begun) % 2**29)

    def is_refused(self):
        return self.client.trouble not in (None, ("connecting", ()))


def test_a_broker_with_a_certificate_of_our_authority_is_trusted(secure, certificates):
    broker = secure("good")
    bridge = Bridge(broker.port, certificates / "ours.pem")
    assert bridge.run(lambda: ("t/state", b'{"a":1}') in broker.heard)
    assert bridge.client.connected and not bridge.problems


def test_by_its_address_too_when_the_certificate_names_that(secure, certificates):
    bridge = Bridge(secure("good").port, certificates / "ours.pem", "127.0.0.1")
    assert bridge.run(lambda: bridge.client.connected)


def test_much_comes_and_goes_through_an_encrypted_link(secure, certificates):
    broker = secure("good")
    bridge = Bridge(broker.port, certificates / "ours.pem")
    assert bridge.run(lambda: bridge.client.connected)
    bridge.publisher.more = [("t/config", bytes([65 + n % 26]) * 4096, True, 1) for n in range(20)]
    assert bridge.run(lambda: len([t for t, _ in broker.heard if t == "t/config"]) == 20, 20)
    for number in range(30):
        broker.ear.publish("t/do", str(number))
    assert bridge.run(lambda: len(bridge.commands.heard) >= 8)
    broker.ear.publish("t/do", 100_000 * "x")  # a large one is thrown away without ending the link
    broker.ear.publish("t/do", "after")
    assert bridge.run(lambda: ("t/do", b"after", False) in bridge.commands.heard)
    assert bridge.client.connects == 1


@pytest.mark.parametrize(
    ("certificate", "authority", "codes"),
    [
        ("good", "theirs", {"certificate_unknown", "certificate_self_signed"}),
        ("other-name", "ours", {"certificate_host"}),
        ("expired", "ours", {"certificate_expired"}),
    ],
)
def test_everybody_else_is_refused_in_words_and_told_nothing(secure, certificates, certificate, authority, codes):
    broker = secure(certificate)
    bridge = Bridge(broker.port, certificates / f"{authority}.pem")
    assert bridge.run(bridge.is_refused)
    assert bridge.never_connects(4)  # several tries
    code, details = bridge.client.trouble
    assert code in codes and details == (f"localhost:{broker.port}",)
    assert "MQTT_CA_FILE" in bridge.client.trouble_text and SECRET not in bridge.client.trouble_text and broker.heard == []
    assert bridge.longest_ms < 1000 * LONGEST_TICK_S


def test_a_broker_that_speaks_plainly_is_refused_in_words(secure, certificates):
    broker = secure("good")
    bridge = Bridge(broker.plain_port, certificates / "ours.pem")
    assert bridge.run(bridge.is_refused)
    assert bridge.never_connects(3)
    assert f"No broker localhost:{broker.plain_port} with TLS" in bridge.client.trouble_text and broker.heard == []
    assert "is MQTT_PORT its TLS port?" in bridge.client.trouble_text


def test_whatever_answers_all_that_ever_leaves_is_tls(certificates):
    """A listener that hangs up, is silent or talks nonsense: every first byte is a TLS handshake, and no secret follows."""
    heard = []

    def serve(server):
        for answer in (b"", b"\x20\x02\x00\x00", b"HTTP/1.1 400\r\n\r\n", None):
            connection = server.accept()[0]
            connection.settimeout(0.5)
            data = connection.recv(4096)
            heard.append(data)
            if answer is not None:
                connection.sendall(answer)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        bridge = Bridge(server.getsockname()[1], certificates / "ours.pem")
        assert bridge.run(lambda: len(heard) == 4, 30)
        assert bridge.run(bridge.is_refused, 10)
    assert {data[:2] for data in heard} == {b"\x16\x03"}
    assert not any(SECRET.encode() in data or b"MQTT" in data for data in heard)
    assert bridge.longest_ms < 1000 * LONGEST_TICK_S


# a client certificate


def requiring(certificates):
    """Lines of mosquitto's configuration: only clients with a certificate of our authority, whose name is their user name."""
    return f"cafile {certificates}/ours.pem", "require_certificate true", "use_identity_as_username true"


def own(certificates, name):
    return f'MQTT_CERT_FILE = "{certificates}/{name}.pem"', f'MQTT_KEY_FILE = "{certificates}/{name}.key"'


def test_a_broker_that_requires_a_certificate_gets_ours(secure, certificates):
    broker = secure("good", *requiring(certificates))
    bridge = Bridge(broker.port, certificates / "ours.pem", more=own(certificates, "bridge"))
    assert bridge.run(lambda: ("t/state", b'{"a":1}') in broker.heard), bridge.client.trouble_text
    assert not bridge.problems


def test_certificate_and_key_may_be_one_file(secure, certificates, tmp_path):
    both = (certificates / "bridge.pem").read_text() + (certificates / "bridge.key").read_text()
    (tmp_path / "both.pem").write_text(both)
    broker = secure("good", *requiring(certificates))
    bridge = Bridge(broker.port, certificates / "ours.pem", more=[f'MQTT_CERT_FILE = "{tmp_path}/both.pem"'])
    assert bridge.run(lambda: bridge.client.connected) and not bridge.problems


@pytest.mark.parametrize("own_name", [None, "foreign"])
def test_without_one_or_with_a_foreign_one_it_says_what_is_missing(secure, certificates, own_name):
    broker = secure("good", *requiring(certificates))
    more = own(certificates, own_name) if own_name else ()
    bridge = Bridge(broker.port, certificates / "ours.pem", more=more)
    assert bridge.run(bridge.is_refused)
    assert bridge.never_connects(3) and broker.heard == []
    assert "MQTT_CERT_FILE" in bridge.client.trouble_text, bridge.client.trouble
    assert SECRET not in bridge.client.trouble_text


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        ("missing.pem", "bridge.key"),
        ("bridge.pem", "missing.key"),
        ("bridge.pem", ""),  # there is no key in it
        ("bridge.key", "bridge.key"),
        ("bridge.pem", "bridge.pem"),
        ("bridge.pem", "foreign.key"),  # not its own
        ("bridge.pem", "locked.key"),  # with a password, for which a PC would ask on the console
        ("", "bridge.key"),
    ],
)
def test_files_that_are_no_certificate_and_key_are_told_and_there_is_no_connection(certificates, certificate, key):
    lines = [f'MQTT_CERT_FILE = "{certificates}/{certificate}"' if certificate else ""]
    lines += [f'MQTT_KEY_FILE = "{certificates}/{key}"' if key else ""]
    context, problems = context_of("\n".join(lines))
    assert context is None and len(problems) == 1 and "MQTT_CERT_FILE" in problems[0] and "MQTT_KEY_FILE" in problems[0]


# what cannot be done is said, and then nothing is done


def context_of(text):
    settings = Settings('MQTT_BROKER = "b"\nCIRCUITPY_WIFI_SSID = "cellar"\nMQTT_TLS = true\n' + text)
    return make_ssl_context(settings, settings.problems), settings.problems


@pytest.mark.parametrize("free", [0, 40_000, TLS_MEMORY - 1])
def test_a_board_without_the_memory_refuses_clearly(monkeypatch, free):
    monkeypatch.setattr(gc, "mem_free", lambda: free, raising=False)
    context, problems = context_of("")
    assert context is None
    assert len(problems) == 1 and "MQTT_TLS" in problems[0] and "PSRAM" in problems[0] and str(free // 1000) in problems[0]


def test_a_board_with_the_memory_does_not(monkeypatch):
    monkeypatch.setattr(gc, "mem_free", lambda: 2_000_000, raising=False)
    assert context_of("")[0] is not None


def test_without_a_file_the_built_in_authorities_are_trusted_and_names_are_checked():
    context, problems = context_of("")
    assert context.check_hostname and context.verify_mode.name == "CERT_REQUIRED" and not problems


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA\n", b"\xff\xfe"])
def test_a_file_that_is_no_certificate_is_told_and_nothing_is_trusted(tmp_path, content):
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    context, problems = context_of(f'MQTT_CA_FILE = "{tmp_path}/ca.pem"')
    assert context is None and "MQTT_CA_FILE" in problems[0] and "PEM" in problems[0]


@pytest.mark.parametrize("content", ["", "\0", "\n", "no certificate", "\0-----BEGIN CERTIFICATE-----\n"])
def test_what_the_boards_library_would_take_for_check_nobody_is_refused_here(tmp_path, monkeypatch, content):
    """CircuitPython's load_verify_locations takes any text, and after an empty one its sockets trust everybody."""

    class Board:
        loaded = None

        def load_verify_locations(self, cadata):
            self.loaded = cadata

    board = Board()
    monkeypatch.setattr("ssl.create_default_context", lambda: board)
    (tmp_path / "ca.pem").write_text(content)
    context, problems = context_of(f'MQTT_CA_FILE = "{tmp_path}/ca.pem"')
    assert context is None and board.loaded is None and "MQTT_CA_FILE" in problems[0]


def test_without_tls_there_is_no_context():
    settings = Settings('MQTT_BROKER = "b"\nCIRCUITPY_WIFI_SSID = "cellar"\n')
    assert make_ssl_context(settings, settings.problems) is None and not settings.problems


def host(folder, port, ca_file):
    """The whole program against that port."""
    text = f'MQTT_BROKER = "b"\nMQTT_TLS = true\nMQTT_CA_FILE = "{ca_file}"\nMQTT_BASE_TOPIC = "t"\n'
    (folder / "settings.toml").write_text(text)
    command = [sys.executable, "-m", "host", "--plain", "--no-oled", "--settings", str(folder / "settings.toml")]
    log = (folder / "log").open("w")
    return subprocess.Popen(
        [*command, "--broker", f"localhost:{port}"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )


def test_the_program_with_a_certificate_beside_its_settings(secure, certificates, tmp_path):
    broker = secure("good")
    shutil.copy(certificates / "ours.pem", tmp_path)
    process = host(tmp_path, broker.port, "ours.pem")
    try:
        assert wait_until(lambda: ("t/bms1/status", b"online") in broker.heard, 20), (tmp_path / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_the_program_without_a_certificate_it_can_read_connects_to_nobody_and_runs(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = host(tmp_path, server.getsockname()[1], "missing.pem")
        log = types.SimpleNamespace(text=lambda: (tmp_path / "log").read_text())
        try:
            assert wait_until(lambda: "MQTT_CA_FILE: missing.pem is no certificate" in log.text(), 15)
            server.settimeout(4)
            with pytest.raises(TimeoutError):
                server.accept()
            assert process.poll() is None and "Traceback" not in log.text()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
