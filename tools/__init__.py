# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Installing the firmware on a board (bundle, installer), and mutation tests."""
