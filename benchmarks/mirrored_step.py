"""The training step of two replicas against that of one device, at the same batch.

    python benchmarks/mirrored_step.py [--modes=deterministic,split --updates=alternating]

The replicas are two logical CPU devices of this machine, which share its cores: the ratio says what
splitting and summing cost, not what a second device would bring. All train on the same batches
from the same weights and take turns in one process, so that their losses must stay the same but for
rounding, which training amplifies: how much is told by a third model, on one device, whose weights
differ by rounding at the start."""

import contextlib
import itertools
import statistics

import _reporting
import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from keras_rkm import datasets, models, networks
from keras_rkm.models import distribution

_IMAGE_SHAPE = (32, 32, 1)
_NUM_BATCHES = 8
_ONE, _TWO, _MOVED = "one device", "two replicas", "one device, rounded weights"

_CAPACITY = flags.DEFINE_integer("capacity", 8, "Filters of the first convolution.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images in a batch, over both.", 2)
_FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Outputs of the encoder.", lower_bound=1)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 10, "Columns of the basis.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 3, "Steps in one timed turn.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 17, "Turns of each.", lower_bound=1)
_MODES = flags.DEFINE_list("modes", ["deterministic", "split"], "Reconstruction modes.")
_UPDATES = flags.DEFINE_list("updates", ["simultaneous", "alternating"], "Update schemes.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the images, the weights and the noise.")

_HEADER = (
    "mode", "update", "on", "CPU ms a step", "wall ms a step", "CPU ratio", "wall ratio",
    "wall quartiles", "largest relative difference of losses",
)  # fmt: skip


def _model(mode, update, strategy):
    options = {"capacity": _CAPACITY.value, "seed": _SEED.value}
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = models.StiefelRKM(
            networks.convolutional_encoder(_IMAGE_SHAPE, _FEATURE_DIM.value, **options),
            networks.convolutional_decoder(_FEATURE_DIM.value, _IMAGE_SHAPE, **options),
            latent_dim=_LATENT_DIM.value,
            reconstruction_mode=mode,
            update=update,
            seed=_SEED.value,
        )
        model.compile()
    return model


def _batches():
    dataset = datasets.load(
        "dsprites_like",
        num_images=_NUM_BATCHES * _BATCH_SIZE.value,
        image_size=_IMAGE_SHAPE[0],
        seed=_SEED.value,
    )
    return dataset.batches(_BATCH_SIZE.value, seed=_SEED.value).cache().repeat()


def _move_weights(model):
    generator = np.random.default_rng(_SEED.value)
    for weight in model.trainable_variables:
        value = weight.numpy()
        signs = generator.choice([-1, 1], value.shape).astype(value.dtype)
        weight.assign(value * (1 + np.finfo(value.dtype).eps * signs))


def _turn(model, batches, losses):
    """A function that makes the steps of one turn as `fit` does, and notes their losses."""
    model.make_train_function()
    iterator = iter(batches)

    def steps():
        for _ in range(_STEPS.value):
            model.reset_metrics()
            losses.append(float(model.train_function(iterator)["loss"]))  # waits

    return steps


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)  # `tf.distribute` tells of every sum
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    keras.utils.set_random_seed(_SEED.value)

    rows = []
    for mode, update in itertools.product(_MODES.value, _UPDATES.value):
        losses = {_ONE: [], _TWO: [], _MOVED: []}
        one, moved = _model(mode, update, None), _model(mode, update, None)
        two = _model(mode, update, strategy)
        _move_weights(moved)
        turns = {
            _ONE: _turn(one, _batches(), losses[_ONE]),
            _TWO: _turn(two, distribution.split(strategy, _batches()), losses[_TWO]),
            _MOVED: _turn(moved, _batches(), losses[_MOVED]),
        }
        times = _reporting.interleaved_times(turns, repeats=_REPEATS.value)
        for name, values in times.items():
            ratios = [
                _reporting.ratio_of_medians(*pair) for pair in zip(values, times[_ONE], strict=True)
            ]
            rows.append(
                [
                    mode,
                    update,
                    name,
                    *(1e3 * statistics.median(clock) / _STEPS.value for clock in values),
                    *ratios,
                    _reporting.spread_of_ratios(values.wall, times[_ONE].wall),
                    float(np.max(np.abs(np.divide(losses[name], losses[_ONE]) - 1))),
                ]
            )

    _reporting.print_setting(
        "StiefelRKM training step, two replicas on two logical CPU devices / one device",
        threads=0,
        seeds=_SEED.value,
        networks=f"capacity {_CAPACITY.value}, {_IMAGE_SHAPE} images, "
        f"{_FEATURE_DIM.value} features, {_LATENT_DIM.value} latents",
        batch=f"{_BATCH_SIZE.value}, half of it on each replica",
        timed=f"median of {_REPEATS.value} interleaved turns of {_STEPS.value} steps",
        losses=f"of {(_REPEATS.value + 1) * _STEPS.value} steps from the same weights",
    )
    _reporting.print_table(_HEADER, rows)


if __name__ == "__main__":
    app.run(main)
