# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The units of readings, as a rule of an output may name them."""

from mqtt.entities import entity


def unit_of(row):
    return entity(row).unit
