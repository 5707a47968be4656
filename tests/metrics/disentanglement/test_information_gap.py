"""The mutual information gap against its definition and numbers worked out by hand."""

import numpy as np
import pytest

from keras_rkm.metrics import mutual_information_gap
from tests.metrics.disentanglement.cases import discrete_factors, grid, noisy_latents
from tests.oracles import disentanglement as oracle


def _gap(latents, factors, **arguments):
    return mutual_information_gap(latents, factors, **arguments)["mutual_information_gap"]


@pytest.mark.parametrize("num_latents", [2, 5])
@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_agrees_with_the_definition(num_latents, noise):
    factors = discrete_factors(700)
    latents = noisy_latents(factors, num_latents, noise)
    report = mutual_information_gap(latents, factors)
    expected = oracle.mutual_information_gap(latents, factors)
    assert report["mutual_information_gap"] == pytest.approx(expected, abs=1e-10)
    np.testing.assert_allclose(
        report.matrix, oracle.information_table(latents, factors), rtol=0, atol=1e-10
    )


def test_four_rows_have_the_gap_worked_out_by_hand():
    # The first latent is the first factor: log 2 and nothing. The second is the product of both,
    # and knows of each the same: its gap to log 2 in the first factor and to nothing in the second
    # add up to log 2, so that the mean is one half.
    factors = grid(2, 2)
    latents = np.stack([factors[:, 0], factors.prod(axis=1)], axis=1)
    report = mutual_information_gap(latents, factors)
    shared = np.log(2) + (0.25 * np.log(0.25) + 0.75 * np.log(0.75)) * -1
    shared -= 0.5 * np.log(2) + 0.5 * np.log(4)
    np.testing.assert_allclose(report.matrix, [[np.log(2), 0], [shared, shared]], atol=1e-15)
    assert report["mutual_information_gap"] == pytest.approx(0.5, abs=1e-12)
    assert report.details["gap"] == pytest.approx(
        {"factor_0": 1 - shared / np.log(2), "factor_1": shared / np.log(2)}
    )


def test_ideal_codes_in_any_order_score_one():
    factors = grid(3, 4, 5)
    assert _gap(factors, factors) == pytest.approx(1, abs=1e-12)
    assert _gap(-2.0 * factors[:, [2, 0, 1]] + 7, factors) == pytest.approx(1, abs=1e-12)


def test_duplicated_codes_score_exactly_zero():
    factors = grid(3, 4)
    assert _gap(np.concatenate([factors, factors], axis=1), factors) == 0.0


def test_codes_of_one_factor_of_three_score_a_third():
    factors = grid(3, 4, 5)
    latents = np.stack([factors[:, 1], np.zeros(60)], axis=1)
    report = mutual_information_gap(latents, factors)
    assert report["mutual_information_gap"] == pytest.approx(1 / 3, abs=1e-12)
    assert report.dead_latents == ("latent_1",)


def test_codes_turned_by_45_degrees_score_zero():
    # Sum and difference of two signs know half a bit of each of them.
    factors = grid(2, 2)
    signs = 2 * factors - 1
    turned = np.stack([signs.sum(axis=1), signs[:, 0] - signs[:, 1]], axis=1)
    report = mutual_information_gap(turned, factors)
    np.testing.assert_allclose(report.matrix, np.log(2) / 2, rtol=1e-12)
    assert report["mutual_information_gap"] == pytest.approx(0, abs=1e-12)


def test_one_code_for_two_factors_costs_nothing():
    factors = grid(3, 4)
    latents = np.stack([factors @ [4, 1], np.zeros(12)], axis=1)
    assert _gap(latents, factors) == pytest.approx(1, abs=1e-12)


def test_a_factor_of_more_values_than_bins_stays_below_one():
    factors = grid(40, 2)
    gaps = mutual_information_gap(factors, factors).details["gap"]
    assert gaps["factor_0"] == pytest.approx(np.log(20) / np.log(40), abs=1e-12)
    assert gaps["factor_1"] == pytest.approx(1, abs=1e-12)
    assert _gap(factors, factors, num_bins=40) == pytest.approx(1, abs=1e-12)


def test_an_outlier_stretches_the_bins():
    factors = discrete_factors(600)
    latents = factors.astype(float)
    latents[0] = 1e4
    assert _gap(latents, factors) < 0.05
