"""The sections of the report of a run, each a list of blocks of `keras_rkm.documents`."""

import shlex

import numpy as np
import tensorflow as tf

from keras_rkm import metrics, visualization
from keras_rkm.datasets import Dataset
from keras_rkm.documents import Block, Command, Heading, Paragraph, Picture, Table
from keras_rkm.models import StiefelRKM
from keras_rkm.samplers import Sampler

from .energy_scores import score_function
from .run_folder import RunFolder

_NUM_NEIGHBOURS = 3
_NUM_SHOWN = 10  # samples beside their neighbours
_BATCH_SIZE = 256
_QUANTILES = (0.05, 0.5, 0.95)

Images = tuple[Dataset, Dataset] | None  # to train on, and held out


def summary(folder: RunFolder, model, found: dict, told: dict[str, str]) -> list[Block]:
    """What the run is, and its flags."""
    facts = [f"{type(model).__name__} of {model.count_params():,} parameters"]
    if "dataset" in told:
        facts.append(f"trained on {told['dataset']}")
    if "num_train_images" in found:
        facts.append(
            f"{found['num_train_images']:,} images, {found['num_held_out_images']:,} held out"
        )
    if "steps" in found:
        facts.append(f"{found['steps']:,} steps")
    if "training_seconds" in found:
        facts.append(f"{found['training_seconds']:g} s since the last start")
    blocks: list[Block] = [
        Heading(f"Run {folder.path.resolve().name}", level=1),
        Paragraph(", ".join(facts) + "."),
        Heading("Flags"),
    ]
    if not told:
        return [*blocks, Paragraph(f"There is no {folder.flags_file.name} in the run folder.")]
    return [*blocks, Table(("flag", "value"), [(f"--{name}", told[name]) for name in told])]


def training(folder: RunFolder) -> list[Block]:
    """The curves and the logs of the first, the best and the last epoch."""
    history = folder.read_history()
    blocks = [Heading("Training"), *_picture(folder, "training_curves", "Logs of each epoch")]
    if not history:
        return blocks
    rows = []
    for name, values in history.items():
        best = int(np.argmin(values))
        last = f"{values[-1]:.4g}"
        rows.append((name, f"{values[0]:.4g}", f"{values[best]:.4g}", str(best + 1), last))
    header = ("log", "first epoch", "lowest", "in epoch", "last epoch")
    return [*blocks, Table(header, rows)]


def axes(folder: RunFolder, found: dict) -> list[Block]:
    """How much of the variance each axis explains."""
    blocks = [Heading("Axes"), *_picture(folder, "spectrum", "Shares of the variance by axis")]
    ratios = found.get("explained_variance_ratio")
    if ratios:
        rows = [
            (str(number), f"{variance:.4g}", f"{100 * ratio:.2f} %", f"{100 * total:.2f} %")
            for number, (variance, ratio, total) in enumerate(
                zip(found["explained_variance"], ratios, np.cumsum(ratios), strict=True), start=1
            )
        ]
        blocks += [
            Paragraph(f"Chosen by --axes={found.get('axes', '')}."),
            Table(("axis", "variance", "share", "together"), rows),
        ]
    return blocks


def pictures(folder: RunFolder) -> list[Block]:
    """What each axis does, samples and reconstructions."""
    what = {
        "traversal": "Images along each axis, in standard deviations of its latent",
        "latents": "Held-out images along the first two axes, by what is known of them",
        "samples": "Images of latents drawn from the sampler",
        "reconstructions": "Held-out images over their reconstructions",
    }
    blocks: list[Block] = [Heading("Pictures")]
    for name, caption in what.items():
        blocks += [Heading(name.capitalize(), level=3), *_picture(folder, name, caption)]
    return blocks


def measures(folder: RunFolder, found: dict) -> list[Block]:
    """The losses on the held-out images, and what `evaluate` has measured."""
    blocks: list[Block] = [Heading("Measures")]
    scalars = {name: value for name, value in found.items() if isinstance(value, float)}
    scalars.pop("training_seconds", None)
    if scalars:
        rows = [(name, f"{value:.4g}") for name, value in scalars.items()]
        blocks.append(Table(("on held-out images", "value"), rows))
    measured = found.get("evaluation", {}).get("measured", {})
    if not measured:
        return [
            *blocks,
            Paragraph("Disentanglement, generation and more have not been measured yet. Do so by"),
            Command(f"keras-rkm evaluate --run={shlex.quote(str(folder.path))}"),
        ]
    rows = [
        (name, score, f"{value:.4g}", each["report"].get("directions", {}).get(score, ""))
        for name, each in measured.items()
        for score, value in each["scores"].items()
    ]
    blocks += [
        Paragraph(f"Measured by evaluate, on {found['evaluation'].get('images', 'images')}."),
        Table(("measure", "score", "value", ""), rows),
    ]
    if folder.importances_file.is_file():
        blocks += _picture(folder, "importances", "How much each axis counts for each factor")
    missing = found["evaluation"].get("skipped", {})
    if missing:
        rows = list(missing.items())
        blocks += [Paragraph("Not measured:"), Table(("measure", "why"), rows)]
    return blocks


def neighbours(
    folder: RunFolder,
    model,
    sampler: Sampler | None,
    images: Images,
    *,
    num_samples: int,
    num_images: int,
    seed: int,
    reason: str,
) -> list[Block]:
    """Samples beside their nearest training images, and how far away these are."""
    heading = Heading("Nearest training images: does it memorise?")
    if images is None:
        return [heading, *_no_images(reason)]
    if sampler is None:
        return [heading, Paragraph("The run has no sampler, so there are no samples to look at.")]
    train, held_out = (dataset.images for dataset in images)
    held_out = held_out[:num_images]
    samples = visualization.pixels(model.generate(num_samples, sampler, seed=seed))
    blurred = visualization.pixels(
        np.concatenate([np.asarray(model.reconstruct(each)) for each in _batches(held_out)])
    )
    sets = {"samples": samples, "held-out images": held_out, "their reconstructions": blurred}
    number = min(_NUM_NEIGHBOURS, len(train))
    distances, rows = metrics.nearest_rows(samples, train, number)
    nearest = {"samples": distances[:, 0]}
    for name in list(sets)[1:]:
        nearest[name] = metrics.nearest_rows(sets[name], train)[0][:, 0]
    closest = np.argsort(distances[:, 0])[:_NUM_SHOWN]
    tiles = np.stack([np.stack([samples[i], *train[rows[i]]]) for i in closest])
    picture = visualization.traversal_grid(
        tiles,
        labels=[f"distance {distances[i, 0]:.2f}" for i in closest],
        step_labels=["sample", "nearest", "second", "third"][: number + 1],
    )
    plot = visualization.histograms(nearest, x_label="distance to the nearest training image")
    share = {
        name: metrics.closer_share(nearest["samples"], values) for name, values in nearest.items()
    }
    table = [
        (
            name,
            f"{len(values):,}",
            f"{np.min(values):.3g}",
            f"{np.median(values):.3g}",
            "" if name == "samples" else f"{share[name]:.3f}",
        )
        for name, values in nearest.items()
    ]
    return [
        heading,
        Paragraph(
            f"Euclidean distances of pixels in [0, 1] to the nearest of all {len(train):,} "
            "training images. The last column is the probability that a sample is closer to its "
            "own than one of that row: 0.5 if the samples are as far away, 1 if they are copies. "
            "Blurred images are close to many; what compares with samples in this are the "
            "reconstructions."
        ),
        Table(("", "images", "least", "median", "a sample is closer"), table),
        *_drawn(folder, "distances", plot, "Distances to the nearest training image"),
        *_drawn(
            folder,
            "neighbours",
            picture,
            f"The {len(closest)} samples of {len(samples):,} that are closest to a training image, "
            "and the training images nearest to them",
        ),
    ]


def energies(
    folder: RunFolder,
    model,
    sampler: Sampler | None,
    images: Images,
    *,
    num_images: int,
    reason: str,
) -> list[Block]:
    """How well the model knows its training images and others of their kind."""
    heading = Heading("Energies")
    if not isinstance(model, StiefelRKM):
        return [heading, Paragraph(f"A {type(model).__name__} has no energy.")]
    if images is None:
        return [heading, *_no_images(reason)]
    score = tf.function(score_function(model, sampler), autograph=False, reduce_retracing=True)
    found = {}
    for name, dataset in zip(("training", "held out"), images, strict=True):
        parts = [score(each) for each in _batches(dataset.images[:num_images])]
        found[name] = {key: np.concatenate([each[key] for each in parts]) for key in parts[0]}
    table = [
        (
            key,
            name,
            f"{values[key].mean():.4g}",
            *(f"{number:.4g}" for number in np.quantile(values[key], _QUANTILES)),
        )
        for key in found["training"]
        for name, values in found.items()
    ]
    above = {name: values["energy_above_floor"] for name, values in found.items()}
    plot = visualization.histograms(above, x_label="energy above its floor")
    counts = " and ".join(f"{len(values):,} {name}" for name, values in above.items())
    return [
        heading,
        Paragraph(
            f"Of {counts} images. Held-out images of much higher energy than training images say "
            "that the model has learnt these by heart."
        ),
        Table(("", "images", "mean", *(f"{100 * q:.0f} %" for q in _QUANTILES)), table),
        *_drawn(folder, "energies", plot, "Energies of training and of held-out images"),
    ]


def versions(found: dict) -> list[Block]:
    """What made the run."""
    told = found.get("versions")
    return [Heading("Versions"), Table(("package", "version"), list(told.items()))] if told else []


def _batches(images: np.ndarray):
    for start in range(0, len(images), _BATCH_SIZE):
        yield images[start : start + _BATCH_SIZE].astype("float32") / 255


def _no_images(reason: str) -> list[Block]:
    return [
        Paragraph(f"The images of the run cannot be had, so this is left out: {reason}."),
    ]


def _picture(folder: RunFolder, name: str, caption: str) -> list[Block]:
    """A picture that `train` or `evaluate` has drawn."""
    path = folder.path / f"{name}.png"
    if path.is_file():
        return [Picture(path.name, caption, path.read_bytes())]
    return [
        Paragraph(f"There is no {path.name}. Draw the pictures of a run anew by"),
        Command(f"keras-rkm train --output_dir={shlex.quote(str(folder.path))} --resume"),
    ]


def _drawn(folder: RunFolder, name: str, array: np.ndarray, caption: str) -> list[Block]:
    """A picture of the report itself, which goes to the run folder for the Markdown."""
    visualization.save_png(array, folder.path / f"{name}.png")
    return _picture(folder, name, caption)
