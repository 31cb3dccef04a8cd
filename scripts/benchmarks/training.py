"""A training step of a SmokeVQVAE beside a plain step of the same network, and of the models of other libraries."""

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from comparisons.peers import VectorQuantizePytorch
from diffusers import VQModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from smoke_vq import SmokeVQVAE
from smoke_vq.models.encoder import norm_groups
from smoke_vq.simulation.recording import one_thread
from smoke_vq.training import TrainingArguments, VQVAEArguments, VQVAEObjective

from .sizes import autoencoder_sizes
from .timing import Rounds, clock, interleaved, report

PRECISIONS = {"float32": None, "bf16": torch.bfloat16}


def training(device: str, rounds: int) -> None:
    """A step of the full model on 64 images on a GPU, of the tiny one on 16 on a CPU."""
    name, batch = ("full", 64) if device == "cuda" else ("tiny", 16)
    measure(device, rounds, name, autoencoder_sizes(device), batch)


def training_full(device: str, rounds: int) -> None:
    """A step of the full model on four images, at most three rounds."""
    measure(device, min(rounds, 3), "full", {}, 4)


def measure(device: str, rounds: int, name: str, sizes: dict[str, Any], batch: int) -> None:
    """Steps in float32 and bf16, called in turn; on a CPU in the CPU time of one thread.

    The ideal is forward, backward and AdamW of encoder and decoder alone, with the plain MSE. The steps of other models
    are as plain; ours is that of a training, with clipping, the average of the weights and the use of the codes.
    """
    target = torch.rand(batch, 3, 64, 64, device=device) * 2 - 1
    data = {"pixel_values": target, "mask": torch.ones(batch, 1, 64, 64, device=device)}
    model = SmokeVQVAE(**sizes).to(device)
    with FlopCounterMode(display=False) as counter:
        model(target[:1]).sample.sum().backward()
    flops = counter.get_total_flops() * batch
    side = 8192 if device == "cuda" else 1024
    networks = {"encoder and decoder alone": nn.Sequential(model.encoder, model.decoder), "VQModel": vq_model(model)}
    if importlib.util.find_spec("vector_quantize_pytorch") is None:
        print("\nvector-quantize-pytorch is not installed: its quantizer is left out.")
    else:
        other = SmokeVQVAE(**sizes)
        other.quantizer = VectorQuantizePytorch(other.quantizer.num_codes, other.quantizer.code_dim)
        networks["with vector-quantize-pytorch"] = other
    if device == "cuda":
        networks["plain step, compiled"] = torch.compile(SmokeVQVAE(**sizes))
    accelerator = Accelerator(mixed_precision="bf16")
    functions: dict[tuple[str, str], Callable] = {}
    for precision, dtype in PRECISIONS.items():
        square = torch.randn(side, side, device=device, dtype=dtype)
        functions[precision, "matrix products"] = lambda square=square: square @ square
        objective = make_objective(accelerator, SmokeVQVAE(**sizes), precision)
        functions[precision, "smoke_vq"] = lambda objective=objective: objective_step(objective, data)
    for network_name, network in networks.items():
        network.to(device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
        for precision, dtype in PRECISIONS.items():
            functions[precision, network_name] = plain_step(network, optimizer, target, dtype)
    with one_thread():
        seconds = interleaved(functions, device, rounds, clock(device))
    for precision in PRECISIONS:
        times = {key[1]: value for key, value in seconds.items() if key[0] == precision}
        product = times["matrix products"]
        times["matrix products"] = Rounds(value * flops / (2 * side**3) for value in product.values)
        title = f"Training step in {precision}, {name} model, batch {batch}, {flops / batch / 1e9:.1f} GFLOP an image"
        report(title, times, "encoder and decoder alone", "images/s", batch)


def make_objective(accelerator: Accelerator, model: SmokeVQVAE, precision: str) -> VQVAEObjective:
    arguments = TrainingArguments.build(VQVAEArguments, dataset="none", codebook_init_vectors=0)
    objective = VQVAEObjective(accelerator, model, arguments, 1000)
    if precision == "float32":  # a process has one accelerator, whose precision this takes away again
        accelerator.unwrap_model(objective.player.network, keep_fp32_wrapper=False)
    return objective


def objective_step(objective: VQVAEObjective, data: dict[str, torch.Tensor]) -> None:
    """A step as in the middle of a training, between two revivals."""
    objective.begin_step([data], 2)
    objective.step(data)
    objective.end_step(2)


def plain_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, target: torch.Tensor, dtype: torch.dtype | None
) -> Callable[[], None]:
    """MSE and the quantizer's losses, if there are any, without weights, masks or averages."""

    def step() -> None:
        with torch.autocast(target.device.type, dtype=dtype, enabled=dtype is not None):
            output = network(target)
        sample = output if isinstance(output, torch.Tensor) else output.sample
        loss = F.mse_loss(sample.float(), target)
        if isinstance(network, VQModel):
            loss = loss + output.commit_loss
        elif sample is not output:
            loss = loss + sum(output.losses.values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def vq_model(model: SmokeVQVAE) -> VQModel:
    """diffusers' VQModel of the same sizes, except that its decoder has the channels of the encoder."""
    config = model.config
    channels = config.encoder_block_out_channels
    return VQModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=tuple(channels),
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        sample_size=config.sample_size,
        num_vq_embeddings=config.num_vq_embeddings,
        norm_num_groups=norm_groups(*channels),
        mid_block_add_attention=config.mid_block_attention,
    )
