"""The sign of the current: settled by the board's own mode, on evidence only, and everything else follows it."""

import struct

import pytest
from simulation import Wire

import host.bms


@pytest.fixture
def backwards(monkeypatch):
    """Boards that count charging above 30000."""
    monkeypatch.setitem(host.bms.READS, 0x90, lambda r, _host: [struct.pack(">HHHH", r.pack, 0, 30000 + r.current, r.soc)])


def currents(wire, seconds):
    """What was known of the current in that time, from the first whole round on: before, nothing is published."""
    known = set()
    wire.run(seconds, lambda wire: known.add(wire.pack.raw("current") if wire.poller.complete else None))
    return known - {None}


@pytest.mark.parametrize("current", [-50, 50])
def test_a_board_that_counts_the_other_way_is_found_out_and_never_believed_before(backwards, current):
    wire = Wire(f"drift=0,current={current}")
    assert currents(wire, 15) == {10 * current}
    assert wire.pack.raw("power") // abs(wire.pack.raw("power")) == current // 50
    assert wire.poller.sign.text == "inverted"


def test_the_over_current_alarms_turn_with_it(backwards):
    wire = Wire("drift=0,current=50,alarms=charge_overcurrent_2+soc_low_1").run(15)
    assert wire.pack.raw("problems") == "Discharge overcurrent (protection), State of charge low (warning)"


def test_without_a_clear_current_nothing_is_settled(backwards):
    wire = Wire("drift=0,current=2.5").run(15)
    assert wire.poller.sign.text == "not settled yet"
    wire.set("current", "-20")
    wire.run(15)
    assert wire.poller.sign.text == "inverted"


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.1])
def test_a_battery_that_turns_while_it_is_looked_at_is_not_taken_for_a_board_that_counts_the_other_way(seconds):
    wire = Wire("drift=0,think=100,current=50").run(seconds)
    wire.set("current", "-50")
    assert currents(wire, 12) <= {500, -500} and wire.pack.raw("current") == -500
    assert wire.poller.sign.text == "normal"


def test_a_setting_is_obeyed(backwards):
    assert currents(Wire("drift=0,current=50", current_sign="normal"), 15) == {-500}
    assert currents(Wire("drift=0,current=50", current_sign="inverted"), 15) == {500}
