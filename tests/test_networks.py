import keras
import numpy as np
import pytest

from keras_rkm import networks

_SHAPES = [(28, 28, 1), (32, 32, 3), (64, 64, 3), (32, 48, 1), (28, 64, 2), (4, 4, 1)]


def _pair(shape, **arguments):
    """A small convolutional encoder and decoder of 5 features."""
    arguments = {"capacity": 2, "hidden_dim": 8, **arguments}
    return (
        networks.convolutional_encoder(shape, 5, **arguments),
        networks.convolutional_decoder(5, shape, **arguments),
    )


def _dense_pair(shape, **arguments):
    return networks.dense_encoder(shape, 5, **arguments), networks.dense_decoder(
        5, shape, **arguments
    )


def _images(shape, num_images=3):
    return np.random.default_rng(0).random((num_images, *shape), dtype="float32")


def _layers_of(model, layer_class):
    return [layer for layer in model.layers if type(layer) is layer_class]


@pytest.mark.parametrize("pair", [_pair, _dense_pair])
@pytest.mark.parametrize("shape", _SHAPES)
def test_shapes_go_there_and_back(pair, shape):
    encoder, decoder = pair(shape)
    features = encoder(_images(shape))
    assert features.shape == (3, 5)
    assert decoder(features).shape == (3, *shape)
    assert encoder.output_shape == (None, 5)
    assert decoder.output_shape == (None, *shape)


@pytest.mark.parametrize(
    "shape, kernels, strides",
    [
        ((28, 28, 1), [4, 4, 3], [2, 2, 1]),
        ((32, 28, 1), [4, 4, 3], [2, 2, 1]),
        ((28, 32, 1), [4, 4, 3], [2, 2, 1]),
        ((64, 32, 3), [4, 4, 4], [2, 2, 2]),
    ],
)
def test_convolutions_are_those_of_the_authors_and_the_decoder_mirrors_them(
    shape, kernels, strides
):
    encoder, decoder = _pair(shape, capacity=3)
    down = _layers_of(encoder, keras.layers.Conv2D)
    up = _layers_of(decoder, keras.layers.Conv2DTranspose)[::-1]
    assert [layer.filters for layer in down] == [3, 6, 12]
    assert [layer.filters for layer in up] == [shape[-1], 3, 6]
    for stack in (down, up):
        assert [layer.kernel_size for layer in stack] == [(k, k) for k in kernels]
        assert [layer.strides for layer in stack] == [(s, s) for s in strides]
    assert [layer.output.shape for layer in down[:-1]] == [layer.input.shape for layer in up[:-1]]


def test_number_of_weights_at_the_default_size():
    # Worked by hand: (kernel * kernel * in + 1) * out, (in + 1) * out.
    encoder = networks.convolutional_encoder((28, 28, 1), 128)
    expected = 17 * 64 + (16 * 64 + 1) * 128 + (9 * 128 + 1) * 256
    expected += (7 * 7 * 256 + 1) * 256 + 257 * 128
    assert encoder.count_params() == expected
    decoder = networks.convolutional_decoder(128, (28, 28, 1))
    expected = 129 * 256 + 257 * 7 * 7 * 256
    expected += (9 * 256 + 1) * 128 + (16 * 128 + 1) * 64 + 16 * 64 + 1
    assert decoder.count_params() == expected


def test_dense_encoder_equals_the_formula():
    encoder = networks.dense_encoder((4, 3), 2, hidden_dims=(7, 6), negative_slope=0.3)
    x = _images((4, 3))
    expected = x.reshape(3, 12)
    weights = encoder.get_weights()
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        expected = expected @ kernel + bias
        expected = np.where(expected > 0, expected, 0.3 * expected)
    expected = expected @ weights[-2] + weights[-1]
    np.testing.assert_allclose(encoder(x), expected, rtol=1e-5, atol=1e-6)


def test_dense_networks_without_hidden_layers_are_linear():
    encoder, decoder = _dense_pair((4,), hidden_dims=(), seed=0)
    decoder = networks.dense_decoder(5, (4,), hidden_dims=(), output_activation=None)
    for model, x in ((encoder, _images((4,), 2)), (decoder, _images((5,), 2))):
        total = model(x.sum(axis=0, keepdims=True))
        np.testing.assert_allclose(total, np.sum(model(x), axis=0, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("pair", [_pair, _dense_pair])
def test_features_are_unbounded_and_images_lie_between_0_and_1(pair):
    encoder, decoder = pair((8, 8, 1), seed=1)
    features = np.asarray(encoder(1e3 * (_images((8, 8, 1)) - 0.5)))
    assert features.min() < -1
    assert features.max() > 1
    images = np.asarray(decoder(1e3 * features))
    assert images.min() >= 0
    assert images.max() <= 1
    assert np.ptp(images) > 0.5


@pytest.mark.parametrize("build", [networks.convolutional_decoder, networks.dense_decoder])
def test_output_activation_can_be_left_out(build):
    arguments = {"feature_dim": 5, "output_shape": (8, 8, 1), "seed": 0}
    features = 10 * _images((5,))
    linear = np.asarray(build(**arguments, output_activation=None)(features))
    np.testing.assert_allclose(1 / (1 + np.exp(-linear)), build(**arguments)(features), rtol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("pair", [_pair, _dense_pair])
def test_last_layer_computes_in_float32_under_mixed_precision(pair, policy):
    keras.config.set_dtype_policy(policy)
    encoder, decoder = pair((8, 8, 1))
    hidden = _layers_of(encoder, keras.layers.Dense)[0]
    assert hidden.compute_dtype == policy.removeprefix("mixed_")
    assert encoder.get_layer("features").compute_dtype == "float32"
    features = encoder(_images((8, 8, 1)))
    images = decoder(features)
    assert keras.backend.standardize_dtype(features.dtype) == "float32"
    assert keras.backend.standardize_dtype(images.dtype) == "float32"
    # A sigmoid in half precision has but a few hundred different values near 1/2.
    assert len(np.unique(np.asarray(images).astype("float16"))) < len(np.unique(images))


@pytest.mark.parametrize("pair", [_pair, _dense_pair])
def test_networks_are_float64_from_end_to_end_under_that_policy(pair):
    keras.config.set_dtype_policy("float64")
    for network in pair((8, 8, 1)):
        assert {weight.dtype for weight in network.weights} == {"float64"}
        assert network.input.dtype == network.output.dtype == "float64"


@pytest.mark.parametrize("pair", [_pair, _dense_pair])
def test_seed_fixes_the_initial_weights(pair):
    for model, same, other, fresh, fresher in zip(
        pair((8, 8, 1), seed=7),
        pair((8, 8, 1), seed=7),
        pair((8, 8, 1), seed=8),
        pair((8, 8, 1)),
        pair((8, 8, 1)),
        strict=True,
    ):
        for index, kernel in enumerate(model.get_weights()):
            np.testing.assert_array_equal(kernel, same.get_weights()[index])
            if kernel.ndim > 1:
                assert np.abs(kernel - other.get_weights()[index]).max() > 0.01
                assert (
                    np.abs(fresh.get_weights()[index] - fresher.get_weights()[index]).max() > 0.01
                )


def test_layers_of_equal_shape_start_with_different_weights():
    model = networks.dense_encoder((6,), 6, hidden_dims=(6, 6), seed=0)
    first, second, third = model.get_weights()[::2]
    assert np.abs(first - second).max() > 0.1
    assert np.abs(second - third).max() > 0.1


@pytest.mark.parametrize("pair", [_pair, _dense_pair])
def test_json_round_trip_gives_the_same_architecture_and_initial_weights(pair):
    for model in pair((28, 28, 1), seed=3):
        clone = keras.models.model_from_json(model.to_json())
        assert clone.to_json() == model.to_json()
        for weight, expected in zip(clone.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("pair", [_pair, _dense_pair])
def test_keras_file_gives_the_same_outputs(tmp_path, pair, policy):
    keras.config.set_dtype_policy(policy)
    for model in pair((8, 8, 1)):
        keras.config.set_dtype_policy(policy)
        x = _images(model.input_shape[1:])
        model.save(tmp_path / "model.keras")
        keras.config.set_dtype_policy("float32")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("pair", [_pair, _dense_pair])
def test_channels_come_last_whatever_the_configuration_says(pair):
    encoder, decoder = pair((8, 12, 3), seed=0)
    images = _images((8, 12, 3))
    keras.config.set_image_data_format("channels_first")
    try:
        other_encoder, other_decoder = pair((8, 12, 3), seed=0)
        np.testing.assert_array_equal(other_encoder(images), encoder(images))
        np.testing.assert_array_equal(other_decoder(encoder(images)), decoder(encoder(images)))
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    "build, message",
    [
        (
            lambda: networks.convolutional_encoder((30, 28, 1), 5),
            r"`input_shape`.*divisible by 4.*\(30, 28, 1\).*\(32, 28, 1\).*dense",
        ),
        (
            lambda: networks.convolutional_decoder(5, (28, 27, 1)),
            r"`output_shape`.*divisible by 4.*\(28, 27, 1\).*\(28, 28, 1\).*dense",
        ),
        (
            lambda: networks.convolutional_encoder((28, 28), 5),
            r"`input_shape`.*\(height, width, channels\).*\(28, 28\).*last axis",
        ),
        (
            lambda: networks.convolutional_encoder((None, 28, 1), 5),
            r"`input_shape`.*positive ints.*\(None, 28, 1\)",
        ),
        (
            lambda: networks.convolutional_encoder((28, 28, 1), 0),
            r"`feature_dim`.*feature_dim=0",
        ),
        (
            lambda: networks.convolutional_decoder(5, (28, 28, 1), capacity=-1),
            r"`capacity`.*capacity=-1",
        ),
        (
            lambda: networks.convolutional_encoder((28, 28, 1), 5, hidden_dim=1.5),
            r"`hidden_dim`.*hidden_dim=1.5",
        ),
        (
            lambda: networks.dense_encoder((3,), 5, hidden_dims=(4, 0)),
            r"`hidden_dims`.*\(4, 0\)",
        ),
        (lambda: networks.dense_decoder(5, (0,)), r"`output_shape`.*\(0,\)"),
        (lambda: networks.dense_decoder(0, (3,)), r"`feature_dim`.*feature_dim=0"),
    ],
)
def test_bad_sizes_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
