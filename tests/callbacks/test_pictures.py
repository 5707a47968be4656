"""The pictures for TensorBoard, read back from the event files pixel by pixel."""

import copy
import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector import ProjectorConfig

from keras_rkm import models, networks, visualization
from keras_rkm.callbacks import (
    AxisTracker,
    EmbeddingProjector,
    LatentScatter,
    PictureSummary,
    summary_callbacks,
)

_SHAPE = (8, 8, 1)


_LABEL, _SIZE = np.arange(24) % 3, np.linspace(0, 1, 24)
_COLORINGS = {"label": _LABEL, "size": _SIZE}


@pytest.fixture(scope="module")
def images():
    return visualization.pixels(np.random.default_rng(0).random((24, *_SHAPE))) / np.float32(255)


def _model(kind=models.StiefelRKM, seed=0):
    model = kind(
        networks.dense_encoder(_SHAPE, 6, hidden_dims=(8,), seed=seed),
        networks.dense_decoder(6, _SHAPE, hidden_dims=(8,), seed=seed + 1),
        latent_dim=3,
        seed=seed,
    )
    for weight in model.encoder.trainable_weights + model.decoder.trainable_weights:
        weight.assign(3 * weight)  # so that latents change images
    model.compile()
    return model


def _accumulator(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def _pictures(folder):
    """The pictures by tag, one for each step."""
    accumulator = _accumulator(folder)
    return {
        tag: [
            tf.io.decode_png(event.tensor_proto.string_val[2]).numpy()
            for event in accumulator.Tensors(tag)
        ]
        for tag in accumulator.Tags()["tensors"]
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "images"
    }


def _enlarged(images):
    return np.repeat(np.repeat(visualization.pixels(images), 8, axis=1), 8, axis=2).repeat(3, -1)


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """A model after three epochs with all callbacks, the folder of the logs, and the callbacks."""
    log_dir = tmp_path_factory.mktemp("logs")
    found = summary_callbacks(
        log_dir,
        visualization.pixels(images),
        colorings=_COLORINGS,
        kinds={"label": "categorical"},
        max_share=None,
        profile_steps=(2, 3),
    )
    model = _model()
    model.fit(images, epochs=3, batch_size=8, verbose=0, shuffle=False, callbacks=found)
    return model, log_dir, {type(each): each for each in found}


def test_pictures_are_those_of_the_model_at_the_end_of_the_epoch(images, trained):
    model, log_dir, _ = trained
    pictures = _pictures(log_dir / "pictures")
    strips = [f"traversal/axis_{number}" for number in (1, 2, 3)]
    assert set(pictures) == {"reconstructions", "samples", *strips}
    assert all(len(each) == 3 for each in pictures.values())

    found = np.clip(model.reconstruct(images[:10]), 0, 1)
    np.testing.assert_array_equal(
        pictures["reconstructions"][-1], visualization.comparison_grid(images[:10], found)
    )
    assert (pictures["reconstructions"][0] != pictures["reconstructions"][-1]).any()

    # The oracle of a strip: an eigenvector of the covariance of the latents, of either sign.
    latents = model.encode(images).numpy().astype("float64")
    variances, vectors = np.linalg.eigh(np.cov(latents.T, bias=True))
    found = []
    for tag in strips:
        strip = pictures[tag][-1].astype(int)
        errors = {}
        for index, sign in [(i, s) for i in range(3) for s in (1, -1)]:
            step = sign * 3 * np.sqrt(variances[index]) * vectors[:, index]
            ends = latents.mean(axis=0) + np.stack([-step, step])
            ends = _enlarged(model.decode(ends.astype("float32"))).astype(int)
            top = strip.shape[0] - 7 - 2 - 64
            left, right = strip.shape[1] - 7 - 9 * 66, strip.shape[1] - 7 - 66
            tiles = [strip[top : top + 64, x : x + 64] for x in (left, right)]
            errors[index, sign] = max(np.abs(a - b).max() for a, b in zip(tiles, ends, strict=True))
        (best, error), (_, second) = sorted(errors.items(), key=lambda item: item[1])[:2]
        assert error <= 1 < second
        found.append(best[0])
    assert sorted(found) == [0, 1, 2]


def test_samples_are_drawn_from_a_gaussian_of_the_latents(images, trained, monkeypatch):
    model, _, found = trained
    callback, drawn = found[PictureSummary], []
    monkeypatch.setattr(
        callback, "_decode", lambda z: drawn.append(z) or np.zeros((36, *_SHAPE), "uint8")
    )
    axes = AxisTracker().update(model, images)
    callback._samples(axes)
    covariance = np.cov(model.encode(images).numpy().T, bias=True)
    noise = np.random.default_rng(0).standard_normal((36, 3))
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), (drawn[0] - axes.mean).T)
    # Rotated noise has the same length.
    np.testing.assert_allclose(
        np.linalg.norm(whitened, axis=0), np.linalg.norm(noise, axis=1), rtol=1e-3
    )


def test_model_without_a_basis_has_pictures_too(images, tmp_path):
    model = _model(models.AutoEncoder)
    model.fit(images, verbose=0, callbacks=[PictureSummary(tmp_path, images)])
    assert len(_pictures(tmp_path / "pictures")) == 5


def test_scatter_has_a_panel_a_colouring_and_the_axes_of_the_strips(images, trained):
    model, log_dir, found = trained
    picture = _pictures(log_dir / "scatter")["latents"][-1]
    assert found[LatentScatter]._axes is found[PictureSummary]._axes
    points = copy.copy(found[LatentScatter]._axes).update(model, images).scores[:, :2]
    options = {"colorings": _COLORINGS, "kinds": {"label": "categorical"}}
    expected = visualization.scatter_plots(points, **options)
    assert np.mean(picture != expected) < 0.005
    turned = visualization.scatter_plots(-points, **options)
    assert np.mean(picture != turned) > 0.01


def test_projector_holds_latents_images_and_metadata(images, trained):
    model, log_dir, _ = trained
    folder = log_dir / "projector"
    config = text_format.Parse(
        (folder / "projector_config.pbtxt").read_text(), ProjectorConfig()
    ).embeddings[0]
    latents = np.loadtxt(folder / config.tensor_path, delimiter="\t")
    np.testing.assert_allclose(latents, model.encode(images), rtol=1e-4, atol=1e-5)
    with (folder / config.metadata_path).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [int(row["label"]) for row in rows] == _LABEL.tolist()
    assert [int(row["index"]) for row in rows] == list(range(24))
    np.testing.assert_allclose([float(row["size"]) for row in rows], _SIZE, atol=1e-5)
    sprite = np.asarray(Image.open(folder / config.sprite.image_path))
    assert list(config.sprite.single_image_dim) == [8, 8]
    # Row by row in a square of five, as the projector cuts it up.
    seventh = sprite[8:16, 8:16]
    np.testing.assert_array_equal(seventh, visualization.pixels(images[6]).repeat(3, -1))
    # TensorBoard looks for the files in folders with events only.
    assert len(_accumulator(folder).Tensors("num_points")) == 3


def test_projector_shows_the_latents_of_the_last_training(images, tmp_path):
    model = _model()
    callback = EmbeddingProjector(tmp_path, images, num_points=10, max_share=1e-6)
    for _ in range(2):
        model.fit(images, epochs=1, verbose=0, callbacks=[callback])
    latents = np.loadtxt(tmp_path / "projector" / "latents.tsv", delimiter="\t")
    np.testing.assert_allclose(latents, model.encode(images[:10]), rtol=1e-4, atol=1e-5)


def test_what_there_is_no_time_for_is_left_out_but_for_the_projector_at_the_end(images, tmp_path):
    model = _model()
    late = [
        PictureSummary(tmp_path, images, max_share=1e-6),
        EmbeddingProjector(tmp_path, images, num_points=10, max_share=1e-6),
    ]
    model.fit(images, epochs=2, verbose=0, callbacks=late)
    assert not _pictures(tmp_path / "pictures")
    latents = np.loadtxt(tmp_path / "projector" / "latents.tsv", delimiter="\t")
    np.testing.assert_allclose(latents, model.encode(images[:10]), rtol=1e-4, atol=1e-5)
    (event,) = _accumulator(tmp_path / "projector").Tensors("num_points")
    assert event.step == 1


def test_all_callbacks_together_leave_the_training_as_it_is(images, trained):
    with_them, log_dir, _ = trained
    keras.utils.set_random_seed(1)
    without = _model()
    without.fit(images, epochs=3, batch_size=8, verbose=0, shuffle=False)
    pairs = zip(
        [*without.weights, *without.optimizer.variables],
        [*with_them.weights, *with_them.optimizer.variables],
        strict=True,
    )
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)
    runs = {path.name for path in log_dir.iterdir()}
    assert runs == {"basis", "latents", "pictures", "projector", "scatter", "train"}


def test_steps_per_second_and_the_profile_are_those_of_the_stock_callback(trained):
    _, log_dir, _ = trained
    steps = _accumulator(log_dir / "train").Tensors("epoch_steps_per_second")
    rates = [float(tf.make_ndarray(event.tensor_proto)) for event in steps]
    # Three steps an epoch, none of which took a minute or a microsecond.
    assert len(rates) == 3
    assert all(0.05 < rate < 1e6 for rate in rates)
    assert list((log_dir / "train" / "plugins" / "profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize("kind", [PictureSummary, LatentScatter])
def test_single_image_has_no_axes(kind, images, tmp_path):
    with pytest.raises(ValueError, match="at least two.*Received: 1"):
        kind(tmp_path, images[:1])


def test_projector_needs_a_point(images, tmp_path):
    with pytest.raises(ValueError, match="num_points=0"):
        EmbeddingProjector(tmp_path, images, num_points=0)
