"""Simulated batteries on a pseudo-terminal, with faults; and replay of recordings."""
