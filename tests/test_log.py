# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Printing that never waits: with a console that reads, one that stands still, one that comes back."""

import builtins
import sys
from types import SimpleNamespace

import pytest

from app import log
from app.log import Log


class Port:
    """The USB console: a buffer of `size` bytes, of which `rate` go in a millisecond. Overfilling it would hang the chip."""

    def __init__(self, size=64, rate=64):
        self.size, self.rate = size, rate
        self.connected = True
        self.waiting = 0
        self.slept = 0
        self.shown = ""

    @property
    def out_waiting(self):
        return self.waiting

    def show(self, text):
        data = text.replace("\n", "\r\n").encode()
        if self.connected:
            assert self.waiting + len(data) <= self.size, "here print() would wait"
            self.waiting += len(data)
        self.shown += text

    def sleep(self, seconds):
        self.slept += round(1000 * seconds)
        self.waiting = max(0, self.waiting - self.rate)


@pytest.fixture
def port():
    return Port()


def printing(port):
    return Log(port.show, port, port.sleep)


@pytest.mark.parametrize("text", ["short", "x" * 8000, "Küche " * 50, "日本" * 100, "many\nlines\n" * 30, ""])
def test_who_reads_gets_everything(port, text):
    printing(port).print(text, 7)
    assert port.shown == f"{text} 7\n"


def test_a_console_that_stands_still_costs_a_moment_once_and_then_nothing(port):
    ours = printing(port)
    port.rate = 0
    for _ in range(1000):
        ours.print("BMS: OK")
    assert port.slept <= 50
    assert 990 < ours.dropped < 1000


def test_what_was_dropped_is_counted_when_somebody_reads_again(port):
    ours = printing(port)
    ours.print("before")
    port.rate = 0
    for _ in range(5):
        ours.print("lost")
    port.rate = 64
    port.sleep(0.001)
    ours.print("after")
    assert port.shown == "before\n\n(5 lines were dropped here: no terminal read them)\nafter\n"
    assert ours.dropped == 0


def test_a_terminal_that_leaves_takes_the_trouble_along(port):
    ours = printing(port)
    port.rate = 0
    ours.print("a")
    ours.print("b")
    port.connected = False
    ours.print("c")
    assert port.shown.endswith("c\n") and ours.dropped == 0


def test_a_slow_reader_of_much_is_not_waited_for_very_long():
    port = Port(rate=3)
    printing(port).print("x" * 8000)
    assert port.slept <= 600


def test_without_a_usb_console_it_is_printed_as_ever():
    shown = []
    Log(shown.append, None).print("a", "b", sep="-", end="!")
    assert shown == ["a-b!"]


@pytest.fixture
def installed(monkeypatch, port):
    monkeypatch.setattr(builtins, "print", builtins.print)
    monkeypatch.setattr(log, "_ours", None)
    monkeypatch.setattr(log, "usb", SimpleNamespace(connected=True, out_waiting=1))
    log.install()


def test_every_print_of_the_program_is_one_of_these(installed, capsys):
    print("from anywhere")
    log.print_error(ValueError("x"))
    print("to a file", file=sys.stderr)
    told = capsys.readouterr()
    assert told.out == "" and told.err == "to a file\n"


def test_it_is_installed_once(installed):
    ours = builtins.print
    log.install()
    assert builtins.print is ours


def test_an_error_is_printed_with_its_origin_and_without_memory_by_its_name(capsys, monkeypatch):
    try:
        raise ValueError("broken")
    except ValueError as error:
        log.print_error(error)
        assert "test_log.py" in capsys.readouterr().out

        def no_memory(_):
            raise MemoryError

        monkeypatch.setattr(log.traceback, "format_exception", no_memory)
        log.print_error(error)
    assert capsys.readouterr().out == "ValueError\n"
