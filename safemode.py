"""Brings the board back after a brown-out, a hard fault or the chip's own watchdog; runs instead of code.py in safe mode.

CircuitPython stays in safe mode until somebody presses reset, which nobody does in a cellar (circuitpython#7756). A pause
before the reset keeps a weak supply from being hammered. Safe mode asked for by a person (button) does not run this file.
"""

import time

import microcontroller
import supervisor

PAUSE_S = 30

if __name__ == "__main__" and supervisor.runtime.safe_mode_reason in (
    supervisor.SafeModeReason.BROWNOUT,
    supervisor.SafeModeReason.HARD_FAULT,
    supervisor.SafeModeReason.WATCHDOG,
):
    time.sleep(PAUSE_S)
    microcontroller.reset()
