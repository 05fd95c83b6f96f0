# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The firmware as a whole: settings, state of the bridge, stores, loop and wiring."""
