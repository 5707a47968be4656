import numpy as np
import pytest

from keras_rkm.visualization import figures, histograms, scatter_plots


def _colored(picture, color):
    """Which pixels have exactly the colour "#rrggbb"."""
    rgb = [int(color[index : index + 2], 16) for index in (1, 3, 5)]
    return np.all(picture == rgb, axis=-1)


def _num_colored(picture, color):
    return int(_colored(picture, color).sum())


def test_a_panel_is_drawn_for_each_colouring_three_in_a_row():
    points = np.random.default_rng(0).normal(size=(30, 2))

    def shape(number):
        return scatter_plots(points, {f"f{i}": np.arange(30) for i in range(number)}).shape

    height, width, _ = scatter_plots(points).shape
    assert shape(2) == (height, 2 * width, 3)
    assert shape(12) == (3 * height, 3 * width, 3)  # no more than nine


def test_classes_have_colours_of_their_own():
    points = np.stack([np.repeat([0.0, 1.0], 50), np.zeros(100)], axis=1)
    label = {"label": np.repeat([3, 7], 50)}
    picture = scatter_plots(points, label, kinds={"label": "categorical"}).astype(int)
    left, right = picture[:, : picture.shape[1] // 3], picture[:, picture.shape[1] // 3 : -130]

    def is_blue(part):
        return ((part[..., 2] - part[..., 0]) > 60).sum()

    assert is_blue(left) > 20
    assert is_blue(right) == 0


def test_colour_goes_with_the_value():
    points = np.random.default_rng(0).random(size=(400, 2))
    picture = scatter_plots(points, {"f": points[:, 0]}).astype(int)
    yellow = (picture[..., 0] > 150) & (picture[..., 2] < 120)
    width = picture.shape[1]
    left, right = yellow[:, : width // 2], yellow[:, width // 2 : int(0.8 * width)]
    assert right.sum() > 100 > 10 * left.sum()


def test_a_single_coordinate_is_drawn_on_a_line():
    points = np.random.default_rng(0).normal(size=(30, 1))
    on_a_line = np.hstack([points, np.zeros((30, 1))])
    np.testing.assert_array_equal(scatter_plots(points), scatter_plots(on_a_line))


@pytest.mark.parametrize(
    ("points", "colorings", "message"),
    [
        (np.zeros((3, 3)), {}, r"\(3, 3\)"),
        (np.zeros((0, 2)), {}, r"\(0, 2\)"),
        (np.full((3, 2), np.nan), {}, "6 NaN"),
        (np.zeros((3, 2)), {"label": [1, 2]}, r"colorings\['label'\].*\(2,\) for 3 points"),
    ],
)
def test_points_that_do_not_fit_are_told(points, colorings, message):
    with pytest.raises(ValueError, match=message):
        scatter_plots(points, colorings)


def test_a_small_set_beside_a_large_one_does_not_pile_up_at_the_end():
    sets = {"large": np.zeros(10_000), "small": np.linspace(0, 1, 20)}
    picture = histograms(sets, x_label="x")
    # The mark in the legend is a twentieth as wide.
    assert _colored(picture, figures.COLORS[1]).any(axis=0).sum() > picture.shape[1] / 3


def test_histograms_are_shares_of_their_sets():
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=2_000)
    alone = histograms({"a": numbers}, x_label="x")
    twice = histograms({"a": np.tile(numbers, 2)}, x_label="x")
    # But for the count in the legend.
    assert np.mean(alone != twice) < 0.002
    both = histograms({"a": numbers, "b": numbers + 20}, x_label="x")
    first, second = figures.COLORS[:2]
    assert _num_colored(alone, second) == 0
    assert np.flatnonzero(_colored(both, first).any(axis=0)).min() < both.shape[1] // 4
    assert _num_colored(both, second) > 50


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Received: 0 of them"),
        ({"a": []}, r"values\['a'\].*0 of them"),
        ({"a": [1.0, np.inf]}, "1 not finite"),
    ],
)
def test_numbers_that_cannot_be_drawn_are_told(values, message):
    with pytest.raises(ValueError, match=message):
        histograms(values, x_label="x")


def test_equal_numbers_have_a_histogram():
    assert histograms({"a": [2.0, 2.0]}, x_label="x").shape[2] == 3
