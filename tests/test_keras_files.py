"""`.keras` files from strangers: no code is run, and nothing is taken that is not stored."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_rkm import loading, networks, samplers
from keras_rkm._keras_files import load_keras_file
from keras_rkm.models import StiefelRKM

_WEIGHTS = "model.weights.h5"


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of the file of a small, compiled model."""
    model = StiefelRKM(
        networks.dense_encoder((4, 4, 1), 6, hidden_dims=(5,), seed=1),
        networks.dense_decoder(6, (4, 4, 1), hidden_dims=(5,), seed=2),
        latent_dim=2,
        seed=0,
    )
    model.compile()
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path, members, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _layers(config):
    """Every layer of a kind with `units`, wherever it is in a configuration."""
    if isinstance(config, dict):
        if "units" in config:
            yield config
        for value in config.values():
            yield from _layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _layers(value)


def _refused(path, message):
    with pytest.raises(ValueError, match=message) as error:
        loading.load(path)
    assert str(path) in str(error.value)


def test_file_of_ours_is_loaded(members, tmp_path):
    model = load_keras_file(_write(tmp_path / "a.keras", members))
    assert isinstance(model, StiefelRKM)


def test_configuration_that_needs_more_than_is_stored_is_refused(members, tmp_path):
    config = json.loads(members["config.json"])
    layers = list(_layers(config))
    assert len(layers) >= 2
    for layer in layers:
        layer["units"] = 2**20  # a kernel of 4 TiB between two of them
    changed = {**members, "config.json": json.dumps(config)}
    _refused(_write(tmp_path / "a.keras", changed), "needs more than [0-9]+ bytes of weights")


@pytest.mark.parametrize("kind", ["unstored", "external", "link", "soft link", "virtual", "loop"])
def test_weights_that_are_not_in_the_file_are_refused(members, tmp_path, kind):
    (tmp_path / "secret").write_bytes(bytes(64))
    content = io.BytesIO(members[_WEIGHTS])
    with h5py.File(content, "r+") as weights:
        group = weights["/"]
        if kind == "unstored":
            group.create_dataset("a", (16384, 16384), "f4", chunks=(64, 64), compression="gzip")
        elif kind == "external":
            group.create_dataset("a", (16,), "f4", external=[(str(tmp_path / "secret"), 0, 64)])
        elif kind == "link":
            group["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
        elif kind == "soft link":
            group["a"] = h5py.SoftLink("/layers")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4,))
            group.create_virtual_dataset("a", layout)
        else:
            group["a"] = group
    changed = {**members, _WEIGHTS: content.getvalue()}
    message = {
        "unstored": "claim 1073741824 bytes, and 0 are stored",
        "external": "not stored in it",
        "link": "hold a link",
        "soft link": "hold a link",
        "virtual": "not stored in it",
        "loop": "twice",
    }[kind]
    _refused(_write(tmp_path / "a.keras", changed), message)


def test_archives_that_keras_does_not_write_are_refused(members, tmp_path):
    path = tmp_path / "a.keras"
    _refused(_write(path, members, compression=zipfile.ZIP_DEFLATED), "is compressed")
    for name in ("../outside", "/etc/outside", "assets/../../outside", "..\\outside"):
        _refused(_write(path, {**members, name: b"x"}), "points out of the archive")
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    _refused(_write(path, {**members, link: b"/etc/passwd"}), "points out of the archive")
    for name in members:
        rest = {key: value for key, value in members.items() if key != name}
        _refused(_write(path, rest), f"no {name}")
    for text in (b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b'{"a": NaN}'):
        _refused(_write(path, {**members, "config.json": text}), "cannot be read")


def test_code_in_a_file_is_not_run(members, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    (tmp_path / "hostile_module.py").write_text(f"open({str(marker)!r}, 'w')\nclass Model: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = json.loads(members["config.json"])
    config.update(module="hostile_module", class_name="Model", registered_name=None)
    _refused(
        _write(tmp_path / "a.keras", {**members, "config.json": json.dumps(config)}),
        "cannot be read",
    )
    inputs = keras.Input((4, 4, 1))
    outputs = keras.layers.Flatten()(keras.layers.Lambda(lambda x: x * 2)(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "lambda.keras")
    _refused(tmp_path / "lambda.keras", "cannot be read.*(?s:.*)[Ll]ambda")
    assert not marker.exists()


def test_sampler_is_read_with_the_same_care(tmp_path):
    latents = np.random.default_rng(0).normal(size=(50, 3))
    path = tmp_path / "sampler.keras"
    samplers.GaussianSampler().adapt(latents).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert samplers.load_sampler(_write(path, members)).latent_dim == 3
    config = members["config.json"].decode()
    assert "[3, 3]" in config
    members["config.json"] = config.replace("[3, 3]", "[1048576, 1048576]")
    with pytest.raises(ValueError, match="sampler.keras' cannot be read.*needs more than"):
        samplers.load_sampler(_write(path, members))
