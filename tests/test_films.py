import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from smoke_vq.films import FilmWriter, check_film_format, film_bytes, film_file

av = pytest.importorskip("av")


def picture(number: int, size: tuple[int, int] = (32, 24)) -> Image.Image:
    return Image.new("RGB", size, (8 * number,) * 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_loops_show_every_picture_for_its_time(suffix):
    film = Image.open(io.BytesIO(film_bytes([picture(k) for k in range(5)], suffix, fps=10)))
    assert film.n_frames == 5 and film.size == (32, 24) and film.info["loop"] == 0
    film.load()
    assert film.info["duration"] == 100


def test_an_mp4_has_its_frame_rate_and_even_sizes():
    content = film_bytes([picture(k, (33, 25)) for k in range(7)], ".mp4", fps=29.97)
    with av.open(io.BytesIO(content)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(29.97, abs=1e-3)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 7 and frames[0].shape == (24, 32, 3)
    assert [int(frame.mean() / 8 + 0.5) for frame in frames] == pytest.approx(range(7), abs=1)


def test_the_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "film.mp4"
    with film_file(path, fps=5) as writer:
        for number in range(3):
            writer.add(picture(number))
        assert not path.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]
    before = path.read_bytes()
    with pytest.raises(RuntimeError), film_file(path, fps=5) as writer:
        writer.add(picture(0))
        raise RuntimeError
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_an_mp4_does_not_keep_its_pictures(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    with open(tmp_path / "film", "wb") as file:
        writer = FilmWriter(file, ".mp4", fps=25)
        tracemalloc.start()
        for _ in range(60):
            writer.add(Image.fromarray(noise.copy()))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        writer.close()
    assert peak < 10 * noise.nbytes


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown film format '.avi': expected one of"):
        check_film_format(tmp_path / "film.avi")
