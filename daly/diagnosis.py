# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Diagnosis: why there is data from the BMS or not, as a code; the sentences are in words.py. The poller is its only writer."""

from adafruit_ticks import ticks_diff

from battery.unload import unload

# What a request resulted in, when not in its response.
SILENCE = 0
ECHO = 1  # our own request
NOISE = 2  # bytes, but no good frame
UNEXPECTED = 3  # good frames of other boards or hosts
EMPTY = 4  # good frames with nothing but zeros or the impossible
LATE = 5  # nothing but responses to earlier requests

# Codes. Those of a BMS that has never responded equal the outcomes above.
ASLEEP = 10  # 10, 11, 13 and 14: plus the outcome
DETECTING = 20
NO_UART = 21
RULED_OUT_PROTOCOL = 22
RULED_OUT_ADDRESS = 23
ABSENT = 24  # silence, while others on this line answer
DOUBLED = 25  # two boards have the same number, so nothing of either is taken
OK = 30
RECOVERED = 31
UNSUPPORTED = 32  # some functions are not supported by this board
MIXED = 33  # two boards answer on this line, with different protocols
BABBLING = 34  # the board sends without being asked
POLARITY = 40  # 41 to 43: plus the trouble in battery/polarity.py

_REMEMBERED = 16  # requests that are looked at: four rounds of detection
_ENOUGH = 3  # requests of one outcome before it counts
_RECOVERED_MS = 60000  # how long a recovery is reported
_CAN_BE_ASLEEP = (SILENCE, ECHO, UNEXPECTED, EMPTY)  # outcomes of a BMS that has responded before


class Diagnosis:
    """Judges the conversation with the BMS. `has_uart`: there is a UART to send requests with.

    `code` is why there is data or not, `text` the same as a sentence with its remedy, `short` in two lines for the screen.
    """

    def __init__(self, has_uart=True):
        self.online = False  # the BMS responds
        self.worked = False  # it has responded since power-on
        self._uart = 1  # its number: the settings of that are named
        self._has_uart = has_uart
        self._detected = False  # every protocol and address has been tried
        self._spoken = ""  # protocol and address that are answered, where they are not the usual ones
        self._ruled_out = None  # what is answered, in words, while the settings rule it out
        self._ruled_out_address = None  # the same, where it is a host address
        self.is_mixed = False  # two boards answer, with different protocols: so until the next start
        self.is_doubled = False  # its responses are destroyed, or come twice, while those of its neighbours are whole
        self._number = 0  # of the board, where several share a line
        self._has_company = False  # another board on this line answers
        self._babbles = False
        self.unsupported: list = []  # functions
        self._cells_unknown = False  # the BMS does not send how many cells there are
        self._polarity = 0  # why current or mode is unknown, see battery/polarity.py
        self._outcomes = bytearray(_REMEMBERED)  # of the last requests, since the last response
        self._noted = 0  # how many of them
        self._next = 0
        self._clock_ms = 0
        self._last = None
        self._since_ms = 0  # when the BMS was last lost or found
        self._notes = 0  # grows with everything that is noted for a sentence
        self._told_code = self._told_minutes = self._told_notes = None  # what the words below are for
        self._text = ""
        self._short: tuple = ()
        self._outage_ms = None  # length of the outage that ended at _since_ms

    # written by the poller

    def tick(self, now):
        """Count the time; ticks wrap, these milliseconds do not."""
        if self._last is not None:
            self._clock_ms += ticks_diff(now, self._last)
        self._last = now

    def answered(self, spoken=None):
        """A request was answered; `spoken`: with what protocol or at what address ("with protocol P81"); None: as before."""
        self._noted = self._next = 0
        self._detected = True
        if spoken is not None and spoken != self._spoken:
            self._spoken = spoken
            self._notes += 1
        if not self.online:
            self.online = True
            self._outage_ms = self._clock_ms - self._since_ms if self.worked else None
            self._since_ms = self._clock_ms
            self.worked = True
            self._ruled_out = self._ruled_out_address = None
            self._notes += 1

    def failed(self, outcome, is_first=False):
        """A request had another outcome than its response; `is_first`: since the last one, so older ones do not count."""
        if is_first:
            self._noted = self._next = 0
        self._outcomes[self._next] = outcome
        self._next = (self._next + 1) % _REMEMBERED
        self._noted = min(self._noted + 1, _REMEMBERED)

    def lost(self):
        """The BMS counts as gone."""
        self.online = False
        self._since_ms = self._clock_ms

    def note_detection(self, exhausted):
        """Something else is tried next; `exhausted`: everything has been tried."""
        self._detected = exhausted

    def note_ruled_out(self, name, address):
        """The BMS answers to what the settings rule out; `address`: the host address, where it is only that, else None."""
        self._ruled_out = name
        self._ruled_out_address = address
        self._notes += 1

    def note_mixed(self):
        """Beside the board that is read another one answers on this line, with another protocol."""
        self.is_mixed = True
        self._notes += 1

    def note_uart(self, number):
        """The board is on the UART with this number: the settings of that are named."""
        self._uart = number

    def note_number(self, number):
        """There are several boards on this line; this one has the number."""
        self._number = number

    def note_company(self, has_company):
        """Whether another board on this line answers."""
        self._has_company = has_company

    def note_doubled(self, is_doubled):
        """Whether two boards on this line seem to have the number of this one."""
        self.is_doubled = is_doubled
        self._notes += 1

    def note_babbling(self, babbles):
        """Whether the board sends without being asked."""
        if babbles != self._babbles:
            self._babbles = babbles
            self._notes += 1

    def note_unsupported(self, functions, cells_unknown):
        """Functions that this board does not support; `cells_unknown`: among them the number of its cells."""
        if functions != self.unsupported:
            self.unsupported = functions
            self._cells_unknown = cells_unknown
            self._notes += 1

    def note_polarity(self, trouble):
        """Why current or mode is unknown: see battery/polarity.py."""
        self._polarity = trouble

    # read by everyone

    @property
    def outcome(self):
        """What most of the last requests resulted in; silence only where hardly anything else was. None: too few yet.

        What is received tells more than silence: a board of another number responds to one of the two addresses that are tried.
        """
        if self._noted < _ENOUGH:
            return None
        best = SILENCE
        for outcome in range(1, LATE + 1):
            count = self._count(outcome)
            if count >= _ENOUGH and count >= self._count(best) * (best != SILENCE):
                best = outcome
        if best == ECHO and not self.worked:  # where all requests come back, it is what else comes that tells
            for outcome in (UNEXPECTED, EMPTY):
                if self._count(outcome) >= _ENOUGH:
                    best = outcome
        return None if best == SILENCE and not self._detected else best

    def _count(self, outcome):
        """How many of the last requests had this outcome."""
        count = 0
        for position in range(self._noted):
            if self._outcomes[position] == outcome:
                count += 1
        return count

    @property
    def asleep(self):
        """Whether the BMS has worked and now only sends our requests back, zeros, or nothing, whoever else is heard."""
        return self.worked and not self.online and self.outcome in _CAN_BE_ASLEEP

    @property
    def code(self):
        """One of the codes above."""
        if self.online:
            return self._online_code()
        if not self._has_uart:
            return NO_UART
        if self._ruled_out:
            return RULED_OUT_PROTOCOL if self._ruled_out_address is None else RULED_OUT_ADDRESS
        if self.is_doubled:
            return DOUBLED
        outcome = self.outcome
        if outcome is None:
            return DETECTING
        if self.asleep:
            return ASLEEP + outcome
        return ABSENT if outcome == SILENCE and self._has_company else outcome

    def _online_code(self):
        if self._outage_ms is not None and self._clock_ms - self._since_ms < _RECOVERED_MS:
            return RECOVERED
        if self.is_mixed:
            return MIXED
        if self._babbles:
            return BABBLING
        if self._polarity:
            return POLARITY + self._polarity
        return UNSUPPORTED if self.unsupported else OK

    @property
    def text(self):
        """Why there is data or not, as a sentence with its remedy."""
        self._find_words()
        return self._text

    @property
    def short(self):
        """The same for the screen: two lines of at most 21 characters; () while all is well."""
        if self.online:
            return ()
        self._find_words()
        return self._short

    def _find_words(self):
        """Find the words again where the code, or its detail, has changed."""
        code = self.code
        minutes = (self._clock_ms - self._since_ms) // 60000 if ASLEEP <= code < DETECTING else 0
        if code == self._told_code and minutes == self._told_minutes and self._notes == self._told_notes:
            return
        detail = self._detail(code)
        if code == OK:
            self._text = "OK" + detail
        elif code == DETECTING:  # as at each start, which the words would make longer by 94 ms on an ESP32-S2
            self._text = "Looking for the BMS"
            self._short = ("Looking for BMS ...", "")
        else:
            from . import words  # 4 KB, needed seldom

            is_shared = self._number > 0
            self._text = words.sentence(code, detail, self._uart, is_shared)
            self._short = words.lines(code, detail, self._uart, is_shared)
            unload("daly.words")
        self._told_code = code  # last: if there is no memory for the words, they are looked up again
        self._told_minutes = minutes
        self._told_notes = self._notes

    def _detail(self, code):
        if code == RULED_OUT_PROTOCOL:
            return self._ruled_out
        if code == RULED_OUT_ADDRESS:
            return f"0x{self._ruled_out_address:02X}"
        if code in (ABSENT, DOUBLED):
            return str(self._number)
        if code == RECOVERED:
            return _duration(self._outage_ms)
        if code == UNSUPPORTED:
            names = ", ".join([f"0x{function:02X}" for function in self.unsupported])
            remedy = "; set BMS_CELL_COUNT and BMS_TEMPERATURE_COUNT to see the cells" if self._cells_unknown else ""
            return f"{names}: those readings stay unknown{remedy}"
        if code == OK:
            return ", " + self._spoken if self._spoken else ""
        return _duration(self._clock_ms - self._since_ms)


def _duration(milliseconds):
    minutes = milliseconds // 60000
    if minutes < 1:
        return "less than 1 min"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
