"""One model of a study: trained, rotated, measured and drawn into a folder of its own."""

import functools
import inspect
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_rkm import datasets, evaluation, metrics, models, networks, samplers, visualization
from keras_rkm._files import write_atomically
from keras_rkm._keras_files import load_keras_file
from keras_rkm.datasets import Dataset

from .axes import RotatedModel, rotated_models
from .study import MIXTURE, Cell, Images, Method, Study

RESULT_FILE = "result.json"
_MODEL_FILE = "model.keras"
_TRAINING_FILE = "training.json"
_HELD_OUT = 0.1  # share of the images that is held out where the source has no test split
_FIRST_STEPS = 20  # not timed: they trace and compile
_NUM_DRAWN = 64
_STEPS = np.linspace(-2.5, 2.5, 9)  # of a traversal, in standard deviations


def read_result(study: Study, cell: Cell, output_dir: Path) -> dict[str, Any] | None:
    """What a finished cell has found; None if it has not ended, or the study was another then."""
    return _read_json(output_dir / cell.folder / RESULT_FILE, study.fingerprint(cell))


def run_cell(study: Study, cell: Cell, output_dir: Path) -> dict[str, Any]:
    """Trains and measures one model; writes and returns what it has found.

    The result is the last file to be written, so a cell that broke off has none. A model that was
    trained before is only measured, unless something that its training depends on has changed.

    Args:
        study: `Study`.
        cell: `Cell`.
        output_dir: Path, the folder of the study.

    Returns:
        A dict of plain data: `rows`, each with `rotation`, `sampler`, `measure`, `score` and
        `value`; `seconds_per_step` (CPU), `num_parameters`, `fingerprint` and more.

    Raises:
        ValueError: If an argument of the method is out of range, or the images do not fit.
    """
    folder = output_dir / cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    train, test = load_images(study.images)
    model, facts = _trained_before(study, cell, folder) or _train_cell(study, cell, train, folder)
    result = {
        "method": cell.method.name,
        "setting": cell.setting,
        "arguments": dict(cell.method.settings[cell.setting]),
        "seed": cell.seed,
        **facts,
        "fingerprint": study.fingerprint(cell),
        "rows": _measure(study, cell, model, train, test, folder),
    }
    _write_json(folder / RESULT_FILE, result)
    return result


def _train_cell(study, cell, train, folder) -> tuple[keras.Model, dict[str, Any]]:
    """The trained model, and what is known of its training; both are in the folder then."""
    keras.utils.set_random_seed(cell.seed)
    model = build_model(study, cell, train)
    seconds_per_step, losses = _train(model, train, study, cell.seed)
    if hasattr(model, "fit_principal_axes"):
        model.fit_principal_axes(train.batches(256, shuffle=False))
    facts = {
        "fingerprint": study.training_fingerprint(cell),
        "num_parameters": _num_parameters(model),
        "seconds_per_step": seconds_per_step,
        "losses": losses,
    }
    (folder / _TRAINING_FILE).unlink(missing_ok=True)  # it tells of another model
    model.save(folder / _MODEL_FILE)
    _write_json(folder / _TRAINING_FILE, facts)
    return model, facts


def _trained_before(study, cell, folder) -> tuple[keras.Model, dict[str, Any]] | None:
    facts = _read_json(folder / _TRAINING_FILE, study.training_fingerprint(cell))
    path = folder / _MODEL_FILE
    return (load_keras_file(path), facts) if facts and path.is_file() else None


def _read_json(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """What a file says; None if it is not there, or of something else."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if told.get("fingerprint") == fingerprint else None


def _write_json(path: Path, told: dict[str, Any]) -> None:
    text = json.dumps(told, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda path: path.write_text(text, encoding="utf-8"))


@functools.cache
def load_images(images: Images) -> tuple[Dataset, Dataset]:
    """The images to train on and those to measure on, the same for all cells of a study."""
    options = {"image_size": images.image_size, "seed": 0}
    train = datasets.load(images.name, num_images=images.num_images, **options)
    try:
        # A source may have fewer.
        test = datasets.load(images.name, split="test", **options)
    except datasets.UnknownSplitError:
        order = np.random.default_rng(0).permutation(train.num_images)
        cut = max(round(_HELD_OUT * train.num_images), 2)
        train, test = train.subset(np.sort(order[cut:])), train.subset(order[:cut])
    return train, test.subset(np.arange(min(test.num_images, images.num_test_images)))


def build_model(study: Study, cell: Cell, train: Dataset) -> keras.Model:
    """The untrained model of a cell, compiled."""
    budget = study.training
    size = {"capacity": budget.capacity}
    shape, width = train.image_shape, budget.feature_dim
    model_class = getattr(models, cell.method.model)
    known = {
        "latent_dim": budget.latent_dim,
        "reconstruction_loss": budget.reconstruction_loss,
        "dataset_size": train.num_images,
        "seed": cell.seed,
    }
    parameters = inspect.signature(model_class).parameters
    arguments = {name: value for name, value in known.items() if name in parameters}
    model = model_class(
        networks.convolutional_encoder(shape, width, seed=2 * cell.seed, **size),
        networks.convolutional_decoder(width, shape, seed=2 * cell.seed + 1, **size),
        **arguments,
        **cell.method.settings[cell.setting],
    )
    _freeze(model, cell.method)
    model.compile(keras.optimizers.Adam(budget.learning_rate))
    return model


def _freeze(model: keras.Model, method: Method) -> None:
    layers = {layer.name: layer for layer in model.layers}
    if unknown := set(method.freeze) - set(layers):
        raise ValueError(
            f"`freeze` of '{method.name}' must name layers of the model. Received: "
            f"{', '.join(sorted(unknown))}. There are: {', '.join(layers)}."
        )
    for name in method.freeze:
        layers[name].trainable = False


class _Timer(keras.callbacks.Callback):
    """CPU seconds from the first timed step on."""

    def __init__(self):
        super().__init__()
        self.num_steps, self.start, self.seconds = 0, None, 0.0

    def on_train_batch_end(self, batch, logs=None):
        self.num_steps += 1
        if self.num_steps == _FIRST_STEPS:
            self.start = time.process_time()
        elif self.start is not None:
            self.seconds = time.process_time() - self.start


def _train(model, train: Dataset, study: Study, seed: int) -> tuple[float | None, dict[str, float]]:
    budget = study.training
    if train.num_images < budget.batch_size:
        raise ValueError(
            "[training] batch_size must not exceed the images to train on. Received: "
            f"batch_size={budget.batch_size} for {train.num_images} images."
        )
    batches = train.batches(budget.batch_size, seed=seed, drop_remainder=True, num_epochs=None)
    timer = _Timer()
    history = model.fit(
        batches,
        epochs=1,
        steps_per_epoch=budget.steps,
        shuffle=False,
        verbose=0,
        callbacks=[timer, keras.callbacks.TerminateOnNaN()],
    )
    timed = timer.num_steps - _FIRST_STEPS
    losses = {name: float(values[-1]) for name, values in history.history.items()}
    if not all(map(np.isfinite, losses.values())):
        raise ValueError(f"Training diverged. Received: {losses}. Try a smaller learning_rate.")
    return (timer.seconds / timed if timed > 0 else None), losses


def _measure(study, cell, model, train, test, folder) -> list[dict[str, Any]]:
    rows = []
    factors = test.factor_arguments()
    measuring = study.measuring
    options = {
        "preset": measuring.preset,
        "num_draws": measuring.num_draws,
        "seed": cell.seed,
    }
    names = measuring.measures or evaluation.PRESETS[measuring.preset].measures
    groups = {
        group: [name for name in names if evaluation.MEASURES[name] in group]
        for group in (
            ("reconstruction",),
            ("orthogonality", "disentanglement"),
            ("generation",),
        )
    }
    plain, rotated, generated = groups.values()

    def add(subject, chosen, label=None, **more):
        if chosen:
            found = evaluation.evaluate(
                subject, test.images, measures=chosen, **factors, **options, **more
            )
            rows.extend(_rows(found, label))

    add(model, plain)
    for name, subject in rotated_models(model, train, measuring.rotations, cell.seed).items():
        add(subject, rotated, {"rotation": name})
        _draw_traversal(subject, train, folder / f"traversal-{name}.png")
    extractor = _extractor(measuring.features) if generated else None
    for name in measuring.samplers:
        sampler = _sampler(name, model, train, study.training.latent_dim)
        add(model, generated, {"sampler": name}, sampler=sampler, extractor=extractor)
        _draw_samples(model, sampler, folder / f"samples-{name}.png", cell.seed)
    return rows


def _rows(found, label: dict[str, str] | None) -> list[dict[str, Any]]:
    return [
        {
            "rotation": None,
            "sampler": None,
            **(label or {}),
            "measure": f"{measured.group}/{name}",
            "score": score,
            "value": value,
            "direction": measured.report.directions[score],
        }
        for name, measured in found.measured.items()
        for score, value in measured.scores.items()
    ]


def _sampler(name: str, model, train: Dataset, latent_dim: int) -> samplers.Sampler:
    if name == "standard_normal":
        return samplers.StandardNormalSampler(latent_dim=latent_dim)
    sampler = (
        samplers.GaussianSampler()
        if name == "gaussian"
        else samplers.GaussianMixtureSampler(int(name.removeprefix(MIXTURE)), seed=0)
    )
    return sampler.adapt(train.batches(256, shuffle=False), transform=model.encode)


@functools.cache
def _extractor(features: str | None) -> Callable | None:
    if features is None:
        return None
    extractor = metrics.penultimate_features(keras.saving.load_model(features, compile=False))
    extractor.protocol = f"penultimate layer of {Path(features).name}"
    return extractor


def _num_parameters(model) -> int:
    return int(sum(np.prod(v.shape) for v in model.trainable_variables))


def _draw_samples(model, sampler, path: Path, seed: int) -> None:
    images = np.asarray(model.generate(_NUM_DRAWN, sampler, seed=seed), "float32")
    visualization.save_png(visualization.image_grid(np.clip(images, 0, 1)), path)


def _draw_traversal(subject: RotatedModel, train: Dataset, path: Path) -> None:
    """A row for each axis, from -2.5 to 2.5 standard deviations around the mean; angles, a turn."""
    latents = subject.latents
    mean, deviations = latents.mean(axis=0), latents.std(axis=0)
    deviations[list(subject.angles)] = np.pi / _STEPS[-1]
    steps = _STEPS[None, :, None] * np.diag(deviations)[:, None, :]
    codes = (mean + steps).reshape(-1, len(mean)).astype("float32")
    images = np.clip(np.asarray(subject.decode(tf.constant(codes)), "float32"), 0, 1)
    images = images.reshape(len(mean), len(_STEPS), *images.shape[1:])
    visualization.save_png(visualization.traversal_grid(images), path)
