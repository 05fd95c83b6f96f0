# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Detection of the BMS: which host address it responds to, and whether it is one that speaks a newer protocol."""

from .a5 import HOST_ADDRESSES

TRIES = 4  # requests before the next address is tried
PROBE_EVERY = 20  # requests, with a pinned address, before the other one is tried again, only to be able to report it

# "Read registers", with which the newer boards are asked for everything, with its CRC, as the vendor's tools send it; only
# reading, and only after nothing has responded to A5. The response begins with address, function 3 and the byte count.
PROBES = (
    ("D2", bytes((0xD2, 0x03, 0x00, 0x00, 0x00, 0x3E, 0xD7, 0xB9)), (0xD2, 0x03, 0x7C)),
    ("0x81/0x51", bytes((0x81, 0x03, 0x00, 0x00, 0x00, 0x40, 0x5B, 0xFA)), (0x51, 0x03, 0x80)),
)


class Detector:
    """Keeps the host address. `pinned`: the address from the settings, or 0 to detect it; `board_number` 1 to 16."""

    def __init__(self, pinned=0, board_number=1):
        # On RS485 board n listens to 0x40 + n - 1 and answers as n (dbus-serialbattery, batmon).
        own = HOST_ADDRESSES[0] + board_number - 1
        self._addresses = (pinned,) if pinned else HOST_ADDRESSES if board_number == 1 else (own,)
        self._others = [address for address in HOST_ADDRESSES if address != pinned] if pinned else []
        self._at = 0
        self._tries = 0
        self._probes = 0  # already sent
        self._matched = 0
        self.address = self._addresses[0]
        self.probe = None  # (name, request, beginning of the response) of a newer protocol while it is the open request
        self.is_off_settings = False  # the request goes to an address that the settings rule out

    @property
    def exhausted(self):
        """Whether every address and, once, every probe has been tried."""
        return self._probes == len(PROBES) and self.probe is None

    def found(self):
        """The present address was answered: keep it, and send no probes."""
        self._tries = 0
        self._probes = len(PROBES)

    def failed(self):
        """One more request without a response, before the BMS was ever found: decide what to try next."""
        self.probe = None
        if self.is_off_settings:  # that was only to be able to report it
            self.is_off_settings = False
            self.address = self._addresses[self._at]
        self._tries += 1
        if self._tries % TRIES:
            return
        all_tried = self._tries % (TRIES * len(self._addresses)) == 0
        if all_tried and self._others and self._tries % PROBE_EVERY == TRIES:
            self.is_off_settings = True
        elif all_tried and self._probes < len(PROBES):
            self.probe = PROBES[self._probes]
            self._probes += 1
            self._matched = 0
            self._tries -= 1  # the next one follows immediately
        self._at = (self._at + 1) % len(self._addresses)
        self.address = self._others[0] if self.is_off_settings else self._addresses[self._at]

    def feed(self, byte):
        """Take one byte while a probe is open; the name of the protocol once its response has begun, else None."""
        name, _, beginning = self.probe
        if byte == beginning[self._matched]:
            self._matched += 1
        else:
            self._matched = 1 if byte == beginning[0] else 0
        if self._matched < len(beginning):
            return None
        self._matched = 0
        return name
