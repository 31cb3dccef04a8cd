"""Which simulations a folder of simulated plumes holds, and in which of its files."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from ...simulation import SIMULATION_VERSION, PlumeSettings
from .rows import TRAIN_SEED, VALIDATION_SEED, seed_blocks


@dataclass(frozen=True)
class PlumesPlan:
    """What a folder of simulated plumes holds.

    plume: what all simulations share; `plume.num_frames` is the length of one.
    num_frames, validation_frames: rows of the splits; the last simulation of a split ends where they do.
    seed, validation_seed: of the first simulation of each split; the others' follow on it.
    simulations_per_shard: simulated together on a GPU, whose last bits depend on it.
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
        if self.num_frames < 1:
            raise ValueError(f"num-frames is {self.num_frames}: expected 1 training frame or more.")
        if self.validation_frames < 0:
            raise ValueError(f"validation-frames is {self.validation_frames}: expected 0 or more.")
        if self.simulations_per_shard < 1:
            raise ValueError(f"simulations-per-shard is {self.simulations_per_shard}: expected 1 or more.")
        self.seeds()

    def frames(self) -> dict[str, int]:
        """Rows by split."""
        return {"train": self.num_frames} | ({"validation": self.validation_frames} if self.validation_frames else {})

    def seeds(self) -> dict[str, range]:
        length = self.plume.num_frames
        counts = [-(-frames // length) for frames in (self.num_frames, self.validation_frames)]
        return seed_blocks(*counts, self.seed, self.validation_seed)

    def shards(self) -> list["Shard"]:
        shards = []
        for split, seeds in self.seeds().items():
            starts = range(0, len(seeds), self.simulations_per_shard)
            for index, start in enumerate(starts):
                chosen = tuple(seeds[start : start + self.simulations_per_shard])
                left = self.frames()[split] - start * self.plume.num_frames
                name = f"{split}-{index:05d}-of-{len(starts):05d}.parquet"
                shards.append(Shard(name, split, chosen, min(left, len(chosen) * self.plume.num_frames)))
        return shards

    def to_dict(self) -> dict:
        """All that the frames depend on, with no path of this machine in it."""
        background = Path(self.plume.background)
        values = {"frames_per_simulation": self.plume.num_frames, **asdict(self.plume), **asdict(self)}
        if background.is_file():
            values["background"] = background.name
            values["background_sha256"] = sha256(background.read_bytes()).hexdigest()
        return {"simulation_version": SIMULATION_VERSION} | {key: values[key] for key in values if key != "plume"}


@dataclass(frozen=True)
class Shard:
    """One Parquet file: its name, the seeds of its simulations, and its number of rows."""

    name: str
    split: str
    seeds: tuple[int, ...]
    num_frames: int
