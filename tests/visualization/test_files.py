import os

import numpy as np
import pytest
from PIL import Image

from keras_rkm.visualization import image_grid, save_animation, save_png, traversal_frames


def _images(*leading, height=5, width=4, channels=1):
    """Random uint8 images without any white, so that it marks what is not an image."""
    return np.random.default_rng(0).integers(
        0, 200, (*leading, height, width, channels), dtype="uint8"
    )


def test_png_holds_the_array(tmp_path):
    picture = image_grid(_images(4, channels=3))
    save_png(picture, tmp_path / "picture.png")
    np.testing.assert_array_equal(Image.open(tmp_path / "picture.png"), picture)
    assert os.listdir(tmp_path) == ["picture.png"]


def _animation(channels=1, num_frames=4):
    return traversal_frames(_images(2, num_frames, channels=channels))


def _read_animation(path):
    with Image.open(path) as file:
        frames, times = [], []
        for index in range(file.n_frames):
            file.seek(index)
            frames.append(np.asarray(file.convert("RGB")))
            times.append(file.info["duration"])
        return np.array(frames), times, file.info["loop"], file.format


@pytest.mark.parametrize("suffix, channels", [(".gif", 1), (".webp", 1), (".webp", 3)])
def test_animation_holds_the_frames_their_time_and_no_end(tmp_path, suffix, channels):
    frames = _animation(channels)
    path = tmp_path / f"axes{suffix}"
    save_animation(frames, path, frame_milliseconds=70)
    found, times, loop, file_format = _read_animation(path)
    np.testing.assert_array_equal(found, frames)
    assert (times, loop) == ([70] * 4, 0)
    assert f".{file_format.lower()}" == suffix
    assert os.listdir(tmp_path) == [path.name]


def test_colours_of_a_gif_come_near_and_do_not_flicker(tmp_path):
    # Smooth colours, more than 256 of them; the left half stands still.
    ramp = np.linspace(0, 255, 48)
    frames = np.zeros((5, 48, 48, 3))
    frames[..., 0], frames[..., 1] = ramp[:, np.newaxis], ramp
    frames[..., 24:, 2] = 60 * np.arange(5)[:, np.newaxis, np.newaxis]
    frames = frames.astype("uint8")
    save_animation(frames, tmp_path / "axes.gif")
    found = _read_animation(tmp_path / "axes.gif")[0].astype(int)
    assert found.shape == frames.shape
    assert np.abs(found - frames).mean() < 8
    np.testing.assert_array_equal(found[:, :, :24], found[:1, :, :24].repeat(5, axis=0))


@pytest.mark.parametrize(
    "frames, name, error, message",
    [
        (_animation() / 255, "axes.gif", TypeError, r"`frames`.*float64"),
        (_animation()[0], "axes.gif", ValueError, r"`frames`.*\(num_frames, height, width, 3\)"),
        (_animation()[..., :1], "axes.gif", ValueError, r"`frames`.*, 1\)"),
        (_animation()[:0], "axes.gif", ValueError, r"`frames`.*\(0, "),
        (_animation(), "axes.mp4", ValueError, r"`path` must end in .gif or .webp.*axes.mp4"),
    ],
)
def test_only_frames_are_written_and_only_as_animations(tmp_path, frames, name, error, message):
    with pytest.raises(error, match=message):
        save_animation(frames, tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_time_of_a_frame_is_positive(tmp_path):
    with pytest.raises(ValueError, match="frame_milliseconds=0"):
        save_animation(_animation(), tmp_path / "axes.gif", frame_milliseconds=0)


@pytest.mark.parametrize(
    "save, name",
    [
        (lambda path: save_png(image_grid(_images(4)), path), "picture.png"),
        (lambda path: save_animation(_animation(), path), "axes.gif"),
    ],
)
def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path, monkeypatch, save, name
):
    path = tmp_path / name
    save(path)
    before = path.read_bytes()

    def save_half(self, file, **_):
        with open(file, "wb") as stream:
            stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", save_half)
    with pytest.raises(OSError, match="No space left"):
        save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "array, error, message",
    [
        (np.zeros((4, 4, 3)), TypeError, r"uint8.*float64"),
        (np.zeros((4, 4), "uint8"), ValueError, r"\(4, 4\)"),
        (np.zeros((4, 4, 1), "uint8"), ValueError, r"\(4, 4, 1\)"),
        (np.zeros((0, 4, 3), "uint8"), ValueError, r"\(0, 4, 3\)"),
    ],
)
def test_only_pictures_are_written(tmp_path, array, error, message):
    with pytest.raises(error, match=message):
        save_png(array, tmp_path / "picture.png")
    assert os.listdir(tmp_path) == []
