"""BetaTCVAE: its objective against plain loops, and the size of its data set."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.models import BetaTCVAE
from tests.models.baselines import LATENT_DIM, images, make, weights
from tests.oracles import rkm
from tests.oracles import variational as oracle


def _expected(model, batch, dataset_size):
    features = rkm.features(batch.astype("float64"), weights(model.encoder))
    means = oracle.linear(features, weights(model.mean))
    log_variances = oracle.linear(features, weights(model.log_variance))
    noise = tf.random.stateless_normal((len(batch), LATENT_DIM), [0, 0]).numpy()
    latents = means + np.exp(log_variances / 2) * noise
    information, total_correlation, dimension_divergence = oracle.divergence_parts(
        latents, means, log_variances, dataset_size
    )
    reconstruction_loss = oracle.reconstruction_loss(
        batch, latents, weights(model.latents_to_features), weights(model.decoder),
        model.reconstruction_loss,
    )  # fmt: skip
    divergence = information + model.beta * total_correlation + dimension_divergence
    return {
        "loss": reconstruction_loss + divergence,
        "reconstruction_loss": reconstruction_loss,
        "mutual_information": information,
        "total_correlation": total_correlation,
        "dimension_divergence": dimension_divergence,
    }


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
def test_the_training_loss_equals_the_oracle(loss):
    model, batch = make(BetaTCVAE, reconstruction_loss=loss), images(8)
    expected = _expected(model, batch, dataset_size=200)
    assert model.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-5)


def test_fit_takes_the_size_of_the_dataset_from_an_array_and_a_file_keeps_it(tmp_path):
    model, batch = make(BetaTCVAE, dataset_size=None), images(8)
    for size in (8, 4):  # the second time with what was compiled the first time
        expected = _expected(make(BetaTCVAE), images(8)[:size], dataset_size=size)
        for variable, start in zip(
            model.trainable_variables, make(BetaTCVAE).trainable_variables, strict=True
        ):
            variable.assign(start)
        model.optimizer.iterations.assign(0)
        logs = model.fit(batch[:size], shuffle=False, verbose=0).history
        assert {name: values[0] for name, values in logs.items()} == pytest.approx(
            expected, rel=1e-5
        )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded._num_images) == 4 and loaded.dataset_size is None


def test_a_dataset_needs_the_number_of_its_images():
    dataset = tf.data.Dataset.from_tensor_slices(images()).batch(16)
    with pytest.raises(ValueError, match="dataset_size=None, data of type _BatchDataset"):
        make(BetaTCVAE, dataset_size=None).fit(dataset, shuffle=False, verbose=0)
    history = make(BetaTCVAE).fit(dataset, shuffle=False, verbose=0).history
    assert np.isfinite(history["total_correlation"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"beta": -1.0}, "beta=-1.0"), ({"dataset_size": 0}, "dataset_size=0")],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(BetaTCVAE, **arguments)
