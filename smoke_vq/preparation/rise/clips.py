"""RISE (Hsu et al., AAAI 2021, arXiv:2005.06111): its metadata, its labels, and lists of its clips.

RISE keeps `videos/<file_name>.mp4` beside JSON arrays of clips (`metadata.json`, `split/metadata_train_split_0.json`).
A plain folder of videos is read as well: every video is a clip without a label.
"""

import json
import random
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..matting.video import VIDEO_SUFFIXES, list_videos

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


def find_metadata(folder: Path) -> Path | None:
    """The one metadata file of a folder in RISE's layout, None for a plain folder of videos."""
    if not (folder / "videos").is_dir():
        return None
    found = sorted(folder.glob("metadata*.json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ValueError(f"Expected one metadata*.json in '{folder}', found {names}: name the file itself.")
    return found[0]


def video_folder(metadata: Path, videos: str | Path | None) -> Path:
    if videos is not None:
        return Path(videos)
    for folder in (metadata.parent / "videos", metadata.parent.parent / "videos"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"No folder 'videos' beside '{metadata}' or one folder above it: name it with --videos.")


def read_metadata(path: Path) -> list[dict]:
    """The records of a RISE metadata file; ValueError for anything else."""
    try:
        records = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}.") from error
    if not isinstance(records, list) or not all(isinstance(r, dict) and "file_name" in r for r in records):
        raise ValueError(f"'{path}' is not RISE metadata: expected a JSON array of objects with a 'file_name'.")
    return records


def label_of(record: dict) -> int | None:
    """A clip's label state; the administrator's overrides the citizens' unless it is -1, "not seen"."""
    admin = record.get("label_state_admin", -1)
    return record.get("label_state") if admin in (-1, None) else admin


def clip_from_record(record: dict, path: Path) -> Clip:
    start = record.get("start_time")
    time = datetime.fromtimestamp(int(start), timezone.utc).isoformat() if start is not None else None
    return Clip(str(record["file_name"]), path, label_of(record), record.get("camera_id"), record.get("view_id"), time)


def unique_stems(paths: list[Path]) -> list[Path]:
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(f"Two videos share the name '{twice[0]}': expected one of {', '.join(VIDEO_SUFFIXES)}.")
    return paths
