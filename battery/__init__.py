"""What a battery is, whoever makes it: its readings, what is known of them now, alarms, energy. No protocol, no I/O."""
