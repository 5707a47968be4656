"""Folders of real little files, written by Pillow."""

import numpy as np
import pytest
from PIL import Image

from keras_rkm.datasets import image_folder
from keras_rkm.datasets.image_folder import load_image_folder


def _save(path, value, *, size=(6, 4), mode="L", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)


def test_order_is_that_of_the_names_and_other_files_are_left_out(tmp_path):
    for name, value in (("b.png", 20), ("a.bmp", 10), ("c.PNG", 30), (".hidden.png", 99)):
        _save(tmp_path / name, value)
    (tmp_path / "notes.txt").write_text("no image")
    dataset = load_image_folder(tmp_path)
    assert dataset.images.shape == (3, 4, 6, 1)  # height before width
    assert dataset.images[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert dataset.labels is None and dataset.name == tmp_path.name


def test_sub_folders_are_classes(tmp_path):
    _save(tmp_path / "zebra" / "1.png", 3)
    _save(tmp_path / "ant" / "deep" / "1.png", 1)
    _save(tmp_path / "ant" / "deep" / "0.png", 2)
    dataset = load_image_folder(tmp_path)
    assert dataset.images[:, 0, 0, 0].tolist() == [2, 1, 3]
    assert dataset.labels.tolist() == [0, 0, 1]


def test_order_is_that_of_the_folders_first(tmp_path):
    names = ["a b/1.png", "a/2.png", "a/b/0.png", "a.b/1.png"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    # A folder comes before others whose names go on, whatever its separator is.
    expected = ["a/2.png", "a/b/0.png", "a b/1.png", "a.b/1.png"]
    assert image_folder.find_images(tmp_path) == expected
    assert image_folder.labels_of(tmp_path, expected).tolist() == [0, 0, 1, 2]


def test_images_in_and_beside_sub_folders_are_refused(tmp_path):
    _save(tmp_path / "loose.png", 1)
    _save(tmp_path / "class" / "1.png", 1)
    with pytest.raises(ValueError, match="1 files directly in it, such as 'loose.png', and 1 in"):
        load_image_folder(tmp_path)


def test_first_image_decides_between_grey_and_colour(tmp_path):
    _save(tmp_path / "a.png", (10, 20, 30), mode="RGB")
    _save(tmp_path / "b.png", 50)
    colour = load_image_folder(tmp_path).images
    assert colour[:, 0, 0].tolist() == [[10, 20, 30], [50, 50, 50]]
    _save(tmp_path / "0.png", 50)
    assert load_image_folder(tmp_path).images.shape[-1] == 1


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, [255]),
        ("LA", (7, 255), [7]),
        ("RGBA", (1, 2, 3, 255), [1, 2, 3]),
        ("I;16", 0x8001, [0x80]),
    ],
)
def test_pixel_formats_of_png(tmp_path, mode, value, expected):
    _save(tmp_path / "a.png", value, mode=mode)
    assert load_image_folder(tmp_path).images[0, 0, 0].tolist() == expected


def test_orientation_of_a_camera_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    _save(tmp_path / "a.png", 1, size=(6, 4), exif=exif)
    assert load_image_folder(tmp_path).image_shape == (6, 4, 1)


def test_different_sizes_need_an_image_size(tmp_path):
    _save(tmp_path / "a.png", 1, size=(6, 4))
    _save(tmp_path / "b.png", 1, size=(8, 4))
    with pytest.raises(
        ValueError, match=r"`image_size`.*\(4, 6\) in the first file and \(4, 8\) in '.*b.png"
    ):
        load_image_folder(tmp_path)
    assert load_image_folder(tmp_path, image_size=5).images.shape == (2, 5, 5, 1)


def test_resizing_keeps_the_middle_square(tmp_path):
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    middle = load_image_folder(tmp_path, image_size=10).images
    np.testing.assert_array_equal(middle, np.full((1, 10, 10, 1), 200))


def test_choice_is_made_before_reading(tmp_path):
    for i in range(20):
        _save(tmp_path / f"{i:02d}.png", i + 2)
    part = load_image_folder(tmp_path, num_images=5, seed=1)
    values = part.images[:, 0, 0, 0].tolist()
    assert values == sorted(set(values)) and len(values) == 5
    assert values == load_image_folder(tmp_path, num_images=5, seed=1).images[:, 0, 0, 0].tolist()
    rest = next(i for i in range(20) if i + 2 not in values)
    (tmp_path / f"{rest:02d}.png").write_bytes(b"broken")
    load_image_folder(tmp_path, num_images=5, seed=1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_truncated_files_are_refused_by_name(tmp_path, suffix):
    _save(tmp_path / "a.png", 1, size=(40, 40))
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    path = tmp_path / f"b.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=f"b.{suffix}' is damaged or not an image"):
        load_image_folder(tmp_path)


def test_a_text_named_png_is_refused_by_name(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(ValueError, match="a.png' is damaged or not an image"):
        load_image_folder(tmp_path)


def test_empty_folder_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"must hold images.*Received: \['notes.txt'\]"):
        load_image_folder(tmp_path)


def test_decompression_bombs_are_refused_before_they_unfold(tmp_path, monkeypatch):
    _save(tmp_path / "a.png", 0, mode="1", size=(9000, 9000))  # 10 kB for 81 million pixels
    with pytest.raises(ValueError, match="a.png' is too large.*Received: 9000 x 9000"):
        load_image_folder(tmp_path)
    monkeypatch.setattr(image_folder.Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="a.png' is too large: .*exceeds limit of 2000"):
        load_image_folder(tmp_path)
