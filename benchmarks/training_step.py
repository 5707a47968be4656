"""The training step of StiefelRKM against that of a plain auto-encoder of the same networks.

    python benchmarks/training_step.py [--repeats=15 --steps=3 --baseline=FactorVAE]

The auto-encoder is `decoder(encoder(x))` as anybody would write it: stock `compile` and `fit` with
Keras' Adam and the same loss, the cross-entropy summed over the pixels. All train on the same few
batches, kept in memory, by the function that `fit` calls for each step, and take turns in one
process. So the ratio is what the projection, the PCA term, the basis' optimizer and the logs cost.
With --baseline another model of the package takes turns as well; with --modes= no StiefelRKM.
"""

import itertools
import statistics

import _reporting
import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_rkm import losses, models, networks

_IMAGE_SHAPE = (28, 28, 1)
_AUTO_ENCODER = "auto-encoder"
_BARS = {"deterministic": 1.05, "split": 1.45}
_NUM_BATCHES = 4
_BASELINES = ("AutoEncoder", "VariationalAutoencoder", "FactorVAE", "BetaTCVAE", "InfoGAN")
_OPTIONS = {"BetaTCVAE": {"dataset_size": 60_000}}

_CAPACITY = flags.DEFINE_integer("capacity", 32, "Filters of the first convolution.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=2)
_FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Outputs of the encoder.", lower_bound=1)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 10, "Columns of the basis.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 3, "Steps in one timed turn.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 15, "Turns of each model.", lower_bound=1)
_MODES = flags.DEFINE_list("modes", list(_BARS), "Reconstruction modes.")
_UPDATES = flags.DEFINE_list("updates", ["simultaneous", "alternating"], "Update schemes.")
_CENTERINGS = flags.DEFINE_list("centerings", ["none", "batch"], "Values of decoder_centering.")
_CHOSEN_BASELINES = flags.DEFINE_multi_enum(
    "baseline", [], _BASELINES, "Model of keras_rkm.models to time too; may be repeated."
)
_JIT_COMPILE = flags.DEFINE_enum(
    "jit_compile", "auto", ["auto", "true", "false"], "XLA, as in keras.Model.compile."
)
_THREADS = flags.DEFINE_integer("threads", 1, "Threads of TensorFlow; 0: its choice.", 0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the images and the weights.")

_HEADER = ("model", "update", "centering", "CPU ms a step", "ratio", "quartiles", "bar")


def _networks():
    options = {"capacity": _CAPACITY.value, "seed": _SEED.value}
    encoder = networks.convolutional_encoder(_IMAGE_SHAPE, _FEATURE_DIM.value, **options)
    decoder = networks.convolutional_decoder(_FEATURE_DIM.value, _IMAGE_SHAPE, **options)
    return encoder, decoder


def _jit_compile():
    return {"auto": "auto", "true": True, "false": False}[_JIT_COMPILE.value]


def _auto_encoder():
    encoder, decoder = _networks()
    images = keras.Input(_IMAGE_SHAPE)
    model = keras.Model(images, decoder(encoder(images)))

    def loss(images, reconstructions):
        return losses.reconstruction_error(images, reconstructions, loss="binary_crossentropy")

    model.compile("adam", loss=loss, jit_compile=_jit_compile())
    return model


def _stiefel_rkm(mode, update, centering):
    model = models.StiefelRKM(
        *_networks(),
        latent_dim=_LATENT_DIM.value,
        reconstruction_mode=mode,
        decoder_centering=centering,
        update=update,
        seed=_SEED.value,
    )
    model.compile(jit_compile=_jit_compile())
    return model


def _baseline(name):
    options = {"latent_dim": _LATENT_DIM.value, "seed": _SEED.value, **_OPTIONS.get(name, {})}
    model = getattr(models, name)(*_networks(), **options)
    model.compile(jit_compile=_jit_compile())
    return model


def _batches():
    generator = np.random.default_rng(_SEED.value)
    shape = (_NUM_BATCHES * _BATCH_SIZE.value, *_IMAGE_SHAPE)
    images = tf.constant(generator.random(shape, dtype="float32"))
    pairs = tf.data.Dataset.from_tensor_slices((images, images))
    return pairs.batch(_BATCH_SIZE.value, drop_remainder=True).cache().repeat()


def _turn(model, batches):
    """A function that makes the steps of one turn as `fit` does."""
    model.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0)
    iterator = iter(batches)

    def steps():
        for _ in range(_STEPS.value):
            logs = model.train_function(iterator)
        return float(logs["loss"])  # waits

    return steps


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    _reporting.set_threads(_THREADS.value)
    keras.utils.set_random_seed(_SEED.value)
    batches, reference = _batches(), _auto_encoder()
    turns = {(_AUTO_ENCODER, "-", "-"): _turn(reference, batches)}
    for setting in itertools.product(_MODES.value, _UPDATES.value, _CENTERINGS.value):
        turns[setting] = _turn(_stiefel_rkm(*setting), batches)
    for name in _CHOSEN_BASELINES.value:
        turns[name, "-", "-"] = _turn(_baseline(name), batches)
    times = _reporting.interleaved_cpu_times(turns, repeats=_REPEATS.value)

    _reporting.print_setting(
        "StiefelRKM training step / auto-encoder training step",
        threads=_THREADS.value,
        seeds=_SEED.value,
        networks=f"capacity {_CAPACITY.value}, {_IMAGE_SHAPE} images, "
        f"{_FEATURE_DIM.value} features, {_LATENT_DIM.value} latents",
        batch=_BATCH_SIZE.value,
        jit_compile=f"{_JIT_COMPILE.value} ({reference.jit_compile})",
        timed=f"CPU time, median of {_REPEATS.value} interleaved turns of {_STEPS.value} steps",
    )
    plain = times[_AUTO_ENCODER, "-", "-"]
    rows = []
    for (mode, update, centering), values in times.items():
        bar = _BARS.get(mode) if update != "alternating" else None
        rows.append(
            [
                mode,
                update,
                centering,
                1e3 * statistics.median(values) / _STEPS.value,
                _reporting.ratio_of_medians(values, plain),
                _reporting.spread_of_ratios(values, plain),
                f"<= {bar}" if bar else "-",
            ]
        )
    _reporting.print_table(_HEADER, rows)


if __name__ == "__main__":
    app.run(main)
