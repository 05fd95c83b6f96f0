# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What ALLOW_CONTROL names: each control with the function that carries it out. Loaded only if it names something."""

import microcontroller

from battery.controls import CONTROL, CONTROLS, RESULTS, refusal_text
from battery.energy import COUNTERS

from .energy_store import LARGEST


def add_controls(commands, settings, publisher, batteries, battery_commands, clock, energy_stores):
    """Add what the settings allow to `commands`. The functions return None or the code of a refusal.

    Each battery has topics of its own, and what comes on them goes to it alone. `battery_commands`, and the stores in
    `energy_stores`, are in the order of `batteries`.
    """

    def restart_bridge(_word, _now):
        for commanded in battery_commands:
            if commanded.pending() is not None:  # its result has to be published first
                return commanded.pending()
        energy_stores.save()
        print("Command: " + CONTROL["restart_bridge"].subject)
        microcontroller.reset()
        return None

    for index, battery in enumerate(batteries):
        functions = _of_battery(publisher, battery, battery_commands[index], clock, energy_stores.stores[index])
        for row in CONTROLS:
            if row.key in settings.allowed and row.key in functions:
                topic = settings.base_topic + row.topic.replace("{}", battery.key)
                commands.add(topic, row.payloads, _in_words(functions[row.key], row.payloads), name=(row.subject, battery))
    row = CONTROL["restart_bridge"]
    if row.key in settings.allowed:
        topic = settings.base_topic + row.topic
        commands.add(topic, row.payloads, _in_words(restart_bridge, row.payloads), name=(row.subject, None))


def _in_words(function, payloads):
    return lambda word, now: refusal_text(function(word, now), payloads, word)


def _of_battery(publisher, battery, commands, clock, energy_store):
    """Key of a control -> what carries it out, of one battery."""

    def set_soc(word, now):
        raw = tenths(word)
        if raw is None:
            return "not_understood"
        refusal = commands.refusal()
        if refusal is None:
            time = clock.now() if commands.soc_needs_clock else None  # NTP waits up to a second
            refusal = commands.set_soc(raw, time, now)
        return refusal

    def set_energy(word, now):
        refusal = energy_store.change(word)
        if refusal is None:
            publisher.set_counters(now, battery)
            result = f"{CONTROL['energy'].subject}: {RESULTS['done']}"
            publisher.report(result, battery)
            print(f"{battery.label}: Command: {result}" if battery.label else "Command: " + result)
        return refusal

    return {
        "charge_mosfet": lambda word, now: commands.switch("charge_mosfet", word == "ON", now),
        "discharge_mosfet": lambda word, now: commands.switch("discharge_mosfet", word == "ON", now),
        "soc": set_soc,
        "restart_bms": lambda word, now: commands.restart(now),
        "energy": set_energy,
    }


def tenths(word):
    """ "57.3" is 573; None for anything but digits with at most one decimal, 0 to 100."""
    whole, point, decimal = word.partition(".")
    if not whole.isdigit() or len(whole) > 3 or (point and not (decimal.isdigit() and len(decimal) <= 1)):
        return None
    raw = 10 * int(whole) + int(decimal or 0)
    return raw if raw <= 1000 else None


def changed(totals, word):
    """The totals after "reset" or "energy_charged=1234.567"; None: it is not understood."""
    if word == "reset":
        return (0, 0, 0, 0)
    counter, _, text = word.partition("=")
    whole, point, decimals = text.partition(".")
    if counter not in COUNTERS or not _is_digits(whole) or len(whole) > 9 or (point and not _is_digits(decimals)):
        return None
    index = COUNTERS.index(counter)
    number = 1000 * int(whole) + int((decimals + "000")[:3])
    if len(decimals) > 3 or number > LARGEST[index]:
        return None
    return totals[:index] + (number,) + totals[index + 1 :]


def _is_digits(text):
    for character in text:
        if not "0" <= character <= "9":
            return False
    return len(text) > 0
