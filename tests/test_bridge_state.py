# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The bridge's own state: how seldom a signal that plays by itself changes in it."""

from types import SimpleNamespace

from app.bridge_state import BridgeState
from app.loop import Loop
from battery.pack import Pack
from daly.poller import Poller
from mqtt.bridge_entities import BRIDGE


class Radio:
    """Has one signal after the other, and then no Wi-Fi."""

    ipv4_address = "192.0.2.7"

    def __init__(self, signals):
        self._signals = list(signals)

    @property
    def connected(self):
        return len(self._signals) > 0

    @property
    def ap_info(self):
        return SimpleNamespace(rssi=self._signals.pop(0))


def state_of(radio, loop):
    memory = SimpleNamespace(boots=1, safe_modes=0, failure="")
    publisher, session = SimpleNamespace(discovery_errors=0), SimpleNamespace(connects=1, broker="192.168.1.10:1883")
    state = BridgeState(radio, Poller(Pack()), memory, loop, ["line 3: WRONG"], "power_on", 0)
    state.watch(publisher, session)
    return state


def signals_said(signals):
    state = state_of(Radio(signals), Loop(lambda: 0, []))
    return [dict(state.take_pairs(0))["rssi"] for _ in range(len(signals) + 1)]


def test_a_signal_that_plays_is_said_once_and_a_real_change_is_said():
    assert signals_said([-60, -61, -58, -63, -64, -65, -62, -80]) == [-60, -60, -60, -60, -64, -64, -64, -80, None]


def test_who_looks_at_the_state_takes_nothing_from_it():
    """The diagnostics file reads the same pairs; what <base>/state says must not depend on that."""
    loop, radio = Loop(lambda: 0, []), Radio([-60, -64, -63, -60])
    state = state_of(radio, loop)
    state.take_pairs(0)
    loop.longest_ms = 2300
    assert dict(state.pairs(0))["loop_time_max"] == dict(state.pairs(0))["loop_time_max"] == 2300
    said = dict(state.take_pairs(0))
    assert said["loop_time_max"] == 2300 and said["rssi"] == -60  # -64 was seen by who looked, but not told
    assert dict(state.pairs(0))["loop_time_max"] == 0


def test_each_value_has_its_row_for_home_assistant_in_the_same_order():
    state = state_of(Radio([]), Loop(lambda: 0, []))
    assert [key for key, _ in state.pairs(0)] == [row.key for row in BRIDGE]
