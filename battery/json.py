# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""JSON, written into one buffer that is reused: digits by integer arithmetic, with exactly the decimals of the row."""

import json

from .readings import BINARY, BITFIELD, NUMBER, READINGS
from .text import write_decimal

MOST_TEXT = 255  # characters: Home Assistant shows a state that is longer as unknown


class Writer:
    """Collects the text of one message. `bytes` is for MiniMQTT; the buffer grows to the longest message and is kept."""

    def __init__(self):
        self._buffer = bytearray(512)
        self._length = 0

    def clear(self):
        """Begin a new message; returns self."""
        self._length = 0
        return self

    def bytes(self):
        """The message."""
        return bytes(memoryview(self._buffer)[: self._length])

    def __len__(self):
        return self._length

    def put(self, text):
        """Append text as it is; returns self."""
        if isinstance(text, str):
            text = text.encode()
        at = self._length
        self._reserve(at + len(text))
        buffer = self._buffer
        for byte in text:  # a slice would be an object on the heap, hundreds of times in a message
            buffer[at] = byte
            at += 1
        self._length = at
        return self

    def put_string(self, text):
        """Append text as a JSON string."""
        return self.put(json.dumps(text))

    def put_decimal(self, raw, decimals):
        """Append raw / 10**decimals as a JSON number."""
        self._reserve(self._length + 16)
        self._length = write_decimal(self._buffer, self._length, raw, decimals)
        return self

    def put_pairs(self, pairs):
        """Append a JSON object of (key, value): int, str (of at most MOST_TEXT), bool as "ON"/"OFF", None as null."""
        separator = b"{"
        for key, value in pairs:
            self.put(separator).put_string(key).put(b":")
            separator = b","
            if value is None:
                self.put(b"null")
            elif value is True or value is False:
                self.put(b'"ON"' if value else b'"OFF"')
            elif isinstance(value, str):
                self.put_string(bounded(value))
            else:
                self.put_decimal(value, 0)
        return self.put(b"}")

    def _reserve(self, size):
        if size > len(self._buffer):
            grown = bytearray(max(size, 2 * len(self._buffer)))
            grown[: self._length] = memoryview(self._buffer)[: self._length]
            self._buffer = grown


def escaped(text):
    """Text as it stands between the quotes of a JSON string."""
    return json.dumps(text)[1:-1]


def bounded(text):
    """A text that Home Assistant accepts as a state: one that is too long ends in "..."."""
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."


def listed(sentences):
    """The sentences that fit into MOST_TEXT, the first one in any case, then how many more there are: "+2"; or "none"."""
    if not sentences:
        return "none"
    text = sentences[0]
    for position in range(1, len(sentences)):
        after = len(sentences) - position - 1
        longer = text + " " + sentences[position]
        if len(longer) + (len(f" +{after}") if after else 0) > MOST_TEXT:
            more = f" +{after + 1}"
            return (text if len(text + more) <= MOST_TEXT else text[: MOST_TEXT - 3 - len(more)] + "...") + more
        text = longer
    return bounded(text)


# row by row what stands before its number: b'"soc":', or for cells b'"cell_', b'_voltage":'; made once, written often
_KEYS = tuple(
    tuple(part.encode() for part in ('"' + row.key + '":').split("{}")) if row.kind != BITFIELD else None for row in READINGS
)


def write_pack(writer, pack, every_slot=False, seq=None, time=None):
    """Write all readings of a battery as one JSON object: every key always there, null for what is not known now.

    `every_slot`: also of cells and sensors that there may be; `seq` and `time` stand before them where there is a `seq`.
    """
    separator = b"{"
    if seq is not None:
        writer.put(b'{"seq":').put_decimal(seq, 0).put(b',"time":')
        writer.put(b"null") if time is None else writer.put_string(time)
        separator = b","
    for position in range(len(READINGS)):
        row = READINGS[position]
        key = _KEYS[position]
        if key is not None:
            for index in range(row.slots if every_slot else pack.count(row)):
                writer.put(separator).put(key[0])
                if row.slots > 1:
                    writer.put_decimal(index + 1, 0).put(key[1])
                _put_reading(writer, pack, row, index)
                separator = b","
    return writer.put(b"}")


def key_of(row, index):
    """The JSON key of a row's reading number `index` (from 0): "cell_7_voltage"."""
    return row.key.replace("{}", str(index + 1)) if row.slots > 1 else row.key


def _put_reading(writer, pack, row, index):
    raw = pack.at(row, index)
    if raw is None:
        writer.put(b"null")
    elif row.kind == NUMBER:
        writer.put_decimal(raw, row.decimals)
    elif row.kind == BINARY:
        writer.put(b'"ON"' if raw else b'"OFF"')
    else:
        writer.put_string(pack.text(row, index))
