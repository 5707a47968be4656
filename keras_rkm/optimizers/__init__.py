"""Optimizers for models some of whose weights live on the Stiefel manifold."""

from keras_rkm.optimizers.cayley_adam import CayleyAdam
from keras_rkm.optimizers.constraint_router import ConstraintRouter

__all__ = ["CayleyAdam", "ConstraintRouter"]
