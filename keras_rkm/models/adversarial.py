"""Training of a model against a discriminator."""

import tensorflow as tf

from keras_rkm.models import distribution
from keras_rkm.models.latent_model import LatentModel
from keras_rkm.optimizers import AdversarialRouter


class AdversarialModel(LatentModel):
    """A latent model of which some weights, the discriminator's, have a loss of their own.

    A step takes both gradients at the same weights and applies them at once: of "loss" for all
    weights but the discriminator's, of "discriminator_loss" for these. A subclass gives `_values`
    with both, and `_discriminator_layers`.

    Args:
        *args: As of `LatentModel`.
        **kwargs: As of `LatentModel`.
    """

    @property
    def _discriminator_layers(self):
        """The layers and networks whose weights are the discriminator's."""
        raise NotImplementedError

    @property
    def _default_optimizers(self):
        """The optimizer and that of the discriminator, where `compile` gets none."""
        raise NotImplementedError

    def compile(self, optimizer=None, discriminator_optimizer=None, **kwargs):
        """Configures training.

        Args:
            optimizer: Optimizer, or its name, of all weights but the discriminator's. Defaults to
                that of the docstring of the class.
            discriminator_optimizer: The same for the weights of the discriminator.
            **kwargs: As in `keras.Model.compile`, without losses and metrics.

        Raises:
            ValueError: If a `loss` or metrics are given; the model has its own. If `optimizer`
                is an `AdversarialRouter` and a second one for the discriminator is given.
        """
        if not isinstance(optimizer, AdversarialRouter):
            with distribution.scope(self):
                default, default_of_discriminator = self._default_optimizers
                optimizer = AdversarialRouter(
                    optimizer or default, discriminator_optimizer or default_of_discriminator
                )
        elif discriminator_optimizer is not None:
            raise ValueError(
                "`optimizer` is an AdversarialRouter, which has an optimizer for the discriminator "
                f"already. Received also: discriminator_optimizer={discriminator_optimizer}"
            )
        optimizer.set_discriminator_variables(self._discriminator_variables)
        super().compile(optimizer=optimizer, **kwargs)

    @property
    def _discriminator_variables(self):
        return [v for layer in self._discriminator_layers for v in layer.trainable_variables]

    @property
    def _other_variables(self):
        ids = set(map(id, self._discriminator_variables))
        return [v for v in self.trainable_variables if id(v) not in ids]

    def _step(self, images, share, noise_seed):
        players = self._other_variables, self._discriminator_variables
        with tf.GradientTape(persistent=True) as tape:
            values = self._values(images, share, noise_seed, training=True)
            losses = [
                self.optimizer.scale_loss(values[name]) for name in ("loss", "discriminator_loss")
            ]
        gradients = [
            gradient
            for loss, variables in zip(losses, players, strict=True)
            for gradient in tape.gradient(loss, variables)
        ]
        both = tf.stack([values["loss"], values["discriminator_loss"]])
        skipped = self._apply(both, gradients, [*players[0], *players[1]])
        return {**values, "skipped_steps": skipped}


def discriminator_loss(real_logits, fake_logits, share):
    """Returns this replica's share of the mean cross-entropy of telling the one from the other.

    Args:
        real_logits: Tensor of shape `(batch, 1)`: the logits that what is real is real.
        fake_logits: Tensor of the same shape, of what is not.
        share: A `keras_rkm._replicas.Share`.
    """
    errors = tf.nn.softplus(-real_logits) + tf.nn.softplus(fake_logits)
    return 0.5 * share.mean(errors[:, 0])
