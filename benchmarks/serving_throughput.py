"""What sampling costs a served `generate`, and what an export takes.

    python benchmarks/serving_throughput.py

A model is exported and loaded by the C API of TensorFlow, as TensorFlow Serving loads it. In one
process `generate` takes turns with `decode` of the same latents, which is the bare decoder.
"""

import statistics
import tempfile
import time
from pathlib import Path

import _reporting
import numpy as np
from absl import app, flags

_IMAGE_SIZES = flags.DEFINE_list("image_sizes", ["32", "64"], "Sides of the images.")
_CAPACITY = flags.DEFINE_integer("capacity", 32, "Filters of the first convolution.", 1)
_FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Outputs of the encoder.", 1)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 10, "Latents.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 200, "Calls of each function.", lower_bound=2)
_THREADS = flags.DEFINE_integer("threads", 1, "0: as TensorFlow chooses.", lower_bound=0)


def main(argv):
    """Exports models of each size, and prints both tables."""
    del argv
    # Here, so that --help does not wait for TensorFlow.
    from keras_rkm import samplers

    kinds = {
        "Gaussian": samplers.GaussianSampler,
        "mixture of 10": samplers.GaussianMixtureSampler,
    }
    exports, calls = [], []
    with tempfile.TemporaryDirectory() as folder:
        for size in map(int, _IMAGE_SIZES.value):
            model, latents = _model(size)
            for name, kind in kinds.items():
                start = time.process_time()
                path = _export(model, kind().adapt(latents), folder)
                seconds = time.process_time() - start
                exports.append((f"{size}x{size}", name, *_sizes(model, path), seconds))
                calls += [(f"{size}x{size}", name, *row) for row in _measure(path)]
    _reporting.print_setting(
        "A served generate against the bare decoder",
        threads=_THREADS.value,
        seeds=0,
        networks=f"capacity {_CAPACITY.value}, {_FEATURE_DIM.value} features, "
        f"{_LATENT_DIM.value} latents",
        bars="throughput of 64 rows at least 0.90 of decode; sampling 25 % of a call of one row",
    )
    _reporting.print_table(
        ["images", "sampler", "rows", "decode ms", "generate ms", "throughput", "quartiles",
         "sampling share"],
        calls,
    )  # fmt: skip
    _reporting.print_table(
        ["images", "sampler", "weights MB", "folder MB", "folder / weights", "export CPU s"],
        exports,
    )


def _model(size: int):
    """An untrained model with axes, and latents to adapt samplers to."""
    from keras_rkm import models, networks

    shape = (size, size, 1)
    model = models.StiefelRKM(
        networks.convolutional_encoder(shape, _FEATURE_DIM.value, capacity=_CAPACITY.value, seed=0),
        networks.convolutional_decoder(_FEATURE_DIM.value, shape, capacity=_CAPACITY.value, seed=1),
        latent_dim=_LATENT_DIM.value,
        seed=2,
    )
    images = np.random.default_rng(0).random((512, *shape), "float32")
    model.fit_principal_axes(images)
    return model, model.encode(images).numpy()


def _export(model, sampler, folder: str) -> Path:
    from keras_rkm import export

    return export.export_for_serving(model, sampler, folder)


def _sizes(model, path: Path) -> tuple[float, float, float]:
    weights = sum(4 * int(np.prod(variable.shape)) for variable in model.variables) / 1e6
    files = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    return weights, files, files / weights


def _measure(path: Path):
    from tests.serving.c_api import Session

    threads = {"intra_op_threads": _THREADS.value, "inter_op_threads": _THREADS.value}
    with Session(path, **threads) as session:
        for num_rows in (1, 64):
            seeds = np.arange(num_rows)
            latents = session.run("generate", {"seed": seeds})["latents"]
            calls = {
                "decode": lambda latents=latents: session.run("decode", {"latents": latents}),
                "generate": lambda seeds=seeds: session.run("generate", {"seed": seeds}),
            }
            times = _reporting.interleaved_cpu_times(calls, repeats=_REPEATS.value)
            decode, generate = (1e3 * statistics.median(times[name]) for name in calls)
            yield (
                num_rows,
                decode,
                generate,
                decode / generate,
                _reporting.spread_of_ratios(times["decode"], times["generate"]),
                f"{1 - decode / generate:.0%}",
            )


if __name__ == "__main__":
    app.run(main)
