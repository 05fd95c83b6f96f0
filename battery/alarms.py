# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The alarms of a battery, whatever protocol reports them: names, levels, and which are active.

Five bit fields in the pack, rows "alarm_bits_1" to "_5": warnings, protections, faults, level 3, more faults. Bit n of the
fields with a level stands for name n in ALARMS, bit n of the faults for those in FAULTS and MORE_FAULTS. Which bit of a
response is which: the map of its protocol. A field has 30 bits, which are a small integer on every board.
"""

WARNING = 1
PROTECTION = 2  # the BMS acts
FAULT = 3  # of the board; it has no levels
LEVEL_3 = 4  # or higher: boards of P81 have up to 7 levels
MORE_FAULTS_FIELD = 5
LEVEL_NAMES = ("", "warning", "protection", "fault", "level 3")
BITFIELDS = 5
MAX_TEXT = 250  # Home Assistant refuses a state of more than 255 characters

# Names, joined by |: as three texts they take 2 KB less of a board than as 54
ALARMS = (
    "Cell overvoltage|Cell undervoltage|Pack overvoltage|Pack undervoltage|Charge overtemperature|"
    "Charge undertemperature|Discharge overtemperature|Discharge undertemperature|Charge overcurrent|"
    "Discharge overcurrent|State of charge high|State of charge low|Cell voltage delta|Temperature delta|"
    "Charge MOSFET overtemperature|Discharge MOSFET overtemperature|State of health low|MOSFET overtemperature|"
    "Ambient overtemperature|Thermal runaway"
)
FAULTS = (
    "Charge MOSFET temperature sensor|Discharge MOSFET temperature sensor|Charge MOSFET shorted|"
    "Discharge MOSFET shorted|Charge MOSFET open|Discharge MOSFET open|AFE fault|Cell sensing fault|"
    "Temperature sensor|EEPROM|Clock|Precharge|Communication|Internal communication|Current sensor|"
    "Pack voltage sensor|Short circuit|Voltage too low to charge|MOSFETs opened by switch|Charging cabinet offline|"
    "AFE communication|Cell voltage sensor|Cell wire open|Temperature sensor wire open|Flash memory|"
    "Charge MOSFET fault|Discharge MOSFET fault|Precharge MOSFET fault|Parallel communication|Heating fault"
)
MORE_FAULTS = "Smart charger fault|Smart load fault|Charge undervoltage|Discharge overvoltage"
CHARGE_OVERCURRENT = 1 << 8
DISCHARGE_OVERCURRENT = 1 << 9
CHARGE_LOW = 1 << 11


def with_directions_swapped(bits):
    """A field with a level of a board whose current counts the other way round: both overcurrents change places.

    Harmless for MORE_FAULTS, which has no such bits.
    """
    swapped = bits & ~(CHARGE_OVERCURRENT | DISCHARGE_OVERCURRENT)
    if bits & CHARGE_OVERCURRENT:
        swapped |= DISCHARGE_OVERCURRENT
    if bits & DISCHARGE_OVERCURRENT:
        swapped |= CHARGE_OVERCURRENT
    return swapped


def active(pack):
    """The active alarms as a list of (name, level), the gravest first; None while they are not known.

    Where an alarm is active at several levels, only the gravest is listed.
    """
    warnings = pack.raw("alarm_bits_{}", WARNING)
    protections = pack.raw("alarm_bits_{}", PROTECTION)
    faults = pack.raw("alarm_bits_{}", FAULT)
    if warnings is None or protections is None or faults is None:
        return None
    third = pack.raw("alarm_bits_{}", LEVEL_3) or 0  # all five are read together
    found: list = []
    _append(found, FAULTS, faults, FAULT)
    _append(found, MORE_FAULTS, pack.raw("alarm_bits_{}", MORE_FAULTS_FIELD) or 0, FAULT)
    _append(found, ALARMS, third, LEVEL_3)
    _append(found, ALARMS, protections & ~third, PROTECTION)
    _append(found, ALARMS, warnings & ~protections & ~third, WARNING)
    return found


def _append(found, names, bits, level):
    begin = end = 0
    while bits and end >= 0:
        end = names.find("|", begin)
        if bits & 1:
            found.append((names[begin:] if end < 0 else names[begin:end], level))
        bits >>= 1
        begin = end + 1


def problem(pack):
    """1 while any warning, protection or fault is active, else 0; None while not known."""
    found = active(pack)
    return None if found is None else int(len(found) > 0)


def charge_low(pack):
    """1 while the BMS says, at any level, that its state of charge is low, else 0; None while that or the charge is not known.

    So the limit, and how far it must rise again, are those that the BMS is set to.
    """
    found = 0
    for level in (WARNING, PROTECTION, LEVEL_3):
        bits = pack.raw("alarm_bits_{}", level)
        if bits is None:
            return None
        found |= bits
    return None if pack.raw("soc") is None else int(found & CHARGE_LOW > 0)


def alarm_of(field, bit):
    """(name, level), both as words, of one bit, as a number with that bit alone, of a field from 1 to BITFIELDS."""
    found: list = []
    names = FAULTS if field == FAULT else MORE_FAULTS if field == MORE_FAULTS_FIELD else ALARMS
    _append(found, names, bit, LEVEL_NAMES[FAULT if field == MORE_FAULTS_FIELD else field])
    return found[0] if found else ("Unknown", LEVEL_NAMES[FAULT])


def active_alarms(pack):
    """The active alarms with their level, at most MAX_TEXT characters; "none" when there is none; None: not known."""
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
