# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a person may do with the outputs over MQTT. Loaded only if ALLOW_CONTROL names them."""

from battery.controls import OUTPUT_CONTROL


def add_commands(commands, base_topic, outputs):
    """Add a topic of each output to `commands`: who decides from now on, and what."""

    def add(number):
        def set_mode(word, _now):
            outputs.command(number, word)

        topic = base_topic + OUTPUT_CONTROL.topic.replace("{}", str(number))
        subject = OUTPUT_CONTROL.subject.replace("{}", str(number))
        commands.add(topic, OUTPUT_CONTROL.payloads, set_mode, name=(subject, None))

    for number in outputs.numbers():
        add(number)
