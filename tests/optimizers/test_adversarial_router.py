"""AdversarialRouter as one Keras optimizer around two."""

import keras
import numpy as np
import pytest

from keras_rkm.optimizers import AdversarialRouter


def _variables(number):
    # All of one path, by which Keras' own map could not tell them apart.
    return [keras.Variable(np.ones(3, "float32"), name="kernel") for _ in range(number)]


def test_weights_of_the_discriminator_go_to_its_optimizer_and_others_to_the_other():
    router = AdversarialRouter(keras.optimizers.SGD(0.1), keras.optimizers.SGD(1.0))
    variables = _variables(3)
    router.set_discriminator_variables(variables[1:2])
    router.build(variables)
    router.apply([np.ones(3, "float32")] * 3, variables)
    np.testing.assert_allclose([v.numpy()[0] for v in variables], [0.9, 0.0, 0.9], atol=1e-6)
    assert int(router.iterations) == 1


def test_config_holds_both_optimizers():
    router = AdversarialRouter(keras.optimizers.SGD(0.25), "adam", name="players")
    copy = AdversarialRouter.from_config(router.get_config())
    assert copy.get_config() == router.get_config()
    assert float(copy.optimizer.learning_rate) == 0.25
    assert isinstance(copy.discriminator_optimizer, keras.optimizers.Adam)


@pytest.mark.parametrize("argument", ["optimizer", "discriminator_optimizer"])
def test_wrapped_optimizers_are_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a plain optimizer"):
        AdversarialRouter(**{argument: AdversarialRouter()})


def test_other_weights_than_those_it_was_built_for_are_refused():
    router, variables = AdversarialRouter(), _variables(2)
    router.set_discriminator_variables(variables[:1])
    router.build(variables)
    router.set_discriminator_variables(variables[:1])  # the same, as to compile a second time
    with pytest.raises(ValueError, match="Received: others, for adversarial_router"):
        router.set_discriminator_variables(variables[1:])
