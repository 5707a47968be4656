"""The score of FactorVAE against votes whose factors are drawn afresh, as the paper does."""

import numpy as np
import pytest

from keras_rkm.metrics import factor_vae_score
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents, rotation
from tests.oracles import disentanglement as oracle

_SIZES = (3, 4, 6)
_FEW = {"num_train": 1_000, "num_test": 1_000}


def _score(latents, factors, **arguments):
    return factor_vae_score(latents, factors, **_FEW | arguments)["factor_vae_score"]


def _entangled(factors):
    """Three latents of mixed factors, of unequal scales; the last is far below the others."""
    mixing = np.array([[1.0, 0.9, 0.0], [0.0, 0.6, 0.5], [0.3, 0.0, 0.4]])
    return np.tanh(factors @ mixing.T - 1.5) * np.array([1, 20, 0.3])


def test_agrees_with_factors_drawn_afresh():
    factors = discrete_factors(20_000, _SIZES)
    report = factor_vae_score(_entangled(factors), factors, num_train=4_000, num_test=4_000)
    variances = _entangled(factors).var(axis=0, ddof=1)
    rng = np.random.default_rng(1)
    train, test = (
        oracle.factor_vae_votes(_entangled, _SIZES, 2_000, 64, variances, rng) for _ in range(2)
    )
    expected = oracle.factor_vae_accuracy(train, test)
    # Three deviations of a share among 2,000 and 4,000 votes, and as much for the finite set.
    assert 0.5 < expected < 0.95
    assert report["factor_vae_score"] == pytest.approx(expected, abs=0.05)
    np.testing.assert_allclose(report.matrix / 4_000, train / 2_000, atol=0.05)
    # All of them vote, once each.
    assert report.matrix.sum() == 4_000


def test_one_batch_size_is_that_of_the_definition_unless_told():
    factors = discrete_factors(2_000)
    latents = noisy_latents(factors, noise=2.0)
    assert _score(latents, factors) == _score(latents, factors, batch_size=64)
    assert _score(latents, factors) != _score(latents, factors, batch_size=8)


def test_ideal_permuted_and_duplicated_codes_score_one():
    factors = discrete_factors(1_000)
    for latents in (factors, 5 - 3 * factors[:, [2, 0, 1]], np.tile(factors, 2)):
        assert _score(latents, factors) == 1.0


def test_codes_of_one_factor_get_the_votes_of_all():
    # The only live latent votes for every factor, and stands for the most frequent one.
    factors = discrete_factors(1_000)
    latents = np.stack([factors[:, 0], np.full(1_000, 0.1)], axis=1)
    report = factor_vae_score(latents, factors, **_FEW)
    assert report.matrix[0].sum() == 1_000
    assert not report.matrix[1].any()
    assert report["factor_vae_score"] == pytest.approx(1 / 3, abs=0.05)


def test_latents_that_know_nothing_reach_chance():
    factors = discrete_factors(2_000)
    noise = np.random.default_rng(0).normal(size=(2_000, 4))
    assert _score(noise, factors) == pytest.approx(1 / 3, abs=0.06)


def test_train_votes_say_what_a_latent_stands_for():
    # Of three test votes per latent more than half are for its most frequent factor: chosen by
    # them, latents that know nothing would seem to know something.
    factors = discrete_factors(2_000)
    noise = np.random.default_rng(0).normal(size=(2_000, 20))
    assert _score(noise, factors, num_train=3_000, num_test=60) < 0.5


def test_a_code_for_two_factors_gets_the_votes_of_one():
    # The other factor has no latent: its batches are won by either, never rightly.
    factors = discrete_factors(2_000, (4, 4))
    both = factors[:, 0] + factors[:, 1]
    noise = np.random.default_rng(0).normal(size=2_000)
    score = _score(np.stack([both, noise], axis=1), factors)
    assert score == pytest.approx(0.5, abs=0.06)


def test_latents_below_the_threshold_do_not_vote_in_the_literal_definition():
    factors = discrete_factors(1_000, (3, 4))
    latents = (factors - factors.mean(axis=0)) / factors.std(axis=0, ddof=1)
    for deviation, silent in ((0.0499, True), (0.0501, False)):
        scaled = latents * np.array([1, deviation])
        literal = factor_vae_score(scaled, factors, standardisation="none", **_FEW)
        assert bool(literal.matrix[1].any()) is not silent
        assert literal["factor_vae_score"] == pytest.approx(0.5 if silent else 1, abs=0.05)
        assert literal.notes == (("too small a deviation to vote: latent_1",) if silent else ())
        assert _score(scaled, factors) == 1.0


def test_without_a_latent_above_the_threshold_the_literal_score_is_zero_and_says_so():
    factors = discrete_factors(1_000)
    report = factor_vae_score(factors * 1e-3, factors, standardisation="none", **_FEW)
    assert report["factor_vae_score"] == 0.0
    assert report.notes == ("no latent takes part: the score is 0 by definition",)
    assert report.dead_latents == ()


@pytest.mark.parametrize("standardisation", ["unit_variance", "none"])
def test_variances_are_relative_to_those_of_the_whole_set(standardisation):
    factors = discrete_factors(1_000)
    latents = noisy_latents(factors, noise=2.0)
    latents /= latents.std(axis=0)
    scores = [
        _score(latents * scales, factors, standardisation=standardisation)
        for scales in (np.ones(5), 2.0 ** np.array([0, 9, -4, 12, 1]))
    ]
    assert scores[0] == scores[1]


def test_rotated_codes_score_lower():
    factors = discrete_factors(2_000, (4, 4, 4, 4, 4))
    ideal = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    assert _score(ideal @ rotation(5, seed=3), factors) < 0.9


def test_small_values_are_noted():
    factors = discrete_factors(400)
    (note,) = factor_vae_score(factors, factors, **_FEW).notes
    assert "fewer than 64 samples" in note


@pytest.mark.parametrize("argument", ["batch_size", "num_train", "num_test"])
def test_negative_counts_are_told(argument):
    factors = discrete_factors(100)
    with pytest.raises(ValueError, match=f"`{argument}` must be an int.*{argument}=-3"):
        factor_vae_score(factors, factors, **{argument: -3})


def test_a_batch_of_one_has_no_variance_and_is_refused():
    factors = discrete_factors(100)
    with pytest.raises(ValueError, match="`batch_size` must be an int of at least 2"):
        factor_vae_score(factors, factors, batch_size=1)
