"""Writes what is read off the code into the pages: tables of docs/MQTT.md, the access list of docs/SECURITY.md, the layout in
CONTRIBUTING.md.

    .venv/bin/python docs/generate.py            everything
    .venv/bin/python docs/generate.py --check    says what is not current, and exits with status 1

In a page, what stands between `<!-- made: NAME -->` and `<!-- end: NAME -->` is made here, by the function in MAKERS.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT / "host" / "standins", ROOT):  # appended: the root's code.py has the name of a standard module
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from app.bridge_state import ROWS  # noqa: E402
from battery.alarms import ALARMS, BITFIELDS, FAULT, FAULTS, LEVEL_NAMES  # noqa: E402
from battery.controls import CONTROLS  # noqa: E402
from battery.pack import Pack  # noqa: E402
from battery.readings import (  # noqa: E402
    BINARY,
    BITFIELD,
    DATE,
    DISABLED,
    ENUM,
    GROUPS,
    MAIN,
    NUMBER,
    READINGS,
    TEXT,
)
from daly.a5 import BLOCKS, alarm_bits  # noqa: E402
from mqtt.homeassistant import Discovery  # noqa: E402

PAGES = (ROOT / "docs" / "MQTT.md", ROOT / "docs" / "SECURITY.md", ROOT / "CONTRIBUTING.md")
AGAIN = ".venv/bin/python docs/generate.py"

# What a reading's name alone does not say.
NOTES = {
    "current": "positive = charging",
    "power": "pack voltage × current; positive = charging",
    "energy_charged": "total, counted by the bridge",
    "energy_discharged": "total, counted by the bridge",
    "capacity_charged": "total, counted by the bridge",
    "capacity_discharged": "total, counted by the bridge",
    "mode": "what the BMS says; compare `current`",
    "heartbeat": "counts up while the BMS lives; it is not the number of cycles",
    "remaining_capacity": "as the BMS reckons it",
    "remaining_time": "to full or to empty at the mean current of some minutes; `null` while idle",
    "time_to_full": "`null` unless charging",
    "time_to_empty": "`null` unless discharging",
    "problem": "ON while any alarm is active",
    "active_alarms": "see [Alarms](#alarms)",
    "fault_code": "its values are not documented",
    "charger_connected": "OFF in every capture known, also while charging: use `mode`",
    "load_connected": "OFF in every capture known, also under load: use `mode`",
    "max_cell_voltage": "of the cells, while all of them are known; else what the BMS says",
    "min_cell_voltage": "the same",
    "cell_voltage_delta": "highest less lowest cell voltage of the same moment",
    "max_voltage_cell": "number of that cell",
    "min_voltage_cell": "number of that cell",
    "max_temperature": "of the sensors, while all of them are known; else what the BMS says",
    "min_temperature": "the same",
    "max_temperature_sensor": "number of that sensor",
    "min_temperature_sensor": "number of that sensor",
    "balancing": "ON while any cell is being balanced",
    "sleep_time": "after how long the BMS falls asleep; `null`: never",
    "cell_{}_voltage": "as many as `cell_count` says",
    "cell_{}_balancing": "as many as `cell_count` says",
    "temperature_{}": "as many as `temperature_count` says; `null`: no sensor there",
}
# What the keys of <base>/state mean.
BRIDGE_NOTES = {
    "version": "version of this firmware",
    "uptime": "time since the last boot, s",
    "restart_reason": "the chip's reset reason",
    "rssi": "Wi-Fi signal, dBm",
    "ip_address": "IP address of the bridge",
    "free_memory": "bytes; `null` on a PC",
    "mqtt_connects": "connections to the broker since the start",
    "boot_count": "boots since the firmware was installed",
    "safe_modes": "safe modes in a row (brown-out, crash), each ended by a reset",
    "last_failure": "the last error inside the firmware, stored over restarts, or `none`",
    "loop_time_max": "longest pass of the loop since the last state, ms",
    "frames_ok": "valid frames of the BMS",
    "checksum_errors": "frames with a wrong checksum",
    "timeouts": "requests without a response in time",
    "echoes": "own requests that were received",
    "implausible_values": "values that were impossible, or implausible and not confirmed by a second reading",
    "poll_cycle": "time for one cycle of the poll schedule, ms",
    "oldest_reading_age": "age of the oldest reading that is still published, ms",
    "request_gap": "pause before each request, as measured for this board, ms",
    "host_address": "host address of the requests (64 is 0x40)",
    "current_sign": "`normal`, `inverted` or `not settled yet`",
    "discovery_errors": "discovery messages that could not be made or sent; retried every 10 minutes",
    "settings_problems": "what is wrong with settings.toml, or `none`; what does not fit into 255 characters is counted: `+2`",
}
FOLDERS = ("battery", "daly", "mqtt", "display", "app", "host", "host/standins", "simulator", "campaigns", "campaigns/faults")
FOLDERS += ("tools",)


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        outdated = outdated_pages()
        for path in outdated:
            print(f"{path.relative_to(ROOT)} is not current; run: {AGAIN}")
        raise SystemExit(1 if outdated else 0)
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    for page in PAGES:
        page.write_text(made(page.read_text()))


def outdated_pages() -> list[Path]:
    """The pages that do not say what the code says."""
    return [page for page in PAGES if page.read_text() != made(page.read_text())]


def made(text: str) -> str:
    """A page's text with all its made parts made anew."""
    for name, maker in MAKERS.items():
        begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->"
        before, found, rest = text.partition(begin)
        if found:
            text = before + begin + maker() + "\n" + end + rest.partition(end)[2]
    return text


# Tables of docs/MQTT.md


def battery() -> str:
    """One row for each reading of the table."""
    head = _row("Key", "Meaning", "Unit", "Step", "Deadband", "Limits", "Requested", "A5", "Home Assistant")
    rows = [
        _row(
            "`" + row.key.replace("{}", "1") + "`" + (" …" if row.slots > 1 else ""),
            row.name.replace("{}", "1") + (": " + NOTES[row.key] if row.key in NOTES else ""),
            row.unit or "",
            _step(row),
            _deadband(row),
            _limits(row),
            _requested(row),
            _source(row),
            {MAIN: "main", DISABLED: "diagnostic, off"}.get(row.category, "diagnostic"),
        )
        for row in READINGS
        if row.kind != BITFIELD
    ]
    return "\n".join([head, "|---" * 9 + "|", *rows])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _step(row) -> str:
    if row.kind == NUMBER:
        return f"{10**-row.decimals:.{row.decimals}f}"
    return {BINARY: "ON, OFF", ENUM: ", ".join(row.options or ()), TEXT: "text", DATE: "YYYY-MM-DD"}[row.kind]


def _deadband(row) -> str:
    if row.kind != NUMBER or row.deadband == 1:
        return ""
    if not row.deadband:
        return "published with the one above"
    return f"{row.deadband / 10**row.decimals:g}" + (f" or 1/{row.deadband_share} of it" if row.deadband_share else "")


def _limits(row) -> str:
    if row.kind != NUMBER or not any(row in block.rows for block in BLOCKS):
        return ""
    return f"{row.low / 10**row.decimals:g} to {row.high / 10**row.decimals:g}"


def _requested(row) -> str:
    period_ms = GROUPS[row.group].period_ms
    if period_ms is None:
        return "once"
    return f"every {period_ms / 1000:g} s" if period_ms else "always"


def _source(row) -> str:
    """The A5 function, and which of its data bytes (without the frame number)."""
    for block in BLOCKS:
        for field in block.fields:
            if field.row is row:
                return _place(block, field)
    return "calculated"


def _place(block, field) -> str:
    function, row = f"0x{block.function:02X}", field.row
    if row.kind == TEXT:
        return function
    if field.bit is not None and row.slots < 8:
        bits = f"bit {field.bit}" if row.slots == 1 else f"bits {field.bit}–{field.bit + row.slots - 1}"
        return f"{function} byte {field.offset} {bits}"
    if block.frames > 1:
        return f"{function}, {block.width // field.size} a frame"
    size = field.size if field.bit is None else (row.slots + 7) // 8
    return f"{function} byte {field.offset}" if size == 1 else f"{function} bytes {field.offset}–{field.offset + size - 1}"


def bridge() -> str:
    """One row for each key of the bridge's own state."""
    rows = [_row(f"`{row.key}`", BRIDGE_NOTES.get(row.key, "")) for row in ROWS]
    return "\n".join([_row("Key", "Meaning"), "|---" * 2 + "|", *rows])


def alarms() -> str:
    """One row for each alarm, with the levels it comes in and their bits."""
    levels: dict[str, list[str]] = {name: [] for name in (*ALARMS, *FAULTS)}
    for byte in range(7):
        for bit in range(8):
            payload = bytearray(8)
            payload[byte] = 1 << bit
            for level, bits in enumerate(alarm_bits(payload, [0] * BITFIELDS), 1):
                if bits:
                    name = (FAULTS if level == FAULT else ALARMS)[bits.bit_length() - 1]
                    levels[name].append(f"{LEVEL_NAMES[level]} {byte}.{bit}")
    rows = [_row(name, ", ".join(found)) for name, found in levels.items()]
    return "\n".join([_row("Alarm", "Levels, each with byte.bit of 0x98"), "|---" * 2 + "|", *rows])


def controls() -> str:
    """One row for each thing that may be asked for."""
    rows = []
    for row in CONTROLS:
        understood = (
            row.payloads.rstrip(",") if isinstance(row.payloads, str) else ", ".join(f"`{word}`" for word in row.payloads)
        )
        rows.append(_row(f"`{row.key}`", f"`<base>{row.topic}`", understood, f"{row.platform} *{row.name}*"))
    return "\n".join([_row("In `ALLOW_CONTROL`", "Topic", "Understands", "In Home Assistant"), "|---" * 4 + "|", *rows])


def acl() -> str:
    """Mosquitto's access list for one bridge: its own topics, and every message of discovery by its name."""
    discovery = Discovery("homeassistant", "daly/c0ffee", "c0ffee", "Daly BMS", Pack(), "", bridge_rows=ROWS)
    rules = ["user bridge", "topic readwrite daly/c0ffee/#", "topic read homeassistant/status"]
    rules += [f"topic write {discovery.message(part)[0]}" for part in range(discovery.parts())]
    return "\n".join(["```", *rules, "```"])


# The layout in CONTRIBUTING.md


def layout() -> str:
    """One line for each file of the firmware and the host: the first sentence of its docstring."""
    lines = [f"- `{name}`: {_first_sentence(name)}" for name in ("code.py", "safemode.py")]
    for folder in FOLDERS:
        package = f"{folder}/__init__.py"
        about = _first_sentence(package) if (ROOT / package).exists() else "The chip's own modules, as the board has them."
        lines += [f"- **`{folder}/`** {about}"]
        names = sorted(path.name for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py")
        lines += [f"  - `{name}`: {_first_sentence(f'{folder}/{name}')}" for name in names]
    return "\n".join(lines)


def _first_sentence(name: str) -> str:
    paragraph = (ast.get_docstring(ast.parse((ROOT / name).read_text())) or "").split("\n\n")[0]
    sentence = re.split(r"(?<=\.)\s", paragraph.replace("\n", " "), maxsplit=1)[0]
    return re.sub(r"^Stand-in for CircuitPython's \w+: ", "", sentence).replace("<", "&lt;")


MAKERS = {"battery": battery, "bridge": bridge, "alarms": alarms, "controls": controls, "acl": acl, "layout": layout}


if __name__ == "__main__":
    main()
