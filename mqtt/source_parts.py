# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The numbers of the discovery messages on sources: each has a range of its own, since its rows may grow."""

MOST = 16  # messages of a source


def first_part_of(index, after):
    """Number of the first message on the source with this index; `after`: how many messages there are on everything else."""
    return after + index * MOST


def place_of(part, after):
    """(index of the source, index of the message): the reverse."""
    return (part - after) // MOST, (part - after) % MOST
