"""Metrics: sums that add up over batches and processes, turned into figures at the end."""

from .codebook import CodebookUsage, expected_usage
from .distances import MeanDistances
from .image_quality import ImageQuality
from .plume import PlumeQuality, flicker
from .table import markdown_table

__all__ = [
    "CodebookUsage",
    "ImageQuality",
    "MeanDistances",
    "PlumeQuality",
    "expected_usage",
    "flicker",
    "markdown_table",
]
