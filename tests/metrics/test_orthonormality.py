"""The Keras metric of orthonormality."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.metrics import OrthonormalityError


def test_is_the_frobenius_norm_of_the_defect():
    matrix = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    metric = OrthonormalityError()
    metric.update_state(matrix)
    expected = np.linalg.norm(matrix.T @ matrix - np.eye(3))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_orthonormal_columns_have_no_error():
    metric = OrthonormalityError()
    metric.update_state(np.linalg.qr(np.random.default_rng(0).normal(size=(50, 8)))[0])
    assert float(metric.result()) < 1e-6


def test_averages_over_updates_and_starts_again():
    metric = OrthonormalityError()
    # |4 - 1| and |0 - 1|
    metric.update_state(tf.constant([[2.0]]))
    metric.update_state(tf.constant([[0.0]]), sample_weight=3)
    assert float(metric.result()) == pytest.approx((3 + 3 * 1) / 4)
    metric.reset_state()
    metric.update_state(tf.constant([[[2.0]], [[0.0]]]))
    assert float(metric.result()) == pytest.approx(2)


def test_takes_variables_and_runs_in_a_graph():
    metric = OrthonormalityError()
    weight = keras.Variable(np.eye(4, 2, dtype=np.float32))

    @tf.function
    def step():
        weight.assign(2 * weight)
        metric.update_state(weight)

    step()
    step()
    # Two columns: sqrt(2) |4 - 1|, then sqrt(2) |16 - 1|.
    assert float(metric.result()) == pytest.approx(np.sqrt(2) * (3 + 15) / 2, rel=1e-6)


def test_survives_serialization():
    metric = OrthonormalityError(name="drift")
    found = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert isinstance(found, OrthonormalityError) and found.name == "drift"


def test_vector_is_refused():
    with pytest.raises(ValueError, match=r"`matrix` must have the shape.*shape=\(3,\)"):
        OrthonormalityError().update_state(tf.zeros(3))
