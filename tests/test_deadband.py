# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which changes are due to be published: deadbands and intervals alone, to the digit and the millisecond."""

import json
from itertools import pairwise

import pytest
from simulation import Deadband

from battery.json import Writer, write_pack
from battery.pack import Pack
from battery.readings import READING
from mqtt.deadband import SingleValues

FAST, SLOW = 2000, 30000


def filled(cells=3):
    pack = Pack(cells, 2)
    values = {"pack_voltage": 520, "current": -300, "mode": 2, "soc": 500, "remaining_capacity": 100000, "charge_mosfet": 1,
              "alarm_bits_{}": 0, "cycle_count": 7, "heartbeat": 1}  # fmt: skip
    for key, raw in values.items():
        pack.put(READING[key], 0, raw, 0)
    for index in range(cells):
        pack.put(READING["cell_{}_voltage"], index, 3300 + 10 * index, 0)
    for index in range(2):
        pack.put(READING["temperature_{}"], index, 20 + 5 * index, 0)
    return pack


class Published:
    """A pack, what is published of it, and time."""

    def __init__(self, percent=100, fast=FAST, slow=SLOW, pack=None):
        self.pack = pack or filled()
        self.deadband = Deadband(self.pack, fast, slow, percent)
        self.now = 0
        self.deadband.begin(0)
        self.deadband.take(0)

    def put(self, key, raw, index=0):
        self.pack.put(READING[key], index, raw, self.now)
        return self

    def until(self, key, number=1, limit=1_000_000, step=100):
        """ms until the value published is the one of the pack; None: not within the limit."""
        begun = self.now
        while self.deadband.published.raw(key, number) != self.pack.raw(key, number):
            if self.now - begun >= limit:
                return None
            self.now += step
            self.deadband.take(self.now)
        return self.now - begun


@pytest.mark.parametrize(
    ("key", "small", "large"),
    [
        ("pack_voltage", 521, 522), ("pack_voltage", 519, 518),
        ("current", -308, -309), ("current", -292, -291),  # 1/32 of 30 A
        ("remaining_capacity", 100999, 101000),
    ],
)  # fmt: skip
def test_a_change_within_the_deadband_is_published_after_a_quarter_of_an_hour_only(key, small, large):
    assert Published().put(key, small).until(key) == 900_000
    assert Published().put(key, large).until(key) == FAST


def test_a_small_current_has_a_deadband_of_three_tenths():
    for raw, wait in ((-52, 900_000), (-53, FAST)):
        published = Published()
        published.put("current", -50).until("current")
        published.now = 0
        published.deadband.begin(0)
        published.deadband.take(0)
        assert published.put("current", raw).until("current") == wait


@pytest.mark.parametrize(("percent", "small", "large"), [(50, None, 521), (200, 523, 524), (0, None, 521)])
def test_the_setting_scales_the_deadbands(percent, small, large):
    if small is not None:
        assert Published(percent).put("pack_voltage", small).until("pack_voltage") == 900_000
    assert Published(percent).put("pack_voltage", large).until("pack_voltage") == FAST


def test_what_has_no_deadband_is_published_with_each_change_at_its_interval():
    for percent in (100, 1000):
        assert Published(percent).put("soc", 501).until("soc") == FAST
        assert Published(percent).put("cycle_count", 8).until("cycle_count") == SLOW


@pytest.mark.parametrize(
    ("key", "raw"), [("current", 0), ("remaining_capacity", 0), ("pack_voltage", 3000), ("pack_voltage", 1)]
)
def test_zero_and_the_ends_are_published_whatever_the_deadband(key, raw):
    assert Published(100_000).put(key, raw).until(key) == FAST


@pytest.mark.parametrize(("key", "raw"), [("charge_mosfet", 0), ("alarm_bits_{}", 2), ("soc", None), ("cycle_count", None)])
def test_what_is_immediate_or_becomes_unknown_does_not_wait(key, raw):
    assert Published().put(key, raw).until(key, step=10) == 10


@pytest.mark.parametrize(("raw", "wait"), [(3329, SLOW), (3330, FAST), (3271, SLOW), (3270, FAST)])
def test_a_cell_in_the_middle_waits_for_the_slow_interval_unless_ten_deadbands_off(raw, wait):
    pack = filled()
    for index, millivolts in enumerate((3200, 3300, 3400)):
        pack.put(READING["cell_{}_voltage"], index, millivolts, 0)
    published = Published(pack=pack)
    for index, millivolts in enumerate((3200, raw, 3400)):
        published.put("cell_{}_voltage", millivolts, index)
    assert published.until("cell_{}_voltage", 2) == wait


def test_cells_of_different_responses_are_postponed_for_four_seconds():
    pack = filled()
    for index, millivolts in enumerate((3200, 3300, 3400)):
        pack.put(READING["cell_{}_voltage"], index, millivolts, 0)
    published = Published(pack=pack)
    published.now = 1
    published.put("cell_{}_voltage", 3000, 0)
    assert published.until("cell_{}_voltage", step=1) == pytest.approx(FAST + 4000, abs=2)


def test_a_reading_that_exists_from_now_on_does_not_publish_them_earlier():
    published = Published()
    published.now = FAST + 1
    published.put("cell_{}_voltage", 3000, 0)
    published.pack.topology_changes += 1
    assert published.until("cell_{}_voltage", step=1) == pytest.approx(4000, abs=2)


def test_what_lies_between_cells_of_different_responses_is_not_known():
    """The highest cell of one moment and the lowest of another: a delta that the battery never had."""
    pack = filled()
    published = Published(pack=pack)
    assert published.deadband.published.raw("cell_voltage_delta") == 20
    published.now = 1
    published.put("cell_{}_voltage", 3000, 0)
    published.until("cell_{}_voltage", step=1)
    assert published.deadband.published.raw("min_cell_voltage") == 3000
    assert published.deadband.published.raw("cell_voltage_delta") is None
    published.now += 1
    for index, millivolts in enumerate((3000, 3110, 3220)):
        published.put("cell_{}_voltage", millivolts, index)
    published.until("cell_{}_voltage", 3)
    assert published.deadband.published.raw("cell_voltage_delta") == 220


def singles(repeats=True):
    pack = filled()
    values = SingleValues(pack, repeats)
    found, now = [], 0
    while True:
        message = values.poll(now)
        if message is None:
            return pack, values, found, now
        found.append(message)


def test_each_single_value_is_repeated_within_a_minute():
    pack, values, _, begun = singles()
    seen = {}
    for now in range(begun, begun + 130_000, 10):
        message = values.poll(now)
        if message is not None:
            seen.setdefault(message[0], []).append(now)
    assert seen.keys() == json.loads(write_pack(Writer(), pack).bytes()).keys()
    gaps = [later - earlier for times in seen.values() for earlier, later in pairwise(times)]
    assert all(len(times) >= 2 for times in seen.values()) and 40_000 <= max(gaps) <= 51_000


def test_without_repeats_nothing_is_published_twice():
    _, values, found, _ = singles(False)
    assert len({key for key, _ in found}) == len(found)
    assert [values.poll(now) for now in range(0, 100_000, 100)] == [None] * 1000


class Watched(Pack):
    """Notes which rows are looked at."""

    looked: set = set()

    def at(self, row, index=0):
        self.looked.add(row.key)
        return super().at(row, index)


def test_in_one_pass_eight_rows_are_compared():
    pack = Watched(3, 2)
    values = SingleValues(pack, False)
    while values.poll(0) is not None:
        pass
    pack.put(READING["soc"], 0, 500, 0)
    looked = []
    for now in range(30):
        pack.looked.clear()
        values.poll(now)
        looked.append(len(pack.looked))
    assert 6 <= max(looked) <= 12  # and those that are calculated ask for others
