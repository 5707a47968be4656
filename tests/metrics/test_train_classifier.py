"""The classifier of benchmarks/: it learns, is reproducible, and its features measure images."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_rkm import metrics

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments):
    return subprocess.run(
        [sys.executable, str(_ROOT / "benchmarks" / "train_classifier.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """IDX files of bright squares in one of four quarters of the image, the class."""
    folder = tmp_path_factory.mktemp("quarters")
    generator = np.random.default_rng(0)
    labels = np.arange(256, dtype=np.uint8) % 4
    images = generator.integers(0, 60, (256, 12, 12), np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = 6 * (label // 2), 6 * (label % 2)
        image[top : top + 6, left : left + 6] += 120
    for prefix in ("train", "t10k"):
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            path = folder / f"{prefix}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes()))
    return folder, images[..., np.newaxis]


_SMALL = ("--capacity=4", "--feature_dim=8", "--batch_size=16", "--epochs=10")


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "new" / "classifier.keras"
    result = _run(f"--data_dir={folder[0]}", f"--output={path}", *_SMALL, "--seed=3")
    assert result.returncode == 0, result.stderr
    return path, result.stdout


def test_learns_and_reports_its_accuracy(trained):
    row = trained[1].splitlines()[-3]
    name, seed, epochs, accuracy, *_ = row.removeprefix("| ").split(" | ")
    assert re.match("quarters", name) and (seed, epochs) == ("3", "10")
    # A quarter of them by chance.
    assert float(accuracy) > 0.9


def test_same_seed_gives_the_same_weights(folder, trained, tmp_path):
    path = tmp_path / "again.keras"
    result = _run(f"--data_dir={folder[0]}", f"--output={path}", *_SMALL, "--seed=3")
    assert result.returncode == 0, result.stderr
    first, again = (keras.models.load_model(file) for file in (trained[0], path))
    for weight, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_penultimate_features_tell_the_classes_apart(folder, trained):
    images = folder[1]
    classifier = keras.models.load_model(trained[0])
    extractor = metrics.penultimate_features(classifier)
    features = metrics.extract_features(images, extractor)
    assert features.shape == (256, 8) and features.min() >= 0
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(classifier.layers[-1](features)),
        classifier.predict(images / np.float32(255), verbose=0),
        rtol=1e-4,
        atol=1e-4,
    )
    # Two halves of one class are nearer to each other than two classes.
    same = metrics.frechet_distance(features[0::8], features[4::8]).value
    assert metrics.frechet_distance(features[0::8], features[1::8]).value > 3 * same


def test_wrong_flag_is_a_usage_error(folder):
    result = _run(f"--data_dir={folder[0]}", "--output=model.h5")
    assert result.returncode
    assert "must end with .keras" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
