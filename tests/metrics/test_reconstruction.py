import numpy as np
import pytest

from keras_rkm import metrics


def _images(num_images=300, seed=0):
    return np.random.default_rng(seed).random((num_images, 4, 3, 2)).astype("float32")


def test_errors_equal_their_definitions():
    images, noise = _images(), np.random.default_rng(1).normal(size=(300, 4, 3, 2))
    told = iter(np.split(noise, [256]))
    report = metrics.reconstruction_error(images, lambda batch: batch + next(told))
    images = images.astype(np.float64)
    squares = np.square(noise).sum(axis=(1, 2, 3))
    assert report.squared_error == pytest.approx(squares.mean(), rel=1e-6)
    assert report.mean_squared_error == pytest.approx(np.mean(noise**2), rel=1e-6)
    share = squares.sum() / np.square(images - images.mean(axis=0)).sum()
    assert report.unexplained_variance == pytest.approx(share, rel=1e-6)
    assert (report.num_samples, report.num_values) == (300, 24)


def test_mean_image_leaves_all_variance_unexplained():
    images = _images()
    mean = images.mean(axis=0)
    report = metrics.reconstruction_error(
        images, lambda batch: np.tile(mean, (len(batch), 1, 1, 1))
    )
    assert report.unexplained_variance == pytest.approx(1, rel=1e-5)


def test_equal_images_have_no_variance_to_explain():
    report = metrics.reconstruction_error(np.full((5, 4, 4, 1), 0.3), lambda batch: batch + 0.1)
    assert report.unexplained_variance is None
    assert report.squared_error == pytest.approx(0.16, rel=1e-5)


def test_eight_bit_images_are_floats_up_to_one_for_the_model():
    images = np.full((4, 2, 2, 1), 255, np.uint8)
    report = metrics.reconstruction_error(images, lambda batch: 0 * batch)
    assert report.mean_squared_error == 1


@pytest.mark.parametrize("batch_size", [1, 7, 300])
def test_batches_do_not_count(batch_size):
    images = _images()
    whole, parts = (
        metrics.reconstruction_error(images, np.sqrt, batch_size=size)
        for size in (1_000, batch_size)
    )
    assert whole.squared_error == pytest.approx(parts.squared_error, rel=1e-9)
    assert whole.unexplained_variance == pytest.approx(parts.unexplained_variance, rel=1e-9)


@pytest.mark.parametrize(
    ("reconstruct", "message"),
    [
        (lambda batch: batch[..., :1], r"shape=\(256, 4, 3, 1\) for \(256, 4, 3, 2\)"),
        (lambda batch: batch * np.nan, "6144 values that are not finite"),
    ],
)
def test_bad_reconstructions_are_told(reconstruct, message):
    with pytest.raises(ValueError, match=message):
        metrics.reconstruction_error(_images(), reconstruct)
