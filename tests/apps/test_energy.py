"""`keras-rkm energy`: images scored to a CSV file."""

import csv
import os

import keras
import numpy as np
import pytest
import scipy.stats

from keras_rkm import datasets, samplers

DATA = ("--dataset=dsprites_like", "--image_size=16", "--num_images=50")
SCORES = [
    "energy",
    "energy_above_floor",
    "reconstruction_error",
    "pca_error",
    "negative_log_likelihood",
]


@pytest.fixture
def energy(run_alone, vivid, tmp_path):
    """A function that runs the command on a run; writes `tmp_path/energy.csv`."""

    def run(*arguments):
        return run_alone(
            "energy", f"--run={vivid}", f"--output={tmp_path / 'energy.csv'}", *arguments
        )

    return run


@pytest.fixture
def table(tmp_path):
    """A function that reads `tmp_path/energy.csv` to columns by name."""

    def read(path=tmp_path / "energy.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}

    return read


def test_scores_are_those_of_the_model_and_the_sampler(energy, table, vivid):
    result = energy(*DATA, "--batch_size=16")  # 16, 16, 16, 2
    assert result.status == 0, result.err
    scores = table()
    dataset = datasets.load("dsprites_like", split="test", image_size=16, num_images=50)
    model = keras.saving.load_model(vivid / "model.keras")
    sampler = samplers.load_sampler(vivid / "sampler.keras")
    images = dataset.images.astype("float32") / 255
    entropy = scipy.stats.entropy([images, 1 - images]).sum(axis=(1, 2, 3))
    terms = model.energy_terms(images)
    expected = {
        "energy": model.energy(images),
        "energy_above_floor": model.energy(images) - entropy,
        "reconstruction_error": terms.reconstruction,
        "pca_error": terms.pca,
        "negative_log_likelihood": -sampler.log_prob(model.encode(images)),
    }
    factors = {f.name: dataset.factors[:, i] for i, f in enumerate(dataset.factor_info)}
    assert list(scores) == ["index", *factors, *expected]
    np.testing.assert_array_equal(scores["index"], np.arange(50))
    for name, values in {**factors, **expected}.items():
        np.testing.assert_allclose(scores[name], values, rtol=2e-4, atol=1e-5, err_msg=name)


def test_summary_has_the_mean_and_the_quantiles(energy, table):
    lines = energy(*DATA).out.splitlines()
    assert "dsprites_like, test: 50 images." in lines
    start = lines.index("dsprites_like, test: 50 images.") + 1
    assert lines[start].split() == ["mean", "5%", "50%", "95%"]
    for line, (name, values) in zip(
        lines[start + 1 :], [(name, table()[name]) for name in SCORES], strict=False
    ):
        title, *numbers = line.split()
        assert title == name
        expected = [values.mean(), *np.quantile(values, [0.05, 0.5, 0.95])]
        np.testing.assert_allclose(np.array(numbers, float), expected, rtol=1e-3)


def test_same_command_writes_the_same_file_in_the_run_folder(run_alone, finished):
    path = finished / "energy-dsprites_like-test.csv"
    texts = []
    for _ in range(2):
        result = run_alone("energy", f"--run={finished}", *DATA)
        assert result.status == 0, result.err
        assert f"Wrote '{path}'." in result.out
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    path.unlink()


def test_file_without_a_test_split_is_scored_as_a_whole_with_its_labels(energy, table, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16), "uint8")
    np.savez(tmp_path / "noise.npz", images=images, labels=np.arange(9) + 40)
    result = energy(f"--dataset={tmp_path / 'noise.npz'}")
    assert result.status == 0, result.err
    assert "noise, train: 9 images." in result.out
    scores = table()
    assert list(scores) == ["index", "label", *SCORES]
    np.testing.assert_array_equal(scores["label"], np.arange(9) + 40)


def test_split_that_is_asked_for_is_not_replaced_by_another(energy, tmp_path):
    np.savez(tmp_path / "noise.npz", images=np.arange(512, dtype="uint8").reshape(2, 16, 16))
    result = energy(f"--dataset={tmp_path / 'noise.npz'}", "--split=test")
    assert result.status == 1
    assert "Received: split='test'" in result.error


def test_energy_weighs_the_reconstruction(run_alone, table, vivid, tmp_path):
    model = keras.saving.load_model(vivid / "model.keras")
    model.reconstruction_weight = 0.25
    model.save(tmp_path / "model.keras")
    arguments = f"--run={tmp_path / 'model.keras'}", f"--output={tmp_path / 'energy.csv'}"
    result = run_alone("energy", *arguments, *DATA)
    assert result.status == 0, result.err
    scores = table()
    expected = 0.25 * scores["reconstruction_error"] + scores["pca_error"]
    np.testing.assert_allclose(scores["energy"], expected, rtol=1e-5)
    # Without a sampler, as it says.
    assert list(scores)[-4:] == SCORES[:4]
    assert "no likelihood of the latents" in result.out


def test_failed_write_keeps_the_former_file(energy, tmp_path, monkeypatch):
    (tmp_path / "energy.csv").write_text("former")

    def fail(self, latents):
        raise OSError("No space left on device")

    monkeypatch.setattr(samplers.GaussianSampler, "log_prob", fail)
    result = energy(*DATA)
    assert result.status == 1
    assert "No space left" in result.error
    assert os.listdir(tmp_path) == ["energy.csv"]
    assert (tmp_path / "energy.csv").read_text() == "former"


@pytest.mark.parametrize(
    "arguments, status, what",
    [
        ([], 2, "--dataset"),
        (["--dataset=dsprites_lik"], 1, "dsprites_lik"),
        (["--dataset=./missing.npz"], 1, "missing.npz"),
        (["--dataset=dsprites_like", "--num_images=5"], 1, "64x64x1, and the model takes 16x16x1"),
        (["--dataset=shapes3d_like", "--image_size=16", "--num_images=5"], 1, "16x16x3"),
        ([*DATA, "--split=validation"], 1, "validation"),
        ([*DATA, "--batch_size=0"], 2, "--batch_size=0"),
        ([*DATA, "--num_images=0"], 2, "--num_images=0"),
        ([*DATA, "--output=energy.txt"], 2, "--output must end in .csv"),
        ([*DATA, "--output=missing/energy.csv"], 1, "there is no folder 'missing'"),
        ([*DATA, "--sampler=missing.keras"], 1, "missing.keras"),
    ],
)
def test_mistake_ends_with_one_line(arguments, status, what, energy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = energy(*arguments)
    assert result.status == status
    assert what in result.error
    assert not os.listdir(tmp_path)
