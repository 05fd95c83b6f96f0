"""Finding the BMS: which host address it answers to, and whether it is one that speaks a newer protocol."""

ADDRESSES = (0x40, 0x80)  # PC first: some boards answer only there (mpp-solar#113), most answer both
TRIES = 4  # requests before the next address is tried
PROBE_EVERY = 20  # requests, with a pinned address, before the other one is tried again, only to be able to say so

# "Read registers": the newer boards' way of asking for everything, with its CRC, as the vendor's tools send it; only
# reading, and only after nothing has answered in A5. The answer begins with address, function 3 and the byte count.
GREETINGS = (
    ("D2", bytes((0xD2, 0x03, 0x00, 0x00, 0x00, 0x3E, 0xD7, 0xB9)), (0xD2, 0x03, 0x7C)),
    ("0x81/0x51", bytes((0x81, 0x03, 0x00, 0x00, 0x00, 0x40, 0x5B, 0xFA)), (0x51, 0x03, 0x80)),
)


class Search:
    """Keeps the host address. `pinned`: the address from the settings, or 0 to find it; `board_number` 1 to 16."""

    def __init__(self, pinned=0, board_number=1):
        # On RS485 board n listens to 0x40 + n - 1 and answers as n (dbus-serialbattery, batmon).
        own = 0x40 + board_number - 1
        self._addresses = (pinned,) if pinned else ADDRESSES if board_number == 1 else (own,)
        self._others = [address for address in ADDRESSES if address != pinned] if pinned else []
        self._at = 0
        self._tries = 0
        self._greetings = 0  # already said
        self._matched = 0
        self.address = self._addresses[0]
        self.greeting = None  # (name, request, beginning of the answer) while that is the pending request
        self.probing = False  # the request goes to an address that the settings rule out

    @property
    def exhausted(self):
        """Whether every address and, once, every greeting has been tried."""
        return self._greetings == len(GREETINGS) and self.greeting is None

    def found(self):
        """The present address was answered: keep it, and greet nobody."""
        self._tries = 0
        self._greetings = len(GREETINGS)

    def failed(self):
        """One more request without an answer, before the BMS was ever found: decide whom to try next."""
        self.greeting = None
        if self.probing:
            self._restore()
        self._tries += 1
        if self._tries % TRIES:
            return
        round_done = self._tries % (TRIES * len(self._addresses)) == 0
        if round_done and self._others and self._tries % PROBE_EVERY == TRIES:
            self.probing = True
        elif round_done and self._greetings < len(GREETINGS):
            self.greeting = GREETINGS[self._greetings]
            self._greetings += 1
            self._matched = 0
            self._tries -= 1  # the next one follows at once
        self._at = (self._at + 1) % len(self._addresses)
        self.address = self._others[0] if self.probing else self._addresses[self._at]

    def _restore(self):
        """Back from a probe to the address of the settings: it was only to be able to say so."""
        self.probing = False
        self.address = self._addresses[self._at]

    def heard(self, byte):
        """Take one byte while a greeting is pending; the name of the protocol once its answer has begun, else None."""
        name, _, beginning = self.greeting
        if byte == beginning[self._matched]:
            self._matched += 1
        else:
            self._matched = 1 if byte == beginning[0] else 0
        if self._matched < len(beginning):
            return None
        self._matched = 0
        return name
