"""Clips of RISE (Hsu et al., AAAI 2021, arXiv:2005.06111): metadata, labels and splits.

A RISE folder contains `videos/<file_name>.mp4` and JSON arrays of clips (`metadata.json`,
`split/metadata_train_split_0.json`). In a plain folder of videos, every video is a clip without a label. Long
videos are divided into shorter clips when they are cut out (`clip_frames.cut_out_video`).
"""

import json
import random
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from ..matting.chunks import MIN_FRAMES
from ..matting.video import VIDEO_SUFFIXES, list_videos, video_info

# Smoke by the gold standard of experts (47) or by strong agreement of citizens (23); 19 is weak agreement.
POSITIVE_LABELS = (47, 23)


@dataclass(frozen=True)
class Clip:
    """One video, or a part of it, and its metadata.

    frames: numbers of its first frame and of the first after it in the video, or None for all that follow.
    label: RISE's label state (47, 23, 19: smoke; 32, 16, 20: no smoke; -2: bad data), or None.
    camera, view: RISE's numbers, or None.
    time: time of the first frame (ISO 8601, UTC), or None.
    """

    clip_id: str
    path: Path
    label: int | None = None
    camera: int | None = None
    view: int | None = None
    time: str | None = None
    frames: tuple[int, int | None] = (0, None)

    def provenance(self) -> dict:
        """The columns that all frames of the clip share; they do not include the local path."""
        return {key: value for key, value in asdict(self).items() if key not in ("path", "frames")}


def list_clips(source: str | Path, labels: list[int] | None = None, videos: str | Path | None = None) -> list[Clip]:
    """List the clips of a RISE folder, a RISE metadata file, a plain folder of videos or one video, sorted by id.

    Args:
        source: the folder or the file.
        labels: label states to keep, or None for all. Ignored without metadata.
        videos: folder of the videos (default: `videos` in the folder of the metadata file or in its parent).

    Raises:
        FileNotFoundError: `source` or a video does not exist.
        ValueError: the metadata is invalid, or no clip has one of the labels.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"'{source}' does not exist: expected a folder, a video or a metadata file.")
    if source.suffix.lower() in VIDEO_SUFFIXES and source.is_file():
        if videos is not None:
            raise ValueError(f"'{source}' is a video: expected no other folder of videos, found '{videos}'.")
        return [Clip(source.stem, source)]
    metadata = _find_metadata(source) if source.is_dir() else source
    if metadata is None:
        return [Clip(path.stem, path) for path in _check_unique_stems(list_videos(videos or source))]
    found = {path.stem: path for path in _check_unique_stems(list_videos(_video_folder(metadata, videos)))}
    records = read_metadata(metadata)
    kept = [r for r in records if labels is None or label_of(r) in labels]
    if not kept:
        present = sorted({label_of(r) for r in records}, key=str)
        raise ValueError(f"No clip of '{metadata}' has one of the labels {labels}: its labels are {present}.")
    missing = sorted({str(r["file_name"]) for r in kept} - set(found))
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise FileNotFoundError(f"{len(missing)} of {len(kept)} clips in '{metadata}' have no video: {some}.")
    clips = {str(r["file_name"]): _clip_from_record(r, found[str(r["file_name"])]) for r in kept}
    return [clips[name] for name in sorted(clips)]


def split_clips(clips: list[Clip], validation_fraction: float, seed: int = 0) -> dict[str, list[Clip]]:
    """Split clips at random into train and validation, at least one in each. The same seed gives the same split."""
    _check_fraction(validation_fraction)
    if len(clips) < 2:
        raise ValueError(f"Cannot split {len(clips)} clip into train and validation: expected at least 2.")
    count = min(max(round(validation_fraction * len(clips)), 1), len(clips) - 1)
    chosen = set(random.Random(seed).sample(sorted(clip.clip_id for clip in clips), count))
    return {
        "train": [clip for clip in clips if clip.clip_id not in chosen],
        "validation": [clip for clip in clips if clip.clip_id in chosen],
    }


def split_video(
    clip: Clip, validation_fraction: float, fps: float | None = None, max_frames: int | None = None
) -> dict[str, list[Clip]]:
    """Split one video by time: its end becomes validation, so that no frame is between those of the other split.

    Args:
        fps, max_frames: how the video will be read (see `matting.video.iter_frames`).

    Raises:
        ValueError: the video cannot be read, does not say how long it is, or is too short for two clips.
    """
    _check_fraction(validation_fraction)
    info = video_info(clip.path)
    rate = fps or info.fps
    count = info.num_frames if fps is None else None
    if count is None and info.duration is not None and rate is not None:
        count = round(info.duration * rate)
    whole = f"prepare all of it with --split train='{clip.path}'"
    if count is None:
        raise ValueError(f"'{clip.path}' does not say how long it is and cannot be split by time: {whole}.")
    count = min(count, max_frames or count)
    if count < 2 * MIN_FRAMES:
        raise ValueError(
            f"'{clip.path}' has {count} frames, too few to split into train and validation: expected "
            f"{2 * MIN_FRAMES} or more, or {whole}."
        )
    first = min(max(round((1 - validation_fraction) * count), MIN_FRAMES), count - MIN_FRAMES)
    return {
        "train": [replace(clip, frames=(0, first))],
        "validation": [replace(clip, frames=(first, None))],
    }


def _check_fraction(validation_fraction: float) -> None:
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation-fraction is {validation_fraction}: expected a number between 0 and 1.")


def _find_metadata(folder: Path) -> Path | None:
    """The metadata file of a RISE folder, or None for a plain folder of videos."""
    if not (folder / "videos").is_dir():
        return None
    found = sorted(folder.glob("metadata*.json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ValueError(f"'{folder}' must contain one metadata*.json, found {names}: specify the file instead.")
    return found[0]


def _video_folder(metadata: Path, videos: str | Path | None) -> Path:
    if videos is not None:
        return Path(videos)
    for folder in (metadata.parent / "videos", metadata.parent.parent / "videos"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"There is no folder 'videos' next to '{metadata}' or in its parent: set --videos.")


def read_metadata(path: Path) -> list[dict]:
    """Read the records of a RISE metadata file.

    Raises:
        ValueError: the file is not RISE metadata.
    """
    try:
        records = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}.") from error
    if not isinstance(records, list) or not all(isinstance(r, dict) and "file_name" in r for r in records):
        raise ValueError(f"'{path}' is not RISE metadata: expected a JSON array of objects with a 'file_name'.")
    return records


def label_of(record: dict) -> int | None:
    """The label state of a clip: the administrator's, or the citizens' if the former is -1 (not labelled)."""
    admin = record.get("label_state_admin", -1)
    return record.get("label_state") if admin in (-1, None) else admin


def _clip_from_record(record: dict, path: Path) -> Clip:
    start = record.get("start_time")
    time = datetime.fromtimestamp(int(start), timezone.utc).isoformat() if start is not None else None
    return Clip(str(record["file_name"]), path, label_of(record), record.get("camera_id"), record.get("view_id"), time)


def _check_unique_stems(paths: list[Path]) -> list[Path]:
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(f"Two videos are called '{twice[0]}': expected one file per name.")
    return paths
