# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Simulated batteries on a pseudo-terminal, with faults; and replay of recordings."""
