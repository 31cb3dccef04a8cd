"""`from_pretrained` that loads the whole model or says why not.

diffusers by itself warns, and goes on, when weights are missing, when a keyword is misspelt or when the folder holds
another class; and it opens pickle files where there are no safetensors.
"""

import functools
import inspect
import json
import os
from pathlib import Path

from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError

CONFIG_KEYWORDS = frozenset(
    ("cache_dir", "force_download", "proxies", "local_files_only", "token", "revision", "subfolder")
)
# What ModelMixin.from_pretrained reads from its keywords (diffusers 0.38 to 0.42), without those that would lift a
# check of ours (use_safetensors, ignore_mismatched_sizes, output_loading_info).
LOADING_KEYWORDS = CONFIG_KEYWORDS | {
    *("dtype", "torch_dtype", "variant", "low_cpu_mem_usage", "disable_mmap"),
    *("device_map", "max_memory", "offload_folder", "offload_state_dict"),
}


def config_class_name(pretrained_model_name_or_path, **kwargs) -> str | None:
    """The class that a saved model's config.json names; keywords as for `from_pretrained`."""
    where, kwargs = _in_subfolder(pretrained_model_name_or_path, kwargs)
    _check_folder(where)
    return _load_config(where, **{key: kwargs[key] for key in CONFIG_KEYWORDS & set(kwargs)}).get("_class_name")


class PretrainedModel(ModelMixin, ConfigMixin):
    """A model of ours: a diffusers model whose `from_pretrained` refuses what is not whole."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        """Load a model of this class from a folder or a Hub repository.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or "user/repository".
            kwargs: those of diffusers' `ModelMixin.from_pretrained`, `dtype`, `variant`, `revision` and `subfolder`
                among them. Weights are read from safetensors only.

        Raises:
            ValueError: a misspelt keyword; the checkpoint of another class; a configuration with unknown keys; weights
                that are missing, foreign, of another shape, or damaged.
            OSError: no such folder, repository or safetensors file.
        """
        where = pretrained_model_name_or_path
        unknown = sorted(set(kwargs) - LOADING_KEYWORDS)
        if unknown:
            raise ValueError(
                f"{cls.__name__}.from_pretrained got unknown keyword {unknown[0]!r}: expected some of "
                f"{sorted(LOADING_KEYWORDS)}."
            )
        where, kwargs = _in_subfolder(where, kwargs)
        _check_folder(where)
        cls._check_config(where, kwargs)
        cls._check_weights_format(where, kwargs)
        try:
            model, info = super().from_pretrained(where, use_safetensors=True, output_loading_info=True, **kwargs)
        except (SafetensorError, RuntimeError, ValueError) as error:
            if "size mismatch" in str(error) or "expected shape" in str(error):
                found = _first_line(error).split(". If you want")[0]  # the way around that it offers is closed here
                raise ValueError(f"{where} does not fit its own config.json: {found}.") from error
            if isinstance(error, SafetensorError) or "safetensors" in str(error).lower():
                raise ValueError(f"The weights in {where} are damaged: {_first_line(error)}") from error
            raise
        except OSError as error:
            if "Unable to load weights" in str(error):
                raise ValueError(f"The weights in {where} are damaged: {_first_line(error)}") from error
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

    @functools.wraps(ModelMixin.save_pretrained)
    def save_pretrained(self, save_directory, *args, **kwargs):
        super().save_pretrained(save_directory, *args, **kwargs)
        umask = os.umask(0)
        os.umask(umask)
        for path in Path(save_directory).glob("*.safetensors"):
            path.chmod(0o666 & ~umask)  # safetensors writes 0600, which colleagues on a cluster cannot read

    def to_json_string(self) -> str:
        """The text of config.json, without the local path that the model was loaded from."""
        config = json.loads(super().to_json_string())
        config.pop("_name_or_path", None)
        return json.dumps(config, indent=2, sort_keys=True) + "\n"

    @classmethod
    def _check_config(cls, where, kwargs) -> None:
        config = _load_config(where, **{key: kwargs[key] for key in CONFIG_KEYWORDS & set(kwargs)})
        found = config.get("_class_name")
        if found != cls.__name__:
            raise ValueError(f"{where} holds a {found}: expected a {cls.__name__}.")
        known = set(inspect.signature(cls.__init__).parameters)
        unknown = sorted(key for key in config if key not in known and not key.startswith("_"))
        if unknown:
            raise ValueError(
                f"The config.json of {where} has the key {unknown[0]!r}, which this version of smoke_vq does not know."
            )

    @classmethod
    def _check_weights_format(cls, where, kwargs) -> None:
        folder = Path(where) / (kwargs.get("subfolder") or "")
        if folder.is_dir() and not any(folder.glob("*.safetensors")):
            pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
            found = f"only the pickle file {pickles[0]}, which can run code when opened" if pickles else "no weights"
            raise OSError(f"{where} holds {found}: expected diffusion_pytorch_model.safetensors.")


def _in_subfolder(where, kwargs: dict) -> tuple:
    """The subfolder of a local folder in place of the folder, from which diffusers would prefer config and weights."""
    if not (kwargs.get("subfolder") and Path(where).is_dir()):
        return where, kwargs
    folder = Path(where) / kwargs["subfolder"]
    if not folder.is_dir():
        raise OSError(f"The folder {where} has no subfolder {kwargs['subfolder']!r}.")
    return folder, {key: value for key, value in kwargs.items() if key != "subfolder"}


def _check_folder(where) -> None:
    path = Path(where)
    if path.is_dir():
        if not (path / "config.json").is_file() and not any(path.glob("*/config.json")):
            raise OSError(f"The folder {where} holds no config.json: it is no saved model.")
    elif path.is_absolute() or str(where).startswith(".") or str(where).count("/") != 1:
        raise OSError(f"There is no folder {str(where)!r} (a Hub repository would be named 'user/name').")


def _load_config(where, **keywords) -> dict:
    try:
        return PretrainedModel.load_config(where, **keywords)
    except OSError as error:
        if Path(where).is_dir():
            raise
        found = _first_line(error)
        raise OSError(f"There is no folder {str(where)!r}, nor is it to be had from the Hub: {found}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
