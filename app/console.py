"""The serial console: a word and Enter make the bridge answer there. It never waits for anybody."""

LONGEST_LINE = 32
READ_AT_ONCE = 16  # characters a tick: somebody who pastes a book must not hold the loop


class Console:
    """`runtime` is supervisor.runtime, `stdin` sys.stdin; `words` are those understood, each with a `function(now)`."""

    def __init__(self, runtime, stdin, words):
        self._runtime = runtime
        self._stdin = stdin
        self._words = words
        self._line = ""

    def tick(self, now):
        """Take what has been typed."""
        for _ in range(READ_AT_ONCE):
            if not self._runtime.serial_bytes_available:
                return
            # One at a time: read(n) waits for all n, and 9.1.0 counts bytes twice (circuitpython#9400).
            try:
                self._take(self._stdin.read(1), now)
            except UnicodeError:
                pass  # half of a letter that we would not understand either

    def _take(self, char, now):
        if char in ("\r", "\n"):
            line = self._line.strip().lower()
            self._line = ""
            if line:
                self._obey(line, now)
        elif char in ("\b", "\x7f"):
            self._line = self._line[:-1]
        elif " " <= char <= "~" and len(self._line) <= LONGEST_LINE:
            self._line += char

    def _obey(self, line, now):
        function = self._words.get(line)
        if function is not None:
            function(now)
        else:
            print(f'Understood here: {", ".join(self._words)}; not "{line}".')
