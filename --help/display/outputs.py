# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The pages of the outputs, one for each: its name, whether it is on, and why. Loaded only with outputs."""

from display.core import d, f, g, e, k


class a:
    """`outputs`: with `numbers()`, `output(number)`, which has `name`, `is_on` and `reason()`, and `changes`."""

    def __init__(a, b):
        a.d = b
        a.count = len(b.t())

    @property
    def f(a):
        """Counts up whenever a page is another one."""
        return a.d.f

    def page(a, c, d):
        """The page of an output, from 0 on."""
        e = a.d.t()[c]
        f = a.d.v(e)
        return b(f.name or f"Output {e}", f.B, f.reason(), d)


def b(name, b, a, c):
    """Its name and state in the first line, and as much of the reason as fits."""
    h = "ON" if b else "OFF"
    for i in ("on: ", "off: "):
        if a.startswith(i):  # it stands there already
            a = a[len(i) :]
    j = k(a.replace("°", ""))
    if len(j) > c - 1:
        j[c - 2] = j[c - 2][: 21 - 2] + ".."
    return d(g([f(e(name)[: 21 - len(h) - 1], h)] + j[: c - 1], c), "", None, b"")
