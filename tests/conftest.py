"""Shared fixtures: a tiny model, a few frames, a dataset folder, a Hub on loopback."""

import io
import os
import pickle
import signal
import tempfile

# Set before datasets, huggingface_hub and numba are imported: no network, and temporary caches. Numba's, which
# pymatting fills, has pickles, which no test may read.
_CACHE = tempfile.TemporaryDirectory(prefix="smoke_vq_tests_")
os.environ["HF_HOME"] = _CACHE.name
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NUMBA_CACHE_DIR"] = f"{_CACHE.name}/numba"

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

SIZE = 16
_PICKLE_LOAD, _TORCH_LOAD = pickle.load, torch.load


@pytest.fixture(scope="session", autouse=True)
def no_pickle():
    """No test may read a pickle, so that the library never does."""

    def refuse(*args, **kwargs):
        raise AssertionError("a pickle is read")

    def load(*args, weights_only=True, **kwargs):
        return _TORCH_LOAD(*args, weights_only=True, **kwargs) if weights_only is not False else refuse()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pickle, "load", refuse)
        patch.setattr(torch, "load", load)
        yield patch


@pytest.fixture
def pickle_allowed(monkeypatch):
    monkeypatch.setattr(pickle, "load", _PICKLE_LOAD)
    monkeypatch.setattr(torch, "load", _TORCH_LOAD)


torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread():
    """Scripts that earlier tests ran in this process use all cores, with sums in another order."""
    torch.set_num_threads(1)


# A background process of a shell ignores Ctrl-C, and so would the runs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def smoke(count: int, size: int = SIZE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grey blobs of noise on black: images (count, size, size, 3) and alphas (count, size, size), uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    centre = rng.uniform(0.3, 0.7, (count, 2, 1, 1))
    blob = np.clip(1 - 9 * ((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2), 0, 1)
    alpha = (255 * blob).round().astype(np.uint8)
    colour = rng.uniform(0.5, 1, (count, size, size, 3))
    return (alpha[..., None] * colour).round().astype(np.uint8), alpha


@pytest.fixture
def tiny_kwargs() -> dict:
    """16x16 RGB to 8x8 codes out of 32."""
    return {
        "sample_size": SIZE,
        "latent_channels": 8,
        "encoder_block_out_channels": (8, 16),
        "decoder_block_out_channels": (16, 8),
        "layers_per_block": 1,
        "num_vq_embeddings": 32,
    }


@pytest.fixture
def tiny_model(tiny_kwargs):
    """A tiny model whose codes are latents, so that many of them are used."""
    from smoke_vq import SmokeVQVAE

    torch.manual_seed(0)
    model = SmokeVQVAE(**tiny_kwargs).eval()
    latents = model.encode(torch.rand(8, 3, SIZE, SIZE) * 2 - 1).latents
    model.quantizer.codebook.data = latents.permute(0, 2, 3, 1).flatten(0, 2)[:: 8 * 8 * 8 // 32].detach().clone()
    return model


@pytest.fixture
def pixel_values() -> torch.Tensor:
    """(3, 3, 16, 16) in [-1, 1]."""
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def same(tiny_model, pixel_values):
    """A function (model) -> whether its reconstructions are bit-identical to those of `tiny_model`."""

    @torch.no_grad()
    def same(model) -> bool:
        return torch.equal(model(pixel_values).sample, tiny_model(pixel_values).sample)

    return same


@pytest.fixture
def tiny_frames():
    """24 packed frames with alpha, 16x16."""
    from smoke_vq.data.frames import PackedFrames

    return PackedFrames(*map(torch.from_numpy, smoke(24)), name="tiny frames")


@pytest.fixture
def write_dataset(tmp_path):
    """A function (name, splits) that writes rows {image, alpha} of PNG bytes as a Parquet dataset folder."""

    def write(name: str, splits: dict[str, list[dict[str, bytes]]]):
        from datasets import Dataset, Features
        from datasets import Image as ImageColumn

        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        for split, rows in splits.items():
            features = Features({column: ImageColumn() for column in (rows[0] if rows else ("image", "alpha"))})
            columns = {column: [{"bytes": row[column], "path": None} for row in rows] for column in features}
            dataset = Dataset.from_dict(columns, features=features)
            dataset.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
        return folder

    return write


@pytest.fixture
def few_plumes(monkeypatch):
    """The configuration "tiny" of simulated plumes with one short simulation in each split."""
    from smoke_vq.preparation.plumes.builder import PLUME_CONFIGS

    for name, value in {"num_frames": 6, "train_simulations": 1, "validation_simulations": 1}.items():
        monkeypatch.setattr(PLUME_CONFIGS["tiny"], name, value)


@pytest.fixture
def hub(monkeypatch, tmp_path_factory):
    """A Hub on loopback; until the test ends, the client of this process uses it, logged in as "user"."""
    from loopback_hub import LoopbackHub, client_of

    with LoopbackHub() as hub, client_of(hub, tmp_path_factory.mktemp("client"), monkeypatch):
        yield hub


@pytest.fixture
def rows():
    """A function (count, seed) -> rows {image, alpha} of PNG bytes."""

    def make(count: int, seed: int = 0, size: int = SIZE) -> list[dict[str, bytes]]:
        images, alphas = smoke(count, size, seed)
        return [{"image": png(image), "alpha": png(alpha)} for image, alpha in zip(images, alphas, strict=True)]

    return make


@pytest.fixture
def dataset_folder(write_dataset, rows):
    """A Parquet folder with 24 training frames (those of `tiny_frames`) and 10 validation frames."""
    return write_dataset("smoke", {"train": rows(24), "validation": rows(10, seed=1)})
