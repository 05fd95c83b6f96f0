# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Communication with a Daly Smart BMS: protocols, detection, polling, timing, commands, diagnosis. Only bus.py performs I/O."""
