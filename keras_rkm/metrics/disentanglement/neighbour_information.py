"""InfoMEC: modularity, explicitness and compactness in terms of information."""

from collections.abc import Sequence

import numpy as np

from .information import entropies
from .inputs import Inputs, check_count, check_inputs, check_seed, standardise
from .parallel import parallel_map
from .reports import DisentanglementReport, by_name, scored

_MAX_ITERATIONS = 100


def infomec(
    latents,
    factors,
    *,
    num_neighbours: int = 10,
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
    standardisation: str = "unit_variance",
    seed: int = 0,
    n_jobs: int | None = 1,
) -> DisentanglementReport:
    """Computes InfoM, InfoE and InfoC of continuous latents [1].

    With N_ij = I(z_i; c_j) / H(c_j), estimated by nearest neighbours [2], over the d latents that
    are active and the K factors:

        InfoM = (mean_i max_j N_ij / sum_j N_ij - 1/K) / (1 - 1/K)      one factor per latent
        InfoC = (mean_j max_i N_ij / sum_i N_ij - 1/d) / (1 - 1/d)      one latent per factor
        InfoE = mean_j (1 - cross entropy / log(number of values of c_j))

    All three are at most 1, and higher is better. InfoM and InfoC are not below 0; InfoE may be,
    if the values are not equally frequent. It is of a logistic regression without a penalty, with
    balanced classes, in at most 100 iterations, on all standardised latents, which it is also
    measured on. Balanced classes make the same regression without latents predict all values
    evenly: hence the logarithm.

    A latent is active if its interquartile range exceeds a tenth of the largest one: in units of
    the latents, so they are standardised first, which leaves out dead latents and peaked ones, such
    as those with the same value in most samples; `standardisation="none"` is the literal
    definition. A latent (or factor) without information shares it equally, and counts 0. With one
    active latent InfoC is 1, without any all three are 0.

    Known failures: neighbours do not exist among equal latents, so the estimate for latents of
    few distinct values rests on a little noise that scikit-learn adds; noise counts as information
    shared equally or not, by chance; InfoE overfits if there are few samples per value.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`, of few values each.
        num_neighbours: Int. Defaults to 10.
        factor_kinds: As of `dci`; named in the report. Values are classes here in any case.
        factor_names: Str per factor, for the report.
        standardisation: `"unit_variance"` or `"none"`. Defaults to `"unit_variance"`.
        seed: Int, of the noise that breaks ties among neighbours. Defaults to 0.
        n_jobs: Int, threads over the factors; the values do not depend on it. Defaults to 1.

    Returns:
        A `DisentanglementReport` with N as its matrix, and zeros for latents that are not active.

    Raises:
        ValueError: If the arrays do not fit or a factor takes too many values.

    Example:

    >>> generator = np.random.default_rng(0)
    >>> factors = generator.integers(0, 3, size=(600, 2))
    >>> latents = factors + generator.uniform(0, 0.5, size=factors.shape)
    >>> report = keras_rkm.metrics.infomec(latents, factors)
    >>> report["infom"] > 0.9, report["infoc"] > 0.9, report["infoe"] > 0.9
    (True, True, True)

    References:
        [1] K. Hsu, W. Dorrell, J. C. R. Whittington, J. Wu, C. Finn, "Disentanglement via Latent
            Quantization", NeurIPS 2023. The interquartile range is of its authors' later code for
            "Tripod: Three Complementary Inductive Biases for Disentangled Representation
            Learning", ICML 2024.
        [2] B. C. Ross, "Mutual Information between Discrete and Continuous Data Sets", PLoS ONE 9,
            2014.
    """
    check_count(num_neighbours, "num_neighbours")
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    check_seed(seed)
    active = _active(inputs.standardised(standardisation)) & ~inputs.is_dead
    standardised = standardise(inputs.latents)

    def measure(index):
        classes = inputs.classes[:, index]
        return (
            _information(standardised[:, active], classes, num_neighbours, seed),
            _explicitness(standardised, classes),
        )

    rows, explicitness = zip(
        *parallel_map(measure, range(len(inputs.factor_names)), n_jobs), strict=True
    )
    explicitness = np.array(explicitness) if active.any() else np.zeros(len(rows))
    matrix = np.zeros((len(active), len(rows)))
    matrix[active] = np.stack(rows, axis=1) / entropies(inputs.classes)
    return DisentanglementReport(
        metric="infomec",
        variant="continuous_latents",
        predictor=f"{num_neighbours} nearest neighbours; logistic regression without a penalty",
        standardisation=f"latents: {standardisation} for leaving out inactive ones; unit_variance "
        "for the estimates",
        num_samples={"all": inputs.num_samples},
        seed=seed,
        matrix=matrix,
        matrix_meaning="information of each latent on each factor, over the factor's entropy",
        details={"infoe": by_name(inputs.factor_names, explicitness)},
        notes=_notes(inputs, active),
        **scored(
            {
                "infom": preference(matrix[active]),
                "infoe": explicitness.mean(),
                "infoc": preference(matrix[active].T),
            }
        ),
        **inputs.described(),
    )


def preference(information: np.ndarray) -> float:
    """How much of each row its largest entry holds, on a scale from equal shares (0) to all (1)."""
    if not information.size:
        return 0.0
    num_shares = information.shape[1]
    if num_shares == 1:
        return 1.0
    totals = information.sum(axis=1)
    shares = information.max(axis=1) / np.where(totals > 0, totals, 1)
    shares = np.where(totals > 0, shares, 1 / num_shares)
    return float((shares.mean() - 1 / num_shares) / (1 - 1 / num_shares))


def _active(latents: np.ndarray) -> np.ndarray:
    low, high = np.quantile(latents, [0.25, 0.75], axis=0)
    return high - low > (high - low).max() / 10


def _information(latents: np.ndarray, classes: np.ndarray, num_neighbours, seed) -> np.ndarray:
    from sklearn.feature_selection import mutual_info_classif

    if not latents.shape[1]:
        return np.zeros(0)
    return mutual_info_classif(
        latents,
        classes,
        discrete_features=False,
        n_neighbors=num_neighbours,
        random_state=seed,
    )


def _explicitness(latents: np.ndarray, classes: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=_MAX_ITERATIONS)
    probabilities = model.fit(latents, classes).predict_proba(latents)
    return 1 - log_loss(classes, probabilities) / np.log(probabilities.shape[1])


def _notes(inputs: Inputs, active: np.ndarray) -> tuple[str, ...]:
    if not active.any():
        return ("no latent is active: all three are 0 by definition",)
    left_out = np.array(inputs.latent_names)[~active & ~inputs.is_dead].tolist()
    return (f"not active: {', '.join(left_out)}",) if left_out else ()
