"""Measure the speed of each part relative to its ideal and to other implementations.

python scripts/benchmark.py                          # on a GPU: the full model; on a CPU: the tiny one
python scripts/benchmark.py --part quantizer
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from accelerate import Accelerator
from diffusers.models.modeling_utils import ModelMixin
from torch.utils.flop_counter import FlopCounterMode

from smoke_vq import (
    LatentProjection,
    PatchDiscriminator,
    SmokeFlowTransformer,
    SmokeForecastPipeline,
    SmokeVQGAN,
    SmokeVQVAE,
)
from smoke_vq.data.dataset_frames import DatasetFrames
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.downloads.checksums import digest
from smoke_vq.losses import masked_mse
from smoke_vq.losses.adversarial import adaptive_weight, generator_loss, hinge_discriminator_loss
from smoke_vq.losses.perceptual import PerceptualLoss
from smoke_vq.preparation.jobs import num_cores, worker_pool
from smoke_vq.quantizers import VectorQuantizer
from smoke_vq.quantizers.nearest import nearest_codes
from smoke_vq.script import run
from smoke_vq.simulation import PlumeSettings, PlumeSolver, draw_parameters, render, simulate_plumes
from smoke_vq.simulation.interpolation import Table, Trilinear
from smoke_vq.simulation.recording import one_thread
from smoke_vq.tokens import encode_dataset, model_digest
from smoke_vq.training import TrainingArguments, VQGANArguments, VQGANObjective

TINY = Path(__file__).resolve().parent.parent / "configs" / "config_vqvae_tiny.yaml"


def interleaved(functions: dict[str, Callable[[], None]], device: str, rounds: int) -> dict[str, float]:
    """Median seconds per call. The functions are called in turn, so that a slower machine slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(rounds + 1):
        for name, function in functions.items():
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            function()
            if device == "cuda":
                torch.cuda.synchronize()
            if i > 0:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def report(title: str, seconds: dict[str, float], ideal: str, unit: str = "", amount: float = 0) -> None:
    print(f"\n{title} (ideal: {ideal})")
    for name, value in seconds.items():
        rate = f"  {amount / value:10.0f} {unit}" if amount else ""
        print(f"  {name:34s} {value * 1e3:9.2f} ms  {value / seconds[ideal]:6.2f} x{rate}")


def quantizer(device: str, rounds: int) -> None:
    """Nearest-code search, and forward and backward, for 64 images of the full model: 1024 codes, D = 256."""
    from diffusers.models.autoencoders.vae import VectorQuantizer as DiffusersQuantizer

    ours = VectorQuantizer(1024, 256).to(device)
    theirs = DiffusersQuantizer(1024, 256, beta=0.1, legacy=False).to(device)
    theirs.embedding.weight.data.copy_(ours.codebook.data)
    latents = torch.randn(64, 256, 8, 8, device=device, requires_grad=True)
    rows = latents.detach().permute(0, 2, 3, 1).reshape(-1, 256)

    def ours_step():
        output = ours(latents)
        (output.quantized.sum() + sum(output.losses.values())).backward()

    def theirs_step():
        quantized, loss, _ = theirs(latents)
        (quantized.sum() + loss).backward()

    seconds = interleaved(
        {
            "bare matrix product": lambda: rows @ ours.codebook.detach().t(),
            "smoke_vq search": lambda: nearest_codes(rows, ours.codebook),
            "cdist + argmin": lambda: torch.cdist(rows, ours.codebook.detach()).argmin(1),
            "smoke_vq forward + backward": ours_step,
            "diffusers forward + backward": theirs_step,
        },
        device,
        rounds,
    )
    report("Quantizer, 4096 vectors", seconds, "bare matrix product", "vectors/s", 4096)


def training(device: str, rounds: int) -> None:
    """A training step (forward, backward, fused AdamW) relative to bf16 matrix products with the same FLOPs."""
    full = device == "cuda"
    model = SmokeVQVAE(**({} if full else yaml.safe_load(TINY.read_text())["model"])).to(device)
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
    seconds = {"bf16 matrix products": product * flops / (2 * side**3)} | seconds
    title = (
        f"Training step, {'full' if full else 'tiny'} model, batch {batch}, {flops / batch / 1e9:.1f} GFLOP per image"
    )
    report(title, seconds, "bf16 matrix products", "images/s", batch)


def data(device: str, rounds: int) -> None:
    """Batches of 64 from memory and from PNG in Parquet, relative to indexing a tensor."""
    import datasets
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (512, 64, 64, 3), dtype=np.uint8)
    packed = PackedFrames(torch.from_numpy(noise))
    processor = SmokeImageProcessor()
    rows = torch.randperm(512)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "train.parquet")
        datasets.Dataset.from_dict(
            {"image": [Image.fromarray(frame) for frame in noise]},
            features=datasets.Features({"image": datasets.Image()}),
        ).to_parquet(file)
        dataset = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=folder)
        decoded = DatasetFrames(dataset, 64)

        def drain(loader: FrameLoader):
            for _ in loader.epoch(0):
                pass

        fast = FrameLoader(packed, processor, 64, shuffle=True, flip=True, device=device)
        slow = FrameLoader(decoded, processor, 64, shuffle=True, flip=True, device=device)
        seconds = interleaved(
            {
                "bare index": lambda: packed.images[rows],
                "packed loader": lambda: drain(fast),
                "decoding loader, no workers": lambda: drain(slow),
            },
            device,
            rounds,
        )
    report("Data, 512 frames", seconds, "bare index", "images/s", 512)


def adversarial(device: str, rounds: int) -> None:
    """A VQGAN step: one generator forward with gradients split at the reconstruction, and the usual two forwards."""
    full = device == "cuda"
    sizes = {} if full else yaml.safe_load(TINY.read_text())["model"]
    batch = 32 if full else 8
    accelerator = Accelerator(mixed_precision="bf16")
    perceptual = PerceptualLoss()
    options = dict(dataset="none", disc_start=0, disc_ramp_steps=0, codebook_init_vectors=0, revival_steps=0)
    target = torch.rand(batch, 3, 64, 64, device=device) * 2 - 1
    data = {"pixel_values": target, "mask": torch.ones(batch, 1, 64, 64, device=device)}

    def objective(**weights: float) -> VQGANObjective:
        discriminator = None if weights.get("adversarial_weight") == 0 else PatchDiscriminator()
        arguments = TrainingArguments.build(VQGANArguments, **options, **weights)
        return VQGANObjective(accelerator, SmokeVQGAN(**sizes), discriminator, perceptual, arguments, 1000)

    def step_of(trained: VQGANObjective) -> Callable[[], None]:
        def step():
            trained.begin_step([data], 2)
            trained.step(data)
            trained.end_step(2)

        return step

    other = objective()

    def two_forwards():
        """One generator forward for each of the two optimizers, as in taming-transformers with Lightning."""
        model, discriminator = (player.network for player in other.players.values())
        optimizers = [player.optimizer for player in other.players.values()]
        output = model(target)
        with accelerator.autocast():
            base = masked_mse(output.sample, target, data["mask"]) + perceptual(output.sample, target).mean()
            loss = generator_loss(discriminator(output.sample))
        last = model.decoder.conv_out.weight
        parts = [torch.autograd.grad(part, last, retain_graph=True)[0] for part in (base, loss)]
        weight, _ = adaptive_weight(*parts, 0.75)
        latent = 0.1 * output.losses["commitment"] + output.losses["codebook"]
        optimizers[0].zero_grad()
        accelerator.backward(base + 0.5 * weight * loss + latent)
        optimizers[0].step()
        fake = model(target).sample.detach()
        with accelerator.autocast():
            loss = hinge_discriminator_loss(discriminator(target), discriminator(fake))
        optimizers[1].zero_grad()
        accelerator.backward(loss)
        optimizers[1].step()

    functions = {
        "VQVAE": step_of(objective(adversarial_weight=0.0, perceptual_weight=0.0)),
        "with the perceptual loss": step_of(objective(adversarial_weight=0.0)),
        "VQGAN, smoke_vq": step_of(objective()),
        "VQGAN, two generator forwards": two_forwards,
    }
    seconds = interleaved(functions, device, rounds)
    title = f"Training step, {'full' if full else 'tiny'} model, batch {batch}"
    report(title, seconds, "VQGAN, smoke_vq", "images/s", batch)


def simulation(device: str, rounds: int) -> None:
    """Interpolation relative to grid_sample, the parts of one step of 48x80x72 cells, and frames per second."""
    plumes = [draw_parameters(seed) for seed in range(32 if device == "cuda" else 1)]
    with one_thread(), torch.no_grad():
        solver = PlumeSolver(plumes, device=device)
        for _ in range(8):
            solver.step()
        fields = solver.pad(torch.cat([solver.velocity, solver.scalars], dim=1))
        shape = fields.shape[2:]
        z, y, x = torch.meshgrid(*(torch.arange(1.0, n - 1, device=device) for n in shape), indexing="ij")
        x, y, z = (axis.expand(len(plumes), -1, -1, -1) - 0.3 for axis in (x, y, z))
        grid = torch.stack([2 * p / (n - 1) - 1 for p, n in zip((x, y, z), shape[::-1], strict=True)], dim=-1)
        table, points = Table(fields), Trilinear(x, y, z, shape)
        flat = points.base
        rows = table.rows.contiguous()
        seconds = interleaved(
            {
                "eight bare gathers": lambda: [rows.index_select(0, flat) for _ in range(8)],
                "smoke_vq, corners known": lambda: points(table),
                "smoke_vq, corners found": lambda: Trilinear(x, y, z, shape)(table),
                "grid_sample": lambda: F.grid_sample(fields, grid, align_corners=True, padding_mode="border"),
            },
            device,
            rounds,
        )
        cells = "48x80x72 cells" if device == "cpu" else f"{len(plumes)} x 48x80x72 cells"
        report(f"Trilinear interpolation of 5 fields, {cells}", seconds, "eight bare gathers")
        seconds = interleaved(
            {
                "advection": solver.advect,
                "source and diffusion": solver.add_smoke,
                "forces": solver.add_forces,
                "projection": lambda: solver.project(solver.velocity, solver.wind_x, solver.wind_z),
                "rendering": lambda: render(solver.density, plumes),
            },
            device,
            rounds,
        )
    total = sum(seconds.values())
    print(f"\nOne simulated frame, {cells}, one {'thread' if device == 'cpu' else 'GPU'}")
    for name, value in seconds.items():
        print(f"  {name:34s} {value / len(plumes) * 1e3:9.2f} ms  {value / total:6.0%}")
    print(f"  {'total':34s} {total / len(plumes) * 1e3:9.2f} ms")
    processes, settings = num_cores() if device == "cpu" else 1, PlumeSettings(num_frames=32)
    seeds = list(range(2 * processes)) if device == "cpu" else list(range(64))
    if device == "cpu":
        with worker_pool(simulate_plumes, processes) as pool:
            short = PlumeSettings(num_frames=1, dimensions=2)  # starts the processes
            list(pool.map(simulate_plumes, [[seed] for seed in seeds], [short] * len(seeds)))
            start = time.perf_counter()
            list(pool.map(simulate_plumes, [[seed] for seed in seeds], [settings] * len(seeds)))
            elapsed = time.perf_counter() - start
    else:
        start = time.perf_counter()
        simulate_plumes(seeds, settings, device)
        elapsed = time.perf_counter() - start
    steps = sum(settings.num_frames + draw_parameters(seed).warmup for seed in seeds)
    frames = settings.num_frames * len(seeds)
    print(
        f"\n{frames} frames of {len(seeds)} simulations on {processes} process(es), warm-up included: "
        f"{frames / elapsed:.1f} frames/s, {elapsed / frames * 1e3:.0f} ms per frame, "
        f"{elapsed / steps * 1e3:.0f} ms per step"
    )


def loading(device: str, rounds: int) -> None:
    """The full model from a folder, with and without the checks of this library; a download also needs the sha256."""
    with tempfile.TemporaryDirectory() as name:
        SmokeVQVAE().save_pretrained(name)
        file = Path(name) / "diffusion_pytorch_model.safetensors"
        seconds = interleaved(
            {
                "diffusers alone": lambda: ModelMixin.from_pretrained.__func__(SmokeVQVAE, name),
                "smoke_vq": lambda: SmokeVQVAE.from_pretrained(name),
                "sha256 of the weights": lambda: digest(file),
            },
            device,
            rounds,
        )
        report("Loading", seconds, "diffusers alone", "MB/s", file.stat().st_size / 1e6)


def tokens(device: str, rounds: int) -> None:
    """Encoding a dataset to files of codes and latents, against the model alone on the same frames in memory."""
    sizes = {} if device == "cuda" else yaml.safe_load(TINY.read_text())["model"]
    count, batch = (4096, 256) if device == "cuda" else (512, 64)
    model, processor = SmokeVQVAE(**sizes).to(device).eval(), SmokeImageProcessor()
    frames = PackedFrames(torch.randint(0, 256, (count, 64, 64, 3), dtype=torch.uint8))
    pixel_values = processor.to_pixel_values(frames.images.to(device))

    @torch.no_grad()
    def bare() -> None:
        for part in pixel_values.split(batch):
            model.encode(part)

    def encode(latents: bool) -> None:
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
            encode_dataset(model, processor, {"train": frames}, Path(name) / "codes", latents=latents, batch_size=batch)

    functions = {
        "model.encode alone": bare,
        "encode_dataset, codes": lambda: encode(False),
        "encode_dataset, codes and latents": lambda: encode(True),
    }
    report(f"Encoding {count} frames", interleaved(functions, device, rounds), "model.encode alone", "frames/s", count)


def forecast(device: str, rounds: int) -> None:
    """A forecast of 16 frames by the pipeline, against its network and its decoder alone."""
    sizes = {} if device == "cuda" else yaml.safe_load(TINY.read_text())["model"]
    width = {} if device == "cuda" else {"num_layers": 5, "num_attention_heads": 5, "attention_head_dim": 32}
    samples, steps, frames = (64 if device == "cuda" else 4), 10, 16
    autoencoder = SmokeVQVAE(**sizes).to(device).eval()
    identity = model_digest(autoencoder)
    projection = LatentProjection(autoencoder.config.latent_channels, 4, autoencoder_sha256=identity).to(device).eval()
    digests = {"autoencoder_sha256": identity, "projection_sha256": model_digest(projection)}
    transformer = SmokeFlowTransformer(**width, **digests).to(device).eval()
    pipeline = SmokeForecastPipeline(autoencoder, transformer, SmokeImageProcessor(), projection)
    past = torch.randint(0, 256, (8, 64, 64, 3), dtype=torch.uint8).numpy()
    noisy, previous = (torch.randn(samples, count, 4, 8, 8, device=device) for count in (frames, 8))
    latents = torch.randn(samples * frames, autoencoder.config.latent_channels, 8, 8, device=device)
    time = torch.zeros(samples, device=device)

    @torch.no_grad()
    def network() -> None:
        for _ in range(steps):
            transformer(noisy, time, previous)

    @torch.no_grad()
    def decoder() -> None:
        for part in latents.split(64):
            autoencoder.decode(part)

    functions = {
        "network and decoder": lambda: (network(), decoder()),
        "network alone": network,
        "decoder alone": decoder,
        "pipeline": lambda: pipeline(past, frames, steps, samples),
    }
    title = f"Forecast of {frames} frames, {samples} samples, {steps} evaluations"
    report(title, interleaved(functions, device, rounds), "network and decoder", "frames/s", samples * frames)


PARTS = {
    "quantizer": quantizer,
    "training": training,
    "adversarial": adversarial,
    "data": data,
    "simulation": simulation,
    "loading": loading,
    "tokens": tokens,
    "forecast": forecast,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="+", default=list(PARTS), help="(default: all)")
    parser.add_argument("--rounds", type=int, default=10, help="timed calls of each function (default: 10)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        raise ValueError(f"rounds expects 1 or more, found {arguments.rounds}.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{name}, torch {torch.__version__}, median of {arguments.rounds} rounds")
    for part in arguments.part:
        PARTS[part](device, arguments.rounds)


if __name__ == "__main__":
    run(main)
