"""One optimizer for the weights of a discriminator, another for all the rest."""

import keras

from keras_rkm.optimizers.two_optimizers import TwoOptimizers


@keras.saving.register_keras_serializable(package="keras_rkm")
class AdversarialRouter(TwoOptimizers):
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

    Raises:
        ValueError: If one of the two has another optimizer around or in it.

    >>> router = keras_rkm.optimizers.AdversarialRouter("sgd", "adam")
    >>> [type(inner).__name__ for inner in router.optimizers]
    ['Adam', 'SGD']
    """

    _selected_name = "discriminator_optimizer"

    def __init__(
        self,
        optimizer="adam",
        discriminator_optimizer="adam",
        name="adversarial_router",
        loss_scale_factor=None,
    ):
        super().__init__(optimizer, discriminator_optimizer, name, loss_scale_factor)
        self._discriminator_ids = frozenset()

    def _is_selected(self, variable):
        return id(variable) in self._discriminator_ids

    @property
    def discriminator_optimizer(self):
        """The optimizer of the weights of the discriminator."""
        return self._selected_optimizer

    def set_discriminator_variables(self, variables):
        """Says which weights are the discriminator's; before `build`.

        Args:
            variables: List of `keras.Variable`.

        Raises:
            ValueError: If the optimizer has the state of other weights already.
        """
        ids = frozenset(map(id, variables))
        if self.built and ids != self._discriminator_ids:
            raise ValueError(
                "`variables` must be those that the optimizer was built for. Received: others, for "
                f"{self.name}, which has a state already. Make a new optimizer."
            )
        self._discriminator_ids = ids
