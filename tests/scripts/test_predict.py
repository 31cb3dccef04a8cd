"""scripts/predict.py as a user runs it, with a tiny forecaster: a film, a figure and the frames."""

import numpy as np
import pytest
from forecasters import clip, make_pipeline, pipeline  # noqa: F401
from PIL import Image
from synthetic_clips import write_video
from training_runs import run

pytest.importorskip("matplotlib")


@pytest.fixture
def predict(pipeline, clip, tmp_path):  # noqa: F811
    """A function (flags) that runs the script on the tiny forecaster and a clip of 5 frames in `tmp_path`."""
    pipeline.save_pretrained(tmp_path / "model")
    np.savez(tmp_path / "clip.npz", frames=clip)

    def predict(flags: str = "", clip: str = str(tmp_path / "clip.npz")):
        defaults = f"--model {tmp_path / 'model'} --input {clip} --output {tmp_path / 'out' / 'film.webp'}"
        return run("predict.py", f"{defaults} --num-frames 3 --num-inference-steps 2 --device cpu {flags}")

    return predict


def sizes(path) -> tuple[int, tuple[int, int]]:
    """Number of frames and size of a film."""
    if path.suffix == ".mp4":
        import av

        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return len(frames), frames[0].shape[1::-1]
    film = Image.open(path)
    return film.n_frames, film.size


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".mp4"])
def test_a_film_of_observed_frames_and_forecast(predict, tmp_path, suffix):
    if suffix == ".mp4":
        pytest.importorskip("av")
    film = tmp_path / f"film{suffix}"
    ended = predict(f"--output {film}")
    assert ended.code == 0 and "6 forecast(s) of 3 frames from 5" in ended.out, ended.err
    frames, (width, height) = sizes(film)
    assert frames == 4 + 3  # observed, predicted
    assert (width, height) == (5 * 3 * 16 + 4 * 2, 24 + 3 * 16)  # mean, three samples, spread
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["clip.npz", "model", film.name])


def test_the_truth_gives_a_panel_a_figure_and_errors(predict, tmp_path):
    ended = predict("--observed 4 --save-frames " + str(tmp_path / "frames.npz"))
    assert ended.code == 0, ended.err
    assert "PSNR over 1 frames: mean of the samples" in ended.out and "repeat the last frame" in ended.out
    assert sizes(tmp_path / "out" / "film.webp")[1][0] == 6 * 3 * 16 + 5 * 2
    assert Image.open(tmp_path / "out" / "film_psnr.png").format == "PNG"
    with np.load(tmp_path / "frames.npz") as found:
        shapes = {name: (array.shape, array.dtype) for name, array in found.items()}
    frame = (16, 16, 3)
    uint8 = np.dtype(np.uint8)
    assert shapes == {
        "observed": ((4, *frame), uint8),
        "prediction": ((6, 3, *frame), uint8),
        "truth": ((1, *frame), uint8),
    }


def test_the_seed_gives_the_same_frames(predict, tmp_path):
    found = []
    for seed in (0, 0, 1):
        assert predict(f"--seed {seed} --save-frames {tmp_path / 'frames.npz'}").code == 0
        with np.load(tmp_path / "frames.npz") as file:
            found.append(file["prediction"])
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_a_simulated_plume_has_a_known_future(predict, tmp_path):
    ended = predict("", "simulated:2000000000")
    assert ended.code == 0 and "3 frames from 16" in ended.out and "PSNR over 3 frames" in ended.out, ended.err


def test_a_regression_has_one_panel(make_pipeline, predict, tmp_path):  # noqa: F811
    make_pipeline(coupling="regression").save_pretrained(tmp_path / "model")
    ended = predict("--observed 4")
    assert ended.code == 0 and "1 forecast(s)" in ended.out and "dB, repeat the last frame" in ended.out, ended.err
    assert sizes(tmp_path / "out" / "film.webp")[1][0] == 2 * 3 * 16 + 2


@pytest.mark.parametrize(
    ("flags", "clip_name", "sentence"),
    [
        ("--num-inference-steps 0", None, "error: num-inference-steps expects 1 or more, found 0."),
        ("--num-samples 0", None, "error: num-samples expects 1 or more, found 0."),
        ("--observed 3", None, "needs 4 observed frames or more, found 3"),
        ("--observed 9", None, "observed is 9, but"),
        ("--output film.avi", None, "Unknown film format '.avi': expected one of"),
        ("--sampler eular", None, "Unknown sampler 'eular'"),
        ("", "simulated:plume", "simulated: expects the seed of a plume, from 0 to 4294967294, found 'plume'"),
        ("", "missing.mp4", "The clip 'missing.mp4' does not exist"),
        ("--input-fps 0", None, "input-fps expects a finite number above 0, found 0.0"),
        ("--input-fps 6", None, "has no frame rate: fps is for videos"),
        ("--model nowhere", None, "The folder 'nowhere' does not exist"),
    ],
)
def test_invalid_arguments_are_refused_before_a_file_is_written(predict, tmp_path, flags, clip_name, sentence):
    ended = predict(flags) if clip_name is None else predict(flags, clip_name)
    assert ended.code == 2 and sentence in ended.err and "Traceback" not in ended.err, ended.err
    assert not (tmp_path / "out").exists()


def test_frames_of_another_size_are_resized_on_request(predict, tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((4, 20, 20, 3), np.uint8))
    ended = predict("", str(tmp_path / "large.npy"))
    assert ended.code == 2 and "Expected frames of 16x16, found 20x20" in ended.err
    assert predict("--resize", str(tmp_path / "large.npy")).code == 0


def test_a_large_video_is_read_at_the_size_and_frame_rate_that_are_needed(predict, tmp_path):
    frames = np.stack([np.full((36, 64, 3), 8 * number, np.uint8) for number in range(12)])
    write_video(tmp_path / "clip.mp4", frames)
    ended = predict(f"--resize --input-fps 6 --save-frames {tmp_path / 'frames.npz'}", str(tmp_path / "clip.mp4"))
    assert ended.code == 0 and "of 3 frames from 6." in ended.out, ended.err
    observed = np.load(tmp_path / "frames.npz")["observed"]
    assert observed.shape[1:] == (16, 16, 3) and abs(int(observed[-1].mean()) - 80) < 3
