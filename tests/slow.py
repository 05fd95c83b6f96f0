# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which tests are slow: all that need a process, a socket or real time, found by what they use, and those marked by hand."""

import sys
import threading
import time
from types import CodeType, FunctionType, ModuleType

# Whoever uses one of these, itself or through a helper or fixture of its file, starts a process, opens a socket or waits.
MODULES = {"multiprocessing", "mosquitto", "processes", "pty", "select", "socket", "subprocess", "terminal", "web_workflow"}
EVENTS = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "socket.bind",
    "socket.connect",
    "subprocess.Popen",
}
USED = set()  # of EVENTS, by the test that runs


def watch():
    """Note in USED what makes a test slow. An audit hook cannot be taken back, so this is called once."""
    sleep = time.sleep
    ours = threading.get_ident()  # other threads are pytest-xdist's

    def note(event, _=None):
        if event in EVENTS and threading.get_ident() == ours:
            USED.add(event)

    def noted(seconds):
        note("time.sleep")
        sleep(seconds)

    time.sleep = noted
    sys.addaudithook(note)


def is_slow(item):
    """Whether a test, one of its fixtures, or a helper that they call uses one of MODULES."""
    scope = vars(item.module)
    waiting = [item.function] + [scope[name] for name in item.fixturenames if name in scope]
    seen = set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if MODULES.intersection(_origin(thing)):
            return True
        waiting += [scope[name] for name in _names(thing, item.module.__name__) if name in scope]
    return False


def _origin(thing):
    """The parts of the name of the module that something is or comes from."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return (name or "").split(".")


def _names(thing, module):
    """The global names that a function, fixture or class of the file uses."""
    thing = getattr(thing, "__wrapped__", None) or getattr(thing, "_get_wrapped_function", lambda: thing)()
    inner = getattr(getattr(thing, "hypothesis", None), "inner_test", None)
    if inner is not None:
        thing = inner
    if isinstance(thing, FunctionType):
        yield from _names_of_code(thing.__code__)
    elif isinstance(thing, type) and thing.__module__ == module:
        for part in vars(thing).values():
            part = getattr(part, "__func__", getattr(part, "fget", part))
            if isinstance(part, FunctionType):
                yield from _names_of_code(part.__code__)


def _names_of_code(code):
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names_of_code(part)
