"""RISE clips, or other videos of a static camera, as a dataset folder, one split after the other."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ...checks import check_installed
from ...layout import CARD, CONTACT_SHEET, DATA, DROPPED
from ..folder import (
    check_output_folder,
    evenly_spaced,
    frame_features,
    png,
    remove_temporary_files,
    write_atomically,
    write_contact_sheet,
    write_split,
)
from ..jobs import run_jobs, settings_hash
from .card import write_rise_card
from .clip_frames import CLIP_VERSION, ClipSettings, cut_out_clip, load_clip_frames
from .clips import Clip

_WORK_FOLDER = ".clips"
_FILES = {_WORK_FOLDER, DATA, CARD, DROPPED, CONTACT_SHEET}
_COLUMNS = dict(clip_id="string", frame_index="int32", camera="int32", view="int32", label="int32", time="string")
_NUM_SHEET_ROWS = 16


def prepare_rise(
    splits: dict[str, list[Clip]], output_dir: str | Path, settings: ClipSettings, num_proc: int = 1
) -> dict[str, dict]:
    """Cut out the clips of each split, write a dataset folder, and return what was kept and dropped, by split.

    Args:
        num_proc: worker processes; the dataset does not depend on it.

    Raises:
        ValueError: a package is missing, the output folder contains other files or a finished dataset, a clip is in
            two splits, or no frame of a split is left.
        OSError: the frames cannot be written.
    """
    check_installed("Cutting out smoke", "rise", av="PyAV", cv2="OpenCV", pymatting="PyMatting", scipy="SciPy")
    output = Path(output_dir)
    if (output / CARD).exists():
        raise ValueError(f"The output folder '{output}' already contains a {CARD}: choose another one or remove it.")
    check_output_folder(output, _FILES, _WORK_FOLDER)
    ids = Counter(clip.clip_id for clips in splits.values() for clip in clips)
    if ids and max(ids.values()) > 1:
        raise ValueError(f"Clip '{ids.most_common(1)[0][0]}' is in two splits.")
    features = frame_features(_COLUMNS)
    report, sheet = {}, []
    for split, clips in splits.items():
        paths = {clip.clip_id: output / _WORK_FOLDER / split / _file_name(clip, settings) for clip in clips}
        jobs = {paths[clip.clip_id].name: (clip, settings) for clip in clips}
        run_jobs(cut_out_clip, output / _WORK_FOLDER / split, jobs, num_proc, description=split, unit="clips")
        report[split] = _summarize(paths)
        if report[split]["frames"] == 0:
            reasons = ", ".join(f"{name}: {count}" for name, count in report[split]["reasons"].items())
            raise ValueError(f"No frame of split '{split}' is left. Dropped clips by reason: {reasons}.")
        sheet += _sheet_rows(paths, report[split]["kept"], max(_NUM_SHEET_ROWS // len(splits), 1))
        write_split(output, split, _frame_rows(clips, paths), features)
    write_contact_sheet(output / CONTACT_SHEET, sheet)
    dropped = [{"split": split, **entry} for split, entries in report.items() for entry in entries["dropped"]]
    write_atomically(output / DROPPED, (json.dumps(dropped, indent=1) + "\n").encode())
    is_rise = all(clip.label is not None for clips in splits.values() for clip in clips)  # RISE's metadata has labels
    write_rise_card(output, report, asdict(settings), features, is_rise)
    remove_temporary_files(output, _FILES)
    shutil.rmtree(output / _WORK_FOLDER, ignore_errors=True)
    return report


def _file_name(clip: Clip, settings: ClipSettings) -> str:
    """The file of a clip's result; it changes with everything that the result depends on."""
    key = {"key": clip.clip_id, **asdict(settings), "version": CLIP_VERSION, "bytes": clip.path.stat().st_size}
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', clip.clip_id)}-{settings_hash(key)}.npz"


def _frame_rows(clips: list[Clip], paths: dict[str, Path]) -> Iterator[dict]:
    for clip in clips:
        result = load_clip_frames(paths[clip.clip_id])
        if result["reason"] is None:
            for image, alpha, index in zip(result["image"], result["alpha"], result["frame_index"], strict=True):
                yield {**clip.provenance(), "image": png(image), "alpha": png(alpha), "frame_index": int(index)}


def _summarize(paths: dict[str, Path]) -> dict:
    """Kept and dropped clips and frames of one split."""
    kept, dropped, frames, frames_dropped = [], [], 0, Counter()
    for clip_id, path in paths.items():
        result = load_clip_frames(path)
        frames_dropped.update(result.get("frames", {}))
        if result["reason"] is None:
            kept.append(clip_id)
            frames += len(result["frame_index"])
        else:
            about = {key: result[key] for key in ("reason", "detail", "value", "limit") if key in result}
            dropped.append({"clip_id": clip_id, **about})
    return {
        "clips": len(paths),
        "kept": kept,
        "frames": frames,
        "dropped": dropped,
        "reasons": dict(Counter(entry["reason"] for entry in dropped).most_common()),
        "frames_dropped": dict(frames_dropped),
    }


def _sheet_rows(paths: dict[str, Path], kept: list[str], count: int) -> list[tuple[str, list[np.ndarray]]]:
    """Rows of the contact sheet for evenly spaced clips: original, smoke and alpha of a few frames."""
    rows = []
    for clip_id in evenly_spaced(kept, count):
        result = load_clip_frames(paths[clip_id])
        images = []
        for original, time in zip(result["original"], result["shown"], strict=True):
            place = int(np.flatnonzero(result["frame_index"] == time)[0])
            images += [original, result["image"][place], result["alpha"][place]]
        times = ", ".join(map(str, result["shown"]))
        rows.append((f"{clip_id}   frames {times}: original, smoke on black, alpha", images))
    return rows
