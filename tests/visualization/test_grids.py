import numpy as np
import pytest

from keras_rkm.visualization import comparison_grid, image_grid, traversal_frames, traversal_grid


def _images(*leading, height=5, width=4, channels=1):
    """Random uint8 images without any white, so that it marks what is not an image."""
    return np.random.default_rng(0).integers(
        0, 200, (*leading, height, width, channels), dtype="uint8"
    )


def _is_picture(array):
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3


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


def _corners(picture, tile):
    """Where a tile stands in a picture, (number, 2)."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, tile.shape)
    return np.argwhere((windows == tile).all(axis=(-3, -2, -1)))[:, :2]


@pytest.mark.parametrize(
    "num_columns, rows_and_columns", [(2, (2, 2)), (3, (1, 3)), (None, (1, 3))]
)
def test_frames_have_the_axes_side_by_side_each_at_one_step(num_columns, rows_and_columns):
    images = _images(3, 4, height=20, width=10, channels=3)
    frames = traversal_frames(images, num_columns=num_columns, scale=1)
    assert (frames.dtype, frames.shape[0], frames.shape[-1]) == (np.uint8, 4, 3)
    corners = np.array(
        [[_corners(frames[step], images[axis, step]) for axis in range(3)] for step in range(4)]
    )
    assert corners.shape == (4, 3, 1, 2)
    assert (corners == corners[0]).all()
    tops, lefts = corners[0, :, 0].T
    assert (len(set(tops)), len(set(lefts))) == rows_and_columns
    np.testing.assert_array_equal(np.lexsort((lefts, tops)), [0, 1, 2])


def test_frames_wrap_after_ten_axes():
    narrow, wide = (
        traversal_frames(_images(number, 1), labels=[""] * number, scale=1).shape
        for number in (10, 11)
    )
    assert wide[2] == narrow[2]
    assert wide[1] > narrow[1]


def test_label_of_an_axis_stands_above_its_tiles_in_every_frame():
    images = np.full((2, 3, 40, 40, 1), 128, "uint8")
    plain = traversal_frames(images, labels=["", "m" * 12], scale=1)
    labels = traversal_frames(images, labels=["l", "m" * 12], scale=1)
    changed = (plain != labels).any(axis=-1)
    assert changed.any(axis=(1, 2)).all()
    rows, columns = np.nonzero(changed[0])
    top, left = _corners(labels[0], np.full((40, 40, 3), 128, "uint8"))[0]
    assert top - 20 < rows.min() and rows.max() < top
    assert abs((columns.min() + columns.max()) / 2 - (left + 20)) < 2
    # The second label is wider than its tile, and not cut off: white to both sides of it.
    dark = np.nonzero((plain[0] < 100).any(axis=(0, 2)))[0]
    assert dark.max() < plain.shape[2] - 3 and np.ptp(dark) > 100


def test_step_labels_change_from_frame_to_frame_and_nothing_else_does():
    images = np.full((3, 2, 20, 20, 1), 128, "uint8")
    frames = traversal_frames(images, step_labels=["-1", "mean"], scale=1)
    plain = traversal_frames(images, scale=1)
    extra = frames.shape[1] - plain.shape[1]
    assert extra > 14
    assert not np.array_equal(frames[0, :extra], frames[1, :extra])
    np.testing.assert_array_equal(frames[:, extra + 7 :], plain[:, 7:])
    assert (frames[:, :extra] < 100).any(axis=(1, 2, 3)).all()


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
        (lambda: traversal_frames(_images(3)), ValueError, r"num_axes, num_steps.*\(3, 5, 4, 1\)"),
        (
            lambda: traversal_frames(_images(3, 2), labels=["a"]),
            ValueError,
            r"`labels`.*1 labels for 3",
        ),
        (
            lambda: traversal_frames(_images(3, 2), step_labels=["a"]),
            ValueError,
            r"`step_labels`.*1 labels for 2",
        ),
        (lambda: traversal_frames(_images(3, 2), num_columns=0), ValueError, r"num_columns=0"),
    ],
)
def test_bad_input_is_refused(draw, error, message):
    with pytest.raises(error, match=message):
        draw()
