"""A training step of a SmokeVQVAE."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from smoke_vq import SmokeVQVAE
from smoke_vq.losses import masked_mse

from .sizes import autoencoder_sizes
from .timing import Rounds, interleaved, report


def training(device: str, rounds: int) -> None:
    """A training step (forward, backward, fused AdamW) relative to bf16 matrix products with the same FLOPs."""
    full = device == "cuda"
    model = SmokeVQVAE(**autoencoder_sizes(device)).to(device)
    batch = 64 if full else 16
    target = torch.rand(batch, 3, 64, 64, device=device) * 2 - 1
    mask = torch.ones(batch, 1, 64, 64, device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    with FlopCounterMode(display=False) as counter:
        model(target[:1]).sample.sum().backward()
    model.zero_grad()
    flops = counter.get_total_flops() * batch
    side = 8192 if full else 2048
    square = torch.randn(side, side, device=device, dtype=torch.bfloat16)

    def step(network: torch.nn.Module, dtype: torch.dtype | None):
        with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
            output = network(target)
        (masked_mse(output.sample, target, mask) + sum(output.losses.values())).backward()
        optimizer.step()
        optimizer.zero_grad()

    functions = {
        "matrix product, bf16": lambda: square @ square,
        "float32": lambda: step(model, None),
        "bf16 autocast": lambda: step(model, torch.bfloat16),
    }
    if full:
        compiled = torch.compile(model)
        functions["bf16 autocast, compiled"] = lambda: step(compiled, torch.bfloat16)
    seconds = interleaved(functions, device, rounds)
    product = seconds.pop("matrix product, bf16")
    products = Rounds(value * flops / (2 * side**3) for value in product.values)
    seconds = {"bf16 matrix products": products} | seconds
    title = (
        f"Training step, {'full' if full else 'tiny'} model, batch {batch}, {flops / batch / 1e9:.1f} GFLOP per image"
    )
    report(title, seconds, "bf16 matrix products", "images/s", batch)
