# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The chip's pace on a PC: what is counted, what takes time, and the firmware at two paces."""

import importlib.util
import sys
import time
from types import SimpleNamespace

import pytest

from campaigns import chip
from host import pace

DRIVE = """
import time
import standin

def loop():
    total = 0
    for i in range(100):
        total += i
    return total

def look(value):
    return value is None

def call():
    standin.work()

def rest(seconds):
    time.sleep(seconds)
"""


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """(the module of a drive, a counter of it); standin.py is beside the drive."""
    (tmp_path / "drive" / "app").mkdir(parents=True)
    (tmp_path / "standin.py").write_text("def work():\n    return sum(i * i for i in range(1000))\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "standin", raising=False)
    path = tmp_path / "drive" / "app" / "part.py"
    path.write_text(DRIVE)
    spec = importlib.util.spec_from_file_location("part", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, pace.Counter(tmp_path / "drive", [])


def counted(counter, function, *arguments):
    """Bytecodes of a call."""
    before, tracing = counter.count(), sys.gettrace()
    counter.start()
    try:
        function(*arguments)
    finally:
        sys.settrace(tracing)
    return counter.count() - before


def test_a_loop_over_a_range_is_counted_as_micropython_executes_it(drive):
    module, counter = drive
    # an iteration: 4 for total += i, 8 for the loop, which counts on the stack
    assert counted(counter, module.loop) == pytest.approx(100 * 12, abs=15)


def test_comparison_with_none_is_three_bytecodes_and_a_return(drive):
    module, counter = drive
    assert counted(counter, module.look, 1) == 4


def test_what_the_stand_ins_execute_is_not_counted(drive):
    module, counter = drive
    assert 0 < counted(counter, module.call) < 10
    assert [code.co_name for code, count in counter.functions() if count] == ["call"]


def test_bytecodes_take_their_time_at_the_next_look_at_the_clock(drive):
    module, counter = drive
    clock = pace.PacedClock(counter, pace.of("2"))
    count = counted(counter, module.loop)
    assert clock.us == 2 * count
    clock.sleep(0.001)
    assert clock.us == 2 * count + 1000
    clock.transfer(0.002)
    assert clock.us == 2 * count + 3000


@pytest.mark.parametrize(("seconds", "us"), [(0.0005, 1000), (0.0004, 1), (0.0026, 3000)])
def test_the_drive_sleeps_whole_milliseconds(drive, monkeypatch, seconds, us):
    module, counter = drive
    clock = pace.PacedClock(counter, pace.of("s2"))
    monkeypatch.setattr("time.sleep", time.sleep)  # to be restored
    monkeypatch.setattr("gc.collect", importlib.import_module("gc").collect)
    pace.replace_functions(counter, clock.sleep, clock.collect)
    module.rest(seconds)
    assert clock.us == us  # a step of simulated time is a microsecond at least


@pytest.mark.parametrize("name", ["s4", "", "0", "-1", "nan"])
def test_an_unknown_chip_is_one_sentence(name):
    with pytest.raises(ValueError, match="is no chip known here; give one of pc, s3, s2, or microseconds a bytecode"):
        pace.of(name)


def test_the_limit_is_that_of_the_benchmark():
    assert chip.limit_of(9, 13 * 14) == pytest.approx(299 * 10 / 9600 + 9 * 0.005)


def test_a_module_costs_loading_each_time_it_is_executed_and_one_loaded_before_at_its_first_call(drive, monkeypatch):
    module, counter = drive
    monkeypatch.setattr(pace, "compiled_kb", lambda path: 0.5)
    loaded = []
    counter.on_load = loaded.append
    counted(counter, module.loop)
    counted(counter, module.look, 1)
    assert loaded == [0.5]
    counted(counter, module.__loader__.exec_module, module)
    assert loaded == [0.5, 0.5]


class PcTime:
    """The PC's time, which a test lets pass."""

    def __init__(self, monkeypatch):
        self.now, self.slept = 100.0, []
        # there only: threads of other tests sleep, too
        monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def paced(drive, monkeypatch):
    """A clock of 2 us a bytecode in the PC's time, and that time; `told`: what the clock has complained about."""
    module, counter = drive
    pc, told = PcTime(monkeypatch), []
    clock = pace.PacedPcClock(counter, pace.of("2"), lambda: told.append("slow"))
    return SimpleNamespace(module=module, counter=counter, clock=clock, pc=pc, told=told)


def test_the_pc_waits_until_the_chip_would_have_executed_it(paced):
    count = counted(paced.counter, paced.module.loop)
    paced.pc.now += 0.001  # what the PC took
    assert paced.clock.monotonic() == pytest.approx(100 + 2e-6 * count)
    paced.clock.transfer(0.25)
    assert paced.pc.now == pytest.approx(100.25 + 2e-6 * count)
    paced.clock.load(2)
    assert paced.pc.now == pytest.approx(100.25 + 2e-6 * count + (2 * 18.5 + 28) * 2 / 2.3 / 1000)


def test_a_pc_that_was_late_makes_up_for_a_little(paced):
    paced.pc.now += 0.005
    paced.clock.sleep(0.02)
    assert paced.pc.now == pytest.approx(100.02)
    paced.pc.now += 5
    paced.clock.sleep(0.1)  # which have passed
    assert paced.pc.now == pytest.approx(105.02)
    paced.clock.sleep(0.1)
    assert paced.pc.now == pytest.approx(105.1)


def test_a_pc_that_is_too_slow_says_so_but_waiting_for_others_is_no_slowness(paced):
    for _ in range(12):
        with paced.clock.waiting():
            paced.pc.now += 2
        paced.clock.sleep(0.1)
    assert not paced.told
    for _ in range(20):
        paced.pc.now += 1
        paced.clock.sleep(0.5)
    assert paced.told


def test_the_goals_say_which_are_missed():
    good = chip.Figures(70, ratio=1.01, turnarounds=[1.0], fast=6.5, longest_ms=50, idle=500, first_value_s=5)
    bad = chip.Figures(70, ratio=1.2, turnarounds=[1.0, 3.0], fast=5.9, longest_ms=70, idle=700)
    rows = [row[:2] for row in chip.ROWS]
    assert "missed" not in chip.targets(dict.fromkeys(rows, good))
    assert "| met |" not in chip.targets(dict.fromkeys(rows, bad))


@pytest.mark.slow
@pytest.mark.timeout(400)  # half a minute on a PC that has nothing else to do
def test_a_slower_chip_reads_slower_and_the_same_code_gives_the_same_figures():
    pc, slow, again = (chip.run(*of) for of in (("pc", 4, 16), ("s2", 4, 20), ("s2", 4, 20)))
    assert slow == again
    assert 1 < pc.ratio < 1.02 < slow.ratio and slow.passes < pc.passes / 2
    assert pc.longest_ms < slow.longest_ms
    assert pc.first_value_s < slow.first_value_s
    assert {"bms", "mqtt", "screen"} <= set(slow.jobs) and slow.kinds["screen: drawing"].calls
    assert 0 < pc.idle < 2000
    assert "mqtt: discovery" in slow.kinds and not any("busio" in name for name, _ in slow.functions)
