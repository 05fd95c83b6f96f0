# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The last line and the watchdog, first by themselves, then in the real program as a process: nothing ends silently."""

import builtins
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import microcontroller
import pytest
import watchdog
from mosquitto import wait_until

from app import crash
from app import watchdog as chip_watchdog
from app.crash import LONGEST_PAUSE_S
from app.loop import Loop
from app.nvm_store import NvmStore
from host import trouble

ROOT = Path(__file__).resolve().parent.parent


class Reset(BaseException):
    """The chip has started anew."""


class Dog:
    """A watchdog with the manners of the chip's: what runs cannot be changed."""

    def __init__(self):
        self._mode, self._timeout = None, 0
        self.feeds = 0
        self.history = []

    mode = property(lambda self: self._mode)
    timeout = property(lambda self: self._timeout)

    @mode.setter
    def mode(self, mode):
        assert mode is None or self._mode in (None, mode)
        self._mode = mode
        self.history.append((mode, self._timeout))

    @timeout.setter
    def timeout(self, seconds):
        assert self._mode is None
        self._timeout = seconds

    def feed(self):
        assert self._mode is not None
        self.feeds += 1


@pytest.fixture
def chip(monkeypatch):
    """Its memory, watchdog and the seconds it has slept."""
    chip = type("Chip", (), {"nvm": bytearray(8192), "dog": Dog(), "slept": 0})

    def reset():
        raise Reset

    def sleep(seconds):
        chip.slept += seconds

    monkeypatch.setattr(microcontroller, "nvm", chip.nvm)
    monkeypatch.setattr(microcontroller, "reset", reset)
    monkeypatch.setattr(chip_watchdog, "watchdog", chip.dog)
    monkeypatch.setattr(crash, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(builtins, "print", builtins.print)  # the crash handler puts another one there
    return chip


def start(chip, what):
    """Switch on; returns the seconds from the failure to the restart."""
    NvmStore(microcontroller.nvm, 0).count_boot("software")
    chip.slept = 0
    with pytest.raises(Reset):
        crash.restart(crash.run(what))
    return chip.slept


def fail(error):
    def start():
        raise error

    return start


def test_what_escapes_is_said_kept_and_leads_to_a_restart(chip, capsys):
    assert start(chip, fail(KeyError("x"))) == 2
    told = capsys.readouterr()
    assert "Traceback" in told.out and "restarting in 2 s" in told.out
    assert NvmStore(chip.nvm, 0).failure == "main: KeyError 'x'"


def test_a_program_that_ends_by_itself_is_a_failure_too(chip):
    start(chip, lambda: None)
    assert NvmStore(chip.nvm, 0).failure == "the program ended"


def test_a_loop_of_crashes_slows_down_says_so_and_stops_writing(chip, capsys):
    slept = [start(chip, fail(ValueError())) for _ in range(120)]
    assert slept[:9] == [2, 4, 8, 16, 32, 64, 128, 256, 300] and set(slept[8:]) == {LONGEST_PAUSE_S}
    assert "At least 12 boots in a row" in capsys.readouterr().out
    memory = NvmStore(chip.nvm, 0)
    assert 8 < memory.boots < 14  # then no more is written: the memory wears out
    for minute in range(1, 60):  # it runs well for an hour
        memory.is_due(60000 * minute)
    memory.clear_failed_boots()
    assert start(chip, fail(ValueError())) == 2


def test_a_crash_after_months_is_come_back_from_at_once(chip):
    for _ in range(3):
        start(chip, fail(ValueError()))
    NvmStore(chip.nvm, 0).count_boot("software")
    NvmStore(chip.nvm, 0).clear_failed_boots()
    chip.slept = 0
    with pytest.raises(Reset):
        crash.restart(crash.run(fail(ValueError())))
    assert chip.slept == 2


def test_the_watchdog_does_not_bite_while_the_guard_waits(chip):
    chip_watchdog.feed()
    for _ in range(9):
        start(chip, fail(ValueError()))
    assert chip.dog.feeds >= LONGEST_PAUSE_S


def test_even_a_memory_that_fails_and_a_heap_that_is_full_end_in_a_restart(chip, monkeypatch):
    class Broken:
        def __getitem__(self, index):
            raise RuntimeError("NVS Error")

        def __setitem__(self, index, value):
            raise RuntimeError("NVS Error")

    monkeypatch.setattr(microcontroller, "nvm", Broken())
    assert start(chip, fail(ValueError())) == 2

    def no_memory(*_arguments):
        raise MemoryError

    monkeypatch.setattr(crash, "describe", no_memory)
    assert start(chip, fail(ValueError())) == LONGEST_PAUSE_S


def test_ctrl_c_still_leads_to_the_prompt(chip):
    with pytest.raises(KeyboardInterrupt):
        crash.restart(crash.run(fail(KeyboardInterrupt())))


def test_a_request_to_sleep_ends_the_program_without_a_restart():
    """CircuitPython's DeepSleepRequest, MP_DEFINE_EXCEPTION(DeepSleepRequest, BaseException) in its py/objexcept.c."""

    class DeepSleepRequest(BaseException):
        pass

    def sleep(_now):
        raise DeepSleepRequest

    def start():
        loop = Loop(lambda: 0)
        loop.add("sleep", sleep)
        return loop

    with pytest.raises(DeepSleepRequest):
        crash.restart(crash.run(start))


# the watchdog, lent to the join


def test_feeding_starts_the_watchdog_and_starts_it_again(chip):
    chip_watchdog.feed()
    assert (chip.dog.mode, chip.dog.timeout) == (watchdog.WatchDogMode.RESET, chip_watchdog.WATCHDOG_S)
    chip_watchdog.feed()
    assert chip.dog.feeds == 1
    chip.dog.mode = None  # whatever has stopped it
    chip_watchdog.feed()
    assert chip.dog.mode == watchdog.WatchDogMode.RESET


@pytest.mark.parametrize("error", [None, watchdog.WatchDogTimeout(), ConnectionError("No network with that ssid")])
@pytest.mark.slow
def test_while_it_joins_the_watchdog_raises_and_afterwards_it_resets_again(chip, error):
    modes = []

    def connect(ssid, password, *, timeout):
        assert (ssid, password, timeout) == ("shed", "secret", 2)
        modes.append((chip.dog.mode, chip.dog.timeout))
        if error is not None:
            raise error

    chip_watchdog.feed()
    join = chip_watchdog.bounded(connect)
    if error is None:
        join("shed", "secret", timeout=2)
    else:
        with pytest.raises(OSError, match="no answer" if isinstance(error, watchdog.WatchDogTimeout) else "No network"):
            join("shed", "secret", timeout=2)
    assert modes == [(watchdog.WatchDogMode.RAISE, chip_watchdog.JOIN_LIMIT_S)]
    assert (chip.dog.mode, chip.dog.timeout) == (watchdog.WatchDogMode.RESET, chip_watchdog.WATCHDOG_S)


# the whole program


@pytest.fixture
def drive(tmp_path):
    """A CIRCUITPY drive with the firmware on it, impatient so that a test need not wait for minutes."""
    folder = tmp_path / "drive"
    folder.mkdir()
    for package in ("battery", "daly", "display", "mqtt", "outputs", "sensors", "web", "app"):
        subprocess.run(["cp", "-r", str(ROOT / package), str(folder)], check=True)
    (folder / "code.py").write_text((ROOT / "code.py").read_text())
    (folder / "settings.toml").write_text('MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "t"\nCIRCUITPY_WIFI_SSID = "shed"\n')
    watch_file = folder / "app" / "watchdog.py"
    watch_file.write_text(watch_file.read_text().replace("WATCHDOG_S = 45", "WATCHDOG_S = 3"))
    return folder


class Host:
    """`python -m host` with that drive and the embedded broker; `troubles` is what goes wrong around the chip."""

    def __init__(self, drive, tmp_path):
        self._trouble = tmp_path / "trouble"
        self._log = tmp_path / "log"
        environment = {**os.environ, trouble.VARIABLE: str(self._trouble), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "host", "--plain", "--json", "--no-oled", "--drive", str(drive)]
        command += ["--nvm", str(tmp_path / "nvm")]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def set_trouble(self, text):
        self._trouble.write_text(text)

    @property
    def log(self):
        return self._log.read_text()

    def states(self):
        """What was published on t/state."""
        lines = [line.split("-> t/state ")[1] for line in self.log.splitlines() if "-> t/state {" in line]
        return [json.loads(line) for line in lines if line.endswith("}")]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@pytest.fixture
def run(drive, tmp_path):
    hosts = []

    def run():
        hosts.append(Host(drive, tmp_path))
        return hosts[-1]

    yield run
    for host in hosts:
        host.process.kill()
        host.process.wait()


def test_a_driver_that_hangs_is_bitten_and_that_is_published(run):
    host = run()
    assert wait_until(lambda: host.states(), 20)
    assert host.states()[0]["restart_reason"] == "power_on" and host.states()[0]["boot_count"] == 1
    host.set_trouble("uart=hang")
    assert wait_until(lambda: "the chip resets (WATCHDOG)" in host.log, 20)
    host.set_trouble("")
    assert wait_until(lambda: host.states()[-1]["restart_reason"] == "watchdog", 30)
    last = host.states()[-1]
    assert last["boot_count"] >= 2 and "hung" in last["last_failure"]


def test_a_bug_that_escapes_restarts_it_with_growing_pauses_and_is_published(drive, run):
    main = drive / "app" / "main.py"
    right = main.read_text()
    main.write_text(right.replace("    for name in ONCE:\n", '    raise RuntimeError("a bug")\n    for name in ONCE:\n'))
    begun = time.monotonic()
    host = run()
    assert wait_until(lambda: "3 times in a row" in host.log, 40)
    assert time.monotonic() - begun > 2 + 4
    assert "Failed (main: RuntimeError a bug), 2 times in a row; restarting in 4 s" in host.log
    main.write_text(right)
    assert wait_until(lambda: host.states(), 40)
    state = host.states()[-1]
    assert state["last_failure"] == "main: RuntimeError a bug" and state["boot_count"] == 4
    assert state["restart_reason"] == "software"


def test_the_counters_outlive_a_power_cut(run):
    host = run()
    assert wait_until(lambda: host.states(), 20)
    host.process.kill()
    host.process.wait()
    again = run()
    assert wait_until(lambda: again.states(), 20)
    assert again.states()[0]["boot_count"] == 2
