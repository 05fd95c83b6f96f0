# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The settings of outputs, sensors, status LED and sleep. Loaded only if the file has one of them."""

from .settings import CHOICE, NUMBER, PIN, SWITCH, TEXT, Setting

OUTPUTS = 8
VEDIRECT_PORTS = 2
# keys of the sensors' sources, each with the setting that names it
SENSOR_PINS = (
    ("temperatures", "DS18B20_PIN"),
    ("vedirect1", "VEDIRECT_1_RX"),
    ("vedirect2", "VEDIRECT_2_RX"),
    ("supply", "SUPPLY_PIN"),
)

ROWS = tuple([Setting(f"OUTPUT_{number}", TEXT, "", 0, 255) for number in range(1, OUTPUTS + 1)])
ROWS += (
    Setting("OUTPUT_OVERRIDE_MIN", NUMBER, 60, 0, 10080),
    Setting("DS18B20_PIN", PIN, "", 0, 20),
    Setting("DS18B20_NAMES", TEXT, "", 0, 255),
)
for _number in range(1, VEDIRECT_PORTS + 1):
    ROWS += (Setting(f"VEDIRECT_{_number}_RX", PIN, "", 0, 20), Setting(f"VEDIRECT_{_number}_NAME", TEXT, "", 0, 40))
ROWS += (
    Setting("SUPPLY_PIN", PIN, "", 0, 20),
    Setting("SUPPLY_RATIO_PERMILLE", NUMBER, 1000, 1000, 100000),
    Setting("SUPPLY_ENABLE_PIN", PIN, "", 0, 20),
    Setting("LED_PIN", PIN, "", 0, 20),
    Setting("LED_TYPE", CHOICE, "GPIO", ("GPIO", "NEOPIXEL"), None),
    Setting("LED_ACTIVE_HIGH", SWITCH, True, None, None),
    Setting("LED_BRIGHTNESS_PERCENT", NUMBER, 20, 1, 100),
    Setting("LED_OFF_AT_NIGHT", TEXT, "", 0, 20),
    Setting("SLEEP_MINUTES", NUMBER, 0, 0, 1440),
)


def check(settings):
    """Add to the problems and hints what is wrong with these settings together, and switch that off."""
    if settings.LED_OFF_AT_NIGHT:
        from battery.minute import span_of

        if span_of(settings.LED_OFF_AT_NIGHT) is None:
            where = settings.where("LED_OFF_AT_NIGHT")
            settings.problems.append(f'{where} is not understood; write a time of day to another, such as "22:00-07:00".')
            settings.replace("LED_OFF_AT_NIGHT", "")
        elif not settings.NTP_SERVER:
            settings.hints.append("NTP_SERVER is empty, so LED_OFF_AT_NIGHT never knows the time; write a server.")
    _check_sleep(settings)


def _check_sleep(settings):
    if not settings.SLEEP_MINUTES:
        return
    where = settings.where("SLEEP_MINUTES")
    outputs = [key for key in [f"OUTPUT_{number}" for number in range(1, OUTPUTS + 1)] if settings.value(key)]
    if outputs:
        settings.problems.append(
            f"{where}: the pins of outputs cannot be kept while the chip sleeps, so it stays awake; remove it, or {outputs[0]}."
        )
        settings.replace("SLEEP_MINUTES", 0)
        return
    if settings.WAKE_PIN:
        settings.hints.append(
            f"{where}: WAKE_PIN is not used, as a bridge that has slept cannot know whether the BMS fell asleep; remove it."
        )
        settings.replace("WAKE_PIN", "")
    if settings.MQTT_RETAIN_STATE:
        settings.hints.append(
            f"{where}: with MQTT_RETAIN_STATE a number looks current for another interval after a restart of Home Assistant, "
            "also if the bridge is gone meanwhile; remove MQTT_RETAIN_STATE."
        )
    if settings.allowed:
        settings.hints.append(f"{where}: commands of ALLOW_CONTROL have an effect only in the seconds in which it is awake.")
    if settings.WEB_PORT:
        settings.hints.append(f"{settings.where('WEB_PORT')}: with SLEEP_MINUTES the page is there only while it is awake.")


def names_of(settings, problems):
    """The pairs (id or its beginning, name) of DS18B20_NAMES, such as "28ff641e8216c3=boiler, 28ff=cellar"."""
    names: list = []
    for item in settings.DS18B20_NAMES.split(","):
        id, _, name = item.partition("=")
        id = "".join([sign for sign in id.strip().lower() if sign not in "-:"])
        name = name.strip()
        if not item.strip():
            continue
        if not name or not 4 <= len(id) <= 16 or [sign for sign in id if sign not in "0123456789abcdef"]:
            problems.append(
                f'{settings.where("DS18B20_NAMES")}: "{item.strip()}" is left out; write an id and a name, '
                'for example "28ff641e8216c3=boiler".'
            )
            continue
        others = [other for other in names if _is_alike(other[1], name) or other[0] == id[:14]]
        if others or _is_alike(name, "problem"):
            other = f"{others[0][0]} is {others[0][1]}" if others else "its source has a value of that name"
            problems.append(f'{settings.where("DS18B20_NAMES")}: "{item.strip()}" is left out, as {other}; write another one.')
            continue
        names.append((id[:14], name))
    return names


def _is_alike(name, other):
    """Whether a rule could not tell them apart."""
    return name.lower().replace(" ", "_") == other.lower().replace(" ", "_")


def known_keys():
    """The keys of these rows."""
    return [row.key for row in ROWS]


def rows_for(keys):
    """The rows, if one of them is among these keys of a file; else none."""
    return ROWS if [row for row in ROWS if row.key in keys] else ()
