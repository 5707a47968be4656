"""Interventional robustness: how little a latent moves while its own factor stays the same."""

import numbers
from collections.abc import Sequence

import numpy as np

from .inputs import check_inputs
from .reports import DisentanglementReport, by_name, scored


def irs(
    latents,
    factors,
    *,
    quantile: float = 0.99,
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
    standardisation: str = "unit_variance",
) -> DisentanglementReport:
    """Computes the interventional robustness score (IRS) [1].

        IRS_ij = 1 - mean_v quantile(|z_i - E[z_i | factor j = v]|) / max |z_i - E[z_i]|
        IRS    = sum_i w_i max_j IRS_ij,    w_i proportional to max |z_i - E[z_i]|

    The inner quantile is over the samples with value v of factor j. In the paper it is the maximum
    (`quantile=1.0`), in the library that most studies use 0.99 [2]. The weights are in units of
    the latents: standardised, each counts about alike; `standardisation="none"` is the literal
    definition. Dead latents have no weight; if all are dead the score is 0. Higher is better, 1
    is the most; below 0 are only latents that within the values stray further from the mean than
    over the whole set.

    Known failures: latents of pure normal noise score about 0.3 (the quantile is below the maximum
    over the whole set); values with few samples score too high; several latents for one factor
    cost nothing; an outlier raises both the IRS of its latent and its weight.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`, of few values each.
        quantile: Float in (0, 1]. Defaults to 0.99.
        factor_kinds: As of `dci`; named in the report. Values are classes here in any case.
        factor_names: Str per factor, for the report.
        standardisation: `"unit_variance"` or `"none"`. Defaults to `"unit_variance"`.

    Returns:
        A `DisentanglementReport` with IRS_ij as its matrix.

    Raises:
        ValueError: If the arrays do not fit or a factor takes too many values.

    Example:

    >>> factors = np.random.default_rng(0).integers(0, 4, size=(1_000, 2))
    >>> round(keras_rkm.metrics.irs(factors, factors)["irs"], 6)
    1.0

    References:
        [1] R. Suter, D. Miladinovic, B. Schoelkopf, S. Bauer, "Robustly Disentangled Causal
            Mechanisms", ICML 2019.
        [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
            Disentangled Representations", ICML 2019.
    """
    if not isinstance(quantile, numbers.Real) or not 0 < quantile <= 1:
        raise ValueError(f"`quantile` must be a number in (0, 1]. Received: quantile={quantile!r}.")
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    scaled = inputs.standardised(standardisation)
    largest = np.abs(scaled - scaled.mean(axis=0)).max(axis=0)
    largest = np.where(inputs.is_dead, 0.0, largest)
    moved = np.stack([_deviations(scaled, c, quantile) for c in inputs.classes.T], axis=1)
    matrix = 1 - moved / np.where(largest > 0, largest, 1)[:, None]
    matrix[inputs.is_dead] = 0.0
    best = matrix.max(axis=1)
    total = largest.sum()
    return DisentanglementReport(
        metric="irs",
        variant=f"quantile_{quantile:g}",
        predictor=f"means by value of a factor, quantile {quantile:g}",
        standardisation=f"latents: {standardisation}",
        num_samples={"all": inputs.num_samples},
        matrix=matrix,
        matrix_meaning="robustness of each latent while each factor is fixed",
        details={"robustness": by_name(inputs.latent_names, best)},
        **scored({"irs": best @ largest / total if total > 0 else 0.0}),
        **inputs.described(),
    )


def _deviations(latents: np.ndarray, classes: np.ndarray, quantile: float) -> np.ndarray:
    """The mean over the values of the quantile of deviations, `(num_latents,)`."""
    groups = np.split(latents[np.argsort(classes, kind="stable")], _ends(classes))
    return np.mean(
        [np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups],
        axis=0,
    )


def _ends(classes: np.ndarray) -> np.ndarray:
    return np.cumsum(np.bincount(classes))[:-1]
