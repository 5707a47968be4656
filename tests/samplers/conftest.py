"""The samplers as cases, adapted to the same latents."""

import numpy as np
import pytest

from keras_rkm import samplers

MAKERS = {
    "gaussian": samplers.GaussianSampler,
    "mixture": lambda **arguments: samplers.GaussianMixtureSampler(3, **arguments),
    "standard_normal": samplers.StandardNormalSampler,
}


@pytest.fixture(scope="session")
def latents() -> np.ndarray:
    """Three clusters `(600, 4)` of unequal size, scale and shape, away from zero."""
    generator = np.random.default_rng(0)
    scales = generator.normal(size=(3, 4, 4))
    means = np.array([[-20, 0, 5, 5], [10, 20, 5, 5], [10, -20, 5, 0]])
    noise = generator.normal(size=(600, 4))
    labels = np.repeat([0, 1, 2], [100, 200, 300])
    clusters = means[labels] + np.einsum("nij,nj->ni", scales[labels], noise)
    return generator.permutation(clusters)


@pytest.fixture(params=MAKERS)
def make_sampler(request):
    return MAKERS[request.param]


@pytest.fixture
def sampler(make_sampler, latents) -> samplers.Sampler:
    return make_sampler().adapt(latents)
