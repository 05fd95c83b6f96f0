"""The battery: the conversation with a Daly Smart BMS in its A5 protocol, without I/O and without a clock of its own."""
