"""The start of a codebook by k-means."""

import time

import torch

from smoke_vq.quantizers.kmeans import _seed, kmeans

NUM_CODES, CODE_DIM, NUM_VECTORS = 16_384, 64, 32_768
DRAWN = 512  # seeds that are drawn one by one, which takes as long for each of them


def kmeans_start(device: str, rounds: int) -> None:
    """Seeds of 16,384 codes drawn in rounds or one by one, and an iteration of Lloyd's; once, in CPU time."""
    generator = torch.Generator().manual_seed(0)
    # Latents of smoke lie near few directions: a random map from 16 dimensions, and a little noise.
    latents = torch.randn(NUM_VECTORS, 16, generator=generator) @ torch.randn(16, CODE_DIM, generator=generator)
    vectors = (latents + 0.1 * torch.randn(latents.shape, generator=generator)).to(device)

    def seconds(function) -> float:
        start = time.process_time()
        function()
        return time.process_time() - start

    in_rounds = seconds(lambda: kmeans(vectors, NUM_CODES, num_iterations=0))
    iteration = seconds(lambda: kmeans(vectors, NUM_CODES, num_iterations=1)) - in_rounds
    one_by_one = seconds(lambda: _seed(vectors, DRAWN, torch.Generator(device).manual_seed(0))) * NUM_CODES / DRAWN
    print(f"\nk-means, {NUM_CODES} codes, {NUM_VECTORS} vectors of dimension {CODE_DIM}")
    print(f"  {'seeds in rounds':34s} {in_rounds:9.2f} s")
    print(f"  {'an iteration':34s} {iteration:9.2f} s")
    print(f"  {f'seeds one by one, from {DRAWN} of them':34s} {one_by_one:9.2f} s")
