"""Long tests, which judge the firmware over hours and days and write the figures in docs/."""
