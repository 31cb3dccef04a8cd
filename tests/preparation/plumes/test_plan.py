import pytest

from smoke_vq.preparation.plumes.plan import PlumePlan
from smoke_vq.simulation import PlumeSettings


@pytest.mark.parametrize("num_frames", [1, 4, 5, 16, 47, 48])
@pytest.mark.parametrize("simulations_per_shard", [1, 3, 100])
def test_shards_contain_each_simulation_once_and_all_frames(num_frames, simulations_per_shard):
    plan = PlumePlan(PlumeSettings(16, 4, 2), num_frames, 7, 5, 100, simulations_per_shard)
    train = [shard for shard in plan.shards() if shard.split == "train"]
    validation = [shard for shard in plan.shards() if shard.split == "validation"]
    assert sum(shard.num_frames for shard in train) == num_frames
    assert sum(shard.num_frames for shard in validation) == 7
    assert [seed for shard in train for seed in shard.seeds] == list(range(5, 5 + -(-num_frames // 4)))
    assert [seed for shard in validation for seed in shard.seeds] == [100, 101]
    for shard in plan.shards():
        assert 4 * (len(shard.seeds) - 1) < shard.num_frames <= 4 * len(shard.seeds) <= 4 * simulations_per_shard
    assert len({shard.name for shard in plan.shards()}) == len(plan.shards())


def test_without_validation_frames_there_is_no_validation_split():
    plan = PlumePlan(PlumeSettings(16, 4, 2), 8, 0)
    assert plan.frames() == {"train": 8} and {shard.split for shard in plan.shards()} == {"train"}
