"""Image data sets of TensorFlow Datasets, read into memory."""

import difflib
from pathlib import Path

import numpy as np
import tensorflow as tf

from .arrays import choose, from_arrays, resize
from .dataset import Dataset, Factor, UnknownSplitError
from .shard_stream import SHARD_BYTES, Shard, ShardStream, read_records

# The factors of the data sets that have some: TFDS keeps them as `label_NAME` and `value_NAME`,
# in alphabetical order and without telling which of them are circular or unordered.
_KINDS = {
    "dsprites": {
        "shape": "categorical",
        "scale": "continuous",
        "orientation": "circular",
        "x_position": "continuous",
        "y_position": "continuous",
    },
    "shapes3d": {
        "floor_hue": "circular",
        "wall_hue": "circular",
        "object_hue": "circular",
        "scale": "continuous",
        "shape": "categorical",
        "orientation": "continuous",
    },
}
_BATCH = 512


def load_tfds(
    name: str,
    *,
    split: str = "train",
    data_dir: str | None = None,
    download: bool = False,
    num_images: int | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Reads a data set of TensorFlow Datasets that has a feature `image`.

    Without `download=True` the network is not touched: with none, TFDS retries for minutes.

    Args:
        name: Str, TFDS' name, such as `"mnist"` or `"name/config"`.
        split: Str, one of its splits or a slice of one, such as `"train[:10%]"`. Default "train".
        data_dir: Str, where TFDS keeps its data. Default None: TFDS' own default.
        download: Bool, download and prepare the data set if it is not there. Default False.
        num_images: Positive int, keep a random choice only. Default None: all.
        image_size: Positive int, cut and resize to squares of this size. Default None.
        seed: Int, selects the choice. Default 0.

    Returns:
        A `Dataset`, with labels from a feature `label`, and with the factors of dSprites and
        3D Shapes.

    Raises:
        ImportError: If tensorflow_datasets is not installed.
        FileNotFoundError: If the data set is not prepared in `data_dir`.
        OSError: If it cannot be downloaded or prepared.
        ValueError: If the name or the split is unknown, or it has no images.
    """
    builder = _prepared(name, data_dir, download, image_size)
    num_available = _num_examples(builder, split)
    chosen = choose(num_available, num_images=num_images, seed=seed, name=f"{name} {split}")
    columns = _read(builder, split, chosen, num_available, image_size)
    return from_arrays(columns["image"], name=name, **_labels_and_factors(columns, builder))


def stream_tfds(
    name: str,
    *,
    split: str = "train",
    data_dir: str | None = None,
    download: bool = False,
    image_size: int | None = None,
) -> ShardStream:
    """Opens a data set of TensorFlow Datasets for reading it shard by shard; see `load_tfds`.

    Raises:
        What `load_tfds` raises, and ValueError if it is prepared in another format than TFRecord.
    """
    builder = _prepared(name, data_dir, download, image_size)
    _num_examples(builder, split)
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(
            f"The data set '{name}' must be prepared as TFRecords to be streamed. Received: "
            f"{builder.info.file_format.value}. Prepare it so, or `load` it."
        )
    shards = [
        Shard(Path(part.filename), part.take, part.skip, part.examples_in_shard)
        for part in builder.info.splits[split].file_instructions
    ]
    image_feature = builder.info.features["image"]
    has_labels = _label_and_factor_features(builder) == ["label"]
    features = {"image": tf.io.FixedLenFeature((), tf.string)}
    if has_labels:
        features["label"] = tf.io.FixedLenFeature((), tf.int64)

    def decode_unscaled(records):
        parsed = tf.io.parse_example(records, features)
        images = [image_feature.decode_example(image).numpy() for image in parsed["image"]]
        if image_size is not None:
            images = [resize(image[np.newaxis], image_size)[0] for image in images]
        images = tf.constant(np.stack(images))
        return (images, parsed["label"]) if has_labels else (images,)

    first = shards[0]._replace(num_images=min(shards[0].num_images, _BATCH))
    looked_at = decode_unscaled(read_records(first))[0].numpy()
    # As in `from_arrays`: dSprites has the pixels 0 and 1.
    factor = np.uint8(255 if looked_at.max() <= 1 else 1)

    def decode(records):
        images, *labels = decode_unscaled(records)
        if factor > 1 and tf.reduce_max(images) > 1:
            raise ValueError("its images have other values than 0 and 1, which the first ones have")
        return (images * factor, *labels)

    # TFDS cuts by the bytes of compressed images.
    most = max(SHARD_BYTES // looked_at[0].nbytes, 1)
    pieces = [piece for shard in shards for piece in shard.pieces(most)]
    return ShardStream(name, pieces, looked_at.shape[1:], decode, has_labels=has_labels)


def _prepared(name: str, data_dir: str | None, download: bool, image_size: int | None):
    """The builder of a data set that can be read; see `load_tfds`."""
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        if not download:
            raise FileNotFoundError(
                f"The data set '{name}' is not prepared in '{builder.data_dir}'. Received: "
                f"download=False. Pass `download=True` (it needs the network), or `data_dir=` "
                "where it has been prepared with tfds.builder(name).download_and_prepare()."
            )
        _download(builder)
    _check_image_feature(builder, image_size)
    return builder


def _import_tfds():
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ImportError(
            "Data sets of TensorFlow Datasets need the optional package tensorflow_datasets "
            f"({error}). Install it with `pip install keras-rkm[tfds]`."
        ) from error
    return tensorflow_datasets


def _builder(name: str, data_dir: str | None):
    tfds = _import_tfds()
    known = tfds.list_builders(with_community_datasets=False)
    is_known = name.split("/")[0].split(":")[0] in known
    try:
        if is_known:
            return tfds.builder(name, data_dir=data_dir)
        # One of the user's own, of which the prepared files are there.
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError, AssertionError) as error:
        if not is_known:
            raise ValueError(_unknown_name(name, known)) from None
        raise ValueError(
            f"The data set '{name}' of TensorFlow Datasets cannot be used: {error}"
        ) from error


def _unknown_name(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, ["dsprites_like", "shapes3d_like", *known], n=4)
    hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    return (
        f"`name_or_path` must be a data set or an existing file or folder. Received: {name!r}. "
        f"{hint}Available are 'dsprites_like', 'shapes3d_like', a folder of images or IDX files, "
        "an .npz or IDX file, and the image data sets of TensorFlow Datasets such as 'mnist', "
        "'fashion_mnist', 'svhn_cropped', 'dsprites', 'shapes3d', 'cifar10', 'celeb_a'."
    )


def _download(builder) -> None:
    try:
        builder.download_and_prepare()
    except Exception as error:  # dozens of kinds: of the network, of checksums, of manual steps
        raise OSError(
            f"The data set '{builder.name}' could not be downloaded and prepared: {error}"
        ) from error


def _check_image_feature(builder, image_size: int | None) -> None:
    tfds = _import_tfds()
    features = builder.info.features
    is_dict = isinstance(features, tfds.features.FeaturesDict)
    image = features["image"] if is_dict and "image" in features else None
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise ValueError(
            f"The data set '{builder.name}' must have a feature 'image' of uint8 images. "
            f"Received: {features}. Save its images as .npz instead."
        )
    if None in image.shape and image_size is None:
        raise ValueError(
            f"`image_size` is needed, since the images of '{builder.name}' differ in size. "
            f"Received: shape={image.shape}. Pass image_size=64, for instance."
        )


def _num_examples(builder, split: str) -> int:
    try:
        number = builder.info.splits[split].num_examples
    except (KeyError, ValueError, AssertionError) as error:
        raise UnknownSplitError(
            f"`split` must be one of {sorted(builder.info.splits)} of the data set "
            f"'{builder.name}', or a slice such as 'train[:10%]'. Received: split={split!r}."
        ) from error
    if not number:
        raise ValueError(f"`split` must not be empty. Received: split={split!r}, without images.")
    return number


def _read(
    builder, split: str, chosen: np.ndarray, num_available: int, image_size: int | None
) -> dict[str, np.ndarray]:
    """The features that are used, as arrays with one row per chosen image, in stored order."""
    tfds = _import_tfds()
    image_feature = builder.info.features["image"]
    others = _label_and_factor_features(builder)
    keep = np.zeros(num_available, bool)
    keep[chosen] = True
    keep = tf.constant(keep)
    # One file after the other: interleaving would make the order depend on how it is sharded.
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {"image": tfds.decode.SkipDecoding()}  # so that only what is kept is decoded
    examples = builder.as_dataset(split=split, read_config=config, decoders=decoders)
    examples = examples.enumerate().filter(lambda i, example: keep[i])

    def decode(_, example):
        image = image_feature.decode_example(example["image"])
        image = image if image_size is None else _fit(image, image_size)
        return {"image": image, **{key: example[key] for key in others}}

    examples = examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(_BATCH)
    return _concatenate(examples.prefetch(2), len(chosen))


def _label_and_factor_features(builder) -> list[str]:
    factors = _KINDS.get(builder.name, {})
    if factors:
        return [f"{prefix}_{factor}" for prefix in ("label", "value") for factor in factors]
    features = builder.info.features
    label = features["label"] if "label" in features else None  # noqa: SIM401 (it has no `get`)
    is_class = label is not None and label.shape == () and np.dtype(label.np_dtype).kind in "iu"
    return ["label"] if is_class else []


def _concatenate(batches: tf.data.Dataset, num_rows: int) -> dict[str, np.ndarray]:
    """The batches one after the other, without holding them twice as np.concatenate does."""
    columns, row = {}, 0
    for batch in batches.as_numpy_iterator():
        for key, values in batch.items():
            if key not in columns:
                columns[key] = np.empty((num_rows, *values.shape[1:]), values.dtype)
            columns[key][row : row + len(values)] = values
        row += len(values)
    return columns


def _fit(image: tf.Tensor, image_size: int) -> tf.Tensor:
    return tf.numpy_function(
        lambda pixels: resize(pixels[np.newaxis], image_size)[0], [image], tf.uint8, stateful=False
    )


def _labels_and_factors(columns: dict[str, np.ndarray], builder) -> dict:
    """The other arguments of `from_arrays`."""
    kinds = _KINDS.get(builder.name, {})
    if not kinds:
        return {"labels": columns.get("label")}
    features = builder.info.features
    return {
        "factors": np.stack([columns[f"value_{factor}"] for factor in kinds], axis=1),
        "factor_classes": np.stack([columns[f"label_{factor}"] for factor in kinds], axis=1),
        "factor_info": [
            Factor(factor, features[f"label_{factor}"].num_classes, kind)
            for factor, kind in kinds.items()
        ],
    }
