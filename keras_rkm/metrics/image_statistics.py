"""Statistics of the features of images, kept in a file for the set that does not change."""

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from .feature_extraction import feature_batches, first_images, image_batches, protocol_of
from .feature_statistics import FeatureStatistics

_VERSION = 1
_NUM_PROBES = 8  # images whose features tell whether the extractor is still the same
_PROBE_TOLERANCE = 1e-3  # between machines and batch sizes, float32 features differ by about 1e-5


def image_statistics(
    images,
    extractor: Callable,
    *,
    num_samples: int | None = None,
    batch_size: int = 256,
    cache_dir: str | os.PathLike | None = None,
    dataset_name: str | None = None,
) -> FeatureStatistics:
    """Returns mean and covariance of the features of images, in one pass.

    Memory is that of the covariance and a batch, however many images there are. With `cache_dir`
    the result is kept in a file there, for a data set that many models are compared with. It is
    found again by data set, extractor, number of images, and a fingerprint of the images; the
    features of the first images are recomputed to see whether the extractor has changed behind its
    name. A file that is stale or damaged is replaced, with a warning.

    Args:
        images: As for `extract_features`. With `cache_dir` they are read twice: an array or a
            `tf.data.Dataset` that is the same at every pass.
        extractor: As for `extract_features`. Its attribute `mode`, if it has one as
            `inception_v3(...)` has, says how many images it takes.
        num_samples: Positive int, take so many images from the start. Defaults to None, all.
        batch_size: Positive int, for arrays. Defaults to 256.
        cache_dir: Folder for the file; None keeps none.
        dataset_name: Str that begins the name of the file. Needed with `cache_dir`.

    Returns:
        A `FeatureStatistics` for `frechet_distance`, with the extractor's protocol.

    Raises:
        ValueError: As `extract_features`, or if `images` can be read only once.
        OSError: If `cache_dir` cannot be made.

    Example:

    >>> images = np.random.default_rng(0).random((2, 100, 4, 4, 1))
    >>> flatten = keras.layers.Flatten(name="pixels")
    >>> real, generated = (keras_rkm.metrics.image_statistics(set_, flatten) for set_ in images)
    >>> keras_rkm.metrics.frechet_distance(real, generated).protocol
    'features of the Keras model pixels'
    """
    options = {"num_samples": num_samples, "batch_size": batch_size}
    if cache_dir is None:
        return _compute(images, extractor, options)
    _check_readable_twice(images)
    if not dataset_name:
        raise ValueError(
            "`dataset_name` is needed with `cache_dir`, to name the file. "
            f"Received: dataset_name={dataset_name!r}."
        )
    Path(cache_dir).mkdir(parents=True, exist_ok=True)  # now, before there is work to lose
    key = {"version": _VERSION, "dataset": dataset_name, "num_samples": num_samples}
    key["protocol"] = protocol_of(extractor)
    path = Path(cache_dir) / _file_name(key)
    # Not part of the name: changed images replace the file of the old ones.
    fingerprint = _fingerprint(image_batches(images, **options))
    probe = next(feature_batches([first_images(images, _NUM_PROBES)], extractor))
    statistics = _read(path, key, fingerprint, probe)
    if statistics is None:
        statistics = _compute(images, extractor, options)
        _write(path, statistics, key=key, fingerprint=fingerprint, probe=probe)
    return statistics


def _compute(images, extractor: Callable, options: dict) -> FeatureStatistics:
    batches = feature_batches(image_batches(images, **options), extractor)
    statistics = FeatureStatistics.from_batches(batches, protocol=protocol_of(extractor))
    wanted = getattr(getattr(extractor, "mode", None), "num_samples", 0)
    if statistics.num_samples < wanted:
        warnings.warn(
            f"The mode of the extractor asks for {wanted} images, and these are "
            f"{statistics.num_samples}: the distance will be larger than that of the mode.",
            stacklevel=3,
        )
    return statistics


def _check_readable_twice(images) -> None:
    if isinstance(images, Iterator):
        raise ValueError(
            "`images` must be an array or a tf.data.Dataset with `cache_dir`, since they are read "
            f"once for their fingerprint. Received: a {type(images).__name__}, which ends after "
            "one pass."
        )


def _file_name(key: dict) -> str:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    readable = "".join(c if c.isalnum() or c in "-_" else "_" for c in key["dataset"])
    return f"{readable[:64]}-{digest}.npz"


def _fingerprint(batches: Iterator[tf.Tensor]) -> str:
    digest = hashlib.sha256()
    for index, batch in enumerate(batches):
        if index == 0:
            digest.update(str(tuple(batch.shape[1:])).encode())
        digest.update(np.ascontiguousarray(batch))
    return digest.hexdigest()


def _read(path: Path, key: dict, fingerprint: str, probe: np.ndarray) -> FeatureStatistics | None:
    """The statistics in a file, or None with a warning if they are not those that are wanted."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        statistics = FeatureStatistics(
            int(found["num_samples"]), found["mean"], found["covariance"], key["protocol"]
        )
        reason = _difference(found, fingerprint, probe)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = f"it is damaged ({error})"
    if reason is None:
        return statistics
    warnings.warn(f"Computing '{path}' afresh: {reason}.", stacklevel=3)
    return None


def _difference(found: dict, fingerprint: str, probe: np.ndarray) -> str | None:
    if str(found["fingerprint"]) != fingerprint:
        return "the images are not those it was made of"
    if found["probe"].shape != probe.shape:
        return "the extractor has another number of features now"
    scale = np.abs(probe).max() or 1.0
    if not np.abs(found["probe"] - probe).max() <= _PROBE_TOLERANCE * scale:
        return "the extractor gives other features now"
    return None


def _write(path: Path, statistics: FeatureStatistics, *, key, fingerprint, probe) -> None:
    """Writes beside and renames, so that a file is whole or not there."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            np.savez(
                file,
                num_samples=statistics.num_samples,
                mean=statistics.mean,
                covariance=statistics.covariance,
                fingerprint=fingerprint,
                probe=probe,
                key=json.dumps(key),
            )
        unfinished.replace(path)
    except OSError as error:  # a full disk should not cost the result
        unfinished.unlink(missing_ok=True)
        warnings.warn(f"The statistics could not be kept in '{path}': {error}.", stacklevel=3)
