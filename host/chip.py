# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is connected to the stand-in chip, and what survives its resets.

`host.__main__` sets these variables before code.py starts; the stand-ins read them. A reset restarts this process (os.execv
keeps its id, its children and its pipes), so what must survive is passed on in an environment variable.
"""

import contextlib
import enum
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from host import lamp
from host.clock import PcClock, SimulatedClock
from host.network import PcNetwork

VARIABLE = "DALY_HOST_STATE"

clock: PcClock | SimulatedClock = PcClock()  # the clock of all stand-ins
network: Any = PcNetwork()  # what the radio connects to
open_uart: Callable | None = None  # creates the device a UART is connected to; None: the serial device at uart_path
uart_path: str = ""  # the serial device every UART of the chip is connected to, except those on these pins:
wires: dict[str, str] = {}  # name of a receiving pin -> its serial device; "": nothing is connected to it
uarts: int = 3  # how many the chip has: the ESP32-S3; the S2 has 2 (SOC_UART_NUM in ESP-IDF's soc_caps.h)
nvm_path: str = ""  # the file with the bytes of microcontroller.nvm
identity: bytes = b""  # the last bytes of the chip's number; empty: those of the stand-in
devices: dict = {}  # I2C address -> model with write(data) and read(count)
onewire: dict = {}  # name of a pin -> model of the 1-Wire bus there, with reset(), read_bit() and write_bit(value)
analog: dict[str, float] = {}  # name of a pin -> volts there
wake_pin: str | None = None  # name of the pin that the wake input of the simulated BMS is connected to
screen = None  # the one of them that is displayed; None: there is no screen
on_join: Callable[[], None] | None = None  # called when the chip joins the Wi-Fi that is there; None: it takes no time
power_on_s: float = clock.monotonic()  # when the chip was last reset: its clocks start here
reset_reason: str = "POWER_ON"
run_reason: str = "STARTUP"
woken: bool = "DALY_HOST_WOKEN" in os.environ  # it starts after a deep sleep; tests begin so, without its two minutes awake
longest_sleep_s: float = float("inf")  # a deep sleep is shortened to this, as nobody waits for a quarter of an hour
is_asleep: bool = False
lamps: dict[str, lamp.Lamp] = {}  # name of a pin -> the LED on it
loads: dict[str, Any] = {}  # name of a pin -> what it switches, a Load of host/outputs.py
state: dict = {}  # for the next run: children, deadline, drive
home: str = os.getcwd()  # where `python -m host` was started


class PowerOff(BaseException):
    """The power is switched off; not an Exception, so that no firmware catches it."""


class Name(enum.Enum):
    """A constant that prints as on the board, for example microcontroller.ResetReason.WATCHDOG."""

    def __str__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}.{self.name}"

    __repr__ = __str__


def report(sentence: str) -> None:
    """Print a sentence about the emulator on the console (sys.stdout is the view)."""
    print("host:", sentence)


def close_view() -> None:
    """Restore the terminal; host.__main__ replaces this function."""


def console_waiting() -> int:
    """How many pieces of output are not written yet; host.__main__ replaces this function."""
    return 0


def pulse(pin: str) -> None:
    """The output on this pin has changed: one of them may be connected to the wake input of the simulated BMS."""
    if pin == wake_pin and "bms" in state:
        with contextlib.suppress(BrokenPipeError):
            os.write(state["bms"]["pipe"], b"asleep=0\n")


def light(pin: str, levels: tuple[int, ...]) -> None:
    """An LED on this pin shines with so many percent, or percents of red, green and blue."""
    lamps.setdefault(pin, lamp.Lamp())
    if lamps[pin].set(levels, clock.monotonic()):
        report(f"LED on {pin}: {lamps[pin].text}")


def switch(pin: str, level: bool | None) -> bool:
    """An output of the chip is high, low or, with None, not driven any more; returns whether a load is connected to it."""
    if pin not in loads:
        return False
    if loads[pin].drive(level):
        report(f"output {pin} ({loads[pin].name}) {'on' if loads[pin].is_on else 'off'}")
    return True


def release_pins() -> None:
    """The chip restarts, so it drives no pin."""
    for pin in sorted(loads):
        switch(pin, None)


def resume() -> bool:
    """Restore the state from before the reset; False if this is not a restart after one."""
    global state, reset_reason, run_reason, power_on_s, woken
    left = json.loads(os.environ.pop(VARIABLE, "{}"))
    if not left:
        return False
    state, reset_reason, run_reason = left["state"], left["reset_reason"], left["run_reason"]
    power_on_s = left["power_on_s"] or power_on_s
    woken = left.get("woken", False)
    return True


def reset(reason: str) -> None:
    """Restart the chip: RAM is lost, clocks start again."""
    report(f"the chip resets ({reason})")
    release_pins()
    restart(reset_reason=reason, run_reason="STARTUP", power_on_s=None)


def deep_sleep(seconds: float) -> None:
    """Sleep so long, or shorter (`longest_sleep_s`), and restart: RAM is lost, but for alarm.sleep_memory."""
    global is_asleep
    is_asleep = True
    clock.set_alarm(0, lambda: None)  # the watchdog sleeps, too
    slept_s = min(seconds, longest_sleep_s)
    release_pins()
    report(f"the chip is asleep for {seconds:.0f} s" + (f", shortened to {slept_s:g} s" if slept_s < seconds else ""))
    clock.sleep(slept_s)
    is_asleep = False
    report("the chip wakes")
    restart(reset_reason="DEEP_SLEEP_ALARM", run_reason="STARTUP", power_on_s=None, woken=True)


def reload() -> None:
    """Restart code.py only: the clocks continue."""
    report("code.py is reloaded")
    release_pins()
    restart(reset_reason=reset_reason, run_reason="SUPERVISOR_RELOAD", power_on_s=power_on_s)


def _restart_process(**left) -> None:
    os.environ[VARIABLE] = json.dumps({"state": state, **left})
    close_view()
    os.chdir(home)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


restart: Callable[..., None] = _restart_process  # replaced where the chip is simulated within a process
