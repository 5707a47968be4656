"""The energy of an image and its parts, as numbers of each image."""

from collections.abc import Callable

from keras_rkm.models import StiefelRKM
from keras_rkm.samplers import Sampler


def score_function(model: StiefelRKM, sampler: Sampler | None) -> Callable:
    """A function from images to their scores: tensors `(batch,)` by name.

    Args:
        model: `StiefelRKM`.
        sampler: Of its latents; None leaves out how likely these are.
    """

    def score(images):
        terms, weight = model.energy_terms(images), model.reconstruction_weight
        scores = {
            "energy": weight * terms.reconstruction + terms.pca,
            "energy_above_floor": weight * (terms.reconstruction - terms.floor) + terms.pca,
            "reconstruction_error": terms.reconstruction,
            "pca_error": terms.pca,
        }
        if sampler is not None:
            scores["negative_log_likelihood"] = -sampler.log_prob(model.encode(images))
        return scores

    return score
