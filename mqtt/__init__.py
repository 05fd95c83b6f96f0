# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""MQTT: the client and its transport, what is published when, commands received, and Home Assistant's discovery."""

import sys


def unload(name):
    """Free the memory of a module of this package; the next import loads it again."""
    if __name__ + "." + name in sys.modules:
        del sys.modules[__name__ + "." + name]
        delattr(sys.modules[__name__], name)
