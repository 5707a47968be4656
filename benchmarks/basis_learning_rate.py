"""How much of a PCA gap CayleyAdam closes, by learning rate: where its default comes from.

    python benchmarks/basis_learning_rate.py [--checkpoints=1000,10000]

A StiefelRKM with an identity as encoder and without reconstruction is PCA: U alone is trained,
on fixed normal features whose variances decay as 1 / (1 + k). The gap is
`(loss - optimum) / (start - optimum)`: 1 at the start, 0 at the leading eigenvectors. The loss is
`tr C - tr U'CU` for the covariance C of all the features, in float64. Once in batches drawn with
replacement, once with the gradient of the full set, which leaves out the noise.
"""

import _reporting
import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_rkm import models, optimizers

_LEARNING_RATES = flags.DEFINE_list(
    "learning_rates", ["1e-4", "3e-4", "1e-3", "3e-3", "1e-2", "3e-2", "1e-1"], "Those of U."
)
_CHECKPOINTS = flags.DEFINE_list("checkpoints", ["1000", "10000"], "Steps, ascending.")
_DIM = flags.DEFINE_integer("dim", 64, "Number of features.", lower_bound=2)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 8, "Columns of the basis.", lower_bound=1)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 2048, "Size of the full set.", lower_bound=2)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Features in a batch.", lower_bound=2)
_THREADS = flags.DEFINE_integer("threads", 1, "Threads of TensorFlow; 0: its choice.", 0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the features, the batches and the start.")


def _make_features():
    generator = np.random.default_rng(_SEED.value)
    stddevs = 1 / np.sqrt(1 + np.arange(_DIM.value))
    rotation, _ = np.linalg.qr(generator.normal(size=(_DIM.value, _DIM.value)))
    return (generator.normal(size=(_NUM_SAMPLES.value, _DIM.value)) * stddevs) @ rotation


def _batches(features):
    tensor = tf.constant(features, tf.float32)

    def batch_at(step):
        seed = tf.stack([tf.cast(_SEED.value, tf.int64), step])
        return tf.gather(
            tensor,
            tf.random.stateless_uniform([_BATCH_SIZE.value], seed, 0, len(features), tf.int32),
        )

    return tf.data.Dataset.counter().map(batch_at).prefetch(tf.data.AUTOTUNE)


def _pca_model(learning_rate):
    inputs = keras.Input((_DIM.value,))
    model = models.StiefelRKM(
        keras.Model(inputs, keras.layers.Identity()(inputs)),
        keras.Model(inputs, keras.layers.Identity()(inputs)),
        latent_dim=_LATENT_DIM.value,
        reconstruction_weight=0.0,
        reconstruction_loss="mean_squared_error",
        mean_penalty=0.0,
        seed=_SEED.value,
    )
    model.compile(basis_optimizer=optimizers.CayleyAdam(learning_rate), jit_compile=False)
    return model


def _gaps(learning_rate, dataset, covariance, checkpoints):
    """The gap after each number of steps in `checkpoints`, as a share of that at the start."""
    model = _pca_model(learning_rate)
    iterator = iter(dataset)

    # In one loop of the graph: these steps are so small that Python would take most of the time.
    @tf.function
    def train(num_steps):
        for _ in tf.range(num_steps):
            model.train_step(next(iterator))

    def loss():
        basis = model.basis.numpy().astype(np.float64)
        return np.trace(covariance) - np.trace(basis.T @ covariance @ basis)

    optimum = np.linalg.eigvalsh(covariance)[: -_LATENT_DIM.value].sum()
    model.optimizer.build(model.trainable_variables)
    train = train.get_concrete_function(tf.TensorSpec((), tf.int32))
    start, done = loss(), 0
    for checkpoint in checkpoints:
        train(tf.constant(checkpoint - done))
        done = checkpoint
        yield float((loss() - optimum) / (start - optimum))


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    try:
        rates = [float(rate) for rate in _LEARNING_RATES.value]
        checkpoints = sorted(int(steps) for steps in _CHECKPOINTS.value)
    except ValueError as error:
        raise app.UsageError(f"--learning_rates and --checkpoints take numbers: {error}") from None
    _reporting.set_threads(_THREADS.value)
    features = _make_features()
    covariance = np.cov(features, rowvar=False, bias=True)
    full_set = tf.data.Dataset.from_tensors(tf.constant(features, tf.float32)).cache().repeat()
    gradients = {f"batches of {_BATCH_SIZE.value}": _batches(features), "full gradient": full_set}

    _reporting.print_setting(
        "PCA gap left by CayleyAdam: (loss - optimum) / (start - optimum)",
        threads=_THREADS.value,
        seeds=_SEED.value,
        features=f"{_NUM_SAMPLES.value} of {_DIM.value} dimensions; {_LATENT_DIM.value} latents",
    )
    header = ["learning rate"]
    header += [f"{kind}, {steps} steps" for kind in gradients for steps in checkpoints]
    rows = []
    for text, rate in zip(_LEARNING_RATES.value, rates, strict=True):
        gaps = (_gaps(rate, dataset, covariance, checkpoints) for dataset in gradients.values())
        rows.append([text, *(gap for kind in gaps for gap in kind)])
    _reporting.print_table(header, rows)


if __name__ == "__main__":
    app.run(main)
