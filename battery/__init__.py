# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The battery, whatever its protocol: readings and which of them are known now, alarms, energy. No I/O."""
