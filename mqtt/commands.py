# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The commands received over MQTT: for each topic the exact payloads it accepts and the function it calls.

No I/O except for printing what is accepted, and refusals. A retained message is never executed: it would be an old command,
repeated at every connection. Payloads are compared exactly, with case and spaces.
"""

DIAGNOSTICS_TOPIC = "/diagnostics/set"  # below the base topic, as the next one
SCAN_TOPIC = "/scan/set"
PRESS = ("PRESS",)  # what a button sends
MAX_PAYLOAD = 32  # longer than every payload that is accepted
_SHOWN = 40


class Commands:
    """The command topics. `report(name, reason)` is called when a command with a name is refused; None: no command has one."""

    def __init__(self, report=None):
        self._entries = {}
        self._report = report

    def add(self, topic, words, function, ours=True, name=None):
        """Call `function(payload, now)` when a message on `topic` is exactly one of `words`.

        `words` a str, such as "a number": any printable ASCII up to MAX_PAYLOAD, which the function checks. It returns None, or
        the reason for a refusal. `ours`: no other program uses the topic, so a message retained there may be cleared. `name`:
        the command's name in reports; without one a refusal is only printed.
        """
        self._entries[topic] = (words, function, ours, name)

    def topics(self):
        """Every topic to subscribe to."""
        return list(self._entries)

    def own_topics(self):
        """Those whose retained messages are cleared before subscribing."""
        return [topic for topic in self._entries if self._entries[topic][2]]

    def execute(self, topic, payload, retained, now):
        """Execute one message (`payload` as bytes), or refuse it with a reason."""
        entry = self._entries.get(topic)
        if entry is None:
            print(f"Message on {printable(topic.encode())} ignored: not a command of this bridge.")
            return
        words, function, ours, _ = entry
        refusal = None
        if retained:
            if ours:
                refusal = "it was retained, so it may be old; send it without the retain flag"
        elif payload:  # an empty one clears a retained one
            word = _word(payload)
            is_free = isinstance(words, str)
            if word is None or (not is_free and word not in words):
                accepted = words if is_free else " or ".join(words)
                refusal = f'{accepted} is understood, not "{printable(payload)}"'
            else:
                refusal = self._call(topic, function, word, now)
                if not refusal:
                    print(f"Message on {topic}: {word}")
        if refusal:
            self.refuse(topic, refusal)

    def _call(self, topic, function, word, now):
        """The function's refusal or None. An exception goes on to the loop, but the sender gets an answer first."""
        answered = False
        try:
            refusal = function(word, now)
            answered = True
        finally:
            if not answered:
                self.refuse(topic, "it failed inside the bridge; see the console")
        return refusal

    def refuse(self, topic, reason):
        """Print and report why a message on one of the command topics is not executed."""
        if topic not in self._entries:
            return
        print(f"Message on {topic} ignored: {reason}.")
        name = self._entries[topic][3]
        if name is not None:
            self._report(name, reason)


def printable(payload):
    """The beginning of `payload` as printable ASCII."""
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in payload[:_SHOWN])
    return text if len(payload) <= _SHOWN else text + "..."


def _word(payload):
    """The payload as str; None when it is too long or anything but printable ASCII."""
    if len(payload) > MAX_PAYLOAD:
        return None
    for byte in payload:
        if not 0x20 <= byte < 0x7F:
            return None
    return str(payload, "ascii")
