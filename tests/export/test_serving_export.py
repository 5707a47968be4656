"""`export_for_serving`: what it writes, and what it refuses before it writes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from keras_rkm import export, models, networks, samplers
from tests.serving.c_api import Session

from .conftest import IMAGE_SHAPE, LATENT_DIM, make_images


def _models_config(base_dir):
    from tensorflow_serving.config import model_server_config_pb2

    text = (base_dir / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return {model.name: model for model in config.model_config_list.config}


def _size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_layout_is_that_of_tensorflow_serving(exported):
    base_dir = exported.parents[1]
    assert exported == base_dir / "st_rkm" / "1"
    assert sorted(path.name for path in base_dir.iterdir()) == [
        "batching.config",
        "models.config",
        "monitoring.config",
        "st_rkm",
    ]
    assert [path.name for path in exported.parent.iterdir()] == ["1"]
    config = _models_config(base_dir)["st_rkm"]
    assert (config.base_path, config.model_platform) == ("/models/st_rkm", "tensorflow")


def test_every_warm_up_request_is_answered(exported, session):
    from tensorflow_serving.apis import prediction_log_pb2

    file = exported / "assets.extra" / "tf_serving_warmup_requests"
    warmed = set()
    for record in tf.data.TFRecordDataset(str(file)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "st_rkm"
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        answer = session.run(request.model_spec.signature_name, inputs)
        assert all(len(value) == 1 for value in answer.values())
        warmed.add(request.model_spec.signature_name)
    assert warmed == {name for name in session.signatures if name[0] != "_"} - {"serving_default"}


def test_each_weight_is_stored_once(exported, model, sampler):
    stored = tf.train.list_variables(str(exported / "variables" / "variables"))
    num_values = sum(
        np.prod(shape, dtype=int) for name, shape in stored if shape or "VALUE" in name
    )
    # The variances are constants of the graph, and the trackers stay behind.
    expected = sum(
        int(np.prod(variable.shape))
        for variable in [*model.variables, *sampler.variables]
        if "variance" not in variable.path and "num_images" not in variable.path
    )
    assert num_values == expected


def test_the_manifest_describes_and_the_checksums_hold(exported, model):
    manifest = export.verify_export(exported)
    assert manifest["signatures"]["traverse"] == {
        "inputs": {
            "latents": {"dtype": "float32", "shape": [None, LATENT_DIM]},
            "component": {"dtype": "int64", "shape": [None]},
        },
        "outputs": {"images": {"dtype": "float32", "shape": [None, 13, *IMAGE_SHAPE]}},
    }
    np.testing.assert_allclose(manifest["explained_variance"], model.explained_variance)
    assert manifest["versions"]["keras"] == keras.__version__
    assert manifest["sampler"]["class_name"] == "GaussianMixtureSampler"
    assert "saved_model.pb" in manifest["sha256"]


@pytest.mark.parametrize("harm", ["change", "remove", "add"])
def test_a_version_that_has_changed_is_found_out(model, sampler, tmp_path, harm):
    path = export.export_for_serving(
        model, sampler, tmp_path, metadata={"flags": {"seed": 1}, "metrics": {"loss": 0.5}}
    )
    assert export.verify_export(path)["metadata"]["flags"] == {"seed": 1}
    data = path / "variables" / "variables.data-00000-of-00001"
    if harm == "change":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    elif harm == "remove":
        data.unlink()
    else:
        data = path / "more"
        data.touch()
    with pytest.raises(ValueError, match=f"missing, changed or new: .*{data.name}"):
        export.verify_export(path)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"sha256": 3}'])
def test_a_folder_without_a_manifest_is_no_export(tmp_path, content):
    if content is not None:
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "assets.extra" / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=f"Received: path='{tmp_path}'"):
        export.verify_export(tmp_path)


def test_versions_are_added_kept_and_pruned(model, sampler, tmp_path):
    def add(**arguments):
        return export.export_for_serving(model, sampler, tmp_path, name="m", **arguments).name

    assert [add(), add(version=7)] == ["1", "7"]
    config = _models_config(tmp_path)["m"]
    config.version_labels["stable"] = 1
    from tensorflow_serving.config import model_server_config_pb2

    whole = model_server_config_pb2.ModelServerConfig()
    whole.model_config_list.config.append(config)
    text = "# mine\n" + text_format.MessageToString(whole)
    (tmp_path / "models.config").write_text(text)
    assert add(keep=1) == "8"
    # The one with a label stays, and the file is the server's owner's.
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["1", "8"]
    assert (tmp_path / "models.config").read_text() == text
    assert add(version=3, keep=1) == "3"
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["1", "3", "8"]


def test_a_second_model_joins_the_first_in_models_config(model, sampler, tmp_path):
    (tmp_path / "batching.config").write_text("max_batch_size { value: 8 }\n")
    export.export_for_serving(model, sampler, tmp_path, name="a")
    export.export_for_serving(model, sampler, tmp_path, name="b", serving_root="/srv/models/")
    paths = {name: config.base_path for name, config in _models_config(tmp_path).items()}
    assert paths == {"a": "/models/a", "b": "/srv/models/b"}
    assert (tmp_path / "batching.config").read_text() == "max_batch_size { value: 8 }\n"


def test_steps_of_the_traversal_are_chosen(model, sampler, tmp_path):
    path = export.export_for_serving(model, sampler, tmp_path, traverse_steps=[0.0, 2.0])
    latents = np.ones((1, LATENT_DIM), "float32")
    with Session(path) as session:
        found = session.run("traverse", {"latents": latents, "component": np.array([1])})["images"]
    latents = np.stack([latents[0], latents[0]])
    latents[:, 1] = [0, 2 * np.sqrt(model.explained_variance)[1]]
    np.testing.assert_allclose(found[0], model.decode(latents), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"name": "a/b"}, "name='a/b'"),
        ({"name": ".."}, "name='..'"),
        ({"name": ""}, "name=''"),
        ({"version": 0}, "version=0"),
        ({"keep": 0}, "keep=0"),
        ({"keep": 1.5}, "keep=1.5"),
        ({"traverse_steps": []}, r"traverse_steps=\[\]"),
        ({"traverse_steps": [np.nan]}, r"traverse_steps=\[nan\]"),
        ({"metadata": {"loss": float("nan")}}, "'loss': nan"),
        ({"metadata": {"path": object}}, "'path'"),
    ],
)
def test_arguments_are_checked_before_anything_is_written(
    model, sampler, tmp_path, arguments, received
):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        export.export_for_serving(model, sampler, tmp_path / "base", **arguments)
    assert not (tmp_path / "base").exists()


def test_what_is_not_ready_is_not_exported(model, sampler, tmp_path):
    untrained = models.StiefelRKM(
        networks.dense_encoder(IMAGE_SHAPE, 8),
        networks.dense_decoder(8, IMAGE_SHAPE),
        latent_dim=LATENT_DIM,
    )
    with pytest.raises(ValueError, match="fit_principal_axes"):
        export.export_for_serving(untrained, sampler, tmp_path / "base")
    with pytest.raises(ValueError, match="before it is adapted"):
        export.export_for_serving(model, samplers.GaussianSampler(), tmp_path / "base")
    with pytest.raises(ValueError, match="sampler.latent_dim=5, model.latent_dim=3"):
        export.export_for_serving(model, samplers.StandardNormalSampler(5), tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_a_models_config_that_cannot_be_read_is_told_at_once(model, sampler, tmp_path):
    (tmp_path / "models.config").write_text("model_config_list {")
    with pytest.raises(ValueError, match=f"Mend or remove|Received: base_dir='{tmp_path}'"):
        export.export_for_serving(model, sampler, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["models.config"]


def test_ten_megabytes_of_weights_stay_about_ten(tmp_path):
    image_shape = (32, 32, 1)
    model = models.StiefelRKM(
        networks.dense_encoder(image_shape, 64, hidden_dims=(1100,)),
        networks.dense_decoder(64, image_shape, hidden_dims=(1100,)),
        latent_dim=5,
    )
    model.fit_principal_axes(make_images(64, image_shape))
    path = export.export_for_serving(model, samplers.StandardNormalSampler(5), tmp_path)
    weights = sum(4 * int(np.prod(variable.shape)) for variable in model.variables)
    assert 9e6 < weights < 11e6
    assert _size(path) <= 1.15 * weights


def _version(folder, text):
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "assets.extra" / "manifest.json").write_bytes(text)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        b'{"sha256": {}, "a": NaN}',
        b'{"sha256": {}, "a": -Infinity}',
        b"\xff\xfe",
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"sha256": [["a", "b"]]}',
        b" " * (2**24 + 1),
    ],
    ids=["nan", "infinity", "no utf-8", "deep objects", "deep lists", "pairs", "too large"],
)
def test_a_hostile_manifest_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="manifest.json' cannot be read"):
        export.verify_export(_version(tmp_path / "1", text))


def test_names_and_links_that_lead_out_of_a_version_are_refused(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for name in ("../outside", str(outside), "link"):
        text = json.dumps({"sha256": {name: empty}}).encode()
        folder = _version(tmp_path / f"version-of-{len(name)}", text)
        if name == "link":
            (folder / "link").symlink_to(outside)
        with pytest.raises(ValueError, match=f"missing, changed or new: {name}"):
            export.verify_export(folder)
