# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What an earlier start has left retained on outputs and sensors that the settings do not name any more: Home Assistant would
show them for ever. Loaded only when there is something.
"""

# How many discovery messages there can be of each source, PER_MESSAGE rows of battery/sources.py in each
MESSAGES = {"outputs": 5, "temperatures": 4, "vedirect1": 7, "vedirect2": 7, "supply": 1}


def topics_behind(topic, base):
    """What is to be cleared when a message is retained on `topic`, the discovery topic from which on nothing is sent any more:
    that one, those of the messages behind it, and the state where no discovery message is left."""
    before, _, end = topic[: -len("/config")].rpartition("_")
    if "0" <= end <= "9":  # one digit: of a message that is not the first
        before, _, key = before.rpartition("_")
        first = int(end)
    else:
        key = end
        first = 1
    topics = [topic] + [f"{before}_{key}_{number}/config" for number in range(first + 1, MESSAGES[key] + 1)]
    return topics + ([f"{base}/{key}/state"] if first == 1 else [])
