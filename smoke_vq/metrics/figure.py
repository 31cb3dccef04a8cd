"""The description of a figure, a number that a metric computes: name, unit, best direction and format."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """Describes one entry of a dict of figures.

    Args:
        name: key of the figure in `metrics.json` and in the history of a run.
        label: short name for a line of text, such as "PSNR".
        better: "lower", "higher", the best value itself (1.0 for a ratio), or None for counts and descriptions.
        format: format specification of the value; by default, integers are exact and other numbers have 4 digits.
        unit: unit after the value, such as "dB".
        meaning: one sentence, without a period, for tables and cards.
    """

    name: str
    label: str
    better: Literal["lower", "higher"] | float | None = None
    format: str = ""
    unit: str = ""
    meaning: str = ""

    def text(self, value: float | None) -> str:
        """The value for a table, without its unit; "-" where it is undefined."""
        if value is None:
            return "-"
        return format(value, self.format or ("d" if isinstance(value, int) else ".4g"))

    def phrase(self, value: float | None) -> str:
        """Label, value and unit for a line of text: "PSNR 31.20 dB"."""
        return f"{self.label} {self.text(value)} {self.unit}".rstrip()
