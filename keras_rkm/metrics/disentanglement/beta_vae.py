"""The score of beta-VAE: can a linear classifier tell which factor two samples share?"""

from collections.abc import Sequence

import numpy as np

from .fixed_factor import FixedFactorSampler, half_and_half, notes_on_samples
from .inputs import check_count, check_inputs, check_seed
from .parallel import parallel_map
from .reports import DisentanglementReport, scored

_CHUNK = 500
_MAX_ITERATIONS = 1_000


def beta_vae_score(
    latents,
    factors,
    *,
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
    standardisation: str = "unit_variance",
    batch_size: int = 64,
    num_train: int = 10_000,
    num_test: int = 5_000,
    seed: int = 0,
) -> DisentanglementReport:
    """Computes the disentanglement score of beta-VAE [1].

    A point: draw a factor and 64 pairs of samples; the two of a pair have the same value of it.
    Its features are `mean(abs(latents_a - latents_b))` over the pairs. The score is the accuracy on
    test points of a logistic regression (C 1) of the factor on the features: at most 1, higher is
    better. Chance is 1 / num_factors. Without a live latent the score is 0.

    The penalty of the regression is in units of the latents, so they are standardised first;
    `standardisation="none"` is the literal definition for latents with a unit-variance prior.

    Pairs are drawn out of the given samples, train and test points from different halves. Known
    failures: it tends to 1 for anything that has learned the factors at all, and a linear
    classifier may combine latents, so that entangled ones score high too.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`, of few values each.
        factor_kinds: As of `dci`; named in the report. Values are classes here in any case.
        factor_names: Str per factor, for the report.
        standardisation: `"unit_variance"` or `"none"`. Defaults to `"unit_variance"`.
        batch_size: Int, pairs per point. Defaults to 64.
        num_train: Int, train points. Defaults to 10,000.
        num_test: Int, test points. Defaults to 5,000.
        seed: Int, of all draws. Defaults to 0.

    Returns:
        A `DisentanglementReport` with the coefficients of the regression as its matrix.

    Raises:
        ValueError: If the arrays do not fit, a factor has too few samples per value, or
            all train points are of the same factor.

    Example:

    >>> factors = np.random.default_rng(0).integers(0, 4, size=(2_000, 3))
    >>> report = keras_rkm.metrics.beta_vae_score(
    ...     factors, factors, num_train=500, num_test=500)
    >>> report["beta_vae_score"]
    1.0

    References:
        [1] I. Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
            Variational Framework", ICLR 2017.
    """
    check_count(batch_size, "batch_size")
    check_count(num_train, "num_train", smallest=10)
    check_count(num_test, "num_test")
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    generator = np.random.default_rng(check_seed(seed))
    scaled = inputs.standardised(standardisation)
    samplers = half_and_half(inputs, generator)
    train, test = (
        _points(sampler, scaled, num_points, batch_size, generator)
        for sampler, num_points in zip(samplers, (num_train, num_test), strict=True)
    )
    accuracy, coefficients = _classify(train, test, len(inputs.factor_names))
    alive = not inputs.is_dead.all()
    return DisentanglementReport(
        metric="beta_vae_score",
        variant="logistic_regression",
        predictor=f"logistic regression, C 1, on means of {batch_size} pairs",
        standardisation=f"latents: {standardisation}",
        num_samples={"all": inputs.num_samples, "train points": num_train, "test points": num_test},
        seed=seed,
        matrix=coefficients,
        matrix_meaning="coefficient of each latent's mean difference for each factor",
        notes=notes_on_samples(samplers, batch_size)
        + (() if alive else ("no latent is alive: the score is 0 by definition",)),
        **scored({"beta_vae_score": accuracy if alive else 0.0}),
        **inputs.described(),
    )


def _points(sampler: FixedFactorSampler, latents, num_points, batch_size, generator) -> tuple:
    """Features `(num_points, num_latents)` and factors `(num_points,)`."""
    factors, first, second = sampler.pairs(num_points, batch_size, generator)
    starts = range(0, num_points, _CHUNK)
    chunks = [slice(start, start + _CHUNK) for start in starts]
    means = [np.abs(latents[first[c]] - latents[second[c]]).mean(axis=1) for c in chunks]
    return np.concatenate(means), factors


def _classify(train: tuple, test: tuple, num_factors: int) -> tuple[float, np.ndarray]:
    """Accuracy, and coefficients `(num_latents, num_factors)`; those of two factors mirror."""
    from sklearn.linear_model import LogisticRegression

    if np.ptp(train[1]) == 0:
        raise ValueError(
            "The train points must be of two factors or more. Received: "
            f"num_train={len(train[1])} points, all of the same factor. Draw more of them."
        )
    model = LogisticRegression(max_iter=_MAX_ITERATIONS)
    parallel_map(lambda points: model.fit(*points), [train], n_jobs=1)
    coefficients = np.zeros((train[0].shape[1], num_factors))
    signed = model.coef_ if len(model.coef_) > 1 else np.concatenate([-model.coef_, model.coef_])
    coefficients[:, model.classes_] = signed.T
    return float(model.score(*test)), coefficients
