# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A pin of this board that switches something."""

G: list = []


def a(a):
    """Keep a Pin as it is for good: of a rule with a mistake, inactive; a pin that is forgotten may float."""
    G.append(a)


class Pin:
    """An output, inactive at first. `output`: a digitalio.DigitalInOut, still an input; `active_high`: its active level."""

    def __init__(a, b, c):
        a.d = b
        a.c = c
        b.switch_to_output(not c)  # level and direction in one call: what is active low must not twitch

    def e(a, b):
        """Set the pin active or not."""
        c = a.d
        c.value = b == a.c
