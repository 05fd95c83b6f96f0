"""The bridge's own state: how seldom a signal that plays by itself changes in it."""

from types import SimpleNamespace

from app.health import Health
from daly.pack import Pack
from daly.poller import Poller


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


def signals_said(signals):
    memory = SimpleNamespace(boots=1, safe_modes=0, failure="")
    loop = SimpleNamespace(take_longest_ms=lambda: 7, last_failure=None)
    health = Health(Radio(signals), Poller(Pack()), memory, loop, "power_on", 0)
    health.session = SimpleNamespace(connects=1)
    return [dict(health.pairs(0))["rssi"] for _ in range(len(signals) + 1)]


def test_a_signal_that_plays_is_said_once_and_a_real_change_is_said():
    assert signals_said([-60, -61, -58, -63, -64, -65, -62, -80]) == [-60, -60, -60, -60, -64, -64, -64, -80, None]
