# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Whether the board has the memory that the firmware needs: one that has not says so, instead of failing again and again."""

import gc
import time

from .version import VERSION
from .watchdog import feed_if_running

# Free bytes at the start: with less it certainly fails. `make size` finds 235 KB as the smallest heap on 32-bit words with the
# screen, of which 183 are in use all the time and some 25 have been taken here. No board without PSRAM has it: an ESP32-S3 has
# 163 KB (circuitpython#9120) before Wi-Fi takes about 40 of them (esp-idf#7186); with PSRAM it is 2 MB or more.
NEEDED = 200000
# From so many on the page in the browser is on without a setting: PSRAM has 2 MB and more, everything else less than 0.3
ROOM = 1000000
# At most, of each further battery: the second takes 29 KB, with what only several need, others 13 (half of 64-bit words)
OF_A_BATTERY = 30000
PAGE_S = 4  # how long each page of the sentence is shown
REPEAT_PAGES = 15  # the sentence is printed again after so many: once a minute, for a terminal that is opened later


def check():
    """Return the free bytes if that is enough memory; None: it is not known.

    If there is not, say it on console and screen, and wait until the power is cut.
    """
    free = free_bytes()
    if free is None or free >= NEEDED:
        return free
    words = (
        f"This board has {free // 1000} KB of memory for Python, the bridge needs {NEEDED // 1000}: "
        "use a board with PSRAM, see docs/HARDWARE.md."
    )
    print(words)
    try:
        from .hardware import make_screen
        from .settings import load

        settings = load()
        screen = make_screen(settings, settings.problems, VERSION, settings)
    except (MemoryError, ImportError):
        screen = None  # the console has it
    pages = 0
    while True:
        if screen is not None:
            screen.show_text(words, pages)
        for _ in range(PAGE_S):
            feed_if_running()
            time.sleep(1)
        pages += 1
        if pages % REPEAT_PAGES == 0:
            print(words)


def has_room(free):
    """Whether there is memory for what is nice to have; `free`: bytes at the start, None: not known, as on a PC."""
    return free is None or free >= ROOM


def limit_batteries(settings, free):
    """Leave out the last batteries if the memory, of which there were `free` bytes at the start, is not enough for all."""
    if free is None or len(settings.boards) == 1:
        return
    most = 1 + (free - NEEDED) // OF_A_BATTERY
    if len(settings.boards) > most:
        settings.problems.append(
            f"This board has {free // 1000} KB of memory for Python, {len(settings.boards)} batteries need "
            f"{(NEEDED + (len(settings.boards) - 1) * OF_A_BATTERY) // 1000}: only the first {most} are read; "
            "use a board with PSRAM."
        )
        settings.keep_boards(most)


def free_bytes():
    """Bytes that Python can still get; None on a PC.

    gc.mem_free() counts what the heap has and the largest piece that it can still grow by (py/modgc.c with
    MICROPY_GC_SPLIT_HEAP_AUTO, CircuitPython 9 and later). Wi-Fi takes its share when its module is imported.
    """
    if not hasattr(gc, "mem_free"):
        return None
    try:
        __import__("wifi")
    except MemoryError:
        return 0
    gc.collect()
    return gc.mem_free()
