"""Which measures there are, by group, and the two sizes in which they are taken."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from keras_rkm import metrics

# Of latents and factors. Those of `BY_KIND` are taken a second time, as `NAME_by_kind`, where the
# kinds of the factors make a difference.
DISENTANGLEMENT: dict[str, Callable] = {
    "dci_lasso": functools.partial(metrics.dci, regressor="lasso"),
    "dci_random_forest": functools.partial(metrics.dci, regressor="random_forest"),
    "dci_gradient_boosting": functools.partial(metrics.dci, regressor="gradient_boosting"),
    "mutual_information_gap": metrics.mutual_information_gap,
    "sap_score": metrics.sap_score,
    "factor_vae_score": metrics.factor_vae_score,
    "beta_vae_score": metrics.beta_vae_score,
    "modularity": metrics.modularity,
    "irs": metrics.irs,
    "infomec": metrics.infomec,
}
BY_KIND = ("dci_lasso", "dci_random_forest", "sap_score")

# Of the features of real and of generated images.
GENERATION: dict[str, Callable] = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": metrics.kernel_distance,
    "sliced_wasserstein_distance": metrics.sliced_wasserstein_distance,
    "precision_recall": metrics.precision_recall,
    "density_coverage": metrics.density_coverage,
}

# Group of every measure, in the order in which they are taken.
MEASURES: dict[str, str] = {
    "reconstruction_error": "reconstruction",
    "orthogonality_of_variation": "orthogonality",
    **{
        variant: "disentanglement"
        for name in DISENTANGLEMENT
        for variant in (name, *([f"{name}_by_kind"] if name in BY_KIND else []))
    },
    "laplacian_sliced_wasserstein_distance": "generation",
    **dict.fromkeys(GENERATION, "generation"),
}


@dataclasses.dataclass(frozen=True)
class Preset:
    """How much is measured, and on how many images.

    Attributes:
        num_images: Int, at most so many of the images, a random choice.
        num_codes: Int, of so many of them the Jacobian of the decoder is looked at.
        num_pyramid_images: Int, for the Laplacian distance, whose memory grows with them.
        measures: Tuple of str, keys of `MEASURES`.
        options: Dict of keyword arguments by measure, where they are not the defaults.
    """

    num_images: int
    num_codes: int
    num_pyramid_images: int
    measures: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


PRESETS = {
    "full": Preset(10_000, 256, 8_000, tuple(MEASURES)),
    # A few seconds, for use between epochs.
    "fast": Preset(
        2_000,
        64,
        500,
        (
            "reconstruction_error",
            "orthogonality_of_variation",
            "dci_lasso",
            "dci_random_forest",
            "mutual_information_gap",
            "factor_vae_score",
            "frechet_distance",
            "precision_recall",
        ),
        {
            "dci_random_forest": {"max_depth": 10},
            "factor_vae_score": {"num_train": 2_000, "num_test": 1_000},
            "orthogonality_of_variation": {"num_rotations": 5},
        },
    ),
}
