"""What stands on the screen: pure functions of the readings to lines of text. Numbers that are not known are not shown."""

from daly.faults import FAULT, PROTECTION, active
from daly.registers import READING
from daly.text import decimal_text

COLUMNS = 21  # terminalio's font is 6 pixels wide
UNKNOWN = "--"


def starting(version, waiting_for):
    """The first screen: who this is and what is waited for."""
    return ("Daly MQTT " + version, _fit(waiting_for), "")


def settings_problem(problem):
    """A mistake in the settings, over all three lines."""
    return wrap(problem.replace("settings.toml ", ""), 3)


def overview(pack, link, trouble):
    """State of charge, power, voltage, current, and what is wrong.

    `link` is why there is no data, two lines, () while there is; `trouble` is the network's, None when there is none.
    """
    if link:
        return (_fit(link[0]), _fit(link[1]), _fit(trouble or ""))
    return (
        _between(_with_unit(pack, "soc"), _watts(pack)),
        _between(_with_unit(pack, "pack_voltage"), _with_unit(pack, "current")),
        _fit(_alarm(pack) or trouble or _quiet_line(pack)),
    )


def wrap(text, count):
    """`text` broken into exactly `count` lines between words; what does not fit is left out."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > COLUMNS and lines[-1]:
            lines.append("")
        lines[-1] = _fit((lines[-1] + " " + word).strip())
    return tuple((lines + [""] * count)[:count])


def _alarm(pack):
    """The gravest active fault in words; None when there is none or it is not known."""
    found = active(pack)
    if not found:
        return None
    name, level = found[0]
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return ("! " if level in (PROTECTION, FAULT) else "") + name[: COLUMNS - 2 - len(more)] + more


def _quiet_line(pack):
    """Nothing is wrong: mode and spread of the cells."""
    delta = pack.raw("cell_voltage_delta")
    return _between(_shown(pack, "mode"), UNKNOWN if delta is None else f"{delta} mV")


def _watts(pack):
    power = pack.raw("power")
    return UNKNOWN if power is None else decimal_text((power + 50) // 100, 0) + " W"


def _shown(pack, key):
    return pack.text(READING[key]) or UNKNOWN


def _with_unit(pack, key):
    return _shown(pack, key) + " " + READING[key].unit


def _between(left, right):
    """Two texts at the ends of a line."""
    return left + " " * max(1, COLUMNS - len(left) - len(right)) + right


def _fit(text):
    return text[:COLUMNS]
