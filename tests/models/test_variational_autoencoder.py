"""VariationalAutoencoder: its objective against the oracle."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.models import VariationalAutoencoder, variational
from tests.models.baselines import LATENT_DIM, images, make, weights
from tests.oracles import rkm
from tests.oracles import variational as oracle

_PRIORS = {
    "normal": oracle.normal_log_density,
    "quartic": lambda z: oracle.quartic_log_density(z, variational.QUARTIC_COEFFICIENT),
}


def _expected(model, batch, step):
    features = rkm.features(batch.astype("float64"), weights(model.encoder))
    means = oracle.linear(features, weights(model.mean))
    log_variances = oracle.linear(features, weights(model.log_variance))
    noise = tf.random.stateless_normal((len(batch), LATENT_DIM), [0, step]).numpy()
    latents = means + np.exp(log_variances / 2) * noise
    divergence = oracle.divergence(means, log_variances, _PRIORS[model.prior]).mean()
    reconstruction_loss = oracle.reconstruction_loss(
        batch, latents, weights(model.latents_to_features), weights(model.decoder),
        model.reconstruction_loss,
    )  # fmt: skip
    return {
        "loss": reconstruction_loss + model.beta * divergence,
        "reconstruction_loss": reconstruction_loss,
        "divergence": divergence,
    }


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
@pytest.mark.parametrize("prior", list(_PRIORS))
def test_the_training_loss_equals_the_oracle(loss, prior):
    model = make(VariationalAutoencoder, reconstruction_loss=loss, prior=prior, beta=1.7)
    batch = images(4)
    expected = _expected(model, batch, step=0)
    assert model.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-5)
    expected = _expected(model, batch, step=1)  # other noise
    assert model.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-5)


def test_evaluation_draws_the_same_noise_each_time():
    model, batch = make(VariationalAutoencoder), images(4)
    expected = _expected(model, batch, step=-1)
    for _ in range(2):
        logs = model.evaluate(batch, verbose=0, return_dict=True)
        assert logs == pytest.approx(expected, rel=1e-5)


def test_latents_are_the_mean_of_the_posterior():
    model, batch = make(VariationalAutoencoder), images(4)
    mean, log_variance = model.posterior(batch)
    np.testing.assert_array_equal(model.encode(batch), mean)
    features = model.encoder(batch)
    np.testing.assert_allclose(log_variance, model.log_variance(features), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"beta": -1.0}, "beta=-1.0"), ({"prior": "cauchy"}, "prior='cauchy'")],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(VariationalAutoencoder, **arguments)
