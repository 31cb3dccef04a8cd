"""Simulated plumes as a dataset folder, and as a builder of the datasets package."""
