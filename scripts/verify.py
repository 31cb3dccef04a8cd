"""Say whether a model, forecaster, run, checkpoint or dataset is whole, damaged or unknown.

Every file below a folder is compared with the sha256 that was saved beside it (checksums.sha256, or manifest.json of a
checkpoint); a repository on the Hub is downloaded, and compared with the Hub's checksums too. Nothing is loaded.

Exit status: 0 whole, 1 damaged, 3 unknown (there are no checksums: saved by an older version, or by another library).

smoke-vq verify runs/tiny/best
smoke-vq verify runs/tiny
smoke-vq verify data/rise64
smoke-vq verify user/smoke-vqvae --revision main
"""

import argparse
import sys
from pathlib import Path

from smoke_vq.downloads.download import download_files, find_folder
from smoke_vq.downloads.verify import DAMAGED, UNKNOWN, WHOLE, verify_folder
from smoke_vq.layout import CHECKSUMS, MODEL_FILES
from smoke_vq.script import run

STATUS = {WHOLE: 0, DAMAGED: 1, UNKNOWN: 3}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", metavar="FOLDER_OR_REPO", help="a folder, 'user/repository' or 'nano'")
    parser.add_argument("--revision", help="branch, tag or commit of a repository (default: main)")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    folder = find_folder(arguments.where, None, arguments.revision)
    name = str(arguments.where)
    if folder is None:
        folder = download_files(name, [*MODEL_FILES, CHECKSUMS], [], revision=arguments.revision)
        print(f"{WHOLE:<8} {name}: its files are those on the Hub, commit {folder.name}.")
    verdicts = verify_folder(folder)
    for verdict in verdicts:
        place = Path(name, verdict.folder.relative_to(folder))
        print(f"{verdict.state:<8} {place}: {verdict.reason}")
    sys.exit(STATUS[next(state for state in (DAMAGED, UNKNOWN, WHOLE) if state in {v.state for v in verdicts})])


if __name__ == "__main__":
    run(main)
