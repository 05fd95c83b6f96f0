# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What ALLOW_CONTROL names: each control with the function that carries it out. Loaded only if it names something."""

import microcontroller

from battery.controls import CONTROL, CONTROLS, RESULTS, refusal_text


def add_controls(commands, settings, publisher, battery_commands, clock, energy_store):
    """Add what the settings allow to `commands`. The functions return None or the code of a refusal."""

    def in_words(function, payloads):
        return lambda word, now: refusal_text(function(word, now), payloads, word)

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
            topic = settings.base_topic + row.topic.replace("{}", "bms1")
            commands.add(topic, row.payloads, in_words(functions[row.key], row.payloads), name=row.subject)


def tenths(word):
    """ "57.3" is 573; None for anything but digits with at most one decimal, 0 to 100."""
    whole, point, decimal = word.partition(".")
    if not whole.isdigit() or len(whole) > 3 or (point and not (decimal.isdigit() and len(decimal) <= 1)):
        return None
    raw = 10 * int(whole) + int(decimal or 0)
    return raw if raw <= 1000 else None
