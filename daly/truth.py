"""What makes a reading doubtful: it contradicts another one. Rules for the table's column `doubt`, each with its reason.

A doubtful value is not refused but must be said twice: two readings are never taken at the same moment, and a rule that
refused for good would hide a real fault of the pack. `function(pack, raw)` is true when `raw` contradicts.
"""

# A clear current: boards measure nothing below 1.1 to 2.5 A (user-pains: SOC drifts), so less says nothing of a direction.
CLEAR_CURRENT = 30  # 0.1 A


def contradicts_cells(pack, raw):
    """Pack voltage (0.1 V) against the sum of the cells: 2 % and 0.5 V for cut-off digits, wiring and another moment."""
    total = pack.sum_of_cells()
    return total is not None and abs(100 * raw - total) > total // 50 + 500


def beyond_cells(pack, raw):
    """Highest or lowest cell voltage (mV) against the cells themselves, 0.1 V for another moment."""
    highest, lowest = pack.extreme_cells()
    return highest is not None and not lowest - 100 <= raw <= highest + 100


def contradicts_capacity(pack, raw):
    """Remaining capacity (mAh): not 0 at 2 % and more, not above the rated capacity by more than a quarter."""
    soc = pack.raw("soc")
    rated = pack.raw("rated_capacity")
    return (raw == 0 and soc is not None and soc >= 20) or (rated is not None and raw > rated + rated // 4)


def contradicts_mode(pack, raw):
    """Current (0.1 A, positive charging) against the mode that was said a moment ago or will be said in a moment."""
    mode = pack.raw("mode")
    if mode is None or abs(raw) < CLEAR_CURRENT:
        return False
    return (mode == 1 and raw < 0) or (mode == 2 and raw > 0)
