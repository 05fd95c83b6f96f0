# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The settings of outputs, sensors, status LED and sleep. Loaded only if the file has one of them."""

from .settings import CHOICE, NUMBER, PIN, SWITCH, TEXT, Setting

OUTPUTS = 8
VEDIRECT_PORTS = 2

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


def known_keys():
    """The keys of these rows."""
    return [row.key for row in ROWS]


def rows_for(keys):
    """The rows, if one of them is among these keys of a file; else none."""
    return ROWS if [row for row in ROWS if row.key in keys] else ()
