# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The pages of the outputs, one for each: its name, whether it is on, and why. Loaded only with outputs."""

from .pages import COLUMNS, Page, between, fitted, plain, wrap


class OutputPages:
    """`outputs`: with `numbers()`, `output(number)`, which has `name`, `is_on` and `reason()`, and `changes`."""

    def __init__(self, outputs):
        self._outputs = outputs
        self.count = len(outputs.numbers())

    @property
    def changes(self):
        """Counts up whenever a page is another one."""
        return self._outputs.changes

    def page(self, index, rows):
        """The page of an output, from 0 on."""
        number = self._outputs.numbers()[index]
        output = self._outputs.output(number)
        return output_page(output.name or f"Output {number}", output.is_on, output.reason(), rows)


def output_page(name, is_on, reason, rows):
    """Its name and state in the first line, and as much of the reason as fits."""
    state = "ON" if is_on else "OFF"
    for said in ("on: ", "off: "):
        if reason.startswith(said):  # it stands there already
            reason = reason[len(said) :]
    lines = wrap(reason.replace("°", ""))
    if len(lines) > rows - 1:
        lines[rows - 2] = lines[rows - 2][: COLUMNS - 2] + ".."
    return Page(fitted([between(plain(name)[: COLUMNS - len(state) - 1], state)] + lines[: rows - 1], rows), "", None, b"")
