"""One optimizer for the weights on the Stiefel manifold, another for all the rest."""

import keras
import tensorflow as tf

from keras_rkm.optimizers.cayley_adam import CayleyAdam, is_on_manifold

_ON_MANIFOLD = "stiefel"


class _ByConstraint(keras.optimizers.OptimizerMap):
    """Chooses by the weight's constraint, where Keras' own map chooses by the weight's path."""

    def __call__(self, variable):
        return self[_ON_MANIFOLD] if is_on_manifold(variable) else self.default_optimizer


@keras.saving.register_keras_serializable(package="keras_rkm")
class ConstraintRouter(keras.optimizers.MultiOptimizer):
    """Gives weights with the `Stiefel` constraint to one optimizer and all others to another.

    To Keras it is one optimizer, so that its state is saved, its learning rates are scheduled and
    logged, and its averages are swapped by Keras' own callbacks. (Under `mixed_float16` Keras wraps
    it in a `LossScaleOptimizer`, through which its `LearningRateScheduler` and `ReduceLROnPlateau`
    do not see two rates; use `keras.optimizers.schedules` there.) Unlike `MultiOptimizer` it takes
    gradients of some of its variables only, which a model that alternates between them needs.

    Args:
        optimizer: Optimizer, name or config for the weights without the constraint. Defaults to
            `"adam"`.
        basis_optimizer: The same for the weights with it. Defaults to `CayleyAdam()`.
        name: String.
        loss_scale_factor: Float or None, handed to both optimizers, as in `MultiOptimizer`.

    `optimizer.optimizers` lists both: `[basis_optimizer, optimizer]`.

    >>> router = keras_rkm.optimizers.ConstraintRouter("adam")
    >>> [type(inner).__name__ for inner in router.optimizers]
    ['CayleyAdam', 'Adam']
    """

    def __init__(
        self,
        optimizer="adam",
        basis_optimizer=None,
        name="constraint_router",
        loss_scale_factor=None,
    ):
        optimizer = keras.optimizers.get(optimizer)
        basis_optimizer = (
            CayleyAdam() if basis_optimizer is None else keras.optimizers.get(basis_optimizer)
        )
        for argument, value in (("optimizer", optimizer), ("basis_optimizer", basis_optimizer)):
            if isinstance(
                value, keras.optimizers.MultiOptimizer | keras.optimizers.LossScaleOptimizer
            ):
                raise ValueError(
                    f"`{argument}` must be a plain optimizer, without another around or in it. "
                    f"Received: {argument}={value}"
                )
        super().__init__(
            _ByConstraint(optimizer, {_ON_MANIFOLD: basis_optimizer}),
            loss_scale_factor=loss_scale_factor,
            name=name,
        )

    @property
    def optimizer(self):
        """The optimizer of the weights without the constraint."""
        return self._optimizer_map.default_optimizer

    @property
    def basis_optimizer(self):
        """The optimizer of the weights with the constraint."""
        return self._optimizer_map[_ON_MANIFOLD]

    def apply(self, grads, trainable_variables=None):
        """Applies one step to `trainable_variables`, which may be some of the model's only."""
        if trainable_variables is None:
            super().apply(grads)
            return
        trainable_variables = list(trainable_variables)
        if not self.built:
            self.build(trainable_variables)
        self._check_variables_are_known(trainable_variables)
        pairs = list(zip(grads, trainable_variables, strict=True))
        for inner in self.optimizers:
            own = [(g, v) for g, v in pairs if self._optimizer_map(v) is inner]
            if own:
                inner.apply(*map(list, zip(*own, strict=True)))
        # The number of steps, however many calls a step takes.
        steps = [tf.convert_to_tensor(inner.iterations) for inner in self.optimizers]
        self._iterations.assign(tf.reduce_max(tf.stack(steps)))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "basis_optimizer": serialize(self.basis_optimizer),
            "name": self.name,
            "loss_scale_factor": self.loss_scale_factor,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizers = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("optimizer", "basis_optimizer")
        }
        return cls(**{**config, **optimizers})
