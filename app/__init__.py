"""The firmware as a whole: settings, state of the bridge, stores, loop and wiring."""
