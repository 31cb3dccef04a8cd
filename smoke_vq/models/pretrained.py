"""`from_pretrained` that loads the whole model or says why not; `push_to_hub` with a card.

diffusers by itself warns, and goes on, when weights are missing, when a keyword is misspelt or when the folder holds
another class; it opens pickle files where there are no safetensors; and it takes any bytes that a download brings.
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

from ..downloads.download import describe_weights, normal_subfolder, shards_of
from ..downloads.errors import first_line
from ..hub.card import LICENSE, write_card
from ..hub.push import open_repo, push_model
from ..version import CONFIG_FORMAT, __version__
from .saved_model import find_model, read_config

if TYPE_CHECKING:
    from typing_extensions import Self

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class PretrainedModel(ModelMixin, ConfigMixin):
    """A model of ours: a diffusers model whose `from_pretrained` refuses what is not whole.

    published_subfolder: where in a repository `push_to_hub` puts it; at the top it comes with a card.
    """

    published_subfolder: str | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any) -> "Self":
        """Load a model of this class, in evaluation mode, from a folder or a Hub repository.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or "user/repository".
            kwargs: those of diffusers' `ModelMixin.from_pretrained`, `dtype`, `variant`, `revision`, `token` and
                `subfolder` among them. Weights are read from safetensors only. A download is compared with the sha256
                that the Hub recorded; `verify=False` leaves that out, `verify="always"` repeats it at each load.

        Raises:
            ValueError: a misspelt keyword; the checkpoint of another class; a configuration with unknown keys, or of a
                later library; weights that are missing, foreign, of another shape, or damaged.
            OSError: no such folder, repository, revision or safetensors file; nothing in the cache and no network.
        """
        folder, kwargs = find_model(pretrained_model_name_or_path, kwargs)
        return cls.from_folder(folder, pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_folder(cls, folder: Path, where: str | os.PathLike, **kwargs: Any) -> "Self":
        """`from_pretrained` after the download: `where` is the name that the user gave, for sentences."""
        cls._check_config(read_config(folder, where), where)
        if not any(folder.glob("*.safetensors")):
            found = describe_weights([path.name for path in folder.iterdir()])
            raise OSError(f"{where} holds {found}: expected diffusion_pytorch_model.safetensors.")
        for index in folder.glob("*.safetensors.index*.json"):
            foreign = [name for name in shards_of(index, where) if not name.endswith(".safetensors")]
            if foreign:
                raise ValueError(f"{index.name} of {where} names {foreign[0]}: expected safetensors alone.")
        try:
            model, info = super().from_pretrained(folder, use_safetensors=True, output_loading_info=True, **kwargs)
        except TypeError as error:
            raise ValueError(f"The config.json of {where} makes no {cls.__name__}: {first_line(error)}.") from error
        except (SafetensorError, RuntimeError, ValueError) as error:
            if "size mismatch" in str(error) or "expected shape" in str(error):
                found = first_line(error).split(". If you want")[0]  # the way around that it offers is closed here
                raise ValueError(f"{where} does not fit its own config.json: {found}.") from error
            if isinstance(error, SafetensorError) or "safetensors" in str(error).lower():
                raise ValueError(f"The weights in {where} are damaged: {first_line(error)}") from error
            raise
        except OSError as error:
            if "Unable to load weights" in str(error):
                raise ValueError(f"The weights in {where} are damaged: {first_line(error)}") from error
            raise
        for kind, keys in (
            ("lacks", info["missing_keys"]),
            ("holds foreign", info["unexpected_keys"]),
            ("has the wrong shape for", [key for key, *_ in info["mismatched_keys"]]),
        ):
            if keys:
                raise ValueError(
                    f"{where} is no whole {cls.__name__}: it {kind} {len(keys)} weight(s), the first of them "
                    f"{sorted(keys)[0]!r}."
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
        """As diffusers', but that `variant="fp16"` or "bf16" stores half precision, and not only the name of it.

        Raises:
            ValueError: another form than safetensors, or a push, asked for; weights too large for half precision.
        """
        if not safe_serialization:
            raise ValueError("Models are saved as safetensors, found safe_serialization=False: a pickle can run code.")
        refused = [key for key, value in kwargs.items() if value or key not in ("push_to_hub", "use_flashpack")]
        if refused:
            raise ValueError(f"save_pretrained does not take {refused[0]}: to publish, call push_to_hub afterwards.")
        model = self if variant not in HALVES else self._half(HALVES[variant])
        ModelMixin.save_pretrained(
            model, save_directory, is_main_process, save_function, variant=variant, max_shard_size=max_shard_size
        )
        if not is_main_process:
            return
        umask = os.umask(0)
        os.umask(umask)
        for path in Path(save_directory).glob("*.safetensors"):
            path.chmod(0o666 & ~umask)  # safetensors writes 0600, which colleagues on a cluster cannot read

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

        A trained model's folder, with its figures, pictures and provenance, is published by scripts/push_to_hub.py; the
        card of a model from memory says that nothing of them is known. Older files of a model's there go with the
        weights that they belonged to, a discriminator's among them: push the model first.

        Args:
            repo_id: "user/repository", made if need be.
            private: make a private repository; refused if it exists as a public one.
            create_pr: open a pull request instead, without `revision`.
            revision: branch, made if need be; the default is main.
            fp16: publish a half-precision variant beside a model in float32.
            subfolder: of the repository, for a model beside another one, without a card.
            license: of the weights, for the card.

        Returns:
            The commit's address, or the pull request's.

        Raises:
            ValueError: not logged in, or no right to write there; a weight too large for fp16 (then `fp16=False`).
            OSError: it did not arrive; the repository is as it was.
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
                write_card(folder, repo_id, license)
            return push_model(
                folder,
                repo_id,
                revision=revision,
                create_pr=create_pr,
                message=commit_message,
                subfolder=subfolder,
                token=token,
            )

    def save_companions(self, folder: Path) -> None:
        """Save what `push_to_hub` publishes beside the weights."""

    def to_json_string(self) -> str:
        """The text of config.json, without the local path that the model was loaded from."""
        config = json.loads(super().to_json_string())
        config.pop("_name_or_path", None)
        config |= {"_smoke_vq_version": __version__, "_smoke_vq_format": CONFIG_FORMAT}
        return json.dumps(config, indent=2, sort_keys=True) + "\n"

    def _half(self, dtype: torch.dtype) -> "Self":
        """A copy in half precision, without what has to stay in float32.

        Raises:
            ValueError: a weight is too large for it.
        """
        model = copy.deepcopy(self)
        kept = self._keep_in_fp32_modules or ()
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point() and not set(name.split(".")) & set(kept):
                tensor.data = tensor.data.to(dtype)
                if not torch.isfinite(tensor).all():
                    raise ValueError(f"{name} is too large for {dtype}: this model has no such variant.")
        return model

    @classmethod
    def _check_config(cls, config: dict[str, Any], where: str | os.PathLike) -> None:
        found = config.get("_class_name")
        if found != cls.__name__:
            raise ValueError(f"{where} holds a {found}: expected a {cls.__name__}.")
        known = set(inspect.signature(cls.__init__).parameters)
        unknown = sorted(key for key in config if key not in known and not key.startswith("_"))
        if unknown:
            writer = config.get("_smoke_vq_version", "an unknown version")
            raise ValueError(
                f"The config.json of {where}, saved by smoke_vq {writer}, has the key {unknown[0]!r}, which smoke_vq "
                f"{__version__}, this one, does not know."
            )
