"""The score of FactorVAE: which latent varies least while a factor stays the same?"""

from collections.abc import Sequence

import numpy as np

from .fixed_factor import FixedFactorSampler, half_and_half, notes_on_samples
from .inputs import check_count, check_inputs, check_seed
from .reports import DisentanglementReport, scored

_MIN_STDDEV = 0.05
_CHUNK = 500


def factor_vae_score(
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
    """Computes the disentanglement score of FactorVAE [1].

    A vote: draw a factor, and a batch in which all samples have the same value of it. The latent
    with the smallest variance in the batch, relative to its variance in the whole set, votes for
    that factor. Each latent stands for the factor that it got most train votes for; the score is
    the share of test votes that agree: at most 1, higher is better. Chance, which latents that
    know nothing reach, is 1 / num_factors. Without a live latent the score is 0.

    Latents with a standard deviation below 0.05 do not take part. That is in units of the latents;
    they are standardised first, so that only dead latents are left out, while
    `standardisation="none"` is the literal definition for latents with a unit-variance prior.

    The votes are drawn out of the given samples, the train votes from one half of them and the
    test votes from the other. Known failures: a factor may be spread over several latents, and
    a latent may mix in others, as long as it varies least when its own is fixed; duplicated latents
    cost nothing; a latent that serves two factors can vote for one of them only; and values with
    few samples repeat them in a batch, which lowers the variance of every latent.

    Args:
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`, of few values each; 64 or more samples per value in
            each half are what the definition has in mind.
        factor_kinds: As of `dci`; named in the report. Values are classes here in any case.
        factor_names: Str per factor, for the report.
        standardisation: `"unit_variance"` or `"none"`. Defaults to `"unit_variance"`.
        batch_size: Int, samples per vote. Defaults to 64.
        num_train: Int, train votes. Defaults to 10,000.
        num_test: Int, test votes. Defaults to 5,000.
        seed: Int, of all draws. Defaults to 0.

    Returns:
        A `DisentanglementReport` with the train votes as its matrix.

    Raises:
        ValueError: If the arrays do not fit or a factor has too few samples per value.

    Example:

    >>> factors = np.random.default_rng(0).integers(0, 4, size=(2_000, 3))
    >>> report = keras_rkm.metrics.factor_vae_score(factors, factors)
    >>> report["factor_vae_score"]
    1.0

    References:
        [1] H. Kim, A. Mnih, "Disentangling by Factorising", ICML 2018.
    """
    check_count(batch_size, "batch_size", smallest=2)
    check_count(num_train, "num_train")
    check_count(num_test, "num_test")
    inputs = check_inputs(latents, factors, factor_kinds=factor_kinds, factor_names=factor_names)
    generator = np.random.default_rng(check_seed(seed))
    scaled = inputs.standardised(standardisation)
    variances = scaled.var(axis=0, ddof=1)
    active = ~inputs.is_dead & (np.sqrt(variances) >= _MIN_STDDEV)
    samplers = half_and_half(inputs, generator)
    votes = [
        _votes(sampler, scaled, variances, active, num_points, batch_size, generator)
        for sampler, num_points in zip(samplers, (num_train, num_test), strict=True)
    ]
    return DisentanglementReport(
        metric="factor_vae_score",
        variant="majority_vote",
        predictor=f"majority vote of latents, batches of {batch_size}",
        standardisation=f"latents: {standardisation}; those with deviation below {_MIN_STDDEV} "
        "do not vote",
        num_samples={"all": inputs.num_samples, "train votes": num_train, "test votes": num_test},
        seed=seed,
        matrix=votes[0],
        matrix_meaning="train votes of each latent for each factor",
        notes=notes_on_samples(samplers, batch_size) + _notes_on_latents(active, inputs),
        **scored({"factor_vae_score": _agreement(*votes) if active.any() else 0.0}),
        **inputs.described(),
    )


def _votes(
    sampler: FixedFactorSampler, latents, variances, active, num_points, batch_size, generator
) -> np.ndarray:
    """How often each latent varied least, by the factor that was fixed, `(latents, factors)`."""
    factors, rows = sampler.batches(num_points, batch_size, generator)
    votes = np.zeros((latents.shape[1], len(sampler.groups)))
    if not active.any():
        return votes
    for start in range(0, num_points, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        local = latents[rows[chunk]].var(axis=1, ddof=1)
        ratios = np.where(active, local / np.where(active, variances, 1), np.inf)
        np.add.at(votes, (ratios.argmin(axis=1), factors[chunk]), 1)
    return votes


def _agreement(train: np.ndarray, test: np.ndarray) -> float:
    return float(test[np.arange(len(test)), train.argmax(axis=1)].sum() / test.sum())


def _notes_on_latents(active: np.ndarray, inputs) -> tuple[str, ...]:
    silent = np.array(inputs.latent_names)[~active & ~inputs.is_dead].tolist()
    if not active.any():
        return ("no latent takes part: the score is 0 by definition",)
    return (f"too small a deviation to vote: {', '.join(silent)}",) if silent else ()
