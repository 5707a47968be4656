"""The benchmark programs run, and their tables are whole; their times are not judged here."""

import csv
import gzip
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _browser

_ROOT = Path(__file__).resolve().parents[1]
_PROGRAMS = (
    "basis_learning_rate",
    "cayley_step",
    "disentanglement_metrics",
    "explorer",
    "fuzz_readers",
    "generation_metrics",
    "kill_and_resume",
    "mirrored_step",
    "mnist_reconstruction",
    "out_of_distribution",
    "principal_axes_memory",
    "serving_throughput",
    "streaming",
    "tensorboard_cost",
    "train_classifier",
    "training_step",
)


def _run(program, *arguments):
    return subprocess.run(
        [sys.executable, str(_ROOT / "benchmarks" / f"{program}.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def _tables(program, *arguments):
    """The Markdown tables that a program prints, each a list of rows, each a dict of strings."""
    result = _run(program, *arguments)
    assert result.returncode == 0, result.stderr
    tables, header = [], None
    for line in result.stdout.splitlines():
        # Not at every bar: a cell may hold a norm.
        cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
        if not line.startswith("| "):
            header = None
        elif header is None:
            header = cells
            tables.append([])
        elif set(cells) != {"---"}:
            tables[-1].append(dict(zip(header, cells, strict=True)))
    return tables


def _floats(rows, column):
    values = [float(row[column]) for row in rows if row[column] != "-"]
    assert values and all(map(math.isfinite, values))
    return values


@pytest.fixture(scope="module")
def idx_folder(tmp_path_factory):
    """A folder like that of MNIST, with 96 images of stripes."""
    stripes = np.random.default_rng(0).integers(0, 256, (96, 28, 1), np.uint8)
    return _idx_folder(tmp_path_factory.mktemp("mnist"), np.repeat(stripes, 28, axis=2))


def _idx_folder(folder, images):
    """Writes images as both splits, with random labels, in the files of MNIST."""
    labels = np.random.default_rng(1).integers(0, 10, len(images)).astype(np.uint8)
    for prefix in ("train", "t10k"):
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            path = folder / f"{prefix}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes()))
    return folder


def test_cayley_step_reports_every_shape_and_loop():
    arguments = ("--shapes=64x10", "--steps=5", "--repeats=2", "--drift_steps=20")
    (rows,) = _tables("cayley_step", *arguments)
    assert [(row["shape"], row["loop"], row["bar"]) for row in rows] == [
        ("64, 10", "graph", "<= 3.0"),
        ("64, 10", "XLA", "-"),
    ]
    for column in ("Adam us", "CayleyAdam us", "ratio"):
        assert min(_floats(rows, column)) > 0
    # An optimizer that took the weight for an unconstrained one would be fast, and far away.
    assert max(_floats(rows, "drift ||U'U - I||_F")) < 1e-6


@pytest.mark.slow
def test_training_step_reports_every_setting():
    arguments = ("--capacity=2", "--batch_size=4", "--feature_dim=12", "--steps=1", "--repeats=2")
    # Not all eight: each traces a model for two seconds.
    settings = ("--modes=split", "--centerings=batch", "--baseline=BetaTCVAE")
    (rows,) = _tables("training_step", *arguments, *settings)
    assert [(row["model"], row["update"], row["centering"], row["bar"]) for row in rows] == [
        ("auto-encoder", "-", "-", "-"),
        ("split", "simultaneous", "batch", "<= 1.45"),
        ("split", "alternating", "batch", "-"),
        ("BetaTCVAE", "-", "-", "-"),
    ]
    assert min(_floats(rows, "CPU ms a step")) > 0
    assert _floats(rows, "ratio")[0] == 1


@pytest.mark.slow
def test_mirrored_step_compares_times_and_losses():
    (rows,) = _tables(
        "mirrored_step",
        *("--modes=noisy", "--updates=simultaneous", "--capacity=2", "--feature_dim=12"),
        *("--batch_size=5", "--steps=2", "--repeats=2"),
    )
    assert [row["on"] for row in rows] == [
        "one device",
        "two replicas",
        "one device, rounded weights",
    ]
    for column in ("CPU ms a step", "wall ms a step"):
        assert min(_floats(rows, column)) > 0
    assert _floats(rows, "CPU ratio")[0] == _floats(rows, "wall ratio")[0] == 1
    differences = _floats(rows, "largest relative difference of losses")
    assert differences[0] == 0 < max(differences) < 1e-5


@pytest.mark.slow
def test_principal_axes_memory_measures_each_number_of_images():
    (rows,) = _tables("principal_axes_memory", "--num_images=300,1030", "--feature_dim=12")
    assert [row["images"] for row in rows] == ["300", "1030"]
    # What TensorFlow takes by itself: a unit that is off by 1024 does not pass.
    assert all(100 < peak < 10_000 for peak in _floats(rows, "peak MiB"))
    assert min(_floats(rows, "MiB above the peak after 1000")) >= 0


@pytest.mark.slow
def test_mnist_reconstruction_compares_the_methods(idx_folder, tmp_path):
    output = tmp_path / "rows.csv"
    rows, summary = _tables(
        "mnist_reconstruction",
        f"--data_dir={idx_folder}",
        f"--output={output}",
        *("--steps=3", "--seeds=0,1", "--methods=rkm_batch,vae"),
        *("--capacity=2", "--feature_dim=16", "--latent_dim=3", "--batch_size=16"),
    )
    methods = ["rkm_batch", "vae"]
    assert [(row["method"], row["seed"]) for row in rows] == [
        (method, seed) for seed in "01" for method in methods
    ]
    # A squared error summed over 784 pixels in [0, 1].
    assert all(0 < error < 784 for error in _floats(rows, "test MSE"))
    ratio = float(rows[0]["test MSE"]) / float(rows[1]["test MSE"])
    assert float(rows[0]["/ VAE's"]) == pytest.approx(ratio, rel=1e-3)
    assert [row["method"] for row in summary] == methods
    mean = np.mean(_floats(rows[0::2], "test MSE"))
    assert float(summary[0]["mean test MSE"]) == pytest.approx(mean, rel=1e-3)
    with output.open(newline="") as file:
        assert [row["method"] for row in csv.DictReader(file)] == 2 * methods


@pytest.mark.slow
def test_out_of_distribution_reports_every_score_in_both_directions(idx_folder, tmp_path):
    # Black and white only: no grey, so that the entropy of the pixels is nil.
    generator = np.random.default_rng(2)
    binary = np.uint8(255) * generator.integers(0, 2, (96, 28, 28), np.uint8)
    output = tmp_path / "rows.csv"
    (rows,) = _tables(
        "out_of_distribution",
        f"--mnist_dir={_idx_folder(tmp_path, binary)}",
        f"--fashion_mnist_dir={idx_folder}",
        f"--output={output}",
        *("--steps=3", "--seeds=0,1", "--capacity=2", "--feature_dim=16", "--latent_dim=3"),
        "--batch_size=16",
    )
    directions = ["trained on MNIST", "trained on Fashion-MNIST"]
    with output.open(newline="") as file:
        values = {
            (row["score"], f"trained on {row['trained on']}", row["seed"]): float(row["AUROC"])
            for row in csv.DictReader(file)
        }
    assert len(values) == 2 * 2 * len(rows) == 2 * 2 * 10
    for row, direction in itertools.product(rows, directions):
        aurocs = [values[row["score"], direction, seed] for seed in "01"]
        assert float(row[direction]) == pytest.approx(np.mean(aurocs), abs=1e-4)
    by_score = {row["score"]: row for row in rows}
    # More grey is more entropy, whichever set was trained on.
    entropy = by_score["no model: entropy of the pixels"]
    assert [float(entropy[direction]) for direction in directions] == [1, 0]
    assert entropy["lowest-highest"] == "0.0000-0.0000"


@pytest.mark.slow
def test_basis_learning_rate_reports_a_gap_that_shrinks():
    rows = _tables(
        "basis_learning_rate",
        *("--learning_rates=1e-3,1e-2", "--checkpoints=5,40", "--dim=12", "--latent_dim=2"),
        "--num_samples=256",
    )[0]
    assert [row["learning rate"] for row in rows] == ["1e-3", "1e-2"]
    for kind in ("batches of 128", "full gradient"):
        early, late = (_floats(rows, f"{kind}, {steps} steps") for steps in (5, 40))
        for before, after in zip(early, late, strict=True):
            assert 0 < after < before < 1
        assert late[1] < late[0]


@pytest.mark.slow
def test_serving_throughput_measures_calls_and_exports():
    calls, exports = _tables(
        "serving_throughput",
        *("--image_sizes=16", "--capacity=2", "--feature_dim=16", "--latent_dim=3", "--repeats=3"),
    )
    assert [(row["sampler"], row["rows"]) for row in calls] == [
        (sampler, rows) for sampler in ("Gaussian", "mixture of 10") for rows in ("1", "64")
    ]
    assert min(_floats(calls, "decode ms")) > 0
    for row in exports:
        ratio = float(row["folder MB"]) / float(row["weights MB"])
        assert float(row["folder / weights"]) == pytest.approx(ratio, rel=0.01)


@pytest.mark.slow
def test_disentanglement_metrics_time_every_score_and_compare_with_the_exact_boosting():
    scores, boosting = _tables(
        "disentanglement_metrics",
        *("--num_samples=600", "--sizes=3,4", "--num_latents=4", "--exact"),
    )
    *rows, total = scores
    assert len(rows) == 12
    times = _floats(rows, "CPU seconds")
    (sum_of_all,) = _floats([total], "CPU seconds")
    exact = next(row for row in rows if row["score"] == "dci_boosting_exact")
    assert sum_of_all == pytest.approx(sum(times) - float(exact["CPU seconds"]), rel=0.05)
    for row in boosting:
        fast, slow = float(row["fast"]), float(row["exact"])
        assert float(row["difference"]) == pytest.approx(abs(fast - slow), abs=2e-3)
        assert fast == pytest.approx(slow, abs=0.05)


@pytest.mark.slow
@pytest.mark.skipif(bool(_browser.missing()), reason=str(_browser.missing()))
def test_explorer_is_opened_and_measured(tmp_path):
    from keras_rkm import models, networks

    model = models.StiefelRKM(
        networks.dense_encoder((16, 16, 1), 8, hidden_dims=()),
        networks.dense_decoder(8, (16, 16, 1), hidden_dims=(16,)),
        latent_dim=3,
    )
    model.fit_principal_axes(np.random.default_rng(0).random((64, 16, 16, 1), "float32"))
    model.save(tmp_path / "model.keras")
    picture = tmp_path / "page.png"
    options = ("--repeats=1", "--moves=3", f"--screenshot={picture}")
    (rows,) = _tables("explorer", f"--run={tmp_path}", *options)
    assert picture.read_bytes().startswith(b"\x89PNG")
    size, first, move, difference = _floats(rows, "median")
    assert 0.3 < size < 1 and first > 0 and move > 0
    assert difference <= 2


@pytest.mark.slow
def test_generation_metrics_time_every_measure():
    rows = _tables("generation_metrics", "--num_samples=1000", "--num_features=16")[0]
    assert [row["measure"] for row in rows] == [
        "frechet_distance",
        "kernel_distance",
        "sliced_wasserstein_distance",
        "precision_recall",
        "density_coverage",
    ]
    assert min(_floats(rows, "CPU seconds")) > 0
    assert min(_floats(rows, "peak MiB so far")) > 100


@pytest.mark.slow
@pytest.mark.parametrize("source", ["tfrecords", "image_folder", "tfds"])
def test_streaming_measures_each_number_of_images(tmp_path, source):
    sizes = ("--image_size=16", "--batch_size=16", "--capacity=2", "--steps=1", "--repeats=2")
    where = (f"--source={source}", "--num_images=60", f"--folder={tmp_path}")
    rows, shares = _tables("streaming", *where, *sizes)
    assert [row["images"] for row in rows] == ["60"]
    assert all(100 < peak < 10_000 for peak in _floats(rows, "peak MiB"))
    assert min(_floats(rows, "images/s, CPU")) > 0
    assert [row["clock"] for row in shares] == ["wall", "CPU", "wall, in next() alone"]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_kill_and_resume_kills_and_finds_no_difference():
    kills, summary = _tables("kill_and_resume", "--kills=1", "--epochs=1", "--seed=9")
    assert [(row["training"], row["kill"]) for row in kills] == [("1", "1")]
    assert (summary[0]["kills"], summary[0]["not bit-identical"]) == ("1", "0")


@pytest.mark.slow
def test_tensorboard_cost_counts_what_the_callbacks_take():
    rows, one_by_one = _tables(
        "tensorboard_cost",
        *("--num_images=32", "--num_held_out=20", "--image_size=16", "--capacity=2"),
        *("--feature_dim=8", "--latent_dim=2", "--batch_size=16", "--epochs=2", "--repeats=1"),
        "--max_share=1",
    )
    assert [row["callbacks"] for row in rows] == ["none", "summary_callbacks"]
    without, with_them = _floats(rows, "CPU s in them")
    assert without < 0.05 < with_them
    total = _floats(rows, "CPU s")[1]
    share = 100 * with_them / (total - with_them)
    assert _floats(rows, "share of the training %")[1] == pytest.approx(share, rel=0.01)
    assert sum(_floats(one_by_one, "CPU s")) == pytest.approx(with_them, rel=0.01)
    assert len(one_by_one) == 6


def test_wrong_flag_is_a_usage_error():
    result = _run("principal_axes_memory", "--num_images=many")
    assert result.returncode
    assert "takes ints" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("program", _PROGRAMS)
def test_program_is_in_the_table_of_the_readme(program):
    assert f"`{program}.py`" in (_ROOT / "benchmarks" / "README.md").read_text()
