# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The serial console: a word and Enter run a command. Reading never blocks."""

TICK_MS = 50  # between two looks at the keyboard
LONGEST_LINE = 32
READ_AT_ONCE = 16  # characters per tick: a long text that is pasted must not block the loop


class Console:
    """`runtime` is supervisor.runtime, `stdin` sys.stdin; `commands`: word -> function(now)."""

    def __init__(self, runtime, stdin, commands):
        self._runtime = runtime
        self._stdin = stdin
        self._commands = commands
        self._line = ""

    def tick(self, now):
        """Read what has been typed. Returns the ms until the next call."""
        for _ in range(READ_AT_ONCE):
            if not self._runtime.serial_bytes_available:
                return TICK_MS
            # One at a time: read(n) waits for all n, and 9.1.0 counts bytes twice (circuitpython#9400).
            try:
                self._add(self._stdin.read(1), now)
            except UnicodeError:
                pass  # half of a letter, which is in no command
        return None

    def _add(self, char, now):
        if char in ("\r", "\n"):
            line = self._line.strip().lower()
            self._line = ""
            if line:
                self._run(line, now)
        elif char in ("\b", "\x7f"):
            self._line = self._line[:-1]
        elif " " <= char <= "~" and len(self._line) <= LONGEST_LINE:
            self._line += char

    def _run(self, line, now):
        function = self._commands.get(line)
        if function is not None:
            function(now)
        else:
            print(f'Commands: {", ".join(self._commands)}; "{line}" is none.')
