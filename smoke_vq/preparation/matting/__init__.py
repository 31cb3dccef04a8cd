"""Cutting smoke out of the videos of a static camera."""
