"""Recipes: which networks learn together, and from which losses."""
