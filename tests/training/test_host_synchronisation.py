"""A training step does not wait for a GPU: no operation whose result the processor needs to go on."""

import traceback

import pytest
import torch
from accelerate import Accelerator
from torch.utils._python_dispatch import TorchDispatchMode
from training_runs import MODEL, batch, reset_accelerate

from smoke_vq import SmokeVQGAN, SmokeVQVAE
from smoke_vq.data.crops import smoke_crops
from smoke_vq.models.discriminator import PatchDiscriminator
from smoke_vq.quantizers import QUANTIZERS
from smoke_vq.training import TrainingArguments, VQGANArguments, VQGANObjective, VQVAEArguments, VQVAEObjective
from smoke_vq.training.loss_guard import FiniteGuard
from smoke_vq.training.running_means import RunningMeans

# Operations that read a value on the host, or whose result has a shape that depends on values.
WAITING = ("_local_scalar_dense", "nonzero", "bincount", "masked_select", "unique", "equal", "multinomial")


KEYWORDS = {
    "fsq": {"levels": [8, 4]},
    "residual": {"quantizer": "vq", "depth": 2},
    "grouped": {"quantizer": "vq", "num_groups": 2},
}


class Waits(TorchDispatchMode):
    """Collects the places that would wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function._schema.name.removeprefix("aten::")
        by_mask = name in ("index", "index_put_", "index_put") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
        )
        if by_mask or any(name == waiting or name.startswith(f"{waiting}_") for waiting in WAITING):
            own = [frame for frame in traceback.extract_stack() if "smoke_vq/" in frame.filename]
            self.places.append(
                f"{name} in {own[-1].filename.rsplit('smoke_vq/')[-1]}:{own[-1].lineno}" if own else name
            )
        return function(*arguments, **(keywords or {}))


class NoDistance(torch.nn.Module):
    """In the place of VGG16."""

    min_size = 1

    def features(self, images):
        return images

    def distance(self, one, other):
        return (one - other).square().mean(dim=(1, 2, 3))


@pytest.fixture
def waits():
    """A function (kind, quantizer) -> the places that wait in a step between two revivals and two logs."""

    def measure(kind: str, quantizer: str) -> list[str]:
        reset_accelerate()
        accelerator = Accelerator(cpu=True)
        torch.manual_seed(0)
        flags = {"dataset": "blobs", "warmup_steps": 0, "codebook_init_vectors": 512, "revival_steps": 50}
        config = {**MODEL, "quantizer_type": quantizer, "quantizer_kwargs": KEYWORDS.get(quantizer, {})}
        if kind == "vqvae":
            arguments = TrainingArguments.build(VQVAEArguments, **flags)
            objective = VQVAEObjective(accelerator, SmokeVQVAE(**config), arguments, 100)
        else:
            arguments = TrainingArguments.build(VQGANArguments, **flags, disc_start=0, disc_warmup_steps=0)
            discriminator = PatchDiscriminator(base_channels=8, num_layers=1)
            model = SmokeVQGAN(**config)
            objective = VQGANObjective(accelerator, model, discriminator, NoDistance(), arguments, 100)
        frames = {name: tensor.float() for name, tensor in batch(8).items()}
        means, guard = RunningMeans(accelerator), FiniteGuard(accelerator)
        objective.begin_training([frames])
        for step in (1, 2):
            with Waits() as found:
                objective.begin_step([frames], step)
                with accelerator.accumulate(*(player.network for player in objective.players.values())):
                    losses = objective.step(frames)
                means.add(losses)
                guard.note(losses, step)
                objective.end_step(step)
        return found.places

    yield measure
    reset_accelerate()


@pytest.mark.parametrize("quantizer", list(QUANTIZERS))
def test_a_step_of_the_vqvae_waits_for_nothing(waits, quantizer):
    assert waits("vqvae", quantizer) == []


def test_a_step_of_the_vqgan_waits_for_nothing(waits):
    assert waits("vqgan", "vq") == []


def test_cutting_squares_out_of_a_batch_waits_for_nothing():
    frames = {name: tensor.float() for name, tensor in batch(8).items()}
    uniforms = torch.rand(8)
    with Waits() as found:
        smoke_crops(frames["pixel_values"], frames["mask"], 8, uniforms)
    assert found.places == []


def test_an_operation_that_waits_is_found():
    with Waits() as found:
        values = torch.arange(3.0)
        values[values > 1].sum().item()
    assert [place.split()[0] for place in found.places][-1] == "_local_scalar_dense" and len(found.places) >= 2
