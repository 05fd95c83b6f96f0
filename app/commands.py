# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the broker's messages can control whatever the settings: what changes nothing. The rest is in controls.py."""

import random

from battery.unload import keep, unload
from mqtt.commands import Commands


class ScanRequest:
    """Starts a scan for board numbers. `buses`: UART -> Bus; `boards`: of the settings, in the order of `batteries`."""

    def __init__(self, buses, boards, batteries):
        self._buses = buses
        self._boards = boards
        self._batteries = batteries
        self._publish = None  # what receives the result of the scan that is running; None: none is

    def start(self, publish):
        """Pass the result in words to `publish`, in half a minute or so. Returns None, or the code of the refusal."""
        if not self._buses:
            return "no_uart"
        if self._publish is not None:
            return "requested_before"
        self._publish = publish
        from .scan import Scan

        Scan(self._buses, self._boards, self._batteries, self._end).start(self._buses)
        return None

    def show(self, _now):
        """The same for the console."""
        refusal = self.start(lambda text: None)
        print("Scan:", _in_words(refusal) if refusal else "it takes up to a minute, and the batteries are read meanwhile.")

    def _end(self, text):
        print("Scan:", text)
        self._publish(text)
        self._publish = None
        unload("app.scan")


def make_commands(settings, publisher, diagnostics, scan, batteries, battery_commands, clock, energy_stores):
    """The topics to subscribe to, each with its function. What is not allowed is not subscribed to.

    The functions return None or why they refuse. A refusal is published where the result of the command would be.
    `battery_commands`: a BatteryCommands of each of the `batteries`; it and `clock`: None where ALLOW_CONTROL needs none.
    """
    from battery.controls import DIAGNOSTICS_BUTTON, SCAN_BUTTON

    commands = Commands(lambda name, reason: publisher.report(f"{name[0]}: refused, {reason}", name[1]))

    def send_diagnostics(_word, now):
        refusal = diagnostics.request(lambda topic, json: publisher.publish(topic, json, qos=0), now)
        return refusal and _in_words(refusal)

    def start_scan(_word, _now):
        refusal = scan.start(lambda text: publisher.publish("/scan", text, qos=0))
        return refusal and _in_words(refusal)

    def birth(word, now):
        if word == "online":  # after a random delay, so that not all devices of a house publish at once
            publisher.rediscover(now, random.randrange(1000, 5000))

    commands.add(settings.base_topic + DIAGNOSTICS_BUTTON.topic, DIAGNOSTICS_BUTTON.payloads, send_diagnostics)
    commands.add(settings.base_topic + SCAN_BUTTON.topic, SCAN_BUTTON.payloads, start_scan)
    if settings.MQTT_BIRTH_TOPIC:
        commands.add(settings.MQTT_BIRTH_TOPIC, ("online", "offline"), birth, ours=False)
    if len(settings.allowed):
        keep("battery.controls")
        from .controls import add_controls  # 6 KB on a board with what it needs

        for battery in batteries:
            publisher.report("none", battery)
        add_controls(commands, settings, publisher, batteries, battery_commands, clock, energy_stores)
    unload("battery.controls")
    return commands


def _in_words(code):
    """A code of battery/controls.py in words."""
    from battery.controls import RESULTS

    words = RESULTS[code]
    unload("battery.controls")
    return words
