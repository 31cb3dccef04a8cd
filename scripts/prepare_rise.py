"""Cut smoke out of RISE clips, or of any videos of a static camera, and write a dataset of frames on black.

smoke-vq prepare --split train=rise/train --split validation=rise/validation --output-dir data/rise64
smoke-vq prepare --input videos --validation-fraction 0.1 --output-dir data/smoke64

A source is a RISE folder (videos/ and a metadata*.json), a RISE metadata file, a folder of videos, or one video.
--input is split into train and validation: several videos by video, at random, and one video by time, its end being
validation. Long videos are divided into clips. The same command continues an interrupted run.
"""

import argparse

from smoke_vq.hub.push import open_repo, push_dataset
from smoke_vq.preparation.matting.alpha import MATTINGS
from smoke_vq.preparation.rise.clip_frames import ClipSettings
from smoke_vq.preparation.rise.clips import POSITIVE_LABELS, list_clips, split_clips, split_video
from smoke_vq.preparation.rise.prepare import prepare_rise
from smoke_vq.script import run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--split", action="append", metavar="NAME=SOURCE", help="one split; may be repeated")
    source.add_argument("--input", metavar="SOURCE", help="one source, split into train and validation")
    parser.add_argument("--output-dir", required=True, help="new or empty folder, or the folder of an interrupted run")
    parser.add_argument("--videos", help="folder of the videos (default: videos/ beside the metadata or one level up)")
    parser.add_argument("--validation-fraction", type=float, default=0.1, help="of --input (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random split of --input (default: 0)")
    parser.add_argument("--labels", nargs="+", default=POSITIVE_LABELS, help="kept labels, or 'all' (default: 47 23)")
    parser.add_argument("--size", type=int, default=64, help="height and width of the frames in pixels (default: 64)")
    parser.add_argument("--matting", choices=MATTINGS, default="guided", help="default: guided, which is faster")
    parser.add_argument("--gain", type=float, help="brightness factor (default: 1 to 4, chosen for each clip)")
    parser.add_argument("--min-coverage", type=float, default=0.0003, help="smallest share of smoke in a kept frame")
    parser.add_argument("--max-coverage", type=float, default=0.85, help="largest share of smoke in a kept frame")
    parser.add_argument("--fps", type=float, help="frames per second that are taken of a video (default: all frames)")
    parser.add_argument("--max-frames", type=int, metavar="N", help="read only the first N frames of each video")
    parser.add_argument(
        "--clip-frames",
        type=int,
        default=360,
        metavar="N",
        help="divide longer videos into clips of at most N frames; memory grows with N (default: 360)",
    )
    parser.add_argument(
        "--keep-all", action="store_true", help="keep clips that fail a criterion: camera shake, moving clouds, ..."
    )
    parser.add_argument("--num-proc", type=int, default=1, help="worker processes (default: 1)")
    parser.add_argument("--push-to-hub", metavar="USER/NAME", help="upload the finished dataset")
    parser.add_argument("--private", action="store_true", help="create the repository as private")
    return parser.parse_args()


def _parse_labels(words: list) -> list[int] | None:
    if words == ["all"]:
        return None
    try:
        return [int(word) for word in words]
    except ValueError:
        raise ValueError(f"labels are {' '.join(map(str, words))}: expected whole numbers, or 'all'.") from None


def main() -> None:
    arguments = parse_arguments()
    if arguments.num_proc < 1:
        raise ValueError(f"num-proc is {arguments.num_proc}: expected at least 1.")
    settings = ClipSettings(
        arguments.size,
        arguments.matting,
        arguments.gain,
        arguments.min_coverage,
        arguments.max_coverage,
        arguments.fps,
        arguments.max_frames,
        arguments.clip_frames,
        arguments.keep_all,
    )
    labels = _parse_labels(arguments.labels)
    if arguments.input is not None:
        clips = list_clips(arguments.input, labels, arguments.videos)
        if len(clips) == 1:
            splits = split_video(clips[0], arguments.validation_fraction, arguments.fps, arguments.max_frames)
        else:
            splits = split_clips(clips, arguments.validation_fraction, arguments.seed)
    else:
        splits = {}
        for entry in arguments.split:
            name, equals, source = entry.partition("=")
            if not (name.isidentifier() and equals and source) or name in splits:
                raise ValueError(f"--split is '{entry}': expected NAME=SOURCE with a new name.")
            splits[name] = list_clips(source, labels, arguments.videos)
    if arguments.push_to_hub:
        open_repo(arguments.push_to_hub, "dataset", arguments.private)
    report = prepare_rise(splits, arguments.output_dir, settings, arguments.num_proc)
    for split, entry in report.items():
        reasons = ", ".join(f"{name} {count}" for name, count in entry["reasons"].items()) or "none"
        kept = ", ".join(f"{name} {count}" for name, count in entry["kept_despite"].items())
        kept = f"; kept despite: {kept}" if kept else ""
        counts = f"{len(entry['kept'])} of {entry['clips']} clips, {entry['frames']} frames"
        print(f"{split}: {counts}; dropped: {reasons}{kept}")
    print(f"{arguments.output_dir} is complete: see contact_sheet.png.")
    if arguments.push_to_hub:
        print(f"Pushed: {push_dataset(arguments.output_dir, arguments.push_to_hub)}")


if __name__ == "__main__":
    run(main)
