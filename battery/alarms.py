"""The alarm bits of 0x98: one row a bit, with its level and its words.

Bits and levels: vendor PDF V1.2, 0x98; bits 4 and 5 of byte 6: CAN document and vendor xlsx. Level 1 is a warning, level 2
a protection (the BMS acts); bytes 4 to 6 know no levels and are faults of the board, but for the two MOSFET temperatures,
which the vendor's xlsx calls warnings.
"""

WARNING = 1
PROTECTION = 2
FAULT = 3
LEVEL_NAMES = ("", "warning", "protection", "fault")
MAX_TEXT = 250  # Home Assistant refuses a state of more than 255 characters

# byte -> bit 0..7; what comes in two levels is named once and stands for two bits
_TWO_LEVELS = (
    ("Cell voltage high", "Cell voltage low", "Pack voltage high", "Pack voltage low"),
    ("Charge temperature high", "Charge temperature low", "Discharge temperature high", "Discharge temperature low"),
    ("Charge overcurrent", "Discharge overcurrent", "State of charge high", "State of charge low"),
    ("Cell voltage difference", "Temperature difference", None, None),
)
_ONE_LEVEL = (
    ("Charge MOSFET hot", "Discharge MOSFET hot", "Charge MOSFET sensor", "Discharge MOSFET sensor",
     "Charge MOSFET stuck", "Discharge MOSFET stuck", "Charge MOSFET open", "Discharge MOSFET open"),
    ("Measuring chip", "Cell measurement lost", "Temperature sensor", "EEPROM", "Clock", "Precharge",
     "Communication", "Internal communication"),
    ("Current sensor", "Pack voltage sensor", "Short circuit", "Voltage too low to charge",
     "MOSFETs opened by switch", "Charging cabinet offline", None, None),
)  # fmt: skip


def fault(index, bit):
    """(name, level) of one bit of alarm byte `index` (0..6); (None, 0) for a reserved bit."""
    if index < 4:
        name = _TWO_LEVELS[index][bit // 2]
        level = WARNING + bit % 2
    else:
        name = _ONE_LEVEL[index - 4][bit]
        level = WARNING if index == 4 and bit < 2 else FAULT
    return (name, level) if name else (None, 0)


def active(pack):
    """The active faults as a list of (name, level), the gravest first; None while an alarm byte is not known.

    Where both levels of one fault are set, only the graver one is listed.
    """
    found = []
    for index in range(7):
        byte = pack.raw("alarm_byte_{}", index + 1)
        if byte is None:
            return None
        if index == 2 and pack.inverted:  # over-current of charging and discharging change places with the current's sign
            byte = byte & 0xF0 | byte >> 2 & 0x03 | byte << 2 & 0x0C
        for bit in range(8):
            if byte >> bit & 1:
                name, level = fault(index, bit)
                if level == WARNING and index < 4 and byte >> (bit + 1) & 1:
                    continue
                if name:
                    found.append((name, level))
    found.sort(key=_gravity)
    return found


def _gravity(item):
    return -item[1]


def problem(pack):
    """1 while any warning, protection or fault is active, else 0; None while not known."""
    found = active(pack)
    return None if found is None else int(len(found) > 0)


def problems_text(pack):
    """The active faults with their level, at most MAX_TEXT characters; "none" when there is none; None: not known."""
    found = active(pack)
    if found is None:
        return None
    if not found:
        return "none"
    text = ""
    for position, (name, level) in enumerate(found):
        item = name + " (" + LEVEL_NAMES[level] + ")"
        more = " +" + str(len(found) - position)
        if len(text) + 2 + len(item) + len(more) > MAX_TEXT:
            return text + more
        text += (", " if text else "") + item
    return text
