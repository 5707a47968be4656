"""From a trained model to a client: what `export_for_serving` writes is what the client reads."""

import io
import time

import numpy as np
import pytest
from PIL import Image

import keras_rkm
from keras_rkm import networks, samplers
from keras_rkm.export import export_for_serving
from keras_rkm.serving import InvalidRequestError, ServingClient

from .emulator import Emulator, read_model_configs

_SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((70, *_SHAPE), "float32")


@pytest.fixture(scope="module")
def model(images):
    model = keras_rkm.models.StiefelRKM(
        networks.dense_encoder(_SHAPE, 16, hidden_dims=(32,), seed=0),
        networks.dense_decoder(16, _SHAPE, hidden_dims=(32,), seed=1),
        latent_dim=4,
    )
    model.fit_principal_axes(images)
    return model


@pytest.fixture(scope="module")
def sampler(model, images):
    return samplers.GaussianSampler().adapt(model.encode(images))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def emulator(model, sampler, folder):
    export_for_serving(model, sampler, folder, serving_root=str(folder))
    with Emulator(read_model_configs(folder / "models.config"), poll_seconds=0.1) as emulator:
        yield emulator


@pytest.fixture
def client(emulator, protocol):
    port = emulator.port if protocol == "grpc" else emulator.rest_port
    with ServingClient(
        f"localhost:{port}", protocol=protocol, model_name="st_rkm", batch_size=32
    ) as client:
        yield client


def _close(received, expected):
    np.testing.assert_allclose(received, np.asarray(expected), rtol=1e-5, atol=1e-5)


def test_client_gives_the_numbers_of_the_model(client, model, sampler, images):
    latents = client.encode(images)
    _close(latents, model.encode(images))
    _close(client.decode(latents), model.decode(latents))
    reconstructed, energy = client.reconstruct(images)
    _close(reconstructed, model.reconstruct(images))
    _close(energy, model.energy(images))
    _close(client.log_prob(latents), sampler.log_prob(latents))


def test_client_generates_what_the_model_generates(client, model, sampler):
    generated = client.generate(40, seed=5)
    np.testing.assert_array_equal(generated.latents, sampler.sample(40, seed=5))
    _close(generated.images, model.generate(40, sampler, seed=5))
    pngs = [np.asarray(Image.open(io.BytesIO(png))) for png in client.generate_png(3, seed=5)]
    assert np.abs(pngs - 255 * generated.images[:3, ..., 0]).max() < 0.51


def test_traversal_goes_along_an_axis_in_standard_deviations(client, model, images):
    latents = client.encode(images[:2])
    path = client.traverse(latents, [0, 3])
    assert path.shape == (2, 13, *_SHAPE)
    deviations = np.sqrt(np.asarray(model.explained_variance))
    for row, component in enumerate((0, 3)):
        latents[row, component] = 3 * deviations[component]
    _close(path[:, -1], model.decode(latents))


def test_warm_up_requests_of_the_export_run(emulator):
    assert emulator.store.servable("st_rkm").num_warm_up_requests > 0


def test_wrong_shape_is_told_by_what_the_export_says(client):
    with pytest.raises(InvalidRequestError, match=r"\(batch, 8, 8, 1\).*\(1, 9, 9, 1\)"):
        client.encode(np.zeros((1, 9, 9, 1)))


def test_second_export_takes_over_while_it_is_asked(emulator, folder, model, sampler, images):
    with ServingClient(f"localhost:{emulator.port}", model_name="st_rkm") as client:
        export_for_serving(model, sampler, folder, keep=1)
        end = time.monotonic() + 20
        while client.versions().get(2) != "AVAILABLE" and time.monotonic() < end:
            _close(client.encode(images[:2]), model.encode(images[:2]))
        assert client.versions() == {1: "END", 2: "AVAILABLE"}
        _close(client.encode(images[:2]), model.encode(images[:2]))


def test_a_model_without_an_energy_is_reconstructed_without_one(images, tmp_path):
    model = keras_rkm.models.AutoEncoder(
        networks.dense_encoder(_SHAPE, 16, hidden_dims=(), seed=0),
        networks.dense_decoder(16, _SHAPE, hidden_dims=(), seed=1),
        latent_dim=4,
    )
    sampler = samplers.GaussianSampler().adapt(model.encode(images))
    export_for_serving(model, sampler, tmp_path, serving_root=str(tmp_path))
    with (
        Emulator(read_model_configs(tmp_path / "models.config"), poll_seconds=0.1) as emulator,
        ServingClient(f"grpc://localhost:{emulator.port}", model_name="st_rkm") as client,
    ):
        reconstructed, energy = client.reconstruct(images)
    _close(reconstructed, model.reconstruct(images))
    assert energy is None
