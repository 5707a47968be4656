"""Plots of many values: points in a plane, coloured by what is known of them, and histograms."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .figures import COLORS, clean, drawn, new_figure

_MAX_PANELS = 9
_MAX_CLASSES = 20  # more cannot be told apart
_NUM_BINS = 40


def scatter_plots(
    points,
    colorings: Mapping[str, Sequence] | None = None,
    *,
    kinds: Mapping[str, str] | None = None,
    axis_labels: tuple[str, str] = ("axis 1", "axis 2"),
) -> np.ndarray:
    """Draws the same points once for each colouring, at most nine of them.

    Args:
        points: Array of shape `(num_points, 2)`; of `(num_points, 1)` the second one is zero.
        colorings: A value for each point, by title. Defaults to None, one panel in one colour.
        kinds: `"categorical"`, `"circular"` or `"continuous"` by title, as of
            `keras_rkm.datasets.Factor`. Defaults to `"continuous"` for each. A categorical one of
            more than twenty values is drawn as a continuous one.
        axis_labels: Names of the two coordinates.

    Returns:
        A uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If the shape is another, a value is not finite, or a colouring does not have one
            value per point.

    Example:

    >>> points = np.random.default_rng(0).normal(size=(20, 2))
    >>> scatter_plots(points, {"label": [0, 1] * 10}, kinds={"label": "categorical"}).shape
    (408, 444, 3)
    """
    points = np.asarray(points, dtype="float64")
    if points.ndim == 2 and points.shape[1] == 1:
        points = np.hstack([points, np.zeros_like(points)])
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(
            "`points` must be finite and have the shape (num_points, 2). Received: shape "
            f"{points.shape}, {np.isnan(points).sum()} NaN."
        )
    colorings = {
        title: _checked(values, f"colorings['{title}']", len(points))
        for title, values in list((colorings or {}).items())[:_MAX_PANELS]
    }
    panels = colorings or {"": None}
    num_columns = min(len(panels), 3)
    num_rows = math.ceil(len(panels) / num_columns)
    figure = new_figure(width=3.7 * num_columns, height=3.4 * num_rows)
    for index, (title, values) in enumerate(panels.items()):
        axes = figure.add_subplot(num_rows, num_columns, index + 1)
        _draw_points(figure, axes, points, values, (kinds or {}).get(title, "continuous"))
        axes.set_title(title.replace("_", " "), fontsize=11)
        axes.set_xlabel(axis_labels[0], fontsize=9)
        axes.set_ylabel(axis_labels[1], fontsize=9)
        clean(axes)
    return drawn(figure)


def histograms(values: Mapping[str, Sequence], *, x_label: str) -> np.ndarray:
    """Draws the distributions of some sets of numbers over each other.

    The heights are shares of a set, so that sets of different sizes compare. What lies beyond the
    0.5 % and 99.5 % quantiles of every set is counted in the outermost bins.

    Args:
        values: Numbers by name; at most six sets.
        x_label: What the numbers are.

    Returns:
        A uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If a set is empty or has a value that is not finite, or there are more than six.

    Example:

    >>> histograms({"training": [1.0, 2.0, 2.5], "held out": [1.5, 3.0]}, x_label="energy").shape
    (384, 768, 3)
    """
    sets = {name: np.asarray(numbers, "float64").ravel() for name, numbers in values.items()}
    if not 0 < len(sets) <= len(COLORS):
        raise ValueError(
            f"`values` must hold one to {len(COLORS)} sets. Received: {len(sets)} of them."
        )
    for name, numbers in sets.items():
        if not numbers.size or not np.isfinite(numbers).all():
            raise ValueError(
                f"`values['{name}']` must be finite numbers, at least one. Received: "
                f"{numbers.size} of them, {numbers.size - np.isfinite(numbers).sum()} not finite."
            )
    # Of each set, so that a small one beside a large one does not pile up at an end.
    ends = np.array([np.quantile(numbers, [0.005, 0.995]) for numbers in sets.values()])
    low, high = ends[:, 0].min(), ends[:, 1].max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _NUM_BINS + 1)
    figure = new_figure(width=6.4, height=3.2)
    axes = figure.add_subplot()
    for color, (name, numbers) in zip(COLORS, sets.items(), strict=False):
        counts, _ = np.histogram(np.clip(numbers, low, high), edges)
        label = f"{name} ({numbers.size:,})"
        axes.stairs(100 * counts / numbers.size, edges, fill=True, color=color, alpha=0.25)
        axes.stairs(100 * counts / numbers.size, edges, color=color, linewidth=1.5, label=label)
    axes.set(xlabel=x_label, ylabel="share of the images, %")
    axes.legend(frameon=False, fontsize=9)
    clean(axes)
    return drawn(figure)


def _checked(values: Sequence, argument: str, num_points: int) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (num_points,):
        raise ValueError(
            f"`{argument}` must hold one value per point. Received: shape {values.shape} for "
            f"{num_points} points."
        )
    return values


def _draw_points(figure, axes, points: np.ndarray, values: np.ndarray | None, kind: str) -> None:
    from matplotlib import colormaps

    size = float(np.clip(4_000 / len(points), 3, 24))
    options = {"s": size, "alpha": 0.8, "linewidths": 0}
    if values is None:
        axes.scatter(*points.T, color=COLORS[0], **options)
        return
    classes = np.unique(values)
    if kind == "categorical" and len(classes) <= _MAX_CLASSES:
        palette = colormaps["tab10" if len(classes) <= 10 else "tab20"]
        for index, each in enumerate(classes):
            chosen = points[values == each]
            axes.scatter(*chosen.T, color=palette(index), label=f"{each:g}", **options)
        num_columns = 1 + (len(classes) > 10)
        legend = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "ncols": num_columns}
        axes.legend(frameon=False, fontsize=8, handletextpad=0, markerscale=2, **legend)
        return
    colors = "hsv" if kind == "circular" else "viridis"
    drawn_points = axes.scatter(*points.T, c=values, cmap=colors, **options)
    figure.colorbar(drawn_points, ax=axes, pad=0.02).ax.tick_params(labelsize=8)
