"""The signatures through the C API: without this package, and without Python objects."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_rkm import export, samplers
from tests.serving.c_api import Session

from .conftest import IMAGE_SHAPE, LATENT_DIM, make_images, make_model

_BATCH_SIZES = (1, 2, 7, 64)
_SEEDS = np.array([3, 2**63 - 1, 0, 17, 3, 1])


def _latents(num_rows):
    return np.random.default_rng(1).normal(size=(num_rows, LATENT_DIM)).astype("float32")


def test_signatures_are_those_of_the_table(session):
    shapes = {
        name: (sorted(signature.inputs), sorted(signature.outputs))
        for name, signature in session.signatures.items()
        if not name.startswith("__")
    }
    assert shapes == {
        "serving_default": (["seed"], ["images", "latents"]),
        "generate": (["seed"], ["images", "latents"]),
        "generate_png": (["seed"], ["image_bytes"]),
        "encode": (["images"], ["latents"]),
        "decode": (["latents"], ["images"]),
        "reconstruct": (["images"], ["energy", "images"]),
        "traverse": (["component", "latents"], ["images"]),
        "log_prob": (["latents"], ["log_prob"]),
    }


@pytest.mark.parametrize("num_rows", _BATCH_SIZES)
def test_numbers_are_those_of_the_model(session, model, sampler, num_rows):
    images, latents = make_images(num_rows, seed=1), _latents(num_rows)
    found = session.run("reconstruct", {"images": images})
    np.testing.assert_allclose(found["images"], model.reconstruct(images), atol=1e-5)
    np.testing.assert_allclose(found["energy"], model.energy(images), rtol=1e-5)
    found = session.run("encode", {"images": images})["latents"]
    np.testing.assert_allclose(found, model.encode(images), atol=1e-5)
    found = session.run("decode", {"latents": latents})["images"]
    np.testing.assert_allclose(found, model.decode(latents), atol=1e-5)
    found = session.run("log_prob", {"latents": latents})["log_prob"]
    np.testing.assert_allclose(found, sampler.log_prob(latents), rtol=1e-5)


@pytest.mark.parametrize("num_rows", _BATCH_SIZES)
def test_a_traversal_moves_one_latent(session, model, num_rows):
    latents, component = _latents(num_rows), np.arange(num_rows) % LATENT_DIM
    found = session.run("traverse", {"latents": latents, "component": component})["images"]
    assert found.shape == (num_rows, 13, *IMAGE_SHAPE)
    deviations = np.sqrt(model.explained_variance)
    for step, position in enumerate(np.linspace(-3, 3, 13)):
        moved = latents.copy()
        moved[np.arange(num_rows), component] = position * deviations[component]
        np.testing.assert_allclose(found[:, step], model.decode(moved), atol=1e-5)


@pytest.mark.parametrize("component", [-1, LATENT_DIM])
def test_an_unknown_component_is_refused(session, component):
    inputs = {"latents": _latents(2), "component": np.array([0, component])}
    with pytest.raises(
        Exception, match=rf"must be in \[0, 3\). Received: component =\] \[0 {component}"
    ):
        session.run("traverse", inputs)


def test_a_row_seed_gives_the_same_row_in_any_batch(session, sampler, model):
    whole = session.run("generate", {"seed": _SEEDS})
    np.testing.assert_array_equal(whole["latents"], sampler.sample_from_seeds(_SEEDS))
    np.testing.assert_allclose(whole["images"], model.decode(whole["latents"]), atol=1e-6)
    np.testing.assert_array_equal(whole["latents"][0], whole["latents"][4])
    assert len(np.unique(whole["latents"], axis=0)) == 5
    for start, stop in [(0, 1), (1, 3), (2, 6)]:
        part = session.run("generate", {"seed": _SEEDS[start:stop]})
        np.testing.assert_array_equal(part["latents"], whole["latents"][start:stop])
        np.testing.assert_allclose(part["images"], whole["images"][start:stop], atol=1e-6)


def test_a_row_seed_gives_the_same_row_in_another_process(session, exported, tmp_path):
    # Which knows nothing of this package: the session of the C API does not even import TensorFlow.
    program = (
        "import sys, numpy as np\n"
        "from tests.serving.c_api import Session\n"
        "latents = Session(sys.argv[1]).run('generate', {'seed': [17, 3]})['latents']\n"
        "assert 'keras_rkm' not in sys.modules and 'tensorflow' not in sys.modules\n"
        "np.save(sys.argv[2], latents)\n"
    )
    file = tmp_path / "latents.npy"
    subprocess.run([sys.executable, "-c", program, exported, file], check=True, timeout=120)
    expected = session.run("generate", {"seed": np.array([17, 3])})["latents"]
    np.testing.assert_array_equal(np.load(file), expected)


def test_negative_seeds_are_fresh_in_every_row_and_call(session):
    drawn = [session.run("generate", {"seed": np.array([-1, -1, -5])})["latents"] for _ in "12"]
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 6


def test_png_files_show_the_generated_images(session):
    files = session.run("generate_png", {"seed": _SEEDS})["image_bytes"]
    images = session.run("generate", {"seed": _SEEDS})["images"]
    for file, image in zip(files, images, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(file)))
        np.testing.assert_array_equal(pixels, np.round(255 * image).astype("uint8"))


def test_images_that_no_png_file_can_hold_have_no_such_signature(tmp_path):
    model = make_model(image_shape=(8, 8, 2))
    sampler = samplers.StandardNormalSampler(LATENT_DIM)
    path = export.export_for_serving(model, sampler, tmp_path)
    assert "generate_png" not in export.verify_export(path)["signatures"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_of_mixed_precision_answers_in_float32(tmp_path, dtype):
    model = make_model(dtype)
    images, latents = make_images(5), _latents(5)
    sampler = samplers.GaussianSampler().adapt(model.encode(make_images(64)))
    with Session(export.export_for_serving(model, sampler, tmp_path)) as session:
        found = {
            "decode": session.run("decode", {"latents": latents})["images"],
            "encode": session.run("encode", {"images": images})["latents"],
            "generate": session.run("generate", {"seed": _SEEDS})["latents"],
        }
        for name, expected in {
            "decode": tf.cast(model.decode(latents), tf.float32),
            "encode": model.encode(images),
            "generate": sampler.sample_from_seeds(_SEEDS),
        }.items():
            assert found[name].dtype == "float32"
            np.testing.assert_allclose(found[name], expected, atol=1e-5, err_msg=name)


_CLI = """
import json, sys
from absl import flags
from tensorflow.python.tools import saved_model_cli

for name, expressions in json.loads(sys.argv[2]).items():
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["run", "--dir", sys.argv[1], "--tag_set", "serve", "--signature_def", name,
                 "--input_exprs", expressions])
    print("Signature", name)
    saved_model_cli.run()
"""


@pytest.mark.slow
def test_saved_model_cli_runs_every_signature(exported, session):
    images, latents = np.zeros((2, *IMAGE_SHAPE)).tolist(), [[0.1, 0.2, 0.3]]
    inputs = {
        "serving_default": "seed=[1]",
        "generate": "seed=[1, -1]",
        "generate_png": "seed=[1, 2]",
        "encode": f"images={images}",
        "reconstruct": f"images={images}",
        "decode": f"latents={latents}",
        "log_prob": f"latents={latents}",
        "traverse": f"latents={latents};component=[2]",
    }
    # All of them in one process: its import of TensorFlow takes longer than the rest.
    result = subprocess.run(
        [sys.executable, "-c", _CLI, exported, json.dumps(inputs)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    answers = dict(part.split("\n", 1) for part in result.stdout.split("Signature ")[1:])
    assert set(answers) == set(inputs)
    for name, answer in answers.items():
        for key in session.signatures[name].outputs:
            assert f"Result for output key {key}:" in answer
    printed = answers["serving_default"].split("Result for output key latents:\n")[1]
    printed = printed.split("Result")[0].replace("[", "").replace("]", "").split()
    expected = session.run("generate", {"seed": np.array([1])})["latents"][0]
    np.testing.assert_allclose(np.array(printed, float), expected, rtol=1e-5)
