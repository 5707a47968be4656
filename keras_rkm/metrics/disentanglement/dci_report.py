"""From the importance matrices of DCI to its numbers, under names that tell the variants apart."""

from typing import Any

import numpy as np

from .dci_predictors import DEPTHS, LASSO_ALPHA, NUM_TREES, Fit
from .inputs import Inputs
from .parts import Parts
from .reports import LOWER, DisentanglementReport, by_name, scored

_PREDICTORS = {
    "lasso": f"Lasso, alpha {LASSO_ALPHA}",
    "random_forest": f"random forest regressor, {NUM_TREES} trees",
    "gradient_boosting": "gradient-boosting classifier, 100 trees of depth 3 per class, 1023 bins",
    "gradient_boosting_exact": "gradient-boosting classifier, 100 trees of depth 3 per class",
}


def report(
    inputs: Inputs,
    fits: list[Fit],
    parts: Parts,
    regressor: str,
    by_kind: bool,
    max_depth: int | str,
    seed: int,
) -> DisentanglementReport:
    """The report of `dci`; `fits` has one entry per factor, `by_kind` is the treatment of kinds."""
    importances = np.stack([fit.importances for fit in fits], axis=1)
    informativeness = np.array([fit.informativeness for fit in fits])
    classifies = regressor.startswith("gradient_boosting")
    kinds = {"factor_kinds": ("categorical",) * len(fits)} if classifies else {}
    scores = _classification_scores if classifies else _regression_scores
    return DisentanglementReport(
        metric="dci",
        variant=_variant(regressor, classifies, by_kind),
        predictor=_PREDICTORS[regressor] + _depths(regressor, max_depth, fits),
        standardisation=(
            "none, trees do not need it" if classifies else "latents and factors, by the train part"
        ),
        num_samples=parts.counts(),
        seed=seed,
        matrix=importances,
        matrix_meaning="importance of each latent for each factor",
        details=_details(inputs, importances, informativeness, classifies),
        notes=_notes(inputs, importances),
        **scores(importances, informativeness),
        **inputs.described() | kinds,
    )


def concentration(weights: np.ndarray) -> np.ndarray:
    """One less the normalised entropy of each row: 1 for a single weight, 0 for equal ones.

    A row of zeros has no shares; it gets 0.

    Example:

    >>> from keras_rkm.metrics.disentanglement.dci_report import concentration
    >>> concentration(np.array([[3.0, 0.0], [1.0, 1.0], [1.0, 3.0], [0.0, 0.0]])).round(3)
    array([1.   , 0.   , 0.189, 0.   ])
    """
    totals = weights.sum(axis=1, keepdims=True)
    shares = weights / np.where(totals > 0, totals, 1)
    logs = np.log(np.where(shares > 0, shares, 1)) / np.log(weights.shape[1])
    # Equal shares may come out below zero by rounding.
    return np.where(totals[:, 0] > 0, np.maximum(1 + np.sum(shares * logs, axis=1), 0), 0.0)


def _weighted(weights: np.ndarray) -> float:
    """The mean `concentration` of the rows, weighted by their sums; 0 if there is nothing."""
    total = weights.sum()
    return float(weights.sum(axis=1) @ concentration(weights) / total) if total > 0 else 0.0


def _regression_scores(importances: np.ndarray, errors: np.ndarray) -> dict[str, Any]:
    return scored(
        {
            "disentanglement": _weighted(importances),
            "completeness": concentration(importances.T).mean(),
            "informativeness": errors.mean(),
        },
        informativeness=f"NRMSE, {LOWER}",
    )


def _classification_scores(importances: np.ndarray, accuracies: np.ndarray) -> dict[str, Any]:
    return scored(
        {
            "disentanglement": _weighted(importances),
            "weighted_completeness": _weighted(importances.T),
            "informativeness_accuracy": accuracies.mean(),
        }
    )


def _variant(regressor: str, classifies: bool, by_kind: bool) -> str:
    if classifies:
        return regressor
    return f"{regressor}_2018" + ("_by_kind" if by_kind else "")


def _depths(regressor: str, max_depth: int | str, fits: list[Fit]) -> str:
    if regressor != "random_forest":
        return ""
    depths = ", ".join(str(fit.depth) for fit in fits)
    if max_depth != "validation":
        return f" of depth {max_depth}"
    return f", depth by the validation part among {DEPTHS}: {depths}"


def _details(inputs: Inputs, importances, informativeness, classifies: bool) -> dict[str, Any]:
    weighted, accuracy = ("weighted_", "_accuracy") if classifies else ("", "")
    return {
        "disentanglement": by_name(inputs.latent_names, concentration(importances)),
        f"{weighted}completeness": by_name(inputs.factor_names, concentration(importances.T)),
        f"informativeness{accuracy}": by_name(inputs.factor_names, informativeness),
    }


def _notes(inputs: Inputs, importances: np.ndarray) -> tuple[str, ...]:
    used, predicted = importances.sum(axis=1) > 0, importances.sum(axis=0) > 0
    notes = []
    if not predicted.all():
        names = np.array(inputs.factor_names)[~predicted].tolist()
        notes.append(f"no latent helps to predict {', '.join(names)}: completeness 0 there")
    unused = ~used & ~inputs.is_dead
    if unused.any():
        names = np.array(inputs.latent_names)[unused].tolist()
        notes.append(f"no factor needs {', '.join(names)}: weight 0 in disentanglement")
    return tuple(notes)
