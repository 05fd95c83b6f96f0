# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The contents of the screen: pure functions that return a Page. A number that is not known is not shown, and of a reading that
does not exist there is not even a name.

A screen has 3 lines of 21 characters (128x32 pixels) or 6 (128x64): `rows`. The board's font has printable ASCII only. The
README's troubleshooting explains the texts.
"""

from collections import namedtuple

from battery.alarms import LEVEL_NAMES
from battery.readings import READING
from battery.text import decimal_text

COLUMNS = 21  # the board's font is 6 pixels wide
SHORT = 3  # lines of a screen with 32 rows of pixels
TALL = 6  # and of one with 64
UNKNOWN = "--"
FULL = 1000  # `bar` of a full battery: 100.0 %
BIG = 4  # large characters
BESIDE_BIG = " " * 8  # they are as wide as eight small ones
LEAST_RANGE = 60  # mV that the cell bars span at least: with less a balanced pack would look unbalanced
BAR_HEIGHTS = {SHORT: 11, TALL: 18}  # pixels

Page = namedtuple(
    "Page",
    (
        "lines",  # SHORT or TALL texts of at most COLUMNS characters
        "big",  # at most BIG characters of double size, at the left of the first two lines
        "bar",  # a battery in the third line, filled from 0 to FULL; None: none is drawn
        "cells",  # bytes: the height of one bar a cell, 0 for not known; b"": none is drawn
    ),
)

# Before there are readings, and when something is wrong


def starting(version, waiting_for, rows=SHORT):
    """The first page: name, version and what is waited for."""
    return text_page(["Daly MQTT " + version] + wrap(waiting_for)[: rows - 1], rows)


def no_bms(link, version, trouble, rows=SHORT):
    """Why there is no data: `link` is the reason in two lines, `trouble` that of the network; "": none."""
    lines = [link[0], link[1]] if link[1] else ["Daly MQTT " + version, link[0]]
    return text_page(lines + [""] * (rows - SHORT) + [first_words(trouble)], rows)


def message(text, rows=SHORT):
    """A sentence of any length, as one page or several."""
    lines = wrap(text)
    return [text_page(lines[first : first + rows], rows) for first in range(0, len(lines), rows)]


def alarm(pack, fault, which, rows=SHORT):
    """An active protection or fault: its name, and charge, voltage and current.

    `fault` is (name, level), `which` is "1/2" when there are several, else "".
    """
    name, level = fault
    words = wrap(name, COLUMNS - 2)
    lines = ["  " + word for word in (words + [""])[:2]]
    numbers = " ".join((percent(pack), short(pack, "pack_voltage", "V"), short(pack, "current", "A")))
    if rows == TALL:
        lines += ["", LEVEL_NAMES[level] + " " + which, numbers, watts(pack)]
    else:
        lines.append(between(numbers, which))
    return Page(fitted(lines, rows), "!", None, b"")


# The codes of mqtt/trouble.py for which the sentence is too long; {} is the network's name.
_WIFI_WORDS = {
    "wifi_password": "No Wi-Fi: wrong password?",
    "wifi_not_found": 'No Wi-Fi "{}" not found: name right? 2.4 GHz? near enough?',
}


def is_waiting(trouble):
    """Whether the MQTT client is still busy with its first step, which is no trouble yet."""
    return trouble[0] in ("connecting", "joining")


def network_words(trouble, joined):
    """The MQTT client's trouble (code, details) in short words; None: use its sentence. `joined`: there is Wi-Fi."""
    code, details = trouble
    if is_waiting(trouble):
        return "Calling broker ..." if joined else "Joining Wi-Fi ..."
    words = _WIFI_WORDS.get(code)
    return words and words.format(*details)


# The battery


def overview(pack, rows=SHORT, notice=""):
    """State of charge as number and bar, voltage, current, power. `notice` replaces the last line."""
    lines = [
        between(BESIDE_BIG + short(pack, "pack_voltage", "V"), short(pack, "current", "A")),
        between(BESIDE_BIG, watts(pack)),
        notice if rows == SHORT else "",
    ]
    if rows == TALL:
        lines += [
            between(shown(pack, "mode"), with_unit(pack, "remaining_capacity", 1, "Ah")),
            between(range_of(pack, "temperature", "C"), delta(pack)),
            notice or remaining_time(pack),
        ]
    bar = pack.raw("soc") if rows == TALL or not notice else None
    return Page(fitted(lines, rows), percent(pack), bar, b"")


def cells(pack, rows=SHORT, notice=""):
    """Highest and lowest cell, the cell voltage delta, and a bar for each cell."""
    lines = [extreme(pack, "max"), extreme(pack, "min")]
    if rows == TALL:
        lines += [_named("delta", delta(pack)), "", "", notice]
    else:
        lines.append(notice or between("", narrow_delta(pack)))  # in five characters: the rest is for the bars
    bars = cell_bars(pack, BAR_HEIGHTS[rows]) if rows == TALL or not notice else b""
    return Page(fitted(lines, rows), "", None, bars)


def energy(pack, rows=SHORT, notice=""):
    """Energy charged and discharged, and the time to full or empty."""
    lines = [
        _named("in", with_unit(pack, "energy_charged", 1, "kWh")),
        _named("out", with_unit(pack, "energy_discharged", 1, "kWh")),
    ]
    if rows == TALL:
        lines.append(_named("left", with_unit(pack, "remaining_capacity", 1, "Ah")))
        lines.append(_named("cycles", shown(pack, "cycle_count")))
        lines = [line for line in lines if line] + [remaining_time(pack), notice]
    else:
        lines.append(notice or remaining_time(pack))
    return Page(fitted(lines, rows), "", None, b"")


def network(address, signal, broker, version, rows=SHORT, notice=""):
    """Our address, the Wi-Fi's signal in dBm, the broker as host:port, our version; None for what is not known."""
    decibels = "" if signal is None else f"{signal} dBm"
    notice = plain(notice)
    lines = [plain(address or "no Wi-Fi"), between(decibels, "v" + version), plain(broker)]
    if rows == TALL:
        lines = ["Daly MQTT " + version, "", lines[0], decibels, lines[2], notice]
    elif notice:
        lines[2] = notice
    return Page(fitted(lines, rows), "", None, b"")


def warning(found):
    """The text for the last line; `found`: active alarms as (name, level), most severe first. "" when there are none."""
    if not found:
        return ""
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return found[0][0][: COLUMNS - len(more)] + more


def cell_bars(pack, height):
    """A byte for each cell: the highest is `height`; `height` pixels are the cell voltage delta, at least LEAST_RANGE."""
    row = READING["cell_{}_voltage"]
    count = pack.count(row)
    known = [raw for raw in [pack.at(row, index) for index in range(count)] if raw is not None]
    if not known:
        return b""
    highest = max(known)
    span = max(highest - min(known), LEAST_RANGE)
    bars = bytearray(count)
    for index in range(count):
        raw = pack.at(row, index)
        if raw is not None:
            bars[index] = max(1, height - (highest - raw) * height // span)
    return bytes(bars)


# Words and lines


def wrap(text, width=COLUMNS):
    """`text` as lines broken between words; a word longer than a line is broken, too."""
    lines = [""]
    for word in plain(text).split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
            continue
        while word:
            if lines[-1]:
                lines.append("")
            lines[-1] = word[:width]
            word = word[width:]
    return lines


def first_words(text):
    """The beginning of a sentence in one line: all before the first colon, or as many words as fit."""
    text = plain(text.split(":")[0])
    return text if len(text) <= COLUMNS else wrap(text)[0]


def text_page(lines, rows):
    return Page(fitted(lines, rows), "", None, b"")


def fitted(lines, rows):
    """Exactly `rows` lines, none too long."""
    while len(lines) < rows:
        lines.append("")
    return tuple([line if len(line) <= COLUMNS else line[:COLUMNS] for line in lines])


def plain(text):
    """Printable ASCII only, as in the board's font; names from the settings may have other characters."""
    for char in text:
        if not " " <= char <= "~":  # seldom: else the text is itself, and costs no heap
            return "".join([char if " " <= char <= "~" else "?" for char in text])
    return text


def between(left, right, width=COLUMNS):
    """Two texts at the ends of a line."""
    return left + " " * max(1, width - len(left) - len(right)) + right


def _named(name, text):
    """A line with a name and its reading; "" for one that does not exist."""
    return between(name, text) if text else ""


def shown(pack, key):
    row = READING[key]
    return (pack.text(row) or UNKNOWN) if pack.has(row) else ""


def with_unit(pack, key, decimals, unit):
    """A reading with fewer decimals than it has."""
    raw = pack.raw(key)
    row = READING[key]
    if not pack.has(row):
        return ""
    return UNKNOWN if raw is None else decimal_text(raw // 10 ** (row.decimals - decimals), decimals) + " " + unit


def short(pack, key, unit):
    """A reading followed directly by its unit; the decimal is left out from 1000 (raw) on."""
    raw = pack.raw(key)
    if raw is None:
        return UNKNOWN
    if abs(raw) < 1000:
        return decimal_text(raw, 1) + unit
    return ("-" if raw < 0 else "") + decimal_text((abs(raw) + 5) // 10, 0) + unit


def percent(pack):
    """Whole percent, rounded down: 100 % is full, nothing else."""
    soc = pack.raw("soc")
    return UNKNOWN + "%" if soc is None else f"{soc // 10}%"


def watts(pack):
    power = pack.raw("power")
    return UNKNOWN if power is None else decimal_text((power + 50) // 100, 0) + " W"


def delta(pack):
    if not pack.has(READING["cell_voltage_delta"]):
        return ""
    raw = pack.raw("cell_voltage_delta")
    return UNKNOWN if raw is None else f"{raw} mV"


def narrow_delta(pack):
    if not pack.has(READING["cell_voltage_delta"]):
        return ""
    raw = pack.raw("cell_voltage_delta")
    if raw is None:
        return UNKNOWN
    return f"{raw}mV" if raw < 1000 else decimal_text(raw // 10, 2) + "V"


def extreme(pack, which):
    """The highest ("max") or lowest ("min") cell and its voltage."""
    if not pack.has(READING[which + "_cell_voltage"]):
        return ""
    number = pack.raw(which + "_voltage_cell")
    voltage = shown(pack, which + "_cell_voltage")
    return between(which + " " + voltage + " V", f"cell {UNKNOWN if number is None else number}")


def range_of(pack, what, unit):
    if not pack.has(READING["max_" + what]):
        return ""
    low = shown(pack, "min_" + what)
    high = shown(pack, "max_" + what)
    return (low if low == high else low + " to " + high) + " " + unit


def remaining_time(pack):
    for key, words in (("time_to_full", "full in "), ("time_to_empty", "empty in ")):
        hundredths = pack.raw(key)  # of an hour
        if hundredths is not None:
            minutes = hundredths * 60 // 100
            return words + (f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min")
    return shown(pack, "mode")
