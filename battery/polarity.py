"""Which way is charging on this board: settled by comparing current and mode, on strong evidence, and kept for good.

Most A5 boards count discharging above 30000, some firmware and some wirings the other way round (user-pains 1.2; an active
balance board was captured with 30054 beside "charging"), and some boards have both swapped, current and mode (batmon-ha#279),
which comparing cannot find: then the owner says so. While the two contradict each other one of them is unknown, never guessed.
"""

from .pack import CURRENT, MODE
from .plausibility import CLEAR_CURRENT

# What is kept in non-volatile memory.
UNSETTLED = 0
NORMAL = 1
INVERTED = 2

# Modes in a row that say the same beside a clear current. The current is asked many times between two modes, so a battery that
# turns makes one or two that contradict, and a mode that lags some more.
SETTLES_AFTER = 10
CONTRADICTED_AFTER = 3
# Once settled the sign is the board's: a mode that is stuck contradicts in one direction only, however often. So many in each.
OVERTURNED_AFTER = 40

# why the current or the mode is unknown
AGREES = 0
CURRENT_UNSETTLED = 1
CURRENT_CONTRADICTED = 2
MODE_CONTRADICTED = 3


class CurrentSign:
    """Decides `pack.inverted` and `pack.mode_inverted`.

    `choice` is the setting. "auto": the mode is taken as it is said, and the sign of the current follows it; `kept` is what was
    settled before the restart. "normal" or "inverted": the owner has said which way the current counts, and on an inverted
    board the mode is swapped, too; where that makes them contradict each other, the mode follows the current.
    """

    def __init__(self, pack, choice="auto", kept=UNSETTLED):
        self._pack = pack
        self._auto = choice == "auto"
        pack.sign_row = CURRENT if self._auto else MODE
        pack.sign_settled = False
        pack.inverted = pack.mode_inverted = choice == "inverted"
        self._compared_at = None  # when the current was read that was compared last
        self._agreeing = 0  # modes in a row
        self._contradicting = 0
        self._against = [0, 0]  # contradictions while charging and while discharging, since the last agreement
        self.restore(kept)

    def restore(self, kept):
        """Continue with what was settled before the restart; where the owner decides, that counts nothing."""
        pack = self._pack
        if self._auto and kept != UNSETTLED and not pack.sign_settled:
            if pack.inverted != (kept == INVERTED):
                pack.turn(CURRENT)
            pack.sign_settled = True

    @property
    def text(self):
        """The decision in a word, for people."""
        if self._auto and not self._pack.sign_settled:
            return "not settled yet"
        return "inverted" if self._pack.inverted else "normal"

    @property
    def polarity(self):
        """What is to be kept over a restart: UNSETTLED, also where the owner decides, NORMAL or INVERTED."""
        if not self._auto or not self._pack.sign_settled:
            return UNSETTLED
        return INVERTED if self._pack.inverted else NORMAL

    @property
    def trouble(self):
        """AGREES, or why the current or the mode is unknown."""
        if not self._pack.contradicted:
            return AGREES
        if not self._auto:
            return MODE_CONTRADICTED
        return CURRENT_CONTRADICTED if self._pack.sign_settled else CURRENT_UNSETTLED

    def weigh(self):
        """Compare the mode just read with the current beside it; True when it should soon be read again.

        Only a clear current in a clear mode is evidence, but while nothing is settled a small one may contradict, too.
        """
        pack = self._pack
        current = pack.measured_current
        mode = pack.measured_mode
        if not current or not mode or (pack.sign_settled and abs(current) < CLEAR_CURRENT):
            self._contradict(False)
            return False
        read_at = pack.said_at("current")
        if read_at == self._compared_at:  # one reading is one witness, however often the mode is said beside it
            return self._is_open()
        self._compared_at = read_at
        agrees = (current > 0) == (mode == 1)
        is_clear = abs(current) >= CLEAR_CURRENT
        if agrees:
            self._contradicting = 0
            if is_clear:
                self._agree()
        else:
            self._contradicting += 1
            if is_clear:
                self._count_against(mode)
        self._contradict(self._contradicting >= CONTRADICTED_AFTER)
        return self._is_open()

    def _is_open(self):
        """Whether a contradiction has been seen, and not often enough to be one."""
        return 0 < self._contradicting < CONTRADICTED_AFTER

    def _agree(self):
        self._against[0] = self._against[1] = 0
        self._agreeing += 1
        if self._agreeing >= SETTLES_AFTER and not self._pack.sign_settled:
            self._settle()

    def _count_against(self, mode):
        self._agreeing = 0
        self._against[mode - 1] += 1
        if self._pack.sign_settled:
            turns = min(self._against) >= OVERTURNED_AFTER
        else:
            turns = self._against[mode - 1] >= SETTLES_AFTER
        if turns:
            self._pack.turn(self._pack.sign_row)
            self._settle()

    def _settle(self):
        self._against[0] = self._against[1] = self._agreeing = self._contradicting = 0
        if not self._pack.sign_settled:
            self._pack.sign_settled = True
            self._pack.note_gap()
        if self._auto:
            print("BMS: the sign of the current is", self.text)

    def _contradict(self, is_so):
        if is_so != self._pack.contradicted:
            self._pack.contradicted = is_so
            self._pack.note_gap()
