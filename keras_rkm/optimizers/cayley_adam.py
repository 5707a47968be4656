"""Cayley ADAM: Adam for weights with orthonormal columns."""

import keras
import tensorflow as tf

from keras_rkm.constraints import is_on_manifold
from keras_rkm.manifolds import stiefel

# Each step moves the columns this share of the way back to orthonormality. The Gram matrix is
# itself rounded: a full correction (1.0) would follow that rounding and drift three times further.
_REORTHONORMALISATION = 0.1

# Beyond this distance from the manifold a start is a mistake, not rounding.
_MAX_START_ERROR = 1e-2


@keras.saving.register_keras_serializable(package="keras_rkm")
class CayleyAdam(keras.optimizers.Adam):
    """Adam that moves weights with the `Stiefel` constraint along the manifold.

    A weight X of shape `(..., n, p)` whose constraint is `keras_rkm.constraints.Stiefel` takes the
    step of [1, Algorithm 2], with one scalar second moment per matrix:

        M <- beta_1 M + (1 - beta_1) G
        v <- beta_2 v + (1 - beta_2) ||G||_F^2
        r  = sqrt(v / (1 - beta_2^t) + epsilon) (1 - beta_1^t)
        W  = (A X' - X A') / r  with  A = (I - XX'/2) M              (skew; never formed)
        a  = min(learning_rate, 2 step_bound / (||W||_F + epsilon))
        X <- (I + a/2 W)^-1 (I - a/2 W) X
        M <- r W X

    The Cayley transform is exact, not a fixed-point iteration, and costs O(n p^2) time and O(n p)
    memory. X stays orthonormal to rounding over any number of steps; see docs/objective.md.

    The constraint is an argument of a layer or of `add_weight`; a bare `keras.Variable` drops it
    without a word, and is moved by Adam.

    All other weights take exactly the step of `keras.optimizers.Adam` with the same arguments.
    Weights on the manifold want a learning rate of their own: one scalar second moment makes
    `||dX||_F` about `learning_rate`, which is `sqrt(n p)` less than Adam moves a matrix. Give a
    model both with `keras_rkm.optimizers.ConstraintRouter`.

    Args:
        learning_rate: Float, schedule or callable. Defaults to `1e-2`.
        beta_1: Float, decay of the first moment. Defaults to `0.9`.
        beta_2: Float, decay of the second moment. Defaults to `0.99`, as in [1].
        epsilon: Positive float. Inside the root for weights on the manifold, outside for the
            others, as the two algorithms have it. Defaults to `1e-8`.
        amsgrad: Bool, whether the second moment may only grow. Defaults to `False`.
        step_bound: Float in (0, 1), q of [1]: no step turns X by more than `2 q`, in the norm of
            `a W`. Defaults to `0.5`.
        **kwargs: `clipnorm`, `use_ema` and all else that `keras.optimizers.Adam` takes.
            `weight_decay` is refused for weights on the manifold.

    Raises:
        ValueError: If `epsilon` or `step_bound` is out of range. On build, if a weight on the
            manifold is wider than tall, does not start there, or would decay.

    >>> layer = keras.layers.Dense(
    ...     4, kernel_initializer="orthogonal", kernel_constraint=keras_rkm.constraints.Stiefel()
    ... )
    >>> model = keras.Sequential([keras.Input((8,)), layer])
    >>> model.compile(keras_rkm.optimizers.CayleyAdam(), loss="mse")
    >>> history = model.fit(np.ones((8, 8)), np.zeros((8, 4)), verbose=0)
    >>> float(keras_rkm.manifolds.stiefel.orthonormality_error(layer.kernel)) < 1e-6
    True

    References:
        [1] J. Li, L. Fuxin, S. Todorovic, "Efficient Riemannian Optimization on the Stiefel
            Manifold via the Cayley Transform", ICLR 2020, arXiv:2002.01113. Its second moment
            starts at 1, a warm-up that depends on the scale of the loss; ours starts at 0.
    """

    def __init__(
        self,
        learning_rate=1e-2,
        beta_1=0.9,
        beta_2=0.99,
        epsilon=1e-8,
        amsgrad=False,
        step_bound=0.5,
        name="cayley_adam",
        **kwargs,
    ):
        if not epsilon > 0:
            raise ValueError(
                "`epsilon` must be positive, since a zero gradient would be divided by it. "
                f"Received: epsilon={epsilon}"
            )
        if not 0 < step_bound < 1:
            raise ValueError(
                f"`step_bound` must lie between 0 and 1. Received: step_bound={step_bound}"
            )
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            name=name,
            **kwargs,
        )
        self.step_bound = step_bound

    def build(self, var_list):
        """Creates the state; of a matrix on the manifold the second moment is one number."""
        if self.built:
            return
        # `update_step` gets tf.Variables, which carry no constraint: remember who has one.
        self._is_on_manifold = [is_on_manifold(variable) for variable in var_list]
        for variable in self._manifold_variables(var_list):
            self._check_manifold_variable(variable)
        # Past Adam's own `build`, which would give X a second moment of X's size.
        super(keras.optimizers.Adam, self).build(var_list)
        self._momentums = self.add_optimizer_variables(var_list, "momentum")
        self._velocities = self._add_second_moments(var_list, "velocity")
        if self.amsgrad:
            self._velocity_hats = self._add_second_moments(var_list, "velocity_hat")

    def apply(self, grads, trainable_variables=None):
        """Applies one step; the arguments are those of `keras.optimizers.Optimizer.apply`."""
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            if not self.built:
                with keras.name_scope(self.name, caller=self):
                    self.build(trainable_variables)
        elif self.built and len(grads) == len(self._trainable_variables):
            trainable_variables = self._trainable_variables
        if trainable_variables is not None:
            # Keras calls the constraint of a keras.Variable after the step. The Cayley step needs
            # no projection, and the projection would cost more than the step.
            trainable_variables = [
                variable.value if is_on_manifold(variable) else variable
                for variable in trainable_variables
            ]
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one weight: along the manifold if it lives there, as Adam does if not."""
        if self._is_on_manifold[self._get_variable_index(variable)]:
            self._cayley_step(gradient, variable, learning_rate)
        else:
            super().update_step(gradient, variable, learning_rate)

    def turn(self, variable, rotation):
        """Follows a turn of the columns of a weight, `X <- X rotation`, that was made from outside.

        The momentum turns with X, and its moving average starts again from X.

        Args:
            variable: The `keras.Variable` X of shape `(n, p)`, already turned.
            rotation: Array of shape `(p, p)`.
        """
        if not self.built:
            return
        index = self._get_variable_index(variable)
        momentum = self._momentums[index]
        momentum.assign(tf.matmul(momentum, tf.cast(rotation, momentum.dtype)))
        if self.use_ema:
            self._model_variables_moving_average[index].assign(variable)

    def get_config(self):
        return {**super().get_config(), "step_bound": self.step_bound}

    def _cayley_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        index = self._get_variable_index(variable)
        gradient = tf.cast(gradient, dtype)
        learning_rate = tf.cast(learning_rate, dtype)
        point = tf.convert_to_tensor(variable)
        momentum = tf.convert_to_tensor(self._momentums[index])
        momentum = momentum + (gradient - momentum) * (1 - self.beta_1)
        scale = self._scale(index, gradient)

        tangent = stiefel.split_tangent(point, momentum)
        # a/2 in units of M rather than M/r: min(learning_rate / r, 2q / (||rW|| + epsilon r)) / 2.
        norm = tf.sqrt(tangent.squared_norm) + self.epsilon * scale
        half_step = tf.minimum(0.5 * learning_rate / scale, self.step_bound / norm)
        step = stiefel.cayley_step(tangent, half_step)
        correction = (0.5 * _REORTHONORMALISATION) * stiefel.orthonormality_defect(point)
        self.assign_sub(
            variable,
            tf.matmul(point, step.point - correction) + tf.matmul(tangent.normal, step.normal),
        )
        # The part of M along the normal of the manifold is dropped, and r W X remains.
        self.assign(self._momentums[index], tangent.normal + tf.matmul(point, tangent.skew))

    def _scale(self, index, gradient):
        """Updates the second moment and returns r, of shape `(..., 1, 1)`."""
        step = tf.cast(self.iterations + 1, gradient.dtype)
        velocity = tf.convert_to_tensor(self._velocities[index])
        squared_norm = tf.reduce_sum(tf.square(gradient), axis=(-2, -1), keepdims=True)
        velocity = velocity + (squared_norm - velocity) * (1 - self.beta_2)
        self.assign(self._velocities[index], velocity)
        if self.amsgrad:
            velocity = tf.maximum(self._velocity_hats[index], velocity)
            self.assign(self._velocity_hats[index], velocity)
        corrected = velocity / (1 - tf.pow(_constant(self.beta_2, step), step))
        return tf.sqrt(corrected + self.epsilon) * (1 - tf.pow(_constant(self.beta_1, step), step))

    def _add_second_moments(self, var_list, name):
        return [
            self.add_variable(
                shape=(*variable.shape[:-2], 1, 1),
                dtype=variable.dtype,
                name=f"{variable.name}_{name}",
            )
            if on_manifold
            else self.add_optimizer_variables([variable], name)[0]
            for variable, on_manifold in zip(var_list, self._is_on_manifold, strict=True)
        ]

    def _manifold_variables(self, var_list):
        return [
            v for v, on_manifold in zip(var_list, self._is_on_manifold, strict=True) if on_manifold
        ]

    def _check_manifold_variable(self, variable):
        if len(variable.shape) < 2 or variable.shape[-1] > variable.shape[-2]:
            raise ValueError(
                "A weight with the `Stiefel` constraint must have at least as many rows as columns "
                "in its last two axes, since at most n columns of length n can be orthonormal. "
                f"Received: {variable.path} of shape {tuple(variable.shape)}."
            )
        if self.weight_decay and self._use_weight_decay(variable):
            raise ValueError(
                "A weight with orthonormal columns cannot decay: shrinking it leaves the Stiefel "
                f"manifold. Received: weight_decay={self.weight_decay} with {variable.path} under "
                "the `Stiefel` constraint. Leave `weight_decay` out, or call "
                "`optimizer.exclude_from_weight_decay(var_list=[...])` before training."
            )
        if tf.executing_eagerly():
            error = float(tf.reduce_max(stiefel.orthonormality_error(variable)))
            if not error <= _MAX_START_ERROR:
                raise ValueError(
                    "A weight with the `Stiefel` constraint must start with orthonormal columns. "
                    f"Received: {variable.path} with ||X'X - I||_F = {error:.3g}. Create it with "
                    '`initializer="orthogonal"`, or assign '
                    "`keras_rkm.manifolds.stiefel.projection(weight)` to it."
                )

    def _update_model_variables_moving_average(self, trainable_variables):
        super()._update_model_variables_moving_average(trainable_variables)
        # An average of points lies inside the manifold's sphere; its nearest point is their mean.
        if self.use_ema:
            for variable, average in zip(
                trainable_variables, self._model_variables_moving_average, strict=True
            ):
                if is_on_manifold(variable):
                    average.assign(stiefel.projection(average.value))


def _constant(value, like):
    # tf.cast(0.99, tf.float64) would round through float32.
    return tf.constant(value, dtype=like.dtype)
