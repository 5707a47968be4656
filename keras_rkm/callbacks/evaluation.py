"""Measures of held-out images while training."""

import os
from collections.abc import Callable

import numpy as np

from keras_rkm import evaluation, samplers
from keras_rkm.metrics.feature_extraction import image_batches

from .summary import SummaryCallback


class EvaluationSummary(SummaryCallback):
    """Takes measures of held-out images while training, in the principal axes of the moment.

    Writes `group/measure/score` of `keras_rkm.evaluation.evaluate`, and heat maps of how much each
    axis counts for each factor. The preset `"fast"` takes some seconds. With an `extractor`
    generated images are measured as well, of one Gaussian fitted to the latents of `images`.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        images: Array `(num_images, height, width, channels)` that the model is not trained on.
        factors: `(num_images, num_factors)`, or None.
        factor_kinds: As of `keras_rkm.metrics.dci`.
        factor_names: Str per factor.
        extractor: Callable from images to features, or None.
        preset: As of `evaluate`. Defaults to `"fast"`.
        every: Positive int, epochs between two evaluations. Defaults to 1.
        seed: Int. Defaults to 0.

    Raises:
        ValueError: If `every` is not positive; as of `evaluate`, after the first epoch.

    >>> dataset = keras_rkm.datasets.load("dsprites_like", num_images=64, image_size=16)
    >>> callback = EvaluationSummary("logs", dataset.images, **dataset.factor_arguments())
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: np.ndarray,
        *,
        factors: np.ndarray | None = None,
        factor_kinds=None,
        factor_names=None,
        extractor: Callable | None = None,
        preset: str | evaluation.Preset = "fast",
        every: int = 1,
        seed: int = 0,
    ):
        super().__init__(log_dir, "evaluation", every)
        self._arguments = {
            "images": images,
            "factors": factors,
            "factor_kinds": factor_kinds,
            "factor_names": factor_names,
            "extractor": extractor,
            "preset": preset,
            "seed": seed,
        }

    def _write(self):
        sampler = None
        if self._arguments["extractor"] is not None:
            images = image_batches(self._arguments["images"])
            sampler = samplers.GaussianSampler().adapt(images, transform=self.model.encode)
        found = evaluation.evaluate(
            self.model, sampler=sampler, principal_axes=True, **self._arguments
        )
        evaluation.write_summaries(found)
