# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Diagnosis: why there is data from the BMS or not, as a code with words beside it. The poller is its only writer."""

from adafruit_ticks import ticks_diff

# What a request resulted in, when not in its response.
SILENCE = 0
ECHO = 1  # our own request
NOISE = 2  # bytes, but no good frame
UNEXPECTED = 3  # good frames of other boards or hosts
EMPTY = 4  # good frames with nothing but zeros or the impossible
LATE = 5  # nothing but responses to earlier requests

# Codes. Those of a BMS that has never responded equal the outcomes above.
ASLEEP = 10  # 10, 11 and 14: plus the outcome
DETECTING = 20
NO_UART = 21
OTHER_PROTOCOL = 22
WRONG_HOST_ADDRESS = 23
OK = 30
RECOVERED = 31
UNSUPPORTED = 32  # some functions are not supported by this board
POLARITY = 40  # 41 to 43: plus the trouble in battery/polarity.py

_REMEMBERED = 8  # requests that are looked at
_ENOUGH = 3  # requests of one outcome before it counts
_RECOVERED_MS = 60000  # how long a recovery is reported
_CAN_BE_ASLEEP = (SILENCE, ECHO, EMPTY)  # outcomes of a BMS that has responded before

# code: the sentence, with its remedy, and two lines of at most 21 characters for the screen. "{}" is the detail.
_WORDS = {
    SILENCE: (
        "No response, nothing received: check the BMS's power and plug, and whether TX and RX are swapped",
        "No BMS: check", "power, plug, TX/RX",
    ),
    ECHO: (
        "Only our own requests come back: the BMS is asleep (wake it with load, charger or button), or TX and RX are joined",
        "BMS asleep, or", "TX and RX joined",
    ),
    NOISE: (
        "Noise instead of responses: check ground, 3.3 V level, isolator, and UART_BAUD_RATE 9600",
        "Noise from BMS: check", "ground, level, baud",
    ),
    UNEXPECTED: (
        "Other devices talk on this line, but our board does not respond: check BMS_BOARD_NUMBER",
        "Other board responds:", "BMS_BOARD_NUMBER?",
    ),
    EMPTY: (
        "The BMS responds with zeros only: it is asleep or confused; wake it with load, charger or button",
        "BMS sends only zeros:", "asleep?",
    ),
    LATE: (
        "The responses of the BMS come too late to be used: look for what delays them, such as a serial adapter over Wi-Fi",
        "BMS responds too late", "adapter in between?",
    ),
    ASLEEP + SILENCE: (
        "BMS asleep, or cut off, for {}: nothing is received any more; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    ASLEEP + ECHO: (
        "BMS asleep, or cut off, for {}: our requests come back; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    ASLEEP + EMPTY: (
        "BMS asleep, or cut off, for {}: it sends only zeros; wake it with load, charger or button, or check its plug",
        "BMS asleep or cut off", "for {}",
    ),
    DETECTING: ("Looking for the BMS", "Looking for BMS ...", ""),
    NO_UART: ("No UART: correct UART_TX and UART_RX in settings.toml", "No BMS: UART_TX or", "UART_RX is wrong"),
    OTHER_PROTOCOL: (
        "The BMS speaks a newer protocol ({}), which this bridge does not understand yet",
        "BMS speaks {}", "not understood yet",
    ),
    WRONG_HOST_ADDRESS: (
        "The BMS responds only to host address {}: correct or remove BMS_HOST_ADDRESS",
        "BMS_HOST_ADDRESS must", "be {}",
    ),
    OK: ("OK{}", "", ""),
    RECOVERED: ("Recovered: the BMS responds again, after {}", "", ""),
    UNSUPPORTED: ("OK, but this BMS does not support {}", "", ""),
    POLARITY + 1: (
        "OK, but current and mode contradict each other: until 3 A or more have shown for a while which way this board counts, "
        "the current is unknown; CURRENT_SIGN decides it immediately",
        "", "",
    ),
    POLARITY + 2: (
        "OK, but the current contradicts the mode, and which of them is right is not known: the current is unknown; "
        "CURRENT_SIGN decides it immediately",
        "", "",
    ),
    POLARITY + 3: (
        "OK, but the mode contradicts the current, whose direction CURRENT_SIGN decides: the mode is unknown",
        "", "",
    ),
}  # fmt: skip


class Diagnosis:
    """Judges the conversation with the BMS. `has_uart`: there is a UART to send requests with.

    `code` is why there is data or not, `text` the same as a sentence with its remedy, `short` in two lines for the screen.
    """

    def __init__(self, has_uart=True):
        self.online = False  # the BMS responds
        self.worked = False  # it has responded since power-on
        self._has_uart = has_uart
        self._detected = False  # every address and probe has been tried
        self._host_address = None  # the one that is answered, when it is not the usual one
        self._protocol = None  # name of the newer protocol that answered a probe
        self._other_address = None  # host address that is answered, while the settings pin another
        self.unsupported: list = []  # functions
        self._cells_unknown = False  # the BMS does not send how many cells there are
        self._polarity = 0  # why current or mode is unknown, see battery/polarity.py
        self._outcomes: list = []
        self._clock_ms = 0
        self._last = None
        self._since_ms = 0  # when the BMS was last lost or found
        self._outage_ms = None  # length of the outage that ended at _since_ms

    # written by the poller

    def tick(self, now):
        """Count the time; ticks wrap, these milliseconds do not."""
        if self._last is not None:
            self._clock_ms += ticks_diff(now, self._last)
        self._last = now

    def answered(self, unusual_address=None):
        """A request was answered; `unusual_address`: the host address, where it is not the first one tried."""
        if self._outcomes:
            self._outcomes = []
        self._detected = True
        self._host_address = unusual_address
        if not self.online:
            self.online = True
            self._outage_ms = self._clock_ms - self._since_ms if self.worked else None
            self._since_ms = self._clock_ms
            self.worked = True
            self._protocol = None
            self._other_address = None

    def failed(self, outcome):
        """A request had another outcome than its response."""
        if len(self._outcomes) >= _REMEMBERED:
            self._outcomes.pop(0)
        self._outcomes.append(outcome)

    def lost(self):
        """The BMS counts as gone."""
        self.online = False
        self._since_ms = self._clock_ms

    def note_detection(self, exhausted):
        """A probe got no response; `exhausted`: it was the last one."""
        self._detected = exhausted

    def note_protocol(self, name):
        """A newer protocol answered a probe."""
        self._protocol = name

    def note_other_address(self, address):
        """The BMS answers to a host address that the settings rule out."""
        self._other_address = address

    def note_unsupported(self, functions, cells_unknown):
        """Functions that this board does not support; `cells_unknown`: among them the number of its cells."""
        if functions != self.unsupported:
            self.unsupported = functions
            self._cells_unknown = cells_unknown

    def note_polarity(self, trouble):
        """Why current or mode is unknown: see battery/polarity.py."""
        self._polarity = trouble

    # read by everyone

    @property
    def outcome(self):
        """What most of the last requests resulted in; silence only where hardly anything else was. None: too few yet.

        What is received tells more than silence: a board of another number responds to one of the two addresses that are tried.
        """
        if len(self._outcomes) < _ENOUGH:
            return None
        best = SILENCE
        for outcome in range(1, LATE + 1):
            count = self._outcomes.count(outcome)
            if count >= _ENOUGH and count >= self._outcomes.count(best) * (best != SILENCE):
                best = outcome
        return None if best == SILENCE and not self._detected else best

    @property
    def asleep(self):
        """Whether the BMS has worked and now only sends our requests back, zeros, or nothing."""
        return self.worked and not self.online and self.outcome in _CAN_BE_ASLEEP

    @property
    def code(self):
        """One of the codes above."""
        if self.online:
            return self._online_code()
        if not self._has_uart:
            return NO_UART
        if self._protocol:
            return OTHER_PROTOCOL
        if self._other_address:
            return WRONG_HOST_ADDRESS
        outcome = self.outcome
        if outcome is None:
            return DETECTING
        return ASLEEP + outcome if self.asleep else outcome

    def _online_code(self):
        if self._outage_ms is not None and self._clock_ms - self._since_ms < _RECOVERED_MS:
            return RECOVERED
        if self._polarity:
            return POLARITY + self._polarity
        return UNSUPPORTED if self.unsupported else OK

    @property
    def text(self):
        """Why there is data or not, as a sentence with its remedy."""
        code = self.code
        return _WORDS[code][0].replace("{}", self._detail(code))

    @property
    def short(self):
        """The same for the screen: two lines of at most 21 characters; () while all is well."""
        if self.online:
            return ()
        code = self.code
        detail = self._detail(code)[:10] if code == OTHER_PROTOCOL else self._detail(code)
        return tuple([line.replace("{}", detail) for line in _WORDS[code][1:]])

    def _detail(self, code):
        if code == OTHER_PROTOCOL:
            return self._protocol
        if code == WRONG_HOST_ADDRESS:
            return f"0x{self._other_address:02X}"
        if code == RECOVERED:
            return _duration(self._outage_ms)
        if code == UNSUPPORTED:
            names = ", ".join([f"0x{function:02X}" for function in self.unsupported])
            remedy = "; set BMS_CELL_COUNT and BMS_TEMPERATURE_COUNT to see the cells" if self._cells_unknown else ""
            return f"{names}: those readings stay unknown{remedy}"
        if code == OK:
            return f", at host address 0x{self._host_address:02X}" if self._host_address else ""
        return _duration(self._clock_ms - self._since_ms)


def _duration(milliseconds):
    minutes = milliseconds // 60000
    if minutes < 1:
        return "less than 1 min"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
