"""Trainings that break off at a step and go on from it, and when checkpoints are made."""

import time

import keras
import numpy as np
import pytest

from keras_rkm import networks
from keras_rkm.checkpoints import CheckpointStore, Position, ResumeTraining, SaveCheckpoints
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM

_STEPS = 5  # of an epoch
_EPOCHS = 3


@pytest.fixture(scope="module")
def data():
    return Dataset("noise", np.random.default_rng(0).integers(0, 256, (22, 4, 4, 1), np.uint8))


class _Record(keras.callbacks.Callback):
    """Keeps the logs of every epoch, and calls `action` at a step counted over all epochs."""

    def __init__(self, start=0, action=None, step=None):
        super().__init__()
        self.rows = {}
        self._step, self._action, self._at = start, action, step

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if self._step == self._at:
            self._action()

    def on_epoch_end(self, epoch, logs=None):
        self.rows[epoch] = dict(logs)


class _Killed(Exception):
    pass


def _kill(save):
    raise _Killed


def _plain():
    """A model that draws from a seed generator in every step."""
    layers = [
        keras.Input((4, 4, 1)),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.3, seed=3),
        keras.layers.Dense(16, kernel_initializer=keras.initializers.GlorotUniform(seed=1)),
        keras.layers.Reshape((4, 4, 1)),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    return model


def _rkm():
    model = StiefelRKM(
        networks.dense_encoder((4, 4, 1), 6, hidden_dims=(), seed=1),
        networks.dense_decoder(6, (4, 4, 1), hidden_dims=(), seed=2),
        latent_dim=2,
        reconstruction_mode="noisy",
        noise_stddev=0.5,
        seed=0,
    )
    model.compile("adam")
    return model


def _train(store, data, action=None, step=None, found=None, make_model=_plain, **options):
    """Trains for three epochs, from the checkpoint if there is one; returns model and rows."""
    at = found.position if found else Position()
    model = found.model if found else make_model()
    save = SaveCheckpoints(store, resumed_from=at, **options)
    record = _Record(at.step, lambda: action(save), step)
    model.fit(
        _batches(data, num_epochs=None, drop_remainder=True, start_step=at.step),
        validation_data=_batches(data, shuffle=False),
        initial_epoch=at.epoch,
        epochs=_EPOCHS,
        steps_per_epoch=_STEPS,
        shuffle=False,
        verbose=0,
        callbacks=[*([ResumeTraining(found)] if found else []), record, save],
    )
    return model, record.rows


def _batches(data, **options):
    return data.batches(4, **options).map(lambda images: (images, images))


def _assert_equal(model, other):
    for ours, theirs in zip(_variables(model), _variables(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _variables(model):
    return [*model.variables, *model.optimizer.variables]


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    return _train(CheckpointStore(tmp_path_factory.mktemp("whole")), data)


@pytest.mark.parametrize(
    "killed_at, goes_on_at, make_model",
    [(1, 0, _plain), (8, 6, _rkm), (8, 6, _plain), (10, 9, _plain), (11, 10, _plain)],
)
def test_training_that_was_killed_ends_as_if_it_had_not(
    killed_at, goes_on_at, make_model, data, uninterrupted, tmp_path
):
    if make_model is not _plain:
        uninterrupted = _train(CheckpointStore(tmp_path / "whole"), data, make_model=make_model)
    store = CheckpointStore(tmp_path)
    with pytest.raises(_Killed):
        _train(store, data, _kill, killed_at, make_model=make_model, every_steps=3)
    found = store.load()
    assert (found.position.step if found else 0) == goes_on_at
    model, rows = _train(store, data, found=found, make_model=make_model, every_steps=3)
    _assert_equal(model, uninterrupted[0])
    # The mean losses of the epoch that was gone on with are those of the whole epoch.
    for epoch, logs in rows.items():
        assert logs == uninterrupted[1][epoch]
    assert list(rows) == list(range(goes_on_at // _STEPS, _EPOCHS))


def test_another_callback_can_end_the_epoch_that_is_gone_on_with(data, tmp_path):
    store = CheckpointStore(tmp_path)
    with pytest.raises(_Killed):
        _train(store, data, _kill, 7, every_steps=1)
    found = store.load()
    last = found.position.step + 1
    assert last % _STEPS  # in the middle of the epoch

    def stop(save):
        save.model.stop_training = True

    _train(store, data, stop, last, found=found)
    assert store.load().position.step == last


def test_checkpoints_are_made_at_the_ends_of_epochs_and_steps(data, tmp_path):
    store = CheckpointStore(tmp_path, keep=20)
    _, rows = _train(store, data, every_epochs=2, every_steps=4)
    # 15 ends the training; 4, 8 and 12 are asked for, and 10 ends the second epoch.
    assert store.steps() == [4, 8, 10, 12, 15]
    assert store.load().position == Position(15, 3, 0, pytest.approx(rows[2]))


def test_checkpoint_that_is_due_at_the_last_step_of_an_epoch_is_made_after_it(data, tmp_path):
    store = CheckpointStore(tmp_path)
    with pytest.raises(_Killed):
        _train(store, data, _kill, 6, every_epochs=3, every_steps=5)
    position = store.load().position
    assert (position.step, position.epoch, position.epoch_step) == (5, 1, 0)
    assert "val_loss" in position.logs


def test_best_is_that_of_the_least_monitored_log(data, tmp_path):
    store = CheckpointStore(tmp_path, keep=1)
    save = SaveCheckpoints(store, monitor="val_loss")
    save.set_model(_plain())
    save.set_params({"steps": 1, "epochs": 9})
    save.on_train_begin()
    for epoch, loss in enumerate((0.5, 0.2, 0.3, 0.4)):
        save.on_epoch_begin(epoch)
        save.on_train_batch_end(0, {"loss": 0.0})
        save.on_epoch_end(epoch, {"loss": 0.0, "val_loss": loss})
    assert store.steps() == [2, 4]


def test_minutes_are_counted_from_the_last_checkpoint(data, tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 25))  # each look at it is 25 seconds after the one before
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    store = CheckpointStore(tmp_path, keep=20)
    save = SaveCheckpoints(store, every_epochs=9, every_minutes=1)
    save.set_model(_plain())
    save.set_params({"steps": 100, "epochs": 9})
    save.on_train_begin()
    save.on_epoch_begin(0)
    for batch in range(12):
        save.on_train_batch_end(batch, {})
    assert store.steps() == [3, 6, 9, 12]


def test_asked_for_it_saves_after_the_step_and_leaves_fit(data, uninterrupted, tmp_path):
    store = CheckpointStore(tmp_path)
    with pytest.raises(_Killed):
        _train(store, data, lambda save: save.save_soon(_Killed()), 7)
    assert store.steps() == [5, 7]
    model, _ = _train(store, data, found=store.load())
    _assert_equal(model, uninterrupted[0])


def test_asked_for_it_at_the_end_of_an_epoch_it_saves_the_epoch(data, tmp_path):
    store = CheckpointStore(tmp_path)
    with pytest.raises(_Killed):
        _train(store, data, lambda save: save.save_soon(_Killed()), 10, every_epochs=9)
    position = store.load().position
    assert (position.step, position.epoch, position.epoch_step) == (10, 2, 0)


def test_data_that_end_before_the_epoch_are_no_epoch(data, tmp_path):
    model = _plain()
    save = SaveCheckpoints(CheckpointStore(tmp_path), every_steps=3)
    batches = _batches(data, num_epochs=None, drop_remainder=True).take(8)
    with (
        pytest.warns(UserWarning, match="ran out of data"),
        pytest.raises(ValueError, match="The data ended in epoch 2 after 3 of 5 steps"),
    ):
        model.fit(batches, epochs=3, steps_per_epoch=5, shuffle=False, verbose=0, callbacks=[save])
    assert CheckpointStore(tmp_path).load().position.step == 6


def test_epoch_of_unknown_size_is_refused(data, tmp_path):
    batches = _batches(data).filter(lambda *_: True)
    with pytest.raises(ValueError, match="Received: data of unknown size"):
        _plain().fit(
            batches,
            shuffle=False,
            verbose=0,
            callbacks=[SaveCheckpoints(CheckpointStore(tmp_path))],
        )


@pytest.mark.parametrize("name", ["every_epochs", "every_steps", "every_minutes"])
def test_interval_that_is_not_positive_is_told(name, tmp_path):
    with pytest.raises(ValueError, match=f"`{name}` must be positive. Received: {name}=0"):
        SaveCheckpoints(CheckpointStore(tmp_path), **{name: 0})
