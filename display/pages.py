# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The contents of the screen: pure functions that return a Page. A number that is not known is not shown, and of a reading that
does not exist there is not even a name.

A screen has 3 lines of 21 characters (128x32 pixels) or 6 (128x64): `rows`. The board's font has printable ASCII only. The
README's troubleshooting explains the texts. `label` is the battery's name on the page; "": there is only one battery.
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
SHORT_LABEL = 8  # characters of a label that is not alone in its line
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
    return _text_page(["Daly MQTT " + version] + wrap(waiting_for)[: rows - 1], rows)


def no_bms(link, version, trouble, rows=SHORT, label=""):
    """Why there is no data: `link` is the reason in two lines, `trouble` that of the network; "": none."""
    if label:
        lines = [_plain(label), link[0]]
        if link[1]:
            lines.append(link[1])
        return _text_page(lines + [""] * (rows - 1 - len(lines)) + [first_words(trouble)], rows)
    lines = [link[0], link[1]] if link[1] else ["Daly MQTT " + version, link[0]]
    return _text_page(lines + [""] * (rows - SHORT) + [first_words(trouble)], rows)


def message(text, rows=SHORT):
    """A sentence of any length, as one page or several."""
    lines = wrap(text)
    return [_text_page(lines[first : first + rows], rows) for first in range(0, len(lines), rows)]


def alarm(pack, fault, which, rows=SHORT, label=""):
    """An active protection or fault: its name, and charge, voltage and current.

    `fault` is (name, level), `which` is "1/2" when there are several, else "".
    """
    name, level = fault
    label = _plain(label)
    words = wrap(name, COLUMNS - 2)
    lines = ["  " + word for word in (words + [label])[:2]]
    if rows == SHORT and label and len(words) > 1:  # a long name leaves no room for the numbers
        return Page(_fitted(lines + [_between(label[: COLUMNS - 1 - len(which)], which)], rows), "!", None, b"")
    numbers = " ".join((_percent(pack), _short(pack, "pack_voltage", "V"), _short(pack, "current", "A")))
    if rows == TALL:
        lines += [label if len(words) > 1 else "", LEVEL_NAMES[level] + " " + which, numbers, _watts(pack)]
    else:
        lines.append(_between(numbers, which))
    return Page(_fitted(lines, rows), "!", None, b"")


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


def overview(pack, rows=SHORT, notice="", label=""):
    """State of charge as number and bar, voltage, current, power. `notice` replaces the last line, the label the power."""
    if label:
        return _labelled_overview(pack, rows, notice, label)
    lines = [
        _between(BESIDE_BIG + _short(pack, "pack_voltage", "V"), _short(pack, "current", "A")),
        _between(BESIDE_BIG, _watts(pack)),
        notice if rows == SHORT else "",
    ]
    if rows == TALL:
        lines += [
            _between(_shown(pack, "mode"), _with_unit(pack, "remaining_capacity", 1, "Ah")),
            _between(_range(pack, "temperature", "C"), _delta(pack)),
            notice or _remaining_time(pack),
        ]
    bar = pack.raw("soc") if rows == TALL or not notice else None
    return Page(_fitted(lines, rows), _percent(pack), bar, b"")


def _labelled_overview(pack, rows, notice, label):
    """The same with the label in the second line: the power is in a line below, on the small screen where else the bar is."""
    lines = [_between(BESIDE_BIG + _short(pack, "pack_voltage", "V"), _short(pack, "current", "A")), BESIDE_BIG + _plain(label)]
    if rows == SHORT:
        lines.append(notice or _between(_watts(pack), _shown(pack, "mode")))
        return Page(_fitted(lines, rows), _percent(pack), None, b"")
    lines += ["", _between(_watts(pack), _with_unit(pack, "remaining_capacity", 1, "Ah"))]
    lines += [_between(_range(pack, "temperature", "C"), _delta(pack)), notice or _remaining_time(pack)]
    return Page(_fitted(lines, rows), _percent(pack), pack.raw("soc"), b"")


def cells(pack, rows=SHORT, notice="", label=""):
    """Highest and lowest cell, the cell voltage delta, and a bar for each cell."""
    if label:
        return _labelled_cells(pack, rows, notice, label)
    lines = [_extreme(pack, "max"), _extreme(pack, "min")]
    if rows == TALL:
        lines += [_named("delta", _delta(pack)), "", "", notice]
    else:
        lines.append(notice or _between("", _narrow_delta(pack)))  # in five characters: the rest is for the bars
    bars = cell_bars(pack, BAR_HEIGHTS[rows]) if rows == TALL or not notice else b""
    return Page(_fitted(lines, rows), "", None, bars)


def _labelled_cells(pack, rows, notice, label):
    """The same with the label and the delta in the first line; the small screen has no room for the cells' numbers."""
    delta = _narrow_delta(pack)
    lines = [_between(_plain(label)[: COLUMNS - 1 - len(delta)], delta)]
    if rows == TALL:
        lines += [_extreme(pack, "max"), _extreme(pack, "min"), "", "", notice]
    else:
        low = _shown(pack, "min_cell_voltage")
        lines += [low and low + " to " + _shown(pack, "max_cell_voltage") + " V", notice]
    bars = cell_bars(pack, BAR_HEIGHTS[rows]) if rows == TALL or not notice else b""
    return Page(_fitted(lines, rows), "", None, bars)


# The bank of several batteries: `bank` has raw(key) like a Pack, and online and count, how many of them there are


def bank_overview(bank, rows=SHORT, notice=""):
    """The overview of all batteries together, and how many of them are online."""
    lines = [
        _between(BESIDE_BIG + _short(bank, "pack_voltage", "V"), _short(bank, "current", "A")),
        _between(BESIDE_BIG + f"{bank.online} of {bank.count}", _narrow_power(bank)),
        notice if rows == SHORT else "",
    ]
    if rows == TALL:
        lines += [
            _between("left", _amount(bank, "remaining_capacity", 1, "Ah")),
            _between("of", _amount(bank, "rated_capacity", 1, "Ah")),
            notice,
        ]
    return Page(_fitted(lines, rows), _percent(bank), bank.raw("soc") if rows == TALL or not notice else None, b"")


def bank_cells(bank, rows=SHORT, notice=""):
    """The highest and the lowest cell of all batteries and whose they are, their delta, and the highest temperature."""
    delta = bank.raw("cell_voltage_delta")
    delta = _between("delta" if rows == TALL else "", UNKNOWN if delta is None else f"{delta} mV")
    lines = [_bank_extreme(bank, "max"), _bank_extreme(bank, "min"), delta]
    if rows == TALL:
        hottest = bank.raw("max_temperature")
        owner = _plain(bank.raw("max_temperature_battery") or "")
        lines += ["", _between("" if hottest is None else f"max {hottest} C", owner[: COLUMNS - 9]), notice]
    elif notice:
        lines[2] = notice
    return Page(_fitted(lines, rows), "", None, b"")


def bank_energy(bank, rows=SHORT, notice=""):
    """Energy charged and discharged of all batteries, and how much is left."""
    lines = [
        _between("in", _amount(bank, "energy_charged", 1, "kWh")),
        _between("out", _amount(bank, "energy_discharged", 1, "kWh")),
        _between("left", _amount(bank, "remaining_capacity", 1, "Ah")),
    ]
    if rows == TALL:
        lines += ["", "", notice]
    elif notice:
        lines[2] = notice
    return Page(_fitted(lines, rows), "", None, b"")


def energy(pack, rows=SHORT, notice=""):
    """Energy charged and discharged, and the time to full or empty."""
    lines = [
        _named("in", _with_unit(pack, "energy_charged", 1, "kWh")),
        _named("out", _with_unit(pack, "energy_discharged", 1, "kWh")),
    ]
    if rows == TALL:
        lines.append(_named("left", _with_unit(pack, "remaining_capacity", 1, "Ah")))
        lines.append(_named("cycles", _shown(pack, "cycle_count")))
        lines = [line for line in lines if line] + [_remaining_time(pack), notice]
    else:
        lines.append(notice or _remaining_time(pack))
    return Page(_fitted(lines, rows), "", None, b"")


def network(address, signal, broker, version, rows=SHORT, notice=""):
    """Our address, the Wi-Fi's signal in dBm, the broker as host:port, our version; None for what is not known."""
    decibels = "" if signal is None else f"{signal} dBm"
    notice = _plain(notice)
    lines = [_plain(address or "no Wi-Fi"), _between(decibels, "v" + version), _plain(broker)]
    if rows == TALL:
        lines = ["Daly MQTT " + version, "", lines[0], decibels, lines[2], notice]
    elif notice:
        lines[2] = notice
    return Page(_fitted(lines, rows), "", None, b"")


def warning(found, owner=""):
    """The text for the last line; `found`: active alarms as (name, level), most severe first. "" when there are none.

    `owner`: the label of their battery, on a page that is not its own.
    """
    if not found:
        return ""
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    name = _plain(owner)[:SHORT_LABEL] + ": " + found[0][0] if owner else found[0][0]
    return name[: COLUMNS - len(more)] + more


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
    for word in _plain(text).split():
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
    text = _plain(text.split(":")[0])
    return text if len(text) <= COLUMNS else wrap(text)[0]


def _text_page(lines, rows):
    return Page(_fitted(lines, rows), "", None, b"")


def _fitted(lines, rows):
    """Exactly `rows` lines, none too long."""
    while len(lines) < rows:
        lines.append("")
    return tuple([line if len(line) <= COLUMNS else line[:COLUMNS] for line in lines])


def _plain(text):
    """Printable ASCII only, as in the board's font; names from the settings may have other characters."""
    return "".join([char if " " <= char <= "~" else "?" for char in text])


def _between(left, right, width=COLUMNS):
    """Two texts at the ends of a line."""
    return left + " " * max(1, width - len(left) - len(right)) + right


def _named(name, text):
    """A line with a name and its reading; "" for one that does not exist."""
    return _between(name, text) if text else ""


def _shown(pack, key):
    row = READING[key]
    return (pack.text(row) or UNKNOWN) if pack.has(row) else ""


def _with_unit(pack, key, decimals, unit):
    """A reading with fewer decimals than it has; "" for one that does not exist."""
    return _amount(pack, key, decimals, unit) if pack.has(READING[key]) else ""


def _amount(pack, key, decimals, unit):
    """The same for one that exists."""
    raw = pack.raw(key)
    return UNKNOWN if raw is None else decimal_text(raw // 10 ** (READING[key].decimals - decimals), decimals) + " " + unit


def _short(pack, key, unit):
    """A reading followed directly by its unit; the decimal is left out from 1000 (raw) on."""
    raw = pack.raw(key)
    if raw is None:
        return UNKNOWN
    if abs(raw) < 1000:
        return decimal_text(raw, 1) + unit
    return ("-" if raw < 0 else "") + decimal_text((abs(raw) + 5) // 10, 0) + unit


def _percent(pack):
    """Whole percent, rounded down: 100 % is full, nothing else."""
    soc = pack.raw("soc")
    return UNKNOWN + "%" if soc is None else f"{soc // 10}%"


def _watts(pack):
    power = pack.raw("power")
    return UNKNOWN if power is None else decimal_text((power + 50) // 100, 0) + " W"


def _narrow_power(bank):
    """The power in at most 6 characters: from 1000 W on in kilowatts where watts are longer."""
    power = bank.raw("power")  # in hundredths of a watt
    if power is None:
        return UNKNOWN
    text = decimal_text((power + 50) // 100, 0) + " W"
    if len(text) > 6:
        text = decimal_text((power + 5000) // 10000, 1) + "kW"
    return text if len(text) <= 6 else decimal_text((power + 50000) // 100000, 0) + "kW"


def _bank_extreme(bank, which):
    """The voltage of the highest ("max") or lowest ("min") cell, its battery and its number there."""
    voltage = bank.raw(which + "_cell_voltage")
    if voltage is None:
        return which + " " + UNKNOWN
    number = f" {bank.raw(which + '_voltage_cell')}"
    owner = _plain(bank.raw(which + "_cell_battery") or "")[: COLUMNS - 10 - len(number)]
    return _between(f"{which} {decimal_text(voltage, 3)}", owner + number)


def _delta(pack):
    if not pack.has(READING["cell_voltage_delta"]):
        return ""
    delta = pack.raw("cell_voltage_delta")
    return UNKNOWN if delta is None else f"{delta} mV"


def _narrow_delta(pack):
    if not pack.has(READING["cell_voltage_delta"]):
        return ""
    delta = pack.raw("cell_voltage_delta")
    if delta is None:
        return UNKNOWN
    return f"{delta}mV" if delta < 1000 else decimal_text(delta // 10, 2) + "V"


def _extreme(pack, which):
    """The highest ("max") or lowest ("min") cell and its voltage."""
    if not pack.has(READING[which + "_cell_voltage"]):
        return ""
    number = pack.raw(which + "_voltage_cell")
    voltage = _shown(pack, which + "_cell_voltage")
    return _between(which + " " + voltage + " V", f"cell {UNKNOWN if number is None else number}")


def _range(pack, what, unit):
    if not pack.has(READING["max_" + what]):
        return ""
    low = _shown(pack, "min_" + what)
    high = _shown(pack, "max_" + what)
    return (low if low == high else low + " to " + high) + " " + unit


def _remaining_time(pack):
    for key, words in (("time_to_full", "full in "), ("time_to_empty", "empty in ")):
        hundredths = pack.raw(key)  # of an hour
        if hundredths is not None:
            minutes = hundredths * 60 // 100
            return words + (f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min")
    return _shown(pack, "mode")
