"""Modularity (one factor per latent) and explicitness (factors readable by a linear rule)."""

from collections.abc import Sequence

import numpy as np

from .information import NUM_BINS, mutual_information
from .inputs import Inputs, check_count, check_inputs, check_seed, standardise
from .parallel import parallel_map
from .parts import Parts, split_rows
from .reports import DisentanglementReport, by_name, scored

_MAX_ITERATIONS = 1_000


def modularity(
    latents,
    factors,
    *,
    num_bins: int = NUM_BINS,
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
    fractions: Sequence[float] = (2 / 3, 0.0, 1 / 3),
    seed: int = 0,
    n_jobs: int | None = 1,
) -> DisentanglementReport:
    """Computes modularity and explicitness [1].

        modularity = mean_i (1 - sum_(j != best) I_ij^2 / (I_i,best^2 (K - 1)))

    where I_ij is the mutual information of latent i (in 20 bins) with factor j of K, and `best`
    the factor with the largest. It is between 0 and 1, higher is better. A latent without
    information, such as a dead one, counts as 0, as in the published code [2].

    Explicitness is the area under the ROC curve of a logistic regression (C 1) from standardised
    latents, one value of a factor against the rest, averaged over values and then over factors:
    0.5 is chance, 1 the most, higher is better.

    Known failures: a latent of pure noise has a modularity too, that of its estimation errors;
    several latents for one factor cost nothing; explicitness hardly changes when the latents are
    rotated, and values between others are hard to tell by a linear rule.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`, of few values each.
        num_bins: Int. Defaults to 20.
        factor_kinds: As of `dci`; named in the report. Values are classes here in any case.
        factor_names: Str per factor, for the report.
        fractions: Of the samples for training, nothing, and test; modularity takes the training
            part. Defaults to (2/3, 0, 1/3).
        seed: Int, of the split. Defaults to 0.
        n_jobs: Int, threads over the factors; the values do not depend on it. Defaults to 1.

    Returns:
        A `DisentanglementReport` with the mutual information in nats as its matrix.

    Raises:
        ValueError: If the arrays do not fit, a factor takes too many values, or fewer than two of
            them occur in both parts. Others that do not are left out of explicitness, by a note.

    Example:

    >>> factors = np.random.default_rng(0).integers(0, 3, size=(2_000, 2))
    >>> report = keras_rkm.metrics.modularity(factors, factors)
    >>> round(report["modularity"], 3), report["explicitness"] > 0.8
    (1.0, True)

    References:
        [1] K. Ridgeway, M. C. Mozer, "Learning Deep Disentangled Embeddings with the F-Statistic
            Loss", NeurIPS 2018.
        [2] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
            Disentangled Representations", ICML 2019.
    """
    check_count(num_bins, "num_bins", smallest=2)
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    parts = split_rows(inputs.num_samples, fractions, check_seed(seed))
    in_both = _values_in_both_parts(inputs, parts)
    standardised = standardise(inputs.latents, inputs.latents[parts.train])

    def area(index):
        return _area_under_curve(standardised, inputs.classes[:, index], parts, in_both[index])

    areas = np.array(parallel_map(area, range(len(inputs.factor_names)), n_jobs))
    train = parts.train
    information = mutual_information(inputs.latents[train], inputs.classes[train], num_bins)
    per_latent = modularity_per_latent(information)
    return DisentanglementReport(
        metric="modularity",
        variant="squared_information",
        predictor=f"plug-in estimate, {num_bins} bins per latent; logistic regression, C 1",
        standardisation="latents, by the train part, for explicitness",
        num_samples=parts.counts(),
        seed=seed,
        matrix=information,
        matrix_meaning="mutual information of each latent with each factor, in nats",
        details={
            "modularity": by_name(inputs.latent_names, per_latent),
            "explicitness": by_name(inputs.factor_names, areas),
        },
        notes=_notes(inputs, in_both),
        **scored({"modularity": per_latent.mean(), "explicitness": areas.mean()}),
        **inputs.described(),
    )


def modularity_per_latent(information: np.ndarray) -> np.ndarray:
    """`(num_latents,)` from `(num_latents, num_factors)`; 0 for a row of zeros."""
    squares = np.square(information)
    largest = squares.max(axis=1)
    others = squares.sum(axis=1) - largest
    share = others / np.where(largest > 0, largest * (squares.shape[1] - 1), 1)
    return np.where(largest > 0, 1 - share, 0.0)


def _values_in_both_parts(inputs: Inputs, parts: Parts) -> list[np.ndarray]:
    """For each factor a mask of its values."""
    masks = []
    for name, column in zip(inputs.factor_names, inputs.classes.T, strict=True):
        counts = [np.bincount(column[p], minlength=column.max() + 1) for p in parts if len(p)]
        masks.append(np.all(counts, axis=0))
        if masks[-1].sum() < 2:
            raise ValueError(
                "Two values of a factor must occur in the train and in the test part. Received: "
                f"{masks[-1].sum()} of the {len(masks[-1])} values of {name} occur in both, among "
                f"{inputs.num_samples} samples. Use more samples or merge rare values."
            )
    return masks


def _notes(inputs: Inputs, masks: list[np.ndarray]) -> tuple[str, ...]:
    missing = {
        name: int(np.sum(~mask))
        for name, mask in zip(inputs.factor_names, masks, strict=True)
        if not mask.all()
    }
    if not missing:
        return ()
    counts = ", ".join(f"{count} of {name}" for name, count in missing.items())
    return (f"explicitness leaves out values that do not occur in both parts: {counts}",)


def _area_under_curve(
    latents: np.ndarray, classes: np.ndarray, parts: Parts, in_both: np.ndarray
) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    model = LogisticRegression(max_iter=_MAX_ITERATIONS)
    model.fit(latents[parts.train], classes[parts.train])
    columns = np.flatnonzero(in_both[model.classes_])
    probabilities = model.predict_proba(latents[parts.test])[:, columns]
    observed = classes[parts.test][:, None] == model.classes_[columns]
    return float(roc_auc_score(observed, probabilities, average="macro"))
