"""The trained forecaster of the repository."""

import torch

from smoke_vq import NANO_FORECASTER, NANO_SHARP, PlumeSettings, SmokeForecastPipeline, simulate_plumes
from smoke_vq.models.auto import AutoAutoencoder
from smoke_vq.tokens import latents_digest


def test_it_beats_repeating_the_last_frame_by_four_decibels():
    (plume,) = simulate_plumes([2_000_000_001], PlumeSettings(num_frames=32))
    pipeline = SmokeForecastPipeline.from_pretrained(NANO_FORECASTER)
    generator = torch.Generator().manual_seed(0)
    members = pipeline(plume.image[:16], num_samples=4, generator=generator, output_type="pt").frames
    truth = torch.from_numpy(plume.image).permute(0, 3, 1, 2) / 127.5 - 1
    mean, repeat = (
        (frames - truth[16:]).square().mean(dim=(1, 2, 3)).log10() for frames in (members.mean(dim=0), truth[15:16])
    )
    assert float((repeat - mean).mean()) > 0.4


def test_it_is_small_and_decodes_the_codes_of_nano_sharply():
    weights = "diffusion_pytorch_model.safetensors"
    assert (NANO_FORECASTER / "transformer" / weights).stat().st_size < 4_000_000
    assert (NANO_FORECASTER / "autoencoder" / weights).read_bytes() == (NANO_SHARP / weights).read_bytes()
    nano, sharp = (AutoAutoencoder.from_pretrained(name) for name in ("nano", "nano_sharp"))
    assert latents_digest(nano) == latents_digest(sharp) and nano.config.latents_mean == sharp.config.latents_mean
    SmokeForecastPipeline.from_pretrained(NANO_FORECASTER, autoencoder=nano)
