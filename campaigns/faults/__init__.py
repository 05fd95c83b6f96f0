# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The fault campaign: `make faults` drives the real firmware over damaged lines and judges what a subscriber receives.

A simulated BMS (simulator/bms.py) answers, lives (life.py) and is damaged on its way; Poller, Pack, Publisher and Discovery are
the real ones, in simulated time (line.py). What a dashboard would show (subscriber.py) is judged (judge.py) against what the
BMS held (held.py) by what docs/MQTT.md promises (promises.py). Seeded: one seed, one result. docs/TRUTH.md says how to read the
tables.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (STANDINS := str(ROOT / "host" / "standins")) not in sys.path:
    sys.path.append(STANDINS)  # adafruit_ticks wants the chip's own modules
