# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A page in the browser: an HTTP server in small steps, and what it answers. Loaded only when the page is on."""
