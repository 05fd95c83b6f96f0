"""The version of this firmware, as published, shown and packed."""

VERSION = "0.1.0"
