# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The unmodified firmware on a PC: stand-ins for the chip's modules, a broker, a view of the screen."""
