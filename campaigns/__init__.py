"""What judges the firmware over hours and days, and writes the figures in docs/."""
