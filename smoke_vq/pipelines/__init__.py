"""Pipelines: from frames to frames, with all models that this takes."""

from .forecast import SmokeForecastPipeline, SmokeForecastPipelineOutput

__all__ = ["SmokeForecastPipeline", "SmokeForecastPipelineOutput"]
