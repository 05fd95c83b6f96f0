# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A canary in every secret, and then everything the whole program says is searched: console, topics, screen, memory, bundle.

The host runs against a real mosquitto: good and bad logins, TLS that cannot be trusted, a Wi-Fi that refuses, bugs with their
tracebacks, wrong settings. Each test also checks that there was something to search.
"""

import functools
import json
import shutil

import pytest
import terminalio
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from processes import ROOT, Bridge, SimulatedBms
from test_tls import OPENSSL, Secure, make_authority, make_certificate

from app.report import PRIVATE
from app.settings import SECRET, SETTINGS, Settings
from display.panel import LINES_Y, SHIFTS
from host import displays

pytestmark = [needs_mosquitto, pytest.mark.timeout(180)]

CANARY = "zvx"
USER = (f"{CANARY}-user", f"{CANARY}-mqtt-password")
SETTINGS_WITH_CANARIES = f"""
CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "{CANARY}-wifi-password"
CIRCUITPY_WEB_API_PASSWORD = "{CANARY}-web-password"
MQTT_USERNAME = "{USER[0]}"
MQTT_PASSWORD = "{USER[1]}"
OLED_PAGE_S = 3
"""


class World:
    """A BMS and the bridge; `everything()` is whatever it has said anywhere."""

    def __init__(self, folder):
        self.folder = folder
        self.bms = SimulatedBms(folder, "drift=0,soc=57.3,current=-60")
        self.bridge = None
        self.subscribers = []
        self.brokers = []

    def broker(self, *users):
        """A mosquitto that ends with the test."""
        self.brokers.append(Mosquitto(self.folder, *users))
        return self.brokers[-1]

    def start(self, port, settings="", host="127.0.0.1", options=()):
        self.bridge = Bridge(self.folder, self.bms.path, port, SETTINGS_WITH_CANARIES + settings, host, options)

    def listen(self, port, user=None):
        self.subscribers.append(Subscriber(port, user))
        return self.subscribers[-1]

    def says(self, text, seconds=30):
        """Whether that appears on the console in time."""
        return wait_until(lambda: text in self.bridge.log, seconds)

    def shows(self, text, seconds=30):
        """Whether that appears on the screen in time, wherever its lines break."""
        return wait_until(lambda: text.replace(" ", "") in self.screen(), seconds)

    def screen(self):
        """All that was seen on the screen, without its spaces."""
        return "".join("".join(read_picture(picture)) + "\n" for picture in pictures(self.bridge.log)).replace(" ", "")

    def everything(self):
        heard = [str(message) for subscriber in self.subscribers for message in subscriber.received]
        memory = self.bridge.nvm.read_bytes().decode("latin-1") if self.bridge.nvm.exists() else ""
        return "\n".join([self.bridge.log, self.screen(), memory, *heard]).lower()

    def stop(self):
        if self.bridge is not None:
            self.bridge.stop()
        for subscriber in self.subscribers:
            subscriber.stop()
        self.bms.stop()
        for broker in self.brokers:
            broker.kill()


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("DALY_HOST_PICTURE_S", "0.5")  # the log shows every page, each for three seconds
    made = World(tmp_path)
    yield made
    made.stop()
    assert len(made.everything()) > 1000 and CANARY not in made.everything()


# reading the screen: the log has pictures of it in Braille dots

ROWS = 8  # 32 dots, four a character


def pictures(log):
    """Every picture in a log, as its rows of Braille characters; nothing need stand between two of them."""
    rows = [line[14:-1] for line in log.splitlines() if line.startswith(13 * " " + "|") and line.endswith("|")]
    return [tuple(rows[first : first + ROWS]) for first in range(0, len(rows), ROWS)]


def dots(char, x, y):
    places = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    return [(x + dx, y + dy) for bit, (dx, dy) in enumerate(places) if ord(char) - 0x2800 >> bit & 1]


@functools.cache
def letters():
    """Shape -> letter; of the twelve rows those that no other line of text can touch."""
    displays.install()
    sheet = terminalio.FONT.bitmap
    across = sheet.width // 6
    shapes = {}
    for code in range(0x20, 0x7F):
        left, top = (code - 32) % across * 6, (code - 32) // across * 12
        shapes.setdefault(
            frozenset((x, y) for x in range(6) for y in range(2, 11) if sheet[left + x, top + y]), chr(code)
        )  # ` reads as a space then, and q as g
    return shapes


@functools.cache  # the log is read again and again while something is waited for
def read_picture(rows):
    """The three lines of text on a picture; what is no letter is left out."""
    lit = {dot for y, row in enumerate(rows) for x, char in enumerate(row) for dot in dots(char, 2 * x, 4 * y)}

    def read(dx, dy):
        cells = [[(6 * column + dx, y + dy) for column in range(21)] for y in LINES_Y[:3]]
        shapes = [
            [frozenset((x, y) for x in range(6) for y in range(2, 11) if (left + x, top + y) in lit) for left, top in line]
            for line in cells
        ]
        return ["".join(letters().get(shape, "") for shape in line) for line in shapes]

    return max((read(dx, dy) for dx, dy in SHIFTS), key=lambda lines: len("".join(lines)))


# what may go well or wrong


def test_a_good_login_with_bundle_and_console(world, tmp_path):
    broker = world.broker(USER)
    subscriber = world.listen(broker.port, USER)
    world.start(broker.port, 'ALLOW_CONTROL = "charge_mosfet, restart_bridge"\n')
    assert wait_until(lambda: subscriber.latest("t/bms1/status") == "online", 30), world.bridge.log
    subscriber.publish("t/diagnostics/set", "PRESS")
    subscriber.publish("t/bms1/charge_mosfet/set", "on, please")
    world.bridge.type("password?")
    world.bridge.type("diagnostics")
    assert wait_until(lambda: subscriber.texts("t/diagnostics"), 45), world.bridge.log[-3000:]
    assert json.loads(subscriber.latest("t/diagnostics"))["settings"]["MQTT_PASSWORD"] == "set"
    assert world.says('"password?" is none') and world.says('{"diagnostics":1') and world.shows("52.3V")
    subscriber.publish("t/restart/set", "PRESS")  # it keeps the counters in the chip's memory
    assert world.says("the chip resets") and wait_until(lambda: world.bridge.log.count("MQTT: connected") == 2, 30)
    broker.kill()
    assert world.shows("No broker")
    assert world.bridge.nvm.stat().st_size


@pytest.mark.parametrize("right", [(USER[0], "another"), ("another", USER[1])])
def test_a_bad_login(world, tmp_path, right):
    broker = world.broker(right)
    subscriber = world.listen(broker.port, right)
    world.start(broker.port)
    assert world.says("refuses MQTT_USERNAME or MQTT_PASSWORD") and world.shows("refuses")
    broker.kill()
    assert world.says("connection refused") and not subscriber.received


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed: apt install openssl")
@pytest.mark.parametrize("trusted", ["theirs", "ours"])
def test_tls_that_cannot_be_trusted_or_is_none(world, tmp_path, trusted):
    make_authority(tmp_path, "ours")
    make_authority(tmp_path, "theirs")
    make_certificate(tmp_path, "good", "ours", "DNS:localhost")
    broker = Secure(tmp_path, tmp_path, "good")
    world.brokers.append(broker)
    port = broker.port if trusted == "theirs" else broker.plain_port
    world.start(port, f'MQTT_TLS = true\nMQTT_CA_FILE = "{tmp_path}/{trusted}.pem"\n', "localhost")
    words = "is not trusted" if trusted == "theirs" else "with TLS"
    assert world.says(words) and world.shows(words)
    assert broker.heard == []


def test_a_wifi_that_refuses(world, tmp_path, monkeypatch):
    trouble = tmp_path / "trouble"
    trouble.write_text("wifi=password\n")
    monkeypatch.setenv("DALY_HOST_TROUBLE", str(trouble))
    world.start(1)
    assert world.says('No Wi-Fi "shed"') and world.shows("No Wi-Fi")


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        ("app/bridge_state.py", "    def tick(self, now):\n", "bridge state: ValueError"),
        ("mqtt/client.py", "    def _connect(self):\n", "mqtt: TypeError"),
        ("app/main.py", "def main():\n", "restarting in"),
    ],
)
def test_bugs_with_their_tracebacks(world, tmp_path, file, line, says):
    broker = world.broker(USER)
    subscriber = world.listen(broker.port, USER)
    drive = tmp_path / "drive"
    for name in ("app", "battery", "daly", "mqtt", "display", "outputs", "sensors", "web"):
        shutil.copytree(ROOT / name, drive / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "code.py", drive)
    error = "TypeError" if "client" in file else "ValueError"
    source = (drive / file).read_text()
    assert line in source
    docstring = '        """..."""\n' if line.startswith("    ") else ""
    indent = "        " if line.startswith("    ") else "    "
    (drive / file).write_text(source.replace(line, f'{line}{docstring}{indent}raise {error}("a bug")\n', 1))
    world.start(broker.port, options=("--drive", str(drive)))
    assert world.says("a bug") and world.says("Traceback")
    if "bridge_state" in file:
        assert wait_until(lambda: says in (subscriber.latest("t/state") or ""), 30)
    elif "client" in file:
        assert wait_until(lambda: world.bridge.log.count("a bug") > 1, 30)
    else:
        assert world.says(says) and world.says("the chip resets")
        assert b"a bug" in world.bridge.nvm.read_bytes()


def test_secrets_in_lines_that_are_wrong(world, tmp_path):
    broker = world.broker()
    subscriber = world.listen(broker.port)
    lines = [
        f"MQTT_PASSWORT = {CANARY}1",
        f"MQTT_USER = '{CANARY}2'",
        f"MQTT_PASSWORD {CANARY}3",
        f'"{CANARY}4',
        f"= {CANARY}5",
    ]
    world.start(broker.port, "\n".join([*lines, f"[{CANARY}6]", f'MQTT_PASSWORD = "{CANARY}7"', ""]))
    assert world.says("MQTT_PASSWORT is not a setting") and world.shows("not understood")
    assert wait_until(lambda: "settings.toml line" in (subscriber.latest("t/state") or ""), 30)  # the first, and how many more
    subscriber.publish("t/diagnostics/set", "PRESS")
    assert wait_until(lambda: len(json.loads(subscriber.latest("t/diagnostics") or "{}").get("settings_problems", ())) == 5, 15)


MISTAKES = [
    "{} = x",
    '{} = "x',
    '{} = "x" x',
    "{} = 'x'",
    '{} "x"',
    '{}: "x"',
    "{}x = 1",
    '{} = "a"\n{} = "x"',
    "[x]\n{} = 1",
    "x",
]
HIDDEN = [setting.key for setting in SETTINGS if setting.kind == SECRET or setting.key in PRIVATE]


@pytest.mark.parametrize("mistake", [*MISTAKES, '{} = "' + 40 * "x" + '"'])
@pytest.mark.parametrize("key", [*HIDDEN, "CIRCUITPY_WEB_API_PASSWORD"])
def test_no_mistake_makes_the_settings_repeat_a_secret(key, mistake):
    if key == "CIRCUITPY_WIFI_SSID":
        return  # the name of a network is told where somebody looks at the board: it is left out of the bundle only
    said = " ".join(Settings(mistake.replace("x", CANARY).replace("{}", key)).problems)
    assert said and CANARY not in said.replace(key + CANARY, "")


def test_an_address_with_name_and_password_in_it_is_not_repeated(tmp_path):
    for address in (f"mqtt://{CANARY}:{CANARY}@10.0.0.7", f"{CANARY}:{CANARY}@10.0.0.7", f"{CANARY}@10.0.0.7:1883"):
        settings = Settings(f'MQTT_BROKER = "{address}"')
        assert CANARY not in " ".join(settings.problems) and settings.MQTT_BROKER == "" and "10.0.0.7" in settings.problems[0]
