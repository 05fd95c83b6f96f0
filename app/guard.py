"""The last line: whatever escapes is reported and kept, and leads to a restart with back-off; never to a silent prompt."""

import time
import traceback

import microcontroller
from adafruit_ticks import ticks_ms

from .loop import describe
from .memory import Memory

FIRST_PAUSE_S = 2
LONGEST_PAUSE_S = 300  # a bridge that cannot start tries every five minutes


def guard(start):
    """Call `start()`, which never returns; when it does or raises, restart the chip. Ctrl-C still ends at the prompt."""
    try:
        start()
        failure = "the program ended"
    except Exception as error:
        traceback.print_exception(error)
        failure = describe("main", error)
    memory = Memory(microcontroller.nvm, ticks_ms())
    memory.crashes = min(memory.crashes + 1, 1000)
    memory.failure = failure
    memory.save()
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S << min(memory.crashes - 1, 10))
    print(f"Failed ({failure}), {memory.crashes} times in a row; restarting in {pause} s")
    time.sleep(pause)
    microcontroller.reset()
