# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes outputs, sensors, status LED and sleep from the settings, and connects them with the rest of the firmware.

Loaded at the start only, and only if a setting names one of them. A part whose setting is not there is not loaded.
"""

from adafruit_ticks import ticks_ms

from battery.controls import g
from app.early import f


from .hardware import a, b
from app.early import e

  # Hz: above what eyes and cameras see flicker


class c:
    """What `make` has made and `connect` needs. `sources`: what is published (battery/sources.py).

    `led`: its light, and from `take_led` on the StatusLed.
    """

    def __init__(a, b, c, d, e):
        a.outputs = b
        a.sensors = c
        a.led = d
        a.sleep = e
        a.sources = ([] if b is None else [b]) + list(c)

    def c(a, b):
        """The light is one of this StatusLed now."""
        a.led = b


def i(a, b):
    """The Extras, with their pins. What is not possible is one more problem; everything else is made all the same."""
    d: list = []
    if [h for h in ('DS18B20_PIN', 'VEDIRECT_1_RX', 'VEDIRECT_2_RX', 'SUPPLY_PIN') if a.value(h)]:
        from .sensors_hardware import c as e

        d = e(a, b)
        f("app.sensors_hardware")
    g = k(a, d, b)  # after the sensors, which their rules may name
    return c(g, d, j(a, b), l(a, b))


def connect(a, b, c, d, e, f, g, i, j, k, l):
    """Give the parts what they look at, and add their jobs to the loop.

    `bank`: None with one battery; `screen`: None without; `clock`: app/clock.py, None where nothing else needs the time.
    """
    o = n(b) if a.led is not None else None
    p = None
    if o is not None or (a.outputs is not None and a.outputs.s()):
        p = m(b, c, i, k).u
    for q in a.sensors:
        c.add(q.key, q.c)
    if a.outputs is not None:
        h(a.outputs, b, c, d, e, g, j, p)
    if a.led is not None:
        from .status_led import d as r

        s = r(a.led, b.LED_BRIGHTNESS_PERCENT, d, i, o, p)
        a.c(s)
        c.add("status LED", s.c)


# Outputs


def k(a, b, c):
    """The Outputs; None: there is none. One with a mistake stays off: its pin, if it is known, is held inactive."""
    if not [r for r in range(1, 8 + 1) if a.value(f"OUTPUT_{r}")]:
        return None
    from outputs.core import k as e, y as h
    from outputs.pin import a as i

    from .output_rules import d as j

    k = {}
    l: dict = {}  # pin -> the setting that has it
    for m, n, o, p in j(a, b, c):
        q = d(a, f"OUTPUT_{m}", o, p, l, c)
        if q is not None and n is not None:
            k[m] = e(n, q.e, a.value("OUTPUT_OVERRIDE_MIN"))
        elif q is not None:
            i(q)
    f("app.output_rules")
    if not k:
        return None
    return h(k, b, g.key in a.allowed)


def d(c, key, name, d, e, f):
    """The Pin of this name; None with a problem where there is none."""
    if not name or f"{key} cannot be " in " ".join(f):  # another setting names the same pin
        return None
    g = a(c, key, f, name)
    if g is None:
        return None
    if g in e:  # by another name
        f.append(f"{c.m(key)} cannot be {name}: {e[g]} is; choose a free pin.")
        return None
    e[g] = key
    return b(c, key, name, g, not d, f)


def h(a, b, c, d, e, f, h, i):
    """`minutes()`: the time of day; None: no rule names it."""
    a.bind(d, e, i)
    if g.key in b.allowed:
        from .outputs_commands import a as j  # stays: a function of it is called

        j(f, b.base_topic, a)
    if h is not None:
        from display.outputs import a as k

        h.O(k(a))
    c.add("outputs", a.c)


def m(b, c, d, a):
    """The TimeOfDay, whose job runs from now on; `clock` None: one is made."""
    from .time_of_day import q as e

    if a is None:
        import socketpool
        import wifi

        from .clock import a as f

        a = f(socketpool.SocketPool(wifi.radio), b.NTP_SERVER, b.UTC_OFFSET_MIN)
    g = e(a, d)
    c.add("time of day", g.c)
    return g


# Status LED and sleep


def n(a):
    """(begin, end) of LED_OFF_AT_NIGHT in minutes of the day; None: it is never off."""
    from .status_led import g as b

    return b(a.LED_OFF_AT_NIGHT) if a.LED_OFF_AT_NIGHT else None


def j(b, c):
    """What the status LED shines with; None without LED_PIN, or, with one more problem, where that is not possible."""
    if not b.LED_PIN:
        return None
    d = a(b, "LED_PIN", c)
    if d is None:
        return None
    try:
        if b.LED_TYPE == "NEOPIXEL":
            import neopixel  # 4 KB on a board

            from .status_led import c as f

            return f(neopixel.NeoPixel(d, 1, auto_write=False))
        import pwmio

        from .status_led import b as g

        return g(pwmio.PWMOut(d, frequency=1000), b.LED_ACTIVE_HIGH)
    except (ValueError, RuntimeError):
        c.append(f"{b.m('LED_PIN')}: {b.LED_PIN} is in use or cannot drive an LED; choose a free pin.")
    except e as h:
        i = f"{type(h).__name__} {h}".strip()
        print(f"No LED: its files cannot be loaded ({i}). Continuing without it; copy all files of the bundle again.")
    return None


def l(a, b):
    """The Sleep; None without SLEEP_MINUTES, or, with one more problem, where this firmware has no deep sleep."""
    if not a.SLEEP_MINUTES:
        return None
    try:
        import alarm
    except ImportError:
        b.append(f"{a.m('SLEEP_MINUTES')}: this board's CircuitPython has no deep sleep; remove it.")
        return None
    from .sleep import b as c

    return c(a.SLEEP_MINUTES, alarm.sleep_memory, alarm.wake_alarm is not None, ticks_ms())
