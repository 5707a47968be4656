"""Distributions of latents: fitted by `adapt`, drawn from by `sample`; they know no model.

>>> import numpy as np
>>> from keras_rkm import samplers
>>> latents = np.random.default_rng(0).normal(size=(500, 3))
>>> sampler = samplers.GaussianSampler().adapt(latents)
>>> sampler.sample(4, seed=0).shape.as_list(), sampler.log_prob(latents).shape.as_list()
([4, 3], [500])
"""

from .base import Sampler, load_sampler
from .gaussian import GaussianSampler
from .mixture import GaussianMixtureSampler
from .mixture_fitting import select_num_components
from .standard_normal import StandardNormalSampler

__all__ = [
    "GaussianMixtureSampler",
    "GaussianSampler",
    "Sampler",
    "StandardNormalSampler",
    "load_sampler",
    "select_num_components",
]
