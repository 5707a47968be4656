"""The callbacks, read back from the files that they write."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_rkm import callbacks, evaluation, metrics, models, samplers
from keras_rkm.callbacks import (
    BasisSummary,
    EvaluationSummary,
    LatentSpectrum,
    StopOnNonFinite,
)

from .conftest import make_model


def _events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {
        tag: [tf.make_ndarray(event.tensor_proto) for event in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
    }


class _Bases(keras.callbacks.Callback):
    """Remembers U after each epoch."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_epoch_end(self, epoch, logs=None):
        self.values.append(np.array(self.model.basis))


def test_spectrum_is_that_of_principal_axes(model, images, tmp_path):
    spectrum = LatentSpectrum(tmp_path, images)
    model.fit(images, epochs=2, verbose=0, callbacks=[spectrum])
    events = _events(tmp_path / "latents")
    # `rotate` leaves the span of U, and so the spectrum of the latents, as it was.
    axes = model.fit_principal_axes(images)
    names = [f"explained_variance/axis_{number}" for number in (1, 2, 3)]
    assert set(events) == {*names, "explained_variance_ratio"}
    assert all(len(values) == 2 for values in events.values())
    last = [float(events[name][-1]) for name in names]
    np.testing.assert_allclose(last, axes.explained_variance, rtol=1e-4)
    ratio = float(events["explained_variance_ratio"][-1])
    assert ratio == pytest.approx(axes.explained_variance_ratio.sum(), rel=1e-4)


@pytest.fixture
def baseline():
    return make_model(models.AutoEncoder)


def test_spectrum_of_a_model_without_a_basis_has_no_share_of_the_features(
    baseline, images, tmp_path
):
    baseline.fit(images, verbose=0, callbacks=[LatentSpectrum(tmp_path, images)])
    events = _events(tmp_path / "latents")
    found = [float(events[f"explained_variance/axis_{number}"][-1]) for number in (1, 2, 3)]
    assert len(events) == 3
    latents = baseline.encode(images).numpy().astype("float64")
    singular_values = np.linalg.svd(latents - latents.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(found, singular_values**2 / len(images), rtol=1e-4)


def test_basis_summary_refuses_a_model_without_a_basis_before_it_trains(baseline, images, tmp_path):
    with pytest.raises(ValueError, match="a StiefelRKM. Received: a AutoEncoder"):
        baseline.fit(images, verbose=0, callbacks=[BasisSummary(tmp_path)])
    assert int(baseline.optimizer.iterations) == 0
    assert not (tmp_path / "basis").exists()


def test_spectrum_needs_two_images(images, tmp_path):
    with pytest.raises(ValueError, match="at least two.*Received: 1"):
        LatentSpectrum(tmp_path, images[:1])


def test_basis_summary_counts_every_entry_and_measures_the_turn(model, images, tmp_path):
    bases = _Bases()
    model.fit(images, epochs=2, verbose=0, callbacks=[bases, BasisSummary(tmp_path)])
    events = _events(tmp_path / "basis")
    histogram = events["basis"][-1]
    assert histogram[:, 2].sum() == bases.values[1].size
    assert histogram[0, 0] == pytest.approx(bases.values[1].min(), rel=1e-5)
    for value, basis in zip(events["orthonormality_error"], bases.values, strict=True):
        drift = np.linalg.norm(basis.T.astype("float64") @ basis - np.eye(3))
        assert float(value) == pytest.approx(drift, rel=1e-3, abs=1e-9)
    from scipy.linalg import subspace_angles

    [turn] = events["basis_turn"]
    expected = subspace_angles(*(basis.astype("float64") for basis in bases.values)).max()
    assert expected > 1e-3
    assert float(turn) == pytest.approx(expected, rel=1e-4)


def test_stock_callback_writes_the_rest_once(model, images, tmp_path):
    """If it no longer does, or does more, the callbacks have to follow."""
    stock = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    ours = [LatentSpectrum(tmp_path, images), BasisSummary(tmp_path)]
    model.fit(images, verbose=0, callbacks=[stock, *ours])
    stock_tags = set(_events(tmp_path / "train"))
    assert stock_tags == {
        "epoch_learning_rate_adam",
        "epoch_learning_rate_cayley_adam",
        "epoch_loss",
        "epoch_orthonormality_error",
        "epoch_pca_loss",
        "epoch_reconstruction_loss",
    }
    rates = {name: float(_events(tmp_path / "train")[name][0]) for name in stock_tags}
    assert rates["epoch_learning_rate_cayley_adam"] == pytest.approx(1e-2)
    assert rates["epoch_learning_rate_adam"] == pytest.approx(1e-3)


def test_callbacks_can_train_twice(model, images, tmp_path):
    both = [LatentSpectrum(tmp_path, images), BasisSummary(tmp_path)]
    model.fit(images, verbose=0, callbacks=both)
    model.fit(images, verbose=0, callbacks=both, initial_epoch=1, epochs=2)
    folders = [tmp_path / "latents", tmp_path / "basis"]
    assert all(len(list(folder.iterdir())) == 2 for folder in folders)


class _Sum(keras.Model):
    """A model whose loss is the sum of its batch."""

    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def train_step(self, data):
        return {"loss": tf.reduce_sum(data)}


def test_loss_that_is_not_finite_is_named_by_epoch_and_step():
    model = _Sum()
    model.compile()
    data = tf.data.Dataset.from_tensor_slices(np.array([[1.0], [2.0], [np.inf], [4.0]]))
    with pytest.raises(FloatingPointError, match="`loss` was inf at epoch 1, step 3"):
        model.fit(data, verbose=0, shuffle=False, callbacks=[StopOnNonFinite()])


def test_epoch_in_the_message_counts_from_one():
    model = _Sum()
    model.compile()
    data = tf.data.Dataset.from_tensor_slices(np.array([[np.nan]]))
    with pytest.raises(FloatingPointError, match="`loss` was nan at epoch 3, step 1"):
        model.fit(
            data, verbose=0, shuffle=False, initial_epoch=2, epochs=3, callbacks=[StopOnNonFinite()]
        )


def test_weight_that_is_not_finite_is_found_at_the_end_of_an_epoch():
    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.factor.assign(np.nan)

    model = _Sum()
    model.compile()
    data = tf.data.Dataset.from_tensor_slices(np.zeros((2, 1)))
    saved = []
    after = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: saved.append(epoch))
    with pytest.raises(FloatingPointError, match="a weight, .*factor, was not finite at epoch 1"):
        model.fit(data, verbose=0, shuffle=False, callbacks=[StopOnNonFinite(), Break(), after])
    assert not saved


def test_finite_training_is_left_alone(model, images):
    history = model.fit(images, epochs=2, verbose=0, callbacks=[callbacks.StopOnNonFinite()])
    assert len(history.history["loss"]) == 2


def test_evaluation_is_that_of_the_principal_axes_of_the_moment(model, images, tmp_path):
    factors = images.reshape(32, -1)[:, :2].round()
    preset = evaluation.Preset(
        32, 4, 10, ("reconstruction_error", "orthogonality_of_variation", "dci_lasso")
    )
    known = {"factors": factors, "factor_names": ["a", "b"], "preset": preset, "seed": 3}
    model.fit(images, epochs=2, verbose=0, callbacks=[EvaluationSummary(tmp_path, images, **known)])
    events = _events(tmp_path / "evaluation")
    expected = evaluation.evaluate(model, images, principal_axes=True, **known)
    assert set(events) == {*expected.scalars(), "disentanglement/importances"}
    for tag, value in expected.scalars().items():
        assert len(events[tag]) == 2
        np.testing.assert_allclose(events[tag][-1], value, rtol=1e-4)


def test_evaluation_with_an_extractor_draws_from_a_gaussian_of_the_latents(model, images, tmp_path):
    preset = evaluation.Preset(32, 4, 10, ("frechet_distance",))
    flatten = keras.layers.Flatten()
    summary = EvaluationSummary(tmp_path, images, extractor=flatten, preset=preset)
    model.fit(images, epochs=1, verbose=0, callbacks=[summary])
    (value,) = _events(tmp_path / "evaluation")["generation/frechet_distance/value"]
    sampler = samplers.GaussianSampler().adapt(model.encode(images))
    generated = np.round(255 * np.asarray(model.generate(32, sampler, seed=0))) / 255
    expected = metrics.frechet_distance(images.reshape(32, -1), generated.reshape(32, -1))
    assert value == pytest.approx(expected.value, rel=1e-3)


def test_evaluation_comes_every_so_many_epochs(model, images, tmp_path):
    preset = evaluation.Preset(32, 4, 10, ("reconstruction_error",))
    summary = EvaluationSummary(tmp_path, images, preset=preset, every=2)
    model.fit(images, epochs=5, verbose=0, callbacks=[summary])
    accumulator = EventAccumulator(str(tmp_path / "evaluation"))
    accumulator.Reload()
    tag = "reconstruction/reconstruction_error/squared_error"
    assert [event.step for event in accumulator.Tensors(tag)] == [1, 3]
    with pytest.raises(ValueError, match="every=0"):
        EvaluationSummary(tmp_path, images, every=0)
