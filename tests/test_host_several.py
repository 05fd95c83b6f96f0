# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`python -m host` with several batteries: the whole firmware reads all of them, on one line and on several."""

import json
import subprocess
import sys

from PIL import Image, ImageChops
from test_host_cli import ROOT, start
from test_screen import screens
from test_screen_of_several import FakeBank

from display import several
from display.pages import SHORT

LIMIT_S = 80  # on a PC that has much else to do


def told_until(process, is_enough):
    """Topic -> the JSON or the text published last, until that is enough."""
    found = {}
    for line in process.stdout:
        words = line.split(" ", 3)
        if len(words) == 4 and words[1] == "->":
            topic = words[2].split("/", 2)[-1]
            found[topic] = json.loads(words[3]) if words[3].startswith("{") else words[3].strip()
            if is_enough(found):
                return found
    raise AssertionError(f"it ended after {found}")


def run_four(*batteries, is_enough, options=("--no-oled",)):
    given = [part for text in batteries for part in ("--bms", text)]
    process = start("--seconds", LIMIT_S, *options, *given)
    try:
        return told_until(process, is_enough)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def all_online(found):
    return found.get("bank/state", {}).get("batteries_online") == "4 of 4" and found["bank/state"]["soc"] is not None


def test_four_batteries_of_three_protocols_live_on_two_uarts():
    found = run_four(
        "drift=0,soc=51",
        "drift=0,soc=52,protocol=p81",
        "drift=0,soc=53",
        "drift=0,soc=54,protocol=d2,uart=2",
        is_enough=all_online,
    )
    charges = {key: found[key + "/state"]["soc"] for key in ("bms1", "bms2", "bms3", "bms201")}
    assert charges == {"bms1": 51, "bms2": 52, "bms3": 53, "bms201": 54}
    assert found["bank/state"]["soc"] == 52.5 and found["bank/state"]["battery_count"] == 4


def test_a_silent_one_costs_only_itself():
    found = run_four(
        "drift=0,soc=51",
        "drift=0,silent=1",
        "drift=0,soc=53",
        is_enough=lambda found: (
            "soc" in found.get("bms3/state", {})
            and found["bms3/state"]["soc"]
            and found.get("bank/state", {}).get("batteries_online") == "2 of 3"
        ),
    )
    assert found["bank/state"]["current"] is None and "BMS 2: No response" in found["bank/state"]["missing"]
    assert found["bms2/status"] == "offline" and found["bms3/state"]["soc"] == 53


def test_real_lines_with_other_numbers_are_read_by_the_settings(tmp_path):
    """Each line is on the UART of its place, whatever its boards are; the settings say which numbers to ask."""
    lines = [simulated("board=3,drift=0,soc=43"), simulated("board=5,protocol=p81,drift=0,soc=45")]
    settings = tmp_path / "settings.toml"
    settings.write_text(
        'MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "a/b"\nBMS_BOARD_NUMBERS = "3"\nUART_2_TX = "IO5"\nUART_2_RX = "IO6"\n'
        'UART_2_BOARD_NUMBERS = "5"\n'
    )
    uarts = [part for _, path in lines for part in ("--uart", path)]
    process = start("--no-oled", "--seconds", LIMIT_S, "--settings", settings, "--nvm", tmp_path / "nvm", *uarts)
    try:
        found = told_until(process, lambda found: all(found.get(key, {}).get("soc") for key in ("bms3/state", "bms205/state")))
    finally:
        process.terminate()
        process.communicate(timeout=60)
        for child, _ in lines:
            child.stdin.close()
            child.wait(60)
    assert (found["bms3/state"]["soc"], found["bms205/state"]["soc"]) == (43, 45)


def simulated(options):
    command = [sys.executable, "-m", "simulator.line", "--bms", options]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return child, child.stdout.readline().strip()


def test_the_screen_shows_the_bank_as_it_is_published(tmp_path):
    picture, settings = tmp_path / "screen.png", tmp_path / "settings.toml"
    text = (
        'MQTT_BROKER = "b"\nOLED_PAGE_S = 0\nMQTT_BASE_TOPIC = "a/b"\nPUBLISH_INTERVAL_S = 1\nCIRCUITPY_WIFI_SSID = "cellar"\n'
    )
    settings.write_text(text)
    published = []

    def is_settled(found):
        """Two states of the bridge after all were known: the screen has been drawn since."""
        if all_online(found) and "state" in found and found["state"]["uptime"] not in published:
            published.append(found["state"]["uptime"])
        return len(published) > 2

    batteries = ("drift=0,soc=51", "drift=0,soc=52", "drift=0,soc=53", "drift=0,soc=54")
    options = ("--settings", settings, "--oled", picture)
    bank = run_four(*batteries, is_enough=is_settled, options=options)["bank/state"]
    values = {"soc": 10 * bank["soc"], "pack_voltage": 10 * bank["pack_voltage"], "current": 10 * bank["current"]}
    values |= {"power": 100 * bank["power"]}
    shown = several.bank_overview(FakeBank(4, 4, **{key: round(value) for key, value in values.items()}), SHORT, "")
    oled = screens.Oled()
    expected = oled.draw(shown)
    oled.close()
    with Image.open(picture) as seen:
        assert ImageChops.difference(seen.convert("RGB"), expected.convert("RGB")).getbbox() is None
