"""`keras-rkm explore`: the page of a run; tests/explorer tests what it does in a browser."""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

import keras_rkm
from keras_rkm import datasets

DATA = ("--dataset=dsprites_like", "--image_size=16")


@pytest.fixture
def explore(run_alone, vivid, tmp_path):
    """A function that runs the command on a run; writes `tmp_path/page.html`."""

    def run(*arguments):
        return run_alone(
            "explore", f"--run={vivid}", f"--output={tmp_path / 'page.html'}", *arguments
        )

    return run


def _data(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text)[1])


def test_page_of_a_run_has_its_axes_and_its_held_out_images(run_alone, finished):
    before = set(os.listdir(finished))
    result = run_alone("explore", f"--run={finished}", "--num_images=5")
    assert result.status == 0, result.err
    assert set(os.listdir(finished)) - before == {"explorer.html"}
    assert re.search(
        r"3 axes, 5 images, 0\.\d+ MB, pictures within [01]\.\d\d/255 of the model's\.", result.out
    )
    data = _data(finished / "explorer.html")
    (finished / "explorer.html").unlink()
    model, sampler = keras_rkm.load(finished)
    assert data["title"] == "run" and data["imageShape"] == [16, 16, 1]
    variances = np.asarray(model.explained_variance)
    found = [(axis["stddev"] ** 2, axis["share"]) for axis in data["axes"]]
    expected = np.stack([variances, model.explained_variance_ratio], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(data["sampler"]["means"][0], sampler.mean, rtol=1e-5)
    picture = data["pictures"][0]
    assert re.fullmatch(r"image \d of dsprites_like, held out", picture["name"])
    file = io.BytesIO(base64.b64decode(picture["src"].partition(",")[2]))
    image = np.asarray(Image.open(file), "float32")[np.newaxis, :, :, np.newaxis] / 255
    values = np.asarray(model.encode(image))[0] / np.sqrt(variances)
    np.testing.assert_allclose(picture["values"], values, atol=2e-3)


def test_axes_tell_the_factors_that_they_follow(explore, run_alone, vivid, tmp_path, monkeypatch):
    images = datasets.load("dsprites_like", split="test", image_size=16)
    names = [factor.name for factor in images.factor_info]
    column = names.index("x_position")
    # A code of one factor and of chance, in place of what the untrained encoder finds.
    noise = np.random.default_rng(0).normal(size=(images.num_images, 3))
    codes = noise + 100 * np.eye(3)[1] * images.factors[:, [column]]
    monkeypatch.setattr("apps.explore._codes", lambda *_: codes.astype("float32"))
    result = explore(*DATA)
    assert result.status == 0, result.err
    axes = _data(tmp_path / "page.html")["axes"]
    assert [axis["factor"] for axis in axes] == [None, "x position", None]
    assert 0.7 < axes[1]["score"] <= 1


def test_factor_that_two_axes_go_round_has_a_circle(explore, tmp_path, monkeypatch):
    images = datasets.load("dsprites_like", split="test", image_size=16)
    names = [factor.name for factor in images.factor_info]
    turn = images.factors[:, names.index("x_position")] * 2 * np.pi
    noise = np.random.default_rng(0).normal(size=images.num_images)
    codes = np.stack([3 + 2 * np.cos(turn), noise, np.sin(turn) - 1], axis=1)
    monkeypatch.setattr("apps.explore._codes", lambda *_: codes.astype("float32"))
    assert explore(*DATA).status == 0
    (circle,) = _data(tmp_path / "page.html")["turns"]
    assert circle["axes"] == [0, 2] and circle["factor"] == "x position"
    assert circle["score"] > 0.8
    np.testing.assert_allclose(circle["center"], [3, -1], atol=0.15)
    np.testing.assert_allclose(circle["radius"], 2 / np.std(codes[:, 0]), rtol=0.1)


def test_run_of_mixed_precision_says_that_the_page_computes_in_another(
    run_alone, train_run, tmp_path
):
    train_run(tmp_path / "run", "--epochs=1", "--mixed_precision=mixed_bfloat16")
    result = run_alone("explore", f"--run={tmp_path / 'run'}", "--num_images=2")
    assert result.status == 0, result.err
    assert "/255 of the model's, which computes in bfloat16, the page in float32." in result.out


def test_run_without_its_images_says_so(explore, tmp_path):
    result = explore()
    assert result.status == 0, result.err
    assert "No images to start from, and no factors:" in result.out
    data = _data(tmp_path / "page.html")
    assert data["pictures"] == [] and {axis["factor"] for axis in data["axes"]} == {None}


def test_server_takes_the_place_of_the_decoder(explore, tmp_path):
    result = explore("--server=localhost:8501", "--model_name=my model", "--model_version=3")
    assert result.status == 0, result.err
    data = _data(tmp_path / "page.html")
    assert data["server"] == {
        "predict_url": "http://localhost:8501/v1/models/my%20model/versions/3:predict"
    }
    assert "decoder" not in data
    assert (tmp_path / "page.html").stat().st_size < 50_000


@pytest.mark.parametrize(
    "arguments, status, what",
    [
        (["--output=page.htm"], 2, "--output must end in .html"),
        (["--output=missing/page.html"], 1, "there is no folder 'missing'"),
        (["--num_images=501"], 2, "--num_images=501"),
        (["--max_stddev=0"], 2, "it must be a positive number"),
        (["--server=grpc://localhost:8500"], 2, "a browser speaks REST, not gRPC"),
        (["--server=http://[::1]:8501"], 2, "by its name or IPv4 address only"),
        (["--server=localhost"], 2, "Received: server='localhost'"),
        (["--server=localhost:1", "--model_version=1", "--model_label=x"], 2, "exclude each other"),
        (["--dataset=dsprites_like"], 1, "Received: 64x64x1, and the model takes 16x16x1"),
        (["--dataset=dsprites_lik"], 1, "dsprites_lik"),
    ],
)
def test_mistake_ends_with_one_line(arguments, status, what, explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = explore(*arguments)
    assert result.status == status
    assert what in result.error
    assert os.listdir(tmp_path) == []


def test_model_without_principal_axes_is_refused(run_alone, baseline):
    result = run_alone("explore", f"--run={baseline}")
    assert result.status == 1
    assert "takes a StiefelRKM" in result.error and "with a InfoGAN" in result.error
