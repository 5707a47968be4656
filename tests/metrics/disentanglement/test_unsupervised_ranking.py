"""The unsupervised ranking against plain loops over pairs of runs, latents and samples."""

import numpy as np
import pytest

from keras_rkm.metrics import udr
from tests.metrics.disentanglement.cases import rotation
from tests.oracles import disentanglement as oracle


def _sources(num_samples=200, num_latents=3, seed=0):
    """Exactly uncorrelated, of mean 0 and deviation 1."""
    draws = np.random.default_rng(seed).normal(size=(num_samples, num_latents))
    left, _, _ = np.linalg.svd(draws - draws.mean(axis=0), full_matrices=False)
    return left * np.sqrt(num_samples)


def _runs(num_runs=4, num_samples=120):
    """Mixtures of common sources by matrices of their own, with ties by rounding."""
    generator = np.random.default_rng(1)
    sources = generator.normal(size=(num_samples, 3))
    return [
        np.round(sources @ (np.eye(3) + s * generator.normal(size=(3, 3)))[:, : 3 - s % 2], 1)
        for s in range(num_runs)
    ]


@pytest.mark.parametrize("similarity", ["lasso", "spearman"])
def test_agrees_with_the_definition(similarity):
    runs = _runs()
    report = udr(runs, similarity=similarity)
    expected = oracle.udr(runs, similarity)
    actual = [report[f"run_{index}"] for index in range(4)]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)
    assert report["udr"] == pytest.approx(np.mean(expected), abs=1e-9)
    assert report.variant == similarity


def test_peers_regress_and_their_median_counts():
    matrix = udr(_runs()).matrix
    assert np.abs(matrix - matrix.T).max() > 0.01
    report = udr(_runs())
    for index in range(4):
        others = np.delete(matrix[:, index], index)
        assert report[f"run_{index}"] == np.median(others) != others.mean()
    assert np.diag(matrix).tolist() == [0.0] * 4


@pytest.mark.parametrize(("similarity", "expected"), [("lasso", 0.9), ("spearman", 1.0)])
def test_the_same_uncorrelated_latents_reach_the_most(similarity, expected):
    sources = _sources()
    if similarity == "spearman":
        # Ranks are uncorrelated too on a grid.
        sources = np.stack([a.ravel() for a in np.indices((5, 6, 7))], axis=1).astype(float)
        report = udr([sources, -3 * sources[:, [2, 0, 1]] + 5], similarity=similarity)
    else:
        report = udr([sources, -3 * sources[:, [2, 0, 1]] + 5])
    assert report["udr"] == pytest.approx(expected, abs=1e-9)


def test_latents_turned_by_45_degrees_have_their_value_by_hand():
    # Every correlation is the root of a half; a Lasso takes 0.1 off: r^2 / 2r is r / 2.
    sources = _sources(num_latents=2)
    turned = sources @ np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    expected = (np.sqrt(0.5) - 0.1) / 2
    assert udr([sources, turned])["udr"] == pytest.approx(expected, abs=1e-9)


def test_rows_and_columns_count_by_their_numbers():
    # Three latents of one run, of which the other has two: 0.9 for two columns and for two of
    # three rows, nothing for the third row.
    sources = _sources()
    report = udr([sources, sources[:, :2]])
    np.testing.assert_allclose(report.matrix, [[0, 4 * 0.9 / 5], [4 * 0.9 / 5, 0]], atol=1e-9)


def test_a_duplicated_latent_costs_its_share():
    # The similarities of the pair to the common latent are 1 each: (1/2 + 1 + 1) / 3 by the rows
    # and columns of a 1 x 2 table.
    source = np.arange(50.0)[:, None]
    report = udr([np.tile(source, 2), source], similarity="spearman")
    assert report["udr"] == pytest.approx((0.5 + 1 + 1) / 3, abs=1e-12)


def test_a_difference_of_correlated_latents_exceeds_one():
    # With a correlation r between a and b and c between a and a - b, both coefficients are
    # (c - 0.1) / (1 - r) = 1.25: the column is half of it, the two rows are all of it.
    sources = _sources(num_latents=2)
    pair = sources @ np.array([[1, 1], [0.2, -0.2]])
    coefficient = (0.2 / np.sqrt(1.04) - 0.1) / (1 - 0.96 / 1.04)
    matrix = udr([pair, pair[:, :1] - pair[:, 1:]]).matrix
    assert matrix[0, 1] == pytest.approx(2.5 * coefficient / 3, abs=1e-9) and matrix[0, 1] > 1


def test_latents_of_small_variance_are_left_out_and_named():
    sources = _sources(num_latents=4)
    other = sources.copy()
    # 0.0099 and 0.0101 of the largest variance, and no variance at all.
    other[:, 1] = np.sqrt(0.0099) * sources[:, 2]
    other[:, 2] = np.sqrt(0.0101) * sources[:, 1]
    other[:, 3] = 0.1
    report = udr([sources[:, :2], other])
    assert report.dead_latents == ("run_1/latent_1", "run_1/latent_3")
    assert report["udr"] == pytest.approx(0.9, abs=1e-9)
    kept = udr([sources[:, :2], other], min_relative_variance=0.0)
    assert kept.dead_latents == ("run_1/latent_3",)
    assert kept["udr"] == pytest.approx(4 * 0.9 / 5, abs=1e-9)


@pytest.mark.parametrize("similarity", ["lasso", "spearman"])
def test_scale_sign_and_offset_of_live_latents_do_not_count(similarity):
    runs = _runs()
    expected = udr(runs, similarity=similarity).scores
    changed = [run * np.array([-1, 3, 0.5])[: run.shape[1]] + 1e3 for run in runs]
    assert udr(changed, similarity=similarity).scores == pytest.approx(expected, abs=1e-7)
    for scale in (1e30, 1e-30):
        scaled = [run * scale for run in runs]
        assert udr(scaled, similarity=similarity).scores == pytest.approx(expected, abs=1e-7)


def test_runs_that_share_nothing_score_low():
    generator = np.random.default_rng(0)
    report = udr([generator.normal(size=(1_000, 3)) for _ in range(3)])
    assert report["udr"] == 0.0


def test_rotated_runs_score_lower_than_the_same_axes():
    sources = _sources(num_latents=5)
    rotated = udr([sources, *(sources @ rotation(5, seed) for seed in range(3))])
    assert rotated["udr"] < 0.6 * udr([sources] * 4)["udr"]


def test_runs_without_a_live_latent_score_zero_and_are_named():
    dead = np.full((50, 2), 0.1)
    sources = _sources(50, 2)
    for similarity in ("lasso", "spearman"):
        report = udr([sources, dead, dead], similarity=similarity)
        assert report["udr"] == report["run_0"] == 0.0
        assert "run_1 has no live latent: its agreement is 0" in report.notes
        assert report.dead_latents[0] == "run_1/latent_0"


def test_number_of_threads_changes_no_bit():
    one, two = (udr(_runs(), n_jobs=number) for number in (1, 2))
    assert one.matrix.tobytes() == two.matrix.tobytes()


def test_an_array_of_runs_and_a_generator_are_taken():
    runs = np.random.default_rng(0).normal(size=(3, 60, 2))
    assert udr(runs).scores == udr(iter(runs)).scores


_RUN = np.random.default_rng(0).normal(size=(20, 2))


@pytest.mark.parametrize(
    ("runs", "arguments", "message"),
    [
        ([_RUN], {}, r"two runs or more. Received: 1 run\(s\)"),
        ([_RUN, _RUN[:19]], {}, r"same images.*\[\(20, 2\), \(19, 2\)\]"),
        ([_RUN, _RUN[:1]], {}, r"`runs\[1\]` must have two samples"),
        ([_RUN, _RUN * np.nan], {}, r"`runs\[1\]` must be finite.*\[0, 1\]"),
        ([_RUN.astype(str), _RUN], {}, r"`runs\[0\]` must be numbers.*<U"),
        (_RUN, {}, r"`runs\[0\]` must be numbers in two dimensions.*\(2,\)"),
        ([_RUN, 1e50 * _RUN], {}, r"`runs\[1\]` must be at most 1e\+40"),
        ([_RUN, _RUN], {"similarity": "pearson"}, "`similarity` must be one of.*'pearson'"),
        ([_RUN, _RUN], {"min_relative_variance": 1.0}, r"\[0, 1\).*1.0"),
        ([_RUN, _RUN], {"min_relative_variance": -0.1}, r"\[0, 1\).*-0.1"),
        ([_RUN, _RUN], {"min_relative_variance": "none"}, r"\[0, 1\).*'none'"),
        ([_RUN, _RUN], {"n_jobs": 0}, "`n_jobs`.*0"),
    ],
)
def test_bad_arguments_are_told(runs, arguments, message):
    with pytest.raises(ValueError, match=message):
        udr(runs, **arguments)
