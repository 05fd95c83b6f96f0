# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The settings with which the campaigns switch on outputs, sensors and LED have no mistake, and the results name them all."""

import re
from pathlib import Path

import pytest

from campaigns import chaos, chaos_outputs, chip, soak_outputs
from host.check import check

ROOT = Path(__file__).resolve().parent.parent
TEXTS = {
    "chip": (chip.SETTINGS + chip.EXTRAS, 8),
    "chaos": (chaos.SETTINGS + chaos_outputs.OUTPUTS, 2),
    "soak": (soak_outputs.OutputSoak.settings, 2),
}


@pytest.mark.parametrize("name", TEXTS)
def test_settings_of_a_campaign(name, tmp_path):
    text, outputs = TEXTS[name]
    (tmp_path / "settings.toml").write_text(text)
    mistakes, _ = check(tmp_path / "settings.toml")
    assert mistakes == []
    assert len(re.findall(r"^OUTPUT_\d", text, re.MULTILINE)) == outputs and "LED_PIN" in text


def test_the_cost_of_each_of_them_is_in_chip():
    table = (ROOT / "docs" / "CHIP.md").read_text().partition("<!-- made: extras -->")[2].partition("<!-- end: extras -->")[0]
    assert re.findall(r"^\| (.*?) \| [\d,]+ \| [\d,]+ ", table, re.MULTILINE) == [
        "temperatures",
        "vedirect1",
        "supply",
        "outputs",
        "status LED",
    ]
