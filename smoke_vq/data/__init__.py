"""Smoke frames: where they come from, how they are held in memory, batched, and turned into `pixel_values`."""
