"""Unsupervised disentanglement ranking: do runs from different seeds find the same latents?"""

import itertools
import numbers
from collections.abc import Sequence

import numpy as np

from .inputs import as_matrix, find_dead, standardise
from .parallel import parallel_map
from .reports import DisentanglementReport, by_name, scored

SIMILARITIES = ("lasso", "spearman")
_LASSO_ALPHA = 0.1


def udr(
    runs: Sequence,
    *,
    similarity: str = "lasso",
    min_relative_variance: float = 0.01,
    n_jobs: int | None = 1,
) -> DisentanglementReport:
    """Computes the unsupervised disentanglement ranking (UDR) of several runs [1].

    It needs no factors. For runs a and b of one configuration from different seeds, R (d_a x d_b)
    holds how alike their latents are: absolute coefficients of a Lasso (alpha 0.1) of those of b
    on those of a, or absolute Spearman correlations, of latents brought to unit variance. Then

        UDR_ab = (sum_j max(R_.j)^2 / sum(R_.j) + sum_i max(R_i.)^2 / sum(R_i.)) / (d_a + d_b)

    and the UDR of a run is the median over its peers, which are the regressors. It is between 0
    and 1, higher is better, but for correlated latents a Lasso may exceed 1. Two runs with the
    same uncorrelated latents reach 0.9 with Lasso, which shrinks them by alpha, and about 1 with
    Spearman (less what chance correlations add to the sums). A latent that is like none counts 0.

    The definition leaves out latents whose KL divergence from the prior is below 0.01. There is
    none without a prior: here a latent is left out if its variance is below
    `min_relative_variance` times the largest of its run. That is all that the scale of latents
    does; with `min_relative_variance=0` only dead latents are left out.

    Known failures: runs that agree for another reason, such as principal axes in the order of
    their variances, rank high without being disentangled; runs with a single live latent, the
    same one, rank as high as any.

    Args:
        runs: Sequence of arrays `(num_samples, num_latents)`, the latents of two or more runs for
            the same images; the numbers of latents may differ. 1,000 samples are customary.
        similarity: `"lasso"` or `"spearman"`. Defaults to `"lasso"`.
        min_relative_variance: Float in [0, 1). Defaults to 0.01.
        n_jobs: Int, threads over pairs of runs; the values do not depend on it. Defaults to 1.

    Returns:
        A `DisentanglementReport` with the score of every run, `"run_0"` and so on, their mean
        `"udr"`, and as its matrix UDR_ab, of which the diagonal is 0 and without a meaning.

    Raises:
        ValueError: If there are fewer than two runs or their rows do not fit.

    Example:

    >>> latents = np.random.default_rng(0).normal(size=(1_000, 3))
    >>> report = keras_rkm.metrics.udr([latents, -latents[:, ::-1]], similarity="spearman")
    >>> report["udr"] > 0.9
    True

    References:
        [1] S. Duan et al., "Unsupervised Model Selection for Variational Disentangled
            Representation Learning", ICLR 2020.
    """
    if similarity not in SIMILARITIES:
        raise ValueError(
            f"`similarity` must be one of {SIMILARITIES}. Received: similarity={similarity!r}."
        )
    valid = isinstance(min_relative_variance, numbers.Real)
    if not valid or not 0 <= min_relative_variance < 1:
        raise ValueError(
            "`min_relative_variance` must be a number in [0, 1). "
            f"Received: min_relative_variance={min_relative_variance!r}."
        )
    runs = _check_runs(runs)
    alive = [_live_latents(run, min_relative_variance) for run in runs]
    pairs = list(itertools.permutations(range(len(runs)), 2))
    alike = _lasso_coefficients if similarity == "lasso" else _rank_correlations
    scores = parallel_map(
        lambda pair: _relative_strength(alike(alive[pair[0]], alive[pair[1]])), pairs, n_jobs
    )
    matrix = np.zeros((len(runs), len(runs)))
    matrix[tuple(np.transpose(pairs))] = scores
    names = tuple(f"run_{index}" for index in range(len(runs)))
    of_run = np.array([np.median(np.delete(matrix[:, i], i)) for i in range(len(runs))])
    return DisentanglementReport(
        metric="udr",
        variant=similarity,
        predictor=f"Lasso, alpha {_LASSO_ALPHA}" if similarity == "lasso" else "Spearman",
        standardisation="latents: unit_variance",
        num_samples={"all": len(runs[0])},
        matrix=matrix,
        matrix_meaning="agreement of each run (row, the regressor) with each other run",
        row_names=names,
        column_names=names,
        dead_latents=_left_out(runs, min_relative_variance),
        notes=tuple(
            f"{name} has no live latent: its agreement is 0"
            for name, latents in zip(names, alive, strict=True)
            if not latents.shape[1]
        ),
        **scored({"udr": of_run.mean(), **by_name(names, of_run)}),
    )


def _check_runs(runs: Sequence) -> list[np.ndarray]:
    runs = list(runs)
    if len(runs) < 2:
        raise ValueError(
            f"`runs` must be the latents of two runs or more. Received: {len(runs)} run(s)."
        )
    runs = [as_matrix(run, f"runs[{index}]") for index, run in enumerate(runs)]
    if len({len(run) for run in runs}) > 1:
        raise ValueError(
            "`runs` must be latents of the same images, with as many rows in each. Received: "
            f"shapes {[run.shape for run in runs]}."
        )
    return runs


def _is_live(run: np.ndarray, min_relative_variance: float) -> np.ndarray:
    variances = run.var(axis=0)
    return ~find_dead(run) & (variances >= min_relative_variance * variances.max())


def _live_latents(run: np.ndarray, min_relative_variance: float) -> np.ndarray:
    return standardise(run[:, _is_live(run, min_relative_variance)])


def _left_out(runs: list[np.ndarray], min_relative_variance: float) -> tuple[str, ...]:
    return tuple(
        f"run_{index}/latent_{latent}"
        for index, run in enumerate(runs)
        for latent in np.flatnonzero(~_is_live(run, min_relative_variance))
    )


def _lasso_coefficients(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import Lasso

    if not first.shape[1] or not second.shape[1]:
        return np.zeros((first.shape[1], second.shape[1]))
    model = Lasso(alpha=_LASSO_ALPHA, tol=1e-12, max_iter=100_000).fit(first, second)
    return np.abs(np.atleast_2d(model.coef_)).T


def _rank_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from scipy import stats

    first, second = (standardise(stats.rankdata(part, axis=0)) for part in (first, second))
    return np.abs(first.T @ second) / len(first)


def _relative_strength(similarities: np.ndarray) -> float:
    """UDR_ab of the similarities R; a latent that is like none counts 0."""
    strengths = []
    for table in (similarities, similarities.T):
        if table.size:
            totals = table.sum(axis=0)
            squares = table.max(axis=0) ** 2
            strengths.append(np.where(totals > 0, squares / np.where(totals > 0, totals, 1), 0.0))
    return float(np.concatenate(strengths).mean()) if strengths else 0.0
