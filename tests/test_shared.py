# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several boards on one line: turns, pace, silent, babbling and doubled boards; every value under its own battery."""

import itertools
import sys
from dataclasses import replace

import pytest
from shared_line import Boards, function_of

from battery.pack import Pack
from battery.polarity import NORMAL
from battery.readings import READING, poll_periods
from battery.unload import unload
from daly.bus import Bus
from daly.buses import Buses
from daly.shared import SharedLine, SharedPoller
from simulator.a5 import frame as frame_of
from simulator.bms import BYTE_US
from simulator.modbus import framed

FOUR = "boards=4,temperatures=2,drift=0,capacity=1000,soc@1=20,soc@2=40,soc@3=60,soc@4=80,"
FOUR += "current@1=-10,current@2=5,current@3=20,current@4=-30,"
ABSENT, DOUBLED, OK, RECOVERED, BABBLING = 24, 25, 30, 31, 34
UNEXPECTED, ASLEEP = 3, 10


def watched(boards, seconds):
    """Run; nothing may ever be under the wrong battery."""
    wrong = set()
    seen = None

    def watch(boards):
        nonlocal seen
        changes = [pack.changes for pack in boards.packs]
        if changes != seen:
            seen = changes
            wrong.update(boards.differences())

    boards.run(seconds, watch)
    assert not wrong, sorted(wrong)[:4]
    return boards


def longest(times):
    return max(later - one for one, later in itertools.pairwise(times))


def mean(times):
    return (times[-1] - times[0]) / (len(times) - 1)


MIXED = "protocol@3=p81,protocol@4=p81"


@pytest.mark.parametrize("options", ["", "protocol=p81", MIXED, "think=20,think_jitter=30", "echo=1"])
def test_every_value_is_under_its_own_battery(options):
    boards = watched(Boards(FOUR + options), 40)
    assert [poller.online for poller in boards.pollers] == [True] * 4 and sum(p.timeouts for p in boards.pollers) <= 4
    for pack, percent in zip(boards.packs, (20, 40, 60, 80), strict=True):  # 30 A for 40 s are 0.03 % of 1000 Ah
        assert abs(pack.raw("soc") - 10 * percent) <= 2
    assert all(poller.complete for poller in boards.pollers)


@pytest.mark.parametrize(
    ("options", "seconds"), [("", 26), ("protocol=p81", 10), (MIXED, 60), ("think=20,think_jitter=30", 75)]
)
def test_static_data_is_read_beside_the_readings(options, seconds):
    """What the bank needs first: it weights by the rated capacity."""
    boards = Boards(FOUR + options).run(8)
    assert all(pack.raw("rated_capacity") is not None for pack in boards.packs)
    boards.run(seconds - 8)
    assert all(poller.static_done for poller in boards.pollers)
    assert boards.run(0).codes() == [OK] * 4 and all(pack.oldest_ms(boards.now) < 8000 for pack in boards.packs)


KEPT = ("pack_voltage", "current", "soc", "mode", "charge_mosfet", "remaining_capacity", "alarm_bits_{}", "cell_{}_voltage")
KEPT += ("cell_count", "max_cell_voltage", "temperature_{}", "rated_capacity", "serial_number")
SLOW = "think=60,think_jitter=60"


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (2, ""),
        (2, SLOW),
        (3, "protocol@3=p81,soc@3=40"),
        (4, "cells=48"),
        (4, "protocol=p81"),
        (4, "cells=48," + MIXED),
        (4, "cells=48," + SLOW),
        (8, ""),
        (8, "protocol=p81"),
        (8, "protocol@8=p81"),
        (8, SLOW),
    ],
)
def test_what_is_known_of_a_healthy_board_stays_known(count, options):
    boards = Boards(f"boards={count},drift=0,{options}", tuple(range(1, count + 1)))
    known, lost = set(), set()

    def watch(boards):
        if int(boards.us) % 50000 < 1000:
            for number, pack in enumerate(boards.packs, 1):
                now = {(number, key) for key in KEPT if pack.raw(key) is not None}
                known.update(now)
                lost.update({(round(boards.us / 1e6), *one) for one in known - now if one[0] == number})

    boards.run(60, watch)
    assert not lost, sorted(lost)[:6]
    assert len(known) >= count * 11 and all(poller.complete for poller in boards.pollers)


@pytest.mark.parametrize(("options", "longest_ms"), [("", 600), (MIXED, 1400), ("protocol=p81", 1450)])
def test_the_fast_lane_of_each(options, longest_ms):
    boards = Boards(FOUR + options).run(60)
    for poller in boards.pollers:
        function = 0x90 if poller.protocol == "A5" else 0x30
        times = boards.times(poller.board_number, function, 20000)
        assert mean(times) <= 1000 and longest(times) <= longest_ms, poller.board_number


def limit_ms(boards, since_ms, think_ms):
    """How long requests, responses and response delays take on the line at least."""
    count = [request for ms, request in boards.requests if ms >= since_ms]
    sent = sum(len(request) for request in count)
    return (sent + boards.received) * BYTE_US / 1000 + sum(think_ms[request[0] == 0xA5] for request in count)


@pytest.mark.parametrize("options", ["", "protocol=p81", MIXED])
def test_the_line_is_used_to_its_limit(options):
    boards = Boards(FOUR + options)
    boards.step_us = 300
    boards.run(25)
    since_ms, boards.received = boards.us / 1000, 0
    boards.run(20)
    ratio = (boards.us / 1000 - since_ms) / limit_ms(boards, since_ms, (35, 5))
    assert 1 <= ratio <= 1.05


def test_a_board_that_was_never_there_costs_the_others_a_time_out_in_ten_seconds():
    boards = watched(Boards(FOUR + "silent@3=1"), 70)
    assert boards.codes() == [OK, OK, ABSENT, OK]
    times = boards.times(3, since_ms=8000)
    assert min(later - one for one, later in itertools.pairwise(times)) >= 10000
    assert mean(boards.times(3, since_ms=8000)) < 10500
    assert "board number 3" in boards.pollers[2].diagnosis.text


@pytest.mark.parametrize("options", ["", "protocol=p81", MIXED])
def test_a_board_that_dies_and_comes_back(options):
    boards = watched(Boards(FOUR + options), 20)
    boards.set("silent@3", "1")
    begun = boards.us / 1000
    watched(boards, 60)
    assert not boards.pollers[2].online and boards.packs[2].raw("soc") is None
    asked = boards.times(3, since_ms=begun)
    assert len([ms for ms in asked if ms < begun + 5000]) <= 8
    assert min(later - one for one, later in itertools.pairwise([ms for ms in asked if ms > begun + 6000])) >= 10000
    assert [poller.online for poller in boards.pollers] == [True, True, False, True]
    boards.set("silent@3", "0")
    watched(boards, 12)
    assert boards.pollers[2].online and boards.pollers[2].diagnosis.code == RECOVERED
    assert boards.packs[2].raw("soc") in range(595, 625)


def test_where_all_are_silent_they_are_looked_for_in_turn_at_full_speed():
    boards = Boards(FOUR + "silent=1").run(30)
    for number in (1, 2, 3, 4):
        assert longest(boards.times(number)) < 3000
    assert set(boards.codes()) == {0}
    boards.set("silent", "0")
    boards.run(6)
    assert [poller.online for poller in boards.pollers] == [True] * 4


def test_where_all_are_silent_the_setting_of_several_numbers_is_named():
    text = Boards(FOUR + "silent=1").run(30).pollers[0].diagnosis.text
    assert "BMS_BOARD_NUMBERS" in text


@pytest.mark.parametrize("options", ["", "protocol=p81"])
@pytest.mark.parametrize("begins", [0, 15])
def test_a_board_that_answers_with_another_number_is_heard(options, begins):
    boards = Boards(FOUR + options).run(begins)
    third = boards.bms.boards[2]
    make = third._frames

    def with_wrong_number(request, at):
        frames = make(request, at)
        return [
            frame_of(2, frame[2], frame[4:12]) if frame[0] == 0xA5 else framed(bytes([0x52]) + frame[1:-2]) for frame in frames
        ]

    third._frames = with_wrong_number
    boards.run(60)
    codes = boards.codes()
    assert codes[2] == (UNEXPECTED if not begins else ASLEEP + UNEXPECTED) and [codes[0], codes[1], codes[3]] == [OK] * 3


def test_a_board_that_babbles_is_told_from_its_neighbours():
    boards = watched(Boards(FOUR + "babble@3=2"), 40)
    assert boards.codes() == [OK, OK, BABBLING, OK]
    assert [poller.unexpected for poller in boards.pollers][2] > 20
    assert [poller.unexpected for poller in boards.pollers if poller.board_number != 3] == [0, 0, 0]
    boards.set("babble@3", "0")
    watched(boards, 130)
    assert boards.codes() == [OK] * 4


@pytest.mark.parametrize("options", ["board@4=3", "board@4=3,think@4=60", "board@4=3,protocol=p81", "board@4=3,think@4=7"])
def test_two_boards_with_one_number_are_diagnosed_and_neither_is_taken(options):
    boards = Boards(FOUR + options).run(60)
    assert boards.codes()[:3] == [OK, OK, DOUBLED] and boards.codes()[3] == ABSENT
    assert "seem to have the number 3" in boards.pollers[2].diagnosis.text
    for _ in range(60):
        boards.run(0.5)
        assert boards.packs[2].raw("soc") is None and boards.packs[2].raw("cell_{}_voltage", 1) is None
        assert not [line for line in boards.differences() if "board 3" not in line]
    boards.set("board@4", "4")
    boards.run(80)
    watched(boards, 10)
    assert [poller.online for poller in boards.pollers] == [True] * 4


@pytest.mark.parametrize("options", ["", "think@4=60", "protocol=p81"])
def test_a_second_board_with_the_number_of_one_that_is_read(options):
    """What was known may be shown for some seconds; what the second one measures never is."""
    boards = Boards(FOUR + options).run(20)
    boards.set("board@4", "3")
    shown = set()

    def watch(boards):
        shown.update((boards.packs[2].raw("soc"), boards.packs[2].raw("pack_voltage")))

    boards.run(14, watch)  # a board with a bad wire is waited for as long
    assert boards.pollers[2].diagnosis.is_doubled or not boards.pollers[2].online
    boards.run(40, watch)
    assert boards.codes()[:3] == [OK, OK, DOUBLED] and shown - {None} <= {600, 601, 528, 529, 530}


@pytest.mark.parametrize("later", [False, True])
def test_a_board_that_sleeps_and_returns_all_requests_leaves_its_neighbours_alone(later):
    """They think for longer than an echo takes."""
    boards = Boards(FOUR + "think=20,think_jitter=30" + ("" if later else ",asleep@3=1")).run(20)
    boards.set("asleep@3", "1")
    watched(boards, 12)
    counts = [poller.responses for poller in boards.pollers]
    watched(boards, 40)
    assert [poller.online for poller in boards.pollers] == [True, True, False, True]
    assert boards.codes() == [OK, OK, 11 if later else 1, OK]  # it sleeps, or has always slept
    assert all(poller.responses - count > 100 for poller, count in zip(boards.pollers, counts, strict=True) if poller.online)


@pytest.mark.parametrize("options", ["", "protocol@1=p81,"])
@pytest.mark.parametrize("later", [False, True])
def test_where_its_echoes_destroy_the_responses_of_the_others_no_number_is_blamed(later, options):
    boards = Boards(FOUR + options + ("" if later else "asleep@3=1")).run(20)
    boards.set("asleep@3", "1")
    watched(boards, 40)
    assert boards.codes()[2] == (11 if later else 1) and DOUBLED not in boards.codes()


def test_where_all_boards_have_the_number_of_the_factory_it_is_said():
    boards = Boards(FOUR + "board@2=1,board@3=1,board@4=1").run(30)
    assert boards.codes()[0] == DOUBLED and not any(poller.online for poller in boards.pollers)


@pytest.mark.parametrize("percent", [5, 20])
def test_a_noisy_line_is_no_doubled_number(percent):
    boards = watched(Boards(FOUR + f"corrupt={percent}"), 300)
    assert DOUBLED not in boards.codes() and BABBLING not in boards.codes()
    assert [poller.online for poller in boards.pollers] == [True] * 4


@pytest.mark.parametrize("options", ["corrupt@3=45", "corrupt@3=45,protocol=p81", "duplicate@3=60", "duplicate@3=60," + MIXED])
def test_one_board_with_a_bad_wire_is_no_doubled_number(options):
    boards = Boards(FOUR + options)
    codes, online = set(), []
    for _ in range(100):
        watched(boards, 1)
        codes.add(boards.pollers[2].diagnosis.code)
        online.append(boards.pollers[2].online)
    assert DOUBLED not in codes and sum(online[10:]) >= 89


def test_a_board_whose_every_response_is_damaged_beside_clean_ones_is_one_of_two():
    boards = Boards(FOUR).run(15)
    boards.set("corrupt@3", "100")
    boards.run(60)
    assert boards.codes() == [OK, OK, DOUBLED, OK]


def test_a_line_that_doubles_all_frames_is_no_doubled_number():
    boards = Boards(FOUR + "duplicate=100").run(60)
    assert DOUBLED not in boards.codes() and any(poller.online for poller in boards.pollers)


@pytest.mark.parametrize("options", ["late=20", "late=20,protocol=p81", "late=20," + MIXED])
def test_late_frames_count_for_their_board_and_are_not_taken(options):
    boards = watched(Boards(FOUR + options), 90)
    assert [poller.online for poller in boards.pollers] == [True] * 4
    assert sum(poller.late for poller in boards.pollers) > 3  # most meet another response, and are destroyed
    assert sum(poller.unexpected for poller in boards.pollers) <= 0.2 * sum(poller.late for poller in boards.pollers)


def unknown(boards, seconds):
    """Keys of readings that become unknown meanwhile."""
    found = set()
    keys = ("soc", "current", "heartbeat", "mode", "remaining_capacity", "max_cell_voltage", "max_voltage_cell")

    def watch(boards):
        for poller, pack in zip(boards.pollers, boards.packs, strict=True):
            found.update((poller.board_number, key) for key in keys if pack.raw(key) is None)
            found.update((poller.board_number, "cell") for cell in range(16) if pack.raw("cell_{}_voltage", cell) is None)

    boards.run(seconds, watch)
    return found


def with_changing_values(options=""):
    """Cells, their highest one and the heartbeat are the same for a second only."""
    boards = Boards(FOUR + options)
    for board in boards.bms.boards:
        readings = board._pack.readings

        def changing(at, readings=readings):
            now = readings(at)
            second = int(at // 1000000)
            cells = [mv + (second * (place + 3) * 7 + place * place) % 11 for place, mv in enumerate(now.cells)]
            return replace(now, cells=cells, life=second % 256)

        board._pack.readings = changing
    return boards.run(20)


def test_one_stray_byte_makes_nothing_unknown():
    boards = with_changing_values()
    assert not unknown(boards, 20)
    for poller in boards.pollers:
        while boards.line._active is not poller or poller.idle:
            boards.step()
        boards.line.receive(b"\x55", 1, boards.now)
    assert not unknown(boards, 90)


def ask_late(boards, late_ms):
    """Board 3 takes so long for its next response."""
    boards.set("think@3", late_ms)
    asked = len(boards.times(3))
    while len(boards.times(3)) == asked:
        boards.step()
    boards.step()


def doubted(late_ms):
    """How many values of each board had to be confirmed in the seconds after a response of board 3 that took so long."""
    boards = with_changing_values()
    before = [pack.implausible for pack in boards.packs]
    ask_late(boards, late_ms)
    boards.set("think@3", 5).run(5)
    return [pack.implausible - count for pack, count in zip(boards.packs, before, strict=True)]


def test_one_late_response_makes_no_value_doubtful():
    """It is on the line at the time-out, or meets the response of a neighbour: neither is noise, after which all is doubted."""
    in_time = doubted(5)
    for late_ms in (60, 64, 130, 190):
        more = [count - usual for count, usual in zip(doubted(late_ms), in_time, strict=True)]
        assert max(more) <= 3, late_ms


@pytest.mark.parametrize("late_ms", range(48, 72, 2))
def test_a_frame_that_is_on_the_line_at_the_time_out_is_read_to_its_end(late_ms):
    boards = Boards(FOUR).run(20)
    boards.step_us = 300
    discarded = sum(poller._protocol.reader.discarded for poller in boards.pollers)
    ask_late(boards, late_ms)
    boards.set("think", 200)  # nobody disturbs it
    boards.run(0.17)
    assert sum(poller._protocol.reader.discarded for poller in boards.pollers) == discarded
    assert not boards.pollers[2].timeouts and not boards.pollers[2].late


def test_a_slow_board_is_waited_for_longer_and_only_that():
    boards = watched(Boards(FOUR + "think@2=250,drop_frame=0"), 40)
    timeouts = [poller.timing.timeout_ms for poller in boards.pollers]
    assert timeouts[1] > 250 and max(timeouts[:1] + timeouts[2:]) < 150


def test_on_a_shared_line_nobody_is_asked_where_all_would_answer():
    """At 0x80, and with D2, which has one address."""
    boards = Boards(FOUR + "silent=1").run(40)
    assert {request[1] for _, request in boards.requests if request[0] == 0xA5} == {0x40, 0x41, 0x42, 0x43}
    assert not [request for _, request in boards.requests if request[0] == 0xD2]


def test_a_write_goes_to_its_board_after_a_rest_and_nobody_sends_meanwhile():
    boards = Boards(FOUR).run(12)
    begun = boards.us / 1000
    boards.pollers[1].write("charge_mosfet", 0)
    boards.run(3)
    after = [(ms, request) for ms, request in boards.requests if ms >= begun - 50]
    at = next(i for i, (_, request) in enumerate(after) if request[2] == 0xDA)
    assert after[at][1][1] == 0x41 and after[at][0] - after[at - 1][0] >= 200 and after[at + 1][0] - after[at][0] >= 30
    assert after[at][0] - begun < 450
    assert [pack.raw("charge_mosfet") for pack in boards.packs] == [1, 0, 1, 1]


@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (1,)])
@pytest.mark.parametrize("options", ["think=5", "think=60", "think=125", "think=140", "think=250", "think=40,protocol=p81"])
def test_after_a_write_the_line_rests_until_it_is_acknowledged(options, numbers):
    boards = Boards(FOUR + options, numbers).run(12)
    discarded = [poller._protocol.reader.discarded for poller in boards.pollers]
    boards.pollers[0].write("charge_mosfet", 0)
    while not boards.bms.writes:
        boards.step()
    begun = boards.requests[-1][0]
    boards.run(1.5)
    length = len(next(request for ms, request in boards.requests if ms == begun))
    acknowledged_ms = 2 * length * BYTE_US / 1000 + int(options.split(",")[0][6:])  # from the write's first byte
    following = next(ms for ms, _ in boards.requests if ms > begun)
    assert max(149, acknowledged_ms) <= following - begun <= max(305, acknowledged_ms + 30)
    assert discarded == [poller._protocol.reader.discarded for poller in boards.pollers]
    boards.run(4)
    assert boards.packs[0].raw("charge_mosfet") != 1


@pytest.mark.parametrize("number", [1, 3])
def test_a_write_is_sent_though_nothing_is_due(number):
    boards = Boards(FOUR, periods=dict.fromkeys(poll_periods(), 60000)).run(30)
    while boards.us / 1000 - boards.requests[-1][0] < 1000:
        boards.step()
    boards.pollers[number - 1].write("discharge_mosfet", 0)
    boards.run(0.5)
    assert bytes([0x3F + number, 0xD9]) in [request[1:3] for _, request in boards.requests[-3:]]


def test_a_change_that_must_be_confirmed_is_requested_again_next():
    boards = Boards(FOUR + "corrupt=0").run(12)
    for poller in boards.pollers:
        poller._noise_at = boards.now  # as after damage
    begun = boards.us
    boards.set("charge_mosfet@2", "0")
    while boards.packs[1].raw("charge_mosfet"):
        boards.step()
    assert boards.us - begun < 2.5e6


SLOW_MIXED = MIXED + ",think=40,think_jitter=30"
MODE_OF = {0: 0, 1: 1, -1: 2}  # by the direction of the current


@pytest.mark.parametrize(("options", "longest_ms"), [("", 300), (SLOW_MIXED, 500)])
@pytest.mark.parametrize(("before", "after"), [(20, -10), (0, -10), (20, 0)])
def test_current_and_mode_fit_each_other_soon_after_a_change(options, longest_ms, before, after):
    """They are of two requests, and a cycle through all of them takes seconds here."""
    for delay in range(3):
        boards = Boards(f"{FOUR}{options},current@1={before}")
        boards.packs[0].restore_polarity(NORMAL)
        boards.run(17 + 0.9 * delay)
        boards.set("current@1", after)
        spans = [0]

        def watch(boards, spans=spans):
            current, mode = boards.packs[0].raw("current"), boards.packs[0].raw("mode")
            fits = MODE_OF[(current > 0) - (current < 0)] == mode
            spans.append(0 if fits else spans[-1] + 1)

        boards.run(7, watch)
        assert boards.packs[0].raw("current") == 10 * after and spans[-1] == 0 and max(spans) < longest_ms, delay


def test_a_current_that_turns_before_its_sign_is_settled_is_soon_known_again():
    boards = Boards(f"{FOUR}{SLOW_MIXED},current@1=20").run(12)
    boards.set("current@1", -10)
    unknown_ms = 0

    def watch(boards):
        nonlocal unknown_ms
        unknown_ms += boards.packs[0].raw("current") is None

    boards.run(20, watch)
    assert boards.packs[0].raw("current") == -100 and unknown_ms < 1000


def test_a_board_that_is_always_idle_is_asked_no_more_often_for_it():
    idle, other = [Boards(f"{FOUR}current@1=5,deadzone@1={amperes}") for amperes in (8, 0)]
    for boards in (idle, other):
        boards.packs[0].restore_polarity(NORMAL)
        boards.run(50)
    assert (idle.packs[0].raw("mode"), idle.packs[0].raw("current")) == (0, 50)
    assert abs(len(idle.times(1, 0x93, 20000)) - len(other.times(1, 0x93, 20000))) <= 2


def test_a_load_that_comes_and_goes_starves_no_other_block():
    boards = Boards(FOUR)
    boards.packs[0].restore_polarity(NORMAL)
    boards.run(20)
    for turn in range(60):
        boards.set("current@1", (20, -20)[turn % 2])
        boards.run(0.3)
        assert boards.packs[0].oldest_ms(boards.now) < 8500
    assert all(poller.complete for poller in boards.pollers)


def test_what_must_be_confirmed_is_so_although_two_responses_were_damaged_before():
    boards = Boards(FOUR).run(20)
    boards.set("soc@1", 35)
    boards.set("corrupt@1", 100)
    timeouts = boards.pollers[0].timeouts
    while boards.pollers[0].timeouts < timeouts + 2:
        boards.step()
    boards.set("corrupt@1", 0)
    boards.run(0.15)
    assert boards.packs[0].raw("soc") == 350


def test_what_is_missing_of_a_response_is_requested_again_next():
    """Else a cell that has changed stands beside the others of before for longer than the publisher waits (4 s)."""
    boards = Boards(FOUR + MIXED + ",cells=16,drop_frame=5").run(20)
    cells = READING["cell_{}_voltage"]
    spans = [[0], [0]]

    def watch(boards):
        for pack, ages in zip(boards.packs, spans, strict=False):
            ages.append(0 if pack.is_of_one_moment(cells) else ages[-1] + 1)

    boards.run(120, watch)
    assert sum(max(ages) > 0 for ages in spans) == 2 and max(map(max, spans)) < 4000, [max(ages) for ages in spans]


def test_one_board_of_several_settings_alone_is_as_fast_as_ever():
    boards = Boards("cells=16,drift=0", (1, 2)).run(40)
    assert mean(boards.times(1, 0x90, 20000)) < 150


def test_the_ticks_may_wrap():
    boards = watched(Boards(FOUR, start=(1 << 29) - 20000), 40)
    assert [poller.timeouts for poller in boards.pollers] == [0] * 4
    assert longest(boards.times(1, 0x90, 14000)) < 1000  # all have been compared with P81 by then


def test_a_module_is_unloaded_when_nobody_speaks_it_and_not_before():
    for name in ("daly.p81", "daly.d2", "daly.modbus"):
        unload(name)
    boards = Boards(FOUR + MIXED).run(20)
    assert {"daly.a5", "daly.p81", "daly.modbus"} <= set(sys.modules)
    assert boards.pollers[2]._protocol.__class__ is sys.modules["daly.p81"].P81
    boards = Boards(FOUR).run(20)
    assert "daly.a5" in sys.modules and "daly.p81" not in sys.modules and "daly.modbus" not in sys.modules


def test_maps_exist_once():
    one, two = Boards(FOUR + "protocol=p81").run(10).pollers[:2]
    assert one._protocol.blocks is two._protocol.blocks and one._protocol.rows is two._protocol.rows
    assert one.trace is two.trace


class Silence:
    def __init__(self):
        self.written = []

    def readinto(self, buffer):
        return None

    def write(self, data):
        self.written.append(bytes(data))


def test_several_uarts_are_served_in_each_pass():
    from battery.pack import Pack
    from daly.poller import Poller

    uarts = [Silence(), Silence()]
    line = Buses([
        Bus(uarts[0], [Poller(Pack())]),
        Bus(uarts[1], [SharedPoller(Pack(), 0, 1), SharedPoller(Pack(), 0, 2)]),
    ])  # fmt: skip
    for now in range(0, 4000, 5):
        line.tick(now)
    assert {request[1] for request in uarts[0].written if request[0] == 0xA5} == {0x40, 0x80}
    assert {request[1] for request in uarts[1].written if request[0] == 0xA5} == {0x40, 0x41}
    assert line.free_ms(4000) <= 1000 and len(line.pollers) == 3


def test_a_bug_in_judging_leaves_what_was_sent_open(monkeypatch):
    boards = Boards(FOUR).run(12)
    with monkeypatch.context() as patched:
        patched.setattr(boards.packs[0], "finish", lambda now: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            boards.run(2)
    unexpected = sum(poller.unexpected for poller in boards.pollers)
    boards.run(2)
    assert sum(poller.unexpected for poller in boards.pollers) == unexpected
    assert function_of(boards.requests[-1][1]) and sum(poller.timeouts for poller in boards.pollers) <= 1


def test_a_restart_with_all_protocols_known_while_the_ticks_are_about_to_wrap():
    """The board's ticks begin 65 s before they wrap; no tick of before the first turn may count."""
    boards = Boards("boards=3,drift=0,protocol@2=p81", (1, 2, 3), start=(1 << 29) - 65000)
    remembered = [SharedPoller(Pack(), 0, number, remembered=code) for number, code in ((1, 1), (2, 2), (3, 1))]
    boards.pollers[:] = remembered
    boards.line = boards.poller = SharedLine(remembered)
    boards.run(3)
    assert [poller.online for poller in remembered] == [True, True, True]
