# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The next request is sent before the last response is judged, and the truth rules hold all the same."""

import itertools

import pytest
from simulation import Wire
from test_poller_bounds import RESPONSES, Line, frame

from daly.bus import Bus


def whole(function, payload=None):
    return frame(function, payload or RESPONSES[function][0])


def settled(**options):
    """A line whose board has answered everything once, with no gap needed."""
    return Line(**options).run(8000)


def open_request(line, function):
    """Let time pass until this is requested; as the Bus does, the response before is judged then."""
    line.ask(function)
    line.poller.judge(line.now)
    line.now += 30


def test_the_next_request_goes_out_before_the_response_is_judged():
    line = settled()
    open_request(line, 0x90)
    responses = line.poller.responses
    line.receive(whole(0x90, "0066000075300226"))
    request = line.poller.poll(line.now)
    assert request is not None and request[2] != 0x90
    assert line.pack.raw("pack_voltage") == 100 and line.poller.responses == responses
    line.poller.judge(line.now)
    assert line.pack.raw("pack_voltage") == 102 and line.poller.responses == responses + 1


def test_a_response_that_comes_before_the_judging_is_not_lost_and_not_mixed_up():
    line = settled()
    open_request(line, 0x90)
    line.receive(whole(0x90, "0066000075300226"))
    following = line.poller.poll(line.now)[2]
    line.now += 30
    line.receive(whole(following))  # nobody has called judge
    line.poller.judge(line.now)
    assert line.pack.raw("pack_voltage") == 102 and line.poller.unexpected == 0


@pytest.mark.parametrize("behind", [b"\xa5", whole(0x93), b"\x00\x00"])
def test_bytes_behind_the_response_are_waited_for(behind):
    line = settled()
    open_request(line, 0x90)
    line.receive(whole(0x90) + behind)
    assert line.poller.poll(line.now) is None


def test_a_damaged_response_is_judged_first():
    line = settled()
    open_request(line, 0x90)
    line.receive(b"\x17" + whole(0x90))
    line.poller.poll(line.now)
    assert line.pack.read_at("pack_voltage") == line.now


def test_a_write_comes_before_the_next_request():
    line = settled()
    open_request(line, 0x90)
    line.poller.write("charge_mosfet", 0)
    line.receive(whole(0x90))
    for _ in range(400):
        request = line.poller.poll(line.now)
        if request is not None:
            break
        line.now += 1
    assert request[2] == 0xDA


def test_what_is_requested_soon_comes_before_what_was_chosen():
    line = settled()
    open_request(line, 0x90)
    line.poller.request_soon("cell_count")
    line.receive(whole(0x90))
    assert line.poll() is None  # the pause before a request that was not chosen beforehand
    line.now += 2
    assert line.poll() == 0x94


def test_a_board_that_needs_a_gap_gets_it():
    line = settled()
    while line.poller.timing.gap_ms < 30:
        line.poller.timing.ignored()
    gap_ms = line.poller.timing.gap_ms
    open_request(line, 0x90)
    begun = line.now
    line.receive(whole(0x90))
    while line.poll() is None:
        line.now += 1
    assert line.now - begun == gap_ms


def test_free_time_is_what_the_line_leaves():
    line = settled().ask(0x95)
    line.poller.judge(line.now)
    free = line.poller.free_ms(line.now)
    assert 0 <= free < 60
    line.now += free + 1
    assert line.poller.free_ms(line.now) < 0
    line.now += 100  # overdue: nobody waits any more
    assert line.poller.free_ms(line.now) > 100


def test_without_a_bms_all_time_is_free():
    line = Line()
    line.poller.poll(line.now)
    line.now += 400
    line.poller.poll(line.now)
    line.now += 200
    assert line.poller.free_ms(line.now) > 100


class Uart:
    def __init__(self, received):
        self.received = received
        self.written = []

    def readinto(self, buffer):
        if not self.received:
            return None
        data = self.received.pop(0)
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        self.written.append(bytes(data))


class Judged:
    """A poller that writes down what it is called for."""

    def __init__(self, calls):
        self.calls = calls

    def receive(self, data, count, now):
        self.calls.append("receive")

    def poll(self, now):
        self.calls.append("poll")
        return b"request"

    def judge(self, now):
        self.calls.append("judge")


def test_the_bus_writes_before_it_has_the_response_judged():
    calls = []
    uart = Uart([b"123"])
    uart.write = lambda data: calls.append("write")
    Bus(uart, [Judged(calls)]).tick(0)
    assert calls == ["receive", "poll", "write", "judge"]


@pytest.mark.parametrize("options", ["think=20", "think=40", "cells=4", "cells=8"])
def test_no_block_is_requested_twice_in_a_row(options):
    wire = Wire("drift=0," + options).run(8)
    begun = len(wire.requests)
    wire.run(20)
    asked = [function for _, function in wire.requests[begun:]]
    assert [one for one, two in itertools.pairwise(asked) if one == two] == []


def test_the_end_of_an_alarm_is_accepted_within_two_cycles():
    wire = Wire("drift=0,alarms=soc_low_1").run(10)
    taken = []
    for _ in range(8):
        wire.set("alarms", "soc_low_1")
        wire.run(3)
        assert wire.pack.raw("problem") == 1
        wire.set("alarms", "")
        begun = wire.us
        while wire.pack.raw("problem"):
            wire.step()
        taken.append((wire.us - begun) / 1000)
        wire.run(1)
    assert max(taken) < 600


def test_a_bug_in_judging_leaves_what_was_sent_open(monkeypatch):
    line = settled()
    open_request(line, 0x90)
    line.receive(whole(0x90))
    following = line.poller.poll(line.now)[2]
    with monkeypatch.context() as patched:
        patched.setattr(line.pack, "finish", lambda now: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            line.poller.judge(line.now)
    line.now += 30
    line.receive(whole(following))
    line.poller.judge(line.now)
    assert line.poller.unexpected == 0 and line.poller.idle
