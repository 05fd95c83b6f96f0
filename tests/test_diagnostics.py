# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The diagnostics file: whole, small, and without a secret, wherever it is asked for."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from processes import host_without_screen
from simulation import Wire, only

from app.console import Console
from app.diagnostics import PAUSE_MS, Diagnostics
from app.report import PRIVATE
from app.settings import SECRET, SETTINGS, TEXT, Settings
from app.version import VERSION
from host.keyboard import Console as Keyboard

ROOT = Path(__file__).parent.parent
MOST = 8192
CANARY = "canary"
HIDDEN = [setting.key for setting in SETTINGS if setting.kind == SECRET] + list(PRIVATE)
FOREIGN = ["CIRCUITPY_WEB_API_PASSWORD", "CIRCUITPY_WEB_INSTANCE_NAME", "CIRCUITPY_ANYTHING"]


def diagnostics(text="", options="", seconds=6):
    wire = Wire(options).run(seconds)
    state = (("uptime", 7), ("rssi", None), ("settings_problems", text))
    loop = SimpleNamespace(failures=0, last_failure=None)
    return Diagnostics(Settings(text), only(wire.pack, wire.poller), lambda now: state, loop), wire


def report(*arguments, **options):
    made, wire = diagnostics(*arguments, **options)
    return json.loads(made.json(wire.now))


def test_it_tells_all_that_is_needed():
    told = report('MQTT_BROKER = "10.0.0.7"\nBMS_BOARD_NUMBER = 17\nWRONG = 1\nCIRCUITPY_WIFI_SSID = "cellar"\n')
    assert told["diagnostics"] == 1 and told["versions"]["firmware"] == VERSION and told["versions"]["board"] == "host"
    assert told["settings"]["MQTT_BROKER"] == "10.0.0.7" and told["settings"]["OLED"] == "true"
    assert set(told["settings"]) == {setting.key for setting in SETTINGS}
    assert len(told["settings_problems"]) == 2
    assert told["state"] == {"uptime": 7, "rssi": None}
    assert told["connection"] == "OK"
    assert told["readings"]["cell_count"] == 16 and told["readings"]["soc"] == 57.3
    assert len(told["frames"]) == 64 and told["last_failure"] == "none"
    assert all(line.split()[1] in "<>!" and len(bytes.fromhex(line.split()[2])) == 13 for line in told["frames"])


def test_it_is_made_for_a_bms_that_says_nothing_too():
    told = report(options="silent=1")
    assert told["readings"]["soc"] is None and {line.split()[1] for line in told["frames"]} == {">"}


def test_the_largest_stays_small_and_keeps_the_newest_frames():
    text = "".join(
        f'{setting.key} = "{chr(0x22).join(["x" + chr(92)] * 120)}"\n' for setting in SETTINGS if setting.kind == TEXT
    )
    text += (
        "\n".join(f"Ü{'ß' * 300}{n} = 1" for n in range(50)) + f'\nMQTT_BASE_TOPIC = "{"€" * 255}"\nMQTT_BROKER = "{"ä" * 255}"'
    )
    made, wire = diagnostics(text, "cells=48,temperatures=16,alarms=" + "ff" * 7, 12)
    data = made.json(wire.now)
    told = json.loads(data)
    assert len(data) <= MOST
    assert told["readings"]["cell_48_voltage"] and told["readings"]["temperature_16"]
    ages = [int(line.split()[0]) for line in told["frames"]]
    assert len(ages) >= 12 and ages == sorted(ages) and ages[-1] > -1000


def canary_settings():
    lines = [f'{key} = "{CANARY}-{number}"' for number, key in enumerate(HIDDEN + FOREIGN)]
    foreign = f"mqtt://{CANARY}:{CANARY}@10.0.0.1"
    return "\n".join([*lines, f'MQTT_BROKER = "{foreign}"', f'NTP_SERVER = "{foreign}"', f'MQTT_CA_FILE = "{foreign}"'])


def test_no_secret_is_in_it():
    made, wire = diagnostics(canary_settings())
    data = made.json(wire.now).decode()
    assert CANARY not in data
    shown = json.loads(data)["settings"]
    assert [shown[key] for key in HIDDEN] == ["set"] * len(HIDDEN)
    assert not any(key in data for key in FOREIGN)
    assert shown["MQTT_CA_FILE"] == "set, not shown"
    assert shown["MQTT_BROKER"] == "" and shown["NTP_SERVER"] == "pool.ntp.org"  # refused
    empty = report()["settings"]
    assert [empty[key] for key in HIDDEN] == ["not set"] * len(HIDDEN)


@pytest.mark.parametrize("key", [key for key in HIDDEN if key != "CIRCUITPY_WIFI_SSID"])
@pytest.mark.parametrize(
    "line",
    [
        '{} = "{}',
        "{} = {}",
        "{} = '{}'",
        '{} "{}"',
        '{} "a={}"',
        '{} "{}=a"',
        "{} = 1 # {}",
        '{} = "\\x{}"',
        "{} = 1 {}",
        '{} = "a" "{}"',
        '{} = "a"{}',
        '{}s = "{}"',
        '{} = "{}" x',
    ],
)
def test_a_secret_written_wrongly_is_not_shown_either(key, line):
    text = line.format(key, CANARY)
    told = json.dumps(report(text, seconds=0))
    assert CANARY not in told and CANARY not in str(Settings(text).problems)


@given(st.text(max_size=300))
def test_whatever_is_in_the_settings_it_is_json_and_small(text):
    made, wire = diagnostics(f'MQTT_BASE_TOPIC = "{text}"\n{text}', seconds=0)
    data = made.json(wire.now)
    json.loads(data)
    assert len(data) < MOST


def test_it_is_made_once_in_a_while():
    made, _ = diagnostics(seconds=0)
    published = []
    assert made.request(lambda topic, json: published.append(json), 0) is None
    assert made.request(None, 10) == "requested_before"
    made.tick(20)
    assert made.request(None, 30) == "requested_before"
    assert len(published) == 1
    made.tick(20 + PAUSE_MS)
    assert (
        made.request(lambda topic, json: published.append(json), 2**28 + 10) is None
    )  # days later, where ticks compare the other way round
    made.tick(2**28 + 20)
    assert len(published) == 2


# the console


class Typed:
    """Both supervisor.runtime and sys.stdin: what somebody has typed."""

    def __init__(self, text):
        self._text = text

    @property
    def serial_bytes_available(self):
        return len(self._text)

    def read(self, size):
        assert size <= len(self._text), "this would wait"
        text, self._text = self._text[:size], self._text[size:]
        return text


def obeyed(text):
    typed, heard = Typed(text), []
    console = Console(typed, typed, {"diagnostics": heard.append})
    for now in range(len(text) + 1):
        console.tick(now)
    assert not typed.serial_bytes_available
    return len(heard)


@pytest.mark.parametrize(
    "text",
    [
        "diagnostics\n",
        "diagnostics\r",
        " Diagnostics \r\n",
        "\n\ndiagg\bnostics\n",
        "hello\ndiagnostics\n",
        "dïagnostics\x1b\x7fs\ndiagnostics\n",
    ],
)
def test_the_word_is_understood(text):
    assert obeyed(text) == 1


@pytest.mark.parametrize(
    "text", ["diagnostic", "diagnostics", "\n", "", "x" * 5000 + "\n", "diagnostics" * 9 + "\n", "diagnosticsx\n"]
)
def test_other_words_do_nothing(text):
    assert obeyed(text) == 0


def test_unknown_words_print_what_is_understood(capsys):
    obeyed("h\x07elp" + "x" * 500 + "\n")
    said = capsys.readouterr().out
    assert "diagnostics" in said and len(said) < 100 and said.strip().isprintable()


@given(st.text(max_size=200))
def test_nothing_typed_raises(text):
    obeyed(text)


def test_the_hosts_keyboard_never_says_more_than_it_has():
    reader, writer = os.pipe()
    keyboard = Keyboard(reader)
    assert keyboard.available() == 0
    os.write(writer, "aé\r".encode())
    assert keyboard.available() == 4
    assert [keyboard.read(1) for _ in range(3)] == ["a", "é", "\n"] and keyboard.available() == 0
    os.write(writer, b"\xff")
    with pytest.raises(UnicodeError):
        os.write(writer, b"\xff\xff\xff")
        keyboard.read(1)
    os.write(writer, b"x" * 1000)
    assert keyboard.available() == 64  # the rest waits outside
    os.close(writer)
    while keyboard.available():
        keyboard.read(1)
    assert keyboard.available() == 0
    os.close(reader)
    assert keyboard.available() == 0


# the whole product


@pytest.fixture
def host(tmp_path):
    """Starts `python -m host` with settings and a broker. `so_far()` is what it said until now, `printed()` ends it first."""
    log = tmp_path / "log"
    started = []

    def start(settings, port, *arguments):
        (tmp_path / "settings.toml").write_text(settings)
        command = host_without_screen(tmp_path / "settings.toml", port, *arguments)
        with log.open("w") as out:
            process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=out, stderr=out)
        started.append(process)
        return process

    def printed():
        started[-1].terminate()
        started[-1].wait(60)
        return log.read_text()

    yield SimpleNamespace(start=start, printed=printed, so_far=log.read_text)
    for process in started:
        process.kill()
        process.wait()


@needs_mosquitto
def test_asked_for_over_mqtt_and_on_the_console_and_no_secret_anywhere(tmp_path, host):
    user = (f"{CANARY}-user", f"{CANARY}-password")
    broker = Mosquitto(tmp_path, user)
    subscriber = Subscriber(broker.port, user)
    subscriber.publish("b/diagnostics/set", "PRESS", retain=True)
    keys = {"MQTT_USERNAME": user[0], "MQTT_PASSWORD": user[1]}
    lines = [f'{key} = "{keys.get(key, f"{CANARY}-{key}")}"' for key in HIDDEN + FOREIGN]
    process = host.start("\n".join([*lines, 'MQTT_BASE_TOPIC = "b"', ""]), broker.port)

    def announced():
        return len([topic for topic, _, retained in subscriber.received if topic.startswith("homeassistant/device/")])

    def on_console(printed):
        return [line for line in printed.split("\n")[:-1] if '{"diagnostics":1' in line and "->" not in line]

    assert wait_until(lambda: subscriber.latest("b/bms1/status") == "online" and announced() > 10), host.printed()
    assert not subscriber.texts("b/diagnostics"), "what was retained was carried out"
    assert subscriber.latest("b/diagnostics/set") == "", "what was retained was not cleared"
    subscriber.publish("b/diagnostics/set", "Press")
    subscriber.publish("b/diagnostics/set", "\0" * 100000)
    subscriber.publish("b/diagnostics/set", "PRESS")
    assert wait_until(lambda: subscriber.texts("b/diagnostics"))
    process.stdin.write("help\ndiagnostics\n")
    process.stdin.flush()
    before = announced()
    subscriber.publish("homeassistant/status", "online")
    assert wait_until(lambda: announced() > before + 10)
    assert wait_until(lambda: on_console(host.so_far()))
    printed = host.printed()
    subscriber.stop()
    broker.kill()
    (told,) = map(json.loads, subscriber.texts("b/diagnostics"))
    assert told["readings"]["soc"] == 57.3 and told["settings"]["MQTT_PASSWORD"] == "set"
    assert [retained for topic, _, retained in subscriber.received if topic == "b/diagnostics"] == [False]
    assert 'Commands: diagnostics, scan; "help" is none.' in printed and 'PRESS is understood, not "Press"' in printed
    (shown,) = on_console(printed)
    assert json.loads(shown[shown.index("{") :])["settings"] == told["settings"]
    assert CANARY not in printed
    assert not [heard for heard in subscriber.received if CANARY in str(heard)]
