"""FeatureCentering and StiefelProjection on their own."""

import keras
import numpy as np
import pytest

from keras_rkm.constraints import Stiefel
from keras_rkm.layers import FeatureCentering, StiefelProjection
from keras_rkm.manifolds import stiefel


def _batches(num_batches, seed=0):
    return np.random.default_rng(seed).standard_normal((num_batches, 8, 3)).astype("float32") + 5


def test_training_centres_by_the_batch_and_inference_by_the_tracked_mean():
    layer = FeatureCentering()
    (batch,) = _batches(1)
    np.testing.assert_allclose(layer(batch, training=True), batch - batch.mean(axis=0), atol=1e-6)
    other = _batches(1, seed=1)[0]
    np.testing.assert_allclose(layer(other), other - batch.mean(axis=0), atol=1e-6)


def test_the_mean_is_an_average_over_images_that_becomes_exponential():
    layer = FeatureCentering(momentum=0.75)
    batches = [_batches(1, seed)[0][:size] for seed, size in enumerate([8, 1, 8, 3, 8, 8, 8])]
    expected, num_images = np.zeros(3), 0
    for batch in batches:
        layer(batch, training=True)
        num_images += len(batch)
        expected += max(len(batch) / num_images, 0.25) * (batch.mean(axis=0) - expected)
        np.testing.assert_allclose(layer.feature_mean, expected, rtol=1e-5)


def test_a_batch_that_is_not_finite_does_not_enter_the_mean():
    layer = FeatureCentering()
    batch = np.arange(12, dtype="float32").reshape(4, 3)
    layer(batch, training=True)
    layer(np.full((4, 3), np.inf, "float32"), training=True)
    np.testing.assert_allclose(layer.feature_mean, batch.mean(axis=0))
    assert float(layer.num_images) == 4


def test_a_mean_that_was_set_moves_slowly():
    layer = FeatureCentering(momentum=0.9)
    layer.build((None, 3))
    layer.set_mean(np.ones(3))
    layer(np.full((4, 3), 11.0, "float32"), training=True)
    np.testing.assert_allclose(layer.feature_mean, np.full(3, 2.0), rtol=0.1)


@pytest.mark.parametrize("momentum", [1.0, -0.1])
def test_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match=f"momentum={momentum}"):
        FeatureCentering(momentum)


def test_the_basis_starts_orthonormal_and_is_constrained():
    layer = StiefelProjection(3, seed=0)
    layer.build((None, 7))
    assert float(stiefel.orthonormality_error(layer.basis)) < 1e-6
    assert isinstance(layer.basis.constraint, Stiefel)


def test_projection_and_expansion_are_products_with_the_basis():
    layer = StiefelProjection(2)
    features = _batches(1)[0]
    latents = layer(features)
    basis = layer.basis.numpy()
    np.testing.assert_allclose(latents, features @ basis, atol=1e-5)
    np.testing.assert_allclose(layer.expand(latents), features @ basis @ basis.T, atol=1e-5)


def test_a_seed_gives_the_same_basis():
    def basis(seed):
        layer = StiefelProjection(2, seed=seed)
        layer.build((None, 5))
        return layer.basis.numpy()

    np.testing.assert_array_equal(basis(3), basis(3))
    assert np.any(basis(3) != basis(4))


@pytest.mark.parametrize("layer_class", [FeatureCentering, lambda **k: StiefelProjection(2, **k)])
def test_layers_compute_in_float32_under_mixed_precision(layer_class):
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = layer_class()
    assert layer(_batches(1)[0]).dtype == "float32"
    assert layer_class(dtype="float64").compute_dtype == "float64"


@pytest.mark.parametrize("layer", [FeatureCentering(0.5), StiefelProjection(2, seed=1)])
def test_layers_survive_a_keras_file(layer, tmp_path):
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    (batch,) = _batches(1)
    np.testing.assert_array_equal(loaded(batch), model(batch))
