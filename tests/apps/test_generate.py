"""`keras-rkm generate`: from a run folder to images."""

import os
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from apps import pictures
from keras_rkm import datasets, samplers, visualization
from keras_rkm.models import StiefelRKM


@pytest.fixture
def generate(run_alone, vivid, tmp_path):
    """A function `generate(*arguments) -> Result` on a run; writes to `tmp_path`."""

    def run(*arguments):
        return run_alone("generate", f"--run={vivid}", *arguments)

    return run


@pytest.fixture(scope="module")
def loaded(vivid):
    model = keras.saving.load_model(vivid / "model.keras")
    return model, samplers.load_sampler(vivid / "sampler.keras")


def _expected(loaded, num, seed):
    """The images as the library itself gives them, in uint8."""
    model, sampler = loaded
    images = np.asarray(model.generate(num, sampler, seed=seed))
    return np.round(255 * np.clip(images, 0, 1)).astype("uint8")


def test_grid_shows_what_the_sampler_of_the_run_draws(generate, vivid, loaded):
    path = vivid / "generated-seed3.png"
    result = generate("--num=6", "--seed=3")
    assert result.status == 0, result.err
    assert f"Wrote '{path}': 6 images, seed 3" in result.out
    expected = visualization.image_grid(_expected(loaded, 6, seed=3))
    np.testing.assert_allclose(np.asarray(Image.open(path), int), expected, atol=1)
    path.unlink()


def test_archive_holds_images_and_latents_and_can_be_trained_on(generate, loaded, tmp_path):
    path = tmp_path / "images.npz"
    result = generate("--num=70", "--seed=1", "--format=npz", f"--output={path}")
    assert result.status == 0, result.err
    with np.load(path) as archive:
        images, latents = archive["images"], archive["latents"]
    assert (images.dtype, images.shape) == (np.uint8, (70, 16, 16, 1))
    np.testing.assert_array_equal(latents, loaded[1].sample(70, seed=1))
    np.testing.assert_allclose(images.astype(int), _expected(loaded, 70, seed=1), atol=1)
    np.testing.assert_array_equal(datasets.load(path).images, images)


def test_same_seed_gives_the_same_first_images_for_any_number(generate, tmp_path):
    images = {}
    for num, seed in ((5, 7), (65, 7), (130, 7), (5, 8)):
        path = tmp_path / f"{num}-{seed}.npz"
        generate(f"--num={num}", f"--seed={seed}", "--format=npz", f"--output={path}")
        images[num, seed] = np.load(path)["images"]
    np.testing.assert_array_equal(images[65, 7], images[130, 7][:65])
    np.testing.assert_array_equal(images[5, 7], images[130, 7][:5])
    assert not np.array_equal(images[5, 7], images[5, 8])


def test_images_are_decoded_in_batches_of_one_size(generate, tmp_path, monkeypatch):
    # By rounding, an image could otherwise depend on how many are decoded with it.
    sizes = []
    decode = StiefelRKM.decode
    monkeypatch.setattr(
        StiefelRKM, "decode", lambda model, x: (sizes.append(len(x)), decode(model, x))[1]
    )
    for num in (5, 70):
        result = generate(f"--num={num}", "--format=npz", f"--output={tmp_path / 'images.npz'}")
        assert result.status == 0, result.err
    assert len(sizes) == 3
    assert len(set(sizes)) == 1


def test_pixels_are_rounded_and_cut_off():
    values = np.array([-0.2, 0.0, 0.6 / 255, 1.4 / 255, 0.5, 1.2], "float32")
    assert pictures.pixels(values).tolist() == [0, 0, 1, 1, 128, 255]


def test_folder_holds_each_image_as_it_is(generate, loaded, tmp_path):
    folder = tmp_path / "images"
    for num in (2, 3):  # the second time over what is there
        result = generate(f"--num={num}", "--format=images", f"--output={folder}")
        assert result.status == 0, result.err
    assert sorted(os.listdir(folder)) == ["000000.png", "000001.png", "000002.png"]
    for index, expected in enumerate(_expected(loaded, 3, seed=0)):
        image = np.asarray(Image.open(folder / f"{index:06d}.png"), int)
        np.testing.assert_allclose(image, np.broadcast_to(expected, (16, 16, 3)), atol=1)


def test_folder_with_other_files_is_left_alone(generate, tmp_path):
    (tmp_path / "thesis.txt").touch()
    result = generate("--num=2", "--format=images", f"--output={tmp_path}")
    assert result.status == 1
    assert "holds other files, such as 'thesis.txt'" in result.error
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_sampler_of_a_file_is_taken_in_place_of_that_of_the_run(
    generate, run_alone, vivid, tmp_path
):
    sampler = tmp_path / "normal.keras"
    samplers.StandardNormalSampler(latent_dim=3).save(sampler)
    expected = samplers.StandardNormalSampler(latent_dim=3).sample(4, seed=0)
    for run in (vivid, vivid / "model.keras"):
        path = tmp_path / "images.npz"
        arguments = "--num=4", "--format=npz", f"--output={path}", f"--sampler={sampler}"
        result = run_alone("generate", f"--run={run}", *arguments)
        assert result.status == 0, result.err
        np.testing.assert_array_equal(np.load(path)["latents"], expected)


def test_file_of_a_model_alone_has_nothing_to_draw_from(run_alone, vivid):
    result = run_alone("generate", f"--run={vivid / 'model.keras'}")
    assert result.status == 1
    assert "model.keras' has no sampler" in result.error
    assert "--sampler" in result.error


def test_sampler_of_other_latents_is_refused(generate, tmp_path):
    samplers.StandardNormalSampler(latent_dim=5).save(tmp_path / "normal.keras")
    result = generate(f"--sampler={tmp_path / 'normal.keras'}")
    assert result.status == 1
    assert "(batch, 3)" in result.error


@pytest.mark.parametrize(
    "arguments, status, what",
    [
        (["--num=0"], 2, "--num=0"),
        (["--seed=-1"], 2, "--seed=-1"),
        (["--num=20000"], 2, "--format=images or npz"),
        (["--format=jpeg"], 2, "grid|images|npz"),
        (["--output=picture.jpg"], 2, "--output must end in .png. Received: picture.jpg"),
        (["--output=missing/picture.png"], 1, "there is no folder 'missing'"),
        (["--output=folder.png"], 1, "'folder.png' is a folder"),
        (["--output=file", "--format=images"], 1, "'file' is a file"),
        (["--sampler=missing.keras"], 1, "missing.keras"),
        (["--sampler=file"], 1, "'file' cannot be read"),
        (["--latent_dim=3"], 2, "Unknown command line flag 'latent_dim'"),
    ],
)
def test_mistake_ends_with_one_line(arguments, status, what, generate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    result = generate(*arguments)
    assert result.status == status
    assert what in result.error
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


@pytest.mark.parametrize("arguments, status, what", [([], 2, "--run"), (["--run=no"], 1, "'no'")])
def test_run_has_to_be_there(arguments, status, what, run_alone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_alone("generate", *arguments)
    assert result.status == status
    assert what in result.error


def test_run_that_has_not_ended_is_told_from_no_run(run_alone, finished, tmp_path):
    shutil.copytree(finished / "checkpoints", tmp_path / "checkpoints")
    result = run_alone("generate", f"--run={tmp_path}")
    assert result.status == 1
    assert "only the checkpoint after 18 steps" in result.error


def test_images_have_what_a_model_draws_beside_its_latents(run_alone, baseline, tmp_path):
    path = tmp_path / "images.npz"
    result = run_alone(
        "generate", f"--run={baseline}", "--num=70", "--seed=1", "--format=npz", f"--output={path}"
    )
    assert result.status == 0, result.err
    model = keras.saving.load_model(baseline / "model.keras")
    expected = _expected((model, samplers.load_sampler(baseline / "sampler.keras")), 70, seed=1)
    with np.load(path) as archive:
        np.testing.assert_allclose(archive["images"].astype(int), expected, atol=1)
        decoded = 255 * model.decode(archive["latents"]).numpy()
    assert np.abs(decoded - expected).max() > 3
