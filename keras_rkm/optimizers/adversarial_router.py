"""One optimizer for the weights of a discriminator, another for all the rest."""

import keras

_DISCRIMINATOR = "discriminator"


class _ByDiscriminator(keras.optimizers.OptimizerMap):
    """Chooses by the weight itself, where Keras' own map chooses by the weight's path.

    Two networks may each have a weight of the path `dense/kernel`.
    """

    def __init__(self, optimizer, discriminator_optimizer):
        super().__init__(optimizer, {_DISCRIMINATOR: discriminator_optimizer})
        self.discriminator_ids = frozenset()

    def __call__(self, variable):
        is_discriminator = id(variable) in self.discriminator_ids
        return self[_DISCRIMINATOR] if is_discriminator else self.default_optimizer


@keras.saving.register_keras_serializable(package="keras_rkm")
class AdversarialRouter(keras.optimizers.MultiOptimizer):
    """Gives the weights of a discriminator to one optimizer and all others to another.

    To Keras it is one optimizer, whose state is saved and whose learning rates are scheduled, as
    with `ConstraintRouter`. Which weights are the discriminator's is told by
    `set_discriminator_variables`, which the models that have one do in `compile`.

    Args:
        optimizer: Optimizer, name or config for all other weights. Defaults to `"adam"`.
        discriminator_optimizer: The same for the weights of the discriminator. Defaults to
            `"adam"`.
        name: String.
        loss_scale_factor: Float or None, handed to both optimizers, as in `MultiOptimizer`.

    `optimizer.optimizers` lists both: `[discriminator_optimizer, optimizer]`.

    >>> router = keras_rkm.optimizers.AdversarialRouter("sgd", "adam")
    >>> [type(inner).__name__ for inner in router.optimizers]
    ['Adam', 'SGD']
    """

    def __init__(
        self,
        optimizer="adam",
        discriminator_optimizer="adam",
        name="adversarial_router",
        loss_scale_factor=None,
    ):
        optimizers = map(keras.optimizers.get, (optimizer, discriminator_optimizer))
        super().__init__(
            _ByDiscriminator(*optimizers), loss_scale_factor=loss_scale_factor, name=name
        )

    @property
    def optimizer(self):
        """The optimizer of the weights that are not the discriminator's."""
        return self._optimizer_map.default_optimizer

    @property
    def discriminator_optimizer(self):
        """The optimizer of the weights of the discriminator."""
        return self._optimizer_map[_DISCRIMINATOR]

    def set_discriminator_variables(self, variables):
        """Says which weights are the discriminator's; before `build`.

        Args:
            variables: `keras.Variable`s.

        Raises:
            ValueError: If the optimizer has the state of other weights already.
        """
        ids = frozenset(map(id, variables))
        if self.built and ids != self._optimizer_map.discriminator_ids:
            raise ValueError(
                "`variables` must be those that the optimizer was built for. Received: others, for "
                f"{self.name}, which has a state already. Make a new optimizer."
            )
        self._optimizer_map.discriminator_ids = ids

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "discriminator_optimizer": serialize(self.discriminator_optimizer),
            "name": self.name,
            "loss_scale_factor": self.loss_scale_factor,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizers = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("optimizer", "discriminator_optimizer")
        }
        return cls(**{**config, **optimizers})
