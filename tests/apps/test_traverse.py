"""`keras-rkm traverse`: what each axis of a run does, in pictures."""

import os

import keras
import numpy as np
import pytest
from PIL import Image

from apps import pictures
from keras_rkm import datasets

DATA = ("--dataset=dsprites_like", "--image_size=16")


@pytest.fixture
def traverse(run_alone, vivid, tmp_path):
    """A function that runs the command on a run; writes `tmp_path/axes.png`."""

    def run(*arguments):
        return run_alone(
            "traverse", f"--run={vivid}", f"--output={tmp_path / 'axes.png'}", *arguments
        )

    return run


@pytest.fixture(scope="module")
def model(vivid):
    return keras.saving.load_model(vivid / "model.keras")


def _tiles(model, latents):
    """Images of latents in the size they have in a picture."""
    images = np.clip(np.asarray(model.decode(np.asarray(latents, "float32"))), 0, 1)
    return np.round(255 * images[..., 0]).repeat(4, axis=1).repeat(4, axis=2)


def _rows(path, num_axes, num_steps):
    """The tiles of a still picture, (num_axes, num_steps, 64, 64): the lines are 2 pixels wide."""
    picture = np.asarray(Image.open(path), int)[..., 0]
    top, left = (picture.shape[0] - 7 - num_axes * 66), (picture.shape[1] - 7 - num_steps * 66)
    tiles = picture[top : top + num_axes * 66, left : left + num_steps * 66]
    return tiles.reshape(num_axes, 66, num_steps, 66).transpose(0, 2, 1, 3)[..., :64, :64]


def _frames(path):
    with Image.open(path) as file:
        frames = []
        for index in range(file.n_frames):
            file.seek(index)
            frames.append(np.asarray(file.convert("RGB")))
        return np.array(frames), dict(file.info)


def test_rows_go_along_the_chosen_axes_in_standard_deviations(traverse, model, tmp_path):
    result = traverse("--components=3,1", "--num_steps=5", "--max_stddev=2", "--animation=none")
    assert result.status == 0, result.err
    assert "2 axes, 5 steps" in result.out
    assert os.listdir(tmp_path) == ["axes.png"]
    deviations = np.sqrt(np.asarray(model.explained_variance))
    rows = _rows(tmp_path / "axes.png", 2, 5)
    for row, axis in zip(rows, (2, 0), strict=True):
        latents = np.zeros((5, 3))
        latents[:, axis] = np.array([-2, -1, 0, 1, 2]) * deviations[axis]
        np.testing.assert_allclose(row, _tiles(model, latents), atol=1)
    # The axes of this small run do something, or the comparison would say little.
    assert np.ptp(rows, axis=1).max() > 20


def test_all_axes_are_shown_in_order_by_default(traverse, model, tmp_path):
    assert traverse("--num_steps=3", "--animation=none").status == 0
    rows = _rows(tmp_path / "axes.png", 3, 3)
    ends = 3 * np.diag(np.sqrt(np.asarray(model.explained_variance)))
    np.testing.assert_allclose(rows[:, 2], _tiles(model, ends), atol=1)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_animation_goes_there_and_back_for_ever(traverse, tmp_path, suffix):
    result = traverse("--num_steps=4", f"--animation={suffix}")
    assert result.status == 0, result.err
    assert f"axes.{suffix}'" in result.out
    frames, info = _frames(tmp_path / f"axes.{suffix}")
    assert (len(frames), info["loop"]) == (6, 0)
    for there, back in ((1, 5), (2, 4)):
        np.testing.assert_array_equal(frames[there], frames[back])
    assert not np.array_equal(frames[0], frames[3])


def test_animation_has_the_axes_side_by_side_one_step_a_frame(traverse, tmp_path):
    traverse("--num_steps=4")
    frames, _ = _frames(tmp_path / "axes.gif")
    rows = _rows(tmp_path / "axes.png", 3, 4)
    for step in range(4):
        windows = np.lib.stride_tricks.sliding_window_view(frames[step, :, :, 0], (64, 64))
        corners = [np.argwhere((windows == tile).all(axis=(2, 3))) for tile in rows[:, step]]
        assert [len(found) for found in corners] == [1, 1, 1]
        tops, lefts = np.concatenate(corners).T
        assert len(set(tops)) == 1
        assert (np.diff(lefts) > 64).all()


def test_default_is_in_the_run_folder(run_alone, finished):
    before = set(os.listdir(finished))
    result = run_alone("traverse", f"--run={finished}")
    assert result.status == 0, result.err
    assert set(os.listdir(finished)) - before == {"traverse.png", "traverse.gif"}
    # The same picture that train draws.
    with (
        Image.open(finished / "traverse.png") as ours,
        Image.open(finished / "traversal.png") as its,
    ):
        np.testing.assert_allclose(np.asarray(ours, int), np.asarray(its, int), atol=1)
    for name in ("traverse.png", "traverse.gif"):
        (finished / name).unlink()


def test_traversal_from_an_image_keeps_its_other_latents(traverse, model, tmp_path):
    image = datasets.load("dsprites_like", split="test", image_size=16).images[7]
    Image.fromarray(image[..., 0]).save(tmp_path / "image.png")
    arguments = "--components=2", "--num_steps=3", "--max_stddev=1", "--animation=none"
    latents = np.tile(model.encode(image[np.newaxis] / np.float32(255)), (3, 1))
    latents[:, 1] = np.array([-1, 0, 1]) * np.sqrt(np.asarray(model.explained_variance))[1]
    for start in ([*DATA, "--index=7"], [f"--image={tmp_path / 'image.png'}"]):
        result = traverse(*arguments, *start)
        assert result.status == 0, result.err
        row = _rows(tmp_path / "axes.png", 1, 3)[0]
        np.testing.assert_allclose(row, _tiles(model, latents), atol=1)


def test_steps_are_labelled_by_what_they_are(model):
    steps = np.linspace(-3, 3, 15)
    labels = pictures.traverse(model, steps, axes=[1]).step_labels
    assert labels[::7] == ["-3", "mean", "+3"]
    assert labels[1] == "-2.57"
    traversal = pictures.traverse(model, steps, axes=[2], start=np.ones(3))
    assert traversal.step_labels[7] == "0"
    share = np.asarray(model.explained_variance_ratio)[1]
    assert traversal.labels == [f"axis 2, {100 * share:.1f} %"]


@pytest.mark.parametrize(
    "arguments, status, what",
    [
        (["--components=0"], 2, "numbers from 1 on"),
        (["--components=1,x"], 2, "numbers from 1 on"),
        (["--components="], 2, "numbers from 1 on"),
        (["--components=1,4"], 2, "there are the axes 1 to 3. Received: 4"),
        (["--num_steps=1"], 2, "--num_steps=1"),
        (["--max_stddev=0"], 2, "it must be a positive number"),
        (["--max_stddev=inf"], 2, "it must be a positive number"),
        (["--animation=mp4"], 2, "gif|webp|none"),
        (["--output=axes.gif"], 2, "--output must end in .png"),
        (["--image=missing.png"], 1, "No such file or directory: 'missing.png'"),
        (["--image=text.png"], 1, "text.png"),
        (["--image=deep.png"], 1, "'deep.png' has more than 8 bits"),
        (["--image=text.png", "--dataset=dsprites_like"], 2, "exclude each other"),
        (["--dataset=dsprites_like"], 1, "Received: 64x64x1, and the model takes 16x16x1"),
        (["--dataset=dsprites_like"], 1, "--image_size=16"),
        (["--dataset=shapes3d_like", "--image_size=16"], 1, "16x16x3"),
        ([*DATA, "--split=validation"], 1, "validation"),
        ([*DATA, "--index=999999"], 1, "--index=999999 exceeds the 20000 images"),
        (["--dataset=dsprites_lik"], 1, "dsprites_lik"),
    ],
)
def test_mistake_ends_with_one_line(arguments, status, what, traverse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.zeros((16, 16), "uint16")).save(tmp_path / "deep.png")
    result = traverse(*arguments)
    assert result.status == status
    assert what in result.error
    assert sorted(os.listdir(tmp_path)) == ["deep.png", "text.png"]


def test_checkpoint_has_no_axes_yet(run_alone, finished, tmp_path):
    checkpoint = finished / "checkpoints" / "step_00000018.keras"
    result = run_alone("traverse", f"--run={checkpoint}", f"--output={tmp_path / 'axes.png'}")
    assert result.status == 1
    assert "fit_principal_axes" in result.error


def test_model_without_principal_axes_is_refused_with_what_can_be_done(run_alone, baseline):
    result = run_alone("traverse", f"--run={baseline}")
    assert result.status == 1
    assert "takes a StiefelRKM" in result.error and "with a InfoGAN" in result.error
    assert "generate, evaluate and export" in result.error
    assert sorted(os.listdir(baseline)) == ["model.keras", "sampler.keras"]
