# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The long run, shortened: an hour of the real firmware in compressed time with every outage twice.

`make soak` is the same for 60 days. As a process, because it replaces clock and chip below the board's modules.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_an_hour_of_outages_ends_with_the_right_energy_flat_memory_and_nothing_missed():
    command = [sys.executable, "-m", "campaigns.soak", "--short"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert "| Result | ok |" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0
    assert "the ticks wrapped 2 times" in result.stdout  # once after each power-on
