"""RISE clips, or other videos of a static camera, as a dataset folder, one split after the other."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ...checks import check_installed
from ...layout import CARD, CHECKSUMS, CONTACT_SHEET, DATA, DROPPED
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
from ..matting.quality import CRITERIA
from .card import write_rise_card
from .clip_frames import CLIP_VERSION, ClipSettings, cut_out_video, load_clip_frames, load_clip_list
from .clips import Clip

_WORK_FOLDER = ".clips"
_FILES = {_WORK_FOLDER, DATA, CARD, DROPPED, CONTACT_SHEET, CHECKSUMS}
_COLUMNS = dict(clip_id="string", frame_index="int32", camera="int32", view="int32", label="int32", time="string")
_NUM_SHEET_ROWS = {"kept": 16, "dropped": 8}


def prepare_rise(
    splits: dict[str, list[Clip]], output_dir: str | Path, settings: ClipSettings, num_proc: int = 1
) -> dict[str, dict]:
    """Cut out the clips of each split, write a dataset folder, and return what was kept and dropped, by split.

    The contact sheet is also written if no frame is left, so that one sees why.

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
    ids = Counter((clip.clip_id, clip.frames) for clips in splits.values() for clip in clips)
    if ids and max(ids.values()) > 1:
        raise ValueError(f"Clip '{ids.most_common(1)[0][0][0]}' is in two splits.")
    features = frame_features(_COLUMNS)
    report, sheet, dropped = {}, [], []
    for split, videos in splits.items():
        clips = _cut_out(videos, output / _WORK_FOLDER / split, settings, num_proc, split)
        report[split] = _summarize(clips)
        sheet += _sheet_rows(clips, report[split], len(splits))
        write_contact_sheet(output / CONTACT_SHEET, sheet)
        dropped += [{"split": split, **entry} for entry in report[split]["dropped"]]
        write_atomically(output / DROPPED, (json.dumps(dropped, indent=1) + "\n").encode())
        if report[split]["frames"] == 0:
            raise ValueError(_no_frame_left(split, report[split]["reasons"], output / CONTACT_SHEET))
        write_split(output, split, _frame_rows(clips), features)
    is_rise = all(clip.label is not None for clips in splits.values() for clip in clips)  # RISE's metadata has labels
    write_rise_card(output, report, asdict(settings), features, is_rise)
    remove_temporary_files(output, _FILES)
    shutil.rmtree(output / _WORK_FOLDER, ignore_errors=True)
    return report


def _cut_out(
    videos: list[Clip], folder: Path, settings: ClipSettings, num_proc: int, split: str
) -> list[tuple[Clip, Path]]:
    """The clips of the videos, each with the file of its result."""
    names = [_name(video, settings) for video in videos]
    jobs = {
        f"{name}.json": (video, settings, folder / name, num_proc == 1)
        for name, video in zip(names, videos, strict=True)
    }
    try:
        run_jobs(cut_out_video, folder, jobs, num_proc, description=split, unit="videos")
    finally:
        for path in folder.glob("*.npz.*.tmp"):  # a worker process that was ended while it wrote a clip
            path.unlink(missing_ok=True)
    return [
        (replace(video, clip_id=clip_id), path)
        for name, video in zip(names, videos, strict=True)
        for clip_id, path in load_clip_list(folder / f"{name}.json").items()
    ]


def _name(clip: Clip, settings: ClipSettings) -> str:
    """The name of the files of a video's results; it changes with everything that the results depend on."""
    about = {"key": clip.clip_id, "frames": clip.frames, "bytes": clip.path.stat().st_size}
    key = {**about, **asdict(settings), "version": CLIP_VERSION}
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', clip.clip_id)}-{settings_hash(key)}"


def _no_frame_left(split: str, reasons: dict[str, int], sheet: Path) -> str:
    counts = ", ".join(f"{name}: {count}" for name, count in reasons.items())
    advice = ", and --keep-all keeps those that fail a criterion" if reasons.keys() & CRITERIA.keys() else ""
    return f"No frame of split '{split}' is left. Dropped clips by reason: {counts}. '{sheet}' shows them{advice}."


def _frame_rows(clips: list[tuple[Clip, Path]]) -> Iterator[dict]:
    for clip, path in clips:
        result = load_clip_frames(path)
        if result["reason"] is None:
            for image, alpha, index in zip(result["image"], result["alpha"], result["frame_index"], strict=True):
                yield {**clip.provenance(), "image": png(image), "alpha": png(alpha), "frame_index": int(index)}


def _summarize(clips: list[tuple[Clip, Path]]) -> dict:
    """Kept and dropped clips and frames of one split."""
    kept, dropped, failed, frames, frames_dropped = [], [], Counter(), 0, Counter()
    for clip, path in clips:
        result = load_clip_frames(path)
        frames_dropped.update(result.get("frames", {}))
        if result["reason"] is None:
            kept.append(clip.clip_id)
            frames += len(result["frame_index"])
            failed.update([result["failed"]["reason"]] if result["failed"] else [])
        else:
            about = {key: result[key] for key in ("reason", "detail", "value", "limit") if key in result}
            dropped.append({"clip_id": clip.clip_id, **about})
    return {
        "clips": len(clips),
        "kept": kept,
        "kept_despite": dict(failed.most_common()),
        "frames": frames,
        "dropped": dropped,
        "reasons": dict(Counter(entry["reason"] for entry in dropped).most_common()),
        "frames_dropped": dict(frames_dropped),
    }


def _sheet_rows(clips: list[tuple[Clip, Path]], summary: dict, num_splits: int) -> list[tuple[str, list[np.ndarray]]]:
    """Rows of the contact sheet: a few frames of evenly spaced clips that are kept, then of dropped ones by reason."""
    paths = {clip.clip_id: path for clip, path in clips}
    by_reason = sorted(summary["dropped"], key=lambda entry: entry["reason"])
    rows = []
    for kind, ids in (("kept", summary["kept"]), ("dropped", [entry["clip_id"] for entry in by_reason])):
        for clip_id in evenly_spaced(ids, max(_NUM_SHEET_ROWS[kind] // num_splits, 1)):
            result = load_clip_frames(paths[clip_id])
            times = ", ".join(map(str, result["shown"])) or "none"
            columns = "original, smoke on black, alpha" if result["sheet"].shape[1] == 3 else "original"
            rows.append(
                (f"{clip_id}   frames {times}: {columns}{_remark(result)}", list(np.concatenate(result["sheet"])))
            )
    return rows


def _remark(result: dict) -> str:
    """Why a clip is dropped, or would be."""
    about = result if result["reason"] is not None else result["failed"]
    if about is None:
        return ""
    value = f"{about['value']:.3g}" if "value" in about else ""
    limit = f", limit {about['limit']:.3g}" if "limit" in about else ""
    measured = f" ({value}{limit})" if value else ""
    return f"   {'DROPPED' if result['reason'] else 'kept despite'}: {about['reason']}{measured}"
