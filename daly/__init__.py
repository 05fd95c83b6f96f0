"""Communication with a Daly Smart BMS: the A5 protocol, polling, timing, commands, diagnosis. Only bus.py performs I/O."""
