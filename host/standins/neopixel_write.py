# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's neopixel_write: the bytes of the first pixel, green first, are seen by host.chip."""

from host import chip as _chip


def neopixel_write(digitalinout, buf) -> None:
    green, red, blue = buf[:3]
    _chip.light(digitalinout._pin._name, tuple(100 * level // 255 for level in (red, green, blue)))
    _chip.clock.transfer(len(buf) * 8 * 1.25e-6 + 80e-6)  # 800 kHz, and the pause that ends a message
