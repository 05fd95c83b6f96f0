# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The real broker for tests; where it is not installed, they are skipped."""

import pytest

from campaigns.mosquitto import PROGRAM, Mosquitto, Subscriber, free_port, wait_until

__all__ = ("PROGRAM", "Mosquitto", "Subscriber", "free_port", "needs_mosquitto", "wait_until")

needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed: apt install mosquitto")
