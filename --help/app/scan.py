# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The result of a scan in words: which board numbers answer on each line, with what to write into settings.toml.

Loaded on demand. Batteries that are read are not asked again: what they speak is known.
"""

from app.early import f

b: list = []  # the Scan, while it lasts


def start(a, c, d, e=None):
    """Ask on all lines, and pass the result in words to `publish`, in half a minute or so; None: it is only printed.

    `buses`: UART -> Bus; `boards`: of the settings, in the order of `batteries`. Returns None, or the code of the refusal.
    """
    f = None if a else "no_uart"
    if b:
        f = "requested_before"
    if f is None:
        g = Scan(a, c, d, e)
        b.append(g)
        print("Scan: it takes up to a minute, and the batteries are read meanwhile.")
        for h in a:
            i = g.v(h)
            try:
                a[h].g(i)
            except (MemoryError, ImportError):
                i(None)
    elif e is None:
        print("Scan: refused,", "there is no UART" if not a else "it was requested a moment ago")
    return f


class Scan:
    """Collects what answers on each line."""

    def __init__(a, b, c, d, e):
        a.g = e
        a.h = len(b)
        a.m: dict = {h: [] for h in b}  # (board number, protocol) of the boards that answer
        a.i: list = []  # UARTs that could not be scanned
        a.n = False  # BMS_BOARD_NUMBER is what the settings have
        a.s = []  # labels of batteries that are to be read, and do not answer
        for f, g in zip(c, d):
            if f.b == 1 and f.number != f.Q:
                a.n = True
            if not g.g.online:
                a.s.append(g.a or "The BMS")
            elif f.b in a.m:
                a.m[f.b].append((f.Q, g.g.protocol))

    def v(a, c):
        """What receives the boards that answer on a line; None: it could not be scanned."""

        def e(d):
            if d is None:
                a.i.append(c)
            else:
                a.m[c] += d
            a.h -= 1
            if not a.h:
                b.clear()  # first: what follows may fail for want of memory
                a.e(" ".join(a.r()))

        return e

    def e(a, b):
        print("Scan:", b)
        if a.g is not None:
            a.g(b)
        f("app.scan")

    def r(a):
        for b in sorted(a.m):
            if b in a.i:
                yield f"UART {b} was not scanned: there is too little memory; restart the bridge and scan again."
            else:
                yield c(b, sorted(a.m[b]), len(a.m) > 1, a.n)
        for d in a.s:
            yield f"{d}, which is in the settings, does not answer."


def c(b, c, d=False, e=False):
    """The sentences on one line; `found`: (board number, protocol), sorted by number. `has_one`: see _line."""
    f = f"UART {b}: " if d or b > 1 else ""
    if not c:
        return f + "No board number answers."
    if "D2" in [n for m, n in c]:
        return f + "A board that speaks D2 answers; it has no number, and is alone on its line."
    g = "board number " + str(c[0][0]) if len(c) == 1 else "board numbers " + a([o for o, p in c])
    h = sorted({r for q, r in c})
    i = [f"{a([t for t, u in c if u == s])} with {s}" for s in h]
    k = "with " + h[0] if len(h) == 1 else ", ".join(i)
    l = "answers" if len(c) == 1 else "answer"
    return f"{f}{g[0].upper()}{g[1:]} {l} ({k}); write {j(b, [v for v, w in c], e)}."


def j(b, c, d):
    """The line for settings.toml. `has_one`: it has BMS_BOARD_NUMBER, whose battery is bms1 whatever its board number.

    Only then is that the advice: any other battery would become bms1, with the counters and the polarity of board 1.
    """
    e = "BMS_BOARD_NUMBERS" if b == 1 else f"UART_{b}_BOARD_NUMBERS"
    if b == 1 and d and len(c) == 1:
        return f"BMS_BOARD_NUMBER = {c[0]}"
    if c == [1]:
        return "no " + e if b == 1 else f"no {e}, 1 is the default"
    return f'{e} = "{a(c)}"'


def a(a):
    """[1, 2, 3, 5] as "1-3, 5"."""
    b: list = []
    c = d = None
    for e in a:
        if d is not None and e == d + 1:
            d = e
            b[-1] = f"{c}-{d}"
        else:
            c = d = e
            b.append(str(e))
    return ", ".join(b)
