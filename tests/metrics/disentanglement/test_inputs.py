"""Checks of the two arrays, standardisation, and what counts as dead."""

import numpy as np
import pytest

from keras_rkm.metrics.disentanglement.inputs import (
    as_matrix,
    check_count,
    check_inputs,
    check_seed,
    find_dead,
    standardise,
)
from tests.metrics.disentanglement.cases import discrete_factors, noisy_latents


def test_inputs_are_copied_in_float64_and_named():
    factors = discrete_factors(50).astype(np.uint8)
    latents = noisy_latents(factors, 4).astype(np.float32)
    inputs = check_inputs(latents, factors, factor_names=["a", "b", "c"])
    assert inputs.latents.dtype == inputs.factors.dtype == np.float64
    assert inputs.latent_names == ("latent_0", "latent_1", "latent_2", "latent_3")
    assert inputs.factor_names == ("a", "b", "c")
    assert inputs.dead_latents == inputs.constant_factors == ()
    inputs.latents[:] = 0
    assert latents.any()


def test_booleans_and_lists_are_numbers():
    assert as_matrix([[True, False], [False, False]], "latents").tolist() == [[1, 0], [0, 0]]


def test_constant_factors_are_left_out_with_their_kinds():
    factors = np.insert(discrete_factors(60), 1, 5, axis=1)
    kinds = ["categorical", "circular", ("circular", 4), "continuous"]
    inputs = check_inputs(factors, factors, factor_kinds=kinds)
    assert inputs.constant_factors == ("factor_1",)
    assert inputs.factors.shape == (60, 3)
    assert [kind.kind for kind in inputs.kinds] == ["categorical", "circular", "continuous"]
    assert inputs.described()["factor_kinds"] == ("categorical", "circular", "continuous")
    assert inputs.described()["column_names"] == ("factor_0", "factor_2", "factor_3")


def test_classes_number_the_values_in_their_order():
    factors = np.array([[2.5, 7], [-1, 7], [2.5, 3], [0, 3], [0, 3], [-1, 7]])
    inputs = check_inputs(factors, factors)
    assert inputs.classes.T.tolist() == [[2, 0, 2, 1, 1, 0], [1, 1, 0, 0, 0, 1]]


def test_a_factor_of_less_than_two_samples_per_value_is_told():
    factors = np.stack([np.arange(20) % 10, np.arange(20) % 11], axis=1)
    check = check_inputs(factors[:, [0, 0]], factors[:, [0, 0]])
    assert check.classes.max() == 9
    with pytest.raises(ValueError, match="11 values of factor_1 in 20 samples.*np.digitize"):
        check_inputs(factors, factors).classes  # noqa: B018


def test_dead_latents_are_those_with_no_more_than_the_noise_of_float32():
    noise = np.random.default_rng(0).normal(size=1_000)
    noise = (noise - noise.mean()) / noise.std()
    latents = np.stack(
        [
            np.full(1_000, 0.1),  # its mean in floating point is not 0.1
            1 + 1e-7 * noise,
            1 + 2e-7 * noise,
            1e6 + noise,
            1e7 + noise,
        ],
        axis=1,
    )
    assert [bool(find_dead(latents[:, [i]])[0]) for i in range(5)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    # Of the largest deviation in the set, 1e-6.
    among = np.stack([noise, 0.9e-6 * noise, 1.1e-6 * noise], axis=1)
    assert find_dead(among).tolist() == [False, True, False]
    assert find_dead(among * 1e-30).tolist() == [False, True, False]
    inputs = check_inputs(latents, discrete_factors(1_000))
    assert inputs.dead_latents == ("latent_0", "latent_1", "latent_2", "latent_4")
    assert not inputs.latents[:, [0, 1, 2, 4]].any()


@pytest.mark.parametrize("scale", [1e30, 1.0, 1e-30])
def test_standardised_latents_have_mean_zero_and_variance_one(scale):
    latents = scale * noisy_latents(discrete_factors(200))
    inputs = check_inputs(latents, discrete_factors(200))
    standardised = inputs.standardised("unit_variance")
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standardised.var(axis=0), 1, rtol=1e-12)
    assert inputs.standardised("none") is inputs.latents
    with pytest.raises(ValueError, match="must be one of.*'range'"):
        inputs.standardised("range")


def test_standardising_goes_by_the_reference_and_leaves_zeros_without_variation():
    array = np.array([[0.0, 0.1, 1e-200], [2.0, 0.1, 0.0], [8.0, 5.0, 1.0]])
    result = standardise(array, array[:2])
    np.testing.assert_allclose(result[:, 0], [-1, 1, 7])
    # The last column varies in the reference, yet so little that its variance is 0.
    assert not result[:, 1:].any()


def test_extreme_numbers_are_told():
    array = np.ones((4, 2))
    array[1, 1] = -1e41
    with pytest.raises(ValueError, match=r"`factors` must be at most 1e\+40.*Received: 1e\+41"):
        as_matrix(array, "factors")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"two dimensions.*shape=\(3,\)"),
        (np.zeros((3, 2, 1)), r"two dimensions.*shape=\(3, 2, 1\)"),
        (np.zeros((3, 2)).astype(object), "dtype=object. Encode categories"),
        (np.zeros((3, 2)).astype(complex), "dtype=complex128"),
        (np.array([["a", "b"], ["c", "d"]]), "dtype=<U1"),
        (np.zeros((1, 2)), r"two samples or more.*shape=\(1, 2\)"),
        (np.zeros((0, 2)), r"two samples or more.*shape=\(0, 2\)"),
        (np.zeros((3, 0)), r"and a column. Received: shape=\(3, 0\)"),
        (np.array([[1, np.nan, np.inf], [1, 2, 3]]), r"finite.*column\(s\) \[1, 2\]"),
    ],
)
def test_what_is_no_finite_matrix_is_told(array, message):
    with pytest.raises(ValueError, match=f"`latents` must.*{message}"):
        as_matrix(array, "latents")


def test_arrays_that_do_not_fit_are_told():
    array = discrete_factors(20)
    with pytest.raises(ValueError, match=r"the same samples.*\(20, 3\).*\(19, 3\)"):
        check_inputs(array, array[:19])
    with pytest.raises(ValueError, match=r"`latents` must have two columns.*\(20, 1\)"):
        check_inputs(array[:, :1], array)
    with pytest.raises(ValueError, match="of which 1 vary"):
        check_inputs(array, np.where([True, False, False], array, 1))
    with pytest.raises(ValueError, match="a different name.*for 3 factors"):
        check_inputs(array, array, factor_names=["a", "b"])


@pytest.mark.parametrize("value", [1.0, "3", None, True, 1, -2])
def test_a_count_must_be_an_int_that_is_large_enough(value):
    with pytest.raises(ValueError, match=f"`num_bins` must be an int of at least 2.*{value!r}"):
        check_count(value, "num_bins", smallest=2)


def test_a_count_may_be_of_numpy():
    assert type(check_count(np.int64(2), "num_bins", smallest=2)) is int


def test_a_seed_is_between_zero_and_two_to_the_32():
    assert (check_seed(0), check_seed(2**32 - 1)) == (0, 2**32 - 1)
    for seed in (-1, 2**32, 0.5):
        with pytest.raises(ValueError, match=f"`seed` must be.*seed={seed}"):
            check_seed(seed)
