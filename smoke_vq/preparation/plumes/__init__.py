"""Simulated plumes as a dataset folder, and as a builder for the `datasets` package."""
