# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The fault campaign: `make faults` drives the real firmware over damaged lines and judges what a subscriber receives.

A simulated BMS (simulator/bms.py) responds, its values change (life.py), and its frames are damaged; Poller, Pack, Publisher
and Discovery are the real ones, in simulated time (line.py). What a dashboard shows (subscriber.py) is compared (judge.py) with
what the BMS measured (held.py), by what docs/MQTT.md promises (promises.py). The same seed gives the same result.
docs/TRUTH.md explains the tables.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (STANDINS := str(ROOT / "host" / "standins")) not in sys.path:
    sys.path.append(STANDINS)  # adafruit_ticks wants the chip's own modules
