"""scripts/reconstruct.py as a user runs it, with a tiny model."""

import numpy as np
import pytest
from PIL import Image
from synthetic_clips import background, clip
from training_runs import run

from smoke_vq import SmokeImageProcessor

av = pytest.importorskip("av")
pytest.importorskip("cv2")
PANEL = 192  # pixels of a frame: those of the tiny model have 16x16 and are enlarged 12 times


@pytest.fixture(scope="module")
def scene():
    return clip(20)[0]


@pytest.fixture
def reconstruct(tiny_model, tmp_path):
    """A function (input, flags) that runs the script in `tmp_path`."""
    tiny_model.save_pretrained(tmp_path / "model")
    SmokeImageProcessor(size=16).save_pretrained(tmp_path / "model")

    def reconstruct(source, flags: str = ""):
        return run("reconstruct.py", f"{source} --model {tmp_path / 'model'} --output-dir {tmp_path / 'out'} {flags}")

    return reconstruct


def write_video(path, frames, rate=12):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def mp4(path) -> tuple[list[np.ndarray], float]:
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], rate


def test_a_video_is_cut_out_and_shown_in_five_panels(reconstruct, scene, tmp_path):
    ended = reconstruct(write_video(tmp_path / "clip.mp4", scene, rate=10))
    assert ended.code == 0, ended.err
    way, *_, figures, files = ended.out.strip().splitlines()
    assert way == "Smoke was cut out; the background was estimated anew every 120 frames."
    assert figures.startswith("PSNR ") and "masked MSE" in figures and figures.endswith(" of 32 codes in use.")
    assert files == f"clip_reconstruction.mp4, clip_reconstruction.gif: {tmp_path / 'out'}"
    frames, rate = mp4(tmp_path / "out/clip_reconstruction.mp4")
    width = 5 * PANEL + 4 * 2
    assert len(frames) == 20 and rate == 10 and frames[0].shape == (24 + PANEL, width, 3)
    film = Image.open(tmp_path / "out/clip_reconstruction.gif")
    assert film.n_frames == 20 and film.size == (width, 24 + PANEL)
    smoke = np.stack(frames)[:, 24:, PANEL + 2 : 2 * PANEL + 2]
    assert np.median(smoke) < 8 and smoke.max() > 100, "mostly black, with smoke"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == files.split(": ")[0].split(", ")[::-1]


def test_frame_rate_and_length_can_be_chosen(reconstruct, scene, tmp_path):
    video = write_video(tmp_path / "clip.mp4", scene, rate=10)
    ended = reconstruct(video, "--fps 5 --max-frames 9 --formats mp4 webp")
    frames, rate = mp4(tmp_path / "out/clip_reconstruction.mp4")
    assert ended.code == 0 and (len(frames), rate) == (9, 5), ended.err
    assert Image.open(tmp_path / "out/clip_reconstruction.webp").n_frames == 9


def test_smoke_on_black_is_taken_as_it_is(reconstruct, tmp_path):
    from conftest import smoke

    frames = smoke(12, size=32)[0] // 2
    frames[3] = 0
    np.save(tmp_path / "clip.npy", frames)
    ended = reconstruct(tmp_path / "clip.npy", "--formats mp4")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("The frames show smoke on black, and were taken as they are.\n1 of 12 frames have no")
    assert mp4(tmp_path / "out/clip_reconstruction.mp4")[0][0].shape[1] == 4 * PANEL + 3 * 2


@pytest.mark.parametrize("flags", ["", "--cut-out no"])
def test_frames_that_are_not_cut_out_are_named(reconstruct, scene, tmp_path, flags):
    frames = scene if flags else scene[:1]
    video = write_video(tmp_path / "clip.mp4", frames)
    ended = reconstruct(video, flags)
    assert ended.code == 0 and "do not show smoke on black and were not cut out" in ended.out, ended.err
    suffixes = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert suffixes == ({".mp4", ".gif"} if flags else {".png"})


def test_a_photo_and_a_folder_of_photos(reconstruct, scene, tmp_path):
    (tmp_path / "photos").mkdir()
    for number, frame in enumerate(scene[:9]):
        Image.fromarray(frame).save(tmp_path / "photos" / f"{number}.png")
    assert reconstruct(tmp_path / "photos/3.png").code == 0
    assert Image.open(tmp_path / "out/3_reconstruction.png").size == (4 * PANEL + 3 * 2, 24 + PANEL)
    ended = reconstruct(tmp_path / "photos", "--formats mp4")
    assert ended.code == 0 and len(mp4(tmp_path / "out/photos_reconstruction.mp4")[0]) == 9, ended.err


def test_a_folder_of_videos_and_a_video_without_smoke(reconstruct, scene, tmp_path):
    (tmp_path / "videos").mkdir()
    still = np.uint8(255 * np.repeat(background()[None], 10, axis=0))
    write_video(tmp_path / "videos/a.mp4", scene[:10])
    write_video(tmp_path / "videos/b.mp4", still)
    ended = reconstruct(tmp_path / "videos", "--formats gif")
    assert ended.code == 0 and "10 of 10 frames have no smoke." in ended.out, ended.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a_reconstruction.gif", "b_reconstruction.gif"}


def test_a_broken_video_does_not_stop_the_others(reconstruct, scene, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_bytes(b"nothing")
    write_video(tmp_path / "videos/b.mp4", scene[:10])
    ended = reconstruct(tmp_path / "videos", "--formats gif")
    assert ended.code == 2 and "error: 1 of 2 clips could not be shown: Cannot read 'a.mp4'" in ended.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b_reconstruction.gif"]


def test_two_videos_of_one_name_are_refused(reconstruct, tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "a.mov"):
        (tmp_path / "videos" / name).write_bytes(b"nothing")
    ended = reconstruct(tmp_path / "videos")
    assert ended.code == 2 and "has 2 videos named 'a'." in ended.err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "flags", "message"),
    [
        ("nothing.mp4", "", "nothing.mp4 does not exist."),
        ("notes.txt", "", "notes.txt ends in '.txt': expected one of .mp4,"),
        ("empty", "", "contains neither videos nor images."),
        ("torn.mp4", "", "Cannot read 'torn.mp4'"),
        ("small.npy", "", "small.npy has frames of 8 pixels: expected 16 or more."),
        ("short.npy", "--cut-out yes", "short.npy has 3 frame(s): a cut-out needs 8 or more."),
        ("short.npy", "--fps 0", "fps expects a finite number above 0, found 0.0."),
        ("short.npy", "--max-frames 0", "max_frames expects a whole number of 1 or more, found 0."),
        ("short.npy", "--model user/nothing", "user/nothing"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_no_file(reconstruct, tmp_path, source, flags, message):
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "torn.mp4"):
        (tmp_path / name).write_bytes(b"nothing")
    np.save(tmp_path / "small.npy", np.zeros((9, 8, 8, 3), np.uint8))
    np.save(tmp_path / "short.npy", np.full((3, 16, 16, 3), 9, np.uint8))
    ended = reconstruct(tmp_path / source, flags)
    assert ended.code == 2 and message in ended.err and ended.err.count("error:") == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
