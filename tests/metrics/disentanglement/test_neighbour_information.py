"""InfoMEC against all distances, its shares by hand, and a plain logistic regression."""

import numpy as np
import pytest

from keras_rkm.metrics import infomec
from keras_rkm.metrics.disentanglement.neighbour_information import preference
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents, rotation
from tests.oracles import disentanglement as oracle


def _continuous(factors, width=0.5):
    """Each value becomes an interval, apart from the others."""
    return factors + np.random.default_rng(3).uniform(0, width, size=factors.shape)


@pytest.mark.parametrize(
    ("num_neighbours", "rare", "tolerance"), [(3, False, 1e-8), (10, False, 1e-8), (10, True, 2e-4)]
)
def test_information_agrees_with_all_distances(num_neighbours, rare, tolerance):
    factors = discrete_factors(500)
    if rare:
        # Fewer samples than neighbours, whose distances scikit-learn rounds otherwise, and one
        # alone, which is left out.
        factors[:7, 1] = 4
        factors[7, 1] = 5
    latents = noisy_latents(factors, 4, noise=0.5)
    report = infomec(latents, factors, num_neighbours=num_neighbours)
    expected = np.array(
        [
            [oracle.neighbour_information(c, f, num_neighbours) / oracle.entropy(f)
             for f in factors.T]
            for c in latents.T
        ]
    )  # fmt: skip
    np.testing.assert_allclose(report.matrix, expected, rtol=0, atol=tolerance)
    assert report["infom"] == pytest.approx(oracle.preference(expected), abs=tolerance)
    assert report["infoc"] == pytest.approx(oracle.preference(expected.T), abs=tolerance)


def test_shares_follow_from_the_information_exactly():
    factors = discrete_factors(400)
    report = infomec(noisy_latents(factors), factors)
    assert report["infom"] == pytest.approx(oracle.preference(report.matrix), abs=1e-12)
    assert report["infoc"] == pytest.approx(oracle.preference(report.matrix.T), abs=1e-12)


def test_ten_neighbours_are_taken_unless_told():
    factors = discrete_factors(400)
    latents = noisy_latents(factors)
    assert infomec(latents, factors).scores == infomec(latents, factors, num_neighbours=10).scores
    assert (
        infomec(latents, factors)["infom"] != infomec(latents, factors, num_neighbours=3)["infom"]
    )


def test_explicitness_agrees_with_a_plain_logistic_regression():
    factors = discrete_factors(600, (2, 3, 4))
    factors[:, 0] = (factors[:, 0] + factors[:, 1] > 0) * 1  # unequal frequencies
    latents = noisy_latents(factors, 3, noise=2.0)
    report = infomec(latents, factors)
    codes = (latents - latents.mean(axis=0)) / latents.std(axis=0)
    for j, name in enumerate(report.column_names):
        classes = factors[:, j]
        probabilities = oracle.logistic_probabilities(
            codes, classes, codes, penalty=0.0, balanced=True
        )
        entropy = -np.mean(np.log(probabilities[np.arange(600), classes]))
        # A regression without inputs and balanced classes predicts all values evenly.
        nothing = oracle.logistic_probabilities(
            0 * codes, classes, codes, penalty=0.0, balanced=True
        )
        null = -np.mean(np.log(nothing[np.arange(600), classes]))
        assert null == pytest.approx(np.log(classes.max() + 1), abs=1e-6)
        assert report.details["infoe"][name] == pytest.approx(1 - entropy / null, abs=1e-3)
    assert report["infoe"] == pytest.approx(np.mean(list(report.details["infoe"].values())))


def test_explicitness_may_be_below_zero_for_unequal_frequencies():
    # A rare value at 1, a common one at 0 with a few samples at 8: balanced classes put the border
    # below 1, and what that costs the common value at 8 counts in full.
    generator = np.random.default_rng(0)
    rare = (np.arange(2_000) % 50 == 0).astype(int)
    code = np.where(rare == 1, 1.0, np.where(generator.random(2_000) < 0.05, 8.0, 0.0))
    latents = np.stack([code, generator.normal(size=2_000)], axis=1)
    report = infomec(latents, np.stack([rare, rare], axis=1))
    assert -0.2 < report["infoe"] < -0.02


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[1, 0], [0, 1]], 1.0),
        ([[1, 1], [1, 1]], 0.0),
        ([[3, 1], [0, 2]], ((0.75 + 1) / 2 - 0.5) / 0.5),
        ([[2, 1, 1], [0, 0, 5], [1, 1, 1]], ((1 / 2 + 1 + 1 / 3) / 3 - 1 / 3) / (2 / 3)),
        ([[0, 0, 0], [0, 4, 0]], ((1 / 3 + 1) / 2 - 1 / 3) / (2 / 3)),
        ([[2], [0]], 1.0),
    ],
)
def test_preference_of_a_table_by_hand(table, expected):
    assert preference(np.array(table, float)) == pytest.approx(expected, abs=1e-15)


def test_preference_of_no_row_and_of_no_column_is_zero():
    assert preference(np.zeros((0, 3))) == preference(np.zeros((3, 0))) == 0.0


def test_ideal_and_permuted_codes_score_one():
    factors = discrete_factors(1_500)
    for latents in (_continuous(factors), -_continuous(factors)[:, [2, 0, 1]]):
        scores = infomec(latents, factors).scores
        assert scores == pytest.approx({"infom": 1, "infoe": 1, "infoc": 1}, abs=0.03)


def test_a_duplicated_code_lowers_compactness_only():
    # One factor has two equal shares among four latents, two have a single one.
    factors = discrete_factors(1_500)
    latents = _continuous(factors)
    report = infomec(np.concatenate([latents, latents[:, :1]], axis=1), factors)
    assert report["infom"] == pytest.approx(1, abs=0.03)
    assert report["infoc"] == pytest.approx(((0.5 + 1 + 1) / 3 - 1 / 4) / (3 / 4), abs=0.03)


def test_a_code_for_two_factors_lowers_modularity_only():
    # It has an equal share in two of three factors, the other code one in the third.
    factors = discrete_factors(3_000, (3, 3, 3))
    latents = _continuous(np.stack([3 * factors[:, 0] + factors[:, 1], factors[:, 2]], axis=1))
    report = infomec(latents, factors)
    assert report["infom"] == pytest.approx(((0.5 + 1) / 2 - 1 / 3) / (2 / 3), abs=0.03)
    assert report["infoc"] == pytest.approx(1, abs=0.05)


def test_codes_turned_by_45_degrees_are_not_modular():
    factors = discrete_factors(3_000, (2, 2))
    turned = np.stack([factors.sum(axis=1), factors[:, 0] - factors[:, 1]], axis=1)
    report = infomec(_continuous(turned), factors)
    np.testing.assert_allclose(report.matrix, 0.5, atol=0.03)
    assert report["infom"] < 0.05
    assert report["infoc"] < 0.05


def test_rotated_codes_are_as_explicit():
    factors = discrete_factors(400)
    latents = noisy_latents(factors, 3, noise=1.0)
    latents = (latents - latents.mean(axis=0)) / latents.std(axis=0)
    before, after = (infomec(z, factors)["infoe"] for z in (latents, latents @ rotation(3)))
    assert before == pytest.approx(after, abs=2e-3)


def test_latents_of_small_interquartile_range_are_left_out_in_the_literal_definition():
    factors = discrete_factors(800, (4, 4))
    latents = _continuous(factors)
    ranges = np.subtract(*np.quantile(latents, [0.75, 0.25], axis=0))
    latents /= ranges
    for scale, active in ((0.099, False), (0.101, True)):
        scaled = latents * np.array([1, scale])
        literal = infomec(scaled, factors, standardisation="none")
        assert bool(literal.matrix[1].any()) is active
        assert literal.notes == (() if active else ("not active: latent_1",))
        # Only the choice of latents goes by their scale: the estimates do not.
        default = infomec(scaled, factors)
        assert default.matrix[1].any() and not default.notes
        np.testing.assert_allclose(literal.matrix[0], default.matrix[0], atol=1e-9)
        assert literal["infoe"] == pytest.approx(default["infoe"], abs=1e-6)
        if not active:
            assert literal["infoc"] == 1.0


def test_compactness_is_among_the_active_latents():
    factors = discrete_factors(400)
    latents = noisy_latents(factors, 4, noise=0.5)
    latents /= latents.std(axis=0)
    report = infomec(latents * [1, 1, 0.01, 1], factors, standardisation="none")
    active = report.matrix[[0, 1, 3]]
    assert report["infoc"] == pytest.approx(oracle.preference(active.T), abs=1e-12)
    assert report["infom"] == pytest.approx(oracle.preference(active), abs=1e-12)
    assert report.notes == ("not active: latent_2",)


def test_latents_with_one_value_in_most_samples_are_left_out():
    factors = discrete_factors(800, (4, 4))
    latents = np.concatenate([_continuous(factors), np.zeros((800, 1))], axis=1)
    latents[::5, 2] = np.random.default_rng(0).normal(size=160)
    assert infomec(latents, factors).notes == ("not active: latent_2",)


def test_without_an_active_latent_all_three_are_zero_and_it_says_so():
    factors = discrete_factors(800, (4, 4))
    latents = np.zeros((800, 2))
    latents[::5] = factors[::5]
    report = infomec(latents, factors)
    assert report.scores == {"infom": 0.0, "infoe": 0.0, "infoc": 0.0}
    assert report.notes == ("no latent is active: all three are 0 by definition",)
    assert report.dead_latents == ()


@pytest.mark.parametrize("standardisation", ["unit_variance", "none"])
def test_a_common_scale_and_an_offset_do_not_count(standardisation):
    factors = discrete_factors(300)
    latents = noisy_latents(factors) * np.geomspace(10, 0.1, 5)
    expected = infomec(latents, factors, standardisation=standardisation).scores
    for changed in (latents * 1e30, latents * 1e-30, latents + 1e4):
        scores = infomec(changed, factors, standardisation=standardisation).scores
        assert scores == pytest.approx(expected, abs=1e-4)


def test_the_seed_breaks_ties_only():
    factors = discrete_factors(400)
    tied, free = factors, _continuous(factors)
    assert infomec(free, factors, seed=1).scores == infomec(free, factors, seed=2).scores
    assert infomec(tied, factors, seed=1).scores == infomec(tied, factors, seed=1).scores


@pytest.mark.parametrize("value", [0, -3, 2.5, "10"])
def test_a_number_of_neighbours_that_is_none_is_told(value):
    factors = discrete_factors(100)
    with pytest.raises(ValueError, match=f"`num_neighbours` must be an int.*{value!r}"):
        infomec(factors, factors, num_neighbours=value)
