# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A time of day as it is written in the settings. Loaded only where one is."""


def minute_of(text):
    """540 of "9:00" or "09:00", minutes since midnight; None: it is no time of the day."""
    hour, colon, minute = text.partition(":")
    for digits in (hour, minute):
        if len(digits) not in (1, 2) or [char for char in digits if not "0" <= char <= "9"]:
            return None
    if not colon or len(minute) != 2 or int(hour) > 23 or int(minute) > 59:
        return None
    return 60 * int(hour) + int(minute)


def span_of(text):
    """(begin, end) of "22:00-07:00" in minutes of the day; None: it is not understood."""
    parts = [minute_of(part.strip()) for part in text.split("-")]
    return None if len(parts) != 2 or None in parts else tuple(parts)
