"""A toy model on disk, and servers of it."""

import shutil

import numpy as np
import pytest

from keras_rkm.serving import ServingClient

from .emulator import Emulator
from .model_store import ModelConfig
from .server_process import BINARY, EMULATOR, models_config, start_server
from .toy_model import IMAGE_SHAPE, LATENT_DIM, ToyModel, export_toy_model

SHIFTS = {1: 0.0, 2: 1.0}  # by version


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of the versions 1 and 2 of the toy model."""
    base_path = tmp_path_factory.mktemp("models") / "toy"
    for version, shift in SHIFTS.items():
        export_toy_model(base_path / str(version), shift=shift)
    return base_path


@pytest.fixture(scope="session")
def toys():
    """The versions of the toy model in NumPy."""
    return {version: ToyModel(shift) for version, shift in SHIFTS.items()}


@pytest.fixture(scope="session", params=[EMULATOR, BINARY])
def server(request, exported, tmp_path_factory):
    """A server process of the versions 1, `stable`, and 2, `canary`, of the model `toy`.

    It also serves the newest version in the sub-folder `growing` of its `folder`, as the model of
    that name.
    """
    if request.param == BINARY and not shutil.which(BINARY):
        pytest.skip(
            f"{BINARY} is not on PATH: the emulator alone was tested. See docs/serving.md for "
            "where to get the binary."
        )
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(exported / "1", folder / "growing" / "1")
    base_paths = {"toy": exported, "growing": folder / "growing"}
    config = folder / "models.config"
    config.write_text(models_config(base_paths, versions=(1, 2), stable=1, canary=2))
    with start_server(config, kind=request.param, log_file=folder / "log.txt") as process:
        yield process


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


@pytest.fixture
def client(server, protocol):
    """A client of the version 1 of the model `toy`, over either protocol."""
    with ServingClient(server.address(protocol), model_name="toy", version=1) as client:
        yield client


@pytest.fixture
def emulator(exported):
    """An emulator in this process, of the newest version of the model `toy`."""
    with Emulator([ModelConfig("toy", exported)], poll_seconds=0.05) as emulator:
        yield emulator


@pytest.fixture
def connect(emulator, protocol):
    """A function that makes a client of `emulator`, with the given arguments besides."""
    clients = []

    def make(**arguments) -> ServingClient:
        port = emulator.port if protocol == "grpc" else emulator.rest_port
        clients.append(
            ServingClient(
                f"127.0.0.1:{port}", protocol=protocol, **{"model_name": "toy", **arguments}
            )
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def images():
    """Five images of the toy model."""
    return np.random.default_rng(1).random((5, *IMAGE_SHAPE), "float32")


@pytest.fixture
def latents():
    """Five latents of the toy model."""
    return np.random.default_rng(2).normal(size=(5, LATENT_DIM)).astype("float32")
