"""Separated attribute predictability: how far the best latent of a factor predicts better."""

from collections.abc import Sequence

import numpy as np

from .factor_kinds import FactorKind, targets
from .inputs import Inputs, check_inputs, check_seed, standardise
from .parallel import parallel_map
from .parts import Parts, split_rows
from .reports import DisentanglementReport, by_name, scored

_SVC_C = 0.01
# The solver's own 1e-4 is relative to its first step, and leaves the bias alone for large latents.
_SVC_TOLERANCE = 1e-10


def sap_score(
    latents,
    factors,
    *,
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
    standardisation: str = "unit_variance",
    fractions: Sequence[float] = (2 / 3, 0.0, 1 / 3),
    seed: int = 0,
    n_jobs: int | None = 1,
) -> DisentanglementReport:
    """Computes the separated attribute predictability (SAP) score [1].

        SAP = mean_j (S_(1)j - S_(2)j)

    where S_ij says how well latent i ALONE predicts factor j, and S_(1)j, S_(2)j are the two
    largest:

    - of a categorical factor, the accuracy on the test part of a linear support vector classifier
      (C 0.01, balanced classes);
    - of a continuous factor, the squared correlation on the train part;
    - of a circular factor, the squared correlation of the latent with (cos, sin) of it [2].

    The score is between 0 and 1, higher is better. C is in units of the latents, so they are
    standardised first; `standardisation="none"` is the literal definition. Of a dead latent S_ij is
    the accuracy of always predicting the same value, or 0 if the factor is no categorical one.

    Known failures: a factor that needs two latents counts as not disentangled, one latent that
    serves several factors does not; a linear classifier on one latent can tell apart the ends of a
    range but hardly the values between, so that even ideal latents score little for factors of
    many values; the scale differs between the kinds of factors.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`.
        factor_kinds: As of `dci`. None (the default) takes every factor as categorical, as studies
            of dSprites and 3D Shapes do.
        factor_names: Str per factor, for the report.
        standardisation: `"unit_variance"` or `"none"`. Defaults to `"unit_variance"`.
        fractions: Of the samples for training, nothing, and test. Defaults to (2/3, 0, 1/3).
        seed: Int, of the split. Defaults to 0.
        n_jobs: Int, threads over the factors; the values do not depend on it. Defaults to 1.

    Returns:
        A `DisentanglementReport` with S as its matrix.

    Raises:
        ValueError: If the arrays do not fit or a categorical factor takes too many values.

    Example:

    >>> factors = np.random.default_rng(0).normal(size=(1_000, 2))
    >>> report = keras_rkm.metrics.sap_score(factors, factors, factor_kinds=["continuous"] * 2)
    >>> round(report["sap_score"], 2)
    1.0

    References:
        [1] A. Kumar, P. Sattigeri, A. Balakrishnan, "Variational Inference of Disentangled Latent
            Concepts from Unlabeled Observations", ICLR 2018.
        [2] K. V. Mardia, "Linear-Circular Correlation Coefficients and Rhythmometry", Biometrika
            63, 1976.
    """
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    parts = split_rows(inputs.num_samples, fractions, check_seed(seed))
    literal = factor_kinds is None
    kinds = [FactorKind("categorical")] * len(inputs.kinds) if literal else inputs.kinds
    scaled = inputs.standardised(standardisation)

    def scores(index):
        return _scores(inputs, scaled, index, kinds[index], parts)

    matrix = np.stack(parallel_map(scores, range(len(kinds)), n_jobs), axis=1)
    second, first = np.sort(matrix, axis=0)[-2:]
    return DisentanglementReport(
        metric="sap_score",
        variant="classification" if literal else "by_kind",
        predictor=f"linear support vector classifier, C {_SVC_C}"
        + ("" if literal else ", of categorical factors; squared correlation of the others"),
        standardisation=f"latents: {standardisation}",
        num_samples=parts.counts(),
        seed=seed,
        matrix=matrix,
        matrix_meaning="how well each latent alone predicts each factor",
        details={"gap": by_name(inputs.factor_names, first - second)},
        **scored({"sap_score": np.mean(first - second)}),
        **inputs.described() | {"factor_kinds": tuple(kind.kind for kind in kinds)},
    )


def _scores(
    inputs: Inputs, latents: np.ndarray, index: int, kind: FactorKind, parts: Parts
) -> np.ndarray:
    """Of every latent for factor number `index`, `(num_latents,)`."""
    wanted = targets(inputs.factors[:, index], kind)[parts.train]
    # Of a circular factor, 0 and 360 degrees differ by rounding.
    if np.ptp(wanted, axis=0).max() <= 1e-12 * np.abs(wanted).max():
        raise ValueError(
            "`factors` must vary in the train part. Received: one value of "
            f"{inputs.factor_names[index]} in {len(parts.train)} samples. Use more samples."
        )
    if kind.kind == "categorical":
        classes = inputs.classes[:, index]
        return np.array([_accuracy(column, classes, parts) for column in latents.T])
    return _squared_correlations(standardise(latents[parts.train]), wanted)


def _accuracy(column: np.ndarray, classes: np.ndarray, parts: Parts) -> float:
    from sklearn.svm import LinearSVC

    # Solved as the primal problem, which draws nothing and is faster for one feature.
    model = LinearSVC(C=_SVC_C, class_weight="balanced", dual=False, tol=_SVC_TOLERANCE)
    model.fit(column[parts.train, None], classes[parts.train])
    return float(model.score(column[parts.test, None], classes[parts.test]))


def _squared_correlations(latents: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The share of the variance of each latent that is linear in `wanted` `(n, num_targets)`.

    The latents are standardised: the variance of each is 1, or 0 if it is constant.
    """
    wanted = wanted - wanted.mean(axis=0)
    coefficients = np.linalg.lstsq(wanted, latents, rcond=None)[0]
    return np.minimum(np.mean((wanted @ coefficients) ** 2, axis=0), 1.0)
