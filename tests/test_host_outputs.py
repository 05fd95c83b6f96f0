# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the pins of outputs switch on the emulator: a line for each edge, of whatever drives the pin."""

import board
import digitalio
import pytest

from host import chip, outputs


@pytest.fixture
def told(monkeypatch):
    """The lines of the log."""
    lines = []
    monkeypatch.setattr(chip, "report", lines.append)
    monkeypatch.setattr(chip, "loads", {})
    return lines


def test_the_settings_say_what_is_on_which_pin(told):
    outputs.connect(
        b'OUTPUT_1 = "Water heater: io5 on when soc > 80"\n'
        b'OUTPUT_3 = "IO6 on when time > 08:00 and soc > 5, active low"\n'
        b'OUTPUT_4 = "Fan: IO99 on when soc > 80"\nOUTPUT_5 = ""\n# OUTPUT_6 = "IO7 on when soc > 80"\nWAKE_PIN = "IO8"\n'
    )
    assert {pin: load.name for pin, load in chip.loads.items()} == {"IO5": "Water heater", "IO6": "Output 3"}
    chip.switch("IO6", False)
    assert told == ["output IO6 (Output 3) on"]


def test_each_edge_is_a_line_and_repeating_a_level_is_none(told):
    outputs.connect(b'OUTPUT_1 = "Water heater: IO5 on when soc > 80"\nOUTPUT_2 = "Siren: IO6 on when soc > 80, active low"\n')
    with digitalio.DigitalInOut(board.IO5) as heater, digitalio.DigitalInOut(board.IO6) as siren:
        heater.switch_to_output(False)
        siren.switch_to_output(True)
        assert told == []
        for level in (True, True, False, False, True):
            heater.value = level
        siren.value = False
    assert told == [
        "output IO5 (Water heater) on",
        "output IO5 (Water heater) off",
        "output IO5 (Water heater) on",
        "output IO6 (Siren) on",
        "output IO6 (Siren) off",  # released: the last one first
        "output IO5 (Water heater) off",
    ]


def test_a_chip_that_restarts_drives_no_pin(told, monkeypatch):
    monkeypatch.setattr(chip, "restart", lambda **_left: None)
    outputs.connect(b'OUTPUT_1 = "Siren: IO5 on when soc > 80, active low"\n')
    for restart in (lambda: chip.reset("SOFTWARE"), chip.reload):
        chip.switch("IO5", False)
        told.clear()
        restart()
        assert told[-1] == "output IO5 (Siren) off"
