"""Cut smoke out of RISE clips, or of any folder of static-camera videos, into a dataset of frames on black.

python scripts/prepare_rise.py --split train=rise/train --split validation=rise/validation --output-dir data/rise64
python scripts/prepare_rise.py --input videos --validation-fraction 0.1 --output-dir data/smoke64

A source is a folder in RISE's layout (videos/ and a metadata*.json), a RISE metadata file, or a folder of videos.
An interrupted run goes on where it stopped when it is started again with the same settings.
"""

import argparse

from smoke_vq.hub.push import open_repo, push_dataset
from smoke_vq.preparation.matting.alpha import MATTINGS
from smoke_vq.preparation.rise.clips import POSITIVE_LABELS, list_clips, split_clips
from smoke_vq.preparation.rise.prepare import Preparation, prepare
from smoke_vq.script import run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--split", action="append", metavar="NAME=SOURCE", help="one split; repeat for others")
    source.add_argument("--input", metavar="SOURCE", help="one source, split by clip into train and validation")
    parser.add_argument("--output-dir", required=True, help="new or empty folder for the dataset")
    parser.add_argument("--videos", help="folder of the metadata's clips (default: videos/ beside it or one folder up)")
    parser.add_argument("--validation-fraction", type=float, default=0.1, help="with --input (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="of the split of --input")
    parser.add_argument("--labels", nargs="+", default=list(map(str, POSITIVE_LABELS)), help="label states, or 'all'")
    parser.add_argument("--size", type=int, default=64, help="height and width of the frames (default: 64)")
    parser.add_argument("--matting", choices=MATTINGS, default="guided", help="guided is fast (default)")
    parser.add_argument("--gain", type=float, help="brightness factor of all clips (default: each clip's own, 1 to 4)")
    parser.add_argument("--min-coverage", type=float, default=0.0003, help="smallest share of smoke in a kept frame")
    parser.add_argument("--max-coverage", type=float, default=0.85, help="largest share of smoke in a kept frame")
    parser.add_argument("--num-proc", type=int, default=1, help="processes; the result does not depend on it")
    parser.add_argument("--push-to-hub", metavar="USER/NAME", help="upload the finished dataset")
    parser.add_argument("--private", action="store_true", help="with --push-to-hub: a new repository is private")
    parser.add_argument("--keep-clips", action="store_true", help="keep the finished clips in OUTPUT_DIR/.clips")
    return parser.parse_args()


def parse_labels(words: list[str]) -> list[int] | None:
    if words == ["all"]:
        return None
    try:
        return [int(word) for word in words]
    except ValueError:
        raise ValueError(f"labels are {' '.join(words)}: expected whole numbers, or 'all'.") from None


def main() -> None:
    arguments = parse_arguments()
    if arguments.num_proc < 1:
        raise ValueError(f"num-proc is {arguments.num_proc}: expected 1 or more.")
    preparation = Preparation(
        arguments.size, arguments.matting, arguments.gain, arguments.min_coverage, arguments.max_coverage
    )
    labels = parse_labels(arguments.labels)
    if arguments.input is not None:
        clips = list_clips(arguments.input, labels, arguments.videos)
        splits = split_clips(clips, arguments.validation_fraction, arguments.seed)
    else:
        splits = {}
        for entry in arguments.split:
            name, equals, source = entry.partition("=")
            if not (name.isidentifier() and equals and source) or name in splits:
                raise ValueError(f"--split is '{entry}': expected NAME=SOURCE with a different name each time.")
            splits[name] = list_clips(source, labels, arguments.videos)
    if arguments.push_to_hub:
        open_repo(arguments.push_to_hub, "dataset", arguments.private)
    report = prepare(splits, arguments.output_dir, preparation, arguments.num_proc, arguments.keep_clips)
    for split, entry in report.items():
        reasons = ", ".join(f"{name} {count}" for name, count in entry["reasons"].items()) or "none"
        print(f"{split}: {len(entry['kept'])} of {entry['clips']} clips, {entry['frames']} frames; dropped: {reasons}")
    print(f"Wrote {arguments.output_dir}: look at contact_sheet.png.")
    if arguments.push_to_hub:
        print(f"Pushed: {push_dataset(arguments.output_dir, arguments.push_to_hub)}")


if __name__ == "__main__":
    run(main)
