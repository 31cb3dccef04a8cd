"""RISE (Hsu et al., AAAI 2021, arXiv:2005.06111): its metadata, its labels, and lists of clips to prepare.

RISE keeps `videos/<file_name>.mp4` beside JSON arrays of clips (`metadata.json`, `split/metadata_train_split_0.json`).
A plain folder of videos is read as well: every video is a clip without a label.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from .dataset_folder import (
    WORK_FOLDER,
    check_output_folder,
    load_piece,
    make_pieces,
    png,
    remove_work_folder,
    write_atomically,
    write_card,
    write_contact_sheet,
    write_split,
)
from .matting import CRITERIA, MATTINGS, centre_square, cut_out, unclean
from .video import VIDEO_SUFFIXES, list_videos, read_video

# Raise it when the cut-out of the same clip by the same settings changes: pieces of older runs are then made again.
PREPARATION_VERSION = 2
NUM_SHOWN = 4
NUM_SHEET_ROWS = 16

# 47 and 23: smoke by an expert's gold standard and by strong agreement of citizens; 19: by weak agreement.
POSITIVE_LABELS = (47, 23)


@dataclass(frozen=True)
class Clip:
    """One video and what is known about it.

    label: RISE's label state (47, 23, 19 smoke; 32, 16, 20 none; -2 bad), or None.
    camera, view: RISE's numbers, or None.
    time: ISO 8601, UTC, of the first frame, or None.
    """

    clip_id: str
    path: Path
    label: int | None = None
    camera: int | None = None
    view: int | None = None
    time: str | None = None

    def provenance(self) -> dict:
        """The columns that every frame of the clip shares; the path stays here."""
        return {key: value for key, value in asdict(self).items() if key != "path"}


def label_of(record: dict) -> int | None:
    """A clip's label state; the administrator's overrides the citizens' unless it is -1, "not seen"."""
    admin = record.get("label_state_admin", -1)
    return record.get("label_state") if admin in (-1, None) else admin


def read_metadata(path: Path) -> list[dict]:
    try:
        records = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}.") from error
    if not isinstance(records, list) or not all(isinstance(r, dict) and "file_name" in r for r in records):
        raise ValueError(f"'{path}' is not RISE metadata: expected a JSON array of objects with a 'file_name'.")
    return records


def clip_from_record(record: dict, path: Path) -> Clip:
    start = record.get("start_time")
    time = datetime.fromtimestamp(int(start), timezone.utc).isoformat() if start is not None else None
    return Clip(
        str(record["file_name"]), path, label_of(record), record.get("camera_id"), record.get("view_id"), time
    )


def find_metadata(folder: Path) -> Path | None:
    """The one metadata file of a folder in RISE's layout, None for a plain folder of videos."""
    if not (folder / "videos").is_dir():
        return None
    found = sorted(folder.glob("metadata*.json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ValueError(f"Expected one metadata*.json in '{folder}', found {names}: name the file itself.")
    return found[0]


def list_clips(source: str | Path, labels: list[int] | None = None, videos: str | Path | None = None) -> list[Clip]:
    """Clips of a folder in RISE's layout, of a RISE metadata file, or of a plain folder of videos, sorted by id.

    Args:
        source: the folder or the file.
        labels: label states to keep; None keeps all.
        videos: where the metadata's clips are; by default `videos` beside the metadata, or one folder above it.

    Raises:
        FileNotFoundError: nothing at `source`, no videos, or clips in the metadata without a video.
        ValueError: the metadata is malformed, or no clip has one of the labels.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"No folder or file '{source}'.")
    metadata = find_metadata(source) if source.is_dir() else source
    if metadata is None:
        return [Clip(path.stem, path) for path in unique_stems(list_videos(videos or source))]
    found = {path.stem: path for path in unique_stems(list_videos(video_folder(metadata, videos)))}
    records = read_metadata(metadata)
    kept = [r for r in records if labels is None or label_of(r) in labels]
    if not kept:
        present = sorted({label_of(r) for r in records}, key=str)
        raise ValueError(f"No clip of '{metadata}' has one of the labels {labels}: its labels are {present}.")
    missing = sorted({str(r["file_name"]) for r in kept} - set(found))
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise FileNotFoundError(f"'{metadata}' names {len(missing)} clips that have no video: {some}.")
    clips = {str(r["file_name"]): clip_from_record(r, found[str(r["file_name"])]) for r in kept}
    return [clips[name] for name in sorted(clips)]


def video_folder(metadata: Path, videos: str | Path | None) -> Path:
    if videos is not None:
        return Path(videos)
    for folder in (metadata.parent / "videos", metadata.parent.parent / "videos"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"No folder 'videos' beside '{metadata}' or one folder above it: name it with --videos.")


def unique_stems(paths: list[Path]) -> list[Path]:
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(f"Two videos share the name '{twice[0]}': expected one of {', '.join(VIDEO_SUFFIXES)}.")
    return paths


def split_clips(clips: list[Clip], validation_fraction: float, seed: int = 0) -> dict[str, list[Clip]]:
    """Whole clips at random into train and validation, at least one in each; the same for the same seed."""
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation fraction is {validation_fraction}: expected between 0 and 1.")
    if len(clips) < 2:
        raise ValueError(f"Cannot split {len(clips)} clip into train and validation.")
    count = min(max(round(validation_fraction * len(clips)), 1), len(clips) - 1)
    chosen = set(random.Random(seed).sample(sorted(clip.clip_id for clip in clips), count))
    return {
        "train": [clip for clip in clips if clip.clip_id not in chosen],
        "validation": [clip for clip in clips if clip.clip_id in chosen],
    }


@dataclass(frozen=True)
class Preparation:
    """How clips become frames.

    size: height and width of the frames.
    matting: "guided" or "closed-form".
    gain: brightness factor of every clip, or None for each clip's own.
    min_coverage, max_coverage: shares of a frame's pixels with visible smoke between which the frame is kept.
    """

    size: int = 64
    matting: str = "guided"
    gain: float | None = None
    min_coverage: float = 0.0003
    max_coverage: float = 0.85

    def __post_init__(self):
        if not 8 <= self.size <= 1024:
            raise ValueError(f"size is {self.size}: expected 8 to 1024 pixels.")
        if self.matting not in MATTINGS:
            raise ValueError(f"Unknown matting '{self.matting}': expected one of {list(MATTINGS)}.")
        if self.gain is not None and self.gain <= 0:
            raise ValueError(f"gain is {self.gain}: expected above 0.")
        if not 0 <= self.min_coverage < self.max_coverage <= 1:
            raise ValueError(f"coverage is {self.min_coverage} to {self.max_coverage}: expected 0 <= min < max <= 1.")


def prepare_clip(job: tuple[Clip, Preparation]) -> dict:
    """One clip cut out: its kept frames, or the reason why it is dropped, as a piece for `make_pieces`."""
    import cv2

    cv2.setNumThreads(1)
    clip, preparation = job
    try:
        frames = read_video(clip.path)
    except ValueError as error:
        return {"reason": "unreadable", "detail": str(error)}
    side = min(frames.shape[1:3])
    if side < preparation.size:
        return {"reason": "too small", "detail": f"its shorter side is {side} pixels", "value": side}
    if len(frames) < 8:
        return {"reason": "too short", "detail": f"{len(frames)} frames cannot show a background", "value": len(frames)}
    smoke = cut_out(frames, preparation.size, preparation.matting, preparation.gain)
    dropped = unclean(smoke.measures)
    if dropped is not None:
        return {**dropped, "measures": smoke.measures}
    coverage = smoke.coverage
    few, many = coverage < preparation.min_coverage, coverage > preparation.max_coverage
    kept = np.flatnonzero(~few & ~many)
    counts = {"too little smoke": int(few.sum()), "too much smoke": int(many.sum())}
    if len(kept) == 0:
        detail = f"no frame has a coverage of {preparation.min_coverage} to {preparation.max_coverage}"
        return {"reason": "no frame left", "detail": detail, "value": float(coverage.max()), "frames": counts}
    shown = kept[np.linspace(0, len(kept) - 1, NUM_SHOWN).round().astype(int)]
    target = (preparation.size, preparation.size)
    original = [cv2.resize(frame, target, interpolation=cv2.INTER_AREA) for frame in centre_square(frames[shown])]
    return {
        "reason": None,
        "measures": smoke.measures,
        "frames": counts,
        "image": smoke.image[kept],
        "alpha": smoke.alpha[kept],
        "frame_index": kept.astype(np.int32),
        "shown": shown,
        "original": np.stack(original),
    }


def prepare(
    splits: dict[str, list[Clip]],
    output: str | Path,
    preparation: Preparation,
    num_proc: int = 1,
    keep_clips: bool = False,
) -> dict[str, dict]:
    """Clips of each split as a dataset folder; returns what was kept and dropped, by split.

    Raises:
        ValueError: the output folder is taken, a clip is in two splits, or a split has no frame left.
    """
    output = check_output_folder(output)
    ids = Counter(clip.clip_id for clips in splits.values() for clip in clips)
    if ids and max(ids.values()) > 1:
        raise ValueError(f"Clip '{ids.most_common(1)[0][0]}' is in two splits.")
    features = frame_features()
    report, sheet = {}, []
    for split, clips in splits.items():
        settings = {**asdict(preparation), "version": PREPARATION_VERSION}
        pieces = make_pieces(
            prepare_clip,
            {clip.clip_id: (clip, preparation) for clip in clips},
            {clip.clip_id: {**settings, "bytes": clip.path.stat().st_size} for clip in clips},
            output / WORK_FOLDER / split,
            num_proc,
            split,
        )
        report[split] = summarize(clips, pieces)
        if report[split]["frames"] == 0:
            reasons = ", ".join(f"{name}: {count}" for name, count in report[split]["reasons"].items())
            raise ValueError(f"No frame of split '{split}' is left; clips dropped by reason: {reasons}.")
        sheet += sheet_rows(clips, pieces, report[split]["kept"], NUM_SHEET_ROWS // len(splits))
        write_split(output, split, frame_rows(clips, pieces), features)
    write_contact_sheet(output / "contact_sheet.png", sheet)
    dropped = [{"split": split, **entry} for split, entries in report.items() for entry in entries["dropped"]]
    write_atomically(output / "dropped.json", (json.dumps(dropped, indent=1) + "\n").encode())
    write_card(
        output,
        card_text(report, preparation),
        features,
        {split: entry["frames"] for split, entry in report.items()},
        license="other",
        license_name="cc0-1.0-and-cc-by-4.0",
        license_link="https://creativecommons.org/licenses/by/4.0/",
        pretty_name="Industrial smoke on black",
        tags=["smoke", "matting", "video"],
    )
    if not keep_clips:
        remove_work_folder(output)
    return report


def frame_features():
    """The columns of a prepared dataset, as `datasets.Features`."""
    from datasets import Features, Image, Value

    return Features(
        {
            "image": Image(),
            "alpha": Image(),
            "clip_id": Value("string"),
            "frame_index": Value("int32"),
            "camera": Value("int32"),
            "view": Value("int32"),
            "label": Value("int32"),
            "time": Value("string"),
        }
    )


def frame_rows(clips: list[Clip], pieces: dict[str, Path]) -> Iterator[dict]:
    for clip in clips:
        piece = load_piece(pieces[clip.clip_id])
        if piece["reason"] is None:
            for image, alpha, index in zip(piece["image"], piece["alpha"], piece["frame_index"], strict=True):
                yield {**clip.provenance(), "image": png(image), "alpha": png(alpha), "frame_index": int(index)}


def summarize(clips: list[Clip], pieces: dict[str, Path]) -> dict:
    """Kept and dropped clips and frames of one split."""
    kept, dropped, frames, frames_dropped = [], [], 0, Counter()
    for clip in clips:
        piece = load_piece(pieces[clip.clip_id])
        frames_dropped.update(piece.get("frames", {}))
        if piece["reason"] is None:
            kept.append(clip.clip_id)
            frames += len(piece["frame_index"])
        else:
            about = {key: piece[key] for key in ("reason", "detail", "value", "limit") if key in piece}
            dropped.append({"clip_id": clip.clip_id, **about})
    reasons = dict(Counter(entry["reason"] for entry in dropped).most_common())
    return {
        "clips": len(clips),
        "kept": kept,
        "frames": frames,
        "dropped": dropped,
        "reasons": reasons,
        "frames_dropped": dict(frames_dropped),
    }


def sheet_rows(clips: list[Clip], pieces: dict[str, Path], kept: list[str], count: int) -> list[tuple[str, list]]:
    """Evenly chosen clips: original, smoke and alpha at a few times."""
    rows = []
    for index in sorted(set(np.linspace(0, len(kept) - 1, count).round().astype(int).tolist())):
        piece = load_piece(pieces[kept[index]])
        images = []
        for original, time in zip(piece["original"], piece["shown"], strict=True):
            place = int(np.flatnonzero(piece["frame_index"] == time)[0])
            images += [original, piece["image"][place], piece["alpha"][place]]
        times = ", ".join(map(str, piece["shown"]))
        rows.append((f"{kept[index]}   frames {times}: original, smoke on black, alpha", images))
    return rows


def card_text(report: dict, preparation: Preparation) -> str:
    settings = "\n".join(f"- {name}: {value}" for name, value in asdict(preparation).items())
    counts = "\n".join(
        f"| {split} | {entry['clips']} | {len(entry['kept'])} | {entry['frames']} |" for split, entry in report.items()
    )
    reasons = Counter()
    for entry in report.values():
        reasons.update({f"clip: {name}": number for name, number in entry["reasons"].items()})
        reasons.update({f"frame of a kept clip: {name}": number for name, number in entry["frames_dropped"].items()})
    dropped = "\n".join(f"| {name} | {number} |" for name, number in reasons.most_common()) or "| none | 0 |"
    criteria = "\n".join(f"| {reason} | {detail} | {limit} |" for reason, (_, limit, detail) in CRITERIA.items())
    size = preparation.size
    return f"""
# Industrial smoke on black, {size}x{size}

Industrial smoke, cut out of clips of a static camera: `image` is premultiplied colour on black (exactly 0
where there is no smoke), `alpha` the soft matte. Frames of a clip are in order of time; `frame_index` counts in the clip.

## Source

[RISE](https://smoke.createlab.org) (Hsu et al., *Project RISE: Recognizing Industrial Smoke Emissions*, AAAI 2021,
[arXiv:2005.06111](https://arxiv.org/abs/2005.06111)), CC0 1.0. 7-10 % of the clips were recorded by IJmond and are
CC BY 4.0. `label` is RISE's label state (47 and 23: smoke), `time` the start of the clip.

## Preparation

One background per clip (shortest interval of brightness of each pixel), noise-normalised difference, difference matte
with the clip's smoke colour, refined by `{preparation.matting}` matting, averaged down to {size}x{size}. Chimneys in
front of smoke are filled by interpolation along rows. Where `gain` is None, a clip's colour and alpha are multiplied by
one factor (1 to 4) that brings its brightest smoke to 0.85.

{settings}

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
