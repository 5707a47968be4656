"""FactorVAE: its objectives against the oracle, and who moves by which."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm._replicas import Share
from keras_rkm.models import FactorVAE, variational
from keras_rkm.models.adversarial import discriminator_loss
from keras_rkm.optimizers import AdversarialRouter
from tests.models.baselines import LATENT_DIM, images, make, weights
from tests.oracles import rkm
from tests.oracles import variational as oracle


def _expected(model, batch):
    noise_seed, permutation_seed = tf.unstack(tf.random.split([0, 0], 2))
    features = rkm.features(batch.astype("float64"), weights(model.encoder))
    means = oracle.linear(features, weights(model.mean))
    log_variances = oracle.linear(features, weights(model.log_variance))
    noise = tf.random.stateless_normal((len(batch), LATENT_DIM), noise_seed).numpy()
    latents = means + np.exp(log_variances / 2) * noise
    permuted = variational.permute_latents(tf.constant(latents), permutation_seed).numpy()
    assert not np.any(np.all(permuted == latents, axis=1))
    logits, permuted_logits = (
        oracle.leaky_relu_network(codes, weights(model.discriminator))
        for codes in (latents, permuted)
    )
    divergence = oracle.divergence(means, log_variances, oracle.normal_log_density).mean()
    reconstruction_loss = oracle.reconstruction_loss(
        batch, latents, weights(model.latents_to_features), weights(model.decoder),
        model.reconstruction_loss,
    )  # fmt: skip
    return {
        "loss": reconstruction_loss + divergence + model.gamma * logits.mean(),
        "reconstruction_loss": reconstruction_loss,
        "divergence": divergence,
        "total_correlation": logits.mean(),
        "discriminator_loss": oracle.discriminator_loss(logits, permuted_logits),
    }


def _lively(model):
    """With a discriminator whose logits are far from zero, for a test that can fail."""
    for variable in model.discriminator.trainable_variables:
        variable.assign(2.0 * variable + 0.1)
    return model


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
def test_both_training_losses_equal_the_oracle(loss):
    model, batch = _lively(make(FactorVAE, reconstruction_loss=loss)), images(8)
    expected = _expected(model, batch)
    assert abs(expected["total_correlation"]) > 0.1
    assert model.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-4)


def _moved_after_a_step(optimizer, discriminator_optimizer):
    model = _lively(make(FactorVAE, compiled=False))
    model.compile(keras.optimizers.SGD(optimizer), keras.optimizers.SGD(discriminator_optimizer))
    before = {v.path: v.numpy() for v in model.trainable_variables}
    model.train_on_batch(images())
    moved = {v.path for v in model.trainable_variables if np.any(v.numpy() != before[v.path])}
    discriminator = {v.path for v in model.discriminator.trainable_variables}
    return moved, discriminator, set(before)


def test_the_step_of_the_discriminator_moves_nothing_else():
    moved, discriminator, _ = _moved_after_a_step(0.0, 0.1)
    assert moved == discriminator


def test_the_step_of_the_rest_does_not_move_the_discriminator():
    moved, discriminator, everything = _moved_after_a_step(0.1, 0.0)
    assert moved == everything - discriminator


def test_the_discriminator_descends_its_own_loss():
    model = make(FactorVAE, compiled=False)
    model.compile("adam", keras.optimizers.SGD(0.1))
    seed = tf.constant([0, 0])
    with tf.GradientTape() as tape:
        share = Share.of(images())
        values = model._values(tf.constant(images()), share, seed, training=True)
        loss = values["discriminator_loss"]
    variables = model.discriminator.trainable_variables
    gradients = tape.gradient(loss, variables)
    expected = [v.numpy() - 0.1 * g.numpy() for v, g in zip(variables, gradients, strict=True)]
    model.train_on_batch(images())
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, atol=1e-6)


def test_the_discriminator_finds_the_total_correlation_of_a_gaussian():
    model = make(FactorVAE, latent_dim=2, discriminator_width=64)
    generator = np.random.default_rng(0)
    correlation = 0.8
    factor = np.linalg.cholesky([[1, correlation], [correlation, 1]])
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def step(latents, seed):
        with tf.GradientTape() as tape:
            logits = model.discriminator(latents)
            permuted = variational.permute_latents(latents, seed)
            loss = discriminator_loss(logits, model.discriminator(permuted), Share.of(latents))
        variables = model.discriminator.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return tf.reduce_mean(logits)

    found = []
    for number in range(300):
        latents = (generator.standard_normal((512, 2)) @ factor.T).astype("float32")
        found.append(step(tf.constant(latents), tf.constant([0, number])).numpy())
    assert np.mean(found[-100:]) == pytest.approx(-0.5 * np.log(1 - correlation**2), rel=0.1)


def test_optimizers_are_those_of_the_paper_by_default():
    optimizer = make(FactorVAE).optimizer
    inner = optimizer.discriminator_optimizer
    assert isinstance(optimizer, AdversarialRouter)
    assert (float(inner.learning_rate), inner.beta_1, inner.beta_2) == pytest.approx(
        (1e-4, 0.5, 0.9)
    )
    default = FactorVAE(*_networks(), latent_dim=2)
    hidden = [w.shape for w in default.discriminator.weights if len(w.shape) == 2]
    assert hidden == [(2, 1000), *5 * [(1000, 1000)], (1000, 1)]


def _networks():
    model = make(FactorVAE, compiled=False)
    return model.encoder, model.decoder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": -1.0}, "gamma=-1.0"),
        ({"discriminator_width": 0}, "discriminator_width=0"),
        ({"discriminator_depth": 1.5}, "discriminator_depth=1.5"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(FactorVAE, **arguments)


def test_two_optimizers_for_the_discriminator_are_refused():
    with pytest.raises(ValueError, match="has an optimizer for the discriminator"):
        make(FactorVAE, compiled=False).compile(AdversarialRouter(), "adam")
