# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The board's select.poll, with `ipoll`, in the place of Python's, for the sockets of the stand-in socket pool.

Without it, as on a board whose CircuitPython was built without `select`, the firmware reads to learn that nothing is there.
"""

import select


def install() -> None:
    """From now on select.poll() makes the board's. After the stand-ins are on the path."""
    import socketpool

    select.poll = socketpool._Poll  # type: ignore[attr-defined]
