"""The `datasets` builder of simulated plumes, with small two-dimensional simulations."""

import datasets
import numpy as np
import pytest
import torch

from smoke_vq.preparation.plumes import builder as builder_module
from smoke_vq.preparation.plumes import rows as rows_module
from smoke_vq.preparation.plumes.builder import PLUME_CONFIGS, PlumeConfig, SimulatedPlumes, load_simulated
from smoke_vq.simulation import PlumeParameters, PlumeSettings, film

QUICK = {"size": 16, "dimensions": 2, "num_frames": 3, "train_simulations": 3, "validation_simulations": 1}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def quick(cache, monkeypatch):
    """Makes the configuration 'tiny' faster."""
    for name, value in QUICK.items():
        monkeypatch.setattr(PLUME_CONFIGS["tiny"], name, value)


def builder(folder, **changes) -> SimulatedPlumes:
    return SimulatedPlumes(cache_dir=str(folder), config_name="tiny", **{**QUICK, **changes})


def frames(dataset) -> list[tuple]:
    return [
        (
            row["sequence_id"],
            row["frame"],
            np.array(row["image"]).tobytes(),
            np.array(row["alpha"]).tobytes(),
            row["params"],
        )
        for row in dataset
    ]


@pytest.mark.parametrize(
    ("name", "train", "validation"),
    [("tiny", 128, 32), ("small", 1_792, 256), ("default", 9_216, 1_024), ("large", 983_040, 65_536)],
)
def test_number_of_frames_and_no_seed_in_two_splits(cache, name, train, validation):
    info = SimulatedPlumes(config_name=name).info
    assert {split: size.num_examples for split, size in info.splits.items()} == {
        "train": train,
        "validation": validation,
    }
    seeds = PLUME_CONFIGS[name].seeds()
    assert not set(seeds["train"]) & set(seeds["validation"])
    assert {len(block) * PLUME_CONFIGS[name].num_frames for block in seeds.values()} == {train, validation}


def test_frames_are_simulated_once_and_loaded_unchanged(quick, monkeypatch):
    loaded = load_simulated("tiny", num_proc=1)
    assert list(loaded.features) == ["image", "alpha", "sequence_id", "frame", "seed", "params"]
    assert loaded["seed"][:] == [0, 0, 0, 1, 1, 1, 2, 2, 2] and loaded["frame"][:] == [0, 1, 2] * 3
    row = loaded[4]
    plume = PlumeParameters(**row["params"])
    (recording,) = film([plume], PlumeSettings(16, 3, 2))
    assert np.array_equal(np.array(row["image"]), recording.image[1])
    assert np.array_equal(np.array(row["alpha"]), recording.alpha[1])
    assert row["sequence_id"] == "plume-0000000001" and plume.seed == row["seed"] == 1
    monkeypatch.setattr(builder_module, "simulate_plumes", lambda *_: pytest.fail("simulated again"))
    assert load_simulated("tiny", "validation")["seed"][:] == [1_000_000_000] * 3
    assert len(load_simulated("tiny", "train[:4]+validation")) == 7


def test_frames_do_not_depend_on_processes_or_streaming(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # forked workers would deadlock if they used these threads
    torch.randn(400, 400) @ torch.randn(400, 400)
    one, two = builder(tmp_path / "one"), builder(tmp_path / "two")
    try:
        two.download_and_prepare(num_proc=2)
    finally:
        torch.set_num_threads(threads)
    one.download_and_prepare()
    expected = frames(one.as_dataset("train"))
    assert frames(two.as_dataset("train")) == expected and len(expected) == 9
    stream = one.as_streaming_dataset("train")
    assert stream.num_shards == 3
    assert frames(stream) == expected
    assert frames(stream.shard(3, 1)) == expected[3:6]


def test_other_settings_are_cached_elsewhere(tmp_path, monkeypatch):
    def folder(**changes):
        return builder(tmp_path, **changes).cache_dir

    picture = tmp_path / "sky.png"
    contents = []
    for grey in (10, 20):
        picture.write_bytes(rows_module.png(np.full((16, 16, 3), grey, dtype=np.uint8))["bytes"])
        contents.append(folder(background=str(picture)))
    others = [folder(size=24), folder(num_frames=4), folder(background="navy"), folder(validation_seed=9), *contents]
    assert len({folder(), *others}) == 7 and folder() == folder()
    monkeypatch.setattr(PLUME_CONFIGS["tiny"], "version", "9.0.0")
    assert folder() not in others


def test_the_cache_folder_survives_a_renamed_module(tmp_path):
    """It was called 'builder' for a while, so that everything was simulated again."""
    assert builder(tmp_path).cache_dir.startswith(str(tmp_path / "simulated_plumes" / "tiny-"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"validation_seed": 2}, r"train \(0 to 2\) and validation \(2 to 2\) overlap"),
        ({"train_seed": -1}, "seeds of train start at -1"),
        ({"train_simulations": 0}, "simulations is 0 for train"),
        ({"size": 12}, "size is 12: expected"),
        ({"num_frames": 0}, "num_frames is 0: expected"),
        ({"dimensions": 4}, "dimensions is 4: expected 2 or 3"),
        ({"background": "blakc"}, "background is 'blakc': expected"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_written(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        builder(tmp_path / "cache", **changes)
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_is_reported_before_the_first_simulation(cache, monkeypatch):
    monkeypatch.setattr(rows_module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9}))
    with pytest.raises(OSError, match=r"1048576 frames need about 8\.6 GB: the disk of .* has 1\.0 GB free"):
        load_simulated("large")


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_disk_that_fills_up_is_reported_and_no_files_are_left(quick, cache, monkeypatch, num_proc):
    def full(recording):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builder_module, "plume_rows", full)
    with pytest.raises(OSError, match=r"simulated:tiny cannot be written to .*No space left") as raised:
        load_simulated("tiny", num_proc=num_proc)
    assert "\n" not in str(raised.value)
    assert not [path for path in cache.rglob("*") if path.suffix in (".arrow", ".incomplete")]


def test_configurations_are_known_to_datasets():
    assert PlumeConfig("mine", size=32).name == "mine"
    assert SimulatedPlumes.builder_configs.keys() == PLUME_CONFIGS.keys()
