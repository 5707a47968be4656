"""The score of beta-VAE against pairs whose factors are drawn afresh, as the paper does."""

import numpy as np
import pytest

from keras_rkm.metrics import beta_vae_score
from keras_rkm.metrics.disentanglement import beta_vae
from keras_rkm.metrics.disentanglement.fixed_factor import FixedFactorSampler
from keras_rkm.metrics.disentanglement.inputs import check_inputs
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents, rotation
from tests.oracles import disentanglement as oracle

_SIZES = (3, 4, 6)
_FEW = {"num_train": 1_000, "num_test": 1_000}


def _score(latents, factors, **arguments):
    return beta_vae_score(latents, factors, **_FEW | arguments)["beta_vae_score"]


def _encode(factors):
    """Two latents, not enough to tell three factors apart with certainty."""
    mixing = np.array([[1.0, 0.9, 0.2], [0.1, 0.6, 0.5]])
    return np.tanh(factors @ mixing.T - 1.5)


def test_agrees_with_factors_drawn_afresh():
    factors = discrete_factors(20_000, _SIZES)
    report = beta_vae_score(
        _encode(factors), factors, num_train=4_000, num_test=4_000, standardisation="none"
    )
    rng = np.random.default_rng(1)
    points, labels = oracle.beta_vae_points(_encode, _SIZES, 3_000, 64, rng)
    probabilities = oracle.logistic_probabilities(
        points[:1_500], labels[:1_500], points[1_500:], penalty=1.0, balanced=False
    )
    expected = np.mean(probabilities.argmax(axis=1) == labels[1_500:])
    # Three deviations of a share among 1,500 test points are 0.035.
    assert 0.5 < expected < 0.95
    assert report["beta_vae_score"] == pytest.approx(expected, abs=0.05)


def test_points_are_those_of_factors_drawn_afresh():
    factors = discrete_factors(20_000, _SIZES)
    sampler = FixedFactorSampler(check_inputs(factors, factors), np.arange(20_000))
    generator = np.random.default_rng(0)
    points, fixed = beta_vae._points(sampler, _encode(factors), 3_001, 64, generator)
    expected, labels = oracle.beta_vae_points(_encode, _SIZES, 3_000, 64, generator)
    assert points.shape == (3_001, 2)
    for factor in range(3):
        ours, theirs = points[fixed == factor], expected[labels == factor]
        np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.01)
        np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.15)


def test_defaults_are_those_of_the_definition():
    factors = discrete_factors(2_000, (3, 4))
    report = beta_vae_score(_encode(np.insert(factors, 0, 1, axis=1)), factors)
    assert report.num_samples == {
        "all": 2_000,
        "train points": 10_000,
        "test points": 5_000,
    }
    assert "means of 64 pairs" in report.predictor


def test_ideal_permuted_and_duplicated_codes_score_one():
    factors = discrete_factors(1_000)
    for latents in (factors, 5 - 3 * factors[:, [2, 0, 1]], np.tile(factors, 2)):
        assert _score(latents, factors) == 1.0


def test_a_mean_difference_of_an_ideal_code_counts_against_its_factor():
    # It is exactly zero if the factor is fixed: so its coefficient is the least of its row.
    factors = discrete_factors(1_000)
    matrix = beta_vae_score(factors, factors, **_FEW).matrix
    assert matrix.argmin(axis=1).tolist() == [0, 1, 2]
    assert np.all(np.diag(matrix) < 0)


def test_coefficients_of_two_factors_mirror_each_other():
    factors = discrete_factors(1_000, (3, 4))
    matrix = beta_vae_score(factors, factors, **_FEW).matrix
    np.testing.assert_array_equal(matrix[:, 0], -matrix[:, 1])
    assert matrix[0, 0] < 0 < matrix[0, 1]


def test_codes_of_one_factor_tell_it_from_the_others_only():
    # A third of the points is known, of the others one in two.
    factors = discrete_factors(1_000)
    latents = np.stack([factors[:, 0], np.full(1_000, 0.1)], axis=1)
    report = beta_vae_score(latents, factors, **_FEW)
    assert report["beta_vae_score"] == pytest.approx(2 / 3, abs=0.06)
    assert report.dead_latents == ("latent_1",)
    assert not report.matrix[1].any()


def test_latents_that_know_nothing_reach_chance():
    factors = discrete_factors(2_000)
    noise = np.random.default_rng(0).normal(size=(2_000, 4))
    assert _score(noise, factors) == pytest.approx(1 / 3, abs=0.06)


def test_test_points_are_not_the_train_points():
    # Ten points are told apart by fifty latents of noise, others are not.
    factors = discrete_factors(2_000)
    noise = np.random.default_rng(0).normal(size=(2_000, 50))
    assert _score(noise, factors, num_train=10) < 0.5


def test_the_penalty_is_that_of_the_definition():
    # The classes are far from equally frequent, so that a penalty decides for the frequent one.
    generator = np.random.default_rng(0)
    labels = (generator.random(1_200) < 0.2).astype(int) + (generator.random(1_200) < 0.2)
    points = 0.1 * (labels[:, None] + generator.normal(size=(1_200, 2)))
    train, test = (points[:600], labels[:600]), (points[600:], labels[600:])
    accuracy, coefficients = beta_vae._classify(train, test, 3)
    probabilities = oracle.logistic_probabilities(*train, test[0], penalty=1.0, balanced=False)
    assert accuracy == pytest.approx(np.mean(probabilities.argmax(axis=1) == test[1]), abs=0.01)
    # Ratios of probabilities are linear in the points.
    slopes = np.linalg.lstsq(
        np.insert(test[0], 2, 1, axis=1),
        np.log(probabilities / probabilities[:, :1]),
        rcond=None,
    )[0]
    np.testing.assert_allclose(coefficients - coefficients[:, :1], slopes[:2], atol=0.02)


def test_rotated_codes_score_as_high():
    factors = discrete_factors(2_000)
    ideal = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    assert _score(ideal @ rotation(3), factors) > 0.95


def test_scale_counts_only_in_the_literal_definition():
    factors = discrete_factors(2_000)
    latents = noisy_latents(factors, noise=2.0)
    latents /= latents.std(axis=0)
    small = latents * 2.0**-10
    assert _score(latents, factors) == pytest.approx(_score(small, factors), abs=1e-9)
    literal = [_score(z, factors, standardisation="none") for z in (latents, small)]
    assert literal[0] == pytest.approx(_score(latents, factors), abs=0.01)
    # The penalty holds the coefficients near zero: the most frequent factor wins more often.
    assert literal[1] < literal[0] - 0.1


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize("standardisation", ["unit_variance", "none"])
def test_extreme_scales_give_a_share(scale, standardisation):
    factors = discrete_factors(1_000)
    report = beta_vae_score(scale * factors, factors, standardisation=standardisation, **_FEW)
    assert 0.2 < report["beta_vae_score"] <= 1
    assert np.isfinite(report.matrix).all()


def test_train_points_of_one_factor_are_told():
    points = np.random.default_rng(0).normal(size=(10, 2)), np.zeros(10, int)
    with pytest.raises(ValueError, match="num_train=10 points, all of the same factor"):
        beta_vae._classify(points, points, 2)


@pytest.mark.parametrize("argument", ["batch_size", "num_train", "num_test"])
def test_negative_counts_are_told(argument):
    factors = discrete_factors(100)
    with pytest.raises(ValueError, match=f"`{argument}` must be an int.*{argument}=-3"):
        beta_vae_score(factors, factors, **{argument: -3})


def test_factors_of_few_samples_per_value_are_told():
    factors = discrete_factors(60, (12, 3))
    with pytest.raises(ValueError, match="12 values of factor_0 in 30 samples.*Use more samples"):
        beta_vae_score(factors, factors)
