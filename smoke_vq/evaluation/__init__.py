"""Evaluation of reconstructions: one model at each validation, several models and image codecs in one table."""
