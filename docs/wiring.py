# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Draws docs/wiring: the wiring as SVG. Run it after a change: .venv/bin/python docs/wiring.py"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parent / "wiring"
PLUS, GROUND, OTHER_GROUND, TO_BOARD, TO_BMS, NEVER = "#c62828", "#212121", "#8d6e63", "#1565c0", "#2e7d32", "#d50000"
PITCH = 34  # between two pins


class Drawing:
    """Boxes with pins, wires between them, and text."""

    def __init__(self, width: int, height: int, title: str):
        self.size = width, height
        self.title = title
        self.pins: dict[str, tuple[int, int]] = {}
        self.parts: list[str] = []

    def box(self, name: str, x: int, y: int, width: int, left=(), right=(), fill="#eceff1", below="") -> None:
        """A box named `name`; its pins are known as "name.pin" afterwards."""
        height = 44 + PITCH * max(len(left), len(right))
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="#546e7a"/>')
        self.words(x + width // 2, y + 22, name, "middle", bold=True)
        if below:
            self.words(x + width // 2, y + height + 18, below, "middle", size=13, color="#546e7a")
        for pins, side, anchor, inset in ((left, x, "start", 10), (right, x + width, "end", -10)):
            for index, pin in enumerate(pins):
                place = side, y + 50 + PITCH * index
                self.pins[f"{name}.{pin}"] = place
                self.parts.append(
                    f'<circle cx="{place[0]}" cy="{place[1]}" r="4.5" fill="#fff" stroke="#37474f" stroke-width="2"/>'
                )
                self.words(place[0] + inset, place[1] + 5, pin, anchor)

    def wire(self, start: str, end: str, color: str, label: str = "", via: int | None = None, dashed: bool = False) -> None:
        """A wire between two pins, straight or with a step at x = `via`."""
        (x1, y1), (x2, y2) = self.pins[start], self.pins[end]
        path = f"M{x1} {y1} H{via} V{y2} H{x2}" if via else f"M{x1} {y1} L{x2} {y2}"
        dash = ' stroke-dasharray="8 6"' if dashed else ""
        self.parts.insert(0, f'<path d="{path}" fill="none" stroke="{color}" stroke-width="3"{dash}/>')
        if label:
            self.words((x1 + (via or x2)) // 2, y1 - 8, label, "middle", size=13, color=color)

    def barrier(self, x: int, y: int, height: int, text: str) -> None:
        """A vertical line that no wire may cross."""
        path = f'<path d="M{x} {y} v{height}" stroke="{NEVER}" stroke-width="3" stroke-dasharray="4 5"/>'
        self.parts.append(path)
        self.words(x, y - 8, text, "middle", size=13, color=NEVER)

    def words(self, x: int, y: int, text: str, anchor="start", size=15, color="#212121", bold=False) -> None:
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{color}"{weight}>{escape(text)}</text>'
        )

    def svg(self) -> str:
        width, height = self.size
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        head += f'font-family="DejaVu Sans, Verdana, sans-serif" role="img"><title>{escape(self.title)}</title>'
        return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#fff"/>', *self.parts, "</svg>\n"])


def uart() -> Drawing:
    drawing = Drawing(860, 300, "BMS to board through the isolator")
    drawing.box("BMS socket", 20, 50, 150, right=("3.3 V", "TX", "RX", "GND (B−)"), fill="#fff3e0", below="battery side")
    drawing.box(
        "Isolator ADUM1201", 320, 50, 220, ("VDD1", "IN 1", "OUT 1", "GND1"), ("VDD2", "OUT 2", "IN 2", "GND2"), "#e8f5e9"
    )
    drawing.box("ESP32 board", 690, 50, 150, left=("3V3", "RX", "TX", "GND"), fill="#e3f2fd", below="board's side")
    for pin, here, color, label in (
        ("3.3 V", "VDD1", PLUS, ""),
        ("TX", "IN 1", TO_BOARD, "responses"),
        ("RX", "OUT 1", TO_BMS, "requests"),
        ("GND (B−)", "GND1", OTHER_GROUND, "battery ground"),
    ):
        drawing.wire(f"BMS socket.{pin}", f"Isolator ADUM1201.{here}", color, label)
    for pin, here, color, label in (
        ("3V3", "VDD2", PLUS, ""),
        ("RX", "OUT 2", TO_BOARD, "responses"),
        ("TX", "IN 2", TO_BMS, "requests"),
        ("GND", "GND2", GROUND, "board ground"),
    ):
        drawing.wire(f"Isolator ADUM1201.{here}", f"ESP32 board.{pin}", color, label)
    drawing.barrier(430, 90, 122, "")
    drawing.words(430, 266, "no wire crosses this line", "middle", 13, NEVER)
    drawing.words(
        430, 284, "bare chip: VDD1 1, OUT 1 2, IN 1 3, GND1 4, GND2 5, OUT 2 6, IN 2 7, VDD2 8", "middle", 12, "#546e7a"
    )
    return drawing


def power() -> Drawing:
    drawing = Drawing(860, 400, "Powering the board")
    drawing.box("Cells", 20, 30, 130, right=("B+", "B−"), fill="#fff3e0")
    drawing.box("BMS", 270, 30, 150, ("B+ ", "B−"), ("P+", "P−"), "#fff3e0", below="switches between B− and P−")
    drawing.box("Load, charger, inverter", 570, 30, 270, left=("plus", "minus"), fill="#eceff1")
    drawing.wire("Cells.B+", "BMS.B+ ", PLUS)
    drawing.wire("Cells.B−", "BMS.B−", OTHER_GROUND, "battery ground")
    drawing.wire("BMS.P+", "Load, charger, inverter.plus", PLUS)
    drawing.wire("BMS.P−", "Load, charger, inverter.minus", GROUND, "power ground")
    x1, y1 = drawing.pins["Cells.B−"]
    x2, _ = drawing.pins["Load, charger, inverter.minus"]
    path = f"M{x1 + 30} {y1} V190 H{x2 - 30} V{y1}"
    drawing.parts.insert(0, f'<path d="{path}" fill="none" stroke="{NEVER}" stroke-width="3" stroke-dasharray="4 6"/>')
    drawing.words(360, 215, "✗  never connect B− and P−, not even through USB, screen or shield  ✗", "middle", 14, NEVER, True)
    drawing.box("USB charger", 20, 250, 150, right=("5 V", "GND"), fill="#f3e5f5", below="from the mains")
    drawing.box("ESP32 board", 270, 250, 150, left=("5 V (USB)", "GND"), fill="#e3f2fd")
    drawing.wire("USB charger.5 V", "ESP32 board.5 V (USB)", PLUS)
    drawing.wire("USB charger.GND", "ESP32 board.GND", GROUND)
    for line, text in enumerate((
        "Or instead of the charger: a 5 V converter at P+ and P−,",
        "with a fuse, made for the battery's full voltage.",
        "Not at B−, not at one cell, and not at the 3.3 V of the",
        "BMS's socket, which cannot feed a board.",
    )):  # fmt: skip
        drawing.words(460, 290 + 20 * line, text, size=13)
    return drawing


def oled() -> Drawing:
    drawing = Drawing(620, 240, "The screen")
    drawing.box("OLED, I²C", 40, 30, 150, right=("VCC", "GND", "SDA", "SCL"), below="SSD1306 or SH1106")
    drawing.box("ESP32 board", 420, 30, 160, left=("3V3", "GND", "SDA", "SCL"), fill="#e3f2fd", below="OLED_SDA, OLED_SCL")
    for screen, board, color in (
        ("VCC", "3V3", PLUS),
        ("GND", "GND", GROUND),
        ("SDA", "SDA", TO_BOARD),
        ("SCL", "SCL", TO_BMS),
    ):
        drawing.wire(f"OLED, I²C.{screen}", f"ESP32 board.{board}", color)
    return drawing


def wake() -> Drawing:
    drawing = Drawing(860, 230, "The wake pin, through an optocoupler")
    drawing.box("ESP32 board", 20, 50, 150, right=("WAKE_PIN", "GND"), fill="#e3f2fd")
    drawing.box("1 kΩ", 250, 50, 70, ("a",), ("b",), "#fffde7")
    drawing.box("Optocoupler PC817", 400, 50, 200, ("LED +", "LED −"), ("collector", "emitter"), "#e8f5e9")
    drawing.box("BMS button", 700, 50, 140, left=("plus", "minus"), fill="#fff3e0", below="S1, or the button's wires")
    drawing.wire("ESP32 board.WAKE_PIN", "1 kΩ.a", TO_BMS)
    drawing.wire("1 kΩ.b", "Optocoupler PC817.LED +", TO_BMS)
    drawing.wire("ESP32 board.GND", "Optocoupler PC817.LED −", GROUND, via=360)
    drawing.wire("Optocoupler PC817.collector", "BMS button.plus", OTHER_GROUND)
    drawing.wire("Optocoupler PC817.emitter", "BMS button.minus", OTHER_GROUND)
    drawing.barrier(500, 80, 72, "")
    drawing.words(
        430, 215, "the optocoupler closes the contact as a finger would; measure which wire is plus", "middle", 13, "#546e7a"
    )
    return drawing


def rs485() -> Drawing:
    drawing = Drawing(860, 270, "RS485 through an isolated transceiver")
    drawing.box("BMS socket RS485", 20, 50, 180, right=("A", "B", "GND"), fill="#fff3e0", below="battery side")
    drawing.box("Isolated RS485 module", 330, 50, 230, ("A", "B", "GND bus"), ("VCC", "RO / TXD", "DI / RXD", "GND"), "#e8f5e9")
    drawing.box("ESP32 board", 690, 50, 150, left=("3V3", "RX", "TX", "GND"), fill="#e3f2fd", below="board's side")
    drawing.wire("BMS socket RS485.A", "Isolated RS485 module.A", TO_BOARD)
    drawing.wire("BMS socket RS485.B", "Isolated RS485 module.B", TO_BMS)
    drawing.wire("BMS socket RS485.GND", "Isolated RS485 module.GND bus", OTHER_GROUND, "battery ground")
    for module, board, color in (
        ("VCC", "3V3", PLUS),
        ("RO / TXD", "RX", TO_BOARD),
        ("DI / RXD", "TX", TO_BMS),
        ("GND", "GND", GROUND),
    ):
        drawing.wire(f"Isolated RS485 module.{module}", f"ESP32 board.{board}", color)
    drawing.barrier(445, 90, 130, "")
    drawing.words(445, 258, "with automatic direction: there is no setting for a direction pin", "middle", 13, "#546e7a")
    return drawing


DRAWINGS = {"uart": uart, "power": power, "oled": oled, "wake": wake, "rs485": rs485}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, make in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(make().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
