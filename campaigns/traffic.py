# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""How many bytes a day a bridge sends: `python -m campaigns.traffic` plays a day with the simulated BMS.

The day is that of campaigns/rows.py. Of each of its parts some minutes are played in simulated time, as the parts are long and
steady, and weighted by its length. Counted is each PUBLISH as MQTT 3.1.1 sends it (header, topic, payload) without TCP/IP and
TLS, which add some 60 bytes to each message. The announcement for Home Assistant is counted for one connection.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from types import SimpleNamespace

from campaigns.rows import PART_OF_DAY, Day  # isort: skip (it makes the stand-ins importable)
from app.bridge_state import BridgeState
from app.nvm_store import NvmStore
from app.settings import Settings

SETTLED_S = 120  # of each part, not counted: the connection is new, and all is read for the first time
BASE_TOPIC = len("daly/0123456789ab") - len("x")  # what the day's base topic is shorter than that of a board


class Traffic(Day):
    """A day whose messages are counted. `sent`: topic without its base -> bytes; `messages`: the same, their number."""

    def __init__(self, cells: int, settings, begin: float):
        super().__init__(cells, settings, begin, lambda now: self._bridge.take_pairs(now), has_bridge=True)
        access_point = SimpleNamespace(rssi=-61)
        radio = SimpleNamespace(connected=True, ap_info=access_point, ipv4_address="192.168.178.101")
        loop = SimpleNamespace(longest_ms=38, last_failure="", reset_longest=lambda: None)
        self._bridge = BridgeState(radio, self.poller, NvmStore(None, 0), loop, [], "power_on", 0)
        self._bridge.watch(self.publisher, SimpleNamespace(connects=1, broker="192.168.178.10:1883"))
        self.sent: Counter = Counter()
        self.messages: Counter = Counter()

    def hear(self, topic: str, payload: bytes | str, qos: int) -> None:
        """Count a message."""
        size = 2 + len(topic) + BASE_TOPIC + (2 if qos else 0) + len(payload)
        size += 2 if size < 128 else 3  # type and length of the packet
        key = "discovery" if topic.endswith("/config") else topic[2:]
        self.sent[key] += size
        self.messages[key] += 1

    def forget(self) -> Counter:
        """Begin to count anew; returns what has been counted."""
        sent = self.sent
        self.sent, self.messages = Counter(), Counter()
        return sent


def play(cells: int, minutes: float, settings_text: str = "") -> tuple[Counter, Counter, int]:
    """(bytes a day by topic, messages a day by topic, bytes of one announcement)."""
    sent: Counter = Counter()
    messages: Counter = Counter()
    announced = 0
    ends = [part[0] for part in PART_OF_DAY[1:]] + [24]
    for part, end in zip(PART_OF_DAY, ends, strict=True):
        day = Traffic(cells, Settings(settings_text), part[0])
        day.run(SETTLED_S)
        announced = max(announced, day.forget()["discovery"])
        day.run(round(60 * minutes))
        share = 60 * (end - part[0]) / minutes
        for key in day.sent:
            sent[key] += round(share * day.sent[key])
            messages[key] += round(share * day.messages[key])
    return sent, messages, announced


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m campaigns.traffic", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, metavar="N", help="how much of each part of the day (default: 10)")
    parser.add_argument("--cells", type=int, default=16, metavar="N")
    parser.add_argument("--settings", default="", metavar="TEXT", help="lines of settings.toml, as DEADBAND_PERCENT=0")
    options = parser.parse_args()
    begun = time.monotonic()
    sent, messages, announced = play(options.cells, options.minutes, options.settings.replace(";", "\n"))
    for key, size in sent.most_common():
        print(f"{size:12,} bytes {messages[key]:8,} messages {size / messages[key]:8.0f} each  <base>/{key}")
    print(f"{options.cells} cells: {sent.total() / 1e6:.1f} MB and {messages.total():,} messages a day", end="")
    print(f"; Home Assistant's discovery {announced:,} bytes")
    print(f"({time.monotonic() - begun:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main()
