"""Properties of configurations and of the processor, over many drawn examples."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from smoke_vq import SmokeImageProcessor, SmokeVQVAE
from smoke_vq.checks import check_count, check_positive
from smoke_vq.downloads.checksums import read_checksums, write_checksums
from smoke_vq.hub.markdown import as_code, as_plain

settings.register_profile("few", max_examples=25, deadline=None, derandomize=True, database=None)
settings.load_profile("few")

SIZE = 8
ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
)
CHANNELS = st.lists(st.sampled_from([4, 8, 12]), min_size=1, max_size=3)
QUANTIZERS = [
    *(("vq", None), ("vq", {"cosine": True, "search_dim": 2}), ("ema", None), ("fsq", {"levels": [4, 2]})),
    *(("residual", {"depth": 2}), ("grouped", {"num_groups": 2}), ("bsq", None), ("lfq", None)),
]
NAMES = st.from_regex(r"[a-z_.][a-z0-9_. -]{0,8}[a-z]", fullmatch=True)


@st.composite
def configurations(draw) -> dict:
    """Valid configurations of small models."""
    levels = draw(st.integers(1, 3))
    channels = st.lists(st.sampled_from([4, 8, 12]), min_size=levels, max_size=levels)
    latents = draw(st.sampled_from([4, 6, 8]))
    quantizer, kwargs = draw(st.sampled_from(QUANTIZERS))
    return {
        "sample_size": 2 ** (levels - 1) * draw(st.integers(1, 3)) * 2,
        "in_channels": (grey := draw(st.sampled_from([1, 3]))),
        "out_channels": grey,
        "latent_channels": latents,
        "encoder_block_out_channels": draw(channels),
        "decoder_block_out_channels": draw(channels),
        "layers_per_block": draw(st.integers(1, 2)),
        "mid_block_attention": draw(st.booleans()),
        "quantizer_type": quantizer,
        "quantizer_kwargs": kwargs,
        "num_vq_embeddings": 8,
    }


@torch.no_grad()
@given(configurations(), st.integers(1, 2))
def test_every_valid_configuration_builds_a_model_whose_methods_agree(config, batch):
    torch.manual_seed(0)
    model = SmokeVQVAE(**config).eval()
    size = config["sample_size"]
    pixel_values = torch.rand(batch, config["in_channels"], size, size) * 2 - 1
    output = model(pixel_values)
    assert output.sample.shape == pixel_values.shape and output.sample.abs().max() <= 1
    assert torch.equal(model.encode(pixel_values).indices, output.indices)
    assert torch.equal(model.decode_indices(output.indices).sample, output.sample)
    assert output.indices.min() >= 0 and output.indices.max() < config["num_vq_embeddings"]


@given(st.data())
def test_another_value_of_a_key_is_accepted_or_refused_in_one_sentence(data):
    keys = ["sample_size", "in_channels", "latent_channels", "layers_per_block", "num_vq_embeddings", "scaling_factor"]
    keys += ["encoder_block_out_channels", "mid_block_attention", "latents_mean", "latents_std", "quantizer_kwargs"]
    small = st.one_of(st.integers(-3, 8), ANYTHING.filter(lambda value: not isinstance(value, int) or value < 9))
    config = data.draw(configurations()) | {data.draw(st.sampled_from(keys)): data.draw(small)}
    try:
        with torch.device("meta"):
            SmokeVQVAE(**config)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 600


@given(st_numpy.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(SIZE), st.just(SIZE), st.just(3))))
def test_every_picture_comes_back_exactly(images):
    processor = SmokeImageProcessor(size=SIZE)
    inputs = processor(images)
    assert np.array_equal(processor.postprocess(inputs.pixel_values, "np"), images)
    assert inputs.pixel_values.abs().max() <= 1
    assert torch.equal(inputs.mask[:, 0].bool(), torch.from_numpy(images).amax(dim=-1) > 1)


@given(st_numpy.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_every_size_is_resized_within_the_range_of_its_pixels(image):
    output = SmokeImageProcessor(size=SIZE)(image).pixel_values
    assert output.shape == (1, 3, SIZE, SIZE) and output.abs().max() <= 1
    if min(image.shape[:2]) >= SIZE:
        low, high = float(image.min()) / 127.5 - 1, float(image.max()) / 127.5 - 1
        assert low - 1e-5 <= output.min() and output.max() <= high + 1e-5


@given(
    st.one_of(
        ANYTHING,
        st.dictionaries(st.text(max_size=2), ANYTHING, max_size=2),
        st.lists(ANYTHING, max_size=2),
        st_numpy.arrays(st_numpy.scalar_dtypes(), st_numpy.array_shapes(max_dims=5, max_side=4)),
    )
)
def test_anything_else_than_pictures_is_refused_in_one_sentence(images):
    if isinstance(images, np.ndarray) and images.dtype == np.uint8:
        return
    with pytest.raises(ValueError, match=r"^Expected") as raised:
        SmokeImageProcessor(size=SIZE)(images)
    assert len(str(raised.value)) < 300


@given(ANYTHING)
def test_counts_and_positive_numbers(value):
    is_count = type(value) is int and value >= 1
    is_positive = type(value) in (int, float) and 0 < value < math.inf
    for check, holds in ((check_count, is_count), (check_positive, is_positive)):
        if holds:
            check("x", value)
        else:
            with pytest.raises(ValueError, match="x expects"):
                check("x", value)


@given(st.text())
def test_no_text_leaves_its_place_in_a_card(text):
    assert not {"`", "\n", "\r"} & {*as_code(text)}
    plain = as_plain(text)
    assert not {"\n", "\r"} & {*plain}
    for index, character in enumerate(plain):
        if character in "[]<`|":
            backslashes = len(plain[:index]) - len(plain[:index].rstrip("\\"))
            assert backslashes % 2 == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, st.binary(max_size=9), max_size=4))
def test_checksums_are_read_as_they_were_written(tmp_path, files):
    for path in tmp_path.iterdir():
        path.unlink()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    written = {name: f"{index:064x}" for index, name in enumerate(files)}
    write_checksums(tmp_path, written)
    assert read_checksums(tmp_path) == written
