# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes the sensors, with their pins and UARTs, from the settings. Loaded at the start only, and only if one has a pin."""

import busio
import digitalio

from outputs.pin import Pin

from .extras import b
from .hardware import a


def c(a, b):
    """The sources with their `tick(now)`, see sensors/. What is not possible is one more problem."""
    c = []
    if a.DS18B20_PIN:
        c.append(e(a, b))
    for g in range(1, 2 + 1):
        if a.value(f"VEDIRECT_{g}_RX"):
            c.append(f(a, g, b))
    if a.SUPPLY_PIN:
        c.append(d(a, b))
    return [h for h in c if h is not None]


def e(c, d):
    """The source of all DS18B20, searched for once; None with one more problem."""
    e = a(c, "DS18B20_PIN", d)
    if e is None:
        return None
    f = f"{c.m('DS18B20_PIN')}: {c.DS18B20_PIN}"
    try:
        from adafruit_onewire.bus import OneWireBus as g

        from sensors.ds18b20 import d as h  # only with DS18B20_PIN

        i = h(g(e), b(c, d))
    except ValueError:
        d.append(f"{f} is in use; choose a free pin.")
        return None
    except ImportError as j:
        d.append(f"{f}: {j}; copy the folder lib of the bundle to the drive.")
        return None
    k = i.start()
    if k:
        d.append(f"{f}: {k}.")
    return i


def f(b, c, d):
    """The source of a Victron device; None with one more problem."""
    e = f"VEDIRECT_{c}_RX"
    f = a(b, e, d)
    if f is None:
        return None
    from sensors.vedirect import c as g  # 10 KB, only with VEDIRECT_n_RX

    try:
        h = busio.UART(None, f, baudrate=19200, timeout=0, receiver_buffer_size=1024)
    except (ValueError, RuntimeError):
        d.append(
            f"{b.m(e)}: {b.value(e)} is in use, or this chip has no further UART: an ESP32-S2 has two, "
            "an ESP32-S3 three, and each line of batteries needs one."
        )
        return None
    return g(h, c, b.value(f"VEDIRECT_{c}_NAME"))


def d(b, c):
    """The source of the supply voltage; None with one more problem."""
    d = a(b, "SUPPLY_PIN", c)
    if d is None:
        return None
    import analogio

    from sensors.supply import a as e

    try:
        f = analogio.AnalogIn(d)
    except (ValueError, OSError):
        c.append(
            f"{b.m('SUPPLY_PIN')}: {b.SUPPLY_PIN} is in use or cannot measure; choose one of IO1 to IO10."
        )
        return None
    g = None
    if b.SUPPLY_ENABLE_PIN:
        d = a(b, "SUPPLY_ENABLE_PIN", c)
        if d is None:
            return None
        try:
            g = Pin(digitalio.DigitalInOut(d), True).e
        except ValueError:
            h = b.m("SUPPLY_ENABLE_PIN")
            c.append(f"{h}: {b.SUPPLY_ENABLE_PIN} is in use; choose a free pin.")
            return None
    return e(f, b.SUPPLY_RATIO_PERMILLE, g)
