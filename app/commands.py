# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the broker's messages can control: only what ALLOW_CONTROL names, and what changes nothing."""

import random

import microcontroller

from battery.controls import CONTROL, CONTROLS, DIAGNOSTICS_BUTTON, RESULTS, refusal_text
from mqtt.commands import Commands


def make_commands(settings, publisher, diagnostics, battery_commands, clock, energy_store):
    """The topics to subscribe to, each with its function. What is not allowed is not subscribed to.

    The functions return None or the code of a refusal. A refusal is published where the result of the command would be.
    """
    base = settings.base_topic
    commands = Commands(lambda subject, reason: publisher.report(f"{subject}: refused, {reason}"))
    if settings.allowed:
        publisher.report("none")

    def in_words(function, payloads):
        return lambda word, now: refusal_text(function(word, now), payloads, word)

    def send_diagnostics(_word, now):
        return refusal_text(diagnostics.request(lambda json: publisher.publish("/diagnostics", json, qos=0), now))

    def birth(word, now):
        if word == "online":  # after a random delay, so that not all devices of a house publish at once
            publisher.rediscover(now, random.randrange(1000, 5000))

    def set_soc(word, now):
        raw = tenths(word)
        if raw is None:
            return "not_understood"
        refusal = battery_commands.refusal()
        if refusal is None:
            time = clock.now() if battery_commands.soc_needs_clock else None  # NTP waits up to a second
            refusal = battery_commands.set_soc(raw, time, now)
        return refusal

    def set_energy(word, now):
        refusal = energy_store.change(word)
        if refusal is None:
            publisher.set_counters(now)
            publisher.report(f"{CONTROL['energy'].subject}: {RESULTS['done']}")
        return refusal

    def restart_bridge(_word, _now):
        refusal = battery_commands.pending()  # its result has to be published first
        if refusal is None:
            energy_store.save()
            microcontroller.reset()
        return refusal

    commands.add(base + DIAGNOSTICS_BUTTON.topic, DIAGNOSTICS_BUTTON.payloads, send_diagnostics)
    if settings.MQTT_BIRTH_TOPIC:
        commands.add(settings.MQTT_BIRTH_TOPIC, ("online", "offline"), birth, ours=False)
    functions = {
        "charge_mosfet": lambda word, now: battery_commands.switch("charge_mosfet", word == "ON", now),
        "discharge_mosfet": lambda word, now: battery_commands.switch("discharge_mosfet", word == "ON", now),
        "soc": set_soc,
        "restart_bms": lambda word, now: battery_commands.restart(now),
        "energy": set_energy,
        "restart_bridge": restart_bridge,
    }
    for row in CONTROLS:
        if row.key in settings.allowed:
            commands.add(base + row.topic, row.payloads, in_words(functions[row.key], row.payloads), name=row.subject)
    return commands


def tenths(word):
    """ "57.3" is 573; None for anything but digits with at most one decimal, 0 to 100."""
    whole, point, decimal = word.partition(".")
    if not whole.isdigit() or len(whole) > 3 or (point and not (decimal.isdigit() and len(decimal) <= 1)):
        return None
    raw = 10 * int(whole) + int(decimal or 0)
    return raw if raw <= 1000 else None
