# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Whether the board has the memory that the firmware needs: one that has not says so, instead of failing again and again."""

import gc
import time


from app.early import g

# Free bytes at the start: with less it certainly fails. `make size` finds 244 KB as the smallest heap on 32-bit words with the
# screen, of which 185 are in use all the time. No board without PSRAM has it: an ESP32-S3 has 163 KB (circuitpython#9120)
# before Wi-Fi takes about 40 of them (esp-idf#7186); with PSRAM it is 2 MB or more.

# From so many on the page in the browser is on without a setting: PSRAM has 2 MB and more, everything else less than 0.3

# At most, of each further battery: the second takes 29 KB, with what only several need, others 13 (half of 64-bit words)

  # how long each page of the sentence is shown
  # the sentence is printed again after so many: once a minute, for a terminal that is opened later


def a():
    """Return the free bytes if that is enough memory; None: it is not known.

    If there is not, say it on console and screen, and wait until the power is cut.
    """
    a = c()
    if a is None or a >= 220000:
        return a
    b = (
        f"This board has {a // 1000} KB of memory for Python, the bridge needs {220000 // 1000}: "
        "use a board with PSRAM, see docs/HARDWARE.md."
    )
    print(b)
    try:
        from .hardware import f as d
        from .settings import load as e

        f = e()
        h = d(f, f.problems, '0.1.0', f)
    except (MemoryError, ImportError):
        h = None  # the console has it
    i = 0
    while True:
        if h is not None:
            h.V(b, i)
        for j in range(4):
            g()
            time.sleep(1)
        i += 1
        if i % 15 == 0:
            print(b)


def b(a):
    """Whether there is memory for what is nice to have; `free`: bytes at the start, None: not known, as on a PC."""
    return a is None or a >= 1000000


def d(a, b):
    """Leave out the last batteries if the memory, of which there were `free` bytes at the start, is not enough for all."""
    if b is None or len(a.boards) == 1:
        return
    c = 1 + (b - 220000) // 30000
    if len(a.boards) > c:
        a.problems.append(
            f"This board has {b // 1000} KB of memory for Python, {len(a.boards)} batteries need "
            f"{(220000 + (len(a.boards) - 1) * 30000) // 1000}: only the first {c} are read; "
            "use a board with PSRAM."
        )
        a.l(c)


def c():
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
