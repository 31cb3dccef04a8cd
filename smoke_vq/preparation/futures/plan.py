"""Which futures a folder contains, and in which file each of them is."""

from dataclasses import asdict, dataclass

from ...simulation import SIMULATION_VERSION, PlumeSettings
from ..plumes.plan import background_entries
from ..plumes.rows import LAST_SEED

# The seeds from here on are for tests of forecasts; train and validation splits of simulated plumes use lower ones.
TEST_SEED = 2_000_000_000
TEST = "test"  # the only split


@dataclass(frozen=True)
class FuturesPlan:
    """Contents of a folder of futures; see `simulate_futures`.

    plume: size, dimensions and background; `plume.num_frames` is not used.
    num_plumes: number of plumes, with consecutive seeds from `seed` on. Each of them is one file.
    starts: numbers of observed frames, each at least 1, in increasing order.
    num_members: continuations from each start, at least 3, so that members can be compared with each other.
    num_frames: frames of each continuation.
    device: "cpu" or "cuda".
    """

    plume: PlumeSettings
    num_plumes: int = 32
    starts: tuple[int, ...] = (16, 40)
    num_members: int = 16
    num_frames: int = 16
    seed: int = TEST_SEED
    device: str = "cpu"

    def __post_init__(self):
        for name, least in (("num_plumes", 1), ("num_members", 3), ("num_frames", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: expected at least {least}.")
        if not self.starts or self.starts[0] < 1 or list(self.starts) != sorted(set(self.starts)):
            raise ValueError(f"The starts are {list(self.starts)}: expected increasing numbers from 1 on.")
        if self.seed < TEST_SEED or self.seed + self.num_plumes - 1 > LAST_SEED:
            raise ValueError(
                f"The {self.num_plumes} seeds of the test start at {self.seed}: expected seeds from {TEST_SEED} to "
                f"{LAST_SEED}, which are kept apart from training and validation."
            )

    def shards(self) -> dict[str, int]:
        """The seed of the plume in each file, by file name."""
        return {f"{TEST}-{i:05d}-of-{self.num_plumes:05d}.parquet": self.seed + i for i in range(self.num_plumes)}

    def frames_per_plume(self) -> int:
        """Number of rows in each file."""
        return sum(start + self.num_members * self.num_frames for start in self.starts)

    def to_dict(self) -> dict:
        """Everything that the frames depend on; a background image is stored by name and checksum, without its path."""
        values = asdict(self)
        plume = values.pop("plume") | background_entries(self.plume.background)
        values = {"simulation_version": SIMULATION_VERSION, **plume, **values}
        return values | {"starts": list(self.starts)}
