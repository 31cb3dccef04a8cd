"""Matting: smoke is cut out of the videos of a static camera."""
