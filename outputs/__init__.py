# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Outputs: pins of this board that rules, alarms or a person switch, and the wake line. Never a write to the BMS."""
