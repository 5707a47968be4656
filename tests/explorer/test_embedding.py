"""The packed decoder stays near the pictures of the model."""

import keras
import numpy as np
import pytest

from keras_rkm import networks
from keras_rkm.explorer import embed_decoder, embedding

from .decoders import strengthened

OFFSET = np.array([0.5, -1.0, 0.2], "float32")


@pytest.fixture
def basis():
    return np.linalg.qr(np.random.default_rng(0).normal(size=(8, 3)))[0].astype("float32")


@pytest.fixture
def latents():
    return np.random.default_rng(1).normal(size=(200, 3)).astype("float32")


@pytest.fixture
def decoder():
    """One whose last layer is large: 256 x 768."""
    return strengthened(networks.dense_decoder(8, (16, 16, 3), hidden_dims=(256,), seed=0))


def _expected(decoder, basis, latents):
    return np.asarray(decoder((latents + OFFSET) @ basis.T))


def _embed(decoder, basis, latents, expected):
    others = np.random.default_rng(2).normal(size=(3_000, 3)).astype("float32")
    return embed_decoder(
        decoder, basis=basis, offset=OFFSET, latents=others, probes=latents, expected=expected
    )


def test_large_layer_is_packed_within_the_target(decoder, basis, latents):
    expected = _expected(decoder, basis, latents)
    assert np.ptp(expected, axis=0).max() > 0.5
    embedded = _embed(decoder, basis, latents, expected)
    assert 0.1 / 255 < embedded.max_error <= 1.25 / 255
    assert [spec["kind"] for spec in embedded.packed.arrays].count("zigzag16") == 1
    # Two bytes for each weight would be 393,216.
    assert len(embedded.packed.data) < 393_216


def test_kernels_of_convolutions_take_16_bits(basis, latents):
    decoder = strengthened(networks.convolutional_decoder(8, (8, 8, 1), capacity=8, hidden_dim=4))
    embedded = _embed(decoder, basis, latents, _expected(decoder, basis, latents))
    assert embedded.max_error <= 1.25 / 255
    assert {spec["kind"] for spec in embedded.packed.arrays} == {"float16", "float32"}


def test_decoder_of_mixed_precision_is_packed_as_that_of_full_precision(basis, latents):
    full = strengthened(networks.dense_decoder(8, (16, 16, 3), hidden_dims=(256,), seed=0))
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = networks.dense_decoder(8, (16, 16, 3), hidden_dims=(256,))
    half.set_weights(full.get_weights())
    embedded = [
        _embed(decoder, basis, latents, _expected(decoder, basis, latents).astype("float32"))
        for decoder in (full, half)
    ]
    assert embedded[1].packed.data == embedded[0].packed.data
    # How far the pictures are from those of the decoder itself is told.
    assert embedded[0].max_error <= 1.25 / 255
    assert embedded[1].max_error != embedded[0].max_error


def test_decoder_that_no_rounding_comes_near_is_left_as_it_is(decoder, basis, latents, monkeypatch):
    monkeypatch.setattr(embedding, "_TARGET", 1e-9)
    embedded = _embed(decoder, basis, latents, _expected(decoder, basis, latents))
    assert {spec["kind"] for spec in embedded.packed.arrays} == {"float32"}
    assert embedded.max_error < 1e-5
