"""Simulated plumes as a `datasets` builder: configurations, cache, streaming, `num_proc`.

frames = load_simulated("small", "validation")
stream = load_simulated("large", streaming=True)
"""

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import datasets
import multiprocess
from datasets.exceptions import DatasetGenerationError

from ...registry import choose
from ...simulation import SIMULATION_VERSION, PlumeSettings, simulate_plumes
from ..pieces import fingerprint
from ..processes import num_cores
from .rows import TRAIN_SEED, VALIDATION_SEED, check_space, plume_features, recording_rows, seed_blocks

SIMULATIONS_PER_CUDA_BATCH = 32


@dataclasses.dataclass
class PlumesConfig(datasets.BuilderConfig):
    """Which simulations, and what they share.

    size, num_frames, dimensions, background: as in `PlumeSettings`; num_frames counts one simulation's.
    train_simulations, validation_simulations: how many; each split's seeds follow on its first one.
    device: "cpu", or "cuda", where a simulation's last bits depend on those in its batch.
    """

    version: datasets.Version | str = SIMULATION_VERSION
    size: int = 64
    num_frames: int = 64
    dimensions: int = 3
    background: str = "black"
    train_simulations: int = 144
    validation_simulations: int = 16
    train_seed: int = TRAIN_SEED
    validation_seed: int = VALIDATION_SEED
    device: str = "cpu"

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        """The name of the folder in the cache: other settings, another folder."""
        values = {field.name: str(getattr(self, field.name)) for field in dataclasses.fields(self)}
        if Path(self.background).is_file():
            values["background"] = Path(self.background).read_bytes().hex()
        features = str(custom_features or plume_features())
        return f"{self.name}-{fingerprint({**values, 'features': features})}"

    def plume_settings(self) -> PlumeSettings:
        return PlumeSettings(self.size, self.num_frames, self.dimensions, self.background)

    def seeds(self) -> dict[str, range]:
        return seed_blocks(self.train_simulations, self.validation_simulations, self.train_seed, self.validation_seed)


CONFIGS = {
    config.name: config
    for config in (
        PlumesConfig("tiny", num_frames=16, train_simulations=8, validation_simulations=2),
        PlumesConfig("small", num_frames=32, train_simulations=56, validation_simulations=8),
        PlumesConfig("default"),
        PlumesConfig("large", train_simulations=15_360, validation_simulations=1_024),
    )
}


class SimulatedPlumes(datasets.GeneratorBasedBuilder):
    """Frames of simulated plumes.

    Fields of `PlumesConfig` are keywords that change a configuration: `SimulatedPlumes(config_name="tiny", size=32)`.
    """

    BUILDER_CONFIG_CLASS = PlumesConfig
    BUILDER_CONFIGS: ClassVar = list(CONFIGS.values())
    DEFAULT_CONFIG_NAME = "default"
    VERSION = datasets.Version(SIMULATION_VERSION)

    def _info(self) -> datasets.DatasetInfo:
        self.config.plume_settings()
        splits = datasets.SplitDict(dataset_name=self.dataset_name)
        for split, seeds in self.config.seeds().items():
            splits.add(datasets.SplitInfo(split, num_examples=len(seeds) * self.config.num_frames))
        return datasets.DatasetInfo(
            description="Simulated, lit smoke plumes in front of a still background.",
            features=plume_features(),
            license="cc0-1.0",
            splits=splits,
        )

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        step = 1 if self.config.device == "cpu" else SIMULATIONS_PER_CUDA_BATCH
        return [
            datasets.SplitGenerator(
                split, gen_kwargs={"seeds": [tuple(seeds[i : i + step]) for i in range(0, len(seeds), step)]}
            )
            for split, seeds in self.config.seeds().items()
        ]

    def _prepare_split(self, split_generator, *args, num_proc: int | None = None, **kwargs) -> None:
        """No more processes than simulations; one where a forked process could not use the GPU."""
        most = len(split_generator.gen_kwargs["seeds"]) if self.config.device == "cpu" else 1
        super()._prepare_split(split_generator, *args, num_proc=min(num_proc or 1, most), **kwargs)

    def _generate_examples(self, seeds: list[tuple[int, ...]]) -> Iterator[tuple[str, dict]]:
        if multiprocess.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its pool
        for batch in seeds:
            for recording in simulate_plumes(batch, self.config.plume_settings(), self.config.device):
                for row in recording_rows(recording):
                    yield f"{row['sequence_id']}-{row['frame']:06d}", row


def load_simulated(
    config: str = "default", split: str = "train", streaming: bool = False, num_proc: int | None = None
) -> datasets.Dataset | datasets.IterableDataset:
    """One split, simulated at the first call and then found in the cache of `datasets` (HF_DATASETS_CACHE).

    Args:
        config: a name in `CONFIGS`.
        split: "train", "validation", or a part of them ("train[:10%]", not for streams).
        streaming: simulate while it is read; nothing is stored.
        num_proc: processes; by default one a core. The frames do not depend on it.

    Raises:
        ValueError: no such configuration or split.
        OSError: the frames cannot be written.
    """
    settings = choose(CONFIGS, config, "configuration of simulated plumes")
    unknown = {part.split("[")[0].strip() for part in split.split("+")} - set(settings.seeds())
    if unknown:
        raise ValueError(f"simulated:{config} has no split {unknown.pop()!r}: expected {list(settings.seeds())}.")
    builder = SimulatedPlumes(config_name=config)
    if streaming:
        return builder.as_streaming_dataset(split)
    if not Path(builder.cache_dir).exists():
        frames = sum(info.num_examples for info in builder.info.splits.values())
        check_space(builder.cache_dir, frames, settings.plume_settings())
    try:
        builder.download_and_prepare(num_proc=num_proc or num_cores())
    except multiprocess.TimeoutError as error:
        # datasets waits for its workers 50 ms after a Ctrl-C, and complains of them instead.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    except DatasetGenerationError as error:
        raise OSError(f"simulated:{config} cannot be written to {builder.cache_dir}: {reason(error)}") from error
    return builder.as_dataset(split)


def reason(error: DatasetGenerationError) -> str:
    """The line that says why, also where the cause is a worker's printed stack."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return next((line for line in lines if "Error: " in line and not line.startswith(" ")), lines[0])
