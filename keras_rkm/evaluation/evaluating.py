"""Takes the measures of a model, one after the other."""

import dataclasses
import difflib
import functools
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_rkm import metrics
from keras_rkm.metrics.disentanglement.factor_kinds import parse_factor_kinds
from keras_rkm.metrics.disentanglement.inputs import (
    as_matrix,
    check_count,
    check_factor_names,
    check_seed,
)
from keras_rkm.metrics.feature_extraction import image_batches
from keras_rkm.samplers.drawing import row_seeds

from .measures import BY_KIND, DISENTANGLEMENT, GENERATION, MEASURES, PRESETS, Preset
from .results import Evaluation, Measured

_BATCH_SIZE = 256
# What a measure cannot take, or has no room for, leaves out that measure alone.
_REFUSALS = (ValueError, MemoryError, tf.errors.ResourceExhaustedError)


def evaluate(
    model,
    images,
    *,
    factors=None,
    factor_kinds: Sequence | None = None,
    factor_names: Sequence[str] | None = None,
    sampler=None,
    extractor: Callable | None = None,
    preset: str | Preset = "full",
    measures: Sequence[str] | None = None,
    num_rotations: int = 0,
    num_resamples: int = 0,
    num_draws: int | None = None,
    principal_axes: bool = False,
    seed: int = 0,
    n_jobs: int | None = 1,
    on_measured: Callable[[Measured], Any] | None = None,
) -> Evaluation:
    """Takes all measures of a model that the arguments allow, and says which it left out and why.

    - Reconstruction, and orthogonality of variation: from the images alone.
    - Disentanglement of the latents of the images: if `factors` are known. DCI and SAP are taken by
      their literal definition and, if a factor is circular or categorical, by kind besides.
    - Generation: with a `sampler`, and an `extractor` of features for all but the Laplacian
      distance. As many images are drawn as there are real ones, and both are 8-bit images.

    Args:
        model: A model of this package, or anything with `encode` from images to latents, `decode`
            from latents to images, and `reconstruct` from images to images, in batches. Drawn
            latents go to `decode_from_seeds` where there is one, as in `generate`.
        images: `(num_images, height, width, channels)`, uint8 or floats in [0, 1], which the model
            should not have been trained on.
        factors: `(num_images, num_factors)`, or None.
        factor_kinds: As of `keras_rkm.metrics.dci`.
        factor_names: Str per factor.
        sampler: Of `keras_rkm.samplers`, or anything with `sample(num_samples, seed=...)`; None
            leaves generation out.
        extractor: Callable from images to features, such as `keras_rkm.metrics.inception_v3()`.
        preset: `"full"`, `"fast"` or a `Preset`. Defaults to `"full"`.
        measures: Keys of `MEASURES` to take. Defaults to None, those of the preset.
        num_rotations: Int, how often latents are rotated at random to see what of a score of
            disentanglement is due to the axes. Each costs as much as the score. Defaults to 0.
        num_resamples: Int, half-samples for an interval of each score of disentanglement: 0 or at
            least 2. Each costs half of the score. Defaults to 0.
        num_draws: Positive int, how often images are generated, for a mean and a spread. Defaults
            to None, what the mode of the extractor asks for, or 1.
        principal_axes: Bool, turns the latents to their principal axes first. For a StiefelRKM
            before `fit_principal_axes`, such as between epochs. Defaults to False.
        seed: Int, of all that is drawn. Defaults to 0.
        n_jobs: Int, threads; -1 takes all cores. No value depends on it. Defaults to 1.
        on_measured: Callable, gets each `Measured` when it is there, to show progress.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: If the arrays do not fit, the model's latents are not finite, or an argument is
            unknown or out of range. What a single measure cannot take, such as a factor with a
            value of its own for every image, leaves that measure out and says so.
    """
    chosen = _checked_preset(preset)
    names = _checked_names(chosen.measures if measures is None else measures)
    _check_numbers(num_rotations, num_resamples, num_draws)
    seed = check_seed(seed)
    images = _checked_images(images, model)
    factors = _checked_factors(factors, len(images), factor_kinds, factor_names)
    rows = _choice(len(images), chosen.num_images, seed)
    images, factors = images[rows], None if factors is None else factors[rows]
    latents, decode = _latents(model, images, principal_axes)
    _check_sampler(sampler, latents.shape[1])
    run = _Run(
        model=model,
        images=images,
        latents=latents,
        decode=decode,
        factors=factors,
        factor_kinds=None if factor_kinds is None else list(factor_kinds),
        factor_names=factor_names,
        sampler=sampler,
        extractor=extractor,
        preset=chosen,
        num_rotations=num_rotations,
        num_resamples=num_resamples,
        num_draws=num_draws or getattr(getattr(extractor, "mode", None), "num_draws", 1),
        seed=seed,
        n_jobs=n_jobs,
    )
    measured: dict[str, Measured] = {}
    skipped: dict[str, str] = {}
    for name in names:
        reason = _reason_to_skip(name, run)
        if reason is None:
            start = time.process_time()
            try:
                parts = _MEASURE[MEASURES[name]](name, run)
            except _REFUSALS as error:
                reason = _told(error)
        if reason is not None:
            skipped[name] = reason
            continue
        seconds = time.process_time() - start
        measured[name] = Measured(name=name, group=MEASURES[name], cpu_seconds=seconds, **parts)
        if on_measured:
            on_measured(measured[name])
    return Evaluation(
        measured=measured,
        skipped=skipped,
        settings={
            "num_images": len(images),
            "latent_dim": latents.shape[1],
            "principal_axes": principal_axes,
            "sampler": None if sampler is None else type(sampler).__name__,
            "num_draws": run.num_draws,
            "num_rotations": num_rotations,
            "num_resamples": num_resamples,
            "seed": seed,
        },
        notes=_notes(run, measured),
    )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class _Run:
    """Everything that a measure may need; what is expensive and shared is made when first asked."""

    model: Any
    images: np.ndarray
    latents: np.ndarray
    decode: Callable
    factors: np.ndarray | None
    factor_kinds: list | None
    factor_names: Sequence[str] | None
    sampler: Any
    extractor: Callable | None
    preset: Preset
    num_rotations: int
    num_resamples: int
    num_draws: int
    seed: int
    n_jobs: int | None

    @functools.cached_property
    def generated(self) -> list[np.ndarray]:
        """One uint8 array of images per draw."""
        return [self._draw(self.seed + index) for index in range(self.num_draws)]

    @functools.cached_property
    def real_features(self) -> np.ndarray:
        return metrics.extract_features(self.images, self.extractor)

    @functools.cached_property
    def generated_features(self) -> list[np.ndarray]:
        return [metrics.extract_features(images, self.extractor) for images in self.generated]

    def _draw(self, seed: int) -> np.ndarray:
        """What `generate` of the model draws, in batches."""
        # The model itself, not `decode`: a sampler knows the latents as they are.
        latents = np.asarray(self.sampler.sample(len(self.images), seed=seed))
        seeds = row_seeds(len(latents), seed)
        starts = range(0, len(latents), _BATCH_SIZE)
        rows = [slice(start, start + _BATCH_SIZE) for start in starts]
        return np.concatenate([_eight_bits(self._decode(latents[i], seeds[i])) for i in rows])

    def _decode(self, latents: np.ndarray, seeds):
        if hasattr(self.model, "decode_from_seeds"):
            return self.model.decode_from_seeds(latents, seeds)
        return self.model.decode(latents)

    def options(self, name: str) -> dict[str, Any]:
        return dict(self.preset.options.get(name, {}))


def _reconstruction(name: str, run: _Run) -> dict[str, Any]:
    report = metrics.reconstruction_error(
        run.images, run.model.reconstruct, batch_size=_BATCH_SIZE, **run.options(name)
    )
    return {"reports": [report]}


def _orthogonality(name: str, run: _Run) -> dict[str, Any]:
    report = metrics.orthogonality_of_variation(
        run.decode,
        run.latents[_choice(len(run.latents), run.preset.num_codes, run.seed)],
        seed=run.seed,
        **run.options(name),
    )
    return {"reports": [report]}


def _disentanglement(name: str, run: _Run) -> dict[str, Any]:
    base = name.removesuffix("_by_kind")
    options = {"factor_names": run.factor_names, "seed": run.seed, **run.options(base)}
    if name != base or base not in BY_KIND:
        options["factor_kinds"] = run.factor_kinds
    known = inspect.signature(DISENTANGLEMENT[base]).parameters
    function = functools.partial(
        DISENTANGLEMENT[base], **{key: value for key, value in options.items() if key in known}
    )
    threads = {"n_jobs": run.n_jobs} if "n_jobs" in known else {}
    parts = {"reports": [function(run.latents, run.factors, **threads)], "notes": []}
    controls = {
        "rotation_control": (metrics.random_rotation_control, "num_rotations", run.num_rotations),
        "bootstrap": (metrics.bootstrap_interval, "num_resamples", run.num_resamples),
    }
    for part, (control, argument, number) in controls.items():
        if not number:
            continue
        options = {argument: number, "seed": run.seed, "n_jobs": run.n_jobs}
        try:
            parts[part] = control(function, run.latents, run.factors, **options)
        except _REFUSALS as error:  # such as too few rows in a half
            parts["notes"].append(f"no {part.replace('_', ' ')}: {_told(error)}")
    return parts


def _generation(name: str, run: _Run) -> dict[str, Any]:
    options = run.options(name)
    if name == "laplacian_sliced_wasserstein_distance":
        number = run.preset.num_pyramid_images
        reports = [
            metrics.laplacian_sliced_wasserstein_distance(
                run.images[:number], images[:number], seed=run.seed, **options
            )
            for images in run.generated
        ]
        return {"reports": reports}
    function = GENERATION[name]
    known = inspect.signature(function).parameters
    if "seed" in known:
        options["seed"] = run.seed
    if "subset_size" in known:
        # So that subsets of a small set differ.
        options.setdefault("subset_size", max(2, min(1_000, len(run.images) // 2)))
    options["protocol"] = metrics.protocol_of(run.extractor)
    reports = [function(run.real_features, each, **options) for each in run.generated_features]
    return {"reports": reports}


_MEASURE = {
    "reconstruction": _reconstruction,
    "orthogonality": _orthogonality,
    "disentanglement": _disentanglement,
    "generation": _generation,
}


def _reason_to_skip(name: str, run: _Run) -> str | None:
    group = MEASURES[name]
    if group == "disentanglement" and run.factors is None:
        return "the factors of the images are not known"
    if name.endswith("_by_kind") and not _differs_by_kind(name, run.factor_kinds):
        return "by the kinds of the factors it is the same"
    if group == "generation" and run.sampler is None:
        return "there is no sampler of latents"
    if name in GENERATION and run.extractor is None:
        return "there is no extractor of features"
    return None


def _differs_by_kind(name: str, kinds: list | None) -> bool:
    """Whether a variant by kind differs from the literal one, which takes all factors alike."""
    literal = "categorical" if name.startswith("sap_score") else "continuous"
    return any(kind != literal for kind in kinds or ())


def _told(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split()).rstrip(".")


def _notes(run: _Run, measured: dict[str, Measured]) -> tuple[str, ...]:
    mode = getattr(run.extractor, "mode", None)
    if mode is None or not set(GENERATION) & set(measured):
        return ()
    notes = []
    if len(run.images) < mode.num_samples:
        notes.append(
            f"The mode {mode.name} asks for {mode.num_samples:,} images, and these are "
            f"{len(run.images):,}: distances are larger than by the mode."
        )
    is_gaussian = type(run.sampler).__name__ == "GaussianSampler"
    if mode.latents == "one Gaussian" and not is_gaussian:
        notes.append(
            f"The mode {mode.name} draws latents from one Gaussian, and this sampler is a "
            f"{type(run.sampler).__name__}."
        )
    return tuple(notes)


def _latents(model, images: np.ndarray, principal_axes: bool) -> tuple[np.ndarray, Callable]:
    """Latents `(num_images, latent_dim)`, and what decodes such latents."""
    batches = image_batches(images, batch_size=_BATCH_SIZE)
    latents = np.concatenate([np.asarray(model.encode(batch)) for batch in batches])
    if latents.ndim != 2 or not np.isfinite(latents).all():
        raise ValueError(
            "The latents of `model` must be finite and have the shape (num_images, latent_dim). "
            f"Received: shape={latents.shape}, {np.sum(~np.isfinite(latents))} of them not finite."
        )
    if not principal_axes:
        return latents, model.decode
    # Of the triangle: as many axes as latents, even if there are fewer images.
    triangle = np.linalg.qr(latents - latents.mean(axis=0), mode="r")
    axes = np.linalg.svd(triangle)[2]
    back = tf.constant(axes, tf.float32)
    return latents @ axes.T, lambda turned: model.decode(tf.cast(turned, tf.float32) @ back)


def _choice(number: int, most: int, seed: int) -> slice | np.ndarray:
    """All rows, or a random choice of `most` of them: images often come ordered by factors."""
    if number <= most:
        return slice(None)
    return np.random.default_rng(seed).permutation(number)[:most]


def _eight_bits(images) -> np.ndarray:
    """What a file of the images would hold."""
    return np.round(255 * np.clip(np.asarray(images, np.float32), 0, 1)).astype(np.uint8)


def _checked_preset(preset: str | Preset) -> Preset:
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise ValueError(
            f"`preset` must be one of {tuple(PRESETS)} or a Preset. Received: preset={preset!r}."
        )
    return PRESETS[preset]


def _checked_names(measures: Sequence[str]) -> list[str]:
    """In the order of `MEASURES`."""
    for name in measures:
        if name not in MEASURES:
            close = difflib.get_close_matches(name, MEASURES)
            hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {[*MEASURES]}."
            raise ValueError(f"`measures` must be known. Received: {name!r}. {hint}")
    return [name for name in MEASURES if name in measures]


def _check_numbers(num_rotations: int, num_resamples: int, num_draws: int | None) -> None:
    check_count(num_rotations, "num_rotations", smallest=0)
    if num_resamples != 0:
        check_count(num_resamples, "num_resamples", smallest=2)
    if num_draws is not None:
        check_count(num_draws, "num_draws")


def _checked_images(images, model) -> np.ndarray:
    if isinstance(images, tf.data.Dataset) or np.ndim(images) != 4:
        raise ValueError(
            "`images` must be an array (num_images, height, width, channels). Received: "
            f"shape={getattr(images, 'shape', None)} of type {type(images).__name__}. "
            "A `keras_rkm.datasets.Dataset` has `.images`."
        )
    if len(images) < 2:
        raise ValueError(f"`images` must be two at least. Received: {len(images)}.")
    images = np.asarray(images)
    expected = getattr(model, "image_shape", images.shape[1:])
    if images.shape[1:] != tuple(expected):
        raise ValueError(
            f"`images` must have the shape (num_images, {', '.join(map(str, expected))}) for this "
            f"model. Received: shape={images.shape}."
        )
    return images


def _checked_factors(factors, num_images: int, kinds, names) -> np.ndarray | None:
    if factors is None:
        return None
    factors = as_matrix(factors, "factors")
    if len(factors) != num_images:
        raise ValueError(
            "`factors` must have a row for each image. Received: "
            f"{len(factors)} rows for {num_images} images."
        )
    parse_factor_kinds(kinds, factors)
    check_factor_names(names, factors.shape[1])
    return factors


def _check_sampler(sampler, latent_dim: int) -> None:
    width = getattr(sampler, "latent_dim", latent_dim)
    if width != latent_dim:
        raise ValueError(
            f"`sampler` must draw latents of the model, {latent_dim} wide. Received: a "
            f"{type(sampler).__name__} of latent_dim={width}."
        )
