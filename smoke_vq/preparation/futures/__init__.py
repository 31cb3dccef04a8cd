"""Possible futures of simulated plumes as a dataset folder: a test set for forecasts."""
