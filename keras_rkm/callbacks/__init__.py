"""Keras callbacks: what TensorBoard's own one leaves out, and guards of a training.

`keras.callbacks.TensorBoard` writes the logs (`orthonormality_error` among them) and the learning
rates of both optimizers. These callbacks write beside it, each a run of its own in a sub-folder of
the same `log_dir`: a folder with two writers is one that TensorBoard reads in part. No callback
changes what is trained, but for `CorrectDrift` where a weight has left its manifold.
"""

from .axes import AxisTracker
from .axis_matching import match_axes
from .basis import BasisSummary
from .drift import CorrectDrift
from .embedding import EmbeddingProjector
from .evaluation import EvaluationSummary
from .non_finite import StopOnNonFinite
from .pictures import PictureSummary
from .scatter import LatentScatter
from .spectrum import LatentSpectrum
from .standard import summary_callbacks

__all__ = [
    "AxisTracker",
    "BasisSummary",
    "CorrectDrift",
    "EmbeddingProjector",
    "EvaluationSummary",
    "LatentScatter",
    "LatentSpectrum",
    "PictureSummary",
    "StopOnNonFinite",
    "match_axes",
    "summary_callbacks",
]
