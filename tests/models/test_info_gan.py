"""InfoGAN: its objectives against the oracle, who moves by which, and a short training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.models import InfoGAN
from keras_rkm.samplers import StandardNormalSampler
from keras_rkm.samplers.drawing import normal_rows, row_keys, row_seeds
from tests.models.baselines import IMAGE_SHAPE, LATENT_DIM, images, make, patterns, weights
from tests.oracles import rkm
from tests.oracles import variational as oracle


def _generated(model, noise, codes):
    """Images `(batch, pixels)`."""
    latents = np.concatenate([noise, codes], axis=1).astype("float64")
    features = oracle.linear(latents, weights(model.codes_to_features))
    return rkm.decode(features, weights(model.decoder))


def test_both_training_losses_equal_the_oracle():
    model, batch = make(InfoGAN, noise_dim=4, information_weight=0.9), images(8)
    noise_seed, codes_seed = tf.unstack(tf.random.split([0, 0], 2))
    noise = tf.random.stateless_normal((8, 4), noise_seed).numpy()
    codes = tf.random.stateless_normal((8, LATENT_DIM), codes_seed).numpy()
    real, fake = (
        rkm.features(array.astype("float64"), weights(model.encoder))
        for array in (batch, _generated(model, noise, codes))
    )
    real_logits, fake_logits = (oracle.linear(each, weights(model.logits)) for each in (real, fake))
    guesses = oracle.linear(fake, weights(model.codes))
    information_loss = np.mean(0.5 * np.sum((codes - guesses) ** 2, axis=1))
    fooled = -np.mean(np.log(oracle.sigmoid(fake_logits)))
    told = oracle.discriminator_loss(real_logits, fake_logits)
    assert model.train_on_batch(batch, return_dict=True) == pytest.approx(
        {
            "loss": fooled + 0.9 * information_loss,
            "discriminator_loss": told + 0.9 * information_loss,
            "information_loss": information_loss,
        },
        rel=1e-5,
    )


@pytest.mark.parametrize("rates", [(0.0, 0.1), (0.1, 0.0)])
def test_each_step_moves_its_own_player_only(rates):
    model = make(InfoGAN, compiled=False)
    model.compile(*map(keras.optimizers.SGD, rates))
    layers = {
        "generator": [model.codes_to_features, model.decoder],
        "discriminator": [model.encoder, model.logits, model.codes],
    }
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(images())
    moved = {
        id(v)
        for v, start in zip(model.trainable_variables, before, strict=True)
        if np.any(v.numpy() != start)
    }
    mover = "generator" if rates[0] else "discriminator"
    assert moved == {id(v) for layer in layers[mover] for v in layer.trainable_variables}


def test_latents_are_the_guess_of_the_codes():
    model, batch = make(InfoGAN), images(8)
    features = rkm.features(batch.astype("float64"), weights(model.encoder))
    np.testing.assert_allclose(
        model.encode(batch), oracle.linear(features, weights(model.codes)), atol=1e-5
    )


def test_decode_takes_no_noise_and_generate_draws_it():
    model, sampler = make(InfoGAN, noise_dim=4), StandardNormalSampler(latent_dim=LATENT_DIM)
    codes = sampler.sample(8, seed=3).numpy()
    seeds = row_seeds(8, 3)
    noise = normal_rows(row_keys(seeds), 4, stream=1).numpy()
    assert np.abs(noise[:, :3] - codes).min() > 1e-4  # though both come from the same seeds
    for drawn, expected in (
        (model.decode(codes), _generated(model, 0 * noise, codes)),
        (model.generate(8, sampler, seed=3), _generated(model, noise, codes)),
        (model.decode_from_seeds(codes, seeds), _generated(model, noise, codes)),
    ):
        np.testing.assert_allclose(drawn, expected.reshape(8, *IMAGE_SHAPE), atol=1e-5)


def test_noise_of_a_row_comes_from_its_own_seed_and_a_negative_one_is_fresh():
    model = make(InfoGAN, noise_dim=4)
    codes, seeds = np.zeros((4, LATENT_DIM), "float32"), np.array([5, 6, 5, -1])
    drawn = model.decode_from_seeds(codes, seeds).numpy()
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert np.any(drawn[0] != drawn[1])
    alone = model.decode_from_seeds(codes[1:2], seeds[1:2])
    np.testing.assert_allclose(alone[0], drawn[1], atol=1e-6)
    again = model.decode_from_seeds(codes, seeds).numpy()
    np.testing.assert_array_equal(again[:3], drawn[:3])
    assert np.any(again[3] != drawn[3])


def test_seeds_go_with_latents_of_the_right_size():
    with pytest.raises(ValueError, match=r"shape \(batch, 3\)"):
        make(InfoGAN).decode_from_seeds(np.zeros((2, 4)), np.array([0, 1]))


def test_codes_can_be_read_off_images_after_a_short_training():
    model = make(InfoGAN, hidden_dims=(32,))
    logs = model.fit(patterns(), batch_size=64, epochs=40, verbose=0).history
    assert logs["information_loss"][-1] < 0.5 * logs["information_loss"][0]
    assert all(np.isfinite(values).all() for values in logs.values())


def test_optimizers_are_those_of_the_paper_by_default():
    optimizer = make(InfoGAN).optimizer
    for inner, rate in ((optimizer.optimizer, 1e-3), (optimizer.discriminator_optimizer, 2e-4)):
        assert (float(inner.learning_rate), inner.beta_1) == pytest.approx((rate, 0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"noise_dim": 0}, "noise_dim=0"), ({"information_weight": -1}, "information_weight=-1")],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(InfoGAN, **arguments)
