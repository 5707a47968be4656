"""Trains small models on one device and on two replicas or, with TF_CONFIG, as one of two workers.

    python -m tests.models.distributed_training FILE

Writes what came out as JSON. It is a program, since logical devices have to be there before
TensorFlow is used, and an error in a replica spoils its process.
"""

import contextlib
import gc
import itertools
import json
import os
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_rkm import models, networks
from keras_rkm.callbacks import CorrectDrift
from keras_rkm.checkpoints import training_state
from keras_rkm.datasets import from_arrays
from keras_rkm.optimizers import CayleyAdam

IMAGE_SHAPE = (4, 4, 1)
FEATURE_DIM = 6
NUM_IMAGES = 28
BATCH_SIZE = 9  # 9, 9, 9 and 1: uneven, and at last one of the replicas has no image
NUM_STEPS = 4  # and MANY_STEPS in one case


def stiefel_rkm(mode, update, centering):
    """A case: the model and its arguments, with noise that matters."""
    return models.StiefelRKM, {
        "reconstruction_mode": mode,
        "decoder_centering": centering,
        "update": update,
        "noise_stddev": 0.5,
        "mean_penalty": 0.5,
    }


STIEFEL_RKM_CASES = {
    ", ".join(options): stiefel_rkm(*options)
    for options in itertools.product(
        ("deterministic", "noisy", "split"), ("simultaneous", "alternating"), ("none", "batch")
    )
}
OTHER_CASES = {
    "VariationalAutoencoder": (models.VariationalAutoencoder, {"beta": 0.5}),
    "FactorVAE": (models.FactorVAE, {"discriminator_width": 8, "discriminator_depth": 1}),
    "BetaTCVAE": (models.BetaTCVAE, {"dataset_size": 200}),
    "InfoGAN": (models.InfoGAN, {"noise_dim": 4}),
}
CASES = {**STIEFEL_RKM_CASES, **OTHER_CASES}
EVALUATED_CASE = "split, alternating, none"  # many steps, an evaluation, axes; of workers too
FLOAT64_CASE = "noisy, alternating, batch"
BATCH_CASE = "noisy, simultaneous, batch"  # is given its batches one by one
# To build the graph of a step takes longer than a few steps without.
GRAPH_CASES = {EVALUATED_CASE, FLOAT64_CASE, BATCH_CASE, *OTHER_CASES}
MANY_STEPS = 52
AXES_METHOD = "ica"  # which takes the latents of single images too


def images():
    return np.random.default_rng(0).random((NUM_IMAGES, *IMAGE_SHAPE), "float32")


def build(model_class, arguments):
    return model_class(
        networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=(), seed=1),
        networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=(), seed=2),
        **{"latent_dim": 3, "seed": 0, **arguments},
    )


def make(case, strategy, compiled=True):
    model_class, arguments = CASES.get(case, (models.AutoEncoder, {}))
    policy = "float64" if case == FLOAT64_CASE else "float32"
    with strategy.scope() if strategy else contextlib.nullcontext(), dtype_policy(policy):
        model = build(model_class, arguments)
        if compiled:
            # Not Adam, to which a loss of twice the size is the same.
            model.compile(
                *(keras.optimizers.SGD(0.01) for _ in range(1 + (case in ("FactorVAE", "InfoGAN"))))
            )
    return model


@contextlib.contextmanager
def dtype_policy(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class Steps(keras.callbacks.Callback):
    """Keeps the logs of every step."""

    def on_train_begin(self, logs=None):
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append({name: float(value) for name, value in logs.items()})


def train(case, strategy):
    """Trains, and with the case also evaluates, predicts or finds axes; returns the numbers."""
    model = make(case, strategy)
    model.run_eagerly = case not in (GRAPH_CASES if strategy else {EVALUATED_CASE})
    data = from_arrays(np.uint8(images() * 255)).batches(BATCH_SIZE, num_epochs=None, seed=3)
    result = fit_by_batch(model, data) if case == BATCH_CASE else fit(model, data, case)
    result["weights"] = [variable.numpy().tolist() for variable in model.variables]
    if strategy:
        result["disagreement"] = disagreement(strategy, model)
    if case == EVALUATED_CASE:
        if strategy:
            if not strategy.cluster_resolver or strategy.cluster_resolver.task_id == 0:
                result["means"] = running_means(model)  # alone, as a checkpoint is saved
            result["bad batch"] = train_on_bad_batch(model)
        result |= evaluate(model)
        if strategy:
            result["drift"] = drift(model, strategy)
    return result


def fit(model, data, case):
    steps, steps_per_epoch = Steps(), -(-NUM_IMAGES // BATCH_SIZE)
    num_steps = MANY_STEPS if case == EVALUATED_CASE else NUM_STEPS
    history = model.fit(
        data,
        steps_per_epoch=steps_per_epoch,
        epochs=num_steps // steps_per_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[steps],
    ).history
    return {"steps": steps.logs, "history": history}


def fit_by_batch(model, data):
    steps = [model.train_on_batch(batch, return_dict=True) for batch in data.take(NUM_STEPS)]
    return {
        "steps": [{name: float(value) for name, value in logs.items()} for logs in steps],
        "history": {},
        "tested": {
            name: float(value)
            for name, value in model.test_on_batch(images()[:5], return_dict=True).items()
        },
        "predicted": {
            "predict": model.predict(images()[:5], batch_size=4, verbose=0).tolist(),
            "predict_on_batch": model.predict_on_batch(images()[:5]).tolist(),
            "reconstruct": model.reconstruct(images()[:5]).numpy().tolist(),
        },
    }


def running_means(model):
    """What a checkpoint keeps of the loss of the epoch so far, and whether it comes back."""
    state = training_state.capture(model)
    total, count = (training_state._decode(value) for value in state["metrics"][:2])
    for variable in training_state._metric_states(model):
        for copy in training_state._copies(model, variable):
            copy.assign(tf.zeros_like(copy))
    training_state.restore_metrics(model, state)
    again = training_state.capture(model)
    return {
        "loss": float(total / count),
        "count": float(count),
        "restored": again["metrics"] == state["metrics"],
    }


def evaluate(model):
    # In batches of 4, 4 and 1.
    evaluation = model.evaluate(images()[:9], batch_size=4, verbose=0, return_dict=True)
    axes = model.fit_principal_axes(images(), AXES_METHOD, batch_size=7)
    return {
        "evaluation": evaluation,
        "axes": {
            "num_samples": axes.num_samples,
            "variance": axes.explained_variance.tolist(),
            "covariance": axes.feature_covariance.tolist(),
            "mean": model.feature_mean.numpy().tolist(),
            "basis": model.basis.numpy().tolist(),
        },
    }


def drift(model, strategy):
    """What becomes of U if the copy of one replica, the last one of this process, has drifted."""
    before = model.basis.numpy()
    copies = strategy.experimental_local_results(model.basis.value)
    copies[-1].assign(1.01 * copies[-1])
    guard = CorrectDrift()
    guard.set_model(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        guard.on_epoch_end(0)
    return {
        "messages": [str(warning.message) for warning in caught],
        "moved": float(np.abs(model.basis.numpy() - before).max()),
        "disagreement": disagreement(strategy, model),
        "error": float(np.linalg.norm(before.T @ before - np.eye(3))),
    }


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


def train_on_bad_batch(model):
    """What is said of an image that is not finite and that only the last replica sees."""
    data = images()[:20]
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


def train_on_overflow(strategy, update, nonfinite, **options):
    """What becomes of a model one of whose gradients, that of the last replica, is not finite."""
    model_class, arguments = stiefel_rkm("split", update, "batch")
    arguments["reconstruction_loss"] = "mean_squared_error"
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = build(model_class, arguments)
        model.compile(keras.optimizers.SGD(0.01), nonfinite=nonfinite, **options)
    data = images()
    data[19] *= 1e30  # the second of three batches, its last image
    batches = tf.data.Dataset.from_tensor_slices(data).batch(10)
    result = {"message": None, "history": None}
    try:
        result["history"] = model.fit(batches, shuffle=False, verbose=0).history
    except FloatingPointError as error:
        result["message"] = str(error)
    kept = [*model.weights, *model.optimizer.variables]
    result["weights"] = [variable.numpy().tolist() for variable in kept]
    result["step"] = int(model.optimizer.iterations.numpy())
    return result


def train_on_overflows(strategy):
    return {
        f"{update}, {nonfinite}": train_on_overflow(strategy, update, nonfinite, run_eagerly=True)
        for update in ("simultaneous", "alternating")
        for nonfinite in ("raise", "skip")
    }


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
        with strategy.scope(), dtype_policy("mixed_float16"):
            encoder = networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=())
            decoder = networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=())
            models.AutoEncoder(encoder, decoder, 3).compile()

    def two_dtypes():
        with strategy.scope():
            encoder = networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=())
            with dtype_policy("float64"):
                decoder = networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=())
            models.AutoEncoder(encoder, decoder, 3).compile()

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
        make("noisy, alternating, none", strategy, compiled=False).compile("sgd", clipping)

    def fit_with(**arguments):
        make("AutoEncoder", strategy).fit(**arguments)

    attempts = {
        "networks made outside": networks_made_outside,
        "model made outside": model_made_outside,
        "optimizer made outside": lambda: compiled_with(optimizer=keras.optimizers.SGD()),
        "mixed_float16": mixed_float16,
        "two dtypes": two_dtypes,
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
        "overflows": {
            "one device": train_on_overflows(None),
            "two replicas": train_on_overflows(two),
            "in a graph": train_on_overflow(two, "alternating", "skip"),
        },
        "refusals": refusals(two),
    }


def of_worker(folder):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    training = train(EVALUATED_CASE, strategy)
    model = make(EVALUATED_CASE, strategy)
    if strategy.cluster_resolver.task_id == 0:  # alone, while the other one goes on
        model.save(folder / "model.keras")
    try:
        model.predict(images())
        message = "no error"
    except ValueError as error:
        message = str(error)
    overflow = train_on_overflow(strategy, "alternating", "skip")
    return {"training": training, "predict": message, "overflow": overflow}


if __name__ == "__main__":
    gc.disable()  # graphs are many objects, to look through again and again
    output = Path(sys.argv[1])
    found = of_worker(output.parent) if "TF_CONFIG" in os.environ else of_one_process()
    output.write_text(json.dumps(found))
