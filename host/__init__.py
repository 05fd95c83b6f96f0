"""The same firmware on a PC: stand-ins for the chip, a broker, a simulated BMS and a view of the screen."""
