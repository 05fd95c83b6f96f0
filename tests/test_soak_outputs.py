# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The long run with outputs, sensors and LED, shortened: some faults of broker and battery, and a power cut.

`make soak` has weeks of it. As a process, because it replaces clock and chip below the board's modules.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_pins_do_what_the_battery_demands_and_no_more_often_than_the_minimum_times_allow():
    command = [sys.executable, "-m", "campaigns.soak", "--short", "--outputs"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert "| Result | ok |" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0
    assert "the ticks wrapped 2 times" in result.stdout  # once after each power-on
    assert all(int(edges) >= 4 for edges in re.findall(r"(\d+) edges", result.stdout))
