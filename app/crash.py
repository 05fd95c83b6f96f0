# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The crash handler: an exception that nothing else catches is printed, stored, and restarts the chip with back-off."""

import sys
import time

import microcontroller
from adafruit_ticks import ticks_ms

from battery.unload import unload

from .log import install, print_error
from .loop import describe
from .nvm_store import NvmStore
from .watchdog import feed_if_running

FIRST_PAUSE_S = 2
LONGEST_PAUSE_S = 300  # a bridge that cannot start tries every five minutes


def run(start):
    """Call `start()` and run the Loop it returns, None: nothing. Returns the exception that ended it, None: it ended itself."""
    install()
    try:
        loop = start()
        _unload_main()
        if loop is not None:
            loop.run()
    except Exception as error:
        return error
    return None


def restart(error):
    """Print and store why the program ended, and restart the chip after a pause. Ctrl-C ends at the prompt.

    It is not the caller of `run`: below everything that the firmware calls, it would be on the call stack for ever.
    """
    pause = LONGEST_PAUSE_S
    try:
        failure = "the program ended"
        if error is not None:
            print_error(error)
            failure = describe("main", error)
        pause = store(failure)
    except Exception as other:  # no memory left even for that
        print("The crash handler failed:", other)
    for _ in range(pause):
        time.sleep(1)
        feed_if_running()
    microcontroller.reset()


def _unload_main():
    """Unload app.main, of which nothing is used any more, and empty it.

    A board's garbage collection takes any word in memory that looks like a pointer for one: a single one to a function would
    keep the whole module. One did, 4.4 KB of 32-bit words.
    """
    module = sys.modules.get("app.main")
    unload("app.main")
    for name in dir(module):
        if not name.startswith("__"):
            delattr(module, name)


def store(failure):
    """Store the failure. Returns the seconds to wait before the restart: twice as many after each failed boot in a row."""
    nvm_store = NvmStore(microcontroller.nvm, ticks_ms())
    if failure != nvm_store.failure:
        nvm_store.set_failure(failure)
        nvm_store.save()
    boots = max(1, nvm_store.failed_boots)
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S << min(boots - 1, 10))
    print(f"Failed ({failure}), {boots} times in a row; restarting in {pause} s")
    return pause
