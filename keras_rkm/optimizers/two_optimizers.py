"""Two optimizers that look like one, each with weights of its own."""

import keras

_SELECTED = "selected"


class _BySelection(keras.optimizers.OptimizerMap):
    """Chooses by the weight itself, where Keras' own map chooses by the weight's path.

    Two networks may each have a weight of the path `dense/kernel`.
    """

    def __init__(self, optimizer, selected_optimizer, is_selected):
        super().__init__(optimizer, {_SELECTED: selected_optimizer})
        self._is_selected = is_selected

    def __call__(self, variable):
        return self[_SELECTED] if self._is_selected(variable) else self.default_optimizer


class TwoOptimizers(keras.optimizers.MultiOptimizer):
    """Gives the weights that a subclass selects to one optimizer and all others to another.

    To Keras it is one optimizer; `ConstraintRouter` says what that is good for.

    A subclass gives `_is_selected(variable)`, a property for the optimizer of these weights, and
    the name of that property, which is its argument too, as `_selected_name`.

    Args:
        optimizer: Optimizer, name or config for the weights that are not selected.
        selected_optimizer: The same for those that are.
        name: String.
        loss_scale_factor: Float or None, handed to both optimizers, as in `MultiOptimizer`.

    `optimizer.optimizers` lists both: `[selected_optimizer, optimizer]`.

    Raises:
        ValueError: If one of the two has another optimizer around or in it.
    """

    _selected_name: str

    def __init__(self, optimizer, selected_optimizer, name, loss_scale_factor):
        optimizers = [
            _plain_optimizer(argument, value)
            for argument, value in (
                ("optimizer", optimizer),
                (self._selected_name, selected_optimizer),
            )
        ]
        super().__init__(
            _BySelection(*optimizers, self._is_selected),
            loss_scale_factor=loss_scale_factor,
            name=name,
        )

    def _is_selected(self, variable):
        raise NotImplementedError

    @property
    def optimizer(self):
        """The optimizer of all other weights."""
        return self._optimizer_map.default_optimizer

    @property
    def _selected_optimizer(self):
        return self._optimizer_map[_SELECTED]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            self._selected_name: serialize(self._selected_optimizer),
            "name": self.name,
            "loss_scale_factor": self.loss_scale_factor,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizers = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("optimizer", cls._selected_name)
        }
        return cls(**{**config, **optimizers})


def _plain_optimizer(argument, value):
    optimizer = keras.optimizers.get(value)
    if isinstance(optimizer, keras.optimizers.MultiOptimizer | keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            f"`{argument}` must be a plain optimizer, without another around or in it. "
            f"Received: {argument}={optimizer}"
        )
    return optimizer
