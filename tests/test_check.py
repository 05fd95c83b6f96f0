# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`python -m host --check`: files as people write them wrongly; each mistake with line, key, value, remedy, as on the board."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import load
from host import check

ROOT = Path(__file__).parent.parent
HARDWARE = (ROOT / "docs" / "HARDWARE.md").read_text()
WIFI = 'CIRCUITPY_WIFI_SSID = "cellar"\nCIRCUITPY_WIFI_PASSWORD = "correct horse"\n'
GOOD = WIFI + 'MQTT_BROKER = "192.168.1.10"\n'

WRONG = {  # name: (file, board, what must be said: the words of each mistake, in the order of the lines)
    "mistyped keys": (
        GOOD + "MQTT_PROT = 1884\nmqtt_username = 3\n",
        None,
        [("line 4", "MQTT_PROT", "did you mean MQTT_PORT"), ("line 5", "mqtt_username", "in capitals; write MQTT_USERNAME")],
    ),
    "no quotes": (
        WIFI + "MQTT_BROKER = 192.168.1.10\n",
        None,
        [("line 3", "MQTT_BROKER", "192.168.1.10", "double quotes")],
    ),
    "single quotes and a forgotten one": (
        "CIRCUITPY_WIFI_SSID = 'cellar'\nMQTT_BROKER = \"192.168.1.10\n",
        None,
        [("line 1", "CIRCUITPY_WIFI_SSID", "double quotes"), ("line 2", "MQTT_BROKER", "no proper end")],
    ),
    "a table as in real TOML": (
        "[wifi]\nssid = 'cellar'\n",
        None,
        [("line 1", "section", "remove the line")],
    ),
    "wrong types and ranges": (
        GOOD + 'OLED = maybe\nMQTT_PORT = 99999\nPUBLISH_INTERVAL_S = "soon"\nOLED_HEIGHT = 48\n',
        None,
        [
            ("line 4", "OLED", "maybe", "true or false"),
            ("line 5", "MQTT_PORT", "99999", "65535"),
            ("line 6", "PUBLISH_INTERVAL_S", "soon", "whole number"),
            ("line 7", "OLED_HEIGHT", "48", "32 or 64"),
        ],
    ),
    "a pin twice in other letters, a time without a server, a name without a number": (
        GOOD + 'VEDIRECT_1_RX = "io5"\nOUTPUT_1 = "IO5 on when time > 08:00"\nNTP_SERVER = ""\nDS18B20_NAMES = "boiler"\n',
        "lolin_s3_mini",
        [
            ("NTP_SERVER is empty", "write a server"),
            ("line 4: VEDIRECT_1_RX cannot be io5", "OUTPUT_1 is"),
            ("line 7: DS18B20_NAMES", '"boiler" is left out'),
        ],
    ),
    "thermometers that a rule could not tell apart": (
        GOOD
        + 'DS18B20_PIN = "IO4"\n'
        + 'DS18B20_NAMES = "28aa01=Hot water, 28aa02=hot_water, 28aa01=tank, 28aa03=problem, 28aa04=attic"\n',
        "lolin_s3_mini",
        [
            ("line 5: DS18B20_NAMES", '"28aa02=hot_water" is left out, as 28aa01 is Hot water; write another one'),
            ("line 5: DS18B20_NAMES", '"28aa01=tank" is left out, as 28aa01 is Hot water; write another one'),
            (
                "line 5: DS18B20_NAMES",
                '"28aa03=problem" is left out, as its source has a value of that name; write another one',
            ),
        ],
    ),
    "a number that there is not": (
        GOOD + 'OUTPUT_9 = "IO5 on when soc > 80"\nVEDIRECT_3_RX = "IO6"\nUART_4_TX = "IO7"\n',
        "lolin_s3_mini",
        [
            ("line 4: OUTPUT_9 is not a setting; there are OUTPUT_1 to OUTPUT_8; write one of these",),
            ("line 5: VEDIRECT_3_RX is not a setting; there are VEDIRECT_1_RX to VEDIRECT_2_RX; write one of these",),
            ("line 6: UART_4_TX is not a setting; there are UART_2_TX to UART_3_TX; write one of these",),
        ],
    ),
    "a short Wi-Fi password": (
        'CIRCUITPY_WIFI_SSID = "cellar"\nCIRCUITPY_WIFI_PASSWORD = "horse"\nMQTT_BROKER = "192.168.1.10"\n',
        None,
        [("line 2", "CIRCUITPY_WIFI_PASSWORD", "fewer than 8")],
    ),
    "broker with a port that is none": (
        WIFI + 'MQTT_BROKER = "192.168.1.9:70000"\nMQTT_PORT = 1883\n',
        None,
        [("line 3", "MQTT_BROKER", "192.168.1.9:70000", "address:port")],
    ),
    "broker as a URL": (
        WIFI + 'MQTT_BROKER = "mqtt://homeassistant.local"\n',
        None,
        [("line 3", "MQTT_BROKER", "only the address", '"homeassistant.local"')],
    ),
    "pins of another board": (
        GOOD + 'UART_TX = "IO19"\nUART_RX = "D5"\n',
        "adafruit_feather_esp32s3_nopsram",
        [("line 4", "UART_TX", "IO19", "no pin", "D39", "SDA")],
    ),
    "the same pin by two names": (
        GOOD + 'UART_TX = "D39"\nWAKE_PIN = "TX"\nUART_RX = "D5"\n',
        "adafruit_feather_esp32s3_nopsram",
        [("line 5", "WAKE_PIN", "TX", "D39", "free pin")],
    ),
    "rules of outputs": (
        GOOD
        + 'WAKE_PIN = "IO5"\nOUTPUT_1 = "IO6 on when sco > 80"\nOUTPUT_2 = "Fan: IO5 on when soc > 80"\n'
        + 'OUTPUT_3 = "IO99 on when soc > 8"\nDS18B20_PIN = "IO7"\nOUTPUT_4 = "IO4 on when ds18b20.boiler < 60"\n'
        + "OLED = false\n",
        "espressif_esp32s3_devkitc_1_n8",
        [
            ("line 5: OUTPUT_1, column 13", "did you mean soc"),
            ("line 6", "OUTPUT_2 cannot be IO5", "WAKE_PIN"),
            ("line 7", "OUTPUT_3", "no pin IO99"),
            (
                "line 9: OUTPUT_4, column 13",
                "there is no ds18b20.boiler; write its number of 14 digits, or a name of DS18B20_NAMES",
            ),
        ],
    ),
    "twice, and saved with a byte order mark": (
        "\ufeff" + GOOD + 'MQTT_BROKER = "10.0.0.1"\n',
        None,
        [("line 1", "byte order mark"), ("line 4", "MQTT_BROKER", "second time", "line 3")],
    ),
    "names of CircuitPython, mistyped": (
        'CIRCUITPY_WIFI_SID = "cellar"\nCIRCUITPY_WIFI_PASSWD = "correct horse"\nMQTT_BROKER = "192.168.1.10"\n',
        None,
        [("line 1", "did you mean CIRCUITPY_WIFI_SSID"), ("line 2", "did you mean CIRCUITPY_WIFI_PASSWORD")],
    ),
}


def write(folder, text):
    file = folder / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return file


def run(*arguments):
    command = [sys.executable, "-m", "host", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_what_is_wrong_and_what_to_do(tmp_path, name):
    text, board, expected = WRONG[name]
    file = write(tmp_path, text)
    mistakes, _ = check.check(file, board)
    assert len(mistakes) == len(expected), mistakes
    for sentence, words in zip(mistakes, expected):
        assert [word for word in words if word not in sentence] == [], sentence
    if board is None:
        assert sorted(mistakes) == sorted(load(str(file), has_room=True).problems)  # what the board says


@pytest.mark.parametrize("name", WRONG)
def test_no_password_is_repeated(tmp_path, name):
    text, board, _ = WRONG[name]
    mistakes, hints = check.check(write(tmp_path, text), board)
    assert "horse" not in " ".join(mistakes + hints)


def test_a_good_file_has_nothing_to_say(tmp_path):
    assert check.check(write(tmp_path, GOOD), "adafruit_qtpy_esp32s2") == ([], [])


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        ('MQTT_BROKER = "homeassistant.local"\n', "IP address is safer"),
        ('MQTT_BROKER = "localhost"\n', "the board itself"),
        ('MQTT_BROKER = "b"\nMQTT_USERNAME = "me"\n', "without MQTT_PASSWORD"),
        ('MQTT_BROKER = "b"\nMQTT_PASSWORD = "me"\n', "without MQTT_USERNAME"),
        ('MQTT_BROKER = "b"\nMQTT_PORT = 8883\n', "MQTT_TLS = true"),
        ('MQTT_BROKER = "b"\nMQTT_PORT = 1883\nMQTT_TLS = true\n', "8883"),
        ('MQTT_BROKER = "b"\nMQTT_TLS = true\nMQTT_CA_FILE = "ca.pem"\n', "is not next to"),
    ],
)
def test_what_is_legal_and_unlikely_is_a_hint(tmp_path, lines, hint):
    mistakes, hints = check.check(write(tmp_path, WIFI + lines))
    assert mistakes == [] and len(hints) == 1 and "line " in hints[0] and hint in hints[0]


def test_the_example_as_it_is_shipped_is_no_mistake_but_a_hint():
    mistakes, hints = check.check(ROOT / "settings.toml", "adafruit_qtpy_esp32s2")
    assert mistakes == [] and ["still the example" in hint for hint in hints] == [True, True]


def test_the_drive_says_which_board_it_is(tmp_path):
    boot = "Adafruit CircuitPython 10.3.1 on 2026-09-01; S3 with ESP32S3\r\nBoard ID:espressif_esp32s3_devkitc_1_n8\r\n"
    (tmp_path / "boot_out.txt").write_text(boot)
    mistakes, _ = check.check(write(tmp_path, GOOD))
    assert [mistake.split(":")[0] for mistake in mistakes] == ["OLED_SDA", "OLED_SCL"]


ROWS = re.findall(r"^\| [^|]+ \| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", HARDWARE, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_hardware_page_says_of_a_board_what_circuitpython_does(tmp_path, row):
    board, uart, i2c, lines = row
    names = check.pins(board)
    assert uart == f"{names['TX']}, {names['RX']}"
    assert i2c == (f"{names['SDA']}, {names['SCL']}" if "SDA" in names else "–")
    if "the same" in lines:
        lines = next(row[3] for row in ROWS if row[0] == "espressif_esp32s3_devkitc_1_n8")
    settings = "\n".join(re.findall(r"`(\w+ = \"\w+\")`", lines))
    assert check.check(write(tmp_path, GOOD + settings), board) == ([], [])


def test_the_hardware_page_has_the_usual_boards():
    assert len(ROWS) >= 8


# the command


def test_the_command_ends_with_1_for_mistakes_and_0_without(tmp_path):
    result = run("--check", write(tmp_path, GOOD + "MQTT_PROT = 1\n"))
    assert result.returncode == 1 and "did you mean MQTT_PORT" in result.stdout and "1 mistake, no hints" in result.stdout
    result = run("--check", write(tmp_path, GOOD), "--board", "lolin_s3_mini")
    assert result.returncode == 0 and "no mistakes" in result.stdout and "lolin_s3_mini" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--check", "{}", "--board", "lolin_s2_mni"), "did you mean lolin_s2_mini"),
        (("--board", "lolin_s2_mini"), "--check"),
        (("--check", "{}/no/such.toml"), "cannot be read"),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong(tmp_path, arguments, said):
    file = write(tmp_path, GOOD)
    result = run(*(argument.format(file) for argument in arguments))
    assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr
