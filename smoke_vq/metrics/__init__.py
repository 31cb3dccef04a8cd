"""Metrics: sums that add up over batches and processes, turned into figures at the end."""

from .baselines import BASELINES
from .codebook import CodebookUsage, expected_usage
from .image_quality import ImageQuality
from .table import markdown_table

__all__ = ["BASELINES", "CodebookUsage", "ImageQuality", "expected_usage", "markdown_table"]
