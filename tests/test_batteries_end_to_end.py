# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several batteries as processes: the unmodified firmware, boards on one serial line or two, a real mosquitto."""

import json
import time

import pytest
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from processes import Bridge, SimulatedBms

pytestmark = [needs_mosquitto, pytest.mark.timeout(200)]
SETTINGS = 'CIRCUITPY_WIFI_SSID = "shed"\nOLED = false\nCELLS_INTERVAL_S = 1\nPUBLISH_INTERVAL_S = 1\n'
SETTINGS += 'ALLOW_CONTROL = "charge_mosfet, energy"\n'
FOUR = "boards=4,drift=0,soc=11,soc@2=22,soc@3=33,protocol@3=p81,soc@4=44,cells=16,cells@4=8,current=10,current@2=-20"


class Place:
    """A broker, boards on a serial line for each of `lines`, and a bridge with these settings."""

    def __init__(self, folder, settings, *lines):
        folder.mkdir()
        for line, _ in enumerate(lines):
            (folder / str(line)).mkdir()
        self.lines = [SimulatedBms(folder / str(line), text) for line, text in enumerate(lines)]
        self.broker = Mosquitto(folder)
        self.subscriber = Subscriber(self.broker.port)
        for number in range(1, 5):  # of before: no battery may follow it
            self.subscriber.publish(f"t/bms{number}/charge_mosfet/set", "OFF", retain=True)
        more = [part for line in self.lines[1:] for part in ("--uart", line.path)]
        self.bridge = Bridge(folder, self.lines[0].path, self.broker.port, SETTINGS + settings, options=["--no-oled", *more])

    def state(self, key):
        """The last state of a battery, or of the bank; empty while there is none."""
        return json.loads(self.subscriber.latest(f"t/{key}/state") or "{}")

    def wait(self, condition, seconds=60):
        assert wait_until(condition, seconds), self.bridge.log[-3000:]

    def is_up(self, *keys):
        return all(self.subscriber.latest(f"t/{key}/status") == "online" and self.state(key).get("soc") for key in keys)

    def stop(self):
        self.subscriber.stop()
        self.bridge.stop()
        self.broker.kill()
        for line in self.lines:
            line.stop()


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("four") / "place", 'BMS_BOARD_NUMBERS = "1-4"\nBMS_4_NAME = "Van"\n', FOUR)
    place.wait(lambda: place.is_up("bms1", "bms2", "bms3", "bms4"))
    yield place
    place.stop()


def test_every_value_is_published_under_its_battery(four):
    four.wait(lambda: [four.state(f"bms{number}")["soc"] for number in range(1, 5)] == [11.0, 22.0, 33.0, 44.0], 20)
    four.wait(lambda: all(four.state(f"bms{number}").get("cell_8_voltage") for number in range(1, 5)), 20)
    assert [four.state(f"bms{number}").get("cell_16_voltage") is not None for number in range(1, 5)] == [
        True,
        True,
        True,
        False,
    ]
    assert four.state("bms1")["current"] > 5 and four.state("bms2")["current"] < -15
    four.wait(lambda: four.subscriber.latest("t/bms3/connection") == "OK, with protocol P81", 20)
    four.wait(lambda: '"A5, P81"' in (four.subscriber.latest("t/state") or ""), 30)
    bridge = json.loads(four.subscriber.latest("t/state"))
    assert bridge["settings_problems"] == "none"


def test_the_bank_is_their_sum(four):
    def is_sum():
        states = [four.state(f"bms{number}") for number in range(1, 5)]
        bank = four.state("bank")
        if None in [state["remaining_capacity"] for state in states] or not bank.get("remaining_capacity"):
            return False
        total = sum(round(1000 * state["remaining_capacity"]) for state in states)
        return round(1000 * bank["remaining_capacity"]) == total and bank["batteries_online"] == "4 of 4"

    four.wait(is_sum, 30)


def switched(place, numbers):
    """What is published of the charge MOSFET of each."""
    return [place.state(f"bms{number}")["charge_mosfet"] for number in numbers]


def test_a_command_reaches_the_board_of_its_topic_alone_and_a_retained_one_none(four):
    four.wait(lambda: switched(four, (1, 2, 3, 4)) == ["ON", "ON", "ON", "ON"], 30)
    four.subscriber.publish("t/bms3/charge_mosfet/set", "OFF")
    four.subscriber.publish("t/bms9/charge_mosfet/set", "OFF")
    four.wait(lambda: (four.subscriber.latest("t/bms3/command_result") or "").endswith("off: done"), 30)
    four.wait(lambda: four.state("bms3")["charge_mosfet"] == "OFF", 20)
    four.wait(lambda: switched(four, (1, 2, 4)) == ["ON", "ON", "ON"], 30)
    results = [text for number in (1, 2, 4) for text in four.subscriber.texts(f"t/bms{number}/command_result")]
    assert not [text for text in results if "done" in text]
    assert four.bridge.log.count("Command: ") == 1 and "BMS 3: Command: Charge MOSFET off: done" in four.bridge.log


def test_diagnostics_are_of_each_battery(four):
    four.subscriber.publish("t/diagnostics/set", "PRESS")
    topics = ["t/diagnostics", "t/bms2/diagnostics", "t/bms3/diagnostics", "t/bms4/diagnostics"]
    four.wait(lambda: all(four.subscriber.latest(topic) for topic in topics), 30)
    told = [json.loads(four.subscriber.latest(topic)) for topic in topics]
    assert [each["readings"]["soc"] for each in told] == [11.0, 22.0, 33.0, 44.0]
    assert [each["battery"] for each in told] == ["bms1", "bms2", "bms3", "bms4"]
    assert told[0]["settings"]["BMS_BOARD_NUMBERS"] == "1-4" and told[0]["settings"]["BMS_4_NAME"] == "Van"
    assert max(len(four.subscriber.latest(topic)) for topic in topics) <= 8192


def test_after_a_restart_each_continues_its_counters(four):
    for number in (1, 2, 3, 4):
        four.subscriber.publish(f"t/bms{number}/energy/set", f"energy_charged={1000 * number}")
        four.wait(
            lambda number=number: (four.subscriber.latest(f"t/bms{number}/command_result") or "").endswith("counters: done")
        )
    four.bridge.kill()
    four.subscriber.clear()
    for number in (1, 2, 3, 4):  # the broker has lost them: the chip's memory has not
        four.subscriber.publish(f"t/bms{number}/energy", "", retain=True)
    four.bridge.start()
    four.wait(lambda: four.is_up("bms1", "bms2", "bms3", "bms4"))
    # unknown until the broker has been asked; what comes first must be right
    four.wait(lambda: all(four.state(f"bms{number}")["energy_charged"] is not None for number in range(1, 5)))
    totals = [four.state(f"bms{number}")["energy_charged"] for number in range(1, 5)]
    four.bridge.stop()
    assert [int(total) // 1000 for total in totals] == [1, 2, 3, 4]


@pytest.fixture(scope="module")
def two_lines(tmp_path_factory):
    settings = 'BMS_BOARD_NUMBERS = "2,1"\nBANK_WIRING = "series"\n'
    first = "boards=3,drift=0,soc=61,soc@2=62,soc@3=63,cells=16"
    place = Place(tmp_path_factory.mktemp("two") / "place", settings, first, "protocol=d2,drift=0,soc=21,cells=8")
    place.wait(lambda: place.is_up("bms1", "bms2", "bms201"))
    yield place
    place.stop()


def test_two_lines_with_different_protocols(two_lines):
    keys = ("bms1", "bms2", "bms201")
    two_lines.wait(lambda: [two_lines.state(key)["soc"] for key in keys] == [61.0, 62.0, 21.0], 20)
    two_lines.wait(lambda: two_lines.subscriber.latest("t/bms201/connection") == "OK, with protocol D2", 20)

    def is_in_series():
        volts = [two_lines.state(key)["pack_voltage"] for key in keys]
        bank = two_lines.state("bank")
        return None not in volts and round(10 * (bank.get("pack_voltage") or 0)) == sum(round(10 * each) for each in volts)

    two_lines.wait(is_in_series, 30)
    assert two_lines.state("bank")["soc"] == 21.0  # that of the weakest


def test_a_line_that_falls_silent_and_comes_back_is_one_battery_alone(two_lines):
    two_lines.lines[1].set("silent=1")
    two_lines.wait(lambda: two_lines.subscriber.latest("t/bms201/status") == "offline", 30)
    two_lines.wait(lambda: two_lines.state("bank").get("batteries_online") == "2 of 3", 20)
    assert two_lines.state("bank")["soc"] is None and "BMS 201: " in two_lines.state("bank")["missing"]
    assert two_lines.is_up("bms1", "bms2")
    two_lines.lines[1].set("silent=0")
    two_lines.wait(lambda: two_lines.is_up("bms201"), 30)
    two_lines.wait(lambda: two_lines.state("bank").get("batteries_online") == "3 of 3", 20)


@pytest.mark.slow
def test_a_scan_finds_the_board_that_is_not_read(two_lines):
    two_lines.subscriber.publish("t/scan/set", "PRESS")
    two_lines.wait(lambda: two_lines.subscriber.latest("t/scan"), 150)
    assert two_lines.subscriber.latest("t/scan") == (
        'UART 1: Board numbers 1-3 answer (with A5); write BMS_BOARD_NUMBERS = "1-3". '
        "UART 2: A board that speaks D2 answers; it has no number, and is alone on its line."
    )
    assert "Scan: UART 1: Board numbers 1-3" in two_lines.bridge.log and two_lines.lines[0].writes() == []


def test_a_battery_that_is_taken_out_of_the_settings_is_not_partly_available_with_old_values(tmp_path):
    place = Place(tmp_path / "place", 'BMS_BOARD_NUMBERS = "1-2"\n', "boards=2,drift=0")
    try:
        place.wait(lambda: place.is_up("bms1", "bms2"))
        place.wait(lambda: place.subscriber.latest("t/bms2/energy"))  # the broker has been asked
        time.sleep(0.5)  # and what is read is stored
        place.bridge.kill()
        old = [f"t/{end}" for end in ("bms2/status", "bms2/state", "bms2/connection", "bms2/info", "bank/state")]
        for topic in old:  # as with MQTT_RETAIN_STATE
            place.subscriber.publish(topic, "online", retain=True)
        place.subscriber.clear()
        settings = tmp_path / "place" / "settings.toml"
        settings.write_text(settings.read_text().replace('BMS_BOARD_NUMBERS = "1-2"\n', ""))
        place.bridge.start()
        place.wait(lambda: place.is_up("bms1"))
        assert place.subscriber.texts("t/bms2/status") == ["", "offline"] and place.subscriber.texts("t/bms2/state") == [""]
        cleared, text = place.subscriber.texts("t/bms2/connection")
        assert cleared == "" and text.startswith("BMS 2 is not read any more; write it into BMS_BOARD_NUMBERS")
        assert not place.subscriber.texts("t/bms3/status")
    finally:
        place.stop()
