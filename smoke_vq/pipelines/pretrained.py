"""Saving, loading and publishing a whole pipeline, each part as `PretrainedModel` does it."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline

from ..downloads.checksums import compare_checksums, record_checksums, take_checksums
from ..downloads.download import DOWNLOAD_KEYWORDS, describe_missing, download_files, find_folder
from ..hub.card import LICENSE, CardText, write_card
from ..hub.push import open_repo, push_folder
from ..layout import CONFIG, PIPELINE, PIPELINE_PARTS, PROCESSOR, TRANSFORMER, WEIGHTS, WEIGHTS_INDEX
from ..model_config import read_config
from ..models.pretrained import HALVES, PretrainedModel
from ..registry import choose
from ..tokens import model_digest
from ..version import CONFIG_FORMAT, __version__
from .parts import PARTS

if TYPE_CHECKING:
    from typing_extensions import Self

_STEM = WEIGHTS.removesuffix(".safetensors")
_LOADED = (CONFIG, PROCESSOR, WEIGHTS, WEIGHTS_INDEX, f"{_STEM}-?????-of-?????.safetensors")

_DTYPES = (None, torch.float32, *HALVES.values())


class PretrainedPipeline(DiffusionPipeline):
    """A diffusers pipeline whose `from_pretrained` refuses incomplete, damaged and unrelated parts.

    A folder holds model_index.json and a subfolder for each part. diffusers alone does not verify downloads, and
    imports the modules that model_index.json names.

    card_text: text and metadata for the cards of this class.
    """

    card_text = CardText()

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike, dtype: torch.dtype | None = None, **kwargs: Any
    ) -> "Self":
        """Load a pipeline from a folder or a Hub repository.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or "user/repository".
            dtype: torch.float16 or torch.bfloat16 for weights in half precision. Parts are compared with each other
                before they are converted.
            kwargs: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only` and `verify`, as for a model;
                parts to use instead of those in the folder, such as an `autoencoder` with another decoder.

        Raises:
            ValueError: an unknown keyword; a part that is missing, damaged or of another class; parts that were not
                trained with each other.
            OSError: no such folder, repository, revision or file; no network and an incomplete cache.
        """
        given = {name: kwargs.pop(name) for name in PIPELINE_PARTS if name in kwargs}
        unknown = sorted(set(kwargs) - DOWNLOAD_KEYWORDS)
        if unknown:
            known = sorted({"dtype", *DOWNLOAD_KEYWORDS, *PIPELINE_PARTS})
            raise ValueError(f"from_pretrained got unknown keyword {unknown[0]!r}: expected some of {known}.")
        if dtype not in _DTYPES:
            raise ValueError(_unknown_dtype(dtype))
        where = pretrained_model_name_or_path
        folder = find_folder(where, None, kwargs.get("revision"))
        if folder is None:
            patterns = [f"{part}/{name}" for part in PIPELINE_PARTS if part not in given for name in _LOADED]
            folder = download_files(str(where), [PIPELINE, *patterns], [PIPELINE], **kwargs)
        elif not (folder / PIPELINE).is_file():
            names = [path.name for path in folder.iterdir()]
            raise FileNotFoundError(f"The folder {folder} {describe_missing(PIPELINE, names)}")
        classes, verify = cls._part_classes(folder, where), kwargs.get("verify", True)
        if verify:
            compare_checksums(folder, [PIPELINE], str(where))
        parts = {
            name: _load_part(folder, name, class_name, where, verify)
            for name, class_name in classes.items()
            if name not in given
        }
        pipeline = cls(**parts | given)
        if dtype in HALVES.values():
            halves = {
                n: part.in_half(dtype) for n, part in pipeline.components.items() if isinstance(part, PretrainedModel)
            }
            pipeline.register_modules(**halves)
        return pipeline

    def save_pretrained(self, save_directory: str | os.PathLike, dtype: torch.dtype | None = None) -> None:
        """Save all parts, and model_index.json last: a folder without it is incomplete.

        Args:
            dtype: torch.float16 or torch.bfloat16 to store the transformer in half precision, and other models if they
                were stored like that before: those that lose digits, and thereby their identity, stay as they are.

        Raises:
            ValueError: another dtype; weights too large for it.
        """
        if dtype not in _DTYPES:
            raise ValueError(_unknown_dtype(dtype))
        folder, parts = Path(save_directory), dict(self.components)
        for name, part in parts.items():
            if isinstance(part, PretrainedModel) and dtype in HALVES.values():
                half = part.in_half(dtype)
                if name == TRANSFORMER or model_digest(half) == model_digest(part):
                    parts[name] = half
        (folder / PIPELINE).unlink(missing_ok=True)
        checksums = take_checksums(folder)
        for name, part in parts.items():
            if part is not None:
                part.save_pretrained(folder / name)
            elif (folder / name / CONFIG).is_file():  # of a pipeline that was saved here before
                shutil.rmtree(folder / name)
        self.save_config(folder)
        record_checksums(folder, [PIPELINE], checksums)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload pipeline",
        private: bool = False,
        token: str | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        license: str = LICENSE,
    ) -> str:
        """Publish the whole pipeline in one commit, with a card.

        The card says that figures and provenance are unknown: publish the folder of a trained pipeline, which has them,
        with smoke-vq push. Files of an older model in the repository are deleted.

        Args:
            repo_id: "user/repository", created if it does not exist.
            private: create a private repository; refused if a public one exists.
            create_pr: open a pull request instead, without `revision`.
            revision: branch, created if it does not exist; the default is main.
            license: of the weights, for the card.

        Returns:
            The address of the commit or pull request.

        Raises:
            ValueError: not logged in, or no right to write.
            OSError: the push failed; the repository is unchanged.
        """
        open_repo(repo_id, private=private, revision=revision, create_pr=create_pr, token=token)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "pipeline"
            self.save_pretrained(folder)
            write_card(folder, self.card_text, repo_id, license)
            return push_folder(
                folder, repo_id, revision=revision, create_pr=create_pr, message=commit_message, token=token
            )

    def to_json_string(self) -> str:
        """The text of model_index.json, without the local path that the pipeline was loaded from."""
        index = json.loads(super().to_json_string())
        index.pop("_name_or_path", None)
        index |= {"_smoke_vq_version": __version__, "_smoke_vq_format": CONFIG_FORMAT}
        return json.dumps(index, indent=2, sort_keys=True) + "\n"

    @classmethod
    def _part_classes(cls, folder: Path, where: str | os.PathLike) -> dict[str, str]:
        """The class of each part, by name, from model_index.json."""
        index = read_config(folder, where, PIPELINE)
        if index["_class_name"] != cls.__name__:
            raise ValueError(f"{where} holds a {index['_class_name']}: expected a {cls.__name__}.")
        found = {}
        for name, value in index.items():
            if name.startswith("_"):
                continue
            if name not in PARTS or not (isinstance(value, list) and len(value) == 2):
                raise ValueError(f"The {PIPELINE} of {where} has the part {name!r}, which {cls.__name__} has not.")
            if value != [None, None] or name not in cls._optional_components:
                found[name] = value[1]
        missing = [name for name in PARTS if name not in found and name not in cls._optional_components]
        if missing:
            raise ValueError(f"The {PIPELINE} of {where} does not name a part {missing[0]!r}.")
        return found


def _unknown_dtype(dtype: Any) -> str:
    return f"dtype expects torch.float32, torch.float16 or torch.bfloat16, found {dtype!r}."


def _load_part(folder: Path, name: str, class_name: str, where: str | os.PathLike, verify: bool) -> Any:
    part_class = choose(PARTS[name], class_name, f"class of the part {name!r}")
    if not (folder / name).is_dir():
        raise FileNotFoundError(f"{where} is incomplete: it does not hold the folder {name}.")
    return part_class.from_pretrained(folder / name, verify=verify)
