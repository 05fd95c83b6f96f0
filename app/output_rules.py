# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads the rules of the settings: on the board at its start, and on a PC to check a file. Forgotten afterwards."""

from battery.unload import unload
from mqtt.entities import entity
from outputs.rules import SOURCES, Names, head_of, parse

from .extras import OUTPUTS


def read_rules(settings, sensors, problems):
    """(number, Rule, name, name of its pin, whether it is active low) of each output; Rule None: a mistake, one more problem.

    `sensors`: sources that there will be.
    """

    def values_of(source):
        return _values_of(settings, source.key)

    names = Names([f"bms{board.number}" for board in settings.boards], sensors, unit_of, similar, values_of)
    found = []
    for number in range(1, OUTPUTS + 1):
        key = f"OUTPUT_{number}"
        text = settings.value(key)
        if text:
            rule, mistake = parse(text, names)
            if mistake is not None:
                problems.append(f"{settings.where(key)}, {mistake}; until then it stays off.")
            found.append((number, rule) + head_of(text))
    if names.is_named("time") and not settings.NTP_SERVER:
        problems.append("NTP_SERVER is empty, so the time that an output names is never known; write a server.")
    for module in ("outputs.rules", "battery.minute", "mqtt.entities", "mqtt.bridge_entities", "app.advice", "app.plausible"):
        unload(module)
    return found


def _values_of(settings, key):
    """The names of the values of a source."""
    if key == "supply":
        return ["voltage"]
    if key != "temperatures":
        from sensors.vedirect_tables import rows_of  # which device it is, is known when it has sent something

        keys = [row.key for is_monitor in (False, True) for _, row, _ in rows_of(is_monitor)]
        for module in ("sensors.vedirect_tables", "sensors.vedirect_monitor", "sensors.vedirect_charger"):
            unload(module)
        return keys + ["problem"]
    return [pair.partition("=")[2] for pair in settings.value("DS18B20_NAMES").split(",") if "=" in pair] + ["problem"]


def source_keys(settings):
    """The keys of the sources that these settings name."""
    return [key for key, pin in SOURCES.values() if settings.value(pin)]


def unit_of(row):
    """The unit of a reading; None: it has none."""
    return entity(row).unit


def similar(name, names):
    """The one of these names that may be meant with a mistyped one; None: none is like it."""
    from . import advice  # only for a mistake

    return advice.similar(name, names)
