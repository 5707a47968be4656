"""The mathematics of variational auto-encoders, against sums over grids and plain loops."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm._replicas import Share
from keras_rkm.models import variational
from tests.oracles import variational as oracle


def _moments(batch=5, dim=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(0, 1.5, (batch, dim)), generator.normal(-1, 1, (batch, dim))


def test_divergence_from_the_normal_prior_is_its_integral():
    moments = _moments()
    expected = oracle.divergence(*moments, oracle.normal_log_density)
    np.testing.assert_allclose(variational.normal_divergence(*moments), expected, rtol=1e-9)


def test_divergence_from_the_quartic_prior_is_its_integral():
    moments = _moments()
    expected = oracle.divergence(
        *moments, lambda z: oracle.quartic_log_density(z, variational.QUARTIC_COEFFICIENT)
    )
    np.testing.assert_allclose(variational.quartic_divergence(*moments), expected, rtol=1e-9)


def test_quartic_prior_has_unit_variance():
    assert pytest.approx(0.114, abs=5e-4) == variational.QUARTIC_COEFFICIENT
    variance = oracle.variance_of(
        lambda z: oracle.quartic_log_density(z, variational.QUARTIC_COEFFICIENT)
    )
    assert variance == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("dataset_size", [5.0, 1000.0])
def test_parts_of_the_divergence_equal_plain_loops(dataset_size):
    moments = _moments()
    latents = np.random.default_rng(1).normal(0, 1, (5, 3))
    parts = variational.divergence_parts(
        latents, *moments, tf.constant(dataset_size, tf.float64), Share.of(latents)
    )
    expected = oracle.divergence_parts(latents, *moments, dataset_size)
    np.testing.assert_allclose(parts, expected, rtol=1e-9)


def test_parts_of_the_divergence_sum_to_a_draw_of_it():
    mean, log_variance = map(tf.constant, _moments())
    size, share = tf.constant(100.0, tf.float64), Share.of(mean)
    totals = []
    for step in range(200):
        latents = variational.sample(mean, log_variance, [0, step], share)
        totals.append(sum(variational.divergence_parts(latents, mean, log_variance, size, share)))
    expected = oracle.divergence(*_moments(), oracle.normal_log_density).mean()
    assert np.mean(totals) == pytest.approx(expected, abs=4 * np.std(totals) / np.sqrt(200))


def test_size_of_the_dataset_does_not_move_a_gradient():
    mean, log_variance = map(tf.constant, _moments())
    gradients = []
    for size in (5.0, 1000.0):
        with tf.GradientTape() as tape:
            tape.watch([mean, log_variance])
            latents = variational.sample(mean, log_variance, [0, 0], Share.of(mean))
            parts = variational.divergence_parts(
                latents, mean, log_variance, tf.constant(size, tf.float64), Share.of(mean)
            )
            loss = parts[0] + 6 * parts[1] + parts[2]
        gradients.append(tape.gradient(loss, [mean, log_variance]))
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-12)


def test_samples_have_the_moments_of_the_posterior():
    shape = (200_000, 1)
    mean, log_variance = tf.fill(shape, 2.0), tf.fill(shape, float(np.log(9)))
    draws = variational.sample(mean, log_variance, [0, 1], Share.of(mean))
    assert np.mean(draws) == pytest.approx(2, abs=0.03)
    assert np.std(draws) == pytest.approx(3, abs=0.03)


def test_permuted_latents_are_those_of_each_column_in_an_order_of_its_own():
    latents = np.random.default_rng(0).normal(0, 1, (64, 3)).astype("float32")
    permuted = variational.permute_latents(tf.constant(latents), [0, 1]).numpy()
    np.testing.assert_array_equal(np.sort(permuted, axis=0), np.sort(latents, axis=0))
    sources = (latents[:, np.newaxis] == permuted).argmax(axis=0)  # (row, latent): of which image
    assert np.all(np.sort(sources, axis=0) == np.arange(64)[:, np.newaxis])
    assert np.mean(sources == np.arange(64)[:, np.newaxis]) < 0.1
    # By chance one row in 64 has two latents of one image.
    assert np.mean(sources[:, :2] == sources[:, 1:]) < 0.1
