"""What brings the firmware onto a board: the bundle, and the installer. Never on the board themselves."""
