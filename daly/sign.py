"""The sign of the current: which way is charging on this board, settled by comparing it with the mode.

Most A5 boards count discharging above 30000; some firmware and some wirings are the other way round (user-pains 1.2).
"""

from .truth import CLEAR_CURRENT

# Readings of the mode in a row that say the same with the current of that moment. One may be taken while the current turns;
# five agree only when it is so.
SETTLES_AFTER = 5
OVERTURNED_AFTER = 40  # once settled: a mode that lags must not turn the battery round


class CurrentSign:
    """Decides `pack.inverted`. `choice` is the setting: "auto", "normal" or "inverted"."""

    def __init__(self, pack, choice="auto"):
        self._pack = pack
        self._auto = choice == "auto"
        self._votes = 0  # readings in a row against (-) or for (+) what is assumed
        pack.inverted = choice == "inverted"
        pack.sign_unsettled = self._auto

    @property
    def text(self):
        """The decision in a word, for people."""
        if self._pack.sign_unsettled:
            return "not settled yet"
        return "inverted" if self._pack.inverted else "normal"

    def weigh(self):
        """Look at the mode just said and the current beside it; only a clear current in a clear mode is evidence."""
        pack = self._pack
        current = pack.measured_current
        mode = pack.raw("mode")
        if not self._auto or current is None or not mode or abs(current) < CLEAR_CURRENT:
            return
        agrees = (current > 0) == (mode == 1)
        if agrees == (self._votes >= 0):
            self._votes += 1 if agrees else -1
        else:
            self._votes = 1 if agrees else -1
        if self._votes >= SETTLES_AFTER and pack.sign_unsettled:
            self._settle(pack.inverted)
        elif self._votes <= -(SETTLES_AFTER if pack.sign_unsettled else OVERTURNED_AFTER):
            self._settle(not pack.inverted)

    def _settle(self, inverted):
        self._pack.settle_sign(inverted)
        self._votes = 0
        print("BMS: the sign of the current is", self.text)
