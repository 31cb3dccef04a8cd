"""The cost of each quantizer of configs/quantizers/."""

from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from smoke_vq.quantizers import Quantizer, make_quantizer
from smoke_vq.simulation.recording import one_thread

from .timing import clock, interleaved, report

VARIANTS = Path(__file__).resolve().parent.parent.parent / "configs" / "quantizers"
NUM_CODES, CODE_DIM = 1024, 256


def quantizers(device: str, rounds: int) -> None:
    """Forward, backward and running statistics for 64 images of the full model, beside a product with 1,024 codes.

    On a CPU in the CPU time of one thread.
    """
    latents = torch.randn(64, CODE_DIM, 8, 8, device=device, requires_grad=True)
    rows, codes = (
        latents.detach().permute(0, 2, 3, 1).reshape(-1, CODE_DIM),
        torch.randn(CODE_DIM, NUM_CODES).to(device),
    )
    functions: dict[str, Callable] = {"bare matrix product": lambda: rows @ codes}
    for path in sorted(VARIANTS.glob("*.yaml")):
        model = yaml.safe_load(path.read_text())["model"]
        num_codes, kwargs = model.get("num_vq_embeddings", NUM_CODES), model.get("quantizer_kwargs")
        quantizer = make_quantizer(model["quantizer_type"], num_codes, CODE_DIM, kwargs).to(device)
        functions[path.stem] = _step_of(quantizer, latents)
    with one_thread():
        seconds = interleaved(functions, device, rounds, clock(device))
    report("Quantizers, 4096 vectors", seconds, "bare matrix product", "vectors/s", 4096)


def _step_of(quantizer: Quantizer, latents: torch.Tensor) -> Callable[[], None]:
    def step() -> None:
        output = quantizer(latents)
        (output.quantized.sum() + sum((output.losses or {}).values())).backward()
        with torch.no_grad():
            for leaf, own_latents, own_indices in quantizer.leaves(latents.detach(), output.indices):
                leaf.observe(own_latents, own_indices)
                leaf.end_step(lambda value: value)

    return step
