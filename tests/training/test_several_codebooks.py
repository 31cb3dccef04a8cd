"""A quantizer with several codebooks: from training to decoded codes; k-means and revival of each codebook."""

import json
from itertools import pairwise

import datasets
import numpy as np
import pytest
import torch
from training_runs import MODEL, Killed, assert_same_run, batch, history, reset_accelerate, run

from smoke_vq import SmokeImageProcessor, SmokeVQVAE

RESIDUAL = '--model.quantizer_type residual --model.quantizer_kwargs {"depth":3}'
GROUPED = '--model.quantizer_type grouped --model.quantizer_kwargs {"quantizer":"residual","num_groups":2}'


@pytest.mark.parametrize("flags", [RESIDUAL, GROUPED], ids=["residual", "residual groups"])
def test_it_trains_resumes_encodes_and_decodes(train, data, tmp_path, quick_revival, kill_after, flags):
    flags = f"{flags} --model.num_vq_embeddings 64"  # more codes than are needed, so that some die
    assert train(f"{flags} --run-name uninterrupted").code == 0
    kill_after(11)
    with pytest.raises(Killed):
        train(flags)
    kill_after(None)
    resumed = train(f"{flags} --resume-from-checkpoint latest")
    assert resumed.code == 0, resumed.err
    folder = tmp_path / "uninterrupted"
    assert_same_run(tmp_path / "run", folder)
    first = {name: value for step, name, value in history(folder) if step == 1}
    assert {"train/commitment", "train/codebook"} < set(first)

    model = SmokeVQVAE.from_pretrained(folder / "best").eval()
    depth = model.quantizer.depth
    figures = json.loads((folder / "best/metrics.json").read_text())["this model"]
    assert figures["num_tokens"] == 10 * 64 * depth and figures["bytes_per_frame"] == 64 * depth * 6 / 8
    assert figures["codebook_usage"] == figures["num_codes_used"] / (64 * depth)

    codes, frames = tmp_path / "codes", tmp_path / "frames"
    where = f"--model {folder / 'best'}"
    assert run("encode_dataset.py", f"{where} --dataset {data} --output-dir {codes}").code == 0
    assert run("decode_dataset.py", f"{where} --input-dir {codes} --output-dir {frames}").code == 0
    read = datasets.load_dataset(str(codes), split="validation").with_format("numpy")[:]["indices"]
    assert read.shape == (10, 8, 8, depth)
    with torch.no_grad():
        sample = model.decode_indices(torch.from_numpy(read.astype(np.int64))).sample
    images = datasets.load_dataset(str(frames), split="validation")["image"]
    expected = SmokeImageProcessor.from_pretrained(folder / "best").postprocess(sample, "np")
    assert np.array_equal(np.stack([np.asarray(image) for image in images]), expected)


@pytest.fixture
def trained():
    """A function (quantizer_type, quantizer_kwargs, arguments...) -> an objective after the start of its codebooks."""
    from accelerate import Accelerator

    from smoke_vq.training import TrainingArguments, VQVAEArguments, VQVAEObjective

    def build(name: str, kwargs: dict, **changes) -> VQVAEObjective:
        reset_accelerate()
        defaults = {"dataset": "blobs", "warmup_steps": 0, "lr_scheduler": "constant", "codebook_init_vectors": 512}
        arguments = TrainingArguments.build(VQVAEArguments, **defaults | changes)
        torch.manual_seed(0)
        model = SmokeVQVAE(**MODEL, quantizer_type=name, quantizer_kwargs=kwargs).double()
        objective = VQVAEObjective(Accelerator(cpu=True), model, arguments, 100)
        objective.begin_training([batch(8)])
        return objective

    yield build
    reset_accelerate()


def latents_of(objective) -> torch.Tensor:
    with torch.no_grad():
        return objective.player.unwrapped.encode(batch(8)["pixel_values"]).latents


def test_kmeans_level_by_level_lowers_the_error_at_each_level(trained):
    """Each level explains a part of what is left, and its codes are the centres of the residuals that they get."""
    objective = trained("residual", {"depth": 4})
    latents, errors = latents_of(objective).float(), []
    for leaf, residual, _ in objective.player.unwrapped.quantizer.leaves(latents):
        errors.append(float(residual.square().mean()))
        output = leaf(residual)
        assert len(output.indices.unique()) == leaf.num_codes
        vectors, indices = residual.permute(0, 2, 3, 1).flatten(0, 2), output.indices.flatten()
        centres = torch.stack([vectors[indices == code].mean(dim=0) for code in range(leaf.num_codes)])
        spread = vectors.std()
        assert (centres - leaf.codebook.float()).square().mean().sqrt() < 0.1 * spread
    errors.append(float((latents - objective.player.unwrapped.quantizer(latents).quantized).square().mean()))
    assert all(after < 0.6 * before for before, after in pairwise(errors)), errors


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("residual", {"depth": 3}), ("grouped", {"num_groups": 4}), ("residual", {"quantizer": "grouped"})],
)
def test_unused_codes_are_revived_in_each_codebook(trained, name, kwargs):
    objective = trained(name, kwargs, revival_steps=2, lr=0.0)
    training, quantizer = objective.autoencoder.quantizer_training, objective.player.unwrapped.quantizer
    assert len(training.healths) == quantizer.depth and len({health.seed for health in training.healths}) > 1
    frames = batch(8)
    for place, (leaf, health) in enumerate(zip(training.leaves, training.healths, strict=True)):
        leaf.codebook.data[[3, place]] = 1e3  # not used in this step
        health.usage, health.certainty = torch.full((leaf.num_codes,), 16.0), 1.0
        health.usage[[3, place]] = 0.0
    objective.begin_step([frames], 2)
    with objective.accelerator.accumulate(objective.player.network):
        objective.step(frames)
    # What each codebook received in this step.
    received = [latents.detach() for _, latents, _ in quantizer.leaves(latents_of(objective))]
    objective.end_step(2)
    for place, (leaf, health, latents) in enumerate(zip(training.leaves, training.healths, received, strict=True)):
        dead = sorted({3, place})
        assert health.num_revived == len(dead)
        vectors = leaf.to_code_space(latents).flatten(0, 2)
        revived = leaf.codebook.detach().float()[dead]
        assert (revived[:, None] - vectors).abs().sum(dim=2).min(
            dim=1
        ).values.max() < 1e-5  # on a latent that the level or group received
