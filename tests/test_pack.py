# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The pack alone: what it accepts, what must be confirmed, what it forgets, and what follows from its values."""

import pytest

from battery.pack import Pack
from battery.polarity import Polarity
from battery.readings import GROUPS, NEEDS, READING, READINGS, is_optional

VOLTAGE = READING["pack_voltage"]
CURRENT = READING["current"]
SOC = READING["soc"]
MODE = READING["mode"]
ALARMS = READING["alarm_bits_{}"]
CELL = READING["cell_{}_voltage"]
TEMPERATURE = READING["temperature_{}"]
HEARTBEAT = READING["heartbeat"]
CODE = READING["battery_code"]
HALF = 1 << 28  # ticks wrap at twice that


def accept(pack, row, *raws, now=0, doubtful=False, index=0):
    """Hand over one value after the other, 100 ms apart: [(accepted, known afterwards)]."""
    results = []
    for position, raw in enumerate(raws):
        accepted = pack.accept(row, index, raw, now + 100 * position, doubtful)
        results.append((accepted, pack.at(row, index)))
    return results


# what is possible


def test_nothing_is_known_at_the_start():
    pack = Pack()
    assert [pack.raw(key) for key in READING if key not in ("cell_{}_voltage", "power")] == [None] * (len(READING) - 2)
    assert (pack.implausible, pack.glitches, pack.changes, pack.gaps, pack.topology_changes) == (0, 0, 0, 0, 0)
    assert (pack.topology["cell_count"], pack.topology["temperature_count"], pack.topology["battery_code"]) == (0, 0, None)
    assert pack.polarity.text == "not settled yet"


@pytest.mark.parametrize("raw", [None, 0, -1, 3001])
@pytest.mark.parametrize("doubtful", [False, True])
def test_an_impossible_value_changes_nothing_and_need_not_be_read_again(raw, doubtful):
    pack = Pack()
    assert accept(pack, VOLTAGE, 520, 520) == [(True, 520)] * 2
    assert accept(pack, VOLTAGE, raw, raw, doubtful=doubtful, now=1000) == [(True, 520)] * 2
    assert pack.implausible == 2 and pack.glitches == 0
    assert pack.read_at("pack_voltage") == 100  # what was known expires


def test_an_impossible_value_confirms_nothing():
    pack = Pack()
    assert accept(pack, VOLTAGE, 520, 5000, 620) == [(True, 520), (True, 520), (True, 620)]
    assert accept(pack, VOLTAGE, 5000, 720, 5000, 5000) == [(True, 620), (True, 720), (True, 720), (True, 720)]


# a clean line


def test_on_a_clean_line_a_change_within_what_packs_do_is_accepted_immediately():
    pack = Pack()
    assert accept(pack, VOLTAGE, 520, 620, 520, 521) == [(True, 620 if i == 1 else 520 + (i == 3)) for i in range(4)]
    assert (pack.implausible, pack.glitches) == (0, 0)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_jump_must_be_confirmed_by_the_next_one(direction):
    pack = Pack()
    far = 1500 + 101 * direction
    assert accept(pack, VOLTAGE, 1500, far, far) == [(True, 1500), (False, 1500), (True, far)]
    assert (pack.implausible, pack.glitches) == (1, 0)


def test_a_jump_that_is_not_confirmed_is_a_glitch():
    pack = Pack()
    assert accept(pack, VOLTAGE, 520, 1520, 521) == [(True, 520), (False, 520), (True, 521)]
    assert (pack.implausible, pack.glitches) == (1, 1)
    assert accept(pack, VOLTAGE, 522, 523) == [(True, 522), (True, 523)]
    assert pack.glitches == 1


def test_a_jump_is_measured_from_what_is_known_not_from_the_last_reading():
    pack = Pack()
    assert accept(pack, VOLTAGE, 520, 1500, 1620) == [(True, 520), (False, 520), (True, 1500)]  # the middle one of three
    pack = Pack()
    assert accept(pack, VOLTAGE, 520, 1500, 400) == [(True, 520), (False, 520), (False, 520)]


def test_the_first_value_jumps_from_nothing():
    pack = Pack()
    assert accept(pack, VOLTAGE, 3000) == [(True, 3000)] and pack.implausible == 0


def test_a_value_that_contradicts_another_reading_is_accepted_the_second_time():
    pack = Pack()
    assert accept(pack, CELL, 0, 0) == [(False, None), (True, 0)]
    assert pack.implausible == 1


def test_a_reading_without_natural_noise_needs_not_be_read_again_at_once():
    """A number that has no step is no measurement: the heartbeat counts, and would be asked for for ever."""
    pack = Pack()
    assert accept(pack, HEARTBEAT, 5, 6, 7, doubtful=True) == [(True, None)] * 3
    assert accept(pack, HEARTBEAT, 7, doubtful=True) == [(True, 7)]
    assert pack.implausible == 3
    assert accept(pack, READING["charge_mosfet"], 1, doubtful=True) == [(False, None)]
    assert accept(pack, READING["cell_count"], 16, doubtful=True) == [(False, None)]


# a line where frames are damaged


def test_on_a_doubtful_line_every_change_must_be_confirmed():
    pack = Pack()
    assert accept(pack, MODE, 1, 1, doubtful=True) == [(False, None), (True, 1)]
    assert accept(pack, MODE, 2, 2, 1, 1, doubtful=True) == [(False, 1), (True, 2), (False, 2), (True, 1)]


def test_what_is_known_already_needs_no_confirmation():
    pack = Pack()
    accept(pack, SOC, 500)
    assert accept(pack, SOC, 500, doubtful=True, now=900) == [(True, 500)]
    assert pack.read_at("soc") == 900 and pack.implausible == 0


def test_one_digit_is_natural_noise():
    for step, result in ((1, (True, 501)), (2, (False, 500)), (-1, (True, 499)), (-2, (False, 500))):
        pack = Pack()
        accept(pack, SOC, 500)
        assert accept(pack, SOC, 500 + step, doubtful=True) == [result]
    pack = Pack()
    accept(pack, READING["cycle_count"], 7)
    assert accept(pack, READING["cell_count"], 16, 17, 17, doubtful=True)[:2] == [(False, None), (False, None)]


@pytest.mark.parametrize(("second", "known"), [(530, 530), (470, 470), (531, None), (469, None)])
def test_two_first_readings_within_one_step_confirm_each_other(second, known):
    pack = Pack()
    assert accept(pack, SOC, 500, second, doubtful=True) == [(False, None), (known is not None, known)]


@pytest.mark.parametrize(
    ("raws", "known"),
    [
        ((510, 520), 510),  # 500, 510, 520
        ((520, 510), 510),
        ((490, 480), 490),
        ((480, 490), 490),
        ((520, 480), 500),  # a lasting change is not the one in the middle
        ((520, 520), 520),
        ((510, 500), 500),  # the glitch is gone
        ((520, 530, 510), 520),  # the middle one of 520, 530, 510
        ((520, 540, 530), 530),
        ((480, 470, 490), 480),
        ((480, 460, 470), 470),
    ],
)
def test_the_middle_one_of_three_readings_is_accepted(raws, known):
    pack = Pack()
    accept(pack, SOC, 500)
    assert accept(pack, SOC, *raws, doubtful=True, now=1000)[-1][1] == known


@pytest.mark.parametrize("drift", [3264, 3266])
def test_a_jump_must_be_confirmed_whichever_way_the_readings_before_it_went(drift):
    """A cell that died was shown alive for a whole period of 10 s: the reading before it was the middle one of three."""
    assert accept(Pack(1), CELL, 3265, drift, 380, 380) == [(True, 3265), (True, drift), (False, drift), (True, 380)]


def test_the_reading_before_is_accepted_with_its_own_time():
    pack = Pack()
    accept(pack, SOC, 500)
    assert accept(pack, SOC, 510, 520, doubtful=True, now=1000) == [(False, 500), (True, 510)]
    assert pack.read_at("soc") == 1000
    assert accept(pack, SOC, 530, doubtful=True, now=3000) == [(True, 520)]
    assert pack.read_at("soc") == 1100
    assert accept(pack, SOC, 525, doubtful=True, now=4000) == [(True, 525)]
    assert pack.read_at("soc") == 4000


def test_a_single_slip_is_never_accepted():
    pack = Pack()
    accept(pack, SOC, 500)
    for slip in (0, 1000, 470, 530):
        results = accept(pack, SOC, slip, 500, 500, doubtful=True)
        assert [known for _, known in results] == [500] * 3


def test_what_alternates_between_two_values_is_followed():
    pack = Pack()
    accept(pack, SOC, 500)
    results = accept(pack, SOC, 520, 480, 520, 480, 520, doubtful=True)
    assert [known for _, known in results] == [500, 500, 520, 480, 520]


def test_what_has_no_natural_noise_has_no_middle():
    pack = Pack()
    accept(pack, READING["cell_count"], 10)
    assert accept(pack, READING["cell_count"], 11, 12, doubtful=True) == [(False, 10), (False, 10)]
    accept(pack, MODE, 0)
    assert accept(pack, MODE, 1, 2, doubtful=True) == [(False, 0), (False, 0)]


@pytest.mark.parametrize("doubtful", [False, True])
def test_each_reading_of_a_row_is_judged_alone(doubtful):
    pack = Pack(cell_count=3)
    for index in range(3):
        accept(pack, CELL, 3300, 3300, doubtful=doubtful, index=index)
    assert accept(pack, CELL, 3700, doubtful=doubtful, index=1) == [(False, 3300)]
    assert accept(pack, CELL, 3700, doubtful=doubtful, index=2) == [(False, 3300)]
    assert accept(pack, CELL, 3700, doubtful=doubtful, index=1) == [(True, 3700)]
    assert [pack.raw("cell_{}_voltage", number) for number in (1, 2, 3)] == [3300, 3700, 3300]


def test_text_is_confirmed_by_being_the_same():
    pack = Pack()
    assert accept(pack, CODE, "AB", "AC", "AC", doubtful=True) == [(False, None), (False, None), (True, "AC")]
    assert pack.text(CODE) == "AC"


# values that belong together


def test_alarms_are_accepted_all_or_none():
    pack = Pack()
    assert pack.accept_together(ALARMS, [1, 2, 4, 0, 0], 0)
    assert [pack.raw("alarm_bits_{}", level) for level in (1, 2, 3)] == [1, 2, 4]
    assert not pack.accept_together(ALARMS, [1, 2, 5, 0, 0], 100, True)
    assert [pack.raw("alarm_bits_{}", level) for level in (1, 2, 3)] == [1, 2, 4]
    assert (pack.implausible, pack.read_at("alarm_bits_{}")) == (1, 0)
    assert pack.accept_together(ALARMS, [1, 2, 5, 0, 0], 200, True)
    assert [pack.raw("alarm_bits_{}", level) for level in (1, 2, 3)] == [1, 2, 5]
    assert (pack.implausible, pack.read_at("alarm_bits_{}")) == (1, 200)


def test_two_alarms_that_change_in_turn_are_never_mixed():
    pack = Pack()
    pack.accept_together(ALARMS, [0, 0, 0, 0, 0], 0)
    assert not pack.accept_together(ALARMS, [1, 0, 0, 0, 0], 100, True)
    assert not pack.accept_together(ALARMS, [1, 0, 1, 0, 0], 200, True)
    assert [pack.raw("alarm_bits_{}", level) for level in (1, 2, 3)] == [0, 0, 0]
    assert pack.accept_together(ALARMS, [1, 0, 1, 0, 0], 300, True)


# which way the current counts

INVERTED = 2
CHARGE_OVERCURRENT, DISCHARGE_OVERCURRENT, SOC_LOW = 1 << 8, 1 << 9, 1 << 11


def inverted():
    return Pack(polarity=Polarity("auto", INVERTED))


def test_the_current_of_an_inverted_board_is_turned():
    assert accept(inverted(), CURRENT, 500) == [(True, -500)]
    assert accept(Pack(), CURRENT, 500) == [(True, 500)]


def test_the_overcurrent_alarms_of_an_inverted_board_change_places_and_no_other():
    pack = inverted()
    sent = [CHARGE_OVERCURRENT | SOC_LOW, DISCHARGE_OVERCURRENT | 1, CHARGE_OVERCURRENT, CHARGE_OVERCURRENT | 1, 1]
    assert pack.accept_together(ALARMS, list(sent), 0)
    kept = [pack.raw("alarm_bits_{}", field) for field in (1, 2, 3, 4, 5)]
    assert kept[:3] == [DISCHARGE_OVERCURRENT | SOC_LOW, CHARGE_OVERCURRENT | 1, CHARGE_OVERCURRENT]  # a fault has no direction
    assert kept[3:] == [DISCHARGE_OVERCURRENT | 1, 1]  # what is at level 3 has one
    pack = Pack()
    assert pack.accept_together(ALARMS, list(sent), 0)
    assert [pack.raw("alarm_bits_{}", field) for field in (1, 2, 3, 4, 5)] == sent


@pytest.mark.parametrize(
    ("choice", "sent", "mode"), [("inverted", 1, 2), ("inverted", 2, 1), ("inverted", 0, 0), ("normal", 1, 1)]
)
def test_the_mode_is_turned_where_the_owner_has_decided_and_the_modes_contradict(choice, sent, mode):
    pack = Pack(polarity=Polarity(choice))
    pack.polarity.mode_inverted = choice == "inverted"
    assert accept(pack, MODE, sent) == [(True, mode)]


def test_what_is_held_when_the_polarity_turns_is_forgotten_or_turned():
    pack = Pack()
    pack.energy.load([0] * 4)
    accept(pack, VOLTAGE, 500)
    accept(pack, CURRENT, 300)
    accept(pack, SOC, 500)
    pack.finish(0)
    pack.accept_together(ALARMS, [CHARGE_OVERCURRENT, SOC_LOW, CHARGE_OVERCURRENT, 0, 0], 0)
    before = pack.changes, pack.gaps
    pack.restore_polarity(INVERTED)
    assert pack.raw("current") is None and pack.raw("soc") == 500
    kept = [pack.raw("alarm_bits_{}", level) for level in (1, 2, 3)]
    assert kept == [DISCHARGE_OVERCURRENT, SOC_LOW, CHARGE_OVERCURRENT]
    assert (pack.changes, pack.gaps) == (before[0] + 1, before[1] + 1)
    # the reading before is forgotten, too: -300 would confirm it
    assert accept(pack, CURRENT, 300, doubtful=True, now=1000) == [(False, None)]
    # and no energy is counted from the turn to the first reading after it
    accept(pack, CURRENT, 300, doubtful=True, now=2000)
    pack.finish(2000)
    assert pack.raw("energy_discharged") == pack.raw("energy_charged") == 0


def test_alarms_before_the_turn_confirm_none_after_it():
    pack = Pack()
    pack.accept_together(ALARMS, [0, 0, 0, 0, 0], 0)
    pack.accept_together(ALARMS, [CHARGE_OVERCURRENT, 0, 0, 0, 0], 100, True)
    pack.restore_polarity(INVERTED)
    assert not pack.accept_together(ALARMS, [DISCHARGE_OVERCURRENT, 0, 0, 0, 0], 200, True)
    assert pack.raw("alarm_bits_{}", 1) == 0


def test_what_was_settled_the_usual_way_turns_nothing():
    pack = Pack()
    accept(pack, CURRENT, -20)
    accept(pack, MODE, 1)
    assert pack.raw("current") is None  # a small one against the mode, and nothing settled
    before = pack.changes, pack.gaps
    pack.restore_polarity(1)
    assert pack.raw("current") == -20
    assert (pack.changes, pack.gaps) == (before[0] + 1, before[1] + 1)
    pack.restore_polarity(0)
    pack.restore_polarity(INVERTED)  # it is settled
    assert pack.raw("current") == -20 and (pack.changes, pack.gaps) == (before[0] + 1, before[1] + 1)


def test_a_contradicted_current_is_unknown_and_its_power_too():
    pack = Pack(polarity=Polarity("auto", 1))
    for now in range(1, 5):
        accept(pack, VOLTAGE, 500, now=now)
        accept(pack, CURRENT, 300, 300, now=1000 * now)
        accept(pack, MODE, 2, now=now)
        asks_again = pack.compare_polarity()
        assert asks_again == (now < 3)
        assert pack.raw("current") == (300 if now < 3 else None)
    assert pack.raw("power") is None and pack.raw("mode") == 2


def test_a_contradicted_mode_is_unknown_where_the_owner_decides():
    pack = Pack(polarity=Polarity("normal"))
    for now in range(1, 5):
        accept(pack, CURRENT, 300, now=1000 * now)
        accept(pack, MODE, 2, now=now)
        pack.compare_polarity()
    assert (pack.raw("current"), pack.raw("mode")) == (300, None)


def test_the_same_reading_is_compared_once():
    pack = Pack()
    accept(pack, CURRENT, 300)
    accept(pack, MODE, 2)
    for _ in range(30):
        assert pack.compare_polarity()
    assert pack.polarity.text == "not settled yet" and not pack.polarity.trouble


# energy


def filled(voltage=500, current=100):
    pack = Pack(polarity=Polarity("auto", 1))
    pack.energy.load([0] * 4)
    accept(pack, VOLTAGE, voltage)
    accept(pack, CURRENT, current)
    pack.finish(0)
    return pack


def test_energy_is_counted_with_each_response_that_has_voltage_or_current():
    pack = filled()
    assert pack.raw("power") == 50000  # 500 W
    assert pack.raw("energy_charged") == 0
    for second in range(1, 73):
        accept(pack, VOLTAGE if second % 2 else CURRENT, 500 if second % 2 else 100, now=1000 * second)
        pack.finish(1000 * second)
    assert (pack.raw("energy_charged"), pack.raw("capacity_charged")) == (10, 200)  # 500 W, 10 A for 72 s
    assert (pack.raw("energy_discharged"), pack.raw("capacity_discharged")) == (0, 0)
    assert pack.read_at("energy_charged") == 72000


def test_a_response_without_voltage_and_current_counts_nothing():
    pack = filled()
    for second in range(1, 73):
        accept(pack, SOC, 500, now=1000 * second)
        pack.finish(1000 * second)
    assert pack.raw("energy_charged") == 0 and pack.read_at("energy_charged") == 0
    accept(pack, CURRENT, 100, now=72000)
    pack.finish(72000)
    assert pack.raw("energy_charged") == 0  # 72 s are a gap


@pytest.mark.parametrize("unknown", [VOLTAGE, CURRENT])
def test_while_voltage_or_current_is_unknown_nothing_is_counted(unknown):
    pack = filled(voltage=3000, current=15000)
    pack.expire(unknown, 1)
    assert pack.raw("power") is None
    known, raw = (CURRENT, 15000) if unknown is VOLTAGE else (VOLTAGE, 3000)
    accept(pack, known, raw, now=1000)
    pack.finish(1000)
    accept(pack, VOLTAGE, 3000, now=3000)
    accept(pack, CURRENT, 15000, now=3000)
    pack.finish(3000)
    assert pack.raw("energy_charged") == 0
    accept(pack, CURRENT, 15000, now=4000)
    pack.finish(4000)
    assert pack.raw("energy_charged") == 125  # 450 kW for a second


def test_counters_are_unknown_until_they_are_loaded():
    pack = Pack()
    accept(pack, VOLTAGE, 500)
    accept(pack, CURRENT, 100)
    pack.finish(0)
    assert pack.raw("energy_charged") is None
    pack.energy.load([1, 2, 3, 4])
    accept(pack, CURRENT, 100)
    pack.finish(1)
    keys = ("energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged")
    assert [pack.raw(key) for key in keys] == [1, 2, 3, 4]


# forgetting


@pytest.mark.parametrize("begin", [0, 1000, HALF - 1, 2 * HALF - 1])
def test_a_reading_expires_when_it_is_older_than_asked(begin):
    pack = Pack()
    accept(pack, SOC, 500, now=begin)
    pack.expire(SOC, begin)
    assert pack.raw("soc") == 500
    before = pack.changes, pack.gaps
    pack.expire(SOC, (begin + 1) % (2 * HALF))
    assert pack.raw("soc") is None and (pack.changes, pack.gaps) == (before[0] + 1, before[1] + 1)
    pack.expire(SOC, (begin + 1) % (2 * HALF))
    assert (pack.changes, pack.gaps) == (before[0] + 1, before[1] + 1)


def test_cells_expire_one_by_one_and_other_rows_stay():
    pack = Pack(cell_count=3)
    for index in range(3):
        accept(pack, CELL, 3300, now=10 * index, index=index)
    accept(pack, SOC, 500, now=0)
    pack.expire(CELL, 15)
    assert [pack.raw("cell_{}_voltage", number) for number in (1, 2, 3)] == [None, None, 3300]
    assert pack.raw("soc") == 500


def test_all_slots_of_a_row_expire():
    pack = Pack(cell_count=48)
    accept(pack, CELL, 3300, index=0)
    accept(pack, CELL, 3300, index=47)
    pack.expire(CELL, 1)
    assert pack.raw("cell_{}_voltage", 1) is None and pack.raw("cell_{}_voltage", 48) is None


def test_forget_empties_all_but_the_topology():
    pack = filled()
    accept(pack, READING["cell_count"], 2)
    accept(pack, SOC, 500)
    accept(pack, READING["battery_code"], "AB")
    pack.finish(0)
    before = pack.changes, pack.gaps, pack.topology_changes
    pack.forget()
    assert [pack.raw(key) for key in ("pack_voltage", "current", "power", "soc", "cell_count", "battery_code")] == [None] * 6
    assert pack.topology["cell_count"] == 2 and pack.topology["battery_code"] == "AB"
    assert (pack.changes, pack.gaps, pack.topology_changes) == (before[0] + 1, before[1] + 1, before[2])
    # what was read before confirms nothing
    assert accept(pack, SOC, 500, doubtful=True) == [(False, None)]
    # and no energy is counted over the gap
    accept(pack, VOLTAGE, 3000, now=1000)
    accept(pack, CURRENT, 15000, now=1000)
    pack.finish(1000)
    assert pack.raw("energy_charged") == 0


def test_forget_empties_what_waits_for_a_confirmation():
    pack = Pack()
    accept(pack, SOC, 500, 510, doubtful=True)
    accept(pack, SOC, 700, doubtful=True)
    pack.forget()
    assert accept(pack, SOC, 700, doubtful=True) == [(False, None)]
    assert accept(pack, SOC, 510, doubtful=True) == [(False, None)]


# counters of changes


def test_changes_and_gaps_are_counted():
    pack = Pack()
    pack.put(SOC, 0, 500, 0)
    assert (pack.changes, pack.gaps) == (1, 1)
    pack.put(SOC, 0, 500, 1)
    assert (pack.changes, pack.gaps) == (1, 1) and pack.read_at("soc") == 1
    pack.put(SOC, 0, 501, 2)
    assert (pack.changes, pack.gaps) == (2, 1)
    pack.put(SOC, 0, None, 3)
    assert (pack.changes, pack.gaps) == (3, 2)
    pack.put(SOC, 0, 0, 4)
    assert (pack.changes, pack.gaps) == (4, 3)


def test_a_response_that_was_no_answer_is_counted():
    pack = Pack()
    pack.reject()
    pack.reject()
    assert pack.implausible == 2


def test_the_oldest_reading_is_of_those_that_are_requested_again():
    pack = Pack(cell_count=2)
    assert pack.oldest_ms(5000) == 0
    accept(pack, CODE, "AB")  # read once
    assert pack.oldest_ms(5000) == 0
    accept(pack, SOC, 500, now=4000)
    accept(pack, CELL, 3300, now=3000, index=1)
    assert pack.oldest_ms(5000) == 2000
    pack.expire(CELL, 3001)
    assert pack.oldest_ms(5000) == 1000


# what kind of battery it is


@pytest.mark.parametrize("key", ["cell_count", "temperature_count", "battery_code", "software_version", "hardware_version"])
def test_a_topology_is_followed_with_the_end_of_the_response(key):
    pack = Pack()
    first, second = ("A", "B") if READING[key].low is None else (4, 5)
    accept(pack, READING[key], first)
    assert pack.topology_changes == 0
    pack.finish(0)
    assert (pack.topology[key], pack.topology_changes) == (first, 1)
    pack.finish(1)
    assert pack.topology_changes == 1
    accept(pack, READING[key], second, second)
    pack.finish(2)
    assert (pack.topology[key], pack.topology_changes) == (second, 2)


def test_no_other_reading_is_topology():
    pack = Pack()
    accept(pack, SOC, 500)
    pack.finish(0)
    assert pack.topology_changes == 0 and len(pack.topology) == 5


def test_cells_that_are_no_more_there_are_unknown():
    pack = Pack(cell_count=4, temperature_count=2)
    for index in range(4):
        accept(pack, CELL, 3300, index=index)
        accept(pack, READING["cell_{}_balancing"], 1, index=index)
    accept(pack, TEMPERATURE, 20, index=0)
    accept(pack, TEMPERATURE, 20, index=1)
    accept(pack, READING["cell_count"], 3)
    pack.finish(0)
    assert [pack.raw("cell_{}_voltage", number) for number in (1, 3, 4)] == [3300, 3300, None]
    assert [pack.raw("cell_{}_balancing", number) for number in (3, 4)] == [1, None]
    assert [pack.raw("temperature_{}", number) for number in (1, 2)] == [20, 20]
    assert pack.count(CELL) == 3 and pack.count(TEMPERATURE) == 2 and pack.count(SOC) == 1
    assert pack.count(READING["digital_input_{}"]) == 4


# what is derived


def test_cells_are_of_one_moment():
    pack = Pack(cell_count=3)
    assert pack.is_of_one_moment(CELL)
    accept(pack, CELL, 3300, now=100, index=0)
    accept(pack, CELL, 3300, now=100, index=2)
    assert pack.is_of_one_moment(CELL)  # an unknown one is of no moment
    accept(pack, CELL, 3300, now=101, index=1)
    assert not pack.is_of_one_moment(CELL)
    pack.expire(CELL, 101)
    assert pack.is_of_one_moment(CELL)


def test_a_row_is_zero_when_nothing_else_is_known_of_it():
    pack = Pack(cell_count=3)
    row = READING["cell_{}_balancing"]
    assert pack.is_zero(row)
    accept(pack, row, 0, index=0)
    assert pack.is_zero(row)
    accept(pack, row, 1, index=2)
    assert not pack.is_zero(row)
    assert pack.is_zero(READING["charge_mosfet"])


def test_sum_and_extremes_need_every_cell():
    pack = Pack(cell_count=3)
    assert pack.sum_of_cells() is None and pack.extreme_cells() == (None, None)
    for index, raw in enumerate((3301, 3299)):
        accept(pack, CELL, raw, index=index)
    assert pack.sum_of_cells() is None and pack.extreme_cells() == (None, None)
    accept(pack, CELL, 3300, index=2)
    assert pack.sum_of_cells() == 9900 and pack.extreme_cells() == (3301, 3299)
    assert Pack().sum_of_cells() is None and Pack().extreme_cells() == (None, None)


@pytest.mark.parametrize(
    ("key", "raw", "text"),
    [("pack_voltage", 532, "53.2"), ("current", -5, "-0.5"), ("remaining_capacity", 160440, "160.440"), ("mode", 1, "charging"),
     ("mode", 0, "idle"), ("charge_mosfet", 1, "on"), ("charge_mosfet", 0, "off"), ("chemistry", 2, "LTO"),
     ("production_date", 23 << 16 | 5 << 8 | 17, "2023-05-17"), ("production_date", 9 << 16 | 12 << 8 | 1, "2009-12-01"),
     ("battery_code", "AB", "AB"), ("soc", None, None)],
)  # fmt: skip
def test_a_reading_as_text_for_people(key, raw, text):
    pack = Pack()
    pack.put(READING[key], 0, raw, 0)
    assert pack.text(READING[key]) == text


def test_the_number_of_a_cell_counts_from_one():
    pack = Pack(cell_count=2)
    pack.put(CELL, 1, 3300, 0)
    assert pack.raw("cell_{}_voltage", 2) == 3300 and pack.raw("cell_{}_voltage") is None
    assert pack.text(CELL, 1) == "3.300" and pack.text(CELL) is None


# which readings exist


def protocol_rows(*without):
    """Everything but derived rows and those with these keys, as a protocol lists it."""
    return tuple(row for row in READINGS if row.derive is None and not row.key.startswith(("energy_", "capacity_", *without)))


def existing(pack):
    return {row.key for row in READINGS if pack.has(row)}


def test_every_row_exists_until_a_protocol_is_found():
    pack = Pack(16, 2)
    assert existing(pack) == set(READING) and pack.count(CELL) == 16 and pack.count(CODE) == 1
    assert pack.can_write("restart_bms")


def test_a_row_that_the_protocol_cannot_say_does_not_exist():
    pack = Pack(16, 2)
    pack.select(protocol_rows("heartbeat", "cell_{}_balancing"))
    assert not pack.has(HEARTBEAT) and pack.count(HEARTBEAT) == 0 and pack.raw("heartbeat") is None
    assert pack.has(VOLTAGE) and pack.count(VOLTAGE) == 1 and pack.count(CELL) == 16
    assert pack.count(READING["cell_{}_balancing"]) == 0


@pytest.mark.parametrize(
    ("key", "needed"),
    [
        ("power", "current"),
        ("power", "pack_voltage"),
        ("energy_charged", "current"),
        ("capacity_discharged", "pack_voltage"),
        ("remaining_time", "current"),
        ("time_to_full", "remaining_capacity"),
        ("time_to_empty", "remaining_capacity"),
        ("problem", "alarm_bits_{}"),
        ("active_alarms", "alarm_bits_{}"),
        ("cell_voltage_delta", "min_cell_voltage"),
        ("cell_voltage_delta", "max_cell_voltage"),
        ("balancing", "cell_{}_balancing"),
    ],
)
def test_a_calculated_row_exists_when_all_it_is_calculated_from_exists(key, needed):
    pack = Pack(16, 2)
    optional = "cell_{}_balancing"
    pack.select(protocol_rows())
    pack.accept(READING[optional], 0, 0, 0)
    pack.finish(0)
    assert pack.has(READING[key])
    pack = Pack(16, 2)
    pack.select(protocol_rows(needed))
    assert not pack.has(READING[key]) and pack.count(READING[key]) == 0


def test_everything_that_is_calculated_says_from_what():
    for row in READINGS:
        assert bool(NEEDS.get(row.key, ())) == (row.derive is not None or row.key.startswith(("energy_", "capacity_"))), row.key
        assert all(key in READING for key in NEEDS.get(row.key, ()))
        if row.derive is not None:
            assert not is_optional(row)


def test_what_is_requested_seldom_or_once_is_optional_and_what_is_published_of_the_cells_is_not():
    for row in READINGS:
        period_ms = GROUPS[row.group].period_ms
        if row.derive is None and row.counted_by is None:
            assert is_optional(row) == (row.group != "extremes" and (period_ms is None or period_ms >= 1000)), row.key
    assert is_optional(READING["rated_capacity"]) and is_optional(READING["cycle_count"])
    assert is_optional(READING["cell_{}_balancing"]) and not is_optional(CELL) and not is_optional(TEMPERATURE)


def test_an_optional_row_exists_once_it_has_been_read_and_then_also_while_the_bms_is_silent():
    pack = Pack()
    pack.select(protocol_rows())
    capacity = READING["rated_capacity"]
    changes = pack.topology_changes
    pack.accept(VOLTAGE, 0, 520, 0)
    pack.finish(0)
    assert pack.awaits(capacity) and not pack.has(capacity) and pack.topology_changes == changes
    assert pack.count(capacity) == 1  # the protocol looks for it
    accept(pack, capacity, 100000, 100000, doubtful=True)
    pack.finish(100)
    assert pack.has(capacity) and pack.count(capacity) == 1 and not pack.awaits(capacity)
    assert pack.topology_changes == changes + 1
    pack.forget()
    pack.finish(200)
    assert pack.has(capacity) and pack.raw("rated_capacity") is None and pack.topology_changes == changes + 1


def test_what_the_protocol_cannot_say_is_not_waited_for():
    pack = Pack()
    pack.select(protocol_rows("rated_capacity"))
    assert not pack.awaits(READING["rated_capacity"]) and pack.awaits(CODE)


def test_the_first_protocol_forgets_nothing_and_another_one_everything_but_the_energy():
    pack = Pack(4, 1)
    accept(pack, VOLTAGE, 520)
    pack.finish(0)
    pack.select(protocol_rows("heartbeat"), ("soc",))
    assert pack.raw("pack_voltage") == 520 and pack.topology_changes == 1
    accept(pack, CODE, "A", "A")
    accept(pack, READING["cell_count"], 16, 16)
    pack.finish(200)
    pack.energy.load((7000, 0, 0, 0))
    changes, gaps = pack.topology_changes, pack.gaps
    pack.select(protocol_rows("fault_code"), ("soc",))
    assert pack.raw("pack_voltage") is None and not pack.has(CODE) and pack.has(HEARTBEAT)
    assert (pack.topology["cell_count"], pack.topology["temperature_count"], pack.topology["battery_code"]) == (4, 1, None)
    assert pack.topology_changes == changes + 1 and pack.gaps > gaps
    assert pack.energy.total("energy_charged") == 7000
    assert accept(pack, VOLTAGE, 1520) == [(True, 1520)]  # not compared with the reading of the other protocol
    assert accept(pack, VOLTAGE, 1000, 1520) == [(False, 1520), (True, 1520)]


def test_the_same_protocol_again_changes_nothing():
    pack = Pack()
    pack.select(protocol_rows("heartbeat"), ("soc",))
    accept(pack, VOLTAGE, 520)
    before = (pack.changes, pack.gaps, pack.topology_changes)
    pack.select(protocol_rows("heartbeat"), ("soc",))
    assert (pack.changes, pack.gaps, pack.topology_changes) == before and pack.raw("pack_voltage") == 520


def test_a_control_can_be_written_when_the_protocol_says_so():
    pack = Pack()
    pack.select(protocol_rows(), ("charge_mosfet", "soc"))
    assert pack.can_write("soc") and not pack.can_write("restart_bms")
