"""The dataset card of RISE clips: source, licence, settings, and the clips and frames that were dropped."""

from collections import Counter
from pathlib import Path

from ..folder import write_card
from ..matting.cut_out import working_size
from ..matting.quality import CRITERIA

_TEMPLATE = Path(__file__).with_name("card.md")


def write_rise_card(output: Path, report: dict[str, dict], settings: dict, features, is_rise: bool) -> None:
    """Write README.md of the dataset folder `output`.

    Args:
        report: counts by split, as `prepare_rise` returns them.
        settings: the fields of `ClipSettings`.
        features: `datasets.Features`.
        is_rise: whether the clips are from RISE.
    """
    reasons, despite = Counter(), Counter()
    for entry in report.values():
        reasons.update({f"clip: {name}": number for name, number in entry["reasons"].items()})
        reasons.update({f"frame of a kept clip: {name}": number for name, number in entry["frames_dropped"].items()})
        despite.update(entry["kept_despite"])
    license = {
        "license": "other",
        "license_name": "cc0-1.0-and-cc-by-4.0",
        "license_link": "https://creativecommons.org/licenses/by/4.0/",
    }
    write_card(
        output,
        _TEMPLATE,
        dict(
            report=report,
            settings=settings,
            working_size=working_size(settings["size"]),
            is_rise=is_rise,
            reasons=reasons.most_common(),
            kept_despite=", ".join(f"{name} ({count})" for name, count in despite.most_common()),
            criteria=CRITERIA,
        ),
        features,
        {split: entry["frames"] for split, entry in report.items()},
        **(license if is_rise else {"license": "unknown"}),
        pretty_name="Industrial smoke on black" if is_rise else "Smoke on black",
        tags=["smoke", "matting", "video"],
    )
