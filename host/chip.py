# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is soldered around the stand-in chip, and what outlives its resets.

`host.__main__` fills this module in before code.py starts; the stand-ins read it. A reset starts this process anew
(os.execv keeps its number, its children and its pipes), so what must survive travels in one environment variable.
"""

import contextlib
import enum
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from host.clock import PcClock, SimulatedClock
from host.network import PcNetwork

VARIABLE = "DALY_HOST_STATE"

clock: PcClock | SimulatedClock = PcClock()  # the only time the stand-ins know
network: Any = PcNetwork()  # what the radio leads to
open_uart: Callable | None = None  # makes the device that a UART is wired to; None: the serial device at uart_path
uart_path: str = ""  # the serial device every UART of the chip is wired to
nvm_path: str = ""  # the file behind microcontroller.nvm
identity: bytes = b""  # the end of the chip's number; empty: that of the stand-in
devices: dict = {}  # I2C address -> model with write(data) and read(count)
screen = None  # the one of them to look at
power_on_s: float = clock.monotonic()  # when the chip was last reset: its clocks count from here
reset_reason: str = "POWER_ON"
run_reason: str = "STARTUP"
state: dict = {}  # for the next run: children, deadline, drive
home: str = os.getcwd()  # where `python -m host` was started, to be started there again


class PowerOff(BaseException):
    """Somebody pulled the plug; not an Exception, so that no firmware catches it."""


class Name(enum.Enum):
    """A constant that prints as on the board, for example microcontroller.ResetReason.WATCHDOG."""

    def __str__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}.{self.name}"

    __repr__ = __str__


def say(sentence: str) -> None:
    """A sentence about the outside world, on the console (sys.stdout goes to whichever view there is)."""
    print("host:", sentence)


def close_view() -> None:
    """Give the terminal back; host.__main__ puts the real function here."""


def console_waiting() -> int:
    """How many bytes of output nobody has taken yet; host.__main__ puts the real function here."""
    return 0


def pulse() -> None:
    """An output of the chip has changed: the only thing on outputs is the wake line of the simulated BMS."""
    if "bms" in state:
        with contextlib.suppress(BrokenPipeError):
            os.write(state["bms"]["pipe"], b"asleep=0\n")


def resume() -> bool:
    """Take over what the run before the reset left; True when there was one."""
    global state, reset_reason, run_reason, power_on_s
    left = json.loads(os.environ.pop(VARIABLE, "{}"))
    if not left:
        return False
    state, reset_reason, run_reason = left["state"], left["reset_reason"], left["run_reason"]
    power_on_s = left["power_on_s"] or power_on_s
    return True


def reset(reason: str) -> None:
    """Restart the chip: everything in RAM is gone, clocks begin again."""
    say(f"the chip resets ({reason})")
    restart(reset_reason=reason, run_reason="STARTUP", power_on_s=None)


def reload() -> None:
    """Restart only code.py: the clocks go on counting."""
    say("code.py is reloaded")
    restart(reset_reason=reset_reason, run_reason="SUPERVISOR_RELOAD", power_on_s=power_on_s)


def _start_process_anew(**left) -> None:
    os.environ[VARIABLE] = json.dumps({"state": state, **left})
    close_view()
    os.chdir(home)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


restart: Callable[..., None] = (
    _start_process_anew  # how the chip starts anew; where it is simulated within a process, otherwise
)
