"""A diffusers pipeline that holds our models."""

import re

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline

from smoke_vq import PatchDiscriminator, SmokeImageProcessor, SmokeVQVAE


class ReconstructionPipeline(DiffusionPipeline):
    """Reconstructs frames and returns the logits of the discriminator."""

    def __init__(self, vae, judge, scheduler, image_processor):
        super().__init__()
        self.register_modules(vae=vae, judge=judge, scheduler=scheduler, image_processor=image_processor)

    @torch.no_grad()
    def __call__(self, frames):
        sample = self.vae(self.image_processor(frames).pixel_values.to(self.vae.dtype)).sample
        return self.image_processor.postprocess(sample, "np"), self.judge(sample)


@pytest.fixture
def pipeline(tiny_model):
    discriminator = PatchDiscriminator(num_layers=1, base_channels=8).eval()
    return ReconstructionPipeline(tiny_model, discriminator, DDIMScheduler(), SmokeImageProcessor(size=16))


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_a_pipeline_is_saved_and_loaded_again(tmp_path, pipeline, tiny_frames, variant):
    """Pipelines look for `ModelMixin` in the module of a model, and pass keywords that used to be refused."""
    pipeline.save_pretrained(tmp_path, variant=variant)
    loaded = ReconstructionPipeline.from_pretrained(tmp_path, variant=variant)
    assert isinstance(loaded.vae, SmokeVQVAE) and isinstance(loaded.judge, PatchDiscriminator)
    assert loaded.vae.config.scaling_factor == 1.0, "diffusers pipelines read it"
    frames = tiny_frames.images.numpy()
    for before, after in zip(pipeline(frames), loaded(frames), strict=True):
        if variant is None:
            assert torch.equal(torch.as_tensor(before), torch.as_tensor(after))
        else:
            assert before.shape == after.shape


def test_a_pipeline_loads_in_another_precision(tmp_path, pipeline):
    pipeline.save_pretrained(tmp_path)
    loaded = ReconstructionPipeline.from_pretrained(tmp_path, torch_dtype=torch.bfloat16, use_safetensors=True)
    assert loaded.vae.dtype == torch.bfloat16 and loaded.vae.quantizer.codebook.dtype == torch.float32


def test_a_pipeline_may_name_the_library_without_a_module(tmp_path, pipeline):
    pipeline.save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    index.write_text(re.sub(r"smoke_vq\.[\w.]+", "smoke_vq", index.read_text()))
    assert isinstance(ReconstructionPipeline.from_pretrained(tmp_path).vae, SmokeVQVAE)
