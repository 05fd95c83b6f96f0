# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The wake pin is pulsed only when the BMS was seen asleep, the battery can bear it, and not too often."""

import pytest
from adafruit_ticks import ticks_add
from simulation import Wire

from outputs.wake import Waker

PULSE_MS, MINUTE_MS = 250, 60000
EVERY_MIN = 60


class Pin:
    """Writes down what it was driven to, and when."""

    def __init__(self):
        self.now = 0
        self.driven = []

    def __call__(self, active):
        self.driven.append((self.now, active))

    @property
    def pulses(self):
        return [at for at, active in self.driven if active]


class Link:
    asleep = False


class Pack:
    """`lowest`: of the cells themselves."""

    def __init__(self, soc=500, min_cell_voltage=3200, lowest=None):
        self.values = {"soc": soc, "min_cell_voltage": min_cell_voltage, "lowest": lowest}
        self.changes = 0

    def raw(self, key):
        return self.values[key]

    def extreme_cells(self):
        return self.values["lowest"], self.values["lowest"]


class Battery:
    """What a Waker needs of a Poller, to be put to sleep by a test."""

    def __init__(self, **readings):
        self.diagnosis = Link()
        self.pack = Pack(**readings)
        self.pin = Pin()
        self.waker = Waker(self, self.pin, EVERY_MIN, min_soc=20, min_cell_mv=3000)
        self.ms = 0

    def sleep(self):
        self.diagnosis.asleep = True
        self.pack.values = dict.fromkeys(self.pack.values)
        self.pack.changes += 1
        return self

    def run(self, milliseconds, step=50):
        for _ in range(0, milliseconds, step):
            self.pin.now = self.ms
            self.waker.tick(ticks_add(0x1FFF0000, self.ms % 2**28))  # the ticks wrap after 65 s
            self.ms += step
        return self


def test_the_pin_is_left_alone_while_the_bms_is_awake():
    battery = Battery().run(3 * MINUTE_MS)
    assert battery.pin.driven == [(0, False)]


def test_one_pulse_when_it_was_seen_asleep():
    battery = Battery().run(1000).sleep().run(10000)
    (began,) = battery.pin.pulses
    assert battery.pin.driven == [(0, False), (began, True), (began + PULSE_MS, False)]
    assert battery.waker.pulses == 1


def test_the_next_pulse_comes_no_sooner_than_the_setting_says():
    battery = Battery().run(MINUTE_MS - 100).sleep().run(3 * EVERY_MIN * MINUTE_MS, step=250)
    first, second, third = battery.pin.pulses
    assert EVERY_MIN * MINUTE_MS <= second - first <= EVERY_MIN * MINUTE_MS + 1000
    assert EVERY_MIN * MINUTE_MS <= third - second <= EVERY_MIN * MINUTE_MS + 1000


@pytest.mark.parametrize(
    ("soc", "cell", "allowed"),
    [(200, 3000, True), (199, 3300, False), (1000, 2999, False), (None, 3300, False), (500, None, False), (0, 0, False)],
)
def test_never_below_the_limits_nor_of_a_battery_of_which_nothing_is_known(soc, cell, allowed):
    battery = Battery(soc=soc, min_cell_voltage=cell).run(1000).sleep().run(2 * MINUTE_MS)
    assert bool(battery.pin.pulses) == allowed


@pytest.mark.parametrize(
    ("reported", "lowest", "allowed"), [(None, 3200, True), (None, 2900, False), (3300, 0, False), (2900, 3300, False)]
)
def test_the_cells_themselves_count_too(reported, lowest, allowed):
    """Not every board says which cell is the lowest, and a dead one has 0 V."""
    battery = Battery(min_cell_voltage=reported, lowest=lowest).run(1000).sleep().run(2 * MINUTE_MS)
    assert bool(battery.pin.pulses) == allowed


def test_what_it_last_said_counts():
    battery = Battery(soc=900).run(1000)
    battery.pack.values["soc"] = 150
    assert not battery.run(100).sleep().run(MINUTE_MS).pin.pulses


def test_a_bms_that_was_never_heard_is_not_woken_one_that_fell_asleep_is():
    for options, pulses in (("asleep=1", 0), ("sleep_after=5", 1)):
        wire, pin = Wire(options), Pin()
        waker = Waker(wire.poller, pin, EVERY_MIN, 20, 3000)
        wire.run(20, lambda wire, waker=waker: waker.tick(wire.now))
        assert len(pin.pulses) == pulses, options
