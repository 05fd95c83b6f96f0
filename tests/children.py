# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Processes started by tests end with them: a check after each test and file, and the system if pytest itself is killed.

Linux only; elsewhere nothing is checked.
"""

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
END_LIMIT_S = 60  # a process that was terminated or has lost its standard input has ended by then
IS_LINUX = sys.platform == "linux"


def adopt_orphans():
    """A process that loses its parent becomes a child of this one, so that it is found."""
    if IS_LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_us():
    """From now on the system kills every process started here when this one ends, however it ends."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def before_it_begins():
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # we have ended already

    usual = subprocess.Popen.__init__

    @functools.wraps(usual)
    def start(self, *arguments, **options):
        options.setdefault("preexec_fn", before_it_begins)
        usual(self, *arguments, **options)

    if IS_LINUX:
        subprocess.Popen.__init__ = start


def left():
    """{process id: command line} of the running children of this process."""
    found = {}
    for thread in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for number in thread.read_text().split():
                folder = Path("/proc", number)
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if state != "Z":
                    found[int(number)] = words
    return found


def end_those_left(before):
    """Kill the children that still run and did not `before`; returns their command lines."""
    end = time.monotonic() + END_LIMIT_S
    while (new := {number: words for number, words in left().items() if number not in before}) and time.monotonic() < end:
        time.sleep(0.02)
    for number in new:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return sorted(new.values())
