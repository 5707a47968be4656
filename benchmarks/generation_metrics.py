"""CPU time of the measures of generation, and the memory of streamed statistics.

    python benchmarks/generation_metrics.py [--num_samples=10000 --num_features=2048]

Features are normal, the second set scaled by 1.1. Time is that of this process, over all threads;
set OMP_NUM_THREADS=1 for one core. The peak is that of the process after `frechet_distance` of two
streamed sets, which comes first; `--only=frechet_distance` with more samples shows that it stays.
"""

import functools
import resource
import time

import _reporting
import numpy as np
from absl import app, flags

from keras_rkm import metrics

_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 10_000, "Rows of either set.", 1_000)
_NUM_FEATURES = flags.DEFINE_integer("num_features", 2_048, "Columns.", lower_bound=2)
_ONLY = flags.DEFINE_list("only", [], "Names of measures; all of them by default.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the features.", lower_bound=0)

_BATCH_SIZE = 500
_BARS = {"frechet_distance": "20 s"}
_MEASURES = {
    "kernel_distance": metrics.kernel_distance,
    "sliced_wasserstein_distance": metrics.sliced_wasserstein_distance,
    "precision_recall": metrics.precision_recall,
    "density_coverage": metrics.density_coverage,
}


def _batches(seed, scale):
    generator = np.random.default_rng(seed)
    for _ in range(_NUM_SAMPLES.value // _BATCH_SIZE):
        batch = generator.standard_normal((_BATCH_SIZE, _NUM_FEATURES.value), np.float32)
        yield scale * batch


def _frechet():
    return metrics.frechet_distance(
        metrics.FeatureStatistics.from_batches(_batches(_SEED.value, 1.0)),
        metrics.FeatureStatistics.from_batches(_batches(_SEED.value + 1, 1.1)),
    )


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    names = _ONLY.value or ["frechet_distance", *_MEASURES]
    if unknown := set(names) - {"frechet_distance", *_MEASURES}:
        raise app.UsageError(f"--only: unknown {', '.join(sorted(unknown))}")
    _reporting.print_setting(
        "Measures of generation",
        threads=0,
        seeds=_SEED.value,
        features=f"{_NUM_SAMPLES.value} and as many, {_NUM_FEATURES.value} wide, float32",
    )
    rows, features = [], None
    for name in names:
        if name == "frechet_distance":
            call = _frechet
        else:
            if features is None:
                features = [
                    np.concatenate(list(_batches(_SEED.value + i, 1 + i / 10))) for i in range(2)
                ]
            call = functools.partial(_MEASURES[name], *features)
        start = time.process_time()
        report = call()
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append((name, seconds, peak, _BARS.get(name, "-")))
        print(report, flush=True)
    print()
    _reporting.print_table(("measure", "CPU seconds", "peak MiB so far", "bar"), rows)


if __name__ == "__main__":
    app.run(main)
