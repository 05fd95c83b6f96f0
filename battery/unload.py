# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Frees the memory of a module that is needed seldom; the next import loads it again."""

import sys


def unload(name):
    """Forget the module `name`, such as "app.advice". What still refers to it, or to a function of it, keeps it in memory."""
    if name in sys.modules:
        del sys.modules[name]
        package, _, module = name.partition(".")
        if hasattr(sys.modules.get(package), module):
            delattr(sys.modules[package], module)
