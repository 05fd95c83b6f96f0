"""The unmodified firmware on a PC: stand-ins for the chip's modules, a broker, a view of the screen."""
