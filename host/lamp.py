# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""An LED on a pin of the stand-in chip, and what a person makes of its blinks."""

from __future__ import annotations

LONG_S = 0.5  # a blink is a long one from here on
STEADY_S = 1.4  # longer than any blink
PAUSE_S = 1.2  # longer than any gap within a pattern
OFF_S = 3.5  # longer than any pause
FLICKERS = 8  # blinks without a pause: more than anybody counts
_NAMES = {"111": "white", "110": "yellow", "101": "magenta", "100": "red", "011": "cyan", "010": "green", "001": "blue"}


class Lamp:
    """`levels` are those set last, in percent: one, or red, green and blue. `text` is what is seen."""

    def __init__(self) -> None:
        self.levels: tuple[int, ...] = (0,)
        self.text = "off"
        self._since = 0.0
        self._blinks: list[float] = []
        self._colour = ""

    def set(self, levels: tuple[int, ...], now: float) -> bool:
        """Set it at a time in seconds; returns whether `text` has changed."""
        was_lit, self.levels = any(self.levels), levels
        before, held, lit = self.text, now - self._since, any(levels)
        if lit == was_lit:
            self._hold(lit, held)
        else:
            self._since = now
            if lit:
                self._begin(held)
            elif held < STEADY_S:
                self._blinks.append(held)
        if lit:
            self._colour = self._name()
        if len(self._blinks) >= FLICKERS:
            self._say("flickers")
        return self.text != before

    def _hold(self, lit: bool, held: float) -> None:
        if lit and held >= STEADY_S:
            self._say("steady")
        elif not lit and held >= OFF_S:
            self._say("off")

    def _begin(self, pause: float) -> None:
        if pause >= PAUSE_S and self._blinks:
            longs = sum(1 for blink in self._blinks if blink >= LONG_S)
            counts = ((longs, "long"), (len(self._blinks) - longs, "short"))
            self._say(", ".join(f"{count} {kind}" for count, kind in counts if count))

    def _say(self, text: str) -> None:
        self.text = text if text == "off" or not self._colour else f"{text}, {self._colour}"
        self._blinks.clear()

    def _name(self) -> str:
        """The colour; "" for a plain LED."""
        return "" if len(self.levels) == 1 else _NAMES["".join("01"[level > 0] for level in self.levels)]
