# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the broker's messages can control whatever the settings: what changes nothing. The rest is in controls.py."""

import random

from battery.unload import keep, unload
from mqtt.commands import DIAGNOSTICS_TOPIC, PRESS, SCAN_TOPIC, Commands


def make_scan(buses, boards, batteries):
    """What starts a scan for board numbers: see app/scan.py. `boards`: of the settings, in the order of `batteries`."""

    def scan(_now, publish=None):
        from .scan import start  # 3 KB, as long as it lasts

        return start(buses, boards, batteries, publish)

    return scan


def make_commands(settings, publisher, diagnostics, scan, batteries, battery_commands, clock, energy_stores):
    """The topics to subscribe to, each with its function. What is not allowed is not subscribed to.

    The functions return None or why they refuse. A refusal is published where the result of the command would be.
    `battery_commands`: a BatteryCommands of each of the `batteries`; it and `clock`: None where ALLOW_CONTROL needs none.
    """
    commands = Commands(lambda name, reason: publisher.report(f"{name[0]}: refused, {reason}", name[1]))

    def send_diagnostics(_word, now):
        refusal = diagnostics.request(lambda topic, json: publisher.publish(topic, json, qos=0), now)
        return refusal and _in_words(refusal)

    def start_scan(_word, now):
        refusal = scan(now, lambda text: publisher.publish("/scan", text, qos=0))
        return refusal and _in_words(refusal)

    def birth(word, now):
        if word == "online":  # after a random delay, so that not all devices of a house publish at once
            publisher.rediscover(now, random.randrange(1000, 5000))

    commands.add(settings.base_topic + DIAGNOSTICS_TOPIC, PRESS, send_diagnostics)
    commands.add(settings.base_topic + SCAN_TOPIC, PRESS, start_scan)
    if settings.MQTT_BIRTH_TOPIC:
        commands.add(settings.MQTT_BIRTH_TOPIC, ("online", "offline"), birth, ours=False)
    if len(settings.allowed):
        keep("battery.controls")
        from .controls import add_controls  # 6 KB on a board with what it needs

        for battery in batteries:
            publisher.report("none", battery)
        add_controls(commands, settings, publisher, batteries, battery_commands, clock, energy_stores)
    return commands


def _in_words(code):
    """A code of battery/controls.py in words."""
    from battery.controls import RESULTS

    words = RESULTS[code]
    unload("battery.controls")
    return words
