"""Reconstruction of MNIST by StiefelRKM and by a VAE of the same networks.

    python benchmarks/mnist_reconstruction.py --data_dir=FOLDER [--seeds=0,1,2 --methods=rkm,vae]

The folder holds the official IDX files. All methods see the same batches of the 60,000 training
images in the same order, with the same networks and the same Adam; what is compared is the squared
error of a test image, summed over its pixels, mean over the 10,000. A StiefelRKM reconstructs by
`reconstruct` after `fit_principal_axes` on the training set, the VAE by its posterior mean. The CPU
time of a run is all of it: training, `fit_principal_axes`, reconstruction.
"""

import statistics
import time
from pathlib import Path

import _reporting
import keras
import numpy as np
from absl import app, flags

from keras_rkm import datasets, losses, models, networks

_DEFAULT_DATA_DIR = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
_MAX_CPU_MINUTES = 10
_VAE = "vae"
_RKM_OPTIONS = {
    "rkm": {},
    "rkm_batch": {"decoder_centering": "batch"},
    "rkm_split": {"reconstruction_mode": "split"},
    "rkm_noisy": {"reconstruction_mode": "noisy"},
    "rkm_alternating": {"update": "alternating"},
}

_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    str(_DEFAULT_DATA_DIR) if _DEFAULT_DATA_DIR.is_dir() else None,
    "Folder with the IDX files of MNIST.",
)
_METHODS = flags.DEFINE_list("methods", ["rkm", _VAE], f"Of {', '.join(_RKM_OPTIONS)}, {_VAE}.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Of the weights, the order and the noise.")
_STEPS = flags.DEFINE_integer("steps", 4_000, "Training steps of a run.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=2)
_CAPACITY = flags.DEFINE_integer("capacity", 16, "Filters of the first convolution.", 1)
_FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Outputs of the encoder.", lower_bound=1)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 10, "Latents.", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Of Adam.", lower_bound=0.0)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "Take so many images of either split; all of them by default.", 2
)
_OUTPUT = flags.DEFINE_string("output", None, "CSV file for the rows.")
_THREADS = flags.DEFINE_integer("threads", 0, "Threads of TensorFlow; 0: its choice.", 0)

_HEADER = ("method", "seed", "steps", "test MSE", "/ VAE's", "CPU minutes")


def _networks(image_shape, seed):
    options = {"capacity": _CAPACITY.value}
    encoder = networks.convolutional_encoder(
        image_shape, _FEATURE_DIM.value, seed=2 * seed, **options
    )
    decoder = networks.convolutional_decoder(
        _FEATURE_DIM.value, image_shape, seed=2 * seed + 1, **options
    )
    return encoder, decoder


def _train_vae(training_set, batches, seed):
    model = models.VariationalAutoencoder(
        *_networks(training_set.image_shape, seed), _LATENT_DIM.value, seed=seed
    )
    model.compile(keras.optimizers.Adam(_LEARNING_RATE.value))
    model.fit(batches, shuffle=False, verbose=0)
    return model


def _train_rkm(training_set, batches, seed, options):
    model = models.StiefelRKM(
        *_networks(training_set.image_shape, seed), _LATENT_DIM.value, seed=seed, **options
    )
    model.compile(keras.optimizers.Adam(_LEARNING_RATE.value))
    model.fit(batches, shuffle=False, verbose=0)
    model.fit_principal_axes(training_set.batches(_BATCH_SIZE.value, shuffle=False))
    return model


def _squared_error(model, images):
    """The squared error summed over the pixels, mean over all images."""
    batches = images.batches(1_000, shuffle=False)
    errors = [
        losses.reconstruction_error(
            batch, model.reconstruct(batch), loss="mean_squared_error"
        ).numpy()
        for batch in batches
    ]
    return float(np.concatenate(errors).mean(dtype=np.float64))


def _run(method, seed, training_set, test_set):
    """Trains one model; returns its error on the test set and the CPU minutes it took."""
    keras.utils.set_random_seed(seed)
    start = time.process_time()
    batches = training_set.batches(
        _BATCH_SIZE.value, seed=seed, drop_remainder=True, num_epochs=None
    ).take(_STEPS.value)
    if method == _VAE:
        model = _train_vae(training_set, batches, seed)
    else:
        model = _train_rkm(training_set, batches, seed, _RKM_OPTIONS[method])
    error = _squared_error(model, test_set)
    minutes = (time.process_time() - start) / 60
    keras.backend.clear_session()
    return error, minutes


def _with_ratios(rows):
    """The ratio of each error to that of the VAE of the same seed, where there is one."""
    vae = {seed: error for method, seed, error, _ in rows if method == _VAE}
    for method, seed, error, minutes in rows:
        ratio = error / vae[seed] if method != _VAE and seed in vae else "-"
        yield [method, seed, _STEPS.value, error, ratio, minutes]


def _summary(rows):
    """Means over the seeds, and by how much each method is below the VAE."""
    means = {}
    for method in _METHODS.value:
        means[method] = statistics.mean(error for name, _, error, _ in rows if name == method)
    for method, mean in means.items():
        margin = "-"
        if method != _VAE and _VAE in means:
            margin = f"{means[_VAE] - mean:.3f} ({1 - mean / means[_VAE]:.1%})"
        yield [method, len(_SEEDS.value), mean, margin]


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if unknown := set(_METHODS.value) - {*_RKM_OPTIONS, _VAE}:
        raise app.UsageError(f"--methods: unknown {', '.join(sorted(unknown))}")
    if not all(seed.isdecimal() for seed in _SEEDS.value):
        raise app.UsageError(f"--seeds takes ints, not {','.join(_SEEDS.value)}")
    if _DATA_DIR.value is None:
        raise app.UsageError("--data_dir: give the folder with the IDX files of MNIST")
    _reporting.set_threads(_THREADS.value)
    training_set, test_set = (
        datasets.load(_DATA_DIR.value, split=split, num_images=_NUM_IMAGES.value)
        for split in ("train", "test")
    )
    _reporting.print_setting(
        "Reconstruction of MNIST: squared error of a test image, summed over its pixels",
        threads=_THREADS.value,
        seeds=",".join(_SEEDS.value),
        images=f"{training_set.num_images} to train on, {test_set.num_images} to test",
        networks=f"capacity {_CAPACITY.value}, {_FEATURE_DIM.value} features, "
        f"{_LATENT_DIM.value} latents",
        training=f"{_STEPS.value} steps, batch {_BATCH_SIZE.value}, "
        f"Adam {_LEARNING_RATE.value:g}, basis 1e-2",
        bar=f"below the VAE; at most {_MAX_CPU_MINUTES} CPU minutes a run",
    )
    rows = []
    for seed in map(int, _SEEDS.value):
        for method in _METHODS.value:
            rows.append((method, seed, *_run(method, seed, training_set, test_set)))
            print(f"{method}, seed {seed}: {rows[-1][2]:.3f}, {rows[-1][3]:.2f} min", flush=True)
    print()
    table = list(_with_ratios(rows))
    _reporting.print_table(_HEADER, table)
    _reporting.print_table(
        ("method", "seeds", "mean test MSE", "below the VAE by"), list(_summary(rows))
    )
    if _OUTPUT.value:
        _reporting.write_csv(_OUTPUT.value, _HEADER, table)


if __name__ == "__main__":
    app.run(main)
