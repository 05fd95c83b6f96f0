# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The real broker for tests; where it is not installed, they are skipped."""

import pytest

from campaigns.mosquitto import PROGRAM, Mosquitto, Subscriber, free_port
from campaigns.mosquitto import wait_until as wait_exactly

__all__ = ("PROGRAM", "Mosquitto", "Subscriber", "free_port", "needs_mosquitto", "never", "wait_until")

PATIENCE = 4  # a machine that is busy with other things takes so many times as long; what comes sooner costs nothing
MOST_S = 200  # pytest ends a test after 300

needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed: apt install mosquitto")


def wait_until(condition, seconds=10.0, pause_s=0.01):
    """Whether a condition comes to hold; `seconds` are those of a machine that has nothing else to do."""
    return wait_exactly(condition, max(seconds, min(PATIENCE * seconds, MOST_S)), pause_s)


def never(condition, seconds):
    """Whether a condition does not hold for so many seconds, all of which pass."""
    return not wait_exactly(condition, seconds)
