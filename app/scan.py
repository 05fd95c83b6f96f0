# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The result of a scan in words: which board numbers answer on each line, with what to write into settings.toml.

Loaded on demand. Batteries that are read are not asked again: what they speak is known.
"""

from battery.unload import unload

_running: list = []  # the Scan, while it lasts


def start(buses, boards, batteries, publish=None):
    """Ask on all lines, and pass the result in words to `publish`, in half a minute or so; None: it is only printed.

    `buses`: UART -> Bus; `boards`: of the settings, in the order of `batteries`. Returns None, or the code of the refusal.
    """
    refusal = None if buses else "no_uart"
    if _running:
        refusal = "requested_before"
    if refusal is None:
        scan = Scan(buses, boards, batteries, publish)
        _running.append(scan)
        print("Scan: it takes up to a minute, and the batteries are read meanwhile.")
        for uart in buses:
            done = scan.of_uart(uart)
            try:
                buses[uart].start_scan(done)
            except (MemoryError, ImportError):
                done(None)
    elif publish is None:
        print("Scan: refused,", "there is no UART" if not buses else "it was requested a moment ago")
    return refusal


class Scan:
    """Collects what answers on each line."""

    def __init__(self, buses, boards, batteries, publish):
        self._publish = publish
        self._left = len(buses)
        self._found: dict = {uart: [] for uart in buses}  # (board number, protocol) of the boards that answer
        self._failed: list = []  # UARTs that could not be scanned
        self._has_one = False  # BMS_BOARD_NUMBER is what the settings have
        self._silent = []  # labels of batteries that are to be read, and do not answer
        for board, battery in zip(boards, batteries):
            if board.uart == 1 and board.number != board.board_number:
                self._has_one = True
            if not battery.poller.online:
                self._silent.append(battery.label or "The BMS")
            elif board.uart in self._found:
                self._found[board.uart].append((board.board_number, battery.poller.protocol))

    def of_uart(self, uart):
        """What receives the boards that answer on a line; None: it could not be scanned."""

        def done(found):
            if found is None:
                self._failed.append(uart)
            else:
                self._found[uart] += found
            self._left -= 1
            if not self._left:
                _running.clear()  # first: what follows may fail for want of memory
                self._end(" ".join(self._sentences()))

        return done

    def _end(self, text):
        print("Scan:", text)
        if self._publish is not None:
            self._publish(text)
        unload("app.scan")

    def _sentences(self):
        for uart in sorted(self._found):
            if uart in self._failed:
                yield f"UART {uart} was not scanned: there is too little memory; restart the bridge and scan again."
            else:
                yield on_uart(uart, sorted(self._found[uart]), len(self._found) > 1, self._has_one)
        for label in self._silent:
            yield f"{label}, which is in the settings, does not answer."


def on_uart(uart, found, is_one_of_several=False, has_one=False):
    """The sentences on one line; `found`: (board number, protocol), sorted by number. `has_one`: see _line."""
    where = f"UART {uart}: " if is_one_of_several or uart > 1 else ""
    if not found:
        return where + "No board number answers."
    if "D2" in [protocol for _, protocol in found]:
        return where + "A board that speaks D2 answers; it has no number, and is alone on its line."
    answers = "board number " + str(found[0][0]) if len(found) == 1 else "board numbers " + _listed([n for n, _ in found])
    protocols = sorted({protocol for _, protocol in found})
    of = [f"{_listed([n for n, spoken in found if spoken == protocol])} with {protocol}" for protocol in protocols]
    spoken = "with " + protocols[0] if len(protocols) == 1 else ", ".join(of)
    verb = "answers" if len(found) == 1 else "answer"
    return f"{where}{answers[0].upper()}{answers[1:]} {verb} ({spoken}); write {_line(uart, [n for n, _ in found], has_one)}."


def _line(uart, numbers, has_one):
    """The line for settings.toml. `has_one`: it has BMS_BOARD_NUMBER, whose battery is bms1 whatever its board number.

    Only then is that the advice: any other battery would become bms1, with the counters and the polarity of board 1.
    """
    key = "BMS_BOARD_NUMBERS" if uart == 1 else f"UART_{uart}_BOARD_NUMBERS"
    if uart == 1 and has_one and len(numbers) == 1:
        return f"BMS_BOARD_NUMBER = {numbers[0]}"
    if numbers == [1]:
        return "no " + key if uart == 1 else f"no {key}, 1 is the default"
    return f'{key} = "{_listed(numbers)}"'


def _listed(numbers):
    """[1, 2, 3, 5] as "1-3, 5"."""
    parts: list = []
    first = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            parts[-1] = f"{first}-{last}"
        else:
            first = last = number
            parts.append(str(number))
    return ", ".join(parts)
