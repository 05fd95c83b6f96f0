# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`python -m host` with sensors: what they say arrives at the broker, and what is unplugged is null there."""

import json
import os
import re
import select
import subprocess
import sys

import board
import digitalio
import pytest
from home_assistant_rules import message_faults
from test_host_cli import ROOT, run, run_until, start
from test_host_several import told_until

from host import chip, sensors

LIMIT_S = 60
SETTINGS = 'MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "a/b"\nPUBLISH_INTERVAL_S = 1\n'
FIRST, SECOND = "28ff641e8216c3", "28ff641e8216c4"


def hear(is_enough, *options):
    process = start("--no-oled", "--seconds", LIMIT_S, *options)
    try:
        return told_until(process, is_enough)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_all_sensors_arrive_at_the_broker():
    def is_enough(found):
        states = [found.get(key + "/state", {}) for key in ("temperatures", "vedirect1", "vedirect2", "supply")]
        return all(states) and states[0].get(SECOND) is not None and "state" in states[2] and states[3]["voltage"]

    options = ("--sensor", "ds18b20=21.5", "--sensor", "ds18b20=-3.0", "--sensor", "supply=13.1")
    found = hear(is_enough, *options, "--vedirect", "shunt,SOC=431,I=-12300", "--vedirect", "solar,CS=4,PPV=77")
    assert found["temperatures/state"] == {"problem": "none", FIRST: 21.5, SECOND: -3.0}
    assert abs(found["supply/state"]["voltage"] - 13.1) < 0.01
    shunt, solar = found["vedirect1/state"], found["vedirect2/state"]
    assert (shunt["soc"], shunt["current"], shunt["voltage"], shunt["alarm"]) == (43.1, -12.3, 26.542, "OFF")
    assert (solar["state"], solar["pv_power"], solar["total_yield"]) == ("absorption", 77, 482.1)


def test_a_thermometer_that_is_unplugged_is_unavailable_and_the_other_one_is_not():
    seen = []

    def is_enough(found):
        state = found.get("temperatures/state", {})
        if state.get(SECOND) is not None:
            seen.append((state[SECOND], state[FIRST]))
        return bool(seen) and state[SECOND] is None

    found = hear(is_enough, "--sensor", "ds18b20=21.5", "--sensor", "ds18b20=4.5,until=8")
    assert set(seen) == {(4.5, 21.5)}
    assert found["temperatures/state"][FIRST] == 21.5 and "no valid answer" in found["temperatures/state"]["problem"]


def test_a_victron_device_that_is_unplugged_is_unavailable(tmp_path):
    """A real serial device in place of the simulated one, as --vedirect with a path; its other end dies."""
    (tmp_path / "settings.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "simulator.vedirect", "solar"]
    device = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    path = device.stdout.readline().strip()

    def is_enough(found):
        state = found.get("vedirect1/state", {})
        if state.get("pv_power") == 203 and not device.stdin.closed:
            device.stdin.close()
            device.wait(60)
        return device.stdin.closed and state["pv_power"] is None

    try:
        found = hear(is_enough, "--vedirect", path, "--settings", tmp_path / "settings.toml")
    finally:
        device.stdin.close()
    state = found["vedirect1/state"]
    assert {state[key] for key in state if key != "problem"} == {None}


def test_home_assistant_is_told_of_all_of_them():
    found = {}
    process = start(
        "--no-oled", "--seconds", LIMIT_S, "--sensor", "ds18b20=21.5", "--vedirect", "shunt", "--sensor", "supply=13"
    )
    try:
        for line in process.stdout:
            match = re.search(
                r"-> homeassistant/device/daly_02da1bc0ffee_(temperatures|vedirect1|supply)(_\d)?/config (.*)", line
            )
            if match:
                topic = re.search(r"homeassistant/\S+", line)[0]
                assert message_faults(topic, match[3]) == []
                found.setdefault(match[1], {}).update(json.loads(match[3]))
            if len(found) == 3:
                break
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert (
        found["vedirect1"]["dev"]["name"].endswith("SmartShunt") and found["vedirect1"]["dev"]["mdl"] == "SmartShunt 500A/50mV"
    )
    temperature = found["temperatures"]["cmps"][FIRST]
    assert f"['{FIRST}']" in temperature["val_tpl"] and temperature["unit_of_meas"] == "°C"
    assert found["supply"]["dev"]["ids"] == ["daly_02da1bc0ffee"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sensor", "humidity=5"), "'humidity=5' is no sensor; write for example ds18b20=21.5"),
        (("--sensor", "ds18b20=warm"), "'warm' is no number; write degrees Celsius"),
        (("--sensor", "ds18b20=1,id=12"), "id=12 is no DS18B20"),
        (("--sensor", "ds18b20=1,colour=red"), "colour is no option of a DS18B20"),
        (("--sensor", f"ds18b20=1,id={SECOND}", "--sensor", "ds18b20=2"), "is there twice"),
        (("--vedirect", "wind"), "'wind' is no VE.Direct device; write shunt or solar"),
        (("--vedirect", "shunt", "--vedirect", "solar", "--vedirect", "shunt"), "only 2 UARTs are left"),
        (("--vedirect", "shunt", "--vedirect", "solar", "--chip", "s2"), "only 1 UART is left"),
        (("--vedirect", "/dev/no-such-port"), "--vedirect /dev/no-such-port: there is no such device"),
    ],
)
def test_what_cannot_be_connected_is_a_sentence(options, said):
    done = run("--plain", "--json", *options)
    assert done.returncode == 2 and said in done.stderr + done.stdout


def test_settings_of_the_file_are_kept_and_only_what_it_lacks_is_added():
    wanted = sensors.of_texts(["ds18b20=1", "supply=12"])
    assert sensors.settings(wanted, 2, b"", {}) == {
        "DS18B20_PIN": '"IO4"',
        "VEDIRECT_1_RX": '"IO5"',
        "VEDIRECT_2_RX": '"IO6"',
        "SUPPLY_PIN": '"IO7"',
        "SUPPLY_RATIO_PERMILLE": "11000",
    }
    text = b'UART_TX = "IO4"\nDS18B20_PIN = "IO1"\n# LED_PIN = "IO5"\nSUPPLY_PIN = "IO2"\nSUPPLY_RATIO_PERMILLE = 5000\n'
    assert sensors.settings(wanted, 1, text, {"UART_2_TX": '"IO5"'}) == {"VEDIRECT_1_RX": '"IO6"'}
    assert sensors.settings(sensors.of_texts([]), 0, b"", {}) == {}


def test_what_the_settings_cannot_have_is_a_sentence_and_the_rest_works(tmp_path):
    """No sensor on the wire, a name without an id, a pin without a converter, and a UART too many."""
    settings = tmp_path / "settings.toml"
    settings.write_text(
        SETTINGS
        + 'CIRCUITPY_WIFI_SSID = "cellar"\nDS18B20_PIN = "IO4"\nDS18B20_NAMES = "boiler, 28ff641e8216c3=tank"\n'
        + 'SUPPLY_PIN = "IO35"\nSUPPLY_ENABLE_PIN = "IO36"\n'
        + 'UART_2_TX = "IO17"\nUART_2_RX = "IO18"\nVEDIRECT_1_RX = "IO5"\nVEDIRECT_2_RX = "IO6"\n'
    )
    expected = (
        "no sensor answers: check the three wires and the resistor of 4.7 kOhm",
        '"boiler" is left out; write an id and a name',
        "SUPPLY_PIN: IO35 is in use or cannot measure; choose one of IO1 to IO10",
        "VEDIRECT_2_RX: IO6 is in use, or this chip has no further UART",
    )
    shown = run_until((*expected, '"28ff641e8216c3":null'), "--no-oled", "--settings", settings)
    said = [line for line in shown.splitlines() if "Settings: " in line]
    assert len(said) == len(expected), said


def test_only_the_wake_pin_wakes_the_simulated_bms(monkeypatch):
    """Other outputs switch loads, or feed a divider every two seconds."""
    heard, pipe = os.pipe()
    os.set_blocking(heard, False)
    monkeypatch.setitem(chip.state, "bms", {"pipe": pipe})
    monkeypatch.setattr(chip, "wake_pin", "IO5")
    for pin, is_heard in ((board.IO6, False), (board.IO5, True)):
        with digitalio.DigitalInOut(pin) as output:
            output.switch_to_output()
            output.value = True
        readable, _, _ = select.select([heard], [], [], 0)
        assert bool(readable) is is_heard
    os.close(heard)
    os.close(pipe)
