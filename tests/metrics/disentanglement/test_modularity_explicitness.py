"""Modularity against its definition, explicitness against a plain logistic regression."""

import numpy as np
import pytest

from keras_rkm.metrics import modularity
from keras_rkm.metrics.disentanglement.information import mutual_information
from keras_rkm.metrics.disentanglement.modularity_explicitness import modularity_per_latent
from tests.metrics.disentanglement.cases import discrete_factors, grid, noisy_latents, rotation
from tests.oracles import disentanglement as oracle
from tests.oracles.dci import parts, scale_by


@pytest.mark.parametrize("sizes", [(3, 4, 6), (2, 5)])
def test_modularity_agrees_with_the_definition_on_the_train_part(sizes):
    factors = discrete_factors(700, sizes)
    latents = noisy_latents(factors)
    report = modularity(latents, factors, seed=2)
    train, _, _ = parts(700, (2 / 3, 0, 1 / 3), 2)
    expected = oracle.modularity(latents[train], factors[train])
    assert report["modularity"] == pytest.approx(expected, abs=1e-10)
    table = oracle.information_table(latents[train], factors[train])
    np.testing.assert_allclose(report.matrix, table, rtol=0, atol=1e-10)


def test_explicitness_agrees_with_a_plain_logistic_regression():
    factors = discrete_factors(500, (2, 3, 5))
    latents = noisy_latents(factors, 3, noise=1.0)
    train, _, test = parts(500, (2 / 3, 0, 1 / 3), 1)
    # Outliers in the test part change no deviation of the train part.
    latents[test[:2]] *= 1e4
    report = modularity(latents, factors, seed=1)
    codes = scale_by(latents, train)
    for j, name in enumerate(report.column_names):
        classes = factors[:, j]
        probabilities = oracle.logistic_probabilities(
            codes[train], classes[train], codes[test], penalty=1.0, balanced=False
        )
        areas = [
            oracle.area_under_curve(probabilities[:, value], classes[test] == value)
            for value in range(classes.max() + 1)
        ]
        # The solvers stop at slightly different points, which may swap two samples.
        assert report.details["explicitness"][name] == pytest.approx(np.mean(areas), abs=1e-3)
    assert report["explicitness"] == pytest.approx(
        np.mean(list(report.details["explicitness"].values()))
    )


def test_a_code_for_two_of_three_factors_is_half_modular():
    factors = grid(4, 4, 3)
    latents = np.stack([factors @ [4, 1, 0], factors[:, 2]], axis=1).astype(float)
    information = mutual_information(latents, factors, 20)
    np.testing.assert_allclose(modularity_per_latent(information), [0.5, 1], atol=1e-12)


def test_codes_turned_by_45_degrees_are_not_modular():
    signs = 2 * grid(2, 2) - 1
    turned = np.stack([signs.sum(axis=1), signs[:, 0] - signs[:, 1]], axis=1)
    information = mutual_information(turned.astype(float), grid(2, 2), 20)
    np.testing.assert_allclose(modularity_per_latent(information), 0, atol=1e-12)


def test_squares_of_information_are_set_against_the_best_and_the_number_of_others():
    information = np.array([[4.0, 2.0, 1.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    expected = [1 - (4 + 1) / (16 * 2), 1, 0, 0]
    np.testing.assert_allclose(modularity_per_latent(information), expected, rtol=1e-15)


def test_a_code_that_is_independent_on_a_grid_counts_as_zero():
    # Entropies would leave informations of 1e-16, and a modularity of their ratios.
    everything = grid(3, 5, 7)
    information = mutual_information(everything[:, :1].astype(float), everything[:, 1:], 20)
    assert modularity_per_latent(information).tolist() == [0.0]


def test_ideal_permuted_and_duplicated_codes_are_modular():
    factors = discrete_factors(20_000)
    for latents in (factors, 5.0 - factors[:, [2, 0, 1]], np.tile(factors, 2)):
        assert modularity(latents, factors)["modularity"] == pytest.approx(1, abs=1e-4)


def test_a_dead_latent_counts_as_zero():
    factors = discrete_factors(5_000)
    latents = np.concatenate([factors, np.full((5_000, 1), 0.1)], axis=1)
    report = modularity(latents, factors)
    assert report["modularity"] == pytest.approx(0.75, abs=1e-3)
    assert report.details["modularity"]["latent_3"] == 0.0


def test_binary_factors_are_explicit_in_ideal_codes_and_in_turned_ones():
    factors = discrete_factors(600, (2, 2))
    for latents in (factors, factors @ rotation(2)):
        assert modularity(latents, factors)["explicitness"] == 1.0


def test_the_middle_of_three_values_is_not_explicit_in_one_code():
    # The ends are told apart from the rest; the middle one has a constant share of the
    # probability on either side, so that its area is above one half but below 1.
    factors = discrete_factors(3_000, (2, 3))
    report = modularity(factors, factors)
    assert report.details["explicitness"]["factor_0"] == 1.0
    assert 2 / 3 < report.details["explicitness"]["factor_1"] <= 1.0


def test_scale_and_offset_of_latents_do_not_count():
    factors = discrete_factors(400)
    latents = noisy_latents(factors)
    expected = modularity(latents, factors).scores
    for changed in (latents * 2.0**100, latents * 2.0**-100):
        assert modularity(changed, factors).scores == pytest.approx(expected, abs=1e-9)
    # The edges of bins round otherwise so far from zero.
    far = modularity(100 * latents + 1e6, factors).scores
    assert far == pytest.approx(expected, abs=1e-3)


def test_factor_needs_two_values_in_both_parts():
    factors = discrete_factors(60, (3, 4))
    factors[:, 1] = 0
    factors[0, 1] = 1
    with pytest.raises(ValueError, match="1 of the 2 values of factor_1.* 60 samples"):
        modularity(factors, factors)


def test_values_of_one_part_only_are_left_out_of_explicitness_and_told():
    factors = discrete_factors(900)
    latents = noisy_latents(factors, noise=1.0)
    # One more value of the last factor, in a single row: it is in the train part or in the test
    # part, and the two differ in where the row counts as another one.
    for seed in range(6):
        rare = factors.copy()
        rare[10, 2] = 6
        report = modularity(latents, rare, seed=seed)
        assert "1 of factor_2" in report.notes[0]
        common = modularity(latents, factors, seed=seed)
        assert not common.notes
        assert report["explicitness"] == pytest.approx(common["explicitness"], abs=0.01)
