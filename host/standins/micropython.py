# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's micropython: constants are ordinary values here."""


def const(expr):
    return expr
