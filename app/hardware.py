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

from daly.bus import RECEIVE_BUFFER_SIZE

from .kept import UNUSABLE, PanelOpener, print_unusable

TLS_MEMORY = 100000  # mbedtls needs up to 16 KB in, 2 KB out and 30 KB for the handshake, in one piece each


def make_uarts(settings, problems):
    """{1: the UART to the BMS, or None with one more problem}; with several batteries also the UARTs 2 and 3 that they use."""
    uarts = {}
    for one in settings.boards:
        if one.uart not in uarts:
            start = "UART_" if one.uart == 1 else f"UART_{one.uart}_"
            uarts[one.uart] = _make_uart(settings, start, problems)
    return uarts


def _make_uart(settings, start, problems):
    """One UART; None with one more problem. `start`: what the keys of its settings begin with."""
    tx = find_pin(settings, start + "TX", problems)
    rx = find_pin(settings, start + "RX", problems)
    if tx is None or rx is None:
        return None
    speed = settings.value(start + "BAUD_RATE")
    try:
        return busio.UART(tx, rx, baudrate=speed, timeout=0, receiver_buffer_size=RECEIVE_BUFFER_SIZE)
    except (ValueError, RuntimeError):
        tx, rx = start + "TX", start + "RX"
        pins = f"{settings.where(tx)} {settings.value(tx)}, {rx} {settings.value(rx)}"
        more = "" if start == "UART_" else ", or this chip has no further UART: an ESP32-S2 has two, an ESP32-S3 three"
        problems.append(f"{pins}: one of them is in use or cannot be a UART{more}; choose two free pins.")
        return None


def make_ssl_context(settings, problems, reserved=0):
    """The ssl context for MQTT_TLS; None without it, or, with one more problem, where TLS is not possible.

    `reserved`: bytes of memory that others will need. Without a context there is no connection at all:
    encryption is never left out silently.
    """
    if not settings.MQTT_TLS:
        return None
    free = max(0, gc.mem_free() - reserved) if hasattr(gc, "mem_free") else TLS_MEMORY
    if free < TLS_MEMORY:
        problems.append(f"MQTT_TLS needs {TLS_MEMORY // 1000} KB of memory, this board has {free // 1000}; use one with PSRAM.")
        return None
    import ssl  # 20 KB, only with MQTT_TLS

    context = ssl.create_default_context()
    if settings.MQTT_CA_FILE:
        try:
            with open(settings.MQTT_CA_FILE, encoding="ascii") as file:
                context.load_verify_locations(cadata=certificates(file.read()))
        except (OSError, ValueError):
            place = f"{settings.where('MQTT_CA_FILE')}: {settings.MQTT_CA_FILE}"
            problems.append(f"{place} is no certificate in PEM form, or is not on the drive; copy it there.")
            return None
    return context if _load_own_certificate(settings, context, problems) else None


def _load_own_certificate(settings, context, problems):
    """Give the context the client certificate, if there is one. Returns whether that is done; else there is one more problem.

    The key may be in the same file. The chip reads both into memory, and judges them only when it connects.
    """
    if not settings.MQTT_CERT_FILE:
        if settings.MQTT_KEY_FILE:
            problems.append(f"{settings.where('MQTT_KEY_FILE')} stands there without MQTT_CERT_FILE; write both, or none.")
        return not settings.MQTT_KEY_FILE
    try:
        key_file = settings.MQTT_KEY_FILE or settings.MQTT_CERT_FILE
        with open(settings.MQTT_CERT_FILE, encoding="ascii") as file:
            certificates(file.read())
        with open(key_file, encoding="ascii") as file:
            text = file.read()
        if "PRIVATE KEY-----" not in text or "ENCRYPTED" in text:  # a PC would ask for its password, on the console
            raise ValueError("no key")
        context.load_cert_chain(settings.MQTT_CERT_FILE, key_file)
        return True
    except (OSError, ValueError):
        place = f"{settings.where('MQTT_CERT_FILE')} with MQTT_KEY_FILE"
        more = "in PEM form and its key without a password, or they are not on the drive"
        problems.append(f"{place}: {settings.MQTT_CERT_FILE} and {key_file} are not a certificate {more}; copy them there.")
        return False


def certificates(text):
    """The text of a PEM file. Raises ValueError when there is no certificate in it.

    The chip does not: with an empty text it stops checking certificates (circuitpython's shared-module/ssl).
    """
    if "-----BEGIN CERTIFICATE-----" not in text or "\0" in text:
        raise ValueError("no certificate")
    return text


def make_wake_pin(settings, problems):
    """The Pin; None without WAKE_PIN, or, with one more problem, where the pin is not usable."""
    if not settings.WAKE_PIN:
        return None
    pin = find_pin(settings, "WAKE_PIN", problems)
    if pin is None:
        return None
    return make_output_pin(settings, "WAKE_PIN", settings.WAKE_PIN, pin, settings.WAKE_ACTIVE_HIGH, problems)


def make_output_pin(settings, key, name, pin, active_high, problems):
    """The Pin, inactive; None with one more problem where it is in use. `name`: of the pin in the setting `key`."""
    from outputs.pin import Pin  # only with outputs or the wake line

    try:
        return Pin(digitalio.DigitalInOut(pin), active_high)
    except ValueError:
        problems.append(f"{settings.where(key)}: {name} is in use; choose a free pin.")
        return None


def make_screen(settings, problems, version, values):
    """The Screen, with its first page drawn; None without OLED, or where its pins do not exist or it cannot be loaded.

    `values`: those of the settings that the screen keeps. What is wrong with the pins is one more problem.
    """
    if not settings.OLED:
        return None
    scl = find_pin(settings, "OLED_SCL", problems)
    sda = find_pin(settings, "OLED_SDA", problems)
    if scl is None or sda is None:
        return None
    try:
        from display.screen import Screen  # 10 KB with its pages, only with OLED

        return Screen(PanelOpener(values, scl, sda).open, values, version)
    except UNUSABLE as error:
        print_unusable(error)
        return None


def find_pin(settings, key, problems, name=None):
    """The board's pin that a setting names; None with one more problem, which lists the names there are.

    `name`: of the pin, where it is only part of the setting.
    """
    name = name or getattr(settings, key)
    pin = getattr(board, name, None)
    if isinstance(pin, microcontroller.Pin):
        return pin
    from .advice import no_such_pin, pin_name

    pins = {n: getattr(board, n) for n in dir(board) if isinstance(getattr(board, n), microcontroller.Pin)}
    chip = getattr(microcontroller, "pin", None)
    found, namesake = pin_name(name, pins, lambda number: getattr(chip, "GPIO" + number, None))
    if found is None:
        problems.append(no_such_pin(settings.where(key), name, pins, settings.has(key), namesake))
        return None
    return pins[found]
