"""The parts of a training, built from its arguments."""

import pytest
from training_runs import SIZE, smoke

from smoke_vq import SmokeImageProcessor
from smoke_vq.training import make_evaluator
from smoke_vq.training.arguments import DataArguments


@pytest.mark.parametrize(
    ("max_validation_samples", "num_training_frames", "expected"),
    [
        (None, 2800, 280),  # 10 %
        (None, 40, 256),
        (None, 10_000, 300),
        (None, None, 300),
        (7, 40, 7),
        (290, 40, 290),
    ],
)
def test_a_validation_is_a_small_part_of_an_epoch(
    accelerator, tmp_path, max_validation_samples, num_training_frames, expected
):
    smoke(300).save(tmp_path / "validation.safetensors")
    data = DataArguments(dataset=str(tmp_path), max_validation_samples=max_validation_samples)
    processor = SmokeImageProcessor(size=SIZE)
    evaluator = make_evaluator(accelerator, data, processor, num_training_frames=num_training_frames)
    assert len(evaluator.validation.loader.frames) == expected
    assert len(evaluator.all.frames) == 300
