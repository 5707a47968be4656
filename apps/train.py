"""Trains a Stiefel-Restricted Kernel Machine and writes its run folder.

    keras-rkm train --dataset=dsprites_like --output_dir=saved_models/first

The folder then holds the model, a sampler of its latents, the history, the metrics and pictures;
its flags.txt repeats the run. docs/training.md describes it all.
"""

import contextlib
import platform
import sys
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import keras_rkm
from keras_rkm import networks, optimizers, samplers
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM

from . import errors, pictures, summaries, train_flags
from .classifiers import classifier_features
from .data import load_train_and_held_out, parse_ranges
from .fitting import explained, fit, warnings_as_lines
from .flag_files import adopt_flags, write_flags
from .folder_lock import locked
from .run_folder import RunFolder, write_atomically
from .stop_signals import StopSignals
from .strategy import Devices

flags.adopt_module_key_flags(train_flags)
FLAGS = flags.FLAGS


def main(argv):
    """Trains, turns the basis to better axes, and writes everything."""
    del argv
    devices = Devices(FLAGS.strategy)  # before anything else that TensorFlow does
    signals = StopSignals()
    with devices.speaking_once():
        folder = _open_folder(devices)
        with signals.caught(), _kept(folder, devices):
            _train(folder, devices, signals)
            devices.wait_for_all()


@contextlib.contextmanager
def _kept(folder: RunFolder, devices: Devices) -> Iterator[None]:
    """Makes sure that the chief, and nobody else, can write to the folder."""
    if devices.is_chief:
        with locked(folder.path):
            folder.check_writable()
            yield
    else:
        yield


def _train(folder: RunFolder, devices: Devices, signals: StopSignals) -> None:
    keras.config.set_dtype_policy(FLAGS.mixed_precision)
    keras.utils.set_random_seed(FLAGS.seed)

    train, held_out = load_train_and_held_out(
        FLAGS.dataset,
        num_images=FLAGS.num_images,
        factor_classes=parse_ranges(FLAGS.factor_classes or ()),
        seed=FLAGS.seed,
        data_dir=FLAGS.data_dir,
        download=FLAGS.download,
        image_size=FLAGS.image_size,
        stream=FLAGS.stream,
    )
    if train.num_images < FLAGS.batch_size:
        raise errors.CommandError(
            f"--batch_size={FLAGS.batch_size} exceeds the {train.num_images} images that there are "
            "to train on. Use a smaller one."
        )
    print(
        f"{devices.describe()}Data: {train.name}, {train.num_images:,} images of "
        f"{'x'.join(map(str, train.image_shape))} to train on, {held_out.num_images:,} held out."
    )
    steps_per_epoch = train.num_images // FLAGS.batch_size
    num_steps = FLAGS.steps or FLAGS.epochs * steps_per_epoch
    folder.check_images(train, held_out)
    extractor = None
    if FLAGS.features:
        extractor = classifier_features(FLAGS.features, train.image_shape)
    with devices.scope(), warnings_as_lines("Checkpoint"):
        checkpoint = folder.load_checkpoint()
        model = checkpoint.model if checkpoint else _new_model(train.image_shape)
    start_step = checkpoint.position.step if checkpoint else 0
    if devices.is_chief:
        write_flags(folder, train_flags.RUN_FLAGS)  # First: it makes a run that can be resumed.
        folder.write_images(train, held_out)

    start = time.monotonic()
    if start_step < num_steps:
        _announce(model, start_step, num_steps, steps_per_epoch)
        fit(
            folder,
            model,
            train,
            held_out,
            batch_size=FLAGS.batch_size,
            num_steps=num_steps,
            seed=FLAGS.seed,
            resumed_from=checkpoint,
            signals=signals,
            checkpoint_every=FLAGS.checkpoint_every,
            checkpoint_steps=FLAGS.checkpoint_steps,
            checkpoint_minutes=FLAGS.checkpoint_minutes,
            evaluate_every=FLAGS.evaluate_every,
            extractor=extractor,
            to_device=devices.to_device,
            # A progress bar would fill a log file.
            verbose=1 if sys.stdout.isatty() else 2,
            writes=devices.is_chief,
        )
    else:
        print(f"Training: all {num_steps:,} steps are done already.")
    seconds = time.monotonic() - start
    with explained(folder):
        _finish(devices, folder, model, train, held_out, num_steps, seconds)


def _open_folder(devices: Devices) -> RunFolder:
    """The run folder, new or that of a run, whose flags are taken over."""
    folder = RunFolder(FLAGS.output_dir)
    if FLAGS.resume:
        folder.check_resumable()
        adopt_flags(folder, train_flags.RUN_FLAGS)
    elif devices.is_chief:
        folder.check_new()
    train_flags.settle()
    folder.store.keep = FLAGS.keep_checkpoints
    return folder


def _new_model(image_shape: tuple[int, int, int]) -> StiefelRKM:
    size = {"capacity": FLAGS.capacity}
    model = StiefelRKM(
        networks.convolutional_encoder(image_shape, FLAGS.feature_dim, seed=FLAGS.seed, **size),
        networks.convolutional_decoder(FLAGS.feature_dim, image_shape, seed=FLAGS.seed + 1, **size),
        latent_dim=FLAGS.latent_dim,
        reconstruction_weight=FLAGS.reconstruction_weight,
        reconstruction_loss=FLAGS.reconstruction_loss,
        reconstruction_mode=FLAGS.reconstruction_mode,
        noise_stddev=FLAGS.noise_stddev,
        decoder_centering=FLAGS.decoder_centering,
        mean_penalty=FLAGS.mean_penalty,
        update=FLAGS.update,
        seed=FLAGS.seed,
    )
    model.compile(
        keras.optimizers.Adam(FLAGS.learning_rate, name="adam"),  # the tag of TensorBoard
        basis_optimizer=optimizers.CayleyAdam(FLAGS.basis_learning_rate),
        nonfinite=FLAGS.nonfinite,
    )
    return model


def _announce(model: StiefelRKM, start_step: int, num_steps: int, steps_per_epoch: int) -> None:
    begin = f"from step {start_step:,} on" if start_step else "from the start"
    print(
        f"Training: {num_steps:,} steps, {steps_per_epoch:,} in an epoch, {begin}; "
        f"{model.count_params():,} parameters.",
        flush=True,
    )


def _finish(
    devices: Devices,
    folder: RunFolder,
    model: StiefelRKM,
    train: Dataset,
    held_out: Dataset,
    num_steps: int,
    seconds: float,
) -> None:
    """Turns the basis to better axes; writes model, sampler, metrics and pictures."""
    train_batches = train.batches(FLAGS.batch_size, shuffle=False)
    held_out_batches = held_out.batches(FLAGS.batch_size, shuffle=False)
    axes = model.fit_principal_axes(train_batches, FLAGS.axes, seed=FLAGS.seed)
    print(
        f"Axes ({axes.method}): {model.latent_dim} of them explain "
        f"{axes.explained_variance_ratio.sum():.1%} of the variance of the features."
    )
    for note in axes.notes:
        print(f"Axes: {note}.")
    losses = model.evaluate(held_out_batches, verbose=0, return_dict=True)
    if not devices.is_chief:
        return
    sampler = _adapted_sampler(model, train_batches)
    # The model last: who finds it takes the run for ended.
    write_atomically(folder.sampler_file, sampler.save)
    write_atomically(folder.model_file, model.save)
    folder.write_metrics(
        {
            **{name: float(value) for name, value in losses.items()},
            "axes": axes.method,
            "explained_variance": axes.explained_variance.tolist(),
            "explained_variance_ratio": axes.explained_variance_ratio.tolist(),
            "principal_angles": axes.principal_angles.tolist(),
            "num_train_images": train.num_images,
            "num_held_out_images": held_out.num_images,
            "steps": num_steps,
            "training_seconds": round(seconds, 1),
            "versions": _versions(),
        }
    )
    print(f"Held out: {', '.join(f'{name} {value:.4g}' for name, value in losses.items())}.")
    names = pictures.draw_all(folder, model, sampler, held_out, seed=FLAGS.seed)
    summaries.write_final(folder, losses, names, num_steps)
    print(f"Wrote '{folder.path}': model.keras, metrics.json, {', '.join(names)} and more.")


def _adapted_sampler(model: StiefelRKM, batches: tf.data.Dataset) -> samplers.Sampler:
    with warnings_as_lines("Sampler"):
        return samplers.GaussianSampler().adapt(
            batches, transform=tf.function(model.encode, reduce_retracing=True)
        )


def _versions() -> dict[str, str]:
    return {
        "keras_rkm": keras_rkm.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    errors.run(main)
