"""Every model to compare a StiefelRKM with is exported, and the answers are the model's own."""

import keras
import numpy as np
import pytest

from keras_rkm import export, samplers
from keras_rkm.models import InfoGAN
from tests.models.baselines import IMAGE_SHAPE, LATENT_DIM, MODELS, images, make
from tests.serving.c_api import Session

_SEEDS = np.array([3, 2**63 - 1, 0, 17, 3, 1])


@pytest.fixture(scope="module", params=MODELS, ids=lambda model_class: model_class.__name__)
def model(request):
    model = make(request.param, hidden_dims=(8,))
    model.fit(images(64), batch_size=16, verbose=0)
    model.encoder.layers[-1].bias.assign_add([1.0] * 6)  # so that latents have a mean
    return model


@pytest.fixture(scope="module")
def sampler(model):
    return samplers.GaussianMixtureSampler(2).adapt(model.encode(images(64)))


@pytest.fixture(scope="module")
def exported(model, sampler, tmp_path_factory):
    """The folder of a version. `export_for_serving` has run `check_servable` on it."""
    return export.export_for_serving(model, sampler, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def session(exported):
    with Session(exported) as session:
        yield session


def _latents(num_rows):
    return np.random.default_rng(1).normal(size=(num_rows, LATENT_DIM)).astype("float32")


def test_signatures_are_those_of_a_stiefel_rkm_without_the_energy(session):
    outputs = {
        name: sorted(signature.outputs)
        for name, signature in session.signatures.items()
        if not name.startswith("_")
    }
    assert outputs == {
        "serving_default": ["images", "latents"],
        "generate": ["images", "latents"],
        "generate_png": ["image_bytes"],
        "encode": ["latents"],
        "decode": ["images"],
        "reconstruct": ["images"],
        "traverse": ["images"],
        "log_prob": ["log_prob"],
    }


@pytest.mark.parametrize("num_rows", [1, 7])
def test_numbers_are_those_of_the_model(session, model, sampler, num_rows):
    batch, latents = images(num_rows, seed=1), _latents(num_rows)
    for name, inputs, expected in (
        ("reconstruct", {"images": batch}, model.reconstruct(batch)),
        ("encode", {"images": batch}, model.encode(batch)),
        ("decode", {"latents": latents}, model.decode(latents)),
        ("log_prob", {"latents": latents}, sampler.log_prob(latents)),
    ):
        [found] = session.run(name, inputs).values()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_rows_are_those_that_the_model_generates_in_any_batch(session, model, sampler):
    whole = session.run("generate", {"seed": _SEEDS})
    expected = model.decode_from_seeds(sampler.sample_from_seeds(_SEEDS), _SEEDS)
    np.testing.assert_allclose(whole["images"], expected, atol=1e-6)
    alone = session.run("generate", {"seed": _SEEDS[1:2]})["images"]
    np.testing.assert_allclose(alone[0], whole["images"][1], atol=1e-6)
    np.testing.assert_allclose(whole["images"][0], whole["images"][4], atol=1e-6)
    row_seeds = samplers.drawing.row_seeds(5, 7)
    found = session.run("generate", {"seed": row_seeds.numpy()})["images"]
    np.testing.assert_allclose(found, model.generate(5, sampler, seed=7), atol=1e-6)
    draws_more = np.abs(whole["images"] - model.decode(whole["latents"])).max() > 1e-3
    assert draws_more == isinstance(model, InfoGAN)


def test_a_traversal_goes_from_the_mean_by_standard_deviations_of_the_sampler(
    session, model, sampler
):
    weights = sampler.mixture_weights.numpy().astype("float64")[:, np.newaxis]
    means, scales = sampler.means.numpy(), sampler.scale_trils.numpy()
    mean = np.sum(weights * means, axis=0)
    variances = np.sum(scales**2, axis=2) + (means - mean) ** 2
    deviations = np.sqrt(np.sum(weights * variances, axis=0))
    assert np.abs(mean).max() > 0.05
    latents, component = _latents(4), np.array([0, 1, 2, 0])
    found = session.run("traverse", {"latents": latents, "component": component})["images"]
    assert found.shape == (4, 13, *IMAGE_SHAPE)
    for step, position in enumerate(np.linspace(-3, 3, 13)):
        moved = latents.copy()
        moved[np.arange(4), component] = (mean + position * deviations)[component]
        np.testing.assert_allclose(found[:, step], model.decode(moved), atol=1e-5)


def test_the_manifest_holds_the_moments_of_the_latents_and_no_principal_axes(exported, sampler):
    manifest = export.verify_export(exported)
    np.testing.assert_allclose(manifest["latent_mean"], sampler.latent_mean)
    np.testing.assert_allclose(manifest["latent_stddev"], sampler.latent_stddev)
    assert not any("explained" in key for key in manifest)


def test_the_prior_tells_the_moments_without_any_latents(tmp_path):
    path = export.export_for_serving(
        make(MODELS[1]), samplers.StandardNormalSampler(LATENT_DIM), tmp_path
    )
    manifest = export.verify_export(path)
    assert manifest["latent_mean"] == [0] * LATENT_DIM
    assert manifest["latent_stddev"] == [1] * LATENT_DIM


def test_a_model_of_another_kind_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="one of the models of keras_rkm. Received: a Sequential"):
        export.export_for_serving(model, samplers.StandardNormalSampler(2), tmp_path / "base")
    assert not (tmp_path / "base").exists()
