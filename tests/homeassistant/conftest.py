# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Fixtures of all stories."""

import pytest


@pytest.fixture(autouse=True)
def told(house, capsys):
    """Says what was measured, for whoever runs this."""
    measured = []
    yield measured.append
    with capsys.disabled():
        for sentence in measured:
            print(f"\n    {house.ha.version}: {sentence}", end="", flush=True)
