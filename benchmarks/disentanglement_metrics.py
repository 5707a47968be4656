"""CPU time of the disentanglement scores, and what the fast gradient boosting is worth.

    python benchmarks/disentanglement_metrics.py [--num_samples=10000 --repeats=1 --exact]

The factors are independent and take 3, 6, 40, 32 and 32 values, as those of dSprites. The latents
are a random rotation of the standardised factors with noise, so that the scores are neither 0 nor
1; those beyond five are mixtures, too. Time is that of this process, over all threads; set
OMP_NUM_THREADS=1 for one core. All scores together, that is without `--exact`, are to stay below
180 s for 10,000 samples.

`--exact` measures scikit-learn's GradientBoostingClassifier beside, one per factor in sequence: its
time over that of `dci(regressor="gradient_boosting")`, which is to be 5 or more, and how far the
scores are apart. It takes minutes. `--sizes=3,6,10` leaves it fewer classes.
"""

import functools
import statistics
import time

import _reporting
import numpy as np
from absl import app, flags

from keras_rkm import metrics

_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 10_000, "Rows, for all parts.", 100)
_NUM_LATENTS = flags.DEFINE_integer("num_latents", 10, "Columns of the latents.", lower_bound=2)
_SIZES = flags.DEFINE_list("sizes", [3, 6, 40, 32, 32], "How many values each factor takes.")
_NOISE = flags.DEFINE_float("noise", 0.1, "Its standard deviation; 1 is that of a factor.", 0.0)
_REPEATS = flags.DEFINE_integer("repeats", 1, "Of each score; they take turns.", lower_bound=1)
_ONLY = flags.DEFINE_list("only", [], "Names of scores; all of them by default.")
_EXACT = flags.DEFINE_bool("exact", False, "Whether to compare with scikit-learn's boosting.")
_SEED = flags.DEFINE_integer("seed", 0, "Of factors, latents and scores.", lower_bound=0)

_SCORES = {
    "dci_lasso": metrics.dci,
    "dci_forest": functools.partial(metrics.dci, regressor="random_forest"),
    "dci_boosting": functools.partial(metrics.dci, regressor="gradient_boosting"),
    "mutual_information_gap": metrics.mutual_information_gap,
    "sap_score": metrics.sap_score,
    "factor_vae_score": metrics.factor_vae_score,
    "beta_vae_score": metrics.beta_vae_score,
    "modularity": metrics.modularity,
    "irs": metrics.irs,
    "infomec": metrics.infomec,
    "udr": None,  # Of three runs; see _calls.
}
_FAST, _SLOW = "dci_boosting", "dci_boosting_exact"


def _sizes():
    try:
        sizes = [int(size) for size in _SIZES.value]
    except ValueError:
        sizes = []
    if len(sizes) < 2 or min(sizes) < 2:
        raise app.UsageError("--sizes takes two ints or more, each of at least 2")
    return sizes


def _names():
    if unknown := set(_ONLY.value) - set(_SCORES):
        raise app.UsageError(f"--only: unknown {', '.join(sorted(unknown))}")
    return [name for name in _SCORES if not _ONLY.value or name in _ONLY.value]


def _data(sizes, generator):
    factors = np.stack([generator.integers(0, size, _NUM_SAMPLES.value) for size in sizes], axis=1)
    return factors, _latents(factors, generator)


def _latents(factors, generator):
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    width = max(_NUM_LATENTS.value, scaled.shape[1])
    basis = np.linalg.qr(generator.normal(size=(width, width)))[0]
    latents = (scaled @ basis[: scaled.shape[1]])[:, : _NUM_LATENTS.value]
    return latents + _NOISE.value * generator.normal(size=latents.shape)


def _calls(names, factors, latents, generator):
    runs = [latents, *(_latents(factors, generator) for _ in range(2))]
    calls = {}
    for name in names:
        if name == "udr":
            calls[name] = functools.partial(metrics.udr, [run[:1_000] for run in runs])
        elif name in ("mutual_information_gap", "irs"):
            calls[name] = functools.partial(_SCORES[name], latents, factors)
        else:
            calls[name] = functools.partial(_SCORES[name], latents, factors, seed=_SEED.value)
    return calls


def _measure(calls):
    """CPU seconds and the last report of each call; they take turns.

    Without the unmeasured first round of `_reporting.interleaved_cpu_times`: one is long enough.
    """
    # The imports of a first call take seconds of their own.
    small = np.random.default_rng(0).integers(0, 3, (200, 2))
    for regressor in ("lasso", "random_forest", "gradient_boosting"):
        metrics.dci(small, small, regressor=regressor)
    metrics.modularity(small, small)
    times, reports = {name: [] for name in calls}, {}
    for _ in range(_REPEATS.value):
        for name, call in calls.items():
            start = time.process_time()
            reports[name] = call()
            times[name].append(time.process_time() - start)
    return times, reports


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    sizes, names = _sizes(), _names()
    if _EXACT.value and _FAST not in names:
        raise app.UsageError(f"--exact needs {_FAST!r} among --only")
    generator = np.random.default_rng(_SEED.value)
    factors, latents = _data(sizes, generator)
    calls = _calls(names, factors, latents, generator)
    if _EXACT.value:
        calls[_SLOW] = functools.partial(
            metrics.dci,
            latents,
            factors,
            regressor="gradient_boosting_exact",
            seed=_SEED.value,
        )
    _reporting.print_setting(
        "Disentanglement scores",
        threads=0,
        seeds=_SEED.value,
        samples=f"{_NUM_SAMPLES.value}, {_NUM_LATENTS.value} latents with noise {_NOISE.value:g}",
        factors=f"{len(sizes)}, of {', '.join(map(str, sizes))} values",
        repeats=_REPEATS.value,
    )
    try:
        times, reports = _measure(calls)
    except ValueError as error:
        # Too few samples for the sizes or for a part.
        raise app.UsageError(str(error)) from error
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        (name, medians[name], ", ".join(f"{v:.3f}" for v in reports[name].scores.values()))
        for name in calls
    ]
    total = sum(medians[name] for name in names)
    _reporting.print_table(
        ("score", "CPU seconds", "values"), [*rows, ("all but the exact one", total, "-")]
    )
    if _EXACT.value:
        _print_comparison(times, reports)


def _print_comparison(times, reports):
    ratio = _reporting.ratio_of_medians(times[_SLOW], times[_FAST])
    rows = [
        (name, value, reports[_SLOW][name], abs(value - reports[_SLOW][name]))
        for name, value in reports[_FAST].scores.items()
    ]
    _reporting.print_table(("score", "fast", "exact", "difference"), rows)
    print(f"time of exact / fast: {ratio:.1f}")
    difference = np.abs(_shares(reports[_FAST].matrix) - _shares(reports[_SLOW].matrix)).max()
    print(f"largest difference of importances: {difference:.4f}")


def _shares(matrix):
    return matrix / matrix.sum()


if __name__ == "__main__":
    app.run(main)
