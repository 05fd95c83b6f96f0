# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is requested next: the pace of each block, what a missing, late or empty response changes, and static data."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

from daly.schedule import Schedule

LAST_TICK = (1 << 29) - 1


def block(function, group, frames=1, key=None):
    return SimpleNamespace(function=function, group=group, frames=frames, rows=(key or group,), is_optional=False)


# the fast lane, two that are requested in each cycle, one of several frames, one each second, one each five, two of static data
FAST, STATUS, ALARMS, CELLS, TEMPERATURES, COUNTS, RATED, CODE = range(8)
BLOCKS = (
    block(0x90, "pack"),
    block(0x93, "status"),
    block(0x98, "alarms"),
    block(0x95, "cells", 16),
    block(0x96, "temperatures", 3),
    block(0x94, "counts"),
    block(0x50, "static", 1, "rated"),
    block(0x57, "static", 5, "code"),
)


class Line:
    """A Schedule and time: `respond` is what comes of a request."""

    def __init__(self, periods=None, online=True, start=LAST_TICK - 300):
        self.online = online
        self.expected = [1] * len(BLOCKS)
        self.now = start
        self.schedule = Schedule(BLOCKS, lambda index: self.expected[index], lambda: self.online, periods)
        self.schedule.begin(self.now)

    def wait(self, milliseconds):
        self.now = (self.now + milliseconds) & LAST_TICK
        return self

    def next(self):
        index = self.schedule.choose(self.now)
        if index is not None:
            self.schedule.take(index, self.now)
        return index

    def answer(self, accepted=True, whole=True):
        return self.schedule.answered(accepted, whole, self.now)

    def fail(self, silent=True):
        return self.schedule.failed(silent, self.now)

    def run(self, milliseconds, step=50, silent=(), lossy=None):
        """[(ms, block)] of the requests in that time, one in each step; blocks in `silent` are not answered."""
        found = []
        for at in range(0, milliseconds, step):
            index = self.next()
            if index is not None:
                found.append((at, index))
                self.fail() if index in silent else self.answer()
            self.wait(step)
        return found

    def request(self, index):
        """Let time pass, everything answered, until this block is requested."""
        for _ in range(20000):
            if self.next() == index:
                return self
            self.answer()
            self.wait(10)
        raise AssertionError(f"block {index} is never requested")


def times(found, index):
    return [at for at, other in found if other == index]


def gaps(found, index):
    """ms from one request of a block to the next."""
    return [later - earlier for earlier, later in pairwise(times(found, index))]


# pace


def test_in_the_first_cycle_each_block_has_its_turn_in_order():
    line = Line(periods={"POLL_PACK_MS": 1})
    assert [index for _, index in line.run(300)] == [FAST, STATUS, ALARMS, CELLS, TEMPERATURES, COUNTS]


def test_the_fast_lane_cuts_in_when_it_is_due_but_lets_the_others_have_their_turns():
    line = Line()
    line.run(1000)
    found = [index for _, index in line.run(10000, 100)]
    assert 50 <= found.count(FAST) <= 60  # every other one, and its turn in each cycle
    assert {FAST, STATUS, ALARMS, CELLS} <= set(found[:9])
    assert min(gaps(line.run(2000, 10), FAST)) == 80


def test_a_fast_lane_of_no_period_has_its_turn_like_others():
    line = Line(periods={"POLL_PACK_MS": 0})
    line.run(2000)
    found = [index for _, index in line.run(200, 50)]
    assert sorted(found) == [FAST, STATUS, ALARMS, CELLS]


@pytest.mark.parametrize(("index", "period"), [(TEMPERATURES, 1000), (COUNTS, 5000)])
def test_each_block_has_its_period(index, period):
    line = Line()
    line.run(10000, 20)
    found = gaps(line.run(30000, 20), index)
    assert period <= min(found) and max(found) < period + 250


def test_periods_of_the_settings_count():
    line = Line(periods={"POLL_TEMPERATURES_MS": 3000, "POLL_STATUS_MS": 500})
    line.run(5000, 20)
    found = line.run(20000, 20)
    assert 3000 <= min(gaps(found, TEMPERATURES)) < 3200
    for index in (STATUS, ALARMS):  # two groups of one setting
        assert 500 <= min(gaps(found, index)) < 700


def test_the_cycle_is_measured_from_one_turn_of_the_first_block_to_the_next():
    line = Line(periods={"POLL_PACK_MS": 0})
    assert line.schedule.cycle_ms is None
    line.run(400)
    assert line.schedule.cycle_ms == 350  # six measurements and static data
    line.run(450)
    assert line.schedule.cycle_ms == 200


@pytest.mark.parametrize(("cycle", "counts"), [(3000, 3000), (5000, 5000), (20000, 5000)])
def test_a_block_is_expected_once_in_a_cycle_but_no_cycle_excuses_more_than_5_s(cycle, counts):
    line = Line()
    line.schedule.cycle_ms = None
    assert [line.schedule.period_ms(index) for index in (FAST, STATUS, TEMPERATURES, COUNTS, CODE)] == [80, 0, 1000, 5000, None]
    line.schedule.cycle_ms = cycle
    assert [line.schedule.period_ms(index) for index in (FAST, STATUS, TEMPERATURES, COUNTS)] == [80, counts, counts, 5000]
    slow = Line(periods={"POLL_PACK_MS": 0})
    slow.schedule.cycle_ms = cycle
    assert slow.schedule.period_ms(FAST) == counts


def test_what_must_be_confirmed_or_is_not_whole_is_requested_again_in_the_next_cycle():
    for accepted, whole in ((False, True), (True, False)):
        line = Line()
        line.run(2000)
        line.request(COUNTS).answer(accepted, whole)
        line.wait(50)
        found = times(line.run(1000), COUNTS)
        assert len(found) == 1 and found[0] <= 500


def test_a_block_may_be_requested_soon():
    line = Line()
    line.run(2000)
    line.schedule.request_soon("counts")
    assert line.next() == COUNTS
    line.answer()
    assert line.next() != COUNTS


def test_a_block_may_be_requested_in_the_next_cycle():
    line = Line()
    line.run(2000)
    line.request(COUNTS).answer()
    line.schedule.request_in_next_cycle(line.now)
    assert times(line.wait(50).run(1000), COUNTS)[0] <= 500


def test_what_cannot_be_requested_has_no_turn():
    line = Line()
    line.expected[CELLS] = 0
    assert CELLS not in [index for _, index in line.run(2000)]
    line.expected[CELLS] = 6
    assert CELLS in [index for _, index in line.run(400)]


def test_where_nothing_is_due_nothing_is_requested():
    line = Line(periods=dict.fromkeys(("POLL_PACK_MS", "POLL_STATUS_MS", "POLL_CELLS_MS", "POLL_TEMPERATURES_MS"), 10000))
    line.run(4000)
    assert line.next() is None


@pytest.mark.parametrize("index", [TEMPERATURES, COUNTS])
def test_no_block_waits_for_half_the_ticks(index):
    """A block that was done or not there long ago, before the ticks wrapped, is due."""
    line = Line()
    line.expected[index] = 0
    for _ in range(400):
        line.next()
        line.answer()
        line.wait(1 << 20)
    line.expected[index] = 1
    assert index in [found for _, found in line.run(400)]


# complete


def test_it_is_complete_when_all_that_is_polled_was_requested_and_the_bms_is_online():
    line = Line()
    for _ in range(6):
        assert not line.schedule.complete
        line.next()
        line.fail()
        line.wait(300)
    assert line.schedule.complete and not line.schedule.static_done
    line.online = False
    assert not line.schedule.complete
    line.online = True
    line.schedule.begin(line.now)
    assert not line.schedule.complete
    line.expected[:] = [0] * len(BLOCKS)
    assert line.schedule.complete


# static data


def test_static_data_is_requested_200_ms_apart_and_once():
    line = Line()
    found = line.run(10000, 10)
    assert len(times(found, RATED)) == len(times(found, CODE)) == 1
    assert 200 <= times(found, RATED)[0] < 290 and 400 <= times(found, CODE)[0] < 490
    assert line.schedule.static_done


def test_it_is_not_requested_while_the_bms_is_not_online():
    line = Line(online=False)
    assert {index for _, index in line.run(5000)} == set(range(6))
    assert not line.schedule.static_done


@pytest.mark.parametrize(("accepted", "whole"), [(False, True), (True, False)])
def test_it_is_requested_until_it_is_accepted_whole(accepted, whole):
    line = Line()
    line.request(CODE).answer(accepted, whole)
    assert not line.schedule.static_done
    line.request(CODE).answer()
    assert CODE not in [index for _, index in line.wait(50).run(5000)] and line.schedule.static_done


def test_a_missing_response_is_requested_again_after_two_seconds_and_a_half():
    line = Line()
    line.request(RATED)
    assert line.fail() in (True, False)
    found = times(line.wait(10).run(4000, 10), RATED)
    assert len(found) == 1 and 2480 <= found[0] <= 2600


def test_what_was_never_set_is_zero_for_ever_and_requested_three_times():
    line = Line()
    for _ in range(3):
        assert not line.schedule.static_done
        line.request(RATED)
        line.fail(False)
        line.schedule.was_empty(line.now)
    assert RATED not in [index for _, index in line.wait(50).run(20000)] and line.schedule.static_done
    line.schedule.begin(line.now)
    assert not line.schedule.static_done
    line.request(RATED)  # a new connection


# empty responses


@pytest.mark.parametrize("index", [STATUS, ALARMS])
def test_an_empty_response_is_requested_again_three_times_with_the_fast_lane_in_between(index):
    line = Line()
    line.run(2000)
    line.request(index)
    found = []
    for _ in range(8):
        line.fail(False)
        line.schedule.was_empty(line.now)
        line.wait(100)
        found.append(line.next())
        if found[-1] != index:
            line.answer()
            line.wait(100)
            found.append(line.next())
    assert found[:7] == [FAST, index, FAST, index, FAST, index, FAST] and found[7] != index


def test_nor_does_the_fast_lane_begin_that_count_again():
    """The block after it was requested for ever, and no other one, while it was empty and the fast lane was answered."""
    line = Line()
    line.run(2000)
    found = []
    for _ in range(100):
        found.append(line.next())
        if found[-1] == STATUS:
            line.fail(False)
            line.schedule.was_empty(line.now)
        else:
            line.answer()
        line.wait(100)
    assert found.count(STATUS) < 50 and found.count(ALARMS) > 5


@pytest.mark.parametrize("index", [FAST, CELLS, TEMPERATURES, COUNTS])
def test_others_are_not(index):
    line = Line()
    line.run(2000)
    line.request(index)
    line.fail(False)
    line.schedule.was_empty(line.now)
    line.wait(10)
    assert line.next() != index


# what is not supported


def silence(line, index, count):
    """So many time-outs of one block, others answered in between; how many of them changed what is unsupported."""
    changed = []
    for number in range(count):
        line.request(index)
        if line.fail():
            changed.append(number + 1)
        line.wait(10)
    return changed


def test_a_block_that_is_ignored_four_times_is_not_supported_and_requested_once_a_minute():
    line = Line()
    assert silence(line, COUNTS, 3) == [] and line.schedule.unsupported == []
    assert silence(line, COUNTS, 1) == [1] and line.schedule.unsupported == [0x94]
    found = times(line.run(125000, 10), COUNTS)
    assert [round(at / 1000) for at in found] == [60, 65, 70, 75, 80, 85, 90, 95, 100, 105, 110, 115, 120, 125][: len(found)]
    assert line.schedule.unsupported == []  # it was answered


def test_what_goes_on_being_ignored_is_requested_once_a_minute():
    line = Line()
    silence(line, COUNTS, 4)
    found = times(line.run(190000, 10, silent=(COUNTS,)), COUNTS)
    assert [round(at / 1000) for at in found] == [60, 120, 180] and line.schedule.unsupported == [0x94]


def test_a_block_that_was_answered_once_is_given_up_after_twenty():
    line = Line()
    line.request(COUNTS).answer()
    assert silence(line, COUNTS, 19) == []
    assert silence(line, COUNTS, 1) == [1] and line.schedule.unsupported == [0x94]


def test_a_response_or_a_late_one_begins_the_count_again():
    line = Line()
    silence(line, COUNTS, 3)
    line.schedule.was_late(COUNTS)
    assert silence(line, COUNTS, 3) == [] and silence(line, COUNTS, 1) == [1]
    line = Line()
    silence(line, COUNTS, 3)
    line.request(COUNTS).answer()
    assert silence(line, COUNTS, 19) == [] and silence(line, COUNTS, 1) == [1]


def test_noise_is_no_silence():
    line = Line()
    for _ in range(30):
        line.request(COUNTS)
        assert not line.fail(silent=False)
        line.wait(10)
    assert line.schedule.unsupported == []


def test_while_the_whole_bms_is_silent_no_block_is_to_blame():
    line = Line()
    line.run(2000)
    for _ in range(600):
        if line.next() is not None:
            assert not line.fail()
        line.wait(300)
    assert line.schedule.unsupported == []


@pytest.mark.parametrize(
    ("missing", "responses", "is_given_up"),
    [(2, 3, True), (3, 3, False), (3, 5, False), (3, 6, True), (9, 5, False), (9, 6, True)],
)
def test_on_a_line_that_loses_much_a_block_is_not_given_up_so_soon(missing, responses, is_given_up):
    """What is missing, but was answered before, weighs 4, up to 12; each response takes 1 away; above 6 a line is lossy."""
    line = Line()
    schedule = line.schedule
    schedule.current = ALARMS
    line.answer()
    for _ in range(missing):
        line.fail()
    schedule.current = COUNTS
    line.fail()
    schedule.current = FAST
    for _ in range(responses - 2):
        line.answer()
    for _ in range(2):
        schedule.current = COUNTS
        line.fail()
        schedule.current = FAST
        line.answer()
    schedule.current = COUNTS
    assert line.fail() == is_given_up


def test_static_data_that_is_ignored_is_reported_when_the_last_is_given_up():
    line = Line()
    reported = []
    for at in range(0, 14000, 50):
        line.run(50, silent=(RATED, CODE))
        if not reported or line.schedule.unsupported != reported[-1][1]:
            reported.append((at, line.schedule.unsupported))
    assert [functions for _, functions in reported] == [[], [0x50, 0x57]] and 7500 < reported[1][0] < 9500
    assert line.schedule.static_done
    found = line.run(125000, 10, silent=(RATED,))
    assert len(times(found, RATED)) == 2 and 50000 < times(found, RATED)[0] < 61000
    assert len(times(found, CODE)) == 1 and line.schedule.unsupported == [0x50]


def test_a_new_connection_begins_the_counts_again():
    line = Line()
    silence(line, COUNTS, 3)
    line.schedule.begin(line.now)
    assert silence(line, COUNTS, 3) == [] and silence(line, COUNTS, 1) == [1]


def test_nothing_is_unsupported_while_the_bms_is_not_online():
    line = Line(online=False)
    assert silence(line, COUNTS, 30) == [] and line.schedule.unsupported == []


def test_when_a_timeout_is_a_surprise():
    line = Line()
    line.request(COUNTS)
    assert line.schedule.expects_response()
    line.fail()
    line.wait(10)
    line.request(COUNTS)
    assert not line.schedule.expects_response()  # it was ignored before, and never answered
    line.answer()
    line.request(COUNTS).fail()
    line.wait(10)
    line.request(COUNTS)
    assert line.schedule.expects_response()


@pytest.mark.parametrize("delay", [0, 3000])
def test_static_data_that_is_ignored_does_not_keep_what_is_measured_waiting(delay):
    """With a time-out of 300 ms each; `delay`: for so long the board was asked something else."""
    many = BLOCKS + tuple([block(0x80 + number, "static", 1, f"limit {number}") for number in range(10)])
    schedule = Schedule(many, lambda _: 1, lambda: True)
    schedule.begin(0)
    now = delay
    asked = []
    while now < 12000:
        index = schedule.choose(now)
        if index is not None:
            schedule.take(index, now)
            if index == STATUS:
                asked.append(now)
            is_silent = index > COUNTS
            now += 300 if is_silent else 30
            schedule.failed(True, now) if is_silent else schedule.answered(True, True, now)
        else:
            now += 5
    assert max(later - at for at, later in pairwise(asked)) < 1500


def test_a_board_found_by_a_request_out_of_turn_has_a_cycle_beside_others():
    line = Line()
    line.schedule.share(4)
    line.schedule.request_soon("pack")
    assert line.next() == FAST
    line.answer()
    line.schedule.begin_cycle_again()
    line.wait(5000)  # all static data is due within the first cycle
    requested = {index for _, index in line.run(60000)}
    assert requested == set(range(len(BLOCKS)))
