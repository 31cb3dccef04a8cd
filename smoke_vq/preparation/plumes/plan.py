"""Which simulations a folder of simulated plumes contains, and in which file each of them is."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from ...simulation import SIMULATION_VERSION, PlumeSettings
from .rows import TRAIN_SEED, VALIDATION_SEED, plume_seeds


@dataclass(frozen=True)
class PlumeShard:
    """One Parquet file: its name, the seeds of its simulations, and its number of rows."""

    name: str
    split: str
    seeds: tuple[int, ...]
    num_frames: int


@dataclass(frozen=True)
class PlumePlan:
    """Contents of a folder of simulated plumes.

    plume: settings of all simulations; `plume.num_frames` is the length of one simulation.
    num_frames, validation_frames: rows of each split; the last simulation of a split may be shorter than the others.
    seed, validation_seed: seed of the first simulation of each split; the other seeds follow.
    simulations_per_shard: simulations per file. A GPU runs them as one batch, whose last bits depend on its size.
    device: "cpu" or "cuda".
    """

    plume: PlumeSettings
    num_frames: int
    validation_frames: int
    seed: int = TRAIN_SEED
    validation_seed: int = VALIDATION_SEED
    simulations_per_shard: int = 4
    device: str = "cpu"

    def __post_init__(self):
        for name, least in (("num_frames", 1), ("validation_frames", 0), ("simulations_per_shard", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)}: expected at least {least}.")
        self.seeds()

    def frames(self) -> dict[str, int]:
        """Number of rows by split."""
        return {"train": self.num_frames} | ({"validation": self.validation_frames} if self.validation_frames else {})

    def seeds(self) -> dict[str, range]:
        """Seeds by split."""
        length = self.plume.num_frames
        counts = [-(-frames // length) for frames in (self.num_frames, self.validation_frames)]
        return plume_seeds(*counts, self.seed, self.validation_seed)

    def shards(self) -> list[PlumeShard]:
        """All files, in order."""
        shards = []
        for split, seeds in self.seeds().items():
            starts = range(0, len(seeds), self.simulations_per_shard)
            for index, start in enumerate(starts):
                chosen = tuple(seeds[start : start + self.simulations_per_shard])
                left = self.frames()[split] - start * self.plume.num_frames
                name = f"{split}-{index:05d}-of-{len(starts):05d}.parquet"
                shards.append(PlumeShard(name, split, chosen, min(left, len(chosen) * self.plume.num_frames)))
        return shards

    def to_dict(self) -> dict:
        """Everything that the frames depend on; a background image is stored by name and checksum, without its path."""
        values = {"frames_per_simulation": self.plume.num_frames, **asdict(self.plume), **asdict(self)}
        values |= background_entries(self.plume.background)
        return {"simulation_version": SIMULATION_VERSION} | {key: values[key] for key in values if key != "plume"}


def background_entries(background: str) -> dict[str, str]:
    """The entries of a settings file for a background: a colour, or name and checksum of an image, without its path."""
    path = Path(background)
    if not path.is_file():
        return {"background": background}
    return {"background": path.name, "background_sha256": sha256(path.read_bytes()).hexdigest()}
