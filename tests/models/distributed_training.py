"""Trains small models on one device and on two replicas or, with TF_CONFIG, as one of two workers.

    python -m tests.models.distributed_training FILE

Writes what came out as JSON. It is a program, since logical devices have to be there before
TensorFlow is used, and an error in a replica spoils its process.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_rkm import models, networks
from keras_rkm.datasets import from_arrays
from keras_rkm.optimizers import CayleyAdam

IMAGE_SHAPE = (4, 4, 1)
FEATURE_DIM = 6
NUM_IMAGES = 28
BATCH_SIZE = 9  # 9, 9, 9 and 1: uneven, and at last one of the replicas has no image
NUM_STEPS = 52


def stiefel_rkm(mode, centering, update, **arguments):
    """A case: the model and its arguments, with noise that matters."""
    return models.StiefelRKM, {
        "reconstruction_mode": mode,
        "decoder_centering": centering,
        "update": update,
        "noise_stddev": 0.5,
        "mean_penalty": 0.5,
        **arguments,
    }


# Every mode with both updates, and both centerings with each of these.
STIEFEL_RKM_CASES = {
    "deterministic, simultaneous": stiefel_rkm("deterministic", "none", "simultaneous"),
    "deterministic, alternating": stiefel_rkm("deterministic", "batch", "alternating"),
    "noisy, simultaneous": stiefel_rkm("noisy", "batch", "simultaneous"),
    "noisy, alternating": stiefel_rkm("noisy", "none", "alternating"),
    "split, simultaneous": stiefel_rkm("split", "batch", "simultaneous"),
    "split, alternating": stiefel_rkm("split", "none", "alternating"),
}
OTHER_CASES = {
    "VariationalAutoencoder": (models.VariationalAutoencoder, {"beta": 0.5}),
    "FactorVAE": (models.FactorVAE, {"discriminator_width": 8, "discriminator_depth": 1}),
    "BetaTCVAE": (models.BetaTCVAE, {"dataset_size": 200}),
    "InfoGAN": (models.InfoGAN, {"noise_dim": 4}),
}
CASES = {**STIEFEL_RKM_CASES, **OTHER_CASES}
EVALUATED_CASE = "split, alternating"  # that of workers too; the others have less to trace
AXES_METHOD = "ica"  # which takes the latents of single images too


def images():
    return np.random.default_rng(0).random((NUM_IMAGES, *IMAGE_SHAPE), "float32")


def make(case, strategy, compiled=True):
    model_class, arguments = CASES.get(case, (models.AutoEncoder, {}))
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = model_class(
            networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=(), seed=1),
            networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=(), seed=2),
            **{"latent_dim": 3, "seed": 0, **arguments},
        )
        if compiled:
            # Not Adam, to which a loss of twice the size is the same.
            model.compile(
                *(keras.optimizers.SGD(0.01) for _ in range(1 + (case in ("FactorVAE", "InfoGAN"))))
            )
    return model


class Steps(keras.callbacks.Callback):
    """Keeps the logs of every step."""

    def on_train_begin(self, logs=None):
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append({name: float(value) for name, value in logs.items()})


def train(case, strategy):
    """Trains, evaluates and finds axes; returns the numbers."""
    model, steps = make(case, strategy), Steps()
    data = from_arrays(np.uint8(images() * 255))
    steps_per_epoch = -(-NUM_IMAGES // BATCH_SIZE)
    history = model.fit(
        data.batches(BATCH_SIZE, num_epochs=None, seed=3),
        steps_per_epoch=steps_per_epoch,
        epochs=NUM_STEPS // steps_per_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[steps],
    ).history
    result = {
        "steps": steps.logs,
        "history": history,
        "weights": [variable.numpy().tolist() for variable in model.variables],
    }
    if case == EVALUATED_CASE:
        # In batches of 4, 4 and 1.
        result["evaluation"] = model.evaluate(
            images()[:9], batch_size=4, verbose=0, return_dict=True
        )
        axes = model.fit_principal_axes(images(), AXES_METHOD, batch_size=7)
        result["axes"] = {
            "num_samples": axes.num_samples,
            "variance": axes.explained_variance.tolist(),
            "covariance": axes.feature_covariance.tolist(),
            "mean": model.feature_mean.numpy().tolist(),
            "basis": model.basis.numpy().tolist(),
        }
    if strategy:
        result["disagreement"] = disagreement(strategy, model)
    return result


def disagreement(strategy, model):
    """How far the trained weights of replicas of this process are from each other."""
    apart = [
        float(tf.reduce_max(tf.abs(value - values[0])))
        for values in map(
            strategy.experimental_local_results, [v.value for v in model.trainable_variables]
        )
        for value in values
    ]
    return max(apart)


def train_on_bad_batch(strategy):
    """What is said of an image that is not finite and that only the last replica sees."""
    model, data = make("noisy, simultaneous", strategy), images()[:20]
    data[19] = np.nan
    variables = model.variables + model.optimizer.variables
    before = [variable.numpy() for variable in variables]
    try:
        model.fit(tf.data.Dataset.from_tensor_slices(data[10:]).batch(10), shuffle=False, verbose=0)
        message = "no error"
    except ValueError as error:
        message = str(error)
    moved = [
        variable.path
        for variable, old in zip(variables, before, strict=True)
        if not np.array_equal(variable.numpy(), old)
    ]
    return {"message": message, "moved": moved}


def refusals(strategy):
    """What `compile` says of combinations that do not work."""

    def networks_made_outside():
        encoder = networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=())
        decoder = networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=())
        with strategy.scope():
            models.AutoEncoder(encoder, decoder, 3).compile()

    def model_made_outside():
        model = make("AutoEncoder", None, compiled=False)
        with strategy.scope():
            model.compile()

    def mixed_float16():
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            make("AutoEncoder", strategy, compiled=False).compile()
        finally:
            keras.config.set_dtype_policy(policy)

    def batch_normalization():
        with strategy.scope():
            encoder = networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=())
            features = keras.layers.BatchNormalization()(encoder.output)
            encoder = keras.Model(encoder.input, features)
            decoder = networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=())
            models.AutoEncoder(encoder, decoder, 3).compile()

    def compiled_with(**arguments):
        optimizer = arguments.pop("optimizer", "sgd")
        make("AutoEncoder", strategy, compiled=False).compile(optimizer, **arguments)

    def with_optimizer(**arguments):
        with strategy.scope():
            optimizer = keras.optimizers.SGD(**arguments)
        compiled_with(optimizer=optimizer)

    def basis_optimizer_clips():
        with strategy.scope():
            clipping = CayleyAdam(clipnorm=1.0)
        make("noisy, alternating", strategy, compiled=False).compile("sgd", clipping)

    def fit_with(**arguments):
        make("AutoEncoder", strategy).fit(**arguments)

    attempts = {
        "networks made outside": networks_made_outside,
        "model made outside": model_made_outside,
        "optimizer made outside": lambda: compiled_with(optimizer=keras.optimizers.SGD()),
        "mixed_float16": mixed_float16,
        "batch normalization": batch_normalization,
        "jit_compile": lambda: compiled_with(jit_compile=True),
        "steps_per_execution": lambda: compiled_with(steps_per_execution=2),
        "gradient accumulation": lambda: with_optimizer(gradient_accumulation_steps=2),
        "overwriting by averages": lambda: with_optimizer(use_ema=True, ema_overwrite_frequency=5),
        "clipping": lambda: with_optimizer(global_clipnorm=1.0),
        "clipping of the basis": basis_optimizer_clips,
        "validation split": lambda: fit_with(x=images(), validation_split=0.5),
        "generator": lambda: fit_with(x=iter([images()])),
    }
    messages = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            messages[name] = "no error"
        except ValueError as error:
            messages[name] = str(error)
    return messages


def of_one_process():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return {
        "one device": {case: train(case, None) for case in CASES},
        "two replicas": {case: train(case, two) for case in CASES},
        "refusals": refusals(two),
        "bad batch": train_on_bad_batch(two),
    }


def of_worker(folder):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    training = train(EVALUATED_CASE, strategy)
    model = make(EVALUATED_CASE, strategy)
    if strategy.cluster_resolver.task_id == 0:  # alone, while the other one goes on
        model.save(folder / "model.keras")
    return {"training": training, "bad batch": train_on_bad_batch(strategy)}


if __name__ == "__main__":
    output = Path(sys.argv[1])
    found = of_worker(output.parent) if "TF_CONFIG" in os.environ else of_one_process()
    output.write_text(json.dumps(found))
