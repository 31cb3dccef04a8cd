import pytest

from smoke_vq.preparation.futures.plan import TEST_SEED, FuturesPlan
from smoke_vq.preparation.plumes.builder import PLUME_CONFIGS
from smoke_vq.simulation import PlumeSettings

SETTINGS = PlumeSettings(16)


def test_each_plume_is_one_file():
    plan = FuturesPlan(SETTINGS, 3, (4, 9), 5, 2)
    assert plan.shards() == {f"test-0000{i}-of-00003.parquet": TEST_SEED + i for i in range(3)}
    assert plan.frames_per_plume() == 4 + 9 + 2 * 5 * 2
    values = plan.to_dict()
    assert values["starts"] == [4, 9] and values["num_frames"] == 2 and values["background"] == "black"


def test_no_seed_of_the_default_test_set_is_in_a_simulated_dataset():
    seeds = set(FuturesPlan(SETTINGS).shards().values())
    for config in PLUME_CONFIGS.values():
        assert all(seeds.isdisjoint(block) for block in config.seeds().values())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_plumes": 0}, "num_plumes is 0: expected at least 1"),
        ({"num_members": 2}, "num_members is 2: expected at least 3"),
        ({"num_frames": 0}, "num_frames is 0: expected at least 1"),
        ({"starts": ()}, r"starts are \[\]: expected increasing numbers from 1 on"),
        ({"starts": (0, 3)}, r"starts are \[0, 3\]: expected"),
        ({"starts": (9, 4)}, r"starts are \[9, 4\]: expected"),
        ({"starts": (4, 4)}, r"starts are \[4, 4\]: expected"),
        ({"seed": 0}, "start at 0: expected seeds from 2000000000 to 4294967294"),
        ({"seed": 2**32 - 2, "num_plumes": 2}, "start at 4294967294: expected seeds"),
    ],
)
def test_invalid_plans_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        FuturesPlan(SETTINGS, **changes)
