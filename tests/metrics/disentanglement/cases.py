"""Latents and factors that the tests share, and a table of all scores."""

import functools

import numpy as np

from keras_rkm import metrics

SIZES = (3, 4, 6)


def discrete_factors(num_samples=1_200, sizes=SIZES, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(0, size, num_samples) for size in sizes], axis=1)


def grid(*sizes):
    """Every combination of values once."""
    return np.stack([axis.ravel() for axis in np.indices(sizes)], axis=1)


def noisy_latents(factors, num_latents=5, noise=0.3, seed=1):
    """A random linear mixture with noise, of unequal scales and away from zero."""
    generator = np.random.default_rng(seed)
    mixture = factors @ generator.normal(size=(factors.shape[1], num_latents))
    mixture = mixture + noise * generator.normal(size=mixture.shape)
    return mixture * np.geomspace(0.1, 30, num_latents) + np.arange(num_latents)


def rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


_FOREST = functools.partial(metrics.dci, regressor="random_forest", max_depth=8)
_BOOSTING = functools.partial(metrics.dci, regressor="gradient_boosting")
_FEW_VOTES = {"num_train": 600, "num_test": 300}

# Every score: name, callable of (latents, factors), the value names.
SCORES = {
    "dci_lasso": metrics.dci,
    "dci_forest": _FOREST,
    "dci_boosting": _BOOSTING,
    "mutual_information_gap": metrics.mutual_information_gap,
    "sap_score": metrics.sap_score,
    "factor_vae_score": functools.partial(metrics.factor_vae_score, **_FEW_VOTES),
    "beta_vae_score": functools.partial(metrics.beta_vae_score, **_FEW_VOTES),
    "modularity": metrics.modularity,
    "irs": metrics.irs,
    "infomec": metrics.infomec,
}
DRAWING = [name for name in SCORES if name not in ("mutual_information_gap", "irs")]
THREADED = [n for n in DRAWING if n not in ("factor_vae_score", "beta_vae_score")]
