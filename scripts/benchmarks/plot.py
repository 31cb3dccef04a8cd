"""The picture of the part growth."""

from pathlib import Path
from typing import Any


def draw_growth(results: list[dict[str, Any]], path: Path) -> None:
    """A log-log plot for each kind of size, relative to the smallest one, with a dashed line.

    It is linear growth or, for the seconds of a frame on several processes, what as many processes could save at most.
    """
    from matplotlib import pyplot as plt

    axes = list(dict.fromkeys(result["axis"] for result in results))
    figure, panels = plt.subplots(1, len(axes), figsize=(4.4 * len(axes), 4.4), squeeze=False)
    for panel, axis in zip(panels[0], axes, strict=True):
        own = [result for result in results if result["axis"] == axis]
        sizes = own[0]["sizes"]
        power, label = (-1, "ideal") if axis == "processes" else (1, "linear")
        panel.plot(sizes, [(size / sizes[0]) ** power for size in sizes], "k--", linewidth=1, label=label)
        for result in own:
            relative = [value / result["seconds"][0] for value in result["seconds"]]
            panel.plot(sizes, relative, "o-", label=f"{result['title']}: {result['exponent']:.2f}")
        panel.set(xscale="log", yscale="log", xlabel=axis, ylabel="cost, relative to the smallest")
        panel.set_xticks(sizes, [f"{size:,d}" for size in sizes], rotation=30)
        panel.minorticks_off()
        panel.legend(fontsize=7, loc="lower left" if axis == "processes" else "upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
