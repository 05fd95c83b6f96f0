# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""MQTT packets made by hand, for brokers that are only a socket."""


def packet(first, body):
    """An MQTT packet with its remaining length as the standard has it (3.1.1, section 2.2.3)."""
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | 0x80 * bool(rest)])
        if not rest:
            return bytes([first]) + length + body


class OwnPool:
    """For a double of a broker that is its own socket pool and its only socket."""

    SOCK_STREAM = 1

    def getaddrinfo(self, *_):
        return [(0, 0, 0, "", ("10.0.0.1", 1883))]

    def socket(self, *_):
        return self

    def settimeout(self, _):
        pass
