"""From a run folder to its model and its sampler, and what is said where there is none."""

import re
import shutil

import keras
import numpy as np
import pytest

from keras_rkm import loading, networks, samplers
from keras_rkm.checkpoints import CheckpointStore, Position
from keras_rkm.models import StiefelRKM


def _rkm(cls=StiefelRKM):
    return cls(
        networks.dense_encoder((4, 4, 1), 6, hidden_dims=(), seed=1),
        networks.dense_decoder(6, (4, 4, 1), hidden_dims=(), seed=2),
        latent_dim=2,
        seed=0,
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a model, a sampler, and a model of nobody's."""
    folder = tmp_path_factory.mktemp("saved")
    images = np.random.default_rng(0).random((32, 4, 4, 1), "float32")
    model = _rkm()
    model.compile()
    model.fit_principal_axes(images)
    model.save(folder / "model.keras")
    samplers.GaussianSampler().adapt(model.encode(images)).save(folder / "sampler.keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(folder / "other.keras")
    return folder


@pytest.fixture
def run(saved, tmp_path):
    """A run folder that has ended, to be changed."""
    for name in ("model.keras", "sampler.keras"):
        shutil.copy(saved / name, tmp_path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def test_run_folder_gives_model_and_sampler(run, saved):
    model, sampler = loading.load(run)
    expected = keras.saving.load_model(saved / "model.keras")
    assert type(model) is StiefelRKM
    for ours, theirs in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert model.optimizer.get_config() == expected.optimizer.get_config()
    fitted = samplers.load_sampler(saved / "sampler.keras")
    np.testing.assert_array_equal(sampler.sample(5, seed=3), fitted.sample(5, seed=3))


def test_model_of_a_run_comes_before_its_checkpoint(run):
    model = _rkm()
    CheckpointStore(run / "checkpoints").save(model, Position(9))
    assert loading.load(run).model.optimizer is not None  # the checkpoint was not compiled


def test_file_of_a_model_and_folder_without_a_sampler_give_none(run):
    for path in (run / "model.keras", str(run / "model.keras")):
        model, sampler = loading.load(path)
        assert isinstance(model, StiefelRKM)
        assert sampler is None
    (run / "sampler.keras").unlink()
    assert loading.load(run).sampler is None


def test_home_folder_is_understood(run, monkeypatch):
    monkeypatch.setenv("HOME", str(run))
    assert loading.load("~").sampler is not None
    assert loading.load_sampler_file("~/sampler.keras").latent_dim == 2


@keras.saving.register_keras_serializable(package="test")
class _Descendant(StiefelRKM):
    pass


def test_descendant_of_a_model_of_ours_is_one(tmp_path):
    _rkm(_Descendant).save(tmp_path / "model.keras")
    assert type(loading.load(tmp_path).model) is _Descendant


def _check(path, message, function=loading.load):
    with pytest.raises(ValueError) as raised:
        function(path)
    assert re.search(message, str(raised.value)), raised.value


def test_missing_path_is_named(tmp_path):
    _check(tmp_path / "no", "`path`.*Received: '.*no', which does not exist")
    _check(tmp_path / "no.keras", "no.keras', which does not exist", loading.load_sampler_file)
    _check(tmp_path, "which is a folder", loading.load_sampler_file)


def test_folder_that_is_no_run_is_named(run, tmp_path):
    (run / "model.keras").unlink()
    for name in (".writing-step_00000012.keras", "old-step_00000012.keras"):
        (run / "checkpoints" / name).touch()  # half written, and of another name
    _check(run, f"Received: '{re.escape(str(run))}', which holds neither model.keras nor a")


def test_run_that_has_not_ended_names_its_checkpoint_and_how_to_load_it(run):
    model = loading.load(run).model
    (run / "model.keras").unlink()
    for step in (900, 1200):
        CheckpointStore(run / "checkpoints").save(model, Position(step))
    with pytest.raises(ValueError, match="only the checkpoint after 1200 steps") as raised:
        loading.load(run)
    assert f"--output_dir={run} --resume" in str(raised.value)
    # The call that the message names does work.
    (path,) = re.findall(r"keras_rkm\.load\('(.*)'\)", str(raised.value))
    assert isinstance(loading.load(path).model, StiefelRKM)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b""])
@pytest.mark.parametrize("name", ["model.keras", "sampler.keras"])
def test_damaged_file_is_named(run, name, damage):
    (run / name).write_bytes(damage((run / name).read_bytes()))
    _check(run, f"'{re.escape(str(run / name))}' cannot be read: it is damaged")


def test_file_that_is_none_of_keras_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    _check(tmp_path / "notes.txt", "notes.txt' cannot be read")


def test_file_with_something_else_is_told(saved, run):
    _check(saved / "sampler.keras", "must hold one of the models .* Received: .*GaussianSampler")
    _check(saved / "other.keras", "must hold one of the models of keras_rkm.*Sequential")
    _check(saved / "model.keras", "must hold a sampler.*StiefelRKM", loading.load_sampler_file)
    shutil.copy(saved / "other.keras", run / "sampler.keras")
    _check(run, "sampler.keras' must hold a sampler.*Sequential")
