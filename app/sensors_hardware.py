# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes the sensors, with their pins and UARTs, from the settings. Loaded at the start only, and only if one has a pin."""

import busio
import digitalio

from outputs.pin import Pin

from .extras import VEDIRECT_PORTS, names_of
from .hardware import find_pin


def make_sensors(settings, problems):
    """The sources with their `tick(now)`, see sensors/. What is not possible is one more problem."""
    sensors = []
    if settings.DS18B20_PIN:
        sensors.append(make_temperatures(settings, problems))
    for number in range(1, VEDIRECT_PORTS + 1):
        if settings.value(f"VEDIRECT_{number}_RX"):
            sensors.append(make_vedirect(settings, number, problems))
    if settings.SUPPLY_PIN:
        sensors.append(make_supply(settings, problems))
    return [sensor for sensor in sensors if sensor is not None]


def make_temperatures(settings, problems):
    """The source of all DS18B20, searched for once; None with one more problem."""
    pin = find_pin(settings, "DS18B20_PIN", problems)
    if pin is None:
        return None
    where = f"{settings.where('DS18B20_PIN')}: {settings.DS18B20_PIN}"
    try:
        from adafruit_onewire.bus import OneWireBus

        from sensors.ds18b20 import Temperatures  # only with DS18B20_PIN

        temperatures = Temperatures(OneWireBus(pin), names_of(settings, problems))
    except ValueError:
        problems.append(f"{where} is in use; choose a free pin.")
        return None
    except ImportError as error:
        problems.append(f"{where}: {error}; copy the folder lib of the bundle to the drive.")
        return None
    trouble = temperatures.start()
    if trouble:
        problems.append(f"{where}: {trouble}.")
    return temperatures


def make_vedirect(settings, number, problems):
    """The source of a Victron device; None with one more problem."""
    key = f"VEDIRECT_{number}_RX"
    pin = find_pin(settings, key, problems)
    if pin is None:
        return None
    from sensors.vedirect import BAUD_RATE, RECEIVE_BUFFER_SIZE, VeDirect  # 10 KB, only with VEDIRECT_n_RX

    try:
        uart = busio.UART(None, pin, baudrate=BAUD_RATE, timeout=0, receiver_buffer_size=RECEIVE_BUFFER_SIZE)
    except (ValueError, RuntimeError):
        problems.append(
            f"{settings.where(key)}: {settings.value(key)} is in use, or this chip has no further UART: an ESP32-S2 has two, "
            "an ESP32-S3 three, and each line of batteries needs one."
        )
        return None
    return VeDirect(uart, number, settings.value(f"VEDIRECT_{number}_NAME"))


def make_supply(settings, problems):
    """The source of the supply voltage; None with one more problem."""
    pin = find_pin(settings, "SUPPLY_PIN", problems)
    if pin is None:
        return None
    import analogio

    from sensors.supply import Supply

    try:
        analog = analogio.AnalogIn(pin)
    except (ValueError, OSError):
        problems.append(
            f"{settings.where('SUPPLY_PIN')}: {settings.SUPPLY_PIN} is in use or cannot measure; choose one of IO1 to IO10."
        )
        return None
    enable = None
    if settings.SUPPLY_ENABLE_PIN:
        pin = find_pin(settings, "SUPPLY_ENABLE_PIN", problems)
        if pin is None:
            return None
        try:
            enable = Pin(digitalio.DigitalInOut(pin), True).drive
        except ValueError:
            place = settings.where("SUPPLY_ENABLE_PIN")
            problems.append(f"{place}: {settings.SUPPLY_ENABLE_PIN} is in use; choose a free pin.")
            return None
    return Supply(analog, settings.SUPPLY_RATIO_PERMILLE, enable)
