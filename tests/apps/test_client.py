"""`keras-rkm client`, against an emulator of TensorFlow Serving in this process."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.serving.emulator import Emulator
from tests.serving.model_store import ModelConfig
from tests.serving.server_process import free_port
from tests.serving.toy_model import IMAGE_SHAPE, NUM_STEPS, ToyModel, export_toy_model

_ROOT = Path(__file__).resolve().parents[2]
_NUM_IMAGES = 25
_SCALE = 8  # of a tile of 8 pixels in a picture


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    base_path = tmp_path_factory.mktemp("models") / "st_rkm"
    for version, shift in ((1, 0.0), (2, 1.0)):
        export_toy_model(base_path / str(version), shift=shift)
    config = ModelConfig("st_rkm", base_path, num_latest=None, labels={"stable": 1})
    with Emulator([config]) as emulator:
        yield emulator


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


@pytest.fixture
def client(run_alone, emulator, protocol):
    """A function that runs the command against the version 1, over either protocol."""
    port = emulator.port if protocol == "grpc" else emulator.rest_port

    def run(*arguments):
        return run_alone(
            "client",
            *(f"--server=127.0.0.1:{port}", f"--protocol={protocol}", "--model_version=1"),
            *arguments,
        )

    return run


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (_NUM_IMAGES, *IMAGE_SHAPE), np.uint8)


@pytest.fixture(scope="module")
def archive(tmp_path_factory, images):
    """An archive of 25 images and their labels."""
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, images=images, labels=np.arange(_NUM_IMAGES) % 10)
    return path


def _toy():
    return ToyModel(0.0)


def _pixels(images):
    return np.round(255 * images[..., 0]).repeat(_SCALE, axis=-2).repeat(_SCALE, axis=-1)


def _picture(path):
    return np.asarray(Image.open(path), int)[..., 0]


def test_generate_writes_a_grid_that_the_seed_decides(client, tmp_path):
    outputs = [tmp_path / name for name in ("first.png", "same.png", "other.png")]
    for output, seed in zip(outputs, (3, 3, 4), strict=True):
        result = client("--num=9", f"--seed={seed}", f"--output={output}")
        assert result.status == 0, result.err
        assert f"Wrote '{output}': 9 images, seed {seed}." in result.out
    first, same, other = map(_picture, outputs)
    assert first.shape == (3 * 66 + 2, 3 * 66 + 2)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 10


def test_generate_without_a_seed_differs(client, tmp_path):
    for name in "ab":
        result = client("--num=4", "--seed=-1", f"--output={tmp_path / name}.png")
        assert "4 images, fresh" in result.out
    assert np.abs(_picture(tmp_path / "a.png") - _picture(tmp_path / "b.png")).max() > 10


def test_encode_writes_a_table_of_latents(client, archive, images, tmp_path):
    output = tmp_path / "latents.csv"
    result = client(
        "--action=encode", f"--dataset={archive}", "--batch_size=10", f"--output={output}"
    )
    assert result.status == 0, result.err
    assert "3 latents of 25 images of images, train" in result.out
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "label", "latent_1", "latent_2", "latent_3"]
    assert [int(row["label"]) for row in rows] == [index % 10 for index in range(_NUM_IMAGES)]
    latents = [[float(row[f"latent_{axis}"]) for axis in (1, 2, 3)] for row in rows]
    np.testing.assert_allclose(latents, _toy().encode(images / 255), atol=1e-5)


def test_encode_takes_as_many_images_as_said(client, archive, tmp_path):
    output = tmp_path / "latents.csv"
    client("--action=encode", f"--dataset={archive}", "--num=7", f"--output={output}")
    assert len(output.read_text().splitlines()) == 1 + 7


def test_reconstruct_writes_pairs_and_the_energy(client, archive, images, tmp_path):
    output = tmp_path / "pairs.png"
    result = client(
        "--action=reconstruct", f"--dataset={archive}", "--num=25", f"--output={output}"
    )
    assert result.status == 0, result.err
    energy = _toy().reconstruct(images / 255)[1].mean()
    assert f"25 images of images, train, of the mean energy {energy:.4g}." in result.out
    # The first pair, right of the labels: tiles of 64 pixels, lines of 2 between.
    picture = _picture(output)
    left = picture.shape[1] - 7 - 10 * 66
    original, below = (picture[7 + row :, left:][2:66, :64] for row in (0, 66))
    assert any(np.array_equal(original, tile) for tile in _pixels(images / 255))
    index = next(
        i for i, tile in enumerate(_pixels(images / 255)) if np.array_equal(original, tile)
    )
    expected = _pixels(_toy().reconstruct(images[index : index + 1] / 255)[0])[0]
    assert np.abs(below - expected).max() <= 1


def test_traverse_writes_a_row_for_each_axis(client, tmp_path):
    output = tmp_path / "axes.png"
    result = client("--action=traverse", "--components=3,1", f"--output={output}")
    assert result.status == 0, result.err
    assert f"2 axes, {NUM_STEPS} steps" in result.out
    expected = _toy().traverse(np.zeros((2, 3)), [2, 0])
    tiles = _tiles(output, 2)
    assert np.abs(tiles - _pixels(expected)).max() <= 1


def test_traverse_starts_at_an_image(client, archive, images, tmp_path):
    output = tmp_path / "axes.png"
    client("--action=traverse", f"--dataset={archive}", "--index=4", f"--output={output}")
    latents = _toy().encode(images[4:5] / 255).repeat(3, axis=0)
    assert np.abs(_tiles(output, 3) - _pixels(_toy().traverse(latents, [0, 1, 2]))).max() <= 1


def _tiles(path, num_axes):
    """The tiles of a picture of axes, `(num_axes, num_steps, 64, 64)`; lines are 2 pixels wide."""
    picture = _picture(path)
    top, left = picture.shape[0] - 7 - num_axes * 66, picture.shape[1] - 7 - NUM_STEPS * 66
    tiles = picture[top : top + num_axes * 66, left : left + NUM_STEPS * 66]
    return tiles.reshape(num_axes, 66, NUM_STEPS, 66).transpose(0, 2, 1, 3)[..., :64, :64]


def test_label_chooses_a_version(run_alone, emulator, tmp_path):
    means = {}
    for name, choice in (("stable", "--model_label=stable"), ("newest", "--timeout=9")):
        output = tmp_path / f"{name}.png"
        result = run_alone(
            "client", f"--server=grpc://127.0.0.1:{emulator.port}", choice, f"--output={output}"
        )
        assert result.status == 0, result.err
        means[name] = _picture(output).mean()
    assert means["newest"] > means["stable"] + 20


@pytest.mark.parametrize(
    "flags, status, text",
    [
        (["--model_name=tay", "--output=a.png"], 1, "There is no model 'tay'"),
        (
            ["--model_version=9", "--output=a.png"],
            1,
            "no version 9. Versions that are loaded: 1, 2",
        ),
        (["--timeout=1e-6", "--output=a.png"], 1, "within 1e-06 seconds"),
        (["--output=missing/a.png"], 1, "there is no folder 'missing'"),
        (["--output=a.jpg"], 2, "--output must end in .png"),
        (["--action=encode", "--dataset=a.npz", "--output=a.png"], 2, "must end in .csv"),
        (["--action=encode", "--output=a.csv"], 2, "need images: --dataset"),
        (["--action=encode", "--dataset=./no.npz", "--output=a.csv"], 1, "no.npz"),
        (["--action=paint", "--output=a.png"], 2, "generate|reconstruct|encode|traverse"),
        (["--action=traverse", "--components=4", "--output=a.png"], 2, "axes 1 to 3. Received: 4"),
        (["--components=0", "--output=a.png"], 2, "numbers from 1 on"),
        (["--num=10001", "--output=a.png"], 2, "more than 10000"),
        (["--seed=-2", "--output=a.png"], 2, "--seed=-2"),
        (["--timeout=0", "--output=a.png"], 2, "must be a positive number"),
        (["--model_label=a", "--output=a.png"], 2, "exclude each other"),
        (["--server=nowhere", "--output=a.png"], 2, "`server` must be"),
        ([], 2, "output"),
    ],
)
def test_mistake_ends_with_one_line(flags, status, text, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = client(*flags)
    assert (result.status, os.listdir(tmp_path)) == (status, [])
    assert text in result.error


def test_images_of_another_shape_are_refused(client, tmp_path):
    result = client(
        *("--action=encode", "--dataset=dsprites_like", "--num=3", "--image_size=16"),
        f"--output={tmp_path / 'a.csv'}",
    )
    assert result.status == 1
    assert "16x16x1" in result.error and "8x8x1" in result.error


def test_index_beyond_the_images_is_refused(client, archive, tmp_path):
    result = client(
        *("--action=traverse", f"--dataset={archive}", "--index=25"),
        f"--output={tmp_path / 'a.png'}",
    )
    assert "--index=25 exceeds the 25 images" in result.error


def test_server_that_is_down_is_one_line(run_alone, protocol, tmp_path):
    port = free_port()
    result = run_alone(
        *("client", f"--server=localhost:{port}", f"--protocol={protocol}", "--timeout=1"),
        f"--output={tmp_path / 'a.png'}",
    )
    assert result.status == 1
    assert f"localhost:{port} is not available" in result.error


def test_folder_that_cannot_be_written_is_told_first(client, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    result = client("--model_name=tay", f"--output={tmp_path / 'a.png'}")
    assert f"cannot write to the folder '{tmp_path}': Permission denied" in result.error


def test_runs_as_a_process(emulator, tmp_path):
    output = tmp_path / "a.png"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "apps.client", "--protocol=rest", "--num=4"),
            *(f"--server=127.0.0.1:{emulator.rest_port}", f"--output={output}"),
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert _picture(output).shape == (134, 134)
