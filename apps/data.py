"""The images of a run: those to train on, and those held out."""

from collections.abc import Sequence

import numpy as np

from keras_rkm import datasets
from keras_rkm.datasets import Dataset, Factor, ImageStream

from .errors import USAGE_STATUS, CommandError

_HELD_OUT = 0.1  # share of the images that is held out where the source has no test split

_MAX_HELD_OUT_OF_STREAM = 10_000  # they are held in memory
_MAX_GENERATED = 20_000  # as many as `datasets.load` draws by default

Ranges = dict[str, tuple[int, int]]


def load_train_and_held_out(
    name_or_path: str,
    *,
    num_images: int | None = None,
    factor_classes: Ranges | None = None,
    seed: int = 0,
    stream: bool = False,
    **options,
) -> tuple[Dataset | ImageStream, Dataset]:
    """Loads the images to train on, and held-out ones.

    These are the test split of the source where it has one (of a generated set, or when
    `num_images` is given, a tenth as many images), otherwise a seeded tenth of the images.

    Args:
        name_or_path: As in `keras_rkm.datasets.load`.
        num_images: Positive int, how many to load for training; None for all.
        factor_classes: Half-open ranges of the classes of factors, by name; only such images
            are used. None for all images.
        seed: Int, selects them.
        stream: Bool, read the images to train on from the disk, batch by batch. A folder of
            TFRecords is read so unless images are chosen.
        **options: `data_dir`, `download` and `image_size`, as in `keras_rkm.datasets.load`.

    Raises:
        Whatever `keras_rkm.datasets.load` raises; `CommandError` if no image has such factors;
        `ValueError` for a set of fewer than three.
    """
    is_choice = bool(factor_classes) or num_images is not None
    if stream and is_choice:
        raise CommandError(
            "--stream reads all images. Leave out --num_images and --factor_classes, or --stream.",
            status=USAGE_STATUS,
        )
    if stream or (datasets.is_tfrecord_folder(name_or_path) and not is_choice):
        return _stream(name_or_path, seed, options)
    if name_or_path in datasets.GENERATED_SETS and factor_classes:
        return _part_of_grid(name_or_path, num_images, factor_classes, seed, options["image_size"])
    options["seed"] = seed
    # The choice comes after the filter if there is one.
    number = None if factor_classes else num_images
    train = datasets.load(name_or_path, num_images=number, **options)
    is_generated = name_or_path in datasets.GENERATED_SETS
    tenth = max(round(_HELD_OUT * (num_images or train.num_images)), 1)
    try:
        test = datasets.load(
            name_or_path, split="test", num_images=tenth if is_generated else None, **options
        )
    except datasets.UnknownSplitError:
        test = None
    train = _shrink(_filter(train, factor_classes), num_images, seed)
    if test is None or test.image_shape != train.image_shape:
        return _split(train, seed)
    test = _filter(test, factor_classes)
    return train, _shrink(test, None if num_images is None else tenth, seed)


def _stream(name_or_path: str, seed: int, options: dict) -> tuple[ImageStream, Dataset]:
    train = datasets.stream(name_or_path, **options)
    number = min(max(round(_HELD_OUT * train.num_images), 1), _MAX_HELD_OUT_OF_STREAM)
    try:
        test = datasets.stream(name_or_path, split="test", **options)
    except datasets.UnknownSplitError:
        return train.hold_out(number, seed=seed)
    return train, test.sample(number, seed=seed)


def parse_ranges(texts: Sequence[str]) -> Ranges:
    """`["shape=1", "orientation=5:15"]` as `{"shape": (1, 2), "orientation": (5, 15)}`.

    Raises:
        ValueError: If one of them reads otherwise.
    """
    ranges = {}
    for text in texts:
        name, _, classes = text.partition("=")
        first, colon, end = classes.partition(":")
        try:
            start = int(first)
            ranges[name.strip()] = (start, int(end) if colon else start + 1)
        except ValueError:
            raise ValueError(
                f"factors are chosen by name=class or name=first:end. Received: {text}"
            ) from None
    return ranges


def _part_of_grid(name, num_images, ranges, seed, image_size):
    """Images of a generated set with the given factors: chosen, then drawn."""
    size = {} if image_size is None else {"image_size": image_size}
    grid = datasets.GENERATED_SETS[name](**size)
    parts = []
    for split in ("train", "test"):
        indices = grid.split_indices(split)
        indices = indices[_mask(grid.factor_classes_at(indices), grid.factor_info, ranges, name)]
        if split == "train" and num_images is not None and num_images > len(indices):
            raise CommandError(
                f"--factor_classes leaves {len(indices)} images to train on. "
                f"Received: num_images={num_images}."
            )
        number = num_images or _MAX_GENERATED
        # The order of a split is random already.
        indices = indices[: number if split == "train" else max(round(_HELD_OUT * number), 1)]
        classes = grid.factor_classes_at(indices)
        parts.append(
            Dataset(
                grid.name,
                grid.render(classes),
                factors=grid.factors_at(indices),
                factor_classes=classes,
                factor_info=grid.factor_info,
            )
        )
    return tuple(parts)


def _filter(dataset: Dataset, ranges: Ranges | None) -> Dataset:
    if not ranges:
        return dataset
    mask = _mask(dataset.factor_classes, dataset.factor_info, ranges, dataset.name)
    return dataset.subset(np.flatnonzero(mask))


def _mask(
    classes: np.ndarray | None, info: Sequence[Factor], ranges: Ranges, name: str
) -> np.ndarray:
    """Which rows of `classes` lie in the ranges; an error if none does."""
    names = [factor.name for factor in info]
    if unknown := set(ranges) - set(names):
        raise CommandError(
            f"--factor_classes: the data set '{name}' has no factor {', '.join(sorted(unknown))}. "
            f"Its factors: {', '.join(names) or 'none'}.",
        )
    mask = np.ones(len(classes), bool)
    for factor, (start, end) in ranges.items():
        column = classes[:, names.index(factor)]
        mask &= (start <= column) & (column < end)
    if not mask.any():
        sizes = ", ".join(f"{factor.name}=0:{factor.size}" for factor in info)
        raise CommandError(
            f"--factor_classes leaves no image of '{name}', whose factors are {sizes}.",
        )
    return mask


def _split(dataset: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    if dataset.num_images < 3:
        raise ValueError(
            "At least three images are needed, two to train on and one to hold out. "
            f"Received: {dataset.num_images} in '{dataset.name}'."
        )
    order = np.random.default_rng(seed).permutation(dataset.num_images)
    num_held_out = max(round(_HELD_OUT * dataset.num_images), 1)
    return (
        dataset.subset(np.sort(order[num_held_out:])),
        dataset.subset(np.sort(order[:num_held_out])),
    )


def _shrink(dataset: Dataset, num_images: int | None, seed: int) -> Dataset:
    if num_images is None or num_images >= dataset.num_images:
        return dataset
    order = np.random.default_rng(seed).permutation(dataset.num_images)
    return dataset.subset(np.sort(order[:num_images]))
