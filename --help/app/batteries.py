# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The settings of several batteries: board numbers, a second and third UART, names. Loaded only if the file has one of them.

Number and key of a battery follow from its UART and its board number, so that taking one out or swapping two moves nothing.
"""

from .settings import k, j, m, l, c

  # on a line
  # batteries; app/nvm_store.py stores so many



def n(a):
    return (
        c(f"UART_{a}_TX", 3, "", 0, 20),
        c(f"UART_{a}_RX", 3, "", 0, 20),
        c(f"UART_{a}_BAUD_RATE", 5, 9600, k, None),
        c(f"UART_{a}_PROTOCOL", 5, "auto", m, None),
        c(f"UART_{a}_BOARD_NUMBERS", 0, "", 0, 40),
    )


f = (c("BMS_BOARD_NUMBERS", 0, "", 0, 40),) + n(2) + n(3); del n
f += (c("BANK_WIRING", 5, "parallel", ("parallel", "series"), None),)

  # what a mistyped name may be meant for


def h():
    """The keys of these rows, and examples of the names."""
    return [a.key for a in f] + list(('BMS_1_NAME', 'BMS_2_NAME'))


def i(a):
    """The rows of several batteries, if one of them or the name of a battery is among these keys of a file; else none."""
    b = [c(d, 0, "", 0, 40) for d in sorted(a) if t(d)]
    return f + tuple(b) if b or [e for e in f if e.key in a] else ()


def t(key):
    """The number in BMS_<number>_NAME; 0: it is another key."""
    a = key[4:-5]
    b = key[:4] == "BMS_" and key[-5:] == "_NAME" and a.isdigit() and a[0] != "0" and len(a) < 4
    return int(a) if b else 0


def s(a):
    """[1, 3, 4] of "1, 3 - 4"; None: it is not understood."""
    b: list = []
    for c in a.split(","):
        d, e, f = [h.strip() for h in c.partition("-")]
        f = f if e else d
        if not (p(d) and p(f)) or int(d) > int(f):
            return None
        for g in range(int(d), int(f) + 1):
            if g in b:
                return None
            b.append(g)
    return b


def p(a):
    for b in a:
        if not "0" <= b <= "9":
            return False
    return 0 < len(a) < 3 and 1 <= int(a) <= 16


def e(a):
    """What is wrong with the value of a ..._BOARD_NUMBERS, as the rest of a sentence; None when it will do."""
    if s(a) is not None:
        return None
    return f'; write the numbers of the boards, each once, from 1 to {16}, as "1-4" or "1, 3-4"'


def u(b):
    """The Boards of all batteries. What is wrong is added to the problems."""
    c = []  # (number, UART, board number)
    for e in (1, 2, 3):
        c += d(b, e)
    if len(c) > 8:
        f = ", ".join([str(i) for i, k, k in c[8:]])
        b.problems.append(
            f"{j}: {8} batteries at most can be read, these are {len(c)}, so not {f}; use a second bridge."
        )
        c = c[:8]
    g = [l for l in ('BMS_CELL_COUNT', 'BMS_TEMPERATURE_COUNT', 'CURRENT_SIGN') if b.k(l) and b.value(l) not in (0, "auto")]
    if len(c) > 1 and g:
        h = "counts" if len(g) == 1 else "count"
        b.d.append(
            f"{b.m(g[0])}{''.join([' and ' + m for m in g[1:]])} {h} for all batteries; "
            "remove what does not hold for each of them."
        )
    return a(b, c)


def d(a, b):
    """(number, UART, board number) of each battery on a UART; none where there is no such UART."""
    c = "BMS" if b == 1 else f"UART_{b}"
    d = c + "_BOARD_NUMBERS"
    e = a.value(d) and s(a.value(d))
    if b > 1 and not g(a, b):
        return []
    if not e:
        return [(1, 1, a.BMS_BOARD_NUMBER)] if b == 1 else [(100 * b + 1, b, 1)]
    f = a.m(d)
    if b == 1 and a.k("BMS_BOARD_NUMBER"):
        a.problems.append(f"{a.m('BMS_BOARD_NUMBER')}: {d} counts; remove BMS_BOARD_NUMBER.")
    if len(e) > 1 and a.value(c + "_PROTOCOL") == "d2":
        e = e[:1]
        a.problems.append(
            f"{f}: boards that speak D2 have no number, so a UART can read only one; remove it, and give each its own UART."
        )
    if len(e) > 1 and a.BMS_HOST_ADDRESS:
        a.problems.append(
            f"{a.m('BMS_HOST_ADDRESS')}: several boards on one line have an address each; remove it, it is not used."
        )
    return [(h if b == 1 else 100 * b + h, b, h) for h in e]


def g(a, b):
    """Whether the second or third UART is to be used: it needs both pins."""
    c = f"UART_{b}_"
    d = (c + "TX", c + "RX")
    if a.value(d[0]) and a.value(d[1]):
        return True
    for e in f:
        if e.key.startswith(c) and a.value(e.key) != e.default:
            g = " and ".join([h for h in d if not a.value(h)])
            a.problems.append(f"{a.m(e.key)}: UART {b} is not used without {g}; write its pins.")
            break
    return False


def a(a, b):
    """The Boards, each with its name and label; names must differ, since they make the entity ids."""
    c = [u for u, v, v in b]
    d = {}
    for e in a.more:
        f = t(e) if a.value(e) else 0
        if f and f not in c:
            g = ", ".join([str(w) for w in c])
            a.problems.append(
                f"{a.m(e)}: there is no battery {f}, only {g}; correct or remove it."
            )
        elif f:
            d[f] = e
    h = {}  # what makes the ids -> whose it is
    for i in ("bank", "bridge"):
        h[o(f"{a.DEVICE_NAME} {i}")] = "the " + i
    for f in c:  # also of those that have a name, which may have to be refused
        h[o(r(a, f))] = f"the usual name of BMS {f}" if f in d else f"BMS {f}"
    j = []
    for f, k, m in b:
        n = r(a, f)
        p = f"BMS {f}"
        s = a.value(d[f]) if f in d else ""
        if s and q(a, d[f], h, f):
            n = p = s
            h[o(s)] = p
        j.append(l(f, k, m, n, "" if len(b) == 1 else p))
    return j


def r(a, b):
    """The name of a battery that is given none; the first one has that of the only one, so that its entity ids stay."""
    return a.DEVICE_NAME if b == 1 else f"{a.DEVICE_NAME} {b}"


def q(a, key, c, d):
    """Whether a battery may have the name that is the value of `key`. If not, one more problem says why."""
    e = a.value(key)
    f = c.get(o(e))
    if not b(e):
        g = "it has none"
    elif f and f != f"the usual name of BMS {d}":
        g = f + " has the same"
    else:
        return True
    a.problems.append(
        f"{a.m(key)} cannot be {e}: the letters a to z and digits of a name make the ids, and {g}; "
        "choose another name."
    )
    return False


def o(name):
    """What of a name makes the entity ids, as slug in mqtt/homeassistant.py."""
    return b(name) or "daly_bms"


def b(name):
    a = "".join([b if "a" <= b <= "z" or "0" <= b <= "9" else " " for b in name.lower()])
    return "_".join(a.split())
