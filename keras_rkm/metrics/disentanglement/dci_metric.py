"""Disentanglement, completeness and informativeness, in their two definitions."""

from collections.abc import Sequence

import numpy as np

from . import dci_predictors as predictors
from .dci_report import report
from .factor_kinds import targets
from .inputs import Inputs, check_count, check_inputs, check_seed
from .parallel import parallel_map
from .parts import Parts, split_rows
from .reports import DisentanglementReport

REGRESSORS = ("lasso", "random_forest", "gradient_boosting", "gradient_boosting_exact")
REGRESSION_FRACTIONS = (0.8, 0.1, 0.1)
CLASSIFICATION_FRACTIONS = (2 / 3, 0.0, 1 / 3)


def dci(
    latents,
    factors,
    *,
    regressor: str = "lasso",
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
    fractions: Sequence[float] | None = None,
    max_depth: int | str = "validation",
    seed: int = 0,
    n_jobs: int | None = 1,
) -> DisentanglementReport:
    """Computes disentanglement, completeness and informativeness.

    Each factor is predicted from all latents, and R (num_latents x num_factors) holds how much
    each latent counts for each factor. With H_b the entropy to the base b,

        disentanglement = sum_i rho_i (1 - H_K(R_i. / sum R_i.)),    rho_i = sum R_i. / sum R
        completeness    = mean_j      (1 - H_D(R_.j / sum R_.j))

    for K factors and D latents. What they are worth depends on the predictor, so the report names
    its variant:

    - `"lasso"`, `"random_forest"`: as Eastwood and Williams [1]. R are absolute coefficients of a
      Lasso (alpha 0.02), or impurity importances of a forest of 10 trees. Latents and factors are
      standardised. `informativeness` is the NRMSE, the root mean squared error over that of
      predicting the mean, averaged over factors: LOWER is better.
    - `"gradient_boosting"`: as in later studies [2]. R are impurity importances of gradient-
      boosted trees that CLASSIFY the values of a factor. `informativeness_accuracy`: HIGHER is
      better; `weighted_completeness` weighs the factors by their share of R. The trees split 1,023
      bins per latent; `"gradient_boosting_exact"` is scikit-learn's `GradientBoostingClassifier`,
      takes six times as long on 10,000 samples, and gives up to 0.02 more disentanglement: bins
      cannot set single samples apart.

    Known failures: a forest gives a random rotation of perfect latents a high disentanglement (see
    `random_rotation_control`); Lasso sees linear relations only; completeness depends on D.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`; classes of values for gradient boosting.
        regressor: Str, see above. Defaults to `"lasso"`.
        factor_kinds: One of `"continuous"`, `"circular"`, `("circular", period)`, `"categorical"`
            per factor. Lasso and forest predict (cos, sin) of a circular factor, and an indicator
            per value of a categorical one, at a total variance of 1. None (the default) is the
            literal definition, which takes every factor as a number. Gradient boosting takes the
            values as classes in any case.
        factor_names: Str per factor, for the report.
        fractions: Of the samples for training, validation and test. Defaults to (0.8, 0.1, 0.1)
            [1], for gradient boosting to (2/3, 0, 1/3) [2].
        max_depth: Int, or `"validation"`: the depth of a random forest, per factor, with the least
            error on that part among 2, 4, ..., 14; the report names it. Scores of other depths do
            not compare. Defaults to `"validation"`.
        seed: Int, of the split and of the trees. Defaults to 0.
        n_jobs: Int, threads over the factors; the values do not depend on it. Defaults to 1.

    Returns:
        A `DisentanglementReport` with R as its matrix.

    Raises:
        ValueError: If the arrays do not fit, an argument is unknown, or there are too few samples.

    Example:

    >>> factors = np.random.default_rng(0).normal(size=(1_000, 2))
    >>> report = keras_rkm.metrics.dci(10 * factors, factors)
    >>> report.variant, round(report["disentanglement"], 3), round(report["informativeness"], 3)
    ('lasso_2018', 1.0, 0.02)

    References:
        [1] C. Eastwood, C. K. I. Williams, "A Framework for the Quantitative Evaluation of
            Disentangled Representations", ICLR 2018.
        [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
            Disentangled Representations", ICML 2019.
    """
    _check_arguments(regressor, max_depth)
    seed = check_seed(seed)
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    parts = _parts(inputs, regressor, fractions, max_depth, seed)

    def fit(index):
        return _fit(inputs, index, parts, regressor, max_depth, seed)

    fits = parallel_map(fit, range(len(inputs.factor_names)), n_jobs)
    return report(inputs, fits, parts, regressor, factor_kinds is not None, max_depth, seed)


def _check_arguments(regressor: str, max_depth: int | str) -> None:
    if regressor not in REGRESSORS:
        raise ValueError(
            f"`regressor` must be one of {REGRESSORS}. Received: regressor={regressor!r}."
        )
    if max_depth != "validation":
        check_count(max_depth, "max_depth")
        if regressor != "random_forest":
            raise ValueError(
                "`max_depth` belongs to regressor='random_forest' alone. Received: "
                f"max_depth={max_depth} with regressor={regressor!r}."
            )


def _classifies(regressor: str) -> bool:
    return regressor.startswith("gradient_boosting")


def _parts(inputs: Inputs, regressor: str, fractions, max_depth, seed: int) -> Parts:
    if fractions is None:
        fractions = CLASSIFICATION_FRACTIONS if _classifies(regressor) else REGRESSION_FRACTIONS
    parts = split_rows(inputs.num_samples, fractions, seed)
    if regressor == "random_forest" and max_depth == "validation" and not len(parts.validation):
        raise ValueError(
            "`max_depth='validation'` needs a validation part. Received: "
            f"fractions={tuple(fractions)}. Set one aside, or fix `max_depth`."
        )
    for name, rows in parts._asdict().items():
        constant = np.ptp(inputs.factors[rows], axis=0) == 0 if len(rows) else np.zeros(1, bool)
        if constant.any():
            raise ValueError(
                f"`factors` must vary in every part. Received: {inputs.num_samples} samples, of "
                f"which the {name} part has {len(rows)}, all with the same value of "
                f"{inputs.factor_names[constant.argmax()]}. Use more samples or another `seed`."
            )
    return parts


def _fit(inputs: Inputs, index: int, parts: Parts, regressor, max_depth, seed) -> predictors.Fit:
    """Predicts factor number `index`."""
    if regressor == "gradient_boosting":
        return predictors.fit_gradient_boosting(
            inputs.latents, inputs.classes[:, index], parts, seed=seed
        )
    if regressor == "gradient_boosting_exact":
        return predictors.fit_gradient_boosting_exact(
            inputs.latents, inputs.classes[:, index], parts, seed=seed
        )
    wanted = targets(inputs.factors[:, index], inputs.kinds[index])
    if regressor == "lasso":
        return predictors.fit_lasso(inputs.latents, wanted, parts)
    return predictors.fit_random_forest(
        inputs.latents, wanted, parts, max_depth=max_depth, seed=seed
    )
