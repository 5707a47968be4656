"""What the callbacks for TensorBoard cost a training, at the default setting of keras-rkm train.

    python benchmarks/tensorboard_cost.py [--num_images=4000 --epochs=6 --repeats=3]

The same StiefelRKM is trained from the start, with `keras_rkm.callbacks.summary_callbacks` and
without any, in turns, in one process. Images, networks and batches are those that train has by
default, but there are fewer images, so an epoch is shorter and has less time to pay for pictures.
The ratio of the CPU times is noisy where other work shares the machine; so what the callbacks take
is measured as well, from their beginning to their end. The weights must be equal in the end.
"""

import statistics
import tempfile
import time

import _reporting
import keras
import numpy as np
from absl import app, flags

from keras_rkm import callbacks, datasets, models, networks

_NUM_IMAGES = flags.DEFINE_integer("num_images", 4_000, "Images in an epoch.", lower_bound=4)
_NUM_HELD_OUT = flags.DEFINE_integer("num_held_out", 1_000, "Images in pictures.", lower_bound=2)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Their side.", lower_bound=16)
_CAPACITY = flags.DEFINE_integer("capacity", 32, "Filters of the first convolution.", 1)
_FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Outputs of the encoder.", lower_bound=1)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 10, "Columns of the basis.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=2)
_EPOCHS = flags.DEFINE_integer("epochs", 6, "Epochs of a training.", lower_bound=1)
_SHARE = flags.DEFINE_float("max_share", 0.02, "Of the time, for spectrum, pictures and latents.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Trainings of each kind.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", 1, "Threads of TensorFlow; 0: its choice.", 0)
_SEED = flags.DEFINE_integer("seed", 0, "Of images and weights.")

_BAR = 1.03
_NOTHING = 0.01  # CPU seconds of a callback that had no time to write
_HEADER = ("callbacks", "CPU s", "ratio", "quartiles", "CPU s in them", "share of the training %")


class _Timed(keras.callbacks.Callback):
    """Calls another callback, and counts the CPU seconds that each of its calls takes."""

    def __init__(self, inner):
        super().__init__()
        self._inner = inner
        self.name = type(inner).__name__
        self.seconds = 0.0
        self.epochs = []  # seconds of each `on_epoch_end`

    def set_model(self, model):
        super().set_model(model)
        self._inner.set_model(model)

    def _call(self, name, *arguments):
        start = time.process_time()
        getattr(self._inner, name)(*arguments)
        seconds = time.process_time() - start
        self.seconds += seconds
        return seconds

    def on_train_begin(self, logs=None):
        self._call("on_train_begin", logs)

    def on_train_end(self, logs=None):
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self._call("on_epoch_end", epoch, logs))

    def on_train_batch_begin(self, batch, logs=None):
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        self._call("on_train_batch_end", batch, logs)


def _model(shape):
    options = {"capacity": _CAPACITY.value}
    model = models.StiefelRKM(
        networks.convolutional_encoder(shape, _FEATURE_DIM.value, seed=_SEED.value, **options),
        networks.convolutional_decoder(_FEATURE_DIM.value, shape, seed=_SEED.value + 1, **options),
        latent_dim=_LATENT_DIM.value,
        seed=_SEED.value,
    )
    model.compile()
    return model


def _summaries(held_out, log_dir):
    factors = {factor.name: held_out.factors[:, i] for i, factor in enumerate(held_out.factor_info)}
    kinds = {factor.name: factor.kind for factor in held_out.factor_info}
    return callbacks.summary_callbacks(
        log_dir, held_out.images, colorings=factors, kinds=kinds, max_share=_SHARE.value
    )


def _train(train, summaries):
    """CPU seconds of a training, the callbacks with their seconds, and the weights."""
    model, timed = _model(train.image_shape), [_Timed(each) for each in summaries]
    batches = train.batches(
        _BATCH_SIZE.value, seed=_SEED.value, drop_remainder=True, num_epochs=None
    )
    start = time.process_time()
    model.fit(
        batches,
        steps_per_epoch=train.num_images // _BATCH_SIZE.value,
        epochs=_EPOCHS.value,
        shuffle=False,
        verbose=0,
        callbacks=timed,
    )
    return time.process_time() - start, timed, [np.asarray(v) for v in model.weights]


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    _reporting.set_threads(_THREADS.value)
    options = {"image_size": _IMAGE_SIZE.value, "seed": _SEED.value}
    train = datasets.load("dsprites_like", num_images=_NUM_IMAGES.value, **options)
    held_out = datasets.load(
        "dsprites_like", split="test", num_images=_NUM_HELD_OUT.value, **options
    )
    kinds = ("none", "summary_callbacks")
    seconds, inside = {kind: [] for kind in kinds}, {kind: [] for kind in kinds}
    for _ in range(_REPEATS.value):
        weights = []
        for kind in kinds:
            with tempfile.TemporaryDirectory() as log_dir:
                found = _train(train, _summaries(held_out, log_dir) if kind != "none" else [])
            seconds[kind].append(found[0])
            inside[kind].append(sum(each.seconds for each in found[1]))
            timed = found[1]
            weights.append(found[2])
        if not all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)):
            raise RuntimeError("The callbacks have changed the weights.")
    _reporting.print_setting(
        "Training with the callbacks for TensorBoard / without",
        threads=_THREADS.value,
        seeds=_SEED.value,
        images=f"{_NUM_IMAGES.value} of {train.image_shape}, {_NUM_HELD_OUT.value} held out",
        networks=f"capacity {_CAPACITY.value}, {_FEATURE_DIM.value} features, "
        f"{_LATENT_DIM.value} latents",
        training=f"{_EPOCHS.value} epochs in batches of {_BATCH_SIZE.value}",
        max_share=_SHARE.value,
        bar=f"<= {_BAR}, a share of {100 * (_BAR - 1):.0f} %",
        timed=f"CPU time, medians of {_REPEATS.value} trainings in turns",
        weights="equal with and without, bit for bit",
    )
    rows = []
    for kind in kinds:
        own = statistics.median(inside[kind])
        rest = statistics.median(
            [all_of - part for all_of, part in zip(seconds[kind], inside[kind], strict=True)]
        )
        rows.append(
            [
                kind,
                statistics.median(seconds[kind]),
                _reporting.ratio_of_medians(seconds[kind], seconds["none"]),
                _reporting.spread_of_ratios(seconds[kind], seconds["none"]),
                own,
                100 * own / rest,
            ]
        )
    _reporting.print_table(_HEADER, rows)
    print(
        "The callbacks of the last training, one by one; an epoch of 10 ms has written nothing.\n"
    )
    _reporting.print_table(
        ("callback", "CPU s", "epochs written", "first CPU s", "later, median CPU s"),
        [_one_by_one(each) for each in timed],
    )


def _one_by_one(timed):
    written = [seconds for seconds in timed.epochs if seconds > _NOTHING]
    first = written[0] if written else "-"
    later = statistics.median(written[1:]) if len(written) > 1 else "-"
    return [timed.name, timed.seconds, len(written), first, later]


if __name__ == "__main__":
    app.run(main)
