# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""MQTT: the client and its transport, what is published when, commands received, and Home Assistant's discovery."""
