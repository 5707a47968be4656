"""Which versions the emulator serves while folders come and go."""

import gc
import shutil
import weakref

import pytest

from .c_library import StatusError
from .emulator import read_model_configs
from .model_store import ModelConfig, ModelStore
from .server_process import models_config


@pytest.fixture
def base_path(tmp_path, exported):
    """A base path with the version 1."""
    shutil.copytree(exported / "1", tmp_path / "toy" / "1")
    return tmp_path / "toy"


def _store(base_path, **policy):
    store = ModelStore([ModelConfig("toy", base_path, **policy)])
    store.poll()
    return store


def _available(store):
    return [version for version, (state, _) in store.states("toy").items() if state == "AVAILABLE"]


def _add(base_path, version, exported):
    shutil.copytree(exported / "2", base_path / str(version))


def test_newest_version_takes_over_and_the_old_one_is_let_go(base_path, exported):
    store = _store(base_path)
    old = store.servable("toy")
    assert old.version == 1
    _add(base_path, 10, exported)
    _add(base_path, 9, exported)
    store.poll()
    assert store.servable("toy").version == 10
    assert {version: state for version, (state, _) in store.states("toy").items()} == {
        1: "END",
        10: "AVAILABLE",
    }
    # A request that has begun goes on; then nothing holds the model any more.
    assert old.session.run("generate", {"seed": [1]})["images"].shape == (1, 8, 8, 1)
    session = weakref.ref(old.session)
    del old
    gc.collect()
    assert session() is None


@pytest.mark.parametrize("name", ["2.tmp", "-2", "v2", "two", ".2.partial", "２", "2e0"])
def test_folder_whose_name_is_no_whole_integer_is_passed_over(name, base_path, exported):
    _add(base_path, name, exported)
    assert _available(_store(base_path)) == [1]


def test_file_named_like_a_version_is_passed_over(base_path):
    (base_path / "2").touch()
    assert _available(_store(base_path)) == [1]


def test_version_that_cannot_be_loaded_leaves_the_old_one(base_path):
    store = _store(base_path)
    (base_path / "2").mkdir()
    store.poll()
    assert store.servable("toy").version == 1
    state, error = store.states("toy")[2]
    assert state == "END"
    assert "Could not find SavedModel" in error.message


@pytest.mark.parametrize("num_failures, version", [(4, 2), (5, 1)])
def test_version_is_given_up_after_five_attempts(num_failures, version, base_path, exported):
    store = _store(base_path)
    (base_path / "2").mkdir()
    for _ in range(num_failures):
        store.poll()
    shutil.copytree(exported / "2", base_path / "2", dirs_exist_ok=True)
    store.poll()
    assert store.servable("toy").version == version
    assert (store.states("toy")[2] == ("AVAILABLE", None)) == (version == 2)


def test_version_taken_away_gives_way_to_the_one_before(base_path, exported):
    _add(base_path, 2, exported)
    store = _store(base_path)
    shutil.rmtree(base_path / "2")
    store.poll()
    assert store.servable("toy").version == 1
    shutil.rmtree(base_path / "1")
    store.poll()
    with pytest.raises(StatusError, match=r"request: Latest\(toy\)") as raised:
        store.servable("toy")
    assert raised.value.code == "NOT_FOUND"


def test_policies_choose_the_versions(base_path, exported):
    for version in (2, 3):
        _add(base_path, version, exported)
    assert _available(_store(base_path)) == [3]
    assert _available(_store(base_path, num_latest=2)) == [2, 3]
    assert _available(_store(base_path, num_latest=None)) == [1, 2, 3]
    assert _available(_store(base_path, versions=frozenset({1, 3, 7}))) == [1, 3]


def test_labels_name_versions(base_path):
    store = _store(base_path, labels={"stable": 1, "canary": 2})
    assert store.servable("toy", label="stable").version == 1
    with pytest.raises(StatusError, match=r"Specific\(toy, 2\)"):
        store.servable("toy", label="canary")
    with pytest.raises(StatusError, match="Unrecognized servable version label: best") as raised:
        store.servable("toy", label="best")
    assert raised.value.code == "INVALID_ARGUMENT"


def test_states_of_what_is_not_there_are_an_error(base_path):
    store = _store(base_path)
    with pytest.raises(StatusError, match="any versions of model other"):
        store.states("other")
    with pytest.raises(StatusError, match="version 4 of model toy"):
        store.states("toy", version=4)


def test_warm_up_requests_are_replayed_before_a_version_is_served(base_path, exported):
    shutil.copytree(exported / "2", base_path / "2.part")
    _write_warm_up_requests(base_path / "2.part", ["generate", "decode", "generate"])
    (base_path / "2.part").rename(base_path / "2")
    assert _store(base_path).servable("toy").num_warm_up_requests == 3


@pytest.mark.parametrize("signatures", [["nope"], ["generate"] * 1001])
def test_version_whose_warm_up_fails_is_not_served(signatures, base_path, exported):
    store = _store(base_path)
    shutil.copytree(exported / "2", base_path / "2.part")
    _write_warm_up_requests(base_path / "2.part", signatures)
    (base_path / "2.part").rename(base_path / "2")
    store.poll()
    assert store.servable("toy").version == 1
    assert store.states("toy")[2][1] is not None


def test_models_config_is_read(tmp_path):
    path = tmp_path / "models.config"
    base_paths = {"toy": tmp_path / "toy", "other": tmp_path / "other"}
    path.write_text(models_config(base_paths, versions=(1, 2), stable=1, canary=2))
    toy, other = read_model_configs(path)
    assert (toy.name, toy.base_path) == ("toy", tmp_path / "toy")
    assert (toy.versions, toy.labels) == ({1, 2}, {"stable": 1, "canary": 2})
    assert (other.name, other.versions, other.num_latest) == ("other", None, 1)


@pytest.mark.parametrize(
    "policy, num_latest", [("all {}", None), ("latest { num_versions: 3 }", 3), ("latest {}", 1)]
)
def test_policy_of_models_config_is_read(policy, num_latest, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        'model_config_list { config { name: "toy" base_path: "/models/toy" '
        f"model_version_policy {{ {policy} }} }} }}"
    )
    (config,) = read_model_configs(path)
    assert config.num_latest == num_latest


def _write_warm_up_requests(export_dir, signatures):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = export_dir / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in signatures:
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            if signature == "decode":
                request.inputs["latents"].CopyFrom(tf.make_tensor_proto([[0.0, 0.0, 0.0]]))
            else:
                request.inputs["seed"].CopyFrom(tf.make_tensor_proto([1], tf.int64))
            log = prediction_log_pb2.PredictionLog(predict_log={"request": request})
            writer.write(log.SerializeToString())
