"""The dataset card of RISE clips: source, licence, settings, and the clips and frames that were dropped."""

from collections import Counter
from pathlib import Path

from ..folder import write_card
from ..matting.quality import CRITERIA


def write_rise_card(output: Path, report: dict[str, dict], settings: dict, features, is_rise: bool) -> None:
    """Write README.md of the dataset folder `output`.

    Args:
        report: counts by split, as `prepare_rise` returns them.
        settings: the fields of `ClipSettings`.
        features: `datasets.Features`.
        is_rise: whether the clips are from RISE.
    """
    license = {
        "license": "other",
        "license_name": "cc0-1.0-and-cc-by-4.0",
        "license_link": "https://creativecommons.org/licenses/by/4.0/",
    }
    write_card(
        output,
        _card_text(report, settings, is_rise),
        features,
        {split: entry["frames"] for split, entry in report.items()},
        **(license if is_rise else {"license": "unknown"}),
        pretty_name="Industrial smoke on black" if is_rise else "Smoke on black",
        tags=["smoke", "matting", "video"],
    )


_RISE_SOURCE = """[RISE](https://smoke.createlab.org) (Hsu et al., *Project RISE: Recognizing Industrial Smoke
Emissions*, AAAI 2021, [arXiv:2005.06111](https://arxiv.org/abs/2005.06111)), CC0 1.0. 7-10 % of the clips were recorded
by IJmond and are CC BY 4.0. `label` is RISE's label state (47 and 23: smoke), `time` is the start of the clip."""
_OTHER_SOURCE = "Videos of static cameras. Their author and licence are unknown: add them here before publishing."


def _card_text(report: dict[str, dict], settings: dict, is_rise: bool) -> str:
    options = "\n".join(f"- {name}: {value}" for name, value in settings.items())
    counts = "\n".join(
        f"| {split} | {entry['clips']} | {len(entry['kept'])} | {entry['frames']} |" for split, entry in report.items()
    )
    reasons = Counter()
    for entry in report.values():
        reasons.update({f"clip: {name}": number for name, number in entry["reasons"].items()})
        reasons.update({f"frame of a kept clip: {name}": number for name, number in entry["frames_dropped"].items()})
    dropped = "\n".join(f"| {name} | {number} |" for name, number in reasons.most_common()) or "| none | 0 |"
    criteria = "\n".join(f"| {reason} | {detail} | {limit} |" for reason, (_, limit, detail) in CRITERIA.items())
    size = settings["size"]
    return f"""
# {"Industrial smoke" if is_rise else "Smoke"} on black, {size}x{size}

Smoke cut out of video clips of static cameras. `image` is premultiplied colour on black (exactly 0 without smoke) and
`alpha` is the soft matte. The frames of a clip are in order of time; `frame_index` is the number of the frame in its
clip.

## Source

{_RISE_SOURCE if is_rise else _OTHER_SOURCE}

## Preparation

Each clip has one background image (the shortest interval of brightness of each pixel). Smoke is found by the
difference from it relative to the noise. A difference matte with the smoke colour of the clip is refined by
`{settings["matting"]}` matting and averaged to {size}x{size}. Chimneys in front of smoke are filled by interpolation
along rows. If `gain` is None, colour and alpha of a clip are multiplied by one factor (1 to 4) that raises its
brightest smoke to 0.85.

{options}

| split | clips read | clips kept | frames |
|---|---|---|---|
{counts}

## Dropped

`dropped.json` lists every dropped clip with the reason, the measured value and the limit.

| reason | number |
|---|---|
{dropped}

| criterion | measured quantity | limit |
|---|---|---|
{criteria}

## Limits

Smoke that covers a pixel all the time is taken for background. The alpha of thin smoke is relative to the thickest
smoke of its clip. Clips with other moving objects (vehicles, ships, cranes, clouds, sunlight) are dropped by the
criteria above and not by recognition: some remain.
"""
