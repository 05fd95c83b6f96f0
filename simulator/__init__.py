"""Simulated batteries on a pseudo-terminal, and recordings that are played back."""
