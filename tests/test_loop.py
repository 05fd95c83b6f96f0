# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The loop: a job that fails rests and the others go on; the watchdog is fed by progress only; passes are measured."""

import itertools
from types import SimpleNamespace

import pytest

from app import loop as loop_module
from app.loop import CRITICAL_FAILURES, LONGEST_BACKOFF_MS, Loop, describe
from app.watchdog import JOIN_LIMIT_S, WATCHDOG_S
from mqtt import transport


class Clock:
    """Ticks that pass only when told; they wrap on the way."""

    def __init__(self, now=2**29 - 3000):
        self.now = now

    def __call__(self):
        return self.now % 2**29

    def sleep(self, seconds):
        self.now += max(1, round(1000 * seconds))


class Job:
    """Notes when it is called; `fails` while it is to raise, `takes` milliseconds of the clock."""

    def __init__(self, clock):
        self.called = []
        self.fails = False
        self.takes = 0
        self.pause_ms = None
        self._clock = clock

    def __call__(self, now):
        assert now == self._clock()
        self.called.append(self._clock.now)
        self._clock.now += self.takes
        if self.fails:
            raise self.fails if isinstance(self.fails, Exception) else ValueError("broken")
        return self.pause_ms


@pytest.fixture(autouse=True)
def nothing_swept(monkeypatch):
    """Hours of the loop's time are thousands of sweeps, and sweeping a whole test run's heap takes a quarter of a second."""
    monkeypatch.setattr(loop_module, "gc", SimpleNamespace(collect=lambda: None))


@pytest.fixture
def clock():
    return Clock()


class Bench:
    """A loop of a critical job "bms" and another one; `fed` are the times at which the watchdog was fed."""

    def __init__(self, clock, critical="bms"):
        self.clock = clock
        self.bms, self.other = Job(clock), Job(clock)
        self.fed = []
        self.free = None
        self.loop = Loop(
            clock, lambda: self.fed.append(clock.now), critical, lambda now: 1000 if self.free is None else self.free
        )
        self.loop.add("bms", self.bms)
        self.loop.add("other", self.other)

    def run(self, seconds, step_ms=10):
        end = self.clock.now + 1000 * seconds
        while self.clock.now < end:
            self.loop.step()
            self.clock.now += step_ms


def pauses(times):
    return [after - before for before, after in itertools.pairwise(times)]


def test_jobs_are_called_in_every_pass_and_time_wraps(clock):
    bench = Bench(clock)
    bench.run(10)
    assert len(bench.bms.called) == len(bench.other.called) == 1000
    assert set(pauses(bench.fed)) == {500}


def test_a_job_that_fails_rests_longer_and_longer_and_the_others_go_on(clock, capsys):
    bench = Bench(clock)
    bench.other.fails = True
    bench.run(3600)
    assert len(bench.bms.called) == 360000
    rests = pauses(bench.other.called)
    assert rests[:6] == [1000, 2000, 4000, 8000, 16000, 32000] and set(rests[6:]) == {LONGEST_BACKOFF_MS}
    assert max(pauses(bench.fed)) <= 520
    assert bench.loop.failures == len(bench.other.called) and bench.loop.last_failure == "other: ValueError broken"
    assert "Traceback" in capsys.readouterr().out
    bench.other.fails = False
    bench.run(120)
    assert pauses(bench.other.called)[-1] == 10  # once it has gone well, it is called as ever
    bench.other.fails = True
    bench.run(1)
    bench.other.fails = False
    bench.run(10)
    assert max(pauses(bench.other.called)[-800:]) <= 1010  # and its rests begin anew


def test_the_filler_uses_what_is_left_of_the_free_time_and_no_more(clock):
    bench = Bench(clock)
    page = Job(clock)
    bench.loop.add("page", page, fills=True)
    bench.other.takes, page.takes = 5, 4
    bench.free = 30
    begun = clock.now
    bench.loop.step()
    assert page.called == [begun + ms for ms in (5, 9, 13)]  # at 30 the response is whole
    assert len(bench.other.called) == 1
    bench.free = 1000
    bench.loop.step()
    assert len(page.called) == 3 + 9  # a pass has an end, however long the line is free
    page.pause_ms = 20
    bench.loop.step()
    assert len(page.called) == 3 + 9 + 1


def test_the_filler_makes_no_pass_long(clock):
    bench = Bench(clock)
    filler = Job(clock)
    bench.loop.add("page", filler, fills=True)
    filler.takes, bench.bms.takes, bench.free = 10, 25, 500
    took = []
    for _ in range(50):
        begun = clock.now
        bench.loop.step()
        took.append(clock.now - begun)
        clock.now += 1
    assert len(filler.called) > 60 and max(took[1:]) <= 60


def test_a_filler_that_fails_rests(clock, capsys):
    bench = Bench(clock)
    page = Job(clock)
    page.fails = True
    bench.loop.add("page", page, fills=True)
    bench.loop.step()
    assert len(page.called) == 1 and bench.loop.failures == 1 and "Traceback" in capsys.readouterr().out


def test_the_watchdog_is_not_fed_while_the_vital_job_fails(clock):
    bench = Bench(clock)
    bench.run(5)
    fed = len(bench.fed)
    bench.bms.fails = True
    bench.run(10)
    assert len(bench.fed) == fed
    bench.bms.fails = False
    bench.run(20)
    assert len(bench.fed) > fed


def test_a_vital_job_that_keeps_failing_ends_the_loop_before_the_watchdog_bites(clock):
    bench = Bench(clock)
    bench.run(1)
    bench.bms.fails = True
    begun = clock.now
    with pytest.raises(RuntimeError, match="bms: ValueError broken"):
        bench.run(3600)
    assert len([at for at in bench.bms.called if at >= begun]) == CRITICAL_FAILURES + 1
    assert clock.now - begun < 1000 * WATCHDOG_S


def test_without_a_vital_job_the_loop_feeds_all_the_same(clock):
    """With wrong pins there is no BMS, and still somebody who wants to read that on the screen."""
    bench = Bench(clock, critical=None)
    bench.other.fails = True
    bench.run(10)
    assert len(bench.fed) == 20


def test_a_job_is_left_alone_for_as_long_as_it_said(clock):
    bench = Bench(clock)
    bench.other.pause_ms = 200
    bench.run(10)
    assert set(pauses(bench.other.called)) == {200}
    bench.other.pause_ms = None
    bench.run(10)
    assert pauses(bench.other.called)[-1] == 10


def test_nothing_else_is_done_while_a_response_is_about_to_be_whole(clock):
    bench = Bench(clock)
    bench.free = 1
    bench.run(1)
    assert len(bench.bms.called) == 100 and not bench.other.called
    assert not bench.loop.step()  # nor is there a pause
    bench.free = 2
    assert not bench.loop.step() and len(bench.other.called) == 1  # a pause of 1 ms would end too late
    bench.free = 3
    assert bench.loop.step()


def test_a_job_that_never_fits_is_called_after_a_tenth_of_a_second(clock):
    bench = Bench(clock)
    bench.other.takes = 50
    bench.free = 20
    bench.run(10)
    assert set(pauses(bench.other.called)[1:]) == {100}


def test_a_job_that_takes_long_is_not_called_in_the_pass_of_a_request(clock):
    bench = Bench(clock)
    bench.other.takes = 50
    both = []
    for _ in range(500):
        is_request = len(bench.bms.called) % 3 == 0
        bench.bms.takes = 25 if is_request else 1
        bench.free = 80 if is_request else 20
        begun = clock.now
        bench.loop.step()
        both.append(clock.now - begun >= 75)
        clock.now += 1
    assert len(bench.other.called) > 60 and not any(both[1:])  # of the first call nobody knows how long it will take
    bench.bms.takes = 25  # in each pass: it is called nevertheless
    called = len(bench.other.called)
    bench.run(10)
    assert len(bench.other.called) - called > 15


@pytest.mark.parametrize("takes", [40, 70, 95])
def test_a_job_is_not_left_waiting_for_a_pass_into_which_it_will_never_fit(clock, takes):
    bench = Bench(clock)
    bench.bms.takes = 13
    bench.free = 200
    bench.other.takes = takes
    bench.run(10)
    assert max(pauses(bench.other.called)) <= 13 + takes + 10


def test_a_job_that_says_so_is_taken_for_a_long_one(clock):
    bench = Bench(clock)
    bench.other.takes = 1
    bench.free = 50
    bench.run(1)
    assert set(pauses(bench.other.called)[1:]) == {11}
    bench.other.pause_ms = -1  # its next call loads a module
    bench.loop.step()
    at = bench.other.called[-1]
    bench.other.pause_ms = None
    bench.run(1)
    assert 100 <= bench.other.called[bench.other.called.index(at) + 1] - at <= 120
    bench.other.pause_ms = -1
    bench.loop.step()
    at = bench.other.called[-1]
    bench.other.pause_ms = None
    bench.free = 60  # enough for it
    bench.run(1)
    assert bench.other.called[bench.other.called.index(at) + 1] - at <= 12


def test_a_job_that_takes_longer_than_the_line_is_idle_waits_for_a_longer_time(clock):
    bench = Bench(clock)
    bench.other.takes = 8
    bench.free = 20
    bench.run(1)
    assert len(bench.other.called) > 50
    bench.free = 5
    called = len(bench.other.called)
    bench.run(1)
    assert len(bench.other.called) - called <= 10
    bench.free = 10
    called = len(bench.other.called)
    bench.run(1)
    assert len(bench.other.called) - called > 50


def test_a_call_that_stops_everything_for_seconds_does_not_make_the_next_ones_wait(clock):
    """Joining the Wi-Fi: what comes behind it are short steps, which the line has time for."""
    bench = Bench(clock)
    bench.other.takes = 8
    bench.free = 20
    bench.run(1)
    bench.other.takes = 2000
    bench.loop.step()
    bench.other.takes = 8
    called = len(bench.other.called)
    bench.run(1)
    assert len(bench.other.called) - called > 50


def test_what_has_to_begin_is_called_several_times_in_a_pass_until_it_has_and_then_waits_for_the_line(clock):
    bench = Bench(clock)
    job, begun = Job(clock), []
    job.takes = 8
    bench.loop.add("first", job, is_begun=lambda: bool(begun))
    bench.free = 3  # too short for it
    clock.now += 200
    bench.loop.step()
    bench.loop.step()
    called = len(job.called)
    assert 4 <= called <= 10 and job.called[-1] - job.called[called // 2] < 30  # never for more than a short pass
    begun.append(True)
    bench.loop.step()
    called = len(job.called)
    bench.loop.step()
    bench.loop.step()
    assert len(job.called) == called


def test_a_job_that_never_begins_takes_nothing_from_the_one_that_fills(clock):
    """Without a broker the page is all there is."""
    loop = Loop(clock, free_ms=lambda now: 1000)
    page, mqtt = Job(clock), Job(clock)
    mqtt.pause_ms = 20
    loop.add("page", page, fills=True)
    loop.add("mqtt", mqtt, is_begun=lambda: False)
    loop.step()
    called = len(page.called)
    loop.step()
    assert len(page.called) - called > 4 and len(mqtt.called) == 1


@pytest.mark.parametrize("takes_ms", [40, 150])
def test_the_collection_of_garbage_waits_for_a_long_gap_for_at_most_a_second(clock, monkeypatch, takes_ms):
    collected = []

    def collect():
        collected.append(clock.now)
        clock.now += takes_ms

    monkeypatch.setattr(loop_module, "gc", SimpleNamespace(collect=collect))
    bench = Bench(clock)
    bench.free = takes_ms + 20
    bench.run(7)
    assert len(collected) == 2 and collected[1] - collected[0] < 5020
    bench.free = takes_ms - 20
    bench.run(60)
    assert all(6000 <= pause < 6020 for pause in pauses(collected)[2:]) and len(collected) > 9


def test_the_longest_pass_is_told_once(clock):
    bench = Bench(clock)
    bench.run(1)
    bench.other.takes = 700
    bench.run(1)
    bench.other.takes = 0
    bench.run(1)
    assert bench.loop.longest_ms == bench.loop.longest_ms == 700
    bench.loop.reset_longest()
    bench.run(1)
    assert bench.loop.longest_ms == 0


def test_a_pass_of_the_bms_alone_is_measured_as_well(clock):
    bench = Bench(clock)
    bench.free = 0
    bench.bms.takes = 700
    bench.run(1)
    assert bench.loop.longest_ms == 700


def test_the_heap_is_swept_at_known_points_only(clock, monkeypatch):
    swept = []
    monkeypatch.setattr(loop_module.gc, "collect", lambda: swept.append(clock.now))
    Bench(clock).run(60)
    assert len(swept) == 12 and set(pauses(swept)) == {loop_module.COLLECT_MS}


def test_a_rest_does_not_outlive_the_wrap_of_the_ticks(clock):
    clock.now = 2**29 - 500
    bench = Bench(clock)
    bench.other.fails = True
    bench.run(400)
    assert max(pauses(bench.other.called)) == LONGEST_BACKOFF_MS


def test_a_failure_is_described_in_80_characters():
    assert describe("mqtt", OSError(113, "no route")) == "mqtt: OSError [Errno 113] no route"
    assert len(describe("x", ValueError(500 * "y"))) == 80


def test_it_runs_until_something_escapes(clock, monkeypatch):
    monkeypatch.setattr(loop_module, "time", SimpleNamespace(sleep=clock.sleep))
    bench = Bench(clock)
    bench.bms.fails = True
    with pytest.raises(RuntimeError):
        bench.loop.run()


def test_the_watchdog_is_longer_than_the_longest_waiting_and_shorter_than_a_minute():
    name_lookup_s = 21  # lwIP: three servers of 7 s
    assert JOIN_LIMIT_S + transport.WAIT_LIMIT_MS / 1000 < WATCHDOG_S
    assert name_lookup_s + transport.CONNECT_TIMEOUT_S + transport.WAIT_LIMIT_MS / 1000 < WATCHDOG_S < 60
    assert sum(1 << n for n in range(CRITICAL_FAILURES)) + transport.WAIT_LIMIT_MS / 1000 < WATCHDOG_S
