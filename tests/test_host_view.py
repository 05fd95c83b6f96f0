# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Pictures as text, and whole lines from pieces."""

from PIL import Image

from host.view import Lines, braille, half_blocks


def dots(*points) -> Image.Image:
    image = Image.new("1", (4, 4))
    for point in points:
        image.putpixel(point, 1)
    return image


def test_half_blocks_hold_two_rows():
    assert half_blocks(dots((0, 0), (1, 1), (2, 0), (2, 1))) == ["▀▄█ ", "    "]


def test_braille_holds_two_by_four():
    assert braille(dots((0, 0), (1, 3))) == ["\u2881\u2800"]
    assert braille(dots(*((x, y) for x in range(4) for y in range(4)))) == ["⣿⣿"]


def test_lines_are_handed_on_whole():
    heard = []
    console = Lines(heard.append)
    print("a", "b", end="", file=console)
    assert heard == []
    print("c\r\nd", file=console)
    assert heard == ["a bc", "d"]
