"""RISE clips as a dataset folder: each clip cut out on black, its frames kept or dropped, split by split."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..folder import (
    WORK_FOLDER,
    check_output_folder,
    png,
    remove_work_folder,
    write_atomically,
    write_contact_sheet,
    write_split,
)
from ..matting.alpha import MATTINGS
from ..matting.cut_out import centre_square, cut_out
from ..matting.quality import unclean
from ..matting.video import read_video
from ..pieces import load_piece, make_pieces
from .card import write_rise_card
from .clips import Clip

# Raise it when the cut-out of the same clip by the same settings changes: pieces of older runs are then made again.
PREPARATION_VERSION = 2
MIN_FRAMES = 8
NUM_SHOWN = 4
NUM_SHEET_ROWS = 16


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


def prepare(
    splits: dict[str, list[Clip]],
    output_dir: str | Path,
    preparation: Preparation,
    num_proc: int = 1,
    keep_clips: bool = False,
) -> dict[str, dict]:
    """Clips of each split as a dataset folder; returns what was kept and dropped, by split.

    Raises:
        ValueError: the output folder is taken, a clip is in two splits, or a split has no frame left.
    """
    output = check_output_folder(output_dir)
    ids = Counter(clip.clip_id for clips in splits.values() for clip in clips)
    if ids and max(ids.values()) > 1:
        raise ValueError(f"Clip '{ids.most_common(1)[0][0]}' is in two splits.")
    settings = {**asdict(preparation), "version": PREPARATION_VERSION}
    features = frame_features()
    report, sheet = {}, []
    for split, clips in splits.items():
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
        sheet += sheet_rows(clips, pieces, report[split]["kept"], max(NUM_SHEET_ROWS // len(splits), 1))
        write_split(output, split, frame_rows(clips, pieces), features)
    write_contact_sheet(output / "contact_sheet.png", sheet)
    dropped = [{"split": split, **entry} for split, entries in report.items() for entry in entries["dropped"]]
    write_atomically(output / "dropped.json", (json.dumps(dropped, indent=1) + "\n").encode())
    is_rise = all(clip.label is not None for clips in splits.values() for clip in clips)  # its metadata were read
    write_rise_card(output, report, asdict(preparation), features, is_rise)
    if not keep_clips:
        remove_work_folder(output)
    return report


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
    if len(frames) < MIN_FRAMES:
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
