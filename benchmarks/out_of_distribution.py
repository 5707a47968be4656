"""Which energy of a StiefelRKM tells MNIST from Fashion-MNIST, in both directions.

    python benchmarks/out_of_distribution.py --mnist_dir=FOLDER --fashion_mnist_dir=FOLDER

A model is trained on the training images of one set, with the networks and the budget of
mnist_reconstruction.py, and scores the test images of both; the area under the ROC curve says how
often an image of the other set gets the higher score (0.5: chance, below it: the wrong way round).

    energy                  reconstruction + PCA error, what `model.energy` returns
    reconstruction          binary cross-entropy, summed over the pixels
    PCA error               squared distance of the features from the span of U
    NLL, Gaussian           negative log-likelihood of the latents, `GaussianSampler`
    NLL, mixture            the same, `GaussianMixtureSampler(num_components=10)`
    squared error           of the reconstruction, summed over the pixels
    energy above its floor, reconstruction above its floor
                            the same less the entropy of the pixels

Grey pixels have a high cross-entropy however well they are reconstructed: an image that is
reconstructed perfectly still pays the entropy of its pixels, and Fashion-MNIST has more grey than
MNIST. Therefore two scores stand beside the others that need no model at all: that floor, and the
mean pixel. Where they do as well as the energy, the energy has shown nothing.
"""

import statistics
import time
from pathlib import Path

import _reporting
import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_rkm import datasets, losses, models, networks, samplers

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_BAR = 0.95
_NUM_COMPONENTS = 10
_SCORING_BATCH_SIZE = 1_000


def _folder(name):
    return str(_SHARED_DATA / name) if (_SHARED_DATA / name).is_dir() else None


_FOLDERS = {
    "MNIST": flags.DEFINE_string(
        "mnist_dir", _folder("mnist"), "Folder with the IDX files of MNIST."
    ),
    "Fashion-MNIST": flags.DEFINE_string(
        "fashion_mnist_dir", _folder("fashion-mnist"), "Folder with those of Fashion-MNIST."
    ),
}
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Of the weights and the order.")
_STEPS = flags.DEFINE_integer("steps", 4_000, "Training steps of a run.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=2)
_CAPACITY = flags.DEFINE_integer("capacity", 16, "Filters of the first convolution.", 1)
_FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Outputs of the encoder.", lower_bound=1)
_LATENT_DIM = flags.DEFINE_integer("latent_dim", 10, "Latents.", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Of Adam.", lower_bound=0.0)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "Take so many images of every split; all of them by default.", 2
)
_OUTPUT = flags.DEFINE_string("output", None, "CSV file with the value of every seed.")
_THREADS = flags.DEFINE_integer("threads", 0, "Threads of TensorFlow; 0: its choice.", 0)


def _train(training_set, seed):
    options = {"capacity": _CAPACITY.value}
    shape, feature_dim = training_set.image_shape, _FEATURE_DIM.value
    model = models.StiefelRKM(
        networks.convolutional_encoder(shape, feature_dim, seed=2 * seed, **options),
        networks.convolutional_decoder(feature_dim, shape, seed=2 * seed + 1, **options),
        _LATENT_DIM.value,
        seed=seed,
    )
    model.compile(keras.optimizers.Adam(_LEARNING_RATE.value))
    batches = training_set.batches(
        _BATCH_SIZE.value, seed=seed, drop_remainder=True, num_epochs=None
    )
    model.fit(batches.take(_STEPS.value), shuffle=False, verbose=0)
    model.fit_principal_axes(training_set.batches(_SCORING_BATCH_SIZE, shuffle=False))
    return model


def _fitted_samplers(model, training_set, seed):
    encode = tf.function(model.encode, reduce_retracing=True)
    batches = training_set.batches(_SCORING_BATCH_SIZE, shuffle=False)
    latents = np.concatenate([encode(images).numpy() for images in batches])
    num_components = min(_NUM_COMPONENTS, len(latents))
    return {
        "NLL, Gaussian": samplers.GaussianSampler(),
        "NLL, mixture": samplers.GaussianMixtureSampler(num_components, seed=seed),
    }, latents


def _scores(model, fitted, images):
    """Every score of a batch of images, by name, `(batch,)`."""
    terms, latents = model.energy_terms(images), model.encode(images)
    squared_error = losses.reconstruction_error(
        images, model.reconstruct(images), loss="mean_squared_error"
    )
    return {
        "energy": model.energy(images),
        "reconstruction": terms.reconstruction,
        "PCA error": terms.pca,
        **{name: -sampler.log_prob(latents) for name, sampler in fitted.items()},
        "squared error": squared_error,
        "energy above its floor": model.energy(images) - terms.floor,
        "reconstruction above its floor": terms.reconstruction - terms.floor,
        **{f"no model: {name}": score for name, score in _scores_without_model(images).items()},
    }


def _scores_without_model(images):
    return {
        "entropy of the pixels": _entropy(images),
        "mean pixel": tf.reduce_mean(images, axis=(1, 2, 3)),
    }


def _entropy(images):
    """The least cross-entropy that any reconstruction of an image can have, in nats."""
    terms = -tf.math.xlogy(images, images) - tf.math.xlogy(1 - images, 1 - images)
    return tf.reduce_sum(terms, axis=(1, 2, 3))


def _all_scores(score, dataset):
    batches = [score(images) for images in dataset.batches(_SCORING_BATCH_SIZE, shuffle=False)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _aurocs(known, other):
    """Area under the ROC curve of every score: images of `other` should have the higher ones."""
    from sklearn.metrics import roc_auc_score

    aurocs = {}
    for name, scores in known.items():
        is_other = np.repeat([0, 1], [len(scores), len(other[name])])
        aurocs[name] = float(roc_auc_score(is_other, np.concatenate([scores, other[name]])))
    return aurocs


def _run(splits, known, other, seed):
    """Trains on the set `known`; the areas of all scores, and the CPU minutes it took."""
    keras.utils.set_random_seed(seed)
    start = time.process_time()
    training_set = splits[known]["train"]
    model = _train(training_set, seed)
    fitted, latents = _fitted_samplers(model, training_set, seed)
    for sampler in fitted.values():
        sampler.adapt(latents)
    score = tf.function(lambda images: _scores(model, fitted, images), reduce_retracing=True)
    aurocs = _aurocs(*(_all_scores(score, splits[name]["test"]) for name in (known, other)))
    minutes = (time.process_time() - start) / 60
    keras.backend.clear_session()
    return aurocs, minutes


def _summary(runs):
    """Per score: the mean over the seeds and the lowest and highest area, in each direction."""
    names = next(iter(runs.values()))
    for name in names:
        row = [name]
        for known in _FOLDERS:
            values = [
                aurocs[name] for (trained_on, _), aurocs in runs.items() if trained_on == known
            ]
            spread = f"{min(values):.4f}-{max(values):.4f}"
            row += [f"{statistics.mean(values):.4f}", spread]
        yield row


def _load(folder):
    return {
        split: datasets.load(folder, split=split, num_images=_NUM_IMAGES.value)
        for split in ("train", "test")
    }


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if not all(seed.isdecimal() for seed in _SEEDS.value):
        raise app.UsageError(f"--seeds takes ints, not {','.join(_SEEDS.value)}")
    for name, folder in _FOLDERS.items():
        if folder.value is None:
            raise app.UsageError(f"--{folder.name}: give the folder with the IDX files of {name}")
    _reporting.set_threads(_THREADS.value)
    splits = {name: _load(folder.value) for name, folder in _FOLDERS.items()}
    sizes = {split: splits["MNIST"][split].num_images for split in ("train", "test")}
    _reporting.print_setting(
        "Out-of-distribution: area under the ROC curve, MNIST against Fashion-MNIST",
        threads=_THREADS.value,
        seeds=",".join(_SEEDS.value),
        images=f"{sizes['train']} to train on, {sizes['test']} of each set to score",
        networks=f"capacity {_CAPACITY.value}, {_FEATURE_DIM.value} features, "
        f"{_LATENT_DIM.value} latents",
        training=f"{_STEPS.value} steps, batch {_BATCH_SIZE.value}, "
        f"Adam {_LEARNING_RATE.value:g}, basis 1e-2",
        bar=f"an energy of the model trained on MNIST reaches {_BAR}",
    )
    runs = {}
    for seed in map(int, _SEEDS.value):
        for known, other in (("MNIST", "Fashion-MNIST"), ("Fashion-MNIST", "MNIST")):
            runs[known, seed], minutes = _run(splits, known, other, seed)
            print(f"trained on {known}, seed {seed}: {minutes:.2f} CPU min", flush=True)
    print()
    header = ["score"]
    for known in _FOLDERS:
        header += [f"trained on {known}", "lowest-highest"]
    _reporting.print_table(header, list(_summary(runs)))
    if _OUTPUT.value:
        rows = [
            (known, seed, name, auroc)
            for (known, seed), aurocs in runs.items()
            for name, auroc in aurocs.items()
        ]
        _reporting.write_csv(_OUTPUT.value, ("trained on", "seed", "score", "AUROC"), rows)


if __name__ == "__main__":
    app.run(main)
