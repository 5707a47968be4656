import numpy as np
import pytest

from keras_rkm.visualization import figures, heat_maps, plots, spectrum_plot, training_curves

_FIRST, _SECOND = figures.COLORS[:2]


def _is_picture(array):
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3


def _num_colored(picture, color):
    """How many pixels have exactly the colour "#rrggbb"."""
    rgb = [int(color[index : index + 2], 16) for index in (1, 3, 5)]
    return int(np.all(picture == rgb, axis=-1).sum())


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
    axes = figures.new_figure(4, 3).add_subplot()
    plots._draw_metric(axes, name, history, max(map(len, history.values())))
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


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda: spectrum_plot([]), r"`explained_variance_ratio`.*\(0,\)"),
        (lambda: spectrum_plot([[0.5]]), r"`explained_variance_ratio`.*\(1, 1\)"),
        (lambda: spectrum_plot([3.0, 1.0]), r"1 to 3\. Divide"),
        (lambda: spectrum_plot([-0.5, 1.0]), r"-0.5 to 1\."),
        (lambda: spectrum_plot([0.5, float("nan")]), r"nan"),
        (lambda: training_curves({}), r"`history`.*\{\}"),
        (lambda: training_curves({"loss": []}), r"`history`.*'loss': 0"),
    ],
)
def test_bad_input_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def _matrix_picture(matrix):
    rows, columns = np.shape(matrix)
    return heat_maps({"m": matrix}, row_labels=["row"] * rows, column_labels=["column"] * columns)


def _blueness(picture):
    """How much bluer than red each pixel is."""
    return picture[..., 2].astype(int) - picture[..., 0]


def test_heat_map_is_dark_where_the_matrix_is_large():
    matrix = np.zeros((2, 2))
    matrix[1, 0] = 3.0
    rows, columns = np.nonzero(_blueness(_matrix_picture(matrix)) > 60)
    other = np.zeros((2, 2))
    other[0, 1] = 3.0
    other_rows, other_columns = np.nonzero(_blueness(_matrix_picture(other)) > 60)
    assert rows.min() > other_rows.max() - 5
    assert columns.max() < other_columns.min() + 5


def test_heat_maps_share_no_scale():
    matrix = np.array([[1.0, 0.2], [0.0, 0.7]])
    np.testing.assert_array_equal(_matrix_picture(matrix), _matrix_picture(1e-6 * matrix))


def test_large_entries_have_a_frame():
    alone = _num_colored(_matrix_picture([[1.0, 0.0], [0.0, 0.0]]), _SECOND)
    both = _num_colored(_matrix_picture([[1.0, 0.0], [0.0, 0.5]]), _SECOND)
    below = _num_colored(_matrix_picture([[1.0, 0.0], [0.0, 0.49]]), _SECOND)
    assert 0 < alone == below < both


def test_matrix_of_zeros_is_drawn_without_frames():
    picture = _matrix_picture(np.zeros((3, 2)))
    assert _is_picture(picture)
    assert not _num_colored(picture, _SECOND)


def test_heat_maps_stand_side_by_side_as_large_as_their_labels_need():
    labels = {"row_labels": list("abc"), "column_labels": list("xy")}
    one = heat_maps({"first": np.eye(3, 2)}, **labels)
    two = heat_maps({"first": np.eye(3, 2), "second": np.eye(3, 2)}, **labels)
    assert two.shape == (one.shape[0], 2 * one.shape[1], 3)
    many = heat_maps({"m": np.eye(40)}, row_labels=range(40), column_labels=range(40))
    assert many.shape[0] > 4 * one.shape[0]


@pytest.mark.parametrize(
    "matrices, message",
    [
        ({}, "at least one matrix.*0 matrices"),
        ({"m": np.eye(3)}, r"`matrices\['m'\]`.*\(2, 2\).*shape \(3, 3\)"),
        ({"m": -np.eye(2)}, r"not negative.*values from -1 to -?0"),
        ({"m": np.full((2, 2), np.nan)}, "finite.*nan to nan"),
        ({"m": np.full((2, 2), np.inf)}, "finite.*inf to inf"),
    ],
)
def test_only_matrices_of_finite_numbers_from_zero_on_are_drawn(matrices, message):
    with pytest.raises(ValueError, match=message):
        heat_maps(matrices, row_labels=["a", "b"], column_labels=["c", "d"])
