"""ConstraintRouter as one Keras optimizer around two."""

import keras
import numpy as np
import pytest

from keras_rkm.constraints import Stiefel
from keras_rkm.manifolds import stiefel
from keras_rkm.optimizers import CayleyAdam, ConstraintRouter


def _model(optimizer):
    keras.utils.set_random_seed(0)
    basis = keras.layers.Dense(
        4, use_bias=False, kernel_initializer="orthogonal", kernel_constraint=Stiefel()
    )
    model = keras.Sequential([keras.Input((8,)), basis, keras.layers.Dense(2)])
    model.compile(optimizer, loss="mse")
    return model


def _data(num_samples=64):
    inputs = np.random.default_rng(0).standard_normal((num_samples, 8)).astype("float32")
    return inputs, inputs[:, :2]


def _router(**arguments):
    return ConstraintRouter(keras.optimizers.SGD(0.1, momentum=0.9), CayleyAdam(0.05), **arguments)


def test_each_optimizer_moves_its_own_weights():
    model = _model(ConstraintRouter(keras.optimizers.SGD(0.0), CayleyAdam(0.05)))
    start = model.get_weights()
    model.fit(*_data(), verbose=0)
    assert np.linalg.norm(model.get_weights()[0] - start[0]) > 1e-3
    np.testing.assert_array_equal(model.get_weights()[1], start[1])


def test_some_of_the_variables_may_step_alone_and_steps_are_counted_once():
    router = _router()
    model = _model(router)
    basis, *others = model.trainable_variables
    router.build(model.trainable_variables)
    start = [v.numpy() for v in others]
    for _ in range(3):
        router.apply([np.ones(basis.shape, "float32")], [basis])
        for variable, value in zip(others, start, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
        router.apply([0 * v.numpy() for v in others], others)
    assert int(router.iterations) == 3


def test_a_variable_that_it_was_not_built_for_is_refused():
    router = _router()
    router.build(_model("sgd").trainable_variables)
    with pytest.raises(ValueError, match="Unknown variable"):
        router.apply([np.ones(3)], [keras.Variable(np.ones(3))])


def test_a_saved_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, part = _model(_router()), _model(_router())
    fit = {"verbose": 0, "shuffle": False, "batch_size": 16}
    whole.fit(*_data(), epochs=4, **fit)
    part.fit(*_data(), epochs=2, **fit)
    part.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(*_data(), epochs=2, **fit)
    for weight, expected in zip(loaded.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy())
    for state, expected in zip(loaded.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(state.numpy(), expected.numpy())


def test_backup_and_restore_holds_both_states(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    fit = {"verbose": 0, "shuffle": False, "epochs": 4, "batch_size": 16}
    whole, part, resumed = (_model(_router()) for _ in range(3))
    whole.fit(*_data(), **fit)
    with pytest.raises(KeyboardInterrupt):
        part.fit(*_data(), callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Stop()], **fit)
    resumed.fit(*_data(), callbacks=[keras.callbacks.BackupAndRestore(tmp_path)], **fit)
    for weight, expected in zip(resumed.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy())


def test_averages_of_both_can_be_swapped_in():
    router = ConstraintRouter(
        keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5),
        CayleyAdam(0.1, use_ema=True, ema_momentum=0.5),
    )
    model = _model(router)
    model.fit(*_data(), epochs=3, batch_size=16, verbose=0)
    averages = [
        average.numpy()
        for inner in router.optimizers
        for average in inner._model_variables_moving_average
    ]
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average)
    assert float(stiefel.orthonormality_error(model.trainable_variables[0])) < 2e-6


def test_optimizers_can_be_named():
    router = ConstraintRouter("rmsprop", "sgd")
    assert isinstance(router.optimizer, keras.optimizers.RMSprop)
    assert isinstance(router.basis_optimizer, keras.optimizers.SGD)


def test_the_configuration_survives():
    router = _router(loss_scale_factor=8.0)
    copy = ConstraintRouter.from_config(router.get_config())
    assert copy.get_config() == router.get_config()
    assert copy.basis_optimizer.loss_scale_factor == 8.0


@pytest.mark.parametrize("argument", ["optimizer", "basis_optimizer"])
def test_wrapped_optimizers_are_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a plain optimizer"):
        ConstraintRouter(**{argument: keras.optimizers.LossScaleOptimizer(CayleyAdam())})


def test_the_private_names_of_keras_that_it_leans_on_are_there():
    """Fails loudly when Keras moves them; see the pin of keras in pyproject.toml."""
    router = _router()
    router.build(_model("sgd").trainable_variables)
    assert router._inner_optimizers == router.optimizers
    assert set(router._trainable_variables_indices.values()) == {0, 1, 2}
    assert router._iterations is router.iterations
    assert router._check_variables_are_known(router._trainable_variables) is None
