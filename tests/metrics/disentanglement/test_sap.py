"""Separated attribute predictability against a plain classifier and correlations."""

import numpy as np
import pytest

from keras_rkm.metrics import sap_score
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents
from tests.oracles import disentanglement as oracle
from tests.oracles.dci import parts

_FRACTIONS = (2 / 3, 0.0, 1 / 3)


def _split(num_samples, seed=0):
    train, _, test = parts(num_samples, _FRACTIONS, seed)
    return train, test


@pytest.mark.parametrize("standardisation", ["unit_variance", "none"])
def test_accuracies_agree_with_a_plain_support_vector_classifier(standardisation):
    factors = discrete_factors(600, sizes=(2, 3, 5))
    latents = noisy_latents(factors, 3)
    report = sap_score(latents, factors, standardisation=standardisation, seed=4)
    if standardisation == "unit_variance":
        latents = (latents - latents.mean(axis=0)) / latents.std(axis=0)
    train, test = _split(600, 4)
    expected = [
        [oracle.svc_accuracy(c[train], f[train], c[test], f[test]) for f in factors.T]
        for c in latents.T
    ]
    np.testing.assert_allclose(report.matrix, expected, rtol=0, atol=1e-10)
    best = np.sort(expected, axis=0)
    assert report["sap_score"] == pytest.approx(np.mean(best[-1] - best[-2]), abs=1e-10)
    assert report.variant == "classification"
    assert report.factor_kinds == ("categorical",) * 3


def test_continuous_factors_take_squared_correlations_of_the_train_part():
    generator = np.random.default_rng(0)
    factors = generator.normal(size=(400, 2))
    latents = noisy_latents(factors, 4)
    report = sap_score(latents, factors, factor_kinds=["continuous"] * 2, seed=1)
    train, _ = _split(400, 1)
    expected = [
        [np.corrcoef(code[train], factor[train])[0, 1] ** 2 for factor in factors.T]
        for code in latents.T
    ]
    np.testing.assert_allclose(report.matrix, expected, rtol=0, atol=1e-10)
    best = np.sort(expected, axis=0)
    assert report["sap_score"] == pytest.approx(np.mean(best[-1] - best[-2]), abs=1e-10)
    assert report.variant == "by_kind"


@pytest.mark.parametrize("degrees", [0, 20, 45, 80])
def test_turned_codes_score_the_cosine_of_twice_the_angle(degrees):
    # The squared correlations of turned independent codes are squared cosines and sines.
    generator = np.random.default_rng(0)
    factors = generator.normal(size=(100_000, 2))
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turned = factors @ np.array([[cosine, -sine], [sine, cosine]])
    score = sap_score(turned, factors, factor_kinds=["continuous"] * 2)["sap_score"]
    assert score == pytest.approx(abs(np.cos(np.deg2rad(2 * degrees))), abs=0.02)


def test_circular_factors_agree_with_mardias_formula():
    factors = discrete_factors(600, sizes=(12, 5))
    angle = 2 * np.pi * factors[:, 0] / 12
    latents = np.stack([factors[:, 0], np.cos(angle - 1), factors[:, 1]], axis=1)
    report = sap_score(latents, factors, factor_kinds=["circular", "continuous"])
    train, _ = _split(600)

    def correlation(first, second):
        return np.corrcoef(first[train], second[train])[0, 1]

    for code, actual in zip(latents.T, report.matrix[:, 0], strict=True):
        with_cos, with_sin = correlation(code, np.cos(angle)), correlation(code, np.sin(angle))
        among = correlation(np.cos(angle), np.sin(angle))
        squares = with_cos**2 + with_sin**2 - 2 * with_cos * with_sin * among
        assert actual == pytest.approx(squares / (1 - among**2), abs=1e-10)
    # A number on a circle is linear in (cos, sin) to 6 / pi^2, with a few values to somewhat more.
    assert report.matrix[0, 0] == pytest.approx(6 / np.pi**2, abs=0.03)
    assert report.matrix[1, 0] == pytest.approx(1, abs=1e-10)


def test_an_angle_coded_by_cosine_and_sine_counts_as_not_disentangled():
    factors = discrete_factors(600, sizes=(12, 5))
    angle = 2 * np.pi * factors[:, 0] / 12
    latents = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    gaps = sap_score(latents, factors, factor_kinds=["circular", "categorical"]).details["gap"]
    assert gaps["factor_0"] == pytest.approx(0, abs=1e-10)


def test_categorical_factors_by_kind_are_those_of_the_default():
    factors = discrete_factors(600)
    latents = noisy_latents(factors)
    by_kind = sap_score(latents, factors, factor_kinds=["categorical", "continuous", "circular"])
    default = sap_score(latents, factors)
    assert by_kind.matrix[:, 0].tolist() == default.matrix[:, 0].tolist()
    assert by_kind.matrix[:, 1].tolist() != default.matrix[:, 1].tolist()
    assert by_kind.factor_kinds == ("categorical", "continuous", "circular")


def test_duplicated_codes_score_exactly_zero():
    factors = discrete_factors(300)
    assert sap_score(np.concatenate([factors, factors], axis=1), factors)["sap_score"] == 0.0


def test_a_code_of_a_binary_factor_beats_a_dead_one_by_all_but_the_share_it_names():
    # A dead latent makes the classifier name one value always, right as often as it occurs:
    # counting it as 0 instead would be a gap that no latent has earned.
    factors = discrete_factors(900, sizes=(2, 4))
    latents = np.stack([factors[:, 0], np.full(900, 0.1)], axis=1)
    report = sap_score(latents, factors)
    _, test = _split(900)
    share = factors[test, 0].mean()
    assert report.dead_latents == ("latent_1",)
    assert report.matrix[0, 0] == 1.0
    assert min(abs(report.matrix[1, 0] - s) for s in (share, 1 - share)) < 1e-12
    assert report.details["gap"]["factor_0"] == pytest.approx(1 - report.matrix[1, 0])


def test_one_code_for_two_factors_costs_nothing():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 50_000))
    latents = np.stack([first + second, generator.normal(size=50_000)], axis=1)
    factors = np.stack([first, second], axis=1)
    # The sum has half of its variance from each.
    score = sap_score(latents, factors, factor_kinds=["continuous"] * 2)["sap_score"]
    assert score == pytest.approx(0.5, abs=0.02)


def test_scale_counts_only_in_the_literal_definition():
    factors = discrete_factors(600)
    latents = noisy_latents(factors)
    latents /= latents.std(axis=0)
    scales = np.array([1e-3, 1, 100, 0.1, 10])
    same, scaled = (sap_score(z, factors)["sap_score"] for z in (latents, latents * scales))
    assert same == pytest.approx(scaled, abs=1e-10)
    literal = [
        sap_score(z, factors, standardisation="none").matrix for z in (latents, latents * scales)
    ]
    np.testing.assert_allclose(literal[0], sap_score(latents, factors).matrix, atol=0.03)
    # Too small for C 0.01: the bias alone decides, always the same way.
    assert np.abs(literal[1][0] - literal[0][0]).max() > 0.1
    _, test = _split(600)
    shares = [
        np.mean(factors[test, j][:, None] == np.arange(s), axis=0) for j, s in enumerate((3, 4, 6))
    ]
    for value, share in zip(literal[1][0], shares, strict=True):
        assert np.abs(share - value).min() < 0.02


def test_continuous_factors_are_free_of_scale_in_both():
    factors = np.random.default_rng(0).normal(size=(500, 2))
    latents = noisy_latents(factors, 3)
    kinds = ["continuous"] * 2
    expected = sap_score(latents, factors, factor_kinds=kinds)["sap_score"]
    for changed, others in [
        (latents * 1e30, factors * 1e-30),
        (latents * 1e-30, factors * 1e30),
        (latents, factors + 1e6),
    ]:
        for standardisation in ("unit_variance", "none"):
            score = sap_score(changed, others, factor_kinds=kinds, standardisation=standardisation)
            assert score["sap_score"] == pytest.approx(expected, abs=1e-6)


def test_a_latent_that_is_constant_in_the_train_part_has_no_correlation():
    factors = np.random.default_rng(0).normal(size=(90, 2))
    train, test = _split(90)
    latents = factors.copy()
    latents[train, 0] = 0.1
    report = sap_score(latents, factors, factor_kinds=["continuous"] * 2)
    assert report.matrix[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "value"), [("continuous", 0.1), ("categorical", 3), (("circular", 360.0), 360.0)]
)
def test_a_factor_that_is_constant_in_the_train_part_is_told(kind, value):
    factors = np.random.default_rng(0).integers(0, 3, size=(90, 2)).astype(float)
    train, test = _split(90)
    factors[train, 1] = value
    factors[test, 1] = np.where(np.arange(len(test)) % 2, value, value + 1)
    # Full turns are the same angle.
    factors[train[:9], 1] = 0.0 if kind == ("circular", 360.0) else value
    with pytest.raises(ValueError, match="vary in the train part.*one value of factor_1 in 60"):
        sap_score(factors, factors, factor_kinds=["continuous", kind])


def test_ideal_codes_of_many_values_score_little():
    factors = discrete_factors(4_000, sizes=(40, 40))
    assert 0.02 < sap_score(factors, factors)["sap_score"] < 0.2
