"""`from_pretrained` that refuses incomplete and damaged models, and `push_to_hub` with a card.

diffusers only warns if weights are missing, a keyword is misspelt or the folder holds a model of another class. It
opens pickle files if there are no safetensors files, and does not compare downloads with the Hub's checksums.
"""

import copy
import inspect
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError

from ..downloads.checksums import compare_checksums, record_checksums, take_checksums
from ..downloads.download import normal_subfolder
from ..downloads.errors import first_line
from ..hub.card import LICENSE, CardText, write_card
from ..hub.push import open_repo, push_folder
from ..layout import CONFIG, MODEL_CODE
from ..model_config import read_config
from ..remote_code import auto_map, write_code
from ..version import CONFIG_FORMAT, __version__
from .model_folder import find_model
from .weights import check_finite, check_weights, weights_files

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
                `subfolder` among them. Weights are read from safetensors only. Unless `verify=False`, each file is
                compared with the checksum that the Hub recorded, or that `save_pretrained` wrote to
                checksums.sha256, and weights that are not finite are refused.

        Raises:
            ValueError: an unknown keyword; a checkpoint of another class; a configuration with unknown keys or of a
                later version; weights that are missing, unknown, of another shape, damaged, or not finite.
            OSError: no such folder, repository, revision or safetensors file; no network and an incomplete cache.
        """
        folder, kwargs = find_model(pretrained_model_name_or_path, kwargs)
        return cls.from_folder(folder, pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_folder(cls, folder: Path, name_or_path: str | os.PathLike, verify: bool = True, **kwargs: Any) -> "Self":
        """`from_pretrained` after the download; `name_or_path` is what the user wrote, for error messages."""
        config, name = read_config(folder, name_or_path), str(name_or_path)
        cls._check_config(config, name)
        own = {key: value for key, value in config.items() if not key.startswith("_") and key != "auto_map"}
        files = weights_files(folder, name, kwargs.get("variant"))
        check_weights(cls, own, files, name)
        if verify:
            compare_checksums(folder, [CONFIG, *(path.name for path in files)], name)
        try:
            model = super().from_pretrained(folder, use_safetensors=True, **kwargs)
        except (SafetensorError, RuntimeError, ValueError, OSError) as error:
            not_read = "Unable to load weights" in str(error)
            if not_read or (not isinstance(error, OSError) and "safetensor" in repr(error).lower()):
                raise ValueError(f"The weights in {name} are damaged: {first_line(error)}") from error
            raise
        if verify:
            check_finite(model, name)
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

        checksums.sha256 holds the checksums of the files, which `from_pretrained` compares.

        Raises:
            ValueError: a format other than safetensors or a push was requested; weights too large for half precision.
        """
        if not safe_serialization:
            raise ValueError("Models are saved as safetensors, found safe_serialization=False.")
        refused = [key for key, value in kwargs.items() if value or key not in ("push_to_hub", "use_flashpack")]
        if refused:
            raise ValueError(f"save_pretrained does not take {refused[0]}: to publish, call push_to_hub afterwards.")
        model = self if variant not in HALVES else self.in_half(HALVES[variant])
        folder = Path(save_directory)
        checksums = take_checksums(folder) if is_main_process else {}
        ModelMixin.save_pretrained(
            model, save_directory, is_main_process, save_function, variant=variant, max_shard_size=max_shard_size
        )
        if not is_main_process:
            return
        umask = os.umask(0)
        os.umask(umask)
        write_code(type(self), folder / MODEL_CODE)
        for path in folder.glob("*.safetensors"):
            path.chmod(0o666 & ~umask)  # safetensors writes 0600, which other users cannot read
        files = [path.name for path in weights_files(folder, str(folder), variant)]
        record_checksums(folder, [CONFIG, MODEL_CODE, *files], checksums)

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
