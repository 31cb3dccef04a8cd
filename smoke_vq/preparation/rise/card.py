"""The dataset card of prepared RISE clips: source, licence, settings, and what was dropped and why."""

from collections import Counter
from pathlib import Path

from ..folder import write_card
from ..matting.quality import CRITERIA


def write_rise_card(output: Path, report: dict[str, dict], settings: dict, features, is_rise: bool) -> None:
    """README.md of the dataset folder `output`.

    Args:
        report: by split, what `rise_preparation.summarize` counts.
        settings: the fields of `Preparation`.
        features: `datasets.Features`.
        is_rise: whether the clips are RISE's, and not somebody's own.
    """
    license = {
        "license": "other",
        "license_name": "cc0-1.0-and-cc-by-4.0",
        "license_link": "https://creativecommons.org/licenses/by/4.0/",
    }
    write_card(
        output,
        card_text(report, settings, is_rise),
        features,
        {split: entry["frames"] for split, entry in report.items()},
        **(license if is_rise else {"license": "unknown"}),
        pretty_name="Industrial smoke on black" if is_rise else "Smoke on black",
        tags=["smoke", "matting", "video"],
    )


RISE = """[RISE](https://smoke.createlab.org) (Hsu et al., *Project RISE: Recognizing Industrial Smoke Emissions*, AAAI
2021, [arXiv:2005.06111](https://arxiv.org/abs/2005.06111)), CC0 1.0. 7-10 % of the clips were recorded by IJmond and
are CC BY 4.0. `label` is RISE's label state (47 and 23: smoke), `time` the start of the clip."""
OWN = """Videos of static cameras. Who recorded them, and under which licence they are, is not known here: whoever
publishes this dataset knows, and writes it here."""


def card_text(report: dict[str, dict], settings: dict, is_rise: bool) -> str:
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

Smoke, cut out of clips of a static camera: `image` is premultiplied colour on black (exactly 0
where there is no smoke), `alpha` the soft matte. Frames of a clip are in order of time; `frame_index` counts in a clip.

## Source

{RISE if is_rise else OWN}

## Preparation

One background per clip (shortest interval of brightness of each pixel), noise-normalised difference, difference matte
with the clip's smoke colour, refined by `{settings["matting"]}` matting, averaged down to {size}x{size}. Chimneys in
front of smoke are filled by interpolation along rows. Where `gain` is None, a clip's colour and alpha are multiplied by
one factor (1 to 4) that brings its brightest smoke to 0.85.

{options}

| split | clips read | clips kept | frames |
|---|---|---|---|
{counts}

## Dropped

`dropped.json` lists each dropped clip with its reason, the measured value and the limit.

| reason | number |
|---|---|
{dropped}

| criterion | what is measured | limit |
|---|---|---|
{criteria}

## Limits

Smoke that never leaves a pixel counts as background there. Alpha of thin smoke is relative to the thickest smoke of its
clip. Other things that move (vehicles, ships, cranes, clouds, sunlight) are dropped by measure, not by recognition:
some remain.
"""
