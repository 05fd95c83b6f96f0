# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Detection: which protocol and address the BMS is asked with next, until it answers. No I/O, no clock.

Every try is an ordinary request, which is a read in each of the protocols: none of them holds a frame of another one
(daly-modbus.md 9). Whether what comes is an answer, its content decides, not its checksum alone. What has been found is
remembered over restarts and tried first. Until then all protocols are in memory, afterwards only the one that is spoken.
"""

from collections import namedtuple

from battery.unload import unload

from .schedule import Schedule
from .timing import Timing

# What was found, as it is kept in non-volatile memory; 0: nothing yet
A5 = 1
P81 = 2
D2 = 3
A5_AT_0X80 = 4

# Host addresses that A5 boards respond to. The PC's first: some respond only to it (mpp-solar#113), most to both.
HOST_ADDRESSES = (0x40, 0x80)

KEPT_TRIES = 2  # requests to what was found before the restart, in each round
LOST_TRIES = 60  # requests to a BMS that has worked, before others are looked for: it may have been exchanged
SHARED_LOST_TRIES = 6  # the same on a line with other boards, which wait meanwhile: one in ten seconds
LATE_TRIES = 4  # requests to one that has answered too late
RULED_OUT_EVERY = 5  # rounds until what the settings rule out is tried, too, only to be able to report it

# What is kept of each protocol while the BMS is looked for
Conversation = namedtuple("Conversation", ("protocol", "schedule", "timing"))


class Detector:
    """Decides what is tried; `current` is the Conversation, `others` the protocols that may still answer late.

    `choice`: "auto", or the only protocol, "a5", "p81" or "d2"; `host_address`: of A5, 0: detect it; `board_number` 1 to 16;
    `filler`: see A5; `remembered`: what was found before the restart; `is_online`, `periods`: for the Schedules; `is_shared`:
    there are several boards on this line, so each is asked at its own address only, which D2 has not.
    """

    def __init__(self, pack, is_online, choice="auto", host_address=0, board_number=1, filler=0, remembered=0, periods=None,
                 is_shared=False):  # fmt: skip
        self._pack = pack
        self._is_online = is_online
        self._periods = periods
        self._board_number = board_number
        self._filler = filler
        host_address = 0 if is_shared else host_address
        # On RS485 board n listens to 0x40 + n - 1 and answers as n (dbus-serialbattery, batmon).
        self._own_address = host_address or HOST_ADDRESSES[0] + board_number - 1
        self._other_address = HOST_ADDRESSES[0] if host_address == HOST_ADDRESSES[1] else HOST_ADDRESSES[1]
        every = [A5, P81] if is_shared and choice != _NAMES[D2] else [A5, P81, D2]
        if not host_address and board_number == 1 and not is_shared:
            every.append(A5_AT_0X80)
        self._allowed = [code for code in every if choice == "auto" or choice == _NAMES[code]]
        self._ruled_out = [code for code in every if code not in self._allowed]
        if host_address and A5 in self._allowed:
            self._ruled_out.append(A5_AT_0X80)  # the address that is not in the settings
        self._conversations: dict = {}  # by code; both addresses of A5 have the same
        self._printed: list = []  # names of protocols that cannot be loaded: said once, and tried again in each round
        self._kept = remembered if remembered in self._allowed else 0
        self._spoken = remembered if remembered in _NAMES else A5  # by the board that was found last; nothing remembered: A5
        self._round = 0
        self._queue: list = []  # codes of this round still to be tried
        self._left = 0  # tries the present one still has
        self._has_compared = choice != "auto" or self._kept != 0
        self.exhausted = False  # everything has been tried once
        self.is_found = False
        self.is_new = False  # what was found speaks another protocol than the board before, also that before the restart
        self.code = 0  # of what is tried now
        self._asked = A5  # at which address A5 was asked last
        self.others: tuple = ()
        self._siblings: tuple = ()  # the detectors of all batteries, where there are several
        self._lost_tries = SHARED_LOST_TRIES if is_shared else LOST_TRIES
        self._take_next()

    @property
    def address(self):
        """The host address of A5 now; None: another protocol is tried."""
        return self._address(self.code)

    @property
    def is_ruled_out(self):
        """Whether the settings rule out what is tried: an answer is only reported."""
        return self.code in self._ruled_out

    @property
    def wrong_address(self):
        """The host address that is tried although the settings name another one; None: it is not that."""
        return self.address if self.code == A5_AT_0X80 and A5 in self._allowed else None

    @property
    def found_code(self):
        """What was found last, also while it is silent and others are tried; 0: nothing yet."""
        return self._kept if self.is_found else 0

    @property
    def found_name(self):
        """The protocol of that; None: nothing yet."""
        return _NAMES[self._kept].upper() if self.is_found else None

    @property
    def should_compare(self):
        """Whether a board found for the first time is still to be asked with P81, which says more.

        With A5, which comes first; with D2, as the first requests may only have woken it.
        """
        return not self._has_compared and self.is_found and self.code != P81

    def share_modules(self, detectors):
        """These, with this one, are the detectors of all batteries."""
        self._siblings = detectors

    def found(self):
        """What is tried was answered: keep it, and forget the others."""
        self.is_found = self.exhausted = True
        self.is_new = _NAMES[self.code] != _NAMES[self._spoken]
        self._kept = self._spoken = self.code
        self._left = self._lost_tries
        self._drop(self.current.protocol)

    def failed(self):
        """One more request without a response while the BMS is not online; True when something else is tried next."""
        self._left -= 1
        code = self.code
        if _NAMES[code] == "a5":
            self._asked = code
        if self._left > 0:
            return False
        self._take_next()
        return self.code != code

    def answered_late(self, protocol):
        """One of `others` has answered, too late: it has the next tries."""
        for code in self._conversations:
            if self._conversations[code].protocol is protocol:
                self._take(self._asked if code == A5 else code)
        self._left = LATE_TRIES

    def other_address_answered(self):
        """A5 was answered too late. True when it was asked at the other address: that has the next tries."""
        if self._asked == self.code or _NAMES[self.code] != "a5":
            return False
        self.answered_late(self.current.protocol)
        return True

    def begin_comparison(self):
        """The Conversation with P81, beside the one that was found; None: there is no memory for it."""
        self._has_compared = True
        return self._load(P81)

    def end_comparison(self, prefer):
        """`prefer`: P81 is the one to talk from now on."""
        if prefer:
            self._take(P81)
        self.found()

    def _take_next(self):
        """Go on to the next one that can be loaded."""
        for _ in range(2 * len(_NAMES)):
            if not self._queue:
                self._begin_round()
            code = self._queue.pop(0)
            if self._load(code) is not None:
                tries = self._lost_tries if self.is_found else KEPT_TRIES
                self._take(code)
                self._left = tries if code == self._kept else 1
                return
        raise MemoryError("no protocol can be loaded")

    def _begin_round(self):
        # the settings may rule out what the BMS speaks, which is tried in the second round
        if self._round >= (2 if self._ruled_out else 1):
            self.exhausted = True
        self._round += 1
        others = [code for code in self._allowed if code != self._kept]
        kept = [self._kept] if self._kept else []
        self._queue = others + kept if self.is_found else kept + others
        if self._round % RULED_OUT_EVERY == 2:
            self._queue += self._ruled_out

    def _take(self, code):
        self.code = code
        self.current = self._load(code)
        address = self._address(code)
        if address is not None:
            self.current.protocol.use_address(address)
        self.others = tuple(
            [other.protocol for other in self._conversations.values() if other.protocol is not self.current.protocol]
        )

    def _address(self, code):
        return {A5: self._own_address, A5_AT_0X80: self._other_address}.get(code)

    def _load(self, code):
        """The Conversation, made when it is wanted first; None: there is no memory for it."""
        code = A5 if code == A5_AT_0X80 else code
        if code not in self._conversations:
            try:
                protocol = _make(code, self._pack, self._own_address, self._board_number, self._filler)
                schedule = Schedule(protocol.blocks, protocol.frames_expected, self._is_online, self._periods)
                self._conversations[code] = Conversation(protocol, schedule, Timing(protocol.first_gap_ms))
            except (MemoryError, ImportError) as error:
                self._print_unusable(_NAMES[code], error)
                return None
        return self._conversations[code]

    def _print_unusable(self, name, error):
        if name not in self._printed:
            self._printed.append(name)
            reason = f"{type(error).__name__} {error}".strip()
            remedy = "" if isinstance(error, MemoryError) else "; copy all files of the bundle again"
            print(f"BMS: protocol {name} cannot be loaded ({reason}), so it is not looked for{remedy}.")

    def _drop(self, protocol):
        """Keep only this one in memory."""
        self._queue = []
        self.others = ()
        for code in list(self._conversations):
            if self._conversations[code].protocol is not protocol:
                del self._conversations[code]
                if not self._is_loaded(code):
                    unload("daly." + _NAMES[code])
        if not self._is_loaded(P81) and not self._is_loaded(D2):
            unload("daly.modbus")

    def _is_loaded(self, code):
        """Whether this protocol is in the memory of this battery or of another one: one copy of its module is enough."""
        if code in self._conversations:
            return True
        for sibling in self._siblings:
            if code in sibling._conversations:
                return True
        return False


_NAMES = {A5: "a5", P81: "p81", D2: "d2", A5_AT_0X80: "a5"}  # as in the settings; also of the modules


def _make(code, pack, address, board_number, filler):
    if code == A5:
        from . import a5

        return a5.A5(pack, address, board_number, filler)
    if code == P81:
        from . import p81

        return p81.P81(pack, board_number)
    from . import d2

    return d2.D2(pack)
