"""The battery, whatever its protocol: readings and which of them are known now, alarms, energy. No I/O."""
