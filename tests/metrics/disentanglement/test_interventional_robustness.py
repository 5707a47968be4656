"""Interventional robustness against its definition and numbers worked out by hand."""

import numpy as np
import pytest

from keras_rkm.metrics import irs
from tests.metrics.disentanglement.cases import discrete_factors, grid, noisy_latents
from tests.oracles import disentanglement as oracle

_SIGNS = 2.0 * grid(2, 2) - 1
_SUM = _SIGNS.sum(axis=1)


@pytest.mark.parametrize("quantile", [0.5, 0.99, 1.0])
@pytest.mark.parametrize("standardisation", ["unit_variance", "none"])
def test_agrees_with_the_definition(quantile, standardisation):
    factors = discrete_factors(700)
    latents = noisy_latents(factors)
    report = irs(latents, factors, quantile=quantile, standardisation=standardisation)
    if standardisation == "unit_variance":
        latents = latents / latents.std(axis=0)
    assert report["irs"] == pytest.approx(oracle.irs(latents, factors, quantile), abs=1e-10)
    assert report.variant == f"quantile_{quantile:g}"


def test_the_quantile_is_that_of_the_library_unless_told():
    factors = discrete_factors(700)
    latents = noisy_latents(factors)
    assert irs(latents, factors).scores == irs(latents, factors, quantile=0.99).scores
    assert irs(latents, factors)["irs"] > irs(latents, factors, quantile=1.0)["irs"]


def test_the_sum_of_two_signs_is_half_robust():
    # Within a sign it strays by 1, over the whole set by 2.
    report = irs(np.stack([_SIGNS[:, 0], _SUM], axis=1), grid(2, 2), quantile=1.0)
    np.testing.assert_allclose(report.matrix, [[1, 0], [0.5, 0.5]], atol=1e-15)
    assert report.details["robustness"] == pytest.approx({"latent_0": 1, "latent_1": 0.5})


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_weights_are_the_largest_deviations(scale):
    latents = np.stack([scale * _SIGNS[:, 0], _SUM], axis=1)
    literal = irs(latents, grid(2, 2), quantile=1.0, standardisation="none")["irs"]
    assert literal == pytest.approx((scale * 1 + 2 * 0.5) / (scale + 2), abs=1e-12)
    # The sum of two signs has variance 2, so that its largest deviation becomes the root of 2.
    standardised = irs(latents, grid(2, 2), quantile=1.0)["irs"]
    assert standardised == pytest.approx((1 + np.sqrt(2) / 2) / (1 + np.sqrt(2)), abs=1e-12)


def test_ideal_permuted_and_duplicated_codes_score_one():
    factors = discrete_factors(600)
    for latents in (factors, 5 - factors[:, [2, 0, 1]], np.tile(factors, 2)):
        assert irs(latents, factors)["irs"] == pytest.approx(1, abs=1e-12)


def test_codes_turned_by_45_degrees_are_half_robust():
    turned = np.stack([_SUM, _SIGNS[:, 0] - _SIGNS[:, 1]], axis=1)
    assert irs(turned, grid(2, 2), quantile=1.0)["irs"] == pytest.approx(0.5, abs=1e-12)


def test_a_dead_latent_has_no_weight():
    latents = np.stack([_SUM, np.full(4, 0.1)], axis=1)
    report = irs(latents, grid(2, 2), quantile=1.0)
    assert report["irs"] == pytest.approx(0.5, abs=1e-12)
    assert report.dead_latents == ("latent_1",)
    assert report.matrix[1].tolist() == [0.0, 0.0]


def test_normal_noise_scores_what_its_quantile_and_its_maximum_say():
    noise = np.random.default_rng(0).normal(size=(20_000, 4))
    factors = discrete_factors(20_000)
    # Half of a normal leaves 1 % above 2.576; IRS takes the best of three factors.
    deviations = 2.576 / np.abs(noise - noise.mean(axis=0)).max(axis=0)
    largest = np.abs(noise).max(axis=0)
    expected = np.average(1 - deviations, weights=largest)
    assert irs(noise, factors)["irs"] == pytest.approx(expected, abs=0.02)
    assert 0.2 < expected < 0.5


def test_an_outlier_raises_robustness_and_weight():
    factors = discrete_factors(600)
    latents = np.random.default_rng(0).normal(size=(600, 2))
    latents[:, 1] = factors[:, 0]
    before = irs(latents, factors, standardisation="none")
    latents[0, 0] = 100.0
    after = irs(latents, factors, standardisation="none")
    assert before["irs"] - 0.2 < before.matrix[0].max() < 0.4 < 0.9 < after.matrix[0].max()
    assert after["irs"] == pytest.approx(after.matrix[0].max(), abs=0.02)


def test_a_code_that_strays_further_within_a_value_than_overall_scores_below_zero():
    # 99 times 1 and once -1 for one value, mirrored for the other: within them the deviation of
    # the one from the mean 0.98 is 1.98, overall it is 1.
    values = np.repeat([0, 1], 100)
    code = np.where(values == 0, 1.0, -1.0)
    code[[0, 100]] *= -1
    factors = np.stack([values, values], axis=1)
    score = irs(np.stack([code, code], axis=1), factors, quantile=1.0)["irs"]
    assert score == pytest.approx(1 - 1.98, abs=1e-12)


@pytest.mark.parametrize("quantile", [0.0, -0.1, 1.5, float("nan"), "0.99", None])
def test_a_quantile_that_is_none_is_told(quantile):
    with pytest.raises(ValueError, match=rf"`quantile` must be a number.*{quantile}"):
        irs(grid(2, 2), grid(2, 2), quantile=quantile)
