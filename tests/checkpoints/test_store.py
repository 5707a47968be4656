"""A store of checkpoints: what stays, what a fault leaves, and that a checkpoint is exact."""

import errno
import hashlib
import os
import random
import warnings
import zipfile

import keras
import numpy as np
import pytest

from keras_rkm import networks
from keras_rkm.checkpoints import CheckpointStore, Position, ResumeTraining
from keras_rkm.models import StiefelRKM


def _rkm():
    model = StiefelRKM(
        networks.dense_encoder((4, 4, 1), 6, hidden_dims=(), seed=1),
        networks.dense_decoder(6, (4, 4, 1), hidden_dims=(), seed=2),
        latent_dim=2,
        seed=0,
    )
    model.compile("adam")
    return model


@pytest.fixture(scope="module")
def model():
    return _rkm()


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints", keep=2)


def _variables(model):
    return [np.asarray(v) for v in [*model.variables, *model.optimizer.variables]]


def test_checkpoint_has_the_model_both_optimizers_and_the_position(store):
    model = _rkm()
    images = np.random.default_rng(0).random((32, 4, 4, 1), "float32")
    model.fit(images, batch_size=8, verbose=0)
    position = Position(step=4, epoch=0, epoch_step=4, logs={"loss": 0.1})
    path = store.save(model, position)
    assert path.name == "step_00000004.keras"
    found = store.load()
    assert (found.path, found.position) == (path, position)
    assert int(found.model.optimizer.basis_optimizer.iterations) == 4
    for ours, theirs in zip(_variables(found.model), _variables(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # It is a file of Keras too.
    plain = keras.saving.load_model(path)
    np.testing.assert_array_equal(plain.basis, model.basis)


def test_last_ones_and_the_best_stay(store, model):
    for step, loss in ((10, 0.3), (20, 0.1), (30, None), (40, 0.2), (100_000_000, 0.1)):
        store.save(model, Position(step), monitored=loss)
    # Of two that are equally good the later one; as texts the last two are the other way round.
    assert store.steps() == [40, 100_000_000]
    store.save(model, Position(100_000_001), monitored=0.2)
    store.save(model, Position(100_000_002), monitored=0.2)
    assert store.steps() == [100_000_000, 100_000_001, 100_000_002]


def test_a_loss_that_is_no_number_is_not_the_best(tmp_path, model):
    store = CheckpointStore(tmp_path, keep=1)
    for step, loss in enumerate((0.5, 0.1, 0.3, float("nan"), float("nan")), start=1):
        store.save(model, Position(step), monitored=loss)
    assert store.steps() == [2, 5]


def test_state_that_is_nested_without_an_end_is_a_damaged_one(store, model):
    path = store.save(model, Position(1))
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        comment = archive.comment
    data = data[: -len(comment)] + b"[" * (len(comment) - 64)
    path.write_bytes(data + hashlib.sha256(data).hexdigest().encode())
    with pytest.raises(ValueError, match="is whole, but cannot be loaded"):
        store.load()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data + b"\0",
    ],
    ids=[
        "empty",
        "a byte short",
        "half",
        "a bit of the weights",
        "a bit of the checksum",
        "longer",
    ],
)
def test_damaged_checkpoint_is_named_and_the_one_before_is_taken(store, model, damage):
    for step in (1, 2):
        store.save(model, Position(step))
    last = store.path_of(2)
    last.write_bytes(damage(last.read_bytes()))
    with pytest.warns(UserWarning, match=f"'{last}' is damaged: .*'{store.path_of(1)}'"):
        found = store.load()
    assert found.position.step == 1
    # It is none of the two that are to stay.
    store.save(model, Position(3))
    assert store.steps() == [1, 3]


def test_every_byte_is_under_the_checksum(store, model):
    path = store.save(model, Position(1))
    data = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(data), 200):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(ValueError, match="No checkpoint is whole: .*is damaged"):
            store.latest()
    path.write_bytes(data)
    assert store.latest() == (path, 1)


def test_checkpoints_of_a_training_that_was_given_up_go(store, model):
    for step in (10, 20):
        store.save(model, Position(step))
    store.path_of(20).write_bytes(b"damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert store.load().position.step == 10
    store.save(model, Position(11))
    assert store.steps() == [10, 11]


def test_no_checkpoint_is_none_and_none_that_is_whole_an_error(store, model):
    assert store.load() is None
    path = store.save(model, Position(1))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"'{path}' is damaged: it has only 0 bytes. Restore one"):
        store.load()


def test_checkpoint_of_an_unknown_layer_is_no_damaged_one(store):
    class Stranger(keras.layers.Layer):
        pass

    model = keras.Sequential([keras.Input((2,)), Stranger(), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    store.save(model, Position(1))
    with pytest.raises(ValueError, match="is whole, but cannot be loaded"):
        store.load()


def test_code_in_a_checkpoint_is_not_run(store):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    model.compile("adam", "mse")
    store.save(model, Position(1))
    with pytest.raises(ValueError, match="[Ll]ambda"):
        store.load()


@pytest.mark.parametrize("moment", ["seal", "model.save"])
def test_full_disk_loses_nothing(store, model, moment, monkeypatch):
    before = store.save(model, Position(1)).read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if moment == "seal":
        monkeypatch.setattr("keras_rkm.checkpoints.store.seal", full)
    else:
        monkeypatch.setattr(type(model), "save", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(model, Position(2))
    assert [path.name for path in store.path.iterdir()] == ["step_00000001.keras"]
    assert store.path_of(1).read_bytes() == before


def test_what_a_killed_process_left_goes(store, model):
    (store.path / ".writing-x").mkdir(parents=True)
    (store.path / ".writing-x" / "step_00000009.keras").write_bytes(b"half")
    assert store.steps() == []
    store.save(model, Position(1))
    assert os.listdir(store.path) == ["step_00000001.keras"]


def test_generators_of_random_numbers_go_on(store):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5, seed=3)(inputs))
    model.compile("adam", "mse")
    ones = np.ones((2, 8), "float32")
    model(ones, training=True)
    keras.random.normal((1,))
    store.save(model, Position(1))
    expected = _draws(model, ones)
    random.seed(7)
    keras.utils.set_random_seed(7)
    found = store.load()
    resume = ResumeTraining(found)
    resume.set_model(found.model)
    resume.on_epoch_begin(0)
    for ours, theirs in zip(_draws(found.model, ones), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _draws(model, ones):
    return [
        np.asarray(model(ones, training=True)),
        random.random(),
        np.random.random(3),
        np.asarray(keras.random.normal((3,))),
    ]


@pytest.mark.parametrize("keep", [0, 1.5, True])
def test_wrong_keep_is_told(tmp_path, keep):
    with pytest.raises(ValueError, match=f"`keep` must be a positive int. Received: keep={keep}"):
        CheckpointStore(tmp_path, keep=keep)
