"""What the broker's messages may ask for: nothing that the settings do not name in ALLOW_CONTROL, but for harmless things."""

import random

import microcontroller

from mqtt.commands import Commands

from .energy_store import WORDS

PERCENT = "a number from 0 to 100 with at most one decimal"


def make_commands(settings, publisher, support, control, clock, keeper):
    """The topics that are listened to, and what they do. What is not allowed is not even listened to."""
    base = settings.base_topic
    # why not is said where the result of an order would stand
    commands = Commands(lambda name, reason: publisher.report(f"{name}: refused, {reason}"))
    if settings.allowed:
        publisher.report("none")

    def send_support(_word, now):
        return support.request(lambda bundle: publisher.publish("/support", bundle, qos=0), now)

    def birth(word, now):
        if word == "online":  # after a random while, so that a house full of devices does not talk at once
            publisher.rediscover(now, random.randrange(1000, 5000))

    def charge(word, now):
        return control.switch("charge_mosfet", word == "ON", now)

    def discharge(word, now):
        return control.switch("discharge_mosfet", word == "ON", now)

    def set_soc(word, now):
        raw = tenths(word)
        if raw is None:
            return f'{PERCENT} is understood, not "{word}"'
        return control.refusal() or control.set_soc(raw, clock.now(), now)  # NTP waits up to a second

    def restart_bms(_word, now):
        return control.restart(now)

    def set_energy(word, now):
        refusal = keeper.change(word)
        if refusal is None:
            publisher.set_counters(now)
            publisher.report("Energy counters: done")
        return refusal

    def restart_bridge(_word, _now):
        refusal = control.pending()  # whoever asked for that is owed an answer
        if refusal is None:
            keeper.save()
            microcontroller.reset()
        return refusal

    commands.add(base + "/support/set", ("PRESS",), send_support)
    if settings.MQTT_BIRTH_TOPIC:
        commands.add(settings.MQTT_BIRTH_TOPIC, ("online", "offline"), birth, ours=False)
    for control_name, topic, words, function, name in (
        ("charge_mosfet", "/bms1/charge_mosfet/set", ("ON", "OFF"), charge, "Charge MOSFET"),
        ("discharge_mosfet", "/bms1/discharge_mosfet/set", ("ON", "OFF"), discharge, "Discharge MOSFET"),
        ("soc", "/bms1/soc/set", PERCENT, set_soc, "State of charge"),
        ("restart_bms", "/bms1/restart/set", ("PRESS",), restart_bms, "Restart of the BMS"),
        ("energy", "/bms1/energy/set", WORDS, set_energy, "Energy counters"),
        ("restart_bridge", "/restart/set", ("PRESS",), restart_bridge, "Restart of the bridge"),
    ):
        if control_name in settings.allowed:
            commands.add(base + topic, words, function, name=name)
    return commands


def tenths(word):
    """ "57.3" is 573; None for anything but digits with at most one decimal, 0 to 100."""
    whole, point, decimal = word.partition(".")
    if not whole.isdigit() or len(whole) > 3 or (point and not (decimal.isdigit() and len(decimal) <= 1)):
        return None
    raw = 10 * int(whole) + int(decimal or 0)
    return raw if raw <= 1000 else None
