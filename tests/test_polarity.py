# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The sign of the current: settled by the board's own mode, on evidence only, and everything else follows it."""

import struct

import pytest
from simulation import Wire

import simulator.bms
from battery.energy import COUNTERS
from battery.pack import Pack
from battery.polarity import Polarity
from battery.readings import READING
from mqtt.deadband import PublishedValues

UNSETTLED, NORMAL, INVERTED = 0, 1, 2  # as they are kept in non-volatile memory


@pytest.fixture
def backwards(monkeypatch):
    """Boards that count charging above 30000."""
    monkeypatch.setitem(simulator.bms.READS, 0x90, lambda r, _host: [struct.pack(">HHHH", r.pack, 0, 30000 + r.current, r.soc)])


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
    assert wire.poller.pack.polarity.text == "inverted"


def test_the_over_current_alarms_turn_with_it(backwards):
    wire = Wire("drift=0,current=50,alarms=charge_overcurrent_2+soc_low_1").run(15)
    assert wire.pack.raw("active_alarms") == "Discharge overcurrent (protection), State of charge low (warning)"


def test_without_a_clear_current_nothing_is_settled(backwards):
    wire = Wire("drift=0,current=2.5").run(15)
    assert wire.poller.pack.polarity.text == "not settled yet"
    wire.set("current", "-20")
    wire.run(15)
    assert wire.poller.pack.polarity.text == "inverted"


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.1])
def test_a_battery_that_turns_while_it_is_looked_at_is_not_taken_for_a_board_that_counts_the_other_way(seconds):
    wire = Wire("drift=0,think=100,current=50").run(seconds)
    wire.set("current", "-50")
    assert currents(wire, 30) <= {500, -500} and wire.pack.raw("current") == -500
    assert wire.poller.pack.polarity.text == "normal"


def test_a_setting_is_obeyed(backwards):
    assert currents(Wire("drift=0,current=50", current_sign="normal"), 15) == {-500}
    assert currents(Wire("drift=0,current=50", current_sign="inverted"), 15) == {500}


# what is not decided is not shown, what is decided stays


def mode_said(monkeypatch, mode):
    """The board says this mode whatever flows."""
    usual = simulator.bms.READS[0x93]
    monkeypatch.setitem(simulator.bms.READS, 0x93, lambda r, _host: [bytes((mode,)) + usual(r, _host)[0][1:]])


@pytest.mark.parametrize("current", [-0.5, -2, 2, 2.9])
def test_a_small_current_against_the_mode_is_unknown_and_not_counted(backwards, current):
    """It was shown as charging beside "discharging", and its energy counted the wrong way, for ever (review b8)."""
    wire = Wire(f"drift=0,soc=50,current={current}")
    wire.pack.energy.load([0] * 4)
    assert currents(wire, 20) == set()
    assert wire.pack.raw("power") is None
    assert [wire.pack.energy.total(counter) for counter in COUNTERS] == [0] * 4
    assert "CURRENT_SIGN" in wire.poller.diagnosis.text and wire.poller.online


def test_a_small_current_that_fits_the_mode_is_shown_while_nothing_is_settled():
    assert currents(Wire("drift=0,soc=50,current=-2"), 15) == {-20}


@pytest.mark.parametrize("mode", [1, 2])
def test_a_mode_that_is_stuck_never_turns_the_current(monkeypatch, mode):
    """-50 A became +50 A after 18 s, and the counters ran the other way."""
    wire = Wire("drift=0,soc=50,current=50").run(10)
    assert wire.poller.pack.polarity.text == "normal"
    mode_said(monkeypatch, mode)
    flows = 50 if mode == 2 else -50
    wire.set("current", str(flows))
    wire.pack.energy.load([0] * 4)
    wire.run(3)
    seen = currents(wire, 40)
    assert seen == set() and wire.pack.raw("power") is None
    assert "contradict" in wire.poller.diagnosis.text
    wire.set("current", str(-flows))
    wire.run(2)
    assert wire.pack.raw("current") == -10 * flows and wire.poller.diagnosis.text == "OK"


def test_what_was_settled_turns_only_when_both_directions_say_so(monkeypatch):
    """Another board has taken the place of the one that was settled."""
    wire = Wire("drift=0,soc=50,current=50", polarity=INVERTED)
    assert wire.poller.pack.polarity.text == "inverted"
    wire.run(4)
    assert currents(wire, 20) == set()
    for function in (0x93, 0x90):  # the current is read before the mode: otherwise they would agree once
        while wire.requests[-1][1] != function:
            wire.step()
    wire.set("current", "-50")
    assert currents(wire, 25) == {-500}
    assert wire.poller.pack.polarity.kept == NORMAL


def test_what_was_settled_before_the_restart_holds_from_the_first_reading_on(backwards):
    assert currents(Wire("drift=0,current=-0.5", polarity=INVERTED), 5) == {-5}


def test_what_is_kept_is_only_what_was_settled(backwards):
    assert Wire("drift=0,current=-1").run(10).poller.pack.polarity.kept == UNSETTLED
    assert Wire("drift=0,current=-30").run(10).poller.pack.polarity.kept == INVERTED
    assert Wire("drift=0,current=-30", current_sign="inverted").run(10).poller.pack.polarity.kept == UNSETTLED


@pytest.mark.parametrize("current", [-200, -1, 1, 200])
def test_a_board_that_has_both_swapped_is_turned_whole_by_the_owner(backwards, monkeypatch, current):
    """Comparing finds nothing there (batmon-ha#279): raw 32000 and "discharging" while 200 A charge."""
    usual = simulator.bms.READS[0x93]
    swapped = {0: 0, 1: 2, 2: 1}
    monkeypatch.setitem(simulator.bms.READS, 0x93, lambda r, _host: [bytes((swapped[r.mode],)) + usual(r, _host)[0][1:]])
    wire = Wire(f"drift=0,soc=50,current={current}", current_sign="inverted")
    modes = set()
    wire.run(15, lambda wire: modes.add(wire.pack.raw("mode") if wire.poller.complete else None))
    assert modes - {None} == {1 if current > 0 else 2}
    assert wire.pack.raw("current") == 10 * current
    wanted, other = ("time_to_full", "time_to_empty") if current > 0 else ("time_to_empty", "time_to_full")
    assert wire.pack.raw(other) is None and (abs(current) < 100 or wire.pack.raw(wanted) is not None)


@pytest.mark.parametrize("current", [-50, 50])
def test_where_only_the_current_is_swapped_the_owner_may_say_so_too(backwards, current):
    """The mode is right on such a board: it is unknown until that is seen, and never the wrong one."""
    wire = Wire(f"drift=0,soc=50,current={current}", current_sign="inverted")
    modes = set()
    wire.run(15, lambda wire: modes.add(wire.pack.raw("mode") if wire.poller.complete else None))
    assert modes - {None} == {1 if current > 0 else 2}
    assert currents(wire, 5) == {10 * current}


def test_once_settled_a_battery_that_turns_has_a_known_current_all_the_time():
    wire = Wire("drift=0,soc=50,current=50").run(12)
    assert wire.poller.pack.polarity.text == "normal"
    for current in ("-50", "50", "0", "-30", "40"):
        wire.set("current", current)
        seen = set()
        wire.run(4, lambda wire, seen=seen: seen.add(wire.pack.raw("current")))
        assert None not in seen and wire.pack.raw("current") == 10 * int(current)


@pytest.mark.parametrize("current", [50, -50])
def test_where_both_are_asked_seldom_comparing_them_does_not_ask_the_mode_more_often(current):
    wire = Wire(f"drift=0,soc=50,current={current}", periods={"POLL_PACK_MS": 30000, "POLL_STATUS_MS": 10000})
    wire.run(15)
    begun = len(wire.requests)
    wire.run(40)
    assert [command for _, command in wire.requests[begun:]].count(0x93) <= 5


# the decision alone

REREAD, CHANGED, TURNED = 1, 2, 4  # what a comparison results in
AGREES, CURRENT_UNSETTLED, CURRENT_CONTRADICTED, MODE_CONTRADICTED = 0, 1, 2, 3  # why something is unknown
CHARGING, DISCHARGING = 1, 2


class Compared:
    """A Polarity and the tick of the next reading."""

    def __init__(self, *options):
        self.polarity = Polarity(*options)
        self.at = 0

    def compare(self, current, mode, times=1):
        """The result of the last of so many comparisons with a new reading each."""
        result = None
        for _ in range(times):
            self.at += 100
            result = self.polarity.compare(current, mode, self.at)
        return result


@pytest.mark.parametrize(("current", "mode"), [(30, CHARGING), (-30, DISCHARGING), (500, CHARGING)])
def test_ten_clear_agreements_settle_the_usual_way(current, mode):
    compared = Compared()
    assert compared.compare(current, mode, 9) == 0 and compared.polarity.text == "not settled yet"
    assert compared.compare(current, mode) == CHANGED and compared.polarity.text == "normal"
    assert compared.polarity.kept == NORMAL and not compared.polarity.current_inverted
    assert compared.compare(current, mode, 20) == 0


@pytest.mark.parametrize(("current", "mode"), [(30, DISCHARGING), (-30, CHARGING)])
def test_ten_clear_contradictions_in_one_mode_turn_what_is_not_settled(current, mode):
    compared = Compared()
    compared.compare(current, mode, 9)
    assert compared.polarity.text == "not settled yet" and not compared.polarity.current_inverted
    assert compared.compare(current, mode) & (TURNED | CHANGED) == TURNED | CHANGED
    assert compared.polarity.text == "inverted" and compared.polarity.kept == INVERTED and compared.polarity.current_inverted
    assert compared.polarity.trouble == AGREES and not compared.polarity.hides(-current, mode)


def test_contradictions_in_both_modes_do_not_add_up():
    compared = Compared()
    for _ in range(9):
        compared.compare(30, DISCHARGING)
        compared.compare(-30, CHARGING)
    assert compared.polarity.kept == UNSETTLED
    compared.compare(30, DISCHARGING)
    assert compared.polarity.kept == INVERTED


def test_evidence_in_between_begins_the_count_again():
    compared = Compared()
    compared.compare(30, CHARGING, 9)
    compared.compare(30, DISCHARGING)
    compared.compare(30, CHARGING, 9)
    assert compared.polarity.kept == UNSETTLED
    compared.compare(30, DISCHARGING, 9)
    compared.compare(-30, DISCHARGING)
    compared.compare(30, DISCHARGING, 9)
    assert compared.polarity.kept == UNSETTLED
    compared.compare(30, DISCHARGING)
    assert compared.polarity.kept == INVERTED


@pytest.mark.parametrize("current", [29, -29])
@pytest.mark.parametrize("mode", [CHARGING, DISCHARGING])
def test_less_than_3_a_is_no_evidence(current, mode):
    compared = Compared()
    compared.compare(current, mode, 100)
    assert compared.polarity.kept == UNSETTLED


def test_neither_rest_nor_idle_is_evidence():
    compared = Compared()
    for current, mode in ((0, CHARGING), (500, 0), (-500, 0), (None, CHARGING), (500, None)):
        assert compared.compare(current, mode, 50) == 0
    assert compared.polarity.kept == UNSETTLED


def test_three_contradictions_in_a_row_make_the_current_unknown_until_one_agreement():
    compared = Compared("auto", NORMAL)
    assert compared.compare(30, DISCHARGING) == REREAD and compared.polarity.trouble == AGREES
    assert compared.compare(30, DISCHARGING) == REREAD and not compared.polarity.hides(30, DISCHARGING)
    assert compared.compare(30, DISCHARGING) == CHANGED
    assert compared.polarity.trouble == CURRENT_CONTRADICTED and compared.polarity.hides(30, CHARGING)
    assert compared.compare(30, DISCHARGING) == 0
    assert compared.compare(-30, DISCHARGING) == CHANGED
    assert compared.polarity.trouble == AGREES and not compared.polarity.hides(-30, DISCHARGING)
    compared.compare(30, DISCHARGING, 2)
    compared.compare(-30, DISCHARGING)
    assert compared.compare(30, DISCHARGING, 2) == REREAD and compared.polarity.trouble == AGREES


def test_a_contradiction_ends_with_rest_and_with_a_small_current():
    for current, mode in ((0, DISCHARGING), (30, 0), (29, DISCHARGING)):
        compared = Compared("auto", NORMAL)
        compared.compare(30, DISCHARGING, 3)
        assert compared.compare(current, mode) == CHANGED and compared.polarity.trouble == AGREES


def test_before_it_is_settled_a_small_current_contradicts_too():
    compared = Compared()
    assert compared.polarity.hides(-1, CHARGING) and compared.polarity.hides(1, DISCHARGING)
    assert not compared.polarity.hides(1, CHARGING) and not compared.polarity.hides(-1, 0)
    assert not compared.polarity.hides(None, CHARGING)
    compared.compare(1, DISCHARGING, 3)
    assert compared.polarity.trouble == CURRENT_UNSETTLED and compared.polarity.hides(1, CHARGING)
    settled = Compared("auto", NORMAL)
    assert not settled.polarity.hides(-1, CHARGING) and settled.compare(-29, CHARGING, 9) == 0
    assert settled.polarity.trouble == AGREES


def test_before_it_is_settled_three_agreements_must_follow_a_contradiction():
    """An inverted board changes direction: the current read before agrees for a moment with the new mode, or the reverse."""
    compared = Compared()
    assert not compared.polarity.hides(125, CHARGING)
    compared.compare(-1, CHARGING)
    for _ in range(2):
        assert compared.compare(125, CHARGING) == 0 and compared.polarity.hides(125, CHARGING)
    assert compared.compare(125, CHARGING) == CHANGED and not compared.polarity.hides(125, CHARGING)
    compared.compare(-1, CHARGING)
    assert compared.polarity.hides(125, CHARGING)
    assert not compared.polarity.hides(0, CHARGING) and not compared.polarity.hides(125, 0)  # rest says nothing


def test_a_reading_counts_once_however_often_the_mode_is_read_beside_it():
    compared = Compared()
    assert [compared.polarity.compare(30, DISCHARGING, 7) for _ in range(30)] == [REREAD] * 30
    assert [compared.polarity.compare(30, CHARGING, 8) for _ in range(30)] == [0] * 30
    assert compared.polarity.kept == UNSETTLED
    assert compared.polarity.compare(30, DISCHARGING, 0) == REREAD  # the tick 0 is a tick


@pytest.mark.parametrize("first", [CHARGING, DISCHARGING])
def test_what_is_settled_is_overturned_by_forty_contradictions_in_each_direction(first):
    compared = Compared("auto", NORMAL)
    against = {CHARGING: -30, DISCHARGING: 30}
    second = 3 - first
    compared.compare(against[first], first, 200)
    compared.compare(against[second], second, 39)
    assert compared.polarity.kept == NORMAL
    assert compared.compare(against[second], second) == TURNED | CHANGED
    assert compared.polarity.kept == INVERTED and compared.polarity.trouble == AGREES
    # and back, with the same evidence
    compared.compare(against[first], first, 39)
    compared.compare(against[second], second, 40)
    assert compared.polarity.kept == INVERTED
    compared.compare(against[first], first)
    assert compared.polarity.kept == NORMAL


def test_one_agreement_saves_what_is_settled():
    compared = Compared("auto", NORMAL)
    compared.compare(-30, CHARGING, 40)
    compared.compare(30, DISCHARGING, 39)
    compared.compare(30, CHARGING)
    compared.compare(30, DISCHARGING, 40)
    assert compared.polarity.kept == NORMAL
    compared.compare(-30, CHARGING, 40)
    assert compared.polarity.kept == INVERTED


def test_restoring():
    assert Polarity().restore(UNSETTLED) == 0
    assert Polarity().restore(NORMAL) == CHANGED
    polarity = Polarity()
    assert polarity.restore(INVERTED) == TURNED and polarity.current_inverted and polarity.text == "inverted"
    assert polarity.restore(NORMAL) == 0 and polarity.kept == INVERTED  # the first one counts
    decided = Polarity("normal")
    assert decided.restore(INVERTED) == 0 and not decided.current_inverted and decided.text == "normal"
    assert Polarity("auto", NORMAL).text == "normal" and Polarity("auto").text == "not settled yet"


def test_the_owner_decides():
    for choice, is_inverted in (("normal", False), ("inverted", True)):
        polarity = Polarity(choice)
        assert (polarity.current_inverted, polarity.mode_inverted) == (is_inverted, is_inverted)
        assert polarity.decides_mode and polarity.text == choice and polarity.kept == UNSETTLED
    polarity = Polarity()
    assert not (polarity.current_inverted or polarity.mode_inverted or polarity.decides_mode)


def test_where_the_owner_decides_the_mode_follows_the_current():
    compared = Compared("inverted")
    compared.compare(30, DISCHARGING, 3)
    assert compared.polarity.trouble == MODE_CONTRADICTED
    compared.compare(30, DISCHARGING, 6)
    assert compared.polarity.mode_inverted
    assert compared.compare(30, DISCHARGING) == TURNED | CHANGED
    assert not compared.polarity.mode_inverted and compared.polarity.current_inverted
    assert compared.polarity.kept == UNSETTLED and compared.polarity.text == "inverted"


def test_readings_that_have_been_judged_are_not_judged_again():
    judged = PublishedValues(Pack())
    for key, raw in (("current", 30), ("mode", DISCHARGING)):
        judged.put(READING[key], 0, raw, 0)
    assert (judged.raw("current"), judged.raw("mode")) == (30, DISCHARGING)


def test_what_is_settled_stands_in_the_log(capsys):
    Compared().compare(30, CHARGING, 10)
    Compared().compare(30, DISCHARGING, 10)
    Compared("normal").compare(30, CHARGING, 10)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["BMS: the sign of the current is normal", "BMS: the sign of the current is inverted"]
