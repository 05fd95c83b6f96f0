# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's busio: UARTs on a serial device of the PC, I2C to models of devices.

As on an ESP32: a UART's timeout starts again with every byte, nothing received is None, writing takes as long as the
bits take, and what does not fit the receive buffer is lost without an error. A serial device that is removed is silence, as is
a pin that nothing is connected to. There are as many UARTs as the chip has; the console is USB and takes none of them.
"""

from __future__ import annotations

import errno as _errno
import select as _select
import sys
import termios as _termios

import serial as _serial
from microcontroller import _claim, _free

from host import chip as _chip
from host import trouble as _trouble

_LEAST_BUFFER = 136  # 128 bytes of FIFO and 8 more, whatever is requested
_STUCK_S = 0.02  # how long the device may take for a byte; the far end of a pseudo-terminal may be stopped
_RETRY_S = 1.0  # interval at which a lost serial device is opened again
_in_use: set = set()  # the UARTs that are open
_GONE = "Object has been deinitialized and can no longer be used. Create a new object."


class UART:
    class Parity(_chip.Name):
        ODD = 1
        EVEN = 2

    def __init__(
        self,
        tx=None,
        rx=None,
        *,
        rts=None,
        cts=None,
        rs485_dir=None,
        rs485_invert=False,
        baudrate=9600,
        bits=8,
        parity=None,
        stop=1,
        timeout=1,
        receiver_buffer_size=64,
    ) -> None:
        if tx is None and rx is None:
            raise ValueError("tx and rx cannot both be None")
        self._format = {"baudrate": baudrate, "bytesize": bits, "stopbits": stop, "parity": _parity(parity)}
        self._bits = 1 + bits + (parity is not None) + stop
        self.timeout = timeout
        self._pins = (tx, rx, rts, cts, rs485_dir)
        _claim(*self._pins)
        if len(_in_use) >= _chip.uarts:
            _free(*self._pins)
            raise ValueError("All UART peripherals are in use")
        _in_use.add(self)
        self._wire = (rx or tx)._name
        self._capacity = max(receiver_buffer_size, _LEAST_BUFFER)
        self._received = bytearray()
        self._device = None
        self._retry_at = 0.0
        self._open()
        self.reset_input_buffer()

    def deinit(self) -> None:
        if self._pins is not None:
            _free(*self._pins)
            _in_use.discard(self)
            self._close()
        self._pins = None

    def __enter__(self) -> UART:
        return self

    def __exit__(self, *_exception) -> None:
        self.deinit()

    @property
    def timeout(self) -> float:
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        if not 0 <= seconds <= 100:
            raise ValueError("timeout must be 0-100")
        self._timeout = seconds

    @property
    def baudrate(self) -> int:
        return self._format["baudrate"]

    @property
    def in_waiting(self) -> int:
        self._collect(0)
        return len(self._received)

    def read(self, nbytes=None):
        """At most `nbytes`, or all until the line falls silent; None when nothing came."""
        self._check()
        if nbytes is not None:
            data = bytearray(nbytes)
            return bytes(data[: self._fill(memoryview(data))]) or None
        data = bytearray()
        while part := self._take(256):
            data += part
        return bytes(data) or None

    def readinto(self, buf):
        return self._fill(memoryview(buf)) or None

    def readline(self):
        line = bytearray()
        while not line.endswith(b"\n") and (byte := self._take(1)):
            line += byte
        return bytes(line) or None

    def write(self, buf):
        """Returns when the last bit has been sent; on a pseudo-terminal, which takes no time itself, by sleeping."""
        self._check()
        done_at = _chip.clock.monotonic() + len(buf) * self._bits / self.baudrate
        try:
            if self._device is not None:
                self._device.write(buf)
                self._device.flush()
        except _serial.SerialTimeoutException:
            self._device.reset_output_buffer()  # nothing reads it: lost, as on a wire
        except (OSError, _serial.SerialException, _termios.error) as error:  # the last one from `flush`, and no OSError
            self._lose(error)
        _chip.clock.sleep(max(0.0, done_at - _chip.clock.monotonic()))
        return len(buf)

    def reset_input_buffer(self) -> None:
        self._collect(0)
        self._received.clear()

    # Receiving

    def _fill(self, view) -> int:
        """Fill `view` by as many driver calls as the board makes: a short one is followed by another, which waits again."""
        count = 0
        while count < len(view):
            part = self._take(len(view) - count)
            if not part:
                break
            view[count : count + len(part)] = part
            count += len(part)
        return count

    def _take(self, limit: int) -> bytes:
        """One call of the board's driver: until `limit` bytes are there or none came for the timeout."""
        quiet_at = _chip.clock.monotonic() + self._timeout
        while True:
            before = len(self._received)
            self._collect(0 if before >= limit else max(0.0, quiet_at - _chip.clock.monotonic()))
            now = _chip.clock.monotonic()
            if len(self._received) > before:
                quiet_at = now + self._timeout
            if len(self._received) >= limit or now >= quiet_at:
                break
        part = bytes(self._received[:limit])
        del self._received[:limit]
        return part

    def _collect(self, wait_s: float) -> None:
        """Move what the device has into the receive buffer, waiting at most `wait_s` for the first byte."""
        self._check()
        while _trouble.of("uart") == "hang":
            _chip.clock.sleep(0.05)
        if self._device is None and not self._reopen(wait_s):
            return
        begun = _chip.clock.monotonic()
        try:
            if self._device.wait(wait_s):
                data = self._device.read(4096)
                self._received += data[: self._capacity - len(self._received)]  # the rest is lost, silently
        except (OSError, _serial.SerialException) as error:
            self._lose(error)
        _trouble.excuse(
            _chip.clock.monotonic() - begun - wait_s
        )  # Linux waits for a kernel thread here, for long when it is busy

    def _check(self) -> None:
        if self._pins is None:
            raise ValueError(_GONE)

    # The device of the PC

    def _open(self) -> None:
        try:
            self._device = self._connected()
        except (OSError, _serial.SerialException) as error:
            self._lose(error)

    def _connected(self):
        """What the pins are connected to; None: nothing."""
        if _chip.open_uart:
            return _chip.open_uart(rx=self._wire, **self._format)
        return _SerialDevice(self._path, **self._format) if self._path else None

    @property
    def _path(self) -> str:
        return _chip.wires.get(self._wire, _chip.uart_path)

    def _reopen(self, wait_s: float) -> bool:
        now = _chip.clock.monotonic()
        if now >= self._retry_at:
            self._retry_at = now + _RETRY_S
            try:
                self._device = self._connected()
                if self._device is not None:
                    _chip.report(f"the serial device {self._path} is back")
                    return True
            except (OSError, _serial.SerialException):
                pass
        _chip.clock.sleep(wait_s)
        return False

    def _lose(self, error) -> None:
        _chip.report(f"the serial device {self._path} does not respond: silence until it is back ({error})")
        self._close()
        self._retry_at = _chip.clock.monotonic() + _RETRY_S

    def _close(self) -> None:
        if self._device is not None:
            try:
                self._device.close()
            except OSError:
                pass
        self._device = None


class _SerialDevice(_serial.Serial):
    """The serial device of the PC."""

    def __init__(self, path: str, **format) -> None:
        super().__init__(path, timeout=0, write_timeout=_STUCK_S, exclusive=True, **format)

    def wait(self, seconds: float) -> bool:
        """Whether there is something to read within so many seconds."""
        return bool(_select.select([self.fileno()], [], [], seconds)[0])


def _parity(parity) -> str:
    return {None: _serial.PARITY_NONE, UART.Parity.ODD: _serial.PARITY_ODD, UART.Parity.EVEN: _serial.PARITY_EVEN}[parity]


class SPI:
    """Only named in annotations of Blinka's fourwire; nothing here speaks SPI."""


class I2C:
    def __init__(self, scl, sda, *, frequency=100000, timeout=255) -> None:
        if not _chip.devices:  # the pull-up resistors are on the module that is not there
            raise RuntimeError("No pull up found on SDA or SCL; check your wiring")
        self._pins = (scl, sda)
        _claim(*self._pins)
        self._byte_s = 9 / frequency
        self._locked = False

    def deinit(self) -> None:
        if self._pins is not None:
            _free(*self._pins)
        self._pins = None

    def __enter__(self) -> I2C:
        return self

    def __exit__(self, *_exception) -> None:
        self.deinit()

    def try_lock(self) -> bool:
        self._check()
        if self._locked:
            return False
        self._locked = True
        return True

    def unlock(self) -> None:
        self._check()
        self._locked = False

    def probe(self, address) -> bool:
        self._check()
        return address in _chip.devices

    def scan(self) -> list:
        self._check_lock()
        return sorted(_chip.devices)

    def writeto(self, address, buffer, *, start=0, end=sys.maxsize) -> None:
        data = bytes(memoryview(buffer)[start:end])
        self._device(address).write(data)
        _chip.clock.transfer(self._byte_s * (1 + len(data)))  # the address first
        _trouble.count("screen_writes")

    def readfrom_into(self, address, buffer, *, start=0, end=sys.maxsize) -> None:
        view = memoryview(buffer)[start:end]
        view[:] = self._device(address).read(len(view))
        _chip.clock.transfer(self._byte_s * (1 + len(view)))

    def writeto_then_readfrom(
        self, address, out_buffer, in_buffer, *, out_start=0, out_end=sys.maxsize, in_start=0, in_end=sys.maxsize
    ) -> None:
        self.writeto(address, out_buffer, start=out_start, end=out_end)
        self.readfrom_into(address, in_buffer, start=in_start, end=in_end)

    def _device(self, address):
        self._check_lock()
        try:
            return _chip.devices[address]
        except KeyError:
            raise OSError(_errno.ENODEV, "No such device") from None

    def _check(self) -> None:
        if self._pins is None:
            raise ValueError(_GONE)

    def _check_lock(self) -> None:
        self._check()
        if not self._locked:
            raise RuntimeError("Function requires lock")
