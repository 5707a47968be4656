"""The decoder of a model in a form that goes into a page."""

import dataclasses
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from .decoder_steps import Step, decoder_steps
from .packing import PackedSteps, factorized, is_large, pack, rounded
from .running import run_steps

_TARGET = 1.25 / 255  # of the largest difference of a pixel; what is promised is 2 / 255
# Relative errors of the outputs of a large Dense layer, the coarsest first.
_ERRORS = tuple(8e-3 / 2 ** (index / 2) for index in range(16))


@dataclasses.dataclass(frozen=True, eq=False)
class EmbeddedDecoder:
    """What `embed_decoder` returns.

    Attributes:
        packed: `PackedSteps`.
        max_error: Float, the largest difference of a pixel in [0, 1] from what was expected.
    """

    packed: PackedSteps
    max_error: float


def embed_decoder(
    decoder: keras.Model,
    *,
    basis: np.ndarray,
    offset: np.ndarray,
    latents: np.ndarray,
    probes: np.ndarray,
    expected: np.ndarray,
) -> EmbeddedDecoder:
    """Packs a decoder as small as its pictures stay right to a pixel value of 1.25 / 255.

    Right are those of its weights in float32, in which a page computes. A decoder of mixed
    precision gives others itself, by some pixel values in bfloat16.

    Args:
        decoder: As of `decoder_steps`; it gets `basis @ (latents + offset)`.
        basis: `(feature_dim, latent_dim)`.
        offset: `(latent_dim,)`.
        latents: `(num_samples, latent_dim)`, some thousands from all over what a person can reach:
            they tell which directions inside the decoder count.
        probes: `(num_probes, latent_dim)`, others of that kind, to judge by.
        expected: `(num_probes, height, width, channels)`, the pictures of the probes.

    Returns:
        An `EmbeddedDecoder`. If no rounding is fine enough, weights are left in float32.

    Raises:
        ValueError: As `decoder_steps`.
    """
    basis = np.asarray(basis, "float32")
    first = Step("dense", {}, {"kernel": basis.T, "bias": basis @ np.asarray(offset, "float32")})
    steps = [first, *decoder_steps(decoder)]
    exact = run_steps(steps, probes)[-1]
    for candidate in _candidates(steps, latents):
        images = run_steps(_rounded(candidate), probes)[-1]
        if _largest_difference(images, exact) <= _TARGET:
            return EmbeddedDecoder(pack(candidate), _largest_difference(images, expected))
    return EmbeddedDecoder(pack(steps, dtype="float32"), _largest_difference(exact, expected))


def _candidates(steps: Sequence[Step], latents: np.ndarray) -> Iterator[Sequence[Step]]:
    """Steps that take ever more bytes."""
    large = [index for index, step in enumerate(steps) if is_large(step)]
    if not large:
        yield steps
        return
    inputs = run_steps(steps[: large[-1]], latents)
    for error in _ERRORS:
        yield _factorized(steps, inputs, error)


def _factorized(steps: Sequence[Step], inputs: Sequence[np.ndarray], error: float) -> list[Step]:
    """The steps with three for each large Dense one."""
    result = []
    for index, step in enumerate(steps):
        if is_large(step):
            rows = inputs[index].reshape(-1, inputs[index].shape[-1])
            vectors, scale, levels = factorized(step.arrays["kernel"], rows, error)
            result.append(Step("dense", {}, {"kernel": vectors}))
            result.append(Step("affine", {}, {"scale": scale, "offset": np.zeros(1, "float32")}))
            step = Step("dense", {}, {**step.arrays, "kernel": levels})
        result.append(step)
    return result


def _rounded(steps: Sequence[Step]) -> list[Step]:
    return [
        step._replace(arrays={name: rounded(array) for name, array in step.arrays.items()})
        for step in steps
    ]


def _largest_difference(images: np.ndarray, others: np.ndarray) -> float:
    return float(np.abs(np.clip(images, 0, 1) - np.clip(others, 0, 1)).max())
