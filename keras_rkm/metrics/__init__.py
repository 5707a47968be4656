"""Measures of disentanglement, generation and orthogonality, on plain arrays of any framework.

Each returns a small report that knows its direction, its counts and how it came about.

>>> import numpy as np
>>> from keras_rkm import metrics
>>> real, generated = np.random.default_rng(0).normal(size=(2, 500, 8))
>>> print(metrics.precision_recall(real, generated))
precision_recall: precision 0.86 (higher is better), recall 0.886 (higher is better);
num_neighbours 3, num_real 500, num_generated 500, num_features 8
"""

from .copying import DataCopyingReport, closer_share, data_copying
from .disentanglement import (
    DisentanglementReport,
    RotationControlReport,
    SpreadReport,
    beta_vae_score,
    bootstrap_interval,
    dci,
    factor_vae_score,
    infomec,
    irs,
    modularity,
    mutual_information_gap,
    random_rotation_control,
    sap_score,
    spread_over_seeds,
    udr,
)
from .feature_extraction import extract_features, penultimate_features, protocol_of
from .feature_statistics import FeatureStatistics
from .frechet import FrechetReport, frechet_distance
from .image_statistics import image_statistics
from .inception import INCEPTION_MODES, InceptionFeatures, InceptionMode, inception_v3
from .kernel import KernelReport, kernel_distance
from .laplacian_sliced_wasserstein import (
    LaplacianSlicedWassersteinReport,
    laplacian_sliced_wasserstein_distance,
)
from .manifold_estimates import (
    DensityCoverageReport,
    PrecisionRecallReport,
    density_coverage,
    precision_recall,
)
from .neighbours import nearest_rows
from .orthogonality import OrthogonalityReport, orthogonality_of_variation
from .orthonormality import OrthonormalityError
from .reconstruction import ReconstructionReport, reconstruction_error
from .reports import Report
from .sliced_wasserstein import SlicedWassersteinReport, sliced_wasserstein_distance

__all__ = [
    "INCEPTION_MODES",
    "DataCopyingReport",
    "DensityCoverageReport",
    "DisentanglementReport",
    "FeatureStatistics",
    "FrechetReport",
    "InceptionFeatures",
    "InceptionMode",
    "KernelReport",
    "LaplacianSlicedWassersteinReport",
    "OrthogonalityReport",
    "OrthonormalityError",
    "PrecisionRecallReport",
    "ReconstructionReport",
    "Report",
    "RotationControlReport",
    "SlicedWassersteinReport",
    "SpreadReport",
    "beta_vae_score",
    "bootstrap_interval",
    "closer_share",
    "data_copying",
    "dci",
    "density_coverage",
    "extract_features",
    "factor_vae_score",
    "frechet_distance",
    "image_statistics",
    "inception_v3",
    "infomec",
    "irs",
    "kernel_distance",
    "laplacian_sliced_wasserstein_distance",
    "modularity",
    "mutual_information_gap",
    "nearest_rows",
    "orthogonality_of_variation",
    "penultimate_features",
    "precision_recall",
    "protocol_of",
    "random_rotation_control",
    "reconstruction_error",
    "sap_score",
    "sliced_wasserstein_distance",
    "spread_over_seeds",
    "udr",
]
