"""Nearest-code search and quantizer."""

from collections.abc import Callable

import torch
from diffusers.models.autoencoders.vae import VectorQuantizer as DiffusersQuantizer

from smoke_vq.quantizers import VectorQuantizer
from smoke_vq.quantizers.nearest import nearest_codes
from smoke_vq.simulation.recording import one_thread

from .memory import peak_of
from .timing import RESULTS, clock, interleaved, report

# Codes, their dimension, and vectors, of which a GPU gets 16 times as many. The first are 64 images of the full model.
SIZES = ((1_024, 256, 4_096), (16_384, 64, 2_048), (262_144, 64, 512))
CHECKED_ROWS = 64  # vectors at once, whose distances in float64 are then 134 MB


def quantizer(device: str, rounds: int) -> None:
    """The search, and forward and backward, relative to the bare product; their memory, and wrong codes.

    On a CPU in the CPU time of one thread.
    """
    with one_thread():
        for num_codes, code_dim, num_vectors in SIZES:
            _measure(device, rounds, num_codes, code_dim, num_vectors * (16 if device == "cuda" else 1))


def _measure(device: str, rounds: int, num_codes: int, code_dim: int, num_vectors: int) -> None:
    ours = VectorQuantizer(num_codes, code_dim).to(device)
    theirs = DiffusersQuantizer(num_codes, code_dim, beta=0.1, legacy=False).to(device)
    theirs.embedding.weight.data.copy_(ours.codebook.data)
    latents = torch.randn(num_vectors // 64, code_dim, 8, 8, device=device, requires_grad=True)
    vectors = latents.detach().permute(0, 2, 3, 1).reshape(-1, code_dim)
    codebook = ours.codebook.detach()

    def ours_step():
        output = ours(latents)
        (output.quantized.sum() + sum(output.losses.values())).backward()

    def theirs_step():
        quantized, loss, _ = theirs(latents)
        (quantized.sum() + loss).backward()

    functions = {
        "bare matrix product": lambda: vectors @ codebook.t(),
        "smoke_vq search": lambda: nearest_codes(vectors, codebook),
        "cdist + argmin": lambda: torch.cdist(vectors, codebook).argmin(1),
        "smoke_vq forward + backward": ours_step,
        "diffusers forward + backward": theirs_step,
    }
    title = f"Quantizer, {num_vectors:,d} vectors, {num_codes:,d} codes of dimension {code_dim}"
    seconds = interleaved(functions, device, rounds, clock(device))
    report(title, seconds, "bare matrix product", "vectors/s", num_vectors)
    memory = {name: peak_of(function, device) for name, function in functions.items()}
    searches: dict[str, Callable[[], torch.Tensor]] = {
        "smoke_vq": lambda: ours(latents).indices.flatten(),
        "cdist + argmin": functions["cdist + argmin"],
        "diffusers": lambda: theirs(latents)[2][2].flatten(),
    }
    wrong = {}
    with torch.no_grad():
        wrong["new codebook"] = wrong_codes(vectors, codebook, {name: search() for name, search in searches.items()})
        for weight in (codebook, theirs.embedding.weight):
            weight.copy_(torch.randn(num_codes, code_dim, generator=torch.Generator().manual_seed(0)))
        wrong["codes like latents"] = wrong_codes(
            vectors, codebook, {name: search() for name, search in searches.items()}
        )
    RESULTS.append({"title": title, "peak_bytes": memory, "wrong_codes": wrong})
    print("  peak memory, " + ", ".join(f"{name}: {size / 1e6:.0f} MB" for name, size in memory.items()))
    for name, counts in wrong.items():
        print(f"  wrong codes, {name}, " + ", ".join(f"{search}: {count}" for search, count in counts.items()))


def wrong_codes(vectors: torch.Tensor, codebook: torch.Tensor, indices: dict[str, torch.Tensor]) -> dict[str, int]:
    """How many codes of each search are farther from their vectors than the nearest, in float64.

    Args:
        vectors: (N, D).
        codebook: (K, D).
        indices: (N,) for each search.
    """
    codes = codebook.double()
    norms = codes.square().sum(dim=1)
    wrong = dict.fromkeys(indices, 0)
    for rows in torch.arange(len(vectors), device=vectors.device).split(CHECKED_ROWS):
        distances = torch.addmm(norms, vectors[rows].double(), codes.t(), alpha=-2)
        nearest = distances.amin(dim=1)
        for name, chosen in indices.items():
            wrong[name] += int((distances.gather(1, chosen[rows, None])[:, 0] > nearest).sum())
    return wrong
