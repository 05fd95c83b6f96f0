"""Stand-in for CircuitPython's micropython: constants are ordinary values here."""


def const(expr):
    return expr
