"""Arguments from a YAML file and from the command line, which takes precedence.

The entries of the file become flags that are parsed before those of the user, so that one parser checks the types of
both.
"""

import copy
import dataclasses
import difflib
import inspect
import re
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from transformers import HfArgumentParser

from ..assets import configurations
from ..limits import read_yaml
from ..model_config import model_parameters
from .arguments import Recipe, TrainingArguments, groups_of, options_of
from .renamed import rename_flags, rename_keys

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


class _Parser(HfArgumentParser):
    """Raises ValueError for a mistake, without printing the usage; ignores metadata other than `help`."""

    @staticmethod
    def _parse_dataclass_field(parser, field: dataclasses.Field):
        field = copy.copy(field)
        field.metadata = MappingProxyType({"help": field.metadata["help"]})
        HfArgumentParser._parse_dataclass_field(parser, field)

    def error(self, message: str):
        raise ValueError(message[0].upper() + message[1:] + ("" if message.endswith(".") else "."))


def parse_arguments(recipe_class: type[Recipe], argv: list[str] | None = None) -> TrainingArguments[Recipe]:
    """Build the arguments of a training from `--config` and the flags after it.

    `--config` is a YAML file, or the name of an installed configuration: `tiny` is that of the recipe. Keys of a
    mapping such as `model` are flags too: `--model.latent_channels 64`.

    Raises:
        ValueError: unknown keys or flags, wrong types, a file that is not a YAML mapping, an unknown name.
        FileNotFoundError: the file does not exist.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    argv = [part for token in argv for part in (token.split("=", 1) if token.startswith("--") else [token])]
    argv = rename_flags(argv)
    options = options_of(recipe_class)
    parser = _Parser(list(groups_of(recipe_class).values()), allow_abbrev=False, description=recipe_class.__doc__)
    named = configurations(recipe_class.name)
    parser.add_argument("--config", help=f"YAML file with any of these keys, or one of {', '.join(named)}.")
    mappings = [name for name, item in options.items() if _is_mapping(item)]
    known, argv = _take_nested(argv, mappings)
    file = _option_value(argv, "--config")
    flags: list[str] = []
    nested: dict[str, dict] = {}
    if file is not None:
        path = _find_configuration(file, named, recipe_class.name)
        flags, nested = _file_flags(path, options, parser, mappings)
    # Two passes, or a stray word on the command line would be appended to a list from the file.
    namespace, _ = parser.parse_known_args(flags)
    namespace, rest = parser.parse_known_args(argv, namespace)
    if rest:
        names = [option for option in parser._option_string_actions if option.startswith("--")]
        raise ValueError(f"Unknown flag {rest[0]!r}{_did_you_mean(rest[0], names)}.")
    values = {name: getattr(namespace, name) for name in options if name not in mappings}
    values |= {name: nested.get(name, {}) | known.get(name, {}) for name in mappings}
    return TrainingArguments.build(recipe_class, **values)


def check_arguments(factory: type | str, values: dict[str, Any], where: str) -> None:
    """Refuse unknown keyword arguments of `factory`, and values of another type than the default.

    Args:
        factory: a class, or the name of one in smoke_vq.models, which is then not imported.

    Raises:
        ValueError: names the key, what was found and what was expected.
    """
    if isinstance(factory, str):
        name, defaults = factory, model_parameters(factory)
    else:
        parameters = inspect.signature(factory).parameters
        name, defaults = factory.__name__, {key: parameter.default for key, parameter in parameters.items()}
    for key, value in values.items():
        if key not in defaults:
            hint = _did_you_mean(key, defaults)
            raise ValueError(f"Unknown key {where}.{key}{hint}: {name} takes {sorted(defaults)}.")
        default = defaults[key]
        if isinstance(default, bool) or isinstance(value, bool):
            fits = isinstance(value, bool) and isinstance(default, bool)
        elif isinstance(default, (tuple, list)):
            fits = isinstance(value, (tuple, list)) and all(isinstance(v, type(default[0])) for v in value)
        elif isinstance(default, float):
            fits = isinstance(value, (int, float))
        elif isinstance(default, (int, str)):
            fits = isinstance(value, type(default))
        else:
            fits = True
        if not fits:
            raise ValueError(f"{where}.{key} expects a value like {default!r}, found {value!r}.")
        if isinstance(default, int) and not isinstance(default, bool) and value < 1:
            raise ValueError(f"{where}.{key} expects 1 or more, found {value}.")


def _take_nested(argv: list[str], mappings: list[str]) -> tuple[dict[str, dict], list[str]]:
    """Separate `--model.key value` and `--model "{key: value}"` from the other flags."""
    taken: dict[str, dict] = {}
    rest = []
    tokens = iter(argv)
    for token in tokens:
        name, dot, key = token[2:].replace("-", "_").partition(".")
        if not (token.startswith("--") and name in mappings):
            rest.append(token)
            continue
        value = next(tokens, None)
        if value is None:
            raise ValueError(f"The flag {token} expects a value.")
        try:
            value = yaml.safe_load(value)
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(f"The flag {token} expects a YAML value, found {value!r:.99}.") from error
        if not dot and not isinstance(value, dict):
            raise ValueError(f"The flag {token} expects a mapping, found {value!r}; {token}.KEY sets one key.")
        taken.setdefault(name, {}).update(_with_numbers({key: value} if dot else value))
    return taken, rest


def _option_value(argv: list[str], name: str) -> str | None:
    if name not in argv:
        return None
    position = len(argv) - 1 - argv[::-1].index(name)
    if position + 1 >= len(argv):
        raise ValueError(f"The flag {name} expects a value.")
    return argv[position + 1]


def _find_configuration(name: str, named: dict[str, Path], recipe: str) -> Path:
    """A file that exists, or the installed configuration of this name."""
    if Path(name).is_file():
        return Path(name)
    if Path(name).suffix or len(Path(name).parts) > 1:
        raise FileNotFoundError(f"The configuration file {name} does not exist.")
    short = name.removeprefix(f"{recipe}_")
    if short not in named:
        raise ValueError(
            f"Unknown configuration {name!r}{_did_you_mean(short, named)}: expected a YAML file, or one of "
            f"{', '.join(named)}."
        )
    return named[short]


def read_configuration(path: Path) -> dict[str, Any]:
    """The entries of a YAML file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not valid YAML, or not a mapping.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The configuration file {path} does not exist.")
    content = read_yaml(path, str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path} expects a mapping of keys to values, found {type(content).__name__}.")
    return content


def _file_flags(
    path: Path, options: dict[str, dataclasses.Field], parser: HfArgumentParser, mappings: list[str]
) -> tuple[list[str], dict[str, dict]]:
    """The entries of a YAML file as flags, and its mappings."""
    content = read_configuration(path)
    defaults = {name: item.default for name, item in options.items()}
    flags: list[str] = []
    nested: dict[str, dict] = {}
    for key, value in rename_keys(content).items():
        if key not in defaults:
            raise ValueError(f"{path} has the unknown key {key!r}{_did_you_mean(key, defaults)}.")
        several = parser._option_string_actions[f"--{key}"].nargs == "+"
        if key in mappings:
            if not isinstance(value, dict):
                raise ValueError(f"{path}: {key} expects a mapping, found {value!r}.")
            nested[key] = _with_numbers(value)
        elif value is None:
            if defaults[key] is not None:
                raise ValueError(f"{path}: {key} expects a value, found null.")
        elif not _fits(value, several):
            expected = "a value or a list of values" if several else "a single value"
            raise ValueError(f"{path}: {key} expects {expected}, found {value!r}.")
        else:
            if value is False and "no" in (parser._option_string_actions[f"--{key}"].choices or ()):
                value = "no"  # YAML reads an unquoted no as false
            entry = [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
            try:
                parser.parse_known_args(entry)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
            flags += entry
    return flags, nested


def _is_mapping(item: dataclasses.Field) -> bool:
    return item.default_factory is not dataclasses.MISSING and isinstance(item.default_factory(), dict)


def _fits(value: Any, several: bool) -> bool:
    """Whether a YAML value is a single value or, if `several` are allowed, a list of values that are not flags."""
    if not (several and isinstance(value, list)):
        return not isinstance(value, (dict, list))
    flags = [one for one in value if isinstance(one, str) and one.startswith("-")]
    return len(value) > 0 and not flags and not any(isinstance(one, (dict, list, type(None))) for one in value)


def _with_numbers(value: Any) -> Any:
    """Turn numbers such as 1e-3, which YAML reads as text, into numbers, also inside mappings and lists."""
    if isinstance(value, dict):
        return {key: _with_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_numbers(entry) for entry in value]
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _did_you_mean(name: Any, known) -> str:
    close = difflib.get_close_matches(
        str(name).replace("-", "_").lstrip("_"), [k.replace("-", "_").lstrip("_") for k in known], 1
    )
    return f" (did you mean {close[0]!r}?)" if close else ""
