"""A Python file beside a model, by which other libraries find its class: `auto_map` and `trust_remote_code=True`."""

from pathlib import Path

_TEXT = '''"""Read by diffusers and transformers with trust_remote_code=True. It needs the package smoke-vq."""

from {module} import {name}

__all__ = ["{name}"]
'''


def auto_map(auto_class: str, own_class: type, file: str) -> dict[str, str]:
    """The entry `auto_map` of a configuration: the module and class that `auto_class` loads."""
    return {auto_class: f"{Path(file).stem}.{own_class.__name__}"}


def write_code(own_class: type, path: Path) -> None:
    """Write the file that `auto_map` names: it imports `own_class` from where it is installed."""
    path.write_text(_TEXT.format(module=own_class.__module__, name=own_class.__name__))
