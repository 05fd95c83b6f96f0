# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Restarts the board after a brown-out, a hard fault or the chip's own watchdog; runs instead of code.py in safe mode.

CircuitPython stays in safe mode until somebody presses reset, which nobody does in a cellar (circuitpython#7756). A pause
before the reset protects a weak supply; it grows with each safe mode in a row, and from LIMIT on it is an hour. The count is in
the chip's memory; app/nvm_store.py reads it, and sets it to 0 after ten minutes of uptime. Safe mode that a person or the
firmware requested is left alone.
"""

import time

import microcontroller
import supervisor

PAUSE_S = 30
LIMIT = 5
LONG_PAUSE_S = 3600
MOST_COUNTED = 10
NVM_AT = 600  # after the records of app/nvm_store.py: "SM", count

REQUESTED = ("NONE", "USER", "PROGRAMMATIC")  # the reasons after which nothing is to be repaired


def is_unclean_reset(reason):
    """Whether nobody requested this safe mode."""
    return str(reason).split(".")[-1] not in REQUESTED


def count(nvm):
    """Safe modes in a row, this one included, as counted in the chip's memory; LIMIT when that fails."""
    try:
        stored = bytes(nvm[NVM_AT : NVM_AT + 3])
        number = min(stored[2] + 1, 255) if stored[:2] == b"SM" else 1
        if number <= MOST_COUNTED:  # the memory wears out
            nvm[NVM_AT : NVM_AT + 3] = b"SM" + bytes((number,))
        return number
    except (OSError, RuntimeError, TypeError, ValueError, MemoryError):
        return LIMIT  # nothing is printed: print() may block for ever, see app/log.py


if __name__ == "__main__" and is_unclean_reset(supervisor.runtime.safe_mode_reason):
    number = count(microcontroller.nvm)
    time.sleep(PAUSE_S * number if number < LIMIT else LONG_PAUSE_S)
    microcontroller.reset()
