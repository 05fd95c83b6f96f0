# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The demo in a terminal: it fits, each key does what it says, in the view and for a subscriber, and the terminal is left as
it was."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import pytest
from mosquitto import Subscriber, free_port, wait_until
from terminal import ROOT, Terminal

STATE, STATUS, CONNECTION = "t/bms1/state", "t/bms1/status", "t/bms1/connection"
EFFECT_S = 40  # on a busy machine; alone it is two to ten
KEYS_80 = " s asleep u unplug a alarm l load c charge b broker w Wi-Fi : type q quit"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    file = tmp_path_factory.mktemp("demo") / "settings.toml"
    file.write_text('MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "t"\nCIRCUITPY_WIFI_SSID = "home"\n')
    return file


@pytest.fixture
def demo(settings):
    """Starts it and waits until it shows a voltage."""
    made = []

    def start(*arguments, is_shown="cells   ▲", **options):
        terminal = Terminal("--settings", settings, *arguments, **options)
        made.append(terminal)
        if is_shown:
            terminal.wait_for(is_shown)
        return terminal

    yield start
    for terminal in made:
        terminal.close()


def subscriber_of(terminal):
    return Subscriber(int(re.search(r"broker 127\.0\.0\.1:(\d+)", terminal.rows[0])[1]))


@pytest.fixture(scope="module")
def running(settings):
    """One demo for all keys, with what a subscriber gets; each test leaves it as it was."""
    terminal = Terminal("--settings", settings, "--bms", "soc=57.3,current=-12.4", columns=80, rows=24)
    terminal.wait_for("cells   ▲")
    subscriber = subscriber_of(terminal)
    assert wait_until(lambda: latest(subscriber).get("active_alarms"), EFFECT_S)
    yield terminal, subscriber
    subscriber.stop()
    terminal.close()


def latest(subscriber):
    """The state received last; {}: none."""
    return json.loads(subscriber.latest(STATE) or "{}")


def numbers(terminal):
    """Everything with a decimal point in the rows above the console."""
    while "─ console ─" not in (text := terminal.text):
        time.sleep(0.05)  # a picture is half drawn
    rows = text.split("─ console ─")[0].split("\n")
    return re.findall(r"\d+\.\d+", "\n".join(rows[1:]))


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (100, 30), (120, 40), (200, 50)])
def test_it_fits_and_shows_the_battery(demo, columns, rows):
    # some shells export the size that the window had when it was opened
    terminal = demo("--web", free_port(), columns=columns, rows=rows, COLUMNS="90", LINES="26")
    words = ("57.3 %", "52.7 V", "discharging", "none balancing", "charge on, discharge on", "MQTT: connected")
    cells = [re.compile(rf"\b{number}[ ▲▼◆]+3\.\d\d\d ") for number in range(1, 17)]
    # a picture is half drawn for a moment: one is waited for that has everything
    text = terminal.wait(
        lambda shown: (
            all(word in shown for word in words)
            and all(cell.search(shown) for cell in cells)
            and shown.rstrip().endswith("q quit")
        )
    )
    shown = text.split("\n")
    assert re.match(r" Daly MQTT .* http://127\.0\.0\.1:\d+/ +broker 127\.0\.0\.1:\d+ +simulated BMS *$", shown[0]), shown[0]
    assert shown[-1].rstrip().endswith("q quit") and "u unplug" in shown[-1]
    if columns == 80:
        assert shown[-1].rstrip() == KEYS_80
    assert "{" not in text, "JSON is for programs"


def test_with_every_size_there_is_a_whole_picture(demo):
    terminal = demo()
    for columns, rows in ((120, 40), (90, 25), (80, 24), (60, 20), (130, 36)):
        terminal.resize(columns, rows)
        if columns < 80:
            terminal.wait(lambda shown: "80 × 24 are needed" in shown.split("\n")[0])
        else:
            terminal.wait(
                lambda shown: shown.startswith(" Daly MQTT") and shown.rstrip().endswith("q quit") and "cells   ▲" in shown
            )
            assert len(terminal.rows[-1].rstrip()) <= columns


@pytest.mark.parametrize(
    ("key", "words", "begun", "ended"),
    [
        ("l", "a load is switched on", lambda s: s["current"] < -60, lambda s: -16 < s["current"] < -9),
        ("c", "a charger is connected", lambda s: s["mode"] == "charging", lambda s: s["mode"] == "discharging"),
        (
            "a",
            "cell 7 is too high",
            lambda s: (
                s["active_alarms"] == "Cell overvoltage (protection)"
                and s["charge_mosfet"] == "OFF"
                and s["balancing_cells"] == [7]
            ),
            lambda s: s["active_alarms"] == "none" and s["charge_mosfet"] == "ON" and s["balancing_cells"] == [],
        ),
    ],
)
def test_a_key_changes_the_battery_in_the_view_and_for_a_subscriber(running, key, words, begun, ended):
    terminal, subscriber = running
    terminal.type(key)
    terminal.wait_for(words)
    assert wait_until(lambda: begun(latest(subscriber)), EFFECT_S), latest(subscriber)
    state = latest(subscriber)
    shown = {
        "l": ["discharging", f"{state['pack_voltage']} V"],
        "c": ["charging"],
        "a": ["alarms: Cell overvoltage (protection)", "charge off, discharge on", "7◆▲3.7", "◆ balancing"],
    }[key]
    terminal.wait_for(*shown)
    terminal.type(key)
    assert wait_until(lambda: ended(latest(subscriber)), EFFECT_S), latest(subscriber)
    terminal.wait_for("none balancing", "alarms: none", "discharging")


@pytest.mark.parametrize("key", ["s", "u"])
def test_a_bms_that_is_silent_has_no_number_and_the_reason_is_there(running, key):
    terminal, subscriber = running
    terminal.wait_for(" 57.")
    assert len(numbers(terminal)) > 20
    terminal.type(key)
    assert wait_until(lambda: subscriber.latest(STATUS) == "offline", EFFECT_S)
    terminal.wait_for("○ unavailable: BMS asleep, or cut off", "no number is", "no voltage is known now")
    assert numbers(terminal) == []
    assert latest(subscriber)["soc"] is None
    terminal.type(key)
    assert wait_until(lambda: subscriber.latest(STATUS) == "online", EFFECT_S)
    terminal.wait_for("● online", "cells   ▲")


def test_a_load_wakes_the_bms(running):
    terminal, subscriber = running
    terminal.type("s")
    assert wait_until(lambda: subscriber.latest(STATUS) == "offline", EFFECT_S)
    terminal.type("l")
    assert wait_until(lambda: subscriber.latest(STATUS) == "online", EFFECT_S)
    terminal.type("l")
    assert wait_until(lambda: -16 < latest(subscriber)["current"] < -9, EFFECT_S)
    terminal.type("l")  # not asleep as soon as the load is gone
    assert wait_until(lambda: latest(subscriber)["current"] < -60, EFFECT_S)
    terminal.type("l")


def test_without_broker_nothing_is_known_and_it_comes_back(running):
    terminal, subscriber = running
    terminal.type("b")
    terminal.wait_for("○ unavailable: the broker is off", "connection refused", "no voltage is known now")
    assert numbers(terminal) == []
    subscriber.clear()
    terminal.type("b")
    terminal.wait_for("● online", "cells   ▲")
    assert wait_until(lambda: latest(subscriber).get("soc"), EFFECT_S)


def test_without_wifi_the_last_will_says_offline(running):
    terminal, subscriber = running
    terminal.type("w")
    terminal.wait_for("No Wi-Fi", seconds=EFFECT_S)
    assert wait_until(lambda: subscriber.latest("t/status") == "offline", 60)
    terminal.wait_for("○ unavailable: the bridge is not connected to the broker", "no voltage is known now")
    assert numbers(terminal) == []
    terminal.type("w")
    assert wait_until(lambda: subscriber.latest("t/status") == "online", 90)
    terminal.wait_for("● online", "cells   ▲")


def test_a_line_for_the_console_of_the_chip(running):
    terminal, _ = running
    terminal.type(":")
    terminal.wait_for("Enter: run it, Esc: back")
    terminal.type("hello\r")
    terminal.wait_for('"hello" is none.')
    terminal.type(":squ\x1b")
    terminal.wait(lambda shown: shown.rstrip().endswith("q quit"))
    assert terminal.process.poll() is None and "asleep, or cut off" not in terminal.rows[11]


def test_several_batteries_have_a_row_each_and_n_shows_the_next(demo):
    terminal = demo("--bms", "soc=50", "--bms", "soc=60,protocol=p81", is_shown="2 of 2 online")
    assert re.search(r"▸ +bms1 +5\d\.", terminal.text) and re.search(r"  bms2 +(59|60)\.", terminal.text)
    terminal.type("n")
    terminal.wait(lambda shown: re.search(r"▸ +bms2 ", shown))
    assert re.search(r"╮ (59|60)\.\d %", terminal.rows[1])
    assert terminal.rows[-1].rstrip().endswith("n next : type q quit")


def test_a_real_line_has_only_the_keys_that_make_sense(demo):
    master, slave = pty.openpty()
    try:
        terminal = demo("--uart", os.ttyname(slave), is_shown="b broker")
        assert terminal.rows[-1].rstrip() == " b broker w Wi-Fi : type q quit"
        assert os.ttyname(slave) in terminal.rows[0]
        terminal.type("slauc")
        terminal.wait_for("○ waiting")
        assert "host: the BMS" not in terminal.text
    finally:
        os.close(master)
        os.close(slave)


def is_as_before(terminal):
    after = termios.tcgetattr(terminal.slave)
    return (
        after == terminal.before
        and terminal.output.rfind(b"\x1b[?1049l") > terminal.output.rfind(b"\x1b[?1049h")
        and (terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l"))
    )


@pytest.mark.parametrize("end", ["q", "\x03", signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_the_terminal_is_as_before(demo, end):
    terminal = demo(is_shown="q quit")
    terminal.wait(lambda _: termios.tcgetattr(terminal.slave) != terminal.before)
    terminal.type(end) if isinstance(end, str) else terminal.process.send_signal(end)
    assert terminal.exit_status() == 0
    assert is_as_before(terminal), terminal.output[-300:]


def test_a_crash_leaves_the_terminal_as_before_and_says_why(demo, tmp_path):
    (tmp_path / "code.py").write_text("import time\ntime.sleep(1)\n1 / 0\n")
    (tmp_path / "settings.toml").write_text('MQTT_BROKER = "b"\n')
    terminal = Terminal("--drive", tmp_path)
    try:
        assert terminal.exit_status(60) == 1
        assert is_as_before(terminal)
        assert "ZeroDivisionError" in terminal.text and "Code done running" in terminal.text
    finally:
        terminal.close()


def test_ctrl_z_is_no_way_to_leave_the_picture_behind(demo):
    terminal = demo()
    terminal.type("\x1a")
    time.sleep(0.5)
    with open(f"/proc/{terminal.process.pid}/stat") as file:
        assert file.read().rsplit(")", 1)[1].split()[0] != "T"


def test_without_colours_it_is_readable(demo):
    terminal = demo(NO_COLOR="1")
    terminal.type("a")
    terminal.wait_for("7◆▲3.7", "alarms: Cell overvoltage (protection)")
    colours = re.findall(rb"\x1b\[([\d;]*)m", bytes(terminal.output))
    assert not [each for each in colours if {int(n or 0) for n in each.split(b";")} - {0, 1, 2, 3, 4, 7}], set(colours)


def test_a_dumb_terminal_gets_a_log(demo):
    terminal = demo(is_shown="MQTT: connected", TERM="dumb")
    assert b"\x1b" not in terminal.output


def log_of(settings, *arguments):
    """The log where no terminal is, until the battery has been announced."""
    command = [sys.executable, "-m", "host", "--settings", str(settings), "--seconds", "60", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if "_cells/config" in line:
            break
    process.terminate()
    process.communicate(timeout=60)
    return lines


def test_without_a_terminal_long_messages_are_in_short(settings):
    lines = log_of(settings)
    discovery = [line for line in lines if "/config" in line]
    assert discovery and all(re.search(r"/config \((\d+|no) entit(y|ies), \d+\.\d KB\)$", line) for line in discovery)
    states = [line for line in lines if f"-> {STATE}" in line]
    assert states and re.search(r"57\.3 %, 52\.\d V, -1\d\.\d A, .* no alarm \(\d\.\d KB\)$", states[-1]), states[-1]
    assert max(len(line) for line in lines if "->" in line) < 160


def test_with_json_every_message_is_whole(settings):
    lines = log_of(settings, "--json")
    for line in lines:
        if "/config " in line or f"-> {STATE} " in line:
            json.loads(line.split(" ", 3)[3])
    assert any("/config {" in line for line in lines) and any(f"{STATE} {{" in line for line in lines)
