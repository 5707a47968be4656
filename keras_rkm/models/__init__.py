"""The Stiefel-Restricted Kernel Machine, and models to compare it with on the same networks."""

from keras_rkm.models.auto_encoder import AutoEncoder
from keras_rkm.models.beta_tc_vae import BetaTCVAE
from keras_rkm.models.factor_vae import FactorVAE
from keras_rkm.models.info_gan import InfoGAN
from keras_rkm.models.stiefel_rkm import StiefelRKM
from keras_rkm.models.variational_autoencoder import VariationalAutoencoder

__all__ = [
    "AutoEncoder",
    "BetaTCVAE",
    "FactorVAE",
    "InfoGAN",
    "StiefelRKM",
    "VariationalAutoencoder",
]
