# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The model of the SSD1306, by itself and under the real driver, displayio and bitmap_label, down to the pixels."""

import pytest

from host import chip
from host.ssd1306 import SSD1306


def commands(*codes: int) -> bytes:
    return bytes(byte for code in codes for byte in (0x80, code))


def lit(image) -> set:
    pixels = image.load()
    return {(x, y) for y in range(image.height) for x in range(image.width) if pixels[x, y]}


@pytest.fixture
def screen():
    """A 128x32 module, switched on as its driver does, its memory empty."""
    model = SSD1306()
    model.write(commands(0xA8, 31, 0x20, 0x00, 0xA1, 0xC8, 0x8D, 0x14, 0xAF))
    return model


def test_a_byte_is_eight_pixels_downwards(screen):
    screen.write(commands(0x21, 5, 127, 0x22, 1, 3) + b"\x40\x81")
    assert lit(screen.image()) == {(5, 8), (5, 15)}


def test_horizontal_addressing_goes_on_in_the_windows_next_page(screen):
    screen.write(commands(0x21, 10, 11, 0x22, 0, 1) + b"\x40\x01\x01\x02")
    assert lit(screen.image()) == {(10, 0), (11, 0), (10, 9)}


def test_vertical_addressing_goes_down_first(screen):
    screen.write(commands(0x20, 0x01, 0x21, 0, 1, 0x22, 0, 1) + b"\x40\x01\x01\x01")
    assert lit(screen.image()) == {(0, 0), (0, 8), (1, 0)}


def test_page_addressing_stays_in_its_page(screen):
    screen.write(commands(0x20, 0x02, 0xB1, 0x0F, 0x17) + b"\x40\x01\x01")
    assert lit(screen.image()) == {(127, 8), (0, 8)}


def test_a_command_may_be_cut_by_the_end_of_a_write(screen):
    screen.write(commands(0x81))
    screen.write(commands(0x33))
    assert screen.contrast == 0x33


def test_control_bytes_for_a_run_and_for_a_single_byte(screen):
    screen.write(b"\x00\x21\x00\x7f\x22\x00\x03")
    screen.write(b"\xc0\x01\x80\xa7\xc0\x00\x80\xa6")
    assert lit(screen.image()) == {(0, 0)}
    assert not screen.inverted


def test_invert_all_on_and_off(screen):
    screen.write(commands(0xA7))
    assert len(lit(screen.image())) == 128 * 32
    screen.write(commands(0xA6, 0xA5))
    assert len(lit(screen.image())) == 128 * 32
    screen.write(commands(0xAE))
    assert not lit(screen.image())


def test_without_the_charge_pump_it_stays_dark(screen):
    screen.write(commands(0x8D, 0x10, 0xA5))
    assert not lit(screen.image())


def test_without_remap_and_reversal_the_picture_stands_on_its_head(screen):
    screen.write(commands(0x21, 0, 127, 0x22, 0, 3) + b"\x40\x01" + commands())
    screen.write(commands(0xA0, 0xC0))
    assert lit(screen.image()) == {(127, 31)}


def test_sixty_four_rows(screen):
    screen.write(commands(0xA8, 63, 0x21, 0, 127, 0x22, 7, 7) + b"\x40\x80")
    assert screen.image().size == (128, 64)
    assert lit(screen.image()) == {(0, 63)}


def test_start_line_turns_the_picture(screen):
    screen.write(commands(0x21, 0, 127, 0x22, 0, 7, 0x48) + b"\x40" + bytes(128) + b"\x01")
    assert lit(screen.image()) == {(0, 0)}


def test_traffic_is_counted():
    model = SSD1306()
    model.write(b"\x40\x00\x00")
    assert (model.writes, model.bytes) == (1, 3)


def test_the_picture_for_people_is_larger_and_framed(screen):
    screen.write(commands(0x21, 0, 127, 0x22, 0, 3) + b"\x40\x01")
    picture = screen.picture()
    assert picture.size == (128 * 4 + 16, 32 * 4 + 16)
    assert picture.getpixel((0, 0)) != picture.getpixel((5, 5))
    assert picture.getpixel((8, 8)) == picture.getpixel((11, 11)) != picture.getpixel((12, 12))


# Under the real driver


@pytest.fixture
def board_display(monkeypatch):
    """displayio as on the board, one module at 0x3C."""
    import displayio

    from host import displays

    displays.install()
    displayio.release_displays()
    model = SSD1306()
    monkeypatch.setattr(chip, "devices", {0x3C: model})
    yield model
    displayio.release_displays()


def open_display(address: int = 0x3C, height: int = 32):
    import adafruit_displayio_ssd1306
    import board
    import busio
    import displayio
    from i2cdisplaybus import I2CDisplayBus

    displayio.release_displays()
    wires = busio.I2C(board.SCL, board.SDA)
    try:
        bus = I2CDisplayBus(wires, device_address=address)
    except ValueError:
        wires.deinit()  # else the pins stay in use
        raise
    return adafruit_displayio_ssd1306.SSD1306(bus, width=128, height=height, auto_refresh=False)


def draw(display, text: str):
    import displayio
    import terminalio
    from adafruit_display_text import bitmap_label

    group = displayio.Group()
    group.append(bitmap_label.Label(terminalio.FONT, text=text, x=0, y=6))
    display.root_group = group
    display.refresh()


def test_text_arrives_as_the_fonts_own_pixels(board_display):
    import terminalio

    draw(open_display(), "7")
    glyph = terminalio.FONT.get_glyph(ord("7"))
    drawn = {(x, y) for y in range(glyph.height) for x in range(glyph.width) if glyph.bitmap[x, y]}
    shown = lit(board_display.image())
    left, top = min(x for x, _ in shown), min(y for _, y in shown)
    assert {(x - left, y - top) for x, y in shown} == {
        (x - min(a for a, _ in drawn), y - min(b for _, b in drawn)) for x, y in drawn
    }
    assert left < 6 and top < 12


def test_sixty_four_row_modules_work_too(board_display):
    draw(open_display(height=64), "7")
    assert board_display.image().size == (128, 64)
    assert lit(board_display.image())


def test_the_font_has_no_glyph_beyond_ascii(board_display):
    import terminalio

    assert terminalio.FONT.get_glyph(0x7E) is not None
    assert terminalio.FONT.get_glyph(ord("°")) is None


def test_no_module_at_all_is_no_pull_up(board_display, monkeypatch):
    monkeypatch.setattr(chip, "devices", {})
    with pytest.raises(RuntimeError, match="No pull up found"):
        open_display()


def test_nobody_at_the_address_is_a_value_error_and_can_be_tried_again(board_display):
    with pytest.raises(ValueError, match="Unable to find I2C Display at 3d"):
        open_display(address=0x3D)
    assert open_display()


def test_a_module_pulled_off_raises_nothing_and_draws_again_when_back(board_display):
    display = open_display()
    draw(display, "1")
    chip.devices.clear()
    draw(display, "2")
    chip.devices[0x3C] = board_display
    draw(display, "1")
    assert lit(board_display.image())


def test_the_i2c_bus_refuses_a_second_lock(board_display):
    import board
    import busio

    with busio.I2C(board.SCL, board.SDA) as bus:
        with pytest.raises(RuntimeError, match="Function requires lock"):
            bus.scan()
        assert bus.try_lock() and not bus.try_lock()
        assert bus.scan() == [0x3C]
        with pytest.raises(OSError, match="No such device"):
            bus.writeto(0x20, b"\x00")
        with pytest.raises(ValueError, match="SCL in use"):
            busio.I2C(board.SCL, board.SDA)
    with pytest.raises(ValueError, match="deinitialized"):
        bus.try_lock()
