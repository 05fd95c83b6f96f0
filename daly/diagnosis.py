"""Why there is no data, in words: what the last requests were met with, and what that means for a person."""

from adafruit_ticks import ticks_diff

# what a request was met with
NOTHING = 0
ECHO = 1  # our own request came back
NOISE = 2  # bytes, but no frame that is right
STRANGER = 3  # good frames of other boards or hosts
ZEROS = 4  # right frames that say nothing but zero or the impossible
LATE = 5  # nothing but answers to earlier requests

_REMEMBERED = 8  # requests that are looked at
_ENOUGH = 3  # requests before anything is said
_RECOVERED_MS = 60000  # for so long a recovery is told

_TEXTS = (
    "No answer, nothing received: check the BMS's power and plug, and whether TX and RX are swapped",
    "Only our own requests come back: the BMS is asleep (wake it with load, charger or button), or TX and RX are joined",
    "Noise instead of answers: check ground, 3.3 V level, isolator, and UART_BAUD_RATE 9600",
    "Others talk on this line, but our board does not answer: check BMS_BOARD_NUMBER",
    "The BMS answers with zeros only: it is asleep or confused; wake it with load, charger or button",
    "The BMS's answers come too late to be used: look for what delays them on their way, such as a serial adapter over Wi-Fi",
)
_SHORT = (
    ("No BMS: check", "power, plug, TX/RX"),
    ("BMS asleep, or", "TX and RX joined"),
    ("Noise from BMS: check", "ground, level, baud"),
    ("Other board answers:", "BMS_BOARD_NUMBER?"),
    ("BMS says only zeros:", "asleep?"),
    ("BMS answers too late:", "adapter in between?"),
)
_ASLEEP = ("BMS asleep", "BMS asleep", None, None, "BMS asleep", None)  # by outcome, once it has worked

# by CurrentSign.trouble
_SIGN_TEXTS = (
    None,
    "OK, but current and mode contradict each other: until 3 A or more have shown for a while which way this board counts, "
    "the current is unknown; CURRENT_SIGN decides it at once",
    "OK, but the current contradicts the mode, and which of them is right is not known: the current is unknown; "
    "CURRENT_SIGN decides it at once",
    "OK, but the mode contradicts the current, whose direction CURRENT_SIGN decides: the mode is unknown",
)


class Link:
    """Judges the conversation. `text` says how it stands, `short` the same in two lines for the screen."""

    def __init__(self, has_uart=True):
        self.online = False
        self._has_uart = has_uart
        self.searched = False  # every address and greeting has been tried
        self.address = None  # host address that is answered, when it is not the usual one
        self.worked = False  # the BMS has answered since power-on
        self.protocol = None  # name of the newer protocol that answered our greeting
        self.other_address = None  # host address that is answered, while the settings pin another
        self.unanswered: list = []  # commands that this board does not know
        self.uncounted = False  # nobody says how many cells there are
        self.sign_trouble = 0  # why current or mode is unknown, see CurrentSign
        self._outcomes: list = []
        self._clock_ms = 0
        self._last = None
        self._since_ms = 0  # when the BMS was last lost or found
        self._outage_ms = None  # length of the outage that ended at _since_ms

    def tick(self, now):
        """Count the time; ticks wrap, these milliseconds do not."""
        if self._last is not None:
            self._clock_ms += ticks_diff(now, self._last)
        self._last = now

    def answered(self):
        """A request was answered."""
        if self._outcomes:
            self._outcomes = []
        if not self.online:
            self.online = True
            self._outage_ms = self._clock_ms - self._since_ms if self.worked else None
            self._since_ms = self._clock_ms
            self.worked = True
            self.protocol = None
            self.other_address = None

    def failed(self, outcome):
        """A request was met with `outcome` instead of its answer."""
        if len(self._outcomes) >= _REMEMBERED:
            self._outcomes.pop(0)
        self._outcomes.append(outcome)

    def lost(self):
        """The BMS counts as gone."""
        self.online = False
        self._since_ms = self._clock_ms

    @property
    def outcome(self):
        """What most of the last requests were met with, but silence only where hardly anything was; None: too few yet.

        What is heard says more than silence: a board of another number answers one of the two addresses that are tried.
        """
        if len(self._outcomes) < _ENOUGH:
            return None
        best = NOTHING
        for outcome in range(1, len(_TEXTS)):
            count = self._outcomes.count(outcome)
            if count >= _ENOUGH and count >= self._outcomes.count(best) * (best != NOTHING):
                best = outcome
        return None if best == NOTHING and not self.searched else best

    @property
    def asleep(self):
        """Whether the BMS worked and now only sends our requests back, says zeros, or nothing."""
        return self.worked and not self.online and self.outcome is not None and _ASLEEP[self.outcome] is not None

    @property
    def text(self):
        """How the conversation stands, with the remedy."""
        if self.online:
            return self._online_text()
        if not self._has_uart:
            return "No UART: correct UART_TX and UART_RX in settings.toml"
        if self.protocol:
            return "The BMS speaks a newer protocol (" + self.protocol + "), which this bridge does not understand yet"
        if self.other_address:
            return f"The BMS answers only to host address 0x{self.other_address:02X}: correct or remove BMS_HOST_ADDRESS"
        outcome = self.outcome
        if outcome is None:
            return "Looking for the BMS"
        if not self.asleep:
            return _TEXTS[outcome]
        met = ("nothing is received any more", "our requests come back", "", "", "it says only zeros")[outcome]
        return f"BMS asleep, or cut off, for {self._ago()}: {met}; wake it with load, charger or button, or check its plug"

    @property
    def short(self):
        """The same for the screen: two lines of at most 21 characters; () while all is well."""
        if self.online:
            return ()
        if not self._has_uart:
            return ("No BMS: UART_TX or", "UART_RX is wrong")
        if self.protocol:
            return ("BMS speaks " + self.protocol[:10], "not understood yet")
        if self.other_address:
            return ("BMS_HOST_ADDRESS must", f"be 0x{self.other_address:02X}")
        outcome = self.outcome
        if outcome is None:
            return ("Looking for BMS ...", "")
        return ("BMS asleep or cut off", "for " + self._ago()) if self.asleep else _SHORT[outcome]

    def _online_text(self):
        if self._outage_ms is not None and self._clock_ms - self._since_ms < _RECOVERED_MS:
            return f"Recovered: the BMS answers again, after {_duration(self._outage_ms)}"
        if self.sign_trouble:
            return _SIGN_TEXTS[self.sign_trouble]
        if self.unanswered:
            names = ", ".join(f"0x{command:02X}" for command in self.unanswered)
            remedy = "; write BMS_CELL_COUNT and BMS_TEMPERATURE_COUNT to see the cells" if self.uncounted else ""
            return f"OK, but this BMS does not answer {names}: what they say stays unknown{remedy}"
        return f"OK, at host address 0x{self.address:02X}" if self.address else "OK"

    def _ago(self):
        return _duration(self._clock_ms - self._since_ms)


def _duration(milliseconds):
    minutes = milliseconds // 60000
    if minutes < 1:
        return "less than 1 min"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
