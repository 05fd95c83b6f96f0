# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The wrong settings files of docs/wrong-settings.toml: each gets the sentences that stand there, word by word, and no other.

The same files go through the board's own rules, and through the page docs/settings.html (tests/test_settings_page.py).
"""

import re
import tomllib
from pathlib import Path

import pytest

from app.settings import load
from host import check

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "wrong-settings.toml").read_text(encoding="utf-8")
WRONG = tomllib.loads(TEXT)["wrong"]
GOOD = tomllib.loads(TEXT)["good"]
SECRETS = ("geheim", "solar2024", "schönes")
PINS = "it has |OLED = false: "
QTPY = "adafruit_qtpy_esp32s2"


def written(folder, wrong):
    """The path of the file."""
    path = folder / "settings.toml"
    text = (GOOD if wrong.get("good") else "") + wrong["file"]
    path.write_bytes(text.encode(wrong.get("encoding", "utf-8")))
    return path


def short(sentences):
    """With ... in place of the board's pins, as in the file."""
    return [re.sub(rf"({PINS})[A-Z0-9, ]+(?=\.)", r"\1...", sentence) for sentence in sentences]


def name(wrong):
    lines = wrong["file"].split("\n")
    return lines[0][:40]


def test_there_are_fifty_and_each_has_a_sentence():
    assert len(WRONG) >= 50
    assert [wrong for wrong in WRONG if not wrong.get("mistakes", []) + wrong.get("hints", [])] == []


@pytest.mark.parametrize("wrong", WRONG, ids=name)
def test_a_wrong_file_gets_its_sentences_and_no_other(tmp_path, wrong):
    mistakes, hints = check.check(written(tmp_path, wrong), wrong["board"])
    assert short(mistakes) == wrong.get("mistakes", [])
    assert short(hints) == wrong.get("hints", [])
    said = " ".join(mistakes + hints)
    assert [secret for secret in SECRETS if secret in said] == []


@pytest.mark.parametrize("wrong", WRONG, ids=name)
def test_the_board_says_nothing_that_the_pc_does_not_and_every_mistake_that_needs_no_pins(tmp_path, wrong):
    path = written(tmp_path, wrong)
    settings = load(str(path), "02da1bc0ffee", has_room=True, board_id=wrong["board"])
    mistakes, hints = check.check(path, wrong["board"])
    assert set(settings.problems) <= set(mistakes) and set(settings.hints) <= set(hints)
    of_pins = [one for one in mistakes if "no pin" in one or "choose a free pin" in one or "column" in one]
    assert set(mistakes) - set(of_pins) <= set(settings.problems)


@pytest.mark.parametrize(
    "lines",
    [
        GOOD.replace("geheim1234", "geheim#12;34='x'"),
        GOOD.replace("geheim1234", 'ge\\"heim\\\\1234'),
        GOOD.replace("FRITZ!Box 7590", "Müllers WLAN 🔋 2.4 GHz"),
        GOOD.replace(" = ", "="),
        GOOD.replace("\n", "\r\n"),
        "\t" + GOOD.replace("\n", "   # what I know\n\n\t"),
        GOOD.replace("192.168.178.20", "192.168.178.20:1884, broker.lan"),
        GOOD + 'MQTT_PORT = "1883"\nPUBLISH_INTERVAL_S = "10"\nOLED_ADDRESS = "0x3d"\n',
        GOOD + 'ALLOW_CONTROL = "soc restart_bms"\n',
        GOOD + 'ALLOW_CONTROL = ""\nUTC_OFFSET_MIN = -300\n',
        GOOD + '# UART_TX = "TX"\n# an old note: MQTT_PORT = 1884\n#-------------\n',
        GOOD + 'DEVICE_NAME = "Süd / Keller „A“"\nMQTT_BASE_TOPIC = "haus/akku süd"\n',
        GOOD.replace("geheim1234", "0123456789abcdef" * 4),
        "".join(GOOD.splitlines(keepends=True)[:2]) + 'WEB_PORT = 8080\nMQTT_BROKER = "192.168.178.20"\n',
    ],
)
def test_odd_but_right_files_are_left_in_peace(tmp_path, lines):
    path = tmp_path / "settings.toml"
    path.write_bytes(lines.encode())
    assert check.check(path, QTPY) == ([], [])


def test_without_a_broker_a_file_for_the_page_is_right(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("".join(GOOD.splitlines(keepends=True)[:2]))
    assert check.check(path, QTPY) == (
        [],
        ["without MQTT_BROKER the battery is on the page in the browser only; write its address if you have a broker."],
    )


def test_the_file_that_notepad_has_saved_beside_is_told(tmp_path):
    (tmp_path / "settings.toml").write_text(GOOD)
    (tmp_path / "settings.toml.txt").write_text(GOOD)
    sentence = (
        "settings.toml.txt lies beside settings.toml, and is not read; if it is the newer one, rename it to settings.toml."
    )
    assert check.check(tmp_path / "settings.toml", QTPY) == ([], [sentence])
    (tmp_path / "settings.toml").write_text("")
    sentence = "settings.toml is missing or empty, but there is settings.toml.txt: rename it to settings.toml."
    assert check.check(tmp_path / "settings.toml", QTPY) == ([sentence], [])


def test_a_missing_and_an_empty_file_get_one_sentence(tmp_path):
    remedy = "open settings.example.toml, write your Wi-Fi and broker, save it as settings.toml."
    assert load(str(tmp_path / "settings.toml"), has_room=True).problems == ["settings.toml is missing: " + remedy]
    (tmp_path / "settings.toml").write_bytes(b"\r\n\0\0")
    assert load(str(tmp_path / "settings.toml"), has_room=True).problems == ["settings.toml is empty: " + remedy]
