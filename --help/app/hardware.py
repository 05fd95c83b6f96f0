# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The chip's hardware according to the settings: UART, wake pin, screen. What is not possible is added to `problems`.

Loaded at the start only; what remains of it is in kept.py.
"""

import gc

import board
import busio
import digitalio
import microcontroller



from app.early import e, h, i

  # mbedtls needs up to 16 KB in, 2 KB out and 30 KB for the handshake, in one piece each


def j(a, b):
    """{1: the UART to the BMS, or None with one more problem}; with several batteries also the UARTs 2 and 3 that they use."""
    d = {}
    for e in a.boards:
        if e.b not in d:
            f = "UART_" if e.b == 1 else f"UART_{e.b}_"
            d[e.b] = c(a, f, b)
    return d


def c(b, c, d):
    """One UART; None with one more problem. `start`: what the keys of its settings begin with."""
    e = a(b, c + "TX", d)
    f = a(b, c + "RX", d)
    if e is None or f is None:
        return None
    g = b.value(c + "BAUD_RATE")
    try:
        return busio.UART(e, f, baudrate=g, timeout=0, receiver_buffer_size=512)
    except (ValueError, RuntimeError):
        e, f = c + "TX", c + "RX"
        h = f"{b.m(e)} {b.value(e)}, {f} {b.value(f)}"
        i = "" if c == "UART_" else ", or this chip has no further UART: an ESP32-S2 has two, an ESP32-S3 three"
        d.append(f"{h}: one of them is in use or cannot be a UART{i}; choose two free pins.")
        return None


def g(a, b, c=0):
    """The ssl context for MQTT_TLS; None without it, or, with one more problem, where TLS is not possible.

    `reserved`: bytes of memory that others will need. Without a context there is no connection at all:
    encryption is never left out silently.
    """
    if not a.MQTT_TLS:
        return None
    e = max(0, gc.mem_free() - c) if hasattr(gc, "mem_free") else 100000
    if e < 100000:
        b.append(f"MQTT_TLS needs {100000 // 1000} KB of memory, this board has {e // 1000}; use one with PSRAM.")
        return None
    import ssl  # 20 KB, only with MQTT_TLS

    f = ssl.create_default_context()
    if a.MQTT_CA_FILE:
        try:
            with open(a.MQTT_CA_FILE, encoding="ascii") as g:
                f.load_verify_locations(r=d(g.read()))
        except (OSError, ValueError):
            h = f"{a.m('MQTT_CA_FILE')}: {a.MQTT_CA_FILE}"
            b.append(f"{h} is no certificate in PEM form, or is not on the drive; copy it there.")
            return None
    return f


def d(a):
    """The text of a PEM file. Raises ValueError when there is no certificate in it.

    The chip does not: with an empty text it stops checking certificates (circuitpython's shared-module/ssl).
    """
    if "-----BEGIN CERTIFICATE-----" not in a or "\0" in a:
        raise ValueError("no certificate")
    return a


def k(c, d):
    """The Pin; None without WAKE_PIN, or, with one more problem, where the pin is not usable."""
    if not c.WAKE_PIN:
        return None
    e = a(c, "WAKE_PIN", d)
    if e is None:
        return None
    return b(c, "WAKE_PIN", c.WAKE_PIN, e, c.WAKE_ACTIVE_HIGH, d)


def b(a, key, name, b, c, d):
    """The Pin, inactive; None with one more problem where it is in use. `name`: of the pin in the setting `key`."""
    from outputs.pin import Pin as e  # only with outputs or the wake line

    try:
        return e(digitalio.DigitalInOut(b), c)
    except ValueError:
        d.append(f"{a.m(key)}: {name} is in use; choose a free pin.")
        return None


def f(b, c, d, f):
    """The Screen, with its first page drawn; None without OLED, or where its pins do not exist or it cannot be loaded.

    `values`: those of the settings that the screen keeps. What is wrong with the pins is one more problem.
    """
    if not b.OLED:
        return None
    g = a(b, "OLED_SCL", c)
    j = a(b, "OLED_SDA", c)
    if g is None or j is None:
        return None
    try:
        from display.core import Screen as k  # 10 KB with its pages, only with OLED

        return k(h(f, g, j).open, f, d)
    except e as l:
        i(l)
        return None


def a(a, key, b, name=None):
    """The board's pin that a setting names; None with one more problem, which lists the names there are.

    `name`: of the pin, where it is only part of the setting.
    """
    name = name or getattr(a, key)
    d = getattr(board, name, None)
    if isinstance(d, microcontroller.Pin):
        return d
    from .advice import J as e, S as f

    g = {k: getattr(board, k) for k in dir(board) if isinstance(getattr(board, k), microcontroller.Pin)}
    h = getattr(microcontroller, "pin", None)
    i, j = f(name, g, lambda c: getattr(h, "GPIO" + c, None))
    if i is None:
        b.append(e(a.m(key), name, g, a.k(key), j))
        return None
    return g[i]
