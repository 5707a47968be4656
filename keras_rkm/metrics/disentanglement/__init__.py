"""Disentanglement scores of latents for known factors, each by its published definition."""

from .beta_vae import beta_vae_score
from .controls import RotationControlReport, random_rotation_control
from .dci_metric import dci
from .factor_vae import factor_vae_score
from .information_gap import mutual_information_gap
from .interventional_robustness import irs
from .modularity_explicitness import modularity
from .neighbour_information import infomec
from .reports import DisentanglementReport
from .resampling import SpreadReport, bootstrap_interval, spread_over_seeds
from .sap import sap_score
from .unsupervised_ranking import udr

__all__ = [
    "DisentanglementReport",
    "RotationControlReport",
    "SpreadReport",
    "beta_vae_score",
    "bootstrap_interval",
    "dci",
    "factor_vae_score",
    "infomec",
    "irs",
    "modularity",
    "mutual_information_gap",
    "random_rotation_control",
    "sap_score",
    "spread_over_seeds",
    "udr",
]
