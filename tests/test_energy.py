# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Energy and charge: exactly what integer arithmetic gives, nothing where nothing was read, never less than before."""

import struct
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import Wire

import simulator.bms
from battery.energy import COUNTERS, EnergyMeter
from battery.pack import Pack
from battery.readings import READING

HOUR_MS = 3600000
LONGEST_STEP_MS = 5000  # docs/RELIABILITY.md: what the energy meter bridges
MEAN_MS = 300000


def loaded(*totals):
    meter = EnergyMeter()
    meter.load(totals or (0, 0, 0, 0))
    return meter


def totals(meter):
    return [meter.total(counter) for counter in COUNTERS]


def run(meter, power, current, milliseconds, step=1000, start=0):
    for now in range(start, start + milliseconds + 1, step):
        meter.take(power, current, now)


def test_nothing_is_known_before_the_totals_are_loaded():
    meter = EnergyMeter()
    run(meter, 500000, 1000, HOUR_MS)
    assert totals(meter) == [None] * 4
    meter.load([9000, 2000, 3000, 4000])
    assert totals(meter) == [9000, 2000, 100000, 4000]  # what flowed meanwhile is part of a total
    run(meter, 500000, 1000, HOUR_MS, start=HOUR_MS)
    assert totals(meter) == [14000, 2000, 200000, 4000]


def test_an_hour_of_charging_and_an_hour_of_discharging():
    meter = loaded()
    run(meter, 500000, 1000, HOUR_MS)  # 5 kW, 100 A
    assert totals(meter) == [5000, 0, 100000, 0]
    meter.pause()
    run(meter, -250000, -500, HOUR_MS, start=2 * HOUR_MS)
    assert totals(meter) == [5000, 2500, 100000, 50000]


@given(
    st.lists(
        st.tuples(st.integers(-(10**8), 10**8), st.integers(-15000, 15000), st.integers(0, 3 * LONGEST_STEP_MS)), max_size=60
    ),
    st.integers(0, 2**29 - 1),
)
def test_it_is_the_sum_of_the_trapezia_to_the_last_digit_and_never_falls(readings, start):
    """Also over the wrap of the ticks; a step that is too long counts for nothing."""
    meter = loaded()
    exact = [Fraction(0)] * 4
    before = None
    now = start
    last = totals(meter)
    for power, current, step in readings:
        now = (now + step) % 2**29
        meter.take(power, current, now)
        if before is not None and 0 < step <= LONGEST_STEP_MS:
            for index, (old, new, unit) in enumerate(((before[0], power, 360000000), (before[1], current, 36000))):
                amount = (old + new) * step // 2
                exact[2 * index + (amount < 0)] += Fraction(abs(amount), unit)
        before = power, current
        assert totals(meter) == [int(total) for total in exact]
        assert all(new >= old for new, old in zip(totals(meter), last))
        last = totals(meter)


@given(st.lists(st.lists(st.integers(0, 10**10), min_size=4, max_size=4), min_size=1, max_size=5))
def test_loading_never_takes_anything_away(loads):
    meter = EnergyMeter()
    last = [0] * 4
    for load in loads:
        meter.load(load)
        assert all(new >= old for new, old in zip(totals(meter), last))
        last = totals(meter)
    assert last == [max(load[index] for load in loads) for index in range(4)]


def test_the_mean_current_follows_slowly_and_turns_at_once():
    meter = loaded()
    assert meter.mean_current == 0
    meter.take(0, 100, 0)
    assert meter.mean_current == 10000  # mA
    run(meter, 0, 200, MEAN_MS, start=1000)
    assert 15000 < meter.mean_current < 18000
    meter.take(0, -300, MEAN_MS + 2000)
    assert meter.mean_current == -30000
    meter.take(0, 0, MEAN_MS + 3000)
    assert meter.mean_current == 0


@pytest.mark.parametrize(("step", "mean"), [(3000, 10300), (5000, 10500), (5001, 10000), (0, 10000)])
def test_the_mean_current_leans_on_five_minutes(step, mean):
    meter = loaded()
    meter.take(0, 100, 1000)
    meter.take(0, 400, 1000 + step)
    assert meter.mean_current == mean


@pytest.mark.parametrize(("step", "counted"), [(1, 0), (4999, 138), (5000, 138), (5001, 0), (0, 0), (-1000, 0)])
def test_a_step_of_more_than_5_s_counts_for_nothing(step, counted):
    meter = loaded()
    meter.take(10_000_000, 15000, 10000)
    meter.take(10_000_000, 15000, 10000 + step)  # 100 kW
    assert meter.total("energy_charged") == counted


@pytest.mark.parametrize("current", [400, -400])
def test_after_rest_the_mean_begins_with_what_flows_then(current):
    meter = loaded()
    run(meter, 0, 0, 60000)
    meter.take(0, current, 61000)
    assert meter.mean_current == 100 * current


@pytest.mark.parametrize("current", [20, -20, 150, -150])
@pytest.mark.parametrize("step", [80, 140, 300, 1000])
def test_a_current_that_plays_by_one_digit_has_its_own_mean(current, step):
    """Rounded down at each step it was 2 to 10 % below, and the remaining time as much beside the truth."""
    meter = loaded()
    random = Random(1)
    for now in range(0, 3600000, step):
        meter.take(0, current + random.choice((-1, 0, 1)), now)
    assert meter.mean_current == pytest.approx(100 * current, abs=40)


@pytest.mark.parametrize(("milliampere_hours", "current", "hours"), [(100000, -15, 68), (10000, -100, 1), (2000, -15, 1.34)])
def test_the_time_to_empty_is_the_nearest_step_to_the_true_one(milliampere_hours, current, hours):
    pack = Pack()
    pack.energy.load([0] * 4)
    pack.put(READING["remaining_capacity"], 0, milliampere_hours, 0)
    random = Random(2)
    for now in range(0, 1200000, 80):
        pack.energy.take(-1, current + random.choice((-1, 0, 1)), now)
    pack.put(READING["current"], 0, current, 0)
    assert pack.raw("time_to_empty") / 100 == hours


# from the wire


@pytest.mark.parametrize("amperes", [-60, 60])
def test_two_minutes_on_the_wire(amperes):
    wire = Wire(f"drift=0,current={amperes},soc=50")
    wire.pack.energy.load([0, 0, 0, 0])
    wire.run(15)
    before = [wire.pack.raw(counter) for counter in COUNTERS]
    wire.run(120)
    moved = [wire.pack.raw(counter) - old for counter, old in zip(COUNTERS, before)]
    wanted = wire.pack.raw("power") / 100 * 120 / 3600
    assert moved[amperes < 0] == pytest.approx(abs(wanted), rel=0.01)
    assert moved[2 + (amperes < 0)] == pytest.approx(60000 * 120 / 3600, rel=0.01)
    assert moved[amperes > 0] == moved[2 + (amperes > 0)] == 0


@pytest.mark.parametrize("period_ms", [4900, 5000, 20000, 60000])
@pytest.mark.slow
def test_however_seldom_the_power_is_asked_what_flows_is_counted(period_ms):
    """From 5000 ms on the counters stood still, at 4900 they counted half (review b4)."""
    seldom = {f"POLL_{group}_MS": 2000 for group in ("STATUS", "CHECKS", "CELLS", "TEMPERATURES")}  # ten minutes are long
    wire = Wire("drift=0,current=-60,soc=50", periods={**seldom, "POLL_PACK_MS": period_ms})
    wire.step_us = 5000
    wire.pack.energy.load([0, 0, 0, 0])
    wire.run(600)
    wanted = wire.pack.raw("pack_voltage") / 10 * 60 * (600 - period_ms / 1000) / 3600
    assert wanted * 0.97 < wire.pack.energy.total("energy_discharged") <= wanted * 1.13


def test_on_a_noisy_line_too_what_alternates_is_counted(monkeypatch):
    """Voltage and current were never believed in the same answer, so for an hour nothing was counted."""
    turns = [0]

    def status(r, _host):
        turns[0] += 1
        high = turns[0] % 2
        return [struct.pack(">HHHH", 520 + 4 * high, 0, 30000 + 500 - 200 * high, r.soc)]

    monkeypatch.setitem(simulator.bms.READS, 0x90, status)
    wire = Wire("drift=0,current=-40,soc=50,corrupt=1").run(20)
    wire.set("corrupt", "0")
    seen = set()
    wire.pack.energy.load([0, 0, 0, 0])
    begun = wire.pack.energy.total("energy_discharged")
    wire.run(120, lambda wire: seen.add(wire.pack.raw("current")))
    assert seen >= {-500, -300}
    counted = wire.pack.energy.total("energy_discharged") - begun
    assert counted == pytest.approx(52.2 * 40 * 120 / 3600, rel=0.03)


def test_nothing_is_counted_while_nothing_is_read():
    wire = Wire("drift=0,current=-60")
    wire.pack.energy.load([0, 0, 0, 0])
    wire.run(20)
    before = wire.pack.energy.total("energy_discharged")
    wire.set("silent", 1)
    wire.run(60)
    wire.set("silent", 0)
    wire.run(10)
    assert wire.pack.energy.total("energy_discharged") - before < 20  # 3 kW for the seconds that were read


@pytest.mark.parametrize("fault", ["implausible=5", "corrupt=10", "zeros=5", "drop_frame=10", "late=10"])
def test_a_bad_line_makes_no_energy(fault):
    wire = Wire(f"drift=0,current=-60,soc=50,{fault}")
    wire.pack.energy.load([0, 0, 0, 0])
    wire.run(60)
    charged, discharged = wire.pack.energy.total("energy_charged"), wire.pack.energy.total("energy_discharged")
    assert charged == 0
    assert 0.6 * 52.6 < discharged <= 1.02 * 52.6  # Wh, of 52.6 V and 60 A in a minute: gaps count for nothing
