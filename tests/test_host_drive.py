# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Overrides change the settings where they stand: the firmware's messages name lines of the file the user edits."""

import shutil
import subprocess
import sys
from pathlib import Path

from mosquitto import free_port

from host.drive import oled_address, override, prepare, quoted
from tools.bundle import PACKAGES as BOARD_PACKAGES


def test_a_line_is_replaced_where_it_stands():
    text = b'# my broker\nMQTT_BROKER = "192.168.1.5"  # kitchen\nMQTT_PORT=1883\nOLED = true\n'
    changed = override(text, {"MQTT_BROKER": '"127.0.0.1"', "MQTT_PORT": "4000"})
    assert changed == b'# my broker\nMQTT_BROKER = "127.0.0.1"\nMQTT_PORT = 4000\nOLED = true\n'


def test_comments_and_longer_names_are_let_alone():
    text = b"# MQTT_PORT = 1\nMQTT_PORTAL = 2\n"
    assert override(text, {"MQTT_PORT": "3"}) == text + b"MQTT_PORT = 3\n"


def test_what_is_missing_comes_before_the_first_section():
    text = b"A = 1\n[other]\nMQTT_PORT = 5\n"
    assert override(text, {"MQTT_PORT": "3"}) == b"A = 1\nMQTT_PORT = 3\n[other]\nMQTT_PORT = 5\n"


def test_a_last_line_without_an_end_keeps_to_itself():
    assert override(b"A = 1", {"B": "2"}) == b"A = 1\nB = 2\n"
    assert override(b"", {"B": "2"}) == b"B = 2\n"


def test_what_must_not_be_is_commented_out_and_keeps_its_line():
    text = b'A = 1\nMQTT_PASSWORD = "secret"\r\nB = 2\n'
    changed = override(text, {"MQTT_PASSWORD": None, "MQTT_USERNAME": None})
    assert b"secret" not in changed
    assert [line[:1] for line in changed.splitlines()] == [b"A", b"#", b"B"]
    assert changed.count(b"\r\n") == 1


def test_other_mistakes_reach_the_firmware_unchanged():
    text = b"\xef\xbb\xbfWHAT\n= 3\n\xff\xfe\n"
    assert override(text, {}) == text


def test_quoting():
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'


def test_the_screen_answers_where_the_settings_expect_it():
    assert oled_address(b"# OLED_ADDRESS = 0x3D\n") == 0x3C
    assert oled_address(b"OLED_ADDRESS = 0x3D # other\n") == 0x3D
    assert oled_address(b"OLED_ADDRESS = 61\n") == 0x3D


def test_certificates_come_along(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "drive"
    home.mkdir(), folder.mkdir()
    (home / "my.toml").write_bytes(b"A = 1\n")
    (home / "ca.pem").write_text("certificate")
    for _ in range(2):  # once more after a reset
        prepare(folder, home / "my.toml", {})
    assert (folder / "settings.toml").read_bytes() == b"A = 1\n"
    assert (folder / "ca.pem").read_text() == "certificate"


def test_what_runs_is_the_drives_own_in_every_file(tmp_path):
    """The host uses some of the project's packages itself; a drive under --drive must not get those."""
    root = Path(__file__).resolve().parent.parent
    for package in BOARD_PACKAGES:
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (tmp_path / package).glob("*.py"):
            file.write_text(file.read_text() + f'\nprint("drive:", "{package}/{file.name}")\n')
    shutil.copy(root / "code.py", tmp_path)
    (tmp_path / "settings.toml").write_text(
        'MQTT_BROKER = "b"\nWAKE_PIN = "IO5"\nALLOW_CONTROL = "soc, outputs"\nOUTPUT_1 = "IO6 on when time > 08:00"\n'
        'LED_PIN = "IO14"\nPUBLISH_VICTRON = true\n'
    )  # what is not wanted is not loaded
    # loaded for a fault to be put into words, to set the SoC, for another BMS, when diagnostics are requested
    lazy = {"mqtt/trouble.py", "daly/words.py", "app/clock.py", "daly/d2.py", "app/report.py"}
    # for several batteries, or one that was taken out; a scan; a record of an earlier version
    lazy |= {"app/batteries.py", "app/several.py", "battery/bank.py", "daly/buses.py", "daly/shared.py", "display/several.py"}
    lazy |= {"mqtt/bank.py", "mqtt/bank_discovery.py", "app/gone.py", "app/scan.py", "daly/scan.py", "app/nvm_earlier.py"}
    lazy |= {"outputs/faulty.py", "web/bank.py", "web/metrics.py", "sensors/vedirect_monitor.py"}
    lazy |= {"app/advice.py"}  # for a mistake in the settings
    lazy |= {"app/sleep.py", "mqtt/sleeping.py"}  # with SLEEP_MINUTES it would fall asleep
    files = {f"{package}/{file.name}" for package in BOARD_PACKAGES for file in (tmp_path / package).glob("*.py")}
    command = [sys.executable, "-m", "host", "--plain", "--drive", tmp_path, "--nvm", tmp_path / "nvm", "--seconds", "60"]
    command += ["--web", str(free_port()), "--vedirect", "solar", "--sensor", "ds18b20=21", "--sensor", "supply=13"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        missing = set(files)
        for line in process.stdout:
            missing.discard(line.partition("drive: ")[2].strip())
            if missing <= lazy:
                break
        process.terminate()
    assert missing <= lazy, missing
