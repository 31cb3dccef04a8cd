"""For mkdocs: the pages link to the cards in model_cards/, which is beside docs/ and not in it."""

from pathlib import Path

from mkdocs.structure.files import File

CARDS = "model_cards"
SUFFIXES = (".md", ".png", ".webp")


def on_files(files, config):
    """Add cards and their pictures."""
    root = Path(config.config_file_path).parent
    for path in sorted((root / CARDS).glob("smoke_*/*")):
        if path.suffix in SUFFIXES:
            files.append(File.generated(config, str(path.relative_to(root)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, **_):
    return markdown.replace(f"](../{CARDS}/", f"]({CARDS}/")
