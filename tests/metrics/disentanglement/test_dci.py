"""DCI against the paper's recipe in plain loops, and against what its definition implies."""

import functools

import numpy as np
import pytest

from keras_rkm import metrics
from keras_rkm.metrics.disentanglement import dci_predictors
from keras_rkm.metrics.disentanglement.dci_report import concentration
from keras_rkm.metrics.disentanglement.parts import split_rows
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents, rotation
from tests.oracles import dci as oracle

_dci_forest = functools.partial(metrics.dci, regressor="random_forest")
_dci_boosting = functools.partial(metrics.dci, regressor="gradient_boosting")


def _continuous(num_samples, num_factors, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=(num_samples, num_factors))


def _assert_agrees(report, importances, errors):
    np.testing.assert_allclose(report.matrix, importances, atol=1e-6)
    expected = {
        "disentanglement": oracle.disentanglement(importances),
        "completeness": oracle.completeness(importances),
        "informativeness": np.mean(errors),
    }
    assert report.scores == pytest.approx(expected, abs=1e-6)
    assert list(report.details["informativeness"].values()) == pytest.approx(errors, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_lasso_agrees_with_the_recipe_of_2018(noise, seed):
    factors = discrete_factors(500)
    latents = noisy_latents(factors, noise=noise)
    report = metrics.dci(latents, factors, seed=seed)
    _assert_agrees(report, *oracle.lasso(latents, factors, seed))
    assert report.num_samples == {"train": 400, "validation": 50, "test": 50}


@pytest.mark.parametrize("depth", [3, 12])
def test_forest_of_a_given_depth_agrees_with_the_recipe_of_2018(depth):
    factors = discrete_factors(500)
    latents = noisy_latents(factors, noise=1.0)
    report = _dci_forest(latents, factors, max_depth=depth, seed=3)
    importances, errors, _ = oracle.forest(latents, factors, 3, [depth])
    _assert_agrees(report, importances, errors)
    assert report.predictor == f"random forest regressor, 10 trees of depth {depth}"


def test_forest_takes_the_depth_of_least_validation_error_for_each_factor():
    factors = _continuous(500, 3)
    latents = noisy_latents(factors, noise=0.4)
    report = _dci_forest(latents, factors, seed=1)
    importances, errors, depths = oracle.forest(latents, factors, 1, range(2, 15, 2))
    _assert_agrees(report, importances, errors)
    # The case is one where the choice matters.
    assert len(set(depths)) > 1
    assert report.predictor.endswith(
        f"among (2, 4, 6, 8, 10, 12, 14): {', '.join(map(str, depths))}"
    )
    fixed = _dci_forest(latents, factors, max_depth=2, seed=1)
    assert abs(fixed["disentanglement"] - report["disentanglement"]) > 1e-3


def test_own_fractions_replace_the_customary_ones():
    factors = discrete_factors(500)
    latents = noisy_latents(factors)
    report = metrics.dci(latents, factors, fractions=(0.5, 0.0, 0.5))
    assert report.num_samples == {"train": 250, "test": 250}
    boosted = _dci_boosting(latents[:300], factors[:300])
    assert boosted.num_samples == {"train": 200, "test": 100}


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (10, 4)])
def test_hand_made_importances_get_the_numbers_of_the_definition(shape):
    generator = np.random.default_rng(shape[0])
    importances = generator.exponential(size=shape) * (generator.random(shape) < 0.7)
    importances[-1] = 0
    rows = [oracle.entropy_score(row, shape[1]) or 0.0 for row in importances]
    assert concentration(importances).tolist() == pytest.approx(rows, abs=1e-12)


def test_concentration_of_equal_shares_is_never_below_zero():
    for num in range(2, 60):
        value = concentration(np.full((1, num), 0.1))[0]
        assert 0 <= value < 1e-12


def test_concentration_of_two_equal_shares_of_many():
    weights = np.zeros((1, 7))
    weights[0, [2, 5]] = 3.0
    assert concentration(weights)[0] == pytest.approx(1 - np.log(2) / np.log(7), abs=1e-12)


def _report_of(monkeypatch, importances, informativeness, **arguments):
    """The report of `dci` if the fits of the factors were these."""
    columns = iter(
        dci_predictors.Fit(column, value)
        for column, value in zip(importances.T, informativeness, strict=True)
    )
    for name in ("fit_lasso", "fit_gradient_boosting"):
        monkeypatch.setattr(dci_predictors, name, lambda *_, **__: next(columns))
    factors = discrete_factors(100, sizes=(3,) * importances.shape[1])
    latents = _continuous(100, importances.shape[0])
    return metrics.dci(latents, factors, **arguments)


def test_scores_weigh_codes_by_their_share_and_factors_alike(monkeypatch):
    # Row sums 4, 4, 0; D of the rows 1, 1 - log 2 / log 2 = 0; columns (4, 2, 0) and (0, 2, 0).
    importances = np.array([[4.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    report = _report_of(monkeypatch, importances, [0.25, 0.75])
    first = 1 + (2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)) / np.log(3)
    assert report.scores == pytest.approx(
        {"disentanglement": 0.5, "completeness": (first + 1) / 2, "informativeness": 0.5}, abs=1e-12
    )
    assert report.directions["informativeness"] == "NRMSE, lower is better"
    assert report.details["disentanglement"] == pytest.approx(
        {"latent_0": 1, "latent_1": 0, "latent_2": 0}, abs=1e-12
    )
    assert report.notes == ("no factor needs latent_2: weight 0 in disentanglement",)


def test_classifying_variant_weighs_factors_by_their_share_and_names_it(monkeypatch):
    importances = np.array([[4.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    report = _report_of(monkeypatch, importances, [0.25, 0.75], regressor="gradient_boosting")
    first = 1 + (2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)) / np.log(3)
    assert report.scores == pytest.approx(
        {
            "disentanglement": 0.5,
            "weighted_completeness": (6 * first + 2 * 1) / 8,
            "informativeness_accuracy": 0.5,
        },
        abs=1e-12,
    )
    assert set(report.directions.values()) == {"higher is better"}
    assert report.factor_kinds == ("categorical", "categorical")


def test_factor_that_nothing_predicts_has_completeness_zero_and_is_named(monkeypatch):
    report = _report_of(monkeypatch, np.array([[2.0, 0.0], [0.0, 0.0]]), [0.1, 1.0])
    assert (report["disentanglement"], report["completeness"]) == (1.0, 0.5)
    assert "no latent helps to predict factor_1: completeness 0 there" in report.notes
    nothing = _report_of(monkeypatch, np.zeros((2, 2)), [1.0, 1.0])
    assert (nothing["disentanglement"], nothing["completeness"]) == (0.0, 0.0)


@pytest.mark.parametrize("score", [metrics.dci, _dci_forest, _dci_boosting])
def test_scaled_and_permuted_ideal_codes_are_ideal(score):
    factors = discrete_factors(900, sizes=(3, 4, 5))
    report = score((factors * [3.0, -0.1, 1e3])[:, [2, 0, 1]], factors)
    completeness = report.scores.get("completeness", report.scores.get("weighted_completeness"))
    assert (report["disentanglement"], completeness) == pytest.approx((1, 1), abs=0.02)
    assert report.matrix.argmax(axis=0).tolist() == [1, 2, 0]


def test_two_equally_good_codes_per_factor_halve_completeness_alone():
    factors = _continuous(4_000, 3)
    noise = 0.3 * np.random.default_rng(1).normal(size=(2, 4_000, 3))
    codes = np.concatenate([factors + noise[0], factors + noise[1]], axis=1)
    expected = 1 - np.log(2) / np.log(6)
    for score, tolerance in (
        (metrics.dci, 0.02),
        (functools.partial(_dci_forest, max_depth=4), 0.1),
    ):
        report = score(codes, factors)
        assert report["disentanglement"] == pytest.approx(1, abs=tolerance)
        assert report["completeness"] == pytest.approx(expected, abs=tolerance)


def test_code_of_two_factors_alike_is_half_disentangled():
    # Three factors, a code for each of them in pairs: no code belongs to one.
    factors = _continuous(4_000, 3)
    report = metrics.dci(factors + np.roll(factors, 1, axis=1), factors)
    mixed = np.stack([factors[:, 0] + factors[:, 1], factors[:, 2]], axis=1)
    by_code = metrics.dci(mixed, factors).details["disentanglement"]
    assert by_code["latent_0"] == pytest.approx(1 - np.log(2) / np.log(3), abs=0.01)
    assert by_code["latent_1"] == pytest.approx(1, abs=0.01)
    assert report["disentanglement"] < 0.5


def test_constant_codes_and_constant_factors_are_named_and_score_nothing():
    factors = np.insert(discrete_factors(300), 1, 8, axis=1)
    report = metrics.dci(np.full((300, 2), 0.1), factors, factor_names=["a", "b", "c", "d"])
    assert report.dead_latents == ("latent_0", "latent_1")
    assert report.constant_factors == ("b",)
    assert (report["disentanglement"], report["completeness"]) == (0, 0)
    assert report["informativeness"] == pytest.approx(1, abs=0.05)
    assert "no latent helps to predict a, c, d" in report.notes[0]


def test_latent_that_is_constant_in_the_train_part_alone_is_harmless():
    factors = discrete_factors(300)
    latents = np.concatenate([factors, np.zeros((300, 1))], axis=1).astype(float)
    latents[split_rows(300, (0.8, 0.1, 0.1), 0).test[0], 3] = 1e6
    report = metrics.dci(latents, factors)
    assert not report.matrix[3].any()
    assert report["disentanglement"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("num_factors", [2, 5])
def test_lasso_of_rotated_ideal_codes_scores_what_the_rotation_implies(num_factors):
    # The factors are independent and of equal variance, so that the coefficients are the entries
    # of the rotation, each shrunk by alpha.
    factors = _continuous(10_000, num_factors)
    for seed in range(5):
        basis = rotation(num_factors, seed)
        implied = oracle.disentanglement(np.maximum(np.abs(basis) - 0.02, 0))
        value = metrics.dci(factors @ basis, factors)["disentanglement"]
        assert value == pytest.approx(implied, abs=0.03)


def test_forest_forgives_a_rotation_of_ideal_codes_more_than_lasso_does():
    factors = _continuous(1_000, 5)
    forest, lasso = (
        np.mean([score(factors @ rotation(5, s), factors)["disentanglement"] for s in range(3)])
        for score in (_dci_forest, metrics.dci)
    )
    assert lasso + 0.1 < forest < 0.6
    assert _dci_forest(factors, factors)["disentanglement"] > 0.98


def _angles(num_samples=2_000, num_values=40):
    index = np.random.default_rng(0).integers(0, num_values, (num_samples, 2))
    angle, size = 360.0 / num_values * index[:, 0], index[:, 1].astype(float)
    radians = np.deg2rad(angle)
    return np.stack([np.cos(radians), np.sin(radians), size], 1), np.stack([angle, size], 1)


def test_perfect_code_of_an_angle_is_perfect_only_as_circular():
    latents, factors = _angles()
    literal = metrics.dci(latents, factors).details["informativeness"]
    # The best line through (cos, sin) explains 6 / pi^2 of the variance of a uniform angle.
    assert literal["factor_0"] == pytest.approx(np.sqrt(1 - 6 / np.pi**2), abs=0.03)
    forest = _dci_forest(latents, factors).details["informativeness"]
    assert forest["factor_0"] < 0.01
    by_kind = metrics.dci(latents, factors, factor_kinds=["circular", "continuous"])
    assert by_kind.variant == "lasso_2018_by_kind"
    assert by_kind.factor_kinds == ("circular", "continuous")
    # Each of two standardised codes loses 0.02 of its slope, a target has half the variance.
    errors = by_kind.details["informativeness"]
    assert errors["factor_0"] == pytest.approx(0.02 * np.sqrt(2), abs=2e-3)
    assert errors["factor_1"] == pytest.approx(0.02, abs=2e-3)
    assert by_kind.details["completeness"]["factor_0"] == pytest.approx(
        1 - np.log(2) / np.log(3), abs=0.01
    )


@pytest.mark.parametrize("score", [metrics.dci, functools.partial(_dci_forest, max_depth=6)])
def test_start_and_unit_of_an_angle_do_not_count(score):
    _, factors = _angles(1_000)
    latents = noisy_latents(factors, noise=30.0)
    original = score(latents, factors, factor_kinds=["circular", "continuous"])
    turned = np.stack([np.deg2rad((factors[:, 0] + 126) % 360), factors[:, 1]], axis=1)
    kinds = [("circular", 2 * np.pi), "continuous"]
    again = score(latents, turned, factor_kinds=kinds)
    assert again.scores == pytest.approx(original.scores, abs=1e-3)
    literal = [score(latents, f)["informativeness"] for f in (factors, turned)]
    assert abs(literal[0] - literal[1]) > 1e-3


def test_circular_and_categorical_factors_agree_with_their_plain_statement():
    _, factors = _angles(1_000, 12)
    latents = noisy_latents(factors * [1 / 60, 1], noise=0.5)
    kinds = [("circular", 360), "categorical"]
    targets = [
        oracle.angle_targets(factors[:, 0], 360),
        oracle.indicator_targets(factors[:, 1]),
    ]
    parts = [oracle.lasso_of_targets(latents, t, 0) for t in targets]
    report = metrics.dci(latents, factors, factor_kinds=kinds)
    _assert_agrees(report, np.array([p[0] for p in parts]).T, [p[1] for p in parts])
    # Deeper trees have nodes of few samples, which rounding splits by one code or another.
    parts = [oracle.forest_of_targets(latents, t, 0, 3) for t in targets]
    report = _dci_forest(latents, factors, factor_kinds=kinds, max_depth=3)
    _assert_agrees(report, np.array([p[0] for p in parts]).T, [p[1] for p in parts])


def test_names_of_categories_do_not_count():
    factors = discrete_factors(600)
    latents = noisy_latents(factors)
    renamed = factors.copy()
    renamed[:, 2] = np.array([40, -3, 7, 100, 0, 1])[factors[:, 2]]
    kinds = ["continuous", "continuous", "categorical"]
    first, second = (metrics.dci(latents, f, factor_kinds=kinds) for f in (factors, renamed))
    assert second.scores == pytest.approx(first.scores, abs=1e-6)
    literal = metrics.dci(latents, renamed)["informativeness"]
    assert literal > metrics.dci(latents, factors)["informativeness"] + 0.05


@pytest.mark.slow
def test_fast_boosting_is_close_to_the_exact_one():
    generator = np.random.default_rng(0)
    factors = discrete_factors(2_400, sizes=(3, 4, 5))
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    latents = scaled @ rotation(6)[:3] + 0.3 * generator.normal(size=(2_400, 6))
    fast, exact = (
        metrics.dci(latents, factors, regressor=regressor)
        for regressor in ("gradient_boosting", "gradient_boosting_exact")
    )
    assert fast.scores == pytest.approx(exact.scores, abs=0.02)
    np.testing.assert_allclose(fast.matrix, exact.matrix, atol=0.02)
    assert (fast.variant, exact.variant) == ("gradient_boosting", "gradient_boosting_exact")


def test_exact_boosting_is_the_classifier_of_scikit_learn():
    from sklearn.ensemble import GradientBoostingClassifier

    factors = discrete_factors(300, sizes=(2, 3))
    latents = noisy_latents(factors, noise=1.0, num_latents=3)
    order = np.random.default_rng(5).permutation(300)
    train, test = order[:200], order[200:]
    report = metrics.dci(latents, factors, regressor="gradient_boosting_exact", seed=5)
    accuracies, importances = [], []
    for factor in factors.T:
        model = GradientBoostingClassifier(random_state=5).fit(latents[train], factor[train])
        accuracies.append(np.mean(model.predict(latents[test]) == factor[test]))
        importances.append(model.feature_importances_)
    np.testing.assert_allclose(report.matrix, np.array(importances).T, atol=1e-12)
    assert report["informativeness_accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-12)
    assert report["weighted_completeness"] == pytest.approx(
        oracle.completeness(np.array(importances).T, weighted=True), abs=1e-12
    )


def test_threads_change_no_bit_even_within_a_configuration_of_joblib():
    import joblib

    factors = discrete_factors(400)
    latents = noisy_latents(factors)
    plain = _dci_forest(latents, factors, max_depth=4)
    with joblib.parallel_config(backend="threading", n_jobs=4):
        for n_jobs in (None, 1, 3, -1):
            again = _dci_forest(latents, factors, max_depth=4, n_jobs=n_jobs)
            assert again.matrix.tobytes() == plain.matrix.tobytes()
            assert again.scores == plain.scores


def test_forest_stays_in_one_thread_since_the_order_of_its_trees_counts(monkeypatch):
    import sklearn.ensemble

    grown, grow = [], sklearn.ensemble.RandomForestRegressor.fit
    monkeypatch.setattr(
        sklearn.ensemble.RandomForestRegressor,
        "fit",
        lambda forest, *arguments: grown.append(forest) or grow(forest, *arguments),
    )
    factors = discrete_factors(100)
    _dci_forest(factors, factors, max_depth=2, n_jobs=2)
    # None would take the number from the configuration of joblib.
    assert [forest.n_jobs for forest in grown] == [1, 1, 1]


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, "two", True])
def test_bad_number_of_threads_is_told(n_jobs):
    factors = discrete_factors(100)
    with pytest.raises(ValueError, match="`n_jobs` must be"):
        metrics.dci(factors, factors, n_jobs=n_jobs)


def test_rows_are_split_in_random_order_into_disjoint_parts():
    parts = split_rows(103, (0.7, 0.1, 0.2), 4)
    assert parts.counts() == {"train": 72, "validation": 10, "test": 21}
    assert sorted(np.concatenate(parts)) == list(range(103))
    for part, expected in zip(parts, oracle.parts(103, (0.7, 0.1, 0.2), 4), strict=True):
        assert part.tolist() == expected.tolist()
    assert (np.diff(parts.train) < 0).any()


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (1.0, 0.0, 0.0), (0.9, 0.2, -0.1), "abc", 1.0, (0.5, 0.1, 0.41)]
)
def test_bad_fractions_are_told(fractions):
    with pytest.raises(ValueError, match="`fractions` must be three numbers that add up to 1"):
        split_rows(100, fractions, 0)
