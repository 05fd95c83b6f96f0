# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The simulated clock, and the chip's parts that go by it: no test here waits."""

import pytest
import supervisor
import watchdog

from host import chip, trouble
from host.clock import SimulatedClock


@pytest.fixture
def clock(monkeypatch):
    clock = SimulatedClock()
    monkeypatch.setattr(chip, "clock", clock)
    monkeypatch.setattr(chip, "power_on_s", 0.0)
    return clock


def test_sleeping_is_all_that_takes_time(clock):
    clock.sleep(86400)
    clock.sleep(0.25)
    assert clock.monotonic() == 86400.25


def test_the_ticks_wrap_65_seconds_after_power_on(clock):
    clock.sleep(65)
    before = supervisor.ticks_ms()
    clock.sleep(1)
    assert before > 1 << 28 and supervisor.ticks_ms() < 1000


def test_an_alarm_rings_once_and_only_when_it_was_not_set_anew(clock):
    rung = []
    clock.set_alarm(10, lambda: rung.append(clock.monotonic()))
    clock.sleep(9)
    clock.set_alarm(10, lambda: rung.append(clock.monotonic()))
    clock.sleep(9)
    assert rung == []
    clock.sleep(2)
    clock.sleep(100)
    assert rung == [20]


def test_the_watchdog_bites_in_simulated_time(clock):
    timer = watchdog.WatchDogTimer()
    timer.timeout = 4.5
    timer.mode = watchdog.WatchDogMode.RAISE
    clock.sleep(4)
    timer.feed()
    clock.sleep(4)
    with pytest.raises(watchdog.WatchDogTimeout):
        clock.sleep(1)


def test_a_reset_is_left_to_whoever_simulates_the_chip(clock, monkeypatch):
    told = []
    monkeypatch.setattr(chip, "restart", lambda **left: told.append(left["reset_reason"]))
    timer = watchdog.WatchDogTimer()
    timer.timeout = 45
    timer.mode = watchdog.WatchDogMode.RESET
    clock.sleep(46)
    assert told == ["WATCHDOG"]


def test_the_longest_time_without_feeding_counts_from_power_on(clock, monkeypatch):
    monkeypatch.setattr(trouble, "seen", {**trouble.seen, "longest_gap": 0.0})
    trouble.power_on()
    clock.sleep(100)
    trouble.fed()
    clock.sleep(3)
    trouble.fed()
    assert trouble.seen["longest_gap"] == 3
    trouble.power_on()
