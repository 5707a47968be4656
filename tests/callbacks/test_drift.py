"""The guard against drift off the manifold: what it corrects, and what it leaves alone."""

import warnings

import keras
import numpy as np
import pytest

from keras_rkm import constraints, models
from keras_rkm.callbacks import CorrectDrift

from .conftest import make_model


class _Move(keras.callbacks.Callback):
    """Adds to a weight at the end of an epoch, and remembers what came of it."""

    def __init__(self, variable, epoch, change):
        super().__init__()
        self._variable, self._epoch, self._change = variable, epoch, change

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self._epoch:
            self._variable.assign(self._variable.numpy() + self._change)
            self.moved = self._variable.numpy()


def _error(matrix):
    gram = matrix.astype("float64").T @ matrix.astype("float64")
    return np.linalg.norm(gram - np.eye(len(gram)))


def test_basis_that_has_drifted_becomes_the_nearest_point_of_the_manifold(model, images):
    change = np.random.default_rng(1).normal(0, 1e-3, (6, 3))
    move, guard = _Move(model.basis, 1, change), CorrectDrift()
    with pytest.warns(UserWarning) as caught:
        model.fit(images, epochs=2, verbose=0, callbacks=[move, guard])
    [message] = [str(each.message) for each in caught if "manifold" in str(each.message)]
    assert message.startswith(
        "projection/basis had left the Stiefel manifold by the end of epoch 2"
    )
    assert f"||X'X - I||_F was {_error(move.moved):.2g}, above 0.0001." in message
    assert f"to {_error(model.basis.numpy()):.2g}." in message
    left, _, right = np.linalg.svd(move.moved.astype("float64"), full_matrices=False)
    np.testing.assert_allclose(model.basis.numpy(), left @ right, atol=1e-6)
    assert guard.num_corrections == 1
    # The training can go on, and is looked at anew.
    model.fit(images, epochs=1, verbose=0, callbacks=[guard])
    assert guard.num_corrections == 0 and _error(model.basis.numpy()) < 1e-5


def test_training_without_drift_is_left_as_it_is_bit_for_bit(images):
    weights = []
    for guards in ([], [CorrectDrift()]):
        keras.utils.set_random_seed(0)
        model = make_model(models.StiefelRKM)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(images, epochs=3, verbose=0, shuffle=False, callbacks=guards)
        weights.append([v.numpy() for v in model.variables + model.optimizer.variables])
    assert guards[0].num_corrections == 0
    for without, with_guard in zip(*weights, strict=True):
        np.testing.assert_array_equal(without, with_guard)


@pytest.mark.parametrize("times, num_corrections", [(0.5, 0), (2.0, 1)])
def test_tolerance_decides(model, images, times, num_corrections):
    # (1 + e)^2 - 1 = 2 e on each of three diagonal places
    scaled = model.basis.numpy() * np.float32(1 + 1e-3 * times / (2 * np.sqrt(3)))
    guard = CorrectDrift(tolerance=1e-3)
    guard.set_model(model)
    model.basis.assign(scaled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guard.on_epoch_end(0)
    assert guard.num_corrections == num_corrections
    assert np.array_equal(model.basis.numpy(), scaled) == (num_corrections == 0)


def test_every_weight_with_the_constraint_is_looked_at_and_no_other():
    model = keras.Sequential([keras.Input((5,))])
    for name, constraint in (("free", None), ("kept", constraints.Stiefel())):
        layer = keras.layers.Dense(
            3 if name == "kept" else 5,
            kernel_initializer="orthogonal",
            kernel_constraint=constraint,
            name=name,
        )
        model.add(layer)
    model.compile("sgd", "mse")
    for layer in model.layers:
        layer.kernel.assign(2 * layer.kernel)
    free = model.layers[0].kernel.numpy()
    guard = CorrectDrift()
    guard.set_model(model)
    with pytest.warns(UserWarning, match="kept/kernel had left.*epoch 4"):
        guard.on_epoch_end(3)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), free)
    assert _error(model.layers[1].kernel.numpy()) < 1e-5


def test_weight_that_is_not_finite_is_left_to_others(model):
    model.basis.assign(np.full((6, 3), np.nan))
    guard = CorrectDrift()
    guard.set_model(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guard.on_epoch_end(0)
    assert np.isnan(model.basis.numpy()).all()


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_tolerance_must_be_positive(tolerance):
    with pytest.raises(ValueError, match=f"`tolerance` must be positive.*{tolerance}"):
        CorrectDrift(tolerance)
