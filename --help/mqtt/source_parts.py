# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The numbers of the discovery messages on sources: each has a range of its own, since its rows may grow."""

  # entities in one message: up to 650 bytes each, as most have their own availability
  # messages of a source


def b(a, after):
    """Number of the first message on the source with this index; `after`: how many messages there are on everything else."""
    return after + a * 16


def a(a, after):
    """(index of the source, index of the message): the reverse."""
    return (a - after) // 16, (a - after) % 16
