"""Smoke frames: where they come from, how they are loaded, and the one place that knows the pixel range (processor)."""
