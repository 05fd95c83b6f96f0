# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The picture of `make demo` in docs/screens: the live view with what the firmware publishes of a simulated BMS."""

from __future__ import annotations

import io

from PIL import Image
from rich.console import Console

from battery.json import LARGEST, STATE, Writer, pack_steps
from host.dashboard import Dashboard
from host.keys import Keys
from host.known import Known

COLUMNS, ROWS = 120, 34


class _Picture:
    """A screen that shows one picture, as host/ssd1306.py."""

    bytes = 1
    visible = True

    def __init__(self, picture: Image.Image):
        self.rows = 32
        scale = picture.height // self.rows
        self._image = picture.convert("L").resize((picture.width // scale, self.rows), Image.Resampling.NEAREST)
        self._image = self._image.point(lambda level: 255 * (level > 60)).convert("1")

    def image(self) -> Image.Image:
        return self._image


def drawn(picture: Image.Image, wire) -> bytes:
    """The SVG. `picture`: of the OLED; `wire`: a conversation with a simulated BMS, of tests/simulation.py."""
    console = Console(
        record=True, width=COLUMNS, height=ROWS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    known = Known(clock=lambda: 0.0, stamp=lambda: "12:00:07")
    view = Dashboard(_Picture(picture), _TITLE, known, Keys(lambda sentence: None, [""], True), console=console)
    known.connected()
    for topic, payload in _messages(wire):
        known.take("daly/02da1bc0ffee/" + topic, payload)
    for line in _CONSOLE:
        view.line(line)
    console.print(view.render(), end="")
    return console.export_svg(title="make demo", unique_id="demo").encode()


_TITLE = ("http://127.0.0.1:8080/", "broker 127.0.0.1:1883", "simulated BMS")
_CONSOLE = (
    "host: broker 127.0.0.1:1883 (embedded; to watch: mosquitto_sub -p 1883 -t '#' -v)",
    "BMS: OK",
    "MQTT: connected to 127.0.0.1:1883",
    "BMS: the sign of the current is normal",
)


def _messages(wire) -> list[tuple[str, str]]:
    writer = Writer(LARGEST)
    for _ in pack_steps(writer, wire.pack, seq=11, part=STATE):
        pass
    bridge = '{"version":"1.0.0","uptime":42,"rssi":-50,"restart_reason":"power_on","frames_ok":1312,'
    bridge += '"checksum_errors":0,"protocol":"A5"}'
    return [
        ("bms1/state", bytes(writer.bytes()).decode()),
        ("status", "online"),
        ("bms1/status", "online"),
        ("bms1/connection", wire.poller.diagnosis.text),
        ("state", bridge),
    ]
