"""Simulated plumes as a `datasets` builder, with named configurations, a cache and worker processes.

frames = load_simulated("small", "validation")
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
from ..jobs import num_cores, settings_hash
from .rows import TRAIN_SEED, VALIDATION_SEED, check_disk_space, plume_features, plume_rows, plume_seeds

_SIMULATIONS_PER_CUDA_BATCH = 32


@dataclasses.dataclass
class PlumeConfig(datasets.BuilderConfig):
    """Number, seeds and settings of the simulations.

    size, num_frames, dimensions, background: see `PlumeSettings`; `num_frames` is the length of one simulation.
    train_simulations, validation_simulations: simulations per split, with consecutive seeds.
    train_seed, validation_seed: seed of the first simulation of each split.
    device: "cpu" or "cuda". On a GPU, the last bits of a simulation depend on the others in its batch.
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
        """Name of the folder in the cache, which changes with every setting."""
        values = {field.name: str(getattr(self, field.name)) for field in dataclasses.fields(self)}
        if Path(self.background).is_file():
            values["background"] = Path(self.background).read_bytes().hex()
        features = str(custom_features or plume_features())
        return f"{self.name}-{settings_hash({**values, 'features': features})}"

    def plume_settings(self) -> PlumeSettings:
        return PlumeSettings(self.size, self.num_frames, self.dimensions, self.background)

    def seeds(self) -> dict[str, range]:
        return plume_seeds(self.train_simulations, self.validation_simulations, self.train_seed, self.validation_seed)


PLUME_CONFIGS = {
    config.name: config
    for config in (
        PlumeConfig("tiny", num_frames=16, train_simulations=8, validation_simulations=2),
        PlumeConfig("small", num_frames=32, train_simulations=56, validation_simulations=8),
        PlumeConfig("default"),
        PlumeConfig("large", train_simulations=15_360, validation_simulations=1_024),
    )
}


class SimulatedPlumes(datasets.GeneratorBasedBuilder):
    """Frames of simulated plumes.

    Fields of `PlumeConfig` are accepted as keyword arguments: `SimulatedPlumes(config_name="tiny", size=32)`.
    """

    BUILDER_CONFIG_CLASS = PlumeConfig
    BUILDER_CONFIGS: ClassVar = list(PLUME_CONFIGS.values())
    DEFAULT_CONFIG_NAME = "default"
    VERSION = datasets.Version(SIMULATION_VERSION)

    def __init__(self, *args, **kwargs):
        # By default the cache folder has the name of this module, which would change if the file is renamed.
        super().__init__(*args, dataset_name="simulated_plumes", **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        self.config.plume_settings()  # raises ValueError for invalid settings
        splits = datasets.SplitDict(dataset_name=self.dataset_name)
        for split, seeds in self.config.seeds().items():
            splits.add(datasets.SplitInfo(split, num_examples=len(seeds) * self.config.num_frames))
        return datasets.DatasetInfo(
            description="Simulated, lit smoke plumes in front of a constant background.",
            features=plume_features(),
            license="cc0-1.0",
            splits=splits,
        )

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        step = 1 if self.config.device == "cpu" else _SIMULATIONS_PER_CUDA_BATCH
        return [
            datasets.SplitGenerator(
                split, gen_kwargs={"seeds": [tuple(seeds[i : i + step]) for i in range(0, len(seeds), step)]}
            )
            for split, seeds in self.config.seeds().items()
        ]

    def _prepare_split(self, split_generator, *args, num_proc: int | None = None, **kwargs) -> None:
        """Use at most one process per simulation, and a single one on a GPU, which forked processes cannot use."""
        most = len(split_generator.gen_kwargs["seeds"]) if self.config.device == "cpu" else 1
        super()._prepare_split(split_generator, *args, num_proc=min(num_proc or 1, most), **kwargs)

    def _generate_examples(self, seeds: list[tuple[int, ...]]) -> Iterator[tuple[str, dict]]:
        if multiprocess.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends its workers on Ctrl-C
        for batch in seeds:
            for recording in simulate_plumes(batch, self.config.plume_settings(), self.config.device):
                for row in plume_rows(recording):
                    yield f"{row['sequence_id']}-{row['frame']:06d}", row


def load_simulated(config: str = "default", split: str = "train", num_proc: int | None = None) -> datasets.Dataset:
    """Load one split, which is simulated at the first call and then read from the cache (HF_DATASETS_CACHE).

    Args:
        config: a name in `PLUME_CONFIGS`.
        split: "train", "validation", or a slice ("train[:10%]").
        num_proc: worker processes (default: one per core). The frames do not depend on it.

    Raises:
        ValueError: the configuration or the split is unknown.
        OSError: the frames cannot be written.
    """
    settings = choose(PLUME_CONFIGS, config, "configuration of simulated plumes")
    unknown = {part.split("[")[0].strip() for part in split.split("+")} - set(settings.seeds())
    if unknown:
        raise ValueError(f"simulated:{config} has no split {unknown.pop()!r}: expected {list(settings.seeds())}.")
    builder = SimulatedPlumes(config_name=config)
    if not Path(builder.cache_dir).exists():
        frames = sum(info.num_examples for info in builder.info.splits.values())
        check_disk_space(builder.cache_dir, frames, settings.plume_settings())
    try:
        builder.download_and_prepare(num_proc=num_proc or num_cores())
    except multiprocess.TimeoutError as error:
        # datasets waits 50 ms for its workers after a Ctrl-C, and then raises this instead.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    except DatasetGenerationError as error:
        raise OSError(f"simulated:{config} cannot be written to {builder.cache_dir}: {_reason(error)}") from error
    return builder.as_dataset(split)


def _reason(error: DatasetGenerationError) -> str:
    """The line with the cause, even if that is the printed traceback of a worker process."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return next((line for line in lines if "Error: " in line and not line.startswith(" ")), lines[0])
