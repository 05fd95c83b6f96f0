"""Installing the firmware on a board (bundle, installer), and mutation tests."""
