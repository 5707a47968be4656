"""Archives in the layout of dSprites, genuine and made up."""

import pickle

import numpy as np
import pytest

from keras_rkm.datasets import Factor
from keras_rkm.datasets.npz import load_npz

_IMAGES = np.arange(4 * 6 * 6, dtype=np.uint8).reshape(4, 6, 6)


class _Bomb:
    """Fails the test when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("key", ["images", "imgs"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_images_and_labels_are_read(tmp_path, key, save):
    save(tmp_path / "a.npz", **{key: _IMAGES, "labels": [3, 1, 2, 0], "unrelated": [1.5]})
    dataset = load_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(dataset.images[..., 0], _IMAGES)
    assert dataset.labels.tolist() == [3, 1, 2, 0]
    assert dataset.factors is None and dataset.name == "a"


def test_pickled_metadata_of_the_original_archive_is_never_opened(tmp_path):
    sizes = (1, 3, 6, 40, 32, 32)
    classes = np.array([[0] * 6, [size - 1 for size in sizes]])
    values = classes / 10 + 1
    metadata = np.array({"author": _Bomb()}, dtype=object)
    np.savez(
        tmp_path / "dsprites.npz",
        imgs=np.stack([np.eye(8, dtype=np.uint8)] * 2),
        latents_classes=classes,
        latents_values=values,
        metadata=metadata,
    )
    dataset = load_npz(tmp_path / "dsprites.npz")
    assert np.unique(dataset.images).tolist() == [0, 255]
    assert dataset.factor_info == (
        Factor("shape", 3, "categorical"),
        Factor("scale", 6, "continuous"),
        Factor("orientation", 40, "circular"),
        Factor("posX", 32, "continuous"),
        Factor("posY", 32, "continuous"),
    )
    np.testing.assert_array_equal(dataset.factors, values[:, 1:])
    np.testing.assert_array_equal(dataset.factor_classes, classes[:, 1:])


def test_names_and_sizes_in_the_archive_are_used(tmp_path):
    classes = np.array([[0, 1], [1, 0], [0, 0], [1, 2]])
    parts = {"latents_classes": classes, "latents_names": ["hat", "coat"], "latents_sizes": [2, 5]}
    np.savez(tmp_path / "a.npz", imgs=_IMAGES, **parts)
    dataset = load_npz(tmp_path / "a.npz")
    kinds = (Factor("hat", 2, "categorical"), Factor("coat", 5, "categorical"))
    assert dataset.factor_info == kinds
    np.testing.assert_array_equal(dataset.factors, classes)


def test_values_alone_give_continuous_factors(tmp_path):
    values = np.array([[0.5, 1, 7], [0.25, 1, 8], [0.5, 1, 9], [0.5, 1, 7]])
    np.savez(tmp_path / "a.npz", imgs=_IMAGES, latents_values=values)
    dataset = load_npz(tmp_path / "a.npz")
    assert dataset.factor_info == (Factor("factor_0", 2), Factor("factor_2", 3))
    assert dataset.factor_classes.tolist() == [[1, 0], [0, 1], [1, 2], [1, 0]]


def test_factors_that_never_vary_leave_no_factors(tmp_path):
    np.savez(tmp_path / "a.npz", imgs=_IMAGES, latents_values=np.ones((4, 2)))
    assert load_npz(tmp_path / "a.npz").factors is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": _IMAGES}, r"'images' or 'imgs'. Received: the keys \['x_train'\]"),
        ({"images": np.array([_Bomb()], dtype=object)}, "without objects"),
        ({"images": _IMAGES * 1.0}, r"\[0, 1\].*\[0, 143\] in 'a'. Divide"),
        (
            {"imgs": _IMAGES, "latents_values": np.ones((3, 2))},
            r"`latents_values`.*num_images=4. Received: shape=\(3, 2\)",
        ),
        (
            {"imgs": _IMAGES, "latents_classes": [[0], [1], [2], [3]], "latents_sizes": [2]},
            r"sizes are at least \[4\]. Received: names=\('factor_0',\), sizes=\[2\]",
        ),
        (
            {"imgs": _IMAGES, "latents_classes": [[0], [1], [2], [3]], "latents_names": ["a", "b"]},
            r"1 columns.*names=\('a', 'b'\)",
        ),
    ],
)
def test_archives_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "pickle", "empty"])
def test_damaged_files_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "a.npz"
    np.savez(path, images=np.tile(_IMAGES, (50, 1, 1)))
    data = bytearray(path.read_bytes())
    data[3000] ^= 0xFF
    content = {
        "cut": path.read_bytes()[:2000],
        "flip": bytes(data),
        "text": b"not an archive",
        "pickle": pickle.dumps([1, 2, 3]),
        "empty": b"",
    }
    path.write_bytes(content[damage])
    with pytest.raises(ValueError, match="a.npz' cannot be read as an .npz archive"):
        load_npz(path)


def test_genuine_frames_of_dsprites_are_read(shared_data):
    path = shared_data / "dsprites-tour" / "dsprites_tour_64x64.npz"
    if not path.is_file():
        pytest.skip("needs ../shared/data/dsprites-tour")
    dataset = load_npz(path)
    assert dataset.images.shape == (320, 64, 64, 1)
    assert [factor.size for factor in dataset.factor_info] == [3, 6, 40, 32, 32]
    kinds = [factor.kind for factor in dataset.factor_info]
    assert kinds == ["categorical", "continuous", "circular", "continuous", "continuous"]
    # A square of scale 1 that stands upright covers 20 x 20 pixels.
    upright = (dataset.factor_classes[:, :3] == [0, 5, 0]).all(axis=1)
    assert upright.any()
    assert (dataset.images[upright].sum(axis=(1, 2, 3)) == 400 * 255).all()
