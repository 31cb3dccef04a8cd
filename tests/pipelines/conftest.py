"""Fixtures of forecasters.py."""

from forecasters import clip, make_pipeline, other_decoder, pipeline  # noqa: F401
