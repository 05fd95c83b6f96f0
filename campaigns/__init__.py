# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Long tests, which judge the firmware over hours and days and write the figures in docs/."""
