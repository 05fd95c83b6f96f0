# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The settings of outputs, sensors, status LED and sleep. Loaded only if the file has one of them."""

from .settings import c





f = tuple([c(f"OUTPUT_{a}", 0, "", 0, 255) for a in range(1, 8 + 1)])
f += (
    c("OUTPUT_OVERRIDE_MIN", 1, 60, 0, 10080),
    c("DS18B20_PIN", 3, "", 0, 20),
    c("DS18B20_NAMES", 0, "", 0, 255),
)
for d in range(1, 2 + 1):
    f += (c(f"VEDIRECT_{d}_RX", 3, "", 0, 20), c(f"VEDIRECT_{d}_NAME", 0, "", 0, 40))
f += (
    c("SUPPLY_PIN", 3, "", 0, 20),
    c("SUPPLY_RATIO_PERMILLE", 1, 1000, 1000, 100000),
    c("SUPPLY_ENABLE_PIN", 3, "", 0, 20),
    c("LED_PIN", 3, "", 0, 20),
    c("LED_TYPE", 5, "GPIO", ("GPIO", "NEOPIXEL"), None),
    c("LED_ACTIVE_HIGH", 2, True, None, None),
    c("LED_BRIGHTNESS_PERCENT", 1, 20, 1, 100),
    c("LED_OFF_AT_NIGHT", 0, "", 0, 20),
    c("SLEEP_MINUTES", 1, 0, 0, 1440),
)


def a(a):
    """Add to the problems and hints what is wrong with these settings together, and switch that off."""
    if a.LED_OFF_AT_NIGHT:
        from .status_led import g as b

        if b(a.LED_OFF_AT_NIGHT) is None:
            c = a.m("LED_OFF_AT_NIGHT")
            a.problems.append(f'{c} is not understood; write a time of day to another, such as "22:00-07:00".')
            a.replace("LED_OFF_AT_NIGHT", "")
        elif not a.NTP_SERVER:
            a.d.append("NTP_SERVER is empty, so LED_OFF_AT_NIGHT never knows the time; write a server.")
    e(a)


def e(a):
    if not a.SLEEP_MINUTES:
        return
    b = a.m("SLEEP_MINUTES")
    c = [e for e in [f"OUTPUT_{d}" for d in range(1, 8 + 1)] if a.value(e)]
    if c:
        a.problems.append(
            f"{b}: the pins of outputs cannot be kept while the chip sleeps, so it stays awake; remove it, or {c[0]}."
        )
        a.replace("SLEEP_MINUTES", 0)
        return
    if a.WAKE_PIN:
        a.d.append(
            f"{b}: WAKE_PIN is not used, as a bridge that has slept cannot know whether the BMS fell asleep; remove it."
        )
        a.replace("WAKE_PIN", "")
    if a.MQTT_RETAIN_STATE:
        a.d.append(
            f"{b}: with MQTT_RETAIN_STATE a number looks current for another interval after a restart of Home Assistant, "
            "also if the bridge is gone meanwhile; remove MQTT_RETAIN_STATE."
        )
    if a.allowed:
        a.d.append(f"{b}: commands of ALLOW_CONTROL have an effect only in the seconds in which it is awake.")


def b(a, b):
    """The pairs (id or its beginning, name) of DS18B20_NAMES, such as "28ff641e8216c3=boiler, 28ff=cellar"."""
    c = []
    for d in a.DS18B20_NAMES.split(","):
        e, f, g = d.partition("=")
        e = "".join([h for h in e.strip().lower() if h not in "-:"])
        g = g.strip()
        if not d.strip():
            continue
        if not g or not 4 <= len(e) <= 16 or [i for i in e if i not in "0123456789abcdef"]:
            b.append(
                f'{a.m("DS18B20_NAMES")}: "{d.strip()}" is left out; write an id and a name, '
                'for example "28ff641e8216c3=boiler".'
            )
            continue
        c.append((e[:14], g))
    return c


def h():
    """The keys of these rows."""
    return [a.key for a in f]


def i(a):
    """The rows, if one of them is among these keys of a file; else none."""
    return f if [b for b in f if b.key in a] else ()
