# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The version of this firmware, as published, shown and packed."""

VERSION = "0.1.0"
