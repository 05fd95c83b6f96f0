# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The screen of several batteries: which page has its turn, and those that one battery does not have. Loaded only with several.

The trouble of each battery comes first, with its label; of the readings, those of the bank first. `label`: a battery's name;
`bank` has raw(key) like a Pack, and `online` and `count`, how many of its batteries are online and how many there are.
"""

from battery.alarms import LEVEL_NAMES, PROTECTION, active
from battery.readings import READING
from battery.text import decimal_text

from . import pages
from .pages import BESIDE_BIG, COLUMNS, SHORT, TALL, UNKNOWN, Page, between, fitted, plain

FEW = 3  # batteries whose cells are shown, too: with more it would take a minute until a page is there again
OVERVIEW_KEYS = ("soc", "pack_voltage", "current", "power", "remaining_capacity", "rated_capacity")
CELLS_KEYS = (
    "max_cell_voltage",
    "max_voltage_cell",
    "max_cell_battery",
    "min_cell_voltage",
    "min_voltage_cell",
    "min_cell_battery",
    "cell_voltage_delta",
    "max_temperature",
    "max_temperature_battery",
)
ENERGY_KEYS = ("energy_charged", "energy_discharged", "remaining_capacity")
SHORT_LABEL = 8  # characters of a label that is not alone in its line


class Several:
    """The pages of these Battery tuples and of their bank. `screen`: turns them, and has those of the network."""

    def __init__(self, screen, batteries, bank, rows, is_turned):
        self._screen = screen
        self._batteries = batteries
        self._bank = Known(bank)
        self._rows = rows
        self._is_turned = is_turned
        self.is_alarm = False  # the page made last is an alarm's

    def steps(self, trouble):
        """Make the page that has its turn: yields None after each piece of a millisecond or two, and then the page.

        `trouble`: the network's, in words.
        """
        screen = self._screen
        activity: list = []
        grave = []
        silent = []
        online = []
        for battery in self._batteries:
            found = active(battery.pack) or []
            link = battery.poller.diagnosis.short
            activity.append((found, link[:1], battery.pack.raw("mode")))
            grave += [(battery, fault) for fault in found if fault[1] >= PROTECTION]
            if link:
                silent.append((battery, link))
            else:
                online.append((battery, found))
            yield None
        screen.note_activity(activity)
        self.is_alarm = len(grave) > 0
        if grave:
            which = screen.current_page(len(grave))
            battery, fault = grave[which]
            turn = f"{which + 1}/{len(grave)}" if len(grave) > 1 else ""
            yield alarm(battery.pack, fault, turn, self._rows, battery.label)
            return
        reasons = screen.reasons(trouble)
        self._bank.count_online()
        yield None
        problems = len(silent) + len(reasons)
        readings = self._count_readings(len(online))
        which = screen.current_page(problems + readings + screen.count_more())
        if which < len(silent):
            battery, link = silent[which]
            yield no_bms(link, trouble, self._rows, battery.label)
        elif which < problems:
            yield reasons[which - len(silent)]
        elif which >= problems + readings:
            yield screen.more(which - problems - readings)
        else:
            which -= problems
            keys = self._bank_keys(which, readings)
            for key in keys:
                self._bank.look(key)
                yield None
            yield self._reading(which, readings, online, pages.first_words(trouble))

    def _count_readings(self, online):
        """How many pages of readings there are."""
        if not online:
            return 0
        if not self._is_turned:
            return 1
        return 2 * self._bank_pages() + online * (2 if len(self._batteries) <= FEW else 1)

    def _bank_pages(self):
        """How many pages come before those of the batteries, and how many after: a bank that lacks one has no sums to show."""
        return 2 if self._bank.online == self._bank.count else 1

    def _bank_keys(self, index, count):
        """What this page says of the bank."""
        if index == 0:
            return OVERVIEW_KEYS
        if self._bank_pages() == 1 or 1 < index != count - 2:
            return ()
        return CELLS_KEYS if index == 1 else ENERGY_KEYS

    def _reading(self, index, count, online, notice):
        """The bank, its cells, each battery that is online, with its warnings, the energy of all, and the network."""
        ends = self._bank_pages()
        which = index - ends
        if 0 <= which < count - 2 * ends:
            battery, found = online[which % len(online)]
            notice = pages.warning(found) or notice
            if which < len(online):
                return overview(battery.pack, self._rows, notice, battery.label)
            return cells(battery.pack, self._rows, notice, battery.label)
        if index and index == count - 1:
            return self._screen.network(notice)
        for battery, found in online:
            if found:
                notice = warning(found, battery.label)
                break
        if index == 0:
            return bank_overview(self._bank, self._rows, notice)
        return (bank_cells if index == 1 else bank_energy)(self._bank, self._rows, notice)


class Known:
    """What is known of the bank: each of its values takes a look at all batteries, so only one is taken at a time."""

    def __init__(self, bank):
        self._bank = bank
        self._raw: dict = {}
        self.count = bank.count
        self.online = 0

    def count_online(self):
        """Look how many batteries are online."""
        self.online = self._bank.online

    def look(self, key):
        """Look at one value."""
        self._raw[key] = self._bank.raw(key)

    def raw(self, key):
        """It, as it was then."""
        return self._raw[key]


# One of the batteries


def no_bms(link, trouble, rows, label):
    """Why this one has no data: `link` is the reason in two lines, `trouble` that of the network; "": none."""
    lines = [plain(label), link[0]]
    if link[1]:
        lines.append(link[1])
    if len(lines) < rows:
        lines += [""] * (rows - 1 - len(lines)) + [pages.first_words(trouble)]
    return pages.text_page(lines, rows)


def alarm(pack, fault, which, rows, label):
    """An active protection or fault: its name, whose it is, and charge, voltage and current where there is room for them.

    `fault` is (name, level), `which` is "1/2" when there are several, else "".
    """
    name, level = fault
    label = plain(label)
    lines = ["  " + word for word in pages.wrap(name, COLUMNS - 2)[:2]]
    if rows == SHORT and len(lines) > 1:
        lines.append(_ends(label, which))
    elif rows == SHORT:
        lines += ["  " + label, between(pages.percent(pack) + " " + pages.short(pack, "current", "A"), which)]
    else:
        lines += [""] * (2 - len(lines)) + [label, LEVEL_NAMES[level] + " " + which]
        lines += [between(pages.percent(pack), pages.short(pack, "pack_voltage", "V"))]
        lines += [between(pages.watts(pack), pages.short(pack, "current", "A"))]
    return Page(fitted(lines, rows), "!", None, b"")


def warning(found, label):
    """Its most severe warning in the last line of a page that is not its own."""
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return (plain(label)[:SHORT_LABEL] + ": " + found[0][0])[: COLUMNS - len(more)] + more


def overview(pack, rows, notice, label):
    """As that of the only battery, with the label in the second line; on the small screen the power takes the bar's place."""
    lines = [between(BESIDE_BIG + pages.short(pack, "pack_voltage", "V"), pages.short(pack, "current", "A"))]
    lines.append(BESIDE_BIG + plain(label))
    if rows == SHORT:
        lines.append(notice or between(pages.watts(pack), pages.shown(pack, "mode")))
    else:
        lines += ["", between(pages.watts(pack), pages.with_unit(pack, "remaining_capacity", 1, "Ah"))]
        lines += [between(pages.range_of(pack, "temperature", "C"), pages.delta(pack)), notice or pages.remaining_time(pack)]
    return Page(fitted(lines, rows), pages.percent(pack), pack.raw("soc") if rows == TALL else None, b"")


def cells(pack, rows, notice, label):
    """As those of the only battery, with label and delta in the first line; the small screen has no room for cells' numbers."""
    lines = [_ends(plain(label), pages.narrow_delta(pack))]
    if rows == TALL:
        lines += [pages.extreme(pack, "max"), pages.extreme(pack, "min"), "", "", notice]
    else:
        low = pages.shown(pack, "min_cell_voltage")
        lines += [low and low + " to " + pages.shown(pack, "max_cell_voltage") + " V", notice]
    bars = pages.cell_bars(pack, pages.BAR_HEIGHTS[rows]) if rows == TALL or not notice else b""
    return Page(fitted(lines, rows), "", None, bars)


# The bank


def bank_overview(bank, rows, notice):
    """State of charge, voltage, current and power of all batteries together, and how many of them are online."""
    lines = [
        between(BESIDE_BIG + pages.short(bank, "pack_voltage", "V"), pages.short(bank, "current", "A")),
        between(BESIDE_BIG + f"{bank.online} of {bank.count}", _narrow_power(bank)),
        notice if rows == SHORT else "",
    ]
    if rows == TALL:
        lines += [between("left", _amount(bank, "remaining_capacity", "Ah"))]
        lines += [between("of", _amount(bank, "rated_capacity", "Ah")), notice]
    return Page(fitted(lines, rows), pages.percent(bank), bank.raw("soc") if rows == TALL or not notice else None, b"")


def bank_cells(bank, rows, notice):
    """The highest and the lowest cell of all batteries and whose they are, their delta, and the highest temperature."""
    raw = bank.raw("cell_voltage_delta")
    delta = UNKNOWN if raw is None else f"{raw} mV"
    lines = [_bank_extreme(bank, "max"), _bank_extreme(bank, "min")]
    if rows == TALL:
        hottest = bank.raw("max_temperature")
        owner = plain(bank.raw("max_temperature_battery") or "")
        lines += [between("delta", delta), "", _beginning(f"max {UNKNOWN if hottest is None else hottest} C", owner), notice]
    else:
        lines.append(notice or between("delta", delta))
    return Page(fitted(lines, rows), "", None, b"")


def bank_energy(bank, rows, notice):
    """Energy charged and discharged of all batteries, and how much is left."""
    lines = [between("in", _amount(bank, "energy_charged", "kWh")), between("out", _amount(bank, "energy_discharged", "kWh"))]
    left = between("left", _amount(bank, "remaining_capacity", "Ah"))
    lines += [left, "", "", notice] if rows == TALL else [notice or left]
    return Page(fitted(lines, rows), "", None, b"")


def _ends(label, right):
    """A label, as much of it as there is room for, and a text at the end of the line."""
    return between(label[: COLUMNS - 1 - len(right)], right)


def _beginning(left, label):
    """A text at the beginning of the line, and as much of a label as there is room for at its end."""
    return between(left, label[: COLUMNS - 1 - len(left)])


def _amount(bank, key, unit):
    """A value with one decimal."""
    raw = bank.raw(key)
    return UNKNOWN if raw is None else decimal_text(raw // 10 ** (READING[key].decimals - 1), 1) + " " + unit


def _narrow_power(bank):
    """The power in at most 6 characters: in kilowatts where watts are longer."""
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
    number = f" #{bank.raw(which + '_voltage_cell')}"
    owner = plain(bank.raw(which + "_cell_battery") or "")[: COLUMNS - 10 - len(number)]
    return between(f"{which} {decimal_text(voltage, 3)}", owner + number)
