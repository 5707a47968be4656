"""The two layers between an encoder and a decoder that make them a restricted kernel machine."""

from keras_rkm.layers.feature_centering import FeatureCentering
from keras_rkm.layers.stiefel_projection import StiefelProjection

__all__ = ["FeatureCentering", "StiefelProjection"]
