"""What messages from the broker make the bridge do: a topic, the exact words it understands, the function that does it.

Performs no I/O but to print what it refuses. A retained message is never carried out: it would be somebody's old wish, repeated
at every connect. Nothing is guessed: a word that differs by a single space is not the word.
"""

MAX_PAYLOAD = 32  # longer than every word and number that anybody has to say here
_SHOWN = 40


class Commands:
    """The topics to listen to. `add` one for each thing that can be asked for; `tell(name, reason)` hears what is refused."""

    def __init__(self, tell=None):
        self._entries = {}
        self._tell = tell

    def add(self, topic, words, function, ours=True, name=None):
        """Have `function(word, now)` called when a message on `topic` is exactly one of `words`.

        `words` a str, such as "a number": any printable ASCII up to MAX_PAYLOAD; the function judges whether it is that. It
        returns None, or why it refuses, in words. `ours`: the topic is for us alone, so what somebody left there, retained, may
        be cleared. `name`: what is asked for, in words; what is refused without a name is only printed.
        """
        self._entries[topic] = (words, function, ours, name)

    def topics(self):
        """Every topic to subscribe to."""
        return list(self._entries)

    def own_topics(self):
        """Those of them whose retained messages are to be cleared before."""
        return [topic for topic in self._entries if self._entries[topic][2]]

    def take(self, topic, payload, retained, now):
        """Carry out one message, `payload` as bytes, or say why not."""
        entry = self._entries.get(topic)
        if entry is None:
            print(f"Message on {shown(topic.encode())} ignored: it is no command of this bridge.")
            return
        words, function, ours, _ = entry
        refusal = None
        if retained:
            if ours:
                refusal = "it was retained, so it may be old; send it without the retain flag"
        elif payload:  # an empty one is somebody clearing a retained one
            word = _word(payload)
            is_free = isinstance(words, str)
            if word is None or (not is_free and word not in words):
                understood = words if is_free else " or ".join(words)
                refusal = f'{understood} is understood, not "{shown(payload)}"'
            else:
                refusal = self._carry_out(topic, function, word, now)
        if refusal:
            self.refuse(topic, refusal)

    def _carry_out(self, topic, function, word, now):
        """What the function says. A bug in it is for the loop, but must not leave whoever asked without an answer."""
        answered = False
        try:
            refusal = function(word, now)
            answered = True
        finally:
            if not answered:
                self.refuse(topic, "it failed inside the bridge; the console says more")
        return refusal

    def refuse(self, topic, reason):
        """Say why a message on one of our topics is not carried out."""
        if topic not in self._entries:
            return
        print(f"Message on {topic} ignored: {reason}.")
        name = self._entries[topic][3]
        if name is not None:
            self._tell(name, reason)


def shown(payload):
    """The beginning of some bytes, safe to print."""
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
