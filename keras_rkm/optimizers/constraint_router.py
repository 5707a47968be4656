"""One optimizer for the weights on the Stiefel manifold, another for all the rest."""

import keras
import tensorflow as tf

from keras_rkm.constraints import is_on_manifold
from keras_rkm.optimizers.cayley_adam import CayleyAdam
from keras_rkm.optimizers.two_optimizers import TwoOptimizers


@keras.saving.register_keras_serializable(package="keras_rkm")
class ConstraintRouter(TwoOptimizers):
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

    Raises:
        ValueError: If one of the two has another optimizer around or in it.

    >>> router = keras_rkm.optimizers.ConstraintRouter("adam")
    >>> [type(inner).__name__ for inner in router.optimizers]
    ['CayleyAdam', 'Adam']
    """

    _selected_name = "basis_optimizer"

    def __init__(
        self,
        optimizer="adam",
        basis_optimizer=None,
        name="constraint_router",
        loss_scale_factor=None,
    ):
        if basis_optimizer is None:
            basis_optimizer = CayleyAdam()
        super().__init__(optimizer, basis_optimizer, name, loss_scale_factor)

    def _is_selected(self, variable):
        return is_on_manifold(variable)

    @property
    def basis_optimizer(self):
        """The optimizer of the weights with the constraint."""
        return self._selected_optimizer

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
