"""The client against a server process, over gRPC and over REST: numbers and refusals."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_rkm.samplers import StandardNormalSampler
from keras_rkm.serving import (
    DeadlineExceededError,
    InvalidRequestError,
    MessageTooLargeError,
    ModelNotFoundError,
    ServingClient,
    ServingError,
    SignatureNotFoundError,
    VersionNotFoundError,
)
from keras_rkm.serving.retries import Deadline

from .toy_model import IMAGE_SHAPE, LATENT_DIM


def _close(received, expected):
    assert received.dtype == np.float32
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)


def test_generated_images_are_the_decoded_latents(client, toys):
    generated = client.generate(7, seed=3)
    assert generated.latents.shape == (7, LATENT_DIM)
    _close(generated.images, toys[1].decode(generated.latents))


def test_seed_gives_the_latents_of_the_sampler(client):
    # What `model.generate(7, sampler, seed=3)` decodes.
    expected = StandardNormalSampler(LATENT_DIM).sample(7, seed=3)
    _close(client.generate(7, seed=3).latents, expected)


def test_seeds_of_rows_count_alone(client):
    seeds = [5, 2**62, 5, 0]
    latents = client.generate(seeds=seeds).latents
    np.testing.assert_array_equal(latents[0], latents[2])
    np.testing.assert_array_equal(client.generate(seeds=seeds[3:]).latents, latents[3:])
    assert not np.array_equal(latents[0], latents[1])


def test_without_a_seed_every_row_and_call_differs(client):
    latents = np.concatenate([client.generate(3).latents, client.generate(seeds=[-7, -7]).latents])
    assert len(np.unique(latents, axis=0)) == 5


def test_generated_pngs_are_the_images(client):
    images = client.generate(3, seed=1).images
    for png, image in zip(client.generate_png(3, seed=1), images, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(png)))
        np.testing.assert_array_equal(pixels, np.round(255 * image[..., 0]))


def test_images_are_encoded_decoded_and_reconstructed(client, toys, images, latents):
    _close(client.encode(images), toys[1].encode(images))
    _close(client.decode(latents), toys[1].decode(latents))
    reconstructed, energy = toys[1].reconstruct(images)
    _close(client.reconstruct(images).images, reconstructed)
    _close(client.reconstruct(images).energy, energy)


def test_uint8_images_are_divided_by_255(client, toys):
    images = np.random.default_rng(0).integers(0, 256, (3, *IMAGE_SHAPE), np.uint8)
    _close(client.encode(images), toys[1].encode(images / np.float32(255)))


def test_one_component_is_for_all_rows(client, toys, latents):
    _close(client.traverse(latents, 1), toys[1].traverse(latents, [1] * 5))
    _close(client.traverse(latents, [0, 1, 2, 2, 0]), toys[1].traverse(latents, [0, 1, 2, 2, 0]))


def test_log_prob_is_that_of_the_sampler(client, toys, latents):
    _close(client.log_prob(latents), toys[1].log_prob(latents))


def test_many_rows_become_several_requests(server, protocol, toys, latents, monkeypatch):
    with ServingClient(
        server.address(protocol), model_name="toy", version=1, batch_size=2
    ) as client:
        sizes = []
        predict = client._transport.predict

        def noted(name, signature, inputs, deadline):
            sizes.append(len(inputs["latents"]))
            return predict(name, signature, inputs, deadline)

        monkeypatch.setattr(client._transport, "predict", noted)
        components = [0, 1, 2, 0, 1]
        _close(client.traverse(latents, components), toys[1].traverse(latents, components))
    assert sizes == [2, 2, 1]


def test_version_and_label_choose_the_weights(server, protocol, toys, latents):
    for choice, version in (
        ({}, 2),
        ({"version": 1}, 1),
        ({"version": 2}, 2),
        ({"label": "stable"}, 1),
        ({"label": "canary"}, 2),
    ):
        with ServingClient(server.address(protocol), model_name="toy", **choice) as client:
            _close(client.decode(latents), toys[version].decode(latents))


def test_versions_and_signatures_are_told(client):
    assert client.versions() == {1: "AVAILABLE", 2: "AVAILABLE"}
    reconstruct = client.signatures()["reconstruct"]
    assert reconstruct.inputs["images"].shape == (None, *IMAGE_SHAPE)
    assert reconstruct.outputs["energy"].dtype == "DT_FLOAT"


def test_unknown_model_is_told_by_name(server, protocol):
    with (
        ServingClient(server.address(protocol), model_name="tay") as client,
        pytest.raises(ModelNotFoundError, match="no model 'tay'.*`model_name`") as raised,
    ):
        client.generate(1)
    assert raised.value.code == "NOT_FOUND"


def test_unknown_version_is_told_with_those_that_are_loaded(server, protocol):
    with (
        ServingClient(server.address(protocol), model_name="toy", version=7) as client,
        pytest.raises(VersionNotFoundError, match="no version 7. Versions that are loaded: 1, 2"),
    ):
        client.generate(1)


def test_unknown_label_is_told_by_name(server, protocol):
    with (
        ServingClient(server.address(protocol), model_name="toy", label="best") as client,
        pytest.raises(VersionNotFoundError, match="label: best"),
    ):
        client.generate(1)


def test_unknown_signature_is_told_with_those_there_are(client, latents):
    with pytest.raises(SignatureNotFoundError, match="no signature 'nope'.*decode, .*traverse"):
        client._predict("nope", {"latents": latents}, None)


def test_wrong_shape_is_told_before_anything_is_sent(client, monkeypatch):
    monkeypatch.setattr(client._transport, "predict", None)
    expected = r"`images` must have the shape \(batch, 8, 8, 1\).*Received: shape \(2, 28, 28, 1\)"
    with pytest.raises(InvalidRequestError, match=expected) as raised:
        client.encode(np.zeros((2, 28, 28, 1)))
    assert isinstance(raised.value, ValueError)
    with pytest.raises(InvalidRequestError, match=r"\(batch, 3\).*Received: shape \(4, 5\)"):
        client.decode(np.zeros((4, 5)))


def test_refusal_of_the_server_carries_its_words(client):
    # Past the checks of the client, which would have refused it.
    with pytest.raises(InvalidRequestError, match="refused the request: .*reshape"):
        client._transport.predict(
            "encode",
            client.signatures()["encode"],
            {"images": np.zeros((1, 5), "float32")},
            Deadline(10),
        )


def test_output_without_rows_is_refused(client, latents):
    with pytest.raises(ServingError, match=r"5 rows of 'total'.*'total': \(\)") as raised:
        client._predict("total", {"latents": latents}, None)
    assert raised.value.code == "INTERNAL"


def test_deadline_is_kept(client, images):
    client.encode(images)
    with pytest.raises(DeadlineExceededError, match="within 1e-05 seconds. Raise `timeout`"):
        client.encode(images, timeout=1e-5)


def test_answer_that_is_too_large_is_told(server, protocol):
    with ServingClient(
        server.address(protocol), model_name="toy", batch_size=128, max_message_bytes=20_000
    ) as client:
        assert client.generate(2, seed=1).images.shape == (2, *IMAGE_SHAPE)
        with pytest.raises(MessageTooLargeError, match="`batch_size`, or raise `max_message"):
            client.generate(128, seed=1)
