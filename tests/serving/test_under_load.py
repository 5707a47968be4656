"""Many clients at a time, and a new version while they call; endurance.py does it for longer."""

import re
import shutil
import time

import numpy as np
import pytest

from keras_rkm.serving import ServingClient

from . import endurance
from .endurance import endure


def test_eight_clients_are_answered_without_an_error(server):
    result = endure(server, seconds=2, num_clients=8)
    assert result.errors == []
    assert result.num_calls > 50


def test_rest_clients_are_answered_without_an_error(server):
    result = endure(server, seconds=1, num_clients=4, protocol="rest")
    assert result.errors == []
    assert result.num_calls > 10


def test_new_version_takes_over_without_an_error(server, exported, toys, latents):
    # As an export does: written beside, then renamed.
    base_path = server.folder / "growing"
    shutil.copytree(exported / "2", base_path / "2.part")
    with ServingClient(server.address("grpc"), model_name="growing") as client:
        np.testing.assert_allclose(client.decode(latents), toys[1].decode(latents), atol=1e-5)
        result = endure(
            server,
            seconds=3,
            num_clients=4,
            model_name="growing",
            meanwhile=lambda: (base_path / "2.part").rename(base_path / "2"),
        )
        assert result.errors == []
        _wait_for(client, 2)
        assert client.versions()[1] == "END"
        np.testing.assert_allclose(client.decode(latents), toys[2].decode(latents), atol=1e-5)


def test_error_of_a_call_is_counted(server):
    result = endure(server, seconds=0.3, num_clients=2, model_name="nope")
    assert len(result.errors) == result.num_calls / 3 > 0
    assert "no model 'nope'" in result.errors[0]


@pytest.mark.slow
def test_endurance_is_a_command(capsys):
    assert endurance.main(["--seconds=1", "--clients=2"]) == 0
    assert re.search(
        r"2 clients, grpc, 1 s: [1-9]\d* calls, 0 errors, server RSS \d+ -> \d+ -> \d+ MiB",
        capsys.readouterr().out,
    )


def _wait_for(client, version):
    end = time.monotonic() + 10
    while client.versions().get(version) != "AVAILABLE" and time.monotonic() < end:
        time.sleep(0.1)
