"""Mutual information gap: how far the best latent of a factor is ahead of the next."""

from collections.abc import Sequence

import numpy as np

from .information import NUM_BINS, entropies, mutual_information
from .inputs import check_count, check_inputs
from .reports import DisentanglementReport, by_name, scored


def mutual_information_gap(
    latents,
    factors,
    *,
    num_bins: int = NUM_BINS,
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
) -> DisentanglementReport:
    """Computes the mutual information gap (MIG) [1].

        MIG = mean_j (I_(1)j - I_(2)j) / H(factor j)

    where I_(1)j and I_(2)j are the largest and the second largest mutual information of a latent
    with factor j. Latents are cut into bins of equal width, by custom 20. The score is between 0
    and 1, higher is better; the scale of latents does not count.

    Known failures: a factor that needs two latents, such as an angle coded by (cos, sin), counts
    as not disentangled; one latent may serve several factors at no cost; a single outlier
    stretches the bins; a factor of more values than bins cannot reach 1 (40 values in 20 bins:
    log 20 / log 40 = 0.81); counting overestimates the information of few samples, about alike
    for both latents.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`, of few values each.
        num_bins: Int. Defaults to 20.
        factor_kinds: As of `dci`; named in the report. Values are classes here in any case.
        factor_names: Str per factor, for the report.

    Returns:
        A `DisentanglementReport` with the mutual information in nats as its matrix.

    Raises:
        ValueError: If the arrays do not fit or a factor takes too many values.

    Example:

    >>> first, second = np.random.default_rng(0).integers(0, 5, size=(2, 2_000))
    >>> factors = np.stack([first, second], axis=1)
    >>> report = keras_rkm.metrics.mutual_information_gap(-factors, factors)
    >>> round(report["mutual_information_gap"], 2)
    1.0
    >>> twice = np.stack([first, second, first, second], axis=1)
    >>> keras_rkm.metrics.mutual_information_gap(twice, factors)["mutual_information_gap"]
    0.0

    References:
        [1] R. T. Q. Chen, X. Li, R. Grosse, D. Duvenaud, "Isolating Sources of Disentanglement in
            Variational Autoencoders", NeurIPS 2018.
    """
    check_count(num_bins, "num_bins", smallest=2)
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    information = mutual_information(inputs.latents, inputs.classes, num_bins)
    second, first = np.sort(information, axis=0)[-2:]
    gaps = (first - second) / entropies(inputs.classes)
    return DisentanglementReport(
        metric="mutual_information_gap",
        variant="equal_width_bins",
        predictor=f"plug-in estimate, {num_bins} bins per latent",
        standardisation="not needed, the bins span the range of each latent",
        num_samples={"all": inputs.num_samples},
        matrix=information,
        matrix_meaning="mutual information of each latent with each factor, in nats",
        details={"gap": by_name(inputs.factor_names, gaps)},
        **scored({"mutual_information_gap": gaps.mean()}),
        **inputs.described(),
    )
