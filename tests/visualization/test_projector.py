import numpy as np
import pytest
from PIL import Image

from keras_rkm.visualization import write_projector


def test_large_images_become_thumbnails(tmp_path):
    images = np.zeros((5, 96, 128, 3), np.uint8)
    images[3, :, :64] = [255, 0, 0]
    write_projector(tmp_path, np.zeros((5, 2)), images)
    sprite = np.asarray(Image.open(tmp_path / "sprite.png"))
    assert sprite.shape == (2 * 48, 3 * 64, 3)
    # The fourth stands at the beginning of the second row.
    assert sprite[48:, :30, 0].min() == 255
    assert sprite[48:, 34:, 0].max() == 255  # what is left of the square is white
    text = (tmp_path / "projector_config.pbtxt").read_text()
    assert "single_image_dim: 64\n    single_image_dim: 48" in text
    assert "metadata" not in text


def test_single_column_has_no_head_and_text_stays_in_its_cell(tmp_path):
    images = np.zeros((2, 8, 8, 1), np.uint8)
    write_projector(tmp_path, np.zeros((2, 2)), images, {"name": ["a\tb", "c\nd"]})
    assert (tmp_path / "metadata.tsv").read_text() == "a b\nc d\n"


def test_rows_must_be_as_many(tmp_path):
    images = np.zeros((3, 8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match="'latents': 2, 'images': 3"):
        write_projector(tmp_path / "x", np.zeros((2, 2)), images)
    with pytest.raises(ValueError, match="'label': 2"):
        write_projector(tmp_path / "x", np.zeros((3, 2)), images, {"label": [1, 2]})
    assert not (tmp_path / "x").exists()


def test_sprite_that_the_projector_cannot_show_is_refused(tmp_path):
    images = np.broadcast_to(np.zeros((64, 64, 1), np.uint8), (16_385, 64, 64, 1))
    with pytest.raises(ValueError, match="Received: 16385 images. Take fewer"):
        write_projector(tmp_path, np.zeros((16_385, 1)), images)
