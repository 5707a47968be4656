import os

import numpy as np
import pytest
from PIL import Image

from keras_rkm import visualization
from keras_rkm.visualization import (
    comparison_grid,
    image_grid,
    save_png,
    spectrum_plot,
    training_curves,
    traversal_grid,
)


def _images(*leading, height=5, width=4, channels=1):
    """Random uint8 images without any white, so that it marks what is not an image."""
    return np.random.default_rng(0).integers(
        0, 200, (*leading, height, width, channels), dtype="uint8"
    )


def _is_picture(array):
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3


def _num_colored(picture, color):
    """How many pixels have exactly the colour "#rrggbb"."""
    rgb = [int(color[index : index + 2], 16) for index in (1, 3, 5)]
    return int(np.all(picture == rgb, axis=-1).sum())


# Grids


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grid_equals_the_tiles_put_in_by_hand(channels):
    images = _images(5, channels=channels)
    grid = image_grid(images, num_columns=3, padding=2, scale=1)
    expected = np.full((2 * 5 + 3 * 2, 3 * 4 + 4 * 2, 3), 255)
    for index, (top, left) in enumerate([(2, 2), (2, 8), (2, 14), (9, 2), (9, 8)]):
        expected[top : top + 5, left : left + 4] = images[index]
    np.testing.assert_array_equal(grid, expected)
    assert _is_picture(grid)


def test_image_grid_without_padding_joins_the_images():
    images = _images(4)
    grid = image_grid(images, num_columns=2, padding=0, scale=1)
    expected = np.block([[images[0, ..., 0], images[1, ..., 0]], list(images[2:, ..., 0])])
    np.testing.assert_array_equal(grid[..., 1], expected)


def test_enlarging_repeats_every_pixel():
    images = _images(1)
    grid = image_grid(images, padding=0, scale=3)
    np.testing.assert_array_equal(grid[..., 0], np.kron(images[0, ..., 0], np.ones((3, 3))))


@pytest.mark.parametrize("size, enlarged", [(8, 64), (28, 56), (32, 64), (64, 64), (200, 200)])
def test_small_images_are_enlarged_to_about_64_pixels(size, enlarged):
    grid = image_grid(_images(1, height=size, width=size), padding=0)
    assert grid.shape == (enlarged, enlarged, 3)


@pytest.mark.parametrize("num_images, num_columns", [(1, 1), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_image_grid_is_about_a_square(num_images, num_columns):
    grid = image_grid(_images(num_images), padding=0, scale=1)
    assert grid.shape[1] == 4 * num_columns


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_floats_are_rounded_to_256_levels(dtype):
    import ml_dtypes  # noqa: F401  (gives NumPy the name bfloat16)

    values = np.array([0.0, 0.25, 0.5, 0.7539, 1.0]).astype(dtype)
    grid = image_grid(values.reshape(1, 1, 5, 1), padding=0, scale=1)
    expected = np.array([np.floor(255 * float(value) + 0.5) for value in values])
    # 127.5 rounds to the even neighbour, 128, just as it rounds up.
    np.testing.assert_array_equal(grid[0, :, 0], expected)


def test_values_barely_beyond_the_range_are_taken_back():
    grid = image_grid(np.array([-9e-4, 1 + 9e-4]).reshape(1, 1, 2, 1), padding=0, scale=1)
    np.testing.assert_array_equal(grid[0, :, 0], [0, 255])


def test_comparison_grid_puts_each_reconstruction_below_its_original():
    originals = np.full((3, 8, 8, 3), (10, 20, 30), dtype="uint8")
    reconstructions = np.full((3, 8, 8, 3), (110, 120, 130), dtype="uint8")
    grid = comparison_grid(originals, reconstructions, num_columns=2, padding=2, scale=1)
    assert _is_picture(grid)
    is_original = np.all(grid == (10, 20, 30), axis=-1)
    is_reconstruction = np.all(grid == (110, 120, 130), axis=-1)
    assert is_original.sum() == is_reconstruction.sum() == 3 * 64
    # Ten lines further down, in the same columns, and two pairs of rows.
    np.testing.assert_array_equal(is_original[:-10], is_reconstruction[10:])
    assert is_original.any(axis=1).sum() == 2 * 8
    # The pairs stand further apart than the two rows of a pair.
    used = np.flatnonzero((is_original | is_reconstruction).any(axis=1))
    gaps = np.diff(used)[np.diff(used) > 1] - 1
    assert gaps.tolist() == [2, 12, 2]


def test_comparison_grid_labels_its_rows():
    images = np.full((1, 40, 40, 1), 128, dtype="uint8")
    plain = comparison_grid(images, images, labels=("", ""), scale=1)
    labelled = comparison_grid(images, images, labels=("truth", "guess"), scale=1)
    extra = labelled.shape[1] - plain.shape[1]
    assert extra > 20
    text = labelled[:, :extra].min(axis=(1, 2)) < 100
    assert text[: len(text) // 2].any()
    assert text[len(text) // 2 :].any()
    np.testing.assert_array_equal(labelled[:, -44:], plain[:, -44:])


def test_traversal_grid_has_an_axis_per_row_and_a_step_per_column():
    images = _images(2, 3, height=20, width=10, channels=3)
    grid = traversal_grid(images, padding=1, scale=1)
    assert _is_picture(grid)
    margin = grid.shape[1] - (3 * 11 + 1)
    found = [
        (axis, step)
        for axis in range(2)
        for step in range(3)
        for top in range(grid.shape[0] - 19)
        for left in [margin - 7 + 1 + 11 * step]
        if np.array_equal(grid[top : top + 20, left : left + 10], images[axis, step])
        and top == 7 + 1 + 21 * axis
    ]
    assert found == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_traversal_labels_stand_beside_their_rows():
    images = np.full((2, 2, 40, 40, 1), 128, dtype="uint8")
    only_second = traversal_grid(images, labels=["", "axis 2, 34.5 %"], scale=1)
    dark_rows = np.flatnonzero(np.any(only_second < 100, axis=(1, 2)))
    first_of_second_row = 7 + 2 + 40 + 2
    assert dark_rows.min() >= first_of_second_row + 10
    assert dark_rows.max() <= first_of_second_row + 30
    assert 9 <= np.ptp(dark_rows) <= 20  # One line of readable text.


def test_traversal_labels_say_axis_1_and_so_on_by_default():
    images = _images(2, 3, height=20)
    np.testing.assert_array_equal(
        traversal_grid(images), traversal_grid(images, labels=["axis 1", "axis 2"])
    )
    assert not np.array_equal(
        traversal_grid(images), traversal_grid(images, labels=["axis 1", "axis 3"])
    )


def test_step_labels_stand_above_their_columns():
    images = np.full((1, 3, 40, 40, 1), 128, dtype="uint8")
    plain = traversal_grid(images, labels=[""], scale=1)
    labelled = traversal_grid(images, labels=[""], step_labels=["", "", "+2"], scale=1)
    extra = labelled.shape[0] - plain.shape[0]
    np.testing.assert_array_equal(labelled[extra + 7 :], plain[7:])
    dark_columns = np.flatnonzero(np.any(labelled[: extra + 7] < 100, axis=(0, 2)))
    third_column = plain.shape[1] - 7 - 2 - 40
    assert dark_columns.min() > third_column
    assert dark_columns.max() < third_column + 40


@pytest.mark.parametrize(
    "draw, error, message",
    [
        (lambda: image_grid(_images(3)[..., 0]), ValueError, r"`images`.*\(3, 5, 4\)"),
        (lambda: image_grid(_images(3, channels=2)), ValueError, r"1 or 3.*\(3, 5, 4, 2\)"),
        (lambda: image_grid(_images(0)), ValueError, r"at least one.*\(0, 5, 4, 1\)"),
        (lambda: image_grid(_images(3).astype(int)), TypeError, r"`images`.*int64.*astype"),
        (lambda: image_grid(_images(3) > 7), TypeError, r"`images`.*bool"),
        (
            lambda: image_grid(np.linspace(-0.5, 3, 8).reshape(1, 4, 2, 1)),
            ValueError,
            r"`images`.*\[0, 1\].*-0.5 to 3\b.*Clip",
        ),
        (lambda: image_grid(np.full((1, 2, 2, 1), np.nan)), ValueError, r"\[0, 1\].*nan to nan"),
        (lambda: image_grid(_images(3), num_columns=0), ValueError, r"num_columns=0"),
        (lambda: image_grid(_images(3), padding=-1), ValueError, r"padding=-1"),
        (lambda: image_grid(_images(3), scale=0), ValueError, r"scale=0"),
        (lambda: image_grid(_images(3), scale=1.5), ValueError, r"scale=1.5"),
        (
            lambda: comparison_grid(_images(3), _images(2)),
            ValueError,
            r"same number.*\(3, 5, 4, 1\).*\(2, 5, 4, 1\)",
        ),
        (
            lambda: comparison_grid(_images(3), _images(3) / 100.0),
            ValueError,
            r"`reconstructions`.*\[0, 1\]",
        ),
        (lambda: traversal_grid(_images(3)), ValueError, r"num_axes, num_steps.*\(3, 5, 4, 1\)"),
        (
            lambda: traversal_grid(_images(3, 2), labels=["a", "b"]),
            ValueError,
            r"`labels`.*one label per axis.*2 labels for 3",
        ),
        (
            lambda: traversal_grid(_images(3, 2), step_labels=["a"]),
            ValueError,
            r"`step_labels`.*one label per step.*1 labels for 2",
        ),
        (lambda: spectrum_plot([]), ValueError, r"`explained_variance_ratio`.*\(0,\)"),
        (lambda: spectrum_plot([[0.5]]), ValueError, r"`explained_variance_ratio`.*\(1, 1\)"),
        (lambda: spectrum_plot([3.0, 1.0]), ValueError, r"1 to 3\. Divide"),
        (lambda: spectrum_plot([-0.5, 1.0]), ValueError, r"-0.5 to 1\."),
        (lambda: spectrum_plot([0.5, float("nan")]), ValueError, r"nan"),
        (lambda: training_curves({}), ValueError, r"`history`.*\{\}"),
        (lambda: training_curves({"loss": []}), ValueError, r"`history`.*'loss': 0"),
    ],
)
def test_bad_input_is_refused(draw, error, message):
    with pytest.raises(error, match=message):
        draw()


# Plots

_FIRST, _SECOND = visualization._COLORS


def test_bars_are_as_high_as_the_shares():
    picture = spectrum_plot([0.6, 0.3, 0.1])
    assert _is_picture(picture)
    rgb = [int(_FIRST[index : index + 2], 16) for index in (1, 3, 5)]
    is_bar = np.all(picture == rgb, axis=-1)
    heights = is_bar[:, : int(0.8 * picture.shape[1])].sum(axis=0)  # Without the legend.
    edges = np.flatnonzero(np.diff((heights > 0).astype(int)))
    bars = [heights[(edges[i] + edges[i + 1]) // 2] for i in range(0, len(edges) - 1, 2)]
    assert bars[0] / bars[1] == pytest.approx(2, rel=0.1)
    assert _num_colored(picture, _SECOND) > 100


@pytest.mark.parametrize("latent_dim", [1, 2, 10, 64, 300])
def test_spectrum_of_any_length_is_drawn(latent_dim):
    picture = spectrum_plot(np.full(latent_dim, 1 / latent_dim))
    assert _is_picture(picture)
    assert _num_colored(picture, _FIRST) > 100


def test_constant_latents_have_a_spectrum():
    assert _is_picture(spectrum_plot(np.zeros(3)))


def test_validation_is_drawn_in_the_panel_of_its_metric():
    history = {"loss": [3.0, 2.0, 1.5], "pca_loss": [1.0, 0.5, 0.1]}
    plain = training_curves(history)
    both = training_curves({**history, "val_loss": [3.5, 2.5, 2.0]})
    assert plain.shape == both.shape
    assert _num_colored(plain, _SECOND) == 0
    half = both.shape[1] // 2
    assert _num_colored(both[:, :half], _SECOND) > 50
    assert _num_colored(both[:, half:], _SECOND) == 0


def test_panels_are_added_three_in_a_row():
    def shape(num_metrics):
        return training_curves({f"metric_{i}": [1.0, 2.0] for i in range(num_metrics)}).shape

    assert shape(3)[1] == 3 * 432
    assert shape(4) == (2 * shape(3)[0], *shape(3)[1:])


def _axes_of(history, name="loss"):
    axes = visualization._new_figure(4, 3).add_subplot()
    visualization._draw_metric(axes, name, history, max(map(len, history.values())))
    return axes


def test_sparse_validation_stands_at_the_epochs_it_was_measured():
    axes = _axes_of({"loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [3.5, 1.5]})
    training, validation = axes.get_lines()
    assert training.get_xdata().tolist() == [1, 2, 3, 4]
    assert validation.get_xdata().tolist() == [2, 4]
    assert validation.get_ydata().tolist() == [3.5, 1.5]


@pytest.mark.parametrize(
    "values, scale",
    [
        ([300.0, 1.0], "log"),
        ([20.0, 1.0], "linear"),
        ([300.0, 0.0], "linear"),
        ([300.0, -1.0], "linear"),
        ([300.0, float("nan"), 1.0], "log"),
        ([float("nan")], "linear"),
    ],
)
def test_scale_is_logarithmic_where_the_values_ask_for_it(values, scale):
    assert _axes_of({"loss": values}).get_yscale() == scale
    assert _is_picture(training_curves({"loss": values}))


def test_validation_alone_is_drawn():
    assert _num_colored(training_curves({"val_loss": [2.0, 1.0]}), _SECOND) > 50


def test_plots_leave_pyplot_alone():
    from matplotlib import pyplot

    state = pyplot.get_fignums(), pyplot.get_backend()
    spectrum_plot([1.0])
    training_curves({"loss": [1.0]})
    assert (pyplot.get_fignums(), pyplot.get_backend()) == state


# Files


def test_png_holds_the_array(tmp_path):
    picture = image_grid(_images(4, channels=3))
    save_png(picture, tmp_path / "picture.png")
    np.testing.assert_array_equal(Image.open(tmp_path / "picture.png"), picture)
    assert os.listdir(tmp_path) == ["picture.png"]


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    save_png(image_grid(_images(4)), path)
    before = path.read_bytes()

    def save_half(self, file, **_):
        with open(file, "wb") as stream:
            stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", save_half)
    with pytest.raises(OSError, match="No space left"):
        save_png(image_grid(_images(4)), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["picture.png"]


@pytest.mark.parametrize(
    "array, error, message",
    [
        (np.zeros((4, 4, 3)), TypeError, r"uint8.*float64"),
        (np.zeros((4, 4), "uint8"), ValueError, r"\(4, 4\)"),
        (np.zeros((4, 4, 1), "uint8"), ValueError, r"\(4, 4, 1\)"),
        (np.zeros((0, 4, 3), "uint8"), ValueError, r"\(0, 4, 3\)"),
    ],
)
def test_only_pictures_are_written(tmp_path, array, error, message):
    with pytest.raises(error, match=message):
        save_png(array, tmp_path / "picture.png")
    assert os.listdir(tmp_path) == []
