"""Brings the board back after a brown-out, a hard fault or the chip's own watchdog; runs instead of code.py in safe mode.

CircuitPython stays in safe mode until somebody presses reset, which nobody does in a cellar (circuitpython#7756). A pause
before the reset keeps a weak supply from being hammered; it grows, and from LIMIT on it is an hour. app/nvm_store.py reads the
count and sets it back to 0 once the firmware has run well. Safe mode that a person asked for does not run this file, and
stays; neither does this file bring back a board whose firmware asked for safe mode.
"""

import time

import microcontroller
import supervisor

PAUSE_S = 30
LIMIT = 5
LONG_PAUSE_S = 3600
MOST_COUNTED = 10
NVM_AT = 600  # behind the records of app/nvm_store.py: "SM", count

WANTED = ("NONE", "USER", "PROGRAMMATIC")  # the reasons that are no accident


def is_accident(reason):
    """Whether nobody asked for this safe mode."""
    return str(reason).split(".")[-1] not in WANTED


def count(nvm):
    """How many safe modes in a row, this one included; kept in the chip's memory. One that fails must not keep us here."""
    try:
        kept = bytes(nvm[NVM_AT : NVM_AT + 3])
        number = min(kept[2] + 1, 255) if kept[:2] == b"SM" else 1
        if number <= MOST_COUNTED:  # the memory wears out
            nvm[NVM_AT : NVM_AT + 3] = b"SM" + bytes((number,))
        return number
    except (OSError, RuntimeError, TypeError, ValueError, MemoryError):
        return LIMIT  # without a word: print() may wait for ever, see app/log.py


if __name__ == "__main__" and is_accident(supervisor.runtime.safe_mode_reason):
    number = count(microcontroller.nvm)
    time.sleep(PAUSE_S * number if number < LIMIT else LONG_PAUSE_S)
    microcontroller.reset()
