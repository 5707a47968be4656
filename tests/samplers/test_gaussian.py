import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_rkm.samplers import GaussianSampler


def test_log_prob_is_that_of_the_most_likely_normal_distribution(latents):
    sampler = GaussianSampler().adapt(latents)
    oracle = scipy.stats.multivariate_normal(latents.mean(axis=0), np.cov(latents.T, bias=True))
    np.testing.assert_allclose(sampler.log_prob(latents), oracle.logpdf(latents), rtol=1e-5)


def test_samples_have_the_moments_of_the_latents(latents):
    num_samples = 20_000
    samples = GaussianSampler().adapt(latents).sample(num_samples, seed=0).numpy()
    covariance = np.cov(latents.T, bias=True)
    deviation = np.sqrt(np.diag(covariance))
    # Five standard errors: of a mean s / sqrt(n), of a covariance at most s_i * s_j * sqrt(2 / n).
    error = 5 / np.sqrt(num_samples)
    np.testing.assert_array_less(
        np.abs(samples.mean(axis=0) - latents.mean(axis=0)), error * deviation
    )
    np.testing.assert_array_less(
        np.abs(np.cov(samples.T) - covariance),
        np.sqrt(2) * error * np.outer(deviation, deviation),
    )
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), (samples - latents.mean(axis=0)).T)
    assert scipy.stats.kstest(whitened.ravel(), "norm").pvalue > 1e-3


def test_a_row_is_the_mean_plus_scaled_noise(latents):
    sampler = GaussianSampler().adapt(latents)
    rows = sampler.sample_from_seeds([4, 2]).numpy().astype("float64")
    noise = np.linalg.solve(sampler.scale_tril.numpy().astype("float64"), (rows - sampler.mean).T)
    sampler.mean.assign(np.zeros(4))
    sampler.scale_tril.assign(np.eye(4))
    np.testing.assert_allclose(sampler.sample_from_seeds([4, 2]), noise.T, rtol=1e-4, atol=1e-5)


def test_log_prob_keeps_its_digits_far_from_zero():
    latents = np.random.default_rng(0).normal(size=(500, 3)).astype("float32") + np.float32(1e4)
    exact = latents.astype("float64")
    oracle = scipy.stats.multivariate_normal(exact.mean(axis=0), np.cov(exact.T, bias=True))
    # The mean rounded to float32 is off by up to 5e-4, a residual is about 1.
    np.testing.assert_allclose(
        GaussianSampler().adapt(latents).log_prob(latents), oracle.logpdf(exact), atol=1e-2
    )


def test_distribution_is_one_of_tensorflow_probability(latents):
    import tensorflow_probability as tfp

    sampler = GaussianSampler().adapt(latents)
    assert isinstance(sampler.distribution, tfp.distributions.MultivariateNormalTriL)
    np.testing.assert_allclose(
        sampler.distribution.covariance(), np.cov(latents.T, bias=True), rtol=1e-5, atol=1e-5
    )


_NORMAL = np.random.default_rng(0).normal(size=(200, 3))
_DEGENERATE = {
    "dead": (_NORMAL * [1, 0, 1], r"1 of its 3.*axis 1 \(variance 0\)"),
    "tiny": (_NORMAL * [1, 1, 1e-6] + 5, r"1 of its 3.*axis 2 \(variance [\d.]+e-\d\d\)"),
    "few": (_NORMAL[:2], r"2 of its 3.*num_samples=2, latent_dim=3"),
    "duplicated axis": (_NORMAL[:, [0, 1, 1]], r"1 of its 3.*No single axis"),
    "duplicated rows": (np.repeat(_NORMAL[:2], 50, axis=0), r"2 of its 3"),
    "constant": (np.full((20, 3), 0.1), r"3 of its 3.*axis 0.*axis 1.*axis 2"),
    "zero": (np.zeros((20, 3)), r"3 of its 3.*axis 0.*axis 1.*axis 2"),
}


@pytest.mark.parametrize("latents, report", _DEGENERATE.values(), ids=_DEGENERATE)
def test_degenerate_latents_are_told_and_drawn_from(latents, report):
    with pytest.warns(UserWarning, match=report) as warned:
        sampler = GaussianSampler().adapt(latents)
    assert warned[0].filename == __file__
    samples = sampler.sample(500, seed=0).numpy()
    assert np.isfinite(samples).all() and np.isfinite(sampler.log_prob(latents)).all()
    assert np.isfinite(sampler.log_prob(samples)).all()
    largest = np.linalg.eigvalsh(np.cov(latents.T, bias=True))[-1]
    np.testing.assert_allclose(
        np.cov(samples.T), np.cov(latents.T, bias=True), atol=0.4 * largest + 1e-12
    )


@pytest.mark.parametrize("variance_floor", [0.0, -1e-3, 1.0])
def test_variance_floor_is_checked(variance_floor):
    with pytest.raises(ValueError, match=f"variance_floor={variance_floor}"):
        GaussianSampler(variance_floor=variance_floor)


def test_variance_floor_is_kept_to_and_saved():
    latents = _NORMAL * [1, 1, 1e-2]
    GaussianSampler().adapt(latents)  # 1e-4 of the largest variance is sound by default.
    sampler = GaussianSampler.from_config(GaussianSampler(variance_floor=1e-2).get_config())
    with pytest.warns(UserWarning, match="1 of its 3"):
        sampler.adapt(latents)
    eigenvalues = np.linalg.eigvalsh(sampler.distribution.covariance())
    assert eigenvalues[0] / eigenvalues[-1] == pytest.approx(1e-2, rel=1e-4)


def test_one_pass_over_a_dataset_equals_the_array(latents):
    reads = []

    def batches():
        for start in range(0, 600, 90):
            reads.append(start)
            yield latents[start : start + 90]

    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=tf.TensorSpec([None, 4], tf.float64)
    )
    streamed, whole = GaussianSampler().adapt(dataset), GaussianSampler().adapt(latents)
    assert len(reads) == 7
    np.testing.assert_allclose(streamed.scale_tril, whole.scale_tril, rtol=1e-6, atol=1e-6)


def test_fewer_than_two_samples_are_refused():
    with pytest.raises(ValueError, match="num_samples=1"):
        GaussianSampler().adapt(np.zeros((1, 3)))
