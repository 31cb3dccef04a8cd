"""Modules import only from lower layers, never from higher ones or from the same one (docs/design.md)."""

import ast
from pathlib import Path

import pytest

import smoke_vq

PACKAGE = Path(smoke_vq.__file__).parent
FLOORS = {
    0: {
        "registry",
        "checks",
        "disk_space",
        "script",
        "pictures",
        "pixels",
        "assets",
        "layout",
        "version",
        "remote_code",
        "limits",
        "tensors",
        "float64",
        "simulation",
    },
    1: {"quantizers", "flow_matching", "losses", "metrics", "preparation", "downloads"},
    2: {"data", "films", "model_config", "model_values"},
    3: {"hub", "evaluation", "tokens"},
    4: {"models"},
    5: {"training", "pipelines", "onnx_export"},
    6: {"cli", "demo"},
    7: {"__main__"},
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def our_imports(source: str, package: list[str]) -> set[str]:
    """The parts of smoke_vq that a source text imports; `package` is the name of its package, in parts."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module] if module != "smoke_vq" else [f"smoke_vq.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("smoke_vq.")}
        found |= {"smoke_vq" for name in names if name == "smoke_vq"}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    part = part_of(path)
    if part == "__init__":
        return  # offers names of all layers
    assert part in FLOOR, f"{part} has no layer: add it here and in docs/design.md"
    package = ["smoke_vq", *path.relative_to(PACKAGE).parent.parts]
    wrong = {
        name for name in our_imports(path.read_text(), package) if name != part and FLOOR.get(name, 9) >= FLOOR[part]
    }
    assert not wrong, f"{path} (layer {FLOOR[part]}) imports {sorted(wrong)}"


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) == "training"], ids=lambda path: path.name)
def test_training_imports_no_model(path):
    assert "models" not in our_imports(path.read_text(), ["smoke_vq", "training"])


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("from ..models.vqvae import SmokeVQVAE", {"models"}),
        ("from .. import losses, metrics", {"losses", "metrics"}),
        ("from .reconstruction import masked_mse", {"data"}),
        ("def late():\n    from smoke_vq.hub import card", {"hub"}),
        ("import smoke_vq.training.trainer as t", {"training"}),
        ("import smoke_vq", {"smoke_vq"}),
        ("import torch\nfrom pathlib import Path", set()),
    ],
)
def test_finds_every_form_of_import(source, imported):
    assert our_imports(source, ["smoke_vq", "data"]) == imported
