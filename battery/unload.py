# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Modules that are needed seldom: loads them one at a time while the loop runs, and frees their memory."""

import sys

LOADS = -1  # returned by a job of the loop: its next call loads a module, which takes an ESP32-S2 up to 55 ms

_kept: list = []


def keep(name):
    """The module `name` is needed all the time: whoever unloads it after his own use leaves it from now on."""
    _kept.append(name)


def load_next(names):
    """Load the first of these modules that is not in memory; returns whether there was one. Raises MemoryError."""
    for name in names:
        if name not in sys.modules:
            __import__(name)
            return True
    return False


def unload(name):
    """Forget the module `name`, such as "app.advice". What still refers to it, or to a function of it, keeps it in memory."""
    if name in sys.modules and name not in _kept:
        del sys.modules[name]
        package, _, module = name.partition(".")
        if hasattr(sys.modules.get(package), module):
            delattr(sys.modules[package], module)
