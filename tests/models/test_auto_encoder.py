"""AutoEncoder: its objective against the oracle."""

import numpy as np
import pytest

from keras_rkm.models import AutoEncoder
from tests.models.baselines import images, make, weights
from tests.oracles import rkm
from tests.oracles import variational as oracle


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
def test_the_training_loss_equals_the_oracle(loss):
    model, batch = make(AutoEncoder, reconstruction_loss=loss), images()
    features = rkm.features(batch.astype("float64"), weights(model.encoder))
    latents = oracle.linear(features, weights(model.features_to_latents))
    np.testing.assert_allclose(model.encode(batch), latents, atol=1e-5)
    expected = oracle.reconstruction_loss(
        batch, latents, weights(model.latents_to_features), weights(model.decoder), loss
    )
    evaluated = model.evaluate(batch, batch_size=20, verbose=0, return_dict=True)
    logs = model.train_on_batch(batch, return_dict=True)
    for values in (evaluated, logs):
        assert values == pytest.approx(
            {"loss": expected, "reconstruction_loss": expected}, rel=1e-5
        )
