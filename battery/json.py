# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""JSON, written into one buffer that is reused: digits by integer arithmetic, with exactly the decimals of the row."""

import io
import json

from .readings import BINARY, BITFIELD, ENUM, GROUPS, NUMBER, OPTIONS, READING, READINGS
from .text import write_decimal

MOST_TEXT = 255  # characters: Home Assistant shows a state that is longer as unknown
# Bytes of the longest message, in one piece of memory that is taken once: a state of 48 cells with everything that a protocol
# can say has up to 5400, a discovery message 4096.
LARGEST = 5632
_AT_ONCE = 3  # readings or pairs written in one step: 1,500 bytecodes
_OF_MESSAGE = 6  # readings of a message: what becomes unknown is said in few passes, or it would be shown for too long


class Writer:
    """Collects the text of one message, in a buffer of `size` bytes that is reused, and grows only for a longer one.

    The buffer is a BytesIO: a slice of a bytearray would be an object on the heap, hundreds of times in a message.
    """

    def __init__(self, size=512):
        self._stream = io.BytesIO()
        self._stream.write(bytes(size))
        self._digits = bytearray(16)
        self.clear()

    def clear(self):
        """Begin a new message; returns self."""
        self._stream.seek(0)
        self._length = 0
        return self

    def bytes(self):
        """The message, as a copy."""
        self.rewind()
        return self._stream.read(self._length)

    def rewind(self):
        """From now on `readinto` reads from the beginning; nothing can be put any more."""
        self._stream.seek(0)

    def readinto(self, buffer):
        """Fill `buffer` with the next bytes; returns their number. Behind the end of the message is something old."""
        return self._stream.readinto(buffer)

    def __len__(self):
        return self._length

    def put(self, text):
        """Append text as it is; returns self."""
        if isinstance(text, str):
            text = text.encode()
        self._stream.write(text)
        self._length += len(text)
        return self

    def put_string(self, text):
        """Append text as a JSON string."""
        return self.put(json.dumps(text))

    def put_decimal(self, raw, decimals):
        """Append raw / 10**decimals as a JSON number."""
        digits = self._digits
        self._length += write_decimal(digits, 0, raw, decimals)
        self._stream.write(digits)  # all of it: what stands behind the number is overwritten next
        self._stream.seek(self._length)
        return self

    def put_pairs(self, pairs):
        """Append a JSON object of (key, value): int, str (of at most MOST_TEXT), bool as "ON"/"OFF", None as null."""
        for _ in pair_steps(self, pairs):
            pass
        return self


def pair_steps(writer, pairs, separator=b'{"'):
    """What `put_pairs` does, as a generator: a few pairs in each step; yields True when all is written.

    `separator`: what stands before the first one; b',"' continues an object.
    """
    count = 0
    for key, value in pairs:
        if count == _AT_ONCE:
            count = 0
            yield False
        count += 1
        writer.put(separator).put(key).put(b'":')
        separator = b',"'
        if value is None:
            writer.put(b"null")
        elif value is True or value is False:
            writer.put(b'"ON"' if value else b'"OFF"')
        elif isinstance(value, str):
            writer.put_string(bounded(value))
        else:
            writer.put_decimal(value, 0)
    writer.put(b"}" if pairs else b"{}")
    yield True


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


_CELL_BALANCING = READING["cell_{}_balancing"]

# row by row what stands before its number: b'"soc":', or for cells b'"cell_', b'_voltage":'; made when it is first written
_KEYS: list = [None] * len(READINGS)


# The parts of what is published on a battery: what is read again and again, and what is read once
STATE = 0
INFO = 1
BALANCING_CELLS = "balancing_cells"  # in the state: the numbers of the cells that are being balanced, as a list


def write_pack(writer, pack, every_slot=False, seq=None, time=None):
    """Write all readings that exist as one JSON object: each key always there, null for what is not known now.

    `every_slot`: also of cells and sensors that there may be; `seq` and `time` stand before them where there is a `seq`.
    """
    for _ in pack_steps(writer, pack, every_slot, seq, time):
        pass
    return writer


def pack_steps(writer, pack, every_slot=False, seq=None, time=None, part=None):
    """What `write_pack` does, as a generator: a few readings in each step; yields True when all is written.

    `part`: STATE or INFO, in the short form that is published; None: everything, and each cell's balancing by itself. Yields
    None at the end where there is nothing in it.
    """
    separator = b"{"
    if seq is not None:
        writer.put(b'{"seq":').put_decimal(seq, 0).put(b',"time":')
        writer.put(b"null") if time is None else writer.put_string(time)
        separator = b","
    at_once = _AT_ONCE if part is None else _OF_MESSAGE
    left = at_once
    for position in range(len(READINGS)):
        row = READINGS[position]
        if row.kind == BITFIELD or not pack.has(row) or (every_slot and _is_not_asked_for(pack, row)):
            continue
        if part is not None:
            if (GROUPS[row.group].period_ms is None) != (part == INFO):
                continue
            if row is _CELL_BALANCING:
                _put_balancing(writer, pack, row, separator)
                left -= 1
                continue
        key = _KEYS[position]
        if key is None:
            key = _KEYS[position] = tuple([part.encode() for part in ('"' + row.key + '":').split("{}")])
        if row.derive is not None:  # it may look at all cells
            left = 0
        for index in range(row.slots if every_slot else pack.count(row)):
            if left <= 0:
                left = at_once
                yield False
            left -= 1
            writer.put(separator).put(key[0])
            if row.slots > 1:
                writer.put_decimal(index + 1, 0).put(key[1])
            _put_reading(writer, pack, row, index)
            separator = b","
        if row.derive is not None:
            left = 1
    writer.put(b"}")
    yield True if separator == b"," else None


def _put_balancing(writer, pack, row, separator):
    """The numbers of the cells that are being balanced, null while one of them is not known."""
    writer.put(separator).put(b'"').put(BALANCING_CELLS).put(b'":')
    count = pack.count(row)
    values = [pack.at(row, index) for index in range(count)]
    if not count or None in values:
        writer.put(b"null")
        return
    separator = b"["
    for index in range(count):
        if values[index]:
            writer.put(separator).put_decimal(index + 1, 0)
            separator = b","
    writer.put(b"[]" if separator == b"[" else b"]")


def _is_not_asked_for(pack, row):
    """Whether no protocol has been found yet, and this is one of the many readings that are read once, if a board has them."""
    return pack.absent is None and GROUPS[row.group].period_ms is None and pack.at(row) is None


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
    elif row.kind == ENUM:
        writer.put(b'"').put(OPTIONS[row.key][raw]).put(b'"')
    else:
        writer.put_string(pack.text(row, index))
