# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The stand-in UART over a pseudo-terminal: timeouts, buffer and pins as on an ESP32."""

import errno
import os
import pty
import termios
import threading
import time
import tty

import board
import busio
import pytest
import serial
from mosquitto import wait_until

from host import chip


@pytest.fixture
def line(monkeypatch):
    """The far end of a serial line."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    monkeypatch.setattr(chip, "uart_path", os.ttyname(slave))
    yield master
    for end in (master, slave):
        try:
            os.close(end)
        except OSError:
            pass  # the test has unplugged it


@pytest.fixture
def uart(line):
    made = []

    def make(**options):
        made.append(busio.UART(board.TX, board.RX, **options))
        return made[-1]

    yield make
    for one in made:
        one.deinit()


def later(line: int, *parts: bytes, gap_s: float = 0.05):
    """Send the parts with a pause before each."""

    def send():
        for part in parts:
            time.sleep(gap_s)
            os.write(line, part)

    threading.Thread(target=send, daemon=True).start()


def took(function) -> tuple:
    start = time.monotonic()
    result = function()
    return result, time.monotonic() - start


def arrive(one, count):
    """Wait until so many bytes are there: the system takes its time from one end of a line to the other."""
    assert wait_until(lambda: one.in_waiting == count), one.in_waiting


def shortest(function) -> float:
    """In seconds, of five times: a machine that is busy with other things only makes some of them longer."""
    return min(took(function)[1] for _ in range(5))


def test_a_line_that_hangs_up_in_the_middle_of_a_write_is_silence(uart, monkeypatch, capsys):
    """What pyserial raises then is no OSError; whether it comes was a matter of the machine's load."""

    def hung_up(_device):
        raise termios.error(errno.EIO, "Input/output error")

    one = uart(timeout=0)
    monkeypatch.setattr(serial.Serial, "flush", hung_up)
    assert one.write(b"hello") == 5
    assert "does not respond" in capsys.readouterr().out and one.read(1) is None


def test_nothing_is_none(uart):
    one = uart(timeout=0)
    assert one.read(4) is None and one.read() is None and one.readinto(bytearray(4)) is None and one.readline() is None


def test_timeout_zero_returns_at_once_what_is_there(uart, line):
    one = uart(timeout=0)
    os.write(line, b"abc")
    arrive(one, 3)
    buffer = bytearray(8)
    assert one.readinto(buffer) == 3 and buffer[:3] == b"abc"
    assert one.readinto(buffer) is None and shortest(lambda: one.readinto(buffer)) < 0.2


def test_a_full_read_does_not_wait(uart, line):
    one = uart(timeout=20)
    os.write(line, b"abc")
    data, seconds = took(lambda: one.read(3))
    assert data == b"abc" and seconds < 10


def test_every_byte_starts_the_timeout_again(uart, line):
    one = uart(timeout=2)
    later(line, b"a", b"b", b"c", b"d", gap_s=0.7)
    assert one.read(4) == b"abcd"


def test_a_short_read_waits_the_timeout_twice(uart, line):
    one = uart(timeout=0.3)

    def read():
        os.write(line, b"a")
        assert one.read(5) == b"a"

    assert 0.58 < shortest(read) < 0.9


def test_silence_waits_the_timeout_once(uart):
    one = uart(timeout=0.3)
    assert 0.29 < shortest(lambda: one.read(5)) < 0.55 and one.read(1) is None


def test_readline(uart, line):
    one = uart(timeout=0.1)
    os.write(line, b"one\ntwo")
    assert one.readline() == b"one\n"
    assert one.readline() == b"two"


def test_what_does_not_fit_is_lost_without_a_word(uart, line):
    one = uart(timeout=0, receiver_buffer_size=64)
    os.write(line, bytes(range(256)))
    arrive(one, 136)
    assert one.read(256) == bytes(range(136))


def test_a_larger_buffer_holds_more(uart, line):
    one = uart(timeout=0, receiver_buffer_size=256)
    os.write(line, bytes(256))
    arrive(one, 256)
    one.reset_input_buffer()
    assert one.in_waiting == 0


def test_writing_takes_as_long_as_the_bits(uart, line):
    one = uart(baudrate=9600)
    count, seconds = took(lambda: one.write(bytes(13)))
    assert count == 13 and seconds >= 0.0135
    assert os.read(line, 100) == bytes(13)
    assert shortest(lambda: one.write(bytes(13))) < 0.2


def test_what_nobody_takes_is_lost_as_on_a_wire(uart, line, capsys):
    """A BMS that is stopped for minutes: the line's buffer is full, and the board would not notice."""
    one = uart(baudrate=1000000)
    counts, seconds = zip(*[took(lambda: one.write(bytes(13))) for _ in range(3000)], strict=True)
    assert set(counts) == {13} and sorted(seconds)[-4] < 0.5  # a machine may have been busy with other things now and then
    assert capsys.readouterr().out == ""
    os.read(line, 1 << 20)
    one.write(b"later")
    assert b"later" in os.read(line, 1 << 20)


def test_pins_have_one_user(uart, line):
    one = uart()
    with pytest.raises(ValueError, match="TX in use"):
        busio.UART(board.TX, board.IO17)
    with pytest.raises(ValueError, match="RX in use"):
        busio.UART(board.IO17, board.IO44)
    one.deinit()
    busio.UART(board.IO17, board.RX).deinit()


def test_a_finished_uart_is_refused(uart):
    one = uart()
    one.deinit()
    for use in (lambda: one.read(1), lambda: one.write(b""), lambda: one.in_waiting, lambda: one.readinto(bytearray(1))):
        with pytest.raises(ValueError, match="deinitialized"):
            use()


def test_a_timeout_in_milliseconds_is_refused(line):
    with pytest.raises(ValueError, match="timeout must be 0-100"):
        busio.UART(board.IO1, board.IO2, timeout=200)


def test_unplugging_is_silence_and_one_sentence(uart, line, capsys):
    one = uart(timeout=0.01)
    os.close(line)
    assert one.read(4) is None and one.write(b"abc") == 3 and one.read(4) is None and one.in_waiting == 0
    assert capsys.readouterr().out.count("silence until it is back") == 1


def test_it_is_found_again(uart, line, tmp_path, monkeypatch, capsys):
    link = tmp_path / "ttyUSB0"
    link.symlink_to(chip.uart_path)
    monkeypatch.setattr(chip, "uart_path", str(link))
    one = uart(timeout=0)
    os.close(line)
    one.read(1)
    link.unlink()
    master, slave = pty.openpty()
    tty.setraw(slave)
    link.symlink_to(os.ttyname(slave))
    one._retry_at = 0
    assert one.read(1) is None
    os.write(master, b"!")
    arrive(one, 1)
    assert one.read(1) == b"!"
    assert "is back" in capsys.readouterr().out
    os.close(master)
    os.close(slave)


# Several UARTs: as many as the chip has, each on the line that its pins are wired to


@pytest.fixture
def second_line(monkeypatch):
    """The far end of another serial line, wired to IO18."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    monkeypatch.setattr(chip, "wires", {"IO18": os.ttyname(slave), "IO16": ""})
    yield master
    os.close(master)
    os.close(slave)


def test_each_uart_hears_its_own_line(line, second_line):
    with busio.UART(board.TX, board.RX, timeout=0) as one, busio.UART(board.IO17, board.IO18, timeout=0) as other:
        os.write(line, b"first")
        os.write(second_line, b"second")
        arrive(one, 5)
        arrive(other, 6)
        assert (one.read(8), other.read(8)) == (b"first", b"second")
        other.write(b"to the second")
        assert os.read(second_line, 20) == b"to the second"
        assert one.in_waiting == 0


def test_whichever_is_made_first(line, second_line):
    with busio.UART(board.IO17, board.IO18, timeout=0) as other, busio.UART(board.TX, board.RX, timeout=0) as one:
        os.write(second_line, b"second")
        arrive(other, 6)
        assert (one.read(8), other.read(8)) == (None, b"second")


def test_a_uart_that_nothing_is_wired_to_is_silent_without_a_word(line, second_line, capsys):
    with busio.UART(board.IO15, board.IO16, timeout=0) as one:
        assert one.read(4) is None and one.write(b"abc") == 3 and one.in_waiting == 0
        one._retry_at = 0
        assert one.read(1) is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("count", [2, 3])
def test_there_are_as_many_as_the_chip_has(line, monkeypatch, count):
    """The order of the checks is that of CircuitPython: the pins first (shared-bindings), then a free UART."""
    monkeypatch.setattr(chip, "uarts", count)
    pins = [(board.TX, board.RX), (board.IO1, board.IO2), (board.IO3, board.IO4)]
    monkeypatch.setattr(chip, "wires", {"IO2": "", "IO4": "", "IO6": ""})
    open_ones = [busio.UART(*pair, timeout=0) for pair in pins[:count]]
    with pytest.raises(ValueError, match="TX in use"):
        busio.UART(board.TX, board.IO6)
    with pytest.raises(ValueError, match="All UART peripherals are in use"):
        busio.UART(board.IO5, board.IO6)
    open_ones.pop().deinit()
    busio.UART(board.IO5, board.IO6, timeout=0).deinit()  # the failure has claimed nothing
    for one in open_ones:
        one.deinit()


def test_a_simulated_line_is_told_which_pin_it_is_for(monkeypatch):
    asked = []

    class Device:
        def __init__(self, **options):
            asked.append((options["rx"], options["baudrate"]))

        def wait(self, _seconds):
            return False

        def close(self):
            pass

    monkeypatch.setattr(chip, "open_uart", Device)
    busio.UART(board.TX, board.RX).deinit()
    busio.UART(board.IO17, board.IO18, baudrate=19200).deinit()
    assert asked == [("RX", 9600), ("IO18", 19200)]
