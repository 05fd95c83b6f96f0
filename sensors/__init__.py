# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Sensors of the board: DS18B20 thermometers, Victron's VE.Direct, the supply voltage. Only what a setting names is loaded."""
