"""Fixtures of forecasters.py."""

from forecasters import clip, make_pipeline, pipeline  # noqa: F401
