"""A sampler of latents as plain numbers, which a page can draw from."""

from typing import Any

import numpy as np

from keras_rkm.samplers import (
    GaussianMixtureSampler,
    GaussianSampler,
    Sampler,
    StandardNormalSampler,
)


def mixture_parameters(sampler: Sampler) -> dict[str, Any]:
    """The parameters of the mixture of normal distributions that a sampler is.

    Args:
        sampler: An adapted sampler; one normal distribution is a mixture of one.

    Returns:
        Dict of lists: `weights`, `(num_components,)`, `means`, `(num_components, latent_dim)`, and
        `scale_trils`, `(num_components, latent_dim, latent_dim)`, lower triangular.

    Raises:
        ValueError: If the sampler is of another kind.

    Example:

    >>> mixture_parameters(keras_rkm.samplers.StandardNormalSampler(latent_dim=1))
    {'weights': [1.0], 'means': [[0.0]], 'scale_trils': [[[1.0]]]}
    """
    match sampler:
        case GaussianMixtureSampler():
            parts = sampler.mixture_weights, sampler.means, sampler.scale_trils
        case GaussianSampler():
            parts = [1.0], [sampler.mean], [sampler.scale_tril]
        case StandardNormalSampler():
            dim = sampler.latent_dim
            parts = [1.0], np.zeros((1, dim)), np.eye(dim)[np.newaxis]
        case _:
            raise ValueError(
                "`sampler` must be a mixture of normal distributions. Received: a "
                f"{type(sampler).__name__}. Fit a GaussianMixtureSampler."
            )
    weights, means, scale_trils = (np.asarray(part, "float32").tolist() for part in parts)
    return {"weights": weights, "means": means, "scale_trils": scale_trils}
