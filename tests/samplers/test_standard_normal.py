import numpy as np
import pytest
import scipy.stats

from keras_rkm.samplers import StandardNormalSampler


def test_given_dimension_needs_no_adapt():
    sampler = StandardNormalSampler(3)
    assert sampler.latent_dim == 3 and sampler.sample(5, seed=0).shape == (5, 3)


def test_adapt_takes_the_dimension_and_reads_one_batch():
    def batches():
        yield np.full((2, 5), 7.0)
        pytest.fail("read on")

    sampler = StandardNormalSampler().adapt(batches())
    assert sampler.latent_dim == 5
    assert StandardNormalSampler.from_config(sampler.get_config()).latent_dim == 5
    np.testing.assert_array_equal(
        sampler.sample(4, seed=1), StandardNormalSampler(5).sample(4, seed=1)
    )


def test_log_prob_is_that_of_independent_standard_normals(latents):
    expected = scipy.stats.norm.logpdf(latents).sum(axis=1)
    np.testing.assert_allclose(StandardNormalSampler(4).log_prob(latents), expected, rtol=1e-5)


def test_adapt_to_another_dimension_is_refused(latents):
    with pytest.raises(ValueError, match=r"shape=\(256, 4\), latent_dim=3"):
        StandardNormalSampler(3).adapt(latents)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        StandardNormalSampler().adapt([])


@pytest.mark.parametrize("latent_dim", [0, -2])
def test_dimension_is_checked(latent_dim):
    with pytest.raises(ValueError, match=f"Received: latent_dim={latent_dim}"):
        StandardNormalSampler(latent_dim)
