# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the console says of the battery: each thing once, and what goes to and fro not for ever."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from simulation import Wire, only

from app.events import Events
from daly.diagnosis import Diagnosis

ROOT = Path(__file__).resolve().parent.parent


class Bench:
    """The conversation with a simulated BMS, and what is said of it; `lines()` gives what is new on the console."""

    def __init__(self, capsys, options="", start=0):
        self.wire = Wire("drift=0," + options, start=start)
        self.wire.step_us = 5000  # a quarter of an hour in all
        self.events = Events(*only(self.wire.pack, self.wire.poller), self.wire.now)
        self._capsys = capsys

    def run(self, seconds):
        self.wire.run(seconds, lambda wire: self.events.tick(wire.now))
        return self

    def lines(self):
        lines = self._capsys.readouterr().out.splitlines()
        return [line for line in lines if not line.startswith("BMS: the sign")]


@pytest.mark.slow
def test_the_link_is_said_when_it_changes_and_not_otherwise(capsys):
    bench = Bench(capsys)
    assert bench.run(30).lines() in (["BMS: OK"], ["BMS: Looking for the BMS", "BMS: OK"])
    bench.wire.set("asleep", "1")
    lost = bench.run(700).lines()  # minutes pass, which the words on the link say anew each time
    assert len(lost) <= 3 and lost[-1].startswith("BMS: BMS asleep, or cut off")
    bench.wire.set("asleep", "0")
    back = bench.run(200).lines()
    assert len(back) == 1 and back[0].startswith("BMS: Recovered: the BMS responds again")


@pytest.mark.slow
def test_a_link_that_flaps_does_not_flood_and_its_end_is_said(capsys):
    bench = Bench(capsys)
    bench.run(10)
    for _ in range(40):
        bench.wire.set("asleep", "1")
        bench.run(12)
        bench.wire.set("asleep", "0")
        bench.run(3)
    lines = bench.lines()
    assert len(lines) <= 6 + 11 + 1  # ten minutes
    hidden = [int(found[1]) for line in lines if (found := re.search(r" \(and (\d+) before\)$", line))]
    bench.run(130)
    lines += (last := bench.lines())
    hidden += [int(found[1]) for line in last if (found := re.search(r" \(and (\d+) before\)$", line))]
    assert 75 <= len([line for line in lines if line.startswith("BMS: ")]) + sum(hidden) <= 83  # 40 times lost, 40 times back
    bench.wire.set("asleep", "1")
    last = bench.run(130).lines()
    assert len(last) == 1 and "asleep" in last[0] and "before)" not in last[0]


@pytest.mark.slow
def test_an_alarm_and_its_end_are_said_once_each(capsys):
    bench = Bench(capsys)
    bench.run(10).lines()
    bench.wire.set("alarms", "soc_low_2+eeprom")
    assert bench.run(60).lines() == ["Alarm: EEPROM (fault), State of charge low (protection)"]
    bench.wire.set("alarms", "eeprom")
    assert bench.run(60).lines() == ["Alarm ended: State of charge low (protection)"]
    bench.wire.set("alarms", "")
    assert bench.run(60).lines() == ["Alarm ended: EEPROM (fault)"]


def test_silence_is_not_the_end_of_an_alarm(capsys):
    bench = Bench(capsys, "alarms=eeprom")
    bench.run(10).lines()
    bench.wire.set("asleep", "1")
    bench.run(60)
    bench.wire.set("asleep", "0")
    bench.run(10)
    assert not [line for line in bench.lines() if "Alarm" in line]


@pytest.mark.slow
def test_an_alarm_that_flaps_does_not_flood_and_how_it_stands_is_said(capsys):
    bench = Bench(capsys)
    bench.run(10).lines()
    for turn in range(61):
        bench.wire.set("alarms", "" if turn % 2 else "eeprom")
        bench.run(3)
    lines = bench.lines()
    assert len(lines) <= 6 + 4
    bench.wire.set("alarms", "eeprom")
    lines += bench.run(130).lines()
    hidden = sum(int(found[1]) for line in lines if (found := re.search(r" \(and (\d+) before\)$", line)))
    assert 58 <= len(lines) + hidden <= 61, lines
    bench.wire.set("alarms", "")
    assert bench.run(130).lines() == ["Alarm ended: EEPROM (fault)"]


def test_an_alarm_that_came_and_went_unsaid_leaves_a_line_that_says_what_is_active(capsys):
    bench = Bench(capsys)
    bench.run(10).lines()
    for _ in range(3):  # uses up the lines that may be printed at once
        bench.wire.set("alarms", "eeprom")
        bench.run(4)
        bench.wire.set("alarms", "")
        bench.run(4)
    bench.lines()
    bench.wire.set("alarms", "eeprom")
    bench.run(4)
    bench.wire.set("alarms", "")
    assert bench.run(70).lines() == ["Alarm: none (and 1 before)"]


def test_the_ticks_may_wrap(capsys):
    bench = Bench(capsys, start=2**29 - 5000)
    bench.run(10).lines()
    bench.wire.set("alarms", "eeprom")
    assert bench.run(20).lines() == ["Alarm: EEPROM (fault)"]


def test_looking_costs_no_line_while_nothing_is_known(capsys):
    pack = SimpleNamespace(raw=lambda *_: None)
    diagnosis = Diagnosis()
    events = Events(*only(pack, SimpleNamespace(diagnosis=diagnosis)), 0)
    for now in range(0, 60000, 100):
        events.tick(now)
    assert capsys.readouterr().out == "BMS: Looking for the BMS\n"


@pytest.mark.timeout(90)
def test_the_program_without_a_screen_says_link_alarm_and_command(tmp_path):
    """In the real program, over its embedded broker."""
    import paho.mqtt.publish as publish
    from mosquitto import wait_until

    settings = tmp_path / "settings.toml"
    settings.write_text('MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "t"\nALLOW_CONTROL = "charge_mosfet"\nOLED = false\n')
    log = tmp_path / "log"
    command = [sys.executable, "-m", "host", "--plain", "--no-oled", "--bms", "alarms=eeprom", "--settings", str(settings)]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        assert wait_until(lambda: "-> t/bms1/status online" in log.read_text(), 40), log.read_text()
        port = int(log.read_text().split("(embedded")[0].rsplit(":", 1)[1])
        publish.single("t/bms1/charge_mosfet/set", "OFF", qos=1, hostname="127.0.0.1", port=port)
        publish.single("t/bms1/charge_mosfet/set", "off", qos=1, hostname="127.0.0.1", port=port)
        assert wait_until(lambda: "ignored: ON or OFF" in log.read_text() and "Command:" in log.read_text(), 20)
        assert wait_until(lambda: ": done" in log.read_text(), 20), log.read_text()
    finally:
        process.terminate()
        process.wait(60)
    lines = [line[13:] for line in log.read_text().splitlines()]
    lines = [line for line in lines if not line.startswith("->")]
    assert lines.count("Alarm: EEPROM (fault)") == 1
    assert [line for line in lines if line.startswith(("BMS: OK", "BMS: Recovered: "))], lines  # the second on a busy machine
    assert len([line for line in lines if line.startswith("Command: Charge MOSFET off: done")]) == 1
    assert len([line for line in lines if "charge_mosfet/set ignored" in line]) == 1
    assert json.dumps(lines).count("Charge MOSFET off") == 1
