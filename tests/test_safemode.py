# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""safemode.py as the board runs it: accidents are come back from, slower and slower; a person's wish is left alone."""

import runpy
import threading
import time
from pathlib import Path

import microcontroller
import pytest
import supervisor
from supervisor import SafeModeReason

from app.nvm_store import NvmStore

FILE = Path(__file__).parent.parent / "safemode.py"
WANTED = (SafeModeReason.NONE, SafeModeReason.USER, SafeModeReason.PROGRAMMATIC)


class Reset(BaseException):
    """The chip has started anew."""


@pytest.fixture
def chip(monkeypatch):
    """What safemode.py touches; `pauses` are the seconds it slept."""
    chip = type("Chip", (), {"nvm": bytearray(8192), "pauses": []})

    def reset():
        raise Reset

    monkeypatch.setattr(microcontroller, "nvm", chip.nvm)
    monkeypatch.setattr(microcontroller, "reset", reset)
    sleep, ours = time.sleep, threading.current_thread()
    monkeypatch.setattr(time, "sleep", lambda s: chip.pauses.append(s) if threading.current_thread() is ours else sleep(s))
    return chip


def run(reason, monkeypatch):
    """Whether the chip was restarted."""
    monkeypatch.setattr(supervisor.runtime, "safe_mode_reason", reason, raising=False)
    try:
        runpy.run_path(str(FILE), run_name="__main__")
    except Reset:
        return True
    return False


@pytest.mark.parametrize("reason", [reason for reason in SafeModeReason if reason not in WANTED])
def test_an_accident_is_come_back_from(chip, monkeypatch, reason):
    assert run(reason, monkeypatch)
    assert chip.pauses == [30]


@pytest.mark.parametrize("reason", WANTED)
def test_safe_mode_that_somebody_wants_stays(chip, monkeypatch, reason):
    assert not run(reason, monkeypatch)
    assert chip.pauses == [] and not any(chip.nvm)


def test_a_storm_of_accidents_is_slowed_down_to_one_an_hour(chip, monkeypatch):
    for _ in range(300):
        assert run(SafeModeReason.BROWNOUT, monkeypatch)
    assert chip.pauses[:6] == [30, 60, 90, 120, 3600, 3600] and set(chip.pauses[5:]) == {3600}


def test_the_firmware_reads_the_number_and_sets_it_back(chip, monkeypatch):
    for _ in range(3):
        run(SafeModeReason.HARD_FAULT, monkeypatch)
    memory = NvmStore(chip.nvm, 0)
    assert memory.safe_modes == 3
    memory.clear_failed_boots()
    assert memory.safe_modes == 0 and NvmStore(chip.nvm, 0).safe_modes == 0
    run(SafeModeReason.HARD_FAULT, monkeypatch)
    assert chip.pauses[-1] == 30


def test_it_leaves_the_counters_alone(chip, monkeypatch):
    memory = NvmStore(chip.nvm, 0)
    memory.record(1).totals = (1, 2, 3, 4)
    memory.save()
    memory.save()
    before = bytes(chip.nvm)
    run(SafeModeReason.BROWNOUT, monkeypatch)
    assert [at for at in range(8192) if chip.nvm[at] != before[at]] == [600, 601, 602]
    assert NvmStore(chip.nvm, 0).record(1).totals == (1, 2, 3, 4)


@pytest.mark.parametrize("content", [bytes(8192), b"\xff" * 8192, b"SM" * 4096])
def test_whatever_the_memory_holds(chip, monkeypatch, content):
    chip.nvm[:] = content
    assert run(SafeModeReason.WATCHDOG, monkeypatch)
    assert 30 <= chip.pauses[0] <= 3600


def test_a_memory_that_fails_does_not_keep_it_in_safe_mode(chip, monkeypatch):
    class Broken:
        def __getitem__(self, index):
            raise RuntimeError("NVS Error")

    for nvm in (Broken(), None):
        monkeypatch.setattr(microcontroller, "nvm", nvm)
        assert run(SafeModeReason.BROWNOUT, monkeypatch)
    assert set(chip.pauses) == {3600}
