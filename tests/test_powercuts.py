# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A few power cuts: some of them in the middle of a write to the memory; `make powercuts` is sixty."""

import pytest
from mosquitto import needs_mosquitto

from campaigns.powercuts import run


@needs_mosquitto
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_no_counter_falls_nothing_counts_twice_and_no_command_is_repeated(tmp_path):
    result = run(tmp_path, 4)
    assert result.wrong == []
    assert result.cuts == 4 and result.published and result.executed <= result.commands
