# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The supply voltage: the divider's ratio, the pin that feeds it, and what is no measurement."""

import pytest

from sensors.supply import Supply

WRAP = 1 << 29


class Divider:
    """An analog pin behind a divider. `fed`: None without an enable pin; `settled_at`: when the pin has its voltage, in ms."""

    reference_voltage = 3.3

    def __init__(self, volts, has_enable=False):
        self.volts = volts
        self.now = 0
        self.fed_since = None if has_enable else -1000
        self.fed_ms = 0
        self.reads = []
        self.fails = 0

    def enable(self, level):
        if level:
            self.fed_since = self.now
        elif self.fed_since is not None:
            self.fed_ms += self.now - self.fed_since
            self.fed_since = None

    @property
    def value(self):
        self.reads.append(self.now)
        if self.fails:
            self.fails -= 1
            raise OSError("ESP_ERR_TIMEOUT")
        is_settled = self.fed_since is not None and self.now - self.fed_since >= 10
        return round(65535 * min(3.3, self.volts if is_settled else self.volts / 2) / 3.3)


def run(supply, divider, ms, start=0, watch=None):
    end = divider.now + ms
    while divider.now < end:
        pause = supply.tick((start + divider.now) % WRAP)
        if watch is not None:
            watch.append(supply.raw("voltage"))
        divider.now += max(1, pause or 0)
    return supply.raw("voltage")


@pytest.mark.parametrize(
    ("volts", "ratio", "millivolts"), [(1.19, 11000, 13090), (2.5, 1000, 2500), (0, 11000, 0), (1.0, 5545, 5545)]
)
def test_the_voltage_before_the_divider(volts, ratio, millivolts):
    divider = Divider(volts)
    assert abs(run(Supply(divider, ratio), divider, 3000) - millivolts) <= 1


@pytest.mark.parametrize("start", [0, WRAP - 5000])
def test_the_divider_is_fed_only_while_it_is_measured_and_first_settles(start):
    divider = Divider(1.0, has_enable=True)
    supply = Supply(divider, 10000, divider.enable)
    seen = []
    assert run(supply, divider, 20000, start, seen) == 10000
    assert set(seen) == {None, 10000} and divider.fed_ms <= 20000 // 100
    assert divider.fed_since is None or divider.now - divider.fed_since < 20


def test_it_is_not_measured_more_often_than_needed():
    divider = Divider(1.0)
    supply = Supply(divider, 10000)
    run(supply, divider, 20000)
    assert len(set(divider.reads)) == 10


def test_noise_is_averaged():
    class Noisy(Divider):
        count = 0

        @property
        def value(self):
            self.count += 1
            return 20000 + (400 if self.count % 2 else -400)

    divider = Noisy(1.0)
    assert run(Supply(divider, 1000), divider, 3000) == round(20000 * 3300 / 65535)


def test_while_the_radio_has_the_converter_the_last_value_stays_and_then_it_is_not_known():
    divider = Divider(1.0)
    supply = Supply(divider, 10000)
    run(supply, divider, 1)
    divider.fails = 2
    assert run(supply, divider, 4000) == 10000
    divider.fails = 100
    assert run(supply, divider, 8000) is None
    divider.fails = 0
    assert run(supply, divider, 4000) == 10000


def test_at_the_end_of_the_converter_it_is_no_measurement():
    divider = Divider(1.0)
    supply = Supply(divider, 10000)
    run(supply, divider, 1)
    divider.volts = 3.2
    assert run(supply, divider, 8000) is None


def test_what_was_measured_before_the_loop_stood_still_is_forgotten():
    divider = Divider(1.0, has_enable=True)
    supply = Supply(divider, 10000, divider.enable)
    run(supply, divider, 100)
    divider.now += 15000
    supply.tick(divider.now)
    assert supply.raw("voltage") is None


def test_changes_count_only_changes():
    divider = Divider(1.0)
    supply = Supply(divider, 10000)
    run(supply, divider, 6000)
    assert supply.changes == 1 and supply.device is None
