"""The Stiefel-Restricted Kernel Machine."""

from keras_rkm.models.stiefel_rkm import StiefelRKM

__all__ = ["StiefelRKM"]
