"""The firmware around it all: settings, health, loop and wiring."""
