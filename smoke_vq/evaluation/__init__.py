"""Measuring reconstructions: one model at each validation, several models and image codecs side by side."""
