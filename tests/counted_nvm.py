# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The chip's non-volatile memory in tests."""


class Nvm(bytearray):
    """The memory, with its writes counted."""

    writes = 0

    def __setitem__(self, where, data):
        self.writes += 1
        bytearray.__setitem__(self, where, data)
