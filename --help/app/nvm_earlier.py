# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Takes over the record of an earlier version of app/nvm_store.py, with one battery. Loaded only where one may be newer than
what was taken over before.
"""

import struct

from app.early import l

# Of each version: magic, version, sequence, boots, failed boots in a row, energy counters; since version 2 polarity, owner,
# minutes earned and reserve; since version 3 protocol; length of the text, text.
a = {1: "<2sBIIH4QB80s", 2: "<2sBIIH4QBIHBB80s", 3: "<2sBIIH4QBIHBBB80s"}

  # with version 1, which did not store it: an advance of two writes



def b(b):
    """(fields as of the header of version 4, (number, polarity, protocol and owner, totals)); (None, None): there is none."""
    c = d = None
    for e in (0, 256):
        f = b[e + 2]
        if b[e : e + 2] != b"DB" or f not in a:
            continue
        if not l(b, e, e + struct.calcsize(a[f])):
            continue
        g = struct.unpack_from(a[f], b, e)
        if c is None or g[2] >= c[2]:
            h, i, j, k = g[9:13] if f > 1 else (0, 0, 60, 10)
            c = g[:5] + (j, k) + g[-2:] + (g[2], 0)
            d = ((1, h, g[13] if f > 2 else 0, i), g[5:9])
    return c, d
