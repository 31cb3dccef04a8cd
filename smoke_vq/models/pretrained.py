"""`from_pretrained` that refuses incomplete and damaged models, and `push_to_hub` with a card.

diffusers only warns if weights are missing, a keyword is misspelt or the folder holds a model of another class. It
opens pickle files if there are no safetensors files, and does not compare downloads with the Hub's checksums.
"""

import copy
import inspect
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError

from ..downloads.download import normal_subfolder
from ..downloads.errors import first_line
from ..hub.card import LICENSE, CardText, write_card
from ..hub.push import open_repo, push_folder
from ..layout import CONFIG, MODEL_CODE
from ..remote_code import auto_map, write_code
from ..version import CONFIG_FORMAT, __version__
from .model_folder import check_shards, find_model, read_config

if TYPE_CHECKING:
    from typing_extensions import Self

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class PretrainedModel(ModelMixin, ConfigMixin):
    """A diffusers model whose `from_pretrained` refuses an incomplete or damaged checkpoint.

    published_subfolder: subfolder that `push_to_hub` writes to; None for the root of the repository, with a card.
    card_text: text and metadata for the cards of this class.
    """

    published_subfolder: str | None = None
    card_text = CardText()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any) -> "Self":
        """Load a model of this class, in evaluation mode, from a folder or a Hub repository.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or "user/repository".
            kwargs: those of diffusers' `ModelMixin.from_pretrained`, `dtype`, `variant`, `revision`, `token` and
                `subfolder` among them. Weights are read from safetensors only. Each file from the Hub is compared with
                the checksum that the Hub recorded, unless `verify=False`.

        Raises:
            ValueError: an unknown keyword; a checkpoint of another class; a configuration with unknown keys or of a
                later version; weights that are missing, unknown, of another shape, or damaged.
            OSError: no such folder, repository, revision or safetensors file; no network and an incomplete cache.
        """
        folder, kwargs = find_model(pretrained_model_name_or_path, kwargs)
        return cls.from_folder(folder, pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_folder(cls, folder: Path, name_or_path: str | os.PathLike, **kwargs: Any) -> "Self":
        """`from_pretrained` after the download; `name_or_path` is what the user wrote, for error messages."""
        cls._check_config(read_config(folder, name_or_path), name_or_path)
        check_shards(folder, name_or_path)
        try:
            with _without_weight_warnings():
                model, info = super().from_pretrained(folder, use_safetensors=True, output_loading_info=True, **kwargs)
        except TypeError as error:
            raise ValueError(
                f"The {CONFIG} of {name_or_path} does not fit {cls.__name__}: {first_line(error)}."
            ) from error
        except (SafetensorError, RuntimeError, ValueError, OSError) as error:
            if "size mismatch" in str(error) or "expected shape" in str(error):
                found = first_line(error).split(". If you want")[0]  # without advice to use a keyword that is refused
                raise ValueError(f"The weights in {name_or_path} do not fit its {CONFIG}: {found}.") from error
            not_read = "Unable to load weights" in str(error)
            if not_read or (not isinstance(error, OSError) and "safetensor" in repr(error).lower()):
                raise ValueError(f"The weights in {name_or_path} are damaged: {first_line(error)}") from error
            raise
        for kind, keys in (
            ("missing", info["missing_keys"]),
            ("unknown", info["unexpected_keys"]),
            ("of the wrong shape", [key for key, *_ in info["mismatched_keys"]]),
        ):
            if keys:
                raise ValueError(
                    f"The weights in {name_or_path} do not fit {cls.__name__}: {len(keys)} weight(s) are {kind}, the "
                    f"first is {sorted(keys)[0]!r}."
                )
        return model

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        is_main_process: bool = True,
        save_function: Callable | None = None,
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str = "10GB",
        **kwargs: Any,
    ) -> None:
        """As in diffusers, except that `variant="fp16"` or "bf16" stores half precision under that name.

        Raises:
            ValueError: a format other than safetensors or a push was requested; weights too large for half precision.
        """
        if not safe_serialization:
            raise ValueError("Models are saved as safetensors, found safe_serialization=False.")
        refused = [key for key, value in kwargs.items() if value or key not in ("push_to_hub", "use_flashpack")]
        if refused:
            raise ValueError(f"save_pretrained does not take {refused[0]}: to publish, call push_to_hub afterwards.")
        model = self if variant not in HALVES else self.in_half(HALVES[variant])
        ModelMixin.save_pretrained(
            model, save_directory, is_main_process, save_function, variant=variant, max_shard_size=max_shard_size
        )
        if not is_main_process:
            return
        umask = os.umask(0)
        os.umask(umask)
        write_code(type(self), Path(save_directory) / MODEL_CODE)
        for path in Path(save_directory).glob("*.safetensors"):
            path.chmod(0o666 & ~umask)  # safetensors writes 0600, which other users cannot read

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload model",
        private: bool = False,
        token: str | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        fp16: bool = True,
        max_shard_size: int | str = "10GB",
        subfolder: str | None = None,
        license: str = LICENSE,
    ) -> str:
        """Publish the model in one commit: weights, configuration, image processor, card.

        The card says that figures and provenance are unknown: publish the folder of a trained model, which has them,
        with smoke-vq push. Files of an older model in the repository are deleted, including its discriminator:
        push the model before the discriminator.

        Args:
            repo_id: "user/repository", created if it does not exist.
            private: create a private repository; refused if a public one exists.
            create_pr: open a pull request instead, without `revision`.
            revision: branch, created if it does not exist; the default is main.
            fp16: publish a half-precision variant beside a model in float32.
            subfolder: subfolder of the repository, for a model that belongs to another one; no card is written.
            license: of the weights, for the card.

        Returns:
            The address of the commit or pull request.

        Raises:
            ValueError: not logged in, or no right to write; a weight too large for fp16 (use `fp16=False`).
            OSError: the push failed; the repository is unchanged.
        """
        subfolder = normal_subfolder(subfolder or self.published_subfolder)
        open_repo(repo_id, private=private, revision=revision, create_pr=create_pr, token=token)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "model"
            self.save_pretrained(folder, max_shard_size=max_shard_size)
            if fp16 and self.dtype == torch.float32:
                self.save_pretrained(folder, variant="fp16", max_shard_size=max_shard_size)
            self.save_companions(folder)
            if subfolder is None:
                write_card(folder, self.card_text, repo_id, license)
            return push_folder(
                folder,
                repo_id,
                revision=revision,
                create_pr=create_pr,
                message=commit_message,
                subfolder=subfolder,
                token=token,
            )

    def save_companions(self, folder: Path) -> None:
        """Save further files that `push_to_hub` publishes, such as an image processor."""

    def to_json_string(self) -> str:
        """The text of config.json, without the local path that the model was loaded from."""
        config = json.loads(super().to_json_string())
        config.pop("_name_or_path", None)
        config |= {"_smoke_vq_version": __version__, "_smoke_vq_format": CONFIG_FORMAT}
        config["auto_map"] = auto_map("AutoModel", type(self), MODEL_CODE)
        return json.dumps(config, indent=2, sort_keys=True) + "\n"

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> tuple[dict, dict, dict]:
        return super().extract_init_dict({k: v for k, v in config_dict.items() if k != "auto_map"}, **kwargs)

    def in_half(self, dtype: torch.dtype) -> "Self":
        """A copy in half precision, except for modules that stay in float32."""
        model = copy.deepcopy(self)
        kept = self._keep_in_fp32_modules or ()
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point() and not set(name.split(".")) & set(kept):
                tensor.data = tensor.data.to(dtype)
                if not torch.isfinite(tensor).all():
                    raise ValueError(f"{name} is too large for {dtype}: this variant cannot be saved.")
        return model

    @classmethod
    def _check_config(cls, config: dict[str, Any], name_or_path: str | os.PathLike) -> None:
        found = config.get("_class_name")
        if found != cls.__name__:
            raise ValueError(f"{name_or_path} holds a {found}: expected a {cls.__name__}.")
        known = {"auto_map", *inspect.signature(cls.__init__).parameters}
        unknown = sorted(key for key in config if key not in known and not key.startswith("_"))
        if unknown:
            writer = config.get("_smoke_vq_version", "an unknown version")
            raise ValueError(
                f"The {CONFIG} of {name_or_path}, saved by smoke_vq {writer}, has the key {unknown[0]!r}, which this "
                f"smoke_vq {__version__} does not know."
            )


@contextmanager
def _without_weight_warnings() -> Iterator[None]:
    """Silence diffusers' "Some weights ... You should probably TRAIN this model": such a checkpoint is refused."""

    def keep(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Some weights of")

    logger = logging.getLogger("diffusers.models.modeling_utils")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
