# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The numbers of the discovery messages on sources: each has a range of its own, since its rows may grow."""

PER_MESSAGE = 5  # entities in one message: up to 650 bytes each, as most have their own availability
_MOST = 16  # messages of a source


def part_of(first_part, index, message):
    """Number of a message on the source with this index; `first_part`: the number of the first one of all."""
    return first_part + index * _MOST + message


def place_of(part, first_part):
    """(index of the source, index of the message): the reverse."""
    return (part - first_part) // _MOST, (part - first_part) % _MOST
