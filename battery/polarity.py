# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which direction is charging on this board: decided by comparing current and mode, on strong evidence, and kept for good.

Most A5 boards count discharging above 30000, some firmware and some wirings the other way round (user-pains 1.2; an active
balance board was captured with 30054 beside "charging"), and some boards have both swapped, current and mode (batmon-ha#279),
which a comparison cannot find: then the owner decides. While the two contradict each other one of them is unknown.
"""

from .plausibility import CLEAR_CURRENT, against_mode

# What is kept in non-volatile memory.
UNSETTLED = 0
NORMAL = 1
INVERTED = 2

# Comparisons in a row that agree beside a clear current. The current is requested many times between two modes, so a battery
# that changes direction makes one or two contradictions, and a mode that lags some more.
SETTLES_AFTER = 10
CONTRADICTED_AFTER = 3
# Not settled, and contradicted a moment ago: the two may agree only because one of them has changed and the other has not been
# read since. So many comparisons must agree, however small the current.
TRUSTED_AFTER = 3
# Once settled, the polarity is the board's: a mode that is stuck contradicts in one direction only. So many in each direction.
OVERTURNED_AFTER = 40

# trouble: why the current or the mode is unknown
AGREES = 0
CURRENT_UNSETTLED = 1
CURRENT_CONTRADICTED = 2
MODE_CONTRADICTED = 3

# What a comparison results in, as bits.
REREAD = 1  # both should soon be read again
CHANGED = 2  # current or mode has become unknown, or known again
TURNED = 4  # one of them counts the other way round from now on: what is held of it is wrong


class Polarity:
    """Decides `current_inverted` and `mode_inverted`, and which of current and mode is unknown meanwhile.

    `choice` is the setting. "auto": the mode is right, and the current follows it; `kept` is what was settled before the
    restart. "normal" or "inverted": the owner has decided which way the current counts, and on an inverted board the mode is
    swapped, too; where that makes them contradict each other, the mode follows the current. `label`: the battery's name on
    the console.
    """

    def __init__(self, choice="auto", kept=UNSETTLED, label="BMS"):
        self._label = label
        self._auto = choice == "auto"
        self.decides_mode = not self._auto  # the mode is the one that is decided, not the current
        self.current_inverted = self.mode_inverted = choice == "inverted"
        self._settled = False
        self._contradicted = False
        self._compared_at = None  # when the current was read that was compared last
        self._agreeing = 0  # comparisons in a row
        self._trust = TRUSTED_AFTER  # the same since a contradiction, up to this
        self._contradicting = 0
        self._against = [0, 0]  # contradictions while charging and while discharging, since the last agreement
        self.restore(kept)

    def restore(self, kept):
        """Continue with what was settled before the restart; nothing where the owner decides. Returns TURNED or 0."""
        if not self._auto or kept == UNSETTLED or self._settled:
            return 0
        self._settled = True
        turned = self.current_inverted != (kept == INVERTED)
        self.current_inverted = kept == INVERTED
        return TURNED if turned else CHANGED

    def forget(self):
        """Another board is read: what was settled, unless by the owner, is not of this one. Returns CHANGED, TURNED or 0."""
        if not self._auto or not self._settled:
            return 0
        turned = self.current_inverted
        self._settled = self._contradicted = self.current_inverted = False
        self._against[0] = self._against[1] = self._agreeing = self._contradicting = 0
        self._trust = TRUSTED_AFTER
        return TURNED if turned else CHANGED

    @property
    def text(self):
        """The decision in a word."""
        if self._auto and not self._settled:
            return "not settled yet"
        return "inverted" if self.current_inverted else "normal"

    @property
    def kept(self):
        """What is to be kept over a restart: UNSETTLED, also where the owner decides, NORMAL or INVERTED."""
        if not self._auto or not self._settled:
            return UNSETTLED
        return INVERTED if self.current_inverted else NORMAL

    @property
    def trouble(self):
        """AGREES, or why the current or the mode is unknown."""
        if not self._contradicted:
            return AGREES
        if not self._auto:
            return MODE_CONTRADICTED
        return CURRENT_CONTRADICTED if self._settled else CURRENT_UNSETTLED

    def hides(self, current, mode):
        """Whether the one that is decided is unknown now: contradicted, or not settled and contradicting, however small, or
        just before."""
        if self._contradicted or self._settled:
            return self._contradicted
        if self._trust < TRUSTED_AFTER and current and mode:
            return True
        return against_mode(current or 0, mode)

    def compare(self, current, mode, read_at):
        """Compare a mode just read with the current (0.1 A) beside it, which was read at the tick `read_at`.

        Returns REREAD, CHANGED and TURNED as bits. Only a clear current in a clear mode is evidence, but while nothing is
        settled a small one can contradict, too.
        """
        if not current or not mode or (self._settled and abs(current) < CLEAR_CURRENT):
            return self._contradict(False)
        if read_at == self._compared_at:  # a reading counts once, however often the mode is read beside it
            return self._reread()
        self._compared_at = read_at
        changes = 0
        is_clear = abs(current) >= CLEAR_CURRENT
        trust = self._trust
        if against_mode(current, mode):
            self._trust = 0
            self._contradicting += 1
            if is_clear:
                changes = self._count_against(mode)
        else:
            self._trust = min(trust + 1, TRUSTED_AFTER)
            self._contradicting = 0
            if is_clear:
                changes = self._agree()
        if trust < self._trust == TRUSTED_AFTER and not self._settled:
            changes |= CHANGED
        return changes | self._contradict(self._contradicting >= CONTRADICTED_AFTER) | self._reread()

    def _reread(self):
        """REREAD while a contradiction has been seen, and not often enough to be one."""
        return REREAD if 0 < self._contradicting < CONTRADICTED_AFTER else 0

    def _agree(self):
        self._against[0] = self._against[1] = 0
        self._agreeing += 1
        return self._settle() if self._agreeing >= SETTLES_AFTER and not self._settled else 0

    def _count_against(self, mode):
        self._agreeing = 0
        self._against[mode - 1] += 1
        if self._settled:
            turns = min(self._against) >= OVERTURNED_AFTER
        else:
            turns = self._against[mode - 1] >= SETTLES_AFTER
        if not turns:
            return 0
        if self.decides_mode:
            self.mode_inverted = not self.mode_inverted
        else:
            self.current_inverted = not self.current_inverted
        return TURNED | self._settle()

    def _settle(self):
        self._against[0] = self._against[1] = self._agreeing = self._contradicting = 0
        was_settled = self._settled
        self._settled = True
        if self._auto:
            print(f"{self._label}: the sign of the current is {self.text}")
        return 0 if was_settled else CHANGED

    def _contradict(self, contradicted):
        if contradicted == self._contradicted:
            return 0
        self._contradicted = contradicted
        return CHANGED
