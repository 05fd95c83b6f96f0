"""The last line: whatever escapes is reported and kept, and leads to a restart with back-off; never to a silent prompt."""

import time

import microcontroller
from adafruit_ticks import ticks_ms

from .log import install, print_error
from .loop import describe
from .nvm_store import Memory
from .watchdog import feed_if_running

FIRST_PAUSE_S = 2
LONGEST_PAUSE_S = 300  # a bridge that cannot start tries every five minutes


def guard(start):
    """Call `start()`, which never returns; when it does or raises, restart the chip. Ctrl-C still ends at the prompt."""
    install()
    pause = LONGEST_PAUSE_S
    try:
        pause = keep(run(start))
    except Exception as error:  # no memory left even for that
        print("Failed twice:", error)
    for _ in range(pause):
        time.sleep(1)
        feed_if_running()
    microcontroller.reset()


def run(start):
    """Call `start()` and say in 80 characters why it ended."""
    try:
        start()
    except Exception as error:
        print_error(error)
        return describe("main", error)
    return "the program ended"


def keep(failure):
    """Write the failure down; returns the seconds to wait, more with every start in a row that came to nothing."""
    memory = Memory(microcontroller.nvm, ticks_ms())
    if failure != memory.failure:
        memory.set(failure=failure)
        memory.save()
    starts = max(1, memory.starts)
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S << min(starts - 1, 10))
    print(f"Failed ({failure}), {starts} times in a row; restarting in {pause} s")
    return pause
