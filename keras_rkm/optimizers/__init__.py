"""Optimizers for models whose weights are not all trained alike."""

from keras_rkm.optimizers.adversarial_router import AdversarialRouter
from keras_rkm.optimizers.cayley_adam import CayleyAdam
from keras_rkm.optimizers.constraint_router import ConstraintRouter

__all__ = ["AdversarialRouter", "CayleyAdam", "ConstraintRouter"]
