"""The mathematics of the Stiefel manifold. Knows no optimizer, no layer and no model."""

from keras_rkm.manifolds import stiefel

__all__ = ["stiefel"]
