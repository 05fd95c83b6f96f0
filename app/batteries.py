# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The settings of several batteries: board numbers, a second and third UART, names. Loaded only if the file has one of them.

Number and key of a battery follow from its UART and its board number, so that taking one out or swapping two moves nothing.
"""

from .settings import BAUD_RATES, CHOICE, FILE, PIN, PROTOCOLS, TEXT, Board, Setting

MOST_BOARDS = 16  # on a line
MOST = 8  # batteries; app/nvm_store.py stores so many
UARTS = (1, 2, 3)


def _uart(number):
    return (
        Setting(f"UART_{number}_TX", PIN, "", 0, 20),
        Setting(f"UART_{number}_RX", PIN, "", 0, 20),
        Setting(f"UART_{number}_BAUD_RATE", CHOICE, 9600, BAUD_RATES, None),
        Setting(f"UART_{number}_PROTOCOL", CHOICE, "auto", PROTOCOLS, None),
        Setting(f"UART_{number}_BOARD_NUMBERS", TEXT, "", 0, 40),
    )


ROWS = (Setting("BMS_BOARD_NUMBERS", TEXT, "", 0, 40),) + _uart(2) + _uart(3)
ROWS += (Setting("BANK_WIRING", CHOICE, "parallel", ("parallel", "series"), None),)
_FOR_ALL = ("BMS_CELL_COUNT", "BMS_TEMPERATURE_COUNT", "CURRENT_SIGN")
_EXAMPLES = ("BMS_1_NAME", "BMS_2_NAME")  # what a mistyped name may be meant for


def known_keys():
    """The keys of these rows, and examples of the names."""
    return [row.key for row in ROWS] + list(_EXAMPLES)


def rows_for(keys):
    """The rows of several batteries, if one of them or the name of a battery is among these keys of a file; else none."""
    names = [Setting(key, TEXT, "", 0, 40) for key in sorted(keys) if number_of(key)]
    return ROWS + tuple(names) if names or [row for row in ROWS if row.key in keys] else ()


def number_of(key):
    """The number in BMS_<number>_NAME; 0: it is another key."""
    digits = key[4:-5]
    is_name = key[:4] == "BMS_" and key[-5:] == "_NAME" and digits.isdigit() and digits[0] != "0" and len(digits) < 4
    return int(digits) if is_name else 0


def board_numbers(text):
    """[1, 3, 4] of "1, 3 - 4"; None: it is not understood."""
    numbers: list = []
    for part in text.split(","):
        first, dash, last = [word.strip() for word in part.partition("-")]
        last = last if dash else first
        if not (_is_number(first) and _is_number(last)) or int(first) > int(last):
            return None
        for number in range(int(first), int(last) + 1):
            if number in numbers:
                return None
            numbers.append(number)
    return numbers


def _is_number(text):
    for char in text:
        if not "0" <= char <= "9":
            return False
    return 0 < len(text) < 3 and 1 <= int(text) <= MOST_BOARDS


def objection(text):
    """What is wrong with the value of a ..._BOARD_NUMBERS, as the rest of a sentence; None when it will do."""
    if board_numbers(text) is not None:
        return None
    return f'; write the numbers of the boards, each once, from 1 to {MOST_BOARDS}, as "1-4" or "1, 3-4"'


def resolve(settings):
    """The Boards of all batteries. What is wrong is added to the problems."""
    found = []  # (number, UART, board number)
    for uart in UARTS:
        found += _of_uart(settings, uart)
    if len(found) > MOST:
        left_out = ", ".join([str(number) for number, _, _ in found[MOST:]])
        settings.problems.append(
            f"{FILE}: {MOST} batteries at most can be read, these are {len(found)}, so not {left_out}; use a second bridge."
        )
        found = found[:MOST]
    given = [key for key in _FOR_ALL if settings.has(key) and settings.value(key) not in (0, "auto")]
    if len(found) > 1 and given:
        verb = "counts" if len(given) == 1 else "count"
        settings.hints.append(
            f"{settings.where(given[0])}{''.join([' and ' + key for key in given[1:]])} {verb} for all batteries; "
            "remove what does not hold for each of them."
        )
    return _named(settings, found)


def _of_uart(settings, uart):
    """(number, UART, board number) of each battery on a UART; none where there is no such UART."""
    start = "BMS" if uart == 1 else f"UART_{uart}"
    key = start + "_BOARD_NUMBERS"
    numbers = settings.value(key) and board_numbers(settings.value(key))
    if uart > 1 and not _has_uart(settings, uart):
        return []
    if not numbers:
        return [(1, 1, settings.BMS_BOARD_NUMBER)] if uart == 1 else [(100 * uart + 1, uart, 1)]
    where = settings.where(key)
    if uart == 1 and settings.has("BMS_BOARD_NUMBER"):
        settings.problems.append(f"{settings.where('BMS_BOARD_NUMBER')}: {key} counts; remove BMS_BOARD_NUMBER.")
    if len(numbers) > 1 and settings.value(start + "_PROTOCOL") == "d2":
        numbers = numbers[:1]
        settings.problems.append(
            f"{where}: boards that speak D2 have no number, so a UART can read only one; remove it, and give each its own UART."
        )
    if len(numbers) > 1 and settings.BMS_HOST_ADDRESS:
        settings.problems.append(
            f"{settings.where('BMS_HOST_ADDRESS')}: several boards on one line have an address each; remove it, it is not used."
        )
    return [(number if uart == 1 else 100 * uart + number, uart, number) for number in numbers]


def _has_uart(settings, uart):
    """Whether the second or third UART is to be used: it needs both pins."""
    start = f"UART_{uart}_"
    pins = (start + "TX", start + "RX")
    if settings.value(pins[0]) and settings.value(pins[1]):
        return True
    for row in ROWS:
        if row.key.startswith(start) and settings.value(row.key) != row.default:
            missing = " and ".join([pin for pin in pins if not settings.value(pin)])
            settings.problems.append(f"{settings.where(row.key)}: UART {uart} is not used without {missing}; write its pins.")
            break
    return False


def _named(settings, found):
    """The Boards, each with its name and label; names must differ, since they make the entity ids."""
    numbers = [number for number, _, _ in found]
    names = {}
    for key in settings.more:
        number = number_of(key) if settings.value(key) else 0
        if number and number not in numbers:
            there = ", ".join([str(n) for n in numbers])
            settings.problems.append(
                f"{settings.where(key)}: there is no battery {number}, only {there}; correct or remove it."
            )
        elif number:
            names[number] = key
    taken = {}  # what makes the ids -> whose it is
    for other in ("bank", "bridge"):
        taken[_slug(f"{settings.DEVICE_NAME} {other}")] = "the " + other
    for number in numbers:  # also of those that have a name, which may have to be refused
        taken[_slug(_usual_name(settings, number))] = f"the usual name of BMS {number}" if number in names else f"BMS {number}"
    boards = []
    for number, uart, board_number in found:
        name = _usual_name(settings, number)
        label = f"BMS {number}"
        given = settings.value(names[number]) if number in names else ""
        if given and _may_have(settings, names[number], taken, number):
            name = label = given
            taken[_slug(given)] = label
        boards.append(Board(number, uart, board_number, name, "" if len(found) == 1 else label))
    return boards


def _usual_name(settings, number):
    """The name of a battery that is given none; the first one has that of the only one, so that its entity ids stay."""
    return settings.DEVICE_NAME if number == 1 else f"{settings.DEVICE_NAME} {number}"


def _may_have(settings, key, taken, number):
    """Whether a battery may have the name that is the value of `key`. If not, one more problem says why."""
    name = settings.value(key)
    whose = taken.get(_slug(name))
    if not _plain(name):
        why = "it has none"
    elif whose and whose != f"the usual name of BMS {number}":
        why = whose + " has the same"
    else:
        return True
    settings.problems.append(
        f"{settings.where(key)} cannot be {name}: the letters a to z and digits of a name make the ids, and {why}; "
        "choose another name."
    )
    return False


def _slug(name):
    """What of a name makes the entity ids, as slug in mqtt/components.py."""
    return _plain(name) or "daly_bms"


def _plain(name):
    text = "".join([char if "a" <= char <= "z" or "0" <= char <= "9" else " " for char in name.lower()])
    return "_".join(text.split())
