"""Measures a run: reconstruction, orthogonality, disentanglement and generation.

    keras-rkm evaluate --run=saved_models/first
    keras-rkm evaluate --run=saved_models/first --features=classifier.keras

All measures that the data allow: those of disentanglement need known factors, those of generation
but one need --features. The results go to the run folder: evaluation.md (a table), metrics.json
(under "evaluation"), importances.png (which axis follows which factor) and TensorBoard.
docs/metrics.md says what each of them means.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from absl import flags

from keras_rkm import evaluation, loading, metrics, visualization
from keras_rkm.datasets import Dataset
from keras_rkm.evaluation import MEASURES, PRESETS, Evaluation, Measured

from . import errors
from .classifiers import classifier_features
from .errors import CommandError
from .run_folder import RunFolder, write_atomically
from .run_inputs import (
    check_shape,
    define_dataset,
    define_run,
    define_sampler,
    load_held_out,
    load_images,
    load_run,
)

_MOST_REPEATS = 1_000  # more is a slip of the finger
_INCEPTION = {f"inception_{mode}": mode for mode in metrics.INCEPTION_MODES}

RUN = define_run()
SAMPLER = define_sampler()
DATASET = define_dataset(
    "The images, which the model should not have been trained on: a name, a file or a folder. "
    "Default: those that train held out."
)
NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "Load a random choice of so many images of --dataset.", lower_bound=2
)
FEATURES = flags.DEFINE_string(
    "features",
    None,
    "What the Frechet distance and others compare: the .keras file of a classifier, whose last "
    f"layer is left out, or {' or '.join(_INCEPTION)}.",
)
WEIGHTS = flags.DEFINE_string(
    "inception_weights", None, "File of the weights of Inception; --download fetches them."
)
PRESET = flags.DEFINE_enum("preset", "full", [*PRESETS], "How much is measured.")
NAMES = flags.DEFINE_list("measures", None, f"Take these alone, out of {', '.join(MEASURES)}.")
NUM_ROTATIONS = flags.DEFINE_integer(
    "num_rotations",
    3,
    "Random rotations of the latents, to see what of a score is due to the axes.",
    lower_bound=0,
    upper_bound=_MOST_REPEATS,
)
NUM_RESAMPLES = flags.DEFINE_integer(
    "num_resamples",
    0,
    "Half-samples for an interval of each score, such as 50.",
    lower_bound=0,
    upper_bound=_MOST_REPEATS,
)
NUM_DRAWS = flags.DEFINE_integer(
    "num_draws",
    None,
    "How often images are drawn. Default: as --features asks.",
    lower_bound=1,
    upper_bound=_MOST_REPEATS,
)
SEED = flags.DEFINE_integer("seed", 0, "Of all draws.", lower_bound=0, upper_bound=2**31 - 1)
NUM_THREADS = flags.DEFINE_integer(
    "num_threads", -1, "Threads for scores of disentanglement; -1 takes all cores.", lower_bound=-1
)

flags.register_validator("num_threads", lambda value: value != 0, "it must not be 0.")
flags.register_validator(
    "measures",
    lambda names: names is None or bool(names) and set(names) <= set(MEASURES),
    f"it takes names out of {', '.join(MEASURES)}.",
)
flags.register_multi_flags_validator(
    ["features", "inception_weights"],
    lambda values: values["inception_weights"] is None or values["features"] in _INCEPTION,
    f"--inception_weights belongs to --features={' or '.join(_INCEPTION)}.",
)
flags.register_validator("num_resamples", lambda value: value != 1, "it must be 0 or at least 2.")


def main(argv):
    """Measures and writes."""
    del argv
    folder = _folder(RUN.value)
    model, sampler = load_run(RUN.value, SAMPLER.value)
    folder.check_writable()
    before = folder.read_metrics()
    extractor = _extractor(model.image_shape)
    dataset, split = _images(model.image_shape, before.get("num_held_out_images"))
    print(f"Images: {dataset.name}, {split}, {dataset.num_images:,} of them.", flush=True)
    found = evaluation.evaluate(
        model,
        dataset.images,
        **dataset.factor_arguments(),
        sampler=sampler,
        extractor=extractor,
        preset=PRESET.value,
        measures=NAMES.value,
        num_rotations=NUM_ROTATIONS.value,
        num_resamples=NUM_RESAMPLES.value,
        num_draws=NUM_DRAWS.value,
        seed=SEED.value,
        n_jobs=NUM_THREADS.value,
        on_measured=_show,
    )
    if not found.measured:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.skipped.items())
        raise CommandError(f"nothing could be measured. {reasons}.")
    names = _write(folder, found, before, f"{dataset.name}, {split}")
    print(f"Wrote '{folder.path}': {', '.join(names)}.")
    if found.skipped:
        print(f"Left out: {', '.join(found.skipped)}; {folder.evaluation_file.name} says why.")


def _folder(run: str) -> RunFolder:
    """Where the results go: the folder of the run, or of the file."""
    path = Path(run).expanduser()
    if path.is_file() and path.parent.name == loading.CHECKPOINT_DIR:
        raise CommandError(
            f"'{path}' is a checkpoint, whose folder belongs to the training. Copy it elsewhere, "
            "or give the folder of a run that has ended."
        )
    return RunFolder(path if path.is_dir() or not path.exists() else path.parent)


def _images(image_shape: tuple[int, int, int], num_held_out: int | None) -> tuple[Dataset, str]:
    if DATASET.name_or_path.value is not None:
        return load_images(DATASET, image_shape, num_images=NUM_IMAGES.value)
    given = [
        name
        for name in ("split", "image_size", "num_images")
        if flags.FLAGS[name].value is not None
    ]
    if given:
        raise CommandError(
            f"--{given[0]} chooses images of a --dataset, which is not given.",
            status=errors.USAGE_STATUS,
        )
    dataset = load_held_out(
        RUN.value, data_dir=DATASET.data_dir.value, download=DATASET.download.value
    )
    check_shape(dataset.image_shape, image_shape, dataset.name)
    if num_held_out not in (None, dataset.num_images):
        raise CommandError(
            f"the images of '{dataset.name}' have changed since the training, which held out "
            f"{num_held_out:,} of them. Received: {dataset.num_images:,}. Choose the images by "
            "--dataset."
        )
    return dataset, "held out"


def _extractor(image_shape: tuple[int, int, int]) -> Callable | None:
    name = FEATURES.value
    if name is None:
        return None
    if name in _INCEPTION:
        return metrics.inception_v3(
            _INCEPTION[name], weights=WEIGHTS.value, download=DATASET.download.value
        )
    return classifier_features(name, image_shape, other_names=tuple(_INCEPTION))


def _show(measured: Measured) -> None:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in measured.scores.items())
    print(f"{measured.name}: {scores} ({measured.cpu_seconds:.1f} CPU s)", flush=True)


def _write(folder: RunFolder, found: Evaluation, before: dict, images: str) -> list[str]:
    """Writes everything; returns the names of the files."""
    told = {"images": images, "features": FEATURES.value, "preset": PRESET.value}
    text = (
        f"# Evaluation\n\nImages: {images}, {found.settings['num_images']:,} of them. "
        f"Seed {found.settings['seed']}.\n\n{found.to_markdown()}"
    )
    write_atomically(folder.evaluation_file, lambda path: path.write_text(text, encoding="utf-8"))
    folder.write_metrics({**before, "evaluation": {**told, **found.as_dict()}})
    names = [folder.evaluation_file.name, folder.metrics_file.name]
    picture = evaluation.importance_picture(found)
    if picture is not None:
        visualization.save_png(picture, folder.importances_file)
        names.append(folder.importances_file.name)
    else:
        folder.importances_file.unlink(missing_ok=True)  # of an evaluation before
    # A folder with the events of two evaluations is one that TensorBoard reads in part.
    log_dir = folder.tensorboard_dir / "final_evaluation"
    shutil.rmtree(log_dir, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(log_dir))
    with writer.as_default(step=_num_steps(before)):
        evaluation.write_summaries(found)
    writer.close()
    return [*names, f"{folder.tensorboard_dir.name}"]


def _num_steps(before: dict) -> int:
    steps = before.get("steps")
    return steps if isinstance(steps, int) else 0


if __name__ == "__main__":
    errors.run(main)
