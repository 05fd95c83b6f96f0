"""Which register is asked next: each in turn when it is due, the first one in between, what never changes but once.

Every register is optional: one that does not answer has its turn, and never keeps the others waiting. No I/O, no clock.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.readings import REGISTERS

# A command that is met with silence so often in a row while others are answered is not known to this board: ask it but rarely.
UNKNOWN_AFTER_TIMEOUTS = 4  # at 20 % of frames missing one command in 600 is met with so many
UNKNOWN_PERIOD_MS = 60000
# The same for a command that was answered before, of five frames one may be lost for hours; and for all of them where most
# requests are ignored, whatever they ask.
MUTE_AFTER_TIMEOUTS = 20
# A silence where an answer is known to be weighs so much, an answer takes 1 away, and above the limit a line counts as lossy.
SILENCE_WEIGHT = 4
LOSSY = 6
# All-zero answers that change something must be said four times: asked again so often before the round goes on.
REPEATS = 3
# Rounds are as long on the slowest boards (48 cells, 200 ms to think). Longer ones come from silence, and excuse nothing.
LONGEST_ROUND_MS = 5000
# What is asked once per connection is asked one by one with the measurements in between: some boards know none of it.
ONCE_PACE_MS = 200
ONCE_AGAIN_MS = 2500
EMPTY_ANSWERS = 3


class Plan:
    """`periods`: ms by lane of the table, where they are not to be the table's. `turn`: index of the register asked last."""

    def __init__(self, pack, link, periods=None):
        self.turn = 0
        self.cycle_ms = None  # from one turn of the first register to the next
        self._pack = pack
        self._link = link
        self._periods = [(periods or {}).get(register.lane, register.period_ms) for register in REGISTERS]
        self._round = -1  # where the round stands that all registers are asked in
        self._cycle_at = None
        self._repeats = 0  # times in a row that the round has stood still
        self._lost = 0  # weight of the lost answers of late
        self._due = [0] * len(REGISTERS)
        self._misses = [0] * len(REGISTERS)  # silences in a row, with an answer to something else between them
        self._missed_at = [-1] * len(REGISTERS)  # `_answers` at the last of them
        self._answers = 0  # modulo 65536
        self._answered = [False] * len(REGISTERS)  # ever
        self._asked = [False] * len(REGISTERS)  # answered, or not in time, since the BMS came online
        self._settled = [False] * len(REGISTERS)  # asked once per connection, and that is done
        self._unknown = [False] * len(REGISTERS)  # not known to this board, as far as that can be seen
        self._empty = [0] * len(REGISTERS)  # answers of zeros to what is asked once
        self._soon = None  # index of a register that is asked next, whatever its period

    @property
    def complete(self):
        """Whether every register that is asked again and again has been asked since the BMS came online."""
        for index in range(len(REGISTERS)):
            register = REGISTERS[index]
            if register.period_ms is not None and not self._asked[index] and self._pack.frames_of(register):
                return False
        return self._link.online

    @property
    def introduced(self):
        """Whether everything that is asked once per connection has been answered, or given up."""
        for index in range(len(REGISTERS)):
            if REGISTERS[index].period_ms is None and not self._settled[index]:
                return False
        return self.complete

    def ask_soon(self, row):
        """The register of this reading is asked next."""
        for index in range(len(REGISTERS)):
            if row in REGISTERS[index].readings:
                self._soon = index

    def ask_in_next_round(self, now):
        """The register asked last does not wait for its period."""
        self._due[self.turn] = now

    def begin(self, now):
        """A new connection: ask for everything."""
        wait_ms = 0
        for index in range(len(REGISTERS)):
            if REGISTERS[index].period_ms is None:
                wait_ms += ONCE_PACE_MS
            self._due[index] = ticks_add(now, wait_ms)
            self._misses[index] = 0
            self._settled[index] = False
            self._empty[index] = 0
            self._asked[index] = False

    def next(self, now):
        """The register to be asked now, or None."""
        if self._soon is not None:
            self.turn = self._soon
            self._soon = None
            return REGISTERS[self.turn]
        # The first register is the fast lane: it cuts in when it is due, but never twice in a row, so that nobody starves,
        # and not in the very first round: until then nothing is published.
        if self._periods[0] and self.turn != 0 and self._is_due(0, now) and (self.complete or not self._link.online):
            self.turn = 0
            return REGISTERS[0]
        for _ in range(len(REGISTERS)):
            self._round = (self._round + 1) % len(REGISTERS)
            if self._round == 0:
                self._begin_cycle(now)
            if self._is_due(self._round, now):
                self.turn = self._round
                return REGISTERS[self.turn]
        return None

    def answered(self, believed, whole, now):
        """The register asked last was answered; what is not whole or must be said twice is asked again in the next round."""
        turn = self.turn
        register = REGISTERS[turn]
        self._answers = (self._answers + 1) & 0xFFFF
        self._misses[turn] = 0
        self._answered[turn] = self._asked[turn] = True
        self._settled[turn] = register.period_ms is None and believed and whole
        self._due[turn] = ticks_add(now, (self._periods[turn] or 0) if believed and whole else 0)
        if self._unknown[turn] or register.period_ms is None:
            self._note_unknown(turn, False)
        self._lost = max(0, self._lost - 1)
        if turn == self._round:
            self._repeats = 0

    def said_zeros(self):
        """The register asked last was answered with zeros.

        Those that must be said again have their next turn at once, but with the fast lane in between: is it zero, too?
        A setting that was never made is zero for ever: it is asked a few times.
        """
        register = REGISTERS[self.turn]
        if register.period_ms is None:
            self._empty[self.turn] += 1
            self._settled[self.turn] = self._empty[self.turn] >= EMPTY_ANSWERS
        elif self.turn == self._round and register.period_ms == 0 and register.frames == 1 and self._repeats < REPEATS:
            self._repeats += 1
            self._round -= 1

    def was_late(self, command):
        """An answer has come after its time: the board knows this command."""
        for index in range(len(REGISTERS)):
            if REGISTERS[index].command == command:
                self._misses[index] = 0

    def failed(self, was_silent, now):
        """The register asked last was not answered."""
        turn = self.turn
        register = REGISTERS[turn]
        if was_silent and self._missed_at[turn] != self._answers:  # else it is the whole BMS that is silent
            self._missed_at[turn] = self._answers
            self._misses[turn] += 1
        self._asked[turn] = True
        if was_silent and self._answered[turn]:
            self._lost = min(2 * LOSSY, self._lost + SILENCE_WEIGHT)
        limit = MUTE_AFTER_TIMEOUTS if self._answered[turn] or self._lost > LOSSY else UNKNOWN_AFTER_TIMEOUTS
        unknown = self._link.online and self._misses[turn] >= limit
        if register.period_ms is None:
            self._settled[turn] = unknown
        if unknown or self._unknown[turn]:
            self._note_unknown(turn, True)
        again_ms = ONCE_AGAIN_MS if register.period_ms is None else 0
        self._due[turn] = ticks_add(now, UNKNOWN_PERIOD_MS if unknown else again_ms)

    def _note_unknown(self, turn, unknown):
        """Say which commands are not known here; those that are asked once all at one time, when the last is given up."""
        self._unknown[turn] = unknown
        unanswered = []
        for index in range(len(REGISTERS)):
            if self._unknown[index] and (REGISTERS[index].period_ms is not None or self.introduced):
                unanswered.append(REGISTERS[index].command)
        if unanswered != self._link.unanswered:
            self._link.unanswered = unanswered
            self._link.uncounted = not self._pack.layout["cell_count"]

    def expects_answer(self):
        """Whether silence is a surprise: the register asked last was answered before, or was not met with silence yet."""
        return self._answered[self.turn] or not self._misses[self.turn]

    def period_ms(self, index):
        """How often a register is asked: in each round, but for the first, and where it has a longer period. None: once."""
        period = self._periods[index]
        if period is None or (period and not index):
            return period
        return max(period, min(self.cycle_ms or 0, LONGEST_ROUND_MS))

    def _begin_cycle(self, now):
        if self._cycle_at is not None:
            self.cycle_ms = ticks_diff(now, self._cycle_at)
        self._cycle_at = now

    def _is_due(self, index, now):
        register = REGISTERS[index]
        if self._is_done(index) or not self._pack.frames_of(register):
            self._due[index] = now  # ticks wrap: no time to be compared may grow old
            return False
        if register.period_ms is None and not self._link.online:
            return False
        return ticks_diff(now, self._due[index]) >= 0

    def _is_done(self, index):
        """Whether a register that is asked once need not be asked again; what was given up is tried rarely."""
        return self._settled[index] and not self._unknown[index]
